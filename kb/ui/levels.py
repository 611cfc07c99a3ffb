"""逐级对照 (national → province → city, the weakest link) and 线索 (texts that lag behind), as views of 差距图谱."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import streamlit as st

from kb.index import DocumentInfo, Library
from kb.models import LABELS
from kb.radar import KINDS, Signal, radar
from kb.rows import GapRow, national_documents, scope_choice
from kb.ui import detail
from kb.ui.data import judged_documents, rows_of
from kb.ui.markup import badge, escape, plain, with_marks
from kb.ui.names import LABEL_COLORS, LABEL_CSS, certainty

if TYPE_CHECKING:
    from kb.gaps import Chain

# scope key -> name of the level, higher level first
LEVELS = {"province": "广东省", "city": "深圳市"}


@dataclass(frozen=True, slots=True)
class Chained:
    """One duty with its row at each level, and what the levels say together."""

    links: dict[str, GapRow]
    chain: Chain


def chained(links: dict[str, GapRow]) -> Chained:
    """The rows of one duty, higher level first, as kb.gaps links them."""
    from kb import gaps

    requirement = next(iter(links.values())).requirement
    return Chained(links, gaps.chained(requirement, {level: row.assessment for level, row in links.items()}))


def chains(library: Library, doc_ids: Sequence[str]) -> list[Chained]:
    """One entry for each duty of the documents, in their order; levels without any text in the library are left out."""
    by_level = {}
    for key in LEVELS:
        scope = scope_choice(library, key)
        if scope.doc_ids:
            by_level[key] = rows_of(library, doc_ids, scope)
    return [chained(dict(zip(by_level, rows, strict=True))) for rows in zip(*by_level.values(), strict=True)]


def view(library: Library, documents: dict[str, DocumentInfo], picked: list[str]) -> None:
    """The table of levels with its counts; a row opens the texts of all levels."""
    chosen = picked or _ready(library, list(documents))
    missing = [i for i in documents if i not in chosen]
    if not picked and missing:
        text, button = st.columns([5, 1])
        text.info(
            f"{len(chosen)} 份国家文件已逐级比对。可在上面挑选文件，或一次比对其余 {len(missing)} 份（需要几分钟）。"
        )
        if button.button("比对其余文件", width="stretch", key="levels:judge"):
            chains(library, list(documents))
            st.rerun()
    found = chains(library, chosen) if chosen else []
    if not found:
        st.caption("请先在上面选择一份国家文件。")
        return
    kinds = {
        "all": "全部",
        **{f"weak:{key}": f"最弱在{name}" for key, name in LEVELS.items()},
        "filled": "省级规定可补市级空白",
        "open": "两级都没有",
    }
    counts = Counter(kind for c in found for kind in _kinds(c))
    names = {k: f"{name} {counts[k]}" for k, name in kinds.items() if counts[k] or k == "all"}
    kind = st.segmented_control(
        "列出", list(names), format_func=names.get, default="all", required=True, key="levels:kind"
    )
    shown = [c for c in found if kind in _kinds(c)]
    several = len(chosen) > 1
    event = st.dataframe(
        [_line(c, several) for c in shown],
        hide_index=True,
        width="stretch",
        height=min(36 * len(shown) + 38, 330),
        on_select="rerun",
        selection_mode="single-row",
        key=f"levels:{kind}:{hash(tuple(chosen))}",
        column_config=_columns(),
    )
    at = event.selection.rows[0] if event.selection.rows else 0
    if at < len(shown):
        _detail(library, shown[at])


def _ready(library: Library, doc_ids: list[str]) -> list[str]:
    """Documents judged at every level already."""
    for key in LEVELS:
        scope = scope_choice(library, key)
        doc_ids = judged_documents(library, scope, doc_ids) if scope.doc_ids else doc_ids
    return doc_ids


def _kinds(c: Chained) -> list[str]:
    labels = [row.assessment.proposed_label for row in c.links.values()]
    out = ["all"]
    out += [f"weak:{c.chain.weakest}"] if c.chain.weakest else []
    out += ["filled"] if c.chain.filled_by else []
    out += ["open"] if all(x == "未覆盖" for x in labels) else []
    return out


def _line(c: Chained, several: bool) -> dict[str, object]:
    row = next(iter(c.links.values()))
    line = {"国家文件": detail.short_title(row.national.meta.title)} if several else {}
    line |= {"条款": row.requirement.address, "要求": row.requirement.text}
    line |= {LEVELS[key]: [r.assessment.proposed_label] for key, r in c.links.items()}
    return line | {"最弱一环": LEVELS.get(c.chain.weakest, "—"), "省级可补": c.chain.filled_by or "—"}


def _columns() -> dict:
    c = st.column_config
    pill = {
        name: c.MultiselectColumn(options=list(LABELS), color=[LABEL_COLORS[x] for x in LABELS], width=142)
        for name in LEVELS.values()
    }
    return {
        "国家文件": c.TextColumn(width=150),
        "条款": c.TextColumn(width=120),
        "要求": c.TextColumn(width=330),
        **pill,
    }


def _detail(library: Library, c: Chained) -> None:
    row = next(iter(c.links.values()))
    st.markdown(f"##### 《{plain(row.national.meta.title)}》{plain(row.requirement.address)}")
    if c.chain.filled_by:
        st.html(f'<div class="kb-line"><b>省级规定已覆盖，可直接适用于市级</b>　{escape(c.chain.filled_by)}</div>')
    columns = st.columns(1 + len(c.links), gap="medium")
    with columns[0]:
        st.markdown("**国家要求**")
        st.html(f'<div class="kb-text kb-box">{escape(row.requirement.text)}</div>')
    for column, (key, link) in zip(columns[1:], c.links.items(), strict=True):
        with column:
            a = link.assessment
            weak = badge("最弱一环", "kb-warn") if key == c.chain.weakest else ""
            st.markdown(f"**{LEVELS[key]}**")
            st.html(
                badge(a.proposed_label, LABEL_CSS[a.proposed_label]) + badge(f"把握 {certainty(a.confidence)}") + weak
            )
            shown = a.evidence[0] if a.evidence else None
            marks = detail.comparison(link, shown, a.proposed_label)
            if shown:
                role = "" if shown.grade == 2 else badge("仅相关，不作依据")
                st.html(
                    f'<div class="kb-cite">《{escape(shown.title)}》{escape(shown.address)} {role}</div>'
                    f'<div class="kb-text kb-box">{with_marks(shown.quote, detail.spans(marks.local))}</div>'
                )
            st.html(f'<div class="kb-line kb-muted">{escape(a.reason)}</div>')


# -- signs that a text lags behind ------------------------------------------------------------------------------------------


@st.cache_resource(max_entries=2, show_spinner="正在查找滞后和缺口的线索……")
def _signals(folder: str, day: str, _library: Library) -> list[Signal]:
    scope = scope_choice(_library)
    national = [_library.document(d.doc_id) for d in national_documents(_library)]
    return radar(national, [_library.document(i) for i in scope.doc_ids])


def signals(library: Library) -> list[Signal]:
    """Signals of the default scope, read once for a generation and a day."""
    from kb.rows import today

    return _signals(str(library.folder), today(), library)


def view_signals(library: Library) -> None:
    """Signals by kind; a row opens the document at the place."""
    found = signals(library)
    counts = Counter(s.kind for s in found)
    if not found:
        st.info("没有发现滞后或缺口的线索。")
        return
    names = {"": f"全部 {len(found)}"} | {k: f"{name} {counts[k]}" for k, name in KINDS.items() if counts[k]}
    kind = st.segmented_control("线索", list(names), format_func=names.get, default="", key="signals:kind") or ""
    shown = [s for s in found if kind in ("", s.kind)]
    st.caption("程序按日期、引用和“另行制定”等字样找出，供核查；点选一行打开文件。")
    event = st.dataframe(
        [
            {
                "线索": KINDS[s.kind],
                "文件": s.title,
                "条款": s.where or "—",
                "涉及": s.about or "—",
                "说明": s.why,
            }
            for s in shown
        ],
        hide_index=True,
        width="stretch",
        height=min(36 * len(shown) + 38, 460),
        on_select="rerun",
        selection_mode="single-row",
        key=f"signals:{kind}:{st.session_state.get('signals:turn', 0)}",
    )
    if event.selection.rows:
        st.session_state["signals:turn"] = st.session_state.get("signals:turn", 0) + 1
        signal = shown[event.selection.rows[0]]
        info = next((d for d in library.documents if d.meta.title == signal.title), None)
        if info:
            query = {"doc": info.doc_id} | ({"at": signal.where} if signal.where else {})
            st.switch_page(st.session_state["pages"]["library"], query_params=query)
