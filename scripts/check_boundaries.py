"""Re-wrap every statute of a JSONL collection and count article boundaries the parser misses or invents.

Usage: python scripts/check_boundaries.py FILE.jsonl.gz [--width 28] [--separator " "] [--every 1]

Lines hold `law`, `date`, `article`, `text`. An article that is found and not in the collection is printed with its context: most
of them are real articles that the collection itself had glued to the one before.
"""

from __future__ import annotations

import argparse
import gzip
import json
import time
from collections import Counter
from itertools import groupby

from kb.models import DocumentMeta
from kb.parse import parse

META = DocumentMeta("statute", "national")


def wrapped(rows: list[dict], width: int, separator: str) -> str:
    """The statute as a text file broken at `width` characters, as a PDF would give it."""
    lines = [rows[0]["law"]]
    for row in rows:
        for paragraph in f"{row['article']}{separator}{row['text']}".split("\n"):
            lines += [paragraph[i : i + width] for i in range(0, len(paragraph), width)] or [""]
    return "\n".join(lines)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("file")
    options.add_argument("--width", type=int, default=28)
    options.add_argument("--separator", default=" ")
    options.add_argument("--every", type=int, default=1, help="only every n-th statute")
    args = options.parse_args()
    counts: Counter[str] = Counter()
    seconds = 0.0
    with gzip.open(args.file, "rt", encoding="utf-8") as lines:
        laws = groupby(map(json.loads, lines), key=lambda row: (row["law"], row["date"]))
        for number, (key, group) in enumerate(laws):
            if number % args.every:
                continue
            rows = list(group)
            text = wrapped(rows, args.width, args.separator)
            started = time.process_time()
            document = parse(text, META, doc_id="d")
            seconds += time.process_time() - started
            wanted = Counter(row["article"] for row in rows)
            found = Counter(p.label for p in document.provisions if p.kind == "article")
            counts.update(statutes=1, articles=len(rows), bytes=len(text.encode()))
            counts.update(missed=sum((wanted - found).values()), extra=sum((found - wanted).values()))
            for provision in document.provisions:
                if provision.label in found - wanted:
                    context = text[max(0, provision.start - 30) : provision.start + 30]
                    print(f"extra {key[0]} {provision.label}: {context!r}")
            if wanted - found:
                print(
                    f"missed {key[0]}: {sum((wanted - found).values())} of {len(rows)}, e.g. {next(iter(wanted - found))}"
                )
    rate = counts["bytes"] / 1e6 / seconds
    print(
        f"{counts['statutes']:,} statutes, {counts['articles']:,} articles: missed {counts['missed']}, extra {counts['extra']}; {rate:.1f} MB/s"
    )


if __name__ == "__main__":
    main()
