"""A digest and the full text it states: what one says and the other does not.

The comparison is by unit (an article, or the lowest 一、/（一） point of an outline) because a number that moved to the
wrong article is as wrong as a lost one. Facts are compared as sets per unit: a digest may join two sentences, so
repetition carries no meaning, presence does. Splitting is done here and not by `kb.parse`, so that a fault of the
parser cannot hide the same fault in both texts.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median

from kb.models import Finding
from kb.numerals import to_int
from kb.segment import squeeze

MIN_RUN = 18
SHORT = 0.75
SENTENCE = 13  # character pairs; shorter sentences say too little to be missed
# share of its character pairs below which a sentence counts as lost; rhetoric of policy papers may shrink
KEPT = {"articles": 0.4, "numbered": 0.4, "points": 0.25, "plain": 0.25}
_N = "[零〇○一二两三四五六七八九十百千]+"
_ARTICLE = re.compile(rf"^[\s　]*第({_N})条((?:之{_N})*)(?=[\s　【（(]|[^第、和至到款项规所])")
_HEADING = re.compile(rf"^[#\s　]*第({_N})(编|分编|章|节)(?=[\s　：:]|$)[\s　]*(.*)$")
_TOP_POINT = re.compile(rf"^[\s　]*({_N})、")
_POINT = re.compile(rf"^[\s　]*[（(]({_N})[)）]")
_NUMBERED = re.compile(r"^[\s　]*(\d{1,3})[.．、](?!\d)")
_ANNEX = re.compile(r"^[\s　]*附件\s*\d*\s*[：:]?\s*\S{0,40}$|^[\s　]*附(?:录|表)\s*\d*\s*$")
_DATE_LINE = re.compile(r"^[\s　]*(?:\d{4}|[二〇○零一三四五六七八九]{4})\s*年\s*\S{1,3}\s*月\s*\S{1,3}\s*日[\s　]*$")
_FRONT_MATTER = re.compile(r"\A---\n(.*?)\n---\n", re.S)
_TITLE_MARKS = re.compile(r"《[^》]*》")


@dataclass(frozen=True, slots=True)
class DigestUnit:
    """One article or outline point with its lines; `line` is where it starts in the file, from 1."""

    key: tuple[str, ...]
    label: str
    lines: tuple[str, ...]
    line: int = field(compare=False)

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


@dataclass(frozen=True, slots=True)
class Outline:
    """A text split for comparison; `style` is articles, points, numbered or plain (no numbering: one unit)."""

    title: str
    style: str
    units: tuple[DigestUnit, ...]
    headings: tuple[str, ...]
    front: str


def outline(text: str) -> Outline:
    """Split a Markdown text into comparable units; the text before the first unit has the key ("前言",)."""
    match = _FRONT_MATTER.match(text)
    front = match[1] if match else ""
    offset = text[: match.end()].count("\n") if match else 0
    numbered = [(offset + i, line) for i, line in enumerate(text[match.end() if match else 0 :].split("\n"), 1)]
    title = next((line[2:].strip() for _, line in numbered if line.startswith("# ")), "")
    body = [(n, line.strip("　 \t\r")) for n, line in numbered if line.strip() and not line.startswith("# ")]
    style = _style([line for _, line in body])
    headings: list[str] = []
    units: list[tuple[tuple[str, ...], str, int, list[str]]] = [(("前言",), "前言", body[0][0] if body else 1, [])]
    walker = _Walker(style)
    for number, line in _split_run_on(body):
        if style == "articles" and (heading := _HEADING.match(line)) and len(line) < 40:
            headings.append(f"第{to_int(heading[1])}{heading[2]}")
            continue
        step = walker.step(line)
        if step is None:
            units[-1][3].append(line)
        else:
            units.append((*step, number, [line]))
    return Outline(
        title, style, tuple(DigestUnit(k, lb, tuple(ls), n) for k, lb, n, ls in units if ls), tuple(headings), front
    )


def _split_run_on(body: list[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """Published copies sometimes run one point on into the next (……评估。十一、……); numbers in sequence part them."""
    last = 0
    for number, line in body:
        if opened := _TOP_POINT.match(line):
            last = to_int(opened[1])
        for inner in re.finditer(rf"(?<=[。；])({_N})、", line):
            if last and to_int(inner[1]) == last + 1:
                last += 1
                yield number, line[: inner.start()]
                line = line[inner.start() :]
                break
        yield number, line


def _style(lines: Sequence[str]) -> str:
    if sum(1 for line in lines if _ARTICLE.match(line)) >= 3:
        return "articles"
    if sum(1 for line in lines if _TOP_POINT.match(line)) >= 2:
        return "points"
    return "numbered" if sum(1 for line in lines if _NUMBERED.match(line)) >= 3 else "plain"


class _Walker:
    """Recognises the line that opens the next unit; numbers must follow one another (domain.md 2.1).

    All annexes form one part "附": a digest may number them otherwise. An annex line before the first unit only
    names what a covering notice brings, so it opens nothing.
    """

    def __init__(self, style: str) -> None:
        self.style, self.part, self.main, self.top = style, "", 0, 0
        self.seen: Counter[tuple[str, ...]] = Counter()

    def step(self, line: str) -> tuple[tuple[str, ...], str] | None:
        if _ANNEX.match(line) and (self.main or self.top):
            if self.part:
                return None
            self.part, self.main, self.top = "附", 0, 0
            return (self.part,), "附件"
        if self.style == "plain":
            return None
        opened = getattr(self, f"_{self.style}")(line)
        return self._points(line) if opened is None and self.part and self.style == "articles" else opened

    def _key(self, *names: str) -> tuple[tuple[str, ...], str]:
        """Numbering may start again (a glossary after the last point): the second use of a key is another unit."""
        key = (self.part, *names) if self.part else names
        self.seen[key] += 1
        again = (f"第{self.seen[key]}次",) if self.seen[key] > 1 else ()
        return (*key, *again), (self.part and "附件") + "".join(names)

    def _articles(self, line: str) -> tuple[tuple[str, ...], str] | None:
        match = _ARTICLE.match(line)
        if not match:
            return None
        number = to_int(match[1])
        if number == self.main + 1 or (number == self.main and match[2]):
            self.main = number
            return self._key(f"第{match[1]}条{match[2]}")
        if number == 1 and self.main > 2:
            self.part, self.main = "附", 1
            return self._key("第一条")
        return None

    def _points(self, line: str) -> tuple[tuple[str, ...], str] | None:
        # one number may be missing: published copies lose a heading now and then
        if (match := _TOP_POINT.match(line)) and self.top < to_int(match[1]) <= self.top + 2:
            self.top = to_int(match[1])
            return self._key(f"{match[1]}、")
        if self.top and (match := _POINT.match(line)):
            return self._key(f"{_chinese(self.top)}、", f"（{match[1]}）")
        return None

    def _numbered(self, line: str) -> tuple[tuple[str, ...], str] | None:
        match = _NUMBERED.match(line)
        if match and int(match[1]) == self.main + 1:
            self.main += 1
            return self._key(f"{self.main}.")
        return None


def _chinese(value: int) -> str:
    tens, ones = divmod(value, 10)
    names = "零一二三四五六七八九"
    return (("" if tens == 1 else names[tens]) + "十" if tens else "") + (names[ones] if ones or not tens else "")


# --- facts of one unit -------------------------------------------------------------------------------------------

_NUM = r"(?:\d[\d,，]*(?:\.\d+)?|" + _N + r")\s*(?:万亿|[万亿千百])?"
_UNITS = (
    "个工作日|工作日|个自然日|自然日|小时|分钟|秒|个月|周岁|年度|年|日|天|岁|周|万元|亿元|元|倍|人次|人|"
    "个|项|家|名|次|种|份|台|户|件|类|级|档|方面|平方公里|平方米|公里|套|类型|座|只|处|所|期|位|字|条|MB|GB|TB|PB|EB|EFLOPS|Gbps|Mbps|毫秒"
)
_REF = re.compile(
    rf"第\s*(?:{_N}|\d+)\s*(?:条(?:之{_N})*|款|项|目|章|节|编)(?:第(?:{_N}|\d+)[款项目])*|附件\s*\d+|前[两二三]?[条款项]|本条|本章"
)
_ORDINAL = re.compile(rf"第(?:{_N}|\d+)(?:届|次|号|批|期|位|方|代|产业|类|者)?")
_DATE = re.compile(
    r"(\d{4}|[二〇○零一三四五六七八九]{4})\s*年\s*(\d{1,2}|[一二三四五六七八九十]{1,3})\s*月(?:\s*(\d{1,2}|[一二三四五六七八九十]{1,3})\s*日)?"
)
_MONTH = re.compile(
    r"(\d{1,2}|[一二三四五六七八九十]{1,2})月(?:(\d{1,2}|[一二三四五六七八九十]{1,3})日|(?=底|末|初|中旬|上旬|下旬|份|前|以前))"
)
_PERCENT = re.compile(rf"百分之({_N})(?:点({_N}))?|(\d+(?:\.\d+)?)\s*[%％](?:\s*[—–~至到-]\s*(\d+(?:\.\d+)?)\s*[%％])?")
_FRACTION = re.compile(rf"({_N}|\d+)分之({_N}|\d+)")
_RANGE = re.compile(rf"({_NUM})\s*[—–~～至到-]\s*({_NUM})\s*({_UNITS})")
_AMOUNT = re.compile(rf"({_NUM})\s*余?\s*({_UNITS})")
_YEARS = re.compile(r"(?<!\d)((?:19|20)\d{2})(?!\d)")
_BARE = re.compile(r"(?<![\dA-Za-z.])(\d+(?:\.\d+)?)(?![\dA-Za-z.])")
_IDIOMS = re.compile(
    "一(?:次性|体|定|致|般|律|经|旦|并|方面|种|类|批|系列|切|些|起|件事|个|项|条|家|人|口|站|网|数|张|套|级市|级|把手|年四季|处|位|份|所|期|字|名|座)"
    "|三重一大|第[一二三]方|二十[大届]|三农|两[个大会级翼手岸]|十[三四五]五|统一|单一|唯一|同一|逐一|之一|任一|万物|千家万户|四[级个]|"
    "[一二三四五六七八九十]是|百家|五位一体|双[一千]|三[级中个]|千[方行]百[计业]|三级|两级|六[个]?[中]|二级|一级"
)
_REPEAT = re.compile(r"每(?:半年|季度|季|年度|年|月|周|日|\s*\d+\s*年|[两二三五]年)")
_OPEN_TERMS = ("定期", "及时", "立即", "逐年", "按年度", "随时")
# 分两类, 每年一次: counting a list or saying 每年 another way adds no fact
_COUNTED = re.compile(r"\d(?:[类项种个条级次]|方面)")
_SANCTIONS = (
    "罚款", "警告", "没收", "吊销", "处分", "约谈", "通报", "停业整顿", "刑事责任", "民事责任", "治安", "责令", "拘留", "信用档案",
)  # fmt: skip
_EXCEPTION = re.compile(
    r"除外|另有规定|从其规定|(?<![开解消清排删拆废破])除(?!以|应当|满足|符合|依照|遵守|了?.{0,3}外部)[^。；]{1,60}?外|例外"
)
_EXCEPTION_SAID = re.compile(_EXCEPTION.pattern + "|除|以外|不受|免|不适用|另|但|之外|不在此限")
_TIME_UNITS = {"工作日", "自然日", "小时", "分钟", "个月", "年", "日", "周"}
_SAME_UNIT = {
    "个工作日": "工作日",
    "个自然日": "自然日",
    "天": "日",
    "年度": "年",
    "万元": "元",
    "亿元": "元",
    "类型": "类",
}
_SCALE = {"万": 10**4, "亿": 10**8, "万亿": 10**12, "千": 10**3, "百": 10**2}


@dataclass(frozen=True, slots=True)
class Facts:
    """What must agree in one unit: amounts and how often each occurs, references, open terms, sanctions, modality."""

    amounts: Counter[str]
    bounds: Counter[tuple[str, str]]
    references: frozenset[str]
    open_terms: frozenset[str]
    sanctions: Counter[str]
    modality: Counter[str]


def facts(text: str) -> Facts:
    """Facts of one unit. Numbers in 《titles》 and document numbers 〔2025〕26号 are names and left out."""
    plain = re.sub(r"[（(]?\S{0,12}〔\d{4}〕\s*\d+\s*号[)）]?", "", _TITLE_MARKS.sub("《》", text))
    plain = re.sub(r"(?<=[\d一二三四五六七八九十])\s+(?=[\d个年月日万亿])|(?<=[年月第])\s+(?=\d)", "", plain)
    # the marks that open the unit, its 款-items and sub-items are numbering, not amounts
    plain = re.sub(rf"(?m)^[\s　]*(?:第{_N}条(?:之{_N})*|{_N}、|[（(]{_N}[)）]|\d{{1,3}}[.．、](?!\d))", "", plain)
    references = frozenset(_reference_marks(plain))
    without = _ORDINAL.sub("", _REF.sub("", re.sub(rf"(?<=条)至第(?={_N}条)", "、第", plain)))
    amounts, bounds = _amounts(without)
    terms = frozenset(t for t in _OPEN_TERMS if t in plain)
    sanctions = Counter({word: n for word in _SANCTIONS if (n := plain.count(word))})
    return Facts(amounts, bounds, references, terms, sanctions, modality(plain))


def _reference_marks(text: str) -> Iterator[str]:
    for mark in re.findall(rf"第((?:{_N}|\d+))(条|款|项|章|节)", text):
        yield f"第{to_int(mark[0])}{mark[1]}"


def _amounts(text: str) -> tuple[Counter[str], Counter[tuple[str, str]]]:
    found: Counter[str] = Counter()
    bounds: Counter[tuple[str, str]] = Counter()

    def take(pattern: re.Pattern[str], source: str, make) -> str:
        def note(match: re.Match[str]) -> str:
            for name in make(match):
                found[name] += 1
                bounds.update((name, bound) for bound in _bounds(source, match.start(), match.end()))
            return "□" * len(match[0])

        return pattern.sub(note, source)

    text = take(_DATE, text, lambda m: [_date(m[1], m[2], m[3])])
    text = take(_REPEAT, text, lambda m: [_repeat(m[0])])
    text = take(_MONTH, text, lambda m: [f"{to_int(m[1])}月" + (f"{to_int(m[2])}日" if m[2] else "")])
    text = take(_PERCENT, text, _percent)
    text = take(_FRACTION, text, lambda m: [f"{to_int(m[2])}/{to_int(m[1])}"])
    text = _IDIOMS.sub(lambda m: "□" * len(m[0]), text)
    text = take(_RANGE, text, _range)
    text = take(_AMOUNT, text, lambda m: [_amount(m[1], m[2])])
    text = take(_YEARS, text, lambda m: [f"{m[1]}年"])
    take(_BARE, text, lambda m: [m[1]])
    return found, bounds


def _date(year: str, month: str, day: str | None) -> str:
    digits = year if year.isascii() else str(to_int(year))
    return f"{digits}年{to_int(month)}月" + (f"{to_int(day)}日" if day else "")


def _repeat(text: str) -> str:
    return re.sub("季度|季", "季度", text.replace("年度", "年").replace("两", "二").replace(" ", ""))


def _percent(match: re.Match[str]) -> list[str]:
    if match[1]:
        return [f"{to_int(match[1])}" + (f".{to_int(match[2])}" if match[2] else "") + "%"]
    return [f"{float(value):g}%" for value in (match[3], match[4]) if value]


def _value(text: str) -> float:
    text = re.sub(r"[\s,，]", "", text)
    match = re.fullmatch(r"(.+?)(万亿|[万亿])?", text)
    if match is None:
        raise ValueError(text)
    head, scale = match[1], _SCALE.get(match[2] or "", 1)
    if re.fullmatch(r"\d+(?:\.\d+)?", head):
        return float(head) * scale
    if mixed := re.fullmatch(r"(\d+(?:\.\d+)?)([千百])", head):
        return float(mixed[1]) * _SCALE[mixed[2]] * scale
    return float(to_int(head)) * scale


def _amount(number: str, unit: str) -> str:
    value = _value(number) * {"万元": 10**4, "亿元": 10**8}.get(unit, 1)
    return f"{value:g}{_SAME_UNIT.get(unit, unit)}" if value < 10**6 else f"{int(value)}{_SAME_UNIT.get(unit, unit)}"


def _range(match: re.Match[str]) -> list[str]:
    low, high, unit = match[1], match[2], match[3]
    scale = re.search(r"万亿|[万亿]", high)
    if scale and not re.search("[万亿]", low):
        low += scale[0]
    return [_amount(low, unit), _amount(high, unit)]


# a bound is what turns a figure into a threshold; 以上/以下/以内 include the figure (民法典 1259)
_AFTER = ((">=", r"^(?:及)?以上"), ("<=", r"^(?:及)?以下|^以内|^之?内"), ("before", r"^(?:以|之)?前|^底前|^底以前"))
_BEFORE = (
    ("<=", r"(?:不超过|不得超过|不高于|不得高于|至多|最长|最高|不多于)$"),
    (">=", r"(?:不少于|不得少于|不低于|不得低于|至少|达到?|最低|满|不短于)$"),
    (">", r"(?<!不)(?<!不得)(?:超过|突破|高于)$"),
    ("<", r"(?:不满|未满|不足|少于|低于)$"),
)


def _bounds(text: str, start: int, end: int) -> list[str]:
    before, after = text[max(0, start - 5) : start], text[end : end + 4]
    named = [name for name, pattern in _BEFORE if re.search(pattern, before)]
    if "<" in named and (">=" in named):
        named.remove(">=" if re.search(r"(?:不满|未满)$", before) else "<")
    return named + [name for name, pattern in _AFTER if re.search(pattern, after)]


# (class, strong words, weak words): a weak word may be part of another word or attributive (可识别, 需要), so alone it
# proves nothing, but it can answer a strong word on the other side
_MODALS = (
    ("禁止", r"不得(?!不(?!合理|正当|当|适当))|禁止|严禁|不应当", r"不予|不准|不应|不可|不能|无权"),
    (
        "义务",
        r"(?<!不)应当|必须|应(?=予|按|及时|依|明确|建立|加强|做好|参照|将|在|由|当|当时)",
        r"(?<![必无勿])须(?!知)|需要?|(?<![相适反响供回感不顺效策照呼])应(?!用|急|届|答|链|变|激|景|力|声|运|商|税|收|付|得|性|有尽|试|聘|邀|诉)"
        r"|(?<![主重纲概简摘扼首紧次只提机还及不的])要(?!求|素|点|件|闻|害|么|约|领|道|义|旨|是|目|性|指标)|负责|有义务",
    ),
    (
        "授权",
        r"可以|有权",
        r"(?<![不认许无尚方均皆宁许])可(?!信|控|靠|行|视|持|能|溯|追|读|再|复|见|操|贵|及|审|问|感)|允许|准许|方可",
    ),
    ("倡导", r"鼓励|支持|倡导|引导|探索|推动|推进", r"促进|加快|培育|提倡"),
)


def modality(text: str) -> Counter[str]:
    """How often each class occurs: 禁止, 义务, 授权, 倡导 (strong words) and the same names with ? (weak words)."""
    counts: Counter[str] = Counter()
    for name, strong, weak in _MODALS:
        text, counts[name] = re.subn(strong, "□", text)
        text, counts[f"{name}?"] = re.subn(weak, "□", text)
    return counts


# --- comparison --------------------------------------------------------------------------------------------------


def compare(name: str, digest: str, full: str) -> list[Finding]:
    """Findings of one digest against its full text, in text order; `where` is `name:line 第N条`.

    An error is a fact that stands on one side only; a warning is something a reader should look at (a modal class in
    policy rhetoric, a changed number of 款).
    """
    ours, theirs = outline(digest), outline(full)
    found = [*check_format(name, ours), *_compare_titles(name, ours, theirs)]
    if theirs.style == "plain":
        return [*found, *_compare_unit(name, _whole(ours), _whole(theirs), facts(""), "plain")]
    if ours.style != theirs.style:
        found.append(
            Finding("error", name, f"结构不同：摘编为 {ours.style}，全文为 {theirs.style}", "按全文的编号重排")
        )
        return found
    mine = {unit.key: unit for unit in ours.units}
    official = {unit.key: unit for unit in theirs.units}
    preface = facts(official[("前言",)].text if ("前言",) in official else "")
    for key, unit in official.items():
        if key in mine:
            found += _compare_unit(name, mine[key], unit, preface, theirs.style)
        elif key != ("前言",) and not _empty_annex(unit):
            found.append(Finding("error", f"{name}:{unit.label}", "全文有，摘编没有", "补写该条/该点"))
    for key, unit in mine.items():
        if key not in official and key != ("前言",):
            found.append(Finding("error", f"{name}:{unit.line} {unit.label}", "摘编有，全文没有", "核对编号"))
    found += _short_units(name, mine, official) if theirs.style == "articles" else []
    for heading in dict.fromkeys(theirs.headings):
        if heading not in ours.headings:
            found.append(Finding("warning", f"{name}:{heading}", "章节标题缺失", "补上章节标题行"))
    return found


def _short_units(name: str, mine: dict, official: dict) -> Iterator[Finding]:
    """Articles much shorter than the others of the same digest: something may have been left out."""
    ratios = {
        key: len(bare(_rules(mine[key]))) / len(bare(_rules(unit)))
        for key, unit in official.items()
        if key in mine and key != ("前言",) and len(bare(_rules(unit))) > 60
    }
    usual = median(ratios.values()) if ratios else 0.0
    for key, ratio in ratios.items():
        if ratio < SHORT * usual:
            what = f"篇幅为全文的 {ratio:.0%}，其他各条约 {usual:.0%}"
            yield Finding("warning", f"{name}:{mine[key].line} {mine[key].label}", what, "核对是否漏了内容")


def _whole(text: Outline) -> DigestUnit:
    return DigestUnit(("正文",), "正文", tuple(line for unit in text.units for line in unit.lines), 1)


def check_format(name: str, ours: Outline) -> list[Finding]:
    """What can be said without the full text: front matter, title, at least one unit, numbering without holes."""
    found = []
    if ours.front.strip() != "text_kind: digest":
        found.append(Finding("error", f"{name}:1", "文件头应当只有 text_kind: digest", "改文件头"))
    if not ours.title:
        found.append(Finding("error", f"{name}:1", "缺少标题行（# 标题）", "补上标题行"))
    if len(ours.units) < 2 and ours.style != "plain":
        found.append(Finding("error", f"{name}:1", "没有认出条文或要点", "按“第X条 ”“一、”“（一）”分行"))
    for unit in ours.units:
        if len(re.sub(r"\W", "", unit.text)) < 6 and ours.style == "articles":
            found.append(Finding("error", f"{name}:{unit.line} {unit.label}", "条文没有内容", "补写内容"))
    return found


def _compare_titles(name: str, ours: Outline, theirs: Outline) -> list[Finding]:
    if squeeze(ours.title) == squeeze(theirs.title):
        return []
    return [Finding("error", f"{name}:1", f"标题与全文不同：{ours.title} / {theirs.title}", "照抄全文标题")]


def _empty_annex(unit: DigestUnit) -> bool:
    """An annex line with names and signatures but no sentence; the annex itself is not in the text."""
    return unit.label == "附件" and "。" not in unit.text


def _compare_unit(name: str, mine: DigestUnit, official: DigestUnit, preface: Facts, style: str) -> list[Finding]:
    where = f"{name}:{mine.line} {mine.label}"
    a, b = facts(_rules(mine)), facts(_rules(official))
    is_preface = mine.key == ("前言",)
    found = []
    for amount in sorted(b.amounts.keys() - a.amounts.keys()):
        if not is_preface:
            found.append(Finding("error", where, f"漏数字：全文有“{amount}”", "补上"))
    for amount in sorted(a.amounts.keys() - b.amounts.keys() - preface.amounts.keys()):
        severity = "warning" if _COUNTED.fullmatch(amount) else "error"
        found.append(Finding(severity, where, f"多数字：摘编有“{amount}”，全文该处没有", "核对"))
    if is_preface:
        return found
    found += _compare_bounds(where, a, b)
    for mark in sorted(b.references - a.references):
        severity = "error" if mark.endswith("条") else "warning"
        found.append(Finding(severity, where, f"漏引用：全文有“{mark}”", "补上引用"))
    for mark in sorted(a.references - b.references - preface.references):
        severity = "error" if mark.endswith("条") else "warning"
        found.append(Finding(severity, where, f"多引用：摘编有“{mark}”，全文该处没有", "核对"))
    for term in sorted(a.open_terms ^ b.open_terms):
        side = "全文" if term in b.open_terms else "摘编"
        found.append(Finding("warning", where, f"开放用语“{term}”只见于{side}", "核对时限用语"))
    for word in sorted(a.sanctions | b.sanctions):
        n, m = a.sanctions[word], b.sanctions[word]
        if not n or not m:
            severity = "error" if style == "articles" else "warning"
            found.append(Finding(severity, where, f"“{word}”只见于{'全文' if m else '摘编'}", "核对责任"))
        elif n < m:
            found.append(Finding("warning", where, f"“{word}”全文 {m} 处，摘编 {n} 处", "核对责任"))
    found += _lost_sentences(where, mine, official, style)
    if _EXCEPTION.search(_rules(official)) and not _EXCEPTION_SAID.search(_rules(mine)):
        found.append(Finding("warning", where, "全文有例外（除外、另有规定），摘编没有", "补上例外"))
    found += _compare_modality(where, a.modality, b.modality, style)
    found += _compare_structure(where, mine, official, style)
    return found


def _lost_sentences(where: str, mine: DigestUnit, official: DigestUnit, style: str) -> Iterator[Finding]:
    """Sentences of the full text whose words (character pairs) hardly occur in the digest of the unit."""
    ours = _pairs(_rules(mine))
    for sentence in re.split("[。；\n]", _rules(official)):
        pairs = _pairs(sentence)
        if len(pairs) >= SENTENCE and len(pairs & ours) < KEPT[style] * len(pairs):
            yield Finding("warning", where, f"全文这句在摘编中几乎找不到：{sentence.strip()[:40]}", "核对是否漏写")


def _pairs(text: str) -> set[str]:
    plain = bare(text)
    return {plain[i : i + 2] for i in range(len(plain) - 1)}


def _rules(unit: DigestUnit) -> str:
    """The unit without signature lines (a bare date ends a wrapper or a paper)."""
    return "\n".join(line for line in unit.lines if not _DATE_LINE.match(line))


def _compare_bounds(where: str, a: Facts, b: Facts) -> list[Finding]:
    found = []
    for amount in sorted(a.amounts.keys() & b.amounts.keys()):
        mine, official = ({bd: n for (name, bd), n in side.bounds.items() if name == amount} for side in (a, b))
        if mine.keys() != official.keys() or sum(mine.values()) < sum(official.values()):
            what = f"“{amount}”的界限不同：全文 {_listed(official)}，摘编 {_listed(mine)}"
            found.append(Finding("warning", where, what, "核对以上/以内/超过"))
        if amount.lstrip("0123456789.e+") in _TIME_UNITS and a.amounts[amount] < b.amounts[amount] - 1:
            what = f"“{amount}”全文 {b.amounts[amount]} 次，摘编 {a.amounts[amount]} 次"
            found.append(Finding("warning", where, what, "核对是否漏了一处时限"))
    return found


def _listed(bounds: dict[str, int]) -> str:
    return "、".join(f"{bound}×{n}" for bound, n in sorted(bounds.items())) or "无"


def _compare_modality(where: str, a: Counter[str], b: Counter[str], style: str) -> list[Finding]:
    found = []
    for name, _, _ in _MODALS:
        for side, one, other in (("全文", b, a), ("摘编", a, b)):
            if one[name] and not other[name] and not other[f"{name}?"]:
                severity = "warning" if name == "倡导" or style != "articles" else "error"
                found.append(Finding(severity, where, f"模态“{name}”只见于{side}", "核对强度词"))
        fewer = a[name] < b[name] and a[name] + a[f"{name}?"] < b[name] + b[f"{name}?"]
        if fewer and a[name] and name != "倡导" and style == "articles":
            found.append(Finding("warning", where, f"模态“{name}”全文 {b[name]} 处，摘编 {a[name]} 处", "核对强度词"))
    return found


def _compare_structure(where: str, mine: DigestUnit, official: DigestUnit, style: str) -> list[Finding]:
    found: list[Finding] = []
    if style == "plain":
        return found
    item = _POINT if style == "articles" else _NUMBERED
    ours, theirs = _marks(mine.lines[1:], item), _marks(official.lines[1:], item)
    for mark in sorted(theirs.keys() - ours.keys()):
        found.append(Finding("error", where, f"漏项：全文有第 {mark} 项", "补上该项"))
    for mark in sorted(ours.keys() - theirs.keys()):
        found.append(Finding("error", where, f"多项：摘编有第 {mark} 项", "核对编号"))
    if style == "articles":
        n, m = (sum(1 for line in _rules(u).split("\n") if line and not _POINT.match(line)) for u in (mine, official))
        if n != m:
            found.append(Finding("warning", where, f"款数不同：全文 {m}，摘编 {n}", "款的数目和次序应当一致"))
    return found


def _marks(lines: Iterable[str], pattern: re.Pattern[str]) -> Counter[int]:
    return Counter(to_int(match[1]) for line in lines if (match := pattern.match(line)))


# --- copied runs -------------------------------------------------------------------------------------------------


def bare(text: str) -> str:
    """Text with 《titles》, punctuation and white space removed: what is compared for copying."""
    return re.sub(r"\W", "", _TITLE_MARKS.sub("", text))


def windows(texts: Iterable[str], size: int = MIN_RUN) -> set[int]:
    """Hashes of every run of `size` characters of the bare texts."""
    return {hash(b[i : i + size]) for b in map(bare, texts) for i in range(len(b) - size + 1)}


def copied_runs(
    digest: str, known: set[int], allowed: Sequence[str] = (), size: int = MIN_RUN
) -> Iterator[tuple[int, str]]:
    """(line, run) for each maximal run of `size` or more characters that stands in the known texts.

    Headings (lines that start with #) are skipped. A run is excused only when a single allowed phrase contains it.
    """
    phrases = [bare(phrase) for phrase in allowed]
    for number, line in enumerate(digest.split("\n"), 1):
        if line.startswith("#"):
            continue
        text, i = bare(line), 0
        while i <= len(text) - size:
            j = i
            while j <= len(text) - size and hash(text[j : j + size]) in known:
                j += 1
            if j > i and not any(text[i : j + size - 1] in phrase for phrase in phrases):
                yield number, text[i : j + size - 1]
            i = max(j, i + 1)
