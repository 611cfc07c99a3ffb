"""A query in, Hits out: exact citations first, then what words, meaning and earlier questions find, re-ranked, one hit a provision.

Evidence in order: what the query cites (document number, title, article) is pinned; the rest of the query is searched
by words and by meaning, once as typed and once with statutory wording added, and compared with questions whose answers
are known; explainable features re-rank what was found. Filters are a set of documents that both engines apply before they
take the top k.
"""

from __future__ import annotations

import datetime as dt
import re
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest

import numpy as np

from kb import pool, segment
from kb.chunk import sentences
from kb.cite import Citation, parse_query
from kb.evidence import Asked, best_by_provision, standing, text_features
from kb.feedback import with_feedback
from kb.fuse import fuse_rrf
from kb.index import DocumentInfo, Library
from kb.metadata import status_on
from kb.models import Chunk, Hit, Provision
from kb.pool import Ranked
from kb.query import Query, Reading, understand
from kb.ranking import Candidate, Model, answer_features, answer_probability, load_weights, rank_score
from kb.segment import squeeze

DEPTH = 80
# deeper than the fusion needs: what only the vectors found still gets its score by words
LEXICAL_DEPTH = 200
# share as an answer of earlier questions from which a hit says so
ANSWERED_BEFORE = 0.05
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
    remembered: bool = True
    wording: bool = True
    rerank: bool = True
    feedback: bool = True


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


def examine(
    library: Library, query: str, parts: Parts | None = None, model: Model | None = None
) -> tuple[list[Candidate], dict[str, float]]:
    """What the ranking sees for a query, best first, and what the answer model sees: for fitting and for looking into a result.

    Args:
        model: ranks instead of the one that ships.
    """
    run = _Run(library, understand(query), Filters(), DEPTH, parts or Parts())
    run.model = model or run.model
    ranked = run.ranked([])
    return ranked, run.answer_features(ranked)


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
        and (f.title is None or squeeze(f.title) in squeeze(meta.title))
        and (f.issuer is None or any(f.issuer in issuer for issuer in meta.issuers))
        and (f.doc_no is None or squeeze(f.doc_no) == squeeze(meta.doc_no or ""))
        and (f.since is None or effective >= f.since)
        and (f.until is None or "" < effective <= f.until)
    )


def _status(info: DocumentInfo, as_of: str | None) -> str:
    return status_on(info.meta, as_of or dt.date.today().isoformat())


@dataclass(frozen=True, slots=True)
class _Found:
    """Scores of a provision: fused (RRF times 60), by words as typed, by words with the added wording.

    `pooled` is the logarithm of its share in the pool, times how known the question is; `remembered` its share as an answer
    of earlier questions.
    """

    fused: float
    typed: float
    added: float
    pooled: float
    remembered: float


@dataclass(frozen=True, slots=True)
class _Meaning:
    """What the vectors say of a provision: features, the cosine and the vector of its best sentence."""

    features: Mapping[str, float] = field(default_factory=dict)
    cosine: float = 0.0
    vector: np.ndarray | None = None


class _Run:
    """One search; holds what its steps share and nothing that outlives it."""

    def __init__(self, library: Library, query: Query, filters: Filters, top: int, parts: Parts) -> None:
        self.library, self.query, self.filters, self.top, self.parts = library, query, filters, top, parts
        self.vectors = parts.dense and library.encoder is not None and library.vectors is not None
        self.model: Model = load_weights().model(vectors=self.vectors)
        self.citations = parse_query(query.text, library.titles) if parts.exact else []
        self.rest = _without_spans(query.text, [c.span for c in self.citations if c.doc_ids])
        self.best_chunks: dict[int, int] = {}
        self._encoded: dict[str, np.ndarray] = {}

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
        asked = self._texts(text, source[1] if source else "")
        found = self._retrieve(asked, docs)
        comparing = bool(source) or self.query.compares_levels
        inside = frozenset(self.library.document_seq(d) for d in cited) if cited and not comparing else frozenset()
        if inside:
            found = self._retrieve(asked, inside if docs is None else inside & docs) | found
        order = self._ordered(self._candidates(asked, found, inside))
        if source:
            order = [c for c in order if c.doc != source[0]]
        if "across" in self.query.intents:
            order = _spread(order, [self._score(c) for c in order])
        if self.query.compares_levels:
            order = _by_level_in_turn(order)
        elif "presence" in self.query.intents:
            order = _in_turn_with_others(order, inside, self.query.places)
        return _current_first(order)

    def _ordered(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Best first. The leaders of a first ranking are evidence for the places after the first."""

        def place(candidate: Candidate) -> tuple[float, int]:
            return -self._score(candidate), candidate.seq

        if not candidates or not (self.parts.rerank and self.parts.feedback):
            return sorted(candidates, key=place)
        leader, *others = with_feedback(candidates, [rank_score(c, self.model.first) for c in candidates])
        return [leader, *sorted(others, key=place)]

    def _score(self, candidate: Candidate) -> float:
        if not self.parts.rerank:
            return candidate.features.get("fused", 0.0)
        return rank_score(candidate, self.model.rank if self.parts.feedback else self.model.first)

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
                    out.append(Candidate(provision_seq, seq, features={"fused": 1.0 / (1 + place), "in_cited": 1.0}))
        return out

    def _texts(self, text: str, source: str) -> dict[str, str]:
        """The texts that are searched: as typed, with statutory wording, and the provision whose counterpart is wanted."""
        added = " ".join(self.query.added_words) if self.parts.wording else ""
        return (
            {"typed": text} | ({"added": f"{text} {added}"} if added else {}) | ({"source": source} if source else {})
        )

    def _retrieve(self, texts: Mapping[str, str], docs: frozenset[int] | None) -> dict[int, _Found]:
        """The best candidates of both engines, fused: provision -> fused score and its scores by words."""
        rankings: dict[str, list[int]] = {}
        lexical: dict[str, list[tuple[int, float]]] = {}
        if self.parts.lexical:
            for name in ("typed", "added"):
                if name in texts:
                    lexical[name] = self.library.lexical.search(segment.lexical_terms(texts[name]), LEXICAL_DEPTH, docs)
                    rankings[f"lexical_{name}"] = [seq for seq, _ in lexical[name][:DEPTH]]
        pooled: dict[int, float] = {}
        before: dict[int, float] = {}
        if self.vectors:
            remembered = self._remembered(texts)
            pools = self._pooled(texts, lexical, remembered, docs)
            rankings |= {f"pooled_{name}": seqs[:DEPTH].tolist() for name, (seqs, _) in pools.items()}
            before = dict(zip(*(column.tolist() for column in remembered["typed"]), strict=True))
            pooled = _known_shares(pools["typed"], known=sum(before.values()))
        fused = fuse_rrf(list(rankings.values()), weights=[_RRF_WEIGHTS[name] for name in rankings])[:DEPTH]
        typed, added = dict(lexical.get("typed", ())), dict(lexical.get("added", ()))
        least = min(pooled.values(), default=0.0)
        return {
            seq: _Found(
                score * 60, typed.get(seq, 0.0), added.get(seq, 0.0), pooled.get(seq, least), before.get(seq, 0.0)
            )
            for seq, score in fused
        }

    def _pooled(
        self,
        texts: Mapping[str, str],
        lexical: Mapping[str, Sequence[tuple[int, float]]],
        remembered: Mapping[str, Ranked],
        docs: frozenset[int] | None,
    ) -> dict[str, Ranked]:
        """Provisions for each text, best first, with their shares; a provision comes as near as the nearest of its chunks."""
        cosines, chunk_seqs = self.library.vectors.search(self._vectors(texts), pool.DEPTH, docs)
        out = {}
        for name, scores, rows in zip(texts, cosines, chunk_seqs, strict=True):
            rows = rows[rows >= 0]
            provisions = self.library.chunk_provisions[rows]
            _, first = np.unique(provisions, return_index=True)
            first.sort()
            meaning = provisions[first], scores[first]
            documents = self.library.chunk_docs[rows][first]
            words, answers = pool.ranked(lexical.get(name, ())), self._inside(remembered[name], docs)
            out[name] = pool.pooled(meaning, documents, words, answers)
        return out

    def _remembered(self, texts: Mapping[str, str]) -> dict[str, Ranked]:
        """What answered questions like each text; a provision whose counterpart is sought is no question."""
        out = dict.fromkeys(texts, pool.NOTHING)
        for name, vector in zip(texts, self._vectors(texts), strict=True):
            if self.parts.remembered and name != "source" and self.library.recall:
                out[name] = self.library.recall.answers(vector)
        return out

    def _inside(self, answers: Ranked, docs: frozenset[int] | None) -> Ranked:
        """Those that pass the filter."""
        if docs is None:
            return answers
        kept = np.isin(self.library.provision_docs(answers[0]), list(docs))
        return answers[0][kept], answers[1][kept]

    def _vectors(self, texts: Mapping[str, str]) -> np.ndarray:
        """Query vectors in the order of the texts; each text is encoded once a search."""
        missing = [text for text in texts.values() if text not in self._encoded]
        if missing:
            self._encoded |= zip(missing, self.library.encoder.encode_queries(missing), strict=True)
        return np.stack([self._encoded[text] for text in texts.values()])

    def _candidates(
        self, texts: Mapping[str, str], found: Mapping[int, _Found], inside: frozenset[int]
    ) -> list[Candidate]:
        """What was found with the features that rank it."""
        seqs = sorted(found)
        meanings = self._meanings(texts, seqs)
        typed, added = texts["typed"], " ".join(self.query.added_words) if "added" in texts else ""
        asked = Asked(
            self.query,
            self.library.idf(segment.words(typed)),
            self.library.idf(segment.words(added)),
        )
        top = max((f.typed for f in found.values()), default=0.0) or 1.0
        top_added = max((f.added for f in found.values()), default=0.0) or 1.0
        out = []
        for seq, (doc, provision) in self.library.provisions(seqs).items():
            info = self.library.documents[doc]
            score = found[seq]
            current = self._counts_as_current(info)
            meaning = meanings.get(seq, _Meaning())
            features = text_features(asked, provision, info.meta) | meaning.features
            cited = float(doc in inside)
            features |= {
                "fused": score.fused,
                "words": score.typed / top,
                "words_added": score.added / top_added,
                "current": float(current),
                "pooled": score.pooled,
                "remembered": score.remembered,
                "in_cited": cited,
                "cited_and_said": cited * features["coverage"],
            }
            by_words = max(score.typed, score.added)
            out.append(
                Candidate(seq, doc, info.meta.level, current, meaning.cosine, by_words, features, meaning.vector)
            )
        return out

    def _meanings(self, texts: Mapping[str, str], seqs: Sequence[int]) -> dict[int, _Meaning]:
        """For each provision how its best sentence stands among the candidates by meaning."""
        if not self.vectors or not seqs:
            return {}
        chunk_rows = [self.library.chunks_of(seq) for seq in seqs]
        kept = [(seq, rows) for seq, rows in zip(seqs, chunk_rows, strict=True) if len(rows)]
        starts = np.cumsum([0, *(len(rows) for _, rows in kept)])[:-1]
        chunk_seqs = [row for _, rows in kept for row in rows]
        vectors = self.library.vectors.vectors(chunk_seqs)
        best, rows = best_by_provision(vectors, self._vectors(texts), starts.tolist())
        names = list(texts)
        main = names.index("source") if "source" in names else 0
        extra = names.index("added") if "added" in names else None
        cosines, columns = best[main], {"meaning": standing(best[main])}
        if extra is not None:
            cosines = np.maximum(cosines, best[extra])
            columns["meaning_added"] = standing(best[extra])
        out = {}
        for i, ((seq, _), row) in enumerate(zip(kept, rows, strict=True)):
            self.best_chunks[seq] = chunk_seqs[row]
            features = {name: float(column[i]) for name, column in columns.items()}
            out[seq] = _Meaning(features, float(cosines[i]), vectors[row])
        return out

    def _counts_as_current(self, info: DocumentInfo) -> bool:
        """In force on the day asked about; for a question about drafts, the drafts."""
        status = _status(info, self.filters.as_of)
        return (status == "draft") if "draft" in self.query.intents else status not in NOT_IN_FORCE

    def _is_unanswered(self, ranked: Sequence[Candidate]) -> bool:
        """Nothing held answers the query: the best candidates neither mean nor say what was asked."""
        if not ranked:
            return True
        if ranked[0].features.get("in_cited"):
            return False
        return answer_probability(self.answer_features(ranked), self.model) < 0.5

    def answer_features(self, ranked: Sequence[Candidate]) -> dict[str, float]:
        """What tells whether the candidates, best first, answer the query."""
        return answer_features(ranked, self._rare_share(), self._elsewhere())

    def _rare_share(self) -> float:
        """Share of the query's word weight on words that at most three provisions have; words we can explain do not count."""
        said = " ".join(r.said for r in self.query.of("wording"))
        idf = self.library.idf([w for w in segment.words(self.rest) if len(w) > 1 and w not in said])
        total = sum(idf.values())
        return sum(v for w, v in idf.items() if self.library.lexical.frequency(w) <= 3) / total if total else 0.0

    def _elsewhere(self) -> float:
        """1 when the query names a place and no document of the library is of it or speaks of it in its title."""
        regions = self.query.regions
        held = any(region in f"{d.meta.place} {d.meta.title}" for d in self.library.documents for region in regions)
        return float(bool(regions) and not held)

    # --- hits

    def _hits(self, pins: Sequence[tuple[int, str, str]], ranked: Sequence[Candidate]) -> tuple[Hit, ...]:
        order: list[tuple[int, str, str, Candidate | None]] = [
            (seq, address, reason, None) for seq, address, reason in pins
        ]
        taken = {seq for seq, *_ in order}
        order += [(c.seq, "", "", c) for c in ranked if c.seq not in taken]
        order = order[: self.top]
        found = self.library.provisions([seq for seq, *_ in order])
        chunks = self.library.chunks([self.best_chunks[seq] for seq, *_ in order if seq in self.best_chunks])
        words = frozenset(w for w in segment.words(f"{self.rest} {' '.join(self.query.added_words)}") if len(w) > 1)
        return tuple(
            self._hit(rank, *found[seq], address, reason, candidate, chunks.get(self.best_chunks.get(seq, -1)), words)
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


_RRF_WEIGHTS = {
    "lexical_typed": 1.0,
    "pooled_typed": 1.0,
    "lexical_added": 0.8,
    "pooled_added": 0.8,
    "pooled_source": 1.0,
}


def citation_text(title: str, doc_no: str | None, address: str) -> str:
    """Formal citation ready to copy: 《名称》（文号）第N条第M款."""
    return f"《{title}》{f'（{doc_no}）' if doc_no else ''}{address}"


def _without_spans(text: str, spans: Sequence[tuple[int, int]]) -> str:
    for start, end in sorted(spans, reverse=True):
        text = f"{text[:start]} {text[end:]}"
    return re.sub(r"\s+", " ", text).strip()


def _spread(order: Sequence[Candidate], scores: Sequence[float]) -> list[Candidate]:
    """For a look across places: every further provision of a document loses one point for each before it."""
    before: Counter[int] = Counter()
    keyed = []
    for candidate, score in zip(order, scores, strict=True):
        keyed.append((score - before[candidate.doc], candidate))
        before[candidate.doc] += 1
    return [candidate for _, candidate in sorted(keyed, key=lambda pair: -pair[0])]


def _by_level_in_turn(order: Sequence[Candidate]) -> list[Candidate]:
    """For a comparison: the best of each level, then the second of each, and so on."""
    place: dict[str, int] = {}
    keyed = []
    for candidate in order:
        place[candidate.level] = place.get(candidate.level, 0) + 1
        keyed.append((place[candidate.level], candidate))
    return [
        candidate
        for _, candidate in sorted(keyed, key=lambda pair: (pair[0], -pair[1].features.get("level_match", 0.0)))
    ]


def _in_turn_with_others(order: Sequence[Candidate], inside: frozenset[int], levels: Sequence[str]) -> list[Candidate]:
    """Whether a text or a place has a rule: its best, the best of the others, its second, and so on.

    Where it has none, the others show what it would be.
    """
    own: list[Candidate] = []
    others: list[Candidate] = []
    for c in order:
        (own if (c.doc in inside if inside else c.level in levels) else others).append(c)
    return [c for pair in zip_longest(own, others) for c in pair if c]


def _known_shares(shares: Ranked, known: float) -> dict[int, float]:
    """Provision -> logarithm of its share, as far as the question is known."""
    logs = known * np.log(np.maximum(shares[1], pool.FLOOR))
    return dict(zip(shares[0].tolist(), logs.tolist(), strict=True))


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
    nearly, very_nearly = load_weights().near
    meant = "语义很接近" if candidate.dense >= very_nearly else "语义接近" if candidate.dense >= nearly else ""
    before = "答过相近的问题" if candidate.features.get("remembered", 0.0) >= ANSWERED_BEFORE else ""
    return "；".join(part for part in (said, meant, before) if part)
