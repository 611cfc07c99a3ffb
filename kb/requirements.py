"""A Document in, its single duties out: each sentence is one requirement or a 非要求 with the reason.

The rows partition the sentences of a document, so counts add up. Lead-ins are carried into items; a deleted subject is
filled from what stands before it and marked as inferred. `locate` and `requirement_at` build the same record for a
quoted duty, so that a quotation and an extracted row are judged by the same code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from kb.elements import (
    Actor,
    amounts_of,
    classify_actor,
    conditions_of,
    exceptions_of,
    find_modals,
    is_doer,
    kind_of,
    modality_of,
    open_terms_of,
    own_actor,
    pattern_of,
    topics_of,
    trigger_of,
)
from kb.models import Document, Provision, Requirement, Unit

_SENTENCE = re.compile(r"[^。！？!?；;\n]*[。！？!?；;]+[”’」）)]*|[^。！？!?；;\n]+")
_STOP = re.compile(r"[^。！？!?\n]*[。！？!?]+[”’」）)]*|[^。！？!?\n]+")
_ITEM_MARK = re.compile(r"^[\s　]*(?:[（(][零〇一二三四五六七八九十百]+[)）]|\d{1,2}[.．、]|[①-⑳])\s*")
_CONTINUES = re.compile(r"^(?:但是|但|其中|前述|逾期|情节|拒不|有违法所得|没有违法所得|构成|造成|对直接负责)")
MIN_CHARS = 6


@dataclass(frozen=True, slots=True)
class NonRequirement:
    """A sentence that is no duty; `reason` is one of REASONS."""

    provision_id: str
    address: str
    text: str
    start: int
    end: int
    reason: str


REASONS = {
    "heading": "标题",
    "lead_in": "引领句，内容随各项",
    "purpose": "立法目的和依据",
    "scope": "适用范围",
    "in_force": "施行、废止和有效期",
    "background": "背景和意义说明",
    "wrapper": "印发通知和落款",
    "statement": "陈述，无规范内容",
}
_PURPOSE = re.compile(
    r"^(?:为了?|为深入|为贯彻|为全面|为加快)[^。]*(?:制定本|特制定|提出(?:如下|以下)意见|制定以下|现(?:就|提出)|印发)|^根据[^。]*制定本|^为(?:了)?[^。]{8,}，(?:根据|依据)《"
)
_SCOPE = re.compile(r"(?:^|，)(?:也)?适用本(?:法|条例|办法|规定|规范)|不适用本(?:法|条例|办法|规定)|适用(?:《|本规范)")
_IN_FORCE = re.compile(
    r"自[^。]{2,24}起(?:施行|实施|执行)|同时废止|有效期(?:为|至)?[^。]{0,6}年(?:，|。|$)|即行废止|印发之日起"
)
_WRAPPER = re.compile(
    r"^(?:现(?:将)?[^。]{0,40}印发(?:给你们)?|.{0,40}[：:]$|附件|.{2,30}(?:办公厅|委员会|数据局|部)[\s　]*$|\d{4}年\d{1,2}月\d{1,2}日|（此件)"
)


def extract(doc: Document) -> tuple[list[Requirement], list[NonRequirement]]:
    """Every sentence of `doc` as a requirement or a non-requirement, both in reading order."""
    duties: list[Requirement] = []
    others: list[NonRequirement] = []
    for provision in doc.provisions:
        for unit, start, end in _spans(doc, provision):
            text = doc.text[start:end]
            reason = _reason(doc, provision, unit, text, start)
            if reason:
                others.append(NonRequirement(provision.provision_id, unit.address, text, start, end, reason))
            else:
                duties.append(requirement_at(doc, provision, start, end))
    return duties, others


def _spans(doc: Document, provision: Provision) -> Iterator[tuple[Unit, int, int]]:
    """(unit, start, end) of single duties: sentences, parts between semicolons; a 但是 sentence joins its duty."""
    units = provision.units or (_whole(provision),)
    for unit in units:
        held: tuple[int, int] | None = None
        for match in _SENTENCE.finditer(unit.text):
            body = match[0]
            start = unit.start + match.start() + len(body) - len(body.lstrip())
            end = unit.start + match.end() - (len(body) - len(body.rstrip()))
            if end <= start:
                continue
            text = doc.text[start:end]
            if held and (_CONTINUES.match(text) or end - start < MIN_CHARS or _unbalanced(doc.text[held[0] : held[1]])):
                held = (held[0], end)
                continue
            if held:
                yield unit, *held
            held = (start, end)
        if held:
            yield unit, *held


def _unbalanced(text: str) -> bool:
    return text.count("（") > text.count("）") or text.count("“") > text.count("”")


def _whole(provision: Provision) -> Unit:
    return Unit("paragraph", 1, None, None, provision.label, provision.text, provision.start, provision.end)


def is_policy(doc: Document) -> bool:
    """True for outlines (意见, 行动计划, 实施方案), where verbs without a subject address local bodies."""
    return bool(doc.provisions) and sum(p.kind == "article" for p in doc.provisions) * 2 < len(doc.provisions)


def _reason(doc: Document, provision: Provision, unit: Unit, text: str, start: int) -> str:
    """Code of REASONS when the sentence is no duty, else ""."""
    body = _ITEM_MARK.sub("", text).strip()
    hard = any(m.level >= 3 for m in find_modals(body))
    if not re.search(r"[\u4e00-\u9fff]{2}", body):
        return "statement"
    if provision.kind in ("preamble",) and not hard:
        return "wrapper" if _WRAPPER.search(body) else "background"
    if _is_heading(doc, provision, unit, body, start):
        return "heading"
    if _IN_FORCE.search(body) and len(body) < 120 and not (hard and len(body) > 60):
        return "in_force"
    if _PURPOSE.search(body) and (provision.number[0] <= 1 or not hard):
        return "purpose"
    if _SCOPE.search(body) and not re.search(r"应当|不得|必须", body):
        return "scope"
    if body.endswith(("：", ":")):
        if not find_modals(body) and _ADDRESSEES.match(body):
            return "wrapper"
        if _has_items(provision, unit) or _ITEM_MARK.match(
            doc.text[start + len(text) : start + len(text) + 12].lstrip()
        ):
            return "" if kind_of(body) == "liability" else "lead_in"
    if _WRAPPER.search(body) and not hard and len(body) < 60 and is_policy(doc):
        return "wrapper"
    kind, _level, _ = modality_of(body, policy=is_policy(doc))
    if kind == "none" and not unit.lead_in and (unit.level != "paragraph" or len(body) < 200):
        return "statement"
    return ""


_ADDRESSEES = re.compile(r"^各?(?:省|自治区|直辖市|市|县|区|有关|各)[^。；]*[：:]$")
# （一）指导思想。坚持…: a name of what follows, not a task of its own
_NAME = re.compile(r"^(?:[一二三四五六七八九十]+是)?[^，、。；：]{2,16}。$")


def _is_heading(doc: Document, provision: Provision, unit: Unit, body: str, start: int) -> bool:
    first = start <= provision.start + 4
    if body.endswith(("：", ":")) or any(m.level >= 5 for m in find_modals(body)):
        return False
    listed = re.match(r"[一二三四五六七八九十]+是", body)
    if _NAME.match(body) and (listed or (first and provision.kind == "point")):
        return bool(doc.text[start : provision.end].split("。", 1)[1].strip())
    bare = not re.search(r"[。；，：]", body) and len(body) <= 40
    return bare and (
        (provision.kind == "point" and first) or (len(body) <= 16 and modality_of(body)[0] == "none" and is_policy(doc))
    )


def _has_items(provision: Provision, unit: Unit) -> bool:
    return (
        any(u.level in ("item", "subitem") and u.paragraph == unit.paragraph for u in provision.units)
        or unit.level == "item"
    )


# -- one duty -------------------------------------------------------------------------------------------------------


def requirement_at(doc: Document, provision: Provision, start: int, end: int) -> Requirement:
    """The requirement whose verbatim text is doc.text[start:end]; subject and lead-in are filled in from the context."""
    unit = unit_at(provision, start)
    text = doc.text[start:end]
    body = _ITEM_MARK.sub("", text).strip()
    lead = _lead_sentence(unit.lead_in) if unit.level in ("item", "subitem") else ""
    policy = is_policy(doc)
    kind = kind_of(body, lead)
    before = _before(doc, provision, unit, start)
    actor = resolve_actor(body, lead, before, policy=policy)
    modality, level, words = modality_of(body, policy=policy)
    if lead and level < 3:
        lead_modality, lead_level, lead_words = modality_of(lead, policy=policy)
        if lead_level >= level:
            modality, level, words = lead_modality, lead_level, (*lead_words, *words)
    if kind == "definition":
        modality, level = "definition", 0
    elif kind == "liability":
        modality, level = "liability", 5
    filled = f"{lead}：{body}" if lead else (f"{actor.text}{body}" if actor.inferred and actor.text else body)
    return Requirement(
        requirement_id=f"{provision.provision_id}#{start - provision.start}-{end - provision.start}",
        provision_id=provision.provision_id,
        doc_id=doc.doc_id,
        label=provision.label,
        paragraph=unit.paragraph,
        item=unit.item,
        address=unit.address,
        text=text,
        full_text=filled,
        start=start,
        end=end,
        lead_in=lead,
        kind=kind,
        modality=modality,
        modality_level=level,
        modality_words=words,
        actor=actor.text,
        actor_id=actor.class_id,
        actor_inferred=actor.inferred,
        tier=actor.tier,
        action=_action(body, actor),
        conditions=conditions_of(body),
        exceptions=exceptions_of(body),
        amounts=amounts_of(body),
        open_terms=open_terms_of(body),
        trigger=trigger_of(actor.text, body),
        topics=topics_of(filled, " ".join(provision.heading_path)),
        sanction=_sanction(doc, provision, kind),
    )


def unit_at(provision: Provision, position: int) -> Unit:
    """The unit that holds `position`; the whole provision where no unit does."""
    for unit in provision.units:
        if unit.start <= position < unit.end:
            return unit
    return next((u for u in provision.units if u.start >= position), None) or _whole(provision)


def _lead_sentence(lead_in: str) -> str:
    return re.split(r"[。；]", lead_in.rstrip("：: "))[-1].strip()


def _before(doc: Document, provision: Provision, unit: Unit, start: int) -> list[str]:
    """Texts that may hold the subject, nearest first: the own sentence up to `start`, earlier sentences, earlier 款."""
    out: list[str] = []
    head = doc.text[unit.start : start]
    sentences = [m[0].strip() for m in _STOP.finditer(head) if m[0].strip()]
    out.extend(reversed(sentences))
    if (
        unit.level not in ("item", "subitem")
        and not sentences
        and not _THING.match(doc.text[start : unit.end].lstrip())
    ):
        earlier = [u for u in provision.units if u.end <= unit.start and u.level == "paragraph"]
        for u in reversed(earlier[-1:]):
            out.extend(reversed([m[0].strip() for m in _STOP.finditer(u.text)]))
    return out


# a 款 that opens with a thing or a passive (经审定的方案…) takes no subject from the 款 before it
_THING = re.compile(
    r"经|本|前款|对于|涉及|符合|属于|将|鼓励|支持|因|未经|[^，。]{2,20}(?:期限|方案|协议|报告|标准|目录|平台|结果|价格|程序|材料|内容)"
)
# no subject by grammar, but the first words say who is meant: 由省级以上…部门责令, 县级以上…部门的职责，按照…确定
_NAMED_FIRST = re.compile(
    r"由?((?:县级以上|各级|地方|省级以上|省级)[^，。；]{0,24}?(?:部门|机构|政府|机关))(?=的|责令|给予|按照)"
)
# a policy task without a subject is for local bodies unless only the State can do it
_NATIONAL_TASK = re.compile(
    r"全国(?:统一|性)的?|国际(?:规则|标准|合作|交流)|(?:制定|修订|完善|出台)[^，。；]{0,8}(?:法律|行政法规|国家标准)|^支持(?:浙江|北京|上海|海南|贵州)"
)


def resolve_actor(body: str, lead: str, before: list[str], *, policy: bool) -> Actor:
    """Own subject, else that of the lead-in, else the nearest one before; a policy task without one is for local bodies."""
    if subject := own_actor(body):
        return _actor(subject, False)
    if is_doer(body) or (before and not lead and is_doer(before[0] + body)):
        return Actor("", "doer", "private", False)
    if named := _NAMED_FIRST.match(body):
        return _actor(named[1], False)
    if lead and (subject := own_actor(lead)):
        return _actor(subject, True)
    for text in before:
        joined = text if re.search(r"[。；！？]$", text) else text + body  # the same sentence, cut before the quote
        if subject := own_actor(joined):
            return _actor(subject, True)
        if lead:
            break
    if policy:
        return Actor("", "policy", "state" if _NATIONAL_TASK.search(body) else "local", True)
    return Actor("", "", "any", True)


def _actor(subject: str, inferred: bool) -> Actor:
    class_id, tier = classify_actor(subject)
    return Actor(subject, class_id, tier, inferred)


def _action(body: str, actor: Actor) -> str:
    """What must be done: the text behind the first modal, or behind the subject."""
    modals = find_modals(body)
    if modals:
        return body[modals[0].end :].strip(" ，。；")[:120]
    cut = body.find(actor.text) + len(actor.text) if actor.text and actor.text in body else 0
    return body[cut:].strip(" ，。；")[:120]


_VIOLATES = re.compile(r"第[零〇一二三四五六七八九十百千]+条(?:之[一二三四五六七八九十]+)?")


def _sanction(doc: Document, provision: Provision, kind: str) -> str:
    """Label of the article of the same document that punishes breach of this one, or ""."""
    if kind == "liability":
        return ""
    for other in doc.provisions:
        if (
            other.number > provision.number
            and provision.label in other.text
            and pattern_of("liability").search(other.text)
        ):
            cited = _VIOLATES.findall(other.text)
            if provision.label in cited:
                return other.label
    return ""


# -- quoted duties ----------------------------------------------------------------------------------------------------


def locate(
    doc: Document, quote: str, article: str | None = None, paragraph: int | None = None
) -> tuple[Provision, int, int] | None:
    """Where `quote` stands (white space aside): in the named article, else anywhere; None when nowhere."""
    needle = re.sub(r"\s+", "", quote)
    named = [p for p in doc.provisions if article and (p.label == article or p.label.startswith(article))]
    for provision in (*named, *(p for p in doc.provisions if p not in named)):
        if span := _find(provision, needle, paragraph if provision in named else None):
            return provision, *span
    return None


def _find(provision: Provision, needle: str, paragraph: int | None) -> tuple[int, int] | None:
    positions = [i for i, c in enumerate(provision.text) if not c.isspace()]
    squeezed = "".join(provision.text[i] for i in positions)
    hits = []
    at = squeezed.find(needle)
    while at >= 0 and needle:
        hits.append((provision.start + positions[at], provision.start + positions[at + len(needle) - 1] + 1))
        at = squeezed.find(needle, at + 1)
    if paragraph and len(hits) > 1:
        hits = [h for h in hits if unit_at(provision, h[0]).paragraph == paragraph] or hits
    return hits[0] if hits else None
