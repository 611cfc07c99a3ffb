"""A ChangeNote in, Markdown out: one page that a director can read, details folded away behind counts.

Every list is cut to a length that fits a page and says how many more there are; the JSON beside it has all of them.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import TypeVar

from kb.changes import AMENDED, FACTS, GONE, NEW, RENAMED, ArticleChange, ChangeNote, DocumentChange
from kb.models import LABELS, LEVEL_NAMES, STATUS_NAMES

ROWS = 12
_KINDS = {NEW: "新收录", AMENDED: "有修改", FACTS: "信息有变", RENAMED: "更名", GONE: "移出"}
_ARTICLE = {"added": "新增", "removed": "删除", "renumbered": "条号变化", "changed": "修改"}
T = TypeVar("T")


def as_markdown(note: ChangeNote, rows: int = ROWS) -> str:
    """The note as Markdown; text from documents is escaped, so that a title cannot carry mark-up."""
    parts = [f"# 更新说明 {note.created_on}", "", headline(note), ""]
    parts += [
        f"索引 {note.generation}" + (f"，上一次说明 {note.base}（{note.since}）" if note.base else "，首次建立"),
        "",
    ]
    if note.empty and note.base:
        parts += ["与上次相比没有变化。", ""]
    parts += _section("一、文件", note.documents, _document, rows)
    parts += _section(
        "二、时效变化",
        note.statuses,
        lambda s: f"《{_e(s.title)}》：{STATUS_NAMES[s.old]} → {STATUS_NAMES[s.new]}",
        rows,
    )
    parts += _section(
        "三、新增国家要求", note.duties, lambda d: f"《{_e(d.title)}》{d.address}：{_short(d.text)}【{d.label}】", rows
    )
    parts += _section(
        "四、结论变动",
        note.moved,
        lambda m: f"《{_e(m.title)}》{m.address}：{m.old} → **{m.new}**。{_e(m.why)}。{_short(m.text)}",
        rows,
    )
    parts += _affected(note, rows)
    parts += _section(
        "六、需要重新复核的人工结论",
        note.reopened,
        lambda r: f"《{_e(r.title)}》{r.address}（{_e(r.who)}定为{r.label}）：{_e('；'.join(r.because))}",
        rows,
    )
    parts += _section(
        "七、失效的引用", note.dead, lambda d: f"《{_e(d.title)}》{d.label}引用“{_e(d.text)}”：{_e(d.why)}", rows
    )
    parts += _section("八、被引用而未收录", note.missing, lambda m: f"{_title(m[0])}（{m[1]} 件引用）", rows)
    parts += _section(
        "九、待处理的文件", note.held, lambda f: f"{_e(f.where)}：{_e(f.what)} {_e(f.fix)}".rstrip(), rows
    )
    parts += _section("十、读不出的文件", note.failed, _e, rows)
    parts += _counts(note)
    parts.append("本页由程序比对生成，结论变动和受影响条文均需人工核实。")
    return "\n".join(parts) + "\n"


def headline(note: ChangeNote) -> str:
    """The sentence at the top: counts of everything that moved."""
    n = {kind: sum(1 for d in note.documents if d.change == kind) for kind in _KINDS}
    said = [f"{name} {n[kind]} 件" for kind, name in _KINDS.items() if n[kind]]
    articles = sum(len(d.articles) for d in note.documents)
    said += [f"涉及 {articles} 条"] if articles else []
    for label, rows in (
        ("时效变化", note.statuses),
        ("新增国家要求", note.duties),
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


def _section(name: str, rows: Sequence[T], line: Callable[[T], str], limit: int) -> list[str]:
    if not rows:
        return []
    more = [f"- ……另有 {len(rows) - limit} 项，见同名 JSON 文件"] if len(rows) > limit else []
    return [f"## {name}（{len(rows)}）", "", *[f"- {line(row)}" for row in rows[:limit]], *more, ""]


def _document(change: DocumentChange) -> str:
    badge = "，要点摘编·非官方原文" if change.text_kind == "digest" else ""
    said = f"**{_KINDS[change.change]}** {LEVEL_NAMES.get(change.level, change.level)}《{_e(change.title)}》（{change.status}{badge}）"
    if change.change == NEW:
        said += f"：{change.n_provisions} 条" + (f"，{change.n_duties} 项要求" if change.n_duties else "")
        said += f"；同一文件另有《{_e('》《'.join(change.related))}》" if change.related else ""
    if change.articles:
        said += "：" + "，".join(_article(a) for a in change.articles[:8])
        said += f" 等 {len(change.articles)} 条" if len(change.articles) > 8 else ""
    if change.facts:
        said += "；" + "，".join(f"{name}由“{_e(a) or '空'}”改为“{_e(b) or '空'}”" for name, a, b in change.facts)
    return said + (f"；{_e(change.note)}" if change.note else "")


def _article(change: ArticleChange) -> str:
    if change.change == "renumbered" or (change.old and change.new and change.old != change.new):
        return f"{change.old}→{change.new}" + ("" if change.change == "renumbered" else "并修改")
    words = "、".join(f"“{_short(a, 16)}”改为“{_short(b, 16)}”" for a, b in change.diffs[:1] if a and b)
    return f"{_ARTICLE[change.change]}{change.new or change.old}" + (f"（{words}）" if words else "")


def _affected(note: ChangeNote, limit: int) -> list[str]:
    if not note.affected:
        return []
    out = [f"## 五、受影响的本地条文（{len(note.affected)}）", ""]
    shown = 0
    for bureau, rows in groupby(note.affected, key=lambda a: a.bureau):
        found = list(rows)
        if shown >= limit:
            break
        out.append(f"- **{_e(bureau)}**（{len(found)}）")
        for row in found[: limit - shown]:
            shown += 1
            more = f"等 {len(row.because)} 项" if len(row.because) > 2 else ""
            out.append(f"  - 《{_e(row.title)}》{row.article}：{_e('；'.join(row.because[:2]))}{more}")
    if shown < len(note.affected):
        out.append(f"- ……另有 {len(note.affected) - shown} 条，见同名 JSON 文件")
    return [*out, ""]


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
