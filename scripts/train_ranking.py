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
from kb.ranking import ANSWER_FEATURES, FEATURES, Candidate, answer_features
from kb.search import candidates, rare_share
from kb.settings import load_settings

TARGET = Path(__file__).resolve().parent.parent / "kb" / "data" / "ranking.json"
FOLDS = 5
# What the ranking should do where the training queries say little (documents cited in words, drafts, openings): the fit
# starts here and is pulled back here.
PRIOR = {
    "fused": 1.0,
    "coverage": 0.6,
    "coverage_added": 0.4,
    "heading": 0.2,
    "level_match": 0.5,
    "intent": 0.25,
    "current": 0.5,
    "background": -0.6,
    "in_cited": 1.0,
    "cited_and_said": 4.0,
    "term": 1.0,
    "opening": -1.2,
    "short": -0.1,
}
# share of answerable questions that must stay answered; the nearest texts are shown for the others all the same
KEPT = 0.9


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
    labelled = [q for path in args.queries for q in read_queries(path)]
    queries = [q for q in labelled if q.relevant]
    samples = [_sample(library, q) for q in queries]
    samples = [s for s in samples if s[1].max(initial=0) > 0]
    print(f"{len(queries)} queries, {len(samples)} with a relevant candidate among the first {len(samples[0][1])}")
    prior = np.asarray([PRIOR.get(name, 0.0) for name in FEATURES])
    _cross_validate(samples, prior, args.l2)
    rank = _fit_pairs([_pairs(x, g) for x, g, _ in samples], prior, args.l2)
    answer, bias = _fit_answers(library, labelled, args)
    kept = json.loads(TARGET.read_text(encoding="utf-8"))
    weights = {
        "rank": dict(zip(FEATURES, rank.round(4).tolist(), strict=True)),
        "answer": dict(zip(ANSWER_FEATURES, answer.round(4).tolist(), strict=True)),
        "answer_bias": round(float(bias), 4),
        "answer_words": kept["answer_words"],
        "answer_words_bias": kept["answer_words_bias"],
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


def _fit_pairs(
    pairs: list[np.ndarray], prior: np.ndarray, l2: float, steps: int = 3000, rate: float = 0.3
) -> np.ndarray:
    """Minimise the mean log(1 + exp(-w.d)) over queries plus l2 |w - prior|^2 by gradient descent from the prior."""
    stacked = np.concatenate(pairs)
    share = np.concatenate([np.full(len(p), 1 / max(len(p), 1)) for p in pairs]) / len(pairs)
    w = prior.copy()
    for _ in range(steps):
        z = np.clip(stacked @ w, -30, 30)
        gradient = -(stacked * (share / (1 + np.exp(z)))[:, None]).sum(axis=0) + 2 * l2 * (w - prior)
        w -= rate * gradient
    return w


def _cross_validate(samples, prior: np.ndarray, l2: float) -> None:
    order = list(range(len(samples)))
    random.Random(7).shuffle(order)
    learned, rules, base = [], [], []
    for fold in range(FOLDS):
        held = set(order[fold::FOLDS])
        w = _fit_pairs([_pairs(x, g) for i, (x, g, _) in enumerate(samples) if i not in held], prior, l2)
        for i in held:
            x, grades, ideal = samples[i]
            for scores, rows in ((x @ w, learned), (x @ prior, rules), (x[:, FEATURES.index("fused")], base)):
                got = grades[np.argsort(-scores, kind="stable")].tolist()
                rows.append((float(got[0] >= 2), ndcg(got, ideal, 10), reciprocal_rank(got, 10, least=2)))
    for name, rows in (("fusion alone", base), ("prior", rules), ("learned, held out", learned)):
        s1, n10, mrr = np.mean(rows, axis=0)
        print(f"{name:<18} success@1 {s1:.3f}  nDCG@10 {n10:.3f}  MRR@10 {mrr:.3f}")


def _fit_answers(library: Library, queries, args) -> tuple[np.ndarray, float]:
    """Answerable queries against those labelled unanswerable and questions of another field, each group weighing the same."""

    def row(text: str) -> list[float]:
        features = answer_features(candidates(library, text)[:5], rare_share(library, text))
        return [features[name] for name in ANSWER_FEATURES]

    groups = [[row(q.query) for q in queries if q.relevant], [row(q.query) for q in queries if not q.relevant]]
    if args.outside:
        lines = [
            json.loads(line)["query"] for line in args.outside.read_text(encoding="utf-8").splitlines() if line.strip()
        ]
        random.Random(11).shuffle(lines)
        groups.append([row(text) for text in lines[: args.outside_count]])
    x = np.asarray([r for group in groups for r in group])
    y = np.asarray([1.0] * len(groups[0]) + [0.0] * (len(x) - len(groups[0])))
    share = np.concatenate(
        [np.full(len(g), (0.5 if k == 0 else 0.5 / (len(groups) - 1)) / max(len(g), 1)) for k, g in enumerate(groups)]
    )
    mean, spread = x.mean(axis=0), x.std(axis=0) + 1e-9
    z = (x - mean) / spread
    w, b = np.zeros(x.shape[1]), 0.0
    for _ in range(5000):
        p = 1 / (1 + np.exp(-np.clip(z @ w + b, -30, 30)))
        gradient = (p - y) * share
        w, b = w - (z.T @ gradient + 0.002 * w), b - gradient.sum()
    scores = z @ w + b
    line = np.quantile(scores[y > 0], 1 - KEPT)
    print(
        f"answering: {KEPT:.2f} of {len(groups[0])} answerable kept; "
        f"{(scores[y == 0] < line).mean():.2f} of {int((y == 0).sum())} unanswerable recognised"
    )
    raw = w / spread
    return raw, float(b - raw @ mean - line)


if __name__ == "__main__":
    main()
