"""A part of a file and its edges: titles, covering notice, preamble before the first article; makers, date, notes after the last."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from kb.marks import TERMINAL, Line, ends_sentence
from kb.models import Finding, Heading, Provision
from kb.units import units_of

_DATE = re.compile(
    r"^[（(]?\s*(?:(?:19|20)\d{2}|[一二][〇○零O0一二三四五六七八九]{3}|[１２][０-９]{3})\s*年\s*[\d一二三四五六七八九十０-９l]{1,3}\s*月(?:\s*[\d一二三四五六七八九十０-９l]{1,3}\s*日)?\s*(?:印发|发布)?\s*[）)]?$"
)
_MAKER = re.compile(
    r"(?:局|部|委|办|办公室|政府|院|厅|署|会|公安|银行|中心|公司|宣传部|主任|部长|总局|检察院|法院|主席|总理|市长|省长|委员会)$"
)
_SIGNED_BY = re.compile(
    r"^.{0,30}(?:主任|部长|局长|主席|总理|市长|省长|行长|署长|厅长)\s*[：:]?\s*[\u4e00-\u9fff]{1,4}[\s　]*[\u4e00-\u9fff]{0,3}$"
)
_NOTE = re.compile(
    r"^(?:发文机关|发文字号|成文日期|发布日期|发文日期|索引号|主题词|来源|责任编辑|信息来源)[：:]|^[（(](?:此件|联系人|联系单位|联系电话|信息公开)[^（）()]*[）)]$|^抄送[：:]|^.{2,30}(?:办公厅|办公室|秘书处|综合司)[\s　]*\d{4}年\d+月\d+日印发"
)
_NUMBER_LINE = re.compile(
    r"^[（(]?[\u4e00-\u9fff]{1,20}\s*[〔\[（(【﹝]?\s*(?:19|20)\d{2}\s*年?\s*[〕\])）】﹞]?\s*第?\s*\d{1,5}\s*号[）)]?$|^(?:第\s*[\d一二三四五六七八九十百零〇]+\s*号|[（(].{0,8}第.{1,6}号[）)])$"
)
# 题注: when and by whom a text was passed, approved, changed
_HISTORY = re.compile(
    r"^(?:[（(].{0,12})?(?:19|20|１|２)[\d０-９]{2,3}\s?年[^。；]{4,400}(?:通过|公布|发布|修订|修正|修改|批准|施行|令第.{1,5}号)[^。；]{0,20}$"
)
TITLE_CHARS = 60
NOTICE = "通知"


@dataclass(slots=True)
class Parsed:
    """What one part yields; `roles` says what its other lines are (title, contents, signature)."""

    headings: list[Heading] = field(default_factory=list)
    provisions: list[Provision] = field(default_factory=list)
    roles: dict[int, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Scope:
    """The text, its lines, and which of them belong to the part under work: [first, stop)."""

    text: str
    lines: Sequence[Line]
    first: int
    stop: int
    doc_id: str
    part: str

    def indices(self, level: str) -> list[int]:
        """Lines of the part with this candidate mark."""
        return [i for i in range(self.first, self.stop) if self.lines[i].level == level]

    def make(self, kind, number, label, path, first, stop, *, at=None, statute=False, body_at=None) -> Provision | None:
        """A provision of lines [first, stop) without trailing blank lines; None when nothing is left."""
        while stop > first and self.lines[stop - 1].level in ("blank", "contents"):
            stop -= 1
        if stop <= first:
            return None
        body = self.lines[first:stop]
        start = body[0].lead if at is None else at
        end = body[-1].end
        prefix = f"{self.doc_id}/{self.part}/" if self.part else f"{self.doc_id}/"
        return Provision(
            provision_id=prefix + label,
            doc_id=self.doc_id,
            kind=kind,
            number=tuple(number),
            label=label,
            heading_path=tuple(path),
            text=self.text[start:end],
            start=start,
            end=end,
            part=self.part,
            units=units_of(self.text, body, label, start if body_at is None else body_at, statute=statute),
        )


# --- front and back of a part --------------------------------------------------------------------------------------------


def is_date_line(text: str) -> bool:
    """A line that holds a date and nothing else."""
    return bool(_DATE.match(text))


def title_like(line: Line) -> bool:
    """A short line without a sentence end: title, subtitle, number, addressee-free front matter."""
    text = line.text
    if _HISTORY.match(text):
        return True
    if line.level not in ("", "article") or not text or len(text) > TITLE_CHARS:
        return False
    bracketed = text[0] in "（(" and text[-1] in "）)"
    return bracketed or bool(_NUMBER_LINE.match(text)) or text[-1] not in TERMINAL or text[-1] in "》）)”"


def signature_start(scope: Scope, first: int, stop: int) -> int:
    """Where the closing block (makers, date, notes) of lines [first, stop) begins; `stop` when there is none."""
    i, found = stop, stop
    while i > first + 1:
        line = scope.lines[i - 1]
        if line.level == "blank":
            i -= 1
            continue
        text = line.text
        if (
            is_date_line(text)
            or _NOTE.match(text)
            or (line.level == "" and _is_maker(text) and ends_sentence(scope.lines, i - 1) | (found < stop))
        ):
            found = i = i - 1
        else:
            break
    return _annex_list(scope, first, found)


def closing(scope: Scope, first: int, out: Parsed) -> int:
    """Give the closing block after line `first` its role; returns where the text before it ends."""
    stop = signature_start(scope, first, scope.stop)
    for i in range(stop, scope.stop):
        if scope.lines[i].level != "blank":
            out.roles[i] = "signature"
    return stop


_LIST_OF_ANNEXES = re.compile(r"^附\s?件\s?[：:]")


def _annex_list(scope: Scope, first: int, stop: int) -> int:
    """附件说明 at the end of lines [first, stop): 附件：1.甲 2.乙, each in a line of its own or in one."""
    for i in range(max(first + 1, stop - 30), stop):
        if _LIST_OF_ANNEXES.match(scope.lines[i].text):
            listed = (scope.lines[j] for j in range(i + 1, stop))
            if all(o.level in ("blank", "p3", "annex") or title_like(o) for o in listed):
                return i
    return stop


def _is_maker(text: str) -> bool:
    return (
        len(text) <= 60 and not re.search(r"[，。；：]", text) and bool(_MAKER.search(text) or _SIGNED_BY.match(text))
    )


def front(scope: Scope, stop: int, out: Parsed) -> None:
    """Lines before the first article or point: titles, numbers, covering notice, signature, preamble."""
    group: list[int] = []
    groups: list[tuple[list[int], bool]] = []
    for i in range(scope.first, stop):
        line = scope.lines[i]
        if line.level in ("blank", "contents", "heading"):
            if line.level == "contents":
                out.roles[i] = "contents"
            continue
        if is_date_line(line.text) and group and line.text[0] not in "（(":
            out.roles[i] = "signature"
            while len(group) > 1 and _is_maker(scope.lines[group[-1]].text):
                out.roles[group.pop()] = "signature"
            groups.append((group, True))
            group = []
        elif _NOTE.match(line.text):
            out.roles[i] = "signature"
        else:
            group.append(i)
    groups.append((group, False))
    names: set[str] = set()
    for indices, signed in groups:
        _front_group(scope, indices, signed and len(groups) > 1, names, out)


_WRAPS = re.compile(r"印发给你们|现印发|现予公布|现予发布|现公布|现发布|遵照执行|贯彻执行|公开征求|现将")


def _front_group(scope: Scope, indices: Sequence[int], signed: bool, names: set[str], out: Parsed) -> None:
    """Title lines first, then a preamble of everything up to the last sentence."""
    rest = list(indices)
    while rest and title_like(scope.lines[rest[0]]):
        out.roles[rest.pop(0)] = "title"
    while rest and title_like(scope.lines[rest[-1]]) and scope.lines[rest[-1]].text[-1] not in "”":
        out.roles[rest.pop()] = "signature" if _is_maker(scope.lines[rest[-1]].text) else "title"
    if not rest:
        return
    body = "".join(scope.lines[i].text for i in rest)
    wraps = signed or (_WRAPS.search(body) and not names and len(body) < 1500)
    label = "公布" if re.search(r"现予公布|现予发布|现公布", body) else NOTICE if wraps else "前言"
    label = label if label not in names else next(f"{label}{n}" for n in range(2, 999) if f"{label}{n}" not in names)
    names.add(label)
    provision = scope.make("preamble", (0, len(names) - 1), label, (), rest[0], rest[-1] + 1)
    if provision:
        out.provisions.append(provision)
