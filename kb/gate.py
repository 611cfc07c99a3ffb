"""A text that claims to be a document in, the document itself and objections out.

Pages carry chrome, packages carry two copies of a title, and an error page carries nothing: what is not the document
is cut, and what cannot be the document is refused with a reason. The gate is the same for every source.
"""

from __future__ import annotations

import re
from dataclasses import replace

from kb.catalog import CatalogEntry, normalise
from kb.digests import Outline, outline
from kb.models import DocumentMeta, Finding, SourceText
from kb.parse import parse
from kb.quality import assess

_OPENER = re.compile(r"第[零〇一二三四五六七八九十百千]+[编章条]|[一二三四五六七八九十]+、|1[.．、]")
_CHROME = re.compile(
    r"""\S{0,2}$ | 目\s*录$ | [>＞|/] | \d{4}\D\d{1,2}\D\d{1,2}日?\s*\d{1,2}:\d{2}
      | .{0,12}(?:来源|字号|字体|浏览|分享|打印|扫一扫|责任编辑|发布时间|发布日期|索引号|无障碍|收藏|纠错|首页)""",
    re.X,
)


def trim(text: str, title: str) -> str:
    """The document without what a web page puts around it: from its title line to its last provision or date line.

    The title line itself is left out. A covering notice (关于印发《title》的通知) stays, because it holds number, date
    and basis.
    """
    lines = [line for line in _joined_labels([line.strip("　 \t") for line in text.split("\n")]) if line]
    opener = next((i for i, line in enumerate(lines) if _OPENER.match(line)), len(lines))
    # a page repeats its title (window title, breadcrumb, heading): the last one before the text counts
    starts = [end for i in range(opener) if (end := _title_ends(lines, i, normalise(title)))]
    start = starts[-1] if starts else 0
    notice = [
        i
        for i in range(start)
        if re.search(rf"关于(?:印发|发布|公布).{{0,4}}{re.escape(title)}.{{0,4}}的(?:通知|公告)$", lines[i])
    ]
    start = notice[-1] if notice else start
    opener = max(opener, start)
    kept = [line for line in lines[start:opener] if not _CHROME.match(line)]
    return "\n".join([*kept, *_without_contents(lines[opener:][: _end(lines[opener:])])])


def _title_ends(lines: list[str], at: int, key: str) -> int:
    """Index after the title when it begins at line `at` (headings are often broken over two or three lines), else 0."""
    joined = ""
    for i in range(at, min(at + 3, len(lines))):
        joined += normalise(lines[i].lstrip("# "))
        if joined == key:
            return i + 1
    return 0


def _without_contents(lines: list[str]) -> list[str]:
    """A table of contents repeats the first heading: begin where that heading stands for the last time."""
    if not lines or not re.match(r"第\S{1,5}[编章]", lines[0]):
        return lines
    again = [i for i, line in enumerate(lines) if normalise(line) == normalise(lines[0])]
    return lines[again[-1] :]


def _joined_labels(lines: list[str]) -> list[str]:
    """第一条 alone on a line belongs to the next line; 第一章 alone belongs to its name."""
    out: list[str] = []
    waiting = ""
    for line in lines:
        if waiting and line:
            line, waiting = f"{waiting} {line}", ""
        if re.fullmatch(r"第[零〇一二三四五六七八九十百千]+[条章节编]", line):
            waiting = line
        elif line:
            out.append(line)
    return out + ([waiting] if waiting else [])


def _end(lines: list[str]) -> int:
    """Where the document ends: after the article that says 施行, or the date under the signature; annexes go on."""
    for i in range(len(lines) - 1, -1, -1):
        closing = re.match(r"第\S{1,8}条", lines[i]) and "施行" in lines[i]
        dated = re.fullmatch(r"\d{4}\s*年\s*\d{1,2}\s*月\s*\d{1,2}\s*日", lines[i])
        if (closing or dated) and i >= len(lines) // 3:
            rest = lines[i + 1 :]
            return len(lines) if any(re.match(r"附\s*(?:件|表|录)", line) for line in rest) else i + 1
    return len(lines)


def names(text: str, entry: CatalogEntry) -> bool:
    """Whether the title or an alias of the entry stands in the text, in any spelling."""
    key = normalise(text)
    return any(normalise(name) in key for name in entry.names)


def objections(text: str, entry: CatalogEntry, digest: str | None) -> list[Finding]:
    """Why a trimmed text may not enter the corpus (errors) and what a person should look at (warnings).

    Args:
        digest: our digest of the document; the text must hold every article or point it states.
    """
    split = outline(f"# {entry.title}\n{text}")
    found = _quality(text, entry)
    if len(split.units) < 2 and not (digest and outline(digest).style == "plain") and entry.kind != "工作报告":
        what = "no article or outline point was recognised"
        found.append(Finding("error", entry.id, what, "Is this the document itself?"))
    if digest:
        found += _lost_units(split, digest, entry)
    number = re.sub(r"\D", "", entry.doc_no or "")
    if (
        number
        and "〔" in (entry.doc_no or "")
        and "〔" in text[:3000]
        and normalise(entry.doc_no or "") not in normalise(text[:3000])
    ):
        found.append(
            Finding(
                "warning", entry.id, f"{entry.doc_no} does not stand in the text", "Check the number in the catalogue."
            )
        )
    effective = effective_date(text)
    if effective and entry.effective_on and effective != entry.effective_on:
        found.append(
            Finding(
                "warning",
                entry.id,
                f"the text takes effect on {effective}, the catalogue says {entry.effective_on}",
                "Check the catalogue.",
            )
        )
    return found


def _quality(text: str, entry: CatalogEntry) -> list[Finding]:
    """The verdict every file of the corpus gets (`kb.quality`); what it calls an error makes a text incomplete."""
    meta = DocumentMeta(entry.title, entry.level, kind=entry.kind)
    whole = f"{entry.title}\n{text}"
    _, found = assess(parse(whole, meta, doc_id=entry.id), SourceText(entry.id, "md", whole))
    return [replace(finding, where=entry.id) for finding in found]


def _lost_units(split: Outline, digest: str, entry: CatalogEntry) -> list[Finding]:
    """Every article or point of the digest must be in the full text; the other way round is for check_digests."""
    ours, theirs = outline(digest), {unit.key for unit in split.units}
    expected = [unit for unit in ours.units if unit.key != ("前言",)]
    lost = [unit.label for unit in expected if unit.key not in theirs]
    if ours.style == "plain" or not lost:
        return []
    shown = "、".join(lost[:5]) + ("……" if len(lost) > 5 else "")
    return [
        Finding(
            "error",
            entry.id,
            f"{len(lost)} of {len(expected)} articles or points are missing: {shown}",
            "An excerpt, another version or another document.",
        )
    ]


def effective_date(text: str) -> str | None:
    """The day in the last 自YYYY年M月D日起施行 of a text, or None."""
    dates = re.findall(r"自\s*(\d{4})\s*年\s*(\d{1,2})\s*月\s*(\d{1,2})\s*日起(?:施行|实施|执行|生效)", text)
    return "{}-{:0>2}-{:0>2}".format(*dates[-1]) if dates else None
