"""Compare the digests of corpus/ with the official full texts and report what one side lacks.

Usage: python scripts/check_digests.py [--shared ../shared/corpus] [--strict] [FILES...]

Without the full texts only the format of the digests is checked. Exits 1 on any error (with --strict also on any
warning), 2 when there is nothing to check.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # so that the checkout is checked, installed or not

from kb.digests import check_format, compare, copied_runs, outline, windows  # noqa: E402
from kb.models import Finding  # noqa: E402

ALLOW_LIST = Path(__file__).with_name("digest_allow.txt")


def allowed_phrases() -> list[str]:
    lines = ALLOW_LIST.read_text(encoding="utf-8").splitlines() if ALLOW_LIST.exists() else []
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def digest_files(corpus: Path) -> list[Path]:
    """Digests by their front matter; fetched full texts and notes are not ours to check."""
    return [
        p for p in sorted(corpus.glob("*/*.md")) if p.read_text(encoding="utf-8").startswith("---\ntext_kind: digest")
    ]


def check(path: Path, shared: Path | None, known: set[int], allowed: list[str]) -> list[Finding]:
    name, text = f"{path.parent.name}/{path.name}", path.read_text(encoding="utf-8")
    source = shared / path.parent.name / path.name if shared else None
    if source is None:
        return check_format(name, outline(text))
    runs = [
        Finding("error", f"{name}:{n}", f"与原文连续相同 {len(run)} 字：{run[:60]}", "改写该句")
        for n, run in copied_runs(text, known, allowed)
    ]
    if not source.exists():
        return [*check_format(name, outline(text)), *runs, Finding("error", name, "没有同名全文可比", "改文件名或删除")]
    return [*compare(name, text, source.read_text(encoding="utf-8")), *runs]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, help="folder with the full texts: <level>/<same file name>")
    parser.add_argument("--strict", action="store_true", help="warnings fail too")
    parser.add_argument("files", nargs="*", type=Path, help="digests; default: all of corpus/")
    args = parser.parse_args()
    if args.shared and not args.shared.is_dir():
        parser.error(f"no such folder: {args.shared}")
    files = args.files or digest_files(ROOT / "corpus")
    if not files:
        print("no digests found", file=sys.stderr)
        return 2
    texts = (
        [p.read_text(encoding="utf-8", errors="replace") for p in sorted(args.shared.glob("*/*.md"))]
        if args.shared
        else []
    )
    known = windows(texts)
    units, counts, bad = 0, Counter(), 0
    for path in files:
        found = check(path.resolve(), args.shared, known, allowed_phrases())
        units += len(outline(path.read_text(encoding="utf-8")).units)
        counts.update(f.severity for f in found)
        bad += bool(found)
        for finding in found:
            print(f"{finding.severity}: {finding.where}: {finding.what}")
    print(
        f"{len(files)} digests: {len(files) - bad} without findings, {bad} with | {units} articles and points"
        f" | {counts['error']} errors, {counts['warning']} warnings"
        + ("" if args.shared else " | format only (no --shared)")
    )
    return 1 if counts["error"] or (args.strict and counts["warning"]) else 0


if __name__ == "__main__":
    sys.exit(main())
