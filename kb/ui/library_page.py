"""文库: what is held, one document with its outline and text."""

from __future__ import annotations

import streamlit as st

from kb.index import DocumentInfo, Library
from kb.models import LEVEL_NAMES, LEVELS, STATUS_NAMES, Document
from kb.ui.data import from_address, to_address
from kb.ui.markup import document_badges, escape

QUALITY_NAMES = {"complete": "完整", "doubtful": "可用有疑", "incomplete": "不完整"}


def page(library: Library) -> None:
    """Draw the list, or the document that the address names."""
    st.title("文库")
    chosen = from_address("doc")
    known = {d.doc_id: d for d in library.documents}
    if chosen not in known:
        chosen = _list(library)
    if chosen in known:
        to_address(doc=chosen)
        if st.button("← 返回列表"):
            to_address(doc=None)
            st.rerun()
        _document(library, known[chosen])


def _list(library: Library) -> str:
    words = st.text_input("按名称或文号查找", placeholder="例如：数据条例、发改数据规")
    tabs = st.tabs([LEVEL_NAMES[level] for level in LEVELS])
    chosen = ""
    for tab, level in zip(tabs, LEVELS, strict=True):
        rows = [d for d in library.documents if d.meta.level == level and _named(d, words)]
        rows.sort(key=lambda d: (d.meta.effective_on or "", d.meta.title), reverse=True)
        with tab:
            if not rows:
                st.caption("没有文件。可在“更新”页添加，或换一个词。")
                continue
            event = st.dataframe(
                [_row(d) for d in rows], width="stretch", hide_index=True, on_select="rerun", selection_mode="single-row",
                key=f"documents:{level}",
            )
            if event.selection.rows:
                chosen = rows[event.selection.rows[0]].doc_id
    return chosen


def _named(info: DocumentInfo, words: str) -> bool:
    bare = words.replace(" ", "")
    return not bare or any(bare in text.replace(" ", "") for text in (info.meta.title, info.meta.doc_no or "", *info.meta.aliases))


def _row(info: DocumentInfo) -> dict[str, object]:
    meta = info.meta
    return {
        "名称": meta.title, "文号": meta.doc_no or "", "文种": meta.kind, "施行": meta.effective_on or "",
        "时效": STATUS_NAMES.get(meta.status, meta.status), "条数": info.n_provisions,
        "文本": "要点摘编" if meta.text_kind == "digest" else "全文", "质量": QUALITY_NAMES.get(info.quality, info.quality),
    }


def _document(library: Library, info: DocumentInfo) -> None:
    document = library.document(info.doc_id)
    st.header(document.meta.title)
    st.html(document_badges(info.meta, info.meta.status, info.quality))
    if info.meta.text_kind == "digest":
        link = info.meta.official_url
        st.info("本页为要点摘编，不是官方原文。" + (f"[官方页面]({link})" if link and link.startswith("http") else "官方链接待核实。"))
    outline, text = st.columns([1, 2.6])
    with outline:
        wanted = _outline(document)
    with text:
        _text(document, wanted)


def _outline(document: Document) -> str:
    labels = [p.label for p in document.provisions]
    names = {p.label: f"{p.heading_path[-1][:16] + ' · ' if p.heading_path else ''}{p.label}" for p in document.provisions}
    start = from_address("at")
    place = labels.index(start) if start in labels else 0
    with st.container(height=640):
        chosen = st.radio("目录", labels, index=place, format_func=lambda v: names[v], label_visibility="collapsed") if labels else ""
    to_address(at=chosen)
    return chosen or ""


def _text(document: Document, label: str) -> None:
    place = next((i for i, p in enumerate(document.provisions) if p.label == label), 0)
    for number, provision in enumerate(document.provisions[place : place + 12]):
        strong = "border-left:4px solid #1f5fa8;padding-left:.8em" if number == 0 else "padding-left:1em"
        st.html(f'<div class="kb-text" style="{strong};margin-bottom:.9em">{escape(provision.text)}</div>')
