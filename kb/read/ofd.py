"""OFD (GB/T 33190-2016) in, text and page map out.

The container is read here with zipfile and lxml: the readers on PyPI draw pages, need an AGPL renderer or unpack to disk, and all that
is needed is the text of TextObject/TextCode by position. Paths inside the file are resolved inside the archive and can lead nowhere else.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from kb.errors import ReadError
from kb.models import Finding, SourceText
from kb.read.archive import Archive, resolve
from kb.read.layout import PageRows, Row, paragraphs
from kb.read.limits import Limits

_POINTS = 72 / 25.4  # OFD measures in millimetres


def read_ofd(data: bytes, where: str, limits: Limits) -> SourceText:
    """Text of all documents in an OFD file.

    Raises:
        ReadError: damaged, encrypted, too many pages, or without text.
    """
    archive = Archive(data, where, limits)
    root = _xml(archive, archive.find("OFD.xml"), where)
    if archive.find("Encryptions.xml") or any("encryptinfo" in name.lower() for name in archive.names):
        raise ReadError(f"{where}: the OFD file is encrypted", hint="Save it without a password.")
    pages: list[PageRows] = []
    findings: list[Finding] = []
    for body in _all(root, "DocRoot"):
        document = resolve("OFD.xml", (body.text or "").strip())
        for content, template in _pages(archive, document, where, limits, findings):
            if len(pages) >= limits.max_pages:
                raise ReadError(
                    f"{where}: more than {limits.max_pages:,} pages", hint="Split it, or raise KB_MAX_PAGES."
                )
            number = len(pages) + 1
            rows, width, glyphs = _page(archive, content, template, where)
            if glyphs and not rows:
                findings.append(
                    Finding(
                        "error",
                        where,
                        f"page {number} has glyphs without characters",
                        "Save it as PDF and read it with OCR.",
                    )
                )
            pages.append(PageRows(number, width, tuple(rows)))
    text, spans = paragraphs(pages)
    if not text.strip():
        raise ReadError(
            f"{where}: {len(pages)} pages without any text", hint="A scan? Save it as PDF and read it with OCR."
        )
    empty = [page.number for page in pages if not page.rows]
    if empty:
        findings.append(
            Finding(
                "warning", where, f"{len(empty)} of {len(pages)} pages have no text", "Look at them; they may be scans."
            )
        )
    return SourceText(where, "ofd", text, spans, front={"pages": len(pages)}, findings=tuple(findings))


def _xml(archive: Archive, name: str | None, where: str) -> Any:
    from lxml import etree

    if name is None:
        raise ReadError(f"{where}: a part of the OFD file is missing", hint="Get the file again.")
    data = archive.read(name)
    if b"<!DOCTYPE" in data[:2000] or b"<!ENTITY" in data[:100_000]:
        raise ReadError(
            f"{where}: XML with a document type declaration", hint="Refused: no OFD writer makes this. Save it again."
        )
    try:
        return etree.fromstring(data, etree.XMLParser(resolve_entities=False, no_network=True))
    except etree.XMLSyntaxError as error:
        raise ReadError(f"{where}: damaged OFD ({str(error)[:80]})", hint="Get the file again.") from error


def _all(root: Any, name: str) -> Iterator[Any]:
    """Elements of a local name below `root`; vendors differ in prefixes and name spaces."""
    return (node for node in root.iter() if isinstance(node.tag, str) and node.tag.rsplit("}", 1)[-1] == name)


def _pages(
    archive: Archive, document: str, where: str, limits: Limits, findings: list[Finding]
) -> Iterator[tuple[Any, float]]:
    """(content of a page, default page width in mm) in reading order; a page whose file is missing is named."""
    root = _xml(archive, archive.find(document), where)
    width = _box(next((node.text for node in _all(root, "PhysicalBox")), None))[2] or 210.0
    for page in _all(root, "Page"):
        location = page.get("BaseLoc")
        if not location:
            continue
        stored = archive.find(resolve(document, location))
        if stored is None:
            findings.append(
                Finding("error", where, f"page {page.get('ID') or '?'} is missing in the file", "Get the file again.")
            )
            continue
        yield _xml(archive, stored, where), width


def _page(archive: Archive, content: Any, default_width: float, where: str) -> tuple[list[Row], float, bool]:
    """(rows, page width in points, whether anything is drawn as text)."""
    own = _box(next((node.text for node in _all(content, "PhysicalBox")), None))
    width = (own[2] or default_width) * _POINTS
    pieces: list[tuple[float, float, float, str]] = []
    seen = False
    for text_object in _all(content, "TextObject"):
        seen = True
        box = _box(text_object.get("Boundary"))
        matrix = _numbers(text_object.get("CTM"))
        size = _number(text_object.get("Size") or text_object.get("size"), 3.7)
        for code in _all(text_object, "TextCode"):
            text = code.text or ""
            if not text.strip():
                continue
            x, y = _number(code.get("X"), 0.0), _number(code.get("Y"), 0.0)
            if len(matrix) == 6:
                x, y = matrix[0] * x + matrix[2] * y + matrix[4], matrix[1] * x + matrix[3] * y + matrix[5]
                size *= abs(matrix[3]) or 1.0
            pieces.append(((box[0] + x) * _POINTS, (box[1] + y) * _POINTS, size * _POINTS, text))
    used = max((x + size * len(text) for x, _, size, text in pieces), default=width)
    # some writers give the page in another unit than its text; indentation is judged by what is written
    return list(_rows(pieces)), width if width < 2 * used else used, seen


def _rows(pieces: Sequence[tuple[float, float, float, str]]) -> Iterator[Row]:
    """Pieces on one base line become a row, from left to right; a wide gap inside a row keeps a space."""
    lines: list[list[tuple[float, float, float, str]]] = []
    for piece in sorted(pieces, key=lambda p: (p[1], p[0])):
        if lines and abs(piece[1] - lines[-1][0][1]) <= 0.4 * max(piece[2], 4.0):
            lines[-1].append(piece)
        else:
            lines.append([piece])
    for line in lines:
        line.sort(key=lambda p: p[0])
        text, right = "", None
        for x, _, size, piece in line:
            gap = right is not None and x - right > 0.6 * size
            text += (" " if gap else "") + piece
            right = x + size * sum(1.0 if ord(c) > 0x2E80 else 0.5 for c in piece)
        yield Row(text, line[0][0], line[0][1])


def _box(text: str | None) -> tuple[float, float, float, float]:
    numbers = _numbers(text)
    return (numbers[0], numbers[1], numbers[2], numbers[3]) if len(numbers) == 4 else (0.0, 0.0, 0.0, 0.0)


def _numbers(text: str | None) -> list[float]:
    parts = (text or "").split()[:8]
    return [_number(part, 0.0) for part in parts]


def _number(text: str | None, default: float) -> float:
    """A finite number of sensible size, else the default."""
    try:
        value = float(text or "")
    except ValueError:
        return default
    return value if math.isfinite(value) and abs(value) < 1e6 else default
