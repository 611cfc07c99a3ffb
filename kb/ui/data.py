"""Heavy objects, loaded once for all sessions, and the state that lives in the address."""

from __future__ import annotations

import streamlit as st

from kb.errors import IndexError_
from kb.index import Library, current_generation
from kb.settings import Settings, load_settings


def settings() -> Settings:
    """Settings of this server, from its environment."""
    return load_settings()


@st.cache_resource(max_entries=2, show_spinner="正在打开索引……")
def _library(index: str, generation: str) -> Library:
    return Library(settings())


def library_or_stop() -> Library:
    """The library in force; without one, say how to build it and stop. A new generation is picked up by itself."""
    current = settings()
    generation = current_generation(current.index)
    if generation is None:
        st.warning("还没有索引。请在终端运行 `kb build`，或在“更新”页建立索引。")
        st.stop()
    seen = st.session_state.get("generation")
    if seen and seen != generation:
        st.toast("索引已更新，页面已改用新版本。")
    st.session_state["generation"] = generation
    try:
        return _library(str(current.index), generation)
    except IndexError_ as error:
        st.error(f"{error.message}\n\n{error.hint}")
        st.stop()


def from_address(name: str, default: str = "") -> str:
    """One value of the address line; hostile or missing values read as text."""
    return str(st.query_params.get(name, default))


def to_address(**values: str | int | None) -> None:
    """Keep values in the address so that a link reopens the same view; empty values are dropped."""
    for name, value in values.items():
        if value in (None, ""):
            st.query_params.pop(name, None)
        elif st.query_params.get(name) != str(value):
            st.query_params[name] = str(value)
