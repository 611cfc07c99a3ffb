"""Fit the weights of kb/data/ranking.json on labelled queries.

    python scripts/train_ranking.py QUERIES.jsonl [--outside QUESTIONS.jsonl] [--write]

Ranking: pairwise logistic regression (RankNet with a linear model; Burges et al. 2005) on the features of kb.ranking,
over pairs (relevant, not relevant) of one query. Answering: logistic regression on the best of the first five
candidates; a question is unanswerable when the documents that answer it are taken out of the library, or when it is a
question of another field (--outside). Both are reported by five-fold cross-validation over queries before the final
weights are written. Needs an index of the corpus the labels speak of (KB_CORPUS, KB_INDEX).
"""

from __future__ import annotations

import argparse
import json
import random
import re
from pathlib import Path

import numpy as np

from kb.evaluate import LabelledQuery, read_queries
from kb.index import Library
from kb.metrics import ndcg, reciprocal_rank
from kb.ranking import FEATURES, Candidate
from kb.search import candidates
from kb.settings import load_settings

TARGET = Path(__file__).resolve().parent.parent / "kb" / "data" / "ranking.json"
ANSWER_FEATURES = ("dense", "coverage", "coverage_added", "fused", "heading")
FOLDS = 5


def main() -> None:
    """Parse arguments, cross-validate, fit on everything, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("queries", type=Path, nargs="+")
    parser.add_argument("--outside", type=Path, help="questions of another field, one JSON object with `query` a line")
    parser.add_argument("--outside-count", type=int, default=150)
    parser.add_argument("--l2", type=float, default=0.02)
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    library = Library(load_settings())
    queries = [q for path in args.queries for q in read_queries(path) if q.relevant]
    samples = [_sample(library, q) for q in queries]
    samples = [s for s in samples if s[1].max(initial=0) > 0]
    print(f"{len(queries)} queries, {len(samples)} with a relevant candidate among the first {len(samples[0][1])}")
    _cross_validate(samples, args.l2)
    rank = _fit_pairs([_pairs(x, g) for x, g, _ in samples], args.l2)
    answer, bias = _fit_answers(library, queries, samples, args)
    weights = {
        "rank": dict(zip(FEATURES, rank.round(4).tolist(), strict=True)),
        "answer": dict(zip(ANSWER_FEATURES, answer.round(4).tolist(), strict=True)), "answer_bias": round(float(bias), 4),
    }
    print(json.dumps(weights, ensure_ascii=False))
    if args.write:
        TARGET.write_text(json.dumps(weights, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _vector(candidate: Candidate) -> list[float]:
    parts = candidate.parts()
    return [parts[name] for name in FEATURES]


def _sample(library: Library, query: LabelledQuery) -> tuple[np.ndarray, np.ndarray, list[float]]:
    """(features, grades, all positive grades) of the candidates of one query."""
    found = candidates(library, query.query)
    provisions = library.provisions([c.seq for c in found])
    grades = []
    for c in found:
        title = re.sub(r"\s", "", library.documents[c.doc].meta.title)
        label = provisions[c.seq][1].label
        grades.append(max((q.grade for q in query.relevant if q.title == title and _same(q.article, label)), default=0))
    x = np.asarray([_vector(c) for c in found], dtype=float).reshape(-1, len(FEATURES))
    return x, np.asarray(grades, dtype=float), [float(q.grade) for q in query.relevant]


def _same(article: str | None, label: str) -> bool:
    return article is None or label == article or ("、" in article and label.startswith(article))


def _pairs(x: np.ndarray, grades: np.ndarray) -> np.ndarray:
    """Feature differences, better minus worse; a query counts the same however many pairs it has."""
    out = [x[i] - x[j] for i in np.flatnonzero(grades) for j in range(len(grades)) if grades[i] > grades[j]]
    return np.asarray(out).reshape(-1, x.shape[1])


def _fit_pairs(pairs: list[np.ndarray], l2: float, steps: int = 3000, rate: float = 0.3) -> np.ndarray:
    """Minimise the mean log(1 + exp(-w.d)) over queries plus l2 |w|^2 by gradient descent from zero."""
    stacked = np.concatenate(pairs)
    share = np.concatenate([np.full(len(p), 1 / max(len(p), 1)) for p in pairs]) / len(pairs)
    w = np.zeros(stacked.shape[1])
    for _ in range(steps):
        z = np.clip(stacked @ w, -30, 30)
        gradient = -(stacked * (share / (1 + np.exp(z)))[:, None]).sum(axis=0) + 2 * l2 * w / len(pairs) ** 0.5
        w -= rate * gradient
    return w


def _cross_validate(samples, l2: float) -> None:
    order = list(range(len(samples)))
    random.Random(7).shuffle(order)
    learned, base = [], []
    for fold in range(FOLDS):
        held = set(order[fold::FOLDS])
        w = _fit_pairs([_pairs(x, g) for i, (x, g, _) in enumerate(samples) if i not in held], l2)
        for i in held:
            x, grades, ideal = samples[i]
            for scores, rows in ((x @ w, learned), (x[:, FEATURES.index("fused")], base)):
                got = grades[np.argsort(-scores, kind="stable")].tolist()
                rows.append((float(got[0] >= 2), ndcg(got, ideal, 10), reciprocal_rank(got, 10, least=2)))
    for name, rows in (("fusion alone", base), ("learned, held out", learned)):
        s1, n10, mrr = np.mean(rows, axis=0)
        print(f"{name:<18} success@1 {s1:.3f}  nDCG@10 {n10:.3f}  MRR@10 {mrr:.3f}")


def _fit_answers(library: Library, queries, samples, args) -> tuple[np.ndarray, float]:
    columns = [FEATURES.index(name) for name in ANSWER_FEATURES]
    positive = [x[:5][:, columns] for x, g, _ in samples if g[:5].max(initial=0) > 0]
    negative = []
    if args.outside:
        lines = [json.loads(line)["query"] for line in args.outside.read_text(encoding="utf-8").splitlines() if line.strip()]
        random.Random(11).shuffle(lines)
        for text in lines[: args.outside_count]:
            found = candidates(library, text)[:5]
            if found:
                negative.append(np.asarray([_vector(c) for c in found])[:, columns])
    for query in queries[: args.outside_count]:
        titles = {q.title for q in query.relevant}
        found = [c for c in candidates(library, query.query) if re.sub(r"\s", "", library.documents[c.doc].meta.title) not in titles]
        if found and len(titles) == 1:
            negative.append(np.asarray([_vector(c) for c in found[:5]])[:, columns])
    rows = positive + negative
    y = np.asarray([1.0] * len(positive) + [0.0] * len(negative))
    w, b = np.zeros(len(columns)), 0.0
    for _ in range(4000):
        # the most convincing of the five speaks for the query, as in the search itself
        best = np.asarray([r[np.argmax(r @ w)] for r in rows])
        p = 1 / (1 + np.exp(-np.clip(best @ w + b, -30, 30)))
        balance = np.where(y > 0, 0.5 / max(y.sum(), 1), 0.5 / max((1 - y).sum(), 1))
        w -= 2.0 * ((best * ((p - y) * balance)[:, None]).sum(axis=0) + 0.002 * w)
        b -= 2.0 * ((p - y) * balance).sum()
    # at most one answerable question in fifty may be turned away
    scores = sorted(float((r @ w).max() + b) for r in positive)
    shift = scores[len(scores) // 50]
    turned_away = np.mean([(r @ w).max() + b < shift for r in negative]) if negative else 0.0
    print(f"answering: {len(positive)} answerable, {len(negative)} not; {turned_away:.2f} of the latter recognised at 0.98 kept")
    return w, b - shift


if __name__ == "__main__":
    main()
