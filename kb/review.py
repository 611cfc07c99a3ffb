"""Decisions of people over gap rows: an append-only log, its fold into states, undo, conflicts and agreement.

`corpus/reviews.jsonl` holds one event a line and is never rewritten. An event says who set which fields of which row, what
stood there before, and which texts the person had in view, so that a decision returns to 待复核 when either text changes.
Appending takes a file lock and is flushed to disk; a line broken by a crash is skipped and named.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import re
import unicodedata
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from kb.codec import from_json, to_json
from kb.errors import ReviewError
from kb.index import Library
from kb.models import LABELS, Finding
from kb.rows import GapRow
from kb.versions import without_number

# what a person may set on a row -> its column in the ledger
FIELDS = {
    "label": "覆盖结论",
    "evidence": "本地依据",
    "note": "差距说明",
    "measure": "建议举措",
    "owner": "责任单位",
    "due": "完成时限",
    "progress": "状态",
    "assignee": "受派人",
}
ROLES = ("first", "second", "resolve")
STATES = {"open": "未复核", "confirmed": "已确认", "changed": "已改判", "suspect": "待复核", "disputed": "有分歧"}
DECIDABLE = tuple(label for label in LABELS if label != "待人工核定")
_ANSWERED = frozenset({"已覆盖", "部分覆盖", "疑似不一致"})
_SAME_DUTY = 55.0


@dataclass(frozen=True, slots=True)
class LocalText:
    """A local provision as it read when the decision was made."""

    doc_id: str
    title: str
    article: str
    text: str


@dataclass(frozen=True, slots=True)
class Basis:
    """What the person had in view: the duty, the local provisions relied on, the proposal, hashes of what else was shown."""

    national: str = ""
    local: tuple[LocalText, ...] = ()
    proposed: str = ""
    related: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the log. `after` holds the fields set, `before` what stood there; `undoes` names an event taken back."""

    event_id: str
    at: str
    who: str
    row_id: str
    doc_id: str
    address: str
    role: str = "first"
    after: Mapping[str, str] = field(default_factory=dict)
    before: Mapping[str, str] = field(default_factory=dict)
    basis: Basis = Basis()
    national_fp: str = ""
    local_fp: str = ""
    undoes: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """The fold over the events of one row: the values in force, who decided the label, and the second reading if any.

    `last_event` is what a second window is measured against: the last event that says something about the row, not only who
    shall review it.
    """

    row_id: str
    values: Mapping[str, str]
    who: str
    at: str
    last_event: str
    basis: Basis
    second_label: str = ""
    second_who: str = ""
    first_label: str = ""
    first_who: str = ""
    resolved: bool = False
    history: tuple[Event, ...] = ()

    @property
    def last(self) -> Event:
        """The event that `last_event` names."""
        return next((e for e in self.history if e.event_id == self.last_event), self.history[-1])


@dataclass(frozen=True, slots=True)
class TextChange:
    """Why a decision is open again: which text, how it read, how it reads ("" where it is gone)."""

    where: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class RowState:
    """State of one row for lists and reports; `label` is the one in force: decided, else printed by the judge."""

    state: str
    label: str
    decision: Decision | None = None
    changes: tuple[TextChange, ...] = ()

    @property
    def assignee(self) -> str:
        """Who shall review the row, "" where nobody was named."""
        return self.decision.values.get("assignee", "") if self.decision else ""


class ReviewConflict(ReviewError):
    """Someone else decided the row after it was shown; `current` is what stands there now."""

    def __init__(self, current: Decision) -> None:
        last = current.last
        super().__init__(
            f"《{last.doc_id}》{last.address}：{last.who} 已在 {local_time(last.at)} 作了处理",
            hint="核对后可以再次提交，两次记录都会保留。",
        )
        self.current = current


def fingerprint(text: str) -> str:
    """Hash of a text without white space and width differences, so that a new extraction of the same words changes nothing."""
    plain = re.sub(r"\s+", "", unicodedata.normalize("NFKC", text))
    return hashlib.sha256(plain.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def local_time(at: str) -> str:
    """Minute of an event in the time zone of this machine."""
    return dt.datetime.fromisoformat(at).astimezone().strftime("%Y-%m-%d %H:%M")


# -- the log ------------------------------------------------------------------------------------------------------------


class ReviewLog:
    """Events on disk. Reading is cheap to repeat: the file is parsed again only when it has grown."""

    def __init__(self, path: Path, reviewers: str = "") -> None:
        """`reviewers` are the names that may write, separated by commas; empty is everybody."""
        self.path = path
        self.reviewers = names_in(reviewers)
        self._stamp: tuple[int, int] | None = None
        self._events: tuple[Event, ...] = ()
        self._findings: tuple[Finding, ...] = ()

    def events(self) -> tuple[Event, ...]:
        """All readable events in the order written."""
        self._refresh()
        return self._events

    def findings(self) -> tuple[Finding, ...]:
        """Lines that could not be read."""
        self._refresh()
        return self._findings

    @property
    def stamp(self) -> tuple[int, int] | None:
        """(mtime in ns, size) of what was read; changes with every new event."""
        self._refresh()
        return self._stamp

    def decisions(self) -> dict[str, Decision]:
        """row_id -> fold of its events; rows whose events were all undone are left out."""
        by_row: dict[str, list[Event]] = defaultdict(list)
        for event in self.events():
            by_row[event.row_id].append(event)
        return {row: d for row, events in by_row.items() if (d := fold(events)) is not None}

    def append(self, event: Event, *, seen: str | None = None) -> Event:
        """Write one event and flush it to disk, as `extend`."""
        return self.extend([event], seen=seen)[0]

    def extend(self, events: Sequence[Event], *, seen: str | None = None) -> list[Event]:
        """Write events of different rows at once, all or none, and flush them to disk.

        Args:
            seen: id of the last event of the row that the person had in view ("" for none); None writes in any case.

        Raises:
            ReviewConflict: the row has a later event than `seen`; nothing is written.
            ReviewError: unknown role, field or label, no name given or one that may not write, a second reading by the
                first reader, or no access.
        """
        from filelock import FileLock, Timeout

        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{self.path}.lock", timeout=20):
                self._stamp = None
                decisions = self.decisions()
                out = []
                for event in events:
                    current = decisions.get(event.row_id)
                    _check(event, current, self.reviewers)
                    if seen is not None and current and current.last_event != seen:
                        raise ReviewConflict(current)
                    held = current.values if current else {}
                    out.append(replace(event, before={k: held.get(k, "") for k in event.after}))
                self._write(out)
                return out
        except Timeout:
            raise ReviewError("复核记录正被另一个程序占用", hint="请稍候再试。") from None
        except OSError as error:
            raise ReviewError(
                f"复核记录无法写入：{self.path}（{error.strerror or error}）", hint="请检查该文件夹是否可写。"
            ) from error

    def undo(self, row_id: str, who: str) -> Event:
        """Take back the last event of this person on this row.

        Raises:
            ReviewError: there is none.
        """
        taken = {e.undoes for e in self.events() if e.undoes}
        own = [
            e for e in self.events() if e.row_id == row_id and e.who == who and not e.undoes and e.event_id not in taken
        ]
        if not own:
            raise ReviewError(f"{who or '（未署名）'} 在本条上没有可撤销的记录", hint="只能撤销自己的记录。")
        last = own[-1]
        return self.append(replace(last, event_id=_new_id(), at=_now(), after={}, before={}, undoes=last.event_id))

    def _write(self, events: Sequence[Event]) -> None:
        lines = [json.dumps(to_json(e), ensure_ascii=False, separators=(",", ":")) + "\n" for e in events]
        with open(self.path, "ab") as handle:
            if handle.tell() and not _ends_with_newline(self.path):
                handle.write(b"\n")
            handle.write("".join(lines).encode("utf-8", "surrogatepass"))
            handle.flush()
            os.fsync(handle.fileno())
        self._stamp = None

    def _refresh(self) -> None:
        try:
            stat = self.path.stat()
        except OSError:
            self._stamp, self._events, self._findings = None, (), ()
            return
        if self._stamp == (stat.st_mtime_ns, stat.st_size):
            return
        events, findings = [], []
        for number, line in enumerate(self.path.read_bytes().split(b"\n"), 1):
            if not line.strip():
                continue
            try:
                events.append(_read_event(json.loads(line.decode("utf-8", "surrogatepass"))))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                findings.append(
                    Finding(
                        "warning",
                        f"{self.path.name}:{number}",
                        f"not a review event: {error}",
                        "Restore the line from a backup.",
                    )
                )
        self._stamp, self._events, self._findings = (stat.st_mtime_ns, stat.st_size), tuple(events), tuple(findings)


def _read_event(data: dict) -> Event:
    event = from_json(Event, data)
    local = tuple(from_json(LocalText, t) for t in data.get("basis", {}).get("local", ()))
    return replace(
        event,
        after={str(k): str(v) for k, v in dict(event.after).items()},
        before={str(k): str(v) for k, v in dict(event.before).items()},
        basis=replace(event.basis, local=local),
    )


def _ends_with_newline(path: Path) -> bool:
    with open(path, "rb") as handle:
        handle.seek(-1, os.SEEK_END)
        return handle.read(1) == b"\n"


def names_in(text: str) -> frozenset[str]:
    """Names of a list separated by commas."""
    return frozenset(name.strip() for name in re.split("[,，、;；]", text) if name.strip())


def _check(event: Event, current: Decision | None, reviewers: frozenset[str]) -> None:
    if not event.who.strip():
        raise ReviewError("请先填写复核人姓名", hint="姓名会与结论一起记录。")
    if reviewers and event.who not in reviewers:
        raise ReviewError(f"{event.who} 是读者，不能记录结论", hint="复核人名单由设置项 KB_REVIEWERS 指定。")
    unknown = [k for k in event.after if k not in FIELDS]
    if event.role not in ROLES or unknown:
        raise ReviewError(f"不能识别的记录：{event.role} {'、'.join(unknown)}")
    label = event.after.get("label")
    if label is not None and label not in DECIDABLE:
        raise ReviewError(f"“{label}”不是可选的结论", hint=f"可选：{'、'.join(DECIDABLE)}。")
    if event.role == "second" and not event.undoes and current and current.first_who == event.who:
        raise ReviewError("第二人复核须由另一人进行", hint="请换一位复核人。")


def _new_id() -> str:
    return uuid.uuid4().hex[:16]


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")


def fold(events: Iterable[Event]) -> Decision | None:
    """Events of one row in order -> what stands; None when nothing is left of them. Later values win field by field."""
    history = tuple(events)
    taken = {e.undoes for e in history if e.undoes}
    values: dict[str, str] = {}
    first = second = resolve = None
    for event in (e for e in history if not e.undoes and e.event_id not in taken):
        labelled = "label" in event.after
        if event.role == "second":
            second = event if labelled else second
            continue
        values.update(event.after)
        if labelled and event.role == "resolve":
            resolve = event
        elif labelled:
            first = event
    if not history or (not values and second is None):
        return None
    deciding = resolve or first
    last = next((e for e in reversed(history) if set(e.after) != {"assignee"}), None)
    return Decision(
        row_id=history[0].row_id,
        values=values,
        who=(deciding or history[-1]).who,
        at=(deciding or history[-1]).at,
        last_event=last.event_id if last else "",
        basis=deciding.basis if deciding else Basis(),
        second_label=second.after["label"] if second else "",
        second_who=second.who if second else "",
        first_label=first.after["label"] if first else "",
        first_who=first.who if first else "",
        resolved=resolve is not None,
        history=history,
    )


# -- deciding -----------------------------------------------------------------------------------------------------------


def decide(
    log: ReviewLog,
    library: Library,
    row: GapRow,
    who: str,
    after: Mapping[str, str],
    *,
    role: str = "first",
    seen: str | None = None,
) -> Event:
    """Record fields set by a person on a row, with the texts in view. Raises as `ReviewLog.append`."""
    basis = basis_of(library, row, after.get("evidence", ""))
    event = Event(
        _new_id(),
        _now(),
        who.strip(),
        row.row_id,
        row.requirement.doc_id,
        row.requirement.address,
        role,
        dict(after),
        {},
        basis,
        fingerprint(basis.national),
        fingerprint("".join(t.text for t in basis.local)),
    )
    return log.append(event, seen=seen)


def assign(log: ReviewLog, rows: Sequence[GapRow], who: str, assignee: str) -> int:
    """Give rows to a person to review ("" takes them back); rows that person has already are left alone. Returns how many.

    Raises:
        ReviewError: as `ReviewLog.extend`; then no row is given to anybody.
    """
    held = log.decisions()
    wanted = [
        r for r in rows if (held[r.row_id].values.get("assignee", "") if r.row_id in held else "") != assignee.strip()
    ]
    events = [
        Event(
            _new_id(),
            _now(),
            who.strip(),
            r.row_id,
            r.requirement.doc_id,
            r.requirement.address,
            after={"assignee": assignee.strip()},
        )
        for r in wanted
    ]
    if events:
        log.extend(events)
    return len(events)


def basis_of(library: Library, row: GapRow, evidence: str = "") -> Basis:
    """Texts a decision on the row relies on: the chosen evidence, else the deciding quotes of the judge."""
    chosen = parse_evidence(evidence)
    shown = [(e.doc_id, e.article) for e in row.assessment.evidence]
    relied = chosen or [(e.doc_id, e.article) for e in row.assessment.evidence if e.grade == 2]
    texts = ProvisionTexts(library)
    local = tuple(
        LocalText(d, library.info(d).meta.title, a, text)
        for d, a in dict.fromkeys(relied)
        if (text := texts.at(d, a)) is not None
    )
    related = tuple(fingerprint(text) for d, a in dict.fromkeys(shown) if (text := texts.at(d, a)) is not None)
    return Basis(row.requirement.text, local, row.assessment.proposed_label, related)


def parse_evidence(value: str) -> list[tuple[str, str]]:
    """(doc_id, article) pairs of a stored evidence value; one a line as `doc_id#article`."""
    return [(doc, article) for line in value.split("\n") if "#" in line for doc, _, article in (line.partition("#"),)]


def format_evidence(pairs: Iterable[tuple[str, str]]) -> str:
    """The inverse of parse_evidence."""
    return "\n".join(f"{doc}#{article}" for doc, article in pairs)


class ProvisionTexts:
    """Texts of the provisions of a library, each document read once."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._held: dict[str, dict[str, str]] = {}

    def at(self, doc_id: str, article: str) -> str | None:
        """The text under a label, None where it is not held."""
        return self._of(doc_id).get(article)

    def now(self, known: LocalText) -> str | None:
        """What a text known from before says now: under its label, or under another number when only that changed."""
        found = self.at(known.doc_id, known.article)
        if found is not None and _same_but_number(found, known.text):
            return found
        moved = (t for t in self._of(known.doc_id).values() if _same_but_number(t, known.text))
        return next(moved, found)

    def _of(self, doc_id: str) -> dict[str, str]:
        if doc_id not in self._held:
            provisions = self._library.document(doc_id).provisions if self._library.document_seq(doc_id) >= 0 else ()
            self._held[doc_id] = {p.label: p.text for p in provisions}
        return self._held[doc_id]


def _same_but_number(a: str, b: str) -> bool:
    return fingerprint(without_number(a)) == fingerprint(without_number(b))


# -- states -------------------------------------------------------------------------------------------------------------


def states(library: Library, rows: Sequence[GapRow], decisions: Mapping[str, Decision]) -> dict[str, RowState]:
    """row_id -> state. `rows` should be whole documents, so that decisions on duties that moved find their successor."""
    texts = ProvisionTexts(library)
    moved = _moved(rows, decisions)
    out = {}
    for row in rows:
        decision = decisions.get(row.row_id) or moved.get(row.row_id)
        out[row.row_id] = _state(row, decision, texts)
    return out


def _state(row: GapRow, decision: Decision | None, texts: ProvisionTexts) -> RowState:
    printed = row.assessment.label
    if decision is None or "label" not in decision.values:
        if decision and decision.second_label:
            return RowState("open", printed, decision)
        return RowState("open", printed, decision)
    label = decision.values["label"]
    changes = tuple(_changes(row, decision, texts))
    if changes:
        return RowState("suspect", label, decision, changes)
    if decision.second_label and decision.second_label != decision.first_label and not decision.resolved:
        return RowState("disputed", label, decision)
    return RowState("confirmed" if label == decision.basis.proposed else "changed", label, decision)


def _changes(row: GapRow, decision: Decision, texts: ProvisionTexts) -> Iterable[TextChange]:
    basis = decision.basis
    if fingerprint(basis.national) != fingerprint(row.requirement.text):
        yield TextChange(f"国家文本 {row.requirement.address}", basis.national, row.requirement.text)
    for old in basis.local:
        new = texts.now(old)
        if new is None or not _same_but_number(new, old.text):
            yield TextChange(f"《{old.title}》{old.article}", old.text, new or "")
    if decision.values["label"] not in _ANSWERED:
        known = {*basis.related, *(fingerprint(t.text) for t in basis.local)}
        for item in (e for e in row.assessment.evidence if e.grade == 2):
            new = texts.at(item.doc_id, item.article)
            if new is not None and fingerprint(new) not in known:
                yield TextChange(f"新出现的本地依据《{item.title}》{item.article}", "", new)


def _moved(rows: Sequence[GapRow], decisions: Mapping[str, Decision]) -> dict[str, Decision]:
    """Decisions whose duty no longer stands at its place, given to the duty of the same document that reads most like it."""
    from rapidfuzz import fuzz

    here = {r.row_id for r in rows}
    by_place: dict[tuple[str, str], list[GapRow]] = defaultdict(list)
    for row in rows:
        by_place[row.requirement.doc_id, row.row_id.rpartition("@")[2]].append(row)
    out: dict[str, Decision] = {}
    for decision in decisions.values():
        place = (decision.history[0].doc_id, decision.row_id.rpartition("@")[2])
        if decision.row_id in here or place not in by_place or not decision.basis.national:
            continue
        free = [r for r in by_place[place] if r.row_id not in decisions and r.row_id not in out]
        scored = [(fuzz.ratio(decision.basis.national, r.requirement.text), r.row_id) for r in free]
        best = max(scored, default=(0.0, ""))
        if best[0] >= _SAME_DUTY:
            out[best[1]] = decision
    return out


def orphans(rows: Sequence[GapRow], decisions: Mapping[str, Decision]) -> list[Decision]:
    """Decisions of these documents and scopes whose duty is gone without a successor."""
    here = {r.row_id for r in rows} | {d.row_id for d in _moved(rows, decisions).values()}
    places = {(r.requirement.doc_id, r.row_id.rpartition("@")[2]) for r in rows}
    return [
        d
        for d in decisions.values()
        if d.row_id not in here and (d.history[0].doc_id, d.row_id.rpartition("@")[2]) in places
    ]


# -- agreement ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Agreement:
    """Two readings of the same rows: share of equal labels, Cohen's kappa, kappa per label, all rows, and those that differ.

    Rows that differ come first, unresolved ones before the others.
    """

    n: int
    observed: float
    kappa: float | None
    per_label: Mapping[str, tuple[int, int, float | None]]
    disputed: tuple[Decision, ...]
    both: tuple[Decision, ...] = ()


def agreement(decisions: Iterable[Decision]) -> Agreement:
    """Compare first and second readings over the rows that have both; disputed rows that nobody resolved come first."""
    both = [d for d in decisions if d.first_label and d.second_label]
    pairs = [(d.first_label, d.second_label) for d in both]
    per_label = {}
    for label in (x for x in LABELS if any(x in p for p in pairs)):
        binary = [(a == label, b == label) for a, b in pairs]
        per_label[label] = (sum(a for a, _ in binary), sum(b for _, b in binary), kappa(binary))
    both.sort(key=lambda d: (d.first_label == d.second_label, d.resolved, d.row_id))
    disputed = [d for d in both if d.first_label != d.second_label]
    observed = sum(a == b for a, b in pairs) / len(pairs) if pairs else 0.0
    return Agreement(len(pairs), observed, kappa(pairs), per_label, tuple(disputed), tuple(both))


def kappa(pairs: Sequence[tuple[object, object]]) -> float | None:
    """Cohen (1960): (po - pe) / (1 - pe); None without pairs or where both readers always said the same one thing."""
    n = len(pairs)
    if not n:
        return None
    po = sum(a == b for a, b in pairs) / n
    left, right = Counter(a for a, _ in pairs), Counter(b for _, b in pairs)
    pe = sum(left[k] * right[k] for k in left) / (n * n)
    return None if pe == 1 else (po - pe) / (1 - pe)
