"""kb mcp: serve the library to an assistant over standard input and output."""

from __future__ import annotations

import click

from kb.cli import common_options, settings_from


@click.command()
@common_options
def command(corpus, index, encoder, as_json) -> None:
    """Serve search, citation check and the gap table over MCP (stdio)."""
    from kb.mcp_server import make_server

    make_server(settings_from(corpus, index, encoder)).run("stdio")
