"""差距图谱: national documents against a scope, filters, the table, and one row in full."""

from __future__ import annotations

import streamlit as st

from kb.index import Library
from kb.models import LABELS, SEVERITIES
from kb.review import STATES, RowState
from kb.rows import SCOPES, GapRow, ScopeChoice, national_documents, scope_choice
from kb.ui import detail, exports, levels
from kb.ui.data import judged_documents, publish, restore, rows_of, states_of, within
from kb.ui.filters import WITH_NUMBER, WITHOUT_NUMBER, RowFilter, label_counts, options, select
from kb.ui.markup import plain
from kb.ui.names import LABEL_COLORS, LABEL_HELP, MODALITY_NAMES, TIER_NAMES

PAGE = "gaps"
DEFAULTS: dict[str, object] = {
    "n": [],
    "s": "chain",
    "doc": [],
    "l": [],
    "sev": [],
    "t": [],
    "m": [],
    "a": [],
    "num": "",
    "st": [],
    "who": "",
    "to": "",
    "act": [],
    "k": "",
    "c": (0, 100),
    "row": "",
    "v": "逐条对照",
}
VIEWS = ("逐条对照", "逐级对照", "滞后线索")
CHOSEN = "docs"


def page(library: Library) -> None:
    """Draw the page; everything chosen lives in the address."""
    restore(PAGE, DEFAULTS)
    within(PAGE, "v", VIEWS)
    head, views = st.columns([1, 2.4], vertical_alignment="center")
    head.title("差距图谱")
    views.segmented_control("视图", VIEWS, key="gaps.v", label_visibility="collapsed", required=True)
    documents = {d.doc_id: d for d in national_documents(library)}
    if not documents:
        st.info("库内还没有国家文件。请在“更新”页添加，或把文件放进 corpus/national/ 后重新建立索引。")
        return
    view = st.session_state["gaps.v"]
    if view != VIEWS[0]:
        if view == VIEWS[1]:
            levels.view(library, documents, _pick_documents(st, documents))
        else:
            levels.view_signals(library)
        publish(PAGE, DEFAULTS)
        return
    scope, chosen = _what(library, documents)
    if scope is None or not chosen:
        publish(PAGE, DEFAULTS)
        return
    rows = rows_of(library, chosen, scope)
    states = states_of(library, rows)
    within(PAGE, "l", LABELS)
    _tiles(label_counts(rows, states))
    said, place, export = st.columns([4.2, 1.2, 1.2], vertical_alignment="center")
    wanted = _filters(rows, states, place)
    found = select(wanted, rows, states)
    said.caption(f"共 {len(rows)} 条国家要求，当前显示 {len(found)} 条。点选一行查看两边原文。")
    with export:
        exports.menu(library, found, states, scope, in_words(wanted), "gaps:export")
    row = _table(found, rows, states)
    publish(PAGE, DEFAULTS)
    if row is not None:
        _row(library, row, states)


def _what(library: Library, documents: dict) -> tuple[ScopeChoice | None, list[str]]:
    left, middle = st.columns([3, 2])
    picked = _pick_documents(left, documents)
    scope = pick_scope(library, middle, PAGE)
    if scope is None or picked:
        return scope, picked
    ready = judged_documents(library, scope, list(documents))
    rest = len(documents) - len(ready)
    if rest:
        text, button = st.columns([5, 1])
        text.info(
            f"{len(documents)} 份国家文件中，{len(ready)} 份已完成与“{plain(scope.name)}”的比对。可在上面挑选文件，或一次比对其余 {rest} 份（需要几分钟）。"
        )
        if button.button("比对其余文件", width="stretch"):
            rows_of(library, list(documents), scope)
            st.rerun()
    return scope, ready


def _pick_documents(place, documents: dict) -> list[str]:
    within(PAGE, "n", list(documents))
    return place.multiselect(
        "国家文件",
        list(documents),
        format_func=lambda i: documents[i].meta.title,
        key="gaps.n",
        placeholder="全部国家文件（可输入名称挑选）",
    )


def pick_scope(library: Library, column, page_name: str) -> ScopeChoice | None:
    """The scope box, with a document picker for scopes of chosen documents; None while nothing is chosen."""
    keys = [*SCOPES, CHOSEN]
    within(page_name, "s", keys)
    key = column.selectbox(
        "比对范围（本地）",
        keys,
        format_func=lambda k: SCOPES.get(k, "自选文件……"),
        key=f"{page_name}.s",
        help="与哪些本地文件相比；草案、已废止和失效的文件只能自选",
    )
    if key != CHOSEN:
        scope = scope_choice(library, key)
        if not scope.doc_ids:
            st.info(f"库内没有可用于“{plain(scope.name)}”的文件。")
            return None
        return scope
    local = {d.doc_id: d for d in library.documents if d.meta.level != "national"}
    within(page_name, "doc", list(local))
    ids = column.multiselect(
        "自选文件",
        list(local),
        format_func=lambda i: local[i].meta.title,
        key=f"{page_name}.doc",
        label_visibility="collapsed",
        placeholder="选择本地文件或草案",
    )
    if not ids:
        column.caption("请选择至少一份文件。")
        return None
    return scope_choice(library, "docs:" + ",".join(ids))


def _filters(rows: list[GapRow], states: dict[str, RowState], place) -> RowFilter:
    """The facets beside the labels, in a pop-over drawn at `place`."""
    held = options(rows, states)
    for name, values in (
        ("sev", held["severities"]),
        ("t", held["topics"]),
        ("m", held["modalities"]),
        ("a", held["tiers"]),
        ("st", list(STATES)),
        ("act", held["actors"]),
    ):
        within(PAGE, name, values)
    within(PAGE, "num", ["", WITH_NUMBER, WITHOUT_NUMBER])
    within(PAGE, "who", ["", *held["people"]])
    within(PAGE, "to", ["", *held["assignees"]])
    facets = ("sev", "t", "m", "a", "act", "st", "num", "who", "to", "k")
    active = sum(bool(st.session_state[f"gaps.{n}"]) for n in facets)
    active += st.session_state["gaps.c"] != (0, 100)
    with (
        place,
        st.popover(f"更多筛选{f'（{active}）' if active else ''}", icon=":material/filter_list:", width="stretch"),
    ):
        a, b = st.columns(2)
        a.multiselect("严重程度", held["severities"] or SEVERITIES, key="gaps.sev", placeholder="不限")
        b.multiselect("主题", held["topics"], key="gaps.t", placeholder="不限")
        a.multiselect(
            "要求类型",
            held["modalities"],
            format_func=lambda v: MODALITY_NAMES.get(v, v),
            key="gaps.m",
            placeholder="不限",
        )
        b.multiselect(
            "责任层级", held["tiers"], format_func=lambda v: TIER_NAMES.get(v, v), key="gaps.a", placeholder="不限"
        )
        a.multiselect("主体", held["actors"], key="gaps.act", placeholder="不限")
        b.selectbox("期限和数量", ["", WITH_NUMBER, WITHOUT_NUMBER], format_func=lambda v: v or "不限", key="gaps.num")
        a.multiselect("复核状态", list(STATES), format_func=STATES.get, key="gaps.st", placeholder="不限")
        b.selectbox("复核人", ["", *held["people"]], format_func=lambda v: v or "不限", key="gaps.who")
        a.selectbox("受派人", ["", *held["assignees"]], format_func=lambda v: v or "不限", key="gaps.to")
        b.slider("机器把握（%）", 0, 100, key="gaps.c")
        st.text_input("文字包含", key="gaps.k", placeholder="例如：风险评估（可用空格分开几个词）")
    value = st.session_state
    return RowFilter(
        value["gaps.l"],
        value["gaps.sev"],
        value["gaps.t"],
        value["gaps.m"],
        value["gaps.a"],
        value["gaps.num"],
        value["gaps.st"],
        value["gaps.who"],
        value["gaps.to"],
        value["gaps.act"],
        value["gaps.k"],
        *value["gaps.c"],
    )


def _tiles(counts: dict[str, int]) -> None:
    """One button per label with its count; pressing it shows these rows only."""
    for column, label in zip(st.columns(len(LABELS)), LABELS, strict=True):
        chosen = label in st.session_state["gaps.l"]
        column.button(
            f"**{counts[label]}**  \n{label}",
            key=f"tile:{LABELS.index(label)}",
            width="stretch",
            help=LABEL_HELP[label],
            type="primary" if chosen else "secondary",
            on_click=_toggle,
            args=(label,),
        )


def _toggle(label: str) -> None:
    held = st.session_state["gaps.l"]
    st.session_state["gaps.l"] = [x for x in held if x != label] if label in held else [*held, label]


def in_words(wanted: RowFilter) -> str:
    """The filter as a reader of the report should see it."""
    parts = [*wanted.labels, *wanted.severities, *wanted.topics, *(MODALITY_NAMES.get(m, m) for m in wanted.modalities)]
    parts += [
        *(TIER_NAMES.get(t, t) for t in wanted.tiers),
        wanted.numbers,
        *(STATES[s] for s in wanted.states),
        f"复核人 {wanted.who}" if wanted.who else "",
        f"受派人 {wanted.assignee}" if wanted.assignee else "",
        *wanted.actors,
        wanted.words,
    ]
    if (wanted.low, wanted.high) != (0, 100):
        parts.append(f"把握 {wanted.low}–{wanted.high}%")
    return "、".join(p for p in parts if p)


def _table(found: list[GapRow], rows: list[GapRow], states: dict[str, RowState]) -> GapRow | None:
    if not found:
        st.info("没有符合条件的条目。可以取消部分筛选，或换一个比对范围。")
        return None
    ids = [r.row_id for r in found]
    at = ids.index(st.session_state["gaps.row"]) if st.session_state["gaps.row"] in ids else None
    lines = [table_row(r, states[r.row_id]) for r in found]
    if len({r.national.doc_id for r in rows}) == 1:
        for line in lines:
            del line["国家文件"]
    event = st.dataframe(
        lines,
        hide_index=True,
        width="stretch",
        height=min(36 * len(found) + 38, 290),
        on_select="rerun",
        selection_mode="single-row",
        key=f"gaps:table:{hash(tuple(ids))}",
        column_config=columns(),
        selection_default={"selection": {"rows": [at], "columns": []}} if at is not None else None,
    )
    picked = event.selection.rows
    if picked:
        at = picked[0]
    elif at is None:
        at = 0
    st.session_state["gaps.row"] = ids[at] if picked else st.session_state["gaps.row"]
    return found[at]


def table_row(row: GapRow, state: RowState) -> dict[str, object]:
    """What a row shows in the table."""
    a, duty = row.assessment, row.requirement
    best = a.evidence[0] if a.evidence else None
    return {
        "国家文件": detail.short_title(row.national.meta.title),
        "条款": duty.address,
        "要求": duty.text,
        "结论": [state.label],
        "程度": a.severity if state.label in ("未覆盖", "部分覆盖", "疑似不一致") else "",
        "把握": round(a.confidence * 100),
        "本地条文": f"{'' if best.grade == 2 else '相关：'}{detail.short_title(best.title)}{best.address}"
        if best
        else "—",
        "缺少或不同": "；".join(a.missing or a.differs),
        "复核": STATES[state.state],
    }


def columns() -> dict:
    """Widths and colours of the table."""
    c = st.column_config
    return {
        "国家文件": c.TextColumn(width=150),
        "条款": c.TextColumn(width=115),
        "要求": c.TextColumn(width=300),
        "结论": c.MultiselectColumn(
            width=142,
            options=list(LABELS),
            color=[LABEL_COLORS[x] for x in LABELS],
            help="；".join(f"{k}：{v}" for k, v in LABEL_HELP.items()),
        ),
        "程度": c.TextColumn(width=46),
        "把握": c.NumberColumn(width=60, format="%d%%"),
        "本地条文": c.TextColumn(width=190),
        "缺少或不同": c.TextColumn(width=170),
        "复核": c.TextColumn(width=70),
    }


def _row(library: Library, row: GapRow, states: dict[str, RowState]) -> None:
    state = states[row.row_id]
    head, link = st.columns([5, 1.2])
    head.markdown(f"##### 《{plain(row.national.meta.title)}》{plain(row.requirement.address)}")
    link.page_link(
        st.session_state["pages"]["review"],
        label="复核这一条",
        icon=":material/fact_check:",
        query_params={
            "n": row.requirement.doc_id,
            "s": st.session_state["gaps.s"],
            "doc": "|".join(st.session_state["gaps.doc"]),
            "row": row.row_id,
        },
    )
    if state.changes:
        detail.changes(state.changes)
    detail.draw(library, row, state)
