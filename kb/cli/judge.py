"""kb judge: quoted duties of a JSONL file, one JSON object a line."""

from __future__ import annotations

import json
from pathlib import Path

import click

from kb.cli import Meter, common_options, settings_from


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@common_options
def command(file, corpus, index, encoder, as_json) -> None:
    """Judge the duties of FILE (fields title, article, quote, scope), in order.

    `label` is the proposal; `needs_review` is true where a gap table prints 待人工核定 instead.
    """
    from kb.evaluate_gaps import read_labels
    from kb.index import Library
    from kb.proof import judge_labels
    from kb.rows import verdict_json

    labels = read_labels(file.read_text(encoding="utf-8").splitlines(), file.name)
    for label, a in zip(
        labels, judge_labels(Library(settings_from(corpus, index, encoder)), labels, Meter()), strict=True
    ):
        click.echo(
            json.dumps(
                {
                    "id": label.label_id,
                    "label": a.proposed_label,
                    "needs_review": a.label != a.proposed_label,
                    **verdict_json(a),
                },
                ensure_ascii=False,
            )
        )
