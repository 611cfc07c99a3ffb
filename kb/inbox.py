"""Files and links that wait before the corpus in, those that pass the gate into it, the others held with their reasons.

The inbox (`corpus/inbox`) holds what people drop into it, what `kb watch` downloads, and one ledger of links, `links.json`.
`kb update` takes in what passes; a person approves or rejects the rest. A file leaves the inbox only when the corpus has it.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from kb.codec import from_json, to_json
from kb.corpus import corpus_catalog
from kb.errors import CatalogError, IndexError_, KbError, LockedError, UsageError
from kb.fetch import Provenance, provenance_path
from kb.generations import current_generation, write_durably
from kb.index import Library
from kb.ingest import Item as Candidate
from kb.ingest import add, contents, preview
from kb.metadata import family_key, version_start
from kb.models import LEVELS, DocumentMeta, Finding
from kb.names import is_draft_title
from kb.read import Limits
from kb.settings import Settings
from kb.versions import same_wording

INBOX = "inbox"
LEDGER = "links.json"
REJECTED = ".rejected"
STATES = {
    "held": "暂缓",
    "unsure": "待确认",
    "new": "待看",
    "downloaded": "待入库",
    "known": "已收录",
    "repost": "重复",
    "off_topic": "非本领域",
    "ignored": "不要",
}
WAITING = ("held", "unsure", "new", "downloaded")
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Item:
    """One link of the inbox; `relation` says what it has to do with what is held, `files` are below the inbox folder."""

    id: str
    url: str
    title: str
    source: str
    level: str
    state: str
    date: str = ""
    first_seen: str = ""
    relation: str = ""
    reason: str = ""
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Visit:
    """What the last good look at a source showed."""

    at: str = ""
    keys: tuple[str, ...] = ()
    newest: str = ""
    etag: str = ""
    last_modified: str = ""


@dataclass(slots=True)
class Ledger:
    """The inbox on disk: items by id, the last visit of every source."""

    items: dict[str, Item] = field(default_factory=dict)
    visits: dict[str, Visit] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Waiting:
    """One entry of the inbox as people see it: a link (`url`) or a file that was dropped into the folder.

    `state` is a key of STATES, `reason` says why it is held, `doubtful` that `approve` can take it although it is held.
    """

    id: str
    title: str
    state: str
    level: str
    reason: str = ""
    relation: str = ""
    source: str = ""
    date: str = ""
    url: str = ""
    files: tuple[str, ...] = ()
    doubtful: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate says of one document of a file: `state` is ready, same (held already) or held.

    `doubtful` documents can be taken all the same when a person says so, the others cannot be used as they are.
    """

    name: str
    state: str
    title: str = ""
    level: str = ""
    reason: str = ""
    doubtful: bool = False
    candidate: Candidate | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Intake:
    """What an update took out of the inbox (corpus-relative names) and what stays there, with the reasons."""

    added: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()


# -- the gate -------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Known:
    """What is held already: titles of full texts by family as (title, is a draft), families of which there is only a digest,
    files by their hash, and the wordings of texts taken in this run."""

    held: Mapping[str, tuple[tuple[str, bool], ...]]
    digests: Mapping[str, str]
    contents: dict[str, str]
    texts: Library | None = None
    taken: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)

    @classmethod
    def of(cls, settings: Settings) -> Known:
        """Titles of the index and of catalogue entries that have a text."""
        library = None
        with contextlib.suppress(IndexError_):  # of another format: it is about to be built again
            library = Library(settings) if current_generation(settings.index) else None
        listed = [(e.title, e.text_kind) for e in corpus_catalog(settings.corpus)[0] if e.file]
        infos = library.documents if library else ()
        listed += [(name, d.meta.text_kind) for d in infos for name in (d.meta.title, *d.meta.aliases)]
        full = {title for title, kind in listed if kind != "digest"}
        held: dict[str, list[tuple[str, bool]]] = {}
        for title in sorted(full):
            held.setdefault(family(title), []).append((title, is_draft_title(title)))
        digests = {family(title): title for title, kind in listed if kind == "digest" and not is_draft_title(title)}
        return cls({k: tuple(v) for k, v in held.items()}, digests, contents(settings.corpus), library)


def family(title: str) -> str:
    """Key that a draft, its final text and its covering notice share."""
    return family_key(DocumentMeta(title=title.strip("《》"), level="national"))


def judge_file(
    path: Path, level: str | None, settings: Settings, known: Known, progress: Progress | None = None
) -> list[Verdict]:
    """What the gate says of a file of the inbox, one verdict a document (an archive has several)."""
    limits = Limits(max_bytes=settings.max_file_mb * 2**20, max_pages=settings.max_pages)
    try:
        if not path.stat().st_size:
            return [Verdict(path.name, "held", reason="内容为空（0 字节），请重新获取")]
        found = preview([path], settings.corpus, level=level, limits=limits, progress=progress, held=known.contents)
        return [_verdict(c, known) for c in found] or [Verdict(path.name, "held", reason="压缩包里没有可读的文件")]
    except (KbError, OSError) as error:
        return [Verdict(path.name, "held", reason=getattr(error, "message", str(error)))]


def _verdict(candidate: Candidate, known: Known) -> Verdict:
    """Held: unreadable, incomplete, no document, of no known level, or a title that collides with another text."""
    said = {"name": candidate.path, "title": candidate.title, "level": candidate.level, "candidate": candidate}
    if candidate.state == "same":
        return Verdict(**said, state="same", reason="与文库中的文件相同")
    if candidate.state == "refused":
        return Verdict(**said, state="held", reason="；".join(f.what for f in candidate.findings))
    if candidate.provisions < 2:
        return Verdict(**said, state="held", doubtful=True, reason="没有识别出条文或提纲，可能只是网页外壳或通知")
    if candidate.quality == "incomplete":
        bad = [f.what for f in candidate.findings if f.severity in ("error", "warning")]
        why = f"文本不完整：{'；'.join(bad[:2]) or '缺少内容'}"
        return Verdict(**said, state="held", doubtful=True, reason=why)
    if candidate.state == "undecided":
        return Verdict(**said, state="held", reason=f"看不出层级，请放入 {INBOX}/ 下的 {'、'.join(LEVELS)} 之一")
    return _collision(said, known)


def _collision(said: dict, known: Known) -> Verdict:
    """A text of the same title is held: the same wording is no news, another one wants a person to look."""
    document = said["candidate"].document
    mine = "".join(p.text for p in document.provisions)
    title, level = said["title"], said["level"]
    where, wording, since = "", "", ""
    for info in known.texts.documents if known.texts else ():
        if info.meta.title == title and info.meta.level == level:
            held = known.texts.document(info.doc_id)
            text = "".join(p.text for p in held.provisions)
            if same_wording(text, mine):
                return Verdict(**said, state="same", reason=f"与已收录的《{title}》文字相同")
            if info.meta.text_kind == "full":
                where, wording, since = held.source_path, text, version_start(info.meta)
    if (level, title) in known.taken:
        where, wording = known.taken[level, title]
        if same_wording(wording, mine):
            return Verdict(**said, state="same", reason=f"与本次收录的《{title}》文字相同")
    if not wording:
        name = said["candidate"].target
        if Path(name).stem.endswith(f"-{document.sha256[:8]}"):  # a text of this name came after the last build
            return Verdict(**said, state="held", reason=f"文库里有尚未索引的同名文件，先运行 kb update，再处理 {name}")
        return Verdict(**said, state="ready")
    own = version_start(document.meta)
    if own and since and own != since:
        why = f"标题与已收录的《{title}》相同而文字不同，施行日期 {own}，已收录的为 {since}，可能是另一版本"
        return Verdict(**said, state="held", doubtful=True, reason=why)
    return Verdict(
        **said, state="held", reason=f"标题与已收录的《{title}》相同而文字不同，请核对；要替换，先移走 {where}"
    )


# -- into the corpus --------------------------------------------------------------------------------------------------------


def take_in(settings: Settings, *, progress: Progress | None = None) -> Intake:
    """Move everything that passes the gate into the corpus, and say what stays and why.

    Args:
        progress: called with ("inbox", done, total), in files.

    Raises:
        LockedError: another run has the inbox open. CatalogError: the ledger is damaged. UsageError: the corpus cannot be written.
    """
    if not (settings.corpus / INBOX).is_dir():
        return Intake()
    added: list[str] = []
    with opened(settings) as (ledger, save):
        known = Known.of(settings)
        downloads = [i for i in ledger.items.values() if i.state == "downloaded"]
        dropped = _dropped(settings, ledger)
        total = len(downloads) + len(dropped)
        for number, item in enumerate(downloads, 1):
            names, ledger.items[item.id], done = _take_item(item, settings, known)
            added += names
            save()  # before the files go: a run that dies here leaves both, and the next one sees that they are the same
            _clear(settings, done)
            _tell(progress, number, total)
        for number, (name, level) in enumerate(dropped, len(downloads) + 1):
            names, _, done = _take_file(settings, known, name, level)
            added += names
            _clear(settings, done)
            _tell(progress, number, total)
    return Intake(tuple(added), inbox_findings(settings))


def _tell(progress: Progress | None, done: int, total: int) -> None:
    if progress:
        progress("inbox", done, total)


def _take_file(
    settings: Settings, known: Known, name: str, level: str | None, *, anyway: bool = False, origin: Item | None = None
) -> tuple[list[str], list[Verdict], dict[str, str]]:
    """(corpus-relative names of what was taken from one file, verdicts, the file by its hash if the corpus has all of it)."""
    path = settings.corpus / INBOX / name
    digest = _digest(path)
    found = judge_file(path, level, settings, known)
    taken: list[str] = []
    for verdict in found:
        if verdict.state == "ready" or (anyway and verdict.doubtful):
            taken += _store(settings, known, verdict, origin)
    whole = all(v.state in ("ready", "same") or (anyway and v.doubtful) for v in found)
    return taken, found, {name: digest} if whole else {}


def _store(settings: Settings, known: Known, verdict: Verdict, origin: Item | None) -> list[str]:
    candidate = verdict.candidate
    names = add([candidate], settings.corpus, incomplete=True)
    for name in names:
        known.contents[candidate.sha256] = name
        known.taken[verdict.level, verdict.title] = (name, "".join(p.text for p in candidate.document.provisions))
        if origin is not None:
            told = Provenance(
                origin.id, origin.url, origin.url, _now(), "", "", candidate.media, candidate.sha256, candidate.sha256
            )
            write_durably(
                provenance_path(settings.corpus / name), json.dumps(asdict(told), ensure_ascii=False, indent=1).encode()
            )
    return names


def _clear(settings: Settings, done: Mapping[str, str]) -> None:
    """Remove files that the corpus has now; one that grew while it was read stays."""
    for name, digest in done.items():
        path = settings.corpus / INBOX / name
        if digest and _digest(path) == digest:
            with contextlib.suppress(OSError):
                path.unlink()


def _digest(path: Path) -> str:
    """SHA-256 of a file; "" for one that cannot be read."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return ""


def _take_item(
    item: Item, settings: Settings, known: Known, *, anyway: bool = False
) -> tuple[list[str], Item, dict[str, str]]:
    """(names of what was taken, the link as it is now, files that may go)."""
    added: list[str] = []
    found: list[Verdict] = []
    done: dict[str, str] = {}
    for name in item.files:
        if (settings.corpus / INBOX / name).is_file():
            names, verdicts, whole = _take_file(settings, known, name, item.level, anyway=anyway, origin=item)
            added, found, done = added + names, found + verdicts, done | whole
    if added:
        return added, replace(item, state="known", reason="", relation=f"已入库 {'、'.join(added)}"), done
    if found and all(v.state == "same" for v in found):
        return [], replace(item, state="known", reason=found[0].reason), done
    why = "；".join(dict.fromkeys(v.reason for v in found if v.reason)) or "下载的文件已不在收件箱"
    return [], replace(item, state="held", reason=why), {}


# -- what waits, for people -------------------------------------------------------------------------------------------------


def waiting(settings: Settings, *, everything: bool = False) -> list[Waiting]:
    """The inbox: held first, then what is to be confirmed, to be looked at and to be taken in by the next update.

    Args:
        everything: also links that are held already, repeated, off topic or rejected.

    Raises:
        CatalogError: the ledger is damaged.
    """
    if not (settings.corpus / INBOX).is_dir():
        return []
    ledger, verdicts = read_ledger(settings), _Verdicts(settings)
    rows = [
        Waiting(
            i.id,
            i.title,
            i.state,
            i.level,
            i.reason,
            i.relation,
            i.source,
            i.date,
            i.url,
            i.files,
            doubtful=i.state == "held" and any(verdicts.doubtful(name, i.level) for name in i.files),
        )
        for i in ledger.items.values()
        if everything or i.state in WAITING
    ]
    rows += [verdicts.waiting(name, level) for name, level in _dropped(settings, ledger)]
    verdicts.save()
    order = {state: n for n, state in enumerate(STATES)}
    return sorted(rows, key=lambda w: (order[w.state], not w.date, _reversed(w.date), w.title))


def _reversed(day: str) -> tuple[int, ...]:
    return tuple(-ord(c) for c in day)


def inbox_findings(settings: Settings) -> tuple[Finding, ...]:
    """What waits in the inbox as findings for the change note: held files with reasons, pages that may have changed."""
    rows = waiting(settings)
    out = []
    for row in rows:
        where = f"{INBOX}: 《{row.title}》" if row.url else f"{INBOX}/{row.files[0]}"
        if row.state == "held":
            look = f"See {row.url}; then " if row.url else ""
            take = f"kb watch --approve {row.id} or " if row.url or row.doubtful else ""
            out.append(Finding("warning", where, row.reason, f"{look}{take}kb watch --reject {row.id}"))
        elif row.state == "downloaded":
            out.append(Finding("info", where, "待入库", "kb update takes it in."))
    unsure: dict[str, int] = {}
    for row in rows:
        if row.state == "unsure":
            unsure[row.source] = unsure.get(row.source, 0) + 1
    out += [
        Finding("warning", source, f"{n} 个链接待确认，页面可能已改版", f"kb watch --accept {source}")
        for source, n in unsure.items()
    ]
    return tuple(out)


def take_doubtful(settings: Settings, ids: Sequence[str], level: str | None = None) -> list[str]:
    """Take held files into the corpus because a person says so; returns corpus-relative names.

    Raises:
        UsageError: an id that is not in the inbox, or a file that cannot be used as it is, with the reason.
    """
    with opened(settings) as (ledger, save):
        known = Known.of(settings)
        dropped = {file_id(name): (name, where) for name, where in _dropped(settings, ledger)}
        _check_ids(ids, (*ledger.items, *dropped))
        added: list[str] = []
        for one in dict.fromkeys(ids):
            if one in ledger.items:
                names, ledger.items[one], done = _take_item(ledger.items[one], settings, known, anyway=True)
                why = ledger.items[one].reason
            else:
                name, where = dropped[one]
                names, found, done = _take_file(settings, known, name, level or where, anyway=True)
                why = "；".join(dict.fromkeys(v.reason for v in found if v.reason))
            if not names:
                raise UsageError(f"{one}: {why}", hint="Nothing was taken; replace the file, or kb watch --reject it.")
            added += names
            save()
            _clear(settings, done)
        return added


def reject(settings: Settings, ids: Sequence[str]) -> None:
    """Mark links as not wanted and put dropped files aside (`inbox/.rejected`); nothing is deleted.

    Raises:
        UsageError: an id that is not in the inbox.
    """
    with opened(settings) as (ledger, _):
        dropped = {file_id(name): name for name, _ in _dropped(settings, ledger)}
        _check_ids(ids, (*ledger.items, *dropped))
        for one in dict.fromkeys(ids):
            if one in ledger.items:
                ledger.items[one] = replace(ledger.items[one], state="ignored", reason="")
            else:
                source = settings.corpus / INBOX / dropped[one]
                aside = settings.corpus / INBOX / REJECTED / f"{one}-{source.name}"
                aside.parent.mkdir(exist_ok=True)
                os.replace(source, aside)


def _check_ids(ids: Sequence[str], known: Iterable[str]) -> None:
    missing = sorted(set(ids) - set(known))
    if missing:
        raise UsageError(f"not in the inbox: {', '.join(missing)}", hint="kb watch --list shows the ids.")


class _Verdicts:
    """Verdicts on dropped files, remembered until the file or the index changes; the file that remembers is derived data."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._path = settings.corpus / INBOX / ".verdicts.json"
        self.known = Known.of(settings)
        self._stamp = f"{current_generation(settings.index)}/{len(self.known.contents)}"
        try:
            self._old = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            self._old = {}
        self._new: dict[str, list] = {}

    def _of(self, name: str, level: str | None) -> list[Verdict]:
        path = self._settings.corpus / INBOX / name
        try:
            stat = path.stat()
        except OSError:
            return []
        key = f"{name}@{level}/{stat.st_size}/{stat.st_mtime_ns}/{self._stamp}"
        if key not in self._new:
            found = self._old.get(key) if isinstance(self._old, dict) else None
            self._new[key] = found or [
                [v.name, v.state, v.title, v.level, v.reason, v.doubtful]
                for v in judge_file(path, level, self._settings, self.known)
            ]
        return [Verdict(*row) for row in self._new[key]]

    def doubtful(self, name: str, level: str | None) -> bool:
        return any(v.doubtful for v in self._of(name, level))

    def waiting(self, name: str, level: str | None) -> Waiting:
        found = self._of(name, level)
        held = [v for v in found if v.state == "held"]
        title = next((v.title for v in found if v.title), "") or Path(name).stem
        where = next((v.level for v in found if v.level), "") or level or ""
        reason = "；".join(
            dict.fromkeys(f"{v.name.rpartition('!')[2]}：{v.reason}" if len(found) > 1 else v.reason for v in held)
        )
        state = "held" if held else "downloaded"
        return Waiting(
            file_id(name), title, state, where, reason, files=(name,), doubtful=any(v.doubtful for v in held)
        )

    def save(self) -> None:
        if self._new != self._old:
            with contextlib.suppress(OSError):
                write_durably(self._path, json.dumps(self._new, ensure_ascii=False).encode("utf-8", "replace"))


def file_id(name: str) -> str:
    """Id of a dropped file, from its place in the inbox."""
    return "f" + hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def _dropped(settings: Settings, ledger: Ledger) -> list[tuple[str, str | None]]:
    """(name, level or None) of files that people put into the inbox; the first folder says the level where it is one."""
    folder = settings.corpus / INBOX
    listed = {name for item in ledger.items.values() for name in item.files}
    out = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and not p.is_symlink()):
        parts = path.relative_to(folder).parts
        name = "/".join(parts)
        if name in listed or name == LEDGER or any(part.startswith(".") for part in parts):
            continue
        if path.stem.upper() != "README":
            out.append((name, parts[0] if parts[0] in LEVELS else None))
    return out


# -- the ledger -----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def opened(settings: Settings) -> Iterator[tuple[Ledger, Callable[[], None]]]:
    """The ledger under its lock, and a function that saves it; it is saved at the end, and not when an error ends the block.

    Raises:
        LockedError: another run has it open.
        CatalogError: it cannot be read; it is never overwritten then.
    """
    from filelock import FileLock, Timeout

    folder = settings.corpus / INBOX
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock")
        lock.acquire(timeout=0)
    except Timeout:
        raise LockedError("another run is at work on the inbox", hint="Wait for it, then try again.") from None
    except OSError as error:
        raise CatalogError(
            f"{folder} cannot be written ({error.strerror or error})", hint="Check its rights."
        ) from error
    try:
        ledger = read_ledger(settings)
        written = _as_text(ledger)

        def save() -> None:
            nonlocal written
            text = _as_text(ledger)
            if text != written:
                write_durably(folder / LEDGER, text.encode("utf-8", "replace"))
                written = text

        yield ledger, save
        save()
    finally:
        lock.release()


def _as_text(ledger: Ledger) -> str:
    data = {"visits": to_json(ledger.visits), "items": [to_json(i) for i in ledger.items.values()]}
    return json.dumps(data, ensure_ascii=False, indent=1)


def read_ledger(settings: Settings) -> Ledger:
    """The ledger as it is; empty where there is none.

    Raises:
        CatalogError: the file is damaged.
    """
    path = settings.corpus / INBOX / LEDGER
    if not path.exists():
        return Ledger()
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        items = [replace(from_json(Item, i), files=tuple(i.get("files", ()))) for i in data["items"]]
        return Ledger({i.id: i for i in items}, {k: from_json(Visit, v) for k, v in data["visits"].items()})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CatalogError(
            f"{path}: cannot be read ({error})", hint="Restore it from a backup, or move it away to start again."
        ) from error


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
