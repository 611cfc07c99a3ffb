"""What is read out of a query, and that every reading can be switched off."""

from __future__ import annotations

import pytest

from kb.query import MAX_QUERY_CHARS, everyday_table, understand


@pytest.mark.parametrize(
    ("query", "level"),
    [("深圳有没有数据开放的规定", "shenzhen"), ("广东对公共数据怎么管", "guangdong"), ("国家层面怎么规定", "national")],
)
def test_places_in_words_are_levels(query, level):
    assert understand(query).places == (level,)


def test_a_year_with_since_is_a_date():
    assert understand("2024年以来的数据跨境文件").of("since")[0].means == ("2024-01-01",)


def test_a_plain_year_is_no_date():
    assert not understand("2025年产业规模目标").of("since")


@pytest.mark.parametrize(
    ("query", "intent"),
    [
        ("数据商是什么", "definition"),
        ("日志留存多久", "amount"),
        ("泄露个人信息罚多少", "liability"),
        ("争议由谁裁决", "responsibility"),
        ("国家规定与深圳条例对照", "comparison"),
        ("首席数据官各地怎么设", "across"),
        ("深圳条例有没有规定授权运营", "presence"),
        ("容灾备份 深圳有没有", "presence"),
    ],
)
def test_intent_is_read_from_the_question(query, intent):
    assert intent in understand(query).intents


def test_a_question_about_life_is_no_question_about_presence():
    assert "presence" not in understand("机房用电太贵有没有办法省").intents


def test_everyday_words_add_statutory_wording():
    assert "人脸识别" in understand("门禁刷脸合规吗").added_words


def test_wording_that_is_already_there_is_not_added():
    assert "人脸识别" not in understand("人脸识别就是刷脸").added_words


@pytest.mark.parametrize(("said", "other"), [("一千万人", "1000万"), ("1000万人", "一千万"), ("14周岁", "十四")])
def test_numbers_are_also_searched_in_their_other_writing(said, other):
    assert other in understand(f"处理{said}信息").added_words


def test_a_reading_can_be_switched_off():
    query = "深圳刷脸"
    keys = {r.key for r in understand(query).readings}
    assert understand(query, ignore=keys).readings == ()


def test_long_queries_are_shortened_not_refused():
    assert len(understand("数据" * 9000).text) == MAX_QUERY_CHARS


def test_no_everyday_word_stands_in_two_rows():
    said = [s for says, _ in everyday_table() for s in says]
    assert len(said) == len(set(said)), sorted({s for s in said if said.count(s) > 1})


@pytest.mark.parametrize(
    ("query", "regions"),
    [
        ("湖南的数据交易规则", ("湖南",)),
        ("收益怎么分 沪粤川对比", ("广东", "上海", "四川")),
        ("长三角数据协同", ("上海", "江苏", "浙江", "安徽")),
        ("欧盟数据保护条例", ("欧盟",)),
        ("数据安全法深入实施", ()),
    ],
)
def test_places_named_in_full_or_in_short_are_read(query, regions):
    assert set(understand(query).regions) == set(regions)


def test_a_place_of_another_country_is_no_level_of_the_library():
    assert understand("美国数据法").places == ()


def test_traditional_characters_are_read_as_simplified_ones():
    assert understand("個人資料的刪除").text == "个人资料的删除"


@pytest.mark.parametrize(
    ("query", "intent"),
    [
        ("登记主体指谁", "definition"),
        ("采购额几倍", "amount"),
        ("外包商要不要担责", "liability"),
        ("交易规则由哪个部门牵头", "responsibility"),
    ],
)
def test_intent_is_read_from_spoken_questions_as_well(query, intent):
    assert intent in understand(query).intents


def test_terms_of_a_list_share_their_head():
    query = understand("数据持有权、使用权和经营权怎么登记")
    assert query.added_words[:2] == ("数据使用权", "数据经营权")
    assert [r.said for r in query.of("wording")][:2] == ["使用权", "经营权"]


def test_only_terms_of_the_dictionary_are_completed():
    assert not understand("数据安全、天气预报").of("wording")


@pytest.mark.parametrize(
    ("query", "levels"),
    [
        ("持有权和使用权有什么区别", False),
        ("深圳的开放和共享有什么区别", False),
        ("重要数据目录 国家与深圳对照", True),
        ("数据登记 上海北京对比", True),
        ("收益分配 各地对照", True),
    ],
)
def test_a_comparison_of_terms_is_none_of_levels(query, levels):
    assert understand(query).compares_levels is levels
