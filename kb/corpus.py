"""A corpus folder in, its texts of record out: every file is counted once, as parsed, failed or set aside.

Level comes from the folder (national, guangdong, shenzhen, peers; fulltext/<level> holds fetched full texts). A
catalogue is optional: its facts override what the text says, and a full text replaces the digest as text of record.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from kb.catalog import CATALOG_NAME, EMPTY, Catalog, CatalogEntry, load_catalog, texts_of_record
from kb.clean import clean_pages
from kb.errors import CatalogError, KbError
from kb.metadata import extract_metadata, merge_meta, version_start
from kb.models import LEVELS, Document, DocumentMeta, Finding, Page, SourceText
from kb.parse import parse
from kb.quality import assess
from kb.read import read_file

FULLTEXT = "fulltext"
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file of the corpus; `name` is its corpus-relative path, `stem_id` its id where no catalogue entry gives one."""

    path: Path
    name: str
    level: str
    stem_id: str


ReadDocument = Callable[[SourceFile, Catalog], Document]


@dataclass(frozen=True, slots=True)
class LoadedCorpus:
    """Texts of record in a stable order, digests that a full text stands for, findings, and files that failed.

    `set_aside` counts files that were read but are copies of a text of record.
    """

    documents: tuple[Document, ...]
    findings: tuple[Finding, ...]
    failed: tuple[str, ...]
    digests: tuple[Document, ...] = ()
    set_aside: int = 0


def scan(corpus: Path) -> list[SourceFile]:
    """Files of the level folders in name order. Hidden files, links and README files are not documents."""
    found = []
    for base in (corpus, corpus / FULLTEXT):
        for level in LEVELS:
            folder = base / level
            if not folder.is_dir():
                continue
            for path in sorted(folder.rglob("*")):
                if _is_document(path, corpus):
                    found.append(
                        (path, path.relative_to(corpus).as_posix(), level, path.parent.relative_to(folder).as_posix())
                    )
    return [SourceFile(p, name, level, i) for (p, name, level, _), i in zip(found, _stem_ids(found), strict=True)]


def _is_document(path: Path, corpus: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.relative_to(corpus).parts)
    sidecar = path.name.endswith(".provenance.json") or path.stem.upper() == "README"
    return path.is_file() and not path.is_symlink() and not hidden and not sidecar


def _stem_ids(found: list[tuple[Path, str, str, str]]) -> list[str]:
    """Ids from file stems. The same stem in another folder names another document, so it carries that folder."""
    owner: dict[str, tuple[str, str]] = {}
    ids = []
    for path, _, level, folder in found:
        stem, place = document_id(path.stem), (level, folder)
        mine = owner.setdefault(stem, place) == place
        ids.append(stem if mine else document_id(f"{stem}~{level}" + ("" if folder == "." else f"~{folder}")))
    return ids


def document_id(stem: str) -> str:
    """Stable, readable id of a document: its file stem without white space and path or citation marks."""
    return re.sub(r"[\s/\\#@]+", "", stem)


def load(corpus: Path, *, read: ReadDocument | None = None, progress: Progress | None = None) -> LoadedCorpus:
    """Read and parse every document of a corpus; a file that fails is listed and the others go on.

    Args:
        corpus: the folder; it must exist.
        read: makes a document of one file, by default `read_document`; the index passes one that remembers what it
            read before and gives documents without their text.
        progress: called with ("read", done, total).
    """
    catalog, findings = corpus_catalog(corpus)
    files = scan(corpus)
    documents: list[Document] = []
    failed: list[str] = []
    for number, file in enumerate(files, 1):
        try:
            document = (read or read_document)(file, catalog)
            documents.append(document)
            findings += [replace(f, where=file.name) if not f.where else f for f in document.findings]
        except KbError as error:
            failed.append(file.name)
            findings.append(Finding("error", file.name, error.message, error.hint))
        except OSError as error:
            failed.append(file.name)
            findings.append(
                Finding("error", file.name, f"cannot be read ({error.strerror or error})", "Check its rights.")
            )
        if progress:
            progress("read", number, len(files))
    chosen, digests, more = _choose(documents, catalog)
    return LoadedCorpus(
        tuple(chosen),
        tuple(findings + more),
        tuple(failed),
        tuple(digests),
        len(documents) - len(chosen) - len(digests),
    )


def corpus_catalog(corpus: Path) -> tuple[Catalog, list[Finding]]:
    """The catalogue of a corpus; one that cannot be used at all costs its facts, not the corpus."""
    try:
        return load_catalog(corpus / CATALOG_NAME)
    except CatalogError as error:
        return EMPTY, [Finding("error", CATALOG_NAME, error.message, error.hint)]


def read_document(file: SourceFile, catalog: Catalog = EMPTY) -> Document:
    """One file as a document, with the facts the catalogue has of it.

    Raises:
        ReadError: the file cannot be read.
    """
    return to_document(read_file(file.path, name=file.name), file, catalog)


def entry_for(file: SourceFile, meta: DocumentMeta, catalog: Catalog) -> CatalogEntry | None:
    """The catalogue entry of a file. One found by title alone must not be about another version of the instrument."""
    name = file.name.removeprefix(f"{FULLTEXT}/")
    entry = catalog.for_text(name, meta.title)
    if entry is None or (entry.file and Path(entry.file).stem == file.path.stem):
        return entry
    known = {d[:10] for d in (entry.effective_on, entry.promulgated_on, entry.signed_on, entry.adopted_on) if d}
    stated = {
        d for d in (meta.effective_on, meta.promulgated_on, meta.signed_on, meta.adopted_on, meta.revised_on) if d
    }
    return None if known and stated and entry.level == meta.level and not known & stated else entry


def amended_titles(entry: CatalogEntry | None, catalog: Catalog) -> tuple[str, ...]:
    """Titles of the instruments an entry amends; the catalogue names them by id."""
    amended = [catalog.get(i) for i in entry.relations.get("amends", ())] if entry else []
    return tuple(e.title for e in amended if e)


@dataclass(frozen=True, slots=True)
class Described:
    """A cleaned text with its page map and the facts it states itself."""

    text: str
    meta: DocumentMeta
    findings: tuple[Finding, ...]
    pages: tuple[Page, ...] = ()


def describe(source: SourceText, file: SourceFile) -> Described:
    """Clean a source text and read its facts."""
    cleaned = clean_pages(source.text, source.pages)
    meta, findings = extract_metadata(cleaned.text, path_level=file.level, front=source.front, file_name=file.path.stem)
    return Described(cleaned.text, meta, tuple(findings), cleaned.pages)


def to_document(
    source: SourceText, file: SourceFile, catalog: Catalog = EMPTY, described: Described | None = None
) -> Document:
    """Clean, describe, parse and assess one source text; its findings come along."""
    told = described or describe(source, file)
    entry = entry_for(file, told.meta, catalog)
    document = parse(
        told.text,
        merge_meta(told.meta, entry, amended_titles(entry, catalog)),
        doc_id=entry.id if entry else file.stem_id,
        version=source.sha256[:8],
        pages=told.pages,
        source_path=file.name,
        sha256=source.sha256,
    )
    quality, doubts = assess(document, source)
    findings = (*source.findings, *document.findings, *told.findings, *doubts)
    if not document.provisions:
        findings += (Finding("warning", file.name, "no article or outline point was recognised", "Check the text."),)
    return replace(document, quality=quality, findings=findings)


def _choose(documents: list[Document], catalog: Catalog) -> tuple[list[Document], list[Document], list[Finding]]:
    """(texts of record, digests beside a full text, findings): one text for each instrument and version."""
    chosen: list[Document] = []
    digests: list[Document] = []
    findings: list[Finding] = []
    by_id: dict[str, Document] = {}
    by_text: dict[str, Document] = {}
    for group in texts_of_record(documents, catalog):
        if group.digest is not None:
            digests.append(group.digest)
        for document in (group.record, *group.others):
            twin = by_text.get(document.sha256) or _same_version(document, group.record) or by_id.get(document.doc_id)
            if twin is None:
                chosen.append(document)
                by_id[document.doc_id] = by_text[document.sha256] = document
            else:
                findings.append(_set_aside(document, twin))
    order = {d.source_path: i for i, d in enumerate(documents)}
    return sorted(chosen, key=lambda d: order[d.source_path]), digests, findings


def _same_version(document: Document, record: Document) -> Document | None:
    """The record, when the document is a copy of it and not another version of the instrument."""
    if document is record:
        return None
    a, b = version_start(document.meta), version_start(record.meta)
    return None if a and b and a != b and document.doc_id != record.doc_id else record


def _set_aside(document: Document, twin: Document) -> Finding:
    if document.sha256 == twin.sha256 or document.meta.title == twin.meta.title:
        what, fix = f"another copy of {twin.source_path}, not indexed again", "Remove one of the two files."
    else:
        what, fix = f"has the id of {twin.source_path}; not indexed", "Give one of the two another file name."
    return Finding("warning", document.source_path, what, fix)
