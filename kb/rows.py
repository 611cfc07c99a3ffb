"""A Library, national documents and a scope in, gap rows out; judged once, then kept beside the index.

The seam between the gap judge and everything that shows its results: the command line, the reports, the workbench and the
change note all read rows here. A row is one national duty with its judgement against one scope. Results are cached in
`index/judged.db` under a key of everything that decides them (both texts, their facts, the encoder, the judge itself), so
they are never computed twice and never stale; the file is derived data and may be deleted.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import functools
import hashlib
import json
import sqlite3
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import resources

import numpy as np

from kb.codec import from_json, to_json
from kb.errors import NotFoundError
from kb.index import Cache, DocumentInfo, Library
from kb.metadata import status_on
from kb.models import LABELS, Assessment, Requirement

Progress = Callable[[str, int, int], None]
# presets, in the order they are offered; "docs:" + ids joined by "," is a scope of chosen documents
SCOPES = {"chain": "深圳市+广东省", "city": "深圳市", "province": "广东省"}
DEFAULT_SCOPE = "chain"
CURRENT = frozenset({"in_force", "amended", "unverified", "expiry_unchecked"})
_KEPT = 4000


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


@functools.cache
def judge_version() -> str:
    """Hash of the rules, lists and model that judge; another judge never reuses the results of this one."""
    digest = hashlib.sha256()
    root = resources.files("kb")
    for name in ("gaps.py", "align.py", "scope.py", "requirements.py", "elements.py", "judge_model.py"):
        digest.update((root / name).read_bytes())
    for entry in sorted((root / "data").iterdir(), key=lambda e: e.name):
        if entry.is_file() and entry.name not in ("everyday.yaml", "places.yaml", "ranking.json", "catalog.schema.json"):
            digest.update(entry.read_bytes())
    return digest.hexdigest()[:16]


def gap_rows(
    library: Library, doc_ids: Sequence[str], scope: ScopeChoice, *, progress: Progress | None = None
) -> list[GapRow]:
    """Rows of some national documents against one scope, in the order of the documents and of their duties.

    Args:
        progress: called with ("judge", done, total), in duties, after each document that had to be judged now.
    """
    infos = [library.info(i) for i in dict.fromkeys(doc_ids)]
    with _store(library) as store:
        keys = {i.doc_id: _key(library, i, scope) for i in infos}
        found = {i.doc_id: _load(store, keys[i.doc_id]) for i in infos}
        wanted = [i for i in infos if found[i.doc_id] is None]
        if wanted:
            found |= _judge(library, wanted, scope, keys, store, progress)
    return [
        GapRow(row_id(requirement.requirement_id, scope.key), info, requirement, assessment)
        for info in infos
        for requirement, assessment in zip(library.requirements(info.doc_id), found[info.doc_id], strict=True)
    ]


def judged(library: Library, scope: ScopeChoice, doc_ids: Iterable[str]) -> list[str]:
    """Those of the documents whose rows against this scope are at hand without judging."""
    with _store(library) as store:
        has = {k for (k,) in store.execute("SELECT key FROM rows")}
        return [i for i in doc_ids if _key(library, library.info(i), scope) in has]


def counts(rows: Iterable[GapRow]) -> dict[str, int]:
    """Rows by printed label, every label present, in the order of LABELS."""
    found = Counter(r.assessment.label for r in rows)
    return {label: found.get(label, 0) for label in LABELS}


def _judge(library, infos, scope, keys, store, progress) -> dict[str, list[Assessment]]:
    """Judge whole documents and keep the result of each as soon as it is there."""
    local, encode = local_scope(library, scope), passage_encoder(library)
    total = sum(len(library.requirements(i.doc_id)) for i in infos)
    done, out = 0, {}
    for info in infos:
        rows = judge_some(library, info, local, encode)
        done += len(rows)
        if progress:
            progress("judge", done, total)
        out[info.doc_id] = rows
        _save(store, keys[info.doc_id], rows)
    return out


def local_scope(library: Library, scope: ScopeChoice):
    """The local texts of a scope, ready to be judged against."""
    from kb.scope import build_scope

    return build_scope([library.document(i) for i in scope.doc_ids], passage_encoder(library))


def judge_some(library: Library, info: DocumentInfo, local, encode, positions: Sequence[int] = ()) -> list[Assessment]:
    """Judge the duties of a national document at the given positions (all of them by default), in reading order."""
    from kb import gaps

    national = replace(gaps.build_national(library.document(info.doc_id), encode), judged=tuple(positions))
    judged_now = gaps.judge_all(national, local, threshold=library.settings.undetermined_below)
    duties = [national.duties[i] for i in positions] if positions else national.duties
    return [_verbatim(duty, a) for duty, a in zip(duties, judged_now, strict=True)]


def _verbatim(duty: Requirement, assessment: Assessment) -> Assessment:
    """Missing and differing clauses in the words of the duty; the judge names them in the form it compares."""
    from kb.elements import clauses
    from kb.scope import canonical

    own = {canonical(c): c for c in clauses(duty.text)}
    said = {field: tuple(own.get(x, x) for x in getattr(assessment, field)) for field in ("missing", "differs")}
    return replace(assessment, **said)


def passage_encoder(library: Library):
    """Passages to unit vectors through the cache of the index, so that equal text is embedded once; None without encoder."""
    encoder = library.encoder
    if encoder is None:
        return None

    def encode(texts: Sequence[str]) -> np.ndarray:
        try:
            cache = Cache(library.settings.index / "cache.db")
            cache.embed(encoder, list(texts))
            return np.concatenate(list(cache.vectors(encoder, texts)))
        except sqlite3.OperationalError:  # a read-only index: slower, the same result to half precision
            return encoder.encode_passages(list(texts))

    return encode


# -- the store ----------------------------------------------------------------------------------------------------------


def _key(library: Library, info: DocumentInfo, scope: ScopeChoice) -> str:
    encoder = library.manifest["encoder"] if library.settings.encoder != "none" else None
    parts = {
        "judge": judge_version(),
        "rules": library.manifest["rules"],
        "encoder": (encoder or {}).get("fingerprint"),
        "threshold": library.settings.undetermined_below,
        "national": _facts(info),
        "scope": [_facts(library.info(i)) for i in scope.doc_ids],
    }
    return hashlib.sha256(json.dumps(parts, ensure_ascii=False, sort_keys=True).encode()).hexdigest()


def _facts(info: DocumentInfo) -> list:
    return [info.doc_id, info.sha256, info.quality, to_json(info.meta)]


@contextlib.contextmanager
def _store(library: Library) -> Iterator[sqlite3.Connection]:
    """The result file; kept in memory where the index folder cannot be written."""
    path = library.settings.index / "judged.db"
    try:
        store = _open(str(path))
    except sqlite3.OperationalError:
        store = _open(":memory:")
    except sqlite3.DatabaseError:  # damaged: derived data, so start again
        path.unlink(missing_ok=True)
        store = _open(str(path))
    try:
        yield store
    finally:
        store.close()


def _open(path: str) -> sqlite3.Connection:
    store = sqlite3.connect(path, timeout=30)
    store.executescript(
        "PRAGMA journal_mode = WAL; CREATE TABLE IF NOT EXISTS rows (key TEXT PRIMARY KEY, saved REAL, record BLOB) WITHOUT ROWID;"
    )
    return store


def _load(store: sqlite3.Connection, key: str) -> list[Assessment] | None:
    row = store.execute("SELECT record FROM rows WHERE key = ?", (key,)).fetchone()
    return [from_json(Assessment, r) for r in json.loads(zlib.decompress(row[0]))] if row else None


def _save(store: sqlite3.Connection, key: str, rows: Sequence[Assessment]) -> None:
    record = zlib.compress(json.dumps([to_json(r) for r in rows], ensure_ascii=False, separators=(",", ":")).encode())
    with store:
        store.execute("INSERT OR REPLACE INTO rows VALUES (?, julianday('now'), ?)", (key, record))
        store.execute("DELETE FROM rows WHERE key NOT IN (SELECT key FROM rows ORDER BY saved DESC LIMIT ?)", (_KEPT,))
