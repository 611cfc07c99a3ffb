"""A query in, Hits out: exact citations first, then lexical and dense rankings fused and re-ranked, one hit a provision.

Evidence in order: what the query cites (document number, title, article) is pinned; the rest of the query is searched
by words and by meaning, once as typed and once with statutory wording added; explainable features re-rank what was
found. Filters are a set of documents that both engines apply before they take the top k.
"""

from __future__ import annotations

import datetime as dt
import re
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from kb import segment
from kb.chunk import sentences
from kb.cite import Citation, parse_query
from kb.fuse import fuse_rrf
from kb.index import DocumentInfo, Library
from kb.metadata import status_on
from kb.models import Chunk, Hit, Provision
from kb.query import Query, Reading, understand
from kb.ranking import Candidate, Weights, answer_features, answer_probability, load_weights, rank_score

DEPTH = 80
NOT_IN_FORCE = frozenset({"repealed", "lapsed", "draft", "not_yet_effective"})
_CJK_OR_WORD = re.compile(r"[\u3400-\u9fffA-Za-z0-9]")


@dataclass(frozen=True, slots=True)
class Filters:
    """Facets, applied inside both engines; None means any. Dates are ISO days and compare with 施行 dates."""

    level: str | None = None
    title: str | None = None
    kind: str | None = None
    topic: str | None = None
    status: str | None = None
    since: str | None = None
    until: str | None = None
    as_of: str | None = None
    place: str | None = None
    issuer: str | None = None
    doc_no: str | None = None
    doc_id: str | None = None
    text_kind: str | None = None


@dataclass(frozen=True, slots=True)
class Parts:
    """Which parts of the search are on; the ablation switches them off one by one."""

    exact: bool = True
    lexical: bool = True
    dense: bool = True
    wording: bool = True
    rerank: bool = True


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Answer to one query (design contract); `readings` is what was understood.

    When `found` is False the hits are only the nearest texts, and the message says so.
    """

    query: str
    took_ms: float
    found: bool
    message: str
    hits: tuple[Hit, ...]
    readings: tuple[Reading, ...] = ()


def search(
    library: Library,
    query: str,
    filters: Filters | None = None,
    top: int = 10,
    *,
    ignore: Collection[str] = (),
    parts: Parts | None = None,
) -> SearchResult:
    """Best provisions for a query.

    Args:
        filters: only documents that satisfy all of them.
        top: number of hits wanted; fewer come only when fewer satisfy the filters.
        ignore: keys of readings the user switched off.
    """
    started = time.perf_counter()
    if not _CJK_OR_WORD.search(query):
        return SearchResult(
            query, 0.0, False, "请输入要查找的内容，例如：重要数据 风险评估，或 数据安全法第二十一条。", ()
        )
    run = _Run(library, understand(query, ignore=ignore), filters or Filters(), top, parts or Parts())
    result = run.result()
    return replace(result, query=query, took_ms=round((time.perf_counter() - started) * 1000, 1))


def candidates(library: Library, query: str, filters: Filters | None = None) -> list[Candidate]:
    """What the re-ranking sees for a query, best first: for training and for looking into a result."""
    run = _Run(library, understand(query), filters or Filters(), DEPTH, Parts())
    return run.ranked([])


def rare_share(library: Library, text: str) -> float:
    """Share of a query's word weight on words that at most three provisions have, 0 to 1; single characters do not count."""
    idf = library.idf([w for w in segment.words(text) if len(w) > 1])
    total = sum(idf.values())
    return sum(v for w, v in idf.items() if library.lexical.frequency(w) <= 3) / total if total else 0.0


def allowed_documents(library: Library, filters: Filters) -> frozenset[int] | None:
    """Sequence numbers of the documents that satisfy the filters; None when there is no filter."""
    if filters == Filters() or filters == Filters(as_of=filters.as_of):
        return None
    return frozenset(info.seq for info in library.documents if _keeps(info, filters))


def _keeps(info: DocumentInfo, f: Filters) -> bool:
    meta = info.meta
    effective = meta.effective_on or meta.promulgated_on or meta.signed_on or ""
    return (
        f.level in (None, meta.level)
        and (f.kind is None or meta.kind.endswith(f.kind))  # 规范性文件 also finds 部门规范性文件
        and f.place in (None, meta.place)
        and f.doc_id in (None, info.doc_id)
        and f.text_kind in (None, meta.text_kind)
        and (f.topic is None or f.topic in meta.topics)
        and (f.status is None or f.status == _status(info, f.as_of))
        and (f.title is None or _bare(f.title) in _bare(meta.title))
        and (f.issuer is None or any(f.issuer in issuer for issuer in meta.issuers))
        and (f.doc_no is None or _bare(f.doc_no) == _bare(meta.doc_no or ""))
        and (f.since is None or effective >= f.since)
        and (f.until is None or "" < effective <= f.until)
    )


def _bare(text: str) -> str:
    return re.sub(r"\s", "", text)


def _status(info: DocumentInfo, as_of: str | None) -> str:
    return status_on(info.meta, as_of or dt.date.today().isoformat())


class _Run:
    """One search; holds what its steps share and nothing that outlives it."""

    def __init__(self, library: Library, query: Query, filters: Filters, top: int, parts: Parts) -> None:
        self.library, self.query, self.filters, self.top, self.parts = library, query, filters, top, parts
        self.weights: Weights = load_weights()
        self.citations = parse_query(query.text, library.titles) if parts.exact else []
        self.rest = _without_spans(query.text, [c.span for c in self.citations if c.doc_ids])
        self.best_chunks: dict[int, tuple[int, float]] = {}

    def result(self) -> SearchResult:
        pins = self._pins()
        ranked = self.ranked(pins)
        hits = self._hits(pins, ranked)
        problems = _unresolved(self.citations)
        if pins or not self._is_unanswered(ranked):
            return SearchResult(
                "",
                0.0,
                bool(hits),
                " ".join(problems) or ("" if hits else _nothing(self.filters)),
                hits,
                self.query.readings,
            )
        message = " ".join([*problems, "未找到：库内没有能回答这个问题的条文；下面是最接近的条文，仅供参考。"])
        return SearchResult("", 0.0, False, message, hits, self.query.readings)

    # --- what the query cites

    def _pins(self) -> list[tuple[int, str, str]]:
        """(provision seq, address, reason) of the provisions the query names, in the order it names them."""
        if "counterpart" in self.query.intents:
            return []
        allowed = allowed_documents(self.library, self.filters)
        pins: dict[int, tuple[int, str, str]] = {}
        for citation in self.citations:
            if not citation.resolved or not citation.label:
                continue
            for seq, address in self.library.cited(citation):
                if allowed is None or self.library.document_seq(citation.doc_id) in allowed:
                    pins.setdefault(seq, (seq, address, f"引用：{citation.text}"))
        return list(pins.values())

    def _cited_documents(self) -> list[str]:
        """Documents the query names as a whole, best reading first, drafts of the same instrument after it."""
        named = [d for c in self.citations for d in c.doc_ids[:1]]
        return list(dict.fromkeys(named))

    # --- ranking

    def ranked(self, pins: Sequence[tuple[int, str, str]]) -> list[Candidate]:
        """Candidates beside the pinned ones, best first."""
        docs = allowed_documents(self.library, self._narrowed())
        cited = [d for d in self._cited_documents() if not any(c.label and c.doc_id == d for c in self.citations)]
        source = self._counterpart_source()
        text = self.rest or (source[1] if source else "")
        if not _CJK_OR_WORD.search(text):
            return self._document_opening(cited, docs)
        candidates = self._retrieve(text, docs, source[1] if source else "")
        comparing = bool(source) or "comparison" in self.query.intents
        inside = frozenset(self.library.document_seq(d) for d in cited) if cited and not comparing else frozenset()
        if inside:
            known = {c.seq for c in candidates}
            candidates += [
                c for c in self._retrieve(text, inside if docs is None else inside & docs) if c.seq not in known
            ]
        candidates = [replace(c, in_cited=c.doc in inside) for c in candidates]
        order = sorted(candidates, key=lambda c: (-self._score(c), c.seq))
        if source:
            order = [c for c in order if c.doc != source[0]]
        return _current_first(_by_level_in_turn(order) if "comparison" in self.query.intents else order)

    def _score(self, candidate: Candidate) -> float:
        if not self.parts.rerank:
            return candidate.fused
        return rank_score(candidate, self.weights)

    def _narrowed(self) -> Filters:
        """Dates said in words are filters; a counterpart question searches the level it asks for."""
        filters = self.filters
        for reading in self.query.of("since"):
            filters = replace(filters, since=filters.since or reading.means[0])
        for reading in self.query.of("until"):
            filters = replace(filters, until=filters.until or reading.means[0])
        target = self._counterpart_level()
        return replace(filters, level=filters.level or target) if target else filters

    def _counterpart_level(self) -> str | None:
        if "counterpart" not in self.query.intents or len(self.query.places) < 2:
            return None
        # the level named last before 对应 is the one asked for: 深圳第30条 … 国家对应规定
        at = [(self.query.text.rfind(r.said), r.means[0]) for r in self.query.of("place")]
        return max(at)[1]

    def _counterpart_source(self) -> tuple[int, str] | None:
        """(document seq, text) of the provision whose counterpart is wanted."""
        if "counterpart" not in self.query.intents:
            return None
        for citation in self.citations:
            if citation.resolved and citation.label and (cited := self.library.cited(citation)):
                doc, provision = self.library.provisions([cited[0][0]])[cited[0][0]]
                return doc, provision.text[:300]
        return None

    def _document_opening(self, cited: Sequence[str], docs: frozenset[int] | None) -> list[Candidate]:
        """A query that only names documents gets their first provisions."""
        out = []
        for doc_id in cited:
            seq = self.library.document_seq(doc_id)
            if docs is None or seq in docs:
                for place, (provision_seq, _) in enumerate(self.library.provision_seqs(seq)[: self.top]):
                    out.append(Candidate(provision_seq, seq, fused=1.0 / (1 + place), in_cited=True))
        return out

    def _retrieve(self, text: str, docs: frozenset[int] | None, source: str = "") -> list[Candidate]:
        """Candidates for a text; `source` is the provision whose counterpart is wanted, searched by meaning as well."""
        added = " ".join(self.query.added_words) if self.parts.wording else ""
        rankings: dict[str, list[int]] = {}
        lexical_scores: dict[int, float] = {}
        if self.parts.lexical:
            found = self.library.lexical.search(_terms(text), DEPTH, docs)
            rankings["lexical"] = [seq for seq, _ in found]
            lexical_scores = dict(found)
            if added:
                rankings["lexical_added"] = [
                    s for s, _ in self.library.lexical.search(_terms(f"{text} {added}"), DEPTH, docs)
                ]
        dense_scores: dict[int, float] = {}
        if self.parts.dense and self.library.encoder is not None and self.library.vectors is not None:
            variants = (
                {"dense": text}
                | ({"dense_added": f"{text} {added}"} if added else {})
                | ({"dense_source": source} if source else {})
            )
            vectors = self.library.encoder.encode_queries(list(variants.values()))
            scores, rows = self.library.vectors.search(vectors, DEPTH * 4, docs)
            for name, values, chunk_seqs in zip(variants, scores, rows, strict=True):
                rankings[name] = self._provisions_of(values, chunk_seqs, dense_scores)
        fused = dict(fuse_rrf(list(rankings.values()), weights=[_RRF_WEIGHTS[name] for name in rankings]))
        keep = sorted(fused, key=lambda seq: (-fused[seq], seq))[:DEPTH]
        return self._with_features(keep, fused, rankings, lexical_scores, dense_scores, text, added)

    def _provisions_of(self, values: np.ndarray, chunk_seqs: np.ndarray, dense_scores: dict[int, float]) -> list[int]:
        """Provisions in the order of their best chunk; remembers that chunk and its score."""
        order: dict[int, None] = {}
        for value, chunk_seq in zip(values.tolist(), chunk_seqs.tolist(), strict=True):
            if chunk_seq < 0:
                continue
            provision = int(self.library.chunk_provisions[chunk_seq])
            order.setdefault(provision)
            dense_scores[provision] = max(dense_scores.get(provision, -1.0), value)
            if value > self.best_chunks.get(provision, (-1, -1.0))[1]:
                self.best_chunks[provision] = (chunk_seq, value)
        return list(order)[:DEPTH]

    def _with_features(self, seqs, fused, rankings, lexical_scores, dense_scores, text, added) -> list[Candidate]:
        places = {name: {seq: rank for rank, seq in enumerate(order, 1)} for name, order in rankings.items()}
        idf = self.library.idf(segment.words(text))
        idf_added = self.library.idf(segment.words(added))
        out = []
        for seq, (doc, provision) in self.library.provisions(seqs).items():
            info = self.library.documents[doc]
            found = set(segment.words(provision.text))
            named = set(segment.words(" ".join((info.meta.title, *provision.heading_path))))
            out.append(
                Candidate(
                    seq,
                    doc,
                    fused=fused[seq] * 60,
                    ranks={name: 60 / (60 + place[seq]) for name, place in places.items() if seq in place},
                    dense=dense_scores.get(seq, 0.0),
                    coverage=_coverage(idf, found),
                    coverage_added=_coverage(idf_added, found),
                    heading=_coverage(idf, named),
                    level_match=_level_match(info.meta.level, self.query.places),
                    intent=_intent_match(self.query, provision),
                    current=self._counts_as_current(info),
                    background=info.meta.normative_force == "参考" or "报告" in info.meta.title[-4:],
                    length=len(provision.text),
                    term=_term_match(self.query.text, provision),
                    opening=provision.kind == "preamble",
                    level=info.meta.level,
                )
            )
        return out

    def _counts_as_current(self, info: DocumentInfo) -> bool:
        """In force on the day asked about; for a question about drafts, the drafts."""
        status = _status(info, self.filters.as_of)
        return (status == "draft") if "draft" in self.query.intents else status not in NOT_IN_FORCE

    def _is_unanswered(self, ranked: Sequence[Candidate]) -> bool:
        """Nothing held answers the query: the best candidates neither mean nor say what was asked."""
        if not ranked:
            return True
        if any(c.in_cited for c in ranked[:1]):
            return False
        features = answer_features(ranked[:5], rare_share(self.library, self.rest))
        vectors = self.parts.dense and self.library.encoder is not None
        return answer_probability(features, self.weights, vectors=vectors) < 0.5

    # --- hits

    def _hits(self, pins: Sequence[tuple[int, str, str]], ranked: Sequence[Candidate]) -> tuple[Hit, ...]:
        order: list[tuple[int, str, str, Candidate | None]] = [
            (seq, address, reason, None) for seq, address, reason in pins
        ]
        taken = {seq for seq, *_ in order}
        order += [(c.seq, "", "", c) for c in ranked if c.seq not in taken]
        order = order[: self.top]
        found = self.library.provisions([seq for seq, *_ in order])
        chunks = self.library.chunks([self.best_chunks[seq][0] for seq, *_ in order if seq in self.best_chunks])
        words = frozenset(w for w in segment.words(f"{self.rest} {' '.join(self.query.added_words)}") if len(w) > 1)
        return tuple(
            self._hit(
                rank, *found[seq], address, reason, candidate, chunks.get(self.best_chunks.get(seq, (-1, 0))[0]), words
            )
            for rank, (seq, address, reason, candidate) in enumerate(order, 1)
        )

    def _hit(self, rank, doc, provision, address, reason, candidate, chunk, words) -> Hit:
        info = self.library.documents[doc]
        meta = info.meta
        sentence = _best_sentence(provision, chunk, words, address)
        place = address or (chunk.address if chunk else provision.label)
        matched = tuple(
            sorted((w for w in words if w in segment.search_key(provision.text)), key=lambda w: (-len(w), w))
        )
        return Hit(
            rank=rank,
            score=round(self._score(candidate), 6) if candidate else 1.0,
            doc_id=info.doc_id,
            provision_id=provision.provision_id,
            title=meta.title,
            level=meta.level,
            status=_status(info, self.filters.as_of),
            article=provision.label,
            address=place,
            chapter=" ".join(provision.heading_path),
            text=provision.text,
            best_sentence=sentence,
            citation=citation_text(meta.title, meta.doc_no, place),
            pinned=candidate is None,
            parts=candidate.parts() if candidate else {},
            matched=matched,
            reason=reason or _reason(candidate, matched),
        )


_RRF_WEIGHTS = {"lexical": 1.0, "dense": 1.0, "lexical_added": 0.8, "dense_added": 0.8, "dense_source": 1.0}


def citation_text(title: str, doc_no: str | None, address: str) -> str:
    """Formal citation ready to copy: 《名称》（文号）第N条第M款."""
    return f"《{title}》{f'（{doc_no}）' if doc_no else ''}{address}"


def _without_spans(text: str, spans: Sequence[tuple[int, int]]) -> str:
    for start, end in sorted(spans, reverse=True):
        text = f"{text[:start]} {text[end:]}"
    return re.sub(r"\s+", " ", text).strip()


def _terms(text: str) -> dict[str, Sequence[str]]:
    words = segment.words(text)
    return {"words": words, "bigrams": segment.bigrams(text), "title": words, "heading": words}


def _coverage(idf: Mapping[str, float], found: Collection[str]) -> float:
    """Share of the query's word weight that a text contains, 0 to 1."""
    total = sum(idf.values())
    return sum(weight for word, weight in idf.items() if word in found) / total if total else 0.0


def _level_match(level: str, places: Sequence[str]) -> float:
    if not places:
        return 0.0
    return 1.0 if level in places else -1.0


_AMOUNT = re.compile(
    r"[0-9一二三四五六七八九十百千万]+\s*(?:个)?(?:工作日|日|天|年|个月|月|小时|周岁|万|亿|元|%|％|人|次)|百分之"
)
_LIABILITY = re.compile(r"罚款|责令|警告|没收|处分|吊销|追究|民事责任")
_DUTY_HOLDER = re.compile(r"负责|主管|统筹|由[^，。；]{2,30}(?:制定|组织|决定|协调|审批|确定|裁决)")


def _intent_match(query: Query, provision: Provision) -> float:
    """Share of the query's intents that the provision serves: it defines, counts, punishes or names who is in charge."""
    wanted = query.intents & {"definition", "amount", "liability", "responsibility"}
    if not wanted:
        return 0.0
    text = provision.text
    served = 0
    if "definition" in wanted:
        served += any(
            f"{w}，是指" in text or f"{w}，指" in text or f"所称{w}" in text
            for w in segment.words(query.text)
            if len(w) > 1
        )
    served += "amount" in wanted and bool(_AMOUNT.search(text))
    served += "liability" in wanted and bool(_LIABILITY.search(text))
    served += "responsibility" in wanted and bool(_DUTY_HOLDER.search(text))
    return served / len(wanted)


def _term_match(query: str, provision: Provision) -> float:
    """Share of a glossary entry's name (by character pairs) that the query says; 0 for other provisions."""
    if provision.kind != "term":
        return 0.0
    pairs = set(segment.bigrams(provision.label))
    return len(pairs & set(segment.bigrams(query))) / len(pairs) if pairs else 0.0


def _by_level_in_turn(order: Sequence[Candidate]) -> list[Candidate]:
    """For a comparison: the best of each level, then the second of each, and so on."""
    place: dict[str, int] = {}
    keyed = []
    for candidate in order:
        place[candidate.level] = place.get(candidate.level, 0) + 1
        keyed.append((place[candidate.level], candidate))
    return [candidate for _, candidate in sorted(keyed, key=lambda pair: (pair[0], -pair[1].level_match))]


def _current_first(order: Sequence[Candidate]) -> list[Candidate]:
    """A text not in force never opens the list while one in force is there."""
    first = next((i for i, c in enumerate(order) if c.current), None)
    if not first:
        return list(order)
    return [order[first], *order[:first], *order[first + 1 :]]


def _unresolved(citations: Sequence[Citation]) -> list[str]:
    names = {"not_in_library": "库内未收录", "no_such_article": "没有这一条", "no_title": "未写明出自哪个文件"}
    return [f"“{c.text}”：{names[c.reason]}。" for c in citations if not c.resolved and c.reason in names]


def _nothing(filters: Filters) -> str:
    if filters != Filters():
        return "未找到：没有符合所选条件的条文，请放宽筛选条件。"
    return "未找到：库内没有相关条文。"


def _best_sentence(provision: Provision, chunk: Chunk | None, words: Collection[str], address: str) -> str:
    unit = next((u for u in provision.units if address and u.address == address), None)
    if unit:
        return unit.text
    if chunk:
        return chunk.text
    spans = [provision.text[a:b] for a, b in sentences(provision.text, 0)]
    return max(spans, key=lambda s: sum(len(w) for w in words if w in s), default=provision.text[:120])


def _reason(candidate: Candidate | None, matched: Sequence[str]) -> str:
    if candidate is None:
        return ""
    said = f"含“{'、'.join(matched[:4])}”" if matched else "用词不同"
    meant = "语义很接近" if candidate.dense >= 0.75 else "语义接近" if candidate.dense >= 0.68 else ""
    return "；".join(part for part in (said, meant) if part)
