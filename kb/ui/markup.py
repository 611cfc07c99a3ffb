"""Text to safe HTML: everything from documents is escaped, marks are added by position."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence

from kb.models import LEVEL_NAMES, STATUS_NAMES, DocumentMeta
from kb.segment import search_key

Span = tuple[int, int, str]


def escape(text: str) -> str:
    """HTML with no meaning left in the text."""
    return html.escape(text, quote=True)


_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>$~:&@/])")


def plain(text: str) -> str:
    """Text for Markdown places (captions, labels, messages): no link, image, colour, formula or HTML comes out of it."""
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))


def with_marks(text: str, spans: Iterable[Span]) -> str:
    """Escaped text with `<span class=…>` around spans (start, end, css class); of overlapping spans the first wins."""
    out, position = [], 0
    for start, end, css in sorted(spans, key=lambda s: (s[0], -s[1])):
        if start < position or end <= start:
            continue
        out += [escape(text[position:start]), f'<span class="{css}">', escape(text[start:end]), "</span>"]
        position = end
    return "".join([*out, escape(text[position:])])


def word_spans(text: str, words: Sequence[str], css: str = "kb-hit") -> list[Span]:
    """Where the words stand in a text, long words first; width and case do not matter."""
    key = search_key(text)
    if len(key) != len(text):
        key = text
    spans: list[Span] = []
    taken = bytearray(len(key))
    for word in sorted(set(words), key=lambda w: (-len(w), w)):
        start = key.find(word)
        while word and start >= 0:
            if not any(taken[start : start + len(word)]):
                spans.append((start, start + len(word), css))
                taken[start : start + len(word)] = b"\1" * len(word)
            start = key.find(word, start + len(word))
    return spans


def badge(text: str, css: str = "") -> str:
    """One small label."""
    return f'<span class="kb-badge {css}">{escape(text)}</span>'


def document_badges(meta: DocumentMeta, status: str, quality: str = "complete") -> str:
    """Level, kind, number, status, 施行 date, and warnings a reader must not miss."""
    parts = [badge(LEVEL_NAMES.get(meta.level, meta.level), f"kb-{meta.level}")]
    if meta.kind:
        parts.append(badge(meta.kind))
    if meta.doc_no:
        parts.append(badge(meta.doc_no))
    parts.append(badge(STATUS_NAMES.get(status, status), "" if status == "in_force" else "kb-warn"))
    if meta.effective_on:
        parts.append(badge(f"施行 {meta.effective_on}"))
    if meta.text_kind == "digest":
        parts.append(badge("要点摘编·非官方原文", "kb-digest"))
    if quality == "incomplete":
        parts.append(badge("文本不完整", "kb-warn"))
    elif quality == "doubtful":
        parts.append(badge("文本有疑", "kb-warn"))
    return "".join(parts)
