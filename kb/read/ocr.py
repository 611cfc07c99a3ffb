"""Pictures of pages in, rows of text out. Optional (`pip install 'duibiao[ocr]'`), offline: the models come inside the rapidocr package."""

from __future__ import annotations

import importlib.util
import io
import logging
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from kb.errors import ReadError
from kb.models import Finding, SourceText
from kb.read.layout import PageRows, Row, paragraphs
from kb.read.limits import Limits, Progress

INSTALL = "Install OCR with: pip install 'duibiao[ocr]', or get an edition with a text layer."
_DPI = 150
_MAX_PIXELS = 40_000_000
_LONGEST = 2600


def available() -> bool:
    """True when OCR is installed on this machine."""
    return importlib.util.find_spec("rapidocr") is not None


@lru_cache(maxsize=1)
def _engine() -> Any:
    from rapidocr import RapidOCR

    logging.getLogger("RapidOCR").setLevel(logging.ERROR)
    return RapidOCR(params={"Global.log_level": "error", "Global.use_cls": False})


def read_image(data: bytes, where: str, limits: Limits, progress: Progress | None, ocr: bool) -> SourceText:
    """Text of a picture; a TIFF may hold several pages.

    Raises:
        ReadError: not a picture, too large, OCR not installed, or nothing to read in it.
    """
    from PIL import Image

    try:
        picture = Image.open(io.BytesIO(data))
        frames = getattr(picture, "n_frames", 1)
        width, height = picture.size
    except Exception as error:
        raise ReadError(f"{where}: damaged picture ({str(error)[:80]})", hint="Scan or save it again.") from error
    if width * height > _MAX_PIXELS or frames > limits.max_pages:
        raise ReadError(
            f"{where}: {width} x {height} pixels, {frames} pages",
            hint=f"At most {_MAX_PIXELS:,} pixels; save it smaller.",
        )
    if not ocr or not available():
        raise ReadError(f"{where}: a picture of text", hint=INSTALL)
    pages, scores = [], []
    for index in range(frames):
        picture.seek(index)
        rows, score = _recognise(picture.convert("RGB"), 1.0)
        pages.append(PageRows(index + 1, float(width), tuple(rows)))
        if rows:
            scores.append(score)
        if progress:
            progress("ocr", index + 1, frames)
    text, spans = paragraphs(pages)
    if not text.strip():
        raise ReadError(
            f"{where}: no text was found in the picture", hint="Scan it again, straight and with 200 dpi or more."
        )
    mean = round(sum(scores) / len(scores), 3)
    note = Finding("info", where, f"read by OCR, confidence {mean}", "Check names and numbers against the picture.")
    return SourceText(where, "image", text, spans, findings=(note,), ocr_confidence=mean)


def pdf_page_rows(data: bytes, number: int) -> tuple[list[Row], float, float]:
    """(rows, page width in points, mean confidence) of page `number` (from 1) of a PDF, drawn and recognised."""
    import pypdfium2

    book = pypdfium2.PdfDocument(data)
    try:
        page = book[number - 1]
        width, height = page.get_size()
        scale = min(_DPI / 72, _LONGEST / max(width, height, 1.0))
        picture = page.render(scale=scale).to_pil().convert("RGB")
        page.close()
    finally:
        book.close()
    rows, score = _recognise(picture, 1 / scale)
    return rows, width, score


def pdf_page_ink(data: bytes, number: int) -> float:
    """Share of dark pixels of one PDF page; about zero on an empty page."""
    import numpy
    import pypdfium2

    book = pypdfium2.PdfDocument(data)
    try:
        page = book[number - 1]
        scale = min(0.6, 900 / max(*page.get_size(), 1.0))
        pixels = numpy.asarray(page.render(scale=scale, grayscale=True).to_numpy())
        page.close()
    finally:
        book.close()
    return float((pixels < 160).mean())


def _recognise(picture: Any, scale: float) -> tuple[list[Row], float]:
    """Rows of a picture from top to bottom with mean confidence; `scale` turns pixels into points."""
    import numpy

    result = _engine()(numpy.asarray(picture)[:, :, ::-1])
    if result is None or result.txts is None or not len(result.txts):
        return [], 0.0
    found = [
        (float(min(p[0] for p in box)), float(min(p[1] for p in box)), float(max(p[1] for p in box)), text)
        for box, text in zip(result.boxes, result.txts, strict=True)
    ]
    rows = [Row(text, x * scale, y * scale) for text, x, y in _lines(found)]
    return rows, float(sum(result.scores) / len(result.scores))


def _lines(boxes: Sequence[tuple[float, float, float, str]]) -> list[tuple[str, float, float]]:
    """(text, x, y) of lines: boxes whose middle lies in the same band, from left to right."""
    lines: list[list[tuple[float, float, float, str]]] = []
    for box in sorted(boxes, key=lambda b: (b[1] + b[2]) / 2):
        middle = (box[1] + box[2]) / 2
        if lines and lines[-1][0][1] <= middle <= lines[-1][0][2]:
            lines[-1].append(box)
        else:
            lines.append([box])
    out = []
    for line in lines:
        line.sort(key=lambda b: b[0])
        out.append((" ".join(box[3] for box in line), line[0][0], min(box[1] for box in line)))
    return out
