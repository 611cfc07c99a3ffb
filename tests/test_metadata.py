"""Facts read from the text: title, kind, makers, numbers, dates, validity, status on a day."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kb.catalog import CatalogEntry
from kb.dates import find_dates
from kb.facts import agreement, compare_facts
from kb.metadata import extract_metadata, family_key, merge_meta, status_on, version_start
from kb.models import DocumentMeta


def meta(text: str, level: str = "national", **kwargs) -> DocumentMeta:
    return extract_metadata(text, path_level=level, **kwargs)[0]


NOTICE = (
    "# 国家发展改革委 国家数据局关于印发《某登记管理暂行办法》的通知\n发改数据规〔2025〕 26 号\n各省、自治区、直辖市：\n现印发给你们，请遵照执行。\n"
    "国家发展改革委\n国家数据局\n2025年1月8日\n某登记管理暂行办法\n第一条 根据《数据安全法》《网络安全法》，按照《某意见》要求，制定本办法。\n"
    "第二条 本办法自2025年3月1日起施行，有效期5年，根据情况适时修订调整。"
)


def test_a_notice_and_what_it_brings():
    m = meta(NOTICE)
    assert (m.title, m.family) == (
        "某登记管理暂行办法",
        "国家发展改革委 国家数据局关于印发《某登记管理暂行办法》的通知",
    )
    assert (m.doc_no, m.kind, m.normative_force) == ("发改数据规〔2025〕26号", "规范性文件", "规范性文件")
    assert m.issuers == ("国家发展改革委", "国家数据局")
    assert (m.signed_on, m.effective_on, m.validity, m.expires_on) == ("2025-01-08", "2025-03-01", "5年", "2030-02-28")
    assert m.basis == ("数据安全法", "网络安全法", "某意见")


def test_fields_printed_beside_the_document_are_read():
    page = "某办法\n第一条 甲。\n第二条 乙。\n发文机关：国家发展改革委 国家数据局\n发文字号：发改数据规〔2025〕26号\n成文日期：2025年01月08日"
    m = meta(page)
    assert (m.doc_no, m.signed_on) == ("发改数据规〔2025〕26号", "2025-01-08")
    assert m.issuers == ("国家发展改革委", "国家数据局")


def test_a_law_states_its_maker_and_dates_in_the_history_line():
    m = meta(
        "# 中华人民共和国甲法\n2021年8月20日 第十三届全国人民代表大会常务委员会第三十次会议通过\n第一条 乙。\n第二条 本法自2021年11月1日起施行。"
    )
    assert (m.kind, m.issuers) == ("法律", ("全国人民代表大会常务委员会",))
    assert (m.adopted_on, m.effective_on) == ("2021-08-20", "2021-11-01")


def test_an_amended_text_says_since_when_it_reads_so():
    m = meta(
        "中华人民共和国甲法\n（2016年11月7日第十二届全国人民代表大会常务委员会第二十四次会议通过 根据2025年10月28日第十四届全国人民代表大会常务委员会第十八次会议《关于修改〈甲法〉的决定》修正）\n第一条 本法自2017年6月1日起施行。"
    )
    assert (m.adopted_on, m.revised_on, m.effective_on) == ("2016-11-07", "2025-10-28", "2017-06-01")
    assert version_start(m) == "2025-10-28"


def test_a_city_regulation_has_two_dates():
    m = meta(
        "广州市某条例\n（2024年11月29日广州市第十六届人民代表大会常务委员会第三十三次会议通过 2025年1月12日广东省第十四届人民代表大会常务委员会第十五次会议批准）\n第一条 甲。",
        "guangdong",
    )
    assert (m.adopted_on, m.approved_on, m.kind, m.issuers) == (
        "2024-11-29",
        "2025-01-12",
        "地方性法规",
        ("广州市人民代表大会常务委员会",),
    )


@pytest.mark.parametrize(
    ("title", "level", "kind"),
    [
        ("深圳经济特区数据条例", "shenzhen", "经济特区法规"),
        ("深圳市某条例", "shenzhen", "地方性法规"),
        ("网络数据安全管理条例", "national", "行政法规"),
        ("国务院关于在线政务服务的若干规定", "national", "行政法规"),
        ("中共中央 国务院关于构建某制度的意见", "national", "党政联合文件"),
        ("可信数据空间发展行动计划（2024—2028年）", "national", "行动计划"),
        ("数据领域常用名词解释（第一批）", "national", "名词解释"),
        ("某局2024年法治政府建设年度报告", "shenzhen", "工作报告"),
        ("DB4403/T 564—2024 数据交易合规评估规范", "shenzhen", "标准"),
    ],
)
def test_the_kind_follows_maker_and_title(title, level, kind):
    assert meta(f"# {title}\n第一条 甲。", level).kind == kind


def test_a_decree_makes_a_departmental_rule():
    m = meta(
        "# 某标准合同办法\n国家互联网信息办公室令\n第13号\n《某标准合同办法》已经2023年2月3日国家互联网信息办公室2023年第2次室务会议审议通过，现予公布，自2023年6月1日起施行。\n国家互联网信息办公室主任 某某某\n2023年2月22日\n某标准合同办法\n第一条 甲。\n第二条 乙。"
    )
    assert (m.kind, m.doc_no) == ("部门规章", "国家互联网信息办公室令第13号")
    assert (m.adopted_on, m.promulgated_on, m.effective_on) == ("2023-02-03", "2023-02-22", "2023-06-01")
    assert m.issuers == ("国家互联网信息办公室",)


def test_in_force_on_issue_takes_the_day_of_issue():
    m = meta(
        "# 某规定\n某办公室令\n第16号\n《某规定》现予公布，自公布之日起施行。\n2024年3月22日\n第一条 甲。\n第二条 本规定自公布之日起施行。"
    )
    assert m.effective_on == "2024-03-22"


@pytest.mark.parametrize(
    "clause", ["自2022年11月1日起施行", "于2022年11月1日起实施", "从2022年11月1日起执行", "的施行日期为2022年11月1日"]
)
def test_the_day_of_effect_is_read_in_every_phrase(clause):
    assert meta(f"# 某条例\n第一条 甲。\n第二条 本条例{clause}。").effective_on == "2022-11-01"


def test_a_clause_without_a_day_is_named_and_not_guessed():
    m, findings = extract_metadata("# 某办法\n第一条 甲。\n第二条 本办法自印发之日起施行。", path_level="peers")
    assert m.effective_on is None
    assert m.status == "unverified"
    assert ["no date could be computed" in f.what for f in findings] == [True]


@pytest.mark.parametrize(
    ("text", "dates"),
    [
        ("2025 年 3 月 1 日", ["2025-03-01"]),
        ("２０２１年６月２９日", ["2021-06-29"]),
        ("2020年5月l日", ["2020-05-01"]),
        ("二○二五年一月八日", ["2025-01-08"]),
        ("二〇二〇年十二月三十一日", ["2020-12-31"]),
        ("2025年13月1日", []),
        ("2025年2月30日", []),
    ],
)
def test_dates_in_every_writing(text, dates):
    assert find_dates(text) == dates


def test_a_title_broken_over_lines_is_joined():
    text = "关于完善数据流通安全治理\n更好促进数据要素市场化价值化的实施方案\n一、甲。"
    assert meta(text).title == "关于完善数据流通安全治理更好促进数据要素市场化价值化的实施方案"


@pytest.mark.parametrize(
    ("line", "title"),
    [
        ("《某办法》", "某办法"),
        ("《某办法》（征求意见稿）", "某办法（征求意见稿）"),
        ("附件：某办法（试行）", "某办法（试行）"),
        ("【通知公告】关于某事的通知", "关于某事的通知"),
        ("关于某事的工作方案》", "关于某事的工作方案"),
        ("关于修改《某法》的决定", "关于修改《某法》的决定"),
    ],
)
def test_marks_around_a_title_are_taken_off(line, title):
    assert meta(f"# {line}\n某市数据局\n一、甲。").title == title


def test_site_names_and_banners_are_no_title():
    assert meta("某办法_中国政府网\n第一条 甲。").title == "某办法"
    ended = meta("【已失效】某办法\n2020年1月1日\n第一条 甲。")
    assert (ended.title, ended.status) == ("某办法", "lapsed")


def test_a_draft_is_a_draft_and_belongs_to_its_final_text():
    draft, final = meta("# 某办法（征求意见稿）\n第一条 甲。"), meta("# 某办法\n第一条 甲。")
    assert (draft.status, draft.normative_force) == ("draft", "参考")
    assert family_key(draft) == family_key(final)


def test_repeals_are_read_from_the_last_clause():
    assert meta(
        "# 某条例\n第一条 甲。\n第二条 本条例自2022年11月1日起施行。《旧条例》《更旧条例》同时废止。"
    ).repeals == ("旧条例", "更旧条例")


@pytest.mark.parametrize(
    ("changes", "day", "status"),
    [
        ({"effective_on": "2025-03-01"}, "2025-02-28", "not_yet_effective"),
        ({"effective_on": "2025-03-01"}, "2025-03-01", "in_force"),
        ({"effective_on": "2025-03-01", "expires_on": "2030-02-28"}, "2030-02-28", "in_force"),
        ({"effective_on": "2025-03-01", "expires_on": "2030-02-28"}, "2030-03-01", "expiry_unchecked"),
        ({"status": "draft", "effective_on": "2020-01-01"}, "2025-01-01", "draft"),
        ({"status": "repealed"}, "2025-01-01", "repealed"),
        ({"status": "lapsed"}, "2025-01-01", "lapsed"),
        ({"status": "amended", "effective_on": "2020-01-01"}, "2025-01-01", "amended"),
        ({}, "2025-01-01", "unverified"),
        ({"effective_on": "2025-03"}, "2025-03-15", "in_force"),
    ],
)
def test_status_on_a_day(changes, day, status):
    assert status_on(replace(DocumentMeta("某办法", "national"), **changes), day) == status


def test_front_matter_wins_over_the_text():
    m = meta("# 某办法\n第一条 甲。", front={"doc_no": "某〔2025〕1号", "aliases": ["小名"], "text_kind": "digest"})
    assert (m.doc_no, m.aliases, m.text_kind) == ("某〔2025〕1号", ("小名",), "digest")


def test_the_catalogue_overrides_and_keeps_what_it_does_not_know():
    entry = CatalogEntry(
        "x",
        "某登记管理暂行办法",
        "national",
        aliases=("登记办法",),
        kind="规范性文件",
        effective_on="2025-03-02",
        status="in_force",
    )
    merged = merge_meta(meta(NOTICE), entry)
    assert (merged.effective_on, merged.doc_no, merged.aliases[0]) == (
        "2025-03-02",
        "发改数据规〔2025〕26号",
        "登记办法",
    )
    assert merge_meta(merged, None) is merged


@pytest.mark.parametrize("text", ["", "\n\n", "#", "第一条", "2025年", "令", "（", "《" * 50, "公告\n第号", "有效期年"])
def test_poor_texts_yield_empty_facts(text):
    assert isinstance(meta(text, file_name="某文件"), DocumentMeta)


def test_reading_agrees_with_the_fact_sheet(shared):
    import yaml

    from kb.corpus import load

    facts = yaml.load(
        (shared / "facts" / "catalog-facts.yaml").read_text(encoding="utf-8"),
        Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader),
    )
    rows = compare_facts(facts["documents"], load(shared / "corpus").documents)
    agrees, stated = agreement(rows)["all"]
    assert stated > 150
    assert agrees / stated >= 0.95, [r for r in rows if r.agrees is False]
