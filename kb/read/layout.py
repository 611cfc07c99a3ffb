"""Rows with positions in, paragraphs and a page map out: for formats that know where a line stands but not what a paragraph is.

A row goes on in the next one when it is full and the next row begins at the left margin without a list mark. Indentation and wider
line gaps begin a paragraph, whatever the punctuation says.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from kb.clean import MARK, TERMINAL, cell_width, chrome_pattern, glue
from kb.models import Page


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a page: left edge and distance from the top in points; None where the reader does not know."""

    text: str
    x: float | None = None
    y: float | None = None


@dataclass(frozen=True, slots=True)
class PageRows:
    """Rows of one page from top to bottom; `width` in points."""

    number: int
    width: float
    rows: tuple[Row, ...] = field(default=())


_INDENT = 0.018
_FULL = 0.8
_WIDE_GAP = 1.3


def paragraphs(pages: Sequence[PageRows]) -> tuple[str, tuple[Page, ...]]:
    """Text with one paragraph a line, and where each page begins in it. Page numbers and running titles are left out."""
    cleaned = _without_furniture(pages)
    full = _full_width(cleaned)
    indents = _uses_indents(cleaned)
    out: list[str] = []
    spans: list[int] = []
    length = 0
    before: tuple[Row, PageRows] | None = None
    usual = _left([row for page in cleaned for row in page.rows])
    for page in cleaned:
        left = _left(page.rows) if len(page.rows) > 4 else usual
        gap = _usual_gap(page)
        starts_at: int | None = None
        for row in page.rows:
            text = row.text.strip()
            if not text:
                continue
            if before is not None and out and _goes_on(before, row, page, left, gap, full, indents):
                joined = glue(out[-1], text)
                length += len(joined) - len(out[-1])
                if starts_at is None:
                    starts_at = length - len(text)
                out[-1] = joined
            else:
                length += (1 if out else 0) + len(text)
                if starts_at is None:
                    starts_at = length - len(text)
                out.append(text)
            before = (row, page)
        spans.append(length if starts_at is None else starts_at)
    text = "\n".join(out)
    ends = [*spans[1:], len(text)]
    return text, tuple(Page(page.number, a, max(a, b)) for page, a, b in zip(cleaned, spans, ends, strict=True))


def _goes_on(
    before: tuple[Row, PageRows], row: Row, page: PageRows, left: float, gap: float, full: float, indents: bool
) -> bool:
    last, last_page = before
    core, text = last.text.strip(), row.text.strip()
    if cell_width(core) < full * _FULL or full == 0 or re.match(r"附\s?件\s?\d{0,2}\s?[：:].*[）》]$", core):
        return _open_title(core, text)
    ended = core[-1] in TERMINAL
    if row.x is None:
        return not ended and not MARK.match(text)
    if row.x - left > _INDENT * page.width:
        return False
    if ended and MARK.match(text):
        return False
    same_page = last_page.number == page.number
    if same_page and last.y is not None and row.y is not None and gap and row.y - last.y > _WIDE_GAP * gap:
        return not ended and not MARK.match(text) and row.y - last.y < 2 * _WIDE_GAP * gap and indents
    if not ended:
        return not MARK.match(text) or ("，" in core and re.match(r"[一二三四五六七八九十]{1,3}、", text) is not None)
    return indents or (same_page and bool(gap))


def _open_title(core: str, text: str) -> bool:
    """《中⏎华人民共和国…》: a title mark that is opened in one row and closed in the next."""
    return core.rfind("《") > core.rfind("》") and "》" in text[:60] and core[-1] not in TERMINAL


def _left(rows: Sequence[Row]) -> float:
    """Left margin: the smallest position that several rows share."""
    counts = Counter(round(row.x) for row in rows if row.x is not None and len(row.text.strip()) > 3)
    if not counts:
        return 0.0
    shared = [
        x
        for x, n in counts.items()
        if n + counts.get(x + 1, 0) + counts.get(x - 1, 0) >= max(2, 0.15 * sum(counts.values()))
    ]
    return float(min(shared or counts))


def _usual_gap(page: PageRows) -> float:
    """Distance of neighbouring rows inside a paragraph: the lower fifth of all distances on the page; 0 when unknown."""
    positions = [row.y for row in page.rows if row.y is not None]
    gaps = sorted(b - a for a, b in pairwise(positions) if b - a > 1)
    return gaps[len(gaps) // 5] if len(gaps) >= 3 else 0.0


def _full_width(pages: Sequence[PageRows]) -> float:
    """Width of a full row in cells: the ninth decile of all rows of some length."""
    widths = sorted(w for page in pages for row in page.rows if (w := cell_width(row.text.strip())) > 8)
    return widths[int(len(widths) * 0.9)] if len(widths) >= 4 else 0.0


def _uses_indents(pages: Sequence[PageRows]) -> bool:
    """True when paragraphs of this document begin with an indentation."""
    total = inside = 0
    for page in pages:
        left = _left(page.rows)
        for row in page.rows:
            if row.x is not None and len(row.text.strip()) > 12:
                total += 1
                inside += _INDENT * page.width < row.x - left < 0.2 * page.width
    return total > 8 and inside >= 0.08 * total


def _without_furniture(pages: Sequence[PageRows]) -> list[PageRows]:
    """Pages without page numbers, print headers and lines that come back at the top or bottom of most pages."""
    chrome = chrome_pattern("anywhere").fullmatch
    edges: Counter[tuple[str, int]] = Counter()
    for page in pages:
        edges.update({_key(row) for row in (*page.rows[:2], *page.rows[-2:])})
    often = max(3, 0.5 * len(pages))
    out = []
    for page in pages:
        kept, last = [], len(page.rows) - 1
        for i, row in enumerate(page.rows):
            core = row.text.strip()
            at_edge = i < 2 or i > last - 2
            # without positions the first of equal lines may be the title of the document
            repeated = (
                at_edge
                and len(core) <= 60
                and edges[_key(row)] >= often
                and (row.y is not None or page is not pages[0])
            )
            number = (
                at_edge
                and re.fullmatch(r"\d{1,4}", core) is not None
                and _near_number(int(core), page.number, len(pages))
            )
            if not core or repeated or number or (at_edge and len(core) <= 200 and chrome(core)):
                continue
            kept.append(row)
        out.append(PageRows(page.number, page.width, tuple(kept)))
    return out


def _near_number(value: int, number: int, pages: int) -> bool:
    """A bare number at a page edge counts pages when it is close to the number of the page."""
    return abs(value - number) <= max(3, pages // 10)


def _key(row: Row) -> tuple[str, int]:
    """What makes two edge lines the same: their text without digits, and their height on the page where it is known."""
    return re.sub(r"[\d\s]+", "", row.text) or "#", -1 if row.y is None else round(row.y / 6)
