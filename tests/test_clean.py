"""Cleaning: each step does one thing, keeps what it must keep, and the page map survives all of them."""

from __future__ import annotations

import re

import pytest

from kb.clean import STEPS, chrome_data, clean_pages, clean_text
from kb.models import Page


def test_an_unknown_step_names_the_valid_ones():
    with pytest.raises(ValueError, match="soft_breaks"):
        clean_text("甲", steps=["polish"])


@pytest.mark.parametrize(
    ("step", "before", "after"),
    [
        ("newlines", "甲\r\n乙\r丙\u2028丁\x0c戊", "甲\n乙\n丙\n丁\n戊"),
        ("characters", "⼴东省⼈⺠政府第3⻚", "广东省人民政府第3页"),
        ("characters", "①㈠〔2025〕ＡＢ", "①㈠〔2025〕ＡＢ"),
        ("invisible", "数\u200b据\ufeff安\u00ad全\x00", "数据安全"),
        ("spaces", "\u3000\u3000第一条\u3000为了\u00a0规范 \n 乙", "第一条\u3000为了 规范\n乙"),
        ("letter_spacing", "数 据 安 全 法", "数据安全法"),
        ("letter_spacing", "第 一 章　总 则", "第一章 总则"),
        ("letter_spacing", "第 十 二 条 使用资金的", "第十二条 使用资金的"),
        ("letter_spacing", "第一章总则", "第一章 总则"),
        ("letter_spacing", "广州 市第 十六 届人 民代 表大 会", "广州市第十六届人民代表大会"),
        (
            "letter_spacing",
            "国家发展改革委 国家数据局 财政部 教育部 科技部",
            "国家发展改革委 国家数据局 财政部 教育部 科技部",
        ),
        ("letter_spacing", "第二章规定的措施", "第二章规定的措施"),
        (
            "number_spacing",
            "自 2025 年 3 月 1 日起 20 个工作日内，〔2025〕 50 号",
            "自2025年3月1日起 20个工作日内，〔2025〕50号",
        ),
        ("number_spacing", "附表 1 2 3", "附表 1 2 3"),
        ("scan_errors", "（-）加强管理\n第-条 甲\n2O25年1月l日", "（一）加强管理\n第一条 甲\n2025年1月1日"),
        ("scan_errors", "第干条规定，若干条款", "第千条规定，若干条款"),
        ("soft_breaks", "短行\n又一短行", "短行\n又一短行"),
        ("blank_lines", "\n\n甲\n\n\n\n乙\n", "甲\n\n乙"),
    ],
)
def test_a_step_does_what_its_name_says(step, before, after):
    assert STEPS[step](before) == after


@pytest.mark.parametrize("place", ["anywhere", "edges"])
def test_page_frame_patterns_match_their_examples_and_nothing_else(place):
    for entry in chrome_data()[place]:
        pattern = re.compile(entry["pattern"])
        assert [e for e in entry["examples"] if not pattern.fullmatch(e)] == [], entry["pattern"]
        assert [e for e in entry["near_misses"] if pattern.fullmatch(e)] == [], entry["pattern"]


WRAPPED = """第一条 为了规范和促进本市样例数据的流通交易和产业发展以及安全保
障等活动，加快形成新的动力，推动经济社会高质量发展，根据有关法
律，结合本市实际，制定本条例。
第二条 本市建立样例数据目录管理制度，完善标准规范，推动标准规范统
一、样例数据安全可信流通和算力资源合作发展以及数据市场一体化建设
等方面的工作。
第三条 依照本条例第二条、
第三条规定处理的，适用前款规定；有下列情形之一的，应当向主管部门报
告：
（一）发生样例数据泄露、毁损或者丢失的情形并且可能危害国家安全的；
（二）其他情形。
第四条 本条例自公布之日起施行，由样例数据主管部门负责解释并且组织实
施。"""


def test_lines_broken_by_width_are_joined_without_a_space():
    text = STEPS["soft_breaks"](WRAPPED)
    assert "安全保障等活动" in text and "标准规范统一、样例数据" in text and "组织实施。" in text
    assert [line[:3] for line in text.split("\n") if re.match("第.条 ", line)] == [
        "第一条",
        "第二条",
        "第三条",
        "第四条",
    ]
    assert "报告：\n（一）发生" in text


def test_paragraph_lines_are_never_joined():
    text = "样例市人民政府\n样例市数据局\n2025年3月1日\n附件\n样例办法\n" + "第一条 甲应当登记。\n" * 9
    assert STEPS["soft_breaks"](text) == text


def test_page_numbers_and_print_headers_go_and_numbers_in_the_text_stay():
    pages = [
        f"样例办法全文\n第{n}条 应当公开的，及时公开。\n12\n万元以上的，报告。\n— {k} —"
        for k, n in enumerate("一二三四", 1)
    ]
    text = STEPS["page_frame"]("\n".join(pages))
    assert "—" not in text and text.count("12") == 4
    assert text.count("样例办法全文") <= 2  # the one above the first text may be the title


def test_bare_numbers_that_count_pages_go():
    body = "甲应当登记。\n乙应当公开。\n丙应当报告。\n丁应当备案。\n"
    assert STEPS["page_frame"](body + "1\n" + body + "2\n" + body + "3") == (body * 3).rstrip("\n")
    table = "序号\n1\n目录\n2\n登记\n3\n公开"
    assert STEPS["page_frame"](table) == table


def test_chinese_marks_come_back_where_a_font_shows_plain_ones():
    text = "«样例办法»已经同意,现印发给你们,请执行.\n" + "甲应当登记,乙应当公开;丙应当报告.\n" * 12
    fixed = STEPS["punctuation"](text)
    assert fixed.startswith("《样例办法》已经同意，现印发给你们，请执行。") and "；丙" in fixed
    assert STEPS["punctuation"]("甲应当登记，乙应当公开。版本1.2,a,b") == "甲应当登记，乙应当公开。版本1.2,a,b"


def test_prose_loses_the_gaps_of_justified_type_and_name_lists_keep_theirs():
    line = "公共数据资源管 理，促 进合规高效流通使 用，赋 能经济社会发 展。"
    text = STEPS["prose_gaps"]("样例局 样例办\n" + f"第一条 {line}\n" * 6)
    assert (
        text.split("\n")[0] == "样例局 样例办"
        and text.split("\n")[1] == "第一条 公共数据资源管理，促进合规高效流通使用，赋能经济社会发展。"
    )


def test_the_page_map_survives_every_step():
    first, second, third = (
        "样例办法\n第 一 章　总 则\n",
        "— 1 —\n第一条 甲应当登\u200b记。\n",
        "第二条 乙应当公开。\n— 2 —",
    )
    raw = first + second + third
    pages = (Page(1, 0, len(first)), Page(2, len(first), len(first + second)), Page(3, len(first + second), len(raw)))
    cleaned = clean_pages(raw, pages)
    assert [cleaned.text[p.start : p.end].strip() for p in cleaned.pages] == [
        "样例办法\n第一章 总则",
        "第一条 甲应当登记。",
        "第二条 乙应当公开。",
    ]
    assert cleaned.removed["page_frame"] == 6


def test_cleaning_twice_changes_nothing_on_real_texts(root):
    files = sorted((root / "corpus").rglob("*.md"))[:40]
    for path in files:
        once = clean_text(path.read_text(encoding="utf-8"))
        assert clean_text(once) == once, path.name


def test_cleaning_reference_texts_loses_no_sentence(shared_corpus):
    marks = str.maketrans(",;:.", "，；：。")
    for path in sorted(shared_corpus.glob("*/*.md")):
        if path.parent.name == "originals":
            continue
        text = path.read_text(encoding="utf-8")
        cleaned = "".join(clean_text(text).translate(marks).split())
        lost = [
            line
            for line in text.split("\n")
            if line.rstrip().endswith("。") and "".join(clean_text(line).translate(marks).split()) not in cleaned
        ]
        assert not lost, (path.name, lost[:2])
