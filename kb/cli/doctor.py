"""kb doctor: the state of a corpus on one page; with --facts, agreement of what was read with a fact sheet."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import click

from kb.cli import common_options, print_json, settings_from
from kb.codec import to_json
from kb.errors import ReadError, UsageError
from kb.models import LEVEL_NAMES, STATUS_NAMES


@click.command()
@common_options
@click.option(
    "--facts", "facts_path", default=None, metavar="FILE", help="YAML fact sheet to compare what was read with."
)
@click.option("--all", "everything", is_flag=True, help="List every finding, difference and missing document.")
def command(corpus, index, encoder, as_json, facts_path, everything) -> None:
    """Print the state of a corpus and its index on one page."""
    from kb.corpus import load
    from kb.facts import compare_facts
    from kb.index import read_manifest
    from kb.state import corpus_state

    settings = settings_from(corpus, index, encoder)
    if not settings.corpus.is_dir():
        raise UsageError(f"{settings.corpus}: no such folder", hint="Name the corpus with --corpus DIR or KB_CORPUS.")
    loaded = load(settings.corpus)
    state = corpus_state(loaded.documents, loaded.findings, loaded.failed, day=dt.date.today().isoformat())
    manifest = read_manifest(settings.index)
    rows = compare_facts(_facts(Path(facts_path)), loaded.documents) if facts_path else None
    if as_json:
        print_json(_as_json(state, manifest, rows))
        return
    _print_page(settings, state, manifest, 10_000 if everything else 10)
    if rows is not None:
        _print_facts(rows)


def _facts(path: Path) -> list[dict]:
    """Entries of a fact sheet: a list, or a mapping with `documents`."""
    import yaml

    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ReadError(
            f"{path}: not a readable YAML file ({error})", hint="Give a fact sheet such as facts.yaml."
        ) from error
    entries = data.get("documents") if isinstance(data, dict) else data
    if not isinstance(entries, list):
        raise ReadError(f"{path}: no list of documents in it", hint="Expected a list, or a mapping with `documents`.")
    return [entry for entry in entries if isinstance(entry, dict) and entry.get("title")]


def _as_json(state, manifest, rows) -> dict:
    from kb.facts import agreement

    out = to_json(state) | {"index": manifest}
    if rows is not None:
        out["facts"] = {
            "agreement": {field: {"agrees": a, "stated": n} for field, (a, n) in agreement(rows).items()},
            "differences": [to_json(row) for row in rows if row.agrees is False],
            "not_stated": sum(1 for row in rows if row.agrees is None),
        }
    return out


def _print_page(settings, state, manifest, limit: int) -> None:
    say = click.echo
    say(
        f"文库 {settings.corpus}：{state.n_documents} 件，{state.n_provisions:,} 条，{state.n_chars:,} 字"
        + (f"，{len(state.failed)} 个文件读不出" if state.failed else "")
    )
    levels = [f"{LEVEL_NAMES[level]} {n}" for level, n in state.by_level.items()]
    say(f"  层级  {' · '.join(levels)}")
    say(f"  种类  {_counts(state.by_kind)}")
    say(f"  时效  {_counts({STATUS_NAMES[s]: n for s, n in state.by_status.items()})}")
    say(f"  文本  {_counts(state.by_text)}")
    say(f"  结构  {_counts(state.by_structure)}")
    if manifest:
        say(
            f"索引 {settings.index}：{manifest['generation']}，{manifest['counts']['documents']} 件，建于 {manifest['created_at']}"
        )
    else:
        say(f"索引 {settings.index}：还没有，用 kb build 建立")
    _list("期满待核", [f"{title}（{day}）" for title, day in state.expired], limit)
    _list("一年内期满", [f"{title}（{day}）" for title, day in state.expiring], limit)
    _list("文中没有日期", state.undated, limit)
    _list("同一文件的多个文本", [" ｜ ".join(names) for names in state.families], limit)
    graph = state.citations
    say(
        f"引用  {graph['resolved']:,} 处已定位，{graph['unresolved']:,} 处未定位，另有“有关规定”一类 {graph['dangling']:,} 处"
    )
    _list("被引用而未收录", [f"{title}（{n} 件引用）" for title, n in state.missing], limit)
    order = {"error": 0, "warning": 1, "info": 2}
    found = sorted(state.findings, key=lambda f: (order.get(f.severity, 3), f.where))
    _list("需要查看", [f"[{f.severity}] {f.where}: {f.what}" for f in found], limit)


def _counts(counts: dict[str, int]) -> str:
    return " · ".join(f"{name or '未定'} {n}" for name, n in counts.items()) or "无"


def _list(name: str, rows, limit: int) -> None:
    if not rows:
        return
    click.echo(f"{name}（{len(rows)}）")
    for row in rows[:limit]:
        click.echo(f"  {row}")
    if len(rows) > limit:
        click.echo(f"  …另有 {len(rows) - limit} 项，用 --all 列出")


def _print_facts(rows) -> None:
    from kb.facts import agreement

    table = agreement(rows)
    agrees, stated = table["all"]
    share = f"{agrees / stated:.1%}" if stated else "无可比字段"
    click.echo(
        f"事实核对：{len({r.doc_id for r in rows})} 件，文本写明的 {stated} 项中 {agrees} 项一致（{share}），{sum(r.agrees is None for r in rows)} 项文本未写"
    )
    click.echo("  " + " · ".join(f"{field} {a}/{n}" for field, (a, n) in table.items() if field != "all"))
    for row in rows:
        if row.agrees is False:
            click.echo(f"  {row.doc_id} {row.field}：事实表 {row.known}，读到 {row.read}")
