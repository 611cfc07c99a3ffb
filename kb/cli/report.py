"""kb report: comparison tables, ledgers and task lists as files."""

from __future__ import annotations

from pathlib import Path

import click

from kb.cli import common_options, print_json, settings_from
from kb.cli.rows import choice_options, chosen_rows


@click.command()
@common_options
@choice_options
@click.option(
    "--kind",
    type=click.Choice(["对照表", "台账", "任务分解"]),
    default="对照表",
    show_default=True,
    help="Which report.",
)
@click.option(
    "--format",
    "fmt",
    type=click.Choice(["docx", "xlsx", "md", "json"]),
    default=None,
    help="By default from the name of the file.",
)
@click.option("--label", multiple=True, help="Only rows with this 覆盖结论.")
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="File to write.")
def command(corpus, index, encoder, as_json, national, scope, kind, fmt, label, out) -> None:
    """Write a report; its rows and counts are those of the workbench."""
    from kb.render import render
    from kb.report import build_report
    from kb.review import ReviewLog, states

    settings = settings_from(corpus, index, encoder)
    library, local, rows = chosen_rows(settings, national, scope)
    held = states(library, rows, ReviewLog(settings.corpus / "reviews.jsonl").decisions())
    if label:
        rows = [r for r in rows if held[r.row_id].label in label]
    report = build_report(library, rows, held, local, kind, chosen="、".join(label))
    data = render(report, fmt or out.suffix.lstrip(".").lower())
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(data)
    summary = {"file": str(out), "rows": len(report.rows), "counts": dict(report.counts)}
    if as_json:
        print_json(summary)
    else:
        click.echo(f"{out}: {len(report.rows)} rows, " + ", ".join(f"{k} {v}" for k, v in report.counts.items()))
