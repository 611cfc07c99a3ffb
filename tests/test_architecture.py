"""Imports point down or left: fronts -> stages -> leaves -> base, and a stage only to the stages before it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

BASE = {"errors", "models", "settings"}
LEAVES = {"numerals", "codec", "segment", "embed", "fuse", "metrics", "dates"}
# the named stages; what helps a stage stands between it and the one before
STAGES = ["read", "parse", "corpus", "requirements", "chunk", "index", "search", "gaps", "mapping", "review", "report"]
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


def _graph() -> dict[str, set[str]]:
    """module -> modules of ours it imports anywhere in its text, packages taken as one."""
    graph: dict[str, set[str]] = {}
    for path in _modules():
        if _name(path) != "__init__":
            graph.setdefault(_name(path), set()).update(name for name, _ in _imports(path) if name != _name(path))
    return graph


def test_base_imports_nothing_of_ours_but_base():
    assert {name: extra for name in BASE if (extra := _graph()[name] - BASE)} == {}


def test_leaves_import_only_base_and_leaves():
    graph = _graph()
    assert {name: extra for name in LEAVES & set(graph) if (extra := graph[name] - BASE - LEAVES)} == {}


def test_imports_have_no_cycle():
    graph = _graph()
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join((*path[path.index(name) :], name))
        if name not in done:
            for other in sorted(graph.get(name, ())):
                visit(other, (*path, name))
            done.add(name)

    for name in sorted(graph):
        visit(name, ())


def test_stages_import_only_stages_to_their_left():
    graph = _graph()

    def reach(name: str, seen: set[str]) -> set[str]:
        for other in graph.get(name, ()):
            if other not in seen:
                seen.add(other)
                reach(other, seen)
        return seen

    order = {name: i for i, name in enumerate(STAGES)}
    bad = [f"{a} reaches {b}" for a in STAGES for b in reach(a, set()) if b in order and order[b] > order[a]]
    assert not bad


@pytest.mark.parametrize("path", _modules(), ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_streamlit_is_imported_only_by_the_ui(path):
    if _name(path) == "ui":
        return
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = [a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names]
    names += [n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
    assert not [n for n in names if n.split(".")[0] == "streamlit"]
