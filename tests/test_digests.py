"""Digest against full text: every fact on both sides, nothing copied."""

import subprocess
import sys

import pytest

from kb.digests import check_format, compare, copied_runs, facts, outline, windows

FULL = """# 某数据办法
2025年1月8日 某部令第1号公布
第一章 总则
第一条 登记机构应当自受理之日起二十个工作日内审核，不得收取费用。
第二条 年度营业额百分之五以下罚款，依照本办法第一条执行；鼓励登记。
（一）企业应当每年度报告；
（二）个人可以查询。
第三条 本办法由数据局解释。
第四条 本办法自2025年3月1日起施行，有效期5年。
"""
DIGEST = """---
text_kind: digest
---
# 某数据办法
第一章 总则
第一条 自受理起20个工作日内，登记机构应当审核完毕；收费一律不得。
第二条 罚款在年营业额5%以下，依第一条办理；登记受鼓励。
（一）企业每年应当报告一次；
（二）查询，个人可以。
第三条 【附则】解释归数据局。
第四条 【附则】2025年3月1日起施行，有效5年。
"""


def whats(digest: str, full: str = FULL) -> list[str]:
    return [finding.what for finding in compare("x.md", digest, full) if finding.severity == "error"]


def test_a_faithful_digest_has_no_errors():
    assert whats(DIGEST.replace("登记受鼓励", "鼓励登记")) == []


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("20个工作日", "20日", "漏数字：全文有“20工作日”"),
        ("5%", "15%", "多数字：摘编有“15%”，全文该处没有"),
        ("每年应当", "应当", "漏数字：全文有“每年”"),
        ("2025年3月1日起", "2025年3月10日起", "漏数字：全文有“2025年3月1日”"),
        ("收费一律不得", "不收费", "模态“禁止”只见于全文"),
        ("查询，个人可以", "个人查询", "模态“授权”只见于全文"),
        ("依第一条办理", "依第二条办理", "漏引用：全文有“第1条”"),
        ("（二）查询，个人可以。\n", "", "漏项：全文有第 2 项"),
        ("# 某数据办法\n第一章", "# 某数据条例\n第一章", "标题与全文不同：某数据条例 / 某数据办法"),
        ("第四条 【附则】2025年3月1日起施行，有效5年。\n", "", "全文有，摘编没有"),
    ],
)
def test_each_kind_of_mistake_is_named(right, wrong, said):
    assert right in DIGEST
    assert said in whats(DIGEST.replace(right, wrong))


def test_numbers_mean_the_same_in_chinese_and_arabic():
    chinese = facts("二十个工作日、百分之五、一千万人、两年、十四周岁")
    assert chinese.amounts == facts("20 个工作日、5%、1000万人、2年、14周岁").amounts


@pytest.mark.parametrize(
    ("text", "amounts"),
    [
        ("处五万元以上五十万元以下罚款", {"50000元", "500000元"}),
        ("到2027年底年均增长10%—20%", {"2027年", "10%", "20%"}),
        ("每两年一次，每年3月底前", {"每二年", "每年", "3月"}),
        ("不满十四周岁", {"14周岁"}),
        ("三分之二以上、1000万人以上", {"2/3", "10000000人"}),
        ("一体化平台、统一标准、“一网通办”、5G", set()),
        ("依照《某法》第四十条和发改数据〔2025〕18号", set()),
    ],
)
def test_amounts_are_read_and_idioms_are_not(text, amounts):
    assert set(facts(text).amounts) - {"1次"} == amounts


def test_bounds_tell_at_least_from_at_most():
    assert facts("100万人以上").bounds != facts("100万人以下").bounds
    assert facts("不少于6个月").bounds == facts("6个月以上").bounds


def test_a_wrapped_citation_does_not_open_an_article():
    units = outline("# 甲\n第一条 依照\n第九条规定办理。\n第二条 乙。\n第三条 丙。").units
    assert [unit.label for unit in units] == ["第一条", "第二条", "第三条"]


def test_points_of_an_outline_are_addressed_by_path():
    units = outline("# 甲\n前言。\n一、总体要求\n二、任务\n（一）建库。建一个库。\n（二）建网。").units
    assert [unit.key for unit in units] == [("前言",), ("一、",), ("二、",), ("二、", "（一）"), ("二、", "（二）")]


def test_a_point_run_on_in_a_published_copy_is_parted():
    units = outline("# 甲\n一、子。\n二、丑。三、寅。\n四、卯。").units
    assert [unit.label for unit in units] == ["一、", "二、", "三、", "四、"]


def test_copied_runs_are_found_across_punctuation_but_not_in_titles_or_allowed_phrases():
    known = windows(
        ["国家网信部门统筹协调个人信息保护工作和相关监督管理工作。依据《中华人民共和国个人信息保护法实施条例草案》"]
    )
    copied = "国家网信部门，统筹协调个人信息保护工作和相关"
    assert [line for line, _ in copied_runs(f"# 题\n{copied}", known)] == [2]
    assert list(copied_runs(copied, known, ["国家网信部门统筹协调个人信息保护工作和相关监督管理工作"])) == []
    assert list(copied_runs("《中华人民共和国个人信息保护法实施条例草案》", known)) == []
    assert list(copied_runs("国家网信部门统筹个人信息保护", known)) == []


def test_format_is_checked_without_a_full_text():
    found = check_format("x.md", outline("# 甲\n第一条 有内容的条文。\n第二条 。\n第三条 也有内容的条文。"))
    assert [f.what for f in found] == ["文件头应当只有 text_kind: digest", "条文没有内容"]


def test_the_shipped_digests_state_every_fact_of_their_full_texts(root, shared_corpus):
    run = subprocess.run(
        [sys.executable, "scripts/check_digests.py", "--shared", str(shared_corpus)],
        cwd=root,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr
    assert " 0 errors" in run.stdout
