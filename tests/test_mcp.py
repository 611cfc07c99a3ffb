"""The MCP tools answer with sources, in process."""

from __future__ import annotations

import asyncio
import json

import pytest

pytest.importorskip("mcp")


def _call(server, name: str, **arguments):
    result = asyncio.run(server.call_tool(name, arguments))
    content = getattr(result, "content", None) or result[0]
    return json.loads(content[0].text)


@pytest.fixture(scope="module")
def server(lexical_library):
    from kb.mcp_server import make_server

    return make_server(lexical_library.settings)


def test_search_tool_gives_citations(server):
    hits = _call(server, "search", query="数据安全法第三十条", top=3)["hits"]
    assert hits[0]["citation"].startswith("《中华人民共和国数据安全法》")


def test_verify_tool_says_when_an_article_does_not_exist(server):
    assert _call(server, "verify_citation", citation="数据安全法第九十九条")["answer"] == "not_in_library"


def test_an_unknown_document_is_an_answer_not_a_failure(server):
    assert "error" in _call(server, "gap_rows", national="没有这份文件的办法")
