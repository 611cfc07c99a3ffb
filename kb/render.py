"""Report content in, the bytes of a file out: Word, Excel, Markdown or JSON."""

from __future__ import annotations

from kb.errors import UsageError
from kb.report import KINDS, Report, as_json, as_markdown


def render(report: Report, fmt: str) -> bytes:
    """A report as the bytes of a file.

    Raises:
        UsageError: this kind of report has no such format.
    """
    if fmt not in KINDS[report.kind]:
        raise UsageError(f"{report.kind} cannot be written as {fmt}", hint=f"Formats: {', '.join(KINDS[report.kind])}.")
    if fmt == "docx":
        from kb.report_docx import as_docx

        return as_docx(report)
    if fmt == "xlsx":
        from kb.report_xlsx import as_xlsx

        return as_xlsx(report)
    return as_markdown(report) if fmt == "md" else as_json(report)
