"""The export menu: a file is made when it is asked for, from the rows on the screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from kb.index import Library
from kb.render import render
from kb.report import KINDS, build_report
from kb.review import RowState
from kb.rows import GapRow, ScopeChoice

FORMATS = {"docx": "Word", "xlsx": "Excel", "md": "Markdown", "json": "JSON"}
NAMES = {"对照表": "条文对照表", "台账": "对标台账", "任务分解": "任务分解表"}


def menu(
    library: Library, rows: Sequence[GapRow], states: Mapping[str, RowState], scope: ScopeChoice, chosen: str, key: str
) -> None:
    """A pop-over with the kinds of report and their formats."""
    with st.popover("导出报告", icon=":material/download:", width="stretch", disabled=not rows):
        st.caption(f"按当前显示的 {len(rows)} 条导出")
        kind = st.radio("报告", list(KINDS), format_func=NAMES.get, key=f"{key}:kind")
        fmt = st.radio("格式", KINDS[kind], format_func=FORMATS.get, horizontal=True, key=f"{key}:format:{kind}")

        def make() -> bytes:
            return render(build_report(library, rows, states, scope, kind, chosen=chosen), fmt)

        st.download_button(
            "下载",
            make,
            file_name=file_name(rows, scope, kind, fmt),
            key=f"{key}:get",
            type="primary",
            on_click="ignore",
        )


def file_name(rows: Sequence[GapRow], scope: ScopeChoice, kind: str, fmt: str) -> str:
    """A name people recognise, without characters that file systems refuse."""
    titles = list(dict.fromkeys(r.national.meta.title for r in rows))
    first = titles[0][:24] if titles else "国家文件"
    more = f"等{len(titles)}份" if len(titles) > 1 else ""
    return "".join(c for c in f"{NAMES[kind]}_{first}{more}_{scope.name[:12]}.{fmt}" if c not in '\\/:*?"<>|\n\r\t')
