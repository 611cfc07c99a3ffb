"""Page configuration, style and the navigation table."""

from __future__ import annotations

import importlib
from collections.abc import Callable

import streamlit as st

from kb.errors import IndexError_, KbError
from kb.ui.data import library_or_none, library_or_stop

# url path, title, icon, module (with a function `page(library)`)
PAGES = (
    ("overview", "总览", ":material/dashboard:", "kb.ui.overview"),
    ("search", "检索", ":material/search:", "kb.ui.search_page"),
    ("gaps", "差距图谱", ":material/grid_on:", "kb.ui.gaps_page"),
    ("review", "对照与复核", ":material/fact_check:", "kb.ui.review_page"),
    ("draft", "草案比对", ":material/edit_document:", "kb.ui.draft_page"),
    ("library", "文库", ":material/library_books:", "kb.ui.library_page"),
    ("update", "更新", ":material/sync:", "kb.ui.update_page"),
)

# the one page that works without an index
UPDATE = "kb.ui.update_page"

STYLE = """
<style>
.block-container {padding-top: 4rem; padding-bottom: 3rem; max-width: 1400px;}
h1 {font-size: 1.7rem !important; padding: .2rem 0 .4rem !important;} h2 {font-size: 1.3rem !important;}
h3 {font-size: 1.12rem !important; padding: .5rem 0 .3rem !important;}
mark {background: #ffe58a; color: inherit; padding: 0 1px; border-radius: 2px;}
.kb-badge {display: inline-block; padding: 0 .5em; margin-right: .35em; border-radius: 4px; font-size: .82em;
           line-height: 1.6; border: 1px solid rgba(128,128,128,.35); white-space: nowrap;}
.kb-national {background: #fde8e6; color: #8f1d14;} .kb-guangdong {background: #e4f1e4; color: #1d5c24;}
.kb-shenzhen {background: #e3eefb; color: #123f7a;} .kb-peers {background: #eee; color: #444;}
.kb-warn {background: #fff1cc; color: #7a4b00;} .kb-digest {background: #f3e8fb; color: #5a2380;}
.kb-text {white-space: pre-wrap; line-height: 1.85; overflow-wrap: anywhere;}
.kb-muted {opacity: .7; font-size: .9em;}
.kb-missing {background: #ffd9d6; color: #7a120a; border-bottom: 2px solid #c22f22;}
.kb-differs {background: #ffe3b8; color: #6b3d00; border-bottom: 2px dotted #b36b00;}
.kb-hit {background: #ffe58a; color: #3b2c00;}
.kb-same {background: #d9efdb; color: #10461a;}
.kb-added {background: #dbe8f8; color: #123f7a; border-bottom: 1px solid #2c6fb3;}
.kb-box {border: 1px solid rgba(128,128,128,.35); border-radius: 6px; padding: .6em .9em; margin: .4em 0;}
.kb-cite {font-weight: 600; margin: .2em 0 .3em;}
.kb-line {margin: .35em 0; line-height: 1.7;}
.kb-l-covered {background: #2e7d4f; color: #fff;} .kb-l-partial {background: #c98a00; color: #fff;}
.kb-l-gap {background: #c0392b; color: #fff;} .kb-l-differs {background: #8e44ad; color: #fff;}
.kb-l-direct {background: #2c6fb3; color: #fff;} .kb-l-na {background: #8a8f98; color: #fff;} .kb-l-open {background: #5d6470; color: #fff;}
</style>
"""


def run() -> None:
    """Draw the navigation and the page that the address names."""
    st.set_page_config(page_title="对标 · 数据治理政策知识库", page_icon="📚", layout="wide")
    st.html(STYLE)
    pages = [
        st.Page(_opener(module), title=title, icon=icon, url_path=path, default=path == "overview")
        for path, title, icon, module in PAGES
    ]
    st.session_state["pages"] = {page.url_path or PAGES[0][0]: page for page in pages}
    chosen = st.navigation(pages, position="top")
    try:
        chosen.run()
    except KbError as error:
        st.error(error.message)
        if error.hint:
            st.caption(error.hint)


def _opener(module: str) -> Callable[[], None]:
    """A function Streamlit can call; the module of a page is imported when the page is opened."""

    def open_page() -> None:
        page = importlib.import_module(module).page
        if module != UPDATE:
            page(library_or_stop())
            return
        try:
            library = library_or_none()
        except IndexError_ as error:
            st.error(f"{error.message}\n\n{error.hint}")
            library = None
        page(library)

    open_page.__name__ = module.rsplit(".", 1)[-1]
    return open_page
