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
    from kb.mapping import find_infos
    from kb.rows import gap_rows, national_documents, scope_choice, scope_of_documents

    library = Library(settings)
    chosen = find_infos(library, national, ("national",)) if national else national_documents(library)
    local = (
        scope_of_documents(library, [d.doc_id for d in find_infos(library, scope)]) if scope else scope_choice(library)
    )
    return library, local, gap_rows(library, [d.doc_id for d in chosen], local, progress=Meter())
