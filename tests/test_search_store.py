"""The vector store past its exhaustive size: cells find nearly the same, filters still find everything."""

from __future__ import annotations

import numpy as np
import pytest

from kb.store import FaissStore

N, DIM, DOCS = 4000, 16, 50


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """The same vectors searched exhaustively and in cells."""
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(N, DIM)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    docs = np.repeat(np.arange(DOCS, dtype=np.int32), N // DOCS)
    folder = tmp_path_factory.mktemp("vectors")
    for name, limit in (("flat", N), ("cells", 0)):
        assert FaissStore.build(folder / name, [vectors[:1000], vectors[1000:]], DIM, exhaustive=limit) == N
    return vectors, FaissStore(folder / "flat", docs), FaissStore(folder / "cells", docs)


def test_vectors_come_back_by_their_number(stores):
    vectors, flat, cells = stores
    assert np.abs(cells.vectors([7, 0, 3999]) - vectors[[7, 0, 3999]]).max() < 1e-3
    assert (cells.vectors([5]) == flat.vectors([5])).all()


def test_cells_find_the_nearest(stores):
    vectors, flat, cells = stores
    true, found = flat.search(vectors[:50], 10, None)[1], cells.search(vectors[:50], 10, None)[1]
    assert np.mean([len(set(a) & set(b)) / 10 for a, b in zip(true, found, strict=True)]) > 0.95


def test_a_filter_gives_k_hits_of_its_documents_only(stores):
    vectors, _, cells = stores
    found = cells.search(vectors[:5], 60, frozenset({3, 49}))[1]
    assert (found >= 0).all()
    assert set((found // (N // DOCS)).ravel().tolist()) <= {3, 49}
