"""kb report, kb review and kb draft from the command line."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from openpyxl import load_workbook
from workbench_corpus import DRAFT, build_library, settings_for

from kb.cli.draft import command as draft
from kb.cli.report import command as report
from kb.cli.review import command as review


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    found = tmp_path_factory.mktemp("cli")
    build_library(found)
    return found


@pytest.fixture
def call(folder):
    settings = settings_for(folder)

    def run(command, *args):
        common = ["--corpus", str(settings.corpus), "--index", str(settings.index), "--encoder", "hash", "--json"]
        result = CliRunner().invoke(command, [*map(str, args), *common], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    return run


def test_report_decide_undo_and_ledger(call, tmp_path):
    name = "测试数据管理办法"
    out = call(report, "--national", name, "--kind", "台账", "--out", tmp_path / "a" / "台账.xlsx")
    assert sum(out["counts"].values()) == out["rows"] and (tmp_path / "a" / "台账.xlsx").stat().st_size > 5000
    listed = call(review, "--national", name, "--state", "open")
    assert listed["states"]["open"] == out["rows"] == len(listed["rows"])
    row = listed["rows"][0]["row"]
    call(review, "--national", name, "--row", row, "--label", "不适用", "--by", "甲")
    assert sum(call(review, "--national", name)["states"][s] for s in ("confirmed", "changed")) == 1
    call(review, "--national", name, "--row", row, "--undo", "--by", "甲")
    assert call(review, "--national", name)["states"]["open"] == out["rows"]
    book = load_workbook(tmp_path / "a" / "台账.xlsx")
    sheet = book.worksheets[1]
    sheet.cell(2, [c.value for c in sheet[1]].index("完成时限") + 1).value = "2026年底前"
    book.save(tmp_path / "b.xlsx")
    assert call(review, "--national", name, "--import", tmp_path / "b.xlsx", "--by", "乙")["written"] in (0, 1)


def test_a_label_chooses_rows(call, tmp_path):
    out = call(report, "--kind", "对照表", "--label", "未覆盖", "--out", tmp_path / "t.json")
    data = json.loads((tmp_path / "t.json").read_text(encoding="utf-8"))
    assert {r["label"] for r in data["rows"]} <= {"未覆盖"} and len(data["rows"]) == out["rows"]


def test_a_draft_is_checked_and_written_as_comments(call, tmp_path):
    (tmp_path / "草案.md").write_text(DRAFT, encoding="utf-8")
    out = call(draft, tmp_path / "草案.md", "--out", tmp_path / "意见.docx")
    assert out["nationals"] == ["测试数据管理办法"] and out["findings"] and (tmp_path / "意见.docx").is_file()
