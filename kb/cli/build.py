"""kb build: corpus folder to index generation."""

from __future__ import annotations

import click

from kb.cli import Meter, common_options, print_json, settings_from
from kb.codec import to_json


@click.command()
@common_options
@click.option("--force", is_flag=True, help="Write a new generation even when nothing changed.")
def command(corpus: str | None, index: str | None, encoder: str | None, as_json: bool, force: bool) -> None:
    """Read the corpus and switch to a new index; only new text is embedded."""
    from kb.index import Library, build
    from kb.rows import embed_ahead

    settings = settings_from(corpus, index, encoder)
    summary = build(settings, progress=Meter(), force=force)
    if summary.embedded:  # new texts, so the first comparison would meet new sentences
        embed_ahead(Library(settings), Meter())
    for finding in summary.findings:
        click.echo(f"{finding.severity}: {finding.where}: {finding.what} {finding.fix}".rstrip(), err=True)
    if as_json:
        print_json(to_json(summary))
        return
    d = summary.documents
    total = d.new + d.changed + d.same + d.renamed + d.failed + d.set_aside
    click.echo(
        f"{total} files: {d.new} new, {d.changed} changed, {d.same} same, {d.renamed} renamed, {d.failed} failed, "
        f"{d.set_aside} set aside; {d.removed} removed | "
        f"{summary.provisions:,} provisions | {summary.chunks:,} chunks, {summary.embedded:,} embedded | "
        f"{summary.requirements:,} requirements | {summary.seconds:.1f} s | {summary.generation}"
    )
