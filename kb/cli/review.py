"""kb review: the queue, decisions, undo, agreement, and ledgers read back."""

from __future__ import annotations

from pathlib import Path

import click

from kb.cli import common_options, print_json, settings_from
from kb.cli.rows import choice_options, chosen_rows
from kb.errors import KbError, NotFoundError, UsageError


@click.command()
@common_options
@choice_options
@click.option(
    "--state",
    type=click.Choice(["open", "suspect", "disputed", "confirmed", "changed"]),
    help="List rows in this state.",
)
@click.option("--row", help="Decide this row (an id as listed).")
@click.option("--label", help="The 覆盖结论 to record.")
@click.option("--note", help="差距说明 to record.")
@click.option("--assign", help="受派人: who shall review --row, or all rows in --state.")
@click.option("--assigned", help="List rows given to this person.")
@click.option("--by", "who", default="", help="Who decides; recorded with the decision.")
@click.option("--second", is_flag=True, help="Record as the second reading.")
@click.option("--undo", is_flag=True, help="Take back the last decision of --by on --row.")
@click.option(
    "--import",
    "ledger",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Read an edited ledger (.xlsx) back.",
)
def command(
    corpus,
    index,
    encoder,
    as_json,
    national,
    scope,
    state,
    row,
    label,
    note,
    assign,
    assigned,
    who,
    second,
    undo,
    ledger,
) -> None:
    """List what waits for people, record decisions, measure agreement."""
    from kb.review import ReviewLog, decide, states
    from kb.review import assign as give

    settings = settings_from(corpus, index, encoder)
    log = ReviewLog(settings.corpus / "reviews.jsonl", settings.reviewers)
    library, local, rows = chosen_rows(settings, national, scope)
    by_id = {r.row_id: r for r in rows}
    if row and row not in by_id:
        raise NotFoundError(f"no row has the id {row}", hint="kb review --json lists the rows with their ids.")
    if ledger:
        _report(_read_back(library, log, ledger, rows, local, who), as_json)
    elif undo:
        if not row:
            raise UsageError("--undo needs --row")
        _report({"undone": log.undo(row, who).undoes}, as_json)
    elif assign is not None:
        if not row and not state:
            raise UsageError("--assign needs --row or --state")
        held = states(library, rows, log.decisions())
        wanted = [by_id[row]] if row else [r for r in rows if held[r.row_id].state == state]
        _report({"assigned": give(log, wanted, who, assign), "to": assign}, as_json)
    elif label or note:
        if not row:
            raise UsageError("--label and --note need --row")
        after = {k: v for k, v in (("label", label), ("note", note)) if v}
        event = decide(log, library, by_id[row], who, after, role="second" if second else "first")
        _report({"event": event.event_id, "row": row, "after": after}, as_json)
    else:
        held = states(library, rows, log.decisions())
        _report(_summary(rows, held, state, assigned, log), as_json)


def _summary(rows, held, state, assigned, log) -> dict:
    from kb.codec import to_json
    from kb.review import STATES, agreement

    found = agreement(s.decision for s in held.values() if s.decision)
    listed = [
        r
        for r in rows
        if (state or assigned)
        and held[r.row_id].state in (state or held[r.row_id].state,)
        and (not assigned or held[r.row_id].assignee == assigned)
    ]
    return {
        "states": {k: sum(s.state == k for s in held.values()) for k in STATES},
        "agreement": {
            "n": found.n,
            "observed": round(found.observed, 3),
            "kappa": found.kappa,
            "disputed": len(found.disputed),
        },
        "rows": [
            {
                "row": r.row_id,
                "title": r.national.meta.title,
                "address": r.requirement.address,
                "label": held[r.row_id].label,
                "proposed_label": r.assessment.proposed_label,
                "changes": [to_json(c) for c in held[r.row_id].changes],
            }
            for r in listed
        ],
        "findings": [to_json(f) for f in log.findings()],
    }


def _read_back(library, log, path, rows, scope, who) -> dict:
    from kb.report import build_report
    from kb.report_xlsx import read_ledger
    from kb.review import decide, states

    held = states(library, rows, log.decisions())
    found = read_ledger(path.read_bytes(), build_report(library, rows, held, scope, "台账").rows)
    by_id, done, conflicts = {r.row_id: r for r in rows}, 0, []
    for edit in found.edits:
        try:
            decide(log, library, by_id[edit.row_id], who, edit.after, seen=edit.seen)
            done += 1
        except KbError as error:
            conflicts.append(f"{edit.where}: {error.message}")
    return {"written": done, "conflicts": conflicts, "refused": list(found.refused), "unknown": list(found.unknown)}


def _report(value: dict, as_json: bool) -> None:
    if as_json:
        print_json(value)
        return
    for key, part in value.items():
        if isinstance(part, list):
            for line in part:
                click.echo(
                    f"{key}: "
                    + (" | ".join(str(v) for v in line.values() if v) if isinstance(line, dict) else str(line))
                )
        else:
            click.echo(f"{key}: {part}")
