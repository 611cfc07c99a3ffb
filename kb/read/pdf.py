"""PDF in, text and page map out: pypdf first, pypdfium2 where it reads better, OCR for pages without a text layer.

pypdf is pure Python, so a hostile file can raise but not crash the process. The second reader is asked only for files pypdf cannot
open (AES encryption with an empty password, damaged tables) and for pages that come out empty or garbled.
"""

from __future__ import annotations

import io
import logging
import re
import time
from collections.abc import Iterator, Sequence
from typing import Any

from kb.errors import ReadError
from kb.models import Finding, SourceText
from kb.read.layout import PageRows, Row, paragraphs
from kb.read.limits import Limits, Progress

logging.getLogger("pypdf").setLevel(logging.CRITICAL)

_FEW = 12
_INK = 0.001
_LARGE_PAGE = (
    3 * 2**20
)  # bytes of instructions; larger pages are drawings, and only the second reader is fast enough for them
_PROTECTED = "is protected by a password"


def read_pdf(data: bytes, where: str, limits: Limits, progress: Progress | None, ocr: bool) -> SourceText:
    """Text of every page; pages that stay without text are named in a finding.

    Raises:
        ReadError: a password is needed, the file is damaged, too long, or scanned while OCR is not installed.
    """
    book = _open(data, where)
    total = len(book)
    if total == 0:
        raise ReadError(f"{where}: the PDF has no pages", hint="Get the file again.")
    if total > limits.max_pages:
        raise ReadError(
            f"{where}: {total:,} pages, limit {limits.max_pages:,}", hint="Split it, or raise KB_MAX_PAGES."
        )
    started = time.monotonic()
    pages: list[PageRows] = []
    findings: list[Finding] = []
    for number in range(1, total + 1):
        if time.monotonic() - started > limits.max_seconds:
            raise ReadError(
                f"{where}: page {number} of {total} after {limits.max_seconds:.0f} s",
                hint="Split the file or convert it to text.",
            )
        rows, width = book.rows(number)
        pages.append(PageRows(number, width, tuple(rows)))
        if progress:
            progress("read", number, total)
    blank = [page.number for page in pages if _needs_ocr(page, book)]
    confidence = None
    if blank:
        pages, confidence, notes = _with_ocr(data, where, pages, blank, limits, progress, ocr)
        findings += notes
    text, spans = paragraphs(pages)
    if not text.strip():
        raise ReadError(
            f"{where}: {total} pages without any text", hint="A scan? Install OCR with: pip install 'duibiao[ocr]'"
        )
    return SourceText(
        where, "pdf", text, spans, front={"pages": total}, findings=tuple(findings), ocr_confidence=confidence
    )


def garbled(text: str) -> float:
    """Share of characters that no Chinese policy text has: private use, replacement, scripts of other languages."""
    ink = re.sub(r"\s", "", text)
    if not ink:
        return 0.0
    return len(_FOREIGN.findall(ink)) / len(ink)


_FOREIGN = re.compile(
    "[\ue000-\uf8ff\ufffd\u0530-\u1fff\u2c00-\u2e7f\ua000-\ua95f\ua980-\uabff\uac00-\ud7ff\U000f0000-\U0010ffff]|\\(cid:\\d+\\)"
)


# --- the two readers -----------------------------------------------------------------------------------------------------


def _open(data: bytes, where: str) -> _Book:
    """pypdf, or pypdfium2 where pypdf gives up.

    Raises:
        ReadError: neither can open the file.
    """
    from pypdf import PdfReader
    from pypdf.errors import DependencyError

    reason = ""
    try:
        reader = PdfReader(io.BytesIO(data))
        if reader.is_encrypted and not reader.decrypt(""):
            raise ReadError(f"{where}: the PDF {_PROTECTED}", hint="Save it without a password.")
        len(reader.pages)
        return _Book(reader, data)
    except ReadError:
        raise
    except DependencyError:
        reason = "encrypted"
    except Exception as error:
        reason = str(error)[:120] or type(error).__name__
    if (book := _Book(None, data)).usable:
        return book
    raise ReadError(
        f"{where}: the PDF is damaged or protected ({reason})", hint="Open it and save it again without a password."
    )


class _Book:
    """Pages of one PDF as rows with positions."""

    def __init__(self, reader: Any, data: bytes) -> None:
        self._reader, self._data, self._second = reader, data, None

    @property
    def usable(self) -> bool:
        """True when the second reader can open the file."""
        return self._pdfium() is not None

    def __len__(self) -> int:
        return len(self._reader.pages) if self._reader is not None else len(self._pdfium() or ())

    def rows(self, number: int) -> tuple[list[Row], float]:
        """Rows of page `number` (from 1) and the page width; the second reader where the first finds nothing or nonsense."""
        rows: list[Row] = []
        width = 595.0
        if self._reader is not None:
            try:
                page = self._reader.pages[number - 1]
                width = float(page.mediabox.width) or width
                if _content_size(page) <= _LARGE_PAGE:
                    rows = _pypdf_rows(page)
            except Exception:  # a damaged page: the second reader has its try below
                rows = []
        text = "".join(row.text for row in rows)
        if len(text) >= _FEW and garbled(text) < 0.1:
            return rows, width
        try:
            other, other_width = self._pdfium_rows(number)
        except Exception:
            return rows, width
        better = "".join(row.text for row in other)
        if (len(better) > len(text) + _FEW and garbled(better) <= garbled(text)) or (
            text and better and garbled(better) < garbled(text)
        ):
            return other, other_width
        return rows, width

    def has_ink(self, number: int) -> bool:
        """True when a page shows something: a page without text is then a picture, not an empty page."""
        from kb.read.ocr import pdf_page_ink

        try:
            return pdf_page_ink(self._data, number) > _INK
        except Exception:  # cannot be drawn: nobody can say that nothing is lost
            return True

    def _pdfium(self) -> Any:
        if self._second is None:
            try:
                import pypdfium2

                self._second = pypdfium2.PdfDocument(self._data)
            except Exception:  # not installed, or the file is beyond it too
                return None
        return self._second

    def _pdfium_rows(self, number: int) -> tuple[list[Row], float]:
        book = self._pdfium()
        if book is None:
            return [], 595.0
        page = book[number - 1]
        width, height = page.get_size()
        textpage = page.get_textpage()
        rows, position = [], 0
        text = textpage.get_text_range()
        for line in text.split("\r\n"):
            if line.strip():
                left, _, _, top = textpage.get_charbox(min(position, max(0, textpage.count_chars() - 1)))
                rows.append(Row(line.replace("\ufffe", ""), left, height - top))
            position += len(line) + 2
        textpage.close()
        page.close()
        return rows, width


def _content_size(page: Any) -> int:
    """Bytes of drawing instructions on a page after unpacking; pypdf itself refuses streams that unpack without end."""
    contents = page.get_contents()
    return 0 if contents is None else len(contents.get_data())


def _pypdf_rows(page: Any) -> list[Row]:
    """Lines of pypdf's text with the position where each begins."""
    pieces: list[tuple[str, float, float]] = []

    def note(text: str, matrix: Sequence[float], text_matrix: Sequence[float], font: Any, size: float) -> None:
        if text:
            x = text_matrix[4] * matrix[0] + text_matrix[5] * matrix[2] + matrix[4]
            y = text_matrix[4] * matrix[1] + text_matrix[5] * matrix[3] + matrix[5]
            pieces.append((text, x, y))

    text = page.extract_text(visitor_text=note)
    if "".join(piece for piece, _, _ in pieces) != text:
        return [Row(line) for line in text.split("\n") if line.strip()]
    height = float(page.mediabox.height)
    return list(_rows_of(pieces, height))


def _rows_of(pieces: Sequence[tuple[str, float, float]], height: float) -> Iterator[Row]:
    line: list[str] = []
    x = y = None
    for text, at_x, at_y in pieces:
        for k, part in enumerate(text.split("\n")):
            if k:
                if any(p.strip() for p in line):
                    yield Row("".join(line), x, None if y is None else height - y)
                line, x, y = [], None, None
            if part.strip() and x is None:
                x, y = at_x, at_y
            line.append(part)
    if any(p.strip() for p in line):
        yield Row("".join(line), x, None if y is None else height - y)


# --- pages without a text layer ------------------------------------------------------------------------------------------


def _needs_ocr(page: PageRows, book: _Book) -> bool:
    text = "".join(row.text.strip() for row in page.rows)
    return (len(text) < _FEW and book.has_ink(page.number)) or (len(text) >= _FEW and garbled(text) > 0.2)


def _with_ocr(
    data: bytes,
    where: str,
    pages: list[PageRows],
    blank: list[int],
    limits: Limits,
    progress: Progress | None,
    ocr: bool,
) -> tuple[list[PageRows], float | None, list[Finding]]:
    """Pages with what OCR read on those that have no usable text layer, mean confidence, findings."""
    from kb.read.ocr import INSTALL, available, pdf_page_rows

    named = _ranges(blank)
    if not ocr or not available():
        if len(blank) == len(pages):
            raise ReadError(f"{where}: scanned, all {len(pages)} pages are pictures without a text layer", hint=INSTALL)
        return (
            pages,
            None,
            [Finding("error", where, f"pages {named} are pictures or garbled and were not read", INSTALL)],
        )
    wanted, scores = set(blank), []
    out = []
    done = 0
    for page in pages:
        if page.number in wanted:
            rows, width, score = pdf_page_rows(data, page.number)
            if rows:
                page = PageRows(page.number, width, tuple(rows))
                scores.append(score)
            done += 1
            if progress:
                progress("ocr", done, len(blank))
        out.append(page)
    mean = round(sum(scores) / len(scores), 3) if scores else None
    return (
        out,
        mean,
        [
            Finding(
                "info",
                where,
                f"pages {named} were read by OCR, confidence {mean}",
                "Check names and numbers against the scan.",
            )
        ],
    )


def _ranges(numbers: Sequence[int]) -> str:
    """1-3, 7: page numbers for a message."""
    parts: list[str] = []
    start = previous = numbers[0]
    for number in [*numbers[1:], -1]:
        if number != previous + 1:
            parts.append(str(start) if start == previous else f"{start}-{previous}")
            start = number
        previous = number
    return ", ".join(parts[:12]) + (" …" if len(parts) > 12 else "")
