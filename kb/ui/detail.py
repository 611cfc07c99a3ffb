"""One gap row in full: both texts side by side with their differences, the rule, the elements, neighbours, other places."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from kb.edits import frame_share
from kb.index import Library
from kb.metadata import status_on
from kb.models import LABELS, STATUS_NAMES, DocumentMeta, Evidence
from kb.review import RowState, TextChange
from kb.rows import GapRow, scope_choice, today
from kb.search import Filters, search
from kb.ui.data import rows_of
from kb.ui.markup import badge, document_badges, escape, with_marks
from kb.ui.names import LABEL_COLORS, LABEL_CSS, LABEL_HELP, MODALITY_NAMES, RULE_NAMES, TIER_NAMES, certainty
from kb.wording import Comparison, compare

# share of the national wording, in order, from which a text of another place says the same duty
_SAME_WORDING = 0.6
SILENT = ("未覆盖", "直接适用无需配套", "不适用")
LEGEND = (("kb-same", "两边都有"), ("kb-missing", "本地未见"), ("kb-differs", "两边不同"), ("kb-added", "本地另有"))


def draw(library: Library, row: GapRow, state: RowState, *, picked: int = 0) -> int:
    """Draw the row; returns the position of the local evidence that is shown."""
    st.html(verdict(row, state))
    left, right = st.columns(2, gap="medium")
    shown = _pick(row, picked, right)
    marks = comparison(row, shown, state.label)
    with left:
        st.markdown("**国家要求**")
        national(library, row, marks)
    with right:
        local(library, row, shown, marks)
    st.html(legend() + said(row, marks, state))
    _more(library, row, shown)
    return row.assessment.evidence.index(shown) if shown else 0


def verdict(row: GapRow, state: RowState) -> str:
    """Label, tag, severity, certainty, rule and reason in one strip."""
    a = row.assessment
    parts = [badge(state.label, LABEL_CSS.get(state.label, ""))]
    if a.tag and state.label == "已覆盖":
        parts.append(badge(a.tag))
    if a.severity and state.label in ("未覆盖", "部分覆盖", "疑似不一致"):
        parts.append(badge(f"严重程度 {a.severity}"))
    if state.label != a.label:
        parts.append(badge(f"机器结论 {a.proposed_label}", "kb-muted"))
    elif a.label != a.proposed_label:
        parts.append(badge(f"倾向 {a.proposed_label}", "kb-muted"))
    parts.append(badge(f"把握 {certainty(a.confidence)}"))
    parts.append(badge(f"判定依据 {RULE_NAMES.get(a.rule, a.rule)}"))
    help_text = LABEL_HELP.get(state.label, "")
    lines = [
        f"<div>{''.join(parts)}</div>",
        f'<div class="kb-line">{escape(a.reason)} <span class="kb-muted">{escape(help_text)}。</span></div>',
    ]
    if a.suggestion:
        lines.append(f'<div class="kb-line"><b>建议举措</b>　{escape(a.suggestion)}</div>')
    return "".join(lines)


def _pick(row: GapRow, picked: int, column) -> Evidence | None:
    evidence = row.assessment.evidence
    with column:
        st.markdown("**本地规定**")
        if not evidence:
            st.info("比对范围内没有找到相关条文。可扩大比对范围，或在“检索”中换一种说法查找。")
            return None
        names = [f"{'●' if e.grade == 2 else '○'} {short_title(e.title)}{e.article}" for e in evidence]
        at = min(max(picked, 0), len(evidence) - 1)
        chosen = st.selectbox(
            "本地条文",
            range(len(evidence)),
            index=at,
            format_func=lambda i: names[i],
            key=f"evidence:{row.row_id}",
            label_visibility="collapsed",
            help="● 决定结论的条文　○ 仅相关",
        )
    return evidence[chosen if chosen is not None else at]


def short_title(title: str) -> str:
    """A title without the parts everybody knows, for narrow places."""
    for long, short in (("中华人民共和国", ""), ("深圳经济特区", "深圳特区"), ("国家发展改革委等部门关于", "关于")):
        title = title.replace(long, short)
    return title


def comparison(row: GapRow, shown: Evidence | None, label: str) -> Comparison:
    """Marks of the duty against the quote that is shown."""
    if shown is None:
        return Comparison((), ())
    silent = shown.grade < 2 or label in SILENT
    return compare(row.requirement.text, shown.quote, silent=silent, clash=label == "疑似不一致")


def national(library: Library, row: GapRow, marks: Comparison) -> None:
    """Title, facts, address and the duty, with the whole article on demand."""
    meta = row.national.meta
    st.html(
        f'<div class="kb-cite">《{escape(meta.title)}》{escape(row.requirement.address)}</div>{facts(meta, row.national.quality)}'
        f'<div class="kb-text kb-box">{with_marks(row.requirement.text, spans(marks.national))}</div>'
    )
    duty = row.requirement
    words = [
        MODALITY_NAMES.get(duty.modality, duty.modality),
        f"主体：{duty.actor or '未写明'}（{TIER_NAMES.get(duty.tier, duty.tier)}）",
    ]
    words += [f"数量期限：{'、'.join(a.text for a in duty.amounts)}"] if duty.amounts else []
    words += [f"主题：{'、'.join(duty.topics)}"] if duty.topics else []
    st.caption("　".join(words))


def local(library: Library, row: GapRow, shown: Evidence | None, marks: Comparison) -> None:
    """The chosen local quote with its source."""
    if shown is None:
        return
    info = library.info(shown.doc_id)
    role = "决定结论" if shown.grade == 2 else "仅相关，不作依据"
    st.html(
        f'<div class="kb-cite">《{escape(info.meta.title)}》{escape(shown.address)} {badge(role)}</div>{facts(info.meta, info.quality)}'
        f'<div class="kb-text kb-box">{with_marks(shown.quote, spans(marks.local))}</div>'
    )


def facts(meta: DocumentMeta, quality: str) -> str:
    """Badges with level, number, status of today and dates."""
    return document_badges(meta, status_on(meta, today()), quality)


def spans(marks) -> list[tuple[int, int, str]]:
    """Marks of kb.wording as spans of markup."""
    return [(m.start, m.end, f"kb-{m.kind}") for m in marks]


def legend() -> str:
    """What the colours mean."""
    return '<div class="kb-line">' + "　".join(f'<span class="{css}">{name}</span>' for css, name in LEGEND) + "</div>"


def said(row: GapRow, marks: Comparison, state: RowState) -> str:
    """The differences in words: what the judge listed, then what the marks show, then open questions."""
    a = row.assessment
    lines = []
    if a.missing and state.label in ("部分覆盖", "待人工核定"):
        lines.append(("缺少的要素", "；".join(a.missing)))
    if a.differs and state.label in ("疑似不一致", "待人工核定"):
        lines.append(("不同之处", "；".join(a.differs)))
    if words := marks.said(row.requirement.text):
        lines.append(("用词差异", words))
    if a.questions:
        lines.append(("请核实", "；".join(a.questions)))
    return "".join(f'<div class="kb-line"><b>{k}</b>　{escape(v)}</div>' for k, v in lines)


def changes(items: Sequence[TextChange]) -> None:
    """Old and new wording of texts that changed after a decision."""
    st.warning("作出结论后文本有变化，请重新核对。", icon=":material/history:")
    for item in items:
        marks = compare(item.old, item.new) if item.old and item.new else Comparison((), ())
        left, right = st.columns(2)
        left.html(
            f'<div class="kb-cite">{escape(item.where)} · 当时</div><div class="kb-text kb-box">{with_marks(item.old, spans(marks.national)) or "（无）"}</div>'
        )
        right.html(
            f'<div class="kb-cite">{escape(item.where)} · 现在</div><div class="kb-text kb-box">{with_marks(item.new, spans(marks.local)) or "（已不存在）"}</div>'
        )


def _more(library: Library, row: GapRow, shown: Evidence | None) -> None:
    parts = ["要素对照", "上下条", "外地写法", "各级结论"]
    chosen = st.segmented_control("更多", parts, key=f"more:{row.row_id}", label_visibility="collapsed")
    if chosen == "要素对照":
        _elements(row)
    elif chosen == "上下条":
        left, right = st.columns(2)
        with left:
            neighbours(library, row.requirement.doc_id, row.requirement.label)
        with right:
            if shown:
                neighbours(library, shown.doc_id, shown.article)
    elif chosen == "外地写法":
        _peers(library, row)
    elif chosen == "各级结论":
        _levels(library, row)


def _elements(row: GapRow) -> None:
    rows = []
    for name, value in row.assessment.elements.items():
        ours, _, theirs = value.partition(" / ")
        for code, word in MODALITY_NAMES.items():
            ours, theirs = (word if part == code else part for part in (ours, theirs))
        rows.append({"要素": name, "国家": ours, "本地": theirs})
    if rows:
        st.dataframe(rows, hide_index=True, width="stretch")
    else:
        st.caption("没有可对照的本地条文。")


def neighbours(library: Library, doc_id: str, label: str) -> None:
    """The provision with the one before and the one after it, the address linked into the library."""
    labels = library.provision_seqs(library.document_seq(doc_id))
    place = next((i for i, (_, name) in enumerate(labels) if name == label), 0)
    wanted = [seq for seq, _ in labels[max(0, place - 1) : place + 2]]
    st.html(f'<div class="kb-cite">《{escape(library.info(doc_id).meta.title)}》</div>')
    for _, provision in sorted(library.provisions(wanted).values(), key=lambda pair: pair[1].start):
        css = "kb-text kb-box" if provision.label == label else "kb-text kb-muted"
        st.html(f'<div class="{css}">{escape(provision.text)}</div>')


def _peers(library: Library, row: GapRow) -> None:
    """How other places word the same duty, the closest wording first; for drafters, never counted as coverage."""
    if not any(d.meta.level == "peers" for d in library.documents):
        st.caption("文库里没有外地参考文件。可在“更新”页添加，层级选“外地参考”。")
        return
    found = search(library, row.requirement.full_text[:200], Filters(level="peers"), top=5)
    hits = sorted(found.hits, key=lambda h: -frame_share(row.requirement.text, h.best_sentence))
    if not hits:
        st.caption("外地参考中没有相近的条文。")
    for hit in hits:
        same = frame_share(row.requirement.text, hit.best_sentence) >= _SAME_WORDING
        marks = compare(row.requirement.text, hit.best_sentence, silent=not same)
        at = max(hit.text.find(hit.best_sentence), 0)
        shown = hit.text[at : at + 600] if same else hit.text[:500]
        shift = 0 if same else at
        moved = [(m.start + shift, m.end + shift, f"kb-{m.kind}") for m in marks.local if m.end + shift <= len(shown)]
        status = STATUS_NAMES.get(hit.status, hit.status)
        kind = badge("同一要求的写法", "kb-guangdong") if same else badge("相近")
        st.html(
            f'<div class="kb-cite">《{escape(hit.title)}》{escape(hit.address)} {kind}{badge(status)}</div>'
            f'<div class="kb-text kb-box">{with_marks(shown, moved)}</div>'
        )
    if hits:
        st.caption("供起草参考，不计入本地覆盖。")


def _levels(library: Library, row: GapRow) -> None:
    """The same duty against the province, the city, and both; the weakest link and what fills it are named."""
    from kb.ui.levels import LEVELS, chained

    links = {}
    for key in ("province", "city", "chain"):
        scope = scope_choice(library, key)
        rows = rows_of(library, [row.requirement.doc_id], scope) if scope.doc_ids else []
        if found := next((r for r in rows if r.requirement == row.requirement), None):
            links[key] = (scope.name, found)
    chain = chained({key: links[key][1] for key in LEVELS if key in links}).chain if set(links) & set(LEVELS) else None
    lines = []
    for key, (name, found) in links.items():
        top = found.assessment.evidence[0] if found.assessment.evidence else None
        lines.append(
            {
                "比对范围": name,
                "结论": [found.assessment.proposed_label],
                "把握": certainty(found.assessment.confidence),
                "最相关条文": f"《{top.title}》{top.address}" if top else "—",
                "": "最弱一环" if chain and key == chain.weakest else "",
            }
        )
    pill = st.column_config.MultiselectColumn(options=list(LABELS), color=[LABEL_COLORS[x] for x in LABELS], width=142)
    st.dataframe(lines, hide_index=True, width="stretch", column_config={"结论": pill})
    if chain and chain.filled_by:
        st.html(f'<div class="kb-line"><b>省级规定可补市级空白</b>　{escape(chain.filled_by)}</div>')
