"""kb rollback: return to an earlier generation of the index."""

from __future__ import annotations

import click

from kb.cli import common_options, print_json, settings_from


@click.command()
@common_options
@click.option("--to", default=None, metavar="GENERATION", help="Return to this one instead of the one before.")
@click.option("--list", "listing", is_flag=True, help="Show the generations that are kept; change nothing.")
def command(corpus, index, encoder, as_json, to, listing) -> None:
    """Put an earlier generation of the index in force; texts and decisions are not touched."""
    from kb.generations import current_generation, generations, read_manifest, rollback

    settings = settings_from(corpus, index, encoder)
    before = current_generation(settings.index)
    current = before if listing else rollback(settings, to)
    held = []
    for name in generations(settings.index):
        manifest = read_manifest(settings.index, name) or {}
        held.append(
            {
                "generation": name,
                "created_at": manifest.get("created_at", ""),
                "counts": manifest.get("counts", {}),
                "current": name == current,
            }
        )
    if as_json:
        print_json({"generation": current, "before": before, "generations": held, "findings": []})
        return
    for row in held:
        size = row["counts"]
        click.echo(
            f"{'*' if row['current'] else ' '} {row['generation']}  {row['created_at']}  "
            f"{size.get('documents', 0)} documents, {size.get('provisions', 0):,} provisions"
        )
    if not listing:
        click.echo(f"{before} -> {current}; the next kb build or kb update reads the corpus again")
