"""Text in, dates out: 通过, 批准, 公布, 成文, 施行, 失效 and 有效期, as far as a text states them.

Dates are ISO text. Full-width digits, Chinese numerals, ○ for 〇 and l for 1 are read; a date that does not exist is no date.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Mapping, Sequence
from datetime import date

from kb.numerals import ANY_NUMERAL, to_int

HEAD_CHARS = 4000
_Y, _M, _D = r"((?:19|20|２０|１９)[\d０-９]{2})", r"([\d０-９]{1,2})", r"([\d０-９l]{1,2})"
_DATE = re.compile(rf"{_Y}\s*年\s*{_M}\s*月\s*{_D}\s*日")
_HAN_DATE = re.compile(
    r"([一二][〇○零O０一二三四五六七八九]{3})\s*年\s*([一二三四五六七八九十]{1,2})\s*月\s*([一二三四五六七八九十]{1,3})\s*日"
)
DATE_LINE = re.compile(rf"^[（(]?\s*(?:{_DATE.pattern}|{_HAN_DATE.pattern})\s*(?:印发|发布)?\s*[）)]?$")

# fields that a web page or its text export prints beside the document (domain: 版头 and page header)
_FIELDS = {
    "doc_no": re.compile(r"^(?:发文字号|文\s*号|文件编号)\s*[：:]\s*(.{4,30}?号)", re.M),
    "signed_on": re.compile(
        r"^(?:成文日期|发文日期|签发日期)\s*[：:]\s*(\d{4}\s?年\s?\d{1,2}\s?月\s?\d{1,2}\s?日|\d{4}-\d{2}-\d{2})", re.M
    ),
    "issuers": re.compile(r"^(?:发文机关|发布机构|发文单位)\s*[：:]\s*([\u4e00-\u9fff、 　]{2,60})$", re.M),
}


def printed_field(name: str, text: str) -> str:
    """Value of a printed field near the top or the end of a page; "" when it has none."""
    match = _FIELDS[name].search(text[:2500]) or _FIELDS[name].search(text[-800:])
    return match[1].strip() if match else ""


def _iso(match: re.Match[str]) -> str:
    groups = [g for g in match.groups() if g]
    year, month, day = groups[:3]
    table = str.maketrans("０１２３４５６７８９lO○", "012345678910〇"[:10] + "100")
    if year[0] in "一二":
        return f"{to_int(year.replace('O', '〇').replace('０', '〇')):04d}-{to_int(month):02d}-{to_int(day):02d}"
    return f"{int(year.translate(table)):04d}-{int(month.translate(table)):02d}-{int(day.translate(table)):02d}"


def find_dates(text: str) -> list[str]:
    """Full dates of a text as ISO text, in order; full-width digits, l for 1 and Chinese numerals are read."""
    found = [(m.start(), m) for m in _DATE.finditer(text)] + [(m.start(), m) for m in _HAN_DATE.finditer(text)]
    out = []
    for _, match in sorted(found, key=lambda row: row[0]):
        try:
            value = _iso(match)
            date.fromisoformat(value)
        except ValueError:
            continue
        out.append(value)
    return out


def history(lines: Sequence[str]) -> str:
    """题注: the lines below the title that say who passed, approved, promulgated and changed the text, joined."""
    taken: list[str] = []
    for line in lines[1:14]:
        if re.match(r"^第[一1]\s*[章条编]|^目\s*录|^一、", line):
            break
        if re.search(r"\d{4}\s*年.{0,6}\d.{0,4}月|通过|批准|公布|修[正订]|施行|公告|令", line) and len(line) < 600:
            taken.append(line)
    return "".join(taken)


_EVENT = re.compile(rf"{_DATE.pattern}(?P<body>[^。；]{{0,90}}?)(?P<verb>通过|批准|公布|发布|施行|修正|修订)")


def dates_of(text: str, lines: Sequence[str], title: str) -> dict[str, str]:
    """adopted, approved, promulgated, signed, effective, expires: as far as the text states them."""
    found: dict[str, str] = {}
    past = history(lines)
    for match in _EVENT.finditer(past):
        when = _safe_iso(match)
        if not when:
            continue
        verb = match["verb"]
        if verb == "通过":
            found.setdefault("adopted_on", when)
        elif verb == "批准":
            found.setdefault("approved_on", when)
        elif verb in ("公布", "发布"):
            found.setdefault("promulgated_on", when)
        elif verb == "施行" and re.fullmatch(r"\s*起?", match["body"]):
            found["effective_on"] = when
        elif verb in ("修正", "修订"):
            found["revised_on"] = when
            if "令" in match["body"]:
                found["promulgated_on"] = when
    decree = re.search(
        rf"《[^《》]{{4,80}}》已(?:[经由]|于).{{0,10}}?{_DATE.pattern}.{{0,60}}?通过", text[:HEAD_CHARS]
    ) or re.search(rf"《[^《》]{{4,80}}》已[经由].{{4,60}}?于{_DATE.pattern}通过", text[:HEAD_CHARS])
    if decree and (when := _safe_iso(decree)):
        found.setdefault("adopted_on", when)
    printed = printed_field("signed_on", text)
    if signed := _signed_on(text, lines) or next(iter(find_dates(printed)), printed[:10] if "-" in printed else ""):
        found["signed_on"] = signed
        if re.search(r"令|公告", "".join(lines[:4])) or "现予公布" in text[:HEAD_CHARS]:
            found.setdefault("promulgated_on", signed)
    if effective := _effective_on(text, found, title):
        found["effective_on"] = effective
    expires = re.search(rf"有效期(?:限)?(?:截?至|到){_DATE.pattern}|实施至{_DATE.pattern}", text)
    if expires and (when := _safe_iso(expires)):
        found["expires_on"] = when
    return found


def _safe_iso(match: re.Match[str]) -> str:
    dates = find_dates(match[0])
    return dates[0] if dates else ""


def _signed_on(text: str, lines: Sequence[str]) -> str:
    """成文日期: a date line of the head (a decree, a notice, a date in brackets under the title), else the last one of the text."""
    head = []
    for line in lines[1:60]:
        if re.match(r"^第[一1]条", line):
            break
        if DATE_LINE.match(line):
            head.append(line)
    tail = [line.strip(" \t　\u00a0") for line in text[-1200:].split("\n")]
    for line in head + [line for line in reversed(tail) if line and DATE_LINE.match(line)]:
        if dates := find_dates(line):
            return dates[0]
    return ""


_SELF = r"(?:本|《[^《》]{2,60}》)(?:法|条例|办法|规定|规范|细则|规程|指引|实施指引|通知|意见|方案|措施|决定|规则|规划|计划|实施细则|实施办法|暂行办法)?"
_IN_FORCE = re.compile(
    rf"(?:自|从|于){_DATE.pattern}\s*起?(?:正式)?(?:施行|实施|执行|生效)|(?:施行|实施|生效)(?:日期|时间)(?:为|是){_DATE.pattern}"
)
_ON_ISSUE = re.compile(r"自(公布|发布|印发|签发)之日(?:起)?(?:施行|实施|执行|生效)")
_DAYS_AFTER = re.compile(rf"自(公布|发布|印发)之日起({ANY_NUMERAL})日后(?:施行|实施)")


def _effective_on(text: str, found: Mapping[str, str], title: str) -> str:
    """施行 date of the text itself: its last 施行 clause, or the decree that promulgates it."""
    clauses = [(m.start(), m) for m in _IN_FORCE.finditer(text)] + [(m.start(), m) for m in _ON_ISSUE.finditer(text)]
    for start, match in sorted(clauses, key=lambda row: -row[0]):
        sentence = re.split(r"[。\n]", text[max(0, start - 160) : start])[-1]
        if re.search(r"原《|前述|第.{1,5}条", sentence) and not re.search(_SELF, sentence):
            continue
        if match.re is _IN_FORCE:
            return _safe_iso(match)
        return (
            found.get("promulgated_on")
            or found.get("signed_on")
            or found.get("approved_on")
            or found.get("adopted_on")
            or found.get("effective_on", "")
        )
    return found.get("effective_on", "")


_VALID = re.compile(
    rf"有效期(?:限)?(?:为|暂定|暂定为)?\s*({ANY_NUMERAL})\s*(个月|年)|试行(?:期限?)?(?:为)?\s*({ANY_NUMERAL})\s*(个月|年)"
)


def validity_of(text: str) -> str | None:
    """有效期5年 as stated in the closing clauses: "5年", "18个月"."""
    for match in reversed(list(_VALID.finditer(text))):
        sentence = re.split(r"[。\n]", text[: match.start()])[-1] + match[0]
        if re.search(
            r"本(?:办法|规定|规范|细则|规程|措施|通知|方案|意见|指引|实施|文件|条例|操作)|施行|实施|印发|发布", sentence
        ):
            value, unit = (match[1], match[2]) if match[1] else (match[3], match[4])
            if 1 <= to_int(value) <= 60:
                return f"{to_int(value)}{unit}"
    return None


def expiry_of(start: str | None, validity: str) -> str | None:
    """Last day in force: 2025-03-01 and 5年 -> 2030-02-28 (届满日 is the day before the anniversary)."""
    if not start or len(start) < 10:
        return None
    begin = date.fromisoformat(start)
    count = int(re.match(r"\d+", validity)[0])
    months = count * 12 if validity.endswith("年") and not validity.endswith("个月") else count
    index = begin.year * 12 + begin.month - 1 + months
    year, month = divmod(index, 12)
    anniversary = date(year, month + 1, min(begin.day, monthrange(year, month + 1)[1]))
    return (
        date.fromordinal(anniversary.toordinal() - 1).isoformat()
        if anniversary.day == begin.day
        else anniversary.isoformat()
    )
