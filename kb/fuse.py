"""Rankings in, one ranking out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T", int, str)


def fuse_rrf(
    rankings: Sequence[Sequence[T]], k: int = 60, weights: Sequence[float] | None = None
) -> list[tuple[T, float]]:
    """Merge rankings by reciprocal rank fusion: score(d) = sum of w / (k + rank), rank from 1.

    Args:
        rankings: ids, best first, one list per retriever, no id twice in a list.
        k: smoothing constant; 60 as in Cormack, Clarke and Buettcher (SIGIR 2009).
        weights: one factor per ranking; all 1 by default.

    Returns:
        (id, score), best first; equal scores in id order, so a run repeats exactly.

    Raises:
        ValueError: an id occurs twice in one ranking.
    """
    scores: dict[T, float] = {}
    for ranking, weight in zip(rankings, weights or [1.0] * len(rankings), strict=True):
        if len(set(ranking)) != len(ranking):
            raise ValueError("an id occurs twice in one ranking")
        for rank, key in enumerate(ranking, 1):
            scores[key] = scores.get(key, 0.0) + weight / (k + rank)
    return sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))
