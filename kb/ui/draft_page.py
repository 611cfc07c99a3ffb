"""草案比对: a draft pasted, uploaded or from the library; duties it answers or leaves out, references, numbering, terms."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

import streamlit as st

from kb.amendment import Amended, amended_names, is_amending
from kb.draft import (
    COLUMNS,
    DraftCheck,
    as_json,
    carried_out,
    check_draft,
    comments,
    draft_document,
    suggested_nationals,
)
from kb.errors import KbError, NotFoundError
from kb.index import Library
from kb.models import LABELS, Document
from kb.report_docx import comments_docx
from kb.rows import national_documents, scope_choice
from kb.ui.data import publish, restore, settings, within
from kb.ui.markup import badge, escape, plain, with_marks
from kb.ui.names import LABEL_COLORS, LABEL_CSS
from kb.ui.said import of_error
from kb.wording import compare

PAGE = "draft"
DEFAULTS: dict[str, object] = {"src": "文库中的草案", "d": "", "n": [], "l": []}
MOVES = ("可能丢失", "减弱", "加强", "新增覆盖")
SOURCES = ("文库中的草案", "上传文件", "粘贴文字")


def page(library: Library) -> None:
    """Draw the page."""
    restore(PAGE, DEFAULTS)
    st.title("草案比对")
    within(PAGE, "src", SOURCES)
    st.segmented_control("草案来源", SOURCES, key="draft.src", label_visibility="collapsed", required=True)
    document = _document(library)
    if document is None:
        publish(PAGE, DEFAULTS)
        return
    document, amended = _whole(library, document)
    if document is None:
        publish(PAGE, DEFAULTS)
        return
    if amended:
        _changes(library, document, amended)
    chapters = sum(h.level == "chapter" for h in document.headings)
    st.caption(
        f"《{plain(document.meta.title)}》　{chapters} 章　{len(document.provisions)} 条　{len(document.text):,} 字"
    )
    nationals = {d.doc_id: d.meta.title for d in national_documents(library)}
    within(PAGE, "n", list(nationals))
    if not st.session_state["draft.n"]:
        st.session_state["draft.n"] = [d.doc_id for d in suggested_nationals(library, document, 1)]
    left, right = st.columns([4, 1], vertical_alignment="bottom")
    chosen = left.multiselect(
        "对照的国家文件（已按名称和引用推荐）", list(nationals), format_func=nationals.get, key="draft.n"
    )
    key = (library.generation, document.doc_id, document.sha256, tuple(chosen))
    if right.button("开始比对", type="primary", width="stretch", disabled=not chosen):
        st.session_state["draft:check"] = (key, _check(library, document, chosen, amended))
    held = st.session_state.get("draft:check")
    if held and held[0] == key:
        _result(held[1])
    elif chosen:
        st.info("点“开始比对”：逐条核对国家要求在草案中是否写到，并检查引用、编号和用语。")
    publish(PAGE, DEFAULTS)


def _document(library: Library) -> Document | None:
    source = st.session_state["draft.src"]
    if source == SOURCES[0]:
        drafts = [d for d in library.documents if d.meta.level != "national"]
        drafts.sort(key=lambda d: (d.meta.status != "draft", d.meta.title))
        if not drafts:
            st.info("文库里还没有地方文件。可以上传或粘贴草案。")
            return None
        ids = [d.doc_id for d in drafts]
        names = {d.doc_id: d.meta.title + ("" if d.meta.status == "draft" else "（现行）") for d in drafts}
        within(PAGE, "d", ids)
        return library.document(st.selectbox("草案", ids, format_func=names.get, key="draft.d"))
    if source == SOURCES[1]:
        limit = settings().max_file_mb
        file = st.file_uploader(f"草案文件（PDF、Word、网页、文本，不超过 {limit} MB）", max_upload_size=limit)
        return _parsed(file.name, file.getvalue()) if file else None
    text = st.text_area(
        "草案全文",
        height=220,
        key="draft:text",
        placeholder="第一行写标题，之后逐条粘贴：\n第一条 ……\n第二条 ……\n\n修改稿也可以：\n一、第五条修改为：“……”\n二、增加一条，作为第六条：“……”\n三、删去第七条。",
    )
    return _parsed("草案.txt", text.encode()) if text.strip() else None


def _parsed(name: str, data: bytes) -> Document | None:
    """A document out of bytes, remembered by content for this session."""
    sha = hashlib.sha256(data).hexdigest()
    held = st.session_state.get("draft:parsed")
    if held and held[0] == sha:
        return held[1]
    from kb.read import read_file
    from kb.ui.update_page import safe_name

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / safe_name(name)
        path.write_bytes(data)
        try:
            document = draft_document(read_file(path, name=path.name), path.name)
        except KbError as error:
            st.error(f"不能读取：{of_error(error)}")
            return None
    if not document.provisions:
        st.warning("没有识别出条文。请确认每条以“第×条”或“一、”“（一）”开头。")
        return None
    st.session_state["draft:parsed"] = (sha, document)
    return document


def _whole(library: Library, document: Document) -> tuple[Document | None, Amended | None]:
    """The text to check: of a draft that lists changes, the text in force with the changes made."""
    if not is_amending(document.text):
        return document, None
    base = st.session_state.get("draft:base") or ""
    key = (library.generation, document.sha256, base)
    held = st.session_state.get("draft:whole")
    if held is None or held[0] != key:
        try:
            held = (key, carried_out(library, document, base))
        except NotFoundError:
            held = (key, (None, None))
        st.session_state["draft:whole"] = held
    whole, amended = held[1]
    texts = {d.doc_id: d.meta.title for d in library.documents if d.n_provisions}
    named = "、".join(amended_names(document.text, document.meta.title)[:1])
    if whole is None:
        st.warning(f"这是一份修改稿，但文库里没有找到它要修改的文件（{plain(named)}）。请选择，或先收录现行文本。")
    if whole is None or base:
        st.selectbox(
            "修改哪一份现行文件",
            list(texts),
            index=None,
            format_func=texts.get,
            key="draft:base",
            placeholder="选择现行文本",
            persist_state="session",
        )
    return whole, amended


def _changes(library: Library, document: Document, amended: Amended) -> None:
    """What the draft changes, what was carried out, and the text it leads to."""
    left = amended.open_steps
    with st.expander(
        f"修改稿：对《{plain(amended.title)}》的 {len(amended.steps)} 处修改，已套入 {len(amended.steps) - len(left)} 处"
        + (f"，{len(left)} 处需人工处理" if left else ""),
        expanded=bool(left),
        icon=":material/edit_document:",
    ):
        st.dataframe(
            [
                {
                    "修改": s.kind,
                    "现行条号": s.old or "—",
                    "修改后": s.new or amended.numbers.get(s.old, "—"),
                    "修改稿的写法": s.words,
                    "结果": s.problem or "已套入",
                }
                for s in amended.steps
            ],
            hide_index=True,
            width="stretch",
            height=min(36 * len(amended.steps) + 38, 290),
        )
        moved = [f"{a} → {b}" for a, b in amended.numbers.items() if a != b]
        if moved:
            st.caption("条号变化：" + "、".join(moved[:40]))
        name = "".join(c for c in document.meta.title if c not in '\\/:*?"<>|')[:40]
        st.download_button("下载修改后的全文", amended.text, f"{name}.txt", on_click="ignore")
        st.caption("以下核对的是修改后的全文。")


def _check(library: Library, document: Document, chosen: list[str], amended: Amended | None) -> DraftCheck:
    bar = st.progress(0.0, text="正在比对……")

    def show(stage: str, done: int, total: int) -> None:
        bar.progress(done / max(total, 1), text=f"正在比对：{done} / {total} 条")

    check = check_draft(library, document, chosen, scope_choice(library), amended=amended, progress=show)
    bar.empty()
    return check


def _result(check: DraftCheck) -> None:
    held = st.session_state["draft.l"]
    moves = {m: sum(r.change == m for r in check.rows) for m in MOVES}
    for column, label in zip(st.columns(len(LABELS)), LABELS, strict=True):
        column.button(
            f"**{check.counts[label]}**  \n{label}",
            key=f"draft:tile:{label}",
            width="stretch",
            on_click=_toggle,
            args=(label,),
            type="primary" if label in held else "secondary",
        )
    move = ""
    if any(moves.values()):
        names = {"": "与现行规定相比：全部", **{m: f"{m} {n}" for m, n in moves.items() if n}}
        move = st.pills(
            "变化", list(names), format_func=names.get, default="", key="draft:move", label_visibility="collapsed"
        )
    rows = [r for r in check.rows if (not held or r.draft.label in held) and (not move or r.change == move)]
    left, right = st.columns([5, 1.2], vertical_alignment="center")
    left.caption(
        f"共 {len(check.rows)} 条国家要求，当前显示 {len(rows)} 条；另有 {len(check.findings)} 处引用、编号、用语问题。"
    )
    with right, st.popover("导出意见表", icon=":material/download:", width="stretch"):
        name = "".join(c for c in check.document.meta.title if c not in '\\/:*?"<>|')[:40]
        st.download_button(
            "Word 意见表",
            lambda: comments_docx(check.document.meta.title, COLUMNS, comments(check)),
            f"意见表_{name}.docx",
            on_click="ignore",
        )
        st.download_button("JSON", lambda: as_json(check), f"草案比对_{name}.json", on_click="ignore")
    duties, problems = st.tabs([f"国家要求的落实（{len(rows)}）", f"引用、编号和用语（{len(check.findings)}）"])
    with duties:
        _duties(rows)
    with problems:
        if not check.findings:
            st.success("没有发现引用、编号和用语方面的问题。")
        else:
            names = {"error": "需改", "warning": "注意", "info": "提示"}
            st.dataframe(
                [
                    {
                        "程度": names[f.severity],
                        "类别": f.kind,
                        "条款": f.where,
                        "原文": f.quote,
                        "问题": f.what,
                        "建议": f.suggestion,
                    }
                    for f in check.findings
                ],
                hide_index=True,
                width="stretch",
            )


def _toggle(label: str) -> None:
    held = st.session_state["draft.l"]
    st.session_state["draft.l"] = [x for x in held if x != label] if label in held else [*held, label]


def _duties(rows) -> None:
    if not rows:
        st.info("没有这一类条目。")
        return
    c = st.column_config
    event = st.dataframe(
        [
            {
                "国家条款": f"{r.requirement.address}",
                "国家要求": r.requirement.text,
                "草案": [r.draft.label],
                "草案条款": r.draft.evidence[0].address if r.draft.evidence and r.draft.evidence[0].grade == 2 else "—",
                "现行规定": r.current.label if r.current else "—",
                "变化": r.change,
            }
            for r in rows
        ],
        hide_index=True,
        width="stretch",
        height=min(36 * len(rows) + 38, 290),
        on_select="rerun",
        selection_mode="single-row",
        key=f"draft:rows:{hash(tuple(r.requirement.requirement_id for r in rows))}",
        column_config={
            "草案": c.MultiselectColumn(options=list(LABELS), color=[LABEL_COLORS[x] for x in LABELS], width=142),
            "国家要求": c.TextColumn(width=420),
        },
    )
    row = rows[event.selection.rows[0] if event.selection.rows else 0]
    best = row.draft.evidence[0] if row.draft.evidence else None
    silent = row.draft.label not in ("已覆盖", "部分覆盖", "疑似不一致", "待人工核定")
    marks = (
        compare(row.requirement.text, best.quote, silent=silent, clash=row.draft.label == "疑似不一致")
        if best
        else None
    )
    left, right = st.columns(2, gap="medium")
    left.html(
        f'<div class="kb-cite">《{escape(row.title)}》{escape(row.requirement.address)}</div>'
        f'<div class="kb-text kb-box">{with_marks(row.requirement.text, [(m.start, m.end, f"kb-{m.kind}") for m in marks.national] if marks else [])}</div>'
    )
    if best:
        role = "草案对应条款" if best.grade == 2 else "草案中仅相关的条款"
        right.html(
            f'<div class="kb-cite">{role} {escape(best.address)} {badge(row.draft.label, LABEL_CSS[row.draft.label])}</div>'
            f'<div class="kb-text kb-box">{with_marks(best.quote, [(m.start, m.end, f"kb-{m.kind}") for m in marks.local])}</div>'
        )
    for name, value in (
        ("缺少的要素", row.draft.missing),
        ("不同之处", row.draft.differs),
        ("请核实", row.draft.questions),
    ):
        if value:
            st.html(f'<div class="kb-line"><b>{name}</b>　{escape("；".join(value))}</div>')
