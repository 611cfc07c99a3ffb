"""An encoder folder in, its retrieval quality on statutes, policy queries and duties out, dense search alone.

    python scripts/evaluate_encoder.py --folder kb/encoder --shared DIR --pool 24000

Three tests: kept-apart STARD questions against national articles (the relevant ones plus a random pool); the policy
queries of gold/ against provisions of the corpus; the duties of gold/gaps-dev*.jsonl against the articles of their
scope, where the article with decisive evidence must come first. Labels are read here only, never by training.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from train_encoder import SEED, read_articles, read_questions

from kb import corpus
from kb.chunk import chunk
from kb.embed import BundledEncoder
from kb.evaluate import Qrel, read_queries
from kb.index import passage_text
from kb.metrics import ndcg, reciprocal_rank
from kb.segment import squeeze


class Provisions:
    """Provisions of the corpus, each scored by its best chunk."""

    def __init__(self, encoder: BundledEncoder, folder: Path) -> None:
        documents = corpus.load(folder).documents
        self.keys: list[tuple[str, str]] = []
        owner, texts = [], []
        for document in documents:
            at = {p.provision_id: len(self.keys) + i for i, p in enumerate(document.provisions)}
            self.keys += [(squeeze(document.meta.title), p.label) for p in document.provisions]
            for piece in chunk(document):
                owner.append(at[piece.provision_id])
                texts.append(passage_text(piece))
        self.owner = np.array(owner)
        self.vectors = encoder.encode_passages(texts, progress=report)

    def ranked(self, query: np.ndarray, titles: set[str] | None = None) -> list[tuple[str, str]]:
        """(title, label) of the provisions, best first; only those of `titles` where given."""
        best = np.full(len(self.keys), -np.inf, np.float32)
        np.maximum.at(best, self.owner, self.vectors @ query)
        order = np.argsort(-best, kind="stable")
        return [self.keys[i] for i in order if titles is None or self.keys[i][0] in titles]


def report(done: int, total: int) -> None:
    if done == total or done % 3200 == 0:
        print(f"{done}/{total}", file=sys.stderr, flush=True)


def is_match(wanted: Qrel, key: tuple[str, str]) -> bool:
    title, label = key
    if wanted.title != title:
        return False
    return (
        wanted.article is None
        or label == wanted.article
        or ("、" in wanted.article and label.startswith(wanted.article))
    )


def graded(relevant: Sequence[Qrel], keys: Iterable[tuple[str, str]]) -> list[float]:
    """Gain of each ranked provision; a judged one counts once."""
    left, out = list(relevant), []
    for key in keys:
        found = next((q for q in left if is_match(q, key)), None)
        if found:
            left.remove(found)
        out.append(float(found.grade) if found else 0.0)
    return out


def policy_queries(encoder: BundledEncoder, provisions: Provisions, path: Path) -> dict[str, float]:
    rows = []
    for query in read_queries(path):
        decisive = sum(q.grade >= 2 for q in query.relevant)
        if not decisive:
            continue
        gains = graded(query.relevant, provisions.ranked(encoder.encode_queries([query.query])[0])[:100])
        recalls = [min(1.0, sum(g >= 2 for g in gains[:k]) / decisive) for k in (5, 10, 50)]
        rows.append(
            (
                *recalls,
                reciprocal_rank(gains[:10], 10, least=2),
                ndcg(gains, [float(q.grade) for q in query.relevant], 10),
            )
        )
    names = ("recall@5", "recall@10", "recall@50", "mrr@10", "ndcg@10")
    return {"n": len(rows)} | dict(zip(names, np.mean(rows, axis=0).round(4).tolist(), strict=True))


def duties(encoder: BundledEncoder, provisions: Provisions, paths: Sequence[Path]) -> dict[str, float]:
    """Share of duties whose decisive local article is first, or among five, within the scope of the label."""
    first = five = n = 0
    for path in paths:
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            decisive = {(squeeze(e["title"]), e["article"]) for e in row["evidence"] if e["grade"] >= 2}
            if not decisive:
                continue
            vector = encoder.encode_passages([row["quote"]])[0]
            top = provisions.ranked(vector, {squeeze(t) for t in row["scope"]})[:5]
            n, first, five = n + 1, first + (top[0] in decisive), five + any(k in decisive for k in top)
    return {"n": n, "first": round(first / n, 4), "among five": round(five / n, 4)}


def statutes(encoder: BundledEncoder, bench: Path, pool: int, titled: bool) -> dict[str, float]:
    """Kept-apart questions; the pool is every relevant article plus a seeded sample, all articles with pool 0."""
    articles = read_articles(bench / "statutes-national.jsonl.gz", "national")
    _, questions = read_questions(bench / "stard-train.jsonl")
    needed = {i for q in questions for i in q["relevant"]}
    rest = [a for a in articles if a.id not in needed]
    if pool:
        rest = random.Random(SEED).sample(rest, pool - len(needed))
    chosen = [a for a in articles if a.id in needed] + rest
    at = {a.id: i for i, a in enumerate(chosen)}
    passages = encoder.encode_passages([f"{a.law} {a.text}" if titled else a.text for a in chosen], progress=report)
    scores = encoder.encode_queries([q["query"] for q in questions]) @ passages.T
    rows = []
    for question, row in zip(questions, scores, strict=True):
        relevant = {at[i] for i in question["relevant"] if i in at}
        gains = [float(i in relevant) for i in np.argsort(-row, kind="stable")[:100]]
        recalls = [sum(gains[:k]) / len(relevant) for k in (10, 100)]
        rows.append((*recalls, reciprocal_rank(gains, 10, least=1), ndcg(gains, [1.0] * len(relevant), 10)))
    names = ("recall@10", "recall@100", "mrr@10", "ndcg@10")
    return {"n": len(rows), "articles": len(chosen)} | dict(
        zip(names, np.mean(rows, axis=0).round(4).tolist(), strict=True)
    )


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True, help="encoder folder")
    parser.add_argument("--shared", type=Path, required=True, help="folder with bench/, corpus/ and gold/")
    parser.add_argument("--pool", type=int, default=24000, help="articles in the statute test, 0 for all")
    parser.add_argument("--plain", action="store_true", help="statute passages without the title of the law")
    parser.add_argument("--only", choices=("statutes", "policy"), help="one half of the tests")
    args = parser.parse_args(argv)
    encoder = BundledEncoder(args.folder)
    result: dict[str, object] = {"encoder": encoder.fingerprint}
    if args.only != "statutes":
        provisions = Provisions(encoder, args.shared / "corpus")
        gold = args.shared / "gold"
        result["policy queries"] = policy_queries(encoder, provisions, gold / "queries-dev.jsonl")
        result["duties"] = duties(encoder, provisions, sorted(gold.glob("gaps-dev*.jsonl")))
    if args.only != "policy":
        result["statutes"] = statutes(encoder, args.shared / "bench", args.pool, titled=not args.plain)
    print(json.dumps(result, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
