from dataclasses import replace

import pytest

from kb.ablation import drop_exception, other_number, plant, swap_actor, weaken
from kb.edits import frame_edits
from kb.embed import load_encoder
from kb.errors import KbError, UsageError
from kb.evaluate_gaps import fingerprint, read_labels, resolve, score
from kb.gaps import build_national, chain, force_of, judge, judge_all, silent_label
from kb.judge_model import load_model
from kb.models import DocumentMeta
from kb.parse import parse
from kb.radar import radar
from kb.requirements import extract
from kb.scope import build_scope, document_tier

encode = load_encoder("hash").encode_passages
NATIONAL_TEXT = """中华人民共和国样例安全法
第一条 为了保障安全，制定本法。
第二条 本法所称数据，是指任何以电子或者其他方式对信息的记录。
第三条 国家建立数据安全审查制度。
第四条 重要数据的处理者应当在发生事件后20个工作日内向有关主管部门报告，但是法律另有规定的除外。
第五条 各级人民政府应当建立无障碍查阅场所并配备设施。
第六条 网络运营者应当要求用户提供真实身份信息。
第七条 省级以上人民政府应当将数字经济纳入规划。
"""
LOCAL_TEXT = """某市数据条例
第一条 为了促进发展，制定本条例。
第二条 本条例所称数据，是指任何以电子或者其他方式对信息的记录。
第三条 重要数据的处理者应当在发生事件后20个工作日内向有关主管部门报告，但是法律另有规定的除外。
第四条 市人民政府应当发展数据产业园区。
"""


def doc(text: str, level: str = "national", **meta):
    return parse(
        text,
        DocumentMeta(title=text.splitlines()[0], level=level, status="in_force", **meta),
        doc_id=text.splitlines()[0],
    )


@pytest.fixture(scope="module")
def national():
    return build_national(doc(NATIONAL_TEXT), encode)


@pytest.fixture(scope="module")
def rows(national):
    scope = build_scope([doc(LOCAL_TEXT, "shenzhen")], encode)
    return {d.label: a for d, a in zip(national.duties, judge_all(national, scope), strict=True)}


def test_state_and_province_tasks_are_not_applicable_to_a_city(rows):
    assert rows["第三条"].proposed_label == rows["第七条"].proposed_label == "不适用"
    assert rows["第三条"].rule == "4.5-1" and "国家" in rows["第三条"].reason


def test_word_for_word_copy_is_covered_with_its_article(rows):
    assert (rows["第四条"].proposed_label, rows["第四条"].tag) == ("已覆盖", "同文")
    assert rows["第四条"].evidence[0].article == "第三条" and rows["第四条"].evidence[0].grade == 2


def test_definition_meets_definition(rows):
    assert (rows["第二条"].proposed_label, rows["第二条"].evidence[0].article) == ("已覆盖", "第二条")


def test_silence_is_a_gap_for_governments_and_direct_application_for_private_parties(national):
    by = {d.label: d for d in national.duties}
    assert silent_label(by["第五条"], national.document) == "未覆盖"
    assert silent_label(by["第六条"], national.document) == "直接适用无需配套"


def test_every_row_has_rule_reason_and_at_most_five_candidates(rows):
    assert all(a.rule and a.reason and len(a.evidence) <= 5 and 0 <= a.confidence <= 1 for a in rows.values())


def test_judging_twice_gives_the_same_rows(national, rows):
    scope = build_scope([doc(LOCAL_TEXT, "shenzhen")], encode)
    assert judge_all(national, scope) == list(rows.values())


@pytest.mark.parametrize(
    ("local", "element"),
    [
        ("重要数据的处理者应当在发生事件后60个工作日内向有关主管部门报告，但是法律另有规定的除外。", "E5"),
        ("重要数据的处理者可以在发生事件后20个工作日内向有关主管部门报告，但是法律另有规定的除外。", "E3"),
        ("市住房建设部门应当在发生事件后20个工作日内向有关主管部门报告，但是法律另有规定的除外。", "E1"),
        ("重要数据的处理者应当在发生事件后20个工作日内向有关主管部门报告。", "E4"),
    ],
)
def test_one_changed_element_in_a_copy_is_named(national, local, element):
    scope = build_scope([plant(doc(LOCAL_TEXT, "shenzhen"), [local])], encode)
    scope = build_scope(
        [
            replace(
                scope.documents[0], provisions=tuple(p for p in scope.documents[0].provisions if p.label != "第三条")
            )
        ],
        encode,
    )
    duty = next(d for d in national.duties if d.label == "第四条")
    row = judge(duty, national, scope, encode=encode)
    assert row.proposed_label in ("疑似不一致", "部分覆盖")
    assert any(x.startswith(element) for x in (*row.differs, *row.missing))


def test_untouched_copy_names_no_difference():
    text = "运营机构应当在20个工作日内提交材料，但是情况紧急的除外。"
    assert frame_edits(text, text) == ()


def test_stronger_wording_elsewhere_is_no_edit():
    assert frame_edits("处理者应当定期评估并报告。", "市人民政府可以设立专项资金，支持企业。") == ()


def test_incomplete_local_text_never_yields_a_gap(national):
    scope = build_scope([replace(doc(LOCAL_TEXT, "shenzhen"), quality="incomplete")], encode)
    assert "未覆盖" not in {a.label for a in judge_all(national, scope)}


def test_scope_without_rules_is_explained(national):
    rows = judge_all(national, build_scope([], encode))
    assert {a.label for a in rows} == {"不适用", "待人工核定"}
    assert any("没有可用的本地文本" in q for a in rows for q in a.questions)


def test_national_document_without_duties_gives_no_rows():
    empty = build_national(doc("关于转发的通知\n现印发给你们。"), encode)
    assert judge_all(empty, build_scope([doc(LOCAL_TEXT, "shenzhen")], encode)) == []


def test_digest_asks_for_the_full_text(national):
    scope = build_scope([doc(LOCAL_TEXT, "shenzhen", text_kind="digest")], encode)
    row = next(a for d, a in zip(national.duties, judge_all(national, scope), strict=True) if d.label == "第四条")
    assert any("核对原文" in q for q in row.questions)


def test_works_without_an_encoder(national):
    bare = build_national(national.document)
    assert len(judge_all(bare, build_scope([doc(LOCAL_TEXT, "shenzhen")]))) == len(bare.duties)


def test_force_is_read_from_form_and_number():
    assert force_of(doc("公共样例条例\n第一条 甲应当乙。\n第二条 丙应当丁。")) == "法律规范"
    assert (
        force_of(doc("样例管理暂行办法\n发改数据规〔2025〕26号\n第一条 甲应当乙。\n第二条 丙应当丁。")) == "规范性文件"
    )
    assert force_of(doc("关于样例的意见\n一、总体要求\n推动发展。\n二、主要任务\n加快建设。")) == "政策部署"


def test_municipality_is_a_province_and_a_city_of_a_province_is_not():
    assert document_tier(doc("重庆市样例办法", "peers")) == "province"
    assert document_tier(doc("广州市样例条例", "guangdong")) == "city"
    assert document_tier(doc("深圳经济特区样例条例", "shenzhen")) == "city"
    assert document_tier(doc("江苏省样例条例", "peers")) == "province"


def test_chain_shows_the_weakest_level_and_who_fills_it(national):
    duty = next(d for d in national.duties if d.label == "第四条")
    province = doc(LOCAL_TEXT.replace("某市数据条例", "广东省数据条例"), "guangdong")
    city = doc("深圳市样例办法\n第一条 为了便民，制定本办法。\n第二条 园林绿化部门应当养护树木。", "shenzhen")
    found = chain(
        duty, national, {"广东": build_scope([province], encode), "深圳": build_scope([city], encode)}, encode=encode
    )
    assert found.weakest == "深圳" and "广东省数据条例" in found.filled_by


def test_radar_sees_older_text_open_delegation_and_stale_reference():
    law = doc("中华人民共和国样例法\n第一条 甲应当乙。\n第二条 丙应当丁。", effective_on="2024-01-01")
    local = doc(
        "某市样例条例\n第一条 根据《中华人民共和国样例法》，制定本条例。\n第二条 违反《中华人民共和国样例法》第九条的，依法处理。具体激励办法由市人民政府另行制定。",
        "shenzhen",
        effective_on="2020-01-01",
    )
    kinds = [s.kind for s in radar([law], [local])]
    assert sorted(kinds) == ["delegation_open", "older_than_basis", "stale_reference"]


def test_edits_of_the_ablation_change_the_duty():
    duty = extract(doc(NATIONAL_TEXT))[0][2]
    assert "60" not in duty.text and other_number(duty) != duty.text
    assert "可以" in weaken(duty) and "除外" not in drop_exception(duty) and not swap_actor(duty).startswith("重要")


def test_label_is_found_again_by_fingerprint(national):
    quote = "网络运营者应当要求用户提供真实身份信息"
    line = f'{{"id": "x", "title": "{national.document.meta.title}", "article": "第六条", "fingerprint": "{fingerprint(quote)}", "length": {len(quote)}, "scope": ["s"]}}'
    assert resolve(read_labels([line])[0], {national.document.meta.title: national.document}).text == quote


def test_label_line_without_text_is_refused_with_its_number():
    with pytest.raises(UsageError, match="line 1"):
        read_labels(['{"title": "a", "scope": ["b"]}'], "x.jsonl")


def test_score_counts_any_accepted_label_and_evidence(rows, national):
    labels = read_labels(
        [
            f'{{"id": 1, "title": "{national.document.meta.title}", "quote": "q", "scope": ["s"], "labels": ["部分覆盖", "已覆盖"],'
            ' "evidence": [{"title": "某市数据条例", "article": "第三条", "grade": 2}]}'
        ]
    )
    out = score(labels, [rows["第四条"]])
    assert (out["accuracy"], out["evidence@1"], out["evidence@5"], out["n"]) == (1.0, 1.0, 1.0, 1)


def test_model_of_another_format_is_refused():
    with pytest.raises(KbError, match="cannot be read"):
        load_model('{"format": 99}')


def test_what_is_missing_is_said_in_the_words_of_the_duty(national):
    text = "某市数据条例\n第一条 为了便民，制定本条例。\n第二条 各级政府应当健全无障碍查阅场所。\n第三条 甲应当乙。"
    duty = next(d for d in national.duties if d.label == "第五条")
    row = judge(duty, national, build_scope([doc(text, "shenzhen")], encode), encode=encode)
    said = [x for x in row.missing if not x.startswith(("E", "数值"))]
    assert all(x in duty.text for x in said)


def test_two_sanctions_are_compared_by_the_conduct_they_name():
    fine = "，由网信部门责令限期改正，处五万元以上五十万元以下罚款；情节严重的，吊销营业执照。"
    other = fine.replace("五万元", "一万元")
    conduct = "数据处理者未履行风险评估备案手续的"
    assert any(e.clash for e in frame_edits(conduct + fine, conduct + other))
    assert frame_edits(conduct + fine, "个人拒不提供信用报告的" + other) == ()
    assert (
        frame_edits("平台经营者违反本法，有下列行为之一的" + fine, "运营机构违反本办法，有下列情形之一的" + other) == ()
    )


def test_signs_scattered_over_a_long_rule_are_no_frame():
    duty = "登记机构应当自收到申请日起，三个工作日内予以受理。"
    far = (
        "信用信息主体认为信息有误的，可以向登记的公共机构提出异议，该机构应当自行核对收录的内容，到期前完成申诉材料的审查，"
        "请示主管部门后于次日起草答复，两个工作日内予以告知并受理后续事项。"
    )
    assert any(e.clash for e in frame_edits(duty, duty.replace("三个", "五个")))
    assert frame_edits(duty, far) == ()


@pytest.mark.parametrize(
    ("basis", "label", "first"),
    [
        ("根据《某部 某局关于印发样例登记办法的通知》和《江苏省样例条例》", "已覆盖", "第一条"),
        ("根据《样例登记办法》", "已覆盖", "第一条"),
        ("为了便民", "未覆盖", None),
    ],
)
def test_power_to_issue_rules_is_carried_out_by_rules_that_name_it(basis, label, first):
    power = "各省（自治区、直辖市）数据管理部门可依照本办法，结合实际制定实施细则"
    national = build_national(doc(f"样例登记办法\n发改数据规〔2025〕26号\n第一条 甲应当乙。\n第二条 {power}。"), encode)
    local = doc(f"江苏省样例登记实施细则\n第一条 {basis}，制定本细则。\n第二条 园林绿化部门应当养护树木。", "peers")
    rows = judge_all(national, build_scope([local], encode))
    row = next(r for d, r in zip(national.duties, rows, strict=True) if d.label == "第二条")
    assert row.proposed_label == label
    if first:
        assert (row.evidence[0].article, row.tag) == (first, "细化") and "以本文件为依据" in row.reason


def test_an_item_of_another_list_is_no_answer_whatever_its_wording():
    items = "（一）数据安全措施和应急处置措施；\n（二）应当明确的其他事项。\n"
    plan = f"条 授权运营实施方案应当包括下列内容：\n{items}"
    contract = f"条 授权运营协议应当包括下列内容：\n{items}"
    text = f"样例授权运营规范\n发改数据规〔2025〕26号\n第一条 为了便民，制定本规范。\n第二{plan}第三{contract}"
    national = build_national(doc(text), encode)
    scope = build_scope(
        [doc(f"江苏省样例授权运营办法\n第一条 为了便民，制定本办法。\n第二{contract}", "peers")], encode
    )
    rows = {(d.label, d.item): judge(d, national, scope, encode=encode) for d in national.duties if d.label != "第一条"}
    assert [rows["第三条", n].tag for n in (1, 2)] == ["同文", "同文"]
    assert [rows["第二条", n].proposed_label == "已覆盖" for n in (1, 2)] == [False, False]
    assert any("运营协议应当包括" in q and "实施方案应当包括" in q for q in rows["第二条", 1].questions)
