"""The two search engines behind one seam: lexical (tantivy) and vectors (FAISS).

Nothing above this module knows which engine is below. A filter is always a set of document sequence numbers, and
both engines apply it before they take the top k.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

# field -> weight in the lexical score; words of the text count most, bigrams catch what the dictionary splits wrong
LEXICAL_WEIGHTS = {"words": 1.0, "bigrams": 0.5, "title": 0.6, "heading": 0.5}


class LexicalStore(Protocol):
    """Ranked provisions by words."""

    def search(self, terms: dict[str, Sequence[str]], k: int, docs: frozenset[int] | None) -> list[tuple[int, float]]:
        """(provision seq, score), best first; `terms` maps a field to query terms; `docs` is the filter or None."""
        ...


class VectorStore(Protocol):
    """Ranked chunks by vectors."""

    def search(self, queries: np.ndarray, k: int, docs: frozenset[int] | None) -> tuple[np.ndarray, np.ndarray]:
        """(scores, chunk seqs), each (n, k); missing places hold -1."""
        ...


class TantivyStore:
    """Lexical index of provisions; text is segmented before, so the tokenizer only splits at white space."""

    def __init__(self, folder: Path) -> None:
        import tantivy

        self._tantivy = tantivy
        self._index = tantivy.Index.open(str(folder))
        _register(self._index, tantivy)
        self._index.reload()
        self._searcher = self._index.searcher()

    @staticmethod
    def build(folder: Path, rows: Iterable[dict], heap_mb: int = 64) -> int:
        """Write an index of rows {seq, doc, words, bigrams, title, heading}, words separated by a space; returns their number."""
        import tantivy

        folder.mkdir(parents=True)
        index = tantivy.Index(_schema(tantivy), path=str(folder))
        _register(index, tantivy)
        writer = index.writer(heap_mb * 1024 * 1024, num_threads=1)
        count = 0
        for row in rows:
            document = tantivy.Document()
            document.add_unsigned("seq", row["seq"])
            document.add_unsigned("doc", row["doc"])
            for name in LEXICAL_WEIGHTS:
                document.add_text(name, row[name])
            writer.add_document(document)
            count += 1
        writer.commit()
        writer.wait_merging_threads()
        return count

    def frequency(self, word: str) -> int:
        """Number of provisions whose text has the word."""
        return self._searcher.doc_freq("words", word)

    def search(self, terms: dict[str, Sequence[str]], k: int, docs: frozenset[int] | None) -> list[tuple[int, float]]:
        t, schema = self._tantivy, self._index.schema
        clauses = [
            (
                t.Occur.Should,
                t.Query.boost_query(t.Query.term_query(schema, field, term), LEXICAL_WEIGHTS[field] * count),
            )
            for field, words in terms.items()
            for term, count in _counted(words)
        ]
        if not clauses or k <= 0:
            return []
        query = t.Query.boolean_query(clauses)
        if docs is not None:
            allowed = t.Query.const_score_query(t.Query.term_set_query(schema, "doc", sorted(docs)), 0.0)
            query = t.Query.boolean_query([(t.Occur.Must, query), (t.Occur.Must, allowed)])
        found = self._searcher.search(query, k).hits
        ranked = [(int(self._searcher.doc(address)["seq"][0]), float(score)) for score, address in found]
        return sorted(ranked, key=lambda pair: (-pair[1], pair[0]))


def _schema(tantivy):
    builder = tantivy.SchemaBuilder()
    builder.add_unsigned_field("seq", stored=True, indexed=False)
    builder.add_unsigned_field("doc", stored=False, indexed=True, fast=True)
    for name in LEXICAL_WEIGHTS:
        builder.add_text_field(name, stored=False, tokenizer_name="presegmented", index_option="freq")
    return builder.build()


def _register(index, tantivy) -> None:
    analyzer = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.whitespace()).build()
    index.register_tokenizer("presegmented", analyzer)


def _counted(words: Sequence[str]) -> list[tuple[str, int]]:
    counts: dict[str, int] = {}
    for word in words:
        counts[word] = counts.get(word, 0) + 1
    return list(counts.items())


class FaissStore:
    """Inner-product search over fp16 vectors (recall@10 0.998 of fp32 at a tenth of the time).

    Exhaustive up to EXHAUSTIVE vectors. Past it the vectors are grouped into LISTS cells and a search looks into the PROBED
    nearest; a filtered search looks into all of them, so that k hits come whenever k satisfy the filter.
    """

    EXHAUSTIVE = 500_000
    LISTS = 1024
    PROBED = 192

    def __init__(self, file: Path, chunk_docs: np.ndarray) -> None:
        import faiss

        self._faiss = faiss
        self._index = faiss.read_index(str(file), faiss.IO_FLAG_MMAP | faiss.IO_FLAG_READ_ONLY)
        self._cells = isinstance(self._index, faiss.IndexIVF)
        if self._cells:
            self._index.make_direct_map()  # vectors by sequence number
        self._chunk_docs = chunk_docs

    @staticmethod
    def build(file: Path, batches: Iterable[np.ndarray], dim: int, exhaustive: int | None = None) -> int:
        """Write the vectors, float32 (n, dim) a batch, in chunk order; returns their number.

        Args:
            exhaustive: number of vectors up to which no cells are made; EXHAUSTIVE by default.
        """
        import faiss

        index = faiss.IndexScalarQuantizer(dim, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
        index.train(np.zeros((1, dim), dtype=np.float32))
        for vectors in batches:
            index.add(np.ascontiguousarray(vectors, dtype=np.float32))
        limit = FaissStore.EXHAUSTIVE if exhaustive is None else exhaustive
        faiss.write_index(index if index.ntotal <= limit else FaissStore._in_cells(index, faiss), str(file))
        return index.ntotal

    @staticmethod
    def _in_cells(flat, faiss):
        """The same vectors grouped around LISTS centres, learned from an even sample."""
        lists = min(FaissStore.LISTS, max(1, flat.ntotal // 40))
        centres = faiss.IndexFlatIP(flat.d)
        index = faiss.IndexIVFScalarQuantizer(
            centres, flat.d, lists, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT, False
        )
        index.cp.seed, index.cp.niter = 1, 8
        index.train(flat.reconstruct_batch(np.linspace(0, flat.ntotal - 1, 40 * lists).astype(np.int64)))
        for start in range(0, flat.ntotal, 20_000):
            index.add(flat.reconstruct_batch(np.arange(start, min(flat.ntotal, start + 20_000))))
        return index

    def search(self, queries: np.ndarray, k: int, docs: frozenset[int] | None) -> tuple[np.ndarray, np.ndarray]:
        k = min(k, self._index.ntotal)
        if k <= 0:
            empty = np.zeros((len(queries), 0))
            return empty.astype(np.float32), empty.astype(np.int64)
        options: dict = {}
        if docs is not None:
            mask = np.isin(self._chunk_docs, np.fromiter(docs, dtype=self._chunk_docs.dtype, count=len(docs)))
            bits = np.packbits(mask, bitorder="little")
            options["sel"] = self._faiss.IDSelectorBitmap(len(mask), self._faiss.swig_ptr(bits))
        if self._cells:
            options["nprobe"] = min(self.PROBED, self._index.nlist) if docs is None else self._index.nlist
            parameters = self._faiss.SearchParametersIVF(**options)
        else:
            parameters = self._faiss.SearchParameters(**options) if options else None
        return self._index.search(np.ascontiguousarray(queries, dtype=np.float32), k, params=parameters)

    def vectors(self, chunk_seqs: Sequence[int]) -> np.ndarray:
        """Stored vectors of chunks, float32 (n, dim), in the order asked."""
        return self._index.reconstruct_batch(np.asarray(chunk_seqs, dtype=np.int64))
