"""What commands over gap rows share: the options that choose documents, and the rows they mean."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click

from kb.cli import Meter
from kb.settings import Settings


def choice_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """--national and --scope."""
    for option in (
        click.option(
            "--scope",
            multiple=True,
            help="Local document that counts; Shenzhen and provincial Guangdong texts in force by default.",
        ),
        click.option("--national", multiple=True, help="National document by title or alias; all of them by default."),
    ):
        function = option(function)
    return function


def chosen_rows(settings: Settings, national: Sequence[str], scope: Sequence[str]):
    """(library, scope, rows) of the documents named.

    Raises:
        NotFoundError: a name fits no document.
    """
    from kb.index import Library
    from kb.rows import chosen, gap_rows

    library = Library(settings)
    infos, local = chosen(library, national, scope)
    return library, local, gap_rows(library, [d.doc_id for d in infos], local, progress=Meter())
