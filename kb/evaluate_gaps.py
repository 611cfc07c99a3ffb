"""Labelled duties and Documents in, quality numbers of the gap judge out (judging rules of the design contract).

A label is right when it is among the accepted ones; evidence@k asks for a decisive (grade 2) article among the first k
evidence entries, over duties that have one. The proposed label is judged, the share of 待人工核定 is reported beside it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from kb.errors import NotFoundError, UsageError
from kb.models import Assessment, Document, Provision, Requirement
from kb.requirements import locate, requirement_at
from kb.segment import squeeze

LABEL_ORDER = ("不适用", "疑似不一致", "已覆盖", "部分覆盖", "直接适用无需配套", "未覆盖")


@dataclass(frozen=True, slots=True)
class Label:
    """One labelled duty; the text is given as `quote` or as `fingerprint` with its `length` in squeezed characters."""

    label_id: str
    title: str
    article: str
    paragraph: int | None
    scope: tuple[str, ...]
    labels: tuple[str, ...]
    decisive: frozenset[tuple[str, str]]
    related: frozenset[tuple[str, str]]
    quote: str = ""
    fingerprint: str = ""
    length: int = 0


def fingerprint(text: str) -> str:
    """Sixteen hex digits of the squeezed text; lets labels be kept without the text itself."""
    return hashlib.sha256(squeeze(text).encode()).hexdigest()[:16]


def read_labels(lines: Iterable[str], name: str = "") -> list[Label]:
    """Labels of a JSONL file in the format of the development sets; `labels` and `evidence` may be missing.

    Raises:
        UsageError: a line is no JSON object or lacks title, scope and quote or fingerprint.
    """
    out = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            graded = [(squeeze(e["title"]), squeeze(e["article"]), int(e["grade"])) for e in row.get("evidence") or ()]
            label = Label(
                label_id=str(row.get("id") or number),
                title=row["title"],
                article=row.get("article") or "",
                paragraph=row.get("paragraph"),
                scope=tuple(row["scope"]),
                labels=tuple(row.get("labels") or ()),
                decisive=frozenset((t, a) for t, a, g in graded if g == 2),
                related=frozenset((t, a) for t, a, g in graded if g == 1),
                quote=row.get("quote") or "",
                fingerprint=row.get("fingerprint") or "",
                length=int(row.get("length") or 0),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(
                f"{name or 'labels'}, line {number}: {error!r}", hint="fields: id, title, article, quote, scope"
            ) from error
        if not label.quote and not (label.fingerprint and label.length):
            raise UsageError(f"{name or 'labels'}, line {number}: neither quote nor fingerprint with length")
        out.append(label)
    return out


def resolve(label: Label, documents: Mapping[str, Document]) -> Requirement:
    """The requirement a label speaks about; `documents` is keyed by squeezed title.

    Raises:
        NotFoundError: the document or the quoted text is not in the corpus.
    """
    document = find_document(label.title, documents)
    found = (
        locate(document, label.quote, label.article, label.paragraph)
        if label.quote
        else _locate_fingerprint(document, label)
    )
    if not found:
        raise NotFoundError(
            f"{label.label_id}: the quoted text is not in {label.title} {label.article}", hint="check the quote"
        )
    return requirement_at(document, *found)


def find_document(title: str, documents: Mapping[str, Document]) -> Document:
    """The document of a title, white space aside; an exact title first, then one without its bracketed suffix."""
    key = squeeze(title)
    if key in documents:
        return documents[key]
    bare = re.sub(r"[（(][^（）()]*[)）]$", "", key)
    for other, document in documents.items():
        if re.sub(r"[（(][^（）()]*[)）]$", "", other) == bare and document.meta.status != "draft":
            return document
    raise NotFoundError(f"no document titled {title}", hint="titles are the first line of the file; see kb doctor")


def _locate_fingerprint(document: Document, label: Label) -> tuple[Provision, int, int] | None:
    for provision in document.provisions:
        if label.article and not provision.label.startswith(label.article):
            continue
        positions = [i for i, c in enumerate(provision.text) if not c.isspace()]
        text = "".join(provision.text[i] for i in positions)
        for at in range(len(text) - label.length + 1):
            if fingerprint(text[at : at + label.length]) == label.fingerprint:
                start = provision.start + positions[at]
                return provision, start, provision.start + positions[at + label.length - 1] + 1
    return None


def evidence_hit(assessment: Assessment, label: Label, k: int) -> bool:
    """True when one of the first k evidence entries is a decisive article of the label."""
    return any(_matches(squeeze(e.title), squeeze(e.article), label.decisive) for e in assessment.evidence[:k])


def _matches(title: str, article: str, wanted: frozenset[tuple[str, str]]) -> bool:
    return any(title == t and (article == a or (a.endswith("、") and article.startswith(a))) for t, a in wanted)


def score(labels: Sequence[Label], assessments: Sequence[Assessment]) -> dict[str, object]:
    """The object of `kb eval gaps`: accuracy, macro-F1, per label, confusion (gold -> predicted), evidence@1 and @5."""
    gold, predicted = [], []
    for label, got in zip(labels, assessments, strict=True):
        right = got.proposed_label in label.labels
        gold.append(got.proposed_label if right else label.labels[0])
        predicted.append(got.proposed_label)
    per_label = {name: _prf(name, gold, predicted) for name in LABEL_ORDER if name in gold or name in predicted}
    with_evidence = [(lab, got) for lab, got in zip(labels, assessments, strict=True) if lab.decisive]
    n, m = len(labels), len(with_evidence)
    return {
        "n": n,
        "accuracy": round(sum(g == p for g, p in zip(gold, predicted, strict=True)) / n, 4) if n else 0.0,
        "macro_f1": round(
            sum(v["f1"] for k, v in per_label.items() if v["gold"])
            / max(1, sum(v["gold"] > 0 for v in per_label.values())),
            4,
        ),
        "per_label": per_label,
        "confusion": {
            g: dict(Counter(p for x, p in zip(gold, predicted, strict=True) if x == g))
            for g in LABEL_ORDER
            if g in gold
        },
        "evidence@1": round(sum(evidence_hit(got, lab, 1) for lab, got in with_evidence) / m, 4) if m else None,
        "evidence@5": round(sum(evidence_hit(got, lab, 5) for lab, got in with_evidence) / m, 4) if m else None,
        "undetermined": round(sum(a.label == "待人工核定" for a in assessments) / n, 4) if n else 0.0,
    }


def _prf(name: str, gold: Sequence[str], predicted: Sequence[str]) -> dict[str, float]:
    hit = sum(g == p == name for g, p in zip(gold, predicted, strict=True))
    n_gold, n_predicted = gold.count(name), predicted.count(name)
    precision, recall = hit / n_predicted if n_predicted else 0.0, hit / n_gold if n_gold else 0.0
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return {
        "precision": round(precision, 3),
        "recall": round(recall, 3),
        "f1": round(f1, 3),
        "gold": n_gold,
        "predicted": n_predicted,
    }


def reliability(labels: Sequence[Label], assessments: Sequence[Assessment], bins: int = 8) -> list[dict[str, float]]:
    """Mean confidence against observed accuracy in equal-width bins of confidence; empty bins are left out."""
    rows = []
    for i in range(bins):
        low, high = i / bins, (i + 1) / bins
        inside = [
            (a.confidence, a.proposed_label in lab.labels)
            for lab, a in zip(labels, assessments, strict=True)
            if low <= a.confidence < high or (i == bins - 1 and a.confidence == 1)
        ]
        if inside:
            rows.append(
                {
                    "from": low,
                    "to": high,
                    "n": len(inside),
                    "confidence": round(sum(c for c, _ in inside) / len(inside), 3),
                    "accuracy": round(sum(r for _, r in inside) / len(inside), 3),
                }
            )
    return rows
