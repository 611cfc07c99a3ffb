"""Search speed and memory on a library of hundreds of thousands of articles, without encoding them.

    python scripts/bench_scale.py build FOLDER --articles statutes.jsonl.gz --vectors VECTORS.npy [--size 600000]
    python scripts/bench_scale.py search FOLDER --queries QUERIES.jsonl [--count 200] [--threads 8]

`build` repeats real articles (id, law, chapter, article, text; vectors in the same order) with a little noise on every
vector until SIZE is reached, and writes them as a generation of the ordinary format; `search` runs whole searches on it,
query embedding included, and prints times, memory and how often the stored vectors find the true ten nearest.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from kb import segment
from kb.cache import Rows, dump
from kb.embed import load_encoder
from kb.index import FORMAT, Library, LibraryWriter, write_recall
from kb.metrics import percentile
from kb.models import Chunk, Document, DocumentMeta, Provision, Unit
from kb.numerals import article_label
from kb.search import Filters, search
from kb.settings import load_settings
from kb.statutes import Article, read_articles
from kb.store import FaissStore, TantivyStore

GENERATION = "gen-000001-scale"
NOISE = 0.02
SEED = 5


def main() -> None:
    """Build the library or search it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("step", choices=["build", "search"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--articles", type=Path)
    parser.add_argument("--vectors", type=Path)
    parser.add_argument("--size", type=int, default=600_000)
    parser.add_argument("--queries", type=Path)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--threads", type=int, default=8)
    args = parser.parse_args()
    result = build(args) if args.step == "build" else measure(args)
    print(json.dumps(result, ensure_ascii=False, indent=1))


@dataclass(frozen=True, slots=True)
class _Law:
    """One copy of one law: its document and the rows a library stores of it."""

    document: Document
    rows: Rows


def build(args: argparse.Namespace) -> dict:
    """Write the generation; returns its size and how long each part took."""
    articles = read_articles(args.articles)
    base = np.load(args.vectors).astype(np.float32)
    if len(base) != len(articles):
        raise SystemExit(f"{len(articles)} articles but {len(base)} vectors")
    folder = args.folder / GENERATION
    folder.mkdir(parents=True)
    started = time.monotonic()
    laws = list(_laws(articles))
    copies = -(-args.size // len(articles))
    writer = LibraryWriter(folder / "library.db", SimpleNamespace(rows=lambda law: law.rows), None)
    corpus = SimpleNamespace(documents=_repeated(laws, copies), digests=())
    TantivyStore.build(folder / "lexical", writer.write(corpus))
    text_s = time.monotonic() - started
    FaissStore.build(folder / "vectors.faiss", _noisy(base, copies), base.shape[1])
    encoder = load_encoder()
    with contextlib.closing(sqlite3.connect(folder / "library.db")) as db:
        write_recall(folder, db, encoder)
    manifest = {
        "format": FORMAT,
        "generation": GENERATION,
        "encoder": {"name": encoder.name, "fingerprint": encoder.fingerprint, "dim": encoder.dim},
        "counts": writer.rows,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    sizes = {p.name: round(_size(p) / 2**20) for p in folder.iterdir()}
    return {"counts": writer.rows, "text_s": round(text_s), "all_s": round(time.monotonic() - started), "mib": sizes}


def _size(path: Path) -> int:
    return sum(p.stat().st_size for p in path.rglob("*")) if path.is_dir() else path.stat().st_size


def _laws(articles: list[Article]) -> Iterator[_Law]:
    """Neighbouring articles of one law as one document; an article is one provision and one chunk."""
    start = 0
    for end in range(1, len(articles) + 1):
        if end == len(articles) or articles[end].law != articles[start].law:
            yield _law(f"law-{start}", articles[start:end])
            start = end


def _law(doc_id: str, articles: list[Article]) -> _Law:
    title = articles[0].law
    places, chunks = [], []
    for at, article in enumerate(articles):
        label = article_label(at + 1)
        name, size, text = f"{doc_id}/{at}", len(article.text), article.text
        heading = (article.chapter,) if article.chapter else ()
        unit = Unit("paragraph", 1, None, None, label, text, 0, size)
        provision = Provision(name, doc_id, "article", (at + 1, 0), label, heading, text, 0, size, (unit,))
        chunk = Chunk(f"{name}#0", name, doc_id, label, text, text, f"{title} {label}", 0, size)
        words, pairs = " ".join(segment.words(text)), " ".join(segment.bigrams(text))
        places.append((name, label, dump(provision), words, pairs, " ".join(segment.words(article.chapter))))
        chunks.append((at, f"{name}#0", dump(chunk)))
    meta = DocumentMeta(title=title, level="national", status="in_force")
    document = Document(doc_id, "1", meta, "", (), ())
    return _Law(document, Rows(dump(document), places, chunks, (), ()))


@dataclass(frozen=True, slots=True)
class _Copy:
    """A law under another id and title, with the fields LibraryWriter reads of a document."""

    doc_id: str
    meta: DocumentMeta
    rows: Rows
    sha256: str = ""
    quality: str = "complete"


def _repeated(laws: list[_Law], copies: int) -> Iterator[_Copy]:
    for copy in range(copies):
        for law in laws:
            meta = law.document.meta
            title = meta.title + (f"（{copy}）" if copy else "")
            renamed = DocumentMeta(title=title, level=meta.level, status=meta.status)
            places = [(f"{copy}:{row[0]}", *row[1:]) for row in law.rows.provisions]
            rows = Rows(law.rows.shell, places, law.rows.chunks, (), ())
            yield _Copy(f"{copy}:{law.document.doc_id}", renamed, rows)


def _noisy(base: np.ndarray, copies: int) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(SEED)
    for copy in range(copies):
        for start in range(0, len(base), 8192):
            part = base[start : start + 8192]
            moved = part if not copy else part + rng.normal(0, NOISE, part.shape).astype(np.float32)
            yield moved / np.linalg.norm(moved, axis=1, keepdims=True)


def measure(args: argparse.Namespace) -> dict:
    """Times of whole searches, alone and by several users at once; memory; recall of the stored vectors."""
    lines = [
        json.loads(line)["query"] for line in args.queries.read_text(encoding="utf-8").splitlines() if line.strip()
    ]
    queries = lines[: args.count]
    started = time.monotonic()
    library = Library(load_settings({"index": args.folder}), GENERATION)
    search(library, queries[0])
    first_s = time.monotonic() - started
    for query in queries[:20]:
        search(library, query)
    alone = [_timed(library, q) for q in queries]
    filtered = [_timed(library, q, Filters(title="办法")) for q in queries[:50]]
    together, errors = _together(library, queries, args.threads)
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":" in line)
    return {
        "chunks": library.manifest["counts"]["chunks"],
        "load_and_first_search_s": round(first_s, 2),
        "p50_ms": round(percentile(alone, 50), 1),
        "p95_ms": round(percentile(alone, 95), 1),
        "filtered_p95_ms": round(percentile(filtered, 95), 1),
        f"{args.threads}_users_p95_ms": round(percentile(together, 95), 1),
        "errors": errors,
        "memory_mib": {name: int(status[name].split()[0]) // 1024 for name in ("VmHWM", "VmRSS", "RssAnon", "RssFile")},
        "recall@10_of_fp32": _recall(library, queries[:40]),
    }


def _timed(library: Library, query: str, filters: Filters | None = None) -> float:
    started = time.perf_counter()
    search(library, query, filters)
    return (time.perf_counter() - started) * 1000


def _together(library: Library, queries: list[str], users: int) -> tuple[list[float], list[str]]:
    """Every user searches a share of the queries at the same time on one Library."""
    times: list[float] = []
    errors: list[str] = []

    def user(part: list[str]) -> None:
        for query in part:
            try:
                times.append(_timed(library, query))
            except Exception as error:  # whatever goes wrong under load is the finding
                errors.append(repr(error))

    threads = [threading.Thread(target=user, args=(queries[i::users],)) for i in range(users)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times, sorted(set(errors))


def _recall(library: Library, queries: list[str]) -> float:
    """Share of the true ten nearest (float32, all vectors) that the store returns."""
    vectors = library.encoder.encode_queries(queries)
    _, found = library.vectors.search(vectors, 10, None)
    total, step = library.manifest["counts"]["chunks"], 20_000
    best = np.full((len(queries), 0), 0.0, dtype=np.float32)
    names = np.zeros((len(queries), 0), dtype=np.int64)
    for start in range(0, total, step):
        rows = np.arange(start, min(total, start + step))
        best = np.concatenate([best, vectors @ library.vectors.vectors(rows).T], axis=1)
        names = np.concatenate([names, np.tile(rows, (len(queries), 1))], axis=1)
        order = np.argsort(-best, axis=1)[:, :10]
        best, names = np.take_along_axis(best, order, axis=1), np.take_along_axis(names, order, axis=1)
    hits = [len(set(a.tolist()) & set(b.tolist())) for a, b in zip(found, names, strict=True)]
    return round(sum(hits) / (10 * len(queries)), 4)


if __name__ == "__main__":
    main()
