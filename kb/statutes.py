"""Articles of many laws and questions of the public in, retrieval numbers out (`kb eval statutes`).

The stores and the pool are those of the product; there is no re-ranking, so that the numbers speak of retrieval. An
article is one passage (law, chapter, text), as in STARD (Su et al. 2024).
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kb import pool, segment
from kb.cache import Cache
from kb.embed import Encoder
from kb.errors import UsageError
from kb.evaluate import read_lines
from kb.metrics import ndcg, percentile, reciprocal_rank
from kb.remembered import Recall, memory_of
from kb.store import FaissStore, TantivyStore

DEPTH = 100
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Article:
    """One article of a law; `passage` is what is embedded."""

    article_id: str
    law: str
    chapter: str
    text: str

    @property
    def passage(self) -> str:
        return f"{self.law} {self.chapter}\n{self.text}"


@dataclass(frozen=True, slots=True)
class Question:
    """A question and the ids of the articles that answer it."""

    text: str
    relevant: frozenset[str]


def read_articles(path: Path) -> list[Article]:
    """One JSON object a line: id, law, chapter, text.

    Raises:
        UsageError: a line without these fields, with file and line.
    """
    return [
        Article(str(r["id"]), r["law"], r.get("chapter") or "", r["text"]) for r in _rows(path, ("id", "law", "text"))
    ]


def read_questions(path: Path) -> list[Question]:
    """One JSON object a line: query, relevant (article ids)."""
    return [Question(r["query"], frozenset(map(str, r["relevant"]))) for r in _rows(path, ("query", "relevant"))]


def _rows(path: Path, needed: Sequence[str]) -> Iterator[dict]:
    for number, line in enumerate(read_lines(path), 1):
        try:
            row = json.loads(line)
            if any(name not in row for name in needed):
                raise ValueError(f"needs {', '.join(needed)}")
        except ValueError as error:
            raise UsageError(f"{path}:{number}: {error}") from error
        yield row


def evaluate_statutes(
    articles: Sequence[Article],
    questions: Sequence[Question],
    encoder: Encoder | None,
    cache: Cache,
    progress: Progress | None = None,
) -> dict:
    """Recall at 5, 10 and 100, MRR@10 and nDCG@10 of the fused ranking, and of each part alone."""
    with tempfile.TemporaryDirectory() as folder:
        TantivyStore.build(Path(folder) / "lexical", _lexical_rows(articles))
        lexical = TantivyStore(Path(folder) / "lexical")
        vectors = _vector_store(Path(folder) / "vectors.faiss", articles, encoder, cache, progress) if encoder else None
        ids = [a.article_id for a in articles]
        ranker = _Ranker(articles, lexical, vectors, encoder)
        runs: dict[str, list[list[str]]] = {"hybrid": [], "lexical": [], "dense": []}
        times = []
        for question in questions:
            started = time.perf_counter()
            orders = ranker.orders(question.text)
            times.append((time.perf_counter() - started) * 1000)
            for name, order in orders.items():
                runs[name].append([ids[seq] for seq in order])
    used = ("hybrid", "lexical", "dense") if encoder else ("lexical",)
    parts = {name: _numbers(questions, runs[name]) for name in used}
    best = parts["hybrid" if encoder else "lexical"]
    return {"n": len(questions), **best, "p50_ms": round(percentile(times, 50), 1), "parts": parts}


class _Ranker:
    """Ranks the articles for one question after the other."""

    def __init__(
        self, articles: Sequence[Article], lexical: TantivyStore, vectors: FaissStore | None, encoder: Encoder | None
    ) -> None:
        self._lexical, self._vectors, self._encoder = lexical, vectors, encoder
        self._laws = _laws(articles)
        memory = memory_of(encoder)
        self._recall = Recall.of(memory, enumerate(a.text for a in articles)) if memory else None

    def orders(self, question: str) -> dict[str, list[int]]:
        """Sequence numbers, best first, by words, by meaning and by everything together."""
        said = self._lexical.search(segment.lexical_terms(question), DEPTH, None)
        by_words = [seq for seq, _ in said]
        if not (self._vectors and self._encoder):
            return {"lexical": by_words, "dense": [], "hybrid": by_words}
        query = self._encoder.encode_queries([question])
        cosines, found = self._vectors.search(query, pool.DEPTH, None)
        seqs = found[0][found[0] >= 0]
        remembered = self._recall.answers(query[0]) if self._recall else pool.NOTHING
        fused, _ = pool.pooled((seqs, cosines[0][: len(seqs)]), self._laws[seqs], pool.ranked(said), remembered)
        return {"lexical": by_words, "dense": seqs[:DEPTH].tolist(), "hybrid": fused[:DEPTH].tolist()}


def _laws(articles: Sequence[Article]) -> np.ndarray:
    """A number for the law of each article."""
    numbers: dict[str, int] = {}
    return np.asarray([numbers.setdefault(a.law, len(numbers)) for a in articles])


def _lexical_rows(articles: Iterable[Article]) -> Iterator[dict]:
    for seq, article in enumerate(articles):
        yield {
            "seq": seq,
            "doc": 0,
            "words": " ".join(segment.words(article.text)),
            "bigrams": " ".join(segment.bigrams(article.text)),
            "title": " ".join(segment.words(article.law)),
            "heading": " ".join(segment.words(article.chapter)),
        }


def _vector_store(file: Path, articles, encoder: Encoder, cache: Cache, progress: Progress | None) -> FaissStore:
    texts = [a.passage for a in articles]
    cache.embed(encoder, texts, progress)
    FaissStore.build(file, cache.vectors(encoder, texts), encoder.dim)
    return FaissStore(file, np.zeros(len(texts), dtype=np.int32))


def _numbers(questions: Sequence[Question], run: Sequence[Sequence[str]]) -> dict[str, float]:
    rows = []
    for question, order in zip(questions, run, strict=True):
        got = [float(i in question.relevant) for i in order]
        total = len(question.relevant) or 1
        rows.append(
            (
                sum(got[:5]) / total,
                sum(got[:10]) / total,
                sum(got[:100]) / total,
                reciprocal_rank(got, 10),
                ndcg(got, [1.0] * len(question.relevant), 10),
            )
        )
    names = ("recall@5", "recall@10", "recall@100", "mrr@10", "ndcg@10")
    return {name: round(sum(r[i] for r in rows) / max(len(rows), 1), 4) for i, name in enumerate(names)}
