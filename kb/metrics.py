"""Ranked lists and judgements in, numbers out. Symbols follow Manning, Raghavan and Schuetze (2008), chapter 8."""

from __future__ import annotations

import math
from collections.abc import Sequence


def reciprocal_rank(gains: Sequence[float], k: int, least: float = 1.0) -> float:
    """1 / rank of the first of the top k whose gain is at least `least`; 0 when there is none."""
    return next((1 / rank for rank, gain in enumerate(gains[:k], 1) if gain >= least), 0.0)


def ndcg(gains: Sequence[float], ideal: Sequence[float], k: int) -> float:
    """Normalised discounted cumulative gain at k with linear gain: sum of gain / log2(rank + 1).

    Args:
        gains: gain of each ranked result, best rank first.
        ideal: all positive gains of the query, any order.
    """
    best = _dcg(sorted(ideal, reverse=True)[:k])
    return _dcg(gains[:k]) / best if best else 0.0


def _dcg(gains: Sequence[float]) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, 1))


def percentile(values: Sequence[float], p: float) -> float:
    """Nearest-rank percentile, p in (0, 100]; 0 for no values."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(p / 100 * len(ordered)) - 1)] if ordered else 0.0
