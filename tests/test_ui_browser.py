"""The workbench in a real browser: every page, the review flow, upload to gap row, exports, shared links, hostile texts."""

from __future__ import annotations

import io
import re
from urllib.parse import quote

import pytest
from browser import WAIT, browser, need_browser, opened, served, settled
from docx import Document as Word
from openpyxl import load_workbook
from workbench_corpus import DRAFT, build_library, settings_for

from kb.review import ReviewLog, decide
from kb.rows import gap_rows, national_documents, scope_choice

pytestmark = [pytest.mark.browser, pytest.mark.slow]
MAIN = "测试数据管理办法"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    need_browser()
    return tmp_path_factory.mktemp("browser")


@pytest.fixture(scope="module")
def library(folder):
    return build_library(folder)


@pytest.fixture(scope="module")
def rows(library):
    return gap_rows(library, [d.doc_id for d in national_documents(library)], scope_choice(library))


@pytest.fixture(scope="module")
def address(folder, library, rows):
    with served(settings_for(folder)) as found:
        yield found


@pytest.fixture(scope="module")
def chrome(folder):
    with browser() as found:
        yield found


@pytest.fixture
def page(chrome):
    context = chrome.new_context(viewport={"width": 1280, "height": 800}, accept_downloads=True)
    found = context.new_page()
    found.problems = []
    found.on("dialog", lambda d: (found.problems.append(d.message), d.dismiss()))
    yield found
    context.close()
    assert found.problems == []


def main_id(library):
    return next(d.doc_id for d in library.documents if d.meta.title == MAIN)


def healthy(page):
    assert page.locator('[data-testid="stException"]').count() == 0, page.locator(
        '[data-testid="stException"]'
    ).first.inner_text()


@pytest.mark.parametrize(
    ("path", "title"),
    [
        ("", "总览"),
        ("search", "检索"),
        ("gaps", "差距图谱"),
        ("review", "对照与复核"),
        ("draft", "草案比对"),
        ("library", "文库"),
        ("update", "更新"),
    ],
)
def test_every_page_opens(page, address, path, title):
    opened(page, f"{address}/{path}")
    assert title in page.locator("h1").first.inner_text()
    healthy(page)


def test_a_tile_filters_the_table_and_the_link_reopens_the_view(page, chrome, address, library, rows):
    opened(page, f"{address}/gaps?n={quote(main_id(library))}")
    mine = [r for r in rows if r.national.meta.title == MAIN]
    label = mine[0].assessment.label
    n = sum(r.assessment.label == label for r in mine)
    page.get_by_role("button", name=re.compile(rf"^{n}\s*{label}$")).click()
    page.wait_for_selector(f"text=当前显示 {n} 条", timeout=WAIT)
    settled(page)
    healthy(page)
    other = chrome.new_context().new_page()
    opened(other, page.url)
    assert f"当前显示 {n} 条" in other.inner_text("body")
    other.context.close()


def test_a_row_shows_both_texts_with_marks_and_reasons(page, address, library, rows):
    row = next(r for r in rows if r.requirement.address == "第四条" and r.national.meta.title == MAIN)
    opened(page, f"{address}/gaps?n={quote(main_id(library))}&row={quote(row.row_id, safe='')}")
    body = page.inner_text("body")
    assert row.requirement.text[:20] in body and row.assessment.evidence[0].quote[:20] in body
    assert "判定依据" in body and "施行 2025-01-01" in body
    assert page.locator("span.kb-same").count() > 2


def test_hostile_titles_and_texts_are_shown_as_text(page, address, library):
    doc = next(d for d in library.documents if d.meta.level == "national" and d.meta.title != MAIN)
    opened(page, f"{address}/gaps?n={quote(doc.doc_id)}")
    assert "<b>加粗</b>" in page.inner_text("body")
    opened(page, f"{address}/library?doc={quote(doc.doc_id)}")
    assert "<b>加粗</b>" in page.inner_text("body")
    assert page.locator(".kb-text b").count() == 0
    opened(page, f"{address}/gaps?n={quote('<script>alert(1)</script>')}&s=%22%3E%3Cimg&l=bogus&row=%00&c=a%7Cb")
    healthy(page)


def sign(page, name):
    page.get_by_label("复核人", exact=True).fill(name)
    page.get_by_label("复核人", exact=True).press("Enter")
    settled(page)


def test_the_review_flow_with_keys(page, address, library, folder):
    log = ReviewLog(folder / "corpus" / "reviews.jsonl")
    before = len(log.events())
    opened(page, f"{address}/review?n={quote(main_id(library))}")
    first = page.url
    page.keyboard.press("y")
    page.wait_for_selector("text=请先填写复核人姓名", timeout=WAIT)
    sign(page, "甲")
    page.locator("h1").click()
    for key in ("y", "3", "2"):
        page.keyboard.press(key)
        settled(page, 0.6)
    assert len(log.events()) == before + 3
    assert log.events()[-2].after == {"label": "未覆盖"} and log.events()[-1].who == "甲"
    page.goto(first)
    page.wait_for_selector("h1", timeout=WAIT)
    settled(page)
    assert "甲" in page.inner_text("body")
    sign(page, "甲")
    page.locator("h1").click()
    page.keyboard.press("z")
    page.wait_for_selector("text=已撤销", timeout=WAIT)
    assert log.events()[-1].undoes
    page.get_by_role("radio", name="复核记录").or_(page.get_by_role("button", name="复核记录")).first.click()
    page.wait_for_selector("text=只增不改", timeout=WAIT)
    healthy(page)


def test_two_windows_on_one_row_see_the_conflict(chrome, page, address, library, folder, rows):
    row = next(r for r in rows if r.requirement.address == "第六条" and r.national.meta.title == MAIN)
    link = f"{address}/review?n={quote(main_id(library))}&q=all&row={quote(row.row_id, safe='')}"
    other = chrome.new_context(viewport={"width": 1280, "height": 800}).new_page()
    for window, name in ((page, "甲"), (other, "乙")):
        opened(window, link)
        sign(window, name)
        window.locator("h1").click()
    page.keyboard.press("1")
    page.wait_for_selector("text=已记录", timeout=WAIT)
    other.keyboard.press("3")
    other.wait_for_selector("text=你的内容尚未写入", timeout=WAIT)
    other.get_by_role("button", name="仍然提交").click()
    other.wait_for_selector("text=已记录", timeout=WAIT)
    mine = [e for e in ReviewLog(folder / "corpus" / "reviews.jsonl").events() if e.row_id == row.row_id]
    assert [(e.who, e.after["label"]) for e in mine] == [("甲", "已覆盖"), ("乙", "未覆盖")]
    other.context.close()


def export(page, kind, fmt):
    page.get_by_role("button", name="导出报告").click()
    page.get_by_text(kind, exact=True).click()
    settled(page)
    page.get_by_text(fmt, exact=True).click()
    settled(page)
    with page.expect_download(timeout=WAIT) as download:
        page.get_by_role("button", name="下载").click()
    with open(download.value.path(), "rb") as handle:
        return handle.read(), download.value.suggested_filename


def test_exports_open_again_and_an_edited_ledger_comes_back(page, address, library, folder, rows):
    mine = [r for r in rows if r.national.meta.title == MAIN]
    opened(page, f"{address}/gaps?n={quote(main_id(library))}")
    data, name = export(page, "条文对照表", "Word")
    assert name.endswith(".docx") and all(
        r.requirement.text in "".join(Word(io.BytesIO(data)).element.body.itertext()) for r in mine
    )
    opened(page, f"{address}/gaps?n={quote(main_id(library))}")
    data, _ = export(page, "对标台账", "Excel")
    book = load_workbook(io.BytesIO(data))
    sheet = book.worksheets[1]
    assert sheet.max_row == len(mine) + 1
    head = [c.value for c in sheet[1]]
    sheet.cell(2, head.index("责任单位") + 1).value = "市数据局"
    buffer = io.BytesIO()
    book.save(buffer)
    opened(page, f"{address}/review?n={quote(main_id(library))}&v={quote('导入台账')}")
    sign(page, "丙")
    page.locator('input[type="file"]').set_input_files(
        {"name": "台账.xlsx", "mimeType": "application/octet-stream", "buffer": buffer.getvalue()}
    )
    page.wait_for_selector("text=将写入 1 行", timeout=WAIT)
    page.get_by_role("button", name="写入", exact=True).click()
    page.wait_for_selector("text=已写入 1 行", timeout=WAIT)
    assert ReviewLog(folder / "corpus" / "reviews.jsonl").events()[-1].after == {"owner": "市数据局"}


def test_a_pasted_draft_is_checked(page, address):
    opened(page, f"{address}/draft?src={quote('粘贴文字')}")
    page.get_by_label("草案全文").fill(DRAFT)
    page.get_by_label("草案全文").press("Control+Enter")
    settled(page)
    page.get_by_role("button", name="开始比对").click()
    page.wait_for_selector("text=处引用、编号、用语问题", timeout=WAIT)
    healthy(page)
    page.wait_for_selector(".kb-box", timeout=WAIT)
    page.get_by_role("tab", name=re.compile("引用、编号和用语")).click()
    settled(page)
    healthy(page)


def test_an_upload_becomes_a_gap_row_and_open_pages_follow_the_new_index(chrome, page, address):
    open_page = chrome.new_context().new_page()
    opened(open_page, f"{address}/library")
    opened(page, f"{address}/update")
    text = "新近数据管理办法\n\n第一条 为了规范管理，制定本办法。\n第二条 地方各级数据管理部门应当在六十日内建立新近数据台账。\n第三条 本办法自2026年3月1日起施行。\n"
    page.get_by_text("国家", exact=True).first.click()
    settled(page)
    page.locator('input[type="file"]').set_input_files(
        {"name": "新近数据管理办法.md", "mimeType": "text/markdown", "buffer": text.encode()}
    )
    page.wait_for_selector("text=可以收入", timeout=WAIT)
    page.get_by_role("button", name=re.compile("放入文库并更新")).click()
    page.wait_for_selector("text=完成，用时", timeout=WAIT * 2)
    healthy(page)
    opened(page, f"{address}/gaps?n={quote('新近数据管理办法')}")
    assert "六十日内建立新近数据台账" in page.inner_text("body")
    # nobody touched the other window: it says by itself that the index is a new one, and shows it
    open_page.wait_for_selector("text=共 6 份，当前显示 6 份", timeout=WAIT)
    open_page.get_by_label("名称或文号").fill("新近")
    open_page.get_by_label("名称或文号").press("Enter")
    open_page.wait_for_selector("text=当前显示 1 份", timeout=WAIT)
    open_page.context.close()


def pick_first_row(table):
    """Tick the first row of a table; its cells are drawn, so the place is what counts."""
    table.scroll_into_view_if_needed()
    box = table.bounding_box()
    table.page.mouse.click(box["x"] + 18, box["y"] + 54)
    settled(table.page)


def test_every_number_of_the_overview_opens_that_many_rows(page, address):
    opened(page, f"{address}/")
    names = [
        b.inner_text() for b in page.locator("[data-testid=stMain] button").all() if re.search(r"\d", b.inner_text())
    ]
    assert len(names) > 12
    for name in names:
        number, label = int(re.search(r"[\d,]+", name)[0].replace(",", "")), re.sub(r"[\d,\s]", "", name)
        opened(page, f"{address}/")
        page.locator("[data-testid=stMain] button").filter(has_text=label).first.click()
        page.wait_for_function("location.pathname.length > 1", timeout=WAIT)
        settled(page)
        healthy(page)
        body = page.inner_text("body")
        if label == "条文":
            continue  # the list of documents has the numbers that add up to it
        found = re.search(r"当前显示 (\d+) [条份]|第 \d+ / (\d+) 条", body)
        assert (int(found[1] or found[2]) if found else 0) == number, label
        assert found or "没有" in body


def test_a_file_over_the_limit_is_refused_in_words(page, address, tmp_path):
    with open(tmp_path / "大文件.pdf", "wb") as handle:
        handle.truncate(101 * 2**20)
    opened(page, f"{address}/update")
    page.locator('input[type="file"]').set_input_files(str(tmp_path / "大文件.pdf"))
    page.wait_for_selector('[data-testid="stFileChip"][aria-invalid="true"]', timeout=WAIT)
    said = page.evaluate("getComputedStyle(document.querySelector('[data-testid=stFileUploader]'), '::after').content")
    assert "没有上传" in said and "不能超过" in said
    healthy(page)


def test_the_dark_theme_reaches_texts_marks_and_tables(chrome, address, library, rows):
    row = next(r for r in rows if r.requirement.address == "第四条" and r.national.meta.title == MAIN)
    context = chrome.new_context(color_scheme="dark")
    page = context.new_page()
    opened(page, f"{address}/gaps?n={quote(main_id(library))}&row={quote(row.row_id, safe='')}")

    def lightness(selector, what):
        colour = page.evaluate(f"getComputedStyle(document.querySelector('{selector}')).{what}")
        return sum(int(n) for n in re.findall(r"\d+", colour)[:3]) / 3

    assert lightness("[data-testid=stApp]", "backgroundColor") < 60
    for mark in ("span.kb-same", ".kb-badge.kb-national"):
        assert lightness(mark, "backgroundColor") < 100 < lightness(mark, "color")
    context.close()


def test_rows_are_given_to_a_person_and_listed_for_them(page, address, library, folder):
    opened(page, f"{address}/review?n={quote(main_id(library))}&q=all")
    sign(page, "组长")
    page.get_by_role("button", name=re.compile("分派")).first.click()
    page.get_by_placeholder("姓名；留空为收回").fill("小王")
    page.get_by_placeholder("姓名；留空为收回").press("Tab")
    settled(page)
    page.get_by_label("条数").fill("2")
    page.get_by_label("条数").press("Enter")
    settled(page)
    page.get_by_role("button", name="分派", exact=True).last.click()
    page.wait_for_selector("text=已分派 2 条", timeout=WAIT)
    given = [e for e in ReviewLog(folder / "corpus" / "reviews.jsonl").events() if e.after.get("assignee") == "小王"]
    assert len(given) == 2 and {e.who for e in given} == {"组长"}
    opened(page, f"{address}/review?n={quote(main_id(library))}&q=all&to={quote('小王')}")
    assert "第 1 / 2 条" in page.inner_text("body")


def test_disputed_rows_stand_first_and_open(page, address, library, folder, rows):
    row = next(r for r in rows if r.requirement.address == "第六条" and r.national.meta.title == MAIN)
    log = ReviewLog(folder / "corpus" / "reviews.jsonl")
    decide(log, library, row, "甲", {"label": "已覆盖"})
    decide(log, library, row, "乙", {"label": "未覆盖"}, role="second")
    opened(page, f"{address}/review?n={quote(main_id(library))}&v={quote('两人一致性')}")
    body = page.inner_text("body")
    assert "一致性系数 κ" in body and re.search(r"结论不同 [1-9]", body)
    pick_first_row(page.locator("[data-testid=stDataFrame]").last)
    page.wait_for_selector("text=第二人 乙", timeout=WAIT)
    healthy(page)


def test_levels_and_lag_signals_open(page, address, library):
    opened(page, f"{address}/gaps?n={quote(main_id(library))}&v={quote('逐级对照')}")
    page.wait_for_selector("text=列出", timeout=WAIT)
    settled(page)
    body = page.inner_text("body")
    assert re.search(r"全部 \d+", body) and "广东省" in body and "深圳市" in body
    healthy(page)
    opened(page, f"{address}/gaps?v={quote('滞后线索')}")
    healthy(page)
    assert "线索" in page.inner_text("body")


def test_the_inbox_says_why_a_file_waits_and_puts_it_aside(page, address, folder):
    inbox = folder / "corpus" / "inbox" / "national"
    inbox.mkdir(parents=True)
    (inbox / "残缺的通知.md").write_text("无", encoding="utf-8")
    opened(page, f"{address}/update")
    assert "共 1 项" in page.inner_text("body")
    pick_first_row(page.locator("[data-testid=stDataFrame]").first)
    page.wait_for_selector("text=已选 1 项", timeout=WAIT)
    page.get_by_role("button", name="忽略").click()
    page.wait_for_selector("text=没有待处理的链接或文件", timeout=WAIT)
    assert not (inbox / "残缺的通知.md").exists()
    healthy(page)


def test_an_amending_draft_is_carried_out_on_the_page(page, address):
    opened(page, f"{address}/draft?src={quote('粘贴文字')}")
    page.get_by_label("草案全文").fill(
        "关于修改《深圳市测试数据条例》的决定（草案）\n\n一、增加一条，作为第四条：“市数据主管部门应当编制测试数据目录，并在三十日内向社会公布。”\n二、删去第九条。\n"
    )
    page.get_by_label("草案全文").press("Control+Enter")
    page.wait_for_selector("text=2 处修改，已套入 1 处", timeout=WAIT)
    page.wait_for_selector("text=第四条 → 第五条", timeout=WAIT)  # drawn a moment after the label of its box
    assert "第四条 → 第五条" in page.inner_text("body")
    healthy(page)
