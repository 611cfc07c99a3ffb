"""Proof without labels: delete, dilute and edit local texts, and see whether the judge notices.

Deleting the provision that covers a duty must lower its label, adding unrelated provisions must not raise one, and a changed
word in a verbatim copy must be named in the row.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from kb.elements import amounts_of, exceptions_of, own_actor
from kb.gaps import CLASH, COVERED, PARTIAL, National, build_national, judge_all
from kb.models import Assessment, Document, Requirement
from kb.numerals import article_label
from kb.parse import parse
from kb.scope import Encode, build_scope

RANK = {COVERED: 3, PARTIAL: 2, CLASH: 2}
_OTHER_ACTOR = "市住房建设部门"


@dataclass(frozen=True, slots=True)
class Trial:
    """One edit of one duty and whether the row named it."""

    edit: str
    requirement_id: str
    noticed: bool
    label: str


def rank_of(assessment: Assessment) -> int:
    """Height of a proposed label for the ablation: 3 covered, 2 partial or inconsistent, 0 silence."""
    return RANK.get(assessment.proposed_label, 0)


def without(document: Document, provision_ids: Iterable[str]) -> Document:
    """The document with some provisions deleted."""
    gone = frozenset(provision_ids)
    return replace(document, provisions=tuple(p for p in document.provisions if p.provision_id not in gone))


def plant(host: Document, texts: Sequence[str]) -> Document:
    """`host` with each text added as an article of its own at the end."""
    last = max((p.number[0] for p in host.provisions if p.kind == "article"), default=0)
    added = "".join(f"\n{article_label(last + 1 + i)} {text}" for i, text in enumerate(texts))
    return parse(host.text.rstrip() + added, host.meta, doc_id=host.doc_id)


def delete_trials(
    national: National, local: Sequence[Document], encode: Encode | None
) -> list[tuple[Assessment, Assessment]]:
    """(before, after) for every duty covered or covered in part, all its decisive provisions deleted; one deletion a duty."""
    before = judge_all(national, build_scope(local, encode))
    pairs = []
    for number, row in enumerate(before):
        if row.proposed_label not in (COVERED, PARTIAL) or row.rule == "4.5-1":
            continue
        gone = [e.provision_id for e in row.evidence if e.grade == 2]
        scope = build_scope([without(d, gone) for d in local], encode)
        pairs.append((row, judge_all(replace(national, judged=(number,)), scope)[0]))
    return pairs


def dilute_trials(
    national: National, local: Sequence[Document], unrelated: Document, encode: Encode | None
) -> list[tuple[Assessment, Assessment]]:
    """(before, after) for every duty when an unrelated local document joins the scope."""
    before = judge_all(national, build_scope(local, encode))
    after = judge_all(national, build_scope([*local, unrelated], encode))
    return list(zip(before, after, strict=True))


def weaken(duty: Requirement) -> str:
    """应当 turned into 可以; "" where the duty has no 应当 or 应."""
    text = re.sub(r"应当|(?<![相响供适反对效呼])应(?=[^用急答收激届对])", "可以", duty.text, count=1)
    return text if text != duty.text else ""


def other_number(duty: Requirement) -> str:
    """The first figure trebled (20个工作日 to 60个工作日); "" where the duty has none."""
    for amount in amounts_of(duty.text):
        figure = re.search(r"[0-9]+|[一二三四五六七八九十百]+(?=个|日|年|月|天|小时|倍|万|元|工作)", amount.text)
        if amount.kind in ("frequency", "deadline") or not figure:
            continue
        value = int(amount.value) if amount.value < 1e4 else int(amount.value // 1e4)
        return duty.text.replace(amount.text, amount.text.replace(figure[0], str(value * 3 + 1), 1), 1)
    return ""


def swap_actor(duty: Requirement) -> str:
    """Another organ in place of the one that must act; "" where the duty names none."""
    actor = own_actor(duty.text)
    return (
        duty.text.replace(actor, _OTHER_ACTOR, 1) if actor and len(actor) >= 3 and duty.text.startswith(actor) else ""
    )


def drop_exception(duty: Requirement) -> str:
    """The exception cut out; "" where the duty has none."""
    for found in exceptions_of(duty.text):
        if re.search(r"除外|除.+外|可以不", found) and found in duty.text:
            text = duty.text.replace(found, "", 1).strip("，。；")
            if len(text) >= 12:
                return text + "。"
    return ""


EDITS: dict[str, Callable[[Requirement], str]] = {
    "应当改为可以": weaken,
    "数字改动": other_number,
    "更换主体": swap_actor,
    "删去例外": drop_exception,
}
_NAMED = {"应当改为可以": "E3", "数字改动": "E5", "更换主体": "E1", "删去例外": "E4"}


def edit_trials(national: National, host: Document, encode: Encode | None) -> tuple[list[Trial], list[Trial]]:
    """(trials of edits, trials of untouched copies): national duties planted word for word into a local text.

    An edit counts as noticed when the row names the element; an untouched copy is an alarm when the row names a difference.
    """
    duties = [(i, d) for i, d in enumerate(national.duties) if _plantable(d)]
    trials: list[Trial] = []
    for name, change in EDITS.items():
        changed = [(i, d, text) for i, d in duties if (text := change(d))]
        trials += [
            Trial(name, d.requirement_id, _says(row, _NAMED[name]), row.proposed_label)
            for (i, d, _), row in zip(changed, _judge_planted(national, host, changed, encode), strict=True)
        ]
    copies = [(i, d, d.text) for i, d in duties]
    untouched = [
        Trial("未改动", d.requirement_id, row.proposed_label == CLASH or bool(_named_edits(row)), row.proposed_label)
        for (i, d, _), row in zip(copies, _judge_planted(national, host, copies, encode), strict=True)
    ]
    return trials, untouched


def _plantable(duty: Requirement) -> bool:
    """A whole sentence of a local or private actor: State tasks are outside any local text."""
    return (
        duty.item is None
        and duty.kind == "duty"
        and 18 <= len(duty.text) <= 220
        and duty.tier
        not in (
            "state",
            "central",
            "vertical",
            "province",
            "province_up",
        )
        and not duty.actor_inferred
    )


def _judge_planted(national: National, host: Document, changed, encode: Encode | None) -> list[Assessment]:
    if not changed:
        return []
    scope = build_scope([plant(host, [re.sub(r"\s+", "", text) for _, _, text in changed])], encode)
    return judge_all(replace(national, judged=tuple(i for i, _, _ in changed)), scope)


def _named_edits(row: Assessment) -> list[str]:
    return [x for x in (*row.differs, *row.missing) if re.match(r"E\d", x)]


def _says(row: Assessment, element: str) -> bool:
    return any(x.startswith(element) for x in _named_edits(row))


def ablation(
    nationals: Sequence[Document],
    locals_: Sequence[Document],
    host: Document,
    unrelated: Document,
    encode: Encode | None,
) -> dict[str, object]:
    """All trials and their shares: the object of `kb eval ablation`."""
    deletions, dilutions, edits, copies = [], [], [], []
    for document in nationals:
        national = build_national(document, encode)
        for local in locals_:
            deletions += delete_trials(national, [local], encode)
            dilutions += dilute_trials(national, [local], unrelated, encode)
        trials, untouched = edit_trials(national, host, encode)
        edits += trials
        copies += untouched
    falls = {
        label: [rank_of(after) < rank_of(before) for before, after in deletions if before.proposed_label == label]
        for label in (COVERED, PARTIAL)
    }
    rose = sum(rank_of(after) > rank_of(before) for before, after in dilutions)
    return {
        "deletions": len(deletions),
        "label_falls": _share(sum(sum(f) for f in falls.values()), len(deletions)),
        "deletions_covered": len(falls[COVERED]),
        "label_falls_covered": _share(sum(falls[COVERED]), len(falls[COVERED])),
        "deletions_partial": len(falls[PARTIAL]),
        "label_falls_partial": _share(sum(falls[PARTIAL]), len(falls[PARTIAL])),
        "additions": len(dilutions),
        "label_rises": _share(rose, len(dilutions)),
        "edits": len(edits),
        "edit_recall": _share(sum(t.noticed for t in edits), len(edits)),
        "by_edit": {
            name: {
                "n": sum(t.edit == name for t in edits),
                "noticed": _share(sum(t.edit == name and t.noticed for t in edits), sum(t.edit == name for t in edits)),
            }
            for name in EDITS
        },
        "untouched": len(copies),
        "alarms": _share(sum(t.noticed for t in copies), len(copies)),
        "untouched_covered": _share(sum(t.label == COVERED for t in copies), len(copies)),
    }


def merge_ablations(parts: Sequence[dict[str, object]]) -> dict[str, object]:
    """Several results as one: counts add up, shares are weighted by their counts."""
    out: dict[str, object] = {}
    for count, shares in (
        ("deletions", ("label_falls",)),
        ("deletions_covered", ("label_falls_covered",)),
        ("deletions_partial", ("label_falls_partial",)),
        ("additions", ("label_rises",)),
        ("edits", ("edit_recall",)),
        ("untouched", ("alarms", "untouched_covered")),
    ):
        total = sum(int(p[count]) for p in parts)
        out[count] = total
        for name in shares:
            out[name] = round(sum(int(p[count]) * float(p[name] or 0) for p in parts) / total, 4) if total else None
    return out


def _share(hits: int, of: int) -> float | None:
    return round(hits / of, 4) if of else None
