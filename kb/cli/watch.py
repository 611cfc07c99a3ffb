"""kb watch: look for new documents on official pages; list, approve and reject what waits in the inbox."""

from __future__ import annotations

import click

from kb.cli import Meter, common_options, delay_option, print_json, settings_from
from kb.models import LEVELS


@click.command()
@click.argument("sources", nargs=-1, metavar="[SOURCE]...")
@common_options
@click.option("--auto", is_flag=True, help="Download everything that is new and fits our topics into the inbox.")
@click.option(
    "--approve",
    multiple=True,
    metavar="ID",
    help="Download this link, or take this held file into the corpus; may be repeated.",
)
@click.option(
    "--reject", "rejected", multiple=True, metavar="ID", help="Drop this link or put this file aside; may be repeated."
)
@click.option("--level", type=click.Choice(LEVELS), help="With --approve: level of a file that does not say it.")
@click.option(
    "--accept", "accepted", multiple=True, metavar="SOURCE", help="A redesigned page is fine: take its links."
)
@click.option("--list", "listing", is_flag=True, help="Show the inbox without looking at any page.")
@click.option(
    "--all", "everything", is_flag=True, help="With --list: also what is held already, repeated or off topic."
)
@delay_option(2.0)
def command(
    sources, corpus, index, encoder, as_json, auto, approve, rejected, level, accepted, listing, everything, delay
) -> None:
    """Look at the watched pages (all, or those named) and record new links in the inbox."""
    from kb import inbox, watch
    from kb.codec import to_json

    settings = settings_from(corpus, index, encoder)
    counts, taken = (), []
    if rejected:
        inbox.reject(settings, rejected)
    if accepted:
        watch.accept(settings, accepted)
    if approve:
        taken = watch.approve(settings, approve, level=level, delay_s=delay, progress=Meter())
    if approve or listing or rejected or accepted:
        items = inbox.waiting(settings, everything=everything)
        items = [i for i in items if i.id in approve] if approve and not listing else items
        findings = inbox.inbox_findings(settings)
    else:
        result = watch.watch_all(settings, only=sources, auto=auto, delay_s=delay, progress=Meter())
        items, counts, findings = list(result.items), result.sources, result.findings
    if as_json:
        rows = [{"id": i, "links": n, "new": new} for i, n, new in counts]
        print_json(
            {
                "sources": rows,
                "items": [to_json(i) for i in items],
                "taken": taken,
                "findings": [to_json(f) for f in findings],
            }
        )
    else:
        _print(items, counts, taken, findings, inbox.STATES)
    if any(f.severity == "error" for f in findings):
        raise click.exceptions.Exit(1)


def _print(items, counts, taken, findings, states) -> None:
    for source, n, new in counts:
        click.echo(f"{source}: {n} links, {new} new")
    for item in items:
        more = "；".join(filter(None, (item.relation, item.reason)))
        click.echo(
            f"{item.id}  {states[item.state]}  {item.date or '无日期'}  {item.title}"
            + (f"  （{more}）" if more else "")
        )
    for name in taken:
        click.echo(f"taken in: {name}; index it with kb update")
    for finding in findings:
        click.echo(f"{finding.severity}: {finding.where}: {finding.what} {finding.fix}".rstrip(), err=True)
