"""Chunks in, a generation on disk out: SQLite, tantivy, FAISS and a manifest; and the Library that reads it.

A generation is written beside the others under a temporary name, made durable, renamed, and only then does the
pointer `current` name it. A build that dies leaves the previous generation in force. Vectors live in a cache keyed by
(encoder fingerprint, text hash), so a build embeds only text that no earlier build has seen.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import json
import math
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from kb import segment
from kb.chunk import MAX_CHARS, chunk
from kb.cite import Citation
from kb.codec import from_json, to_json
from kb.corpus import LoadedCorpus, load
from kb.embed import Encoder, load_encoder
from kb.errors import IndexError_, LockedError, NotFoundError
from kb.models import Chunk, Document, DocumentMeta, Finding, Provision, Requirement, SourceText, Unit
from kb.read import read_file
from kb.requirements import extract
from kb.settings import Settings
from kb.store import FaissStore, TantivyStore
from kb.titles import TitleEntry, TitleIndex

FORMAT = 1
# raised when parsing, chunking or requirement rules change in a way that old generations do not show
RULES_VERSION = "2026-11-22"
BATCH = 512
Progress = Callable[[str, int, int], None]

_SCHEMA = """
CREATE TABLE documents (seq INTEGER PRIMARY KEY, doc_id TEXT UNIQUE, sha256 TEXT, meta TEXT, quality TEXT,
                        n_provisions INTEGER, record TEXT);
CREATE TABLE provisions (seq INTEGER PRIMARY KEY, provision_id TEXT UNIQUE, doc INTEGER, label TEXT, record TEXT);
CREATE INDEX provisions_doc ON provisions (doc);
CREATE TABLE chunks (seq INTEGER PRIMARY KEY, provision INTEGER, record TEXT);
CREATE INDEX chunks_provision ON chunks (provision);
CREATE TABLE requirements (seq INTEGER PRIMARY KEY, requirement_id TEXT UNIQUE, doc INTEGER, record TEXT);
CREATE INDEX requirements_doc ON requirements (doc);
CREATE TABLE non_requirements (doc INTEGER, address TEXT, text TEXT, reason TEXT);
"""


@dataclass(frozen=True, slots=True)
class DocumentCounts:
    """How the files of this build compare with the generation before; they add up to what was scanned."""

    new: int = 0
    changed: int = 0
    same: int = 0
    removed: int = 0
    failed: int = 0


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


def build(settings: Settings, *, progress: Progress | None = None, force: bool = False) -> BuildSummary:
    """Read the corpus and switch to a new generation; nothing is written when nothing changed.

    Raises:
        IndexError_: the corpus folder is missing or holds no document, or the index folder cannot be written.
        LockedError: another process is building.
    """
    started = time.monotonic()
    if not settings.corpus.is_dir():
        raise IndexError_(f"{settings.corpus} is not a folder", hint="Name the corpus with --corpus DIR or KB_CORPUS.")
    with _lock(settings.index):
        cache = Cache(settings.index / "cache.db")
        corpus = load(settings.corpus, read=cache.read, progress=progress)
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
            return _unchanged(before, counts, corpus, started)
        summary = _write_generation(settings, corpus, encoder, cache, identity, counts, progress)
        _prune(settings)
        return replace(summary, seconds=round(time.monotonic() - started, 2))


def _unchanged(before: dict, counts: DocumentCounts, corpus: LoadedCorpus, started: float) -> BuildSummary:
    size = before["counts"]
    return BuildSummary(
        before["generation"], counts, size["provisions"], size["chunks"], size["requirements"], 0,
        round(time.monotonic() - started, 2), corpus.findings,
    )


def _write_generation(settings, corpus, encoder, cache, identity, counts, progress) -> BuildSummary:
    created = dt.datetime.now(dt.UTC)
    generation = f"gen-{created:%Y%m%dT%H%M%S%f}"
    folder = settings.index / f".tmp-{generation}"
    folder.mkdir(parents=True)
    try:
        rows = _write_library(folder / "library.db", corpus.documents)
        TantivyStore.build(folder / "lexical", _lexical_rows(corpus.documents))
        embedded = 0
        if encoder:
            texts = [passage_text(c) for doc in corpus.documents for c in chunk(doc)]
            embedded = cache.embed(encoder, texts, progress)
            FaissStore.build(folder / "vectors.faiss", cache.vectors(encoder, texts), encoder.dim)
        _write_manifest(folder, generation, created, settings, corpus, encoder, identity, rows)
        _make_durable(folder)
        os.rename(folder, settings.index / generation)
        _point_to(settings.index, generation)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return BuildSummary(
        generation, counts, rows["provisions"], rows["chunks"], rows["requirements"], embedded, 0.0, corpus.findings
    )


def _write_library(path: Path, documents: Sequence[Document]) -> dict[str, int]:
    """Write the SQLite file and the two arrays that map a chunk to its provision and its document."""
    rows = {"documents": 0, "provisions": 0, "chunks": 0, "requirements": 0}
    chunk_docs: list[int] = []
    chunk_provisions: list[int] = []
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;" + _SCHEMA)
        for doc_seq, doc in enumerate(documents):
            seq_of: dict[str, int] = {}
            for provision in doc.provisions:
                seq = rows["provisions"]
                seq_of[provision.provision_id] = seq
                db.execute(
                    "INSERT INTO provisions VALUES (?, ?, ?, ?, ?)",
                    (seq, provision.provision_id, doc_seq, provision.label, _dump(provision)),
                )
                rows["provisions"] += 1
            for c in chunk(doc):
                db.execute("INSERT INTO chunks VALUES (?, ?, ?)", (rows["chunks"], seq_of[c.provision_id], _dump(c)))
                chunk_docs.append(doc_seq)
                chunk_provisions.append(seq_of[c.provision_id])
                rows["chunks"] += 1
            requirements, others = extract(doc)
            for requirement in requirements:
                db.execute(
                    "INSERT INTO requirements VALUES (?, ?, ?, ?)",
                    (rows["requirements"], requirement.requirement_id, doc_seq, _dump(requirement)),
                )
                rows["requirements"] += 1
            db.executemany(
                "INSERT INTO non_requirements VALUES (?, ?, ?, ?)", ((doc_seq, o.address, o.text, o.reason) for o in others)
            )
            shell = replace(doc, provisions=())
            db.execute(
                "INSERT INTO documents VALUES (?, ?, ?, ?, ?, ?, ?)",
                (doc_seq, doc.doc_id, doc.sha256, _dump(doc.meta), doc.quality, len(doc.provisions), _dump(shell)),
            )
            rows["documents"] += 1
        db.commit()
    np.save(path.with_name("chunk_docs.npy"), np.asarray(chunk_docs, dtype=np.int32))
    np.save(path.with_name("chunk_provisions.npy"), np.asarray(chunk_provisions, dtype=np.int32))
    return rows


def _lexical_rows(documents: Sequence[Document]) -> Iterator[dict]:
    seq = 0
    for doc_seq, doc in enumerate(documents):
        title = segment.words(" ".join((doc.meta.title, *doc.meta.aliases)))
        for provision in doc.provisions:
            yield {
                "seq": seq, "doc": doc_seq, "words": segment.words(provision.text),
                "bigrams": segment.bigrams(provision.text), "title": title,
                "heading": segment.words(" ".join(provision.heading_path)),
            }
            seq += 1


def passage_text(c: Chunk) -> str:
    """What is embedded: heading context, then the sentence with its lead-in."""
    return f"{c.context}\n{c.search_text}"


def _dump(record: object) -> str:
    return json.dumps(to_json(record), ensure_ascii=False, separators=(",", ":"))


def _identity(corpus: LoadedCorpus, encoder: Encoder | None) -> str:
    """One hash over everything a generation depends on."""
    parts = {
        "format": FORMAT, "rules": RULES_VERSION, "chunk_chars": MAX_CHARS,
        "encoder": encoder.fingerprint if encoder else None, "words": segmenter_hash(),
        "documents": [(d.doc_id, d.sha256, _dump(d.meta)) for d in corpus.documents],
    }
    return _hash(json.dumps(parts, ensure_ascii=False, sort_keys=True))


def segmenter_hash() -> str:
    """Hash of the word lists; a lexical index built with other lists must be rebuilt."""
    return _hash("\n".join((*segment.load_list("userdict.txt"), *segment.load_list("stopwords.txt"))))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _compare(before: dict | None, corpus: LoadedCorpus) -> DocumentCounts:
    old = (before or {}).get("documents", {})
    new = {d.doc_id: d.sha256 for d in corpus.documents}
    return DocumentCounts(
        new=sum(1 for i in new if i not in old),
        changed=sum(1 for i, sha in new.items() if i in old and old[i] != sha),
        same=sum(1 for i, sha in new.items() if old.get(i) == sha),
        removed=sum(1 for i in old if i not in new),
        failed=len(corpus.failed),
    )


def _write_manifest(folder, generation, created, settings, corpus, encoder, identity, rows) -> None:
    manifest = {
        "format": FORMAT, "generation": generation, "created_at": created.isoformat(timespec="seconds"),
        "identity": identity, "corpus": str(settings.corpus), "rules": RULES_VERSION, "words": segmenter_hash(),
        "encoder": {"name": encoder.name, "fingerprint": encoder.fingerprint, "dim": encoder.dim} if encoder else None,
        "counts": rows, "documents": {d.doc_id: d.sha256 for d in corpus.documents}, "failed": list(corpus.failed),
        "findings": [to_json(f) for f in corpus.findings],
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, ensure_ascii=False, indent=1), encoding="utf-8")


def _make_durable(folder: Path) -> None:
    for path in [*folder.rglob("*"), folder]:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _point_to(index: Path, generation: str) -> None:
    """Switch `current` atomically: write beside, fsync, rename, fsync the folder."""
    temporary = index / f".current-{os.getpid()}"
    with temporary.open("w", encoding="utf-8") as handle:
        handle.write(generation)
        handle.flush()
        os.fsync(handle.fileno())
    os.replace(temporary, index / "current")
    handle = os.open(index, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def generations(index: Path) -> list[str]:
    """Names of complete generations, oldest first."""
    return sorted(p.name for p in index.glob("gen-*") if (p / "manifest.json").is_file())


def rollback(settings: Settings) -> str:
    """Point to the generation before the current one and return its name."""
    with _lock(settings.index):
        names, current = generations(settings.index), current_generation(settings.index)
        earlier = [n for n in names if current is None or n < current]
        if not earlier:
            raise IndexError_("there is no earlier generation to return to", hint="kb build makes a new one.")
        _point_to(settings.index, earlier[-1])
        return earlier[-1]


def _prune(settings: Settings) -> None:
    """Remove old generations beyond the setting, and temporary folders of builds that died."""
    current = current_generation(settings.index)
    for name in generations(settings.index)[: -max(settings.keep_generations, 1)]:
        if name != current:
            shutil.rmtree(settings.index / name, ignore_errors=True)
    for leftover in settings.index.glob(".tmp-gen-*"):
        shutil.rmtree(leftover, ignore_errors=True)


def current_generation(index: Path) -> str | None:
    """Name of the generation in force, or None."""
    try:
        name = (index / "current").read_text(encoding="utf-8").strip()
    except OSError:
        return None
    return name if name and (index / name / "manifest.json").is_file() else None


def read_manifest(index: Path) -> dict | None:
    """Manifest of the generation in force, or None."""
    name = current_generation(index)
    return json.loads((index / name / "manifest.json").read_text(encoding="utf-8")) if name else None


@contextlib.contextmanager
def _lock(index: Path) -> Iterator[None]:
    from filelock import FileLock, Timeout

    try:
        index.mkdir(parents=True, exist_ok=True)
        lock = FileLock(index / ".lock")
        lock.acquire(timeout=0)
    except Timeout:
        raise LockedError(f"another build is running: {_lock_owner(index)}", hint="Wait for it, then try again.") from None
    except OSError as error:
        raise IndexError_(f"{index} cannot be written: {error}", hint="Choose another folder with --index DIR.") from error
    try:
        owner = {"pid": os.getpid(), "since": dt.datetime.now(dt.UTC).isoformat(timespec="seconds")}
        (index / ".lock-owner.json").write_text(json.dumps(owner), encoding="utf-8")
        yield
    finally:
        lock.release()


def _lock_owner(index: Path) -> str:
    try:
        owner = json.loads((index / ".lock-owner.json").read_text(encoding="utf-8"))
        return f"process {owner['pid']} since {owner['since']}"
    except (OSError, ValueError, KeyError):
        return "owner unknown"


class Cache:
    """What is expensive and depends only on content: vectors by text hash, extracted text of binary files by file hash."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path)
        self._db.executescript(
            "PRAGMA journal_mode = WAL;"
            "CREATE TABLE IF NOT EXISTS vectors (key TEXT PRIMARY KEY, vector BLOB) WITHOUT ROWID;"
            "CREATE TABLE IF NOT EXISTS sources (key TEXT PRIMARY KEY, record TEXT);"
        )

    def read(self, path: Path, name: str | None = None) -> SourceText:
        """`read_file`, remembered by content for every kind of file that is slow to read."""
        if path.suffix.lower() in (".md", ".txt"):
            return read_file(path, name=name)
        key = f"{RULES_VERSION}/{path.suffix.lower()}/{hashlib.sha256(path.read_bytes()).hexdigest()}"
        row = self._db.execute("SELECT record FROM sources WHERE key = ?", (key,)).fetchone()
        if row:
            return replace(from_json(SourceText, json.loads(row[0])), path=name or path.name)
        source = read_file(path, name=name)
        with self._db:
            self._db.execute("INSERT OR REPLACE INTO sources VALUES (?, ?)", (key, _dump(source)))
        return source

    def embed(self, encoder: Encoder, texts: Sequence[str], progress: Progress | None = None) -> int:
        """Encode the texts that the cache lacks, in batches that are saved as they come; returns how many."""
        wanted = {_vector_key(encoder, text): text for text in texts}
        missing = [(key, wanted[key]) for key in wanted if not self._has(key)]
        # long and short texts do not share a batch, so little time goes into padding
        missing.sort(key=lambda pair: (len(pair[1]), pair[0]))
        for start in range(0, len(missing), BATCH):
            part = missing[start : start + BATCH]
            vectors = encoder.encode_passages([text for _, text in part]).astype(np.float16)
            with self._db:
                self._db.executemany(
                    "INSERT OR REPLACE INTO vectors VALUES (?, ?)",
                    [(key, vector.tobytes()) for (key, _), vector in zip(part, vectors, strict=True)],
                )
            if progress:
                progress("embed", min(start + BATCH, len(missing)), len(missing))
        return len(missing)

    def vectors(self, encoder: Encoder, texts: Iterable[str]) -> Iterator[np.ndarray]:
        """Cached vectors in the order of the texts, float32 (n, dim), batch by batch."""
        batch: list[str] = []
        for text in texts:
            batch.append(_vector_key(encoder, text))
            if len(batch) == BATCH:
                yield self._fetch(batch, encoder.dim)
                batch = []
        if batch:
            yield self._fetch(batch, encoder.dim)

    def _has(self, key: str) -> bool:
        return self._db.execute("SELECT 1 FROM vectors WHERE key = ?", (key,)).fetchone() is not None

    def _fetch(self, keys: Sequence[str], dim: int) -> np.ndarray:
        marks = ",".join("?" * len(keys))
        found = dict(self._db.execute(f"SELECT key, vector FROM vectors WHERE key IN ({marks})", keys))
        return np.stack([np.frombuffer(found[key], dtype=np.float16) for key in keys]).astype(np.float32).reshape(-1, dim)


def _vector_key(encoder: Encoder, text: str) -> str:
    return f"{encoder.fingerprint}:{_hash(text)}{len(text)}"


def title_entry(info: DocumentInfo, labels: frozenset[str]) -> TitleEntry:
    """What the title index must know of one document."""
    meta = info.meta
    return TitleEntry(
        info.doc_id, meta.title, meta.aliases, meta.doc_no, meta.level, draft=meta.status == "draft",
        in_force=meta.status in ("in_force", "amended", "unverified"), effective_on=meta.effective_on or "", labels=labels,
    )


def _names(citation: Citation, unit: Unit) -> bool:
    return (unit.paragraph, unit.item, unit.subitem) == (citation.paragraph or 1, citation.item, citation.subitem)


class Library:
    """Read access to one generation. Many threads may share one; it never writes."""

    def __init__(self, settings: Settings) -> None:
        name = current_generation(settings.index)
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
        self._db = sqlite3.connect(f"file:{self.folder / 'library.db'}?mode=ro&immutable=1", uri=True, check_same_thread=False)

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

    def idf(self, words: Iterable[str]) -> dict[str, float]:
        """Weight of each word by its rarity in this library (BM25 form); unknown words weigh most."""
        total = self.manifest["counts"]["provisions"]
        return {w: math.log(1 + (total - n + 0.5) / (n + 0.5)) for w in set(words) for n in (self.lexical.frequency(w),)}

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

    def provisions(self, seqs: Sequence[int]) -> dict[int, tuple[int, Provision]]:
        """seq -> (document seq, provision) for the seqs asked."""
        out: dict[int, tuple[int, Provision]] = {}
        for start in range(0, len(seqs), 500):
            part = [int(s) for s in seqs[start : start + 500]]
            marks = ",".join("?" * len(part))
            for seq, doc, record in self._db.execute(f"SELECT seq, doc, record FROM provisions WHERE seq IN ({marks})", part):
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
