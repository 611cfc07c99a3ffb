"""kb fetch: official full texts into the corpus."""

from __future__ import annotations

from dataclasses import asdict

import click

from kb.cli import Meter, common_options, delay_option, print_json, settings_from

STATES = ("taken", "same", "refused", "failed", "skipped")


@click.command()
@click.argument("ids", nargs=-1, metavar="[ID]...")
@common_options
@click.option(
    "--from-package",
    "packages",
    multiple=True,
    metavar="NAME",
    help="Read an installed data package instead of the web; may be given several times.",
)
@delay_option(1.5)
def command(
    ids: tuple[str, ...],
    corpus: str | None,
    index: str | None,
    encoder: str | None,
    as_json: bool,
    packages: tuple[str, ...],
    delay: float,
) -> None:
    """Fetch full texts by catalogue id, title or number; without one, all that have an official address."""
    from kb.catalog import CATALOG_NAME, load_catalog
    from kb.errors import FetchError
    from kb.fetch import FULLTEXT, fetch, fetch_from_packages, select
    from kb.web import Client, Limits

    folder = settings_from(corpus, index, encoder).corpus
    catalog, _ = load_catalog(folder / CATALOG_NAME)
    if not len(catalog):
        raise FetchError(f"{folder / CATALOG_NAME} is missing or empty", hint="Fetching needs a catalogue.")
    if packages:
        summary = fetch_from_packages(packages, catalog, folder, ids=ids, progress=Meter())
    else:
        client = Client(Limits(delay_s=delay), partial_dir=folder / FULLTEXT / ".partial")
        summary = fetch(select(catalog, ids), folder, client, progress=Meter())
    for finding in summary.findings:
        click.echo(f"{finding.severity}: {finding.where}: {finding.what} {finding.fix}".rstrip(), err=True)
    counts = {state: summary.count(state) for state in STATES}
    if as_json:
        print_json(
            {
                **counts,
                "documents": [asdict(document) for document in summary.documents],
                "findings": [asdict(finding) for finding in summary.findings],
                "seconds": round(summary.seconds, 1),
            }
        )
    else:
        for document in summary.documents:
            if document.state == "taken":
                size = f"{document.units} articles or points, {document.characters:,} characters"
                click.echo(f"{document.title}: {size} -> {document.file}")
        told = ", ".join(f"{n} {state}" for state, n in counts.items())
        click.echo(f"{len(summary.documents)} documents: {told} | {summary.seconds:.1f} s")
    if counts["failed"] or counts["refused"]:
        raise click.exceptions.Exit(1)
