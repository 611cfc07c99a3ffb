"""What errors and findings say, in Chinese, for people at the workbench; the code and the command line speak English."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources

import yaml

from kb.errors import KbError
from kb.ui.markup import plain

# characters and joined messages; none of ours is longer, and it bounds the work on a hostile one
_LONGEST, _MOST = 4000, 40
# a message can hold a message that holds a message, as when a download fails and the fault names its own cause
_DEPTH = 3
_HOLE = re.compile(r"\{(\w+)(?::([nw]))?\}")
_INSIDE = {None: ".*?", "n": r"[\d,.%]++", "w": r"[^\s:：；]++"}
_JOINT = re.compile(r"(\n|；|; )")
_HAN = re.compile("[\u4e00-\u9fff]")


@dataclass(frozen=True, slots=True)
class _Entry:
    """One message: the English template, its longest literal part, the Chinese template, whether that says anything by itself."""

    english: str
    key: str
    text: str
    speaks: bool


@lru_cache(maxsize=8192)
def chinese(text: str) -> str:
    """An English message of ours in Chinese, several joined by a line break or a semicolon each by itself.

    What has no entry in `data/messages.yaml` comes back as it is. Nothing is escaped; the caller does that.
    """
    return _said(text, _DEPTH) if len(text) <= _LONGEST else text


def of_error(error: KbError) -> str:
    """What was met and what to do, a paragraph each, safe for Markdown places."""
    return "\n\n".join(plain(chinese(text)) for text in (error.message, error.hint) if text)


def _said(text: str, depth: int) -> str:
    pieces = _JOINT.split(text)
    parts, joints = pieces[::2], pieces[1::2]
    if len(parts) > _MOST:
        return text
    told = [_message(part, depth) for part in parts]
    # a quoted name may hold a semicolon, so the whole is tried unless every part is a message
    if not all(told) and joints and (whole := _message(text, depth)):
        return whole
    if not any(told):
        return text
    joints = ["；" if joint == "; " else joint for joint in joints]
    return "".join((t or part) + j for t, part, j in zip(told, parts, [*joints, ""], strict=True))


def _message(text: str, depth: int) -> str | None:
    """The Chinese of one message; None where no entry fits, or one that is all holes has nothing Chinese to put in."""
    for entry in _entries():
        if entry.key in text and (match := _form(entry.english).match(text)):
            holes = match.groupdict()
            inner = {k: _said(v, depth - 1) for k, v in holes.items() if depth and k.startswith("said")}
            if entry.speaks or any(map(_HAN.search, inner.values())):
                held = {**holes, **inner}
                return _HOLE.sub(lambda hole, held=held: held[hole[1]], entry.text)
    return None


@lru_cache(maxsize=1)
def _entries() -> tuple[_Entry, ...]:
    """All messages: a known beginning goes before a hole, then many literal characters before few."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    rows = yaml.load((resources.files("kb") / "data" / "messages.yaml").read_text(encoding="utf-8"), Loader=loader)
    rows.sort(key=lambda row: (row["en"].startswith("{"), -len(_HOLE.sub("", row["en"]))))
    return tuple(
        _Entry(r["en"], max(_HOLE.split(r["en"])[::3], key=len), r["zh"], bool(_HAN.search(_HOLE.sub("", r["zh"]))))
        for r in rows
    )


@cache
def _form(template: str) -> re.Pattern[str]:
    """A template as an anchored expression. Each free hole and what follows it is atomic: no text makes it slow."""
    literal, *rest = _HOLE.split(template)
    out, close = r"\A" + re.escape(literal), ""
    for name, kind, literal in zip(rest[::3], rest[1::3], rest[2::3], strict=True):
        if kind is None:
            out, close = out + close + "(?>", ")"
        out += f"(?P<{name}>{_INSIDE[kind]})" + re.escape(literal)
    return re.compile(out + r"\Z" + close, re.S)
