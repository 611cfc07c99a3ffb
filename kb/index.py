"""A corpus folder in, a generation on disk out (SQLite, tantivy, FAISS, manifest); and the Library that reads it.

Every build writes a whole new generation, but takes the rows and vectors of everything that did not change from the cache:
an update and a full build run the same code over the same rows and cannot give different results.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import functools
import json
import math
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from kb import remembered, segment
from kb.cache import Cache, dump, hash_of, is_plain, passage_text, readers_version, rules_version
from kb.chunk import MAX_CHARS
from kb.cite import Citation
from kb.codec import from_json, to_json
from kb.corpus import LoadedCorpus, load
from kb.embed import Encoder, load_encoder
from kb.errors import IndexError_, NotFoundError
from kb.generations import (
    current_generation,
    generations,
    locked,
    make_durable,
    new_name,
    point,
    prune,
    read_manifest,
    read_pointer,
    remove_folder,
    rollback,
    storage_errors,
)
from kb.metadata import version_start
from kb.models import Chunk, Document, DocumentMeta, Finding, Provision, Requirement, Unit
from kb.read import Limits
from kb.settings import Settings
from kb.store import FaissStore, TantivyStore
from kb.titles import TitleEntry, TitleIndex

__all__ = [
    "BuildSummary",
    "Cache",
    "DocumentCounts",
    "DocumentInfo",
    "Library",
    "build",
    "current_generation",
    "generations",
    "passage_text",
    "read_manifest",
    "rollback",
    "segmenter_hash",
    "title_entry",
]
FORMAT = 2
# a note was made of this generation: it stays until the next note, so that no change is missed
NOTED = "noted"
_RECALL = "remembered.npz"
_FEW = 500
Progress = Callable[[str, int, int], None]

_SCHEMA = """
CREATE TABLE documents (seq INTEGER PRIMARY KEY, doc_id TEXT UNIQUE, sha256 TEXT, meta TEXT, quality TEXT,
                        n_provisions INTEGER, record TEXT);
CREATE TABLE provisions (seq INTEGER PRIMARY KEY, provision_id TEXT, doc INTEGER, label TEXT, record TEXT);
CREATE TABLE chunks (seq INTEGER PRIMARY KEY, provision INTEGER, text_key TEXT, record TEXT);
CREATE TABLE requirements (seq INTEGER PRIMARY KEY, requirement_id TEXT, doc INTEGER, record TEXT);
CREATE TABLE non_requirements (doc INTEGER, address TEXT, text TEXT, reason TEXT);
CREATE TABLE digests (doc_id TEXT PRIMARY KEY, record TEXT);
"""
# after the rows: sorting once is cheaper than keeping order with every row
_INDEXES = """
CREATE UNIQUE INDEX provisions_id ON provisions (provision_id);
CREATE INDEX provisions_doc ON provisions (doc);
CREATE INDEX chunks_provision ON chunks (provision);
CREATE UNIQUE INDEX requirements_id ON requirements (requirement_id);
CREATE INDEX requirements_doc ON requirements (doc);
"""


@dataclass(frozen=True, slots=True)
class DocumentCounts:
    """How the files of this build compare with the generation before.

    new + changed + same + renamed + failed + set_aside is what was scanned; `set_aside` are digests beside a full text and
    copies; `changed` counts a document whose text or whose facts differ.
    """

    new: int = 0
    changed: int = 0
    same: int = 0
    removed: int = 0
    failed: int = 0
    renamed: int = 0
    set_aside: int = 0


@dataclass(frozen=True, slots=True)
class BuildSummary:
    """The machine-readable result of a build (design contract)."""

    generation: str
    documents: DocumentCounts
    provisions: int
    chunks: int
    requirements: int
    embedded: int
    seconds: float
    findings: tuple[Finding, ...]
    changes: dict = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DocumentInfo:
    """What lists and filters need of a document, without its text."""

    seq: int
    doc_id: str
    sha256: str
    meta: DocumentMeta
    quality: str
    n_provisions: int


def build(
    settings: Settings, *, progress: Progress | None = None, force: bool = False, purpose: str = "build"
) -> BuildSummary:
    """Read the corpus and switch to a new generation; nothing is written when nothing changed.

    Args:
        progress: called with (stage, done, total); stages are read (files; ocr, in pages, between), write and embed.
        force: write a new generation even when nothing changed.
        purpose: what a second process is told about who holds the lock.

    Raises:
        IndexError_: the corpus folder is missing or holds no document, or the index folder cannot be written.
        LockedError: another process is building.
    """
    started = time.monotonic()
    if not settings.corpus.is_dir():
        raise IndexError_(f"{settings.corpus} is not a folder", hint="Name the corpus with --corpus DIR or KB_CORPUS.")
    with (
        locked(settings.index, purpose),
        storage_errors(settings.index),
        contextlib.closing(Cache(settings.index / "cache.db")) as cache,
    ):
        summary = _build(settings, cache, progress, force)
    return replace(summary, seconds=round(time.monotonic() - started, 2))


def _build(settings: Settings, cache: Cache, progress: Progress | None, force: bool) -> BuildSummary:
    limits = Limits(max_bytes=settings.max_file_mb * 2**20, max_pages=settings.max_pages)
    corpus = load(
        settings.corpus, read=functools.partial(cache.document, limits=limits, progress=progress), progress=progress
    )
    if not corpus.documents:
        raise IndexError_(
            f"{settings.corpus}: no document could be read ({len(corpus.failed)} failed)",
            hint="Put files into national/, guangdong/, shenzhen/ or peers/ below it.",
        )
    encoder = None if settings.encoder == "none" else load_encoder(settings.encoder)
    before = read_manifest(settings.index)
    counts = _compare(before, corpus)
    identity = _identity(corpus, encoder)
    if before and not force and before.get("identity") == identity:
        size = before["counts"]
        return BuildSummary(
            before["generation"],
            counts,
            size["provisions"],
            size["chunks"],
            size["requirements"],
            0,
            0.0,
            corpus.findings,
        )
    summary = _write_generation(settings, corpus, encoder, cache, identity, counts, progress)
    cache.forget_unused()
    noted = read_pointer(settings.index, NOTED)
    if prune(settings, frozenset({noted} if noted else ())):
        cache.prune_vectors(_kept_vectors(settings))
    return summary


def _kept_vectors(settings: Settings) -> Iterator[tuple[str, Path]]:
    """(encoder fingerprint, library.db) of the generations that have vectors."""
    for name in generations(settings.index):
        encoder = (read_manifest(settings.index, name) or {}).get("encoder")
        if encoder:
            yield encoder["fingerprint"], settings.index / name / "library.db"


def _write_generation(settings, corpus, encoder, cache, identity, counts, progress) -> BuildSummary:
    created = dt.datetime.now(dt.UTC)
    generation = new_name(settings.index, created)
    # a name of its own: threads of a build that failed in this process may still hold the folder of that build
    folder = settings.index / f".tmp-{generation}-{os.getpid()}-{time.monotonic_ns()}"
    folder.mkdir(parents=True)
    try:
        rows, embedded = _write_stores(folder, corpus, encoder, cache, progress)
        _write_manifest(folder, generation, created, settings, corpus, encoder, identity, rows)
        make_durable(folder)
        os.rename(folder, settings.index / generation)
        point(settings.index, "current", generation)
    except BaseException:
        remove_folder(folder)
        raise
    return BuildSummary(
        generation, counts, rows["provisions"], rows["chunks"], rows["requirements"], embedded, 0.0, corpus.findings
    )


def _write_stores(folder: Path, corpus: LoadedCorpus, encoder, cache, progress) -> tuple[dict[str, int], int]:
    """The three stores of a generation; returns its counts and how many texts were embedded."""
    library = folder / "library.db"
    writer = LibraryWriter(library, cache, progress)
    TantivyStore.build(folder / "lexical", writer.write(corpus))
    embedded = 0
    if encoder:
        with contextlib.closing(sqlite3.connect(library)) as db:
            missing = cache.missing(encoder, (key for (key,) in db.execute("SELECT text_key FROM chunks")))
            embedded = cache.embed_keyed(encoder, _chunk_texts(db, missing), progress)
            keys = (key for (key,) in db.execute("SELECT text_key FROM chunks ORDER BY seq"))
            FaissStore.build(folder / "vectors.faiss", cache.vectors_of(encoder, keys), encoder.dim)
            write_recall(folder, db, encoder)
    return writer.rows, embedded


def write_recall(folder: Path, db: sqlite3.Connection, encoder: Encoder) -> None:
    """Note which provisions are known answers, where the memory is of this encoder."""
    if memory := remembered.memory_of(encoder):
        records = ((seq, json.loads(r)) for seq, r in db.execute("SELECT seq, record FROM provisions"))
        texts = ((seq, r["text"].removeprefix(r["label"])) for seq, r in records)
        remembered.Recall.of(memory, texts).save(folder / _RECALL)


def _chunk_texts(db: sqlite3.Connection, wanted: set[str]) -> dict[str, str]:
    """Text key -> text to embed, for the keys asked."""
    few = len(wanted) <= _FEW
    where = f" WHERE text_key IN ({','.join('?' * len(wanted))})" if few else ""
    texts: dict[str, str] = {}
    for key, record in db.execute(f"SELECT text_key, record FROM chunks{where}", sorted(wanted) if few else ()):
        if key in wanted and key not in texts:
            texts[key] = passage_text(from_json(Chunk, json.loads(record)))
    return texts


class LibraryWriter:
    """Writes the SQLite file and the arrays that map a chunk to its provision and document, one document at a time."""

    def __init__(self, path: Path, cache: Cache, progress: Progress | None) -> None:
        self._path, self._cache, self._progress = path, cache, progress
        self.rows = {"documents": 0, "provisions": 0, "chunks": 0, "requirements": 0}
        self._chunk_docs: list[int] = []
        self._chunk_provisions: list[int] = []

    def write(self, corpus: LoadedCorpus) -> Iterator[dict]:
        """Write everything; yields the rows of the lexical index as it goes."""
        with contextlib.closing(sqlite3.connect(self._path)) as db:
            db.executescript(
                # large pages: rows are long, and half the time to write them goes
                "PRAGMA page_size = 16384; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;" + _SCHEMA
            )
            for document in corpus.documents:
                yield from self._write_document(db, document)
                if self._progress:
                    self._progress("write", self.rows["documents"], len(corpus.documents))
            for digest in corpus.digests:
                rows = self._cache.rows(digest)
                shell = json.loads(rows.shell) | {"provisions": [json.loads(p[2]) for p in rows.provisions]}
                text = json.dumps(shell, ensure_ascii=False)
                db.execute("INSERT OR IGNORE INTO digests VALUES (?, ?)", (digest.doc_id, text))
            db.commit()
            db.executescript(_INDEXES)
        np.save(self._path.with_name("chunk_docs.npy"), np.asarray(self._chunk_docs, dtype=np.int32))
        np.save(self._path.with_name("chunk_provisions.npy"), np.asarray(self._chunk_provisions, dtype=np.int32))

    def _write_document(self, db: sqlite3.Connection, document: Document) -> Iterator[dict]:
        n, rows = self.rows, self._cache.rows(document)
        doc, first = n["documents"], n["provisions"]
        title = " ".join(segment.words(" ".join((document.meta.title, *document.meta.aliases))))
        places = [(seq, p[0], doc, p[1], p[2]) for seq, p in enumerate(rows.provisions, first)]
        db.executemany("INSERT INTO provisions VALUES (?, ?, ?, ?, ?)", places)
        for seq, (_, _, _, words, bigrams, heading) in enumerate(rows.provisions, first):
            yield {"seq": seq, "doc": doc, "words": words, "bigrams": bigrams, "title": title, "heading": heading}
        chunks = [(n["chunks"] + i, first + at, key, record) for i, (at, key, record) in enumerate(rows.chunks)]
        db.executemany("INSERT INTO chunks VALUES (?, ?, ?, ?)", chunks)
        self._chunk_docs += [doc] * len(chunks)
        self._chunk_provisions += [c[1] for c in chunks]
        duties = [(n["requirements"] + i, key, doc, record) for i, (key, record) in enumerate(rows.requirements)]
        db.executemany("INSERT INTO requirements VALUES (?, ?, ?, ?)", duties)
        db.executemany("INSERT INTO non_requirements VALUES (?, ?, ?, ?)", [(doc, *other) for other in rows.others])
        db.execute(
            "INSERT INTO documents VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                doc,
                document.doc_id,
                document.sha256,
                dump(document.meta),
                document.quality,
                len(rows.provisions),
                rows.shell,
            ),
        )
        n["documents"] += 1
        n["provisions"] += len(rows.provisions)
        n["chunks"] += len(chunks)
        n["requirements"] += len(duties)


def _identity(corpus: LoadedCorpus, encoder: Encoder | None) -> str:
    """One hash over everything a generation depends on."""
    parts = {
        "format": FORMAT,
        "rules": rules_version(),
        "readers": "" if all(is_plain(d.source_path) for d in corpus.documents) else readers_version(),
        "chunk_chars": MAX_CHARS,
        "encoder": encoder.fingerprint if encoder else None,
        "words": segmenter_hash(),
        "remembered": memory.key if (memory := remembered.memory_of(encoder)) else None,
        "documents": [(d.doc_id, d.sha256, d.source_path, dump(d.meta)) for d in corpus.documents],
        "digests": [(d.doc_id, d.sha256) for d in corpus.digests],
    }
    return hash_of(json.dumps(parts, ensure_ascii=False, sort_keys=True))


def segmenter_hash() -> str:
    """Hash of the word lists; a lexical index built with other lists must be rebuilt."""
    return hash_of("\n".join((*segment.load_list("userdict.txt"), *segment.load_list("stopwords.txt"))))


def _compare(before: dict | None, corpus: LoadedCorpus) -> DocumentCounts:
    """Files against the generation before. The same content under another id is a renamed document."""
    old = (before or {}).get("documents", {})
    facts = (before or {}).get("facts", {})
    new = {d.doc_id: d.sha256 for d in corpus.documents}
    gone = {sha for i, sha in old.items() if i not in new}
    came = {sha for i, sha in new.items() if i not in old}
    changed = {
        d.doc_id
        for d in corpus.documents
        if d.doc_id in old and (old[d.doc_id] != d.sha256 or facts.get(d.doc_id) != hash_of(dump(d.meta)))
    }
    return DocumentCounts(
        new=sum(1 for i, sha in new.items() if i not in old and sha not in gone),
        changed=len(changed),
        same=sum(1 for i in new if i in old and i not in changed),
        removed=sum(1 for i, sha in old.items() if i not in new and sha not in came),
        failed=len(corpus.failed),
        renamed=len(gone & came),
        set_aside=corpus.set_aside + len(corpus.digests),
    )


def _write_manifest(folder, generation, created, settings, corpus, encoder, identity, rows) -> None:
    manifest = {
        "format": FORMAT,
        "generation": generation,
        "created_at": created.isoformat(timespec="seconds"),
        "identity": identity,
        "corpus": str(settings.corpus),
        "rules": rules_version(),
        "words": segmenter_hash(),
        "encoder": {"name": encoder.name, "fingerprint": encoder.fingerprint, "dim": encoder.dim} if encoder else None,
        "counts": rows,
        "documents": {d.doc_id: d.sha256 for d in corpus.documents},
        "facts": {d.doc_id: hash_of(dump(d.meta)) for d in corpus.documents},
        "failed": list(corpus.failed),
        "findings": [to_json(f) for f in corpus.findings],
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, ensure_ascii=False, indent=1), encoding="utf-8")


def title_entry(info: DocumentInfo, labels: frozenset[str]) -> TitleEntry:
    """What the title index must know of one document."""
    meta = info.meta
    return TitleEntry(
        info.doc_id,
        meta.title,
        meta.aliases,
        meta.doc_no,
        meta.level,
        draft=meta.status == "draft",
        in_force=meta.status in ("in_force", "amended", "unverified"),
        effective_on=version_start(meta),
        labels=labels,
    )


def _names(citation: Citation, unit: Unit) -> bool:
    return (unit.paragraph, unit.item, unit.subitem) == (citation.paragraph or 1, citation.item, citation.subitem)


class Library:
    """Read access to one generation. Many threads may share one; it never writes."""

    def __init__(self, settings: Settings, generation: str | None = None) -> None:
        name = generation or current_generation(settings.index)
        if name is None:
            raise IndexError_(f"{settings.index}: there is no index yet", hint="Build it with: kb build")
        self.folder = settings.index / name
        self.generation = name
        self.settings = settings
        self.manifest = json.loads((self.folder / "manifest.json").read_text(encoding="utf-8"))
        if self.manifest.get("format") != FORMAT:
            raise IndexError_(
                f"{settings.index} has format {self.manifest.get('format')}; this version reads format {FORMAT}",
                hint="Rebuild with: kb build",
            )
        self._db = sqlite3.connect(
            f"file:{self.folder / 'library.db'}?mode=ro&immutable=1", uri=True, check_same_thread=False
        )

    @cached_property
    def documents(self) -> tuple[DocumentInfo, ...]:
        """All documents in sequence order, without text."""
        rows = self._db.execute("SELECT seq, doc_id, sha256, meta, quality, n_provisions FROM documents ORDER BY seq")
        return tuple(DocumentInfo(s, i, h, from_json(DocumentMeta, json.loads(m)), q, n) for s, i, h, m, q, n in rows)

    @cached_property
    def chunk_docs(self) -> np.ndarray:
        """Document seq of every chunk, int32."""
        return np.load(self.folder / "chunk_docs.npy", mmap_mode="r")

    @cached_property
    def chunk_provisions(self) -> np.ndarray:
        """Provision seq of every chunk, int32."""
        return np.load(self.folder / "chunk_provisions.npy", mmap_mode="r")

    @cached_property
    def lexical(self) -> TantivyStore:
        return TantivyStore(self.folder / "lexical")

    @cached_property
    def vectors(self) -> FaissStore | None:
        """The vector store, or None where the index was built without an encoder."""
        return FaissStore(self.folder / "vectors.faiss", self.chunk_docs) if self.manifest["encoder"] else None

    @cached_property
    def recall(self) -> remembered.Recall | None:
        """Earlier questions and where this library answers them; None with an encoder that they were not asked of."""
        file = self.folder / _RECALL
        return remembered.Recall.load(file) if file.exists() else None

    @cached_property
    def encoder(self) -> Encoder | None:
        """The encoder this index was built with.

        Raises:
            IndexError_: the settings ask for another encoder than the index has.
        """
        stored = self.manifest["encoder"]
        if stored is None or self.settings.encoder == "none":
            return None
        encoder = load_encoder(self.settings.encoder)
        if encoder.fingerprint != stored["fingerprint"]:
            raise IndexError_(
                f"{self.settings.index} was built with encoder {stored['name']} (dim {stored['dim']}); "
                f"settings ask for {encoder.name} (dim {encoder.dim})",
                hint=f"Rebuild with: kb build --encoder {self.settings.encoder}",
            )
        return encoder

    @cached_property
    def titles(self) -> TitleIndex:
        """Names and numbers of all documents, for reading citations."""
        labels: dict[int, set[str]] = {}
        for doc, label in self._db.execute("SELECT doc, label FROM provisions"):
            labels.setdefault(doc, set()).add(label)
        return TitleIndex(title_entry(d, frozenset(labels.get(d.seq, ()))) for d in self.documents)

    @cached_property
    def _seq_of(self) -> dict[str, int]:
        return {d.doc_id: d.seq for d in self.documents}

    def document_seq(self, doc_id: str) -> int:
        """Sequence number of a document id; -1 when there is none."""
        return self._seq_of.get(doc_id, -1)

    def cited(self, citation: Citation) -> list[tuple[int, str]]:
        """(provision seq, exact address) of what a resolved citation names; outline points below it come with it."""
        seqs = self.provision_seqs(self.document_seq(citation.doc_id))
        exact = [(seq, label) for seq, label in seqs if label == citation.label]
        below = [(seq, label) for seq, label in seqs if "、" in citation.label and label.startswith(citation.label)]
        out = []
        for seq, label in exact or below:
            _, provision = self.provisions([seq])[seq]
            deeper = citation.paragraph or citation.item
            unit = next((u for u in provision.units if _names(citation, u)), None) if deeper else None
            out.append((seq, unit.address if unit else label))
        return out

    def chunks_of(self, provision_seq: int) -> range:
        """Sequence numbers of the chunks of a provision."""
        first, last = np.searchsorted(self.chunk_provisions, [provision_seq, provision_seq + 1])
        return range(int(first), int(last))

    def provision_docs(self, seqs: np.ndarray) -> np.ndarray:
        """Document seq of provisions, int32, in the order asked."""
        return self.chunk_docs[np.searchsorted(self.chunk_provisions, seqs)]

    def idf(self, words: Iterable[str]) -> dict[str, float]:
        """Weight of each word by its rarity in this library (BM25 form); unknown words weigh most."""
        total = self.manifest["counts"]["provisions"]
        return {
            w: math.log(1 + (total - n + 0.5) / (n + 0.5)) for w in set(words) for n in (self.lexical.frequency(w),)
        }

    def info(self, doc_id: str) -> DocumentInfo:
        """Facts of one document.

        Raises:
            NotFoundError: no document has this id.
        """
        found = next((d for d in self.documents if d.doc_id == doc_id), None)
        if found is None:
            raise NotFoundError(f"no document has the id {doc_id}", hint="kb doctor lists the documents held.")
        return found

    def document(self, doc_id: str) -> Document:
        """One document, whole."""
        info = self.info(doc_id)
        record = self._db.execute("SELECT record FROM documents WHERE seq = ?", (info.seq,)).fetchone()[0]
        rows = self._db.execute("SELECT record FROM provisions WHERE doc = ? ORDER BY seq", (info.seq,))
        provisions = tuple(from_json(Provision, json.loads(r)) for (r,) in rows)
        return replace(from_json(Document, json.loads(record)), provisions=provisions)

    def documents_with(self, names: Sequence[str]) -> list[str]:
        """Ids of documents whose provisions have one of the strings, in order."""
        if not names:
            return []
        found: set[int] = set()
        for name in names:
            rows = self._db.execute("SELECT DISTINCT doc FROM provisions WHERE instr(record, ?)", (name,))
            found.update(doc for (doc,) in rows)
        return [d.doc_id for d in self.documents if d.seq in found]

    def digest(self, doc_id: str) -> Document | None:
        """The 要点摘编 that stands beside a full text, or None."""
        row = self._db.execute("SELECT record FROM digests WHERE doc_id = ?", (doc_id,)).fetchone()
        return from_json(Document, json.loads(row[0])) if row else None

    def provisions(self, seqs: Sequence[int]) -> dict[int, tuple[int, Provision]]:
        """seq -> (document seq, provision) for the seqs asked."""
        out: dict[int, tuple[int, Provision]] = {}
        for start in range(0, len(seqs), 500):
            part = [int(s) for s in seqs[start : start + 500]]
            marks = ",".join("?" * len(part))
            for seq, doc, record in self._db.execute(
                f"SELECT seq, doc, record FROM provisions WHERE seq IN ({marks})", part
            ):
                out[seq] = (doc, from_json(Provision, json.loads(record)))
        return out

    def provision_seqs(self, doc_seq: int) -> list[tuple[int, str]]:
        """(seq, label) of the provisions of a document, in order."""
        return list(self._db.execute("SELECT seq, label FROM provisions WHERE doc = ? ORDER BY seq", (doc_seq,)))

    def chunks(self, seqs: Sequence[int]) -> dict[int, Chunk]:
        """seq -> chunk for the seqs asked."""
        out: dict[int, Chunk] = {}
        for start in range(0, len(seqs), 500):
            part = [int(s) for s in seqs[start : start + 500]]
            marks = ",".join("?" * len(part))
            for seq, record in self._db.execute(f"SELECT seq, record FROM chunks WHERE seq IN ({marks})", part):
                out[seq] = from_json(Chunk, json.loads(record))
        return out

    def requirements(self, doc_id: str) -> list[Requirement]:
        """Duties of one document in reading order."""
        rows = self._db.execute("SELECT record FROM requirements WHERE doc = ? ORDER BY seq", (self.info(doc_id).seq,))
        return [from_json(Requirement, json.loads(r)) for (r,) in rows]

    def close(self) -> None:
        """Release the SQLite handle."""
        self._db.close()
