"""Pictures of every page for docs/screenshots, taken from a running index: python scripts/screenshots.py [--index DIR]."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from urllib.parse import quote

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from browser import browser, opened, served, settled  # noqa: E402

from kb.draft import suggested_nationals  # noqa: E402
from kb.index import Library  # noqa: E402
from kb.rows import gap_rows, judged, national_documents, scope_choice  # noqa: E402
from kb.settings import load_settings  # noqa: E402

SIZE = {"width": 1280, "height": 800}


def views(library: Library) -> list[tuple[str, str, int]]:
    """(file name, address, height) of the pictures; the rows shown are the most telling ones this index has."""
    scope = scope_choice(library)
    ready = judged(library, scope, [d.doc_id for d in national_documents(library)])
    rows = gap_rows(library, ready, scope)
    if not rows:
        raise SystemExit("nothing is judged in this index yet; run: kb gaps --summary")

    def first(*labels: str):
        for label in labels:
            found = [r for r in rows if r.assessment.label == label and r.assessment.evidence]
            if found:
                return max(found, key=lambda r: r.assessment.confidence)
        return rows[0]

    partial, differs = first("部分覆盖", "已覆盖"), first("疑似不一致", "部分覆盖")
    drafts = [d for d in library.documents if d.meta.status == "draft" and d.meta.level != "national"]
    local = next(d for d in library.documents if d.meta.level == "shenzhen" and d.n_provisions > 50)

    def row(r) -> str:
        return f"n={quote(r.requirement.doc_id)}&row={quote(r.row_id, safe='')}"

    out = [
        ("overview", "", 1000),
        ("search", f"search?q={quote('重要数据风险评估多久做一次')}", 1000),
        ("gaps", "gaps", 800),
        ("gaps-row", f"gaps?{row(partial)}", 1350),
        ("levels", f"gaps?n={quote(partial.requirement.doc_id)}&v={quote('逐级对照')}", 1000),
        ("signals", f"gaps?v={quote('滞后线索')}", 800),
        ("review", f"review?{row(differs)}", 1250),
        ("library", "library", 800),
        ("document", f"library?doc={quote(local.doc_id)}", 900),
        ("citations", f"library?doc={quote(partial.requirement.doc_id)}&v={quote('引用关系')}", 900),
        ("update", "update", 800),
    ]
    if drafts:
        nationals = suggested_nationals(library, library.document(drafts[0].doc_id), 1)
        out.append(("draft", f"draft?d={quote(drafts[0].doc_id)}&n={quote(nationals[0].doc_id)}", 1250))
    return out


def main() -> None:
    """Take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("corpus", "index", "encoder"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "screenshots")
    parser.add_argument(
        "--dark", action="store_true", help="also the overview, a row and the review page in the dark theme"
    )
    args = parser.parse_args()
    settings = load_settings({"corpus": args.corpus, "index": args.index, "encoder": args.encoder})
    args.out.mkdir(parents=True, exist_ok=True)
    library = Library(settings)
    wanted = views(library)
    with served(settings) as address, browser() as chrome:
        for name, path, height in wanted:
            shoot(
                chrome,
                f"{address}/{path}",
                args.out / f"{name}.png",
                height,
                press="开始比对" if name == "draft" else "",
            )
        if args.dark:
            for name, path, height in wanted:
                if name in ("overview", "gaps-row", "review"):
                    shoot(chrome, f"{address}/{path}", args.out / f"{name}-dark.png", height, dark=True)


def shoot(chrome, address: str, out: Path, height: int, *, press: str = "", dark: bool = False) -> None:
    """One picture."""
    context = chrome.new_context(viewport=SIZE | {"height": height}, color_scheme="dark" if dark else "light")
    page = context.new_page()
    opened(page, address)
    if press:
        page.get_by_role("button", name=press).click()
        page.wait_for_selector("[data-testid=stTabs]", timeout=180_000)
        settled(page)
    settled(page, 1.0)
    page.screenshot(path=str(out))
    context.close()
    print(out)


if __name__ == "__main__":
    main()
