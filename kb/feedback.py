"""Candidates ranked once in, what that ranking says of each of them out.

What the leading candidates mean is evidence of what the query means, in the words of the rules instead of everyday words
(pseudo-relevance feedback: Lavrenko and Croft, SIGIR 2001). And a document that already has a better candidate has less to
add: the other answers to a question are in other documents, at other levels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from kb.evidence import standing
from kb.ranking import Candidate

LEADERS = 3


def with_feedback(candidates: Sequence[Candidate], scores: Sequence[float]) -> list[Candidate]:
    """The candidates, best first by `scores`, with the feedback features of kb.ranking.

    The first of them is what the rest is compared with, so a second ranking orders the others and leaves it where it is.

    `like_leaders` is how far a candidate stands out by likeness to the leaders other than itself, in standard deviations;
    `behind_own` the logarithm of 1 + the number of better candidates of its document, 0 in a document the query cites.
    """
    order = sorted(range(len(candidates)), key=lambda i: (-scores[i], candidates[i].seq))
    ranked = [candidates[i] for i in order]
    likeness = standing(like_leaders(ranked, np.asarray([scores[i] for i in order])))
    before: Counter[int] = Counter()
    out = []
    for candidate, like in zip(ranked, likeness.tolist(), strict=True):
        cited = candidate.features.get("in_cited", 0.0)
        own = 0.0 if cited else float(np.log1p(before[candidate.doc]))
        before[candidate.doc] += 1
        out.append(replace(candidate, features={**candidate.features, "like_leaders": like, "behind_own": own}))
    return out


def like_leaders(ranked: Sequence[Candidate], scores: np.ndarray) -> np.ndarray:
    """Mean cosine of each candidate, best first, with the LEADERS best others, weighted by exp(score); float (n,).

    All zeros where a candidate has no vector, as in a search by words alone.
    """
    if len(ranked) < 2 or any(c.vector is None for c in ranked):
        return np.zeros(len(ranked))
    vectors = np.stack([c.vector for c in ranked])
    cosines = vectors @ vectors[: LEADERS + 1].T
    weights = np.tile(np.exp(scores[: LEADERS + 1] - scores[0]), (len(ranked), 1))
    inside = min(LEADERS + 1, len(ranked))
    weights[LEADERS:, LEADERS:] = 0.0
    weights[np.arange(inside), np.arange(inside)] = 0.0
    return (cosines * weights).sum(axis=1) / weights.sum(axis=1)
