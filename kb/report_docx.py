"""A Report in, a Word file out: landscape, repeated header row, merged article cells, differing words marked."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sequence

from docx import Document
from docx.enum.section import WD_ORIENT
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from docx.shared import Mm, Pt

from kb.report import DIGEST, TASKS, LocalCell, Report, ReportRow, conclusion, source
from kb.wording import ADDED, DIFFERS, MISSING, Mark

FONT, LATIN = "宋体", "Times New Roman"
# rows with a longer cell may break across pages
LONG = 350
# colour and whether underlined, by kind of mark; common words stay plain so that the differences stand out
MARKS = {MISSING: ("B3261E", True), DIFFERS: ("B36B00", True), ADDED: ("1F5FA8", False)}
_BAD = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")
Run = tuple[str, dict]


def as_docx(report: Report) -> bytes:
    """The bytes of the file."""
    doc = Document()
    _page(doc)
    _heading(doc, report)
    if report.kind == "任务分解":
        _tasks(doc, report)
    else:
        _comparison(doc, report)
    _closing(doc, report)
    buffer = io.BytesIO()
    doc.save(buffer)
    return buffer.getvalue()


def _page(doc) -> None:
    section = doc.sections[0]
    section.orientation = WD_ORIENT.LANDSCAPE
    section.page_width, section.page_height = Mm(297), Mm(210)
    section.left_margin = section.right_margin = Mm(15)
    section.top_margin, section.bottom_margin = Mm(16), Mm(14)
    style = doc.styles["Normal"]
    style.font.name, style.font.size = LATIN, Pt(10)
    style.element.rPr.rFonts.set(qn("w:eastAsia"), FONT)
    style.paragraph_format.space_after = Pt(2)
    _page_numbers(section.footer.paragraphs[0])


def _page_numbers(paragraph) -> None:
    paragraph.alignment = 1
    for kind, text in (("begin", None), (None, "PAGE"), ("end", None)):
        run = OxmlElement("w:r")
        if kind:
            char = OxmlElement("w:fldChar")
            char.set(qn("w:fldCharType"), kind)
        else:
            char = OxmlElement("w:instrText")
            char.text = text
        run.append(char)
        paragraph._p.append(run)


def _heading(doc, report: Report) -> None:
    title = doc.add_paragraph()
    title.alignment = 1
    run = title.add_run(_clean(report.title))
    run.bold, run.font.size = True, Pt(15)
    doc.add_paragraph(
        f"制表日期：{report.made_on}　　共 {len(report.rows)} 条　　"
        + "　".join(f"{k} {v}" for k, v in report.counts.items() if v)
    )
    if report.kind == "对照表":
        line = doc.add_paragraph("标记：")
        for kind, text in ((MISSING, "本地未见的用语"), (DIFFERS, "两边不同的用语"), (ADDED, "本地另有的用语")):
            line._p.append(_run(text, colour=MARKS[kind][0], underline=MARKS[kind][1], bold=True))
            line._p.append(_run("　"))


def _comparison(doc, report: Report) -> None:
    both = {c.ring for r in report.rows for c in r.locals} >= {"city", "province"}
    widths = (24, 82, 62, 50, 49) if both else (24, 92, 88, 63)
    heads = (
        ("条款", "国家要求", "广东省规定", "深圳市规定", "差异与意见")
        if both
        else ("条款", "国家要求", "本地规定", "差异与意见")
    )
    table = _Table(doc, widths, heads)
    last_doc = last_article = None
    for row in report.rows:
        if row.doc_id != last_doc:
            facts = "，".join(
                x
                for x in (
                    row.doc_no,
                    f"{row.effective_on}起施行" if row.effective_on else "",
                    DIGEST if row.digest else "",
                )
                if x
            )
            table.band(f"《{row.title}》{f'（{facts}）' if facts else ''}")
        same = row.doc_id == last_doc and row.article == last_article
        cells: list[list[list[Run]]] = [[[(row.article, {"bold": True})]], _national(row)]
        if both:
            cells += [_local(row, "province"), _local(row, "city")]
        else:
            cells.append(_local(row, None))
        table.row([*cells, _opinion(row)], merge_up=same)
        last_doc, last_article = row.doc_id, row.article


def _national(row: ReportRow) -> list[list[Run]]:
    marks = row.locals[0].marks.national if row.locals and row.locals[0].decisive else ()
    return [
        [
            (
                f"{row.doc_no + ' ' if row.doc_no else ''}{row.address}{f'〔{DIGEST}〕' if row.digest else ''}",
                {"small": True},
            )
        ],
        _marked(row.text, marks),
    ]


def _local(row: ReportRow, ring: str | None) -> list[list[Run]]:
    cells = [c for c in row.locals if ring is None or c.ring == ring]
    if not cells:
        return [[("未检索到对应条款", {"small": True})]]
    out: list[list[Run]] = []
    for cell in cells:
        out.append([(_local_source(cell), {"small": True})])
        out.append(_marked(cell.quote, cell.marks.local if cell.decisive else ()))
    return out


def _local_source(cell: LocalCell) -> str:
    lead = "" if cell.decisive else "（仅相关，不计入覆盖）"
    facts = f"〔{DIGEST}〕" if cell.digest else ""
    return f"{lead}{source(cell.title, cell.doc_no, cell.address)}{facts}〔{cell.status}〕"


def _opinion(row: ReportRow) -> list[list[Run]]:
    out: list[list[Run]] = [[(conclusion(row), {"bold": True})]]
    if row.gap:
        out.append([(row.gap, {})])
    out.append([(f"建议举措：{row.measure}", {})])
    who = (
        f"{row.reviewer} {row.reviewed_on} {row.state}"
        if row.reviewer
        else f"{row.state}，机器把握 {row.confidence:.0%}"
    )
    local_dates = "、".join(dict.fromkeys(c.effective_on for c in row.locals if c.effective_on))
    versions = "；".join(
        x
        for x in (
            f"国家文本{row.effective_on}施行" if row.effective_on else "",
            f"本地文本{local_dates}施行" if local_dates else "",
        )
        if x
    )
    out.append([(who + (f"。依据版本：{versions}" if versions else ""), {"small": True})])
    return out


def _marked(text: str, marks: Sequence[Mark]) -> list[Run]:
    """Runs of a text with its differing words in colour."""
    out: list[Run] = []
    at = 0
    for mark in marks:
        if mark.kind not in MARKS:
            continue
        colour, underline = MARKS[mark.kind]
        out += [
            (text[at : mark.start], {}),
            (text[mark.start : mark.end], {"colour": colour, "underline": underline, "bold": True}),
        ]
        at = mark.end
    return [run for run in [*out, (text[at:], {})] if run[0]]


def _tasks(doc, report: Report) -> None:
    table = _Table(doc, (10, 78, 30, 26, 22, 16, 34, 51), [name for name, _ in TASKS])
    for row in report.rows:
        table.row([[[(str(get(row)), {})]] for _, get in TASKS])


def _closing(doc, report: Report) -> None:
    doc.add_paragraph()
    for note in report.notes:
        doc.add_paragraph(_clean(note))
    doc.add_paragraph("所用文本：")
    table = _Table(doc, (120, 45, 26, 26, 32, 18), ("文件", "文号", "施行日期", "时效", "文本", "版本"))
    for version in report.versions:
        table.row([[[(value, {})]] for value in version])


class _Table:
    """A bordered table written as XML, row by row; thousands of rows stay quick."""

    def __init__(self, doc, widths: Sequence[int], heads: Sequence[str]) -> None:
        self.widths = [w * 57 for w in widths]  # mm to twentieths of a point
        table = doc.add_table(rows=0, cols=len(widths))
        table.style, table.autofit = "Table Grid", False
        for column, width in zip(table.columns, widths, strict=True):
            column.width = Mm(width)
        self._tbl = table._tbl
        margins = OxmlElement("w:tblCellMar")
        for side, width in (("top", 45), ("left", 85), ("bottom", 45), ("right", 85)):
            margins.append(_element(f"w:{side}", w=str(width), type="dxa"))
        self._tbl.tblPr.append(margins)
        self.row([[[(head, {"bold": True})]] for head in heads], header=True)

    def band(self, text: str) -> None:
        """A row over the full width that names a document."""
        row = self._new_row()
        row.append(self._cell([[(text, {"bold": True})]], sum(self.widths), span=len(self.widths), shade="E8EEF6"))

    def row(self, cells: Sequence[Iterable[list[Run]]], *, header: bool = False, merge_up: bool = False) -> None:
        """One row; `merge_up` joins its first cell with the one above."""
        length = max((sum(len(text) for runs in cell for text, _ in runs) for cell in cells), default=0)
        row = self._new_row(header, split=length > LONG)
        for index, (content, width) in enumerate(zip(cells, self.widths, strict=True)):
            merge = None if header or index else ("continue" if merge_up else "restart")
            row.append(
                self._cell(
                    content if merge != "continue" else [[]], width, merge=merge, shade="D9E2F0" if header else None
                )
            )

    def _new_row(self, header: bool = False, split: bool = False):
        row = OxmlElement("w:tr")
        properties = OxmlElement("w:trPr")
        if not split:
            properties.append(OxmlElement("w:cantSplit"))
        if header:
            properties.append(OxmlElement("w:tblHeader"))
        row.append(properties)
        self._tbl.append(row)
        return row

    def _cell(self, paragraphs, width: int, *, span: int = 1, merge: str | None = None, shade: str | None = None):
        cell, properties = OxmlElement("w:tc"), OxmlElement("w:tcPr")
        properties.append(_element("w:tcW", w=str(width), type="dxa"))
        if span > 1:
            properties.append(_element("w:gridSpan", val=str(span)))
        if merge:
            properties.append(_element("w:vMerge", val=merge))
        if shade:
            properties.append(_element("w:shd", val="clear", color="auto", fill=shade))
        cell.append(properties)
        for runs in paragraphs:
            paragraph = OxmlElement("w:p")
            for text, style in runs:
                for number, line in enumerate(text.split("\n")):
                    if number:
                        paragraph.append(_element("w:r", child=OxmlElement("w:br")))
                    paragraph.append(_run(line, **style))
            cell.append(paragraph)
        return cell


def _element(tag: str, *, child=None, **attributes: str):
    element = OxmlElement(tag)
    for name, value in attributes.items():
        element.set(qn(f"w:{name}"), value)
    if child is not None:
        element.append(child)
    return element


def _run(text: str, *, bold: bool = False, small: bool = False, colour: str | None = None, underline: bool = False):
    run, properties = OxmlElement("w:r"), OxmlElement("w:rPr")
    properties.append(_element("w:rFonts", ascii=LATIN, hAnsi=LATIN, eastAsia=FONT))
    if bold:
        properties.append(OxmlElement("w:b"))
    if colour or small:
        properties.append(_element("w:color", val=colour or "555555"))
    properties.append(_element("w:sz", val="17" if small else "20"))
    if underline:
        properties.append(_element("w:u", val="single"))
    run.append(properties)
    node = OxmlElement("w:t")
    node.set(qn("xml:space"), "preserve")
    node.text = _clean(text)
    run.append(node)
    return run


def _clean(text: str) -> str:
    """Text that XML can hold."""
    return _BAD.sub("", text)


def comments_docx(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> bytes:
    """A table of comments on a draft (六栏意见表) as a Word file."""
    doc = Document()
    _page(doc)
    head = doc.add_paragraph()
    head.alignment = 1
    run = head.add_run(_clean(f"《{title}》比对意见表"))
    run.bold, run.font.size = True, Pt(15)
    table = _Table(doc, (12, 30, 62, 16, 107, 40), heads)
    for row in rows:
        table.row([[[(value, {})]] for value in row])
    doc.add_paragraph()
    doc.add_paragraph("本表由程序比对生成，供起草、审查参考，是否采纳由人工判断。")
    buffer = io.BytesIO()
    doc.save(buffer)
    return buffer.getvalue()
