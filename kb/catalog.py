"""A catalogue file in, frozen entries and findings out: what is known about each document, and who says so.

A catalogue is written by hand, so nothing in it stops the rest from loading: a line that is not YAML costs its entry, a
value that breaks the schema costs its field, and each costs one message with file and line. Entries meet corpus files
by `file` first and by normalised title second, because a corpus may come without a catalogue and a fetched text
without its file name.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import date, timedelta
from functools import cache
from importlib import resources
from pathlib import Path

import yaml

from kb.errors import CatalogError
from kb.models import STATUS_NAMES, Document, Finding

CATALOG_NAME = "catalog.yaml"
MAX_BYTES = 20 * 2**20
MAX_DEPTH = 12
DATE_FIELDS = (
    "adopted_on",
    "approved_on",
    "signed_on",
    "promulgated_on",
    "published_on",
    "effective_on",
    "expires_on",
)
STATUS_CODES = {name: code for code, name in STATUS_NAMES.items()}
ESSENTIAL = ("id", "title", "level")
LISTS = ("aliases", "issuers", "topics", "unverified")


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """Facts of one document. None and empty mean unknown; `unverified` names fields nobody has confirmed.

    `status` is a code of `models.STATUS_NAMES`. `verified_by` maps a field (or "*" for the rest) to its sources.
    """

    id: str
    title: str
    level: str
    kind: str = ""
    aliases: tuple[str, ...] = ()
    place: str = ""
    normative_force: str = ""
    issuers: tuple[str, ...] = ()
    doc_no: str | None = None
    adopted_on: str | None = None
    approved_on: str | None = None
    signed_on: str | None = None
    promulgated_on: str | None = None
    published_on: str | None = None
    effective_on: str | None = None
    expires_on: str | None = None
    validity: str | None = None
    status: str = "unverified"
    topics: tuple[str, ...] = ()
    relations: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    family: str | None = None
    official_url: str | None = None
    file: str | None = None
    text_kind: str = "none"
    verified_by: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unverified: tuple[str, ...] = ()
    note: str | None = None
    line: int = field(default=0, compare=False)

    @property
    def names(self) -> tuple[str, ...]:
        """Title and aliases."""
        return (self.title, *self.aliases)


ENTRY_FIELDS = frozenset(f.name for f in fields(CatalogEntry)) - {"line"}


@dataclass(frozen=True, slots=True)
class Catalog:
    """Entries in file order with their look-ups; build one with `Catalog.of`."""

    entries: tuple[CatalogEntry, ...]
    _by_id: Mapping[str, CatalogEntry] = field(repr=False, compare=False)
    _by_name: Mapping[str, CatalogEntry] = field(repr=False, compare=False)
    _by_file: Mapping[str, CatalogEntry] = field(repr=False, compare=False)

    @classmethod
    def of(cls, entries: Iterable[CatalogEntry]) -> Catalog:
        """Titles beat document numbers and aliases when two entries share a name; the first of equals wins."""
        entries = tuple(entries)
        names: dict[str, CatalogEntry] = {}
        for group in (
            ((e.title, e) for e in entries),
            ((e.doc_no, e) for e in entries),
            ((a, e) for e in entries for a in e.aliases),
        ):
            for name, entry in group:
                if name and (key := normalise(name)):
                    names.setdefault(key, entry)
        return cls(entries, {e.id: e for e in entries}, names, {e.file: e for e in entries if e.file})

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[CatalogEntry]:
        return iter(self.entries)

    def get(self, entry_id: str) -> CatalogEntry | None:
        return self._by_id.get(entry_id)

    def find(self, name: str) -> CatalogEntry | None:
        """Entry by id, title, alias or document number in any spelling; a covering notice finds what it brings."""
        if entry := self._by_id.get(name.strip()) or self._by_name.get(normalise(name)):
            return entry
        if wrapped := re.search(r"关于(?:印发|发布|公布)[《〈](.+)[》〉]的(?:通知|公告|通告)$", name.strip()):
            return self._by_name.get(normalise(wrapped[1]))
        return None

    def for_text(self, file: str, title: str = "") -> CatalogEntry | None:
        """Entry of a corpus file: by its `file`, else by its title, else by its file name."""
        return self._by_file.get(file) or (self.find(title) if title else None) or self.find(Path(file).stem)


EMPTY = Catalog.of(())


def normalise(name: str) -> str:
    """Key of a title or number: width, brackets, quotes, dashes, spaces and case make no difference."""
    text = unicodedata.normalize("NFKC", name).replace("×", "x")  # 数据要素× is typed as x or X
    key = re.sub(r"[\W_]", "", text).lower()
    return re.sub(r"(\d{4})年?第?(\d+)号$", r"\1\2号", key)


def load_catalog(path: Path, *, today: date | None = None) -> tuple[Catalog, list[Finding]]:
    """Read, validate and cross-check a catalogue; an absent file is an empty catalogue.

    Raises:
        CatalogError: the file cannot be read at all (too large, not UTF-8).
    """
    if not path.exists():
        return EMPTY, []
    raw, findings = read_entries(_read(path), path.name)
    entries: list[CatalogEntry] = []
    seen: dict[str, int] = {}
    for data, lines in raw:
        entry, problems = to_entry(data, lines, path.name)
        findings += problems
        if entry is None:
            continue
        if entry.id in seen:
            findings.append(
                _error(
                    path.name,
                    entry.line,
                    f"id {entry.id} is already used in line {seen[entry.id]}; not loaded",
                    "Give it another id.",
                )
            )
            continue
        seen[entry.id] = entry.line
        entries.append(entry)
    findings += cross_check(entries, path.name, today or date.today())
    known = {e.id for e in entries}
    return Catalog.of(_without_unknown_relations(e, known) for e in entries), sorted(findings, key=_line_of)


def _read(path: Path) -> str:
    if path.stat().st_size > MAX_BYTES:
        raise CatalogError(f"{path}: larger than {MAX_BYTES // 2**20} MiB", hint="Is this the catalogue?")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise CatalogError(f"{path}: not UTF-8 text ({error})", hint="Open it and save it as UTF-8.") from error


# --- YAML with line numbers --------------------------------------------------------------------------------------

Lines = Mapping[tuple, int]
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_entries(text: str, name: str) -> tuple[list[tuple[dict, Lines]], list[Finding]]:
    """(entry, line of each path in it) for each item of `documents`; broken items become findings."""
    findings: list[Finding] = []
    found: list[tuple[dict, Lines]] = []
    for node, shift in _item_nodes(text, name, findings):
        lines: dict[tuple, int] = {}
        try:
            data = _construct(node, (), lines, shift, name, findings)
        except RecursionError:
            findings.append(
                _error(
                    name,
                    node.start_mark.line + 1 + shift,
                    f"nested deeper than {MAX_DEPTH} levels or in a circle",
                    "Remove the YAML anchor.",
                )
            )
            continue
        if isinstance(data, dict):
            found.append((data, lines))
        else:
            findings.append(
                _error(name, lines[()], "expected an entry with fields", "Write `- id: ...` and its fields below it.")
            )
    return found, findings


def _item_nodes(text: str, name: str, findings: list[Finding]) -> Iterator[tuple[yaml.Node, int]]:
    try:
        root = yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError:
        yield from _item_nodes_one_by_one(text, name, findings)
        return
    if root is None:
        return
    documents = None
    if isinstance(root, yaml.MappingNode):
        documents = next((value for key, value in root.value if getattr(key, "value", "") == "documents"), None)
    if not isinstance(documents, yaml.SequenceNode):
        if documents is None or getattr(documents, "value", None):
            findings.append(
                _error(name, root.start_mark.line + 1, "no list named documents", "Begin the file with `documents:`.")
            )
        return
    for node in documents.value:
        yield node, 0


def _item_nodes_one_by_one(text: str, name: str, findings: list[Finding]) -> Iterator[tuple[yaml.Node, int]]:
    """Each list item parsed alone, so that one bad line costs one entry."""
    lines = text.split("\n")
    starts = [i for i, line in enumerate(lines) if re.match(r"\s*-\s+id\s*:", line)]
    if not starts:
        findings.append(_error(name, 1, "not YAML, and no `- id:` line to go on from", "Check the file's first lines."))
        return
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        try:
            node = yaml.compose("\n".join(lines[start:end]), Loader=_Loader)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            what = getattr(error, "problem", None) or "cannot be read"
            at = start + (mark.line if mark else 0) + 1
            findings.append(
                _error(
                    name,
                    min(at, len(lines)),
                    f"not YAML: {what}; the entry of line {start + 1} is not loaded",
                    "Correct the line; quote values with `: ` or `#`.",
                )
            )
            continue
        if isinstance(node, yaml.SequenceNode):
            for item in node.value:
                yield item, start


def _construct(node: yaml.Node, path: tuple, lines: dict, shift: int, name: str, findings: list[Finding]) -> object:
    """Plain values; dates stay text so that an impossible one can be reported instead of raised."""
    if len(path) > MAX_DEPTH:
        raise RecursionError
    lines[path] = node.start_mark.line + 1 + shift
    if isinstance(node, yaml.MappingNode):
        data: dict = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            if key in data:
                findings.append(
                    _error(
                        name,
                        key_node.start_mark.line + 1 + shift,
                        f"{key} is given twice; the first value counts",
                        "Remove one of the two lines.",
                    )
                )
                continue
            data[key] = _construct(value_node, (*path, key), lines, shift, name, findings)
            lines[(*path, key)] = key_node.start_mark.line + 1 + shift
        return data
    if isinstance(node, yaml.SequenceNode):
        return [_construct(item, (*path, i), lines, shift, name, findings) for i, item in enumerate(node.value)]
    if node.tag == "tag:yaml.org,2002:null":
        return None
    if node.tag in ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float", "tag:yaml.org,2002:bool"):
        return int(node.value) if node.value.isdecimal() and node.tag.endswith("int") else yaml.safe_load(node.value)
    return node.value


# --- one entry ---------------------------------------------------------------------------------------------------


@cache
def _validator():
    from jsonschema import Draft202012Validator

    schema = json.loads(resources.files("kb.data").joinpath("catalog.schema.json").read_text(encoding="utf-8"))
    return Draft202012Validator({**schema["$defs"]["entry"], "$defs": schema["$defs"]})


def to_entry(data: dict, lines: Lines, name: str) -> tuple[CatalogEntry | None, list[Finding]]:
    """A record from plain data. A field that breaks the schema is reported and treated as unknown; without a sound
    id, title and level there is no entry."""
    findings: list[Finding] = []
    sound = dict(data)
    label = data.get("id") if isinstance(data.get("id"), str) else "?"
    for error in sorted(_validator().iter_errors(data), key=lambda e: [str(p) for p in e.absolute_path]):
        path = tuple(error.absolute_path)
        line = lines.get(path) or lines[()]
        if error.validator == "additionalProperties" and not path:
            unknown = sorted(set(data) - ENTRY_FIELDS)
            findings += [
                _error(
                    name,
                    lines.get((key,), line),
                    f"{label}: unknown field {key}",
                    "Check its spelling in docs/catalog.md.",
                )
                for key in unknown
            ]
            for key in unknown:
                sound.pop(key, None)
            continue
        findings.append(_error(name, line, f"{label}: {_say(error, path)}", "See docs/catalog.md."))
        if path:
            _drop(sound, path)
    for key in DATE_FIELDS:
        if isinstance(sound.get(key), str) and not real_date(sound[key]):
            findings.append(
                _error(
                    name,
                    lines.get((key,), lines[()]),
                    f"{label}: {key} {sound[key]} is not a date",
                    "Write YYYY-MM-DD, YYYY-MM or YYYY.",
                )
            )
            sound[key] = None
    if any(not isinstance(sound.get(key), str) for key in ESSENTIAL):
        return None, findings
    return _record(sound, lines[()]), findings


def _say(error, path: tuple) -> str:
    where = ".".join(str(p) for p in path)
    if error.validator == "required":
        return error.message.replace("'", "")
    if error.validator == "enum":
        return f"{where}: {error.instance!r} is not one of {', '.join(map(str, error.validator_value))}"
    if error.validator == "additionalProperties":
        return f"{where}: {error.message}"
    shown = str(error.instance)[:60]
    return f"{where}: {shown!r} does not fit ({error.validator} {error.validator_value})"


def _drop(sound: dict, path: tuple) -> None:
    """Forget the faulty part: the bad item of a list, the bad key of relations, else the whole field."""
    key = path[0]
    value = sound.get(key)
    if isinstance(value, list) and len(path) > 1:
        sound[key] = [item for i, item in enumerate(value) if i != path[1]]
    elif key == "relations" and isinstance(value, dict):
        known = {"implements", "based_on", "amends", "replaces", "draft_of"}
        bad = {path[1]} if len(path) > 1 else set(value) - known
        sound[key] = {k: v for k, v in value.items() if k not in bad}
    else:
        sound.pop(key, None)


def _record(data: dict, line: int) -> CatalogEntry:
    values = {key: value for key, value in data.items() if value is not None and key in ENTRY_FIELDS}
    for key in LISTS:
        values[key] = tuple(values.get(key, ()))
    values["relations"] = {key: tuple(ids) for key, ids in values.get("relations", {}).items()}
    values["verified_by"] = {
        key: (source,) if isinstance(source, str) else tuple(source)
        for key, source in values.get("verified_by", {}).items()
    }
    values["status"] = STATUS_CODES.get(values.get("status", ""), "unverified")
    return CatalogEntry(**values, line=line)


def real_date(text: str) -> bool:
    """Whether YYYY, YYYY-MM or YYYY-MM-DD names a day, month or year that exists, 1900 to 2100."""
    if not re.fullmatch(r"\d{4}(-\d{2}(-\d{2})?)?", text):
        return False
    year, month, day = (*map(int, text.split("-")), 1, 1)[:3]
    try:
        return 1900 <= date(year, month, day).year <= 2100
    except ValueError:
        return False


# --- across entries ----------------------------------------------------------------------------------------------


def cross_check(entries: list[CatalogEntry], name: str, today: date) -> Iterator[Finding]:
    """What only shows when entries are seen together or against the calendar."""
    known = {entry.id for entry in entries}
    titles: dict[str, CatalogEntry] = {}
    for entry in entries:
        key = normalise(entry.title)
        if key in titles:
            yield _error(
                name,
                entry.line,
                f"{entry.id}: same title as {titles[key].id} in line {titles[key].line}",
                "Merge the two entries.",
            )
        titles.setdefault(key, entry)
    for entry in entries:
        yield from _check_links(entry, known, name)
        yield from _check_dates(entry, name, today)
        for alias in entry.aliases:
            other = titles.get(normalise(alias))
            if other is not None and other.id != entry.id:
                yield _warning(
                    name, entry.line, f"{entry.id}: alias {alias} is the title of {other.id}", "Remove the alias."
                )
        for unknown in sorted(set(entry.unverified) | set(entry.verified_by) - {"*"}):
            if unknown not in ENTRY_FIELDS:
                yield _warning(
                    name,
                    entry.line,
                    f"{entry.id}: {unknown} in verified_by or unverified is not a field",
                    "Check its spelling.",
                )
        if entry.text_kind == "digest" and not entry.file:
            yield _warning(
                name,
                entry.line,
                f"{entry.id}: text_kind digest without a file",
                "Name the file or write text_kind: none.",
            )


def _check_links(entry: CatalogEntry, known: set[str], name: str) -> Iterator[Finding]:
    for kind, ids in entry.relations.items():
        for target in ids:
            if target == entry.id:
                yield _error(name, entry.line, f"{entry.id}: {kind} names the entry itself", "Remove it.")
            elif target not in known:
                yield _error(
                    name,
                    entry.line,
                    f"{entry.id}: {kind} names {target}, which is not in the catalogue",
                    "Add that entry or remove the relation.",
                )
    if entry.family and entry.family not in known:
        yield _error(
            name,
            entry.line,
            f"{entry.id}: family {entry.family} is not in the catalogue",
            "Use the id of the main document.",
        )


def _check_dates(entry: CatalogEntry, name: str, today: date) -> Iterator[Finding]:
    start, end, now = entry.effective_on, entry.expires_on, today.isoformat()
    if start and end and end < start:
        yield _error(name, entry.line, f"{entry.id}: expires {end} before it takes effect {start}", "Check both dates.")
    for earlier, later in (
        ("adopted_on", "promulgated_on"),
        ("promulgated_on", "effective_on"),
        ("adopted_on", "approved_on"),
    ):
        first, second = getattr(entry, earlier), getattr(entry, later)
        if first and second and first[: len(second)] > second[: len(first)]:
            yield _warning(
                name, entry.line, f"{entry.id}: {earlier} {first} is after {later} {second}", "Check both dates."
            )
    if end and len(end) == 10 and end < now and entry.status == "in_force":
        yield _warning(
            name,
            entry.line,
            f"{entry.id}: 有效期 ended on {end} but the status is 现行有效",
            "Write 期满待核 until a renewal is found.",
        )
    if start and len(start) == 10 and start > now and entry.status == "in_force":
        yield _warning(
            name, entry.line, f"{entry.id}: takes effect on {start} but the status is 现行有效", "Write 尚未施行."
        )
    if start and end and entry.validity and (expected := expiry(start, entry.validity)) and expected != end:
        yield _warning(
            name,
            entry.line,
            f"{entry.id}: {entry.validity} from {start} ends on {expected}, not {end}",
            "Check the dates.",
        )


def expiry(effective_on: str, validity: str) -> str | None:
    """Last day of a validity period: 5年 from 2025-03-01 ends on 2030-02-28; None without a full date."""
    match = re.fullmatch(r"(\d+)(年|个月)", validity)
    if not match or len(effective_on) != 10 or not real_date(effective_on):
        return None
    start = date.fromisoformat(effective_on)
    months = int(match[1]) * (12 if match[2] == "年" else 1) + start.month - 1
    year, month = start.year + months // 12, months % 12 + 1
    last_of_month = (date(year + month // 12, month % 12 + 1, 1) - timedelta(days=1)).day
    return (date(year, month, min(start.day, last_of_month)) - timedelta(days=1)).isoformat()


def _without_unknown_relations(entry: CatalogEntry, known: set[str]) -> CatalogEntry:
    kept = {kind: tuple(i for i in ids if i in known and i != entry.id) for kind, ids in entry.relations.items()}
    return replace(
        entry, relations={k: v for k, v in kept.items() if v}, family=entry.family if entry.family in known else None
    )


def check_files(catalog: Catalog, corpus: Path) -> Iterator[Finding]:
    """Files the catalogue names and the corpus lacks, and digests the catalogue does not name."""
    named = {entry.file for entry in catalog if entry.file}
    for entry in catalog:
        if entry.file and not (corpus / entry.file).is_file():
            yield _error(
                CATALOG_NAME,
                entry.line,
                f"{entry.id}: {entry.file} is not in the corpus",
                "Add the file or write file: null.",
            )
        if entry.file and not entry.file.startswith(f"{entry.level}/"):
            yield _warning(
                CATALOG_NAME,
                entry.line,
                f"{entry.id}: level {entry.level} but file {entry.file}",
                "Move the file or correct the level.",
            )
    for path in sorted(corpus.glob("*/*.md")):
        name = path.relative_to(corpus).as_posix()
        if name.split("/")[0] in ("national", "guangdong", "shenzhen", "peers") and name not in named:
            yield _warning(name, 0, "not named in the catalogue", "Add an entry with this file.")


def _error(name: str, line: int, what: str, fix: str) -> Finding:
    return Finding("error", f"{name}:{line}", what, fix)


def _warning(name: str, line: int, what: str, fix: str) -> Finding:
    return Finding("warning", f"{name}:{line}" if line else name, what, fix)


def _line_of(finding: Finding) -> tuple[str, int]:
    name, _, line = finding.where.rpartition(":")
    return (name, int(line)) if line.isdecimal() else (finding.where, 0)


# --- catalogue and corpus ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TextGroup:
    """The texts of one instrument: the one that speaks, the digest that explains it, and copies set aside."""

    entry: CatalogEntry | None
    record: Document
    digest: Document | None
    others: tuple[Document, ...] = ()


def texts_of_record(documents: Iterable[Document], catalog: Catalog = EMPTY) -> list[TextGroup]:
    """Group documents by instrument, in the order of their first text, and choose the text of record.

    A complete full text beats a doubtful one, and both beat the digest; an incomplete full text does not replace a
    digest, because what it lacks would look like a gap. Among equals the first by path. `digest` is the 要点 that
    stays readable beside a full text; it is None when the digest itself is the record.
    """
    groups: dict[str, list[Document]] = {}
    entries: dict[str, CatalogEntry | None] = {}
    for document in documents:
        entry = catalog.for_text(document.source_path.removeprefix("fulltext/"), document.meta.title)
        key = entry.id if entry else f"{document.meta.level}:{normalise(document.meta.title)}"
        groups.setdefault(key, []).append(document)
        entries[key] = entry
    return [_group(entries[key], members) for key, members in groups.items()]


def _group(entry: CatalogEntry | None, members: list[Document]) -> TextGroup:
    ranked = sorted(members, key=lambda document: (_rank(document), document.source_path))
    record, rest = ranked[0], ranked[1:]
    digest = next((document for document in rest if document.meta.text_kind == "digest"), None)
    return TextGroup(entry, record, digest, tuple(document for document in rest if document is not digest))


def _rank(document: Document) -> int:
    if document.meta.text_kind == "digest":
        return 2
    return {"complete": 0, "doubtful": 1}.get(document.quality, 3)
