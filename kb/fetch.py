"""Official full texts into the corpus: fetched from the catalogue's addresses or taken from an installed data package.

What arrives passes the same gate whatever its source: it must be the document the catalogue names, look like a whole
text, and contain every article its digest states. Only then is it written to `fulltext/<level>/` (never committed),
with a sidecar that says where it came from. A text that a person has edited since is left alone.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
import urllib.parse
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from html import unescape
from pathlib import Path

from kb.catalog import Catalog, CatalogEntry
from kb.clean import clean_text
from kb.digests import outline
from kb.errors import FetchError, KbError, ReadError, UsageError
from kb.gate import names, objections, trim
from kb.models import Finding
from kb.packages import PackageText, read_package
from kb.read import KINDS, kind_of, read_file
from kb.web import Client, Reply

FULLTEXT = "fulltext"
MAX_ATTACHMENTS = 4
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a full text came from; stored beside it as `<name>.provenance.json`."""

    id: str
    source: str
    final_url: str | None
    fetched_at: str
    etag: str
    last_modified: str
    content_type: str
    sha256: str
    text_sha256: str


@dataclass(frozen=True, slots=True)
class Fetched:
    """What happened to one document: taken, same, refused, failed or skipped."""

    id: str
    title: str
    state: str
    file: str = ""
    source: str = ""
    units: int = 0
    characters: int = 0


@dataclass(frozen=True, slots=True)
class FetchSummary:
    """One line a document, in the order asked for; findings say why something was refused or failed."""

    documents: tuple[Fetched, ...]
    findings: tuple[Finding, ...]
    seconds: float

    def count(self, state: str) -> int:
        return sum(1 for document in self.documents if document.state == state)


@dataclass(slots=True)
class _Run:
    corpus: Path
    documents: list[Fetched] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    def add(self, entry: CatalogEntry, state: str, finding: Finding | None = None, **facts: object) -> None:
        self.documents.append(Fetched(entry.id, entry.title, state, **facts))
        if finding:
            self.findings.append(finding)

    def summary(self) -> FetchSummary:
        return FetchSummary(tuple(self.documents), tuple(self.findings), time.monotonic() - self.started)


def select(catalog: Catalog, names: Iterable[str]) -> list[CatalogEntry]:
    """Entries by id, title, alias or number; without names all that have an official address.

    Raises:
        UsageError: a name the catalogue does not know.
    """
    names = list(names)
    if not names:
        return [entry for entry in catalog if entry.official_url]
    found = [(name, catalog.find(name)) for name in names]
    unknown = [name for name, entry in found if entry is None]
    if unknown:
        raise UsageError(f"not in the catalogue: {', '.join(unknown)}", hint="kb catalog list shows the ids.")
    return list({entry.id: entry for _, entry in found if entry}.values())


# --- from the web ------------------------------------------------------------------------------------------------


def fetch(
    entries: list[CatalogEntry], corpus: Path, client: Client, *, progress: Progress | None = None
) -> FetchSummary:
    """Ask for each entry's official page and take what passes the gate. One failure never stops the others."""
    run = _Run(corpus)
    for number, entry in enumerate(entries, 1):
        try:
            _fetch_one(entry, run, client)
        except KbError as error:
            run.add(entry, "failed", Finding("error", entry.id, error.message, error.hint))
        if progress:
            progress("fetch", number, len(entries))
    return run.summary()


def _fetch_one(entry: CatalogEntry, run: _Run, client: Client) -> None:
    if not entry.official_url:
        advice = "Get the text yourself and add it with kb ingest."
        run.add(entry, "skipped", Finding("info", entry.id, "no official address in the catalogue", advice))
        return
    path = target_path(run.corpus, entry)
    known = read_provenance(path)
    current = known if known and known.source == entry.official_url and path.is_file() else None
    page = client.get(
        entry.official_url, etag=current.etag if current else "", last_modified=current.last_modified if current else ""
    )
    if page.status == 304 or (current and page.sha256 == current.sha256):
        run.add(entry, "same", file=_name(path, run.corpus), source=entry.official_url)
        return
    text, found = _read_reply(page, entry, run.corpus)
    source = page
    if _refused(found) and suffix_of(page) == ".html":
        for attachment in _attached(page, client):
            other, objected = _read_reply(attachment, entry, run.corpus)
            if not _refused(objected):
                text, found, source = other, objected, attachment
                break
    # validators and hash are those of the page, because the page is what the next run asks for
    provenance = Provenance(
        entry.id,
        entry.official_url,
        source.final_url,
        _now(),
        page.etag,
        page.last_modified,
        source.content_type,
        page.sha256,
        "",
    )
    _take(entry, text, found, provenance, run)


def _read_reply(reply: Reply, entry: CatalogEntry, corpus: Path) -> tuple[str, list[Finding]]:
    """The document in a reply and what speaks against it; the original is kept, hidden from the corpus scan."""
    folder = corpus / FULLTEXT / ".originals" / entry.level
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{stem_of(entry)}{suffix_of(reply)}"
    _write(path, reply.body)
    return _judge(clean_text(read_file(path, name=f"{entry.id}{path.suffix}").text), entry, corpus)


def _attached(page: Reply, client: Client) -> Iterator[Reply]:
    """Files linked from a page that brings its text as an attachment (印发通知), the first few that can be had."""
    html = page.body.decode("utf-8", errors="ignore")
    links = re.findall(r"""href\s*=\s*["']([^"'<>\s]+\.(?:pdf|docx|ofd))["']""", html, re.I)
    for link in list(dict.fromkeys(links))[:MAX_ATTACHMENTS]:
        try:
            reply = client.get(urllib.parse.urljoin(page.final_url, unescape(link)))
            suffix_of(reply)
        except FetchError:
            continue
        yield reply


def suffix_of(reply: Reply) -> str:
    """File suffix from the content itself; what the server calls it only has to agree.

    Raises:
        FetchError: a kind that is no text, or a page where a file was announced (an error page, a login).
    """
    named = reply.content_type.split(";")[0].strip().lower()
    try:
        kind = kind_of(reply.body, "", reply.url)
    except ReadError as error:
        raise FetchError(error.message, hint=error.hint) from error
    if kind == "html" and (named in ("application/pdf", "application/ofd", "application/zip") or "office" in named):
        raise FetchError(
            f"{reply.url}: a web page came where {named} was announced", hint="Open the address in a browser."
        )
    if kind in ("md", "txt") and named in ("text/plain", "text/markdown") and reply.body and b"\x00" not in reply.body:
        return ".txt"
    if kind in ("html", "pdf", "docx", "doc", "ofd"):
        return KINDS[kind][0]
    hint = "HTML, PDF, DOCX, OFD and plain text can be read; for others use kb ingest."
    raise FetchError(f"{reply.url}: {named or 'unknown type'} is not a text that can be read", hint=hint)


# --- from a package ----------------------------------------------------------------------------------------------


def fetch_from_packages(
    packages: Iterable[str],
    catalog: Catalog,
    corpus: Path,
    *,
    ids: Iterable[str] = (),
    progress: Progress | None = None,
) -> FetchSummary:
    """Take the texts of installed data packages that the catalogue knows and that have a digest to check them by.

    The first package that has a text gives it. A package that cannot be read is a finding while another one can.

    Args:
        ids: take exactly these documents, with or without a digest.

    Raises:
        FetchError: no package could be read.
        UsageError: an id the catalogue does not know.
    """
    wanted = {entry.id for entry in select(catalog, ids)} if ids else None
    run, failures = _Run(corpus), []
    for package in packages:
        try:
            _from_package(package, catalog, wanted, run, progress)
        except FetchError as error:
            failures.append(error)
            run.findings.append(Finding("error", package, error.message, error.hint))
    if failures and not run.documents:
        raise failures[0]
    for missing in sorted((wanted or set()) - {document.id for document in run.documents}):
        entry = catalog.get(missing)
        assert entry is not None
        advice = "Try kb fetch without --from-package."
        run.add(entry, "skipped", Finding("info", missing, "not in these packages", advice))
    return run.summary()


def _from_package(
    package: str, catalog: Catalog, wanted: set[str] | None, run: _Run, progress: Progress | None
) -> None:
    version, texts = read_package(package)
    matched = [(text, entry) for text in texts if (entry := catalog.find(text.title)) is not None]
    for number, (text, entry) in enumerate(matched, 1):
        if progress:
            progress(package, number, len(matched))
        if entry.id in wanted if wanted is not None else entry.file:
            _take_from_package(f"{package} {version}", text, entry, run)


def _take_from_package(package: str, text: PackageText, entry: CatalogEntry, run: _Run) -> None:
    where = f"{package}: {text.title}"
    if text.status in ("已废止", "历史版本", "已被修改"):
        what = f"the package calls this text {text.status}"
        run.add(entry, "refused", Finding("warning", where, what, "Look for the text in force."))
        return
    if text.effective_on and entry.effective_on and text.effective_on != entry.effective_on:
        what = f"施行 {text.effective_on}, the catalogue says {entry.effective_on}"
        run.add(entry, "refused", Finding("warning", where, what, "Check both."))
        return
    digest = hashlib.sha256(text.text.encode()).hexdigest()
    source = f"{package}: {text.where}"
    provenance = Provenance(entry.id, source, text.source_url, _now(), "", "", "text/plain", digest, "")
    _take(entry, *_judge(clean_text(f"{text.title}\n{text.text}"), entry, run.corpus), provenance, run)


# --- writing -----------------------------------------------------------------------------------------------------


def _judge(raw: str, entry: CatalogEntry, corpus: Path) -> tuple[str, list[Finding]]:
    text = trim(raw, entry.title)
    if not names(raw, entry):
        what = f"《{entry.title}》 does not stand in the text that came"
        return text, [Finding("error", entry.id, what, "Another document? Check the address.")]
    return text, objections(text, entry, _digest_of(entry, corpus))


def _refused(findings: list[Finding]) -> bool:
    return any(finding.severity == "error" for finding in findings)


def _take(entry: CatalogEntry, text: str, found: list[Finding], provenance: Provenance, run: _Run) -> None:
    path = target_path(run.corpus, entry)
    name, source = _name(path, run.corpus), provenance.source
    run.findings += found
    if _refused(found):
        run.add(entry, "refused", source=source)
        return
    known = read_provenance(path) if path.is_file() else None
    if path.is_file() and (known is None or hashlib.sha256(path.read_bytes()).hexdigest() != known.text_sha256):
        what = "edited by hand since it was fetched; left as it is"
        finding = Finding("warning", name, what, "Move the file away to fetch it again.")
        run.add(entry, "refused", finding, file=name, source=source)
        return
    if known and known.source != source and not source.startswith("http"):
        finding = Finding("info", name, f"already here from {known.source}", "Move the file away to take this one.")
        run.add(entry, "same", finding, file=name, source=known.source)
        return
    content = f"---\ntext_kind: full\n---\n# {entry.title}\n\n{text}\n".encode()
    same = path.is_file() and path.read_bytes() == content
    stored = {**asdict(provenance), "text_sha256": hashlib.sha256(content).hexdigest()}
    path.parent.mkdir(parents=True, exist_ok=True)
    _write(path, content)
    _write(provenance_path(path), json.dumps(stored, ensure_ascii=False, indent=1).encode())
    units = len(outline(content.decode()).units)
    run.add(entry, "same" if same else "taken", file=name, source=source, units=units, characters=len(text))


def target_path(corpus: Path, entry: CatalogEntry) -> Path:
    """Where the full text of an entry lives: the digest's file name, so that both are one document."""
    return corpus / FULLTEXT / entry.level / f"{stem_of(entry)}.md"


def stem_of(entry: CatalogEntry) -> str:
    """File name without suffix; path separators and control characters never reach the file system."""
    if entry.file:
        return Path(entry.file).stem
    return re.sub(r"[\s/\\:*?\"<>|\x00-\x1f]+", "", entry.title).strip(".")[:80] or entry.id


def provenance_path(path: Path) -> Path:
    return path.with_name(f"{path.stem}.provenance.json")


def read_provenance(path: Path) -> Provenance | None:
    """The sidecar of a full text; a missing or damaged one is None."""
    try:
        return Provenance(**json.loads(provenance_path(path).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _digest_of(entry: CatalogEntry, corpus: Path) -> str | None:
    path = corpus / entry.file if entry.file else None
    return path.read_text(encoding="utf-8") if path and path.is_file() else None


def _write(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_bytes(data)
    os.replace(temporary, path)


def _name(path: Path, corpus: Path) -> str:
    return path.relative_to(corpus).as_posix()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
