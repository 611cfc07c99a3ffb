"""kb eval: search, gaps, ablation and statutes against labels."""

from __future__ import annotations

from pathlib import Path

import click

from kb.cli import common_options, print_json, settings_from

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def command() -> None:
    """Measure quality against labelled files."""


@command.command("search")
@click.argument("file", type=FILE)
@common_options
def search_command(file, corpus, index, encoder, as_json) -> None:
    """Search quality on labelled queries (JSONL)."""
    from kb.evaluate import evaluate_search, read_queries
    from kb.index import Library
    from kb.search import search

    library = Library(settings_from(corpus, index, encoder))

    def run(query: str):
        result = search(library, query, top=10)
        return result.found, result.hits

    report(evaluate_search(read_queries(file), run), as_json)


def report(numbers: dict, as_json: bool) -> None:
    """Print a flat table for people, or the whole value as JSON."""
    if as_json:
        print_json(numbers)
        return
    for name, value in numbers.items():
        if not isinstance(value, dict):
            click.echo(f"{name:<14}{value}")
            continue
        click.echo(name)
        for key, inner in value.items():
            text = "  ".join(f"{k} {v}" for k, v in inner.items()) if isinstance(inner, dict) else inner
            click.echo(f"  {key:<22}{text}")
