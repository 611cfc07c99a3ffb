"""Files, folders or archives in, a preview of what they hold out; after that, the files themselves into the corpus.

Nothing is written before `add`. Originals are stored as they came under fulltext/<level>/ with a file name of our making, so a name in
an archive can lead nowhere; what is already there is never overwritten.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from kb.catalog import Catalog
from kb.corpus import FULLTEXT, SourceFile, corpus_catalog, document_id, scan, to_document
from kb.errors import KbError, ReadError, UsageError
from kb.generations import flush
from kb.models import LEVELS, Document, Finding
from kb.read import KINDS, Limits, kind_of, read_bytes
from kb.read.archive import Archive, safe_name
from kb.read.limits import Progress

_FIRST = 3
_ARCHIVE_DEPTH = 1
_INTERPRETER = re.compile(r"(?:由|发文机关：)(\S{2,30}?)(?:负责解释|解释|$)", re.M)
# in this order: a city's rule names its province, a province's rule names the state
_LEVELS = (
    ("shenzhen", re.compile(r"^深圳|深圳市|深圳经济特区")),
    ("guangdong", re.compile(r"^(?:中共)?(?:广东|广州|粤港澳|数字广东)|^.{0,6}广东省")),
    (
        "peers",
        re.compile(
            r"^(?!中华|中国|国家|全国)(?:中共)?[^省市区县部委局，。]{1,7}?(?:省|自治区|市(?![场政民监])|自治州|特别行政区)"
        ),
    ),
    (
        "national",
        re.compile(
            r"^(?:中华人民共和国|中共中央|国务院|全国|国家|最高人民|中国人民银行|财政部|(?:中央)?网信办|工业和信息化部|[^省市区县，。]{2,8}部(?:等|办公厅|关于|、|$))"
        ),
    ),
)
_NUMBERS = (
    ("shenzhen", re.compile(r"深(?:府|政|发改|工信|圳)")),
    ("guangdong", re.compile(r"粤|穗")),
    ("national", re.compile(r"国|中办|发改|财|工信|网信|银|主席令")),
)


@dataclass(frozen=True, slots=True)
class Item:
    """One document found, as it would stand in the library.

    `state` is new, incomplete, same (its content is in the corpus), undecided (its level must be given) or refused (cannot be read).
    `target` is where `add` stores it, relative to the corpus; `document` is what it was read as.
    """

    path: str
    state: str
    title: str = ""
    doc_no: str = ""
    kind: str = ""
    level: str = ""
    status: str = ""
    dates: dict[str, str] = field(default_factory=dict)
    media: str = ""
    quality: str = ""
    characters: int = 0
    provisions: int = 0
    first: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    target: str = ""
    sha256: str = ""
    data: bytes = field(default=b"", repr=False, compare=False)
    document: Document | None = field(default=None, repr=False, compare=False)


def preview(
    paths: list[Path],
    corpus: Path,
    *,
    level: str | None = None,
    limits: Limits | None = None,
    progress: Progress | None = None,
    ocr: bool = True,
    held: Mapping[str, str] | None = None,
) -> Iterator[Item]:
    """What each file would become, one item a document; a file that fails is an item with state refused.

    Args:
        paths: files, folders (read recursively, links left out) or ZIP archives.
        corpus: the library, for telling what is already there.
        level: one of LEVELS for all of them; by default it is read from the title and makers.
        held: `contents` of the corpus, for those who preview many times.

    Raises:
        UsageError: a path that does not exist, or an unknown level.
    """
    if level is not None and level not in LEVELS:
        raise UsageError(f"unknown level {level}", hint=f"Use one of {', '.join(LEVELS)}.")
    for path in paths:
        if not path.exists():
            raise UsageError(f"{path}: no such file or folder", hint="Check the path.")
    limits = limits or Limits()
    catalog, _ = corpus_catalog(corpus)
    known = dict(contents(corpus) if held is None else held)
    taken: dict[str, str] = {}
    for path in paths:
        for name, suffix, read in _sources(path, limits):
            item = _item(name, suffix, read, corpus, catalog, known, taken, level, limits, progress, ocr)
            if item.target:
                taken[item.target.lower()] = item.sha256
                known.setdefault(item.sha256, item.path)
            yield item


def contents(corpus: Path) -> dict[str, str]:
    """SHA-256 -> corpus-relative name of every document of a corpus."""
    return {hashlib.sha256(file.path.read_bytes()).hexdigest(): file.name for file in scan(corpus)}


def add(items: list[Item], corpus: Path, *, incomplete: bool = False) -> list[str]:
    """Store new items; returns their corpus-relative names. Incomplete ones only when asked for. Files are complete or absent."""
    added = []
    for item in items:
        if not item.target or item.state not in (("new", "incomplete") if incomplete else ("new",)):
            continue
        target = corpus / item.target
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        try:
            temporary.write_bytes(item.data)
            flush(temporary)  # who adds a file may remove where it came from
            os.link(temporary, target)  # fails where something is there already, unlike a rename
            flush(target.parent)
        except FileExistsError as error:
            raise UsageError(
                f"{item.target}: a file of this name is there already", hint="Nothing was overwritten; preview again."
            ) from error
        except OSError as error:
            raise UsageError(
                f"{item.target}: cannot be written ({error.strerror or error})",
                hint="Check the rights and the free space.",
            ) from error
        finally:
            temporary.unlink(missing_ok=True)
        added.append(item.target)
    return added


# --- what is there -------------------------------------------------------------------------------------------------------


def _sources(path: Path, limits: Limits) -> Iterator[tuple[str, str, object]]:
    """(name for messages, suffix, function that gives the bytes) of every file below a path."""
    if path.is_dir():
        suffixes = {suffix for kinds in KINDS.values() for suffix in kinds}
        for file in sorted(path.rglob("*")):
            inside = file.relative_to(path)
            if file.is_symlink() or not file.is_file() or any(part.startswith(".") for part in inside.parts):
                continue
            if file.suffix.lower() in suffixes and file.stem.upper() != "README":
                yield from _file(file, inside.as_posix(), limits)
    else:
        yield from _file(path, path.name, limits)


def _file(path: Path, name: str, limits: Limits) -> Iterator[tuple[str, str, object]]:
    def read() -> bytes:
        try:
            size = path.stat().st_size
            if size > limits.max_bytes:
                raise ReadError(
                    f"{name}: {size / 2**20:,.0f} MiB, limit {limits.max_bytes / 2**20:,.0f} MiB",
                    hint="Split it, or raise KB_MAX_FILE_MB.",
                )
            return path.read_bytes()
        except OSError as error:
            raise ReadError(
                f"{name}: cannot be opened ({error.strerror or error})", hint="Check its rights."
            ) from error

    try:
        with path.open("rb") as stream:
            packed = stream.read(4) == b"PK\x03\x04"
        if packed and path.stat().st_size <= limits.max_bytes and kind_of(data := read(), path.suffix, name) == "zip":
            yield from _members(data, name, limits)
            return
    except (ReadError, OSError) as error:
        fault = (
            error
            if isinstance(error, ReadError)
            else ReadError(f"{name}: cannot be opened ({error})", hint="Check its rights.")
        )
        yield name, path.suffix, _raises(fault)
        return
    yield name, path.suffix, read


def _members(data: bytes, name: str, limits: Limits) -> Iterator[tuple[str, str, object]]:
    """Documents inside an archive. Archives inside archives are named, not opened."""
    archive = Archive(data, name, limits)
    suffixes = {suffix for kinds in KINDS.values() for suffix in kinds}
    for stored, readable in archive.members():
        suffix = Path(readable).suffix
        if readable.startswith(".") or stored.startswith("__MACOSX") or suffix.lower() not in suffixes:
            continue
        yield f"{name}!{readable}", suffix, lambda stored=stored: archive.read(stored)


def _raises(error: ReadError):
    def read() -> bytes:
        raise error

    return read


def _item(
    name: str,
    suffix: str,
    read,
    corpus: Path,
    catalog: Catalog,
    known: dict[str, str],
    taken: dict[str, str],
    level: str | None,
    limits: Limits,
    progress: Progress | None,
    ocr: bool,
) -> Item:
    """Read, parse and compare one file."""
    try:
        data = read()
        source = read_bytes(data, name, suffix, limits=limits, progress=progress, ocr=ocr)
        stem = Path(safe_name(name.rsplit("!", 1)[-1])).stem
        document = to_document(source, SourceFile(Path(name), name, level or "national", document_id(stem)), catalog)
    except KbError as error:
        return Item(name, "refused", findings=(Finding("error", name, error.message, error.hint),))
    entry = catalog.find(document.meta.title)
    found = level or (entry.level if entry else "") or level_of(document)
    item = _described(name, document, source.media, found, data)
    if twin := known.get(source.sha256):
        note = Finding("info", name, f"its content is already there as {twin}", "Nothing to do.")
        return replace(item, state="same", findings=(*item.findings, note), data=b"")
    if not found:
        note = Finding(
            "warning", name, "cannot tell whether this is national, guangdong, shenzhen or a peer", "Pass --level."
        )
        return replace(item, state="undecided", findings=(*item.findings, note), data=b"")
    target = _target(document, source.media, suffix, found, corpus, taken, source.sha256)
    return replace(item, target=target)


def _described(name: str, document: Document, media: str, level: str, data: bytes) -> Item:
    meta = document.meta
    dates = {
        key: value
        for key in ("signed_on", "promulgated_on", "effective_on", "expires_on")
        if (value := getattr(meta, key))
    }
    points = [p for p in document.provisions if p.kind in ("article", "point", "term")] or list(document.provisions)
    return Item(
        path=name,
        state="incomplete" if document.quality == "incomplete" else "new",
        title=meta.title,
        doc_no=meta.doc_no or "",
        kind=meta.kind,
        level=level,
        status=meta.status,
        dates=dates,
        media=media,
        quality=document.quality,
        characters=len("".join(document.text.split())),
        provisions=len(document.provisions),
        first=tuple(" ".join(p.text.split())[:60] for p in points[:_FIRST]),
        findings=tuple(replace(f, where=f.where or name) for f in document.findings),
        sha256=document.sha256,
        data=data,
        document=document,
    )


def level_of(document: Document) -> str:
    """national, guangdong, shenzhen or peers, from title, makers, number and who interprets it; empty when nothing says it."""
    meta = document.meta
    said = [meta.title, "".join(meta.issuers), *_INTERPRETER.findall(document.text[-1500:])]
    for text in said:
        for level, pattern in _LEVELS:
            if pattern.search(text):
                return level
    for level, pattern in _NUMBERS:
        if pattern.match(meta.doc_no or ""):
            return level
    return "national" if meta.kind in ("法律", "行政法规", "部门规章") else ""


def _target(
    document: Document, media: str, suffix: str, level: str, corpus: Path, taken: dict[str, str], sha256: str
) -> str:
    """fulltext/<level>/<title>.<suffix>; another text under that name gets the beginning of its hash."""
    stem = safe_name(re.sub(r"[\s/\\]+", "", document.meta.title))[:80].rstrip(". ") or sha256[:8]
    ending = suffix.lower() if suffix.lower() in KINDS.get(media, ()) else KINDS[media][0]
    target = f"{FULLTEXT}/{level}/{stem}{ending}"
    if (corpus / target).exists() or taken.get(target.lower(), sha256) != sha256:
        target = f"{FULLTEXT}/{level}/{stem}-{sha256[:8]}{ending}"
    return target
