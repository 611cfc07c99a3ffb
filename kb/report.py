"""Rows, states and a Library in, the content of a report out; the format modules turn it into files.

One content model serves the screen, Word, Excel, Markdown and JSON, so that their numbers cannot differ. Kinds are those of
domain.md 4.1: 对照表 (both texts verbatim, differences), 台账 (the ledger that is edited and read back), 任务分解 (what is to be done).
"""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from kb.codec import to_json
from kb.errors import UsageError
from kb.index import DocumentInfo, Library
from kb.metadata import status_on
from kb.models import LABELS, STATUS_NAMES
from kb.review import STATES, RowState, parse_evidence
from kb.rows import GapRow, ScopeChoice, judge_version, ring
from kb.wording import Comparison, compare

KINDS = {"对照表": ("docx", "md", "json"), "台账": ("xlsx", "md", "json"), "任务分解": ("docx", "xlsx", "md", "json")}
TO_DO = ("未覆盖", "部分覆盖", "疑似不一致")
MEASURES = ("制定", "修改", "废止", "解释", "印发配套", "衔接执行", "暂不调整")
PROGRESS = ("未开始", "进行中", "已完成", "不需办理")
DIGEST = "要点摘编·非官方原文"
_TYPES = {"permission": "授权", "encouragement": "倡导", "goal": "倡导"}
_TIERS = {
    "state": "国家",
    "central": "国家",
    "province": "省",
    "province_up": "省",
    "city": "市",
    "local": "地方",
    "authority": "主管部门",
    "organ": "国家机关",
    "body": "公共机构",
    "private": "企业等主体",
    "vertical": "垂直管理",
    "any": "未限定",
}
_NOT_CHECKED = (
    "程序只比较文字；是否妥当、是否属于变通规定、效力如何，均须人工判断。机器结论未经人工确认的，状态列写明“未复核”。"
)


@dataclass(frozen=True, slots=True)
class LocalCell:
    """One local provision of a row. `ring` is city, province or ""; `marks` compare the national duty with this quote."""

    title: str
    doc_no: str
    address: str
    status: str
    effective_on: str
    quote: str
    decisive: bool
    digest: bool
    ring: str
    marks: Comparison


@dataclass(frozen=True, slots=True)
class ReportRow:
    """One duty with everything that any of the reports prints; `seen` is the last review event, for reading a ledger back."""

    number: int
    row_id: str
    seen: str
    doc_id: str
    title: str
    doc_no: str
    effective_on: str
    article: str
    address: str
    text: str
    digest: bool
    kind: str
    tier: str
    actor: str
    locals: tuple[LocalCell, ...]
    label: str
    tag: str
    severity: str
    confidence: float
    gap: str
    measure: str
    owner: str
    due: str
    progress: str
    state: str
    reviewer: str
    reviewed_on: str


@dataclass(frozen=True, slots=True)
class Report:
    """A report: what was compared, the rows, counts that add up to them, and what a reader must know."""

    kind: str
    title: str
    scope: str
    made_on: str
    versions: tuple[tuple[str, str, str, str, str, str], ...]
    counts: Mapping[str, int]
    states: Mapping[str, int]
    total: int
    rows: tuple[ReportRow, ...]
    notes: tuple[str, ...]


def build_report(
    library: Library,
    rows: Sequence[GapRow],
    states: Mapping[str, RowState],
    scope: ScopeChoice,
    kind: str,
    *,
    chosen: str = "",
) -> Report:
    """The content of one report over the given rows, in their order.

    Args:
        chosen: the filter in words, when the rows are not all rows of the documents.

    Raises:
        UsageError: no such kind.
    """
    if kind not in KINDS:
        raise UsageError(f"there is no report {kind!r}", hint=f"Kinds: {', '.join(KINDS)}.")
    texts = _Texts(library)
    every = len(rows)
    if kind == "任务分解":
        rows = [r for r in rows if states[r.row_id].label in TO_DO]
    today = dt.date.today().isoformat()
    out = tuple(_row(n, r, states[r.row_id], texts, kind) for n, r in enumerate(rows, 1))
    nationals = list({r.national.doc_id: r.national for r in rows}.values())
    locals_ = [library.info(i) for i in scope.doc_ids]
    titles = "、".join(f"《{d.meta.title}》" for d in nationals[:3]) + (
        f"等{len(nationals)}份国家文件" if len(nationals) > 3 else ""
    )
    names = {"对照表": "条文对照表", "台账": "对标台账", "任务分解": "任务分解表"}
    return Report(
        kind=kind,
        title=f"{titles}与{scope.name}{names[kind]}" if nationals else names[kind],
        scope=scope.name,
        made_on=today,
        versions=tuple(_version(d) for d in (*nationals, *locals_)),
        counts=_label_counts(out),
        states=dict(Counter(r.state for r in out)),
        total=every,
        rows=out,
        notes=tuple(_notes(library, nationals, locals_, out, every, kind, chosen)),
    )


def _label_counts(rows: Sequence[ReportRow]) -> dict[str, int]:
    found = Counter(r.label for r in rows)
    return {label: found.get(label, 0) for label in LABELS}


def _version(info: DocumentInfo) -> tuple[str, str, str, str, str, str]:
    meta = info.meta
    status = STATUS_NAMES.get(status_on(meta, dt.date.today()), meta.status)
    return (
        meta.title,
        meta.doc_no or "",
        meta.effective_on or "",
        status,
        DIGEST if meta.text_kind == "digest" else "全文",
        info.sha256[:8],
    )


def _notes(library, nationals, locals_, rows, every, kind, chosen):
    reviewed = sum(r.state in (STATES["confirmed"], STATES["changed"]) for r in rows)
    yield f"比对范围：{'；'.join(d.meta.title for d in locals_) or '（空）'}。"
    if kind == "任务分解":
        yield f"共 {every} 条国家要求，列入任务 {len(rows)} 条（{'、'.join(TO_DO)}）；其余不需安排任务，未列入。"
    else:
        yield f"共 {len(rows)} 条国家要求；各结论条数相加等于总数。"
    if chosen:
        yield f"按筛选条件导出：{chosen}。"
    yield f"已经人工确认或改判 {reviewed} 条，其余 {len(rows) - reviewed} 条为机器初步结论。"
    digests = [d.meta.title for d in (*nationals, *locals_) if d.meta.text_kind == "digest"]
    if digests:
        yield f"下列文件库内只有{DIGEST}，措辞差异须核对官方原文：{'、'.join(digests)}。"
    poor = [d.meta.title for d in (*nationals, *locals_) if d.quality != "complete"]
    if poor:
        yield f"下列文件文本不完整或有疑，不能据以认定没有规定：{'、'.join(poor)}。"
    yield _NOT_CHECKED
    yield f"索引版本 {library.generation}；比对规则版本 {judge_version()}；核对日期 {dt.date.today().isoformat()}。"


class _Texts:
    """Provisions by (doc_id, article); each document is read once."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self._held: dict[str, dict[str, str]] = {}

    def get(self, doc_id: str, article: str) -> str | None:
        if doc_id not in self._held:
            known = self.library.document_seq(doc_id) >= 0
            self._held[doc_id] = {p.label: p.text for p in self.library.document(doc_id).provisions} if known else {}
        return self._held[doc_id].get(article)


def _row(number: int, row: GapRow, state: RowState, texts: _Texts, kind: str) -> ReportRow:
    meta, duty, a = row.national.meta, row.requirement, row.assessment
    decision = state.decision
    values = decision.values if decision else {}
    decided = "label" in values
    cells = tuple(_cells(row, state, texts))
    return ReportRow(
        number=number,
        row_id=row.row_id,
        seen=decision.last_event if decision else "",
        doc_id=duty.doc_id,
        title=meta.title,
        doc_no=meta.doc_no or "",
        effective_on=meta.effective_on or "",
        article=duty.label,
        address=duty.address,
        text=duty.text,
        digest=meta.text_kind == "digest",
        kind=_TYPES.get(duty.modality, "义务"),
        tier=_TIERS.get(duty.tier, ""),
        actor=duty.actor,
        locals=cells,
        label=state.label,
        tag=a.tag if state.label == a.proposed_label else "",
        severity=a.severity if state.label == a.proposed_label else "",
        confidence=a.confidence,
        gap=values.get("note") or explain(row, state, cells),
        measure=values.get("measure") or _measure(row, state),
        owner=values.get("owner", ""),
        due=values.get("due") or (_deadline(row) if kind == "任务分解" else ""),
        progress=values.get("progress") or (PROGRESS[0] if state.label in TO_DO else PROGRESS[3]),
        state=STATES[state.state],
        reviewer=decision.who if decided else "",
        reviewed_on=decision.at[:10] if decided else "",
    )


def _cells(row: GapRow, state: RowState, texts: _Texts):
    """Chosen evidence of a person, else the deciding quotes, else the nearest one marked as only related."""
    values = state.decision.values if state.decision else {}
    duty = row.requirement
    picked = parse_evidence(values.get("evidence", ""))
    clash = state.label == "疑似不一致"
    for doc_id, article in picked:
        text = texts.get(doc_id, article)
        if text is not None:
            yield _cell(texts.library.info(doc_id), article, text, True, compare(duty.text, text, clash=clash))
    if picked:
        return
    decisive = (
        [e for e in row.assessment.evidence if e.grade == 2]
        if state.label not in ("未覆盖", "直接适用无需配套", "不适用")
        else []
    )
    for item in decisive or row.assessment.evidence[:1]:
        marks = compare(duty.text, item.quote, silent=not decisive, clash=clash)
        yield _cell(texts.library.info(item.doc_id), item.address, item.quote, bool(decisive), marks)


def _cell(info: DocumentInfo, address: str, quote: str, decisive: bool, marks: Comparison) -> LocalCell:
    meta = info.meta
    status = STATUS_NAMES.get(status_on(meta, dt.date.today()), meta.status)
    return LocalCell(
        meta.title,
        meta.doc_no or "",
        address,
        status,
        meta.effective_on or "",
        quote,
        decisive,
        meta.text_kind == "digest",
        ring(info),
        marks,
    )


def explain(row: GapRow, state: RowState, cells: Sequence[LocalCell]) -> str:
    """差异与意见 in words, from what the judge found; used where nobody wrote a note."""
    a, label = row.assessment, state.label
    parts = []
    if label == "部分覆盖" and a.missing:
        parts.append(f"本地未见：{'；'.join(a.missing)}")
    if label == "疑似不一致" and a.differs:
        parts.append(f"{'；'.join(a.differs)}。建议核实")
    if label == "未覆盖":
        parts.append(
            f"未检索到本地对应条款；相关：《{cells[0].title}》{cells[0].address}，事项不同，不计入覆盖"
            if cells
            else "未检索到本地对应条款"
        )
    if label in ("直接适用无需配套", "不适用") and label == a.proposed_label:
        parts.append(a.reason.rstrip("。"))
    if label == "待人工核定":
        parts.append(f"机器倾向“{a.proposed_label}”，把握 {a.confidence:.0%}，未作结论")
    if a.questions and label in ("部分覆盖", "疑似不一致", "未覆盖", "待人工核定"):
        parts.append("请核实：" + "；".join(q.rstrip("？。") for q in a.questions))
    return "。".join(parts) + ("。" if parts else "")


def _measure(row: GapRow, state: RowState) -> str:
    if state.label == row.assessment.proposed_label:
        return row.assessment.suggestion
    return {
        "已覆盖": "暂不调整",
        "部分覆盖": "印发配套",
        "未覆盖": "制定",
        "疑似不一致": "修改或解释",
        "直接适用无需配套": "衔接执行",
    }.get(state.label, "暂不调整")


def _deadline(row: GapRow) -> str:
    return "、".join(a.text for a in row.requirement.amounts if a.kind in ("deadline", "date", "duration", "frequency"))


# -- text formats -------------------------------------------------------------------------------------------------------


def conclusion(row: ReportRow) -> str:
    """Label with tag and severity, as printed in every format."""
    extra = [x for x in (row.tag, row.severity) if x]
    return f"{row.label}（{'，'.join(extra)}）" if extra else row.label


def source(title: str, doc_no: str, address: str) -> str:
    """《title》（number）address."""
    return f"《{title}》{f'（{doc_no}）' if doc_no else ''}{address}"


def local_text(row: ReportRow) -> str:
    """All local cells as text with their sources."""
    if not row.locals:
        return "未检索到"
    return "\n".join(
        f"{'' if c.decisive else '相关：'}{source(c.title, c.doc_no, c.address)}{f'〔{DIGEST}〕' if c.digest else ''}：{c.quote}"
        for c in row.locals
    )


def as_json(report: Report) -> bytes:
    """The whole content; marks are left out."""
    data = to_json(report)
    for row in data["rows"]:
        for cell in row["locals"]:
            cell.pop("marks")
    return json.dumps(data, ensure_ascii=False, indent=1).encode("utf-8", "replace")


def as_markdown(report: Report) -> bytes:
    """A table that survives any Markdown reader: pipes, markup and line ends in cells are neutralised."""
    columns = TABLES[report.kind]
    lines = [
        f"# {_cell_text(report.title)}",
        "",
        f"制表日期：{report.made_on}",
        "",
        *(f"- {_cell_text(n)}" for n in report.notes),
        "",
    ]
    lines += ["| 结论 | 条数 |", "| --- | --- |", *(f"| {k} | {v} |" for k, v in report.counts.items()), ""]
    lines += ["| " + " | ".join(name for name, _ in columns) + " |", "|" + " --- |" * len(columns)]
    lines += ["| " + " | ".join(_cell_text(str(get(r))) for _, get in columns) + " |" for r in report.rows]
    return ("\n".join(lines) + "\n").encode("utf-8", "replace")


def _cell_text(text: str) -> str:
    for bad, good in (
        ("\\", "\\\\"),
        ("|", "\\|"),
        ("<", "&lt;"),
        (">", "&gt;"),
        ("`", "\\`"),
        ("[", "\\["),
        ("]", "\\]"),
    ):
        text = text.replace(bad, good)
    return "<br>".join(part.strip() for part in text.splitlines() if part.strip())


Column = tuple[str, Callable[[ReportRow], object]]
LEDGER: tuple[Column, ...] = (
    ("序号", lambda r: r.number),
    ("国家文件", lambda r: r.title),
    ("文号", lambda r: r.doc_no),
    ("施行日期", lambda r: r.effective_on),
    ("条款", lambda r: r.address),
    ("要求原文", lambda r: r.text + (f"〔{DIGEST}〕" if r.digest else "")),
    ("类型", lambda r: r.kind),
    ("责任层级", lambda r: r.tier),
    ("本地对应文件及条款", local_text),
    ("覆盖结论", lambda r: r.label),
    ("程度", lambda r: r.severity),
    ("差距说明", lambda r: r.gap),
    ("建议举措", lambda r: r.measure),
    ("责任单位", lambda r: r.owner),
    ("完成时限", lambda r: r.due),
    ("状态", lambda r: r.progress),
    ("复核状态", lambda r: r.state),
    ("复核人", lambda r: r.reviewer),
)
COMPARISON: tuple[Column, ...] = (
    ("国家要求", lambda r: f"{source(r.title, r.doc_no, r.address)}{f'〔{DIGEST}〕' if r.digest else ''}：{r.text}"),
    ("本地规定", local_text),
    (
        "差异与意见",
        lambda r: (
            f"{conclusion(r)}。{r.gap}建议举措：{r.measure}。{f'（{r.reviewer} {r.reviewed_on} 复核）' if r.reviewer else '（未复核）'}"
        ),
    ),
)
TASKS: tuple[Column, ...] = (
    ("序号", lambda r: r.number),
    ("任务", lambda r: task(r)),
    ("牵头单位", lambda r: units(r)[0]),
    ("配合（责任）单位", lambda r: units(r)[1]),
    ("完成时限", lambda r: r.due),
    ("进展", lambda r: r.progress),
    ("依据", lambda r: source(r.title, r.doc_no, r.address)),
    ("现状", lambda r: conclusion(r) + "：" + r.gap),
)
TABLES: Mapping[str, tuple[Column, ...]] = {"对照表": COMPARISON, "台账": LEDGER, "任务分解": TASKS}


def task(row: ReportRow) -> str:
    """The task in words: the measure, then the duty verbatim."""
    return f"{row.measure}，落实：{row.text}"


def units(row: ReportRow) -> tuple[str, str]:
    """(lead, supporting) units: the first one named leads; where nobody was named, the actor of the duty is proposed."""
    named = [u for u in row.owner.replace("，", "、").replace(",", "、").split("、") if u.strip()]
    if named:
        return named[0].strip(), "、".join(u.strip() for u in named[1:])
    return (f"（待定；国家文本的主体：{row.actor}）" if row.actor else "（待定）"), ""
