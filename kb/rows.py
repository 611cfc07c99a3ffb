"""A Library, national documents and a scope in, gap rows out; judged once, then kept beside the index.

The seam between the gap judge and everything that shows its results: the command line, the reports, the workbench and the
change note all read rows here. A row is one national duty with its judgement against one scope. Results are kept in
`index/judged.db` (derived data, may be deleted) under keys of everything that decides them, at two levels: a national document
against a scope, and one duty against the articles found for it. After a change of one local text the articles of every duty
are sought again, which is cheap, and only duties that meet another set of articles are judged; the others take their row as
it is. A run after a change therefore equals a run from nothing, row by row.
"""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from kb.cache import Cache
from kb.errors import NotFoundError
from kb.index import DocumentInfo, Library
from kb.metadata import status_on
from kb.models import LABELS, Assessment, Requirement
from kb.row_store import (
    ScopeFacts,
    digest_of,
    document_key,
    duty_about,
    load,
    load_duties,
    open_store,
    placed,
    save,
    save_duties,
)
from kb.row_store import judge_version as judge_version  # readers of rows ask here who judged them
from kb.segment import squeeze

if TYPE_CHECKING:
    from kb.gaps import Chain
    from kb.radar import Signal
    from kb.scope import Encode, Scope

Progress = Callable[[str, int, int], None]
# presets, in the order they are offered; "docs:" + ids joined by "," is a scope of chosen documents
SCOPES = {"chain": "深圳市+广东省", "city": "深圳市", "province": "广东省"}
DEFAULT_SCOPE = "chain"
CURRENT = frozenset({"in_force", "amended", "unverified", "expiry_unchecked"})
LOCAL_LEVELS = ("guangdong", "shenzhen")


@dataclass(frozen=True, slots=True)
class ScopeChoice:
    """What counts as local: `key` is stable (addresses and decisions use it), `name` is shown, `doc_ids` are sorted."""

    key: str
    name: str
    doc_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GapRow:
    """One national duty judged against one scope. `row_id` survives rebuilds while the duty keeps its place."""

    row_id: str
    national: DocumentInfo
    requirement: Requirement
    assessment: Assessment


def row_id(requirement_id: str, scope_key: str) -> str:
    """Identity of a row: decisions and shared links refer to it."""
    return f"{requirement_id}@{scope_key}"


def today() -> str:
    """The day on which status is judged, ISO."""
    return dt.date.today().isoformat()


# -- what is compared ---------------------------------------------------------------------------------------------------


def national_documents(library: Library) -> list[DocumentInfo]:
    """National documents in force, in the order of their titles' level of force and name."""
    return [
        d
        for d in library.documents
        if d.meta.level == "national" and status_on(d.meta, today()) not in ("draft", "repealed", "lapsed")
    ]


def scope_choice(library: Library, key: str = DEFAULT_SCOPE) -> ScopeChoice:
    """The scope of a preset name, or of `docs:id,id`.

    Raises:
        NotFoundError: the key is neither, or names a document that is not held.
    """
    if key in SCOPES:
        wanted = {"city": ("city",), "province": ("province",), "chain": ("city", "province")}[key]
        ids = [d.doc_id for d in library.documents if ring(d) in wanted and status_on(d.meta, today()) in CURRENT]
        return ScopeChoice(key, SCOPES[key], tuple(sorted(ids)))
    ids = tuple(sorted(dict.fromkeys(i for i in key.removeprefix("docs:").split(",") if i)))
    if not key.startswith("docs:") or not ids:
        raise NotFoundError(f"there is no scope {key!r}", hint=f"Use one of {', '.join(SCOPES)}, or docs:ID,ID.")
    titles = [library.info(i).meta.title for i in ids]
    name = titles[0] if len(titles) == 1 else f"{titles[0]}等{len(titles)}份"
    return ScopeChoice("docs:" + ",".join(ids), name, ids)


def scope_of_documents(library: Library, doc_ids: Iterable[str]) -> ScopeChoice:
    """The scope of chosen documents."""
    return scope_choice(library, "docs:" + ",".join(doc_ids))


def ring(info: DocumentInfo) -> str:
    """city (深圳, without its districts), province (广东省级), or "" for every other text and for reports that lay down nothing."""
    place = info.meta.place
    if info.meta.normative_force == "参考" or not info.n_provisions:
        return ""
    if info.meta.level == "shenzhen":
        return "" if place.endswith("区") and "特区" not in place else "city"
    if info.meta.level == "guangdong":
        named = place or info.meta.title
        return "province" if named.startswith("广东") else ""
    return ""


# -- judging, once ------------------------------------------------------------------------------------------------------


def gap_rows(
    library: Library,
    doc_ids: Sequence[str],
    scope: ScopeChoice,
    *,
    progress: Progress | None = None,
    fresh: list[str] | None = None,
) -> list[GapRow]:
    """Rows of some national documents against one scope, in the order of the documents and of their duties.

    Args:
        progress: called with ("judge", done, total), in duties, after each document that was not at hand whole.
        fresh: takes the requirement ids of the rows that had to be judged now.
    """
    infos = [library.info(i) for i in dict.fromkeys(doc_ids)]
    with open_store(library) as store:
        keys = {i.doc_id: document_key(library, i, scope.doc_ids) for i in infos}
        found = {i.doc_id: load(store, keys[i.doc_id]) for i in infos}
        wanted = [i for i in infos if found[i.doc_id] is None]
        if wanted:
            found |= _judge(library, wanted, scope, keys, store, progress, fresh)
    return [
        GapRow(row_id(requirement.requirement_id, scope.key), info, requirement, assessment)
        for info in infos
        for requirement, assessment in zip(library.requirements(info.doc_id), found[info.doc_id], strict=True)
    ]


def judged(library: Library, scope: ScopeChoice, doc_ids: Iterable[str]) -> list[str]:
    """Those of the documents whose rows against this scope are at hand without judging."""
    with open_store(library) as store:
        has = {k for (k,) in store.execute("SELECT key FROM documents")}
        return [i for i in doc_ids if document_key(library, library.info(i), scope.doc_ids) in has]


def counts(rows: Iterable[GapRow]) -> dict[str, int]:
    """Rows by printed label, every label present, in the order of LABELS."""
    found = Counter(r.assessment.label for r in rows)
    return {label: found.get(label, 0) for label in LABELS}


def _judge(library, infos, scope, keys, store, progress, fresh) -> dict[str, list[Assessment]]:
    """Judge whole documents and keep the result of each as soon as it is there."""
    local, encode = local_scope(library, scope), passage_encoder(library)
    facts = ScopeFacts.of(local, library)
    total = sum(len(library.requirements(i.doc_id)) for i in infos)
    done, out = 0, {}
    for info in infos:
        duty_keys, rows, judged_now = _judge_document(library, info, local, facts, encode, store)
        done += len(rows)
        if fresh is not None:
            fresh += judged_now
        if progress:
            progress("judge", done, total)
        out[info.doc_id] = rows
        save(store, keys[info.doc_id], duty_keys, rows, facts.starts)
    return out


def local_scope(library: Library, scope: ScopeChoice) -> Scope:
    """The local texts of a scope, ready to be judged against."""
    from kb.scope import build_scope

    return build_scope([library.document(i) for i in scope.doc_ids], passage_encoder(library))


def embed_ahead(library: Library, progress: Progress | None = None) -> None:
    """Embed the sentences of the default scope, so that the first comparison does not wait for them."""
    from kb.scope import rules_of

    local = [library.document(i) for i in scope_choice(library).doc_ids]
    texts = [rule.full_text for document in local for _, rules in rules_of(document) for rule in rules]
    if texts and (encode := passage_encoder(library, progress)):
        encode(texts)


def _judge_document(library, info, local, facts, encode, store) -> tuple[list[str], list[Assessment], list[str]]:
    """(keys of the duties, their rows, ids judged now): a duty whose articles are those of before keeps its row."""
    from kb import gaps
    from kb.align import pool_of

    national = gaps.build_national(library.document(info.doc_id), encode)
    about = duty_about(library, info, facts)
    duties = [gaps.prepared(national, n) for n in range(len(national.duties))]
    pools = [pool_of(duty, local) for duty in duties]
    keys = []
    for duty, pool in zip(duties, pools, strict=True):
        carried = gaps.carried_out(duty.requirement, national, local)
        read = [facts.articles[a] for a in (*pool.articles, *(() if carried is None else (carried,)))]
        keys.append(digest_of(about, duty.requirement.requirement_id, read))
    held = load_duties(store, keys)
    wanted = [n for n, key in enumerate(keys) if key not in held]
    if wanted:
        work = [(duties[n], pools[n]) for n in wanted]
        judged_now = gaps.judge_duties(work, national, local, gaps.default_model(), library.settings.undetermined_below)
        rows = {keys[n]: placed(a, facts.starts, -1) for n, a in zip(wanted, judged_now, strict=True)}
        save_duties(store, rows)
        held |= rows
    shown = [replace(placed(held[key], facts.starts, 1), scope=local.titles) for key in keys]
    return keys, shown, [duties[n].requirement.requirement_id for n in wanted]


def passage_encoder(library: Library, progress: Progress | None = None) -> Encode | None:
    """Passages to unit vectors through the cache of the index, so that equal text is embedded once; None without encoder."""
    encoder = library.encoder
    if encoder is None:
        return None

    def encode(texts: Sequence[str]) -> np.ndarray:
        try:
            cache = Cache(library.settings.index / "cache.db")
            try:
                cache.embed(encoder, list(texts), progress)
                return np.concatenate(list(cache.vectors(encoder, texts)))
            finally:
                cache.close()
        except sqlite3.OperationalError:  # a read-only index: slower, the same result
            return encoder.encode_passages(list(texts)).astype(np.float16).astype(np.float32)

    return encode


# -- what commands and assistants ask for -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class GapTable:
    """All rows of one comparison; `counts` adds up to len(rows); `notes` explain what was left out."""

    scope: tuple[str, ...]
    rows: tuple[GapRow, ...]
    counts: dict[str, int]
    notes: tuple[str, ...]


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


def chosen(
    library: Library, national: Sequence[str] = (), scope: Sequence[str] = ()
) -> tuple[list[DocumentInfo], ScopeChoice]:
    """National documents and scope by the names a person gave; by default all in force, and the default scope.

    Raises:
        NotFoundError: a name fits no document.
    """
    infos = find_infos(library, national, ("national",)) if national else national_documents(library)
    if not scope:
        return infos, scope_choice(library)
    return infos, scope_of_documents(library, [d.doc_id for d in find_infos(library, scope, (*LOCAL_LEVELS, "peers"))])


def gap_table(
    library: Library, national: Sequence[str] = (), scope: Sequence[str] = (), progress: Progress | None = None
) -> GapTable:
    """Judge every duty of the national documents named against a scope (see `chosen`)."""
    infos, choice = chosen(library, national, scope)
    rows = gap_rows(library, [d.doc_id for d in infos], choice, progress=progress)
    titles = tuple(sorted(library.info(i).meta.title for i in choice.doc_ids))
    found = {label: n for label, n in counts(rows).items() if n}
    return GapTable(titles, tuple(rows), found, _notes(infos, titles, rows))


def chains(
    library: Library, national: Sequence[str] = (), progress: Progress | None = None
) -> list[tuple[GapRow, Chain]]:
    """Each duty of the national documents named with its judgement at province and at city, in reading order.

    Levels without a text in force are left out.
    """
    from kb.gaps import chained

    infos, _ = chosen(library, national)
    levels = {SCOPES[key]: scope_choice(library, key) for key in ("province", "city")}
    rows = {
        name: gap_rows(library, [d.doc_id for d in infos], scope, progress=progress)
        for name, scope in levels.items()
        if scope.doc_ids
    }
    together = zip(*rows.values(), strict=True)
    return [
        (each[-1], chained(each[-1].requirement, dict(zip(rows, (r.assessment for r in each), strict=True))))
        for each in together
    ]


def signals(library: Library, scope: Sequence[str] = ()) -> list[Signal]:
    """What a reader should look at without asking about one duty (kb.radar), for the scope named."""
    from kb.radar import radar

    _, choice = chosen(library, (), scope)
    texts = [library.document(d.doc_id) for d in library.documents if d.meta.level == "national"]
    return radar(texts, [library.document(i) for i in choice.doc_ids])


def _notes(infos: Sequence[DocumentInfo], titles: Sequence[str], rows: Sequence[GapRow]) -> tuple[str, ...]:
    notes = []
    if not titles:
        notes.append("比对范围内没有现行有效的本地文本，除不适用外均待人工核定")
    with_rows = {r.national.doc_id for r in rows}
    silent = [d.meta.title for d in infos if d.doc_id not in with_rows]
    if silent:
        notes.append(f"没有可比对要求的国家文件：{'、'.join(silent)}")
    return tuple(notes)


def row_json(row: GapRow) -> dict[str, object]:
    """A row as `kb gaps --json` prints it."""
    r, a = row.requirement, row.assessment
    return {
        "id": r.requirement_id,
        "title": row.national.meta.title,
        "article": r.label,
        "paragraph": r.paragraph,
        "item": r.item,
        "address": r.address,
        "text": r.text,
        "modality": r.modality,
        "actor": r.actor,
        "label": a.label,
        "proposed_label": a.proposed_label,
        **verdict_json(a),
        "text_kind": row.national.meta.text_kind,
    }


def verdict_json(assessment: Assessment) -> dict[str, object]:
    """What a judgement says beside its label, as commands print it."""
    a = assessment
    return {
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
    }


def evidence_json(assessment: Assessment) -> list[dict[str, object]]:
    """Evidence entries of the command contract, decisive first."""
    return [
        {"title": e.title, "article": e.article, "address": e.address, "quote": e.quote, "grade": e.grade}
        for e in assessment.evidence
    ]
