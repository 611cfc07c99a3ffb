"""Features of a candidate in, one score out: a linear model whose weights are data."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources

FEATURES = (
    "fused",
    "lexical",
    "dense_rank",
    "dense",
    "coverage",
    "coverage_added",
    "heading",
    "level_match",
    "intent",
    "current",
    "background",
    "in_cited",
    "cited_and_said",
    "term",
    "opening",
    "short",
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One provision found for a query, with everything its rank is explained by.

    `fused` is the RRF score times 60; `ranks` are 60 / (60 + rank) per ranking; `dense` is the cosine of the best
    sentence; `coverage` is the share of the query's word weight found in the text; `term` is how much of a glossary
    entry's name the query says; `opening` marks a preamble.
    """

    seq: int
    doc: int
    fused: float = 0.0
    ranks: Mapping[str, float] = field(default_factory=dict)
    dense: float = 0.0
    coverage: float = 0.0
    coverage_added: float = 0.0
    heading: float = 0.0
    level_match: float = 0.0
    intent: float = 0.0
    current: bool = True
    background: bool = False
    in_cited: bool = False
    term: float = 0.0
    opening: bool = False
    length: int = 0
    level: str = ""

    def parts(self) -> dict[str, float]:
        """The features by name, as the model sees them."""
        values = (
            self.fused,
            self.ranks.get("lexical", 0.0),
            self.ranks.get("dense", 0.0),
            self.dense,
            self.coverage,
            self.coverage_added,
            self.heading,
            self.level_match,
            self.intent,
            float(self.current),
            float(self.background),
            float(self.in_cited),
            float(self.in_cited) * self.coverage,
            self.term,
            float(self.opening),
            float(self.length < 40),
        )
        return dict(zip(FEATURES, (round(v, 4) for v in values), strict=True))


ANSWER_FEATURES = ("dense", "coverage", "coverage_added", "rare")


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights of the ranking score, and of the probability that anything held answers a query.

    `answer_words` is for an index without vectors, where the cosine says nothing: set by hand, not fitted.
    """

    rank: Mapping[str, float]
    answer: Mapping[str, float]
    answer_bias: float
    answer_words: Mapping[str, float]
    answer_words_bias: float


def answer_features(best: Sequence[Candidate], rare: float) -> dict[str, float]:
    """What tells an answered query from one that nothing held answers.

    Args:
        best: the first candidates; their highest cosine and shares count.
        rare: share of the query's word weight on words that hardly any text has.
    """
    return {
        "dense": max((c.dense for c in best), default=0.0),
        "coverage": max((c.coverage for c in best), default=0.0),
        "coverage_added": max((c.coverage_added for c in best), default=0.0),
        "rare": rare,
    }


def answer_probability(features: Mapping[str, float], weights: Weights, *, vectors: bool = True) -> float:
    """Probability that the library answers the query, 0 to 1; 0.5 is the line that the fit drew."""
    used, z = (weights.answer, weights.answer_bias) if vectors else (weights.answer_words, weights.answer_words_bias)
    z += sum(weight * features[name] for name, weight in used.items())
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, z))))


def rank_score(candidate: Candidate, weights: Weights) -> float:
    """Linear score; higher is better."""
    parts = candidate.parts()
    return sum(weight * parts[name] for name, weight in weights.rank.items())


@functools.cache
def load_weights() -> Weights:
    """The weights that ship, from kb/data/ranking.json; scripts/train_ranking.py writes them."""
    data = json.loads((resources.files("kb") / "data" / "ranking.json").read_text(encoding="utf-8"))
    return Weights(**data)
