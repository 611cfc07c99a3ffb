"""Which reader gets a file: decided by what is in it, not by what it is called."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from pathlib import Path

from kb.errors import ReadError
from kb.models import Finding, SourceText
from kb.read.limits import DEFAULTS, Limits, Progress

# kind -> suffixes it is usually stored under
KINDS: dict[str, tuple[str, ...]] = {
    "md": (".md", ".markdown"),
    "txt": (".txt", ".text"),
    "html": (".html", ".htm", ".shtml", ".xhtml", ".jhtml"),
    "pdf": (".pdf",),
    "docx": (".docx", ".docm", ".wps"),
    "doc": (".doc", ".wps", ".dot", ".rtf", ".et", ".xls"),
    "ofd": (".ofd",),
    "zip": (".zip",),
    "image": (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp"),
}
_IMAGES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\x00", b"MM\x00*", b"BM", b"RIFF")
_HTML = re.compile(rb"<(?:!doctype\s+html|html|head|body|meta|table|div|p|span|title)\b", re.I)
_PAGE = re.compile(
    rb"\s*(?:<\?xml[^>]*\?>\s*)?(?:<!--.{0,2000}?-->\s*)*<(?:!doctype\s+html|html|head|body|meta)\b", re.I | re.S
)
_OTHER = {
    b"Rar!": "a RAR archive",
    b"7z\xbc\xaf": "a 7z archive",
    b"\x1f\x8b": "a gzip archive",
    b"\x7fELF": "a program",
    b"MZ": "a program",
    b"SQLite": "a database",
    b"%!PS": "a PostScript file",
    b"GIF8": "a GIF image",
}


def read_file(
    path: Path,
    *,
    name: str | None = None,
    limits: Limits = DEFAULTS,
    progress: Progress | None = None,
    ocr: bool = True,
) -> SourceText:
    """Read one file; `name` is how it is called in messages.

    Args:
        path: the file; links are followed by the system as for any open call, nothing else is opened.
        name: how the file is called in messages.
        limits: refuse what is larger or slower.
        progress: called with ("read" or "ocr", page, pages) by the slow readers.
        ocr: False reads no text from images and names the pages that stay without text.

    Raises:
        ReadError: empty, too large, binary, encrypted, damaged or of a kind that holds no text, with the next step.
    """
    where = name or path.name
    try:
        size = path.stat().st_size
        if size > limits.max_bytes:
            raise ReadError(
                f"{where}: {size / 2**20:,.0f} MiB, limit {limits.max_bytes / 2**20:,.0f} MiB",
                hint="Split it, or raise KB_MAX_FILE_MB.",
            )
        data = path.read_bytes()
    except OSError as error:
        raise ReadError(
            f"{where}: cannot be opened ({error.strerror or error})", hint="Check that the file is there and readable."
        ) from error
    return read_bytes(data, where, path.suffix, limits=limits, progress=progress, ocr=ocr)


def read_bytes(
    data: bytes,
    where: str,
    suffix: str,
    *,
    limits: Limits = DEFAULTS,
    progress: Progress | None = None,
    ocr: bool = True,
) -> SourceText:
    """`read_file` for bytes at hand (a member of an archive, an upload); `suffix` is what the file is called after."""
    if len(data) > limits.max_bytes:
        raise ReadError(
            f"{where}: {len(data) / 2**20:,.0f} MiB, limit {limits.max_bytes / 2**20:,.0f} MiB",
            hint="Split it, or raise KB_MAX_FILE_MB.",
        )
    if not data.strip(b" \t\r\n\x00\xef\xbb\xbf"):
        raise ReadError(f"{where}: the file is empty", hint="Fetch it again or remove it.")
    kind = kind_of(data, suffix, where)
    try:
        source = _read(kind, data, where, limits, progress, ocr)
    except ReadError:
        raise
    except RecursionError as error:
        raise ReadError(
            f"{where}: nested too deeply", hint="Damaged or built to break readers; get it again."
        ) from error
    except Exception as error:  # third-party parsers fail in ways of their own; one bad file must not stop a run
        raise ReadError(
            f"{where}: the {kind.upper()} file cannot be read ({type(error).__name__}: {str(error)[:120]})",
            hint="Open it and save it again.",
        ) from error
    findings = list(source.findings)
    if suffix and suffix.lower() not in KINDS[kind]:
        findings.insert(0, Finding("warning", where, f"called {suffix} but holds {kind.upper()}", "Rename it."))
    return replace(source, sha256=hashlib.sha256(data).hexdigest(), findings=tuple(findings))


def kind_of(data: bytes, suffix: str, where: str = "") -> str:
    """One of KINDS, from the first bytes.

    Raises:
        ReadError: a kind of file that holds no text we can read.
    """
    suffix = suffix.lower()
    # before PDF: an archive that stores its members as they are begins with the first of them
    if data.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _container(data, where)
    if b"%PDF-" in data[:1024]:
        return "pdf"
    if data.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1") or data.startswith(b"{\\rtf"):
        return "doc"
    if data.startswith(_IMAGES) and (b"\x00" in data[:4096] or suffix in KINDS["image"]):
        return "image"
    for magic, what in _OTHER.items():
        if data.startswith(magic) and (b"\x00" in data[:4096] or not data[:64].isascii()):
            raise ReadError(f"{where}: {what}", hint="Unpack or convert it, then add the documents.")
    if _PAGE.match(data.lstrip(b"\xef\xbb\xbf")) or (suffix in KINDS["html"] and _HTML.search(data[:65536])):
        return "html"
    if suffix not in (*KINDS["md"], *KINDS["txt"]) and _HTML.search(data[:2048]):
        return "html"
    if suffix and suffix not in _all_suffixes():
        raise ReadError(
            f"{where}: unknown kind of file {suffix}", hint="Use MD, TXT, HTML, PDF, DOCX, OFD or an image."
        )
    return "md" if suffix in KINDS["md"] else "txt"


def _container(data: bytes, where: str) -> str:
    """DOCX, OFD or a plain archive; the listing is taken without unpacking."""
    import io
    import zipfile

    try:
        names = {name.replace("\\", "/").lstrip("/").lower() for name in zipfile.ZipFile(io.BytesIO(data)).namelist()}
    except Exception as error:
        raise ReadError(f"{where}: damaged archive ({str(error)[:80]})", hint="Get the file again.") from error
    if "ofd.xml" in names:
        return "ofd"
    if any(name.startswith("word/") for name in names):
        return "docx"
    if any(name.startswith(("xl/", "ppt/")) for name in names):
        raise ReadError(f"{where}: a spreadsheet or presentation", hint="Save the text as DOCX or PDF.")
    return "zip"


def _all_suffixes() -> set[str]:
    return {suffix for suffixes in KINDS.values() for suffix in suffixes}


def _read(kind: str, data: bytes, where: str, limits: Limits, progress: Progress | None, ocr: bool) -> SourceText:
    """Call the reader of one kind; each is imported only when it is needed."""
    if kind in ("md", "txt"):
        return _text(kind, data, where)
    if kind == "html":
        from kb.read.html import read_html

        return read_html(data, where)
    if kind == "pdf":
        from kb.read.pdf import read_pdf

        return read_pdf(data, where, limits, progress, ocr)
    if kind == "docx":
        from kb.read.word import read_docx

        return read_docx(data, where, limits)
    if kind == "doc":
        from kb.read.legacy import read_doc

        return read_doc(data, where, limits)
    if kind == "ofd":
        from kb.read.ofd import read_ofd

        return read_ofd(data, where, limits)
    if kind == "image":
        from kb.read.ocr import read_image

        return read_image(data, where, limits, progress, ocr)
    raise ReadError(f"{where}: an archive of several files", hint="Add its documents with: kb ingest FILE.zip")


def _text(kind: str, data: bytes, where: str) -> SourceText:
    from kb.read.plain import decode, split_front

    text, note = decode(data, where)
    front, body, front_note = split_front(text)
    if not body.strip():
        raise ReadError(f"{where}: front matter without text", hint="Fetch it again or remove it.")
    notes = tuple(
        Finding("warning", where, what, "Save it as UTF-8 and check the text.") for what in (note, front_note) if what
    )
    return SourceText(where, kind, body, front=front, findings=notes)
