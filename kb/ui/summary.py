"""Counts of the overview, free of Streamlit: what is held, the heat of documents and topics, what waits for people."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from kb.index import DocumentInfo
from kb.models import LEVELS
from kb.review import RowState
from kb.rows import GapRow
from kb.ui.filters import OTHER

OPEN_LABELS = ("未覆盖", "部分覆盖", "疑似不一致")


@dataclass(frozen=True, slots=True)
class Cell:
    """Rows of one document on one topic: all that apply locally, and those that are open."""

    applicable: int
    covered: int
    partial: int
    gap: int
    differs: int

    @property
    def heat(self) -> float | None:
        """0 all answered .. 1 nothing answered; partial counts half; None where nothing applies."""
        return (self.gap + self.differs + 0.5 * self.partial) / self.applicable if self.applicable else None

    @property
    def open(self) -> int:
        return self.gap + self.partial + self.differs


def heat(rows: Iterable[GapRow], states: Mapping[str, RowState]) -> dict[tuple[str, str], Cell]:
    """(doc_id, topic) -> cell; a duty with several topics counts once under each, one without under 其他."""
    found: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for row in rows:
        for topic in row.requirement.topics or (OTHER,):
            found[row.requirement.doc_id, topic][states[row.row_id].label] += 1
    return {
        key: Cell(sum(c.values()) - c["不适用"], c["已覆盖"], c["部分覆盖"], c["未覆盖"], c["疑似不一致"])
        for key, c in found.items()
    }


def topics_of(cells: Iterable[tuple[str, str]]) -> list[str]:
    """Topics by how many documents touch them, 其他 last."""
    counts = Counter(topic for _, topic in cells)
    return sorted(counts, key=lambda t: (t == OTHER, -counts[t], t))


def by_kind(documents: Sequence[DocumentInfo]) -> list[tuple[str, dict[str, int]]]:
    """(kind, level -> count), most frequent kind first."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for d in documents:
        found[d.meta.kind or "未注明"][d.meta.level] += 1
    return [
        (kind, {level: c[level] for level in LEVELS})
        for kind, c in sorted(found.items(), key=lambda p: (-sum(p[1].values()), p[0]))
    ]


def year_of(info: DocumentInfo) -> str:
    """Year of 施行, else of publication, else ""."""
    return date_of(info)[:4]


def date_of(info: DocumentInfo) -> str:
    """The date a list of new documents is sorted by."""
    meta = info.meta
    return meta.promulgated_on or meta.signed_on or meta.effective_on or meta.adopted_on or ""


def newest(documents: Sequence[DocumentInfo], n: int = 8) -> list[DocumentInfo]:
    """The latest documents by date of issue."""
    return sorted(documents, key=lambda d: (date_of(d), d.meta.title), reverse=True)[:n]
