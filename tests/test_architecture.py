"""Imports point down or left: fronts -> stages -> leaves -> base, and a stage only to the stages before it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

# order matters: a module may import what stands in an earlier row, or earlier in its own row where `ordered`
BASE = ["errors", "models", "settings"]
LEAVES = ["numerals", "codec", "clean", "segment", "embed", "encoder", "fuse", "metrics", "elements", "titles"]
STAGES: list[list[str]] = [
    ["read"], ["quality"], ["metadata", "parse", "catalog"], ["cite", "versions", "digests"], ["corpus"],
    ["requirements"], ["chunk"], ["store"], ["index"], ["search"], ["gaps", "judge"], ["review"], ["report"],
]
FRONTS = ["cli", "ui", "mcp_server", "__main__"]
PACKAGE = Path(__file__).resolve().parent.parent / "kb"


def _modules() -> list[Path]:
    return sorted(p for p in PACKAGE.rglob("*.py") if "data" not in p.parts)


def _name(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def _imports(path: Path) -> set[tuple[str, int]]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "kb":
            parts = node.module.split(".")
            names = [parts[1]] if len(parts) > 1 else [alias.name for alias in node.names]
            found.update((name, node.lineno) for name in names)
        elif isinstance(node, ast.Import):
            found.update((a.name.split(".")[1], node.lineno) for a in node.names if a.name.startswith("kb."))
    return found


@pytest.mark.parametrize("path", _modules(), ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_fronts_are_imported_by_nobody_below_them(path):
    if _name(path) in FRONTS or _name(path) == "__init__":
        return
    bad = [f"{path.name}:{line} imports kb.{name}" for name, line in _imports(path) if name in FRONTS]
    assert not bad


@pytest.mark.parametrize("path", _modules(), ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_streamlit_is_imported_only_by_the_ui(path):
    if _name(path) == "ui":
        return
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = [a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names]
    names += [n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
    assert not [n for n in names if n.split(".")[0] == "streamlit"]
