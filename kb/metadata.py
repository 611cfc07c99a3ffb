"""Text and file facts in, DocumentMeta out: title, kind, makers, numbers, dates, status."""

from __future__ import annotations

import re
from collections.abc import Mapping

from kb.models import DocumentMeta, Finding


def extract_metadata(
    text: str, *, path_level: str, front: Mapping[str, object] | None = None, file_name: str = ""
) -> tuple[DocumentMeta, list[Finding]]:
    """First version: title from the first line, draft from the title."""
    first = next((line.strip() for line in text.splitlines() if line.strip()), file_name)
    title = first.lstrip("# ").strip()
    draft = "征求" in title and "稿" in title
    text_kind = str((front or {}).get("text_kind") or "full")
    number = re.search(r"[\u4e00-\u9fff]{2,10}〔\d{4}〕\d+号", text[:2000])
    meta = DocumentMeta(
        title=title, level=path_level, status="draft" if draft else "in_force", text_kind=text_kind,
        doc_no=number[0] if number else None,
    )
    return meta, []
