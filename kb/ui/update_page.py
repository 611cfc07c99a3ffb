"""更新: add files with a preview, build with real progress, and see what changed."""

from __future__ import annotations

import queue
import threading
import time

import streamlit as st

from kb.errors import KbError
from kb.index import Library, build, read_manifest
from kb.models import LEVEL_NAMES, LEVELS
from kb.ui.data import settings

STAGES = {"read": "读取文件", "embed": "计算语义", "judge": "比对", "write": "写入"}


def page(library: Library | None) -> None:
    """Draw the page; it also works before the first index exists."""
    st.title("更新")
    left, right = st.columns([1.4, 1], gap="large")
    with left:
        _add()
    with right:
        _build(library)
    _last(library)


def _add() -> None:
    st.subheader("添加文件")
    level = st.segmented_control("放入", LEVELS, format_func=LEVEL_NAMES.get, default="national", key="update:level", required=True)
    limit = settings().max_file_mb
    files = st.file_uploader(
        f"选择文件（PDF、Word、OFD、网页、文本；每个不超过 {limit} MB）", accept_multiple_files=True, max_upload_size=limit,
        key=f"update:files:{st.session_state.get('update:turn', 0)}",
    )
    if not files:
        st.caption("先预览，确认标题、文号、日期和条数无误后再放入文库。没有文件时，也可以把文件放进 corpus 文件夹，再点“更新索引”。")
        return
    import tempfile
    from pathlib import Path

    from kb.corpus import SourceFile, to_document
    from kb.read import read_file

    previews = []
    with tempfile.TemporaryDirectory() as folder:
        for number, file in enumerate(files):
            name = safe_name(file.name)
            path = Path(folder) / f"{number}" / name
            path.parent.mkdir()
            path.write_bytes(file.getvalue())
            try:
                source = read_file(path, name=name)
                previews.append((name, file, to_document(source, SourceFile(path, f"{level}/{name}", level)), ""))
            except KbError as error:
                previews.append((name, file, None, f"{error.message} {error.hint}"))
    for name, _, document, problem in previews:
        _preview(name, document, problem)
    good = [(name, file) for name, file, document, _ in previews if document is not None and document.provisions]
    if good and st.button(f"放入文库并更新（{len(good)} 份）", type="primary"):
        added, refused = place(settings().corpus, level, [(name, file.getvalue()) for name, file in good])
        for text in refused:
            st.warning(text)
        if added:
            st.session_state["update:turn"] = st.session_state.get("update:turn", 0) + 1
            _run()


def safe_name(name: str) -> str:
    """The last part of a name without characters that mean something to a file system."""
    bare = name.replace("\\", "/").rsplit("/", 1)[-1]
    bare = "".join(c for c in bare if c.isprintable() and c not in '<>:"|?*').lstrip(".").strip()
    return bare[-120:] or "未命名.txt"


def place(corpus, level: str, files: list[tuple[str, bytes]]) -> tuple[list[str], list[str]]:
    """Write files into the folder of their level; a file of the same name with other content is never overwritten."""
    added, refused = [], []
    folder = corpus / level
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files:
        target = folder / name
        if target.exists():
            same = target.read_bytes() == data
            refused.append(f"{name}：文库里已有同名文件{'，内容相同' if same else '，内容不同；请先改名，或用 kb ingest 作为新版本收入'}。")
            continue
        target.write_bytes(data)
        added.append(name)
    return added, refused


def _preview(name: str, document, problem: str) -> None:
    with st.container(border=True):
        if document is None:
            st.error(f"**{name}**　不能读取：{problem}")
            return
        meta = document.meta
        st.markdown(f"**{name}**")
        facts = [("标题", meta.title), ("文号", meta.doc_no), ("文种", meta.kind), ("制定机关", "、".join(meta.issuers)), ("公布", meta.promulgated_on or meta.signed_on), ("施行", meta.effective_on)]
        st.caption("　".join(f"{k}：{v or '未识别'}" for k, v in facts))
        labels = [p.label for p in document.provisions]
        if not labels:
            st.warning("没有识别出条文，不会放入文库。请检查文件是否为扫描件、目录页或网页导航。")
            return
        st.caption(f"共 {len(labels)} 条：{labels[0]} … {labels[-1]}")
        for finding in document.findings[:5]:
            st.caption(f"· {finding.what} {finding.fix}")
        with st.expander("前几条正文"):
            for provision in document.provisions[:3]:
                st.text(provision.text[:400])


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
            result["summary"] = build(current, progress=lambda *event: events.put(event), force=force)
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
        st.error(f"{error.message}\n\n{error.hint}")
        return
    st.session_state["update:summary"] = (result["summary"], changed_documents(before, read_manifest(current.index)))
    st.rerun()


def changed_documents(before: dict | None, after: dict | None) -> dict[str, list[str]]:
    """Documents new, changed and removed between two manifests."""
    old, new = (before or {}).get("documents", {}), (after or {}).get("documents", {})
    return {
        "新增": sorted(i for i in new if i not in old), "有变化": sorted(i for i in new if i in old and new[i] != old[i]),
        "移除": sorted(i for i in old if i not in new),
    }


def _last(library: Library | None) -> None:
    st.subheader("最近一次更新")
    if held := st.session_state.get("update:summary"):
        summary, changed = held
        d = summary.documents
        st.success(
            f"完成，用时 {summary.seconds:.0f} 秒：新增 {d.new}、有变化 {d.changed}、未变 {d.same}、移除 {d.removed}、不能读取 {d.failed}；"
            f"共 {summary.provisions:,} 条、{summary.requirements:,} 项要求。"
        )
        for name, ids in changed.items():
            if ids:
                st.markdown(f"**{name}（{len(ids)}）**")
                for doc_id in ids[:30]:
                    st.page_link(st.session_state["pages"]["library"], label=doc_id, query_params={"doc": doc_id}, disabled=name == "移除")
        if any(changed.values()):
            st.page_link(st.session_state["pages"]["review"], label="查看因文本变化而待复核的条目", query_params={"q": "suspect"}, icon=":material/fact_check:")
    if library is None:
        st.info("还没有索引。点“更新索引”建立第一个。")
        return
    manifest = library.manifest
    st.caption(f"当前索引 {library.generation}，建立于 {str(manifest['created_at'])[:16].replace('T', ' ')}（UTC）；{manifest['counts']['documents']} 份文件。")
    findings = manifest.get("findings", [])
    if manifest.get("failed"):
        st.warning(f"不能读取的文件（{len(manifest['failed'])}）：{'、'.join(manifest['failed'][:20])}")
    if findings:
        with st.expander(f"读取时的提示（{len(findings)}）"):
            st.dataframe(
                [{"程度": {"error": "错误", "warning": "注意", "info": "提示"}.get(f["severity"], f["severity"]), "文件": f["where"], "情况": f["what"], "处理": f["fix"]} for f in findings],
                hide_index=True, width="stretch", height=300,
            )
