"""Documents in, the state of a corpus out: counts that add up, what has expired, what is cited and missing."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from kb.graph import build_graph, cited_but_missing
from kb.metadata import family_key, status_on
from kb.models import LEVELS, Document, Finding

_QUALITY = {"complete": "完整", "doubtful": "可用有疑", "incomplete": "不完整"}


@dataclass(frozen=True, slots=True)
class CorpusState:
    """One page about a corpus; every count of documents adds up to `n_documents`."""

    n_documents: int
    n_provisions: int
    n_chars: int
    by_level: dict[str, int]
    by_kind: dict[str, int]
    by_status: dict[str, int]
    by_text: dict[str, int]
    by_structure: dict[str, int]
    failed: tuple[str, ...]
    expired: tuple[tuple[str, str], ...]
    expiring: tuple[tuple[str, str], ...]
    undated: tuple[str, ...]
    families: tuple[tuple[str, ...], ...]
    citations: dict[str, int]
    missing: tuple[tuple[str, int], ...]
    findings: tuple[Finding, ...]


def corpus_state(
    documents: Sequence[Document], findings: Sequence[Finding], failed: Sequence[str], *, day: str
) -> CorpusState:
    """Describe a corpus as it stands on a day."""
    status = {d.doc_id: status_on(d.meta, day) for d in documents}
    soon = (date.fromisoformat(day) + timedelta(days=365)).isoformat()
    edges = build_graph(documents)
    return CorpusState(
        n_documents=len(documents),
        n_provisions=sum(len(d.provisions) for d in documents),
        n_chars=sum(len(d.text) for d in documents),
        by_level={level: n for level in LEVELS if (n := sum(d.meta.level == level for d in documents))},
        by_kind=dict(Counter(d.meta.kind for d in documents).most_common()),
        by_status=dict(Counter(status.values()).most_common()),
        by_text=dict(Counter(_text_label(d) for d in documents).most_common()),
        by_structure=dict(Counter(structure_of(d) for d in documents).most_common()),
        failed=tuple(failed),
        expired=_dated(documents, lambda d: status[d.doc_id] == "expiry_unchecked"),
        expiring=_dated(
            documents, lambda d: status[d.doc_id] == "in_force" and day <= (d.meta.expires_on or "") <= soon
        ),
        undated=tuple(d.meta.title for d in documents if not _any_date(d)),
        families=_families(documents),
        citations={
            "resolved": sum(1 for e in edges if e.target),
            "dangling": sum(1 for e in edges if e.kind == "dangling"),
            "unresolved": sum(1 for e in edges if e.reason and e.kind != "dangling"),
        },
        missing=tuple(cited_but_missing(edges)),
        findings=tuple(findings),
    )


def structure_of(document: Document) -> str:
    """What the text is made of: 条文, 提纲, 名词, or 无编号."""
    kinds = Counter(p.kind for p in document.provisions if not p.part)
    if kinds["article"]:
        return "条文"
    if kinds["point"]:
        return "提纲"
    return "名词" if kinds["term"] else "无编号"


def _text_label(document: Document) -> str:
    kind = "摘编" if document.meta.text_kind == "digest" else "全文"
    return f"{kind}·{_QUALITY.get(document.quality, document.quality)}"


def _any_date(document: Document) -> str | None:
    meta = document.meta
    return meta.effective_on or meta.promulgated_on or meta.signed_on or meta.adopted_on or meta.approved_on


def _dated(documents: Sequence[Document], wanted) -> tuple[tuple[str, str], ...]:
    rows = [(d.meta.title, d.meta.expires_on or "") for d in documents if wanted(d)]
    return tuple(sorted(rows, key=lambda row: (row[1], row[0])))


def _families(documents: Sequence[Document]) -> tuple[tuple[str, ...], ...]:
    """Texts of one instrument (draft and final, two versions), named by title, and by id where titles are equal."""
    groups: dict[str, list[Document]] = defaultdict(list)
    for document in documents:
        groups[family_key(document.meta)].append(document)
    rows = []
    for _, group in sorted(groups.items()):
        if len(group) > 1:
            titles = Counter(d.meta.title for d in group)
            names = (d.meta.title + (f"（{d.doc_id}）" if titles[d.meta.title] > 1 else "") for d in group)
            rows.append(tuple(sorted(names)))
    return tuple(rows)
