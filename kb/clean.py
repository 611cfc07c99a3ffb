"""Named text steps, str -> str, that make extracted text ready for parsing."""

from __future__ import annotations

import unicodedata


def clean_text(text: str) -> str:
    """Afterwards: NFC, one newline style, no byte-order mark, no control characters."""
    text = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n").replace("\ufeff", ""))
    return "".join(c for c in text if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cs"))
