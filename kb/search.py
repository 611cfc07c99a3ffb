"""A query in, Hits out: exact citations first, then lexical and dense rankings fused, one hit per provision."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass


from kb import segment
from kb.fuse import fuse_rrf
from kb.index import Library
from kb.models import Hit, Provision

DEPTH = 100
STATUS_LAST = ("repealed", "lapsed", "draft")


@dataclass(frozen=True, slots=True)
class Filters:
    """Facets, applied inside both engines; None means any."""

    level: str | None = None
    title: str | None = None
    kind: str | None = None
    topic: str | None = None
    status: str | None = None
    since: str | None = None
    until: str | None = None
    as_of: str | None = None


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Answer to one query (design contract)."""

    query: str
    took_ms: float
    found: bool
    message: str
    hits: tuple[Hit, ...]


def search(library: Library, query: str, filters: Filters | None = None, top: int = 10) -> SearchResult:
    """Best provisions for a query, best first."""
    started = time.perf_counter()
    docs = _allowed(library, filters or Filters())
    lexical = [seq for seq, _ in library.lexical.search(_terms(query), DEPTH, docs)]
    dense, best_chunk = _dense(library, query, docs)
    ranked = fuse_rrf([lexical, dense])[:top]
    found = library.provisions([seq for seq, _ in ranked])
    chunks = library.chunks([best_chunk[seq] for seq, _ in ranked if seq in best_chunk])
    hits = tuple(
        _hit(library, rank, score, *found[seq], chunks.get(best_chunk.get(seq, -1)))
        for rank, (seq, score) in enumerate(ranked, 1)
    )
    took = (time.perf_counter() - started) * 1000
    return SearchResult(query, round(took, 1), bool(hits), "" if hits else "未找到：库内没有相关条文。", hits)


def _allowed(library: Library, filters: Filters) -> frozenset[int] | None:
    def keep(info) -> bool:
        meta = info.meta
        return (
            (filters.level in (None, meta.level)) and (filters.kind in (None, meta.kind))
            and (filters.status in (None, meta.status)) and (filters.topic is None or filters.topic in meta.topics)
            and (filters.title is None or filters.title.replace(" ", "") in meta.title.replace(" ", ""))
        )

    if filters == Filters():
        return None
    return frozenset(info.seq for info in library.documents if keep(info))


def _terms(query: str) -> dict[str, Sequence[str]]:
    words = segment.words(query)
    return {"words": words, "bigrams": segment.bigrams(query), "title": words, "heading": words}


def _dense(library: Library, query: str, docs: frozenset[int] | None) -> tuple[list[int], dict[int, int]]:
    if library.vectors is None or library.encoder is None or not query.strip():
        return [], {}
    _, rows = library.vectors.search(library.encoder.encode_queries([query]), DEPTH * 3, docs)
    best: dict[int, int] = {}
    for chunk_seq in rows[0]:
        if chunk_seq >= 0:
            best.setdefault(int(library.chunk_provisions[chunk_seq]), int(chunk_seq))
    return list(best)[:DEPTH], best


def _hit(library: Library, rank: int, score: float, doc_seq: int, provision: Provision, chunk) -> Hit:
    info = library.documents[doc_seq]
    meta = info.meta
    number = f"（{meta.doc_no}）" if meta.doc_no else ""
    return Hit(
        rank=rank, score=round(score, 6), doc_id=info.doc_id, provision_id=provision.provision_id, title=meta.title,
        level=meta.level, status=meta.status, article=provision.label, address=chunk.address if chunk else provision.label,
        chapter=" ".join(provision.heading_path), text=provision.text,
        best_sentence=chunk.text if chunk else provision.text[:120], citation=f"《{meta.title}》{number}{provision.label}",
        pinned=False,
    )
