"""The labelled files of tests/eval hold to their promises: addresses that exist, nothing of the measuring sets."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

import numpy as np
import pytest

from kb.embed import load_encoder
from kb.remembered import shipped
from kb.segment import squeeze

EVAL = Path(__file__).parent / "eval"
QUERY_FILES = ("queries-train.jsonl", "queries-encoder.jsonl")
PAIR_FILES = ("pairs-relation.jsonl", "pairs-edited.jsonl", "pairs-written.jsonl")


def rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def decisive(queries: list[dict]) -> set[tuple[str, str | None]]:
    return {(squeeze(r["title"]), r["article"]) for q in queries for r in q["relevant"] if r["grade"] >= 2}


@pytest.mark.parametrize("name", QUERY_FILES)
def test_every_address_of_a_query_file_is_in_the_corpus(name, lexical_library):
    documents = [lexical_library.document(d.doc_id) for d in lexical_library.documents]
    held = {(squeeze(d.meta.title), label) for d in documents for label in (None, *(p.label for p in d.provisions))}
    assert decisive(rows(EVAL / name)) <= held


@pytest.mark.parametrize("name", QUERY_FILES)
def test_no_training_query_asks_what_a_measuring_query_asks(name, shared):
    measuring = rows(shared / "gold" / "queries-dev.jsonl")
    assert not {q["query"] for q in rows(EVAL / name)} & {q["query"] for q in measuring}


def test_queries_that_train_the_encoder_touch_no_decisive_answer_of_the_measuring_queries(shared):
    measuring = rows(shared / "gold" / "queries-dev.jsonl")
    assert not decisive(rows(EVAL / "queries-encoder.jsonl")) & decisive(measuring)


def test_statute_questions_name_articles_of_the_benchmark_that_no_reference_question_uses(shared):
    with gzip.open(shared / "bench" / "statutes-national.jsonl.gz", "rt", encoding="utf-8") as lines:
        known = {json.loads(line)["id"] for line in lines}
    named = {i for q in rows(EVAL / "questions-statutes.jsonl") for i in q["relevant"]}
    reference = {i for q in rows(shared / "bench" / "stard-train.jsonl") for i in q["relevant"]}
    assert named <= known
    assert not named & reference


@pytest.mark.parametrize("pairs", PAIR_FILES)
def test_labelled_pairs_name_no_document_of_the_measuring_duties(pairs, shared):
    """National documents of all development files, and the local ones of the second and third, are in no labelled pair."""
    titles: set[str] = set()
    for name in ("gaps-dev.jsonl", "gaps-dev-2.jsonl", "gaps-dev-3.jsonl"):
        for row in rows(shared / "gold" / name):
            titles |= {squeeze(row["title"]), *(map(squeeze, row["scope"]) if name != "gaps-dev.jsonl" else ())}
    titles |= {t.removeprefix("中华人民共和国") for t in titles}
    for row in rows(EVAL / pairs):
        assert squeeze(row["title"]) not in titles, row["title"]
        assert squeeze(row.get("local", "")) not in titles, row["local"]


def test_labelled_pairs_have_the_form_that_training_reads():
    relations = {"none", "related", "partial", "covered", "conflict"}
    for name, key, numbers in zip(PAIR_FILES, ("pairs", "edits", "written"), (3, 5, 3), strict=True):
        for row in rows(EVAL / name):
            assert row[key], row["title"]
            for pair in row[key]:
                assert len(pair) == numbers and pair[-1] in relations, (name, pair)
                assert len(pair[0]) == 16, (name, pair)


def test_an_edit_names_a_side_and_quotes_no_more_than_a_clause():
    for row in rows(EVAL / "pairs-edited.jsonl"):
        for _, _, side, replacements, _ in row["edits"]:
            assert side in ("duty", "passage")
            assert replacements and all(0 < len(old) <= 40 for old, _ in replacements), replacements


def test_the_memory_holds_no_question_that_measures(shared):
    questions = rows(shared / "bench" / "stard-train.jsonl")
    apart = random.Random(20260101).sample(range(len(questions)), 150)  # the sample of scripts/train_encoder.py
    vectors = load_encoder().encode_queries([questions[i]["query"] for i in apart])
    memory = shipped().vectors.astype(np.float32)
    nearest = (vectors @ memory.T).max(axis=1)
    assert nearest.max() < 0.999  # a question held would be as near to itself as half precision allows
    kept = next(q["query"] for i, q in enumerate(questions) if i not in set(apart))
    assert load_encoder().encode_queries([kept])[0] @ memory[0] > 0.999
