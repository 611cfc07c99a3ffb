"""Watched pages in, an inbox out: new links with what is known of them, downloads on approval, faults with their reasons.

The ledger of the inbox (`kb.inbox`) is saved after every page and every download, so that a run can stop at any moment. What is
downloaded has been approved, by a person or by `auto`; the next `kb update` takes it in if it passes the gate.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from kb.errors import CatalogError, FetchError, KbError, UsageError
from kb.generations import write_durably
from kb.inbox import (
    INBOX,
    Item,
    Known,
    Ledger,
    Visit,
    family,
    inbox_findings,
    judge_file,
    opened,
    take_doubtful,
    waiting,
)
from kb.links import Link, address_key, attachments, find_links, objection
from kb.models import LEVELS, Finding
from kb.names import is_draft_title
from kb.read import KINDS, kind_of
from kb.read.plain import decode
from kb.settings import Settings
from kb.web import Client, Limits, Reply

WATCH_FILE = "watch.yaml"
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
            # what could not be had last time is asked for again; what came and was held waits for a person
            wanted = [i for i in ledger.items.values() if i.state == "new" or (i.state == "held" and not i.files)]
            _download(wanted, settings, ledger, client, known, save, progress)
        now = tuple(ledger.items[i.id] for i in fresh)
    return WatchSummary(tuple(counts), now, (*findings, *inbox_findings(settings)))


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
        family(i.title): i for i in reversed(list(ledger.items.values())) if i.state not in ("off_topic", "repost")
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
            families.setdefault(family(item.title), item)
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
    held = known.held.get(family(title), ())
    if any(was_draft == draft for _, was_draft in held):
        return replace(item, state="known", relation=f"已收录《{next(t for t, d in held if d == draft)}》")
    if held and draft:
        return replace(item, state="known", relation=f"征求意见稿；正式稿已收录《{held[0][0]}》")
    digest = known.digests.get(family(title))
    said = [f"正式稿；已收录其征求意见稿《{held[0][0]}》"] if held else []
    said += [f"已有要点摘编《{digest}》，可换成全文"] if digest and not draft else []
    if said:
        item = replace(item, relation="；".join(said))
    if held:
        return item
    twin = families.get(family(title))
    if twin is not None and is_draft_title(twin.title) == draft:
        return replace(item, state="repost", relation=f"与 {twin.id}《{twin.title}》为同一文件（{twin.source}）")
    if twin is not None:
        return replace(item, relation=f"{'征求意见稿' if draft else '正式稿'}；另见 {twin.id}《{twin.title}》")
    return item


# -- downloads ------------------------------------------------------------------------------------------------------------


def approve(
    settings: Settings,
    ids: Sequence[str],
    *,
    level: str | None = None,
    client: Client | None = None,
    delay_s: float = 2.0,
    progress: Progress | None = None,
) -> list[str]:
    """What a person wants: links are downloaded and put through the gate, files that were held go into the corpus.

    Args:
        level: of dropped files whose level cannot be told.

    Returns:
        Corpus-relative names of files taken in now; what was downloaded and passed is taken in by the next `kb update`.

    Raises:
        UsageError: an id that is not in the inbox, or a held file that cannot be used as it is, with the reason.
    """
    usable = {w.id for w in waiting(settings, everything=True) if w.doubtful or w.state == "downloaded" or not w.url}
    links = [i for i in dict.fromkeys(ids) if i not in usable]
    if links:
        download(settings, links, client=client, delay_s=delay_s, progress=progress)
    files = [i for i in dict.fromkeys(ids) if i in usable]
    return take_doubtful(settings, files, level) if files else []


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
        if missing := [i for i in ids if i not in ledger.items]:
            raise UsageError(f"not in the inbox: {', '.join(missing)}", hint="kb watch --list shows the ids.")
        wanted = [ledger.items[i] for i in dict.fromkeys(ids)]
        _download(
            wanted, settings, ledger, client or polite_client(settings, delay_s), Known.of(settings), save, progress
        )
        return [ledger.items[i.id] for i in wanted]


def _download(wanted, settings, ledger, client, known, save, progress) -> None:
    for number, item in enumerate(wanted, 1):
        ledger.items[item.id] = fetched(item, settings, client, known)
        save()
        if progress:
            progress("download", number, len(wanted))


def fetched(item: Item, settings: Settings, client: Client, known: Known) -> Item:
    """One item with its page and attachments on disk: downloaded when one of them passes the gate, else held with reasons."""
    inbox = settings.corpus / INBOX
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
    found = {name: judge_file(settings.corpus / INBOX / name, item.level, settings, known) for name in parts}
    passed = [name for name, verdicts in found.items() if any(v.state == "ready" for v in verdicts)]
    relation = item.relation
    if len(parts) > 1:
        relation = "；".join(filter(None, (relation, f"通知及附件 {len(parts) - 1} 个")))
    if passed:
        kept = tuple(passed) + tuple(p for p in parts if p not in passed)
        return replace(item, state="downloaded", relation=relation, reason="", files=kept)
    verdicts = [v for group in found.values() for v in group]
    why = "；".join(dict.fromkeys(v.reason for v in verdicts))
    state = "known" if all(v.state == "same" for v in verdicts) else "held"
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


def accept(settings: Settings, source_ids: Sequence[str]) -> int:
    """Take the links of redesigned pages for what they say they are; returns how many."""
    with opened(settings) as (ledger, _):
        found = [i for i in ledger.items.values() if i.state == "unsure" and i.source in source_ids]
        for item in found:
            ledger.items[item.id] = replace(item, state="new", reason="")
        return len(found)


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
