"""One sentence of a rule in, its elements out: modality, actor, tier, numbers, conditions, exceptions (domain.md 3).

Everything here is a pure function of text and of the word lists in kb/data; nothing knows a document.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

import yaml

from kb.models import Amount
from kb.numerals import to_int

_NUM = r"(?:[0-9０-９]+(?:[.．][0-9]+)?|[零〇一二两三四五六七八九十百千]+)"
_BIG = r"[万亿]?"
_LEAD = r"(至少|不少于|不低于|最少|不超过|不高于|最长不超过|最长为|最长|最多|不满|未满|超过|满|少于|低于|不足)?\s*"
_AMOUNTS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (kind, re.compile(pattern))
    for kind, pattern in (
        ("money", rf"{_LEAD}({_NUM}{_BIG})\s*(元)\s*(以上|以下|以内)?"),
        ("times", rf"{_LEAD}({_NUM})\s*(倍)\s*(以上|以下)?"),
        ("ratio", rf"{_LEAD}(百分之{_NUM}|{_NUM}\s*[%％])()(以上|以下|以内)?"),
        (
            "duration",
            rf"{_LEAD}({_NUM})\s*(?:个)?\s*(工作日|自然日|小时|日|天|周|月|年)(?!度|\d|[0-9]|底)(?:之)?(以上|以下|以内|内|前|后)?",
        ),
        ("age", rf"{_LEAD}({_NUM})\s*(周岁)\s*(以上|以下)?"),
        ("count", rf"{_LEAD}({_NUM}{_BIG})\s*(人次|人|户|名|条|件|家)\s*(以上|以下|以内)?"),
    )
)
_FREQUENCY = re.compile(r"每(?:年度|年|季度|半年|月|周|日|两年|三年|[一二两三四五]年)|按(?:年度|季度|月)|年度")
_DATE = re.compile(r"(?:(20\d\d)年)?([0-9]{1,2})月([0-9]{1,2})日(?:以?前)?|(20\d\d)年(?:底|末)?(?:以?前)?")
_CALENDAR = re.compile(
    r"(?:19|20)\d\d\s*年|[二一][〇零○九一二三四五六七八]{3}年|\d{1,2}月\d{1,2}日|第[零〇一二三四五六七八九十百千0-9]+[条款项届次章节]"
)
_EVENT = re.compile(r"自[^，。；]{2,24}(?:之日|日)?起")


@dataclass(frozen=True, slots=True)
class Modal:
    """One cue of modality at `start` in its text; `level` as in domain.md 3.1."""

    start: int
    end: int
    word: str
    type: str
    level: int


@dataclass(frozen=True, slots=True)
class Actor:
    """Who must act: the phrase, its class, its tier, and whether it was carried over from earlier text."""

    text: str
    class_id: str
    tier: str
    inferred: bool = False


@functools.cache
def load_data(name: str) -> Mapping[str, object]:
    """A YAML list of kb/data, read once."""
    return yaml.safe_load((resources.files("kb") / "data" / name).read_text(encoding="utf-8"))


@functools.cache
def pattern_of(key: str) -> re.Pattern[str]:
    """A compiled pattern of modality.yaml (liability, definition, exception, ...)."""
    return re.compile(str(load_data("modality.yaml")[key]))


@functools.cache
def _modal_patterns() -> tuple[tuple[re.Pattern[str], str, int], ...]:
    return tuple((re.compile(m["pattern"]), m["type"], int(m["level"])) for m in load_data("modality.yaml")["modals"])


@functools.cache
def _actor_classes() -> tuple[tuple[re.Pattern[str], str, str], ...]:
    return tuple((re.compile(c["pattern"]), c["id"], c["tier"]) for c in load_data("actors.yaml")["classes"])


@functools.cache
def _actor_end() -> re.Pattern[str]:
    return re.compile(load_data("actors.yaml")["noun"] + r"$")


@functools.cache
def _soft_verb() -> re.Pattern[str]:
    return re.compile(pattern_of("soft_verbs").pattern)


def find_modals(text: str) -> tuple[Modal, ...]:
    """Modal cues in reading order; at one place the first pattern of modality.yaml wins, false friends are dropped."""
    taken = [False] * len(text)
    found: list[Modal] = []
    for pattern, kind, level in _modal_patterns():
        for match in pattern.finditer(text):
            if any(taken[match.start() : match.end()]):
                continue
            for i in range(match.start(), match.end()):
                taken[i] = True
            if kind != "none":
                found.append(Modal(match.start(), match.end(), match[0], kind, level))
    return tuple(sorted(found, key=lambda m: m.start))


_GOVERNED = re.compile(r"(?:推动|加快|支持|鼓励|引导|探索|积极|加强|促进|完善|逐步|推进)")


def modality_of(text: str, *, policy: bool = False) -> tuple[str, int, tuple[str, ...]]:
    """(type, level, words) of one duty. 应当推动… is a soft duty; a policy sentence without modal is one too."""
    modals = find_modals(text)
    exempt = re.search(r"可以?不|免予|无需|不需|不再", text)
    hard = [m for m in modals if m.level == 5]
    if hard:
        first = (
            next((m for m in hard if m.type == "prohibition"), hard[0])
            if all(m.type == "prohibition" for m in hard)
            else next(m for m in hard if m.type == "obligation")
        )
        level = 3 if first.type == "obligation" and _GOVERNED.match(text[first.end :]) else 5
        return first.type, level, tuple(m.word for m in modals)
    if modals:
        first = modals[0]
        if exempt and first.type == "permission":
            return "permission", 3, tuple(m.word for m in modals)
        return first.type, first.level, tuple(m.word for m in modals)
    if exempt:
        return "permission", 3, (exempt[0],)
    if pattern_of("definition").search(text):
        return "definition", 0, ()
    if pattern_of("liability").search(text):
        return "liability", 5, ()
    if pattern_of("goal").search(text):
        return "goal", 1, ()
    if match := pattern_of("responsibility").search(text):
        return "responsibility", 4, (match[0],)
    if match := _soft_verb().search(text):
        return ("encouragement" if policy else "obligation"), (2 if policy else 4), (match[0],)
    return "none", 0, ()


def kind_of(text: str, lead_in: str = "") -> str:
    """duty, definition, liability, goal, principle: what a row is compared with."""
    whole = f"{lead_in}{text}"
    if re.search(r"下列(?:用语|术语)|(?:用语|术语)(?:的)?含义", lead_in) or pattern_of("definition").search(text):
        return "definition"
    penalty = r"罚款|给予处分|依法给予|追究[^，。]{0,6}责任|责令(?:限期)?(?:改正|整改)|没收违法所得|承担[^，。；]{0,12}责任|警告|吊销|构成犯罪"
    trigger = r"违反本|未(?:按|履行|依)|不履行|拒不|情节严重|构成|造成[^，。]{0,6}(?:损失|损害)|有下列(?:情形|行为)|玩忽职守|侵害|的，(?:由|依法|按照|可以)"
    if (
        re.search(penalty, whole)
        and (re.search(trigger, whole))
        and not re.search(r"应当承担(?:主体|安全)责任|承担主体责任", text)
    ):
        return "liability"
    if re.search(r"^(?:到20\d\d年|力争)", text):
        return "goal"
    if re.search(r"遵循[^。]{2,80}(?:的)?原则|应当坚持|^坚持", text):
        return "principle"
    return "duty"


def amounts_of(text: str) -> tuple[Amount, ...]:
    """Numbers that matter: money, ratio, durations, ages, head counts, frequencies; calendar years and 第N条 do not count."""
    masked = _CALENDAR.sub(lambda m: "□" * len(m[0]), text)
    found: dict[int, Amount] = {}
    for kind, pattern in _AMOUNTS:
        for match in pattern.finditer(masked):
            if any(match.start() <= k < match.end() for k in found):
                continue
            try:
                value = _value(match[2])
            except ValueError:
                continue
            if kind == "count" and value < 3:
                continue
            bound = match[1] or (match[4] if match.lastindex and match.lastindex >= 4 else "") or ""
            found[match.start()] = Amount(kind, value, match[3] or "", bound, match[0].strip())
    for match in _FREQUENCY.finditer(text):
        if not any(match.start() <= k < match.end() for k in found):
            found[match.start()] = Amount("frequency", 1.0, match[0], "", match[0])
    for match in re.finditer(r"每年(\d{1,2})月(\d{1,2})日", text):
        found[match.start()] = Amount("deadline", int(match[1]) * 100 + int(match[2]), "日", "前", match[0])
    return tuple(found[k] for k in sorted(found))


def _value(text: str) -> float:
    text = text.replace("．", ".").translate(str.maketrans("０１２３４５６７８９", "0123456789"))
    scale = 1.0
    if text.startswith("百分之"):
        text = text[3:]
    text = text.rstrip("%％ ")
    while text and text[-1] in "万亿" and text[:-1]:
        scale *= 1e4 if text[-1] == "万" else 1e8
        text = text[:-1]
    text = text.replace("两", "二") if text == "两" else text
    return (float(text) if re.fullmatch(r"[0-9.]+", text) else float(to_int(text))) * scale


def conditions_of(text: str) -> tuple[str, ...]:
    """的-clauses that open a condition, approvals, time frames."""
    return tuple(m[0] for m in pattern_of("condition").finditer(text))


def exceptions_of(text: str) -> tuple[str, ...]:
    """但…除外, 除…外, 从其规定: belongs to the duty and must not get lost."""
    return tuple(m[0] for m in pattern_of("exception").finditer(text))


def open_terms_of(text: str) -> tuple[str, ...]:
    """定期, 及时, 按照规定 …: they never equal a fixed number."""
    return tuple(term for term in load_data("modality.yaml")["open_terms"] if term in text)


# -- actor ----------------------------------------------------------------------------------------------------------

_ITEM_MARK = re.compile(r"^[\s　]*(?:[（(][零〇一二三四五六七八九十百]+[)）]|\d{1,2}[.．、])\s*")
_CONDITION_HEAD = re.compile(
    r"^(?:为了?|基于|根据|依据|按照|依照|在(?!线)|对(?!外)|对于|针对|因|自|经|未经|非经|除|涉及|利用|采用|通过|遵循|结合|围绕|依托|发现|发生|属于|符合|处理|拟|确需|如|以|向|将|同时|此外|其中|并|或者|其他|有)"
)


def clauses(text: str) -> list[str]:
    """Parts between ，；。： with item marks taken off, in order."""
    return [c for c in re.split(r"[，,；;。：:！？\n]", _ITEM_MARK.sub("", text)) if c.strip()]


_MODAL_HEAD = re.compile(
    r"应当|应(?![用急答收激届])|必须|不得|可以|可(?=根据|依|按|参|通|共|由|向|自|在|采|申|结|对|将|以|与)|方可|有权|须(?!知)|负责(?!人)|主管(?!部门|机构|人员|机关|单位)|(?<![重主必需首次摘纪扼概不])要(?![求素件点闻])"
)
_AGENT = re.compile(
    r"(?:^|，|；)?由([^，。；由]{2,50}?)(?:另行|统一|组织|会同[^，。；]{2,20}|依法|共同|按照[^，。；]{2,20}|指定[^，。；]{2,16}|商[^，。；]{2,20})*(?:制定|规定|负责|公布|组织|办理|确定|解释|批准|发布|承担)"
)
_DOER = re.compile(
    r"^(?:开展|提供|从事|利用|处理|收集|使用|公开|设立|申请|销售|生产|制作|传播|举办|采购|应用|运用|建设|组织开展|新建|任何组织、个人)(?!的|者)[^，。；]{2,40}?(?:，(?:应当|应|必须|不得|须)|应当|不得|(?<![相响供适反对])应(?![用急]))"
)


def own_actor(text: str) -> str:
    """The subject phrase a sentence itself names, or "" when it starts with a verb, a thing or only with conditions.

    Conditions (…的，/ 在…时，) are passed over; an agent behind 由 counts when nothing stands before the modal.
    """
    delegated = _AGENT.search(text)
    if delegated and re.search(r"制定|公布|解释|规定", delegated[0]) and not re.search(r"应当|不得|责令|给予", text):
        return delegated[1]
    parts = [c.strip() for c in clauses(re.sub(r"[（(](?!以下)[^（）()]{1,12}[)）]", "", text))[:8]]
    for index, clause in enumerate(parts):
        if subject := _prefix_actor(clause):
            return subject
        modal = _MODAL_HEAD.search(clause)
        if modal and modal.start() >= 2 and (subject := _trim_subject(clause[: modal.start()])):
            return subject
        if modal:
            break
        if index >= 1 and not _CONDITION_HEAD.match(parts[0]) and not parts[0].endswith("的"):
            break
    agent = _AGENT.search(text)
    if agent and _actor_end().search(agent[1]) and not re.search(r"责令|给予|处以|罚款", text):
        return agent[1]
    return ""


def is_doer(text: str) -> bool:
    """True for 开展…，应当… : whoever does the thing is bound, no subject is carried over."""
    return bool(_DOER.match(_ITEM_MARK.sub("", text)))


_PREDICATE = re.compile(
    r"应当|应(?![用急答收激届])|必须|不得|可以|可(?=根据|依|按|参|通|共|由|向|自|在|采|申|结|对|将|以|与)|方可|有权|都有|是(?!指|以|否)|须(?!知)|负责(?!人)"
    r"|主管(?!部门|机构|人员|机关|单位)|统筹|承担|会同|牵头|鼓励|支持|推动|推进|建立|制定|组织(?![、，和或的]|$)|加强|实行|实施(?!机构)|完善|指导"
    r"|协调(?!机制)|开展|定期|依法|依申请|根据|按照|依照|依据|对(?!象)|在(?!线)|按|将|向|与(?!其)|为(?!主)|通过|发现|应予|积极|大力|加快|全面|持续|稳步|加大|健全|深化|充分|优化|提升|培育|完成(?!的)|继续|保护(?!工作|部门)|保障|提供(?!者|方|的)"
    r"|设立|促进|采取|坚持|遵守|遵循|履行|不履行|未|收到|做好|发挥|享有|从事|利用|处理(?!者)|收集|委托|拟|违反|发布|提出|公开|明确|统一|具体"
    r"|强化|落实|编制|共同|及其|接到|因|以(?!外|及)|同意|申请(?!人)|完成|执行|强制|经(?!营|济)|使用(?!者)|选择|要(?![求素件点])|自(?!由|贸|然|主)|确定|玩忽|滥用|形式审核|主要|建设|分别|逐步|每|协助|配合|参与|实现|形成"
)
_STRONG_NOUN = re.compile(
    r"部门|机构|政府|机关|媒介|媒体|者|单位|组织|个人|企业|公司|主体|工作人员|专业人员|负责人|监护人|第三方|接收方|提供方|需求方|使用方|国家|各地区|各地|地区|局|委员会|协会|商会|法院|检察院"
    r"|用户|当事人|协调机制|申请人|受托人|办公厅|办公室|自然人|法人|公民|试验区|联席会议|行业组织|学校|医院|平台|网信办|海关|党委"
)


def _prefix_actor(clause: str) -> str:
    """Actor phrase at the head of a clause: it ends with an actor noun and a predicate follows at once."""
    if _CONDITION_HEAD.match(clause) and not re.match(r"自由贸易|自然|自贸|其他|有关|利用者|处理者|处理机构", clause):
        return ""
    for match in _STRONG_NOUN.finditer(clause):
        subject, rest = clause[: match.end()], clause[match.end() :]
        if subject.endswith(("或者", "再者")) or not _PREDICATE.match(rest):
            continue
        return subject if _is_actor(subject) else ""
    return ""


_ADVERB_TAIL = re.compile(r"(?:均|都|也|还|各自|依法|共同|分别|一律|原则上|定期|及时|具体|主要|一般|自觉|每年度|每年)$")


def _trim_subject(text: str) -> str:
    text = re.sub(r"^(?:由|但是|但|同时|此外|其中|并且|并|而且)", "", text.strip(" 　、"))
    while text and not _actor_end().search(text) and _ADVERB_TAIL.search(text):
        text = _ADVERB_TAIL.sub("", text)
    return text if _is_actor(text) else ""


_VERB_HEAD = re.compile(
    r"收集|处理(?!者)|使用(?!者)|提供(?!者|方)|存储|加工|公开|删除|建立|制定|为|要求|委托|向|对|在|按|将|根据|通过|保护(?!工作)|保障|开展|利用|协调"
    r"|指导|监督(?!管理(?:部门|机构))|组织(?!或|和|、|者)|确定|基于|推动|推进|加强|完善|鼓励|支持|引导|促进|健全|强化|实施(?!机构|主体|单位)|实现|建设|落实|明确|统筹|防止|避免|造成|损害|侵害"
    r"|危害|发展|提升|提高|培育|探索|构建|打造|履行(?!.{0,12}职责的)|并|或|不得|应|可|负责|会同|督促|责令|给予|由|发布|报|经|与|以|把|让|使|定期|依法"
)


def _is_actor(text: str) -> bool:
    if not (2 <= len(text) <= 90 and _actor_end().search(text)):
        return False
    return not re.search(r"应当?|不得|可以|必须|是指|^是", text) and (
        bool(re.search(r"的[^，]{0,16}$", text)) or not _VERB_HEAD.match(text)
    )


_PRIVATE_HEAD = re.compile(r"(?:行政机关|国家机关|者|企业|公司|组织|个人|平台|用户|协会|自然人|法人)$")


def classify_actor(text: str) -> tuple[str, str]:
    """(class id, tier) of an actor phrase; ("", "any") when nothing fits.

    A private head noun behind 的 decides by itself: in 达到国家网信部门规定数量的处理者 the department is no subject.
    """
    head = text.rsplit("的", 1)[-1]
    if head != text and _PRIVATE_HEAD.search(head):
        text = head
    for pattern, class_id, tier in _actor_classes():
        if pattern.search(text):
            return class_id, tier
    return "", "any"


def trigger_of(actor: str, text: str) -> str:
    """Id of the rule of domain.md 1.5 that calls for a local measure, or ""."""
    for rule in load_data("triggers.yaml")["triggers"]:
        if re.search(rule["pattern"], actor if rule["where"] == "actor" else text):
            return str(rule["id"])
    return ""


def topics_of(text: str, context: str = "") -> tuple[str, ...]:
    """Up to three topics of domain.md 5 by cue terms; the heading counts half."""
    scores = {
        topic: sum(len(cue) * text.count(cue) for cue in cues)
        + 0.5 * sum(len(cue) * context.count(cue) for cue in cues)
        for topic, cues in load_data("topics.yaml")["topics"].items()
    }
    ranked = sorted((s, t) for t, s in scores.items() if s > 0)[::-1]
    return tuple(t for s, t in ranked[:3] if s >= ranked[0][0] * 0.4)
