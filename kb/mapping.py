"""A Library in, judged rows out: `kb gaps` and `kb judge` without their printing.

Vectors come from the cache of the index, so a second run embeds nothing; texts that are not there yet are added to it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from kb.ablation import ablation, merge_ablations
from kb.cache import Cache
from kb.errors import NotFoundError
from kb.evaluate_gaps import Label, find_document, resolve, squeeze
from kb.gaps import National, build_national, judge
from kb.index import DocumentInfo, Library
from kb.models import Assessment, Document, Requirement
from kb.rows import DEFAULT_SCOPE, scope_choice, scope_of_documents
from kb.rows import gap_rows as rows_of_documents
from kb.scope import Encode, Scope, build_scope, content_words, coverage

Progress = Callable[[str, int, int], None]
LOCAL_LEVELS = ("guangdong", "shenzhen")
OUT_OF_FORCE = ("draft", "repealed", "lapsed")


@dataclass(frozen=True, slots=True)
class GapRow:
    """One judged duty with the facts its row shows."""

    requirement: Requirement
    title: str
    text_kind: str
    assessment: Assessment


@dataclass(frozen=True, slots=True)
class GapTable:
    """All rows of one comparison; `counts` adds up to len(rows); `notes` explain what was left out."""

    scope: tuple[str, ...]
    rows: tuple[GapRow, ...]
    counts: dict[str, int]
    notes: tuple[str, ...]


def encoder_of(library: Library, progress: Progress | None = None) -> Encode | None:
    """Passage vectors through the cache of the index; None for an index without an encoder."""
    encoder = library.encoder
    if encoder is None:
        return None
    cache = Cache(library.settings.index / "cache.db")

    def encode(texts: Sequence[str]) -> np.ndarray:
        cache.embed(encoder, texts, progress)
        return np.concatenate(list(cache.vectors(encoder, texts)))

    return encode


def documents_by_title(library: Library, infos: Iterable[DocumentInfo]) -> dict[str, Document]:
    """Documents keyed by squeezed title; where two share a title the one of record (listed first) stays."""
    out: dict[str, Document] = {}
    for info in infos:
        out.setdefault(squeeze(info.meta.title), library.document(info.doc_id))
    return out


def default_scope(library: Library) -> list[DocumentInfo]:
    """Shenzhen and provincial Guangdong texts that can answer a duty: no drafts, nothing out of force, no reports, no other city."""
    return [library.info(i) for i in scope_choice(library, DEFAULT_SCOPE).doc_ids]


def find_infos(library: Library, names: Iterable[str], levels: tuple[str, ...] | None = None) -> list[DocumentInfo]:
    """Documents named by title (white space aside), alias or id.

    Raises:
        NotFoundError: a name fits no document.
    """
    out = []
    for name in names:
        key = squeeze(name)
        found = [
            d
            for d in library.documents
            if key in (squeeze(d.meta.title), d.doc_id) or key in map(squeeze, d.meta.aliases)
        ]
        found = found or [d for d in library.documents if key in squeeze(d.meta.title) and d.meta.status != "draft"]
        if levels:
            found = [d for d in found if d.meta.level in levels] or found
        if not found:
            raise NotFoundError(f"no document is called {name}", hint="kb doctor lists the documents held.")
        out.append(found[0])
    return list(dict.fromkeys(out))


def gap_table(
    library: Library, national: Sequence[str] = (), scope: Sequence[str] = (), progress: Progress | None = None
) -> GapTable:
    """Judge every duty of the national documents named (all of them by default) against a scope (the default one)."""
    chosen = (
        find_infos(library, national, ("national",))
        if national
        else [d for d in library.documents if d.meta.level == "national" and d.meta.status not in OUT_OF_FORCE]
    )
    local = find_infos(library, scope, (*LOCAL_LEVELS, "peers")) if scope else default_scope(library)
    choice = scope_of_documents(library, [d.doc_id for d in local]) if scope else scope_choice(library, DEFAULT_SCOPE)
    rows = [
        GapRow(r.requirement, r.national.meta.title, r.national.meta.text_kind, r.assessment)
        for r in rows_of_documents(library, [d.doc_id for d in chosen], choice, progress=progress)
    ]
    counts: dict[str, int] = {}
    for row in rows:
        counts[row.assessment.label] = counts.get(row.assessment.label, 0) + 1
    return GapTable(tuple(d.meta.title for d in local), tuple(rows), counts, _notes(chosen, local, rows))


def _notes(chosen, local, rows: Sequence[GapRow]) -> tuple[str, ...]:
    notes = []
    if not local:
        notes.append("比对范围内没有现行有效的本地文本，除不适用外均待人工核定")
    silent = [d.meta.title for d in chosen if all(r.title != d.meta.title for r in rows)]
    if silent:
        notes.append(f"没有可比对要求的国家文件：{'、'.join(silent)}")
    return tuple(notes)


def row_json(row: GapRow) -> dict[str, object]:
    """A row as `kb gaps --json` prints it."""
    r, a = row.requirement, row.assessment
    return {
        "id": r.requirement_id,
        "title": row.title,
        "article": r.label,
        "paragraph": r.paragraph,
        "item": r.item,
        "address": r.address,
        "text": r.text,
        "modality": r.modality,
        "actor": r.actor,
        "label": a.label,
        "proposed_label": a.proposed_label,
        "tag": a.tag,
        "rule": a.rule,
        "confidence": a.confidence,
        "severity": a.severity,
        "evidence": evidence_json(a),
        "missing": list(a.missing),
        "differs": list(a.differs),
        "questions": list(a.questions),
        "suggestion": a.suggestion,
        "reason": a.reason,
        "text_kind": row.text_kind,
    }


def evidence_json(assessment: Assessment) -> list[dict[str, object]]:
    """Evidence entries of the command contract, decisive first."""
    return [
        {"title": e.title, "article": e.article, "address": e.address, "quote": e.quote, "grade": e.grade}
        for e in assessment.evidence
    ]


def judge_labels(library: Library, labels: Sequence[Label], progress: Progress | None = None) -> list[Assessment]:
    """Judge quoted duties, each against its own scope, in the order given.

    Raises:
        NotFoundError: a title or a quote is not in the corpus.
    """
    documents = documents_by_title(library, library.documents)
    encode = encoder_of(library, progress)
    scopes: dict[frozenset[str], Scope] = {}
    nationals: dict[str, National] = {}
    out = []
    for number, label in enumerate(labels, 1):
        document = find_document(label.title, documents)
        if document.doc_id not in nationals:
            nationals[document.doc_id] = build_national(document, encode)
        key = frozenset(map(squeeze, label.scope))
        if key not in scopes:
            scopes[key] = build_scope([find_document(t, documents) for t in label.scope], encode)
        requirement = resolve(label, documents)
        out.append(
            judge(
                requirement,
                nationals[document.doc_id],
                scopes[key],
                encode=encode,
                threshold=library.settings.undetermined_below,
            )
        )
        if progress:
            progress("judge", number, len(labels))
    return out


def ablation_run(library: Library, progress: Progress | None = None) -> dict[str, object]:
    """`kb eval ablation` on the library: registration and operation rules of the country against their local counterparts.

    Pairs are found, not named: a national text and a local text whose titles share most words. The host for planted duties
    and the unrelated document are the local texts that share least with them.
    """
    encode = encoder_of(library, progress)
    national = [
        d
        for d in library.documents
        if d.meta.level == "national" and d.n_provisions and d.meta.status not in OUT_OF_FORCE
    ]
    local = [d for d in library.documents if d.meta.level != "national" and d.n_provisions]
    pairs = [(n, m) for n in national for m in local if _same_subject(n.meta.title, m.meta.title)]
    if not pairs:
        raise NotFoundError(
            "no national text has a local counterpart of the same subject", hint="add local implementing rules"
        )
    names = list(dict.fromkeys(n.doc_id for n, _ in pairs))
    used = {m.doc_id for _, m in pairs}
    spare = [m for m in local if m.doc_id not in used]
    host = max(spare or local, key=lambda d: d.n_provisions)
    unrelated = max((m for m in spare if m.doc_id != host.doc_id), key=lambda d: d.n_provisions, default=host)
    found = [
        ablation(
            [library.document(name)],
            [library.document(m.doc_id) for n, m in pairs if n.doc_id == name],
            library.document(host.doc_id),
            library.document(unrelated.doc_id),
            encode,
        )
        for name in names
    ]
    return {"pairs": [f"{n.meta.title} × {m.meta.title}" for n, m in pairs], **merge_ablations(found)}


def _same_subject(national: str, local: str) -> bool:
    """True when the local title has nearly all content words of the national one: 公共数据资源登记管理暂行办法 × 福建省…登记管理办法."""
    wanted = content_words(re.sub(r"[（(][^（）()]*[)）]|暂行|管理|实施|办法|规范|规定|条例", "", national))
    return len(wanted) >= 3 and coverage(wanted, content_words(local)) >= 0.95
