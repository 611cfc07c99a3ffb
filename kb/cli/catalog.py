"""kb catalog: check and list the catalogue."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from kb.cli import common_options, print_json, settings_from
from kb.models import LEVELS, STATUS_NAMES


@click.group()
def command() -> None:
    """Facts of the documents this library knows (corpus/catalog.yaml)."""


@command.command("check")
@common_options
def check(corpus: str | None, index: str | None, encoder: str | None, as_json: bool) -> None:
    """Report every fault of the catalogue with its line; exit 1 when there is an error."""
    from kb.catalog import CATALOG_NAME, check_files, load_catalog

    folder = settings_from(corpus, index, encoder).corpus
    catalog, findings = load_catalog(folder / CATALOG_NAME)
    if len(catalog) or (folder / CATALOG_NAME).is_file():
        findings = [*findings, *check_files(catalog, folder)]
    counts = {severity: sum(1 for f in findings if f.severity == severity) for severity in ("error", "warning")}
    summary: dict[str, Any] = {
        "entries": len(catalog),
        "by_level": {level: n for level in LEVELS if (n := sum(1 for e in catalog if e.level == level))},
        "by_status": {code: n for code in STATUS_NAMES if (n := sum(1 for e in catalog if e.status == code))},
        "digests": sum(1 for e in catalog if e.file),
        **counts,
        "findings": [asdict(finding) for finding in findings],
    }
    if as_json:
        print_json(summary)
    else:
        for finding in findings:
            click.echo(f"{finding.severity}: {finding.where}: {finding.what} {finding.fix}".rstrip())
        levels = ", ".join(f"{n} {level}" for level, n in summary["by_level"].items())
        click.echo(
            f"{len(catalog)} entries ({levels or 'none'}) | {summary['digests']} with a digest, "
            f"{len(catalog) - summary['digests']} 待收录 | {counts['error']} errors, {counts['warning']} warnings"
        )
    if counts["error"]:
        raise click.exceptions.Exit(1)


@command.command("list")
@common_options
@click.option("--level", type=click.Choice(LEVELS), help="Only this level.")
def list_entries(corpus: str | None, index: str | None, encoder: str | None, as_json: bool, level: str | None) -> None:
    """Ids, status and titles, in the order of the file."""
    from kb.catalog import CATALOG_NAME, load_catalog

    catalog, _ = load_catalog(settings_from(corpus, index, encoder).corpus / CATALOG_NAME)
    entries = [entry for entry in catalog if level in (None, entry.level)]
    if as_json:
        print_json([asdict(entry) for entry in entries])
        return
    for entry in entries:
        click.echo(
            f"{entry.id:<36} {STATUS_NAMES[entry.status]}  {'摘编  ' if entry.file else '待收录'}  {entry.title}"
        )
