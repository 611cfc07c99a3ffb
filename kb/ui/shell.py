"""Page configuration, style and the navigation table."""

from __future__ import annotations

import importlib
from collections.abc import Callable

import streamlit as st

from kb.errors import IndexError_, KbError
from kb.index import current_generation
from kb.ui.data import dark, library_or_none, library_or_stop, settings
from kb.ui.said import of_error

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
.kb-l-covered {background: #2e7d4f; color: #fff;} .kb-l-partial {background: #a66f00; color: #fff;}
.kb-l-gap {background: #c0392b; color: #fff;} .kb-l-differs {background: #8e44ad; color: #fff;}
.kb-l-direct {background: #2c6fb3; color: #fff;} .kb-l-na {background: #6f757e; color: #fff;} .kb-l-open {background: #5d6470; color: #fff;}
[data-testid="stFileUploaderDropzone"] [data-testid="stBaseButton-secondary"] [data-testid="stMarkdownContainer"] p {font-size: 0;}
[data-testid="stFileUploaderDropzone"] [data-testid="stBaseButton-secondary"] [data-testid="stMarkdownContainer"] p::after {
  content: "选择文件"; font-size: .95rem;}
[data-testid="stFileUploaderDropzoneInstructions"] {font-size: 0;}
[data-testid="stFileUploaderDropzoneInstructions"] * {font-size: 0 !important;}
[data-testid="stFileUploaderDropzoneInstructions"]::after {content: "也可以直接拖到这里"; font-size: .88rem; opacity: .7;}
[data-testid="stFileUploader"]:has([data-testid="stFileChip"][aria-invalid="true"])::after {
  content: "带感叹号的文件没有上传：单个文件不能超过上面写明的大小，类型也须在列。请压缩、拆分或另存后再试；其他文件不受影响。";
  display: block; margin-top: .5em; padding: .6em .9em; border-radius: 6px; line-height: 1.6;
  background: #ffe9e7; color: #7a120a; border: 1px solid #e6a39d;}
</style>
"""
DARK = """
<style>
.kb-national {background: #4a1f1b; color: #ffc9c2;} .kb-guangdong {background: #1d3a22; color: #bfe6c5;}
.kb-shenzhen {background: #1b314d; color: #bcd7f7;} .kb-peers {background: #3a3d42; color: #ddd;}
.kb-warn {background: #4a3a10; color: #ffdf94;} .kb-digest {background: #3b2350; color: #e3c8f7;}
.kb-missing {background: #5a211c; color: #ffcfc9; border-bottom-color: #ff8a7d;}
.kb-differs {background: #563a0d; color: #ffdfae; border-bottom-color: #ffb547;}
.kb-hit, mark {background: #5c4a08; color: #ffeaa3;}
.kb-same {background: #1f4128; color: #c9f0d1;}
.kb-added {background: #1d3a5c; color: #cfe3fb; border-bottom-color: #7fb2ea;}
[data-testid="stFileUploader"]:has([data-testid="stFileChip"][aria-invalid="true"])::after {
  background: #4a1f1b; color: #ffd3cd; border-color: #8f4a43;}
</style>
"""
ABOUT = "**对标** · 数据治理政策知识库。结论由程序比对得出，供研究、起草和审查参考，均须人工核实。"


def run() -> None:
    """Draw the navigation and the page that the address names; what went wrong, a setting too, is said on the page."""
    st.set_page_config(
        page_title="对标 · 数据治理政策知识库", page_icon="📚", layout="wide", menu_items={"About": ABOUT}
    )
    st.html(STYLE + (DARK if dark() else ""))
    try:
        _signed_in_or_stop()
        _draw()
    except KbError as error:
        st.error(of_error(error))


def _draw() -> None:
    pages = [
        st.Page(_opener(module), title=title, icon=icon, url_path=path, default=path == "overview")
        for path, title, icon, module in PAGES
    ]
    st.session_state["pages"] = {page.url_path or PAGES[0][0]: page for page in pages}
    chosen = st.navigation(pages, position="top")
    # noted before the fragment looks, or a window opened before a rebuild would reload for ever
    st.session_state["drawn_from"] = current_generation(settings().index)
    _follow_index()
    chosen.run()


def _signed_in_or_stop() -> None:
    """Where sign-in is set up (`[auth]` in .streamlit/secrets.toml), nobody sees a page before it."""
    if not st.secrets.load_if_toml_exists() or "auth" not in st.secrets or st.user.is_logged_in:
        return
    st.title("对标 · 数据治理政策知识库")
    st.write("请先登录。登录后，复核记录以您的账号署名。")
    st.button("登录", type="primary", on_click=st.login)
    st.stop()


@st.fragment(run_every="20s")
def _follow_index() -> None:
    """Reload an open page when the index was rebuilt under it; the page then says so (`library_or_none`)."""
    if current_generation(settings().index) != st.session_state["drawn_from"]:
        st.rerun(scope="app")


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
            st.error(of_error(error))
            library = None
        page(library)

    open_page.__name__ = module.rsplit(".", 1)[-1]
    return open_page
