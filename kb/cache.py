"""What is expensive and depends only on content: read texts, parsed documents and vectors, in one file beside the index.

A parsed document is kept as the rows a generation stores of it, under the hash of its file and of the code that read it.
Full build and update take the same rows from here, so that they cannot differ. The file is derived data and may be deleted.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import functools
import hashlib
import json
import sqlite3
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata, resources
from pathlib import Path

import numpy as np

from kb import segment
from kb.catalog import Catalog
from kb.chunk import chunk
from kb.codec import from_json, to_json
from kb.corpus import SourceFile, amended_titles, describe, entry_for, to_document
from kb.embed import Encoder
from kb.errors import ReadError
from kb.models import Chunk, Document, DocumentMeta, SourceText
from kb.read import Limits, read_file
from kb.requirements import extract

Progress = Callable[[str, int, int], None]
BATCH = 512
# a vector that no kept generation holds (the judge's) goes when nobody has asked for it for so long, in days
IDLE_DAYS = 180
_PLAIN = (".md", ".markdown", ".txt", ".text")
# their results are texts too: with another version, or with OCR installed, a file may read differently
_READERS = ("pypdf", "pypdfium2", "python-docx", "lxml", "selectolax", "rapidocr")
# modules and lists that decide how a file is read, and how a text becomes rows; another version never reuses their results
_READING = ("read", "clean", "errors")
_PARSING = (
    "catalog",
    "quality",
    "metadata",
    "dates",
    "docnos",
    "front",
    "names",
    "structure",
    "units",
    "numerals",
    "titles",
    "marks",
    "cite",
    "parse",
    "chunk",
    "elements",
    "requirements",
    "segment",
    "corpus",
    "cache",
    "models",
)
_NO_PART = (
    "everyday.yaml",
    "places.yaml",
    "traditional.txt",
    "messages.yaml",
    "ranking.json",
    "remembered.npz",
    "catalog.schema.json",
    "judge_model.json",
)


@functools.cache
def reading_version() -> str:
    """Hash of the code that turns files into text."""
    return code_hash(_READING)


@functools.cache
def readers_version() -> str:
    """Hash of the libraries that read everything but plain text, OCR among them where it is installed."""
    return hash_of(json.dumps([(name, _version_of(name)) for name in _READERS]))


def _version_of(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""


def is_plain(name: str) -> bool:
    """Whether a file is read by our code alone, to judge by its name."""
    return name.lower().endswith(_PLAIN)


@functools.cache
def rules_version() -> str:
    """Hash of the code and lists that turn texts into provisions, chunks and requirements."""
    return code_hash((*_READING, *_PARSING), lists=True)


def code_hash(modules: Sequence[str], *, lists: bool = False) -> str:
    """Hash of some modules of the package and, with `lists`, of the lists in kb/data that decide what a text says."""
    digest = hashlib.sha256()
    root = resources.files("kb")
    parts = [e for e in root.iterdir() if any(e.name.removesuffix(".py") == m for m in modules)]
    parts += [e for e in (root / "data").iterdir() if e.name not in _NO_PART] if lists else []
    for entry in sorted(parts, key=lambda e: e.name):
        for file in sorted((e for e in entry.iterdir()), key=lambda e: e.name) if entry.is_dir() else [entry]:
            if file.is_file():
                digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Rows:
    """What a generation stores of one document, as JSON texts ready to be written.

    `provisions`: (id, label, record, words, bigrams, heading words). `chunks`: (position of the provision, text key,
    record). `requirements`: (id, record). `others`: (address, text, reason) of sentences that are no duty.
    """

    shell: str
    provisions: Sequence[Sequence[str]]
    chunks: Sequence[tuple[int, str, str]]
    requirements: Sequence[tuple[str, str]]
    others: Sequence[tuple[str, str, str]]


def rows_of(document: Document) -> Rows:
    """The rows of a document: its provisions with their words, its chunks, its duties."""
    seq_of = {p.provision_id: i for i, p in enumerate(document.provisions)}
    duties, others = extract(document)
    return Rows(
        shell=dump(replace(document, provisions=())),
        provisions=[
            (
                p.provision_id,
                p.label,
                dump(p),
                " ".join(segment.words(p.text)),
                " ".join(segment.bigrams(p.text)),
                " ".join(segment.words(" ".join(p.heading_path))),
            )
            for p in document.provisions
        ],
        chunks=[(seq_of[c.provision_id], text_key(passage_text(c)), dump(c)) for c in chunk(document)],
        requirements=[(r.requirement_id, dump(r)) for r in duties],
        others=[(o.address, o.text, o.reason) for o in others],
    )


def passage_text(c: Chunk) -> str:
    """What is embedded: heading context, then the sentence with its lead-in."""
    return f"{c.context}\n{c.search_text}"


def dump(record: object) -> str:
    """A record as compact JSON."""
    return json.dumps(to_json(record), ensure_ascii=False, separators=(",", ":"))


def text_key(text: str) -> str:
    """Hash and length of a text."""
    return f"{hash_of(text)}{len(text)}"


def hash_of(text: str) -> str:
    """Sixteen hex digits of the SHA-256 of a text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


_LIMITS = Limits()


class Cache:
    """The file. One process writes it at a time; a process that dies loses at most its last batch."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._db = self._open()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            path.unlink(missing_ok=True)  # damaged: derived data, so start again
            self._db = self._open()
        self._used: set[str] = set()
        self._met: set[str] = set()

    def _open(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._path.resolve().as_uri(), uri=True, timeout=30)
        db.executescript(
            "PRAGMA journal_mode = WAL;"
            "CREATE TABLE IF NOT EXISTS vectors (key TEXT PRIMARY KEY, vector BLOB) WITHOUT ROWID;"
            "CREATE TABLE IF NOT EXISTS asked (key TEXT PRIMARY KEY, day INTEGER) WITHOUT ROWID;"
            "CREATE TABLE IF NOT EXISTS sources (key TEXT PRIMARY KEY, record TEXT);"
            "CREATE TABLE IF NOT EXISTS parsed (key TEXT PRIMARY KEY, facts TEXT, stated TEXT, head TEXT, rows BLOB);"
        )
        return db

    def close(self) -> None:
        """Release the file."""
        self._db.close()

    # -- documents ------------------------------------------------------------------------------------------------------

    def document(
        self, file: SourceFile, catalog: Catalog, *, limits: Limits = _LIMITS, progress: Progress | None = None
    ) -> Document:
        """The document of a file without its text and structure; its rows are kept for `rows`.

        Args:
            progress: called with ("ocr", page, pages) while a scanned file is read.

        Raises:
            ReadError: the file cannot be read.
        """
        digest = _digest(file, limits)
        self._met.add(digest)
        key = _key(file.name, digest)
        found = self._db.execute("SELECT facts, stated, head FROM parsed WHERE key = ?", (key,)).fetchone()
        if found and found[0] == _facts(file, from_json(DocumentMeta, json.loads(found[1])), catalog):
            self._used.add(key)
            return from_json(Document, json.loads(found[2]))
        source = self._source(file, digest, limits, progress)
        told = describe(source, file)
        document = to_document(source, file, catalog, told)
        head = replace(document, text="", headings=(), provisions=(), pages=(), plain=())
        packed = zlib.compress(dump(rows_of(document)).encode("utf-8", "surrogatepass"), 1)
        with self._db:
            self._db.execute(
                "INSERT OR REPLACE INTO parsed VALUES (?, ?, ?, ?, ?)",
                (key, _facts(file, told.meta, catalog), dump(told.meta), dump(head), packed),
            )
        self._used.add(key)
        return head

    def rows(self, document: Document) -> Rows:
        """The rows of a document that `document` returned."""
        key = _key(document.source_path, document.sha256)
        packed = self._db.execute("SELECT rows FROM parsed WHERE key = ?", (key,)).fetchone()[0]
        return Rows(**json.loads(zlib.decompress(packed).decode("utf-8", "surrogatepass")))

    def forget_unused(self) -> None:
        """Drop texts and parsed documents of files that this build did not meet, so that the file does not grow without end."""
        with self._db:
            held = [k for (k,) in self._db.execute("SELECT key FROM parsed") if k not in self._used]
            self._db.executemany("DELETE FROM parsed WHERE key = ?", [(k,) for k in held])
            read = [k for (k,) in self._db.execute("SELECT key FROM sources") if k.rpartition("/")[2] not in self._met]
            self._db.executemany("DELETE FROM sources WHERE key = ?", [(k,) for k in read])

    def _source(self, file: SourceFile, digest: str, limits: Limits, progress: Progress | None) -> SourceText:
        """`read_file`, remembered by content for every kind of file that is slow to read."""

        def pages(stage: str, done: int, total: int) -> None:
            if progress and stage == "ocr":  # the pages of other files go by too fast to be told
                progress(stage, done, total)

        if is_plain(file.name):
            return read_file(file.path, name=file.name, limits=limits)
        key = f"{reading_version()}/{readers_version()}/{file.path.suffix.lower()}/{digest}"
        row = self._db.execute("SELECT record FROM sources WHERE key = ?", (key,)).fetchone()
        if row:
            return replace(from_json(SourceText, json.loads(row[0])), path=file.name)
        source = read_file(file.path, name=file.name, limits=limits, progress=pages)
        with self._db:
            self._db.execute("INSERT OR REPLACE INTO sources VALUES (?, ?)", (key, dump(source)))
        return source

    # -- vectors --------------------------------------------------------------------------------------------------------

    def embed(self, encoder: Encoder, texts: Sequence[str], progress: Progress | None = None) -> int:
        """Encode the texts that the cache lacks; returns how many. These texts are of no generation, so they are noted as asked for."""
        keyed = {text_key(t): t for t in texts}
        wanted = self.missing(encoder, keyed)
        count = self.embed_keyed(encoder, {k: keyed[k] for k in wanted}, progress)
        today = dt.date.today().toordinal()
        with self._db:
            self._db.executemany(
                "INSERT INTO asked VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET day = excluded.day WHERE day < excluded.day - 7",
                [(f"{encoder.fingerprint}:{k}", today) for k in keyed],
            )
        return count

    def prune_vectors(self, held: Iterable[tuple[str, Path]]) -> int:
        """Drop vectors that nothing needs; returns how many.

        Args:
            held: (encoder fingerprint, library.db) of every generation that is kept.
        """
        oldest = dt.date.today().toordinal() - IDLE_DAYS
        db = self._db
        db.execute("CREATE TEMP TABLE live (key TEXT PRIMARY KEY) WITHOUT ROWID")
        try:
            for fingerprint, library in held:
                db.execute("ATTACH DATABASE ? AS held", (f"{library.resolve().as_uri()}?mode=ro&immutable=1",))
                with db:
                    db.execute(
                        "INSERT OR IGNORE INTO live SELECT ? || ':' || text_key FROM held.chunks", (fingerprint,)
                    )
                db.execute("DETACH DATABASE held")
            with db:
                dropped = db.execute(
                    "DELETE FROM vectors WHERE key NOT IN (SELECT key FROM live)"
                    " AND key NOT IN (SELECT key FROM asked WHERE day >= ?)",
                    (oldest,),
                ).rowcount
                db.execute("DELETE FROM asked WHERE day < ?", (oldest,))
        finally:
            db.execute("DROP TABLE live")
        free, pages = (db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("freelist_count", "page_count"))
        if free * 4 > pages:
            with contextlib.suppress(sqlite3.OperationalError):  # a disk too full to tidy up
                db.execute("VACUUM")
        return dropped

    def missing(self, encoder: Encoder, keys: Iterable[str]) -> set[str]:
        """Those of the text keys that have no vector."""
        db = self._db
        db.execute("CREATE TEMP TABLE wanted (key TEXT PRIMARY KEY) WITHOUT ROWID")
        try:
            with db:
                db.executemany("INSERT OR IGNORE INTO wanted VALUES (?)", ((k,) for k in keys))
            absent = db.execute(
                "SELECT key FROM wanted WHERE NOT EXISTS (SELECT 1 FROM vectors WHERE vectors.key = ? || wanted.key)",
                (f"{encoder.fingerprint}:",),
            )
            return {key for (key,) in absent}
        finally:
            db.execute("DROP TABLE wanted")

    def embed_keyed(self, encoder: Encoder, texts: Mapping[str, str], progress: Progress | None = None) -> int:
        """Encode texts by their keys, in batches that are saved as they come; returns how many."""
        # long and short texts do not share a batch, so that little time goes into padding
        ordered = sorted(texts.items(), key=lambda pair: (len(pair[1]), pair[0]))
        for start in range(0, len(ordered), BATCH):
            part = ordered[start : start + BATCH]
            vectors = encoder.encode_passages([text for _, text in part]).astype(np.float16)
            with self._db:
                self._db.executemany(
                    "INSERT OR REPLACE INTO vectors VALUES (?, ?)",
                    [(f"{encoder.fingerprint}:{k}", v.tobytes()) for (k, _), v in zip(part, vectors, strict=True)],
                )
            if progress:
                progress("embed", min(start + BATCH, len(ordered)), len(ordered))
        return len(ordered)

    def vectors(self, encoder: Encoder, texts: Iterable[str]) -> Iterator[np.ndarray]:
        """Cached vectors in the order of the texts, float32 (n, dim), batch by batch."""
        return self.vectors_of(encoder, (text_key(t) for t in texts))

    def vectors_of(self, encoder: Encoder, keys: Iterable[str]) -> Iterator[np.ndarray]:
        """Cached vectors in the order of the text keys, float32 (n, dim), batch by batch."""
        batch: list[str] = []
        for key in keys:
            batch.append(f"{encoder.fingerprint}:{key}")
            if len(batch) == BATCH:
                yield self._fetch(batch, encoder.dim)
                batch = []
        if batch:
            yield self._fetch(batch, encoder.dim)

    def _fetch(self, keys: Sequence[str], dim: int) -> np.ndarray:
        marks = ",".join("?" * len(keys))
        found = dict(self._db.execute(f"SELECT key, vector FROM vectors WHERE key IN ({marks})", keys))
        return np.frombuffer(b"".join([found[k] for k in keys]), dtype=np.float16).reshape(-1, dim).astype(np.float32)


def _key(name: str, sha256: str) -> str:
    readers = "" if is_plain(name) else readers_version()
    return f"{rules_version()}/{readers}/{name}/{sha256}"


def _digest(file: SourceFile, limits: Limits) -> str:
    """SHA-256 of a file; one that is too large is not read at all.

    Raises:
        ReadError: as `read_file` has it for such a file.
    """
    if file.path.stat().st_size > limits.max_bytes:
        read_file(file.path, name=file.name, limits=limits)
        raise ReadError(f"{file.name}: changed while it was read", hint="Run the same command again.")
    with file.path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _facts(file: SourceFile, stated: DocumentMeta, catalog: Catalog) -> str:
    """Hash of what the rows owe to the catalogue and to other files: the entry and the id."""
    entry = entry_for(file, stated, catalog)
    facts: Mapping[str, object] = to_json(entry) if entry else {}
    told = [file.stem_id, {k: v for k, v in facts.items() if k != "line"}, amended_titles(entry, catalog)]
    return hash_of(json.dumps(told, ensure_ascii=False))
