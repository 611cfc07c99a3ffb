"""Label files and a corpus in, kb/data/judge_model.json out, with leave-one-document-out and leave-one-scope-out reports.

    python scripts/train_judge.py --corpus ../shared/corpus --labels ../shared/gold/gaps-dev*.jsonl tests/eval/gaps-*.jsonl

Labels may hold a quote or a fingerprint with its length. Vectors are cached in --cache, so a second run takes a minute.
scikit-learn is needed here only; the product scores the JSON by itself.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.optimize import minimize
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from kb.align import Candidate, Duty, prepare
from kb.cross_encoder import default_cross_encoder, fingerprint
from kb.embed import load_encoder
from kb.evaluate_gaps import Label, find_document, read_labels, reliability, resolve, score
from kb.gaps import (
    CLASH,
    COVERED,
    NOT_APPLICABLE,
    PARTIAL,
    Case,
    National,
    build_national,
    carried_out,
    case_features,
    choose,
    described,
    evidence_of,
    order_candidates,
    outside_scope,
    probabilities,
)
from kb.judge_model import FORMAT, load_model
from kb.models import Assessment, Document, DocumentMeta, Requirement
from kb.parse import parse
from kb.reading import pair_texts, with_relations, worth_reading
from kb.scope import Scope, build_scope
from kb.segment import squeeze

EXTRA_WEIGHT = 0.4
"""Say of a label from an --extra file, which was labelled once; ranking uses all labels alike."""
ANSWERED = (CLASH, COVERED, PARTIAL)
RANK_PENALTY, LABEL_C = 30.0, 0.01
RARE_WEIGHT, CLASH_BIAS = 2.0, 1.3
"""疑似不一致 is rare: its labels count double in fitting, its probability a little more in choosing (docs/gaps.md)."""


@dataclass(slots=True)
class Row:
    """One labelled duty with everything computed once; `weight` is its say in fitting the labels."""

    weight: float
    label: Label
    requirement: Requirement
    national: National
    scope: Scope
    duty: Duty
    found: list[Candidate]
    grades: list[int]


class ModelCache:
    """What a model gave for texts, or for pairs of texts, kept in one .npz file; another model starts anew."""

    def __init__(self, path: Path, model: str, compute: Callable[[list], np.ndarray]) -> None:
        self.path, self.model, self.compute, self.held, self.dirty = path, model, compute, {}, False
        if path.exists():
            with np.load(path) as data:
                if "model" in data and str(data["model"]) == model:
                    keys = (tuple(k) if isinstance(k, list) else k for k in data["keys"].tolist())
                    self.held = dict(zip(keys, data["values"], strict=True))

    def of(self, keys: Sequence) -> np.ndarray:
        """Values float32 (n, numbers) in the order asked; only what is not held is computed."""
        wanted = [k for k in dict.fromkeys(keys) if k not in self.held]
        if wanted:
            self.held.update(zip(wanted, self.compute(wanted), strict=True))
            self.dirty = True
        return np.array([self.held[k] for k in keys], dtype=np.float32)

    def save(self) -> None:
        """Write the file where something was added."""
        if self.dirty:
            values = np.array(list(self.held.values()), dtype=np.float32)
            np.savez(self.path, keys=np.array(list(self.held)), values=values, model=self.model)
            self.dirty = False


def load_documents(corpus: Path) -> dict[str, Document]:
    """Documents of the level folders keyed by squeezed title; metadata only as far as training needs it."""
    from kb.corpus import load

    out: dict[str, Document] = {}
    for document in load(corpus).documents:
        out.setdefault(squeeze(document.meta.title), document)
    return out


def load_documents_plain(corpus: Path) -> dict[str, Document]:
    out = {}
    for level in ("national", "guangdong", "shenzhen", "peers"):
        for path in sorted((corpus / level).glob("*.md")):
            text = path.read_text(encoding="utf-8")
            title = text.splitlines()[0].lstrip("# ").strip()
            meta = DocumentMeta(title=title, level=level, status="draft" if "征求" in title else "in_force")
            out[squeeze(title)] = parse(text, meta, doc_id=path.stem)
    return out


def build_rows(
    labels: Sequence[Label], documents: dict[str, Document], vectors: ModelCache, weight: float = 1.0
) -> list[Row]:
    nationals: dict[str, National] = {}
    scopes: dict[tuple[str, ...], Scope] = {}
    requirements = [resolve(label, documents) for label in labels]
    vectors.of([r.full_text for r in requirements])  # one large batch
    rows = []
    for label, requirement in zip(labels, requirements, strict=True):
        document = find_document(label.title, documents)
        key = tuple(sorted(map(squeeze, label.scope)))
        if document.doc_id not in nationals:
            nationals[document.doc_id] = build_national(document, vectors.of)
        if key not in scopes:
            scopes[key] = build_scope([find_document(t, documents) for t in label.scope], vectors.of)
        national, scope = nationals[document.doc_id], scopes[key]
        duty = prepare(requirement, document.meta.title, vectors.of([requirement.full_text])[0])
        found = described(duty, national, scope)
        names = [
            (squeeze(scope.articles[c.article].document.meta.title), scope.articles[c.article].provision.label)
            for c in found
        ]
        grades = [2 if n in label.decisive else 1 if n in label.related else 0 for n in names]
        rows.append(Row(weight, label, requirement, national, scope, duty, found, grades))
    return rows


# -- fitting --------------------------------------------------------------------------------------------------------


def linear(names, X, y, classes, C=0.1, weights=None):
    mean, scale = X.mean(0), X.std(0)
    scale[scale < 1e-9] = 1.0
    model = LogisticRegression(C=C, max_iter=1500).fit((X - mean) / scale, y, sample_weight=weights)
    assert list(model.classes_) == list(classes)
    return {
        "type": "linear",
        "mean": mean.tolist(),
        "scale": scale.tolist(),
        "coef": model.coef_.tolist(),
        "intercept": model.intercept_.tolist(),
    }


def boosted(names, X, y, classes, rounds=90, depth=3, rate=0.06, seed=0, weights=None):
    model = GradientBoostingClassifier(
        n_estimators=rounds,
        max_depth=depth,
        learning_rate=rate,
        subsample=0.6,
        max_features=0.3,
        min_samples_leaf=5,
        random_state=seed,
    ).fit(X, y, sample_weight=weights)
    assert list(model.classes_) == list(classes)
    raw = model._raw_predict_init(X[:1].astype(np.float32))[0]
    trees = [
        [
            [
                t.tree_.feature.tolist(),
                t.tree_.threshold.tolist(),
                t.tree_.children_left.tolist(),
                t.tree_.children_right.tolist(),
                t.tree_.value[:, 0, 0].tolist(),
            ]
            for t in stage
        ]
        for stage in model.estimators_
    ]
    return {"type": "trees", "init": raw.tolist(), "rate": rate, "trees": trees}


def classifier(names, X, y, classes, *, C, seeds=(0,), rounds=90, depth=3, weights=None):
    members = [linear(names, X, y, classes, C, weights)] + [
        boosted(names, X, y, classes, rounds, depth, seed=s, weights=weights) for s in seeds
    ]
    return {"names": list(names), "classes": list(classes), "members": members}


def matrix(rows: Sequence[dict[str, float]], names: Sequence[str]) -> np.ndarray:
    return np.array([[r.get(n, 0.0) for n in names] for r in rows], dtype=np.float32).astype(float)


def fit_rank(rows: Sequence[Row], found: Sequence[Sequence[Candidate]]) -> dict:
    """A conditional logit: which candidate of one duty decides, whatever other duties look like; then scaled to probabilities.

    Against a classifier of single pairs it gave +1 to +2 points evidence@1 on the same held-out folds (docs/gaps.md).
    """
    pairs = [c.features for each in found for c in each]
    names = sorted({k for p in pairs for k in p})
    X = matrix(pairs, names)
    y = np.array([float(g == 2) for r in rows for g in r.grades])
    duty = np.array([i for i, r in enumerate(rows) for _ in r.grades])
    mean, scale = X.mean(0), X.std(0)
    scale[scale < 1e-9] = 1.0
    Z = (X - mean) / scale
    weights = conditional_logit(Z, y, duty)
    platt = LogisticRegression(C=1e3).fit((Z @ weights)[:, None], y)
    member = {
        "type": "linear",
        "mean": mean.tolist(),
        "scale": scale.tolist(),
        "coef": (weights[None] * platt.coef_[0, 0]).tolist(),
        "intercept": platt.intercept_.tolist(),
    }
    return {"names": names, "classes": ["no", "yes"], "members": [member]}


def conditional_logit(Z: np.ndarray, y: np.ndarray, duty: np.ndarray) -> np.ndarray:
    """Weights that maximise the probability of the decisive candidates among those of their duty; `duty` is ascending."""
    decided = np.isin(duty, np.unique(duty[y > 0]))
    Z, y, duty = Z[decided], y[decided], duty[decided]
    _, start, inverse = np.unique(duty, return_index=True, return_inverse=True)
    target = y / np.add.reduceat(y, start)[inverse]

    def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
        scores = Z @ w
        scores = scores - np.maximum.reduceat(scores, start)[inverse]
        shares = np.exp(scores)
        totals = np.add.reduceat(shares, start)[inverse]
        gain = target @ (scores - np.log(totals))
        return RANK_PENALTY / 2 * w @ w - gain, Z.T @ (shares / totals - target) + RANK_PENALTY * w

    return minimize(loss, np.zeros(Z.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 200}).x


def score_with(data: dict) -> Callable[[Sequence[Candidate]], np.ndarray]:
    from kb.judge_model import _classifier

    model = _classifier(data)
    return lambda found: model.predict([c.features for c in found])[:, 1]


def read_rows(rows: Sequence[Row], first: dict, reads: ModelCache) -> list[list[Candidate]]:
    """The candidates of each row with what the cross-encoder says of those that `first` finds worth reading."""
    score = score_with(first)
    chosen = [worth_reading(score(r.found)) if r.found else [] for r in rows]
    pairs = [pair_texts(r.duty, r.scope, r.found[n]) for r, numbers in zip(rows, chosen, strict=True) for n in numbers]
    shares = iter(reads.of(pairs))
    return [
        with_relations(r.found, {n: next(shares) for n in numbers}) for r, numbers in zip(rows, chosen, strict=True)
    ]


def fit_ranks(rows: Sequence[Row], reads: ModelCache) -> tuple[dict, dict]:
    """(which articles to read, the order once they are read)."""
    first = fit_rank(rows, [r.found for r in rows])
    return first, fit_rank(rows, read_rows(rows, first, reads))


def cases_of(rows: Sequence[Row], ranks: tuple[dict, dict], reads: ModelCache) -> list[Case]:
    out, rank = [], score_with(ranks[1])
    for row, found in zip(rows, read_rows(rows, ranks[0], reads), strict=True):
        shares = rank(found) if found else np.zeros(0)
        ranked, ordered = order_candidates(found, shares, carried_out(row.requirement, row.national, row.scope))
        out.append(Case(row.duty, ranked, ordered, case_features(row.duty, row.national, row.scope, ranked, ordered)))
    return out


def held_out_cases(rows: Sequence[Row], group: Callable[[Row], str], reads: ModelCache, folds: int = 8) -> list[Case]:
    """Cases whose rank scores come from folds (of whole groups) that did not train on them."""
    groups = sorted({group(r) for r in rows})
    fold_of = {g: i % min(folds, len(groups)) for i, g in enumerate(groups)}
    cases: dict[int, Case] = {}
    for fold in sorted(set(fold_of.values())):
        inside = [i for i, r in enumerate(rows) if fold_of[group(r)] == fold]
        ranks = fit_ranks([r for r in rows if fold_of[group(r)] != fold] or rows, reads)
        for i, case in zip(inside, cases_of([rows[i] for i in inside], ranks, reads), strict=True):
            cases[i] = case
    return [cases[i] for i in range(len(rows))]


def fit_labels(rows: Sequence[Row], cases: Sequence[Case]) -> dict:
    """The two classifiers behind steps 2 to 6; duties that step 1 decides take no part."""
    keep = [
        i
        for i, r in enumerate(rows)
        if not outside_scope(r.requirement, r.scope) and r.label.labels[0] != NOT_APPLICABLE
    ]
    feats = [cases[i].features for i in keep]
    names = sorted({k for f in feats for k in f})
    X = matrix(feats, names)
    gold = [rows[i].label.labels[0] for i in keep]
    weights = np.array([rows[i].weight for i in keep])
    answered = np.array(["yes" if g in ANSWERED else "no" for g in gold])
    sub = [j for j, g in enumerate(gold) if g in ANSWERED]
    classes = tuple(sorted({gold[j] for j in sub}))
    rare = np.array([weights[j] * (RARE_WEIGHT if gold[j] == CLASH else 1.0) for j in sub])
    return {
        "answered": classifier(names, X, answered, ("no", "yes"), C=LABEL_C, weights=weights),
        "label": classifier(names, X[sub], np.array([gold[j] for j in sub]), classes, C=LABEL_C, weights=rare),
    }


def fit(rows: Sequence[Row], group: Callable[[Row], str], reads: ModelCache) -> dict:
    """The whole model; the labels are fitted on held-out rank scores."""
    first, rank = fit_ranks(rows, reads)
    return {
        "format": FORMAT,
        "version": time.strftime("%Y-%m-%d"),
        "first": first,
        "rank": rank,
        **fit_labels(rows, held_out_cases(rows, group, reads)),
        "calibration": [],
        "bias": {CLASH: CLASH_BIAS},
    }


def apply(model_data: dict, rows: Sequence[Row], cases: Sequence[Case]) -> list[Assessment]:
    """Assessments of prepared cases by the label part of a model."""
    model = load_model(json.dumps(model_data))
    out = []
    for row, case in zip(rows, cases, strict=True):
        shares = probabilities([case], row.national, row.scope, model)[0]
        label = choose(shares, model.bias)
        out.append(
            Assessment(
                requirement_id=row.requirement.requirement_id,
                scope=row.scope.titles,
                label=label,
                proposed_label=label,
                tag="",
                rule="",
                confidence=min(1.0, shares[label]),
                severity="",
                evidence=evidence_of(case, row.scope, label),
                elements={k: f"{v:.2f}" for k, v in shares.items()},
            )
        )
    return out


def cross_validate(rows: Sequence[Row], group: Callable[[Row], str], reads: ModelCache) -> list[Assessment]:
    """Every group judged by a model that saw nothing of it (rank scores: folds of whole groups)."""
    cases = held_out_cases(rows, group, reads, folds=99)
    rank = {"names": [], "classes": ["no", "yes"], "members": []}
    results: dict[int, Assessment] = {}
    for g in sorted({group(r) for r in rows}):
        test = [i for i, r in enumerate(rows) if group(r) == g]
        train = [i for i, r in enumerate(rows) if group(r) != g]
        model = {"format": FORMAT, "version": "cv", "first": rank, "rank": rank}
        model |= {"calibration": [], "bias": {CLASH: CLASH_BIAS}}
        model |= fit_labels([rows[i] for i in train], [cases[i] for i in train])
        for i, got in zip(test, apply(model, [rows[i] for i in test], [cases[i] for i in test]), strict=True):
            results[i] = got
    return [results[i] for i in range(len(rows))]


def isotonic(rows: Sequence[Row], got) -> list[tuple[float, float]]:
    """Knots (raw probability, observed accuracy) from held-out predictions; duties decided by rule are left out."""
    pairs = [
        (a.confidence, float(a.proposed_label in r.label.labels))
        for r, a in zip(rows, got, strict=True)
        if a.proposed_label != NOT_APPLICABLE
    ]
    x, y = (np.array(v) for v in zip(*pairs, strict=True))
    fitted = IsotonicRegression(out_of_bounds="clip", y_min=0.05, y_max=0.98).fit(x, y)
    grid = np.linspace(0.2, 1.0, 9)
    smooth = [float(np.mean(fitted.predict(np.clip([g - 0.06, g, g + 0.06], 0, 1)))) for g in grid]
    return [(round(float(g), 3), round(v, 3)) for g, v in zip(grid, smooth, strict=True)]


def report(name: str, rows: Sequence[Row], got) -> dict:
    out = score([r.label for r in rows], got)
    print(
        f"{name}: n {out['n']} accuracy {out['accuracy']} macro-F1 {out['macro_f1']} ev@1 {out['evidence@1']} ev@5 {out['evidence@5']}"
    )
    return out


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--labels", type=Path, nargs="+", required=True)
    parser.add_argument(
        "--extra", type=Path, nargs="*", default=[], help="label files that count EXTRA_WEIGHT in fitting"
    )
    parser.add_argument("--out", type=Path, default=Path("kb/data/judge_model.json"))
    parser.add_argument("--cache", type=Path, default=Path("judge_vectors.npz"))
    parser.add_argument("--encoder")
    parser.add_argument("--plain", action="store_true", help="parse the corpus without its catalogue")
    parser.add_argument("--no-cv", action="store_true")
    parser.add_argument("--errors", type=Path)
    parser.add_argument("--plot", type=Path, help="SVG of stated confidence against observed accuracy")
    args = parser.parse_args()
    began = time.time()
    documents = load_documents_plain(args.corpus) if args.plain else load_documents(args.corpus)
    encoder = load_encoder(args.encoder)
    vectors = ModelCache(args.cache, encoder.fingerprint, encoder.encode_passages)
    rows: list[Row] = []
    files: dict[int, str] = {}
    for path, weight in (*((p, 1.0) for p in args.labels), *((p, EXTRA_WEIGHT) for p in args.extra)):
        for row in build_rows(
            read_labels(path.read_text(encoding="utf-8").splitlines(), path.name), documents, vectors, weight
        ):
            files[id(row)] = path.stem
            rows.append(row)
    vectors.save()
    print(f"{len(rows)} labels, features {time.time() - began:.0f} s", file=sys.stderr)
    by_document, by_scope = (
        (lambda r: squeeze(r.label.title)),
        (lambda r: "|".join(sorted(map(squeeze, r.label.scope)))),
    )
    reads = ModelCache(args.cache.with_suffix(".read.npz"), fingerprint(), default_cross_encoder().read)
    model = fit(rows, by_document, reads)
    reads.save()
    write_model(args.out, model)
    runs: dict[str, list[Assessment]] = {}
    if not args.no_cv:
        for name, group in (("leave-one-document-out", by_document), ("leave-one-scope-out", by_scope)):
            got = runs[name] = cross_validate(rows, group, reads)
            out = report(name, rows, got)
            for stem in dict.fromkeys(files.values()):
                part = [i for i, r in enumerate(rows) if files[id(r)] == stem]
                report(f"    {stem}", [rows[i] for i in part], [got[i] for i in part])
            print("   ", json.dumps({k: v["f1"] for k, v in out["per_label"].items()}, ensure_ascii=False))
            print("   ", json.dumps(out["confusion"], ensure_ascii=False))
            if args.errors:
                write_errors(args.errors.with_suffix(f".{name}.txt"), rows, got)
        model["calibration"] = isotonic(rows, got)
        write_model(args.out, model)
        if args.plot:
            args.plot.write_text(reliability_svg(rows, runs["leave-one-document-out"], model), encoding="utf-8")
    reads.save()
    print(f"{args.out} written, {time.time() - began:.0f} s", file=sys.stderr)


def reliability_svg(rows: Sequence[Row], got: Sequence[Assessment], model: dict) -> str:
    """Stated confidence across, observed accuracy up, one dot for each bin; its area is the number of duties.

    The answers are leave-one-document-out, the calibration comes from the leave-one-scope-out ones.
    """
    calibrate = load_model(json.dumps(model)).calibrate
    stated = [a if a.proposed_label == NOT_APPLICABLE else replace(a, confidence=calibrate(a.confidence)) for a in got]
    size, edge = 360, 40

    def at(x: float, y: float) -> tuple[float, float]:
        return edge + x * (size - 2 * edge), size - edge - y * (size - 2 * edge)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size} {size}" font-family="sans-serif" font-size="11">',
        f'<rect width="{size}" height="{size}" fill="white"/>',
    ]
    for x in (0.0, 0.25, 0.5, 0.75, 1.0):
        (x0, y0), (x1, y1) = at(x, 0), at(0, x)
        parts.append(f'<text x="{x0}" y="{y0 + 16}" text-anchor="middle">{x:g}</text>')
        parts.append(f'<text x="{x1 - 6}" y="{y1 + 4}" text-anchor="end">{x:g}</text>')
    (x0, y0), (x1, y1) = at(0, 0), at(1, 1)
    parts.append(f'<path d="M{x0} {y1}V{y0}H{x1}" fill="none" stroke="#444"/>')
    parts.append(f'<path d="M{x0} {y0}L{x1} {y1}" stroke="#bbb" stroke-dasharray="4"/>')
    for row in reliability([r.label for r in rows], stated, bins=10):
        x, y = at(row["confidence"], row["accuracy"])
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{(row["n"] / 3.14) ** 0.5 + 1:.1f}" fill="#3465a4aa"/>')
        parts.append(f'<text x="{x + 10:.1f}" y="{y + 14:.1f}" fill="#444">{row["n"]}</text>')
    middle = size / 2
    parts.append(f'<text x="{middle}" y="{size - 6}" text-anchor="middle">stated confidence</text>')
    parts.append(
        f'<text x="12" y="{middle}" transform="rotate(-90 12 {middle})" text-anchor="middle">observed accuracy</text></svg>'
    )
    return "\n".join(parts) + "\n"


def write_model(path: Path, model: dict) -> None:
    path.write_text(json.dumps(model, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")


def write_errors(path: Path, rows, got) -> None:
    lines = []
    for row, a in zip(rows, got, strict=True):
        if a.proposed_label in row.label.labels:
            continue
        top = " ; ".join(f"{e.article} {e.quote[:60]}" for e in a.evidence[:2])
        lines.append(
            f"{row.label.label_id} gold {row.label.labels} got {a.proposed_label} {dict(a.elements)}\n   {row.requirement.text}\n   top: {top}\n   gold ev: {sorted(x[1] for x in row.label.decisive)}"
        )
    path.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
