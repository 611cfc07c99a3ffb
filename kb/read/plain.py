"""Markdown and plain text: bytes in, text and front matter out."""

from __future__ import annotations

import re

import yaml

from kb.errors import ReadError

_BOMS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_FRONT = re.compile(r"\A\s*---[ \t]*\n(.*?)\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.S)
_MAX_FRONT = 64 * 1024


def decode(data: bytes, where: str, *, declared: str = "") -> tuple[str, str]:
    """(text, note). Tries the byte-order mark, the declared encoding, UTF-8, GB18030; `note` says what had to be replaced.

    Raises:
        ReadError: binary data, or neither UTF-8 nor GB18030.
    """
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return data.decode(encoding, "replace"), ""
    if b"\x00" in data:
        if wide := _utf16(data):
            return wide, ""
        raise ReadError(f"{where}: binary data, not text", hint="Use MD, TXT, HTML, PDF, DOCX, OFD or an image.")
    for encoding in dict.fromkeys(("utf-8", _known(declared), "gb18030")):
        try:
            return data.decode(encoding), ""
        except UnicodeDecodeError:
            continue
    best = min(("utf-8", "gb18030"), key=lambda e: data.decode(e, "replace").count("\ufffd"))
    text = data.decode(best, "replace")
    lost = text.count("\ufffd")
    if lost > 0.02 * len(text) + 2:
        raise ReadError(f"{where}: neither UTF-8 nor GB18030 text", hint="Open it and save it as UTF-8.")
    return text, f"{lost} characters could not be decoded as {best}"


def _known(name: str) -> str:
    """GBK pages hold GB18030 characters; an unknown name is ignored."""
    name = name.strip().lower().replace("_", "-")
    if name in ("big5", "big5-hkscs"):
        return "big5hkscs"
    return "gb18030" if name.startswith("gb") else "utf-8"


def _utf16(data: bytes) -> str:
    """UTF-16 without a mark: every second byte of a text with ASCII punctuation or line ends is zero somewhere."""
    if len(data) % 2:
        return ""
    for encoding in ("utf-16-le", "utf-16-be"):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        han = sum(1 for c in text[:4000] if "\u4e00" <= c <= "\u9fff")
        if "\x00" not in text and han > 0.3 * len(text[:4000]):
            return text
    return ""


def split_front(text: str) -> tuple[dict[str, object], str, str]:
    """(front matter, body, note). Damaged front matter stays in the body, so that nothing is lost."""
    text = text.replace("\r\n", "\n")
    match = _FRONT.match(text[:_MAX_FRONT]) if text.lstrip("\ufeff \n")[:3] == "---" else None
    if not match:
        return {}, text, ""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        if re.search(r"(?m)(?:^|[\s\[,{])[&*][A-Za-z0-9_]", match[1]):
            raise ValueError("anchors and aliases are not read")
        loaded = yaml.load(match[1], Loader=loader)
    except (yaml.YAMLError, ValueError, RecursionError, TypeError) as error:
        return {}, text, f"front matter cannot be read ({str(error).splitlines()[0][:100]})"
    if loaded is not None and not isinstance(loaded, dict):
        return {}, text, ""
    front = {str(key): value for key, value in (loaded or {}).items()}
    return front, text[match.end() :].lstrip("\n"), ""
