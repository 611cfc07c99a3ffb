"""文号, decrees, notices and standards in any spelling: found in a text, with keys that ignore brackets, spaces and names of makers."""

from __future__ import annotations

import re
from dataclasses import dataclass

from kb.names import alias_data, title_key
from kb.numerals import ANY_NUMERAL, to_int

_OPEN, _CLOSE = r"[〔\[（(【﹝〈<［]", r"[〕\])）】﹞〉>］]"
DOC_NO = re.compile(
    rf"([\u4e00-\u9fffA-Za-z]{{1,16}})\s*{_OPEN}\s*((?:19|20)\d{{2}})\s*年?\s*{_CLOSE}\s*第?\s*(\d{{1,5}})\s*号?"
)
_LOOSE_DOC_NO = re.compile(r"([\u4e00-\u9fff]{2,12})\s*((?:19|20)\d{2})\s*年?[\s\-第]*?(\d{1,5})\s*号")
_SPACED_DOC_NO = re.compile(r"([\u4e00-\u9fff]{2,12}?)\s*((?:19|20)\d{2})\s+第?\s*(\d{1,5})(?!\d)")
ORDER = re.compile(rf"([\u4e00-\u9fff、 　]{{2,40}}?)令\s*(?:[（(]?\s*(?:\d{{4}}年\s*)?第?\s*({ANY_NUMERAL})\s*号)")
NOTICE = re.compile(
    rf"([\u4e00-\u9fff]{{2,30}})公告\s*[（(〔【\[]?\s*(?:([{'零〇一二三四五六七八九十'}]+届)[】\]〕）)]?)?\s*(?:\d{{4}}年)?第?\s*({ANY_NUMERAL})\s*号"
)
STANDARD = re.compile(r"((?:GB|DB\d{2,4}|YD|GA|JR|TC|T/[A-Z]+)(?:/[TZ])?)\s?(\d+(?:\.\d+)?)\s?[—–\-]\s?(\d{4})")


_HAS_DIGIT = re.compile(r"\d|令|公告")


def canonical_doc_no(letters: str, year: str, number: str) -> str:
    """发改数据规 + 2025 + 026 -> 发改数据规〔2025〕26号."""
    return f"{letters.strip()}〔{year}〕{int(number)}号"


def doc_no_key(letters: str, year: str, number: str) -> str:
    """Key that ignores brackets, spaces and padding: 发改价格2025-65."""
    return f"{title_key(letters)}{year}-{int(number)}"


def canonical_maker(name: str) -> str:
    """One name for the forms of a maker: 国家网信办 -> 国家互联网信息办公室. Unknown makers come back unchanged."""
    bare = re.sub(r"[\s　、]+", " ", name).strip().split(" ")[0]
    bare = re.sub(r"等?[零〇一二三四五六七八九十]*部门$", "", bare)
    for canonical, forms in alias_data()["makers"].items():
        if bare in forms:
            return canonical
    return bare


def order_key(maker: str, number: int) -> str:
    """Key of a decree: 国家互联网信息办公室令16."""
    return f"{canonical_maker(maker)}令{number}"


def number_keys(doc_no: str) -> list[str]:
    """Every lookup key of a stored number: 文号, decree, notice or standard."""
    keys = [doc_no_key(*m.groups()) for m in DOC_NO.finditer(doc_no)]
    keys += [order_key(m[1], to_int(m[2])) for m in ORDER.finditer(doc_no)]
    keys += [f"公告{to_int(m[3])}:{title_key(m[1])}" for m in NOTICE.finditer(doc_no)]
    keys += [f"std{m[1]}{m[2]}-{m[3]}" for m in STANDARD.finditer(doc_no)]
    return keys


@dataclass(frozen=True, slots=True)
class NumberMatch:
    """A 文号, decree, notice or standard number in a text; `text` is its canonical form."""

    start: int
    end: int
    text: str
    keys: tuple[str, ...]


def find_numbers(text: str, *, loose: bool) -> list[NumberMatch]:
    """Numbers in order of position; `loose` also takes forms without brackets, as people type them."""
    if not _HAS_DIGIT.search(text):
        return []
    found = [_doc_number(match) for match in DOC_NO.finditer(text)]
    if loose:
        found += [_doc_number(m) for m in _LOOSE_DOC_NO.finditer(text)]
        found += [_doc_number(m) for m in _SPACED_DOC_NO.finditer(text)]
    for match in ORDER.finditer(text) if "令" in text else ():
        maker, number = match[1].strip("、 　"), to_int(match[2])
        keys = tuple(order_key(maker[i:], number) for i in range(min(len(maker) - 1, 24)))
        found.append(NumberMatch(match.start(), match.end(), f"{maker}令第{number}号", keys))
    for match in NOTICE.finditer(text) if "公告" in text else ():
        number = to_int(match[3])
        keys = tuple(f"公告{number}:{title_key(match[1][i:])}" for i in range(len(match[1]) - 1))
        found.append(NumberMatch(match.start(), match.end(), match[0], keys))
    for match in STANDARD.finditer(text):
        found.append(NumberMatch(match.start(), match.end(), match[0], (f"std{match[1]}{match[2]}-{match[3]}",)))
    found.sort(key=lambda m: (m.start, -m.end))
    kept: list[NumberMatch] = []
    for match in found:
        if not kept or match.start >= kept[-1].end:
            kept.append(match)
    return kept


_LEAD = re.compile(
    r"^.*(?:按照|根据|依据|关于|参照|落实|贯彻|以及|见于|详见|印发|文号|号文|[和及与见对查按由的])(?=[\u4e00-\u9fff]{2,})"
)


def _doc_number(match: re.Match[str]) -> NumberMatch:
    letters, year, number = match.groups()
    keys = tuple(doc_no_key(letters[i:], year, number) for i in range(max(1, len(letters) - 1)))
    clean = _LEAD.sub("", letters) or letters
    return NumberMatch(
        match.start() + len(letters) - len(clean), match.end(), canonical_doc_no(clean, year, number), keys
    )
