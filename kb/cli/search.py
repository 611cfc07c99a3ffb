"""kb search: provisions for a query."""

from __future__ import annotations

import click

from kb.cli import common_options, print_json, settings_from
from kb.codec import to_json
from kb.models import LEVEL_NAMES, LEVELS, STATUS_NAMES


@click.command()
@click.argument("query")
@common_options
@click.option("--level", type=click.Choice(LEVELS), help="Only this level.")
@click.option("--title", help="Only documents whose title contains this.")
@click.option("--kind", help="Only this kind of document, e.g. 行政法规.")
@click.option("--topic", help="Only documents on this topic.")
@click.option("--status", type=click.Choice(list(STATUS_NAMES)), help="Only documents with this status.")
@click.option("--since", help="In force on or after this day, YYYY-MM-DD.")
@click.option("--until", help="In force on or before this day, YYYY-MM-DD.")
@click.option("--as-of", help="Judge status on this day, YYYY-MM-DD.")
@click.option("--top", default=10, show_default=True, type=click.IntRange(1, 200), help="How many hits.")
def command(
    query, corpus, index, encoder, as_json, level, title, kind, topic, status, since, until, as_of, top
) -> None:
    """Find provisions: exact citations first, then words and meaning together."""
    from kb.index import Library
    from kb.search import Filters, search

    library = Library(settings_from(corpus, index, encoder))
    result = search(library, query, Filters(level, title, kind, topic, status, since, until, as_of), top)
    if as_json:
        print_json(to_json(result))
        return
    if result.message:
        click.echo(result.message)
    for hit in result.hits:
        pin = "＊" if hit.pinned else " "
        click.echo(f"{hit.rank:>2}{pin}[{LEVEL_NAMES[hit.level]}·{STATUS_NAMES[hit.status]}] {hit.citation}")
        click.echo(f"    {hit.best_sentence}")
    click.echo(f"{len(result.hits)} hits in {result.took_ms:.0f} ms, index {library.generation}", err=True)
