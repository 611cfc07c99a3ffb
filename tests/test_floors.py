"""Quality floors that only rise: a drop fails, another label set must be pinned anew.

To raise a floor, edit tests/eval/floors.json; to lower one, say why in CHANGELOG.md.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from kb.evaluate import evaluate_search, read_queries
from kb.search import search

FLOORS = json.loads((Path(__file__).parent / "eval" / "floors.json").read_text(encoding="utf-8"))


def test_search_by_words_stays_above_its_floor(lexical_library, shared):
    floor = FLOORS["search, words only, queries-dev"]
    path = shared / "gold" / "queries-dev.jsonl"
    if hashlib.sha256(path.read_bytes()).hexdigest()[:16] != floor["labels"]:
        pytest.fail("the labelled queries changed: measure again and pin the new set in tests/eval/floors.json")

    def run(query: str):
        result = search(lexical_library, query)
        return result.found, result.hits

    got = evaluate_search(read_queries(path), run)
    assert got["n"] == floor["n"]
    assert {name: got[name] for name in ("success@1", "recall@10", "ndcg@10") if got[name] < floor[name]} == {}
