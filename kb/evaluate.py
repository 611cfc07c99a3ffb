"""Labels and a library in, quality numbers out (judging rules of the design contract).

A provision matches by (title, article) with white space removed; an outline address matches by prefix. For success,
recall and MRR grade 2 counts; for nDCG the gain is the grade. A query with no relevant text is right when nothing is
said to be found.
"""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kb.errors import UsageError
from kb.metrics import ndcg, percentile, reciprocal_rank
from kb.models import Hit
from kb.segment import squeeze


@dataclass(frozen=True, slots=True)
class Qrel:
    """One graded relevant provision; `article` None means the document as a whole."""

    title: str
    article: str | None
    grade: int


@dataclass(frozen=True, slots=True)
class LabelledQuery:
    """A query with its judgements."""

    query_id: str
    query: str
    kind: str
    relevant: tuple[Qrel, ...]


def read_queries(path: Path) -> list[LabelledQuery]:
    """One JSON object a line: id, query, kind, relevant[{title, article, grade}].

    Raises:
        UsageError: a line that is not such an object, with file and line.
    """
    out = []
    for number, line in enumerate(read_lines(path), 1):
        try:
            row = json.loads(line)
            relevant = tuple(Qrel(squeeze(r["title"]), r["article"], int(r["grade"])) for r in row["relevant"])
            out.append(LabelledQuery(str(row["id"]), row["query"], row.get("kind", ""), relevant))
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{path}:{number}: not a labelled query ({error})") from error
    return out


def read_lines(path: Path) -> Iterable[str]:
    """Non-blank lines of a text or .gz file.

    Raises:
        UsageError: the file does not exist.
    """
    if not path.is_file():
        raise UsageError(f"{path}: no such file")
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as handle:
        yield from (line for line in handle if line.strip())


def matches(qrel: Qrel, hit: Hit) -> bool:
    """Whether a hit is the judged provision, or lies below the judged outline address."""
    if qrel.title != squeeze(hit.title):
        return False
    return (
        qrel.article is None
        or hit.article == qrel.article
        or ("、" in qrel.article and hit.article.startswith(qrel.article))
    )


def gains(relevant: Sequence[Qrel], hits: Sequence[Hit]) -> list[float]:
    """Gain of each hit; a judged provision counts once, at its first hit."""
    used: set[int] = set()
    out = []
    for hit in hits:
        index = next((i for i, q in enumerate(relevant) if i not in used and matches(q, hit)), None)
        if index is not None:
            used.add(index)
        out.append(float(relevant[index].grade) if index is not None else 0.0)
    return out


def evaluate_search(queries: Sequence[LabelledQuery], run: Callable[[str], tuple[bool, Sequence[Hit]]]) -> dict:
    """Means over the queries that have an answer; `run` gives (found, hits) for a query."""
    rows, correct_none, none, times = [], 0, 0, []
    for query in queries:
        started = time.perf_counter()
        found, hits = run(query.query)
        times.append((time.perf_counter() - started) * 1000)
        if not query.relevant:
            none += 1
            correct_none += not found
            continue
        rows.append((query, _scores(query.relevant, hits)))
    names = ("success@1", "recall@5", "recall@10", "mrr@10", "ndcg@10")
    kinds = sorted({query.kind for query, _ in rows})
    return {
        "n": len(queries),
        **{name: _mean([scores[name] for _, scores in rows]) for name in names},
        "no_answer": {"correct": correct_none, "of": none},
        "by_kind": {
            kind: {
                "n": len(part := [scores for query, scores in rows if query.kind == kind]),
                **{name: _mean([scores[name] for scores in part]) for name in names},
            }
            for kind in kinds
        },
        "p50_ms": round(percentile(times, 50), 1),
        "p95_ms": round(percentile(times, 95), 1),
    }


def _scores(relevant: Sequence[Qrel], hits: Sequence[Hit]) -> dict[str, float]:
    got = gains(relevant, hits)
    decisive = sum(1 for q in relevant if q.grade >= 2) or 1
    return {
        "success@1": float(bool(got) and got[0] >= 2),
        "recall@5": min(1.0, sum(g >= 2 for g in got[:5]) / decisive),
        "recall@10": min(1.0, sum(g >= 2 for g in got[:10]) / decisive),
        "mrr@10": reciprocal_rank(got, 10, least=2),
        "ndcg@10": ndcg(got, [float(q.grade) for q in relevant], 10),
    }


def _mean(values: Sequence[float]) -> float:
    return round(sum(values) / len(values), 4) if values else 0.0
