"""One file in, SourceText out (text, pages, front matter). The only stage that opens documents."""

from __future__ import annotations

import hashlib
from pathlib import Path

import yaml

from kb.errors import ReadError
from kb.models import Page, SourceText

SUFFIXES = {".md": "md", ".txt": "txt", ".html": "html", ".htm": "html", ".pdf": "pdf"}


def read_file(path: Path, *, name: str | None = None) -> SourceText:
    """Read one file; `name` is how it is called in messages.

    Raises:
        ReadError: empty, binary, encrypted or unknown kind of file.
    """
    data = path.read_bytes()
    where = name or path.name
    if not data.strip():
        raise ReadError(f"{where}: the file is empty", hint="Fetch it again or remove it.")
    media = SUFFIXES.get(path.suffix.lower())
    sha = hashlib.sha256(data).hexdigest()
    if media is None:
        raise ReadError(f"{where}: unknown kind of file {path.suffix}", hint="Use MD, TXT, HTML or PDF.")
    if media == "pdf":
        text, pages = _pdf(path, where)
        return SourceText(where, media, text, pages, sha256=sha)
    text = _decode(data, where)
    front: dict = {}
    if text.startswith("---\n") and (end := text.find("\n---", 4)) > 0:
        loaded = yaml.safe_load(text[4:end])
        front = loaded if isinstance(loaded, dict) else {}
        text = text[end + 4 :].lstrip("\n")
    return SourceText(where, media, text, front=front, sha256=sha)


def _decode(data: bytes, where: str) -> str:
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise ReadError(f"{where}: neither UTF-8 nor GB18030 text", hint="Open it and save it as UTF-8.")


def _pdf(path: Path, where: str) -> tuple[str, tuple[Page, ...]]:
    from pypdf import PdfReader

    try:
        reader = PdfReader(path)
        texts = [page.extract_text() or "" for page in reader.pages]
    except Exception as error:
        raise ReadError(f"{where}: the PDF cannot be read ({error})", hint="Open it and save it again.") from error
    pages, position = [], 0
    for number, text in enumerate(texts, 1):
        pages.append(Page(number, position, position + len(text)))
        position += len(text) + 1
    return "\n".join(texts), tuple(pages)
