"""MCP server: an assistant may search, quote, verify a citation and read the gap table.

Needs the extra `mcp`. Everything returned carries title, number, status and address; nothing is generated.
"""

from __future__ import annotations

import datetime as dt

from kb.codec import to_json
from kb.errors import KbError, UsageError
from kb.index import Library
from kb.models import LEVELS, STATUS_NAMES
from kb.rows import gap_table, row_json
from kb.search import Filters, search
from kb.settings import Settings
from kb.versions import show

INSTRUCTIONS = (
    "数据治理政策库：国家、广东、深圳文件。检索用 search；引用前用 verify_citation 核对原文；"
    "国家要求与本地规定的对照用 gap_rows。检索不到不等于不存在。"
)


def make_server(settings: Settings):
    """The server over the index in force.

    Raises:
        UsageError: the package mcp is not installed.
    """
    try:
        from mcp.server import MCPServer
    except ImportError as error:
        raise UsageError(
            "the package mcp is not installed", hint="Install it with: pip install 'duibiao[mcp]'"
        ) from error
    library = Library(settings)
    server = MCPServer("duibiao", instructions=INSTRUCTIONS)

    @server.tool(name="search")
    def search_provisions(query: str, level: str = "", status: str = "", as_of: str = "", top: int = 8) -> dict:
        """Find provisions by question, words, 文号 or citation. level: national, guangdong, shenzhen, peers."""
        filters = Filters(
            level=level if level in LEVELS else None,
            status=status if status in STATUS_NAMES else None,
            as_of=as_of or None,
        )
        return to_json(search(library, query, filters, max(1, min(top, 30))))

    @server.tool()
    def verify_citation(citation: str, as_of: str = "") -> dict:
        """Text and status of a cited provision: found, wording_differs, amended_since or not_in_library."""
        day = as_of or dt.date.today().isoformat()
        metas = {d.doc_id: d.meta for d in library.documents}
        return to_json(show(citation, library.titles, metas, library.document, day=day, as_of=bool(as_of)))

    @server.tool()
    def gap_rows(national: str, label: str = "") -> dict:
        """Every duty of one national document against the local rules in force; label narrows the rows."""
        try:
            table = gap_table(library, [national])
        except KbError as error:
            return {"error": error.message, "next": error.hint}
        rows = [row_json(row) for row in table.rows if label in ("", row.assessment.label)]
        return {"scope": list(table.scope), "counts": table.counts, "rows": rows, "notes": list(table.notes)}

    @server.tool()
    def list_documents(level: str = "") -> list[dict]:
        """Documents held: title, number, level, status, 施行 date."""
        return [
            {
                "title": d.meta.title,
                "doc_no": d.meta.doc_no,
                "level": d.meta.level,
                "status": STATUS_NAMES[d.meta.status],
                "effective_on": d.meta.effective_on,
                "text_kind": d.meta.text_kind,
            }
            for d in library.documents
            if level in ("", d.meta.level)
        ]

    return server
