"""kb gaps: one row for every national duty."""

from __future__ import annotations

import click

from kb.cli import Meter, common_options, print_json, settings_from


@click.command()
@common_options
@click.option("--national", multiple=True, help="National document by title or alias; all of them by default.")
@click.option(
    "--scope",
    multiple=True,
    help="Local document that counts; Shenzhen and provincial Guangdong texts in force by default.",
)
@click.option("--summary", is_flag=True, help="One line a national document instead of its rows.")
@click.option(
    "--chain", is_flag=True, help="Province and city one by one, the weakest level, and who fills a city gap."
)
@click.option("--radar", is_flag=True, help="Texts that lag behind, open delegations, national texts without echo.")
def command(corpus, index, encoder, as_json, national, scope, summary, chain, radar) -> None:
    """Map national requirements to the local rules that answer them."""
    from kb.index import Library
    from kb.rows import gap_table, row_json

    library = Library(settings_from(corpus, index, encoder))
    if radar:
        _print_signals(library, scope, as_json)
        return
    if chain:
        _print_chains(library, national, as_json)
        return
    table = gap_table(library, national, scope, Meter())
    if as_json:
        print_json(
            {
                "scope": list(table.scope),
                "counts": table.counts,
                "rows": [row_json(r) for r in table.rows],
                "notes": list(table.notes),
            }
        )
        return
    if summary:
        _print_summary(table)
        return
    for row in table.rows:
        a = row.assessment
        click.echo(
            f"{row.national.meta.title} {row.requirement.address}  {a.label}{'·' + a.tag if a.tag else ''} ({a.rule}, {a.confidence:.2f}) {a.severity}"
        )
        click.echo(f"    国家：{row.requirement.text}")
        for e in a.evidence[:1]:
            click.echo(f"    本地：{e.title}{e.address} {e.quote}")
        click.echo(
            f"    {a.reason}"
            + (f" 缺：{'；'.join(a.missing)}" if a.missing else "")
            + (f" 异：{'；'.join(a.differs)}" if a.differs else "")
        )
    for note in table.notes:
        click.echo(note, err=True)
    click.echo(f"{len(table.rows)} rows: " + ", ".join(f"{k} {v}" for k, v in table.counts.items()), err=True)


def _print_signals(library, scope, as_json: bool) -> None:
    from kb.codec import to_json
    from kb.radar import KINDS
    from kb.rows import signals

    found = signals(library, scope)
    if as_json:
        print_json({"signals": to_json(found)})
        return
    for s in found:
        click.echo(f"{KINDS[s.kind]}  {s.title}{s.where}  {s.about}  {s.why}")
    click.echo(f"{len(found)} signals", err=True)


def _print_chains(library, national, as_json: bool) -> None:
    from kb.rows import chains

    rows = [
        {
            "id": row.requirement.requirement_id,
            "title": row.national.meta.title,
            "address": row.requirement.address,
            "text": row.requirement.text,
            "levels": {link.level: link.assessment.proposed_label for link in found.links},
            "weakest": found.weakest,
            "filled_by": found.filled_by,
        }
        for row, found in chains(library, national, Meter())
    ]
    if as_json:
        print_json({"rows": rows})
        return
    for row in rows:
        labels = "  ".join(f"{level} {label}" for level, label in row["levels"].items())
        filled = f"  可由{row['filled_by']}补足" if row["filled_by"] else ""
        click.echo(f"{row['title']} {row['address']}  {labels}  最弱：{row['weakest'] or '各级相同'}{filled}")


def _print_summary(table) -> None:
    """Labels by national document, most gaps first; the last line adds up."""
    from kb.models import LABELS

    by_title: dict[str, dict[str, int]] = {}
    for row in table.rows:
        counts = by_title.setdefault(row.national.meta.title, {})
        counts[row.assessment.label] = counts.get(row.assessment.label, 0) + 1
    short = {"直接适用无需配套": "直接适用", "待人工核定": "待核定", "疑似不一致": "疑似不一致"}
    click.echo("\t".join([*(short.get(label, label) for label in LABELS), "合计", "国家文件"]))
    for title, counts in sorted(by_title.items(), key=lambda pair: (-pair[1].get("未覆盖", 0), pair[0])):
        click.echo("\t".join([*(str(counts.get(label, 0)) for label in LABELS), str(sum(counts.values())), title]))
    click.echo("\t".join([*(str(table.counts.get(label, 0)) for label in LABELS), str(len(table.rows)), "全部"]))
    click.echo(f"比对范围：{'、'.join(table.scope)}", err=True)
