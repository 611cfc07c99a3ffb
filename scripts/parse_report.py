"""Read and parse every document of some folders, print counts by outcome and the worst files with their reasons.

Usage: python scripts/parse_report.py [--worst 10] [--ocr] FOLDER...
"""

from __future__ import annotations

import argparse
import resource
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from kb.corpus import SourceFile, document_id, to_document
from kb.errors import ReadError
from kb.quality import NAMES
from kb.read import KINDS, read_file


@dataclass(frozen=True, slots=True)
class Row:
    """Outcome of one file; `rank` sorts the worst first."""

    name: str
    kind: str
    outcome: str
    size: int
    provisions: int
    reasons: tuple[str, ...]
    rank: tuple[int, int, int]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--worst", type=int, default=10)
    parser.add_argument("--ocr", action="store_true", help="read pictures; slow")
    options = parser.parse_args()
    suffixes = {suffix for kinds in KINDS.values() for suffix in kinds}
    for folder in options.folders:
        files = [
            p
            for p in sorted(folder.rglob("*"))
            if p.is_file() and p.suffix.lower() in suffixes and p.stem.upper() != "README"
        ]
        started = time.process_time()
        rows = [outcome(path, folder, options.ocr) for path in files]
        show(folder, rows, options.worst, time.process_time() - started)
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


def outcome(path: Path, folder: Path, ocr: bool) -> Row:
    """What became of one file."""
    name = path.relative_to(folder).as_posix()
    try:
        source = read_file(path, name=name, ocr=ocr)
        document = to_document(source, SourceFile(path, name, "national", document_id(path.stem)))
    except ReadError as error:
        return Row(name, path.suffix, "refused", 0, 0, (error.message,), (-9, 0, 0))
    errors = [f.what for f in document.findings if f.severity == "error"]
    warnings = [f.what for f in document.findings if f.severity == "warning"]
    size = len("".join(document.text.split()))
    return Row(
        name,
        source.media,
        document.quality,
        size,
        len(document.provisions),
        (*errors, *warnings),
        (-len(errors), -len(warnings), size),
    )


def show(folder: Path, rows: list[Row], worst: int, seconds: float) -> None:
    """Counts that add up, then the worst files."""
    counts = Counter(row.outcome for row in rows)
    kinds = ", ".join(f"{n} {kind}" for kind, n in Counter(row.kind for row in rows).most_common())
    parts = " · ".join(
        f"{NAMES.get(name, '不能读取')} {counts[name]}" for name in ("complete", "doubtful", "incomplete", "refused")
    )
    total = sum(row.size for row in rows)
    print(
        f"{folder}: {len(rows)} files ({kinds}) | {parts} | {total:,} characters, {sum(row.provisions for row in rows):,} provisions, {seconds:.1f} s"
    )
    for row in sorted((row for row in rows if row.reasons), key=lambda row: row.rank)[:worst]:
        print(
            f"  {NAMES.get(row.outcome, '不能读取')}  {row.name[:60]}  {row.size:,} characters: {'; '.join(row.reasons[:3])}"
        )


if __name__ == "__main__":
    main()
