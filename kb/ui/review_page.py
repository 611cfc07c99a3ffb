"""对照与复核: a queue of rows decided one after another, the record of decisions, agreement of two readers, ledgers read back."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from kb.errors import KbError, ReviewError
from kb.index import Library
from kb.models import LABELS, STATUS_NAMES
from kb.report import MEASURES, PROGRESS, build_report
from kb.review import (
    FIELDS,
    STATES,
    ReviewConflict,
    RowState,
    agreement,
    assign,
    decide,
    format_evidence,
    local_time,
    orphans,
    parse_evidence,
)
from kb.rows import GapRow, ScopeChoice, national_documents
from kb.ui import detail
from kb.ui.data import (
    is_reader,
    judged_documents,
    publish,
    restore,
    review_log,
    reviewer,
    rows_of,
    states_of,
    within,
)
from kb.ui.filters import people
from kb.ui.gaps_page import pick_scope
from kb.ui.markup import badge, escape, plain
from kb.ui.names import LABEL_CSS
from kb.ui.said import chinese

PAGE = "review"
DEFAULTS: dict[str, object] = {
    "n": "",
    "s": "chain",
    "doc": [],
    "q": "open",
    "l": [],
    "mine": "",
    "to": "",
    "row": "",
    "v": "逐条复核",
}
VIEWS = ("逐条复核", "复核记录", "两人一致性", "导入台账")
QUEUES = {
    "todo": "要处理",
    "open": "未复核",
    "suspect": "待复核",
    "disputed": "有分歧",
    "confirmed": "已确认",
    "changed": "已改判",
    "all": "全部",
}
TODO = ("open", "suspect", "disputed")
# key to press -> label; the order is that of the rule
KEYS = {"1": "已覆盖", "2": "部分覆盖", "3": "未覆盖", "4": "疑似不一致", "5": "直接适用无需配套", "6": "不适用"}


def page(library: Library) -> None:
    """Draw the page; the row at hand lives in the address."""
    restore(PAGE, DEFAULTS)
    if row_id := st.session_state.pop("review:go", None):
        st.session_state["review.v"], st.session_state["review.row"] = VIEWS[0], row_id
    within(PAGE, "v", VIEWS)
    head, views = st.columns([1, 2.4], vertical_alignment="center")
    head.title("对照与复核")
    views.segmented_control("视图", VIEWS, key="review.v", label_visibility="collapsed", required=True)
    documents = {d.doc_id: d for d in national_documents(library)}
    left, middle, right = st.columns([3, 2, 1.4])
    within(PAGE, "n", ["", *documents])
    one = left.selectbox(
        "国家文件",
        ["", *documents],
        format_func=lambda i: documents[i].meta.title if i else "全部已比对的国家文件",
        key="review.n",
    )
    scope = pick_scope(library, middle, PAGE)
    with right:
        who_am_i()
    if scope is None:
        publish(PAGE, DEFAULTS)
        return
    chosen = [one] if one else judged_documents(library, scope, list(documents))
    rows = rows_of(library, chosen, scope)
    states = states_of(library, rows)
    if not rows:
        st.info("还没有比对结果。请在上面选择一份国家文件，或先到“差距图谱”完成比对。")
    elif st.session_state["review.v"] == VIEWS[0]:
        _queue(library, rows, states)
    elif st.session_state["review.v"] == VIEWS[1]:
        _record(rows, states)
    elif st.session_state["review.v"] == VIEWS[2]:
        _agreement(rows, states)
    else:
        _import(library, rows, states, scope)
    publish(PAGE, DEFAULTS)


def who_am_i() -> None:
    """The name that decisions are recorded under, and whether it may record any."""
    signed_in = getattr(st.user, "is_logged_in", False)
    role = "复核人"
    if is_reader():
        role = "读者：只能查看和导出" if reviewer() else "署名后才能记录"
    if signed_in:
        st.text_input(role, reviewer(), disabled=True)
        return
    st.session_state.setdefault("reviewer", "")
    st.text_input(
        "复核人",
        key="reviewer",
        placeholder="署名后才能记录",
        max_chars=30,
        persist_state="session",
        help="姓名与每条记录一起保存" if role == "复核人" else "您目前是读者：可以查看和导出；复核人名单由管理员设置",
    )
    if role.startswith("读者"):
        st.caption(f":material/lock: {role}")


# -- one row after another ----------------------------------------------------------------------------------------------


def _queue(library: Library, rows: list[GapRow], states: Mapping[str, RowState]) -> None:
    tiles = st.container()
    names = sorted({p for s in states.values() for p in people(s)})
    given = sorted({s.assignee for s in states.values()} - {""})
    a, b, c, d, e = st.columns([1.7, 1, 1, 0.9, 1], vertical_alignment="center")
    within(PAGE, "l", LABELS)
    within(PAGE, "mine", ["", *names])
    within(PAGE, "to", ["", *given])
    a.multiselect("结论", LABELS, key="review.l", placeholder="全部结论", label_visibility="collapsed")
    for column, name, key, values in ((b, "复核人", "mine", names), (c, "受派人", "to", given)):
        column.selectbox(
            f"按{name}筛选",
            ["", *values],
            format_func=lambda v, name=name: f"{name}：{v or '不限'}",
            key=f"review.{key}",
            label_visibility="collapsed",
        )
    second = e.toggle("第二人复核", key="second", help="独立判断：先不显示他人的结论", persist_state="session")
    mine = [r for r in rows if _of_people(states[r.row_id])]
    queue = _for_second(mine, states) if second else [r for r in mine if _in_queue(states[r.row_id])]
    with tiles:
        _queues(mine, states, second, len(queue))
    with d:
        _give(queue)
    ids = [r.row_id for r in queue]
    asked = st.session_state["review.row"]
    if asked and asked not in ids and (found := next((r for r in rows if r.row_id == asked), None)):
        queue, ids = [found, *queue], [asked, *ids]
    if not queue:
        st.success("这里没有要处理的条目。可以换一类，或换一份国家文件。")
        return
    at = ids.index(asked) if asked in ids else 0
    row, state = queue[at], states[queue[at].row_id]
    st.session_state["review.row"] = row.row_id
    _bar(library, row, state, ids, at, second)
    if second:
        state = RowState("open", row.assessment.label)
    _show(library, row, state)


def _set(name: str, value: object) -> None:
    st.session_state[f"review.{name}"] = value
    if name != "row":
        st.session_state["review.row"] = ""


def _queues(mine: list[GapRow], states: Mapping[str, RowState], second: bool, waiting: int) -> None:
    """How many rows stand where, within the other filters; a second reader has one queue of their own."""
    if second:
        st.info(f"第二人复核：有 {waiting} 条已由他人复核、您还没有看过。您的判断不受他人结论影响。")
        return
    counts = {q: sum(_in_queue(states[r.row_id], q) for r in mine) for q in QUEUES}
    for column, (q, name) in zip(st.columns(len(QUEUES)), QUEUES.items(), strict=True):
        column.button(
            f"**{counts[q]}**  \n{name}",
            key=f"queue:{q}",
            width="stretch",
            on_click=_set,
            args=("q", q),
            type="primary" if st.session_state["review.q"] == q else "secondary",
        )


def _for_second(rows: list[GapRow], states: Mapping[str, RowState]) -> list[GapRow]:
    """Rows that somebody else has decided and that nobody has read a second time."""
    out = []
    for row in rows:
        decision = states[row.row_id].decision
        if decision and decision.first_label and decision.first_who != reviewer() and not decision.second_label:
            out.append(row)
    return out


def _give(queue: list[GapRow]) -> None:
    """Give the rows of the queue to a person."""
    with st.popover("分派", icon=":material/person_add:", width="stretch", disabled=not queue or is_reader()):
        st.caption(f"把当前列出的条目交给一位复核人；从第一条数起，共 {len(queue)} 条。")
        to = st.text_input("受派人", key="give:to", max_chars=30, placeholder="姓名；留空为收回")
        n = st.number_input("条数", 1, max(len(queue), 1), min(50, max(len(queue), 1)), key=f"give:n:{len(queue)}")
        st.button("分派", type="primary", on_click=_assign, args=(queue, to, int(n)), key="give:do")


def _assign(queue: list[GapRow], to: str, n: int) -> None:
    try:
        done = assign(review_log(), queue[:n], reviewer(), to)
        st.toast(plain(f"已分派 {done} 条{'给 ' + to if to else '（收回）'}"), icon=":material/person_add:")
    except ReviewError as error:
        st.session_state["review:problem"] = chinese(str(error))


def _of_people(state: RowState) -> bool:
    value = st.session_state
    return (
        (not value["review.l"] or state.label in value["review.l"])
        and (not value["review.mine"] or value["review.mine"] in people(state))
        and (not value["review.to"] or value["review.to"] == state.assignee)
    )


def _in_queue(state: RowState, queue: str = "") -> bool:
    queue = queue or st.session_state["review.q"]
    return queue == "all" or state.state == queue or (queue == "todo" and state.state in TODO)


def _bar(library: Library, row: GapRow, state: RowState, ids: list[str], at: int, second: bool) -> None:
    """Where we are, and the decisions; every button has a key to press."""
    seen = state.decision.last_event if state.decision else ""
    after_this = ids[at + 1] if at + 1 < len(ids) else ids[at - 1] if at else row.row_id
    _message(library, row)
    reader = is_reader()
    title, back, forth, undo = st.columns([5, 1, 1, 1.2], vertical_alignment="center")
    title.markdown(
        f"**第 {at + 1} / {len(ids)} 条　《{plain(row.national.meta.title)}》{plain(row.requirement.address)}**"
    )
    back.button(
        "上一条", shortcut="K", on_click=_set, args=("row", ids[max(at - 1, 0)]), width="stretch", disabled=at == 0
    )
    forth.button(
        "下一条",
        shortcut="J",
        on_click=_set,
        args=("row", ids[min(at + 1, len(ids) - 1)]),
        width="stretch",
        disabled=at + 1 == len(ids),
    )
    undo.button(
        "撤销",
        shortcut="Z",
        on_click=_undo,
        args=(row,),
        width="stretch",
        help="撤销本人在这一条上的最后一次记录",
        disabled=not seen or reader,
    )
    proposed = row.assessment.proposed_label
    first, *others = st.columns([1.5, *[1] * len(KEYS)])
    first.button(
        "确认机器结论",
        shortcut="Y",
        type="primary",
        width="stretch",
        help=f"机器结论：{proposed}",
        disabled=reader,
        on_click=_decide,
        args=(library, row, proposed, seen, after_this, second),
    )
    for column, (press, label) in zip(others, KEYS.items(), strict=True):
        column.button(
            {"直接适用无需配套": "直接适用"}.get(label, label),
            shortcut=press,
            width="stretch",
            on_click=_decide,
            args=(library, row, label, seen, after_this, second),
            help=f"改判为“{label}”",
            disabled=reader,
        )
    if state.decision and not second:
        _stands(row, state)


def _stands(row: GapRow, state: RowState) -> None:
    """What is recorded for the row."""
    d = state.decision
    parts = [badge(STATES[state.state], "kb-warn" if state.state in ("suspect", "disputed") else "")]
    if "label" in d.values:
        parts.append(badge(d.values["label"], LABEL_CSS[d.values["label"]]))
        parts.append(f'<span class="kb-muted">{escape(d.who)} {local_time(d.at)}</span>　')
    if d.second_label:
        parts.append(f"第二人 {escape(d.second_who)}：{badge(d.second_label, LABEL_CSS[d.second_label])}")
    for name in ("note", "measure", "owner", "due", "progress", "assignee"):
        if d.values.get(name):
            parts.append(f"<br><b>{FIELDS[name]}</b>　{escape(d.values[name])}")
    if d.values.get("evidence"):
        picked = "；".join(f"{doc} {article}" for doc, article in parse_evidence(d.values["evidence"]))
        parts.append(f"<br><b>人工选定的本地依据</b>　{escape(picked)}")
    st.html(f'<div class="kb-box">{"".join(parts)}</div>')


def _show(library: Library, row: GapRow, state: RowState) -> None:
    if state.changes:
        detail.changes(state.changes)
    position = detail.draw(library, row, state)
    _opinion(library, row, state, position)
    if state.decision:
        with st.expander(f"这一条的全部记录（{len(state.decision.history)}）"):
            st.dataframe([event_row(e) for e in reversed(state.decision.history)], hide_index=True, width="stretch")


def _opinion(library: Library, row: GapRow, state: RowState, position: int) -> None:
    """Note, measure, unit, deadline, and another local provision as evidence."""
    held = state.decision.values if state.decision else {}
    seen = state.decision.last_event if state.decision else ""
    with st.expander("写意见、定任务、另选依据", icon=":material/edit_note:"):
        with st.form(f"opinion:{row.row_id}:{seen}", border=False):
            note = st.text_area("差距说明（写入报告）", held.get("note", ""), max_chars=2000, height=90)
            a, b, c, d, e = st.columns(5)
            measures = ["", *MEASURES]
            measure = a.selectbox(
                "建议举措",
                measures,
                index=_index(measures, held.get("measure")),
                format_func=lambda v: v or f"（{row.assessment.suggestion}）",
            )
            owner = b.text_input("责任单位", held.get("owner", ""), max_chars=100, placeholder="牵头单位、配合单位")
            due = c.text_input("完成时限", held.get("due", ""), max_chars=40, placeholder="如 2026年底前")
            steps = ["", *PROGRESS]
            progress = d.selectbox(
                "状态", steps, index=_index(steps, held.get("progress")), format_func=lambda v: v or "—"
            )
            assignee = e.text_input("受派人", held.get("assignee", ""), max_chars=30, placeholder="交给谁复核")
            if st.form_submit_button("保存", disabled=is_reader()):
                new = {
                    "note": note,
                    "measure": measure,
                    "owner": owner,
                    "due": due,
                    "progress": progress,
                    "assignee": assignee,
                }
                changed = {k: v.strip() for k, v in new.items() if v.strip() != held.get(k, "")}
                if changed:
                    _save(library, row, changed, seen)
                    st.rerun()
        local = {d.doc_id: d for d in library.documents if d.meta.level != "national"}
        shown = row.assessment.evidence[position] if row.assessment.evidence else None
        a, b, c = st.columns([3, 2, 1.4], vertical_alignment="bottom")
        ids = list(local)
        doc = a.selectbox(
            "另选本地依据",
            ids,
            index=ids.index(shown.doc_id) if shown and shown.doc_id in ids else 0,
            key=f"pickdoc:{row.row_id}",
            format_func=lambda i: f"{local[i].meta.title}（{STATUS_NAMES.get(local[i].meta.status, '')}）",
        )
        articles = [label for _, label in library.provision_seqs(library.document_seq(doc))]
        article = b.selectbox(
            "条",
            articles,
            index=articles.index(shown.article) if shown and shown.doc_id == doc and shown.article in articles else 0,
            key=f"pickart:{row.row_id}:{doc}",
        )
        c.button(
            "用作依据",
            width="stretch",
            on_click=_save,
            args=(library, row, {"evidence": format_evidence([(doc, article)])}, seen),
            help="代替机器找到的条文，报告中引用这一条",
            disabled=is_reader(),
        )


def _index(values: list[str], value: str | None) -> int:
    return values.index(value) if value in values else 0


# -- recording ----------------------------------------------------------------------------------------------------------


def _decide(library: Library, row: GapRow, label: str, seen: str, after_this: str, second: bool) -> None:
    state = states_of(library, rows_of_page(library, row)).get(row.row_id)
    role = "second" if second else "resolve" if state and state.state == "disputed" else "first"
    if _save(library, row, {"label": label}, seen, role):
        st.session_state["review.row"] = after_this


def rows_of_page(library: Library, row: GapRow) -> list[GapRow]:
    """Rows of the document of a row against its scope, from memory."""
    from kb.rows import scope_choice

    return rows_of(library, [row.requirement.doc_id], scope_choice(library, row.row_id.rpartition("@")[2]))


def _save(library: Library, row: GapRow, after: dict[str, str], seen: str | None, role: str = "first") -> bool:
    """Record, or keep what the user wanted together with the reason why it could not be recorded."""
    try:
        decide(review_log(), library, row, reviewer(), after, role=role, seen=seen)
    except ReviewConflict as conflict:
        st.session_state["review:pending"] = (row.row_id, after, role, conflict)
        return False
    except ReviewError as error:
        st.session_state["review:problem"] = chinese(str(error))
        return False
    st.session_state.pop("review:pending", None)
    name = after.get("label") or "、".join(FIELDS[k] for k in after)
    st.toast(plain(f"已记录：{row.requirement.address} {name}"), icon=":material/check:")
    return True


def _undo(row: GapRow) -> None:
    try:
        review_log().undo(row.row_id, reviewer())
        st.toast(plain(f"已撤销：{row.requirement.address}"), icon=":material/undo:")
    except ReviewError as error:
        st.session_state["review:problem"] = chinese(str(error))


def _message(library: Library, row: GapRow) -> None:
    """What went wrong with the last decision; nothing the user wrote is lost."""
    if problem := st.session_state.pop("review:problem", None):
        st.error(plain(problem))
    pending = st.session_state.get("review:pending")
    if not pending or pending[0] != row.row_id:
        return
    _, after, role, conflict = pending
    mine = "；".join(f"{FIELDS[k]}：{v}" for k, v in after.items())
    theirs = "；".join(f"{FIELDS[k]}：{v}" for k, v in conflict.current.last.after.items()) or "已撤销"
    st.warning(plain(f"{conflict.message}（{theirs}）。你的内容尚未写入（{mine}）。"), icon=":material/group:")
    a, b, _ = st.columns([1.2, 1.2, 4])
    a.button("仍然提交", on_click=_save, args=(library, row, after, None, role), type="primary")
    b.button("放弃我的", on_click=lambda: st.session_state.pop("review:pending", None))


# -- the record, agreement, ledgers -------------------------------------------------------------------------------------


def event_row(event) -> dict[str, str]:
    """One event as a line of a list."""
    what = "撤销" if event.undoes else "；".join(f"{FIELDS[k]}：{v}" for k, v in event.after.items())
    before = "；".join(v for v in event.before.values() if v)
    role = {"first": "复核", "second": "第二人复核", "resolve": "定夺"}[event.role]
    return {
        "时间": local_time(event.at),
        "人": event.who,
        "环节": role,
        "条款": f"{event.doc_id} {event.address}",
        "内容": what,
        "原为": before,
    }


def _record(rows: list[GapRow], states: Mapping[str, RowState]) -> None:
    ids = {r.row_id for r in rows} | {s.decision.row_id for s in states.values() if s.decision}
    gone = orphans(rows, review_log().decisions())
    ids |= {d.row_id for d in gone}
    events = [e for e in review_log().events() if e.row_id in ids]
    if gone:
        st.warning(f"有 {len(gone)} 条结论所针对的国家要求已不在库内，记录保留如下。")
    if findings := review_log().findings():
        st.warning(f"复核记录中有 {len(findings)} 行无法读取，已跳过：{findings[0].where}。")
    if not events:
        st.info("还没有复核记录。到“逐条复核”中确认或改判一条，就会出现在这里。")
        return
    names = sorted({e.who for e in events})
    who = st.selectbox("复核人", ["", *names], format_func=lambda v: v or "全部")
    st.caption(f"共 {sum(not who or e.who == who for e in events)} 条记录，只增不改。")
    st.dataframe(
        [event_row(e) for e in reversed(events) if not who or e.who == who],
        hide_index=True,
        width="stretch",
        height=420,
    )


def _agreement(rows: list[GapRow], states: Mapping[str, RowState]) -> None:
    found = agreement(s.decision for s in states.values() if s.decision)
    if not found.n:
        st.info("还没有两人都看过的条目。请第二位复核人署名后，打开“第二人复核”独立判断。")
        return
    differ = {d.row_id for d in found.disputed}
    parts = {
        "differ": ("结论不同", len(differ)),
        "same": ("结论相同", found.n - len(differ)),
        "both": ("两人都看过", found.n),
    }
    a, b, c = st.columns([2.4, 1, 1], vertical_alignment="bottom")
    part = a.segmented_control(
        "列出",
        list(parts),
        format_func=lambda k: f"{parts[k][0]} {parts[k][1]}",
        key="agreement:part",
        default="differ",
        required=True,
    )
    b.metric("相同比例", f"{found.observed:.0%}")
    c.metric("一致性系数 κ", "—" if found.kappa is None else f"{found.kappa:.2f}", help="1 为完全一致，0 相当于随机")
    labels = list(found.per_label)
    event = st.dataframe(
        [
            {"结论": k, "第一人": n, "第二人": m, "κ": "—" if v is None else f"{v:.2f}"}
            for k, (n, m, v) in found.per_label.items()
        ],
        hide_index=True,
        width="stretch",
        on_select="rerun",
        selection_mode="single-row",
        key="agreement:labels",
        height=36 * len(labels) + 38,
    )
    label = labels[event.selection.rows[0]] if event.selection.rows and event.selection.rows[0] < len(labels) else ""
    shown = [
        d
        for d in found.both
        if (part == "both" or (d.row_id in differ) == (part == "differ"))
        and (not label or label in (d.first_label, d.second_label))
    ]
    st.caption(f"{parts[part][0]}{f'、任一人判为“{label}”' if label else ''}：{len(shown)} 条。点选一行打开。")
    event = st.dataframe(
        [
            {
                "国家文件": d.history[0].doc_id,
                "条款": d.history[0].address,
                "第一人": f"{d.first_who}：{d.first_label}",
                "第二人": f"{d.second_who}：{d.second_label}",
                "定夺": f"{d.who}：{d.values['label']}" if d.resolved else "待定夺" if d.row_id in differ else "—",
            }
            for d in shown
        ],
        hide_index=True,
        width="stretch",
        on_select="rerun",
        selection_mode="single-row",
        key=f"agreement:rows:{part}:{label}:{len(shown)}:{st.session_state.get('agreement:turn', 0)}",
    )
    if event.selection.rows and event.selection.rows[0] < len(shown):
        st.session_state["agreement:turn"] = st.session_state.get("agreement:turn", 0) + 1
        st.session_state["review:go"] = shown[event.selection.rows[0]].row_id
        st.rerun()


def _import(library: Library, rows: list[GapRow], states: Mapping[str, RowState], scope: ScopeChoice) -> None:
    from kb.report_xlsx import EDITABLE, read_ledger

    st.caption(f"导入在 Excel 中修改过的对标台账。只会读取这些列：{'、'.join(EDITABLE)}；其他列的改动会列出而不采用。")
    file = st.file_uploader("对标台账（.xlsx）", type=["xlsx"])
    if file is None:
        return
    ledger = read_ledger(file.getvalue(), build_report(library, rows, states, scope, "台账").rows)
    by_id = {r.row_id: r for r in rows}
    st.markdown(f"**将写入 {len(ledger.edits)} 行**")
    st.dataframe(
        [
            {
                "位置": e.where,
                "条款": by_id[e.row_id].requirement.address,
                "修改": "；".join(f"{FIELDS[k]}：{v}" for k, v in e.after.items()),
            }
            for e in ledger.edits
        ],
        hide_index=True,
        width="stretch",
    )
    for text in (*ledger.refused, *ledger.unknown):
        st.caption(f"· {plain(text)}")
    if ledger.edits and st.button("写入", type="primary", disabled=is_reader()):
        done, conflicts = apply_ledger(library, by_id, ledger, reviewer())
        st.success(f"已写入 {done} 行。")
        if conflicts:
            st.markdown(f"**没有写入的 {len(conflicts)} 行**")
        for text in conflicts:
            st.warning(plain(text))


def apply_ledger(library: Library, rows: Mapping[str, GapRow], ledger, who: str) -> tuple[int, list[str]]:
    """Record the edits of a ledger; rows decided meanwhile are left alone and named."""
    done, conflicts = 0, []
    for edit in ledger.edits:
        try:
            decide(review_log(), library, rows[edit.row_id], who, edit.after, seen=edit.seen)
            done += 1
        except KbError as error:
            conflicts.append(f"{edit.where}：{chinese(error.message)}，未写入")
    return done, conflicts
