"""A corpus folder in, Documents out: every file is counted once, as parsed, failed or set aside.

Level comes from the folder (national, guangdong, shenzhen, peers; fulltext/<level> holds fetched full texts). A
catalogue is optional: its facts override what the text says, and a full text replaces the digest as text of record.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from kb.clean import clean_text
from kb.errors import KbError
from kb.metadata import extract_metadata
from kb.models import LEVELS, Document, Finding, SourceText
from kb.parse import parse
from kb.read import read_file

Progress = Callable[[str, int, int], None]
ReadCache = Callable[[Path], SourceText]


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file of the corpus; `name` is its corpus-relative path."""

    path: Path
    name: str
    level: str


@dataclass(frozen=True, slots=True)
class LoadedCorpus:
    """Documents in a stable order, findings, and the files that could not become documents."""

    documents: tuple[Document, ...]
    findings: tuple[Finding, ...]
    failed: tuple[str, ...]


def scan(corpus: Path) -> list[SourceFile]:
    """Files of the level folders in name order. Hidden files, links and README files are not documents."""
    found = []
    for base in (corpus, corpus / "fulltext"):
        for level in LEVELS:
            folder = base / level
            if not folder.is_dir():
                continue
            for path in sorted(folder.rglob("*")):
                if _is_document(path, corpus):
                    found.append(SourceFile(path, path.relative_to(corpus).as_posix(), level))
    return found


def _is_document(path: Path, corpus: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.relative_to(corpus).parts)
    sidecar = path.name.endswith(".provenance.json") or path.stem.upper() == "README"
    return path.is_file() and not path.is_symlink() and not hidden and not sidecar


def load(corpus: Path, *, read: ReadCache | None = None, progress: Progress | None = None) -> LoadedCorpus:
    """Read and parse every document of a corpus; a file that fails is listed and the others go on.

    Args:
        corpus: the folder; it must exist.
        read: reads one file, by default `kb.read.read_file`; the index passes one that remembers by content hash.
        progress: called with ("read", done, total).
    """
    files = scan(corpus)
    documents: list[Document] = []
    findings: list[Finding] = []
    failed: list[str] = []
    for number, file in enumerate(files, 1):
        try:
            source = read(file.path) if read else read_file(file.path, name=file.name)
            document = to_document(source, file)
            documents.append(document)
            findings += [replace(f, where=file.name) if not f.where else f for f in (*source.findings, *document.findings)]
        except KbError as error:
            failed.append(file.name)
            findings.append(Finding("error", file.name, error.message, error.hint))
        if progress:
            progress("read", number, len(files))
    kept, duplicates = _without_duplicates(documents)
    return LoadedCorpus(tuple(kept), tuple(findings + duplicates), tuple(failed))


def to_document(source: SourceText, file: SourceFile) -> Document:
    """Clean, describe and parse one source text."""
    text = clean_text(source.text)
    meta, findings = extract_metadata(text, path_level=file.level, front=source.front, file_name=file.path.stem)
    document = parse(
        text, meta, doc_id=document_id(file.path.stem), version=source.sha256[:8], pages=source.pages,
        source_path=file.name, sha256=source.sha256,
    )
    document, repeated = _with_unique_ids(document)
    findings += repeated
    if not document.provisions:
        findings.append(Finding("warning", file.name, "no article or outline point was recognised", "Check the text."))
    return replace(document, findings=(*document.findings, *findings))


def _with_unique_ids(document: Document) -> tuple[Document, list[Finding]]:
    """A label that stands twice keeps its text under `id~2` and is named, so that neither provision is lost."""
    seen: dict[str, int] = {}
    provisions, findings = [], []
    for provision in document.provisions:
        count = seen[provision.provision_id] = seen.get(provision.provision_id, 0) + 1
        if count > 1:
            findings.append(
                Finding("warning", document.source_path, f"{provision.label} stands more than once", "Check the numbering.")
            )
            provision = replace(provision, provision_id=f"{provision.provision_id}~{count}")
        provisions.append(provision)
    return replace(document, provisions=tuple(provisions)), findings


def document_id(stem: str) -> str:
    """Stable, readable id of a document: its file stem without white space and path or citation marks."""
    return re.sub(r"[\s/\\#@]+", "", stem)


def _without_duplicates(documents: list[Document]) -> tuple[list[Document], list[Finding]]:
    """Same id or same text twice: the first one stays, the other is named in a finding."""
    seen_ids: dict[str, Document] = {}
    seen_text: dict[str, Document] = {}
    kept, findings = [], []
    for document in documents:
        twin = seen_text.get(document.sha256) or seen_ids.get(document.doc_id)
        if twin is None:
            kept.append(document)
            seen_ids[document.doc_id] = seen_text[document.sha256] = document
        else:
            findings.append(
                Finding(
                    "warning", document.source_path, f"same document as {twin.source_path}, not indexed again",
                    "Remove one of the two files.",
                )
            )
    return kept, findings

