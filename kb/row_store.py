"""What decides a gap row, and the file that keeps judged rows (`index/judged.db`, derived data, may be deleted).

Two levels of keys: a national document against a scope, and one duty against the articles found for it. A key holds everything
the judge reads and nothing else, so that a row is never stale and is judged again only when something it rests on changed.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import sqlite3
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from typing import TYPE_CHECKING

from kb import cross_encoder
from kb.cache import code_hash, hash_of
from kb.codec import from_json, to_json
from kb.index import DocumentInfo, Library
from kb.models import Assessment, Evidence, Provision

if TYPE_CHECKING:
    from kb.scope import Scope

_KEPT = 4000
"""Documents whose rows are kept, the latest; their duties go with them."""
_JUDGE = (
    *("gaps", "align", "edits", "scope", "requirements", "elements", "judge_model", "reading", "cross_encoder"),
    *("numerals", "segment", "rows"),
)


@functools.cache
def judge_version() -> str:
    """Hash of the rules, lists and models that judge; another judge never reuses the results of this one."""
    model = (resources.files("kb") / "data" / "judge_model.json").read_text(encoding="utf-8")
    return hash_of(f"{code_hash(_JUDGE, lists=True)}\n{cross_encoder.fingerprint()}\n{model}")


def document_key(library: Library, info: DocumentInfo, scope_ids: Sequence[str]) -> str:
    """Of a national document against the documents of a scope: the texts whole, their facts, the judge."""
    return digest_of(judge_facts(library), _facts(info), [_facts(library.info(i)) for i in scope_ids])


def duty_about(library: Library, info: DocumentInfo, facts: ScopeFacts) -> str:
    """What all duties of a national document have in common in their keys."""
    return digest_of(judge_facts(library), _facts(info), facts.digest)


def judge_facts(library: Library) -> list:
    """What judges: the code and lists of the judge and of the reader, the encoder, the confidence asked for."""
    encoder = library.manifest["encoder"] if library.settings.encoder != "none" else None
    return [
        judge_version(),
        library.manifest["rules"],
        (encoder or {}).get("fingerprint"),
        library.settings.undetermined_below,
    ]


def _facts(info: DocumentInfo) -> list:
    return [info.sha256, *_metadata(info)]


def _metadata(info: DocumentInfo) -> list:
    return [info.doc_id, info.quality, to_json(info.meta)]


def _wording(provision: Provision) -> list:
    """A provision without its place in the document, which moves with every change above it."""
    units = [[u.level, u.paragraph, u.item, u.subitem, u.address, u.text, u.lead_in] for u in provision.units]
    same = (provision.provision_id, provision.kind, provision.number, provision.label, provision.heading_path)
    return [*same, provision.part, provision.text, units]


def placed(assessment: Assessment, starts: Mapping[str, int], sign: int) -> Assessment:
    """Evidence with positions counted from the start of the document (sign 1) or of its provision (sign -1)."""

    def moved(e: Evidence) -> Evidence:
        by = sign * starts[e.provision_id]
        return replace(e, start=e.start + by, end=e.end + by)

    return replace(assessment, evidence=tuple(map(moved, assessment.evidence)))


def digest_of(*parts: object) -> str:
    return hashlib.sha256(
        json.dumps(parts, ensure_ascii=False, sort_keys=True).encode("utf-8", "surrogatepass")
    ).hexdigest()


@dataclass(frozen=True, slots=True)
class ScopeFacts:
    """What of a scope decides a row besides the articles found: one digest, the digest and the start of each article."""

    digest: str
    articles: tuple[str, ...]
    starts: dict[str, int]

    @classmethod
    def of(cls, local: Scope, library: Library) -> ScopeFacts:
        from kb.gaps import document_facts, scope_facts

        about = {d.doc_id: digest_of(_metadata(library.info(d.doc_id)), document_facts(d)) for d in local.documents}
        return cls(
            digest_of(scope_facts(local)),
            tuple(digest_of(about[a.document.doc_id], _wording(a.provision)) for a in local.articles),
            {a.provision.provision_id: a.provision.start for a in local.articles},
        )


# -- the store ----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def open_store(library: Library) -> Iterator[sqlite3.Connection]:
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
        "PRAGMA journal_mode = WAL; DROP TABLE IF EXISTS rows;"
        "CREATE TABLE IF NOT EXISTS documents (key TEXT PRIMARY KEY, saved REAL, record TEXT) WITHOUT ROWID;"
        "CREATE TABLE IF NOT EXISTS duties (key TEXT PRIMARY KEY, record BLOB);"
    )
    return store


def load_duties(store: sqlite3.Connection, keys: Sequence[str]) -> dict[str, Assessment]:
    """Rows by duty key, evidence counted from its provision; keys without a row are left out."""
    out = {}
    for start in range(0, len(keys), 500):
        part = keys[start : start + 500]
        marks = ",".join("?" * len(part))
        for key, record in store.execute(f"SELECT key, record FROM duties WHERE key IN ({marks})", part):
            out[key] = from_json(Assessment, json.loads(zlib.decompress(record)))
    return out


def save_duties(store: sqlite3.Connection, rows: Mapping[str, Assessment]) -> None:
    packed = [
        (key, zlib.compress(json.dumps(to_json(row), ensure_ascii=False, separators=(",", ":")).encode()))
        for key, row in rows.items()
    ]
    with store:
        store.executemany("INSERT OR REPLACE INTO duties VALUES (?, ?)", packed)


def load(store: sqlite3.Connection, key: str) -> list[Assessment] | None:
    """The rows of a national document against a scope; None where one of them is not at hand."""
    found = store.execute("SELECT record FROM documents WHERE key = ?", (key,)).fetchone()
    if not found:
        return None
    kept = json.loads(found[0])
    held = load_duties(store, kept["duties"])
    if len(held) < len(set(kept["duties"])):
        return None
    return [replace(placed(held[k], kept["starts"], 1), scope=tuple(kept["scope"])) for k in kept["duties"]]


def save(store: sqlite3.Connection, key: str, duties: Sequence[str], rows: Sequence[Assessment], starts) -> None:
    """Remember which duties make up a document; of documents not used for long, rows that no other one shares go."""
    used = {e.provision_id: starts[e.provision_id] for row in rows for e in row.evidence}
    record = {"duties": list(duties), "starts": used, "scope": rows[0].scope if rows else ()}
    with store:
        store.execute(
            "INSERT OR REPLACE INTO documents VALUES (?, julianday('now'), ?)",
            (key, json.dumps(record, ensure_ascii=False)),
        )
        (n,) = store.execute("SELECT count(*) FROM documents").fetchone()
        if n > 2 * _KEPT:
            store.execute(
                "DELETE FROM documents WHERE key NOT IN (SELECT key FROM documents ORDER BY saved DESC LIMIT ?)",
                (_KEPT,),
            )
            store.execute(
                "DELETE FROM duties WHERE key NOT IN (SELECT value FROM documents, json_each(record, '$.duties'))"
            )
