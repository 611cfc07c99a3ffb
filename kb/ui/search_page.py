"""检索: one box, what was understood, hits with their source."""

from __future__ import annotations

import datetime as dt
import re

import streamlit as st

from kb.index import Library
from kb.models import LEVEL_NAMES, LEVELS, STATUS_NAMES, Hit
from kb.query import Reading
from kb.search import Filters, SearchResult, search
from kb.ui.data import publish, restore, within
from kb.ui.markup import document_badges, escape, plain, with_marks, word_spans

PAGE = "search"
DEFAULTS: dict[str, object] = {"q": "", "level": "", "status": "", "kind": "", "topic": "", "since": "", "asof": ""}
READING_NAMES = {
    "place": "层级",
    "since": "起始",
    "until": "截止",
    "intent": "意图",
    "wording": "规范用语",
    "number": "数字写法",
}
INTENT_NAMES = {
    "definition": "查定义",
    "amount": "查期限数量",
    "liability": "查责任",
    "responsibility": "查职责",
    "comparison": "作对照",
    "presence": "有无规定",
    "across": "看各地",
    "counterpart": "找对应条文",
    "draft": "找征求意见稿",
}
EXAMPLES = (
    "个保法第三十八条第一款",
    "发改数据规 2025 26号",
    "重要数据风险评估多久做一次",
    "公共数据授权运营的收益怎么分配",
)


def page(library: Library) -> None:
    """Draw the page; query and filters live in the address."""
    st.title("检索")
    restore(PAGE, DEFAULTS)
    query = st.text_input(
        "检索",
        key="search.q",
        label_visibility="collapsed",
        placeholder="输入问题、文号、文件名或条文，例如：数据安全法第二十一条",
    )
    filters = _filters(library)
    publish(PAGE, DEFAULTS)
    if not query.strip():
        st.caption("试试：" + "　".join(f"“{e}”" for e in EXAMPLES))
        held = f"库内 {len(library.documents)} 份文件，{sum(d.n_provisions for d in library.documents):,} 条"
        st.page_link(st.session_state["pages"]["library"], label=held, icon=":material/library_books:")
        return
    ignore = set(st.session_state.get("ignored", {}).get(query, ()))
    result = search(library, query, filters, top=20, ignore=ignore)
    _understood(query, result.readings)
    if library.encoder is None:
        st.info("当前为词语检索（未启用语义模型）：换一种说法可能找不到，请多试几个词。")
    if result.message:
        (st.info if result.found else st.warning)(result.message)
    _hits(library, result)


def _filters(library: Library) -> Filters:
    kinds = sorted({d.meta.kind for d in library.documents if d.meta.kind})
    topics = sorted({t for d in library.documents for t in d.meta.topics})
    for name, values in (("level", LEVELS), ("status", list(STATUS_NAMES)), ("kind", kinds), ("topic", topics)):
        within(PAGE, name, ["", *values])
    columns = st.columns([1, 1, 1.4, 1.4, 1, 1])
    level = columns[0].selectbox(
        "层级", ["", *LEVELS], format_func=lambda v: LEVEL_NAMES.get(v, "全部"), key="search.level"
    )
    status = columns[1].selectbox(
        "时效", ["", *STATUS_NAMES], format_func=lambda v: STATUS_NAMES.get(v, "全部"), key="search.status"
    )
    kind = columns[2].selectbox("文种", ["", *kinds], format_func=lambda v: v or "全部", key="search.kind")
    topic = columns[3].selectbox("主题", ["", *topics], format_func=lambda v: v or "全部", key="search.topic")
    since = columns[4].text_input("施行不早于", key="search.since", placeholder="2024-01-01", max_chars=10)
    as_of = columns[5].text_input(
        "时效截至", key="search.asof", placeholder="今天", max_chars=10, help="按这一天判断文件是否有效"
    )
    return Filters(
        level=level or None,
        status=status or None,
        kind=kind or None,
        topic=topic or None,
        since=_day(since),
        as_of=_day(as_of),
    )


def _day(text: str) -> str | None:
    """An ISO day (a year or month will do for its first day), or None with a word of help."""
    match = re.fullmatch(r"(\d{4})(?:-(\d{1,2}))?(?:-(\d{1,2}))?", text.strip())
    try:
        return dt.date(*(int(x or 1) for x in match.groups())).isoformat() if match else None
    except ValueError:
        return None
    finally:
        if text.strip() and not match:
            st.caption("日期请写成 2024-01-01。")


def _understood(query: str, readings: tuple[Reading, ...]) -> None:
    """What was read out of the query, each with one click to undo."""
    if not readings:
        return
    st.caption("已理解为（点击可取消）：")
    columns = st.columns(max(len(readings), 4))
    for column, reading in zip(columns, readings, strict=False):
        means = "、".join(LEVEL_NAMES.get(m, INTENT_NAMES.get(m, m)) for m in reading.means[:3])
        label = plain(f"{READING_NAMES[reading.kind]}：{reading.said} → {means} ✕")
        if column.button(label, key=f"undo:{reading.key}", help="按原话检索，不作这一理解"):
            ignored = st.session_state.setdefault("ignored", {})
            ignored[query] = [*ignored.get(query, ()), reading.key]
            st.rerun()


def _hits(library: Library, result: SearchResult) -> None:
    shown = result.hits
    if not shown:
        return
    heading = f"{len(result.hits)} 条" if result.found else "最接近的条文"
    left, right = st.columns([3, 1])
    left.caption(f"{heading} · {result.took_ms:.0f} 毫秒 · 索引 {library.generation}")
    if right.toggle("按文件归组", key="grouped"):
        for title in dict.fromkeys(h.title for h in shown):
            st.subheader(title)
            for hit in (h for h in shown if h.title == title):
                _hit(library, hit)
        return
    for hit in shown:
        _hit(library, hit)


def _hit(library: Library, hit: Hit) -> None:
    info = library.info(hit.doc_id)
    with st.container(border=True):
        pin = "📌 " if hit.pinned else ""
        st.markdown(f"**{hit.rank}. {pin}《{plain(hit.title)}》{plain(hit.address)}**")
        st.html(document_badges(info.meta, hit.status, info.quality))
        start = hit.text.find(hit.best_sentence)
        spans = (
            [(start, start + len(hit.best_sentence), "kb-same")]
            if start >= 0 and len(hit.best_sentence) < len(hit.text)
            else []
        )
        spans = spans or word_spans(hit.text, hit.matched, "kb-hit")
        st.html(f'<div class="kb-text">{with_marks(hit.text[:600], [s for s in spans if s[1] <= 600])}</div>')
        if hit.reason:
            st.caption(plain("　·　".join(part for part in (hit.chapter, hit.reason) if part)))
        with st.expander("全文、引用、邻条、其他层级"):
            st.code(hit.citation, language=None)
            _neighbours(library, hit)
            _other_levels(library, hit)


def _neighbours(library: Library, hit: Hit) -> None:
    labels = library.provision_seqs(library.document_seq(hit.doc_id))
    place = next((i for i, (_, label) in enumerate(labels) if label == hit.article), 0)
    wanted = [seq for seq, _ in labels[max(0, place - 1) : place + 2]]
    for _, provision in sorted(library.provisions(wanted).values(), key=lambda pair: pair[1].start):
        st.html(
            f'<div class="kb-text"><span class="kb-muted">{escape(provision.label)}</span> {escape(provision.text)}</div>'
        )


def _other_levels(library: Library, hit: Hit) -> None:
    """The same point at the other levels, on request."""
    if not st.toggle("同一问题在其他层级", key=f"levels:{hit.provision_id}"):
        return
    for level in (name for name in LEVELS if name != hit.level):
        found = search(library, hit.best_sentence, Filters(level=level), top=2)
        for other in found.hits[: 2 if found.found else 1]:
            st.html(
                f'<div class="kb-text"><b>{escape(LEVEL_NAMES[level])}</b> {escape(other.citation)}<br>{escape(other.best_sentence)}</div>'
            )
