"""A ChangeNote in, Markdown out: one page that a director can read, details folded away behind counts.

Every list is cut to a length that fits a page and says how many more there are; the JSON beside it has all of them.
"""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import TypeVar

from kb.changes import (
    AMENDED,
    FACTS,
    GONE,
    NEW,
    RENAMED,
    ArticleChange,
    ChangeNote,
    DeadCitation,
    DocumentChange,
    MovedLabel,
    NewDuty,
    Reopened,
    StatusChange,
)
from kb.models import LABELS, LEVEL_NAMES, STATUS_NAMES, Finding
from kb.versions import RENUMBERED

ROWS = 12
_KINDS = {NEW: "新收录", AMENDED: "有修改", FACTS: "信息有变", RENAMED: "更名", GONE: "移出"}
_ARTICLE = {"added": "新增", "removed": "删除", "changed": "修改"}
T = TypeVar("T")


def as_markdown(note: ChangeNote, rows: int = ROWS) -> str:
    """The note as Markdown; text from documents is escaped, so that a title cannot carry mark-up."""
    parts = [f"# 更新说明 {note.created_on}", "", headline(note), ""]
    if note.empty and note.base:
        parts += ["与上次相比没有变化。", ""]
    sections = [
        ("文件", note.documents, lambda n: _lines(note.documents, _document, n)),
        ("时效变化", note.statuses, lambda n: _lines(note.statuses, _status, n)),
        ("新增国家要求", note.duties, lambda n: _duties(note, n)),
        ("结论变动", note.moved, lambda n: _lines(_by_weight(note.moved, lambda m: m.new), _moved, n)),
        ("受影响的本地条文", note.affected, lambda n: _affected(note, n)),
        ("需要重新复核的人工结论", note.reopened, lambda n: _lines(note.reopened, _reopened, n)),
        ("失效的引用", note.dead, lambda n: _lines(note.dead, _dead, n)),
        ("被引用而未收录", note.missing, lambda n: _lines(note.missing, _missing, n)),
        ("待处理的文件", note.held, lambda n: _lines(_by_urgency(note.held), _held, n)),
        ("读不出的文件", note.failed, lambda n: _lines(note.failed, _e, n)),
    ]
    shown = [(name, found, lines) for name, found, lines in sections if found]
    for number, (name, found, lines) in enumerate(shown, 1):
        parts += [f"## {_NUMBERS[number - 1]}、{name}（{len(found)}）", "", *lines(rows), ""]
    parts += _counts(note)
    since = f"与 {note.since} 的说明（索引 {note.base}）比较" if note.base else "首次建立"
    parts.append(f"本页由程序比对生成（{since}；本次索引 {note.generation}），结论变动和受影响条文均需人工核实。")
    return "\n".join(parts) + "\n"


def headline(note: ChangeNote) -> str:
    """The sentence at the top: counts of everything that moved."""
    n = {kind: sum(1 for d in note.documents if d.change == kind) for kind in _KINDS}
    said = [f"{name} {n[kind]} 件" for kind, name in _KINDS.items() if n[kind]]
    articles = [a for d in note.documents for a in d.articles]
    worded = sum(1 for a in articles if a.change != RENUMBERED)
    said += [f"修改、新增或删除 {worded} 条"] if worded else []
    if note.duties:
        open_ = Counter(d.label for d in note.duties)
        told = "、".join(f"{label} {open_[label]}" for label in _WEIGHT[:2] if open_[label])
        said.append(f"新增国家要求 {len(note.duties)} 项" + (f"（{told}）" if told else ""))
    for label, rows in (
        ("时效变化", note.statuses),
        ("结论变动", note.moved),
        ("受影响的本地条文", note.affected),
        ("需重新复核", note.reopened),
        ("失效引用", note.dead),
        ("待处理文件", note.held),
    ):
        if rows:
            said.append(f"{label} {len(rows)} 项")
    if not note.judged:
        said.append("本次未作对标判断")
    return "；".join(said) + "。" if said else "没有变化。"


_NUMBERS = "一二三四五六七八九十"
# what a director asks first: what may be wrong, what is missing, what nobody has decided
_WEIGHT = ("疑似不一致", "未覆盖", "部分覆盖", "待人工核定", "已覆盖", "直接适用无需配套", "不适用")
_SEVERITY = ("高", "中", "低", "")


def _lines(found: Sequence[T], line: Callable[[T], str], limit: int) -> list[str]:
    more = [f"- ……另有 {len(found) - limit} 项，见同名 JSON 文件"] if len(found) > limit else []
    return [*(f"- {line(row)}" for row in found[:limit]), *more]


def _by_weight(found: Sequence[T], label: Callable[[T], str]) -> list[T]:
    return sorted(found, key=lambda r: _WEIGHT.index(label(r)) if label(r) in _WEIGHT else len(_WEIGHT))


def _by_urgency(found: Sequence[Finding]) -> list[Finding]:
    return sorted(found, key=lambda f: ("error", "warning", "info").index(f.severity))


def _document(change: DocumentChange) -> str:
    badge = "，要点摘编·非官方原文" if change.text_kind == "digest" else ""
    said = f"**{_KINDS[change.change]}** {LEVEL_NAMES.get(change.level, change.level)}《{_e(change.title)}》（{change.status}{badge}）"
    if change.change == NEW:
        said += f"：{change.n_provisions} 条" + (f"，{change.n_duties} 项要求" if change.n_duties else "")
        said += f"；同一文件另有《{_e('》《'.join(change.related))}》" if change.related else ""
    if change.articles:
        said += f"：{_articles(change.articles)}"
    if change.facts:
        said += "；" + "，".join(f"{name}由“{_e(a) or '空'}”改为“{_e(b) or '空'}”" for name, a, b in change.facts)
    return said + (f"；{_e(change.note)}" if change.note else "")


def _articles(found: Sequence[ArticleChange], limit: int = 6) -> str:
    """What changed in an amended document: wording first, then articles that only got another number, run by run."""
    said = [_article(a) for a in found if a.change != RENUMBERED]
    more = f"等 {len(said)} 条" if len(said) > limit else ""
    moved = [a for a in found if a.change == RENUMBERED]
    runs = [f"{run[0].old}至{run[-1].old}" if len(run) > 1 else run[0].old for run in _runs(found)]
    to = [f"{run[0].new}至{run[-1].new}" if len(run) > 1 else run[0].new for run in _runs(found)]
    numbers = "、".join(f"{a}改为{b}" for a, b in list(zip(runs, to, strict=True))[:3])
    renumbered = f"仅条号变化 {len(moved)} 条（{numbers}{'等' if len(runs) > 3 else ''}）" if moved else ""
    return "；".join(filter(None, ("，".join(said[:limit]) + more, renumbered)))


def _runs(found: Sequence[ArticleChange]) -> list[list[ArticleChange]]:
    """Neighbouring articles that only got another number, as long as nothing stands between them."""
    return [list(run) for same, run in groupby(found, key=lambda a: a.change == RENUMBERED) if same]


def _article(change: ArticleChange) -> str:
    if change.old and change.new and change.old != change.new:
        return f"{change.old}改为{change.new}并修改"
    words = "、".join(f"“{_short(a, 16)}”改为“{_short(b, 16)}”" for a, b in change.diffs[:1] if a and b)
    return f"{_ARTICLE[change.change]}{change.new or change.old}" + (f"（{words}）" if words else "")


def _status(change: StatusChange) -> str:
    return f"《{_e(change.title)}》：{STATUS_NAMES[change.old]} → {STATUS_NAMES[change.new]}"


def _duties(note: ChangeNote, limit: int) -> list[str]:
    """A line a document with its counts by label, under it the duties that want most attention."""
    groups: dict[str, list[NewDuty]] = {}
    for duty in note.duties:
        groups.setdefault(duty.title, []).append(duty)
    each = max(3, limit // max(len(groups), 1))
    out = []
    for title, found in list(groups.items())[:limit]:
        counts = Counter(d.label for d in found)
        said = "，".join(f"{label} {counts[label]}" for label in _WEIGHT if counts[label])
        out.append(f"- **《{_e(title)}》** {len(found)} 项：{said}")
        urgent = [d for d in found if d.label in _WEIGHT[:2] or (d.label in _WEIGHT[2:4] and d.severity == "高")]
        urgent.sort(key=lambda d: (_WEIGHT.index(d.label), _SEVERITY.index(d.severity)))
        out += [f"  - 【{d.label}{_mark(d.severity)}】{d.address}：{_short(d.text)}" for d in urgent[:each]]
        if len(urgent) > each:
            out.append(f"  - ……另有 {len(urgent) - each} 项未覆盖、疑似不一致或重要的部分覆盖")
    if len(groups) > limit:
        out.append(f"- ……另有 {len(groups) - limit} 件，见同名 JSON 文件")
    return out


def _mark(severity: str) -> str:
    return f"·{severity}" if severity else ""


def _moved(row: MovedLabel) -> str:
    return f"《{_e(row.title)}》{row.address}：{row.old} → **{row.new}**。{_e(row.why)}。{_short(row.text)}"


def _reopened(row: Reopened) -> str:
    return f"《{_e(row.title)}》{row.address}（{_e(row.who)}定为{row.label}）：{_e('；'.join(row.because))}"


def _dead(row: DeadCitation) -> str:
    return f"《{_e(row.title)}》{row.label}引用“{_e(row.text)}”：{_e(row.why)}"


def _missing(row: tuple[str, int]) -> str:
    return f"{_title(row[0])}（{row[1]} 件引用）"


def _held(finding: Finding) -> str:
    fix = f"（处理：{_e(finding.fix)}）" if finding.fix else ""
    return f"{_e(finding.where)}：{_e(finding.what)}{fix}"


def _affected(note: ChangeNote, limit: int) -> list[str]:
    """Bureau by bureau, those with most articles first; a few articles each, so that no bureau is left out."""
    groups = [(bureau, list(found)) for bureau, found in groupby(note.affected, key=lambda a: a.bureau)]
    groups.sort(key=lambda g: (g[0] == "未注明", -len(g[1])))
    each = max(2, limit // max(len(groups), 1))
    out = []
    for bureau, found in groups[:limit]:
        out.append(f"- **{_e(bureau)}**（{len(found)}）")
        found.sort(key=lambda a: -len(a.because))
        for row in found[:each]:
            more = f" 等 {len(row.because)} 项" if len(row.because) > 2 else ""
            out.append(f"  - 《{_e(row.title)}》{row.article}：{_e('；'.join(row.because[:2]))}{more}")
        if len(found) > each:
            rest = "、".join(row.article for row in found[each : each + 8])
            out.append(f"  - 另有 {rest}{' 等' if len(found) > each + 8 else ''}")
    if len(groups) > limit:
        out.append(f"- ……另有 {len(groups) - limit} 个部门，见同名 JSON 文件")
    return out


def _counts(note: ChangeNote) -> list[str]:
    if not note.counts_after:
        return []
    head = "| 覆盖结论 | 上次 | 本次 |\n|---|---:|---:|"
    rows = [f"| {label} | {note.counts_before.get(label, 0)} | {note.counts_after.get(label, 0)} |" for label in LABELS]
    total = f"| 合计 | {sum(note.counts_before.values())} | {sum(note.counts_after.values())} |"
    rules = ["", "判定规则与上次不同，部分变动由此而来。"] if note.rules_changed else []
    return ["## 附：对标结论合计", "", head, *rows, total, *rules, ""]


def _title(name: str) -> str:
    return _e(name) if name.startswith("《") else f"《{_e(name)}》"


def _short(text: str, limit: int = 42) -> str:
    flat = re.sub(r"\s+", "", text)
    return _e(flat if len(flat) <= limit else flat[: limit - 1] + "…")


def _e(text: str) -> str:
    """Text of a document inside Markdown: no tags, no links, no emphasis, one line."""
    flat = re.sub(r"\s*\n\s*", " ", text)
    return re.sub(r"([\\`*_\[\]|#])", r"\\\1", html.escape(flat, quote=False))
