"""kb report: comparison tables, ledgers and task lists as files."""

from __future__ import annotations

from pathlib import Path

import click

from kb.cli import Meter, common_options, print_json, settings_from


@click.command()
@common_options
@click.option("--national", multiple=True, help="National document by title or alias; all of them by default.")
@click.option("--scope", multiple=True, help="Local document that counts; Shenzhen and provincial Guangdong texts in force by default.")
@click.option("--kind", type=click.Choice(["对照表", "台账", "任务分解"]), default="对照表", show_default=True, help="Which report.")
@click.option("--format", "fmt", type=click.Choice(["docx", "xlsx", "md", "json"]), default=None, help="By default from the name of the file.")
@click.option("--label", multiple=True, help="Only rows with this 覆盖结论.")
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="File to write.")
def command(corpus, index, encoder, as_json, national, scope, kind, fmt, label, out) -> None:
    """Write a report; its rows and counts are those of the workbench."""
    from kb.index import Library
    from kb.mapping import find_infos
    from kb.report import build_report, render
    from kb.review import ReviewLog, states
    from kb.rows import gap_rows, national_documents, scope_choice, scope_of_documents

    settings = settings_from(corpus, index, encoder)
    library = Library(settings)
    chosen = find_infos(library, national, ("national",)) if national else national_documents(library)
    local = scope_of_documents(library, [d.doc_id for d in find_infos(library, scope)]) if scope else scope_choice(library)
    rows = gap_rows(library, [d.doc_id for d in chosen], local, progress=Meter())
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
