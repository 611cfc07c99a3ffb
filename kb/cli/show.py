"""kb show: one cited provision with its status, or the reason why it cannot be shown."""

from __future__ import annotations

import datetime as dt
import re

import click

from kb.cli import common_options, print_json, settings_from
from kb.codec import to_json
from kb.errors import UsageError
from kb.models import STATUS_NAMES

_ANSWERS = {
    "found": "找到",
    "wording_differs": "文字不符",
    "amended_since": "其后已修改",
    "not_in_library": "未收录",
}


@click.command()
@click.argument("citation")
@common_options
@click.option("--as-of", help="The text and status of this day, YYYY-MM-DD.")
def command(citation, corpus, index, encoder, as_json, as_of) -> None:
    """Show one cited provision, or say why it cannot be shown.

    CITATION: 网安法第二十一条, 发改数据规〔2025〕26号第七条, or a citation and a quotation to check against the text.
    """
    from kb.versions import show

    if as_of and not _is_day(as_of):
        raise UsageError(f"--as-of {as_of}: not a day", hint="Write it as YYYY-MM-DD.")
    titles, metas, get = _library(settings_from(corpus, index, encoder), corpus)
    shown = show(citation, titles, metas, get, day=as_of or dt.date.today().isoformat(), as_of=bool(as_of))
    if as_json:
        print_json(to_json(shown))
        return
    click.echo(f"{_ANSWERS[shown.answer]}" + (f"：{shown.citation}" if shown.citation else ""))
    if shown.text_kind == "digest":
        click.echo("要点摘编·非官方原文")
    if shown.status:
        click.echo(f"[{STATUS_NAMES[shown.status]}]" + (f" {shown.why}" if shown.why else ""))
    elif shown.why:
        click.echo(shown.why)
    if shown.text:
        click.echo(shown.text)
    for old, new in shown.differences[:20]:
        click.echo(f"  「{old}」→「{new}」")
    if shown.current_article and shown.current_text != shown.text:
        click.echo(f"现行{shown.current_article}：{shown.current_text}")


def _is_day(text: str) -> bool:
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        return False
    try:
        dt.date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _library(settings, corpus_option):
    """Titles, facts and a document getter: from the index where there is one for this corpus, else from the corpus itself."""
    from kb.index import Library, current_generation

    if current_generation(settings.index) is not None and not corpus_option:
        library = Library(settings)
        return library.titles, {d.doc_id: d.meta for d in library.documents}, library.document
    from kb.corpus import load
    from kb.titles import TitleIndex

    if not settings.corpus.is_dir():
        raise UsageError(f"{settings.corpus}: no such folder", hint="Name the corpus with --corpus DIR or KB_CORPUS.")
    documents = {d.doc_id: d for d in load(settings.corpus).documents}
    return (
        TitleIndex.from_documents(documents.values()),
        {i: d.meta for i, d in documents.items()},
        documents.__getitem__,
    )
