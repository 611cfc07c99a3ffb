"""Two texts in nearly the same words in, the edits that change the duty out: numbers, strength, exceptions, conditions, actor.

Similarity hides exactly these (domain.md 4.5, lesson c). The comparison only speaks inside one frame: most of the national
wording must stand in the local rule in order, otherwise nothing is said.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from rapidfuzz.distance import LCSseq

from kb.elements import amounts_of, exceptions_of, find_modals, own_actor
from kb.scope import canonical, content_bigrams

FRAME = 0.75
CLOSE_FRAME = 0.85
TOGETHER = 0.6
"""Least share of the frame's wording in the stretch of the local rule that it is spread over."""
_LEAST = 8
"""Characters that must be left for a frame to mean anything."""
_LIMIT = re.compile(
    r"但(?:是)?[^。；]{0,4}不得|不得超过|除外|除[^，。；]{1,30}外|(?:且|并)(?:应当|要求|须|经)|仅限|只(?:能|限)|可以不"
)
_APPROVAL = re.compile(r"(?:未?经)[^，。；]{1,20}(?:批准|同意|许可|审批)")
_PENAL = re.compile("罚款|责令|警告|处分|吊销|没收|通报批评")
_PENALTY = re.compile(
    r"违反本[^，。；]{1,16}?(?:规定|(?=，))|有(?:下列|前款)[^，。；]{0,10}之一的?|由[^，。；]{2,40}?(?=责令|给予|处|予以|依法|没收)"
    r"|责令其?[^，。；]{0,8}?(?:改正|整改|整顿|停止[^，。；]{0,10})|给予[^，。；]{0,8}(?:警告|处分|处罚|批评)|通报批评|没收违法所得"
    r"|(?:可以|并|单)*处以?[^，。；]{0,24}?罚款|(?:拒不|逾期不|逾期未)改正的?|情节[^，。；]{1,6}的|造成[^，。；]{0,8}后果的?"
    r"|(?:可以)?(?:责令)?暂停[^，。；]{0,6}业务|关闭网站|吊销[^，。；]{0,20}(?:证|执照|许可)|对?其?直接负责的主管人员和其他直接责任人员"
)
"""What any sanction says: who orders, what is imposed, when it is more. Two sanctions are alike by the conduct they name."""
_CHAR = re.compile(r"[\u3400-\u9fff0-9a-zA-Z]")


@dataclass(frozen=True, slots=True)
class Edit:
    """One change of meaning. `clash` means the local text says otherwise, else it leaves something out.

    `where` names the local article, set where it is another one than a row shows first.
    """

    element: str
    clash: bool
    national: str
    local: str
    where: str = ""

    @property
    def words(self) -> str:
        """The sentence shown in a row."""
        if not self.national:
            return f"{self.element}：本地{self.where}增加“{self.local}”"
        local = f"“{self.local}”" if self.local else "未写"
        return f"{self.element}：国家“{self.national}”，本地{self.where}{local}"


def frame_share(national: str, local: str) -> float:
    """Share of the national wording that stands in the local text in the same order (canonical, without punctuation)."""
    a, b = _plain(national), _plain(local)
    return LCSseq.similarity(a, b) / len(a) if a else 0.0


def togetherness(national: str, local: str) -> float:
    """Share of the wording both have in the stretch of the local text from its first to its last sign; a long rule has most
    signs of a short duty somewhere."""
    runs = [o for o in LCSseq.opcodes(_plain(national), _plain(local)) if o.tag == "equal"]
    common = sum(o.dest_end - o.dest_start for o in runs)
    return common / (runs[-1].dest_end - runs[0].dest_start) if runs else 0.0


def _plain(text: str) -> str:
    return "".join(_CHAR.findall(canonical(text)))


def frame_edits(national: str, local: str, around: str = "") -> tuple[Edit, ...]:
    """Edits between a national duty and a local rule in one frame; `around` is the whole local article.

    The actor and the exception are taken out before the frame is measured, because they may be what was changed. Empty when
    the two do not share a frame, or when nothing that matters differs.
    """
    actor, exception = own_actor(national), _exception(national)
    core = core_of(national)
    share = frame_share(core, local)
    if share < FRAME or togetherness(core, local) < TOGETHER:
        return ()
    edits = [*_numbers(national, local), *_strength(national, local)]
    if share >= CLOSE_FRAME:
        edits += [*_exceptions(exception, local, around or local), *_conditions(national, local), *_actor(actor, local)]
    return tuple(edits)


def core_of(national: str) -> str:
    """The wording without actor and exception; the whole text where too little would be left.

    Of a sanction only the conduct, and nothing where that stands elsewhere (有下列行为之一的).
    """
    core = national
    for part in (own_actor(national), _exception(national)):
        core = core.replace(part, "", 1) if part else core
    if _PENAL.search(national):
        core = _PENALTY.sub("", core)
        return core if len(_plain(core)) >= _LEAST else ""
    return core if len(_plain(core)) >= _LEAST else national


def _exception(text: str) -> str:
    """The exception of a duty (但…除外, 除…外, 可以不…), "" without one."""
    return next((x for x in exceptions_of(text) if re.search(r"除外|除.+外|可以不", x)), "")


def _numbers(national: str, local: str) -> list[Edit]:
    ours, theirs = amounts_of(national), amounts_of(local)
    edits = []
    for a in ours:
        if any(b.kind == a.kind and b.value == a.value and b.unit == a.unit for b in theirs):
            continue
        other = [b for b in theirs if b.kind == a.kind and all((b.value, b.unit) != (x.value, x.unit) for x in ours)]
        edits.append(Edit("E5 数值时限", bool(other), a.text, other[0].text if other else ""))
    return edits


_HARD = ("obligation", "prohibition")


def _strength(national: str, local: str) -> list[Edit]:
    ours, theirs = find_modals(national), find_modals(local)
    hard = [m for m in ours if m.type in _HARD]
    if not hard or not theirs:
        return []
    lost = [m for m in hard if sum(x.type == m.type for x in theirs) < sum(x.type == m.type for x in hard)]
    weaker = [m for m in theirs if m.type == "permission"][len([m for m in ours if m.type == "permission"]) :]
    if lost and weaker:
        return [Edit("E3 强度", True, lost[0].word, weaker[0].word)]
    return []


def _exceptions(exception: str, local: str, around: str) -> list[Edit]:
    theirs = [x for x in exceptions_of(local) if re.search(r"除外|除.+外|可以不|不得超过", x)]
    if exception and not re.search(r"除外|除[^，。；]+外|可以不|从其规定", around):
        return [Edit("E4 例外", False, exception[:40], "")]
    if theirs and not exception:
        return [Edit("E4 例外", True, "", theirs[0][:40])]
    return []


def _conditions(national: str, local: str) -> list[Edit]:
    added = _LIMIT.search(local) or _APPROVAL.search(local)
    known = _LIMIT.search(national) or _APPROVAL.search(national)
    if added and not known and not re.search(r"除外", added[0]) and added[0] not in national:
        return [Edit("E4 条件", True, "", added[0])]
    return []


def _actor(ours: str, local: str) -> list[Edit]:
    theirs = own_actor(local)
    if not ours or not theirs or canonical(ours) in canonical(local):
        return []
    a, b = content_bigrams(ours), content_bigrams(theirs)
    alike = len(a & b) / min(len(a), len(b)) if a and b else 1.0
    return [Edit("E1 主体", False, ours, theirs)] if alike < 0.5 else []
