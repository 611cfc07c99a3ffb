"""Text in, Document out: 编章节条款项 of statutes, 一、（一）1. outlines, glossaries.

A line opens an article only when its number follows the previous one; any other line that merely looks like a
heading is a wrapped citation and stays text. Every span is exact: doc.text[p.start:p.end] == p.text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kb.models import Document, DocumentMeta, Heading, Page, Provision, Unit
from kb.numerals import NUMERAL, article_label, article_number, to_chinese, to_int

_HEADING = re.compile(rf"^[#\s　]*第({NUMERAL}+)(编|分编|章|节|篇)(?=[\s　：:]|$)[\s　：:]*(.*)$")
_ARTICLE = re.compile(rf"^[#\s　]*(第{NUMERAL}+条(?:之{NUMERAL}+)*)[\s　：:]*")
_ITEM = re.compile(rf"^[\s　]*[（(]({NUMERAL}+)[)）]")
_SUBITEM = re.compile(r"^[\s　]*(\d{1,2})[.．、](?!\d)")
_POINT = re.compile(rf"^[#\s　]*({NUMERAL}+)、")
_TERM = re.compile(r"^[\s　]*(\d{1,3})[.．、]\s*([^，。：:]{2,20})[，：:]\s*(?:是指|指)")
_LEVELS = {"编": "part", "分编": "part", "篇": "part", "章": "chapter", "节": "section"}


@dataclass(frozen=True, slots=True)
class _Line:
    start: int
    end: int
    text: str


def parse(
    text: str,
    meta: DocumentMeta,
    *,
    doc_id: str,
    version: str = "",
    pages: Sequence[Page] = (),
    source_path: str = "",
    sha256: str = "",
) -> Document:
    """Parse cleaned text. Any text yields a Document; what is not recognised stays plain text of its provision."""
    lines = list(_lines(text))
    articles = _article_starts(lines)
    if len(articles) >= 2:
        headings, provisions = _statute(text, lines, articles, doc_id)
    else:
        terms = [(i, m) for i, line in enumerate(lines) if (m := _TERM.match(line.text))]
        points = _point_starts(lines)
        if len(terms) >= 5 and len(points) < 3:
            headings, provisions = (), _glossary(text, lines, terms, doc_id)
        elif points:
            headings, provisions = (), _outline(text, lines, points, doc_id)
        else:
            headings, provisions = (), _plain(text, lines, doc_id)
    return Document(
        doc_id=doc_id, version=version, meta=meta, text=text, headings=tuple(headings),
        provisions=tuple(provisions), source_path=source_path, sha256=sha256, pages=tuple(pages),
    )


def _lines(text: str) -> Iterator[_Line]:
    position = 0
    for raw in text.splitlines(keepends=True):
        body = raw.rstrip("\r\n")
        yield _Line(position, position + len(body), body)
        position += len(raw)


def _article_starts(lines: Sequence[_Line]) -> list[tuple[int, tuple[int, int]]]:
    """(line index, number) of every article line whose number follows the previous one."""
    found: list[tuple[int, tuple[int, int]]] = []
    last = (0, 0)
    for i, line in enumerate(lines):
        match = _ARTICLE.match(line.text)
        if not match:
            continue
        number = article_number(match[1])
        follows = number == (last[0] + 1, 0) or (number[0] == last[0] and number[1] == last[1] + 1)
        if follows:
            found.append((i, number))
            last = number
    return found


def _statute(text, lines, starts, doc_id):
    headings: list[Heading] = []
    path: dict[str, str] = {}
    provisions: list[Provision] = []
    first = {i: number for i, number in starts}
    heading_at: dict[int, re.Match[str]] = {}
    for i, line in enumerate(lines):
        if i not in first and (match := _HEADING.match(line.text)):
            heading_at[i] = match
    order = [i for i, _ in starts] + [len(lines)]
    for i, line in enumerate(lines):
        if i in heading_at and (match := heading_at[i]):
            level = _LEVELS[match[2]]
            if i >= order[0] - 4 or any(j > i for j in order[:-1]):
                headings.append(Heading(level, to_int(match[1]), match[3].strip(), line.start, line.end))
            label = line.text.strip(" 　#")
            if level == "part":
                path = {"part": label}
            elif level == "chapter":
                path = {k: v for k, v in path.items() if k == "part"} | {"chapter": label}
            else:
                path = {k: v for k, v in path.items() if k != "section"} | {"section": label}
        if i in first:
            stop = next(j for j in order if j > i)
            body = [lines[j] for j in range(i, stop)]
            cut = next((k for k, b in enumerate(body) if k and (i + k) in heading_at), len(body))
            body = [b for b in body[:cut]]
            while len(body) > 1 and not body[-1].text.strip():
                body.pop()
            label = article_label(first[i])
            start, end = body[0].start + len(body[0].text) - len(body[0].text.lstrip(" 　#")), body[-1].end
            provisions.append(
                Provision(
                    provision_id=f"{doc_id}/{label}", doc_id=doc_id, kind="article", number=first[i], label=label,
                    heading_path=tuple(path.values()), text=text[start:end], start=start, end=end,
                    units=_units(text, body, label, _ARTICLE),
                )
            )
    return headings, provisions


def _units(text: str, body: Sequence[_Line], label: str, opener: re.Pattern[str] | None) -> tuple[Unit, ...]:
    """款 by position, 项 by mark; items belong to the 款 that introduces them."""
    units: list[Unit] = []
    paragraph, lead_in, item = 0, "", None
    n_paragraphs = sum(1 for b in body if b.text.strip() and not _ITEM.match(b.text) and not _SUBITEM.match(b.text))
    for index, line in enumerate(body):
        if not line.text.strip():
            continue
        offset = 0
        if index == 0 and opener and (match := opener.match(line.text)):
            offset = match.end()
        else:
            offset = len(line.text) - len(line.text.lstrip())
        start, end, content = line.start + offset, line.end, line.text[offset:]
        if not content:
            continue
        kuan = f"第{to_chinese(max(paragraph, 1))}款" if n_paragraphs > 1 and label.startswith("第") else ""
        if (match := _ITEM.match(content)) and paragraph:
            item = to_int(match[1])
            mark = f"第{to_chinese(item)}项" if label.startswith("第") else f"（{to_chinese(item)}）"
            units.append(Unit("item", paragraph, item, None, label + kuan + mark, content, start, end, lead_in))
        elif (match := _SUBITEM.match(content)) and paragraph and not label.startswith("第"):
            item = int(match[1])
            units.append(Unit("item", paragraph, item, None, f"{label}{item}.", content, start, end, lead_in))
        elif (match := _SUBITEM.match(content)) and item is not None:
            address = units[-1].address if units[-1].level == "item" else label
            units.append(Unit("subitem", paragraph, item, int(match[1]), f"{address}第{to_chinese(int(match[1]))}目", content, start, end, lead_in))
        else:
            paragraph, item, lead_in = paragraph + 1, None, content
            kuan = f"第{to_chinese(paragraph)}款" if n_paragraphs > 1 and label.startswith("第") else ""
            units.append(Unit("paragraph", paragraph, None, None, label + kuan, content, start, end))
    return tuple(units)


def _point_starts(lines: Sequence[_Line]) -> list[tuple[int, int]]:
    found, last = [], 0
    for i, line in enumerate(lines):
        if (match := _POINT.match(line.text)) and to_int(match[1]) == last + 1:
            last += 1
            found.append((i, last))
    return found


def _outline(text, lines, points, doc_id):
    provisions: list[Provision] = []
    first_line = points[0][0]
    if first_line > 1:
        provisions.append(_make(text, lines[1:first_line], doc_id, "preamble", (0,), "前言", ()))
    stops = [i for i, _ in points[1:]] + [len(lines)]
    for (i, number), stop in zip(points, stops, strict=True):
        label = f"{to_chinese(number)}、"
        heading = lines[i].text.strip(" 　#")
        subs = [(j, to_int(m[1])) for j in range(i + 1, stop) if (m := _ITEM.match(lines[j].text))]
        head_stop = subs[0][0] if subs else stop
        provisions.append(_make(text, lines[i:head_stop], doc_id, "point", (number,), label, (heading[:40],)))
        for k, (j, sub) in enumerate(subs):
            end = subs[k + 1][0] if k + 1 < len(subs) else stop
            provisions.append(
                _make(text, lines[j:end], doc_id, "point", (number, sub), f"{label}（{to_chinese(sub)}）", (heading[:40],))
            )
    return [p for p in provisions if p.text.strip()]


def _glossary(text, lines, terms, doc_id):
    stops = [i for i, _ in terms[1:]] + [len(lines)]
    return [
        _make(text, lines[i:stop], doc_id, "term", (int(match[1]),), match[2].strip(), ())
        for (i, match), stop in zip(terms, stops, strict=True)
    ]


def _plain(text, lines, doc_id):
    body = [line for line in lines[1:] if line.text.strip()]
    return [
        _make(text, [line], doc_id, "paragraph", (k,), f"第{to_chinese(k)}段", ()) for k, line in enumerate(body[:9999], 1)
    ]


def _make(text, body, doc_id, kind, number, label, path) -> Provision:
    body = list(body)
    while body and not body[-1].text.strip():
        body.pop()
    if not body:
        return Provision(f"{doc_id}/{label}", doc_id, kind, number, label, path, "", 0, 0)
    start, end = body[0].start, body[-1].end
    return Provision(
        f"{doc_id}/{label}", doc_id, kind, number, label, path, text[start:end], start, end, _units(text, body, label, None)
    )
