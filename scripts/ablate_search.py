"""What each part of the search is worth: the labelled queries with one part switched off at a time.

    KB_CORPUS=../shared/corpus KB_INDEX=FOLDER python scripts/ablate_search.py FILE.jsonl... [--write docs/benchmarks.md]

Prints a Markdown table; --write puts it between the lines <!-- ablation --> and <!-- /ablation --> of a page.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path

from kb.evaluate import LabelledQuery, evaluate_search, read_queries
from kb.index import Library
from kb.query import understand
from kb.search import Parts, search
from kb.settings import load_settings

NAMES = ("success@1", "recall@10", "ndcg@10")
# what is switched off -> parts of the engine that stay on, kinds of readings that are ignored
VARIANTS: tuple[tuple[str, Parts, tuple[str, ...]], ...] = (
    ("nothing", Parts(), ()),
    ("exact citations", Parts(exact=False), ()),
    ("statutory wording for everyday words", Parts(wording=False), ()),
    ("places in words", Parts(), ("place",)),
    ("intent", Parts(), ("intent",)),
    ("re-ranking (fusion alone)", Parts(rerank=False), ()),
    ("what the leaders say (first ranking alone)", Parts(feedback=False), ()),
    ("earlier questions", Parts(remembered=False), ()),
    ("words (meaning alone)", Parts(lexical=False), ()),
    ("meaning (words alone)", Parts(dense=False), ()),
)


def main() -> None:
    """Measure every variant on every file and print or write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--write", type=Path, help="page with the two marker lines")
    args = parser.parse_args()
    library = Library(load_settings())
    sets = [(path.stem, read_queries(path)) for path in args.files]
    head = [f"{stem} {name}" for stem, _ in sets for name in (*NAMES, "no answer")]
    lines = [f"| switched off | {' | '.join(head)} |", "|---|" + "---|" * len(head)]
    for name, parts, ignored in VARIANTS:
        cells = [cell for _, queries in sets for cell in _measure(library, queries, parts, ignored)]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    table = "\n".join(lines)
    print(table)
    if args.write:
        page = args.write.read_text(encoding="utf-8")
        marked = re.sub(
            r"(<!-- ablation -->\n).*?(<!-- /ablation -->)", lambda m: f"{m[1]}{table}\n{m[2]}", page, flags=re.DOTALL
        )
        args.write.write_text(marked, encoding="utf-8")


def _measure(library: Library, queries: list[LabelledQuery], parts: Parts, ignored: tuple[str, ...]) -> list[str]:
    got = evaluate_search(queries, _runner(library, parts, ignored))
    none = got["no_answer"]
    return [*(f"{got[name]:.3f}" for name in NAMES), f"{none['correct']} of {none['of']}"]


def _runner(library: Library, parts: Parts, ignored: tuple[str, ...]) -> Callable:
    def run(query: str):
        keys = {r.key for r in understand(query).readings if r.kind in ignored}
        result = search(library, query, parts=parts, ignore=keys)
        return result.found, result.hits

    return run


if __name__ == "__main__":
    main()
