"""Reports: one content for every format, numbers that add up, files that open, nothing that runs, ledgers read back."""

from __future__ import annotations

import io
import json
import shutil
import subprocess

import pytest
from docx import Document as Word
from docx.oxml.ns import qn
from openpyxl import load_workbook
from workbench_corpus import build_library

from kb.errors import ReviewError, UsageError
from kb.models import LABELS
from kb.render import render
from kb.report import KINDS, LEDGER, as_markdown, build_report
from kb.report_xlsx import EDITABLE, ID, read_ledger
from kb.review import ReviewLog, decide, states
from kb.rows import counts, gap_rows, national_documents, scope_choice


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return build_library(tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def scope(library):
    return scope_choice(library)


@pytest.fixture(scope="module")
def rows(library, scope):
    return gap_rows(library, [d.doc_id for d in national_documents(library)], scope)


@pytest.fixture
def make(library, rows, scope, tmp_path):
    log = ReviewLog(tmp_path / "reviews.jsonl")

    def report(kind="台账"):
        return build_report(library, rows, states(library, rows, log.decisions()), scope, kind)

    report.log = log
    return report


@pytest.mark.parametrize("kind", list(KINDS))
def test_counts_add_up_to_the_rows(make, kind):
    report = make(kind)
    assert sum(report.counts.values()) == len(report.rows) == sum(report.states.values())
    assert list(report.counts) == list(LABELS)


def test_without_decisions_the_numbers_are_those_of_kb_gaps(make, rows):
    assert dict(make().counts) == counts(rows)


def test_a_decision_is_in_every_report(make, library, rows):
    row = next(r for r in rows if r.requirement.address == "第五条")
    decide(
        make.log,
        library,
        row,
        "甲",
        {"label": "部分覆盖", "note": "须补充目录", "owner": "市数据局、市司法局", "due": "2026年底前"},
    )
    entry = next(r for r in make().rows if r.row_id == row.row_id)
    assert (entry.label, entry.gap, entry.reviewer) == ("部分覆盖", "须补充目录", "甲")
    task = next(r for r in make("任务分解").rows if r.row_id == row.row_id)
    assert task.owner.startswith("市数据局") and task.due == "2026年底前"
    assert "市数据局 | 市司法局" in as_markdown(make("任务分解")).decode()


def test_tasks_hold_only_what_is_to_be_done_and_say_how_many_there_are(make, rows):
    report = make("任务分解")
    assert {r.label for r in report.rows} <= {"未覆盖", "部分覆盖", "疑似不一致"}
    assert f"共 {len(rows)} 条国家要求" in " ".join(report.notes)


def test_every_row_quotes_both_sides_verbatim(make, library):
    for row in make("对照表").rows:
        assert row.text in library.document(row.doc_id).text
        for cell in row.locals:
            assert any(
                cell.quote in library.document(d.doc_id).text for d in library.documents if d.meta.title == cell.title
            )


def test_forbidden_words_are_never_ours(make):
    report = make("对照表")
    ours = " ".join([*report.notes, *(r.gap + r.measure + r.label for r in report.rows)])
    assert not [w for w in ("违法", "抵触", "无效") if w in ours]


def test_the_word_file_is_landscape_with_a_repeated_header_merged_articles_and_marks(make):
    word = Word(io.BytesIO(render(make("对照表"), "docx")))
    section = word.sections[0]
    assert section.page_width > section.page_height
    table = word.tables[0]
    assert table.rows[0]._tr.trPr.find(qn("w:tblHeader")) is not None
    assert table._tbl.findall(".//" + qn("w:gridSpan"))
    assert table._tbl.findall(".//" + qn("w:vMerge"))
    colours = {e.get(qn("w:val")) for e in table._tbl.iter(qn("w:color"))}
    assert "B3261E" in colours or "B36B00" in colours


def test_every_duty_is_in_the_word_file_once(make):
    report = make("对照表")
    text = "".join(Word(io.BytesIO(render(report, "docx"))).element.body.itertext())
    assert all(row.text in text for row in report.rows)


def test_the_ledger_has_frozen_header_filters_lists_and_a_summary_that_adds_up(make):
    report = make()
    book = load_workbook(io.BytesIO(render(report, "xlsx")))
    assert book.sheetnames[0] == "汇总" and len(book.sheetnames) == 1 + len({r.title for r in report.rows})
    sheet = book.worksheets[1]
    assert sheet.freeze_panes and sheet.auto_filter.ref and sheet.data_validations.dataValidation
    assert sheet.page_setup.orientation == "landscape"
    head = [c.value for c in sheet[1]]
    assert [name for name, _ in LEDGER] == head[: len(LEDGER)]
    total = next(r for r in book.worksheets[0].iter_rows(values_only=True) if r[0] == "合计")
    assert list(total[1 : 1 + len(LABELS)]) == list(report.counts.values()) and total[1 + len(LABELS)] == len(
        report.rows
    )


@pytest.mark.parametrize("kind", ["台账", "任务分解"])
def test_no_cell_is_a_formula_whatever_the_text_starts_with(make, library, rows, kind):
    for row, text in zip(
        [r for r in rows if states(library, rows, {})[r.row_id].label in ("未覆盖", "部分覆盖")],
        ('=HYPERLINK("x")', "+1+1", "@SUM(A1)", "-2+3"),
        strict=False,
    ):
        decide(make.log, library, row, "=甲", {"note": text, "owner": text})
    book = load_workbook(io.BytesIO(render(make(kind), "xlsx")))
    cells = [c for sheet in book.worksheets for line in sheet.iter_rows() for c in line]
    assert not [c.coordinate for c in cells if c.data_type == "f"]
    risky = [c for c in cells if isinstance(c.value, str) and c.value[:1] in "=+-@"]
    assert risky and all(c.quotePrefix for c in risky)


def test_markdown_neutralises_markup_and_pipes(make):
    text = as_markdown(make()).decode()
    assert "<script>" not in text and "<b>" not in text
    widths = {
        line.replace("\\|", "").count("|") for line in text.splitlines() if line.startswith("| ") and "第" in line
    }
    assert len(widths) == 1


def test_json_reads_back_with_the_same_numbers(make):
    report = make("对照表")
    data = json.loads(render(report, "json"))
    assert data["counts"] == dict(report.counts) and len(data["rows"]) == len(report.rows)


def test_a_format_that_a_kind_does_not_have_is_refused_by_name(make):
    with pytest.raises(UsageError, match="xlsx"):
        render(make("对照表"), "xlsx")


# -- reading a ledger back ----------------------------------------------------------------------------------------------


def edit(data, changes, sheet=1, line=2):
    book = load_workbook(io.BytesIO(data))
    target = book.worksheets[sheet]
    head = [c.value for c in target[1]]
    for column, value in changes.items():
        target.cell(line, head.index(column) + 1).value = value
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def test_an_untouched_ledger_changes_nothing(make):
    report = make()
    found = read_ledger(render(report, "xlsx"), report.rows)
    assert (found.edits, found.refused, found.unknown) == ((), (), ())


def test_only_allowed_columns_come_back(make):
    report = make()
    data = edit(
        render(report, "xlsx"),
        {
            "覆盖结论": "已覆盖" if report.rows[0].label != "已覆盖" else "未覆盖",
            "责任单位": "市数据局",
            "要求原文": "改动",
            "国家文件": "改动",
        },
    )
    found = read_ledger(data, report.rows)
    assert set(found.edits[0].after) == {"label", "owner"} <= set(EDITABLE.values())
    assert len(found.refused) == 2 and all("不能修改" in text for text in found.refused)


def test_a_label_outside_the_list_is_refused(make):
    report = make()
    found = read_ledger(edit(render(report, "xlsx"), {"覆盖结论": "违法"}), report.rows)
    assert not found.edits and "不是可选的结论" in found.refused[0]


def test_a_row_decided_meanwhile_is_a_conflict(make, library, rows):
    report = make()
    data = edit(render(report, "xlsx"), {"责任单位": "市数据局"})
    row = next(r for r in rows if r.row_id == report.rows[0].row_id)
    decide(make.log, library, row, "乙", {"note": "先到"})
    change = read_ledger(data, make().rows).edits[0]
    with pytest.raises(ReviewError, match="乙"):
        decide(make.log, library, row, "甲", change.after, seen=change.seen)


def test_rows_of_another_ledger_are_listed(make):
    report = make()
    found = read_ledger(edit(render(report, "xlsx"), {ID: "nowhere@chain"}), report.rows)
    assert "编号不在当前结果中" in found.unknown[0]


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04junk", b"not a workbook" * 100])
def test_what_is_no_ledger_is_refused_kindly(make, data):
    with pytest.raises(ReviewError) as caught:
        read_ledger(data, make().rows)
    assert caught.value.hint


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("soffice") is None, reason="LibreOffice is not on this machine")
@pytest.mark.parametrize(("kind", "fmt"), [("对照表", "docx"), ("台账", "xlsx"), ("任务分解", "docx")])
def test_libreoffice_opens_the_file_and_prints_it(make, tmp_path, kind, fmt):
    report = make(kind)
    (tmp_path / f"r.{fmt}").write_bytes(render(report, fmt))
    profile = f"-env:UserInstallation=file://{tmp_path}/profile"
    subprocess.run(
        [
            "soffice",
            profile,
            "--headless",
            "--convert-to",
            "pdf",
            "--outdir",
            str(tmp_path),
            str(tmp_path / f"r.{fmt}"),
        ],
        check=True,
        timeout=120,
        capture_output=True,
    )
    from pypdf import PdfReader

    pages = PdfReader(tmp_path / "r.pdf").pages
    assert pages[0].mediabox.width > pages[0].mediabox.height
    text = "".join("".join(p.extract_text() for p in pages).split())
    assert "".join(report.rows[0].address.split()) in text
