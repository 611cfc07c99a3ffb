"""Lines of one part in, its headings and provisions out: statute, outline, decimal outline, glossary, annex, plain text."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

from kb.front import Parsed, Scope, closing, front, title_like
from kb.marks import HEADING_LEVELS, TERMINAL, Line, chain, ends_sentence, point_ready
from kb.models import Finding, Heading, Provision
from kb.numerals import article_label, to_chinese

_TERM = re.compile(r"^\d{1,3}\s?[.．、]\s*([^，。：:；]{2,30}?)\s*(?:[，,：:。]|是指|指的是|$)")
_DEFINES = re.compile(r"^\d{1,3}\s?[.．、]\s*[^，。：:；]{2,24}?\s*[，,：:]?\s*(?:是指|指)")

# --- statutes ------------------------------------------------------------------------------------------------------------


def statute(scope: Scope, opens: Sequence[int]) -> Parsed:
    """编章节条: one provision for every article of `opens`."""
    out = Parsed()
    heads = _headings(scope, opens, out)
    loose = {i for i, role in out.roles.items() if role == "title"}
    edges = sorted({*opens, *heads, *loose})
    front_stop = min(list(edges), default=scope.stop)
    front(scope, front_stop, out)
    stop_all = closing(scope, opens[-1], out)
    path: dict[str, str] = {}
    for position, i in enumerate(edges):
        stop = edges[position + 1] if position + 1 < len(edges) else stop_all
        if i in heads:
            _enter(path, heads[i][0])
            out.headings.append(heads[i][0])
            path[heads[i][0].level] = heads[i][1]
            _add(out, _under_heading(scope, i, stop, out))
            continue
        if i in loose:
            continue
        line = scope.lines[i]
        provision = scope.make(
            "article",
            line.number,
            article_label(line.number),
            tuple(path.values()),
            i,
            max(i + 1, stop),
            at=line.lead,
            statute=True,
            body_at=_skip(scope.text, line),
        )
        if provision:
            out.provisions.append(provision)
    return out


def _skip(text: str, line: Line) -> int:
    body = line.body
    while body < line.end and text[body] in " \t　\u00a0：:*":
        body += 1
    return body


def _enter(path: dict[str, str], heading: Heading) -> None:
    """A heading closes its own level and those below."""
    order = ("part", "chapter", "section")
    for level in order[order.index(heading.level) :]:
        path.pop(level, None)


def _headings(scope: Scope, opens: Sequence[int], out: Parsed) -> dict[int, tuple[Heading, str]]:
    """Heading lines with their record and display text, bare headings that lost their ordinal included."""
    found: dict[int, tuple[Heading, str]] = {}
    taken: set[int] = set()
    numbers = {"part": 0, "chapter": 0, "section": 0}
    marks = [i for i in range(scope.first, scope.stop) if scope.lines[i].level in HEADING_LEVELS]
    bare = set(_bare_headings(scope, opens, marks))
    for i in sorted([*marks, *bare]):
        line = scope.lines[i]
        if i in bare:
            lost = _lost_ordinal(scope, i, marks, numbers)
            if lost is None:
                out.roles[i] = "title"
                continue
            level, number = lost
            title, end, shown = line.text, line.end, f"第{to_chinese(number)}{_HEADING_WORDS[level]} {line.text}"
            what = f"heading without its number taken as {shown}"
            out.findings.append(Finding("info", "", what, "Check it against the official text."))
        elif i in taken or (
            not ends_sentence(scope.lines, i) and (len(line.text) > 30 or re.search("[，。；]", line.text))
        ):
            continue
        else:
            level, number = line.level, line.number[0]
            title, end = line.text[line.body - line.lead :].strip(" 　*#"), line.end
            joined = _title_below(scope, i, opens)
            if joined and not title:
                title, end = scope.lines[joined].text, scope.lines[joined].end
                taken.add(joined)
                out.roles[joined] = "heading"
            shown = re.sub(r"[\s　]+", " ", scope.text[line.lead : end]).strip(" *#")
        numbers[level] = number
        if level != "section":
            numbers["section"] = 0
        found[i] = (Heading(level, number, title, line.lead, end), shown)
    return found


_HEADING_WORDS = {"section": "节", "chapter": "章"}
_LAST_CHAPTERS = ("附则", "法律责任")


def _lost_ordinal(scope: Scope, i: int, marks: Sequence[int], numbers: dict[str, int]) -> tuple[str, int] | None:
    """Level and number of a bare heading when the numbers around it leave a gap for it (第一节, 市场培育, 第三节), else None."""
    later = [scope.lines[j] for j in marks if j > i]
    for level in ("section", "chapter"):
        same = next((line for line in later if line.level == level or line.level == "chapter"), None)
        if same is not None and same.level == level and same.number[0] == numbers[level] + 2:
            return level, numbers[level] + 1
    closes = not any(line.level == "chapter" for line in later) and numbers["chapter"]
    return ("chapter", numbers["chapter"] + 1) if closes and scope.lines[i].text in _LAST_CHAPTERS else None


def _title_below(scope: Scope, i: int, opens: Sequence[int]) -> int:
    """第一章 alone in its line: the short line below is its title, when an article or heading comes next."""
    for j in range(i + 1, min(i + 4, scope.stop)):
        line = scope.lines[j]
        if line.level == "blank":
            continue
        after = next((k for k in range(j + 1, min(j + 4, scope.stop)) if scope.lines[k].level != "blank"), j)
        return (
            j
            if line.level == ""
            and len(line.text) <= 24
            and line.text[-1] not in TERMINAL
            and (after in opens or scope.lines[after].level in HEADING_LEVELS)
            else 0
        )
    return 0


def _bare_headings(scope: Scope, opens: Sequence[int], marks: Sequence[int]) -> list[int]:
    """Short lines without any mark right before an article, after a complete sentence: headings that lost 第N节."""
    found = []
    headings = set(marks)
    for position in range(1, len(opens)):
        j = opens[position] - 1
        while j > opens[position - 1] and scope.lines[j].level == "blank":
            j -= 1
        line = scope.lines[j]
        if j <= opens[position - 1] or line.level != "" or j in headings or scope.lines[j - 1].level in HEADING_LEVELS:
            continue
        before = scope.lines[j - 1].text if scope.lines[j - 1].level != "blank" else scope.lines[j - 2].text
        if (
            2 <= len(line.text) <= 14
            and not re.search(r"[，。；：、！？（）()“”\d|]", line.text)
            and before[-1:] in TERMINAL
            and before[-1:] not in "：:；;"
        ):
            found.append(j)
    return found if marks else []


def _under_heading(scope: Scope, heading: int, stop: int, out: Parsed) -> Provision | None:
    """Text between a heading and the next article or heading (an article that was not recognised, a note)."""
    rest = [
        i for i in range(heading + 1, stop) if scope.lines[i].level not in ("blank", "contents") and i not in out.roles
    ]
    for i in range(heading + 1, stop):
        if scope.lines[i].level == "contents":
            out.roles[i] = "contents"
    if not rest:
        return None
    number = 1 + sum(1 for p in out.provisions if p.number[:1] == (0,) and p.label.startswith("章首文字"))
    return scope.make("preamble", (0, 50 + number), f"章首文字{number}", (), rest[0], rest[-1] + 1)


# --- outlines ------------------------------------------------------------------------------------------------------------


_NO_TITLE = re.compile(r"应当|不得|下列|如下|以下|《")


def run_in_title(text: str, *, more: bool) -> str:
    """Title of a point: its first sentence when text follows, or a whole line without a sentence end.

    `more` says that lines of the same point follow; a single complete sentence is a duty and no title.
    """
    head = re.split(r"[。：:；\n]", text, maxsplit=1)[0].strip()
    rest = text.strip()[len(head) :]
    complete = rest[:1] in ("。", "；", ";") and len(rest) == 1
    if not head or len(head) > 48 or (complete and (rest != "。" or not more)) or _NO_TITLE.search(head):
        return ""
    return head


def top_level(scope: Scope) -> tuple[str, list[int]]:
    """The mark that opens the points of a part, and its lines: 第一部分, then 一、, （一）, 1.1, 1."""
    for level, least in (("division", 2), ("p1", 1), ("decimal", 4), ("p2", 2), ("p3", 3)):
        runs = chain(scope.lines, _top_candidates(scope, level)) if level != "decimal" else []
        opens = list(runs[0].opens) if runs else _decimal_chain(scope) if level == "decimal" else []
        if len(opens) >= least:
            return level, opens
    return "", []


def _top_candidates(scope: Scope, level: str) -> list[int]:
    return [i for i in scope.indices(level) if point_ready(scope.lines, i)]


def outline(scope: Scope, level: str, opens: Sequence[int]) -> Parsed:
    """One provision for every point of the top level and of the level below it."""
    out = Parsed()
    front(scope, opens[0], out)
    stop_all = closing(scope, opens[-1], out)
    _name_gaps(scope, level, opens, out)
    running = 0
    below = {"division": "p1", "p1": "p2"}.get(level, "")
    for position, i in enumerate(opens):
        stop = opens[position + 1] if position + 1 < len(opens) else stop_all
        line = scope.lines[i]
        label = _point_label(level, line)
        title = run_in_title(line.text[line.body - line.lead :], more=_has_text(scope, i + 1, stop))
        path = (f"{label}{title}" if level != "division" else f"{label} {title}",)
        subs, running = _sub_points(scope, i, stop, below, running)
        _add(out, scope.make("point", line.number, label, path, i, subs[0] if subs else stop))
        _name_gaps(scope, below, subs, out)
        for k, j in enumerate(subs):
            end = subs[k + 1] if k + 1 < len(subs) else stop
            sub = scope.lines[j]
            mark = _point_label(below, sub)
            own = run_in_title(sub.text[sub.body - sub.lead :], more=_has_text(scope, j + 1, end))
            _add(
                out,
                scope.make(
                    "point", (*line.number, *sub.number), label + mark, (*path, mark + own) if own else path, j, end
                ),
            )
    return out


def _name_gaps(scope: Scope, level: str, opens: Sequence[int], out: Parsed) -> None:
    """A warning for every jump in the numbers of one level: a mark or a page was lost."""
    for a, b in itertools.pairwise(opens):
        before, after = scope.lines[a], scope.lines[b]
        if len(after.number) == 1 and after.number[0] > before.number[0] + 1:
            jump = f"numbers jump from {_point_label(level, before)} to {_point_label(level, after)}"
            out.findings.append(Finding("warning", "", jump, "Look for a lost mark or lost pages in the source file."))


def _has_text(scope: Scope, first: int, stop: int) -> bool:
    return any(scope.lines[i].level != "blank" for i in range(first, stop))


def _add(out: Parsed, provision: Provision | None) -> None:
    if provision:
        out.provisions.append(provision)


def _point_label(level: str, line: Line) -> str:
    number = line.number[0]
    if level == "division":
        return f"第{to_chinese(number)}部分"
    if level in ("p1", "p2"):
        return f"{to_chinese(number)}、" if level == "p1" else f"（{to_chinese(number)}）"
    return f"{number}." if level == "p3" else ".".join(str(n) for n in line.number)


def _sub_points(scope: Scope, first: int, stop: int, level: str, running: int) -> tuple[list[int], int]:
    """Points below one top point: numbers restart at one or run on through the paper; gaps are allowed, steps back are not."""
    found: list[int] = []
    last = 0
    if not level:
        return found, running
    candidates = [i for i in range(first + 1, stop) if scope.lines[i].level == level]
    for position, i in enumerate(candidates):
        number = scope.lines[i].number[0]
        nxt = scope.lines[candidates[position + 1]].number[0] if position + 1 < len(candidates) else 0
        fits = number == last + 1 if found else number == 1 or number == running + 1
        jump = (number > (last or running) and nxt == number + 1) or (
            not found and number > running and number < running + 9
        )
        if (fits and found) or (point_ready(scope.lines, i) and (fits or (jump and not (found and number < last)))):
            found.append(i)
            last = number
    return found, last or running


def _decimal_chain(scope: Scope) -> list[int]:
    """1, 1.1, 1.1.1 … in order; p3 lines of the form `1.` do not count."""
    found: list[int] = []
    last: tuple[int, ...] = (0,)
    for i in scope.indices("decimal"):
        number = scope.lines[i].number
        child = number[:-1] == last and number[-1] == 1
        sibling = any(number == (*last[:k], last[k] + 1) for k in range(len(last)))
        below = (
            len(number) > 1
            and number[-1] == 1
            and any(number[:-1] == (*last[:k], last[k] + 1) for k in range(len(last)))
        )
        if child or sibling or below or (not found and number[-1] == 1):
            found.append(i)
            last = number
    return found


def glossary_opens(scope: Scope) -> list[int]:
    """Lines that open the entries of a glossary, when the part is one: named so, or most numbered lines define a term."""
    runs = chain(scope.lines, [i for i in scope.indices("p3") if _TERM.match(scope.lines[i].text)])
    opens = list(runs[0].opens) if runs else []
    if len(opens) < 3 or sum(1 for i in range(scope.first, scope.stop) if scope.lines[i].level == "p1") >= 3:
        return []
    title = "".join(scope.lines[i].text for i in range(scope.first, min(scope.first + 4, scope.stop)))
    defining = sum(1 for i in opens if _defines(scope, i))
    named = bool(re.search(r"名词解释|术语|词汇表", title))
    return opens if named or (len(opens) >= 5 and defining >= 0.6 * len(opens)) else []


def _defines(scope: Scope, i: int) -> bool:
    """1.数据，是指… in one line, or the term alone and 是指… in the next."""
    below = next((scope.lines[j].text for j in range(i + 1, min(i + 3, scope.stop)) if scope.lines[j].text), "")
    return bool(_DEFINES.match(scope.lines[i].text)) or below.startswith("是指")


def glossary(scope: Scope, opens: Sequence[int]) -> Parsed:
    """One provision for every term; its label is the term."""
    out = Parsed()
    front(scope, opens[0], out)
    stop_all = closing(scope, opens[-1], out)
    for position, i in enumerate(opens):
        match = _TERM.match(scope.lines[i].text)
        term = match[1] if match else scope.lines[i].text
        stop = opens[position + 1] if position + 1 < len(opens) else stop_all
        _add(out, scope.make("term", scope.lines[i].number, re.sub(r"[/#\s]", "", term), (), i, stop))
    return out


# --- the rest ------------------------------------------------------------------------------------------------------------


def annex(scope: Scope, label: str) -> Parsed:
    """An annex without numbering (a table, a form, a list): one provision, its heading lines included."""
    out = Parsed()
    first = next(
        (i for i in range(scope.first, scope.stop) if scope.lines[i].level not in ("blank", "contents")), scope.stop
    )
    for i in range(first, scope.stop):
        if scope.lines[i].level == "contents":
            out.roles[i] = "contents"
    _add(
        out,
        Scope(scope.text, scope.lines, scope.first, scope.stop, scope.doc_id, "").make(
            "annex", (0,), label, (label,), first, scope.stop
        ),
    )
    return out


def plain(scope: Scope) -> Parsed:
    """Text without any numbering: one provision for every paragraph."""
    out = Parsed()
    first = scope.first
    while first < scope.stop and (
        scope.lines[first].level in ("blank", "contents")
        or (title_like(scope.lines[first]) and first < scope.first + 4)
    ):
        if scope.lines[first].level != "blank":
            out.roles[first] = "contents" if scope.lines[first].level == "contents" else "title"
        first += 1
    stop = closing(scope, first, out) if first < scope.stop else scope.stop
    number, begin = 0, None
    for i in range(first, stop + 1):
        line = scope.lines[i] if i < stop else None
        if begin is not None and (line is None or line.level == "blank" or scope.lines[i - 1].text[-1:] in TERMINAL):
            number += 1
            _add(out, scope.make("paragraph", (number,), f"第{to_chinese(min(number, 9999))}段", (), begin, i))
            begin = None
        if line is not None and begin is None and line.level != "blank":
            begin = i
    return out
