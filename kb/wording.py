"""Two texts in, marks out: which words both have, which the second lacks, which figures and modal words differ.

For people only: the judge never reads these marks. Positions are those of the texts given; marks of one text do not overlap.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass

from kb.elements import amounts_of, find_modals, load_data, open_terms_of
from kb.segment import search_key, words

SAME, MISSING, DIFFERS, ADDED = "same", "missing", "differs", "added"
KIND_NAMES = {SAME: "两边都有", MISSING: "本地未见", DIFFERS: "两边不同", ADDED: "本地另有"}
_GLUE = re.compile(r"[、，的和与或及等]{0,2}")
_COMMON = frozenset(
    [
        "应当",
        "不得",
        "可以",
        "按照",
        "依照",
        "有关",
        "规定",
        "进行",
        "相关",
        "开展",
        "以及",
        "或者",
        "其他",
        "国家",
        "部门",
        "情况",
        "工作",
        "活动",
        "管理",
        "要求",
        "需要",
    ]
)
_MODAL_TYPES = ("prohibition", "obligation", "permission", "encouragement")


@dataclass(frozen=True, slots=True)
class Mark:
    """A span of one text and what it is; `note` says it in words."""

    start: int
    end: int
    kind: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Marks of the national text and of the local text, in reading order."""

    national: tuple[Mark, ...]
    local: tuple[Mark, ...]

    def said(self, national: str) -> str:
        """The marks of the national text that matter, in words."""
        parts = []
        for kind in (MISSING, DIFFERS):
            found = list(
                dict.fromkeys(national[m.start : m.end].strip("，。；、 \n") for m in self.national if m.kind == kind)
            )
            if found:
                parts.append(f"{KIND_NAMES[kind]}：{'、'.join(found[:8])}")
        return "；".join(parts)


@functools.cache
def _groups() -> dict[str, tuple[str, ...]]:
    """word -> words that say the same or nearly the same (drift.yaml)."""
    out: dict[str, tuple[str, ...]] = {}
    data = load_data("drift.yaml")
    for group in data["same"]:
        for word in group:
            out[word] = tuple(w for w in group if w != word)
    for row in data["near"]:
        out[row["a"]] = (*out.get(row["a"], ()), row["b"])
        out[row["b"]] = (*out.get(row["b"], ()), row["a"])
    return out


def compare(national: str, local: str, *, silent: bool = False, clash: bool = False) -> Comparison:
    """Marks for a pair of texts.

    Args:
        silent: the local text is only related (未覆盖, 直接适用): common words are marked, nothing counts as missing.
        clash: the local text says something else: what only it says is marked too.
    """
    if not national or not local:
        return Comparison((), ())
    left, right = _key(national), _key(local)
    shared = _shared(left, right)
    ours = _spans(left, shared[0], SAME)
    theirs = _spans(right, shared[1], SAME)
    if not silent:
        differing = _differing(national, local)
        ours = _over(ours, differing[0])
        theirs = _over(theirs, differing[1])
        ours = _over(_absent(left, ours, MISSING), ours)
        if clash:
            theirs = _over(_absent(right, theirs, ADDED), theirs)
    return Comparison(_joined(national, ours), _joined(local, theirs))


def _key(text: str) -> str:
    key = search_key(text)
    return key if len(key) == len(text) else text


def _shared(left: str, right: str) -> tuple[set[str], set[str]]:
    """Words of each text that the other has, as written or as a synonym."""
    groups = _groups()
    ours, theirs = set(), set()
    for word in set(words(left)):
        if len(word) < 2 and not word.isdigit():
            continue
        met = [w for w in (word, *groups.get(word, ())) if w in right]
        if met:
            ours.add(word)
            theirs.add(met[0])
    return ours, theirs


def _spans(key: str, found: Iterable[str], kind: str) -> list[Mark]:
    taken = bytearray(len(key))
    for word in found:
        start = key.find(word)
        while start >= 0:
            taken[start : start + len(word)] = b"\1" * len(word)
            start = key.find(word, start + 1)
    return [Mark(m.start(), m.end(), kind) for m in re.finditer(rb"\x01+", bytes(taken))]


def _absent(key: str, marked: list[Mark], kind: str) -> list[Mark]:
    """Content words outside all marks."""
    covered = bytearray(len(key))
    for mark in marked:
        covered[mark.start : mark.end] = b"\1" * (mark.end - mark.start)
    wanted = {w for w in words(key) if (len(w) >= 2 or w.isdigit()) and w not in _COMMON}
    out = []
    for mark in _spans(key, wanted, kind):
        for run in re.finditer(rb"\x00+", bytes(covered[mark.start : mark.end])):
            start, end = mark.start + run.start(), mark.start + run.end()
            if end - start >= 2 and key[start:end] not in _COMMON:
                out.append(Mark(start, end, kind))
    return out


def _differing(national: str, local: str) -> tuple[list[Mark], list[Mark]]:
    """Figures of one kind with other values, and modal words where no modal word is common."""
    ours, theirs = [], []
    local_amounts = amounts_of(local)
    for amount in amounts_of(national):
        rivals = [b for b in local_amounts if b.kind == amount.kind]
        if rivals and all((b.value, b.unit) != (amount.value, amount.unit) for b in rivals):
            ours += _find(national, amount.text, f"数值：本地为{rivals[0].text}")
            theirs += _find(local, rivals[0].text, f"数值：国家为{amount.text}")
        elif not rivals:
            ours += _find(national, amount.text, "本地未写明", MISSING)
            for open_term in open_terms_of(local) if amount.kind in ("frequency", "duration", "deadline") else ():
                theirs += _find(local, open_term, f"国家写明{amount.text}")
    left = {m.type for m in find_modals(national)} & set(_MODAL_TYPES)
    right = {m.type for m in find_modals(local)} & set(_MODAL_TYPES)
    if left and right and not left & right:
        for text, other, out in ((national, local, ours), (local, national, theirs)):
            said = next(m.word for m in find_modals(other) if m.type in _MODAL_TYPES)
            for modal in (m for m in find_modals(text) if m.type in _MODAL_TYPES):
                out += _find(text, modal.word, f"强度：另一方为“{said}”")[:1]
    return ours, theirs


def _find(text: str, part: str, note: str, kind: str = DIFFERS) -> list[Mark]:
    return [Mark(m.start(), m.end(), kind, note) for m in re.finditer(re.escape(part), text)] if part else []


def _over(low: list[Mark], high: list[Mark]) -> list[Mark]:
    """Marks of `high` as they are, and what they leave of `low`."""
    size = max((m.end for m in (*low, *high)), default=0)
    covered = bytearray(size)
    for mark in high:
        covered[mark.start : mark.end] = b"\1" * (mark.end - mark.start)
    out = list(high)
    for mark in low:
        for run in re.finditer(rb"\x00+", bytes(covered[mark.start : mark.end])):
            out.append(Mark(mark.start + run.start(), mark.start + run.end(), mark.kind, mark.note))
    return out


def _joined(text: str, marks: list[Mark]) -> tuple[Mark, ...]:
    """Neighbours of one kind with nothing but glue between them become one mark."""
    out: list[Mark] = []
    for mark in sorted(marks, key=lambda m: m.start):
        last = out[-1] if out else None
        if last and last.kind == mark.kind and last.note == mark.note and _GLUE.fullmatch(text[last.end : mark.start]):
            out[-1] = Mark(last.start, mark.end, mark.kind, mark.note)
        elif last is None or mark.start >= last.end:
            out.append(mark)
    return tuple(out)
