"""Named text steps, str -> str, that turn extracted text into text ready for parsing.

Steps only remove or replace; none of them adds words. Page starts travel through them as the mark PAGE, which Python counts as
white space, so that a page can still be named after lines were dropped and joined.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import yaml

from kb.models import Page
from kb.numerals import NUMERAL

PAGE = "\x1c"
_DATA = Path(__file__).parent / "data"
_HAN = "\u3007\u3400-\u4dbf\u4e00-\u9fff"


@dataclass(frozen=True, slots=True)
class Cleaned:
    """Cleaned text with its page map; `removed` is the number of visible characters each step took away."""

    text: str
    pages: tuple[Page, ...]
    removed: dict[str, int]


def clean_text(text: str, steps: Sequence[str] | None = None) -> str:
    """Afterwards: NFC, one newline style, no invisible characters, no white space at the ends of lines, no page furniture,
    no web page frame, no letter-spaced headings, paragraphs in one line where the source broke them by width.

    Args:
        steps: names of STEPS to run, in this order; all of them by default.

    Raises:
        ValueError: an unknown step, with the valid names.
    """
    text = text.replace(PAGE, " ")
    for name in steps if steps is not None else STEPS:
        if name not in STEPS:
            raise ValueError(f"unknown step {name!r}; steps are {', '.join(STEPS)}")
        text = STEPS[name](text)
    return text


def clean_pages(text: str, pages: Sequence[Page] = ()) -> Cleaned:
    """`clean_text` that also moves the page map to the cleaned text and counts what each step removed."""
    marked = text.replace(PAGE, " ")
    starts = sorted(page.start for page in pages if 0 <= page.start <= len(text))
    marked = PAGE.join(marked[a:b] for a, b in zip([0, *starts], [*starts, len(text)], strict=True))
    removed: dict[str, int] = {}
    ink = _visible(marked)
    for name, step in STEPS.items():
        after = step(marked)
        if after is not marked:
            left = _visible(after)
            if left != ink:
                removed[name] = ink - left
            marked, ink = after, left
    pieces = marked.split(PAGE)
    text = "".join(pieces)
    if len(pieces) != len(starts) + 1 or len(starts) != len(pages):
        return Cleaned(text, (), removed)
    moved, position = [], len(pieces[0])
    for page, piece in zip(sorted(pages, key=lambda p: p.start), pieces[1:], strict=True):
        moved.append(Page(page.number, position, position + len(piece)))
        position += len(piece)
    return Cleaned(text, tuple(moved), removed)


def _visible(text: str) -> int:
    """Characters that leave ink; counting with `split` is several times faster than a loop."""
    return sum(map(len, text.split()))


# --- characters ----------------------------------------------------------------------------------------------------------


_NEWLINES = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x1d-\x1f\x7f-\x84\x86-\x9f\xad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff\ufff9-\ufffb\ud800-\udfff]+"
)
_SPACES = re.compile("[\xa0\u2000-\u200a\u202f\u205f]")
_RADICAL = re.compile("[\u2e80-\u2fdf]")
_EDGE_SIGNS = tuple(
    sign for space in " \t　" for sign in (f"\n{space}", f"{space}\n", f"{PAGE}{space}", f"{space}{PAGE}")
)
_EDGES = re.compile(r"^[^\S\n\x1c]+|[^\S\n\x1c]+$", re.M)


def newlines(text: str) -> str:
    """One newline style: every line, paragraph and form-feed separator becomes a newline."""
    return _NEWLINES.sub("\n", text) if _NEWLINES.search(text) else text


def characters(text: str) -> str:
    """NFC, and radical forms from PDF fonts (⼴, ⻚) become the characters they stand for."""
    if _RADICAL.search(text):
        text = _RADICAL.sub(lambda m: _radicals().get(m[0], m[0]), text)
    return text if unicodedata.is_normalized("NFC", text) else unicodedata.normalize("NFC", text)


@lru_cache(maxsize=1)
def _radicals() -> dict[str, str]:
    table = {chr(code): unicodedata.normalize("NFKC", chr(code)) for code in range(0x2F00, 0x2FD6)}
    for line in (_DATA / "radicals.txt").read_text(encoding="utf-8").splitlines():
        if len(line) == 2:
            table[line[0]] = line[1]
    return table


def invisible(text: str) -> str:
    """No control, zero-width or direction characters and no lone surrogates."""
    return _INVISIBLE.sub("", text) if _INVISIBLE.search(text) else text


def spaces(text: str) -> str:
    """One kind of narrow space; nothing but text at both ends of a line. The full-width space inside a line stays."""
    if _SPACES.search(text):
        text = _SPACES.sub(" ", text)
    if any(edge in text for edge in _EDGE_SIGNS) or text[:1].isspace() or text[-1:].isspace():
        text = _EDGES.sub("", text)
    return text


# --- spacing -------------------------------------------------------------------------------------------------------------


_SPACED = re.compile(
    rf"(?<![^\s#《（(])(?:[{_HAN}《》（）“”][ 　]{{1,2}}){{3,}}[{_HAN}《》（）“”](?=[\s（）()《》〔〕]|$)"
)
_SPACED_NAME = re.compile(
    rf"^(#*\s?第{NUMERAL}{{1,5}}[编章节])([ 　]*)((?:[{_HAN}][ 　]{{1,4}}){{1,3}}[{_HAN}])$", re.M
)
_SPACED_HEAD = re.compile(
    rf"^(#*\s?)第(?=\S*[ 　])[ 　]?({NUMERAL}(?:[ 　]?{NUMERAL})*)[ 　]?([编章节条])(?=[ 　\n]|$)", re.M
)
_GLUED_HEAD = re.compile(rf"^(第{NUMERAL}{{1,5}}[编章节])(?=[{_HAN}])")
_GLUED_LINE = re.compile(
    rf"^(#*\s?第{NUMERAL}{{1,5}}[编章节])(?![程规的和所与至到、中条节假])([{_HAN}、]{{2,20}})$", re.M
)
_MANY_SPACES = re.compile(r"^(?:[^\s，。；：、,;]{1,4} ){4,}[^\s，。；：、,;]{1,4}$", re.M)
_ANCHORS = (
    "人民代表大会",
    "常务委员会",
    "人民政府",
    "办公厅",
    "委员会",
    "管理办法",
    "管理条例",
    "暂行办法",
    "实施细则",
    "实施方案",
    "行动计划",
    "通知",
)


def letter_spacing(text: str) -> str:
    """数 据 安 全 法 and 第 一 章　总 则 lose the spaces that only spread the letters; 第一章总则 gets the one between number and name."""
    text = _GLUED_LINE.sub(r"\1 \2", text)
    if " " not in text and "　" not in text:
        return text
    text = _SPACED_HEAD.sub(lambda m: f"{m[1]}第{re.sub(r'[ 　]', '', m[2])}{m[3]}", text)
    text = _SPACED_NAME.sub(_joined_name, text)
    text = _SPACED.sub(lambda m: _GLUED_HEAD.sub(r"\1 ", re.sub(r"[ 　]", "", m[0])), text)
    return _MANY_SPACES.sub(_joined_groups, text)


def _joined_name(match: re.Match[str]) -> str:
    return f"{match[1]} {re.sub(r'[ 　]', '', match[3])}"


_GAP = re.compile(rf"(?<=[{_HAN}，。；、：,]) (?=[{_HAN}])")
_FIRST_GAP = re.compile(
    rf"^[# 　]*(?:第{NUMERAL}{{1,6}}[编章节条](?:之{NUMERAL}+)?|{NUMERAL}{{1,3}}、|[（(]{NUMERAL}{{1,3}}[）)]) ", re.M
)
_SENTENCE = re.compile(r"[，。；、,;]")


def prose_gaps(text: str) -> str:
    """In a text full of gaps between characters (justified type), lines of prose lose them; headings and name lists keep theirs."""
    gaps = len(_GAP.findall(text)) - len(_FIRST_GAP.findall(text))
    if gaps < 20 or gaps < 0.005 * len(text):
        return text
    lines = text.split("\n")
    for i, line in enumerate(lines):
        if " " in line and "|" not in line and len(line) > 12 and _SENTENCE.search(line):
            mark = _FIRST_GAP.match(line)
            start = mark.end() if mark else 0
            lines[i] = line[:start] + _GAP.sub("", line[start:])
    return "\n".join(lines)


def _joined_groups(match: re.Match[str]) -> str:
    """Groups of one to four letters are joined only when that restores a fixed term which the spaces had cut."""
    line = match[0]
    joined = line.replace(" ", "")
    return joined if any(anchor in joined and anchor not in line for anchor in _ANCHORS) else line


_NUMBER_GAP = re.compile(
    r" (?:(?<=\d )(?=[年月日号个家项条元万亿倍岁天时人名件次届％%])|(?<=[〔〕第年月至到自于在约过] )(?=\d))"
)


def number_spacing(text: str) -> str:
    """2025 年 3 月 1 日, 20 个工作日 and 〔2025〕 50 号 lose the spaces typesetting put around their digits."""
    return _NUMBER_GAP.sub("", text) if " " in text else text


_PLAIN_MARKS = ((",", "，"), (";", "；"), (":", "："), (".", "。"))
_QUOTED = re.compile(r"«\s*([^«»\n]{2,80}?)\s*»")


def punctuation(text: str) -> str:
    """Fonts that show , . ; : as Chinese marks: where a text has hardly any 。 or ，, those after a Chinese character become them.

    A title in « » becomes 《 》.
    """
    if "«" in text:
        text = _QUOTED.sub(r"《\1》", text)
    for plain, chinese in _PLAIN_MARKS:
        if plain not in text:
            continue
        pattern = re.compile(
            rf"(?<=[{_HAN}）)》”０-９]){re.escape(plain)}(?=\s*(?:[{_HAN}《（(“①-⑳]|$))"
            if plain != "."
            else rf"(?<=[{_HAN}）)》”]){re.escape(plain)}(?=\s*(?:[{_HAN}《（(“]|$))",
            re.M,
        )
        count = len(pattern.findall(text))
        if count > 10 and count > 4 * text.count(chinese):
            text = pattern.sub(chinese, text)
    return text


# (sign that must occur, pattern, replacement); the sign keeps most texts from being searched at all
_FRAMES = (
    (")|）", re.compile(r"^[（(][-－—–_][)）](?=\S)", re.M), "（一）"),
    ("第-|第－|第—|第–", re.compile(r"第[-－—–](?=[编章节条款项])"), "第一"),
    ("干", re.compile(rf"第({NUMERAL}{{0,2}})干({NUMERAL}{{0,6}})条"), r"第\1千\2条"),
    ("l", re.compile(r"(?<=[年月])l(?=[\d月日])|(?<=\d)l(?=[月日])"), "1"),
    ("O|o", re.compile(r"(?<=[12])[Oo](?=[\dOo]{2}年)|(?<=[12]\d)[Oo](?=[\dOo]年)|(?<=[12]\d\d)[Oo](?=年)"), "0"),
)


def scan_errors(text: str) -> str:
    """Misread characters in frames that leave no doubt: （-） for （一）, 2O25年, 月l日. Everything else stays as read."""
    for signs, pattern, right in _FRAMES:
        if any(sign in text for sign in signs.split("|")):
            text = pattern.sub(right, text)
    return text


# --- page furniture and page frames --------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def chrome_data() -> dict[str, list[dict]]:
    """Entries of kb/data/chrome.yaml."""
    return yaml.safe_load((_DATA / "chrome.yaml").read_text(encoding="utf-8"))


@lru_cache(maxsize=2)
def chrome_pattern(place: str) -> re.Pattern[str]:
    """One pattern for all lines of a place (anywhere or edges); use it with fullmatch."""
    return re.compile("|".join(f"(?:{entry['pattern']})" for entry in chrome_data()[place]))


_LONGEST_CHROME = 200
_STRUCTURE = re.compile(
    rf"[#\s]*(?:第{NUMERAL}{{1,6}}[编章节条]|[一二三四五六七八九十]{{1,3}}、|[（(]{NUMERAL}{{1,3}}[）)]|\d{{1,2}}[.．、])"
)


def page_frame(text: str) -> str:
    """No page numbers, print headers, URLs, share and print buttons; see kb/data/chrome.yaml."""
    anywhere, edges = chrome_pattern("anywhere").fullmatch, chrome_pattern("edges").fullmatch
    lines = text.split("\n")
    first = next((i for i, line in enumerate(lines) if _STRUCTURE.match(line)), len(lines))
    last = max((i for i, line in enumerate(lines) if line.rstrip()[-1:] in "。；"), default=0)
    drop = set()
    for i, line in enumerate(lines):
        core = line.strip()
        if not core or len(core) > _LONGEST_CHROME or (core[-1] in "。；，、" and core[0] != "本"):
            continue
        if anywhere(core) or ((i < first or i > last) and edges(core)):
            drop.add(i)
    drop |= _window_titles(lines)
    drop |= _page_numbers(lines)
    drop |= _running_titles(lines, drop)
    return _without(lines, drop) if drop else text


_SITES = ("委员会", "政府", "网", "网站", "厅", "局", "数港", "中心")
_WINDOW_TITLE = re.compile(r"\S.{5,110}[_|｜-]\s?[^_|｜。，；\s]{2,24}")


def _window_titles(lines: Sequence[str]) -> set[int]:
    """Titles of a browser window (办法_政策文件_某市政府网站) printed on every page; the first one stays."""
    seen: set[str] = set()
    drop = set()
    for i, line in enumerate(lines):
        core = line.strip()
        if 10 <= len(core) <= 140 and core.endswith(_SITES) and " | " not in core and _WINDOW_TITLE.fullmatch(core):
            key = re.sub(r"[\d\s/]+", "", core)
            if key in seen:
                drop.add(i)
            seen.add(key)
    return drop


def _page_numbers(lines: Sequence[str]) -> set[int]:
    """Bare numbers alone in their lines that count the pages: one more each time, text between them."""
    found = [
        (i, int(core))
        for i, line in enumerate(lines)
        if (core := line.strip()) and len(core) <= 3 and core.isascii() and core.isdigit()
    ]
    runs: list[list[tuple[int, int]]] = []
    for i, value in found:
        if runs and value == runs[-1][-1][1] + 1 and i > runs[-1][-1][0] + 4:
            runs[-1].append((i, value))
        elif value <= 3:
            runs.append([(i, value)])
    best = max(runs, key=len, default=[])
    if len(best) >= 3 or (len(best) == 2 and len(found) == 2):
        return {i for i, _ in best} | {i for i, value in found if i < best[0][0] and value <= 3}
    return set()


def _running_titles(lines: Sequence[str], edges: set[int]) -> set[int]:
    """Lines that come back at page edges, digits aside; the first one stays, because it may be the title."""
    near: dict[str, list[int]] = {}
    borders = edges | {i for i, line in enumerate(lines) if PAGE in line}
    if len(borders) < 2:
        return set()
    checked: set[int] = set()
    for border in sorted(borders):
        for step in (-1, 1):
            j, seen = border if step > 0 and PAGE in lines[border] and border not in edges else border + step, 0
            while 0 <= j < len(lines) and seen < 2:
                core = lines[j].strip()
                if core and j not in edges:
                    seen += 1
                    if (
                        j not in checked
                        and 4 <= len(core) <= 60
                        and core[-1] not in "。；，、："
                        and not _STRUCTURE.match(core)
                    ):
                        near.setdefault(re.sub(r"[\d\s]+", "", core), []).append(j)
                    checked.add(j)
                j += step
    return {j for same in near.values() if len(same) >= 3 for j in same[1:]}


def _without(lines: Sequence[str], drop: set[int]) -> str:
    """The lines that stay; page marks of dropped lines move on to the next one."""
    kept: list[str] = []
    carried = ""
    for i, line in enumerate(lines):
        if i in drop:
            carried += PAGE * line.count(PAGE)
        else:
            kept.append(carried + line)
            carried = ""
    return "\n".join(kept) + carried


# --- lines ---------------------------------------------------------------------------------------------------------------


TERMINAL = set("。！？!?：:；;…")
MARK = re.compile(
    rf"[#\s]*(?:第{NUMERAL}{{1,6}}[编章节](?![{_HAN}])|第(?:{NUMERAL}{{1,6}}|\d{{1,3}})条(?![第、和至到款项规所的之中及或与，。；以])|[一二三四五六七八九十]{{1,3}}、"
    rf"|[（(](?:{NUMERAL}{{1,3}}|\d{{1,2}})[）)](?![项款目])|\d{{1,2}}[.．、](?!\d)|[①-⑳]|附\s?[件表录](?![{_HAN}])|[（(]\s?(?:19|20)\d\d\s?年|[-•·●■◆➢]|\|)"
)
_COMMAMARK = re.compile(r"[一二三四五六七八九十]{1,3}、")
_ANNEX_LIST = re.compile(r"附\s?件\s?\d{0,2}\s?[：:]")
_LEADERS = re.compile(r"[.．·…⋯]{4,}\s*\d*$")
_COMMA_MARK = re.compile(r"[一二三四五六七八九十]{1,3}、")
_LEADERS = re.compile(r"[.．·…⋯]{4,}\s*\d*$")
_ANNEX_LIST = re.compile(r"附\s?件\s?\d{0,2}\s?[：:]")
_MAX_WRAP = 240
_LONGEST_JOIN = 8000


def soft_breaks(text: str) -> str:
    """Join lines that were broken by the width of the page: a full line without sentence end goes on in the next one.

    Nothing happens in a text whose lines are paragraphs. A join never inserts a space between Chinese characters.
    """
    lines = text.split("\n")
    used = sorted(filter(None, map(len, lines)))
    if not used or used[int(len(used) * 0.9)] > _MAX_WRAP:
        return text
    widths = [cell_width(line) for line in lines]
    full = wrapcell_width(lines, widths)
    if not full:
        return text
    out: list[str] = []
    width = 0
    blank = 0
    for line, own in zip(lines, widths, strict=True):
        core = line.strip()
        if not core:
            blank += 1
            out.append(line)
            continue
        before = len(out) - 1 - blank
        if (
            before >= 0
            and blank <= 4
            and len(out[before]) < _LONGEST_JOIN
            and continues(out[before].rstrip(), core, width >= full * 0.8)
        ):
            marks = PAGE * sum(piece.count(PAGE) for piece in (*out[before + 1 :], line))
            del out[before + 1 :]
            out[before] = glue(out[before].rstrip(), core, marks)
        else:
            out.append(line)
        width, blank = own, 0
    return "\n".join(out)


def wrapcell_width(lines: Sequence[str], widths: Sequence[int]) -> int:
    """Width in half-width cells at which the lines of a text were broken; 0 when lines are paragraphs."""
    used = sorted(w for w in widths if w)
    if len(used) < 8:
        return 0
    full = used[int(len(used) * 0.9)]
    if not 30 <= full <= _MAX_WRAP:
        return 0
    wide = [line.rstrip() for line, w in zip(lines, widths, strict=True) if full * 0.8 <= w <= _MAX_WRAP]
    broken = sum(1 for line in wide if line[-1] not in TERMINAL)
    return full if broken >= max(4, 0.35 * len(wide)) else 0


def continues(before: str, core: str, is_full: bool) -> bool:
    """True when `core` goes on with the sentence of the line `before`."""
    if (
        not before
        or before[0] == "#"
        or before[-1] in TERMINAL
        or before[-1] == "|"
        or _LEADERS.search(before)
        or _ANNEX_LIST.match(before) is not None
    ):
        return False
    open_title = before.rfind("《") > before.rfind("》") and "》" in core
    if not is_full and not open_title:
        return False
    # 规范统⏎一、数据安全…: a heading 一、 never follows a full line of prose that has not ended
    return not MARK.match(core) or (
        "，" in before and before[-1] not in "）)" and len(core) > 24 and _COMMA_MARK.match(core) is not None
    )


def glue(before: str, core: str, marks: str = "") -> str:
    """Two pieces of one paragraph; Latin words keep their space."""
    latin = before[-1].isascii() and before[-1].isalpha() and core[0].isascii() and core[0].isalpha()
    return f"{before}{' ' if latin else ''}{marks}{core}"


def cell_width(line: str) -> int:
    """Width of a line in half-width cells: two for a Chinese character, one for a Latin letter."""
    return len(line.strip().encode("gb18030", "replace"))


def blank_lines(text: str) -> str:
    """At most one empty line between two lines, none at the ends."""
    text = re.sub(r"\n[\n\x1c]{2,}", lambda m: "\n\n" + PAGE * m[0].count(PAGE), text)
    core = text.strip("\n \t　" + PAGE)
    head = PAGE * text[: len(text) - len(text.lstrip("\n \t　" + PAGE))].count(PAGE)
    tail = PAGE * (text.count(PAGE) - core.count(PAGE) - len(head))
    return head + core + tail


STEPS: dict[str, Callable[[str], str]] = {
    "newlines": newlines,
    "characters": characters,
    "invisible": invisible,
    "spaces": spaces,
    "letter_spacing": letter_spacing,
    "number_spacing": number_spacing,
    "punctuation": punctuation,
    "scan_errors": scan_errors,
    "page_frame": page_frame,
    "soft_breaks": soft_breaks,
    "prose_gaps": prose_gaps,
    "blank_lines": blank_lines,
}
