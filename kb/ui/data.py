"""Heavy objects, loaded once for all sessions, rows with their states, and the state that lives in the address."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

import streamlit as st

from kb.errors import IndexError_
from kb.index import Library, current_generation
from kb.review import ReviewLog, RowState, states
from kb.rows import GapRow, ScopeChoice, gap_rows, judge_version, judged
from kb.settings import Settings, load_settings
from kb.ui.said import of_error

SEPARATOR = "|"


def settings() -> Settings:
    """Settings of this server, from its environment."""
    return load_settings()


def dark() -> bool:
    """Whether this browser shows the dark theme."""
    return st.context.theme.type == "dark"


@st.cache_resource(max_entries=2, show_spinner="正在打开索引……")
def _library(index: str, generation: str) -> Library:
    return Library(settings())


def library_or_none() -> Library | None:
    """The library in force, or None where there is no index yet. A new generation is picked up by itself."""
    current = settings()
    generation = current_generation(current.index)
    if generation is None:
        return None
    seen = st.session_state.get("generation")
    if seen and seen != generation:
        st.toast("索引已更新，页面已改用新版本。", icon=":material/sync:")
    st.session_state["generation"] = generation
    return _library(str(current.index), generation)


def library_or_stop() -> Library:
    """The library in force; without one, say how to build it and stop."""
    try:
        library = library_or_none()
    except IndexError_ as error:
        st.error(of_error(error))
        st.stop()
    if library is None:
        st.warning("还没有索引。请打开左侧“更新”页建立索引，或在终端运行 `kb build`。")
        st.stop()
    return library


# -- rows ---------------------------------------------------------------------------------------------------------------


@st.cache_resource
def _kept() -> tuple[dict, threading.Lock]:
    """Rows in memory by everything they depend on, shared by all sessions, and the lock that lets one session judge."""
    return {}, threading.Lock()


def rows_of(library: Library, doc_ids: Sequence[str], scope: ScopeChoice) -> list[GapRow]:
    """Rows of these documents; what was never judged is judged now, with a progress bar."""
    kept, lock = _kept()
    key = (str(library.folder), judge_version(), scope.key)
    missing = [i for i in doc_ids if (*key, i) not in kept]
    if missing:
        fresh = [i for i in missing if i not in judged(library, scope, missing)]
        bar = st.progress(0.0, text="正在逐条比对……") if fresh else None

        def show(stage: str, done: int, total: int) -> None:
            bar.progress(done / total, text=f"正在逐条比对：{done} / {total} 条（只需一次，结果会保存）")

        with lock:
            for doc_id in missing:
                if len(kept) > 3000:
                    kept.clear()
                kept[(*key, doc_id)] = gap_rows(library, [doc_id], scope, progress=show if doc_id in fresh else None)
        if bar:
            bar.empty()
    return [row for i in doc_ids for row in kept[(*key, i)]]


def judged_documents(library: Library, scope: ScopeChoice, doc_ids: Sequence[str]) -> list[str]:
    """Documents whose rows are at hand without waiting."""
    kept, _ = _kept()
    key = (str(library.folder), judge_version(), scope.key)
    at_hand = {i for i in doc_ids if (*key, i) in kept}
    rest = [i for i in doc_ids if i not in at_hand]
    return [i for i in doc_ids if i in at_hand | set(judged(library, scope, rest) if rest else [])]


@st.cache_resource
def _log(path: str, reviewers: str) -> ReviewLog:
    from pathlib import Path

    return ReviewLog(Path(path), reviewers)


def review_log() -> ReviewLog:
    """The decisions of this corpus."""
    current = settings()
    return _log(str(current.corpus / "reviews.jsonl"), current.reviewers)


def states_of(library: Library, rows: Sequence[GapRow]) -> dict[str, RowState]:
    """State of every row; computed again only when the rows or the log changed."""
    log = review_log()
    key = (library.generation, judge_version(), log.stamp, len(rows), hash(tuple(r.row_id for r in rows)))
    held = st.session_state.get("states")
    if held is None or held[0] != key:
        held = (key, states(library, rows, log.decisions()))
        st.session_state["states"] = held
    return held[1]


def reviewer() -> str:
    """Who is at the screen: the signed-in user, else the name typed in the side bar."""
    signed_in = getattr(st.user, "is_logged_in", False)
    return (
        str(st.user.get("name") or st.user.get("email"))
        if signed_in
        else str(st.session_state.get("reviewer", "")).strip()
    )


def is_reader() -> bool:
    """True for somebody who may look and export, but not record: a name that is not among the reviewers."""
    allowed = review_log().reviewers
    return bool(allowed) and reviewer() not in allowed


# -- the address --------------------------------------------------------------------------------------------------------


def restore(page: str, defaults: Mapping[str, object]) -> None:
    """Fill the widget state of a page (`page.name`) before its widgets are drawn.

    An address that changed by itself (a shared link, the back button) wins; a bare address brings back what this session
    last had on the page. Values are text, lists of text, numbers or yes/no, by the type of the default.
    """
    shown = {k: st.query_params[k] for k in defaults if k in st.query_params}
    saved = st.session_state.get(f"{page}:address")
    follow = shown != saved if shown else saved is None
    for name, default in defaults.items():
        key = f"{page}.{name}"
        if follow:
            st.session_state[key] = _parse(shown.get(name), default)
        elif key not in st.session_state:
            st.session_state[key] = _parse((saved or {}).get(name), default)


def publish(page: str, defaults: Mapping[str, object]) -> None:
    """Write the state of a page into the address, leaving out what stands at its default."""
    wanted = {}
    for name, default in defaults.items():
        value = st.session_state.get(f"{page}.{name}", default)
        if value != default and value not in (None, "", []):
            wanted[name] = _print(value)
    if wanted != {k: v for k, v in st.query_params.items() if k in defaults}:
        others = {k: v for k, v in st.query_params.items() if k not in defaults}
        st.query_params.from_dict({**others, **wanted})
    st.session_state[f"{page}:address"] = wanted


def within(page: str, name: str, options: Sequence[object]) -> None:
    """Drop values that no longer are options, so that an old or hostile link never breaks a page."""
    key = f"{page}.{name}"
    value = st.session_state.get(key)
    if isinstance(value, list):
        st.session_state[key] = [v for v in value if v in options]
    elif value not in options and options:
        st.session_state[key] = options[0]


def _print(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return SEPARATOR.join(str(v) for v in value)
    return str(int(value)) if isinstance(value, bool) else str(value)


def _parse(text: str | None, default: object) -> object:
    if text is None:
        return list(default) if isinstance(default, list) else default
    if isinstance(default, bool):
        return text == "1"
    if isinstance(default, list):
        return [part for part in text.split(SEPARATOR) if part]
    if isinstance(default, tuple):
        parts = text.split(SEPARATOR)
        return tuple(int(p) for p in parts) if len(parts) == 2 and all(p.isdigit() for p in parts) else default
    if isinstance(default, int):
        return int(text) if text.lstrip("-").isdigit() and len(text) < 8 else default
    return text
