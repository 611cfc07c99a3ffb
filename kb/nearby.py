"""Provisions found by meaning in, the same re-ordered by what else of their document was found out; large collections only.

Among tens of thousands of provisions one that alone of its law comes near a question is often there by chance; one whose
chapter was found with it rarely is. In a few thousand provisions on one subject the answers are spread over the documents,
and this brings nothing (docs/search.md).
"""

from __future__ import annotations

import numpy as np

LARGE = 20_000
"""Provisions from which on neighbours count."""
POOL = 1000
"""So many of the best found are looked at."""
NEAR, BEST, SAY = 10, 3, 0.5
"""Neighbours stand at most NEAR provisions away; the BEST of them, and of the document, have this say each."""


def with_neighbours(seqs: np.ndarray, cosines: np.ndarray, documents: np.ndarray) -> np.ndarray:
    """Sequence numbers, best first.

    Args:
        seqs: sequence numbers of the provisions found, best first; those of a document follow one another.
        cosines: of each, descending. What counts is by how much each is above the last of them.
        documents: of each.
    """
    gains = cosines - cosines[-1:]
    near, whole = gains / BEST, gains / BEST
    _, group, sizes = np.unique(documents, return_inverse=True, return_counts=True)
    for document in np.flatnonzero(sizes > 1):
        of = np.flatnonzero(group == document)
        whole[of] = gains[of[:BEST]].sum() / BEST
        for i, close in zip(of, np.abs(seqs[of][:, None] - seqs[of]) <= NEAR, strict=True):
            near[i] = gains[of[close][:BEST]].sum() / BEST
    return seqs[np.argsort(-(gains + SAY * (near + whole)), kind="stable")]
