"""Meaning, words and earlier questions pooled: the arithmetic by hand, and the memory that ships."""

from __future__ import annotations

import math

import numpy as np
import pytest

from kb import pool
from kb.embed import load_encoder
from kb.remembered import Memory, Recall, fingerprint, shipped


def _neighbours(seqs, documents, cosines):
    return pool.with_neighbours(np.array(seqs, int), np.array(cosines, float), np.array(documents, int))


def test_neighbours_lift_what_was_found_with_its_document():
    # gains over the last: .30, then .28, .27, .26 of three neighbours in document 2, then 0
    lifted = _neighbours([50, 7, 8, 9, 90], [1, 2, 2, 2, 3], [0.80, 0.78, 0.77, 0.76, 0.50])
    # 50: .30 + .5 (.10 + .10); 7: .28 + .5 (.27 + .27), 8 and 9 the same of .27 and .26; 90: 0
    assert lifted == pytest.approx([0.40, 0.55, 0.54, 0.53, 0.0])


def test_what_stands_far_off_in_its_document_gets_the_say_of_the_document_only():
    lifted = _neighbours([5, 60, 400, 70], [1, 2, 1, 3], [0.80, 0.73, 0.70, 0.50])
    # 5: .30 + .5 (.30 + .50) / 3; 60: .23 + .5 (.23 + .23) / 3; 400: .20 + .5 (.20 + .50) / 3
    assert lifted == pytest.approx([0.30 + 0.4 / 3, 0.23 + 0.23 / 3, 0.20 + 0.35 / 3, 0.0])


def test_only_the_best_three_of_a_document_count():
    lifted = _neighbours([1, 2, 3, 4, 99], [1, 1, 1, 1, 2], [0.9, 0.8, 0.7, 0.6, 0.5])
    # gains .4, .3, .2, .1: near and whole are (.4 + .3 + .2) / 3 = .3 for all four
    assert lifted == pytest.approx([0.7, 0.6, 0.5, 0.4, 0.0])


def test_neighbours_are_those_of_a_plain_loop():
    rng = np.random.default_rng(3)
    seqs = rng.permutation(4000)[:300]
    documents, cosines = seqs // 90, np.sort(rng.random(300))[::-1]
    gains = cosines - cosines[-1]
    expected = []
    for seq, document, gain in zip(seqs, documents, gains, strict=True):
        inside = documents == document
        near = np.sort(gains[inside & (np.abs(seqs - seq) <= pool.NEAR)])[-3:].sum() / 3
        whole = np.sort(gains[inside])[-3:].sum() / 3
        expected.append(gain + 0.5 * (near + whole))
    assert pool.with_neighbours(seqs, cosines, documents) == pytest.approx(np.array(expected))


def test_the_pool_adds_what_each_has_to_say():
    meaning = np.array([1, 2]), np.array([0.6, 0.5])
    words, remembered = (np.array([2, 3]), np.array([8.0, 0.0])), (np.array([4]), np.array([0.5]))
    seqs, shares = pool.pooled(meaning, np.array([1, 2]), words, remembered)
    # 1 gains .1 and, alone in its document, .5 (.1 + .1) / 3 more; e ** (.1333 / .05) = 14.39 to 1, of .7
    one = 0.7 * 14.392 / 15.392
    # by words e to 1, of .1; half of the .2 of earlier questions, which half know this one
    two, three, four = 0.7 - one + 0.1 * math.e / (1 + math.e), 0.1 / (1 + math.e), 0.2 * 0.5
    assert seqs.tolist() == [1, 2, 4, 3]
    assert shares == pytest.approx([one, two, four, three], abs=1e-4)


def test_nothing_found_is_an_empty_pool():
    nothing = np.array([], int), np.array([])
    seqs, shares = pool.pooled(nothing, nothing[0], pool.ranked([]), pool.NOTHING)
    assert seqs.tolist() == [] and shares.tolist() == []


def test_a_question_asked_before_is_answered_as_before():
    recall = Recall(np.eye(3), np.array([[0, 10], [0, 11], [1, 12]], dtype=np.int32))
    seqs, shares = recall.answers(np.array([1.0, 0.0, 0.0]))
    # nearest 1.00: known to 1 / (1 + e ** -7); its two answers share, the other question is e ** -20 as likely
    assert seqs.tolist() == [10, 11, 12]
    assert shares == pytest.approx([0.5 / (1 + math.exp(-7)), 0.5 / (1 + math.exp(-7)), 0.0], abs=1e-6)


def test_an_earlier_question_whose_answer_is_not_held_keeps_its_share():
    recall = Recall(np.eye(3), np.array([[1, 12]], dtype=np.int32))
    assert recall.answers(np.array([1.0, 0.0, 0.0]))[1] == pytest.approx([0.0], abs=1e-6)


def test_a_question_like_no_earlier_one_is_not_known():
    recall = Recall(np.eye(3)[:2], np.array([[0, 10], [1, 12]], dtype=np.int32))
    # nearest 0: 1 / (1 + e ** 13)
    assert recall.answers(np.array([0.0, 0.0, 1.0]))[1].sum() == pytest.approx(1 / (1 + math.exp(13)))


def test_a_memory_finds_its_articles_by_their_wording(tmp_path):
    articles = np.array([fingerprint("国家建立 数据分类，分级。"), fingerprint("另一条")], dtype=np.uint64)
    Memory("e", np.eye(2, dtype=np.float16), np.array([0, 1], dtype=np.int32), articles).save(tmp_path / "m.npz")
    memory = Memory.load(tmp_path / "m.npz")
    recall = Recall.of(memory, [(7, "国家建立数据分类、分级"), (8, "国家建立数据分级")])
    assert memory.encoder == "e" and recall.places.tolist() == [[0, 7]]
    recall.save(tmp_path / "r.npz")
    assert Recall.load(tmp_path / "r.npz").answers(np.array([1.0, 0.0]))[0].tolist() == [7]
    assert memory.key != Memory("other", memory.vectors, memory.questions, memory.articles).key


def test_the_memory_that_ships_is_of_the_encoder_that_ships():
    memory = shipped()
    assert memory.encoder == load_encoder().fingerprint
    assert memory.vectors.shape == (1085, 384) and len(memory.questions) == len(memory.articles) == 1943
    assert np.linalg.norm(memory.vectors.astype(np.float32), axis=1) == pytest.approx(np.ones(1085), abs=2e-3)
