"""Frozen records that flow through the pipeline; they hold values and do no work.

Offsets are positions in `Document.text` (half-open, in characters). Provenance fields (offsets, paths, pages)
do not take part in equality, so tests compare meaning. Dates are ISO text ("2025-03-01"; "2025-03" where only
the month is known) because sources state partial dates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

LEVELS = ("national", "guangdong", "shenzhen", "peers")
LEVEL_NAMES = {"national": "国家", "guangdong": "广东", "shenzhen": "深圳", "peers": "外地参考"}

# code -> label shown to people; order is the order of severity used for sorting lists
STATUS_NAMES = {
    "in_force": "现行有效",
    "amended": "已修改",
    "not_yet_effective": "尚未施行",
    "expiry_unchecked": "期满待核",
    "lapsed": "已失效",
    "repealed": "已废止",
    "draft": "征求意见稿",
    "unverified": "待核实",
}

# 覆盖结论, domain.md 4.5; `undetermined` is printed when confidence is below the set threshold
LABELS = ("已覆盖", "部分覆盖", "未覆盖", "疑似不一致", "直接适用无需配套", "不适用", "待人工核定")
TAGS = ("同文", "细化", "严于国家", "引致")
SEVERITIES = ("高", "中", "低")

MODALITIES = (
    "prohibition",
    "obligation",
    "permission",
    "encouragement",
    "goal",
    "definition",
    "liability",
    "reference",
    "responsibility",
    "none",
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One observation of a check: `severity` is error, warning or info; `fix` is the next step."""

    severity: str
    where: str
    what: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of the source file; `start:end` is its span in the text."""

    number: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class SourceText:
    """What `read` gets out of one file: plain text, pages, front matter, findings."""

    path: str
    media: str
    text: str
    pages: tuple[Page, ...] = ()
    front: Mapping[str, object] = field(default_factory=dict)
    sha256: str = field(default="", compare=False)
    findings: tuple[Finding, ...] = ()
    ocr_confidence: float | None = None


@dataclass(frozen=True, slots=True)
class DocumentMeta:
    """Facts of one instrument. Unknown is None or empty, never a guess.

    `revised_on` is the day of the last 修正 or 修订 the text itself names: this version cannot be older.
    """

    title: str
    level: str
    aliases: tuple[str, ...] = ()
    kind: str = ""
    normative_force: str = ""
    place: str = ""
    issuers: tuple[str, ...] = ()
    doc_no: str | None = None
    signed_on: str | None = None
    adopted_on: str | None = None
    approved_on: str | None = None
    promulgated_on: str | None = None
    effective_on: str | None = None
    expires_on: str | None = None
    validity: str | None = None
    status: str = "unverified"
    topics: tuple[str, ...] = ()
    basis: tuple[str, ...] = ()
    amends: tuple[str, ...] = ()
    repeals: tuple[str, ...] = ()
    family: str | None = None
    official_url: str | None = None
    text_kind: str = "full"
    unverified: tuple[str, ...] = ()
    revised_on: str | None = None


@dataclass(frozen=True, slots=True)
class Unit:
    """One 款, 项 or 目 inside a provision.

    `paragraph` counts from 1; `item` and `subitem` are their numbers or None. `address` is the full citation form
    inside the document (第四十七条第一款第三项; 二、（五）1.). `lead_in` is the sentence that introduces an item.
    """

    level: str
    paragraph: int
    item: int | None
    subitem: int | None
    address: str
    text: str
    start: int = field(compare=False)
    end: int = field(compare=False)
    lead_in: str = ""


@dataclass(frozen=True, slots=True)
class Provision:
    """The unit of citation: one 条 of a statute or one point of an outline (二、（五）).

    `kind` is article, point, term (a glossary entry), preamble or annex. `number` is the sort key: (253, 1) for
    第二百五十三条之一, (2, 5) for 二、（五）. `label` is what people cite. `text` is doc.text[start:end].
    """

    provision_id: str
    doc_id: str
    kind: str
    number: tuple[int, ...]
    label: str
    heading_path: tuple[str, ...]
    text: str
    start: int = field(compare=False)
    end: int = field(compare=False)
    units: tuple[Unit, ...] = ()
    part: str = ""


@dataclass(frozen=True, slots=True)
class Heading:
    """编, 章, 节 or annex heading."""

    level: str
    number: int
    title: str
    start: int = field(compare=False)
    end: int = field(compare=False)


@dataclass(frozen=True, slots=True)
class PlainSpan:
    """Text outside headings and provisions; `kind` is title, contents, signature, repeat, blank or other."""

    kind: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Document:
    """One instrument in one version: cleaned text and what stands in it.

    Headings, provisions and `plain` spans cover `text` exactly, without overlap.
    `quality` is complete (完整), doubtful (可用有疑) or incomplete (不完整); an incomplete text never yields 未覆盖.
    """

    doc_id: str
    version: str
    meta: DocumentMeta
    text: str
    headings: tuple[Heading, ...]
    provisions: tuple[Provision, ...]
    quality: str = "complete"
    findings: tuple[Finding, ...] = ()
    source_path: str = field(default="", compare=False)
    sha256: str = field(default="", compare=False)
    pages: tuple[Page, ...] = field(default=(), compare=False)
    plain: tuple[PlainSpan, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class Chunk:
    """What is embedded: a sentence, 款 or 项 that knows its provision.

    `text` is shown; `search_text` carries the lead-in; `context` is title and heading path. Never crosses a document.
    """

    chunk_id: str
    provision_id: str
    doc_id: str
    address: str
    text: str
    search_text: str
    context: str
    start: int = field(compare=False)
    end: int = field(compare=False)


@dataclass(frozen=True, slots=True)
class Amount:
    """A number with its meaning: `kind` is duration, deadline, count, money, ratio, age, date, times."""

    kind: str
    value: float
    unit: str
    bound: str
    text: str


@dataclass(frozen=True, slots=True)
class Requirement:
    """One duty of a provision: 主体 + 模态 + 行为 + 对象 + 条件/例外 + 数值/时限 + 后果 (domain.md 3).

    `text` is verbatim (`doc.text[start:end]`); `full_text` has the lead-in and the inherited subject filled in. `lead_in` is the
    sentence that introduces an item, without its colon.
    `kind` is duty, definition, liability, goal or principle. `tier` is the level the duty is addressed to
    (state, central, province, city, local, agency, private, any). `trigger` names the rule of domain.md 1.5 that
    calls for a local measure.
    """

    requirement_id: str
    provision_id: str
    doc_id: str
    label: str
    paragraph: int
    item: int | None
    address: str
    text: str
    full_text: str
    start: int = field(compare=False)
    end: int = field(compare=False)
    lead_in: str = ""
    kind: str = "duty"
    modality: str = "none"
    modality_level: int = 0
    modality_words: tuple[str, ...] = ()
    actor: str = ""
    actor_id: str = ""
    actor_inferred: bool = False
    tier: str = "any"
    action: str = ""
    conditions: tuple[str, ...] = ()
    exceptions: tuple[str, ...] = ()
    amounts: tuple[Amount, ...] = ()
    open_terms: tuple[str, ...] = ()
    trigger: str = ""
    topics: tuple[str, ...] = ()
    sanction: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """A quoted span of a local provision. `grade` 2 decides the label, 1 is related only."""

    doc_id: str
    title: str
    provision_id: str
    article: str
    address: str
    quote: str
    grade: int
    score: float = 0.0
    start: int = field(default=0, compare=False)
    end: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Assessment:
    """The judgement of one requirement against one scope; `rule` is the step of domain.md 4.5 that fired."""

    requirement_id: str
    scope: tuple[str, ...]
    label: str
    proposed_label: str
    tag: str
    rule: str
    confidence: float
    severity: str
    evidence: tuple[Evidence, ...]
    missing: tuple[str, ...] = ()
    differs: tuple[str, ...] = ()
    questions: tuple[str, ...] = ()
    suggestion: str = ""
    reason: str = ""
    elements: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Hit:
    """One provision that answers a query; rank from 1. `parts` are the scores that made `score`."""

    rank: int
    score: float
    doc_id: str
    provision_id: str
    title: str
    level: str
    status: str
    article: str
    address: str
    chapter: str
    text: str
    best_sentence: str
    citation: str
    pinned: bool
    parts: Mapping[str, float] = field(default_factory=dict)
    matched: tuple[str, ...] = ()
    reason: str = ""
