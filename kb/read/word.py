"""DOCX in, text out: paragraphs in order, automatic numbers written out, table rows as lines, deleted text left out.

python-docx opens the package; the body is walked here, because automatic numbering, insertions, text boxes and content controls are
not part of its `paragraph.text`.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from kb.errors import ReadError
from kb.models import Finding, SourceText
from kb.numerals import to_chinese
from kb.read.archive import Archive
from kb.read.limits import Limits

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_MC = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
_CHINESE = (
    "chineseCounting",
    "chineseCountingThousand",
    "chineseLegalSimplified",
    "ideographDigital",
    "japaneseCounting",
    "japaneseLegal",
    "taiwaneseCounting",
    "taiwaneseCountingThousand",
    "koreanCounting",
    "ideographTraditional",
)
_DROPPED = {
    f"{_W}{name}"
    for name in ("del", "moveFrom", "instrText", "delText", "pPr", "rPr", "tblPr", "tblGrid", "trPr", "tcPr", "sectPr")
}


def read_docx(data: bytes, where: str, limits: Limits) -> SourceText:
    """Body, tables, text boxes and notes of a DOCX file.

    Raises:
        ReadError: damaged, encrypted, a zip bomb, or without text.
    """
    archive = Archive(data, where, limits)
    if archive.find("word/document.xml") is None and not any(
        name.startswith("word/document") for name in archive.names
    ):
        raise ReadError(
            f"{where}: an archive without word/document.xml", hint="Open it in Word or WPS and save it as DOCX."
        )
    import docx
    from docx.opc.exceptions import PackageNotFoundError

    for name in archive.names:
        if name.lower().endswith((".xml", ".rels")):
            _refuse_entities(archive.read(name), where)
    try:
        package = docx.Document(io.BytesIO(data))
    except (PackageNotFoundError, KeyError, ValueError) as error:
        raise ReadError(
            f"{where}: damaged DOCX ({str(error)[:100]})", hint="Open it in Word or WPS and save it again."
        ) from error
    writer = _Body(_Numbering(package))
    lines = list(writer.blocks(package.element.body))
    lines += _notes(archive, where)
    text = "\n".join(lines)
    if not text.strip():
        raise ReadError(
            f"{where}: a DOCX file without text", hint="Pictures of pages? Save it as PDF and read it with OCR."
        )
    return SourceText(where, "docx", text, findings=tuple(_remarks(package.element.body, where)))


def _refuse_entities(xml: bytes, where: str) -> None:
    """Office files never declare entities; one that does is built to expand without end."""
    if b"<!DOCTYPE" in xml[:2000] or b"<!ENTITY" in xml[:100_000]:
        raise ReadError(
            f"{where}: XML with a document type declaration",
            hint="Refused: no word processor writes this. Save it again.",
        )


def _remarks(body: Any, where: str) -> Iterator[Finding]:
    if any(True for _ in body.iter(f"{_W}del", f"{_W}ins")):
        yield Finding(
            "warning",
            where,
            "tracked changes: insertions were read, deletions left out",
            "Accept or reject the changes and save it.",
        )


def _notes(archive: Archive, where: str) -> list[str]:
    """Text of footnotes and endnotes, one line each, after the body."""
    from lxml import etree

    lines = []
    for part in ("word/footnotes.xml", "word/endnotes.xml"):
        stored = archive.find(part)
        if stored is None:
            continue
        try:
            root = etree.fromstring(archive.read(stored), etree.XMLParser(resolve_entities=False, no_network=True))
        except etree.XMLSyntaxError:
            continue
        for note in root:
            if note.get(f"{_W}type") in ("separator", "continuationSeparator", "continuationNotice"):
                continue
            text = "".join(_run_text(note)).strip()
            if text:
                lines.append(f"注：{text}")
    return lines


# --- body ----------------------------------------------------------------------------------------------------------------


class _Body:
    """Lines of a document body, in order."""

    def __init__(self, numbering: _Numbering) -> None:
        self._numbering = numbering

    def blocks(self, parent: Any, depth: int = 0) -> Iterator[str]:
        """One line a paragraph and one a table row. Layout tables (one cell, or cells of several paragraphs) are unwrapped."""
        if depth > 40:
            return
        for child in parent:
            tag = child.tag
            if tag == f"{_W}p":
                yield from self._paragraph(child, depth)
            elif tag == f"{_W}tbl":
                yield from self._table(child, depth)
            elif tag == f"{_MC}AlternateContent":
                choice = child.find(f"{_MC}Choice")
                yield from self.blocks(choice if choice is not None else child, depth + 1)
            elif tag not in _DROPPED and isinstance(tag, str):
                yield from self.blocks(child, depth + 1)

    def _paragraph(self, paragraph: Any, depth: int) -> Iterator[str]:
        text = "".join(_run_text(paragraph))
        mark = self._numbering.mark(paragraph) if text.strip() else ""
        pieces = [piece.strip() for piece in text.split("\n")]
        if mark and pieces:
            pieces[0] = mark + pieces[0]
        yield from (piece for piece in pieces if piece)
        for box in paragraph.iter(f"{_W}txbxContent"):
            if not any(parent.tag == f"{_MC}Fallback" for parent in box.iterancestors()):
                yield from self.blocks(box, depth + 1)

    def _table(self, table: Any, depth: int) -> Iterator[str]:
        rows = [row for row in table.iter(f"{_W}tr") if _nearest(row, f"{_W}tbl") is table]
        cells = [[cell for cell in row.iter(f"{_W}tc") if _nearest(cell, f"{_W}tbl") is table] for row in rows]
        columns = max((len(row) for row in cells), default=0)
        if columns <= 1:
            for row in cells:
                for cell in row:
                    yield from self.blocks(cell, depth + 1)
            return
        for row in cells:
            texts = [" ".join(self.blocks(cell, depth + 1)) for cell in row if not _merged_below(cell)]
            if any(texts):
                yield " | ".join(texts)


def _nearest(element: Any, tag: str) -> Any:
    return next((parent for parent in element.iterancestors() if parent.tag == tag), None)


def _merged_below(cell: Any) -> bool:
    """A cell that only continues the one above it."""
    merge = cell.find(f"{_W}tcPr/{_W}vMerge")
    return merge is not None and merge.get(f"{_W}val") in (None, "continue")


def _run_text(element: Any) -> Iterator[str]:
    """Shown text below an element: runs, links, insertions, content controls; no deletions, field codes or text boxes."""
    stack = [element]
    while stack:
        node = stack.pop()
        tag = node.tag
        if node is not element and (
            tag in _DROPPED or tag in (f"{_W}txbxContent", f"{_MC}Fallback") or not isinstance(tag, str)
        ):
            continue
        if tag == f"{_W}t":
            yield node.text or ""
            stack.extend(reversed(node))  # never in a sound file, but its text is text
        elif tag == f"{_W}tab":
            yield " "
        elif tag in (f"{_W}br", f"{_W}cr"):
            yield "\n" if node.get(f"{_W}type") in (None, "textWrapping") else ""
        elif tag == f"{_W}noBreakHyphen":
            yield "-"
        elif tag == f"{_W}sym":
            yield _symbol(node)
        else:
            stack.extend(reversed(node))


def _symbol(node: Any) -> str:
    code = node.get(f"{_W}char") or ""
    return chr(int(code, 16)) if re.fullmatch(r"[0-9A-Fa-f]{4}", code) and not 0xD800 <= int(code, 16) < 0xE000 else ""


# --- automatic numbers ---------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Level:
    """One level of a list: first number, format, text such as 第%1条, whether all numbers are shown as Arabic digits."""

    start: int = 1
    fmt: str = "decimal"
    text: str = ""
    legal: bool = False
    restart: int | None = None


@dataclass(slots=True)
class _List:
    """Levels of one list definition; `abstract` is what several lists share their counters by."""

    abstract: str
    levels: dict[int, _Level] = field(default_factory=dict)
    restarts: set[int] = field(default_factory=set)


class _Numbering:
    """Counters of all lists; `mark` gives the number Word would show before a paragraph."""

    def __init__(self, package: Any) -> None:
        self._lists: dict[str, _List] = {}
        self._styles: dict[str, tuple[str, int]] = {}
        self._counters: dict[str, dict[int, int]] = {}
        self._started: set[tuple[str, int]] = set()
        try:
            part = package.part.numbering_part
        except (KeyError, NotImplementedError, AttributeError):
            part = None
        if part is not None:
            self._load(part.element)
        self._load_styles(package)

    def _load(self, root: Any) -> None:
        abstracts = {node.get(f"{_W}abstractNumId"): node for node in root.findall(f"{_W}abstractNum")}
        for num in root.findall(f"{_W}num"):
            reference = num.find(f"{_W}abstractNumId")
            abstract_id = reference.get(f"{_W}val") if reference is not None else None
            abstract = abstracts.get(abstract_id)
            made = _List(abstract_id or "")
            if abstract is not None:
                for level in abstract.findall(f"{_W}lvl"):
                    made.levels[_number(level.get(f"{_W}ilvl"), 0)] = _level(level)
            for override in num.findall(f"{_W}lvlOverride"):
                index = _number(override.get(f"{_W}ilvl"), 0)
                own = override.find(f"{_W}lvl")
                if own is not None:
                    made.levels[index] = _level(own)
                start = override.find(f"{_W}startOverride")
                if start is not None:
                    base = made.levels.get(index, _Level())
                    made.levels[index] = _Level(
                        _number(start.get(f"{_W}val"), 1), base.fmt, base.text, base.legal, base.restart
                    )
                    made.restarts.add(index)
            self._lists[num.get(f"{_W}numId") or ""] = made

    def _load_styles(self, package: Any) -> None:
        """Lists that come with a paragraph style, inherited through basedOn."""
        own: dict[str, tuple[str | None, int | None]] = {}
        base: dict[str, str] = {}
        try:
            styles = package.styles.element.findall(f"{_W}style")
        except (KeyError, AttributeError):
            return
        for style in styles:
            name = style.get(f"{_W}styleId") or ""
            parent = style.find(f"{_W}basedOn")
            if parent is not None:
                base[name] = parent.get(f"{_W}val") or ""
            properties = style.find(f"{_W}pPr/{_W}numPr")
            if properties is not None:
                own[name] = _reference(properties)
        for style in styles:
            name = style.get(f"{_W}styleId") or ""
            number, level, seen, at = None, None, set(), name
            while at and at not in seen:
                seen.add(at)
                found = own.get(at, (None, None))
                number, level = number or found[0], level if level is not None else found[1]
                at = base.get(at, "")
            if number:
                self._styles[name] = (number, level or 0)

    def mark(self, paragraph: Any) -> str:
        """The number of a paragraph as shown, e.g. 第三条 with a space after it; empty for paragraphs without a list."""
        properties = paragraph.find(f"{_W}pPr")
        number, level = None, None
        if properties is not None:
            if (direct := properties.find(f"{_W}numPr")) is not None:
                number, level = _reference(direct)
            style = properties.find(f"{_W}pStyle")
            if number is None and style is not None and (inherited := self._styles.get(style.get(f"{_W}val") or "")):
                number, level = inherited[0], level if level is not None else inherited[1]
        made = self._lists.get(number or "")
        if made is None or number == "0":
            return ""
        return self._next(number or "", made, level or 0)

    def _next(self, number: str, made: _List, level: int) -> str:
        counters = self._counters.setdefault(made.abstract or number, {})
        rule = made.levels.get(level, _Level())
        if level in made.restarts and (number, level) not in self._started:
            counters.pop(level, None)
        self._started.add((number, level))
        counters[level] = counters[level] + 1 if level in counters else rule.start
        for deeper in [key for key in counters if key > level]:
            if made.levels.get(deeper, _Level()).restart != 0:
                del counters[deeper]
        if rule.fmt in ("bullet", "none"):
            return ""
        text = re.sub(r"%(\d)", lambda m: self._shown(made, counters, int(m[1]) - 1, rule.legal), rule.text)
        return text + (" " if re.search(r"[条章节编\d]$", text) else "") if text else ""

    @staticmethod
    def _shown(made: _List, counters: dict[int, int], level: int, legal: bool) -> str:
        rule = made.levels.get(level, _Level())
        return _format(counters.get(level, rule.start), "decimal" if legal else rule.fmt)


def _reference(properties: Any) -> tuple[str | None, int | None]:
    number, level = properties.find(f"{_W}numId"), properties.find(f"{_W}ilvl")
    return (
        number.get(f"{_W}val") if number is not None else None,
        _number(level.get(f"{_W}val"), 0) if level is not None else None,
    )


def _level(node: Any) -> _Level:
    def value(name: str, default: str) -> str:
        found = node.find(f"{_W}{name}")
        return default if found is None else found.get(f"{_W}val") or default

    restart = node.find(f"{_W}lvlRestart")
    return _Level(
        _number(value("start", "1"), 1),
        value("numFmt", "decimal"),
        value("lvlText", "").replace("\x00", ""),
        node.find(f"{_W}isLgl") is not None,
        None if restart is None else _number(restart.get(f"{_W}val"), 0),
    )


def _number(text: str | None, default: int) -> int:
    return int(text) if text and re.fullmatch(r"-?\d{1,6}", text) else default


def _format(value: int, fmt: str) -> str:
    """A counter in one of Word's number formats; unknown ones as Arabic digits."""
    if fmt in _CHINESE and 1 <= value <= 9999:
        return to_chinese(value)
    if fmt in ("decimalEnclosedCircle", "decimalEnclosedCircleChinese") and 1 <= value <= 20:
        return chr(0x245F + value)
    if fmt == "decimalZero":
        return f"{value:02}"
    if fmt == "decimalFullWidth":
        return str(value).translate(str.maketrans("0123456789", "０１２３４５６７８９"))
    if fmt in ("lowerLetter", "upperLetter") and value >= 1:
        letter = chr(97 + (value - 1) % 26) * ((value - 1) // 26 + 1)
        return (letter if fmt == "lowerLetter" else letter.upper())[:8]
    if fmt in ("lowerRoman", "upperRoman") and 1 <= value <= 3999:
        roman = _roman(value)
        return roman.lower() if fmt == "lowerRoman" else roman
    return str(value)


def _roman(value: int) -> str:
    out = ""
    for amount, letters in (
        (1000, "M"),
        (900, "CM"),
        (500, "D"),
        (400, "CD"),
        (100, "C"),
        (90, "XC"),
        (50, "L"),
        (40, "XL"),
        (10, "X"),
        (9, "IX"),
        (5, "V"),
        (4, "IV"),
        (1, "I"),
    ):
        out += letters * (value // amount)
        value %= amount
    return out
