"""Words, fusion, metrics, codec: small functions with their arithmetic spelt out."""

from __future__ import annotations

import math

import numpy as np
import pytest

from kb import segment
from kb.codec import from_json, to_json
from kb.feedback import like_leaders, with_feedback
from kb.fuse import fuse_rrf
from kb.metrics import ndcg, percentile, reciprocal_rank
from kb.models import DocumentMeta, Provision, Unit
from kb.ranking import Candidate


def test_rrf_adds_reciprocal_ranks():
    fused = dict(fuse_rrf([["a", "b", "c"], ["c", "a"]]))
    assert fused["a"] == pytest.approx(1 / (60 + 1) + 1 / (60 + 2))
    assert fused["c"] == pytest.approx(1 / (60 + 3) + 1 / (60 + 1))


def test_rrf_breaks_ties_by_id():
    assert [key for key, _ in fuse_rrf([["b"], ["a"]])] == ["a", "b"]


def test_rrf_refuses_an_id_twice_in_one_ranking():
    with pytest.raises(ValueError, match="twice"):
        fuse_rrf([["a", "a"]])


def test_rrf_weights_count_per_ranking():
    fused = dict(fuse_rrf([["a"], ["b"]], weights=[1.0, 0.5]))
    assert fused == {"a": 1 / 61, "b": 0.5 / 61}


def test_ndcg_divides_by_the_best_order():
    got = (0 / math.log2(2) + 2 / math.log2(3) + 1 / math.log2(4)) / (2 / math.log2(2) + 1 / math.log2(3))
    assert ndcg([0, 2, 1], [1, 2], 10) == pytest.approx(got)


def test_ndcg_without_relevant_texts_is_zero():
    assert ndcg([0, 0], [], 10) == 0.0


def test_reciprocal_rank_needs_the_least_gain():
    assert reciprocal_rank([1, 2], 10, least=2) == 1 / 2


def test_percentile_is_nearest_rank():
    assert percentile([4, 1, 3, 2], 50) == 2
    assert percentile([], 95) == 0.0


def test_long_terms_also_give_their_parts():
    words = segment.words("公共数据资源授权运营")
    assert {"授权", "运营"} <= set(words)
    assert "公共数据资源授权运营" in words or "公共数据" in words


def test_modality_words_are_not_stop_words():
    assert {"应当", "不得"} <= set(segment.words("处理者应当报告，不得隐瞒"))


def test_bigrams_do_not_cross_punctuation():
    assert segment.bigrams("数据，安全") == ["数据", "安全"]


def test_width_and_case_do_not_matter_for_words():
    assert segment.words("ＡＩ ２０２５") == segment.words("ai 2025")


def test_both_segmenters_give_the_same_words():
    jieba = pytest.importorskip("jieba")
    pytest.importorskip("rjieba")
    plain = jieba.Tokenizer()
    for term in segment.load_list("userdict.txt"):
        plain.add_word(term)
    for text in (
        "公共数据资源授权运营实施规范",
        "重要数据的处理者应当明确数据安全负责人和管理机构",
        "县级以上地方各级人民政府",
    ):
        assert [w for w in plain.lcut_for_search(text) if w not in segment._stopwords()] == segment.words(text)


def test_records_survive_json():
    unit = Unit("item", 1, 2, None, "第一条第二项", "（二）乙", 3, 7, "下列：")
    provision = Provision("d/第一条", "d", "article", (1, 0), "第一条", ("第一章",), "甲\n（二）乙", 0, 7, (unit,))
    meta = DocumentMeta("标题", "national", issuers=("甲", "乙"), effective_on="2025-03-01")
    assert from_json(Provision, to_json(provision)) == provision
    assert from_json(DocumentMeta, to_json(meta)) == meta


def _candidate(seq, doc, vector, **features):
    return Candidate(seq, doc, features=features, vector=np.asarray(vector, dtype=float))


def test_feedback_compares_with_the_leaders_and_counts_what_its_document_already_has():
    ranked = with_feedback(
        [_candidate(3, 1, [0, 1]), _candidate(1, 1, [1, 0]), _candidate(2, 2, [1, 0]), _candidate(4, 1, [1, 0])],
        [0.0, 0.0, 0.0, -1.0],
    )
    assert [c.seq for c in ranked] == [1, 2, 3, 4]
    # equal scores go by seq; 1 is the first of its document, 3 has one better candidate there, 4 has two
    own = [c.features["behind_own"] for c in ranked]
    assert own == pytest.approx([0, 0, math.log(2), math.log(3)])
    # 4 is like the leaders 1 and 2, not like 3: (1 + 1 + 0) / 3; 3 is like none; 1 is compared with 2, 3 and, weight exp(-1), 4
    likeness = like_leaders(ranked, np.array([0.0, 0.0, 0.0, -1.0]))
    w = math.exp(-1)
    assert likeness == pytest.approx([(1 + 0 + w) / (2 + w), (1 + 0 + w) / (2 + w), 0, 2 / 3])


def test_a_document_the_query_cites_is_not_held_back():
    ranked = with_feedback([_candidate(n, 1, [1, 0], in_cited=1.0) for n in range(3)], [3.0, 2.0, 1.0])
    assert [c.features["behind_own"] for c in ranked] == [0, 0, 0]


def test_without_vectors_there_is_no_likeness():
    ranked = with_feedback([Candidate(1, 1), Candidate(2, 2)], [2.0, 1.0])
    assert [c.features["like_leaders"] for c in ranked] == [0, 0]
