"""Filters, validity, honesty and hostile queries, on real texts."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from kb.models import LEVELS
from kb.search import NOT_IN_FORCE, Filters, Parts, search

HOSTILE = [
    "",
    "   ",
    "。，、！？",
    "数据" * 5000,
    "'; DROP TABLE documents; --",
    "<script>alert(1)</script>",
    "title:(数据 AND",
    "*",
    '"',
    "AND OR NOT",
    "１２３ＡＢＣ　数据",
    "個人信息保護法",
    "\ud800数据",
    "数据\x00安全",
    "😀",
    "第条款项",
    "《《《》",
    "a" * 10000,
]


@pytest.mark.parametrize("query", HOSTILE, ids=range(len(HOSTILE)))
def test_any_query_gives_hits_or_a_clear_message(lexical_library, query):
    result = search(lexical_library, query)
    assert result.hits or result.message


@pytest.mark.parametrize("level", LEVELS)
def test_every_hit_satisfies_the_level_and_k_hits_come(lexical_library, level):
    result = search(lexical_library, "数据 安全 管理", Filters(level=level), top=20, ignore=("wording",))
    hits = result.hits
    assert len(hits) == 20
    assert {h.level for h in hits} == {level}


def test_title_filter_is_applied_before_the_top_k(lexical_library):
    result = search(lexical_library, "应当 数据", Filters(title="政务数据共享条例"), top=15)
    hits = result.hits
    assert len(hits) == 15
    assert {h.title for h in hits} == {"政务数据共享条例"}


def test_filters_that_nothing_satisfies_say_so(lexical_library):
    result = search(lexical_library, "数据", Filters(title="没有这份文件"))
    assert not result.found
    assert "筛选" in result.message or "未找到" in result.message


def test_a_text_not_in_force_is_never_first_while_one_in_force_answers(lexical_library):
    for query in ("公共数据资源登记申请", "企业数据资源开发利用", "可信数据空间建设", "授权运营协议"):
        hits = search(lexical_library, query, top=10).hits
        assert hits[0].status not in NOT_IN_FORCE, query


def test_drafts_are_shown_with_their_status_not_hidden(lexical_library):
    hits = search(lexical_library, "公共数据资源登记 征求意见稿 登记机构", top=20).hits
    assert "draft" in {h.status for h in hits}


def test_the_citation_names_title_number_and_place(lexical_library):
    hit = search(lexical_library, "公共数据资源登记管理暂行办法第九条", top=1).hits[0]
    assert hit.citation == "《公共数据资源登记管理暂行办法》（发改数据规〔2025〕26号）第九条"


def test_best_sentence_stands_in_the_text(lexical_library):
    for hit in search(lexical_library, "重要数据的风险评估报告", top=10).hits:
        assert hit.best_sentence in hit.text


def test_the_same_query_gives_the_same_order(lexical_library):
    first = [h.provision_id for h in search(lexical_library, "公共数据开放收费", top=20).hits]
    assert first == [h.provision_id for h in search(lexical_library, "公共数据开放收费", top=20).hits]


def test_exact_evidence_can_be_switched_off_to_see_its_worth(lexical_library):
    hits = search(lexical_library, "数据安全法第三十条", top=5, parts=Parts(exact=False)).hits
    assert not any(h.pinned for h in hits)


def test_ranks_count_from_one(lexical_library):
    assert [h.rank for h in search(lexical_library, "个人信息 删除", top=5).hits] == [1, 2, 3, 4, 5]


def test_a_plain_question_is_answered_without_vectors(lexical_library):
    assert search(lexical_library, "重要数据的处理者多久开展一次风险评估").found


def test_a_question_of_another_world_is_not_answered(lexical_library):
    assert not search(lexical_library, "红烧肉怎么炖才软烂").found


def test_a_query_in_traditional_characters_finds_what_the_simplified_one_finds(lexical_library):
    typed = search(lexical_library, "網絡數據處理者應當多久開展一次風險評估", top=5).hits
    plain = search(lexical_library, "网络数据处理者应当多久开展一次风险评估", top=5).hits
    assert [h.provision_id for h in typed] == [h.provision_id for h in plain]


def test_full_width_signs_change_nothing(lexical_library):
    wide = search(lexical_library, "个人信息　１４周岁", top=5).hits
    assert [h.provision_id for h in wide] == [
        h.provision_id for h in search(lexical_library, "个人信息 14周岁", top=5).hits
    ]


def test_several_users_at_once_get_what_one_alone_gets(lexical_library):
    queries = ["重要数据风险评估", "个保法第三十八条", "刷脸要不要同意", "公共数据授权运营收益", "深圳数据交易场所"] * 4
    alone = [[h.provision_id for h in search(lexical_library, q).hits] for q in queries]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda q: [h.provision_id for h in search(lexical_library, q).hits], queries))
    assert together == alone


def test_a_place_named_in_the_query_comes_first(lexical_library):
    assert "甘肃" in search(lexical_library, "甘肃各部门在数据工作里怎么分工").hits[0].title


def test_a_place_the_library_does_not_hold_is_not_answered_from_elsewhere(lexical_library):
    assert not search(lexical_library, "青海省公共数据怎么开放").found


def test_hits_say_what_their_rank_rests_on(lexical_library):
    hit = search(lexical_library, "重要数据风险评估多久一次").hits[0]
    assert hit.parts["coverage"] > 0
    assert hit.reason


def test_whether_a_text_has_a_rule_shows_the_nearest_of_it_and_of_the_others_in_turn(lexical_library):
    asked = search(lexical_library, "深圳经济特区数据条例有没有规定公共数据授权运营", top=6).hits
    own = [h.title == "深圳经济特区数据条例" for h in asked]
    assert own == [True, False, True, False, True, False]


def test_a_look_across_places_shows_more_documents(lexical_library):
    query = "公共数据开放 各地怎么规定"
    plain = search(lexical_library, query, top=10, ignore=["intent:across"]).hits
    across = search(lexical_library, query, top=10).hits
    assert len({h.title for h in across}) > len({h.title for h in plain})


def test_a_comparison_of_two_terms_is_not_told_apart_by_levels(lexical_library):
    query = "数据持有权、使用权、经营权有什么区别"
    plain = search(lexical_library, query, ignore=["intent:comparison"]).hits
    assert [h.provision_id for h in search(lexical_library, query).hits] == [h.provision_id for h in plain]


def test_the_leader_of_the_first_ranking_keeps_its_place(lexical_library):
    for query in ("公共数据授权运营的收益怎么分配", "重要数据目录由谁制定", "数据安全事件多久内报告"):
        first = search(lexical_library, query, parts=Parts(feedback=False)).hits[0]
        assert search(lexical_library, query).hits[0].provision_id == first.provision_id
