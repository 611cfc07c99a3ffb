"""Text in, lines with their marks out: which line opens an article, a chapter, a point, an annex.

A mark is only a candidate. Whether 第三条 at the start of a line opens an article is decided by the sequence (`chain`), not here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import yaml

from kb.numerals import NUMERAL, to_int

_LEAD = " \t　\u00a0#*"
_DIGITS = "[0-9０-９]{1,3}"
# what may stand first in a line -> the levels worth trying, in this order
_FIRST = {
    "第": ("article", "chapter", "section", "part", "division"),
    "附": ("annex",),
    "（": ("p2", "p4"),
    "(": ("p2", "p4"),
    **dict.fromkeys("一二三四五六七八九十百", ("p1",)),
    **dict.fromkeys("0123456789０１２３４５６７８９", ("decimal", "p3")),
    **{chr(c): ("p5",) for c in range(0x2460, 0x2474)},
}
_EXCLUDED = set("第、和至到款项规所的之中及或与，。；以")
TERMINAL = set("。！？!?：:；;”」）)】…")
HEADING_LEVELS = ("part", "chapter", "section")


@dataclass(slots=True)
class Line:
    """One line: `start:end` without its newline, `lead` where its text begins, `body` where the text after the mark begins.

    `level` is "" for plain text, blank for white space, else a level of headings.yaml; `number` is its sort key.
    """

    start: int
    end: int
    lead: int
    body: int
    level: str
    number: tuple[int, ...]
    text: str


@lru_cache(maxsize=1)
def heading_data() -> tuple[dict, ...]:
    """Entries of kb/data/headings.yaml: level, pattern, examples, near_misses."""
    path = Path(__file__).parent / "data" / "headings.yaml"
    return tuple(yaml.load(path.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))


@lru_cache(maxsize=1)
def patterns() -> dict[str, Callable[[str, int], re.Match[str] | None]]:
    """Compiled matchers by level."""
    out = {}
    for entry in heading_data():
        source = entry["pattern"].replace("{N}", f"{NUMERAL}{{1,8}}").replace("{D}", _DIGITS)
        out[entry["level"]] = re.compile(source).match
    return out


@lru_cache(maxsize=1)
def _signs() -> dict[str, str]:
    return {entry["level"]: entry["short_without"] for entry in heading_data() if "short_without" in entry}


def scan(text: str) -> list[Line]:
    """Every line of a text with its candidate mark; linear in the size of the text."""
    match_at = patterns()
    lines: list[Line] = []
    position = 0
    for raw in text.split("\n"):
        end = position + len(raw)
        stripped = raw.lstrip(_LEAD)
        lead = end - len(stripped)
        trimmed = stripped.rstrip()
        stop = lead + len(trimmed)
        level, number, body = "", (), lead
        if not trimmed:
            level = "blank"
        else:
            for candidate in _FIRST.get(trimmed[0], ()):
                match = match_at[candidate](trimmed)
                if match and (number := _number(candidate, match)) and not _too_long(candidate, match, trimmed):
                    level, body = candidate, lead + match.end()
                    break
        lines.append(Line(position, stop, lead, body, level, number, trimmed))
        position = end + 1
    return lines


def _too_long(level: str, match: re.Match[str], line: str) -> bool:
    """A mark without its usual sign (一 甲, 5甲) opens a unit only when the line is a short title."""
    sign = _signs().get(level)
    return sign is not None and sign not in match[0] and (len(line) > 30 or line[-1] in TERMINAL or "，" in line)


def _number(level: str, match: re.Match[str]) -> tuple[int, ...]:
    """Sort key of a mark; empty when the number makes no sense, so that the line stays text."""
    raw = match[1]
    if level == "annex":
        return (_annex_number(raw),)
    if level == "decimal":
        return tuple(int(part) for part in raw.replace(" ", "").split("."))
    if level == "p5":
        return (ord(raw) - 0x245F,)
    value = to_int(raw)
    if not 1 <= value <= 9999:
        return ()
    if level == "article":
        inserted = tuple(to_int(part) for part in match[2].split("之")[1:]) if match[2] else ()
        return (value, *(inserted or (0,)))
    return (value,)


def _annex_number(raw: str | None) -> int:
    if not raw:
        return 0
    return ord(raw) - 64 if raw.isascii() and raw.isalpha() else to_int(raw)


# --- which candidates are real -------------------------------------------------------------------------------------------


def strength(lines: Sequence[Line], i: int) -> int:
    """How much line `i` looks like an opening and not like a wrapped citation: 0 (not at all) to 3."""
    line = lines[i]
    after = line.text[line.body - line.lead :]
    separated = not after or after[0] in " \t　\u00a0【（(：:*"
    excluded = bool(after) and after[0] in _EXCLUDED
    return (2 if ends_sentence(lines, i) else 0) + (1 if separated else 0) - (2 if excluded else 0)


def ends_sentence(lines: Sequence[Line], i: int) -> bool:
    """True when the text before line `i` is complete: start, blank line, heading, title or a sentence end."""
    if i == 0 or lines[i - 1].level in ("blank", "part", "chapter", "section", "division", "annex"):
        return True
    before = lines[i - 1].text
    return before[-1] in TERMINAL or (len(before) <= 18 and "，" not in before and "、" not in before)


def point_ready(lines: Sequence[Line], i: int) -> bool:
    """Like `ends_sentence`; a point may also come right below the heading line of another point."""
    if ends_sentence(lines, i):
        return True
    before = lines[i - 1]
    return (
        before.level in ("p1", "p2", "p3", "division", "decimal") and len(before.text) <= 50 and "。" not in before.text
    )


def follows(number: tuple[int, ...], last: tuple[int, ...]) -> bool:
    """True when `number` is the next one: 四 after 三, 之一 after its article, 之二 after 之一, 第五条 after 第四条之二."""
    if number[0] == last[0] + 1:
        return not any(number[1:])
    return (
        number[0] == last[0]
        and number > last
        and (number == (last[0], last[1] + 1) or (len(number) > len(last) and number[:-1] == last[: len(number) - 1]))
    )


@dataclass(frozen=True, slots=True)
class Run:
    """One numbering run: line indices of its openings, in order; `gaps` are (last number, next number) jumps."""

    opens: tuple[int, ...]
    gaps: tuple[tuple[int, int], ...]


# how many candidates a decision looks ahead; more wrapped citations in a row than this do not occur between two articles
_LOOK = 60


def chain(lines: Sequence[Line], candidates: Sequence[int]) -> list[Run]:
    """Numbering runs among candidate lines of one level.

    A line continues a run when its number follows. It starts a new run when it is number one again and two follows. A jump is
    accepted only when enough successors confirm it: pages were lost. Everything else is text.
    """
    marks = [(lines[i].number, strength(lines, i)) for i in candidates]
    runs: list[Run] = []
    opens: list[int] = []
    gaps: list[tuple[int, int]] = []
    last: tuple[int, ...] = (0, 0)
    for position, (number, power) in enumerate(marks):
        if follows(number, last):
            if power < 1 and _better_later(marks, position):
                continue
        elif number[0] == 1 and not any(number[1:]) and opens:
            if power < 2 or not _continues(marks, position):
                continue
            runs.append(Run(tuple(opens), tuple(gaps)))
            opens, gaps = [], []
        elif number > last and _jump_holds(marks, position, last):
            gaps.append((last[0], number[0]))
        else:
            continue
        opens.append(candidates[position])
        last = number
    if opens:
        runs.append(Run(tuple(opens), tuple(gaps)))
    return runs


_Marks = Sequence[tuple[tuple[int, ...], int]]


def _better_later(marks: _Marks, position: int) -> bool:
    """A weak candidate yields to a strong one with the same number that comes before the next number."""
    number = marks[position][0]
    for other, power in marks[position + 1 : position + _LOOK]:
        if power >= 2 and other == number:
            return True
        if power >= 2 and other[0] == number[0] + 1:
            return False
    return False


def _continues(marks: _Marks, position: int, steps: int = 1) -> bool:
    """The next `steps` strong candidates have the next numbers."""
    number = marks[position][0]
    for other, power in marks[position + 1 : position + _LOOK]:
        if power >= 2:
            if not follows(other, number):
                return False
            number, steps = other, steps - 1
            if not steps:
                return True
    return False


def _jump_holds(marks: _Marks, position: int, last: tuple[int, ...]) -> bool:
    """A jump needs successors: one for a separated mark at a sentence end, two or three where one of these signs is missing."""
    power = marks[position][1]
    steps = {3: 1, 2: 2}.get(power, 3)
    return power >= 1 and _continues(marks, position, steps) and not _expected_later(marks, position, last)


def _expected_later(marks: _Marks, position: int, last: tuple[int, ...]) -> bool:
    """The number that should come now still comes, before the jump would be confirmed."""
    stop = marks[position][0][0] + 2
    for other, power in marks[position + 1 : position + _LOOK]:
        if power >= 2:
            if follows(other, last):
                return True
            if other[0] >= stop:
                return False
    return False


_LEADERS = re.compile(r"[.．·…⋯]{4,}\s*[\d一二三四五六七八九十]{0,4}$")


def contents_lines(lines: Sequence[Line]) -> set[int]:
    """Indices of table-of-contents lines: with dot leaders, under 目录, or three and more headings of which one level repeats, without text between."""
    found = {i for i, line in enumerate(lines) if _LEADERS.search(line.text)}
    i = 0
    while i < len(lines):
        if re.sub(r"\s", "", lines[i].text) in ("目录", "目次"):
            block = _listed_contents(lines, i)
            found.update(block)
            i = max(block) + 1
            continue
        if lines[i].level in HEADING_LEVELS:
            block = list(_heading_block(lines, i))
            found.update(_repeated_part(lines, block))
            i = (block[-1] if block else i) + 1
            continue
        i += 1
    return found


def _listed_contents(lines: Sequence[Line], start: int) -> list[int]:
    """From 目录 to the line before its first entry comes again (or before the first real text)."""
    entries = [start]
    first = ""
    for j in range(start + 1, len(lines)):
        line = lines[j]
        if line.level == "blank":
            continue
        key = _entry_key(line.text)
        if first and key == first and j > start + 2:
            break
        if len(line.text) > 60 or line.text[-1] in "。；" or line.level == "article":
            break
        first = first or key
        entries.append(j)
    else:
        return [start]
    return list(range(start, entries[-1] + 1))


def _entry_key(text: str) -> str:
    return re.sub(r"[\s.．…·\-—\d]+", "", text)


def _heading_block(lines: Sequence[Line], start: int) -> Iterator[int]:
    for j in range(start, len(lines)):
        if lines[j].level in HEADING_LEVELS:
            yield j
        elif lines[j].level != "blank":
            return


def _repeated_part(lines: Sequence[Line], block: Sequence[int]) -> list[int]:
    """Headings of a block that are only contents: all but the last of each level that a new first heading follows."""
    keys = [(lines[j].level, lines[j].number) for j in block]
    if len(block) < 3 or len({level for level, _ in keys}) == len(keys):
        return []
    restart = next((k for k in range(len(keys) - 1, 0, -1) if keys[k] == keys[0]), None)
    return list(block[:restart]) if restart else list(block)
