"""What a collection has for a question by meaning, by words and by earlier questions in, one order out.

A provision that alone of its law comes near a question is often there by chance; one whose chapter was found with it rarely
is. And words, vectors and earlier questions each know by how much their first is ahead, which a fusion of ranks forgets.
Among tens of thousands of provisions both bring much, among a few thousand little (docs/search.md).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

DEPTH = 1000
"""So many of the best found by meaning are looked at."""
NEAR, BEST, SAY = 10, 3, 0.5
"""Neighbours stand at most NEAR provisions away; the BEST of them, and of the document, have this say each."""
WORDS, REMEMBERED = 0.1, 0.2
"""What words and earlier questions have to say; the rest is the say of meaning."""
MEANING_SCALE, WORDS_SCALE = 0.05, 8.0
"""By how much a gain, or a score by words, must be higher for a share e times as large."""
FLOOR = 1e-4
"""The share of what was not among the DEPTH best, at least."""
Ranked = tuple[np.ndarray, np.ndarray]
"""Sequence numbers and what speaks for each of them."""
NOTHING: Ranked = (np.zeros(0, dtype=np.int64), np.zeros(0))


def pooled(meaning: Ranked, documents: np.ndarray, words: Ranked, remembered: Ranked) -> Ranked:
    """All that was found, best first, with the share of each: a linear opinion pool (Stone 1961).

    Args:
        meaning: provisions by cosine, descending; `documents` are theirs.
        words: provisions by lexical score.
        remembered: answers of earlier questions by share (`kb.remembered`).
    """
    seqs, cosines = meaning
    gains = with_neighbours(seqs, cosines, documents)
    parts = (
        (seqs, (1 - WORDS - REMEMBERED) * shares_of(gains / MEANING_SCALE)),
        (words[0], WORDS * shares_of(words[1] / WORDS_SCALE)),
        (remembered[0], REMEMBERED * remembered[1]),
    )
    every, place = np.unique(np.concatenate([s for s, _ in parts]), return_inverse=True)
    total = np.bincount(place, weights=np.concatenate([w for _, w in parts]), minlength=len(every))
    order = np.argsort(-total, kind="stable")
    return every[order], total[order]


def ranked(found: Sequence[tuple[int, float]]) -> Ranked:
    """Pairs of a lexical search as two arrays."""
    return (np.asarray([s for s, _ in found], dtype=np.int64), np.asarray([x for _, x in found])) if found else NOTHING


def with_neighbours(seqs: np.ndarray, cosines: np.ndarray, documents: np.ndarray) -> np.ndarray:
    """What each provision gains over the last one found, and what its neighbours and its document gain; float (n,).

    Args:
        seqs: sequence numbers of the provisions found, best first; those of a document follow one another.
        cosines: of each, descending.
        documents: of each.
    """
    gains = cosines - cosines[-1:]
    return gains + SAY * (_near(gains, seqs, documents) + _whole(gains, documents)) / BEST


def _near(gains: np.ndarray, seqs: np.ndarray, documents: np.ndarray) -> np.ndarray:
    """Sum of the BEST gains at most NEAR provisions away in the document, the own one among them."""
    order = np.lexsort((seqs, documents))
    place, law, gain = (np.pad(column[order], NEAR, constant_values=-1) for column in (seqs, documents, gains))
    around = np.arange(2 * NEAR + 1) + np.arange(len(order))[:, None]
    here = np.arange(len(order))[:, None] + NEAR
    close = (law[around] == law[here]) & (np.abs(place[around] - place[here]) <= NEAR)
    sums = np.empty(len(order))
    sums[order] = np.sort(np.where(close, gain[around], 0.0), axis=1)[:, -BEST:].sum(axis=1)
    return sums


def _whole(gains: np.ndarray, documents: np.ndarray) -> np.ndarray:
    """Sum of the BEST gains of the document."""
    order = np.lexsort((-gains, documents))
    _, start, group = np.unique(documents[order], return_index=True, return_inverse=True)
    best = np.arange(len(order)) - start[group] < BEST
    _, of = np.unique(documents, return_inverse=True)
    return np.bincount(group[best], weights=gains[order][best], minlength=len(start))[of]


def shares_of(scores: np.ndarray) -> np.ndarray:
    """Softmax of (n,) scores; nothing of nothing."""
    raised = np.exp(scores - scores.max(initial=-np.inf))
    return raised / raised.sum() if len(raised) else raised
