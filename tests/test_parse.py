"""The parser's promises: true spans, nothing lost, no false boundary, every trap of domain.md 2.2."""

from __future__ import annotations

import gzip
import json
import random
import time
from itertools import groupby

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kb.marks import heading_data, patterns, scan
from kb.models import DocumentMeta
from kb.parse import owners, parse, segments

META = DocumentMeta("某市数据条例", "shenzhen")


def doc(text: str, title: str = "某市数据条例"):
    return parse(text, DocumentMeta(title, "shenzhen"), doc_id="d")


def labels(document, part: str = "") -> list[str]:
    return [p.label for p in document.provisions if p.part == part and p.kind != "preamble"]


def addresses(document, label: str) -> list[str]:
    return [u.address for p in document.provisions if p.label == label for u in p.units]


def check(document) -> None:
    """Spans are true, units lie inside in order, ids are unique, and the pieces give back the text."""
    position = 0
    for kind, start, end in segments(document):
        assert start == position, (kind, start, position)
        position = end
    assert position == len(document.text)
    for p in document.provisions:
        assert document.text[p.start : p.end] == p.text
        before = p.start
        for u in p.units:
            assert document.text[u.start : u.end] == u.text
            assert before <= u.start <= u.end <= p.end
            before = u.end
    for h in document.headings:
        assert h.title in document.text[h.start : h.end]
    ids = [p.provision_id for p in document.provisions]
    assert len(ids) == len(set(ids))
    assert not [s for s in document.plain if s.kind == "other"]


# --- marks ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("level", "line", "wanted"),
    [
        (e["level"], line, wanted)
        for e in heading_data()
        for key, wanted in (("examples", True), ("near_misses", False))
        for line in e[key]
    ],
)
def test_every_specimen_of_the_heading_table_is_read_as_listed(level, line, wanted):
    assert bool(patterns()[level](line)) is wanted


def test_a_line_gets_the_mark_it_opens_with():
    text = "第一章 总则\n第一条 甲\n一、乙\n（一）丙\n1.丁\n（1）戊\n①己\n附件2\n1.1 庚\n平常文字"
    found = [line.level for line in scan(text)]
    assert found == ["chapter", "article", "p1", "p2", "p3", "p4", "p5", "annex", "decimal", ""]


# --- 编章节条款项目 -------------------------------------------------------------------------------------------------------


def test_paragraphs_and_items_have_citation_addresses():
    text = "第一条 甲。\n第二条 有下列情形之一的，应当报告：\n（一）子；\n（二）丑：\n1.寅；\n2.卯。\n前款所称报告，是指辰。\n第三条 乙。"
    assert addresses(doc(text), "第二条") == [
        "第二条第一款",
        "第二条第一款第一项",
        "第二条第一款第二项",
        "第二条第一款第二项第一目",
        "第二条第一款第二项第二目",
        "第二条第二款",
    ]


def test_items_of_a_single_paragraph_hang_on_the_article():
    assert addresses(doc("第一条 应当：\n（一）甲；\n（二）乙。\n第二条 丙。"), "第一条") == [
        "第一条",
        "第一条第一项",
        "第一条第二项",
    ]


def test_an_item_carries_the_sentence_that_introduces_it():
    document = doc("第一条 应当：\n（一）甲；\n（二）乙。\n第二条 丙。")
    assert document.provisions[0].units[1].lead_in == "应当："


def test_headings_make_the_path_and_sections_end_with_their_chapter():
    text = "第一编 总则\n第一章 甲\n第一节 乙\n第一条 子。\n第二章 丙\n第二条 丑。\n第二编 分则\n第一章 丁\n第三条 寅。"
    assert [p.heading_path for p in doc(text).provisions] == [
        ("第一编 总则", "第一章 甲", "第一节 乙"),
        ("第一编 总则", "第二章 丙"),
        ("第二编 分则", "第一章 丁"),
    ]


def test_inserted_article_keeps_its_own_number():
    document = doc("第二百五十二条 甲。\n第二百五十三条 乙。\n第二百五十三条之一 丙。\n第二百五十四条 丁。")
    assert [p.number for p in document.provisions] == [(252, 0), (253, 0), (253, 1), (254, 0)]


def test_a_heading_title_on_the_next_line_belongs_to_the_heading():
    document = doc("第一章\n总则\n第一条 甲。\n第二章\n附则\n第二条 乙。")
    assert [h.title for h in document.headings] == ["总则", "附则"]
    check(document)


def test_wrapped_citations_do_not_open_articles():
    text = "第一条 甲。\n第二条 违反本条例第一条、\n第三条规定的，依照\n第四条 处罚。\n第三条 丙。\n第四条 丁。"
    assert labels(doc(text)) == ["第一条", "第二条", "第三条", "第四条"]
    assert "第四条 处罚" in doc(text).provisions[1].text


def test_an_article_without_a_space_and_with_an_excluded_first_character_is_found():
    assert labels(doc("第一条为促进流通。\n第二条所有权人应当登记。\n第三条及时公开。")) == [
        "第一条",
        "第二条",
        "第三条",
    ]


def test_a_soft_break_inside_a_paragraph_makes_no_new_paragraph():
    document = doc("第一条 数据，是指以电子方式对信息的记\n录。\n数据处理，包括收集和存储。\n第二条 乙。")
    assert addresses(document, "第一条") == ["第一条第一款", "第一条第二款"]


def test_missing_articles_are_named_and_the_rest_is_kept():
    document = doc("第一条 甲。\n第二条 乙。\n第五条 丙。\n第六条 丁。")
    assert labels(document) == ["第一条", "第二条", "第五条", "第六条"]
    assert any("第3条至第4条" in f.what for f in document.findings)


# --- traps of domain.md 2.2 ------------------------------------------------------------------------------------------------


def test_trap_a_heading_that_lost_its_ordinal_is_no_paragraph_of_the_article_above():
    text = "第四章 市场\n第一节 一般规定\n第六十条 甲。\n市场培育\n第六十一条 乙。\n第三节 交易\n第六十二条 丙。"
    document = doc(text)
    assert document.provisions[0].text == "第六十条 甲。"
    assert [(h.level, h.number, h.title) for h in document.headings][2] == ("section", 2, "市场培育")
    assert document.provisions[1].heading_path == ("第四章 市场", "第二节 市场培育")
    check(document)


def test_a_bare_line_that_fits_no_gap_is_neither_heading_nor_paragraph():
    document = doc("第一章 总则\n第一条 甲。\n预约公开课\n第二条 乙。\n第二章 附则\n第三条 丙。")
    assert [h.title for h in document.headings] == ["总则", "附则"]
    assert document.provisions[0].text == "第一条 甲。"
    check(document)


def test_trap_items_that_lost_their_first_numbers_get_them_back():
    document = doc(
        "第一条 履行下列职责：\n研究规范；\n建立制度，引导企业；\n（三）发布指南；\n（四）其他。\n日常工作由某局承担。\n第二条 乙。"
    )
    assert addresses(document, "第一条") == [
        "第一条第一款",
        "第一条第一款第一项",
        "第一条第一款第二项",
        "第一条第一款第三项",
        "第一条第一款第四项",
        "第一条第二款",
    ]


def test_trap_a_list_without_any_numbers_is_read_by_its_semicolons():
    document = doc("第一条 有下列情形的，应当注销：\n数据灭失；\n主体解散；\n其他情形。\n第二条 乙。")
    assert addresses(document, "第一条") == ["第一条", "第一条第一项", "第一条第二项", "第一条第三项"]


@pytest.mark.parametrize(
    "caption", ["【目的依据】", "（目的与依据）", "【目的依据】\n", "（目的与依据）\n", " 【目的依据】"]
)
def test_trap_an_editors_caption_is_no_paragraph(caption):
    document = doc(f"第一条{caption}为了甲，制定本条例。\n第二条【范围】乙。")
    assert [u.text for u in document.provisions[0].units] == ["为了甲，制定本条例。"]
    assert addresses(document, "第一条") == ["第一条"]


def test_trap_run_in_headings_end_with_the_first_sentence():
    document = doc(
        "一、总体要求\n甲乙丙。\n二、主要任务\n（一）明晰流通规则。支持企业开展流通。\n（二）加强应用。鼓励创新。",
        "某意见",
    )
    assert [p.heading_path for p in document.provisions if p.label == "二、（一）"] == [
        ("二、主要任务", "（一）明晰流通规则")
    ]


def test_trap_numbers_run_on_across_points_in_one_paper():
    text = "一、甲\n（一）子。\n（二）丑。\n二、乙\n（三）寅。\n（四）卯。"
    assert labels(doc(text, "某方案")) == ["一、", "一、（一）", "一、（二）", "二、", "二、（三）", "二、（四）"]


def test_trap_numbers_restart_in_another_paper():
    text = "一、甲\n（一）子。\n（二）丑。\n二、乙\n（一）寅。\n（二）卯。"
    assert labels(doc(text, "某方案")) == ["一、", "一、（一）", "一、（二）", "二、", "二、（一）", "二、（二）"]


def test_trap_a_block_printed_twice_is_indexed_once_and_named():
    block = "一、开展试点工作，形成可复制推广的经验做法和案例。\n二、加强组织领导，建立跨部门的工作机制和保障。\n"
    document = doc(
        f"某部关于试点的通知\n为了试点，通知如下。\n{block}三、做好总结。\n某部\n2025年1月2日\n某部关于试点的通知\n{block}",
        "某部关于试点的通知",
    )
    assert [p.label for p in document.provisions if p.kind == "point"] == ["一、", "二、", "三、"]
    assert any("stands twice" in f.what for f in document.findings)
    check(document)


def test_trap_broken_history_lines_under_the_title_are_no_provision():
    text = "某市数据条例\n（2021年6月29日某市人民代表大会常务委员会第二次会议\n通过 根据2022年1月1日《决定》修正\n第一章 总则\n第一条 甲。\n第二条 乙。"
    document = doc(text)
    assert labels(document) == ["第一条", "第二条"]
    check(document)


def test_trap_spaces_inside_numbers_do_not_hide_marks():
    assert labels(doc("第 一 条 甲。\n第 二 条 乙。")) == ["第一条", "第二条"]


def test_trap_mixed_brackets_are_one_level():
    assert addresses(doc("第一条 应当：\n（一）甲；\n(二)乙；\n（三)丙。\n第二条 丁。"), "第一条")[1:] == [
        "第一条第一项",
        "第一条第二项",
        "第一条第三项",
    ]


# --- outlines, parts, annexes ----------------------------------------------------------------------------------------------


def test_deeper_marks_of_an_outline_get_addresses_as_written():
    document = doc("一、甲\n（一）乙。\n1.丙：\n（1）丁。\n①戊。\n2.己。\n二、庚", "某方案")
    assert addresses(document, "一、（一）") == [
        "一、（一）",
        "一、（一）1.",
        "一、（一）1.（1）",
        "一、（一）1.（1）①",
        "一、（一）2.",
    ]


def test_a_paper_without_top_points_uses_the_bracketed_level():
    assert labels(doc("工作要点\n为了甲，制定本要点。\n（一）乙。\n（二）丙。", "工作要点")) == ["（一）", "（二）"]


def test_decimal_outlines_are_read():
    text = "应急预案\n1总则\n1.1编制目的\n甲。\n1.2编制依据\n乙。\n2.1组织\n丙。\n2.2职责\n丁。"
    assert labels(doc(text, "应急预案")) == ["1", "1.1", "1.2", "2.1", "2.2"]


def test_a_standard_with_dot_leaders_and_spaced_numbers_is_read():
    text = "数据交易规范\n1范围......1\n4. 1公正......2\n1范围\n甲。\n2术语\n乙。\n3总则\n3. 1公正平等\n丙。\n3.2鼓励交易\n应在20个工作日内办理。"
    document = doc(text, "数据交易规范")
    assert labels(document) == ["1", "2", "3", "3.1", "3.2"]
    check(document)


def test_points_marked_by_a_numeral_and_a_space_are_read():
    assert labels(doc("工作要点\n一 夯实基础\n（一）甲。\n二 赋能发展\n（一）乙。", "工作要点")) == [
        "一、",
        "一、（一）",
        "二、",
        "二、（一）",
    ]


def test_contents_are_dropped_as_structure_and_kept_as_text():
    text = "某条例\n目录\n第一章 总则\n第二章 附则\n第一章 总则\n第一条 甲。\n第二章 附则\n第二条 乙。"
    document = doc(text)
    assert [h.title for h in document.headings] == ["总则", "附则"]
    assert "contents" in {s.kind for s in document.plain}
    check(document)


def test_a_notice_and_its_attached_rules_share_a_file():
    text = (
        "某部关于印发《某办法》的通知\n某规〔2025〕1号\n各省、自治区、直辖市：\n现将《某办法》印发给你们，请遵照执行。\n某部\n2025年1月8日\n"
        "某办法\n第一章 总则\n第一条 甲。\n第二条 乙。"
    )
    document = doc(text, "某办法")
    assert [(p.label, p.kind) for p in document.provisions] == [
        ("通知", "preamble"),
        ("第一条", "article"),
        ("第二条", "article"),
    ]
    assert document.provisions[0].text.startswith("各省")
    check(document)


def test_a_notice_with_points_of_its_own_keeps_them_apart_from_the_attachment():
    text = "关于印发某办法的通知\n通知如下：\n一、认真学习。\n二、抓好落实。\n某局\n2025年1月8日\n某办法\n第一条 甲。\n第二条 乙。"
    document = doc(text, "某办法")
    assert labels(document) == ["第一条", "第二条"]
    assert {p.label for p in document.provisions if p.part} >= {"一、", "二、"}
    check(document)


def test_two_rules_in_one_file_have_ids_of_their_own():
    document = doc("甲办法\n第一条 子。\n第二条 丑。\n第三条 寅。\n乙细则\n第一条 卯。\n第二条 辰。", "甲办法")
    assert [p.provision_id for p in document.provisions] == [
        "d/第一条",
        "d/第二条",
        "d/第三条",
        "d/乙细则/第一条",
        "d/乙细则/第二条",
    ]
    check(document)


def test_an_annex_with_points_is_a_part():
    document = doc("第一条 甲。\n第二条 乙。\n附件\n审计指引\n一、丙：\n（一）丁；\n二、戊。", "某办法")
    assert [p.provision_id for p in document.provisions] == [
        "d/第一条",
        "d/第二条",
        "d/附件/一、",
        "d/附件/一、（一）",
        "d/附件/二、",
    ]
    check(document)


def test_an_annex_that_is_a_table_is_one_provision():
    document = doc("一、甲。\n二、乙。\n附件1\n任务分工表\n| 序号 | 任务 |\n| 1 | 登记 |", "某方案")
    assert [(p.label, p.kind) for p in document.provisions][-1] == ("附件1", "annex")
    assert "登记" in document.provisions[-1].text
    check(document)


def test_a_list_of_annexes_before_the_signature_is_no_annex():
    document = doc(
        "一、甲。\n二、乙。\n附件：某方案\n某部\n2025年1月2日\n附件\n某方案\n一、丙。\n二、丁。", "某部关于甲的通知"
    )
    assert labels(document) == ["一、", "二、"]
    assert labels(document, "附件") == ["一、", "二、"]
    check(document)


def test_signatures_are_no_text_of_the_last_point():
    document = doc("某通知\n一、甲。\n二、乙。\n国家数据局\n2025年1月16日", "某通知")
    assert document.provisions[-1].text == "二、乙。"
    assert "signature" in {s.kind for s in document.plain}


def test_glossaries_are_cited_by_term():
    text = "常用名词解释\n" + "\n".join(
        f"{i}.{t}，是指某物。" for i, t in enumerate(["数据", "数据产权", "数据持有权", "数据使用权", "数据经营权"], 1)
    )
    assert labels(doc(text, "常用名词解释"))[2] == "数据持有权"


def test_a_term_defined_without_shizhi_is_no_part_of_the_term_before():
    lines = [
        "1.数据，是指甲。",
        "2.资产，是指乙。",
        "3.登记，是指丙。",
        "4.流通，是指丁。",
        "5.设施，从价值释放的角度出发。",
        "6.调度，本质是计算。",
    ]
    assert labels(doc("\n".join(["常用名词", *lines]), "常用名词")) == ["数据", "资产", "登记", "流通", "设施", "调度"]


def test_a_glossary_with_definitions_in_the_next_line_is_read():
    text = "名词解释\n" + "\n".join(f"{i}. {t}\n是指某物。" for i, t in enumerate(["数据", "资产", "登记"], 1))
    assert labels(doc(text, "名词解释")) == ["数据", "资产", "登记"]


def test_owner_notes_name_the_lead_first():
    assert owners("支持甲。（财政部、商务部牵头，海关总署按职责分工负责）") == ("财政部", "商务部", "海关总署")
    assert owners("推进乙。（农业农村部、商务部按职责分工负责）") == ("农业农村部", "商务部")
    assert owners("没有注明。") == ()


def test_text_without_numbers_is_split_into_paragraphs():
    assert labels(doc("规划\n甲乙丙丁。\n戊己庚辛。", "规划")) == ["第一段", "第二段"]


@pytest.mark.parametrize(
    "text", ["", "\n", "第一条", "第一条\n第二条", "一、", "（一）\n（二）", "附件", "附件1\n附件2", "第一章", "# \n##"]
)
def test_degenerate_texts_yield_a_document(text):
    check(doc(text))


# --- property tests --------------------------------------------------------------------------------------------------------

_PIECES = [
    "第一条 甲。",
    "第二条 乙：",
    "第三条之一 丙，",
    "第三条规定的",
    "第一章 总则",
    "第二节",
    "目录",
    "一、子",
    "二、丑。",
    "（一）寅；",
    "(二)卯。",
    "1.辰",
    "2、巳。",
    "（1）午",
    "①未",
    "附件1",
    "附件：",
    "附录",
    "某办法",
    "2025年1月8日",
    "国家数据局",
    "",
    "　",
    "各省：",
    "现印发给你们。",
    "市场培育",
    "【目的】",
    "| a | b |",
    "“第五条 引文。”",
    "第二部分 甲",
    "1.1 概述",
    "1.2 方法",
    "#",
    "第四条",
    "第九十九条 跳号。",
    "十、越级。",
]


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(_PIECES), max_size=40), st.sampled_from(["\n", "\n\n", "\n　　"]))
def test_no_mixture_of_headings_breaks_the_promise(pieces, newline):
    check(parse(newline.join(pieces), META, doc_id="d"))


@settings(max_examples=150, deadline=None)
@given(
    st.text(alphabet="第一二十条章节款项、（）()0123456789.．。；：\n 　附件甲乙目录①《》【】|#年月日", max_size=300)
)
def test_no_character_soup_breaks_the_promise(text):
    check(parse(text, META, doc_id="d"))


# --- real texts ------------------------------------------------------------------------------------------------------------


def _laws(shared):
    for name in ("statutes-national.jsonl.gz", "statutes-local.jsonl.gz"):
        with gzip.open(shared / "bench" / name, "rt", encoding="utf-8") as lines:
            yield from (
                list(rows) for _, rows in groupby(map(json.loads, lines), key=lambda row: (row["law"], row["date"]))
            )


@pytest.mark.parametrize("separator", [" ", ""])
def test_no_false_boundary_in_statutes_wrapped_at_28_characters(shared, separator):
    sample = random.Random(7).sample(
        [rows for rows in _laws(shared) if 5 <= len(rows) <= 150 and rows[0]["article"] == "第一条"], 120
    )
    for rows in sample:
        lines = [rows[0]["law"]]
        for row in rows:
            for paragraph in f"{row['article']}{separator}{row['text']}".split("\n"):
                lines += [paragraph[i : i + 28] for i in range(0, len(paragraph), 28)]
        document = parse("\n".join(lines), META, doc_id="d")
        got = [p.label for p in document.provisions if p.kind == "article"]
        assert got == [row["article"] for row in rows], rows[0]["law"]


def test_every_reference_text_keeps_the_promise(shared_corpus):
    from kb.clean import clean_text

    for path in sorted(shared_corpus.glob("*/*.md")):
        if path.parent.name != "originals":
            check(parse(clean_text(path.read_text(encoding="utf-8")), META, doc_id="d"))


@pytest.mark.parametrize(
    "unit",
    [
        "第一条 甲。\n第二条 乙。\n",
        "附件\n甲\n",
        "第二条 甲。\n第九条 乙。\n",
        "（一）甲；\n（二）乙；\n",
        "1.1 甲\n1.2 乙\n",
        "目录\n甲\n",
        "《",
    ],
)
def test_hostile_repetition_is_read_in_linear_time(unit):
    def seconds(times: int) -> float:
        text = unit * times
        started = time.process_time()
        parse(text, META, doc_id="d")
        return time.process_time() - started

    seconds(500)
    assert seconds(6000) < 24 * max(seconds(1000), 0.01)


def _mutated(text: str, rng: random.Random) -> str:
    """A real text as a bad copy would give it: lines lost, doubled, joined, cut, marks and spaces changed."""
    lines = text.split("\n")
    for _ in range(rng.randint(1, 8)):
        i = rng.randrange(len(lines))
        kind = rng.randrange(7)
        if kind == 0:
            del lines[i : i + rng.randint(1, 5)]
        elif kind == 1:
            lines[i:i] = lines[max(0, i - 3) : i]
        elif kind == 2:
            lines[i] = lines[i] + (lines.pop(i + 1) if i + 1 < len(lines) else "")
        elif kind == 3:
            cut = rng.randint(0, len(lines[i]))
            lines[i : i + 1] = [lines[i][:cut], lines[i][cut:]]
        elif kind == 4:
            lines[i] = lines[i].replace("（", "(").replace("第", "第 ")
        elif kind == 5:
            lines[i] = "".join(rng.sample(lines[i], len(lines[i])))
        else:
            lines[i:i] = rng.sample(_PIECES, 3)
        lines = lines or [""]
    return "\n".join(lines)


def test_no_mutation_of_real_texts_breaks_the_promise(shared_corpus):
    from kb.cite import TitleIndex, local_aliases, parse_citations
    from kb.metadata import extract_metadata

    rng = random.Random(11)
    texts = [
        path.read_text(encoding="utf-8")
        for path in sorted(shared_corpus.glob("*/*.md"))
        if path.parent.name != "originals"
    ]
    titles = TitleIndex([])
    for _ in range(400):
        text = _mutated(rng.choice(texts)[:6000], rng)
        meta, _ = extract_metadata(text, path_level="national")
        document = parse(text, meta, doc_id="d")
        check(document)
        local_aliases(text)
        for provision in rng.sample(document.provisions, min(3, len(document.provisions))):
            for citation in parse_citations(provision.text, titles, provision):
                assert provision.text[slice(*citation.span)]
