"""更新: add files with a preview, build with real progress, look through the inbox, and see what changed, now and before."""

from __future__ import annotations

import queue
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import streamlit as st

from kb.change_note import as_markdown
from kb.changes import ChangeNote
from kb.errors import KbError
from kb.index import Library, build, read_manifest
from kb.models import LEVEL_NAMES, LEVELS, STATUS_NAMES
from kb.ui.data import settings
from kb.ui.markup import plain
from kb.ui.names import QUALITY_NAMES
from kb.ui.said import chinese, of_error
from kb.update import notes, read_note, update

AUTO = "自动"
ITEM_STATES = {
    "new": "可以收入",
    "incomplete": "文本不完整",
    "same": "文库已有相同内容，不再收入",
    "undecided": "请在上面指明层级",
}
DATE_NAMES = {"signed_on": "成文", "promulgated_on": "公布", "effective_on": "施行", "expires_on": "失效"}
STAGES = {
    "inbox": "查看收件箱",
    "read": "读取文件",
    "ocr": "识别扫描页",
    "embed": "计算语义",
    "judge": "比对",
    "write": "写入",
}


def page(library: Library | None) -> None:
    """Draw the page; it also works before the first index exists."""
    st.title("更新")
    left, right = st.columns([1.4, 1], gap="large")
    with left:
        _add()
    with right:
        _build(library)
    _inbox()
    _last(library)
    _earlier()


def _add() -> None:
    st.subheader("添加文件")
    level = st.segmented_control(
        "层级",
        [AUTO, *LEVELS],
        format_func=lambda v: LEVEL_NAMES.get(v, v),
        default=AUTO,
        key="update:level",
        required=True,
        help="自动：按标题和制定机关判断",
    )
    limit = settings().max_file_mb
    folder = st.toggle("选择整个文件夹", key="update:folder")
    files = st.file_uploader(
        f"选择{'文件夹' if folder else '文件'}（PDF、Word、OFD、网页、文本、ZIP；每个不超过 {limit} MB）",
        accept_multiple_files="directory" if folder else True,
        max_upload_size=limit,
        key=f"update:files:{folder}:{st.session_state.get('update:turn', 0)}",
    )
    if not files:
        st.caption(
            "先预览，确认标题、文号、日期和条数无误后再放入文库。没有文件时，也可以把文件放进 corpus 文件夹，再点“更新索引”。"
        )
        return
    from kb.ingest import add, preview
    from kb.read import Limits

    current = settings()
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for number, file in enumerate(files):
            path = Path(folder) / f"{number}" / safe_name(file.name)
            path.parent.mkdir()
            path.write_bytes(file.getvalue())
            paths.append(path)
        limits = Limits(max_bytes=current.max_file_mb * 2**20, max_pages=current.max_pages)
        items = list(preview(paths, current.corpus, level=None if level == AUTO else level, limits=limits))
    for item in items:
        _preview(item)
    doubtful = any(i.state == "incomplete" for i in items)
    also = doubtful and st.checkbox("不完整的也收入（不会据以认定“未覆盖”）")
    ready = [i for i in items if i.state == "new" or (also and i.state == "incomplete")]
    if ready and st.button(f"放入文库并更新（{len(ready)} 份）", type="primary"):
        add(ready, current.corpus, incomplete=bool(also))
        st.session_state["update:turn"] = st.session_state.get("update:turn", 0) + 1
        _run()


def safe_name(name: str) -> str:
    """The last part of a name without characters that mean something to a file system."""
    bare = name.replace("\\", "/").rsplit("/", 1)[-1]
    bare = "".join(c for c in bare if c.isprintable() and c not in '<>:"|?*').lstrip(".").strip()
    return bare[-120:] or "未命名.txt"


def _preview(item) -> None:
    with st.container(border=True):
        name = item.path.rsplit("/", 1)[-1]
        if item.state == "refused":
            st.error(
                f"**{plain(name)}**　不能收入："
                + plain("；".join(f"{chinese(f.what)} {chinese(f.fix)}" for f in item.findings))
            )
            return
        st.markdown(f"**{plain(name)}**　{ITEM_STATES.get(item.state, item.state)}")
        facts = [
            ("标题", item.title),
            ("文号", item.doc_no),
            ("文种", item.kind),
            ("层级", LEVEL_NAMES.get(item.level, "")),
            ("时效", STATUS_NAMES.get(item.status, item.status)),
        ]
        facts += [(DATE_NAMES.get(k, k), v) for k, v in item.dates.items()]
        st.caption(plain("　".join(f"{k}：{v or '未识别'}" for k, v in facts)))
        st.caption(
            f"{item.provisions} 条，{item.characters:,} 字，文本{QUALITY_NAMES.get(item.quality, item.quality)}；存放于 {plain(item.target or '—')}"
        )
        for text in item.first[:3]:
            st.text(text[:160])
        for finding in item.findings[:6]:
            st.caption(plain(f"· {chinese(finding.what)} {chinese(finding.fix)}"))


def _build(library: Library | None) -> None:
    st.subheader("建立索引")
    st.caption("只处理有变化的文件；中途关闭页面不影响结果，原索引在完成前一直可用。")
    if st.button("更新索引", type="primary" if library is None else "secondary", width="stretch"):
        _run()
    if st.button("全部重建", width="stretch", help="规则或模型更新后使用"):
        _run(force=True)


def _run(force: bool = False) -> None:
    """Build in a thread, show its progress here, and keep what changed for after the reload."""
    events: queue.Queue = queue.Queue()
    result: dict = {}
    current = settings()

    def work() -> None:
        try:
            if force:
                result["summary"] = build(current, progress=lambda *event: events.put(event), force=True)
            else:
                done = update(current, progress=lambda *event: events.put(event))
                result["summary"], result["note"] = done.summary, done.note
        except KbError as error:
            result["error"] = error

    before = read_manifest(current.index)
    worker = threading.Thread(target=work, daemon=True)
    bar, log, lines = st.progress(0.0, text="正在准备……"), st.empty(), []
    worker.start()
    while worker.is_alive() or not events.empty():
        try:
            stage, done, total = events.get(timeout=0.3)
        except queue.Empty:
            continue
        name = STAGES.get(stage, stage)
        bar.progress(min(done / max(total, 1), 1.0), text=f"{name}：{done} / {total}")
        if done == total:
            lines.append(f"{time.strftime('%H:%M:%S')}　{name}完成：{total}")
            log.text("\n".join(lines))
    if error := result.get("error"):
        st.error(of_error(error))
        return
    note = result.get("note")
    st.session_state["update:summary"] = (
        result["summary"],
        changed_documents(before, read_manifest(current.index)),
        as_markdown(_in_chinese(note)) if note else "",
    )
    st.rerun()


def _in_chinese(note: ChangeNote) -> ChangeNote:
    """The note with what waits told in Chinese."""
    held = (replace(f, what=chinese(f.what), fix=chinese(f.fix)) for f in note.held)
    return replace(note, held=tuple(held))


def changed_documents(before: dict | None, after: dict | None) -> dict[str, list[str]]:
    """Documents new, changed and removed between two manifests."""
    old, new = (before or {}).get("documents", {}), (after or {}).get("documents", {})
    return {
        "新增": sorted(i for i in new if i not in old),
        "有变化": sorted(i for i in new if i in old and new[i] != old[i]),
        "移除": sorted(i for i in old if i not in new),
    }


def _last(library: Library | None) -> None:
    st.subheader("最近一次更新")
    if held := st.session_state.get("update:summary"):
        summary, changed, note = held
        d = summary.documents
        st.success(
            f"完成，用时 {summary.seconds:.0f} 秒：新增 {d.new}、有变化 {d.changed}、未变 {d.same}、移除 {d.removed}、不能读取 {d.failed}；"
            f"共 {summary.provisions:,} 条、{summary.requirements:,} 项要求。"
        )
        for name, ids in changed.items():
            if ids:
                st.markdown(f"**{name}（{len(ids)}）**")
                for doc_id in ids[:30]:
                    st.page_link(
                        st.session_state["pages"]["library"],
                        label=plain(doc_id),
                        query_params={"doc": doc_id},
                        disabled=name == "移除",
                    )
        if note:
            with st.expander("更新说明", expanded=True):
                st.markdown(note)
            st.download_button("下载更新说明", note, f"更新说明_{time.strftime('%Y%m%d')}.md", on_click="ignore")
        if any(changed.values()):
            st.page_link(
                st.session_state["pages"]["review"],
                label="查看因文本变化而待复核的条目",
                query_params={"q": "suspect"},
                icon=":material/fact_check:",
            )
    if library is None:
        st.info("还没有索引。点“更新索引”建立第一个。")
        return
    manifest = library.manifest
    st.caption(
        f"当前索引 {library.generation}，建立于 {str(manifest['created_at'])[:16].replace('T', ' ')}（UTC）；{manifest['counts']['documents']} 份文件。"
    )
    findings = manifest.get("findings", [])
    if manifest.get("failed"):
        st.warning(f"不能读取的文件（{len(manifest['failed'])}）：{plain('、'.join(manifest['failed'][:20]))}")
    if findings:
        with st.expander(f"读取时的提示（{len(findings)}）"):
            st.dataframe(
                [
                    {
                        "程度": {"error": "错误", "warning": "注意", "info": "提示"}.get(f["severity"], f["severity"]),
                        "文件": f["where"],
                        "情况": chinese(f["what"]),
                        "处理": chinese(f["fix"]),
                    }
                    for f in findings
                ],
                hide_index=True,
                width="stretch",
                height=300,
            )


# -- the inbox --------------------------------------------------------------------------------------------------------------


def _inbox() -> None:
    """Links found on watched pages and files dropped into the inbox, each with why it waits; people take or refuse them."""
    from kb import watch
    from kb.inbox import STATES, reject, waiting

    current = settings()
    head, look = st.columns([5, 1.4], vertical_alignment="bottom")
    head.subheader("收件箱")
    if look.button(
        "查看来源网页", icon=":material/travel_explore:", width="stretch", help="需要联网；只记录链接，不下载"
    ):
        with st.spinner("正在查看来源网页……"):
            _tried(lambda: _looked(watch.watch_all(current)))
    _told()
    everything = st.session_state.get("update:all", False)
    try:
        rows = waiting(current, everything=everything)
    except KbError as error:
        st.error(of_error(error))
        return
    st.toggle("也列出已收录、重复、不相关和已忽略的", key="update:all")
    if not rows:
        st.caption("没有待处理的链接或文件。可以把下载的文件放进 corpus/inbox 文件夹，或点“查看来源网页”。")
        return
    c = st.column_config
    event = st.dataframe(
        [
            {
                "状态": STATES[w.state],
                "日期": w.date,
                "名称": w.title,
                "层级": LEVEL_NAMES.get(w.level, ""),
                "与馆藏的关系": w.relation,
                "原因": chinese(w.reason),
                "来源": w.source or "放入的文件",
                "网址": w.url or None,
            }
            for w in rows
        ],
        hide_index=True,
        width="stretch",
        height=min(36 * len(rows) + 38, 330),
        on_select="rerun",
        selection_mode="multi-row",
        key=f"inbox:{hash(tuple((w.id, w.state) for w in rows))}",
        column_config={
            "名称": c.TextColumn(width=330),
            "原因": c.TextColumn(width=260),
            "网址": c.LinkColumn(width=120),
        },
    )
    chosen = [rows[i] for i in event.selection.rows if i < len(rows)]
    st.caption(
        f"共 {len(rows)} 项，已选 {len(chosen)} 项。采用：链接会下载后检查，暂缓的文件按人工决定收入；通过检查的文件由“更新索引”入库。"
    )
    level, take, drop, redesigned = st.columns([2, 1, 1, 1.6], vertical_alignment="bottom")
    where = level.selectbox(
        "层级（文件自己没有写明时）",
        ["", *LEVELS],
        format_func=lambda v: LEVEL_NAMES.get(v, "按内容判断"),
        key="inbox:level",
    )
    ids = [w.id for w in chosen]
    take.button(
        "采用",
        width="stretch",
        type="primary",
        disabled=not ids,
        on_click=_tried,
        args=(lambda: _taken(watch.approve(current, ids, level=where or None)),),
    )
    drop.button("忽略", width="stretch", disabled=not ids, on_click=_tried, args=(lambda: reject(current, ids),))
    sources = sorted({w.source for w in chosen if w.state == "unsure"})
    redesigned.button(
        "这个网页已改版，链接可信",
        width="stretch",
        disabled=not sources,
        on_click=_tried,
        args=(lambda: watch.accept(current, sources),),
    )


def _tried(act) -> None:
    """Do what a button asks for; an error is told on the page, not thrown at the reader."""
    try:
        act()
    except KbError as error:
        st.session_state["inbox:told"] = ("error", of_error(error))


def _looked(result) -> None:
    lines = [f"查看了 {len(result.sources)} 个来源，新发现 {len(result.items)} 个链接。"]
    lines += [f"{f.where}：{chinese(f.what)}" for f in result.findings if f.severity == "error"][:8]
    st.session_state["inbox:told"] = ("warning" if len(lines) > 1 else "success", "\n\n".join(map(plain, lines)))


def _taken(names: list[str]) -> None:
    said = (
        f"已收入文库 {len(names)} 份：{'、'.join(names[:10])}。点“更新索引”后可以检索和比对。"
        if names
        else "已下载，检查结果见下表。"
    )
    st.session_state["inbox:told"] = ("success", plain(said))


def _told() -> None:
    if told := st.session_state.pop("inbox:told", None):
        kind, text = told
        {"error": st.error, "warning": st.warning, "success": st.success}[kind](text)


# -- earlier notes ----------------------------------------------------------------------------------------------------------


def _earlier() -> None:
    """Change notes of earlier runs, newest first."""
    held = notes(settings())
    if not held:
        return
    st.subheader("历次更新说明")
    names = {}
    for path in held[:100]:
        try:
            data = read_note(path)
        except (OSError, ValueError):
            continue
        documents = len(data.get("documents", ()))
        moved = len(data.get("moved", ()))
        names[path] = f"{data.get('created_on', '')}　文件变化 {documents}，结论变动 {moved}　（{path.stem}）"
    chosen = st.selectbox(
        "更新说明",
        list(names),
        index=None,
        key="update:note",
        format_func=names.get,
        placeholder=f"共 {len(names)} 份，选择一份查看",
    )
    if chosen is None:
        return
    text = chosen.read_text(encoding="utf-8", errors="replace")
    with st.container(border=True, height=460):
        st.markdown(text)
    a, b, _ = st.columns([1, 1.4, 3])
    a.download_button("下载说明", text, f"{chosen.stem}.md", on_click="ignore")
    b.download_button(
        "下载全部明细（JSON）", chosen.with_suffix(".json").read_bytes(), f"{chosen.stem}.json", on_click="ignore"
    )
