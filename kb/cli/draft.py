"""kb draft: check a draft against national duties, its references, numbering and terms."""

from __future__ import annotations

from pathlib import Path

import click

from kb.cli import Meter, common_options, print_json, settings_from


@click.command()
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@common_options
@click.option(
    "--national",
    multiple=True,
    help="National document by title or alias; proposed from title and citations by default.",
)
@click.option("--base", help="The text in force that an amending draft changes; the one it names by default.")
@click.option("--no-current", is_flag=True, help="Do not compare with the rules in force.")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="Also write the table of comments (.docx)."
)
def command(path, corpus, index, encoder, as_json, national, base, no_current, out) -> None:
    """Which national duties a draft covers, weakens or leaves out; dead citations; numbering; terms."""
    import json

    from kb.draft import COLUMNS, carried_out, check_draft, comments, draft_document, suggested_nationals
    from kb.draft import as_json as to_bytes
    from kb.index import Library
    from kb.read import read_file
    from kb.rows import find_infos, scope_choice

    library = Library(settings_from(corpus, index, encoder))
    document = draft_document(read_file(path, name=path.name), path.name)
    changed = find_infos(library, [base])[0].doc_id if base else ""
    document, amended = carried_out(library, document, changed)
    chosen = find_infos(library, national, ("national",)) if national else suggested_nationals(library, document, 1)
    current = None if no_current else scope_choice(library)
    check = check_draft(library, document, [d.doc_id for d in chosen], current, amended=amended, progress=Meter())
    if out:
        from kb.report_docx import comments_docx

        out.write_bytes(comments_docx(document.meta.title, COLUMNS, comments(check)))
    if as_json:
        print_json(json.loads(to_bytes(check)))
        return
    click.echo(
        f"{document.meta.title}: {len(document.provisions)} provisions; compared with {', '.join(check.nationals)}"
    )
    if amended:
        done = len(amended.steps) - len(amended.open_steps)
        click.echo(
            f"{len(amended.steps)} changes to {amended.title}: {done} carried out, {len(amended.open_steps)} open"
        )
    click.echo(", ".join(f"{k} {v}" for k, v in check.counts.items()))
    for row in comments(check):
        click.echo("  ".join(row))
