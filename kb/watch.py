"""Watched pages in, an inbox out: new links with what is known of them, downloads on approval, faults with their reasons.

Nothing found here enters the corpus by itself: `kb ingest` does that. The inbox (`corpus/inbox`) is a folder of downloaded
files and one ledger, `links.json`, that is saved after every page and every download, so that a run can stop at any moment.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from kb.codec import from_json, to_json
from kb.corpus import SourceFile, corpus_catalog, document_id, to_document
from kb.errors import CatalogError, FetchError, KbError, LockedError, UsageError
from kb.generations import current_generation, write_durably
from kb.index import Library
from kb.links import Link, address_key, attachments, find_links, objection
from kb.metadata import family_key
from kb.models import LEVELS, DocumentMeta, Finding
from kb.names import is_draft_title
from kb.read import KINDS, kind_of, read_file
from kb.read.plain import decode
from kb.settings import Settings
from kb.versions import same_wording
from kb.web import Client, Limits, Reply

WATCH_FILE = "watch.yaml"
INBOX = "inbox"
LEDGER = "links.json"
STATES = {
    "new": "待看",
    "unsure": "待确认",
    "downloaded": "已下载",
    "held": "暂缓",
    "known": "已收录",
    "repost": "重复",
    "off_topic": "非本领域",
    "ignored": "不要",
}
_MAX_ATTACHMENTS = 6
_FEW = 5
_COMMENT = re.compile(r"解读|答记者问|新闻发布会|一图|图说|评论员")
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Source:
    """One watched page; `item`, `link` and `date` are CSS selectors where the shape of the page is not enough."""

    id: str
    url: str
    level: str
    name: str = ""
    item: str = ""
    link: str = ""
    date: str = ""
    any_topic: bool = False


@dataclass(frozen=True, slots=True)
class WatchList:
    """What is watched, and which titles are of interest."""

    sources: tuple[Source, ...]
    topics: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()


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
class WatchSummary:
    """One run: (source id, links on the page, new items), the items that are new, and findings."""

    sources: tuple[tuple[str, int, int], ...]
    items: tuple[Item, ...]
    findings: tuple[Finding, ...]


# -- what is watched ------------------------------------------------------------------------------------------------------


def load_watchlist(corpus: Path) -> tuple[WatchList, list[Finding]]:
    """The watch list of a corpus; a faulty entry costs itself and is named.

    Raises:
        CatalogError: there is no file, or it is no YAML mapping.
    """
    path = corpus / WATCH_FILE
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise CatalogError(
            f"{path}: cannot be read ({str(error).splitlines()[0]})", hint="See docs/updating.md for its form."
        ) from error
    if not isinstance(data, dict) or not isinstance(data.get("sources"), list):
        raise CatalogError(f"{path}: no list named sources", hint="See docs/updating.md for its form.")
    sources, findings = [], []
    for number, entry in enumerate(data["sources"], 1):
        problem = _problem(entry, {s.id for s in sources})
        if problem:
            findings.append(
                Finding(
                    "error", f"{WATCH_FILE}: source {number}", problem, "Correct the entry; the others are watched."
                )
            )
        else:
            sources.append(Source(**entry))
    words = {k: tuple(map(str, data.get(k) or ())) for k in ("topics", "ignore")}
    return WatchList(tuple(sources), **words), findings


def _problem(entry: object, known: set[str]) -> str:
    if not isinstance(entry, dict):
        return "not an entry with fields"
    unknown = set(entry) - {f.name for f in fields(Source)}
    missing = [k for k in ("id", "url", "level") if not isinstance(entry.get(k), str) or not entry[k]]
    if unknown or missing:
        return (
            f"unknown field {', '.join(map(str, sorted(unknown)))}" if unknown else f"{', '.join(missing)} is missing"
        )
    if entry["level"] not in LEVELS:
        return f"level {entry['level']} is not one of {', '.join(LEVELS)}"
    return f"id {entry['id']} is used twice" if entry["id"] in known else ""


# -- the run --------------------------------------------------------------------------------------------------------------


def watch_all(
    settings: Settings,
    *,
    only: Sequence[str] = (),
    auto: bool = False,
    client: Client | None = None,
    delay_s: float = 2.0,
    progress: Progress | None = None,
) -> WatchSummary:
    """Look at every watched page, record what is new, and with `auto` download what is of interest.

    Raises:
        CatalogError: there is no watch list. UsageError: `only` names an unknown source. LockedError: another run watches.
    """
    watchlist, findings = load_watchlist(settings.corpus)
    unknown = set(only) - {s.id for s in watchlist.sources}
    if unknown:
        raise UsageError(f"no watched source is called {', '.join(sorted(unknown))}", hint=f"See {WATCH_FILE}.")
    chosen = [s for s in watchlist.sources if not only or s.id in only]
    client = client or polite_client(settings, delay_s)
    known = Known.of(settings)
    counts, fresh = [], []
    with opened(settings) as (ledger, save):
        settle(ledger, known)
        for number, source in enumerate(chosen, 1):
            links, problems = look(source, ledger, client)
            findings += problems
            new = record(
                links or [],
                source,
                watchlist,
                ledger,
                known,
                suspicious=any(p.what.startswith(_REDESIGN) for p in problems),
            )
            counts.append((source.id, len(links or ()), len(new)))
            fresh += new
            save()
            if progress:
                progress("watch", number, len(chosen))
        if auto:
            wanted = [i for i in ledger.items.values() if i.state == "new"]
            _download(wanted, settings, ledger, client, known, save, progress)
        now = tuple(ledger.items[i.id] for i in fresh)
    return WatchSummary(tuple(counts), now, (*findings, *inbox_findings(settings)))


def settle(ledger: Ledger, known: Known) -> None:
    """Downloads that have been ingested since are held now."""
    for item in list(ledger.items.values()):
        titles = known.held.get(_family(item.title), ())
        if item.state == "downloaded" and any(draft == is_draft_title(item.title) for _, draft in titles):
            ledger.items[item.id] = replace(item, state="known", relation=f"已收录《{titles[0][0]}》")


def polite_client(settings: Settings, delay_s: float) -> Client:
    """A client that keeps broken downloads in the inbox."""
    return Client(
        Limits(delay_s=delay_s, max_bytes=settings.max_file_mb * 2**20),
        partial_dir=settings.corpus / INBOX / ".partial",
    )


_REDESIGN = "所有链接都是新的"


def look(source: Source, ledger: Ledger, client: Client) -> tuple[list[Link] | None, list[Finding]]:
    """Links of one page now, or None where it cannot be told; findings say why."""
    last = ledger.visits.get(source.id, Visit())
    where = f"{source.id} {source.url}"
    try:
        reply = client.get(source.url, etag=last.etag, last_modified=last.last_modified)
        if reply.status == 304:
            return None, []
        text = _decoded(reply)
    except KbError as error:
        return None, [Finding("error", where, error.message, error.hint)]
    problem = objection(text, reply.final_url)
    selectors = {k: getattr(source, k) for k in ("item", "link", "date") if getattr(source, k)}
    links = [] if problem else find_links(text, reply.final_url, selectors)
    if not links:
        what = problem or ("没有找到链接，页面可能已改版" if last.keys else "没有找到链接")
        return None, [
            Finding("error", where, what, "Open the page; correct the url or give item, link and date selectors.")
        ]
    keys = tuple(address_key(link.url) for link in links)
    newest = max(link.date for link in links)
    findings = []
    if _redesigned(last, links, keys):
        findings.append(
            Finding(
                "warning",
                where,
                f"{_REDESIGN}（{len(links)} 条），页面可能已改版，未当作新文件",
                f"Check, then: kb watch --accept {source.id}",
            )
        )
    ledger.visits[source.id] = Visit(_now(), keys, max(newest, last.newest), reply.etag, reply.last_modified)
    return links, findings


def _redesigned(last: Visit, links: Sequence[Link], keys: Sequence[str]) -> bool:
    """All links new, although the page had some before and not all of these are younger than the youngest of then."""
    if len(last.keys) < _FEW or set(keys) & set(last.keys):
        return False
    return not (last.newest and all(link.date > last.newest for link in links))


def _decoded(reply: Reply) -> str:
    declared = re.search(r"charset=[\"']?([\w-]+)", reply.content_type) or re.search(
        r"charset=[\"']?([\w-]+)", reply.body[:4096].decode("latin-1")
    )
    return decode(reply.body, reply.url, declared=declared[1] if declared else "")[0]


@dataclass(frozen=True, slots=True)
class Known:
    """What is held already, by family: (title, is a draft)."""

    held: Mapping[str, tuple[tuple[str, bool], ...]]
    texts: Library | None = None

    @classmethod
    def of(cls, settings: Settings) -> Known:
        """Titles of the index and of catalogue entries that have a text."""
        library = Library(settings) if current_generation(settings.index) else None
        titles: set[str] = {e.title for e in corpus_catalog(settings.corpus)[0] if e.file}
        if library:
            titles |= {name for d in library.documents for name in (d.meta.title, *d.meta.aliases)}
        held: dict[str, list[tuple[str, bool]]] = {}
        for title in sorted(titles):
            held.setdefault(_family(title), []).append((title, is_draft_title(title)))
        return cls({k: tuple(v) for k, v in held.items()}, library)


def _family(title: str) -> str:
    return family_key(DocumentMeta(title=title.strip("《》"), level="national"))


def record(
    links: Iterable[Link],
    source: Source,
    watchlist: WatchList,
    ledger: Ledger,
    known: Known,
    *,
    suspicious: bool = False,
) -> list[Item]:
    """Put links that were never seen into the ledger; returns those. An old title at a new address is no news."""
    by_title = {(i.source, i.title): i for i in ledger.items.values()}
    families = {
        _family(i.title): i for i in reversed(list(ledger.items.values())) if i.state not in ("off_topic", "repost")
    }
    fresh = []
    for link in links:
        key = hashlib.sha256(address_key(link.url).encode()).hexdigest()[:8]
        if key in ledger.items:
            continue
        same = by_title.get((source.id, link.title))
        if same is not None and (same.date == link.date or not link.date or not same.date):
            ledger.items[same.id] = replace(same, url=link.url)
            continue
        item = Item(key, link.url, link.title, source.id, source.level, "new", link.date, _now())
        item = classified(item, source, watchlist, known, families)
        if suspicious and item.state == "new":
            item = replace(item, state="unsure", reason="页面可能已改版")
        ledger.items[key] = item
        if item.state not in ("off_topic", "repost"):
            families.setdefault(_family(item.title), item)
        fresh.append(item)
    return fresh


def classified(item: Item, source: Source, watchlist: WatchList, known: Known, families: Mapping[str, Item]) -> Item:
    """State and relation of a new link: another field, held already, a repost, the final text of a draft."""
    title = item.title
    if any(word in title for word in watchlist.ignore) or _COMMENT.search(title):
        return replace(item, state="off_topic", reason="解读或活动信息" if _COMMENT.search(title) else "标题含排除词")
    if not source.any_topic and not any(word in title for word in watchlist.topics):
        return replace(item, state="off_topic", reason="标题没有关注的主题词")
    draft = is_draft_title(title)
    held = known.held.get(_family(title), ())
    if any(was_draft == draft for _, was_draft in held):
        return replace(item, state="known", relation=f"已收录《{next(t for t, d in held if d == draft)}》")
    if held:
        if draft:
            return replace(item, state="known", relation=f"征求意见稿；正式稿已收录《{held[0][0]}》")
        return replace(item, relation=f"正式稿；已收录其征求意见稿《{held[0][0]}》")
    twin = families.get(_family(title))
    if twin is not None and is_draft_title(twin.title) == draft:
        return replace(item, state="repost", relation=f"与 {twin.id}《{twin.title}》为同一文件（{twin.source}）")
    if twin is not None:
        return replace(item, relation=f"{'征求意见稿' if draft else '正式稿'}；另见 {twin.id}《{twin.title}》")
    return item


# -- downloads ------------------------------------------------------------------------------------------------------------


def download(
    settings: Settings,
    ids: Sequence[str],
    *,
    client: Client | None = None,
    delay_s: float = 2.0,
    progress: Progress | None = None,
) -> list[Item]:
    """Download approved items into the inbox and put each through the gate; returns them as they are now.

    Raises:
        UsageError: an id the ledger does not have.
    """
    with opened(settings) as (ledger, save):
        wanted = _named(ledger, ids)
        _download(
            wanted, settings, ledger, client or polite_client(settings, delay_s), Known.of(settings), save, progress
        )
        return [ledger.items[i.id] for i in wanted]


def _download(wanted, settings, ledger, client, known, save, progress) -> None:
    for number, item in enumerate(wanted, 1):
        ledger.items[item.id] = fetched(item, settings.corpus / INBOX, client, known)
        save()
        if progress:
            progress("download", number, len(wanted))


def fetched(item: Item, inbox: Path, client: Client, known: Known) -> Item:
    """One item with its page and attachments on disk: downloaded when one of them passes the gate, else held with reasons."""
    try:
        reply = client.get(item.url)
        suffix = _suffix(reply)
        offered = _offered(reply, suffix)
    except KbError as error:
        return replace(item, state="held", reason=error.message)
    parts = [(_save(inbox, item, item.title, suffix, reply.body))]
    for link in offered[:_MAX_ATTACHMENTS]:
        with contextlib.suppress(KbError):
            extra = client.get(link.url)
            parts.append(_save(inbox, item, f"{item.title}_附件_{link.title}", _suffix(extra), extra.body))
    reasons = {name: gate(inbox / name, item, known) for name in parts}
    passed = [name for name, reason in reasons.items() if not reason]
    relation = item.relation
    if len(parts) > 1:
        relation = "；".join(filter(None, (relation, f"通知及附件 {len(parts) - 1} 个")))
    if passed:
        kept = tuple(passed) + tuple(p for p in parts if p not in passed)
        return replace(item, state="downloaded", relation=relation, reason="", files=kept)
    why = "；".join(dict.fromkeys(reasons.values()))
    state = "known" if all(r.startswith(_SAME_TEXT) for r in reasons.values()) else "held"
    return replace(item, state=state, relation=relation, reason=why, files=tuple(parts))


def _suffix(reply: Reply) -> str:
    """What the content is, whatever the server calls it; a page where a file was announced is an error or a login.

    Raises:
        ReadError: a kind that holds no text. FetchError: nothing, or a page instead of a file.
    """
    if not reply.body.strip():
        raise FetchError(f"{reply.url}: 内容为空（0 字节）", hint="Try again later.")
    named = Path(urlsplit(reply.final_url).path).suffix.lower()
    kind = kind_of(
        reply.body, named if named in {s for suffixes in KINDS.values() for s in suffixes} else "", reply.url
    )
    announced = reply.content_type.split(";")[0].strip().lower()
    if kind == "html" and (
        announced in ("application/pdf", "application/ofd", "application/zip") or "office" in announced
    ):
        raise FetchError(f"{reply.url}: 应为文件，得到的是网页", hint="Open the address in a browser.")
    return named if named in KINDS[kind] else KINDS[kind][0]


def _offered(reply: Reply, suffix: str) -> list[Link]:
    if suffix != ".html":
        return []
    text = _decoded(reply)
    if problem := objection(text, reply.final_url):
        raise FetchError(f"{reply.url}: {problem}", hint="Open the page in a browser.")
    return attachments(text, reply.final_url)


def _save(inbox: Path, item: Item, title: str, suffix: str, body: bytes) -> str:
    """Write one file under a name that cannot leave the inbox; the id keeps two documents of one title apart."""
    safe = re.sub(r"[\s/\\:*?\"<>|\x00-\x1f]+", "", title).strip(".")[:60] or "无题"
    if safe.lower().endswith(suffix):
        safe = safe[: -len(suffix)]
    name = f"{item.level}/{safe}-{item.id}{suffix}"
    (inbox / item.level).mkdir(parents=True, exist_ok=True)
    write_durably(inbox / name, body)
    return name


_SAME_TEXT = "与已收录的文本相同"


def gate(path: Path, item: Item, known: Known) -> str:
    """Why a file of the inbox may not be ingested as it is, or "": unreadable, no document, incomplete, a title that collides."""
    file = SourceFile(path, path.name, item.level, document_id(path.stem))
    try:
        document = to_document(read_file(path, name=path.name), file)
    except KbError as error:
        return error.message
    except OSError as error:
        return f"{path.name} 读不出（{error.strerror or error}）"
    if document.quality == "incomplete":
        bad = [f.what for f in document.findings if f.severity in ("error", "warning")]
        return f"文本不完整：{'；'.join(bad[:2]) or '缺少内容'}"
    if len(document.provisions) < 2:
        return "没有识别出条文或提纲，可能只是网页外壳或通知"
    library = known.texts
    for info in library.documents if library else ():
        if info.meta.title == document.meta.title and info.meta.level == document.meta.level:
            held = library.document(info.doc_id)
            if same_wording("".join(p.text for p in held.provisions), "".join(p.text for p in document.provisions)):
                return f"{_SAME_TEXT}《{info.meta.title}》"
            if info.meta.text_kind == "full":
                return f"标题与已收录的《{info.meta.title}》相同而文字不同，可能是新版本，请核对后替换"
    return ""


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
        raise LockedError("another run is watching", hint="Wait for it, then try again.") from None
    except OSError as error:
        raise CatalogError(
            f"{folder} cannot be written ({error.strerror or error})", hint="Check its rights."
        ) from error
    try:
        ledger = read_ledger(settings)

        def save() -> None:
            data = {"visits": to_json(ledger.visits), "items": [to_json(i) for i in ledger.items.values()]}
            write_durably(folder / LEDGER, json.dumps(data, ensure_ascii=False, indent=1).encode("utf-8", "replace"))

        yield ledger, save
        save()
    finally:
        lock.release()


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


def _named(ledger: Ledger, ids: Sequence[str]) -> list[Item]:
    missing = [i for i in ids if i not in ledger.items]
    if missing:
        raise UsageError(f"not in the inbox: {', '.join(missing)}", hint="kb watch --list shows the ids.")
    return [ledger.items[i] for i in dict.fromkeys(ids)]


def ignore(settings: Settings, ids: Sequence[str]) -> None:
    """Mark items as not wanted; their files stay.

    Raises:
        UsageError: an id the ledger does not have.
    """
    with opened(settings) as (ledger, _):
        for item in _named(ledger, ids):
            ledger.items[item.id] = replace(item, state="ignored", reason="")


def accept(settings: Settings, source_ids: Sequence[str]) -> int:
    """Take the links of redesigned pages for what they say they are; returns how many."""
    with opened(settings) as (ledger, _):
        found = [i for i in ledger.items.values() if i.state == "unsure" and i.source in source_ids]
        for item in found:
            ledger.items[item.id] = replace(item, state="new", reason="")
        return len(found)


def inbox_findings(settings: Settings) -> tuple[Finding, ...]:
    """What waits in the inbox: held files with reasons, downloads to ingest, pages that may have changed, dropped files."""
    folder = settings.corpus / INBOX
    if not folder.is_dir():
        return ()
    ledger = read_ledger(settings)
    known = Known.of(settings)
    settle(ledger, known)
    out: list[Finding] = []
    for item in ledger.items.values():
        if item.state == "held":
            fix = f"See {item.url}; then kb watch --approve {item.id} or --ignore {item.id}"
            out.append(Finding("warning", f"{INBOX}: 《{item.title}》", item.reason, fix))
        elif item.state == "downloaded":
            out.append(
                Finding("info", f"{INBOX}/{item.files[0]}", "已下载，待入库", f"kb ingest {folder / item.files[0]}")
            )
    unsure: dict[str, int] = {}
    for item in ledger.items.values():
        if item.state == "unsure":
            unsure[item.source] = unsure.get(item.source, 0) + 1
    out += [
        Finding("warning", source, f"{n} 个链接待确认，页面可能已改版", f"kb watch --accept {source}")
        for source, n in unsure.items()
    ]
    return (*out, *_dropped(folder, ledger, known))


def _dropped(folder: Path, ledger: Ledger, known: Known) -> Iterator[Finding]:
    """Files a person put into the inbox folder: those that pass the gate wait for ingest, the others say why not."""
    listed = {name for item in ledger.items.values() for name in item.files}
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and not p.is_symlink()):
        name = path.relative_to(folder).as_posix()
        if name in listed or name == LEDGER or any(part.startswith(".") for part in Path(name).parts):
            continue
        level = name.split("/")[0] if name.split("/")[0] in LEVELS else "national"
        reason = gate(path, Item("", "", path.stem, "", level, "new"), known)
        if reason.startswith(_SAME_TEXT):
            continue
        if reason:
            yield Finding("warning", f"{INBOX}/{name}", reason, "Replace the file or remove it.")
        else:
            yield Finding("info", f"{INBOX}/{name}", "待入库", f"kb ingest {path}")


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
