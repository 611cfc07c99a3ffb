"""Chinese numerals to integers and back: 第二百五十三条之一 <-> (253, 1), （十二） <-> 12."""

from __future__ import annotations

import re
from functools import lru_cache

DIGITS = {
    "零": 0,
    "〇": 0,
    "○": 0,
    "一": 1,
    "二": 2,
    "两": 2,
    "三": 3,
    "四": 4,
    "五": 5,
    "六": 6,
    "七": 7,
    "八": 8,
    "九": 9,
}
UNITS = {"十": 10, "百": 100, "千": 1000}
BIG_UNITS = {"万": 10_000, "亿": 100_000_000}
NUMERAL = "[零〇○一二两三四五六七八九十百千]"
ANY_NUMERAL = rf"(?:{NUMERAL}+|[0-9０-９]{{1,4}})"
_FULL_WIDTH = str.maketrans("０１２３４５６７８９", "0123456789")
_ARTICLE = re.compile(rf"第\s*({ANY_NUMERAL})\s*条((?:\s*之\s*{ANY_NUMERAL})*)")
_SUFFIX = re.compile(rf"之\s*({ANY_NUMERAL})")


def to_int(text: str) -> int:
    """Value of a Chinese, Arabic or full-width numeral: 二百五十三, 253, ２５３, 二〇二五 (digit by digit).

    Raises:
        ValueError: the text is not a numeral.
    """
    text = text.strip().translate(_FULL_WIDTH)
    if text.isascii() and text.isdigit():
        return int(text)
    if not text or any(c not in DIGITS and c not in UNITS and c not in BIG_UNITS for c in text):
        raise ValueError(f"not a numeral: {text!r}")
    if not any(c in UNITS or c in BIG_UNITS for c in text):
        return int("".join(str(DIGITS[c]) for c in text))
    total, section, digit = 0, 0, None
    for char in text:
        if char in DIGITS:
            digit = DIGITS[char]
        elif char in UNITS:
            section += (1 if digit in (None, 0) else digit) * UNITS[char]
            digit = None
        else:
            total = (total + section + (digit or 0)) * BIG_UNITS[char]
            section, digit = 0, None
    return total + section + (digit or 0)


@lru_cache(maxsize=10_000)
def to_chinese(value: int) -> str:
    """Chinese numeral as used in statute numbering, 1 to 9999: 101 -> 一百零一, 12 -> 十二.

    Raises:
        ValueError: value outside 1..9999.
    """
    if not 1 <= value <= 9999:
        raise ValueError(f"{value} is outside 1..9999")
    names = "零一二三四五六七八九"
    out, zero = "", False
    for unit, name in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
        digit, value = divmod(value, unit)
        if digit:
            out += ("零" if zero and out else "") + names[digit] + name
            zero = False
        elif out:
            zero = True
    return out[1:] if out.startswith("一十") else out


def article_number(label: str) -> tuple[int, ...]:
    """Sort key of an article label: 第二百五十三条之一 -> (253, 1); 第3条 -> (3, 0); 第三条之一之二 -> (3, 1, 2).

    Raises:
        ValueError: the text does not begin with an article label.
    """
    match = _ARTICLE.match(label.strip())
    if not match:
        raise ValueError(f"not an article label: {label!r}")
    inserted = tuple(to_int(suffix) for suffix in _SUFFIX.findall(match[2]))
    return (to_int(match[1]), *(inserted or (0,)))


def article_label(number: tuple[int, ...] | int) -> str:
    """Canonical label: (253, 1) -> 第二百五十三条之一."""
    main, *inserted = (number,) if isinstance(number, int) else number
    return f"第{to_chinese(main)}条" + "".join(f"之{to_chinese(value)}" for value in inserted if value)
