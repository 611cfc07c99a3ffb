"""kb eval: search, gaps, ablation and statutes against labels."""

from __future__ import annotations

from pathlib import Path

import click

from kb.cli import Meter, common_options, print_json, settings_from

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


@command.command("gaps")
@click.argument("file", type=FILE)
@common_options
def gaps_command(file, corpus, index, encoder, as_json) -> None:
    """Accuracy of the gap judge on labelled duties (JSONL)."""
    from kb.evaluate_gaps import read_labels, score
    from kb.index import Library
    from kb.proof import judge_labels

    labels = read_labels(file.read_text(encoding="utf-8").splitlines(), file.name)
    report(score(labels, judge_labels(Library(settings_from(corpus, index, encoder)), labels, Meter())), as_json)


@command.command("ablation")
@common_options
def ablation_command(corpus, index, encoder, as_json) -> None:
    """Proof without labels: delete, dilute and edit local texts and see whether the judge notices."""
    from kb.index import Library
    from kb.proof import ablation_run

    report(ablation_run(Library(settings_from(corpus, index, encoder)), Meter()), as_json)


@command.command("statutes")
@click.option("--articles", type=FILE, required=True, help="Articles, JSONL or .gz: id, law, chapter, text.")
@click.option("--queries", type=FILE, required=True, help="Questions, JSONL: query, relevant (article ids).")
@common_options
def statutes_command(articles, queries, corpus, index, encoder, as_json) -> None:
    """Retrieval over a large collection of articles; vectors are kept in the index folder's cache."""
    from kb.cache import Cache
    from kb.embed import load_encoder
    from kb.statutes import evaluate_statutes, read_articles, read_questions

    settings = settings_from(corpus, index, encoder)
    settings.index.mkdir(parents=True, exist_ok=True)
    chosen = None if settings.encoder == "none" else load_encoder(settings.encoder)
    cache = Cache(settings.index / "cache.db")
    report(evaluate_statutes(read_articles(articles), read_questions(queries), chosen, cache, Meter()), as_json)


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
