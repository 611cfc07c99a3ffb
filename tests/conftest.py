"""Shared fixtures: the project's root, the reference texts beside it, and settings that never touch real folders."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of reference texts and labels; tests that need it are skipped where it is absent."""
    if not (SHARED / "corpus").is_dir():
        pytest.skip("reference texts (../shared) are not on this machine")
    return SHARED


@pytest.fixture(scope="session")
def shared_corpus(shared: Path) -> Path:
    return shared / "corpus"


@pytest.fixture(scope="session")
def lexical_library(shared_corpus: Path, tmp_path_factory):
    """The reference texts indexed without vectors: seconds to build, enough for words, filters and citations."""
    from kb.index import Library, build
    from kb.settings import load_settings

    settings = load_settings(
        {"corpus": shared_corpus, "index": tmp_path_factory.mktemp("index"), "encoder": "none"}, env={}
    )
    build(settings)
    return Library(settings)
