"""A Report in, an Excel file out, and an edited ledger back in.

Every cell is written as text (never a formula, whatever it starts with). A ledger read back may change the columns of
`EDITABLE` only; other changes are named and ignored, and rows that somebody decided meanwhile are listed as conflicts.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from openpyxl import Workbook, load_workbook
from openpyxl.styles import Alignment, Border, Font, PatternFill, Side
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.datavalidation import DataValidation

from kb.errors import ReviewError
from kb.report import LEDGER, MEASURES, PROGRESS, TASKS, Report, ReportRow
from kb.review import DECIDABLE, FIELDS

EDITABLE = {FIELDS[name]: name for name in ("label", "note", "measure", "owner", "due", "progress")}
ID, SEEN = "编号（勿改）", "版次（勿改）"
WIDTHS = {
    "序号": 6,
    "国家文件": 22,
    "文号": 16,
    "施行日期": 12,
    "条款": 14,
    "要求原文": 48,
    "类型": 7,
    "责任层级": 10,
    "本地对应文件及条款": 48,
    "覆盖结论": 14,
    "程度": 6,
    "差距说明": 38,
    "建议举措": 14,
    "责任单位": 18,
    "完成时限": 14,
    "状态": 10,
    "复核状态": 10,
    "复核人": 10,
    "任务": 60,
    "牵头单位": 24,
    "配合（责任）单位": 20,
    "进展": 10,
    "依据": 36,
    "现状": 40,
}
FILLS = {
    "已覆盖": "DDF0E0",
    "部分覆盖": "FFF0CC",
    "未覆盖": "FBDAD7",
    "疑似不一致": "EBDDF3",
    "直接适用无需配套": "DCE9F7",
    "不适用": "ECECEC",
    "待人工核定": "E3E5E9",
}
MAX_BYTES = 30_000_000
_BAD = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")
_LINE = Border(*(Side(style="thin", color="C8CCD2"),) * 4)
_HEAD = PatternFill("solid", fgColor="D9E2F0")


def as_xlsx(report: Report) -> bytes:
    """The bytes of the file: a summary sheet, then one sheet per national document (a single sheet for tasks)."""
    book = Workbook()
    _summary(book.active, report)
    if report.kind == "任务分解":
        _sheet(book.create_sheet("任务分解表"), TASKS, report.rows)
    else:
        for title, rows in _by_document(report.rows).items():
            sheet = book.create_sheet(_sheet_name(title, book.sheetnames))
            _sheet(sheet, (*LEDGER, (ID, lambda r: r.row_id), (SEEN, lambda r: r.seen)), rows)
            _lists(sheet, len(rows))
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def _by_document(rows: Sequence[ReportRow]) -> dict[str, list[ReportRow]]:
    out: dict[str, list[ReportRow]] = {}
    for row in rows:
        out.setdefault(row.title, []).append(row)
    return out


def _sheet_name(title: str, taken: Sequence[str]) -> str:
    base = _BAD.sub("", re.sub(r"[\[\]:*?/\\']", "", title.replace("中华人民共和国", "")))[:26] or "国家文件"
    name, n = base, 2
    while name in taken:
        name, n = f"{base}_{n}", n + 1
    return name


def _summary(sheet, report: Report) -> None:
    sheet.title = "汇总"
    _put(sheet, 1, 1, report.title, bold=True, size=14)
    sheet.merge_cells(start_row=1, start_column=1, end_row=1, end_column=len(report.counts) + 3)
    sheet.row_dimensions[1].height = 24
    _put(sheet, 2, 1, f"制表日期 {report.made_on}；共 {len(report.rows)} 条")
    labels = list(report.counts)
    for column, head in enumerate(("国家文件", *labels, "合计", "已复核"), 1):
        _put(sheet, 4, column, head, bold=True, fill=_HEAD, border=True)
    line = 5
    for title, rows in _by_document(report.rows).items():
        done = sum(r.state in ("已确认", "已改判") for r in rows)
        values = [title, *(sum(r.label == x for r in rows) for x in labels), len(rows), done]
        for column, value in enumerate(values, 1):
            _put(sheet, line, column, value, border=True)
        line += 1
    done = sum(r.state in ("已确认", "已改判") for r in report.rows)
    for column, value in enumerate(("合计", *report.counts.values(), len(report.rows), done), 1):
        _put(sheet, line, column, value, bold=True, border=True)
    line += 2
    last = len(labels) + 3
    for note in report.notes:
        # one merged cell over the table's width, so that a long note never makes the printed page wider
        _put(sheet, line, 1, note, wrap=True)
        sheet.merge_cells(start_row=line, start_column=1, end_row=line, end_column=last)
        sheet.row_dimensions[line].height = _height([(46 + 16 * (last - 1), note)])
        line += 1
    line += 1
    for column, head in enumerate(("文件", "文号", "施行日期", "时效", "文本", "版本"), 1):
        _put(sheet, line, column, head, bold=True, fill=_HEAD, border=True)
    for version in report.versions:
        line += 1
        for column, value in enumerate(version, 1):
            _put(sheet, line, column, value, border=True)
    sheet.column_dimensions["A"].width = 46
    for column in range(2, len(labels) + 4):
        sheet.column_dimensions[get_column_letter(column)].width = 16
    sheet.freeze_panes = "B5"
    _print_setup(sheet)


def _sheet(sheet, columns, rows: Sequence[ReportRow]) -> None:
    names = [name for name, _ in columns]
    for column, name in enumerate(names, 1):
        _put(sheet, 1, column, name, bold=True, fill=_HEAD, border=True, wrap=True)
        sheet.column_dimensions[get_column_letter(column)].width = WIDTHS.get(name, 12)
        sheet.column_dimensions[get_column_letter(column)].hidden = name in (ID, SEEN)
    for line, row in enumerate(rows, 2):
        for column, (name, get) in enumerate(columns, 1):
            fill = PatternFill("solid", fgColor=FILLS[row.label]) if name == "覆盖结论" else None
            _put(sheet, line, column, get(row), border=True, wrap=True, fill=fill)
        sheet.row_dimensions[line].height = _height(
            [(WIDTHS.get(name, 12), str(get(row))) for name, get in columns if name not in (ID, SEEN)]
        )
    sheet.freeze_panes = "F2" if "条款" in names else "C2"
    sheet.auto_filter.ref = f"A1:{get_column_letter(len(names))}{len(rows) + 1}"
    sheet.print_title_rows = "1:1"
    _print_setup(sheet)


def _height(cells: Sequence[tuple[int, str]]) -> float:
    """Points a row needs so that wrapped Chinese text shows whole; a line of width w holds about w / 2.1 characters."""
    lines = max(sum(max(1, -(-len(part) * 21 // (width * 10))) for part in text.split("\n")) for width, text in cells)
    return float(min(400, 14 * lines + 4))


def _print_setup(sheet) -> None:
    sheet.page_setup.orientation, sheet.page_setup.paperSize = "landscape", 8  # A3
    sheet.page_setup.fitToWidth, sheet.page_setup.fitToHeight = 1, 0
    sheet.sheet_properties.pageSetUpPr.fitToPage = True


def _lists(sheet, n: int) -> None:
    """Choice lists for the columns that have a fixed vocabulary."""
    names = [name for name, _ in LEDGER]
    for column, values in (("覆盖结论", DECIDABLE), ("建议举措", MEASURES), ("状态", PROGRESS)):
        rule = DataValidation(
            type="list", formula1=f'"{",".join(values)}"', allow_blank=True, showErrorMessage=column == "覆盖结论"
        )
        rule.error, rule.errorTitle = "请从列表中选择", column
        letter = get_column_letter(names.index(column) + 1)
        rule.add(f"{letter}2:{letter}{n + 1}")
        sheet.add_data_validation(rule)


def _put(
    sheet, line: int, column: int, value: object, *, bold=False, size=10, fill=None, border=False, wrap=False
) -> None:
    """Write a number as a number and everything else as text that no spreadsheet will evaluate."""
    cell = sheet.cell(line, column)
    if isinstance(value, (int, float)):
        cell.value = value
    else:
        cell.value = _BAD.sub("", str(value))[:32_000]
        cell.data_type = "s"
        if cell.value[:1] in ("=", "+", "-", "@", "\t", "\r"):
            cell.quotePrefix = True
    cell.font = Font(name="宋体", size=size, bold=bold)
    cell.alignment = Alignment(vertical="top", wrap_text=wrap)
    if fill:
        cell.fill = fill
    if border:
        cell.border = _LINE


# -- reading a ledger back ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Edit:
    """What an edited ledger wants to set on one row; `seen` is the last review event it was exported with."""

    row_id: str
    seen: str
    after: Mapping[str, str]
    where: str


@dataclass(frozen=True, slots=True)
class Ledger:
    """An edited ledger compared with the rows of today: edits to make, changes that are not allowed, and odd lines."""

    edits: tuple[Edit, ...]
    refused: tuple[str, ...]
    unknown: tuple[str, ...]


def read_ledger(data: bytes, rows: Sequence[ReportRow]) -> Ledger:
    """Compare an edited ledger with the rows it was exported from.

    Raises:
        ReviewError: not a ledger, too large, or damaged.
    """
    if len(data) > MAX_BYTES:
        raise ReviewError("台账文件过大", hint="请只导入由本系统导出的台账。")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as package:
            if sum(i.file_size for i in package.infolist()) > 10 * MAX_BYTES:
                raise ReviewError("台账文件解压后过大", hint="请只导入由本系统导出的台账。")
        book = load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        sheets = [(s.title, list(s.iter_rows(values_only=True))) for s in book.worksheets]
    except ReviewError:
        raise
    except Exception as error:  # openpyxl raises many kinds on damaged files
        raise ReviewError("这不是可以读取的 Excel 文件", hint="请选择由本系统导出的台账（.xlsx）。") from error
    known = {r.row_id: r for r in rows}
    columns = dict(LEDGER)
    edits, refused, unknown = [], [], []
    found = False
    for name, lines in sheets:
        head = [str(v or "") for v in lines[0]] if lines else []
        if ID not in head:
            continue
        found = True
        for number, values in enumerate(lines[1:], 2):
            cells = dict(zip(head, (_text(v) for v in values), strict=False))
            row = known.get(cells.get(ID, ""))
            if row is None:
                if any(cells.values()):
                    unknown.append(f"{name} 第{number}行：编号不在当前结果中")
                continue
            after = {}
            for column, value in cells.items():
                if column not in columns or _text(columns[column](row)) == value:
                    continue
                if column not in EDITABLE:
                    refused.append(f"{name} 第{number}行“{column}”：此列不能修改，已忽略")
                elif column == "覆盖结论" and value not in DECIDABLE:
                    refused.append(f"{name} 第{number}行“覆盖结论”：“{value}”不是可选的结论，已忽略")
                else:
                    after[EDITABLE[column]] = value
            if after:
                edits.append(Edit(row.row_id, cells.get(SEEN, ""), after, f"{name} 第{number}行"))
    if not found:
        raise ReviewError("文件里没有本系统导出的台账", hint="请在“差距图谱”或用 kb report 导出台账，修改后再导入。")
    return Ledger(tuple(edits), tuple(refused), tuple(unknown))


def _text(value: object) -> str:
    """Cell value as text; Excel turns dates and whole numbers into its own types."""
    if value is None:
        return ""
    if hasattr(value, "strftime"):
        return value.strftime("%Y-%m-%d")
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return _BAD.sub("", str(value)).replace("\r\n", "\n")[:32_000].strip()
