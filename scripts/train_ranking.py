"""Fit the weights of kb/data/ranking.json on labelled queries: one command after a change of encoder, corpus or features.

    KB_CORPUS=../shared/corpus KB_INDEX=FOLDER python scripts/train_ranking.py [--write]

Ranking: pairwise logistic regression (RankNet with a linear model; Burges et al. 2005) on the features of kb.ranking, over
pairs (relevant, not relevant) of one query, pulled towards a stated prior; once for the first ranking, once for the second
with what the first says of each candidate. Answering: logistic regression; the line is drawn where KEPT of the answerable
queries stay answered when they are held out. Both for an index with vectors and for words alone. Everything printed is held
out: folds are by the document that answers a query, so no document teaches the weights it is judged by. Needs an index,
with vectors, of the corpus the labels speak of.
"""

from __future__ import annotations

import argparse
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from kb.evaluate import LabelledQuery, read_queries
from kb.feedback import with_feedback
from kb.index import Library
from kb.metrics import ndcg, reciprocal_rank
from kb.ranking import ANSWER_FEATURES, FEATURES, FIRST_FEATURES, Candidate, Model, rank_score
from kb.search import Parts, examine
from kb.segment import squeeze
from kb.settings import load_settings

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "kb" / "data" / "ranking.json"
QUERIES = ROOT / "tests" / "eval" / "queries-train.jsonl"
UNANSWERABLE = ROOT / "tests" / "eval" / "queries-none.jsonl"
FOLDS = 5
# What the ranking should do where the training queries say little (documents cited in words, drafts, openings): the fit
# starts here and is pulled back here.
PRIOR = {
    "fused": 1.0,
    "meaning": 0.3,
    "words": 0.3,
    "coverage": 0.6,
    "coverage_added": 0.4,
    "title": 0.2,
    "heading": 0.2,
    "level_match": 0.5,
    "region": 0.8,
    "definition": 0.6,
    "amount": 0.25,
    "liability": 0.25,
    "responsibility": 0.25,
    "current": 0.5,
    "background": -0.6,
    "in_cited": 1.0,
    "cited_and_said": 4.0,
    "term": 1.0,
    "opening": -1.2,
    "short": -0.1,
}
# share of answerable queries that must stay answered; the nearest texts are shown for the others all the same
KEPT = 0.94
MODES = {"hybrid": Parts(), "words": Parts(dense=False)}
# how strongly the fits of the first and of the second ranking are pulled towards the prior; the best nDCG@10 of .001 to .04 on
# documents held out
PULL = {"hybrid": (0.01, 0.001), "words": (0.003, 0.003)}


@dataclass(frozen=True, slots=True)
class Sample:
    """What one query shows: its candidates and their grades, all positive grades, the answer features, its fold."""

    query: LabelledQuery
    candidates: tuple[Candidate, ...]
    grades: np.ndarray
    ideal: list[float]
    answer: np.ndarray
    fold: int

    def x(self, names: Sequence[str]) -> np.ndarray:
        """Features (candidates, names)."""
        rows = [[c.features.get(name, 0.0) for name in names] for c in self.candidates]
        return np.asarray(rows, dtype=float).reshape(-1, len(names))


def main() -> None:
    """Collect, cross-validate, fit on everything, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--queries", type=Path, nargs="+", default=[QUERIES])
    parser.add_argument("--unanswerable", type=Path, nargs="*", default=[UNANSWERABLE])
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    library = Library(load_settings())
    queries = [q for path in (*args.queries, *args.unanswerable) for q in read_queries(path)]
    held = {squeeze(d.meta.title) for d in library.documents}
    wanted = [r.title for q in queries for r in q.relevant]
    if sum(title in held for title in wanted) < 0.95 * len(wanted):
        raise SystemExit("the index does not hold the texts the labels speak of: set KB_CORPUS and KB_INDEX")
    weights = {}
    for mode, parts in MODES.items():
        samples = [collect(library, q, parts) for q in queries]
        first, rank = fit_rankings([s for s in samples if s.query.relevant], mode)
        ranked = [collect(library, q, parts, Model(first, rank, {}, 0.0)) for q in queries]
        answer, bias = fit_answering(ranked, mode)
        weights[mode] = {
            "first": first,
            "rank": rank,
            "answer": dict(zip(ANSWER_FEATURES, answer.round(4).tolist(), strict=True)),
            "answer_bias": round(bias, 4),
        }
        if mode == "hybrid":
            cosines = [np.asarray([c.dense for c in s.candidates])[s.grades >= 2] for s in samples]
            right = [of.max() for of in cosines if len(of)]
            weights["near"] = [round(float(np.quantile(right, q)), 4) for q in (0.4, 0.8)]
    if args.write:
        TARGET.write_text(json.dumps(weights, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def collect(library: Library, query: LabelledQuery, parts: Parts, model: Model | None = None) -> Sample:
    """Run the search up to the ranking and grade its candidates; `model` ranks instead of the one that ships."""
    ranked, answer = examine(library, query.query, parts, model)
    provisions = library.provisions([c.seq for c in ranked])
    grades = []
    for c in ranked:
        title, label = squeeze(library.documents[c.doc].meta.title), provisions[c.seq][1].label
        grades.append(max((q.grade for q in query.relevant if q.title == title and _same(q.article, label)), default=0))
    of = query.relevant[0].title if query.relevant else query.query
    return Sample(
        query,
        tuple(ranked),
        np.asarray(grades, dtype=float),
        [float(q.grade) for q in query.relevant],
        np.asarray([answer[name] for name in ANSWER_FEATURES]),
        zlib.crc32(of.encode()) % FOLDS,
    )


def with_first(sample: Sample, first: Mapping[str, float]) -> Sample:
    """The sample as the second ranking sees it after the weights `first`."""
    grade = {c.seq: g for c, g in zip(sample.candidates, sample.grades, strict=True)}
    ranked = with_feedback(sample.candidates, [rank_score(c, first) for c in sample.candidates])
    return replace(sample, candidates=tuple(ranked), grades=np.asarray([grade[c.seq] for c in ranked]))


def _same(article: str | None, label: str) -> bool:
    return article is None or label == article or ("、" in article and label.startswith(article))


def after_leader(sample: Sample) -> Sample:
    """The sample without its first candidate, whose place the second ranking leaves alone."""
    return replace(sample, candidates=sample.candidates[1:], grades=sample.grades[1:])


def fit_rankings(samples: Sequence[Sample], mode: str) -> tuple[dict[str, float], dict[str, float]]:
    """Weights of the first and of the second ranking; prints what they do on documents held out."""
    prior = np.asarray([PRIOR.get(name, 0.0) for name in FIRST_FEATURES])
    fused = np.asarray([float(name == "fused") for name in FIRST_FEATURES])
    show(mode, "fusion alone", samples, FIRST_FEATURES, lambda s: fused)
    show(mode, "prior", samples, FIRST_FEATURES, lambda s: prior)
    held, first = fit_ranking(samples, FIRST_FEATURES, PULL[mode][0])
    show(mode, "first, held out", samples, FIRST_FEATURES, lambda s: held[s.fold])
    seen = [with_first(s, named(FIRST_FEATURES, held[s.fold])) for s in samples]
    held, rank = fit_ranking([after_leader(s) for s in seen], FEATURES, PULL[mode][1])
    show(mode, "second, held out", seen, FEATURES, lambda s: held[s.fold], leader=True)
    return named(FIRST_FEATURES, first), named(FEATURES, rank)


def fit_ranking(samples: Sequence[Sample], names: Sequence[str], l2: float) -> tuple[dict[int, np.ndarray], np.ndarray]:
    """(weights for each fold that did not see it, weights from everything)."""
    prior = np.asarray([PRIOR.get(name, 0.0) for name in names])
    pairs = [_pairs(s, names) for s in samples]
    held = {
        f: _descend([p for s, p in zip(samples, pairs, strict=True) if s.fold != f], prior, l2) for f in range(FOLDS)
    }
    return held, _descend(pairs, prior, l2)


def named(names: Sequence[str], weights: np.ndarray) -> dict[str, float]:
    """Weights by name, as they are written."""
    return dict(zip(names, weights.round(4).tolist(), strict=True))


def show(
    mode: str,
    what: str,
    samples: Sequence[Sample],
    names: Sequence[str],
    choose: Callable[[Sample], np.ndarray],
    *,
    leader: bool = False,
) -> None:
    """Print the quality of the order that the chosen weights give; with `leader` the first candidate keeps its place."""
    rows = []
    for s in samples:
        scores = s.x(names) @ choose(s)
        scores[:leader] = np.inf
        got = s.grades[np.argsort(-scores, kind="stable")].tolist()
        decisive = sum(1 for g in s.ideal if g >= 2) or 1
        rows.append(
            (
                float(bool(got) and got[0] >= 2),
                min(1.0, sum(g >= 2 for g in got[:10]) / decisive),
                ndcg(got, s.ideal, 10),
                reciprocal_rank(got, 10, least=2),
            )
        )
    s1, r10, n10, mrr = np.mean(rows, axis=0)
    numbers = f"success@1 {s1:.3f}  recall@10 {r10:.3f}  nDCG@10 {n10:.3f}  MRR@10 {mrr:.3f}"
    print(f"{mode:<7} {what:<18} {numbers}  ({len(rows)} queries)")


def _pairs(s: Sample, names: Sequence[str]) -> np.ndarray:
    """Feature differences, better minus worse; a query counts the same however many pairs it has."""
    x = s.x(names)
    out = [x[i] - x[s.grades < s.grades[i]] for i in np.flatnonzero(s.grades)]
    return np.concatenate(out) if out else np.zeros((0, len(names)))


def _descend(pairs: Sequence[np.ndarray], prior: np.ndarray, l2: float, steps: int = 12) -> np.ndarray:
    """Minimise the mean log(1 + exp(-w.d)) over queries plus l2 |w - prior|^2 by Newton steps from the prior."""
    stacked = np.concatenate(pairs)
    share = np.concatenate([np.full(len(p), 1 / max(len(p), 1)) for p in pairs]) / len(pairs)
    w = prior.copy()
    for _ in range(steps):
        wrong = 1 / (1 + np.exp(np.clip(stacked @ w, -30, 30)))
        gradient = -(share * wrong) @ stacked + 2 * l2 * (w - prior)
        curvature = (stacked * (share * wrong * (1 - wrong))[:, None]).T @ stacked + 2 * l2 * np.eye(len(w))
        w -= np.linalg.solve(curvature, gradient)
    return w


def fit_answering(samples: Sequence[Sample], mode: str) -> tuple[np.ndarray, float]:
    """Weights and bias of the answer model; half of the weight lies on either side, near and far questions alike."""
    x = np.asarray([s.answer for s in samples])
    y = np.asarray([float(bool(s.query.relevant)) for s in samples])
    folds = np.asarray([s.fold for s in samples])
    held = np.zeros(len(samples))
    for fold in range(FOLDS):
        w, b = _logistic(x[folds != fold], y[folds != fold])
        held[folds == fold] = x[folds == fold] @ w + b
    line = float(np.quantile(held[y > 0], 1 - KEPT))
    print(
        f"{mode:<7} answerable kept {(held[y > 0] >= line).mean():.3f} of {int(y.sum())}; unanswerable recognised:",
        end="",
    )
    kinds = np.asarray([s.query.kind for s in samples])
    for kind in sorted(set(kinds[y == 0])):
        chosen = (y == 0) & (kinds == kind)
        print(f" {kind} {(held[chosen] < line).mean():.2f} of {int(chosen.sum())}", end="")
    print(f"; all {(held[y == 0] < line).mean():.3f}")
    w, b = _logistic(x, y)
    return w, b - float(np.quantile((x @ w + b)[y > 0], 1 - KEPT))


def _logistic(x: np.ndarray, y: np.ndarray, l2: float = 0.002, steps: int = 20) -> tuple[np.ndarray, float]:
    """Logistic regression with both classes weighing the same; weights for the features as they are."""
    mean, spread = x.mean(axis=0), x.std(axis=0) + 1e-9
    z = np.column_stack([(x - mean) / spread, np.ones(len(x))])
    share = np.where(y > 0, 0.5 / max(y.sum(), 1), 0.5 / max((1 - y).sum(), 1))
    pull = l2 * np.diag([*np.ones(x.shape[1]), 0.0])
    w = np.zeros(z.shape[1])
    for _ in range(steps):
        p = 1 / (1 + np.exp(-np.clip(z @ w, -30, 30)))
        curvature = (z * (share * p * (1 - p) + 1e-9)[:, None]).T @ z + pull
        w -= np.linalg.solve(curvature, z.T @ ((p - y) * share) + pull @ w)
    return w[:-1] / spread, float(w[-1] - (w[:-1] / spread) @ mean)


if __name__ == "__main__":
    main()
