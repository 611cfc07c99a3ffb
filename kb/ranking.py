"""Features of a candidate in, one score out: linear models whose weights are data."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources

import numpy as np

FIRST_FEATURES = (
    "fused",
    "meaning",
    "meaning_added",
    "words",
    "words_added",
    "coverage",
    "coverage_added",
    "sentence",
    "title",
    "heading",
    "level_match",
    "region",
    "definition",
    "amount",
    "liability",
    "responsibility",
    "current",
    "background",
    "in_cited",
    "cited_and_said",
    "term",
    "opening",
    "short",
    "long",
)
FEATURES = (*FIRST_FEATURES, "like_leaders", "behind_own")
"""What the first ranking sees, and what the second: the same with what the first says (kb.feedback)."""
POOLED = 2.0
"""Say of the feature `pooled`: the logarithm of a provision's share in the pool (kb.pool), times how known the question is
(kb.remembered). Beside the weights, which were fitted on policy queries; those are hardly ever known (docs/search.md)."""
ANSWER_FEATURES = (
    "dense",
    "stands_out",
    "agreement",
    "lexical",
    "coverage",
    "coverage_added",
    "sentence",
    "rare",
    "elsewhere",
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One provision found for a query; `features` explain its rank, named as in FEATURES.

    `dense` is the cosine of its best sentence (0 without vectors), `lexical` its score by words, `vector` that of its best
    sentence.
    """

    seq: int
    doc: int
    level: str = ""
    current: bool = True
    dense: float = 0.0
    lexical: float = 0.0
    features: Mapping[str, float] = field(default_factory=dict)
    vector: np.ndarray | None = field(default=None, compare=False, repr=False)

    def parts(self) -> dict[str, float]:
        """The features by name, as the model sees them; what was not computed is 0."""
        return {name: round(self.features.get(name, 0.0), 4) for name in (*FEATURES, "pooled", "remembered")}


@dataclass(frozen=True, slots=True)
class Model:
    """Weights of the two ranking scores, and of the probability that anything held answers a query."""

    first: Mapping[str, float]
    rank: Mapping[str, float]
    answer: Mapping[str, float]
    answer_bias: float


@dataclass(frozen=True, slots=True)
class Weights:
    """One model for an index with vectors and one for words alone.

    `near` holds two cosines of the encoder they were fitted with: where a text means nearly, and very nearly, what was asked.
    """

    hybrid: Model
    words: Model
    near: tuple[float, float]

    def model(self, *, vectors: bool) -> Model:
        """The model for an index with or without vectors."""
        return self.hybrid if vectors else self.words


def answer_features(ranked: Sequence[Candidate], rare: float, elsewhere: float) -> dict[str, float]:
    """What tells an answered query from one that nothing held answers.

    Args:
        ranked: candidates, best first.
        rare: share of the query's word weight on words that hardly any text has.
        elsewhere: 1 when the query names a place that no document of the library is about.
    """
    best = ranked[:5]
    dense = sorted((c.dense for c in ranked), reverse=True)
    by_words = {c.seq for c in sorted(ranked, key=lambda c: -c.lexical)[:10] if c.lexical > 0}
    by_meaning = {c.seq for c in sorted(ranked, key=lambda c: -c.dense)[:10] if c.dense > 0}
    later = dense[5:30]
    return {
        "dense": dense[0] if dense else 0.0,
        "stands_out": dense[0] - sum(later) / len(later) if later else 0.0,
        "agreement": len(by_words & by_meaning) / 10,
        "lexical": math.log1p(max((c.lexical for c in ranked), default=0.0)),
        "coverage": max((c.features.get("coverage", 0.0) for c in best), default=0.0),
        "coverage_added": max((c.features.get("coverage_added", 0.0) for c in best), default=0.0),
        "sentence": max((c.features.get("sentence", 0.0) for c in best), default=0.0),
        "rare": rare,
        "elsewhere": elsewhere,
    }


def answer_probability(features: Mapping[str, float], model: Model) -> float:
    """Probability that the library answers the query, 0 to 1; 0.5 is the line that the fit drew."""
    z = model.answer_bias + sum(weight * features[name] for name, weight in model.answer.items())
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, z))))


def rank_score(candidate: Candidate, weights: Mapping[str, float]) -> float:
    """Linear score; higher is better."""
    fitted = sum(weight * candidate.features.get(name, 0.0) for name, weight in weights.items())
    return fitted + POOLED * candidate.features.get("pooled", 0.0)


@functools.cache
def load_weights() -> Weights:
    """The weights that ship, from kb/data/ranking.json; scripts/train_ranking.py writes them."""
    data = json.loads((resources.files("kb") / "data" / "ranking.json").read_text(encoding="utf-8"))
    return Weights(Model(**data["hybrid"]), Model(**data["words"]), tuple(data["near"]))
