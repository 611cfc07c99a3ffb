"""总览: what is held, where the gaps are, what waits, and in what state index and texts are; every number opens its rows."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from kb.index import Library
from kb.metadata import status_on
from kb.models import LEVEL_NAMES, LEVELS, STATUS_NAMES
from kb.review import STATES
from kb.rows import DEFAULT_SCOPE, SCOPES, GapRow, ScopeChoice, national_documents, scope_choice, today
from kb.ui.data import dark, judged_documents, publish, restore, reviewer, rows_of, states_of, within
from kb.ui.detail import short_title
from kb.ui.markup import escape, plain
from kb.ui.names import QUALITY_NAMES
from kb.ui.summary import OPEN_LABELS, Cell, by_kind, date_of, heat, newest, topics_of, year_of

PAGE = "overview"
DEFAULTS: dict[str, object] = {"s": DEFAULT_SCOPE}
# all answered, half, nothing answered
HEAT = ((201, 231, 207), (255, 236, 179), (243, 170, 160))
DARK_HEAT = ((30, 70, 42), (94, 76, 20), (122, 44, 36))
# column heads of the heat map, four characters each; the whole name is in the help text
SHORT = {
    "数据产权与权益": "产权权益",
    "公共数据资源管理": "公共资源",
    "政务数据共享": "政务共享",
    "公共数据开放": "公共开放",
    "公共数据授权运营": "授权运营",
    "登记与价格": "登记价格",
    "数据流通交易": "流通交易",
    "企业数据与产业": "企业产业",
    "个人信息保护": "个人信息",
    "设施技术标准": "设施标准",
    "数字政府与政务服务": "数字政府",
    "组织与法治保障": "法治保障",
    "人工智能": "人工智能",
}


def page(library: Library) -> None:
    """Draw the page."""
    restore(PAGE, DEFAULTS)
    st.title("总览")
    _held(library)
    left, right = st.columns([2.5, 1], gap="medium")
    with right:
        place = st.container()
        _newest(library)
        _state(library)
    with left:
        rows, states, scope = _rows(library)
        if rows:
            _heat(library, rows, states, scope)
        _kinds(library)
    with place:
        _waiting(rows, states, scope)
    publish(PAGE, DEFAULTS)


def go(page_name: str, **query: str) -> None:
    """Open another page with its filters; a callback of buttons marks the wish, the page acts on it."""
    st.switch_page(st.session_state["pages"][page_name], query_params={k: v for k, v in query.items() if v})


def _held(library: Library) -> None:
    counts = {level: sum(d.meta.level == level for d in library.documents) for level in LEVELS}
    tiles = [(f"{counts[level]}", f"{LEVEL_NAMES[level]}文件", ("library", {"level": level})) for level in LEVELS]
    tiles += [
        (f"{sum(d.n_provisions for d in library.documents):,}", "条文", ("library", {})),
        (f"{_duties(library):,}", "国家要求", ("gaps", {})),
    ]
    for column, (number, name, (target, query)) in zip(st.columns(len(tiles)), tiles, strict=True):
        if column.button(f"**{number}**  \n{name}", key=f"held:{name}", width="stretch"):
            go(target, **query)


@st.cache_data(max_entries=4, show_spinner=False)
def _duty_count(generation: str, _library: Library) -> int:
    return sum(len(_library.requirements(d.doc_id)) for d in national_documents(_library))


def _duties(library: Library) -> int:
    return _duty_count(library.generation, library)


def _rows(library: Library) -> tuple[list[GapRow], dict, ScopeChoice]:
    head, box = st.columns([2, 1.2], vertical_alignment="bottom")
    head.subheader("国家文件 × 主题：还有多少没有落实")
    within(PAGE, "s", list(SCOPES))
    key = box.selectbox(
        "比对范围（本地）", list(SCOPES), format_func=SCOPES.get, key="overview.s", label_visibility="collapsed"
    )
    scope = scope_choice(library, key)
    documents = [d.doc_id for d in national_documents(library)]
    ready = judged_documents(library, scope, documents)
    rest = len(documents) - len(ready)
    if rest:
        text, button = st.columns([3, 1], vertical_alignment="center")
        text.caption(f"{len(ready)} / {len(documents)} 份国家文件已与“{scope.name}”比对。")
        if button.button(f"比对其余 {rest} 份", width="stretch", key="overview:judge"):
            rows_of(library, documents, scope)
            st.rerun()
    rows = rows_of(library, ready, scope)
    return rows, states_of(library, rows), scope


def _heat(library: Library, rows: list[GapRow], states: dict, scope: ScopeChoice) -> None:
    cells = heat(rows, states)
    topics = topics_of(cells)
    docs = list(dict.fromkeys(r.requirement.doc_id for r in rows))
    total = {d: sum(states[r.row_id].label in OPEN_LABELS for r in rows if r.requirement.doc_id == d) for d in docs}
    docs.sort(key=lambda d: -total[d])
    st.caption("格内为未覆盖、部分覆盖和疑似不一致的条数；颜色越红，未落实的比例越高。点一格查看这些条目。")
    names = {d: short_title(library.info(d).meta.title) for d in docs}
    empty = Cell(0, 0, 0, 0, 0)
    values = pd.DataFrame(
        [[cells.get((d, t), empty).open for t in topics] for d in docs], index=[names[d] for d in docs], columns=topics
    )
    shown = values.astype(object)
    colours = pd.DataFrame("", index=values.index, columns=topics)
    for i, d in enumerate(docs):
        for j, t in enumerate(topics):
            cell = cells.get((d, t))
            colours.iat[i, j] = _colour(cell)
            shown.iat[i, j] = cell.open if cell and cell.applicable else None
    shown.insert(0, "合计", [total[d] for d in docs])
    colours.insert(0, "合计", "font-weight: 600")
    shown.insert(0, "国家文件", [names[d] for d in docs])
    colours.insert(0, "国家文件", "")
    shown, colours = shown.reset_index(drop=True), colours.reset_index(drop=True)
    for column in ("合计", *topics):
        shown[column] = pd.array(shown[column], dtype="Int64")
    config = {
        "国家文件": st.column_config.TextColumn(width=190, pinned=True),
        "合计": st.column_config.NumberColumn(width=50),
    }
    config |= {t: st.column_config.NumberColumn(SHORT.get(t, t[:4]), width=66, help=t) for t in topics}
    event = st.dataframe(
        shown.style.apply(lambda _: colours, axis=None),
        hide_index=True,
        height=min(36 * len(docs) + 40, 470),
        column_config=config,
        on_select="rerun",
        selection_mode="single-cell",
        placeholder="",
        key=f"heat:{scope.key}:{st.session_state.get('heat:turn', 0)}",
    )
    if event.selection.cells:
        st.session_state["heat:turn"] = st.session_state.get("heat:turn", 0) + 1
        line, column = event.selection.cells[0]
        query = {"n": docs[line], "s": scope.key, "l": "|".join(OPEN_LABELS)}
        if column in topics:
            query["t"] = column
        go("gaps", **query)


def _colour(cell: Cell | None) -> str:
    """Background from green over yellow to red; nothing where no duty applies."""
    if cell is None or cell.heat is None:
        return ""
    low, middle, high = DARK_HEAT if dark() else HEAT
    a, b, share = (low, middle, cell.heat * 2) if cell.heat < 0.5 else (middle, high, cell.heat * 2 - 1)
    r, g, b_ = (round(x + (y - x) * share) for x, y in zip(a, b, strict=True))
    return f"background-color: rgb({r},{g},{b_}); color: {'#f2f2f2' if dark() else '#222'}"


def _waiting(rows: list[GapRow], states: dict, scope: ScopeChoice) -> None:
    st.subheader("待处理")
    if not rows:
        st.caption("完成比对后，这里列出需要处理的条目。")
        return
    high = sum(r.assessment.severity == "高" and states[r.row_id].label == "未覆盖" for r in rows)
    lines = [
        (f"未覆盖且程度为高　**{high}**", "gaps", {"s": scope.key, "l": "未覆盖", "sev": "高"}),
        (
            f"疑似不一致　**{sum(s.label == '疑似不一致' for s in states.values())}**",
            "gaps",
            {"s": scope.key, "l": "疑似不一致"},
        ),
        (
            f"待人工核定　**{sum(s.label == '待人工核定' for s in states.values())}**",
            "gaps",
            {"s": scope.key, "l": "待人工核定"},
        ),
    ]
    lines += [
        (f"{name}　**{sum(s.state == code for s in states.values())}**", "review", {"s": scope.key, "q": code})
        for code, name in STATES.items()
        if code in ("suspect", "disputed", "open")
    ]
    if me := reviewer():
        mine = sum(s.assignee == me and s.state in ("open", "suspect", "disputed") for s in states.values())
        lines.append((f"分派给我　**{mine}**", "review", {"s": scope.key, "to": me, "q": "todo"}))
    for text, target, query in lines:
        if st.button(text, key=f"wait:{text.split('　')[0]}", width="stretch"):
            go(target, **query)


def _newest(library: Library) -> None:
    st.subheader("最新文件")
    for d in newest([d for d in library.documents if status_on(d.meta, today()) != "draft"], 6):
        label = f"{date_of(d) or '日期不详'}　{plain(short_title(d.meta.title)[:24])}"
        st.page_link(
            st.session_state["pages"]["library"], label=label, query_params={"doc": d.doc_id}, help=plain(d.meta.title)
        )


def _state(library: Library) -> None:
    st.subheader("索引与文本")
    created = str(library.manifest["created_at"])[:16].replace("T", " ")
    digests = sum(d.meta.text_kind == "digest" for d in library.documents)
    lines = [f"索引建立于 {created}（UTC）"]
    # from the manifest: loading the model would slow the first screen
    semantic = library.manifest.get("encoder") and library.settings.encoder != "none"
    lines.append("已启用语义检索" if semantic else "仅词语检索：未启用语义模型")
    st.html("".join(f'<div class="kb-muted">{escape(x)}</div>' for x in lines))
    tiles = [
        ("全部文件", len(library.documents), {}),
        ("官方全文", len(library.documents) - digests, {"txt": "full"}),
        ("要点摘编", digests, {"txt": "digest"}),
    ]
    tiles += [
        (f"文本{name}", sum(d.quality == code for d in library.documents), {"quality": code})
        for code, name in QUALITY_NAMES.items()
    ]
    for code in ("draft", "expiry_unchecked", "repealed", "lapsed", "unverified"):
        tiles.append(
            (STATUS_NAMES[code], sum(status_on(d.meta, today()) == code for d in library.documents), {"status": code})
        )
    columns = st.columns(2)
    for place, (name, n, query) in enumerate(t for t in tiles if t[1]):
        if columns[place % 2].button(f"{name}　**{n}**", key=f"state:{name}", width="stretch"):
            go("library", **query)


def _kinds(library: Library) -> None:
    """Documents by kind and level, and by year; a number or a bar opens its documents."""
    st.subheader("馆藏构成")
    left, right = st.columns([1.3, 1])
    table = by_kind(library.documents)
    frame = pd.DataFrame(
        [
            {"文种": k, **{LEVEL_NAMES[v]: n or None for v, n in counts.items()}, "合计": sum(counts.values())}
            for k, counts in table
        ]
    )
    for column in (*(LEVEL_NAMES[v] for v in LEVELS), "合计"):
        frame[column] = pd.array(frame[column], dtype="Int64")
    with left:
        event = st.dataframe(
            frame,
            hide_index=True,
            height=300,
            placeholder="",
            on_select="rerun",
            selection_mode="single-cell",
            key=f"kinds:{st.session_state.get('kinds:turn', 0)}",
        )
        if event.selection.cells:
            st.session_state["kinds:turn"] = st.session_state.get("kinds:turn", 0) + 1
            line, column = event.selection.cells[0]
            level = next((v for v in LEVELS if LEVEL_NAMES[v] == column), "")
            go("library", kind=table[line][0], level=level)
    with right:
        _years(library)


def _years(library: Library) -> None:
    import altair as alt

    years = pd.Series([year_of(d) for d in library.documents if year_of(d)], dtype=str).value_counts().sort_index()
    frame = pd.DataFrame({"年份": years.index, "份数": years.to_numpy()})
    picked = alt.selection_point(name="year", fields=["年份"])
    chart = (
        alt.Chart(frame)
        .mark_bar(color="#5b9bd9" if dark() else "#1f5fa8", cursor="pointer")
        .encode(
            x=alt.X("年份:N", title="公布或施行年份"),
            y=alt.Y("份数:Q", title=None, axis=alt.Axis(tickMinStep=1)),
            tooltip=["年份", "份数"],
        )
        .properties(height=300)
        .add_params(picked)
    )
    turn = st.session_state.get("years:turn", 0)
    event = st.altair_chart(chart, on_select="rerun", key=f"years:{turn}", width="stretch")
    if chosen := event.selection.get("year"):
        st.session_state["years:turn"] = turn + 1
        go("library", year=str(chosen[0]["年份"]))
