"""Filters over gap rows, free of Streamlit so that they are tested as plain functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from kb.models import LABELS, SEVERITIES
from kb.review import RowState
from kb.rows import GapRow

# the topic of a duty that has none
OTHER = "其他"
WITH_NUMBER, WITHOUT_NUMBER = "有期限或数量", "无期限和数量"


@dataclass(frozen=True, slots=True)
class RowFilter:
    """What a user asked for; empty means any. `low` and `high` bound the certainty in percent."""

    labels: Sequence[str] = ()
    severities: Sequence[str] = ()
    topics: Sequence[str] = ()
    modalities: Sequence[str] = ()
    tiers: Sequence[str] = ()
    numbers: str = ""
    states: Sequence[str] = ()
    who: str = ""
    assignee: str = ""
    actors: Sequence[str] = ()
    words: str = ""
    low: int = 0
    high: int = 100


def keeps(wanted: RowFilter, row: GapRow, state: RowState) -> bool:
    """True when a row satisfies all parts of the filter."""
    duty = row.requirement
    return (
        (not wanted.labels or state.label in wanted.labels)
        and (not wanted.severities or row.assessment.severity in wanted.severities)
        and (not wanted.topics or bool(set(duty.topics or (OTHER,)) & set(wanted.topics)))
        and (not wanted.modalities or duty.modality in wanted.modalities)
        and (not wanted.tiers or duty.tier in wanted.tiers)
        and (not wanted.numbers or bool(duty.amounts) == (wanted.numbers == WITH_NUMBER))
        and (not wanted.states or state.state in wanted.states)
        and (not wanted.who or wanted.who in people(state))
        and (not wanted.assignee or wanted.assignee == state.assignee)
        and (not wanted.actors or duty.actor in wanted.actors)
        and wanted.low <= round(row.assessment.confidence * 100) <= wanted.high
        and _says(row, wanted.words)
    )


def people(state: RowState) -> set[str]:
    """Everybody who acted on a row."""
    return {e.who for e in state.decision.history} if state.decision else set()


def _says(row: GapRow, words: str) -> bool:
    text = "".join(
        (
            row.national.meta.title,
            row.requirement.address,
            row.requirement.full_text,
            *(e.quote for e in row.assessment.evidence),
        )
    )
    return all(word in text for word in words.split())


def select(wanted: RowFilter, rows: Iterable[GapRow], states: Mapping[str, RowState]) -> list[GapRow]:
    """The rows that satisfy the filter, in their order."""
    return [r for r in rows if keeps(wanted, r, states[r.row_id])]


def label_counts(rows: Iterable[GapRow], states: Mapping[str, RowState]) -> dict[str, int]:
    """Rows by the label in force (a person's where there is one), every label present."""
    found = Counter(states[r.row_id].label for r in rows)
    return {label: found.get(label, 0) for label in LABELS}


def options(rows: Iterable[GapRow], states: Mapping[str, RowState]) -> dict[str, list[str]]:
    """Values that occur, for the filter boxes."""
    rows = list(rows)
    topics = Counter(t for r in rows for t in r.requirement.topics or (OTHER,))
    actors = Counter(r.requirement.actor for r in rows if r.requirement.actor)
    return {
        "topics": [t for t, _ in topics.most_common()],
        "modalities": sorted({r.requirement.modality for r in rows}),
        "tiers": sorted({r.requirement.tier for r in rows}),
        "severities": [s for s in SEVERITIES if any(r.assessment.severity == s for r in rows)],
        "actors": [a for a, _ in actors.most_common()],
        "people": sorted({p for s in states.values() for p in people(s)}),
        "assignees": sorted({s.assignee for s in states.values()} - {""}),
    }
