"""Text and file facts in, DocumentMeta out: title, kind, makers, numbers, dates, validity, basis, status on a day.

Everything comes from what the text states (题注, 令, 文号, signature, 附则) or from the file's front matter; what is not stated stays
empty. A catalogue entry overrides what was extracted (`merge_meta`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from datetime import date

from kb.cite import local_aliases
from kb.dates import DATE_LINE, HEAD_CHARS, dates_of, expiry_of, history, printed_field, validity_of
from kb.docnos import DOC_NO, canonical_doc_no
from kb.models import DocumentMeta, Finding
from kb.names import NOUNS, is_draft_title
from kb.numerals import ANY_NUMERAL, to_int

_CHROME = re.compile(
    r"(?:[_\-—|]\s*)?(?:中国政府网|首都之窗|[\u4e00-\u9fff]{2,16}(?:门户网站|政府网|网站|电子政务网)|中央网络安全和信息化委员会办公室|国务院部门文件|政策库|通知公告|其他文件)\s*$"
)
_ENDED = re.compile(
    r"^[【\[（(]\s*(已失效|失效|已废止|废止|该文件已废止)\s*[】\])）]|[（(]\s*(?:该文件|本文件)?\s*(?:已)(废止|失效)\s*[）)]\s*$"
)


def extract_metadata(
    text: str, *, path_level: str, front: Mapping[str, object] | None = None, file_name: str = ""
) -> tuple[DocumentMeta, list[Finding]]:
    """Facts the text states. `front` (front matter of the file) wins where it has a field of the same name.

    Returns:
        (meta, findings): findings name facts that could not be read, such as a 施行 clause without a date.
    """
    lines = [line.strip(" \t　\u00a0#*") for line in text[:HEAD_CHARS].split("\n")]
    lines = [line for line in lines if line]
    title, notice = _title(lines, file_name)
    number = _doc_no(text, lines, title)
    dates = dates_of(text, lines, title)
    kind = _kind(title, number, text, path_level)
    inferred = kind == "规范性文件" and not notice and _looks_like_rule(title, number, text, path_level)
    validity = validity_of(text)
    expires = dates.get("expires_on") or (
        expiry_of(dates.get("effective_on") or dates.get("signed_on"), validity) if validity else None
    )
    kind = "部门规章" if inferred else kind
    draft = is_draft_title(title) or is_draft_title(file_name)
    basis, repeals, amends = _basis(text), _repeals(text), _amends(title)
    meta = DocumentMeta(
        title=title,
        level=path_level,
        kind=kind,
        normative_force=_force(kind, draft),
        place=_place(title, path_level),
        issuers=_issuers(text, lines, title, kind, path_level),
        doc_no=number,
        signed_on=dates.get("signed_on"),
        adopted_on=dates.get("adopted_on"),
        approved_on=dates.get("approved_on"),
        promulgated_on=dates.get("promulgated_on"),
        effective_on=dates.get("effective_on"),
        expires_on=expires,
        validity=validity,
        basis=basis,
        amends=amends,
        repeals=repeals,
        family=notice or _family(title),
        revised_on=dates.get("revised_on"),
        text_kind=str((front or {}).get("text_kind") or "full"),
    )
    if inferred:
        meta = replace(meta, unverified=("kind",))
    ended = _ENDED.search(lines[0]) if lines else None
    meta = replace(meta, status=_status_code(meta, draft, ended))
    meta = _with_front(meta, front or {})
    findings = []
    if re.search(r"自.{0,12}施行", text[-1500:]) and not meta.effective_on and not draft:
        findings.append(
            Finding(
                "info",
                "",
                "the text says when it takes effect, but no date could be computed",
                "Add effective_on to the catalogue.",
            )
        )
    return meta, findings


def _with_front(meta: DocumentMeta, front: Mapping[str, object]) -> DocumentMeta:
    """Front matter of the same name as a field of DocumentMeta overrides it."""
    known = {f.name: f for f in fields(DocumentMeta)}
    changes: dict[str, object] = {}
    for name, value in front.items():
        if name in known and value not in (None, "", []) and name not in ("level",):
            many = isinstance(getattr(meta, name), tuple)
            changes[name] = (
                tuple(str(v) for v in value)
                if many and isinstance(value, list)
                else (str(value),)
                if many
                else str(value)
            )
    return replace(meta, **changes)


def version_start(meta: DocumentMeta) -> str:
    """First day on which this version of the text can have been in force, as far as it says; "" when it says nothing."""
    return max(meta.effective_on or "", meta.revised_on or "")


def merge_meta(extracted: DocumentMeta, entry: object | None, amends: Sequence[str] = ()) -> DocumentMeta:
    """The catalogue's facts over the extracted ones, field by field; what the catalogue leaves empty stays as extracted.

    `entry` is a `kb.catalog.CatalogEntry` (anything with the same attributes). Its `text_kind` and `level` do not replace those of
    the file at hand; its aliases and the extracted ones are joined, and a title that differs is kept as an alias. `amends` are the
    titles of the instruments that the catalogue says it amends; they are joined with the extracted ones.
    """
    if entry is None:
        return extracted
    changes: dict[str, object] = {}
    for field in fields(DocumentMeta):
        value = getattr(entry, field.name, None)
        if field.name not in ("text_kind", "level", "aliases", "title", "status") and value not in (None, "", ()):
            changes[field.name] = value
    title = getattr(entry, "title", "") or extracted.title
    others = [extracted.title] if _key(extracted.title) != _key(title) else []
    changes["aliases"] = tuple(dict.fromkeys([*getattr(entry, "aliases", ()), *extracted.aliases, *others]))
    changes["title"] = title
    status = getattr(entry, "status", "")
    changes["status"] = status if status and status != "unverified" else extracted.status
    changes["amends"] = tuple(dict.fromkeys([*extracted.amends, *amends]))
    return replace(extracted, **changes)


def _key(text: str) -> str:
    return "".join(c for c in text if c.isalnum())


# --- status on a day -----------------------------------------------------------------------------------------------------


def status_on(meta: DocumentMeta, day: date | str) -> str:
    """Status of an instrument on a day: a code of `models.STATUS_NAMES`.

    draft, repealed and lapsed are final. Before 施行 it is not_yet_effective; after a computed 有效期 it is expiry_unchecked until
    someone confirms lapse or renewal; an amended text stays amended. A text whose status nobody knows and that states no date is unverified.
    """
    today = day.isoformat() if isinstance(day, date) else day
    if meta.status in ("draft", "repealed", "lapsed"):
        return meta.status
    begins = meta.effective_on or ""
    if begins and begins > today[: len(begins)]:
        return "not_yet_effective"
    if meta.expires_on and meta.expires_on < today[: len(meta.expires_on)]:
        return "expiry_unchecked"
    if meta.status in ("amended", "expiry_unchecked"):
        return meta.status
    known = begins or meta.promulgated_on or meta.signed_on or meta.adopted_on
    return "in_force" if meta.status in ("in_force", "not_yet_effective") or known else meta.status


def _status_code(meta: DocumentMeta, draft: bool, ended: re.Match[str] | None) -> str:
    if draft:
        return "draft"
    if ended:
        return "repealed" if "废止" in ended[0] else "lapsed"
    known = meta.effective_on or meta.promulgated_on or meta.signed_on or meta.adopted_on
    return status_on(replace(meta, status="in_force"), date.today()) if known else "unverified"


# --- title ---------------------------------------------------------------------------------------------------------------

_TITLE_ENDS = (*NOUNS, "要点", "举措", "政策", "清单", "预案", "标准", "报告", "规则", "解释", "通告", "公告", "意见稿")
_ABOUT_BRINGING = re.compile(r"^(.*?)关于(?:印发|发布|公布)\s*[《〈](.+?)[》〉]\s*的(?:通知|公告|通告)$")
_ABOUT_BRINGING_BARE = re.compile(r"^(.*?)关于(?:印发|发布)(.+?)的(?:通知|公告)$")


def _title(lines: Sequence[str], file_name: str) -> tuple[str, str | None]:
    """(title of the instrument, title of the notice that brings it or None)."""
    if not lines:
        return _strip_chrome(file_name), None
    first = _strip_chrome(lines[0])
    if len(first) < 4 or not re.search(r"[\u4e00-\u9fff]", first):
        first = _strip_chrome(file_name) or first
    title = _joined(first, lines[1:3])
    bringing = brought_by(title)
    if bringing:
        inner, below = _key(bringing), [_key(line) for line in lines[1:60]]
        brought = any(line == inner or (line.startswith(inner) and len(line) < len(inner) + 24) for line in below)
        return (bringing, title) if brought else (title, None)
    notice = next((line for line in lines[1:6] if (inner := brought_by(line)) and _key(inner) in _key(title)), None)
    return title, notice


def brought_by(title: str) -> str:
    """What a notice brings: 某规范（试行） of 关于印发《某规范（试行）》的通知; "" for every other title."""
    match = _ABOUT_BRINGING.match(title) or _ABOUT_BRINGING_BARE.match(title)
    return match[2].strip() if match else ""


def _strip_chrome(line: str) -> str:
    """A title line without site names, banners, 附件：, and without 《》 around the whole or left open at its end."""
    line = _ENDED.sub("", re.sub(r"[\u200b\ufeff]+", "", line)).strip()
    line = re.sub(r"^(?:附件\s*\d*\s*[：:]|【[^】]{2,8}】)\s*", "", line)
    previous = None
    while previous != line:
        previous, line = line, _CHROME.sub("", line).strip(" _-|")
    line = re.sub(r"[（(]\s*(?:全文|正文|原文)\s*[）)]$", "", line).strip()
    whole = re.fullmatch(r"《([^《》]+)》((?:[（(][^（）()]*[）)])?)", line)
    line = whole[1] + whole[2] if whole else line
    return line.rstrip("》") if line.count("》") > line.count("《") else line


def _is_whole(title: str) -> bool:
    """A title that ends with its noun, brackets and 》 aside, is not broken over lines."""
    bare = re.sub(r"(?:[（(][^（）()]*[）)]\s*)+$", "", title).rstrip("》” ")
    bare = re.sub(r"(?:[（(][^（）()]*[）)]\s*)+$", "", bare)
    return bare.endswith(_TITLE_ENDS)


def _joined(first: str, following: Sequence[str]) -> str:
    """`first`, continued by the lines below it where it is a title broken over lines."""
    if _is_whole(first):
        return first
    text = first
    for line in following:
        if len(line) > 45 or re.search(r"[。；：，]", line) or re.search(r"\d{4}年|第.{1,6}[号条章]", line):
            return first
        text += (" " if _OFFICE.match(text) else "") + line
        if _is_whole(text):
            return text if "关于" in text or text.startswith("中华人民共和国") else first
    return first


# --- numbers, makers, kind -----------------------------------------------------------------------------------------------

_ORDER_LINE = re.compile(
    rf"^(.{{2,60}}?)令$|^(.{{2,60}}?)令\s*[（(]?\s*(?:\d{{4}}年?\s*)?第\s*({ANY_NUMERAL})\s*号[）)]?$"
)
_ORDER_NUMBER = re.compile(rf"^[（(]?\s*(?:\d{{4}}年\s*)?第\s*({ANY_NUMERAL})\s*号\s*[）)]?$")
_ORDER_IN_HISTORY = re.compile(
    rf"((?:中华人民共和国)?[\u4e00-\u9fff]{{2,24}}?)令第\s*({ANY_NUMERAL})\s*号\s*(?:公布|发布|修订|修改)?"
)
_NOTICE_LINE = re.compile(rf"^(.{{4,40}}?公告)$|^(.{{4,40}}?公告)\s*[（(]?.{{0,6}}?第?\s*({ANY_NUMERAL})\s*号[）)]?$")


def _doc_no(text: str, lines: Sequence[str], title: str) -> str | None:
    """文号, 令号 or 公告号 of the instrument itself: from its own line near the top, never from a citation."""
    for i, line in enumerate(lines[:40]):
        below = lines[i + 1] if i + 1 < len(lines) else ""
        if match := DOC_NO.fullmatch(line.strip("（）() ")):
            return canonical_doc_no(*match.groups())
        if (order := _ORDER_LINE.match(line)) and (number := order[3] or _number_below(below)):
            maker = re.sub(r"[\s　]+", "", order[1] or order[2])
            return f"{maker.removeprefix('中华人民共和国')}令第{to_int(number)}号"
        if (notice := _NOTICE_LINE.match(line)) and (number := notice[3] or _number_below(below)):
            return f"{notice[1] or notice[2]}第{number}号"
        if re.match(r"^第[一1]条", line):
            break
    if match := DOC_NO.fullmatch(printed_field("doc_no", text)):
        return canonical_doc_no(*match.groups())
    orders = _ORDER_IN_HISTORY.findall(history(lines))
    if orders:
        maker, number = re.sub(r"^.*日", "", orders[-1][0]), orders[-1][1]
        return f"{maker.removeprefix('中华人民共和国')}令第{to_int(number)}号"
    return None


def _number_below(line: str) -> str:
    """第13号 in the line under 某办公室令; "" when there is none."""
    match = _ORDER_NUMBER.match(line)
    return match[1] if match else ""


_LEGISLATURE = re.compile(
    r"((?:第[\u4e00-\u9fff]{1,4}届)?全国人民代表大会(?:常务委员会)?|[\u4e00-\u9fff]{2,9}?(?:第[\u4e00-\u9fff]{1,4}届)?人民代表大会(?:常务委员会)?)"
)


def _issuers(text: str, lines: Sequence[str], title: str, kind: str, level: str) -> tuple[str, ...]:
    """Makers, lead first: from the signature, the decree, the 题注, or the makers the title begins with."""
    past = history(lines)
    if kind in ("法律", "地方性法规", "经济特区法规"):
        found = [
            re.sub(r"第[\u4e00-\u9fff]{1,5}届", "", m)
            for m in _LEGISLATURE.findall(re.sub(r"\d+年\d+月\d+日", " ", past))
        ]
        return (_full_congress(found[0], title),) if found else ()
    if kind == "行政法规":
        return ("国务院",)
    about = re.match(r"^((?:[\u4e00-\u9fff]{2,14}[\s、　]*){1,6}?)(?:等.{0,4}部门)?关于", title)
    signed = _signature(lines, text) or tuple(_split_makers(printed_field("issuers", text)))
    if signed:
        return signed
    order = next((m for m in (_ORDER_LINE.match(line) for line in lines[:12]) if m), None)
    if order:
        return tuple(_split_makers(order[1] or order[2]))
    if about and not title.startswith("关于"):
        return tuple(_split_makers(about[1]))
    statement = re.search(
        r"《[^》]+》已[经由]?于?\d{4}年\d+月\d+日([\u4e00-\u9fff]{2,20}?)\d{4}年第\d+次", text[:HEAD_CHARS]
    )
    if statement:
        return (statement[1],)
    review = re.search(r"日\s*([\u4e00-\u9fff]{4,20}?)\d{4}年第\d+次", past)
    return (review[1],) if review else ()


def _full_congress(name: str, title: str) -> str:
    """省十四届人大常委会 in 题注 of 甘肃省数据条例 is 甘肃省人民代表大会常务委员会."""
    if name.startswith("人民代表大会"):
        place = re.match(r"^(.{2,4}?(?:省|市|自治区))", title)
        return (place[1] if place else "") + name
    return name


def _split_makers(text: str) -> list[str]:
    return [part for part in re.split(r"[\s、　]+", text.strip()) if len(part) >= 2]


_OFFICE = re.compile(
    r"^(?:[\u4e00-\u9fff]{2,24}(?:局|部|委|办|办公室|办公厅|政府|院|厅|署|委员会|银行|总局|管委会|中心)|中共[\u4e00-\u9fff]{2,20}(?:部|委|办公厅|办公室)|国家标准委|公安部|财政部|中国证监会)$"
)


def _signature(lines: Sequence[str], text: str) -> tuple[str, ...]:
    """Office lines right above a date line, in the head (a notice) or at the end of the text."""
    tail = [line.strip(" \t　\u00a0") for line in text[-1500:].split("\n")]
    for block in (lines, [line for line in tail if line]):
        for i, line in enumerate(block):
            if not DATE_LINE.match(line) or line[0] in "（(":
                continue
            names: list[str] = []
            for above in reversed(block[max(0, i - 25) : i]):
                parts = [
                    p
                    for p in re.split(
                        r"[\s　]+", re.sub(r"(?:主任|部长|局长|行长|署长)[\s　]*[\u4e00-\u9fff]{2,4}$", "", above)
                    )
                    if p
                ]
                if not parts or not all(_OFFICE.match(p) for p in parts):
                    break
                names = parts + names
            if names:
                return tuple(dict.fromkeys(names))
    return ()


_KINDS = (
    ("标准", re.compile(r"^(?:GB|DB|YD|GA|JR|T/)|国家标准$|地方标准$")),
    ("工作报告", re.compile(r"年度报告|工作报告|情况报告|报告$")),
    ("名词解释", re.compile(r"名词解释")),
    ("解读", re.compile(r"解读|一图读懂|答记者问")),
)


def _kind(title: str, number: str | None, text: str, level: str) -> str:
    """Kind by maker, number and promulgation line first, title words last (domain.md 1.1)."""
    for kind, pattern in _KINDS:
        if pattern.search(title):
            return kind
    bare = re.sub(r"[（(][^（）()]*[）)]\s*$", "", title).strip()
    bare = re.sub(r"[（(][^（）()]*[）)]\s*$", "", bare).strip().rstrip("》")
    head = text[:HEAD_CHARS]
    order = number or ""
    if "经济特区" in bare and bare.endswith(("条例", "规定", "办法", "决定")) and bare.endswith("条例"):
        return "经济特区法规"
    if (
        (re.search(r"(?:法|法典)$", bare) and not bare.endswith("办法"))
        or "主席令" in order
        or re.search(r"^全国人民代表大会.*决定$", bare)
    ):
        return "法律"
    if "国务院令" in order or (bare.endswith("条例") and level == "national") or re.match(r"^国务院关于.*规定$", bare):
        return "行政法规"
    if bare.endswith("条例"):
        return "地方性法规"
    if re.search(r"(?:省|市|州|自治区|府)(?:人民政府)?令", order):
        return "地方政府规章"
    if "令第" in order or (
        level == "national"
        and re.search(r"(?:办法|规定)$", bare)
        and re.search(r"务会议?(?:会议)?审议通过|令\s*\n?第", head)
    ):
        return "部门规章"
    if re.match(r"^(?:中共|.{2,6}省委|.{2,6}市委)", bare):
        return "党政联合文件"
    if re.search(r"(?:计划|方案|要点|规划|纲要|指引|措施|指导意见|实施意见|意见|布局规划)$", bare):
        return (
            "行动计划"
            if re.search(r"(?:计划|方案|要点|规划|纲要)$", bare)
            else "政策文件"
            if not re.search(r"指引$", bare)
            else "规范性文件"
        )
    if re.search(r"(?:举措|政策|工作要点)$", bare):
        return "政策文件"
    if re.search(r"(?:办法|规定|规范|细则|规程|指南|通知|公告|规则|预案|清单)$", bare):
        return "规范性文件"
    return ""


def _looks_like_rule(title: str, number: str | None, text: str, level: str) -> bool:
    """A national 办法 or 规定 on the basis of a law, without 文号 and without 试行: a 部门规章 whose decree the copy has lost.

    有效期 and 负责解释 are marks of a 规范性文件.
    """
    return (
        level == "national"
        and number is None
        and bool(re.search(r"(?:办法|规定)$", title))
        and bool(re.search(r"第一条[^\n]{0,300}《[^》]{2,24}法》", text[:HEAD_CHARS]))
        and not (validity_of(text) or "负责解释" in text[-1200:])
    )


def _force(kind: str, draft: bool) -> str:
    """法律规范, 规范性文件, 政策部署, 标准 or 参考. A draft is only reference."""
    if draft or kind in ("工作报告", "解读", "名词解释"):
        return "参考"
    if kind in ("法律", "行政法规", "部门规章", "地方性法规", "经济特区法规", "地方政府规章"):
        return "法律规范"
    return {
        "标准": "标准",
        "规范性文件": "规范性文件",
        "行动计划": "政策部署",
        "政策文件": "政策部署",
        "党政联合文件": "政策部署",
    }.get(kind, "")


def _place(title: str, level: str) -> str:
    if level == "national":
        return "全国"
    match = re.search(r"([\u4e00-\u9fff]{2,4}?)(?:经济特区|省|市|自治区)", title)
    return match[0].replace("经济特区", "") if match else ""


# --- relations -----------------------------------------------------------------------------------------------------------

_BASIS = re.compile(
    r"(?:根据|依据|按照|依照|为了?贯彻|为了?落实|贯彻落实|贯彻|落实)((?:[^《》。]{0,24}《[^《》]+(?:〈[^〈〉]+〉[^《》]*)?》[、，和及]?)+)"
)


def _basis(text: str) -> tuple[str, ...]:
    """Instruments named as basis in the first article or the preamble, in order."""
    first = re.search(r"第[一1]条[\s\S]{0,1200}?(?=\n\s*第[二2]条|$)", text[:12000])
    clause = first[0] if first else text[:HEAD_CHARS]
    names: list[str] = []
    for match in _BASIS.finditer(clause):
        names += re.findall(r"《([^《》]+(?:〈[^〈〉]+〉[^《》]*)?)》", match[1])
    return tuple(dict.fromkeys(name for name in names if len(name) > 2))


def _repeals(text: str) -> tuple[str, ...]:
    """Instruments a text ends: 《A》《B》同时废止, 即行废止, 予以废止."""
    names: list[str] = []
    for sentence in re.split(r"[。\n]", text[-3000:]):
        ended = re.search(r"(?:同时|即行|予以|相应)废止|停止执行|不再执行", sentence)
        if ended:
            names += re.findall(r"《([^《》]+)》", sentence[: ended.start()])
    return tuple(dict.fromkeys(names))


def _amends(title: str) -> tuple[str, ...]:
    match = re.search(r"关于修[改订](?:部分)?[《〈]([^《》〈〉]+)[》〉](?:等.{0,8})?的决定", title)
    return (match[1],) if match else ()


def _family(title: str) -> str | None:
    """Title of the group: a draft belongs to its final text."""
    base = re.sub(r"[（(][^（）()]*(?:征求|草案|送审)[^（）()]*[）)]", "", title).strip()
    return base if base != title else None


def family_key(meta: DocumentMeta) -> str:
    """Key shared by draft and final, notice and attachment: the bare title without draft marks and 印发."""
    base = _family(meta.title) or meta.title
    return _key(brought_by(base) or base)


def short_names(text: str) -> dict[str, str]:
    """Short names the text gives to other instruments (以下简称), for aliases of the catalogue."""
    return local_aliases(text)
