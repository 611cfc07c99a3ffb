"""A corpus and its index in, a new generation and a change note out: the periodic run.

The note compares the generation of the last note (pointer `noted`) with the one in force, so a run that dies between switching
and writing loses nothing: the next run writes the note. A generation that was noted keeps a snapshot of its gap rows, because
the labels of then cannot be computed again once the judge has changed.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kb import rows as gap
from kb.change_note import as_markdown
from kb.changes import (
    AMENDED,
    NEW,
    ChangeNote,
    DocumentChange,
    Reopened,
    SeenRow,
    Snapshot,
    affected_articles,
    dead_citations,
    document_changes,
    missing_documents,
    moved_labels,
    seen_row,
    snapshot_from_json,
    snapshot_to_json,
    status_changes,
)
from kb.codec import to_json
from kb.errors import KbError
from kb.generations import current_generation, generations, locked, point, read_manifest, read_pointer, write_durably
from kb.inbox import INBOX, Intake, take_in
from kb.index import NOTED, BuildSummary, Library, build
from kb.models import Finding
from kb.review import ReviewLog, states
from kb.settings import Settings
from kb.versions import RENUMBERED

Progress = Callable[[str, int, int], None]
SNAPSHOT = "rows.json.gz"
NOTES = "notes"
# a first note reads every citation of the library only up to this size, in provisions
_GRAPH_LIMIT = 20_000


@dataclass(frozen=True, slots=True)
class Update:
    """Result of one run: what the build did, the note, and where it was written ("" when there was nothing to note)."""

    summary: BuildSummary
    note: ChangeNote
    file: str


def update(
    settings: Settings,
    *,
    progress: Progress | None = None,
    judge: bool = True,
    inbox: bool = True,
    held: Sequence[Finding] = (),
) -> Update:
    """Take in what waits in the inbox, bring the index up to date and write the change note.

    Args:
        progress: called with (stage, done, total); stages are inbox, those of a build, and judge.
        judge: map the national duties again; without it the note has documents, articles and citations only.
        inbox: move what passes the gate from the inbox into the corpus first; what does not is told in the note.
        held: more to be told there, such as pages that could not be watched.

    Raises:
        IndexError_, LockedError: as `kb.index.build`; the old index stays in force.
    """
    intake = _take_in(settings, progress) if inbox else Intake()
    held = (*held, *intake.findings)
    summary = build(settings, progress=progress, purpose="update")
    # inside the lock: two notes at once would both move the pointer
    with locked(settings.index, "change note"):
        note = make_note(settings, progress=progress, judge=judge, held=held, failed=_failed(settings))
        note = replace(note, taken=intake.added)
        file = write_note(settings, note)
    return Update(replace(summary, changes=summary_of(note, file)), note, file)


def _take_in(settings: Settings, progress: Progress | None) -> Intake:
    """The inbox into the corpus; a fault of the inbox is told and stops no update."""
    try:
        return take_in(settings, progress=progress)
    except KbError as error:
        return Intake(findings=(Finding("error", INBOX, error.message, error.hint),))


def _failed(settings: Settings) -> tuple[str, ...]:
    return tuple((read_manifest(settings.index) or {}).get("failed", ()))


def make_note(
    settings: Settings,
    *,
    progress: Progress | None = None,
    judge: bool = True,
    held: Sequence[Finding] = (),
    failed: Sequence[str] = (),
) -> ChangeNote:
    """Compare the generation last noted with the one in force."""
    generation = current_generation(settings.index) or ""
    base = read_pointer(settings.index, NOTED)
    today = gap.today()
    new = Library(settings, generation)
    old = Library(settings, base) if base and _same_format(settings, base) else None
    since = _day_of(settings, base) if old else ""
    documents = document_changes(old, new) if base != generation else []
    statuses = status_changes(old, new, since, today) if since <= today else []  # else the clock was set back
    note = ChangeNote(
        base=base or "",
        generation=generation,
        created_on=today,
        since=since,
        documents=tuple(documents),
        statuses=tuple(statuses),
        held=tuple(held),
        failed=tuple(failed),
        judged=judge,
    )
    if documents:
        note = replace(note, dead=tuple(dead_citations(old, new, documents)))
        if sum(c.n_provisions for c in documents if c.change in (NEW, AMENDED)) <= _GRAPH_LIMIT:
            note = replace(note, missing=tuple(missing_documents(new, documents)))
    return _with_rows(settings, note, old, new, progress) if judge else note


def _with_rows(settings: Settings, note: ChangeNote, old: Library | None, new: Library, progress) -> ChangeNote:
    """Add what the judge and the reviewers have to say."""
    before = read_snapshot(settings, note.base) if old else None
    shown = gap.gap_rows(new, [d.doc_id for d in gap.national_documents(new)], gap.scope_choice(new), progress=progress)
    after = snapshot_of(new, shown)
    titles = {d.doc_id: d.meta.title for d in (*(old.documents if old else ()), *new.documents)}
    note = replace(note, counts_after=after.counts)
    if before is not None:
        moved, duties, reworded = moved_labels(before, after, note.documents, titles)
        touched = {m.row_id: "结论变动" for m in moved}
        touched |= {d.row_id: "（新增要求）" for d in duties} | {r.row_id: "（文字修改）" for r in reworded}
        rest_on = {m.row_id: m.evidence for m in moved}
        rows = [
            (replace(r, evidence=rest_on.get(r.row_id, r.evidence)), touched[r.row_id])
            for r in after.rows
            if r.row_id in touched
        ]
        rows += [(row, why) for row, why in _lost_ground(after, note.documents) if row.row_id not in touched]
        note = replace(
            note,
            moved=tuple(moved),
            duties=tuple(duties),
            counts_before=before.counts,
            rules_changed=before.judge != after.judge,
            affected=tuple(affected_articles(new, rows, titles)),
        )
    note = replace(note, reopened=tuple(_reopened(settings, old, new, shown)))
    write_snapshot(settings, note.generation, after)
    return note


def _lost_ground(after: Snapshot, documents: Sequence[DocumentChange]) -> list[tuple[SeenRow, str]]:
    """Rows that rest on a local article whose wording changed, whether or not the label moved; another number is no change."""
    local = [(c.doc_id, a) for c in documents if c.level != "national" for a in c.articles]
    changed = {(doc, a.new) for doc, a in local if a.new and a.change != RENUMBERED}
    return [
        (replace(row, evidence=tuple(e for e in row.evidence if e in changed)), "（本条为其依据）")
        for row in after.rows
        if any(e in changed for e in row.evidence)
    ]


def snapshot_of(library: Library, rows: Sequence[gap.GapRow]) -> Snapshot:
    """The rows of a generation against the default scope, as they are remembered."""
    scope = gap.scope_choice(library)
    seen = tuple(seen_row(r.row_id, r.requirement, r.assessment) for r in rows)
    return Snapshot(gap.judge_version(), scope.key, scope.doc_ids, seen)


def write_snapshot(settings: Settings, generation: str, snapshot: Snapshot) -> None:
    """Keep the rows beside the generation they belong to."""
    data = gzip.compress(snapshot_to_json(snapshot).encode("utf-8", "surrogatepass"), 6, mtime=0)
    write_durably(settings.index / generation / SNAPSHOT, data)


def read_snapshot(settings: Settings, generation: str) -> Snapshot | None:
    """The rows of a generation; None where there are none or they are damaged."""
    try:
        data = gzip.decompress((settings.index / generation / SNAPSHOT).read_bytes())
        return snapshot_from_json(data.decode("utf-8", "surrogatepass"))
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        return None


def _reopened(settings: Settings, old: Library | None, new: Library, shown: Sequence[gap.GapRow]) -> list[Reopened]:
    """Decisions that are 待复核 now; those that already were at the last note are left out."""
    decisions = ReviewLog(settings.corpus / "reviews.jsonl").decisions()
    if not decisions:
        return []
    out = []
    for scope_key in sorted({d.row_id.rpartition("@")[2] for d in decisions.values()}):
        rows = [r for r in shown if r.row_id.endswith(f"@{scope_key}")] or _rows_for(new, scope_key, decisions)
        now = states(new, rows, decisions)
        before = {}
        if old is not None and (earlier := _rows_for(old, scope_key, decisions)):
            before = states(old, earlier, decisions)
        for row in rows:
            state, was = now[row.row_id], before.get(row.row_id)
            if state.state == "suspect" and (was is None or was.state != "suspect"):
                out.append(
                    Reopened(
                        row.row_id,
                        row.national.meta.title,
                        row.requirement.address,
                        state.label,
                        state.decision.who,
                        tuple(f"{c.where}有变化" if c.new else f"{c.where}已不存在" for c in state.changes),
                    )
                )
    return out


def _rows_for(library: Library, scope_key: str, decisions) -> list[gap.GapRow]:
    """Rows of the documents that have decisions in a scope; none where the scope no longer exists."""
    from kb.errors import NotFoundError

    wanted = {d.history[0].doc_id for d in decisions.values() if d.row_id.endswith(f"@{scope_key}")}
    held = [i for i in sorted(wanted) if library.document_seq(i) >= 0]
    try:
        return gap.gap_rows(library, held, gap.scope_choice(library, scope_key))
    except NotFoundError:
        return []


# -- the note on disk -----------------------------------------------------------------------------------------------------


def write_note(settings: Settings, note: ChangeNote) -> str:
    """Write JSON and Markdown under index/notes and remember what was noted; nothing when there is nothing to tell."""
    if note.base == note.generation and note.empty and not _waiting_differs(settings, note):
        return ""
    folder = settings.index / NOTES
    folder.mkdir(parents=True, exist_ok=True)
    number = len(list(folder.glob(f"{note.generation}*.json")))
    name = note.generation + (f"-{number + 1}" if number else "")
    write_durably(
        folder / f"{name}.json",
        json.dumps(to_json(note), ensure_ascii=False, indent=1).encode("utf-8", "surrogatepass"),
    )
    file = folder / f"{name}.md"
    write_durably(file, as_markdown(note).encode("utf-8", "replace"))
    point(settings.index, NOTED, note.generation)
    return str(file)


def _waiting_differs(settings: Settings, note: ChangeNote) -> bool:
    """Whether the files held back or unreadable are others than the last note told of."""
    last = _last_note(settings, note.base)
    told = (last.get("held", []), last.get("failed", []))
    return told != (to_json(note.held), to_json(note.failed))


def _last_note(settings: Settings, generation: str) -> dict:
    """JSON of the last note about a generation; empty where there is none."""
    found = sorted((settings.index / NOTES).glob(f"{generation}*.json"), key=lambda p: (len(p.name), p.name))
    try:
        return json.loads(found[-1].read_text(encoding="utf-8")) if found else {}
    except (OSError, ValueError):
        return {}


def notes(settings: Settings) -> list[Path]:
    """Markdown notes, newest first."""
    return sorted((settings.index / NOTES).glob("*.md"), key=lambda p: (p.stem[:10], len(p.stem), p.stem), reverse=True)


def read_note(file: Path) -> dict:
    """The JSON of a note, given its Markdown file."""
    return json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))


def summary_of(note: ChangeNote, file: str) -> dict:
    """The `changes` of the machine-readable summary: counts, and where the whole note is."""
    kinds = ("new", "amended", "facts", "renamed", "removed")
    return {
        "note": file,
        "base": note.base,
        "empty": note.empty,
        "documents": {k: [d.title for d in note.documents if d.change == k] for k in kinds},
        "articles": [
            {"title": d.title, "change": a.change, "old": a.old, "new": a.new}
            for d in note.documents
            for a in d.articles
        ],
        "statuses": len(note.statuses),
        "new_duties": len(note.duties),
        "moved": [
            {"id": m.row_id, "title": m.title, "address": m.address, "old": m.old, "new": m.new, "why": m.why}
            for m in note.moved
        ],
        "affected": [{"bureau": a.bureau, "title": a.title, "article": a.article} for a in note.affected],
        "reopened": [{"id": r.row_id, "title": r.title, "address": r.address} for r in note.reopened],
        "dead_citations": len(note.dead),
        "missing": [t for t, _ in note.missing],
        "taken": list(note.taken),
        "held": len(note.held),
    }


def _same_format(settings: Settings, generation: str) -> bool:
    manifest = read_manifest(settings.index, generation) or {}
    current = read_manifest(settings.index) or {}
    return generation in generations(settings.index) and manifest.get("format") == current.get("format")


def _day_of(settings: Settings, generation: str) -> str:
    """Day on which a generation was last noted, else made; ISO."""
    made = (read_manifest(settings.index, generation) or {}).get("created_at", "")
    return str(_last_note(settings, generation).get("created_on") or made[:10])
