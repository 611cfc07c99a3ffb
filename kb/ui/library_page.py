"""文库: what is held, and one document with its outline, text, facts, versions and citations."""

from __future__ import annotations

import re

import streamlit as st

from kb.index import DocumentInfo, Library
from kb.metadata import family_key, status_on
from kb.models import LEVEL_NAMES, LEVELS, STATUS_NAMES, Document
from kb.rows import today
from kb.ui.data import publish, restore, within
from kb.ui.detail import short_title
from kb.ui.markup import document_badges, escape, plain, with_marks, word_spans
from kb.ui.names import QUALITY_NAMES
from kb.ui.said import chinese
from kb.ui.summary import year_of

PAGE = "library"
DEFAULTS: dict[str, object] = {
    "doc": "",
    "at": "",
    "k": "",
    "level": "",
    "kind": "",
    "status": "",
    "quality": "",
    "year": "",
    "txt": "",
    "v": "正文",
}
_LINK = re.compile(r"https?://[\w./:?=&%~#-]+")
TEXTS = {"full": "官方全文", "digest": "要点摘编"}
VIEWS = ("正文", "版本对比", "引用关系", "文件信息")


def page(library: Library) -> None:
    """Draw the list, or the document that the address names."""
    restore(PAGE, DEFAULTS)
    known = {d.doc_id: d for d in library.documents}
    chosen = known.get(st.session_state["library.doc"])
    if chosen is None:
        st.title("文库")
        _list(library)
    else:
        _document(library, chosen)
    publish(PAGE, DEFAULTS)


# -- the list -----------------------------------------------------------------------------------------------------------


def _list(library: Library) -> None:
    docs = library.documents
    kinds = sorted({d.meta.kind or "未注明" for d in docs})
    years = sorted({year_of(d) for d in docs if year_of(d)}, reverse=True)
    statuses = [s for s in STATUS_NAMES if any(status_on(d.meta, today()) == s for d in docs)]
    for name, values in (
        ("level", LEVELS),
        ("kind", kinds),
        ("status", statuses),
        ("quality", tuple(QUALITY_NAMES)),
        ("year", years),
        ("txt", tuple(TEXTS)),
    ):
        within(PAGE, name, ["", *values])
    a, b, c, d, g, e, f = st.columns([2.2, 1, 1.4, 1.1, 1.1, 1, 1])
    a.text_input("名称或文号", key="library.k", placeholder="例如：数据条例、发改数据规")
    b.selectbox("层级", ["", *LEVELS], format_func=lambda v: LEVEL_NAMES.get(v, "全部"), key="library.level")
    c.selectbox("文种", ["", *kinds], format_func=lambda v: v or "全部", key="library.kind")
    d.selectbox("时效", ["", *statuses], format_func=lambda v: STATUS_NAMES.get(v, "全部"), key="library.status")
    g.selectbox("文本", ["", *TEXTS], format_func=lambda v: TEXTS.get(v, "全部"), key="library.txt")
    e.selectbox("质量", ["", *QUALITY_NAMES], format_func=lambda v: QUALITY_NAMES.get(v, "全部"), key="library.quality")
    f.selectbox("年份", ["", *years], format_func=lambda v: v or "全部", key="library.year")
    rows = [d for d in docs if _wanted(d)]
    rows.sort(key=lambda d: (d.meta.effective_on or "", d.meta.title), reverse=True)
    rows.sort(key=lambda d: LEVELS.index(d.meta.level))
    st.caption(f"共 {len(docs)} 份，当前显示 {len(rows)} 份。点选一行打开文件。")
    if not rows:
        st.info("没有符合条件的文件。可以换一个词，或在“更新”页添加文件。")
        return
    event = st.dataframe(
        [_row(d) for d in rows],
        width="stretch",
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
        height=min(36 * len(rows) + 38, 560),
        key=f"documents:{st.session_state.get('library:turn', 0)}:{hash(tuple(d.doc_id for d in rows))}",
        column_config={"名称": st.column_config.TextColumn(width=360), "文号": st.column_config.TextColumn(width=150)},
    )
    if event.selection.rows:
        _open(rows[event.selection.rows[0]].doc_id)
        st.rerun()


def _wanted(info: DocumentInfo) -> bool:
    value, meta = st.session_state, info.meta
    bare = value["library.k"].replace(" ", "")
    return (
        (not bare or any(bare in text.replace(" ", "") for text in (meta.title, meta.doc_no or "", *meta.aliases)))
        and value["library.level"] in ("", meta.level)
        and value["library.kind"] in ("", meta.kind or "未注明")
        and value["library.status"] in ("", status_on(meta, today()))
        and value["library.quality"] in ("", info.quality)
        and value["library.year"] in ("", year_of(info))
        and value["library.txt"] in ("", "digest" if meta.text_kind == "digest" else "full")
    )


def _row(info: DocumentInfo) -> dict[str, object]:
    meta = info.meta
    status = status_on(meta, today())
    return {
        "名称": meta.title,
        "层级": LEVEL_NAMES[meta.level],
        "文号": meta.doc_no or "",
        "文种": meta.kind,
        "施行": meta.effective_on or "",
        "时效": STATUS_NAMES.get(status, status),
        "条数": info.n_provisions,
        "文本": TEXTS["digest" if meta.text_kind == "digest" else "full"],
        "质量": QUALITY_NAMES.get(info.quality, info.quality),
    }


def _open(doc_id: str, label: str = "") -> None:
    """Show a document, or the list for an empty id."""
    st.session_state["library.doc"], st.session_state["library.at"] = doc_id, label
    st.session_state["library.v"] = VIEWS[0]
    st.session_state["library:turn"] = st.session_state.get("library:turn", 0) + 1


# -- one document -------------------------------------------------------------------------------------------------------


def _document(library: Library, info: DocumentInfo) -> None:
    document = library.document(info.doc_id)
    back, title = st.columns([1, 7], vertical_alignment="center")
    back.button("← 列表", on_click=_open, args=("",), width="stretch")
    title.title(plain(info.meta.title))
    st.html(document_badges(info.meta, status_on(info.meta, today()), info.quality))
    if info.meta.text_kind == "digest":
        link = info.meta.official_url
        st.info(
            "本页为要点摘编，不是官方原文。"
            + (f"[官方页面]({link})" if link and _LINK.fullmatch(link) else "官方链接待核实。")
        )
    within(PAGE, "v", VIEWS)
    view = st.segmented_control("视图", VIEWS, key="library.v", label_visibility="collapsed", required=True)
    if view == VIEWS[0]:
        outline, text = st.columns([1, 2.6])
        with outline:
            wanted = _outline(document)
        with text:
            _text(document, wanted)
    elif view == VIEWS[1]:
        _versions(library, info, document)
    elif view == VIEWS[2]:
        _graph(library, info)
    else:
        _facts(info, document)


def _outline(document: Document) -> str:
    labels = list(dict.fromkeys(p.label for p in document.provisions))
    if not labels:
        st.caption("没有识别出条文。")
        return ""
    headings = {p.label: p.heading_path[-1] if p.heading_path else "" for p in document.provisions}
    within(PAGE, "at", labels)
    find = st.text_input("在本文件中查找", placeholder="词语", key=f"find:{document.doc_id}")
    hits = [p.label for p in document.provisions if find and find in p.text]
    if find:
        st.caption(f"{len(hits)} 条含有“{plain(find)}”" if hits else f"没有条文含有“{plain(find)}”")
        labels = hits or labels
        if st.session_state["library.at"] not in labels:
            st.session_state["library.at"] = labels[0]
    with st.container(height=560):
        chosen = st.radio(
            "目录",
            labels,
            key="library.at",
            format_func=lambda v: f"{v}　{headings.get(v, '')[:14]}",
            label_visibility="collapsed",
        )
    return chosen or ""


def _text(document: Document, label: str) -> None:
    place = next((i for i, p in enumerate(document.provisions) if p.label == label), 0)
    words = [w for w in st.session_state.get(f"find:{document.doc_id}", "").split() if w]
    with st.container(height=640, border=False):
        for number, provision in enumerate(document.provisions[place : place + 14]):
            strong = "border-left:4px solid #1f5fa8;padding-left:.8em" if number == 0 else "padding-left:1em"
            st.html(
                f'<div class="kb-text" style="{strong};margin-bottom:.9em">{with_marks(provision.text, word_spans(provision.text, words))}</div>'
            )


def _versions(library: Library, info: DocumentInfo, document: Document) -> None:
    """Other texts of the same instrument (draft and final), provision by provision."""
    from kb.versions import align, diff

    family = [d for d in library.documents if d.doc_id != info.doc_id and family_key(d.meta) == family_key(info.meta)]
    others = family or [d for d in library.documents if d.doc_id != info.doc_id and d.meta.level == info.meta.level]
    if not family:
        st.caption("库内没有这份文件的草案或其他版本。也可以任选一份同级文件对照：")
    old = st.selectbox(
        "与之对比（作为旧文本）",
        others,
        format_func=lambda d: d.meta.title,
        index=0 if family else None,
        placeholder="选择文件",
    )
    if old is None:
        return
    earlier = library.document(old.doc_id)
    before_all = {p.label: p.text for p in earlier.provisions}
    after_all = {p.label: p.text for p in document.provisions}
    rows = align(earlier, document)
    pairs = [(before_all.get(r.old, ""), after_all.get(r.new, "")) for r in rows]
    shown = [(x, y, changes) for x, y in pairs if (changes := diff(x, y))]
    st.caption(
        f"{len(rows)} 处对应，其中 {len(shown)} 处文字不同。左为《{plain(short_title(old.meta.title))}》，右为本文件；红色为删去，绿色为新增。"
    )
    for before, after, changes in shown[:200]:
        left, right = st.columns(2)
        left.html(
            f'<div class="kb-text kb-box">{with_marks(before, [(*c.old_span, "kb-missing") for c in changes]) or "（无）"}</div>'
        )
        right.html(
            f'<div class="kb-text kb-box">{with_marks(after, [(*c.new_span, "kb-same") for c in changes]) or "（删去）"}</div>'
        )


@st.cache_resource(max_entries=2, show_spinner="正在整理引用关系……")
def _edges(folder: str, _library: Library):
    from kb.graph import build_graph

    return build_graph([_library.document(d.doc_id) for d in _library.documents])


def _graph(library: Library, info: DocumentInfo) -> None:
    """Who cites this document and whom it cites; the picture shows documents, the lists show places."""
    edges = _edges(str(library.folder), library)
    own = f"{info.doc_id}/"
    out = [
        e
        for e in edges
        if e.source.startswith(own) and e.target and not e.target.startswith(own) and e.target != info.doc_id
    ]
    into = [e for e in edges if (e.target == info.doc_id or e.target.startswith(own)) and not e.source.startswith(own)]
    names = {d.doc_id: d.meta for d in library.documents}
    cites = _counted(e.target.partition("/")[0] for e in out)
    cited = _counted(e.source.partition("/")[0] for e in into)
    if not cites and not cited:
        st.info("库内没有与这份文件互相引用的文件。")
        return
    st.graphviz_chart(_dot(info, cites, cited, names), width="stretch")
    left, right = st.columns(2)
    for column, head, found, at in ((left, "引用了", out, "target"), (right, "被引用", into, "source")):
        with column:
            st.markdown(f"**{head}（{len(found)} 处）**")
            st.dataframe(
                [
                    {
                        "文件": names[i].title if (i := getattr(e, at).partition("/")[0]) in names else e.title,
                        "本文件": _place(e, own),
                        "对方": getattr(e, at).partition("/")[2],
                        "写法": e.text,
                    }
                    for e in found[:300]
                ],
                hide_index=True,
                width="stretch",
                height=300,
            )


def _counted(values) -> list[tuple[str, int]]:
    from collections import Counter

    return Counter(values).most_common(12)


def _place(edge, own: str) -> str:
    mine = edge.source if edge.source.startswith(own) else edge.target
    return mine.partition("/")[2]


def _dot(info: DocumentInfo, cites, cited, names) -> str:
    colours = {"national": "#fde8e6", "guangdong": "#e4f1e4", "shenzhen": "#e3eefb", "peers": "#eeeeee"}

    def node(doc_id: str, bold: bool = False) -> str:
        meta = names.get(doc_id)
        title = _quoted(short_title(meta.title)[:22] if meta else doc_id[:22])
        return f'"{_quoted(doc_id)}" [label="{title}", fillcolor="{colours.get(meta.level if meta else "", "#ffffff")}"{", penwidth=2" if bold else ""}];'

    lines = [
        'digraph { rankdir=LR; bgcolor="transparent"; node [shape=box, style="rounded,filled", fontname="Noto Sans CJK SC", fontsize=11]; edge [color="#8892a0", fontcolor="#8892a0", fontsize=10];'
    ]
    lines += [node(info.doc_id, True), *(node(i) for i, _ in (*cites, *cited))]
    lines += [f'"{_quoted(info.doc_id)}" -> "{_quoted(i)}" [label="{n}"];' for i, n in cites]
    lines += [f'"{_quoted(i)}" -> "{_quoted(info.doc_id)}" [label="{n}"];' for i, n in cited]
    return "\n".join([*lines, "}"])


def _quoted(text: str) -> str:
    return text.replace("\\", "").replace('"', "'").replace("\n", " ")


def _facts(info: DocumentInfo, document: Document) -> None:
    meta = info.meta
    rows = [
        ("层级", LEVEL_NAMES[meta.level]),
        ("文种", meta.kind),
        ("效力类别", meta.normative_force),
        ("制定机关", "、".join(meta.issuers)),
        ("文号", meta.doc_no),
        ("成文", meta.signed_on),
        ("通过", meta.adopted_on),
        ("公布", meta.promulgated_on),
        ("施行", meta.effective_on),
        ("失效", meta.expires_on),
        ("有效期", meta.validity),
        ("时效", STATUS_NAMES.get(status_on(meta, today()))),
        ("依据", "、".join(meta.basis)),
        ("废止", "、".join(meta.repeals)),
        ("别名", "、".join(meta.aliases)),
        ("官方网址", meta.official_url),
        ("来源文件", document.source_path),
        ("文本质量", QUALITY_NAMES.get(info.quality, info.quality)),
        ("未核实的事项", "、".join(meta.unverified)),
        ("文本指纹", info.sha256[:16]),
    ]
    st.html("".join(f'<div class="kb-line"><b>{k}</b>　{escape(str(v))}</div>' for k, v in rows if v))
    if document.findings:
        st.markdown("**读取时的提示**")
        for finding in document.findings[:50]:
            st.caption(plain(f"· {chinese(finding.what)} {chinese(finding.fix)}"))
