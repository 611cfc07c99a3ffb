"""kb ingest: look at documents before they enter the library, then add them."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from kb.cli import Meter, common_options, print_json, settings_from
from kb.models import LEVEL_NAMES, LEVELS, STATUS_NAMES

_STATES = {"new": "可入库", "incomplete": "不完整", "same": "已在库", "undecided": "层级未知", "refused": "不能读取"}


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="FILE|FOLDER|ZIP...", type=click.Path(path_type=Path))
@common_options
@click.option("--yes", is_flag=True, help="Add what can be added; without it nothing is written.")
@click.option(
    "--incomplete", is_flag=True, help="Add incomplete texts too; they are shown with a badge and never prove a gap."
)
@click.option(
    "--level", type=click.Choice(LEVELS), help="Level of all documents; by default it is read from title and makers."
)
@click.option("--no-ocr", is_flag=True, help="Do not read pictures.")
def command(
    paths: tuple[Path, ...],
    corpus: str | None,
    index: str | None,
    encoder: str | None,
    as_json: bool,
    yes: bool,
    incomplete: bool,
    level: str | None,
    no_ocr: bool,
) -> None:
    """Preview title, number, dates, first articles and findings of documents; --yes adds them to the corpus."""
    from kb.ingest import Item, add, preview
    from kb.quality import NAMES
    from kb.read import Limits

    settings = settings_from(corpus, index, encoder)
    limits = Limits(max_bytes=settings.max_file_mb * 2**20, max_pages=settings.max_pages)
    items: list[Item] = []
    for item in preview(list(paths), settings.corpus, level=level, limits=limits, progress=Meter(), ocr=not no_ocr):
        items.append(item)
        if not as_json:
            _show(item, NAMES)
    added = add(items, settings.corpus, incomplete=incomplete) if yes else []
    counts = Counter(item.state for item in items)
    if as_json:
        print_json(
            {
                "items": [_row(item) for item in items],
                "added": added,
                "counts": dict(counts),
                "findings": [asdict(finding) for item in items for finding in item.findings],
            }
        )
    else:
        _summary(counts, added, yes, incomplete)
    if not items or counts["refused"] == len(items):
        raise click.exceptions.Exit(1)


def _row(item: Any) -> dict[str, Any]:
    row = {
        name: getattr(item, name) for name in item.__dataclass_fields__ if name not in ("data", "document", "findings")
    }
    return {**row, "findings": [asdict(finding) for finding in item.findings]}


def _show(item: Any, names: dict[str, str]) -> None:
    click.echo(f"{_STATES.get(item.state, item.state)}  {item.path}")
    if item.title:
        facts = [
            item.doc_no,
            item.kind,
            LEVEL_NAMES.get(item.level, "层级未知"),
            STATUS_NAMES.get(item.status, item.status),
        ]
        click.echo(f"  《{item.title}》 {' · '.join(fact for fact in facts if fact)}")
        dates = {"signed_on": "成文", "promulgated_on": "公布", "effective_on": "施行", "expires_on": "失效"}
        click.echo(
            "  " + (" · ".join(f"{dates[key]} {value}" for key, value in item.dates.items()) or "日期未见于文本")
        )
        click.echo(
            f"  {names.get(item.quality, item.quality)} · {item.characters:,} 字 · {item.provisions} 个条款 · {item.media}"
        )
        for line in item.first:
            click.echo(f"    {line}")
        if item.target:
            click.echo(f"  -> {item.target}")
    for finding in item.findings:
        click.echo(f"  {finding.severity}: {finding.what} {finding.fix}".rstrip())


def _summary(counts: Counter[str], added: list[str], yes: bool, incomplete: bool) -> None:
    total = sum(counts.values())
    parts = ", ".join(f"{n} {state}" for state, n in counts.items())
    click.echo(f"{total} documents: {parts or 'none'} | {len(added)} added", err=True)
    if added:
        click.echo("Index them with: kb update", err=True)
    elif not yes and counts["new"]:
        click.echo("Nothing was written. Add them with the same command and --yes.", err=True)
    if counts["undecided"]:
        click.echo("Some levels are unknown; give them with --level.", err=True)
    if counts["incomplete"] and not incomplete:
        click.echo("Incomplete texts were left out; --incomplete adds them too.", err=True)
