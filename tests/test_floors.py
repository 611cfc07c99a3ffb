"""Quality floors that only rise: a drop fails, another label set must be pinned anew.

To raise a floor, edit tests/eval/floors.json; to lower one, say why in CHANGELOG.md.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from kb.evaluate import evaluate_search, read_queries
from kb.index import Library, build
from kb.search import search
from kb.settings import load_settings

FLOORS = json.loads((Path(__file__).parent / "eval" / "floors.json").read_text(encoding="utf-8"))


NAMES = ("success@1", "recall@10", "ndcg@10")


@pytest.fixture(scope="module")
def hybrid_library(shared_corpus: Path, request):
    """The reference texts with vectors; kept in pytest's cache, because the first build takes minutes and a later one none."""
    settings = load_settings({"corpus": shared_corpus, "index": request.config.cache.mkdir("hybrid-index")}, env={})
    build(settings)
    return Library(settings)


def _measured(library: Library, shared: Path, floor: dict) -> dict:
    path = shared / "gold" / "queries-dev.jsonl"
    if hashlib.sha256(path.read_bytes()).hexdigest()[:16] != floor["labels"]:
        pytest.fail("the labelled queries changed: measure again and pin the new set in tests/eval/floors.json")

    def run(query: str):
        result = search(library, query)
        return result.found, result.hits

    return evaluate_search(read_queries(path), run)


def _below(got: dict, floor: dict) -> dict:
    return {name: got[name] for name in NAMES if got[name] < floor[name]} if got["n"] == floor["n"] else got


def test_search_by_words_stays_above_its_floor(lexical_library, shared):
    floor = FLOORS["search, words only, queries-dev"]
    assert _below(_measured(lexical_library, shared, floor), floor) == {}


def test_hybrid_search_stays_above_its_floor(hybrid_library, shared):
    floor = FLOORS["search, hybrid, queries-dev"]
    assert _below(_measured(hybrid_library, shared, floor), floor) == {}


def test_words_alone_are_at_most_a_fifth_below_hybrid():
    words, hybrid = FLOORS["search, words only, queries-dev"], FLOORS["search, hybrid, queries-dev"]
    assert {name: words[name] for name in NAMES if words[name] < 0.8 * hybrid[name]} == {}
