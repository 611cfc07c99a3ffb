"""Citations in queries and statutes: what is meant, or the reason why that cannot be said."""

from __future__ import annotations

import time

import pytest

from kb.cite import TitleEntry, TitleIndex, local_aliases, parse_citations, parse_query, resolve
from kb.docnos import canonical_maker, find_numbers, number_keys
from kb.graph import build_graph, cited_but_missing, reverse_index
from kb.models import DocumentMeta
from kb.numerals import article_label
from kb.parse import parse


def articles(n: int) -> frozenset[str]:
    return frozenset(article_label(i) for i in range(1, n + 1))


ENTRIES = (
    TitleEntry("csl", "中华人民共和国网络安全法", level="national", labels=articles(81)),
    TitleEntry("dsl", "中华人民共和国数据安全法", level="national", labels=articles(55)),
    TitleEntry("pipl", "中华人民共和国个人信息保护法", level="national", labels=articles(74)),
    TitleEntry("ndr", "网络数据安全管理条例", doc_no="国务院令第790号", level="national", labels=articles(64)),
    TitleEntry(
        "reg", "公共数据资源登记管理暂行办法", doc_no="发改数据规〔2025〕26号", level="national", labels=articles(24)
    ),
    TitleEntry(
        "reg-draft", "公共数据资源登记管理暂行办法（公开征求意见稿）", level="national", draft=True, labels=articles(27)
    ),
    TitleEntry(
        "price",
        "国家发展改革委 国家数据局关于建立公共数据资源授权运营价格形成机制的通知",
        doc_no="发改价格〔2025〕65号",
        level="national",
    ),
    TitleEntry(
        "twenty",
        "中共中央 国务院关于构建数据基础制度更好发挥数据要素作用的意见",
        level="national",
        labels=frozenset({"一、", "五、（十六）"}),
    ),
    TitleEntry(
        "flow",
        "促进和规范数据跨境流动规定",
        doc_no="国家互联网信息办公室令第16号",
        level="national",
        labels=articles(14),
    ),
    TitleEntry("sz", "深圳经济特区数据条例", level="shenzhen", labels=articles(100)),
    TitleEntry("sh", "上海市数据条例", level="peers", labels=articles(91)),
    TitleEntry("car", "深圳经济特区智能网联汽车管理条例", level="shenzhen", labels=articles(64)),
    TitleEntry("stat", "广东省统计条例", level="guangdong", labels=articles(29)),
    TitleEntry("credit", "浙江省公共信用信息管理条例", level="peers", labels=articles(36)),
)
TITLES = TitleIndex(ENTRIES)


def found(query: str) -> list[tuple[str, str]]:
    return [(c.doc_id, c.label) for c in parse_query(query, TITLES)]


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("个人信息保护法第三十八条第一款", [("pipl", "第三十八条")]),
        ("个保法55条 哪些情形要事前评估", [("pipl", "第五十五条")]),
        ("网安法第21条", [("csl", "第二十一条")]),
        ("网数条例33条", [("ndr", "第三十三条")]),
        ("《数据安全法》第三十条", [("dsl", "第三十条")]),
        ("数据条例第一百条 什么时候施行", [("sz", "第一百条")]),
        ("深圳条例第86条泄露告知报告", [("sz", "第八十六条")]),
        ("上海数据条例第五条", [("sh", "第五条")]),
        ("上海市数据条例第5条", [("sh", "第五条")]),
        ("特区数据条例第七十四条", [("sz", "第七十四条")]),
        ("登记办法第七条", [("reg", "第七条")]),
        ("网数条例55", [("ndr", "第五十五条")]),
        ("个保法 38 出境", [("pipl", "第三十八条")]),
        ("数安法21第三款", [("dsl", "第二十一条")]),
        ("网络安全法 2017", [("csl", "")]),
        ("个保法三十八条", [("pipl", "第三十八条")]),
        ("公共数据资源登记管理办法第七条", [("reg", "第七条")]),
        ("数据二十条", [("twenty", "")]),
        ("数据20条第十六条", [("twenty", "五、（十六）")]),
        ("第三十八条 个人信息保护法", [("pipl", "第三十八条")]),
        ("个人信息保护法第38条和数据安全法第30条", [("pipl", "第三十八条"), ("dsl", "第三十条")]),
        ("网数条例第二十一条至第二十三条", [("ndr", "第二十一条"), ("ndr", "第二十二条"), ("ndr", "第二十三条")]),
        ("智能网连汽车条例37条", [("car", "第三十七条")]),
        ("广东省统计条列第二十二条", [("stat", "第二十二条")]),
        ("浙江信用条例的异议处理", [("credit", "")]),
        ("发改数据规〔2025〕26号第七条", [("reg", "第七条")]),
    ],
)
def test_a_query_names_its_articles(query, wanted):
    assert found(query) == wanted


@pytest.mark.parametrize(
    "query",
    [
        "发改价格〔2025〕65号",
        "发改价格[2025]65号",
        "发改价格(2025)65号",
        "发改价格（2025）65号",
        "发改价格【2025】65号",
        "发改价格﹝2025﹞065号",
        "发改价格 2025 65 号",
        "发改价格2025年65号",
        "发改价格 2025 65",
        "按照发改价格〔2025〕第65号",
    ],
)
def test_a_document_number_is_found_in_every_bracket_style_and_without(query):
    assert found(query)[0] == ("price", "")


@pytest.mark.parametrize(
    "query",
    ["网信办令16号 哪些情形免申报", "国家互联网信息办公室令第16号", "国信办令第十六号", "国家网信办令（第16号）"],
)
def test_a_decree_is_found_under_every_name_of_its_maker(query):
    assert found(query)[0] == ("flow", "")


@pytest.mark.parametrize(
    "query",
    [
        "小区进门只许刷脸 不给别的办法 合规吗",
        "国家法律法规的对应条款",
        "删除技术上做不到怎么办",
        "2025年数据安全产业规模目标多少亿",
        "住院病历保存多少年",
        "借款人还不上款怎么办",
        "深圳数据交易规模 2025 12 月",
    ],
)
def test_everyday_words_are_no_citation(query):
    assert found(query) == []


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("《数据产权法》第三条", "not_in_library"),
        ("第三条", "no_title"),
        ("网安法第九百条", "no_such_article"),
        ("北京市数据条例第三条", "not_in_library"),
    ],
)
def test_what_cannot_be_resolved_says_why(query, reason):
    citation = parse_query(query, TITLES)[0]
    assert (citation.resolved, citation.reason) == (False, reason)


def test_paragraph_item_and_subitem_are_read():
    citation = parse_query("网安法第二十一条第二款第（三）项第一目", TITLES)[0]
    assert (citation.paragraph, citation.item, citation.subitem) == (2, 3, 1)
    assert parse_query("数安法21条3款", TITLES)[0].paragraph == 3


def test_a_query_that_says_draft_gets_the_draft_first():
    assert parse_query("公共数据资源登记管理暂行办法（公开征求意见稿）第五条", TITLES)[0].doc_id == "reg-draft"
    assert parse_query("公共数据资源登记管理暂行办法第五条", TITLES)[0].doc_id == "reg"


def test_a_query_is_read_in_two_milliseconds_among_a_thousand_titles():
    titles = TitleIndex(
        (*ENTRIES, *(TitleEntry(f"x{i}", f"某省第{i}号公共数据资源管理办法", level="peers") for i in range(1000)))
    )
    queries = [
        "智能网连汽车条例37条",
        "个保法55条 哪些情形要事前评估",
        "小区进门只许刷脸 不给别的办法 合规吗",
        "发改价格 2025 65 号",
    ] * 5
    times = []
    for query in queries:
        start = time.perf_counter()
        parse_query(query, titles)
        times.append(time.perf_counter() - start)
    assert sorted(times)[len(times) // 2] < 0.002


# --- statutes --------------------------------------------------------------------------------------------------------------

TEXT = (
    "某条例\n第一条 根据《中华人民共和国网络安全法》《中华人民共和国数据安全法》（以下简称数据法）等法律，制定本条例。\n"
    "第二条 甲。\n乙。\n前款所称乙，依照数据法第三十条执行。\n前两款规定的丙，适用前条。\n"
    "第三条 有下列情形的：\n（一）子；\n（二）丑；前项的寅除外。\n违反本条例第二条第一款和第二款、第三条的规定，依照国家有关规定处理。\n"
    "第四条 违反第一条、第二条至第三条规定的，适用同法。\n具体管理办法由市人民政府另行制定。"
)
DOC = parse(TEXT, DocumentMeta("某条例", "shenzhen"), doc_id="own")
BOTH = TitleIndex((*ENTRIES, TitleEntry("own", "某条例", level="shenzhen", labels=articles(4))))


def cites(label: str):
    provision = next(p for p in DOC.provisions if p.label == label)
    return parse_citations(provision.text, BOTH, provision, aliases=local_aliases(DOC.text))


def test_short_names_defined_in_the_text_are_known_in_every_article():
    assert local_aliases(DOC.text) == {"数据法": "中华人民共和国数据安全法"}
    assert ("dsl", "第三十条") in [(c.doc_id, c.label) for c in cites("第二条")]


def test_relative_paragraphs_count_back_from_where_they_stand():
    relative = [(c.text, c.label, c.paragraph) for c in cites("第二条") if c.how == "relative"]
    assert relative == [
        ("前款", "第二条", 2),
        ("前两款", "第二条", 2),
        ("前两款", "第二条", 3),
        ("前条", "第一条", None),
    ]


def test_an_earlier_item_is_found_from_inside_the_list():
    assert [(c.paragraph, c.item) for c in cites("第三条") if c.text == "前项"] == [(1, 1)]


def test_items_of_an_earlier_paragraph_are_found_there():
    text = "第一条 符合下列情形的：\n（一）甲；\n（二）乙；\n（三）丙。\n有前款第一项、第三项规定情形的，适用前款第一项至第二项。\n第二条 丁。"
    provision = parse(text, DocumentMeta("某条例", "shenzhen"), doc_id="own").provisions[0]
    places = [(c.paragraph, c.item) for c in parse_citations(provision.text, BOTH, provision)]
    assert places == [(1, 1), (1, 3), (1, 1), (1, 2)]


def test_lists_of_paragraphs_keep_their_article():
    own = [(c.label, c.paragraph) for c in cites("第三条") if c.how == "self"]
    assert own == [("第二条", 1), ("第二条", 2), ("第三条", None)]


def test_vague_references_stay_dangling():
    assert [c.reason for c in cites("第三条") if c.kind == "dangling"] == ["no_instrument_named"]


def test_the_stress_case_of_network_data_article_55():
    text = "违反第十二条、第十六条至第二十条、第二十二条、第四十条第一款和第二款、第四十一条、第四十二条规定的"
    context = parse(
        f"第一条 甲。\n第二条 {text}。", DocumentMeta("网络数据安全管理条例", "national"), doc_id="ndr"
    ).provisions[1]
    found_labels = [(c.label, c.paragraph) for c in parse_citations(text, TITLES, context)]
    assert found_labels == [
        ("第十二条", None),
        ("第十六条", None),
        ("第十七条", None),
        ("第十八条", None),
        ("第十九条", None),
        ("第二十条", None),
        ("第二十二条", None),
        ("第四十条", 1),
        ("第四十条", 2),
        ("第四十一条", None),
        ("第四十二条", None),
    ]


def test_words_that_only_look_like_relative_forms_are_none():
    text = "符合以前条件、目前项目和基本条件的，按照本条例、本项目和本节目的前款项执行。"
    assert [c.text for c in parse_citations(text, BOTH, DOC.provisions[0]) if c.how == "relative"] == []


def test_the_first_paragraph_has_no_paragraph_before_it():
    context = parse("第一条 前款规定的甲。\n第二条 乙。", DocumentMeta("某条例", "national"), doc_id="own").provisions[
        0
    ]
    assert parse_citations(context.text, BOTH, context)[0].reason == "no_paragraph_before"


def test_a_quoted_title_never_becomes_another_instrument():
    context = DOC.provisions[0]
    for title in ("《中华人民共和国国家安全法》", "《统计条例》", "《数据条例》", "《广东省统计管理条例》"):
        assert [c.reason for c in parse_citations(f"根据{title}，", BOTH, context) if c.kind == "document"] == [
            "not_in_library"
        ], title


def test_resolve_returns_the_unit_or_the_reason():
    documents = {"own": DOC}
    paragraph = parse_query("某条例第二条第二款", BOTH)[0]
    provision, unit, reason = resolve(paragraph, documents)
    assert (provision.label, unit.text, reason) == ("第二条", "乙。", "")
    assert resolve(parse_query("某条例第二条第九款", BOTH)[0], documents)[2] == "no_such_paragraph"


def test_the_graph_has_basis_citation_delegation_and_a_reverse_index():
    edges = build_graph([DOC], BOTH)
    assert {e.kind for e in edges} >= {"basis", "citation", "delegation", "dangling"}
    assert {e.source for e in reverse_index(edges)["own/第二条"]} >= {"own/第二条", "own/第三条", "own/第四条"}
    assert [e.title for e in edges if e.kind == "delegation"] == ["市人民政府"]


def test_missing_instruments_are_counted_by_citing_documents():
    one = parse("第一条 根据《甲法》制定。\n第二条 《甲法》《乙法》。", DocumentMeta("子", "national"), doc_id="a")
    two = parse("第一条 根据《甲法》制定。\n第二条 丙。", DocumentMeta("丑", "national"), doc_id="b")
    assert cited_but_missing(build_graph([one, two])) == [("甲法", 2), ("乙法", 1)]


def test_numbers_have_one_key_in_every_spelling():
    assert number_keys("发改数据规〔2025〕26号") == number_keys("发改数据规（2025）026 号")
    assert canonical_maker("国家网信办") == canonical_maker("国家互联网信息办公室等四部门")
    assert [n.text for n in find_numbers("根据《甲》（财资〔2023〕141号）等", loose=False)] == ["财资〔2023〕141号"]


@pytest.mark.parametrize(
    "query",
    ["", "《", "》第", "第零条", "第99999999条", "〔2025〕号", "令第号", "第条第款第项", "法" * 300, "第一条至" * 200],
)
def test_hostile_queries_are_read_without_error(query):
    parse_query(query, TITLES)
    parse_citations(query, TITLES, DOC.provisions[0])


def test_every_place_cited_inside_a_reference_text_exists_there(shared_corpus):
    from kb.corpus import load

    documents = {d.doc_id: d for d in load(shared_corpus).documents}
    titles = TitleIndex.from_documents(documents.values())
    own, missing = 0, []
    for document in documents.values():
        aliases = local_aliases(document.text)
        for provision in document.provisions:
            for citation in parse_citations(provision.text, titles, provision, aliases=aliases):
                if citation.kind == "article" and citation.how in ("self", "relative"):
                    own += 1
                    if not citation.resolved or resolve(citation, documents)[2]:
                        missing.append((provision.provision_id, citation.text))
    assert own > 300
    assert missing == []
