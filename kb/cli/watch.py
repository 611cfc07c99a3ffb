"""kb watch: look for new documents on official pages; approve, ignore, download."""

from __future__ import annotations

import click

from kb.cli import Meter, common_options, print_json, settings_from


@click.command()
@click.argument("sources", nargs=-1, metavar="[SOURCE]...")
@common_options
@click.option("--auto", is_flag=True, help="Download everything that is new and fits our topics into the inbox.")
@click.option("--approve", multiple=True, metavar="ID", help="Download this item of the inbox; may be repeated.")
@click.option("--ignore", "ignored", multiple=True, metavar="ID", help="Drop this item; may be repeated.")
@click.option(
    "--accept", "accepted", multiple=True, metavar="SOURCE", help="A redesigned page is fine: take its links."
)
@click.option("--list", "listing", is_flag=True, help="Show the inbox without looking at any page.")
@click.option(
    "--all", "everything", is_flag=True, help="With --list: also what is held already, repeated or off topic."
)
@click.option(
    "--delay",
    default=2.0,
    show_default=True,
    type=click.FloatRange(0.2, 60),
    help="Seconds between two requests to one host.",
)
def command(
    sources, corpus, index, encoder, as_json, auto, approve, ignored, accepted, listing, everything, delay
) -> None:
    """Look at the watched pages (all, or those named) and record new links in the inbox."""
    from kb import watch
    from kb.codec import to_json

    settings = settings_from(corpus, index, encoder)
    if ignored:
        watch.ignore(settings, ignored)
    if accepted:
        watch.accept(settings, accepted)
    if approve:
        items = watch.download(settings, approve, delay_s=delay, progress=Meter())
        counts, findings = (), watch.inbox_findings(settings)
    elif listing or ignored or accepted:
        shown = ("new", "unsure", "downloaded", "held")
        items = [i for i in watch.read_ledger(settings).items.values() if everything or i.state in shown]
        counts, findings = (), watch.inbox_findings(settings)
    else:
        result = watch.watch_all(settings, only=sources, auto=auto, delay_s=delay, progress=Meter())
        items, counts, findings = list(result.items), result.sources, result.findings
    if as_json:
        rows = [{"id": i, "links": n, "new": new} for i, n, new in counts]
        print_json({"sources": rows, "items": [to_json(i) for i in items], "findings": [to_json(f) for f in findings]})
    else:
        _print(items, counts, findings, watch.STATES)
    if any(f.severity == "error" for f in findings):
        raise click.exceptions.Exit(1)


def _print(items, counts, findings, states) -> None:
    for source, n, new in counts:
        click.echo(f"{source}: {n} links, {new} new")
    for item in items:
        more = "；".join(filter(None, (item.relation, item.reason)))
        click.echo(
            f"{item.id}  {states[item.state]}  {item.date or '无日期'}  {item.title}"
            + (f"  （{more}）" if more else "")
        )
    for finding in findings:
        click.echo(f"{finding.severity}: {finding.where}: {finding.what} {finding.fix}".rstrip(), err=True)
