"""kb update: bring the index up to date, say what changed, and be fit for cron."""

from __future__ import annotations

import click

from kb.cli import Meter, common_options, print_json, settings_from

CHANGED = 10


@click.command()
@common_options
@click.option(
    "--no-judge", is_flag=True, help="Leave out the gap rows; the note then has documents, articles and citations."
)
@click.option("--watch", "watching", is_flag=True, help="Look at the watched pages first (kb watch).")
@click.option(
    "--auto", is_flag=True, help="With --watch: also download what is found and fits our topics into the inbox."
)
@click.option("--no-inbox", is_flag=True, help="Leave the inbox alone; otherwise what passes the gate is taken in.")
@click.option(
    "--time-limit",
    default=0,
    metavar="MINUTES",
    type=click.IntRange(0, 1440),
    help="Stop a run that takes longer; 0 is no limit.",
)
@click.option(
    "--log", "log", default=None, metavar="FILE", help="Append one JSON line a run; rotated at 1 MB, five kept."
)
@click.option("--exit-code", is_flag=True, help=f"Exit {CHANGED} when something changed.")
def command(corpus, index, encoder, as_json, no_judge, watching, auto, no_inbox, time_limit, log, exit_code) -> None:
    """Compare corpus and inbox with the index, redo what changed, write the change note."""
    from kb.change_note import headline
    from kb.codec import to_json
    from kb.schedule import log_run, stop_after
    from kb.update import update

    settings = settings_from(corpus, index, encoder)
    with stop_after(time_limit), log_run(log, "update") as record:
        seen = _look(settings, auto) if watching else ()
        result = update(settings, progress=Meter(), judge=not no_judge, inbox=not no_inbox, held=seen)
        summary = to_json(result.summary)
        record(summary)
    for finding in (*result.summary.findings, *result.note.held):
        click.echo(f"{finding.severity}: {finding.where}: {finding.what} {finding.fix}".rstrip(), err=True)
    if as_json:
        print_json(summary)
    else:
        d = result.summary.documents
        click.echo(
            f"{d.new} new, {d.changed} changed, {d.same} same, {d.renamed} renamed, {d.removed} removed, {d.failed} failed | "
            f"{result.summary.embedded:,} embedded | {result.summary.seconds:.1f} s | {result.summary.generation}"
        )
        for name in result.note.taken:
            click.echo(f"taken in: {name}")
        click.echo(headline(result.note))
        if result.file:
            click.echo(result.file)
    if exit_code and not result.note.empty:
        raise click.exceptions.Exit(CHANGED)


def _look(settings, auto: bool) -> tuple:
    """A look at the watched pages; a fault there is told and stops no update."""
    from kb.errors import KbError
    from kb.models import Finding
    from kb.watch import watch_all

    try:
        return watch_all(settings, progress=Meter(), auto=auto).findings
    except KbError as error:
        return (Finding("error", "watch", error.message, error.hint),)
