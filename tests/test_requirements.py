import itertools

from kb.elements import amounts_of, classify_actor, find_modals, kind_of, modality_of, own_actor
from kb.models import DocumentMeta
from kb.parse import parse
from kb.requirements import REASONS, extract, locate, requirement_at

META = DocumentMeta(title="某市数据条例", level="shenzhen")


def document(*articles: str):
    return parse("某市数据条例\n" + "\n".join(articles), META, doc_id="d")


def duty(text: str):
    duties, _ = extract(document(f"第一条 {text}", "第二条 其他事项应当另行规定并公布。"))
    return duties[0]


def test_rows_partition_every_sentence_with_a_modal():
    doc = document(
        "第一条 为了规范数据处理，制定本条例。",
        "第二条 处理者应当符合下列要求：\n（一）合法；\n（二）不得窃取数据。",
        "第三条 鼓励企业创新。国家支持研究。",
        "第四条 本条例自2025年1月1日起施行。",
    )
    duties, others = extract(doc)
    assert [o.reason for o in others] == ["purpose", "lead_in", "in_force"]
    assert all(o.reason in REASONS for o in others)
    spans = sorted((r.start, r.end) for r in (*duties, *others))
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(spans))
    assert [d.item for d in duties] == [1, 2, None, None]


def test_item_carries_its_lead_in_and_its_subject():
    duties, _ = extract(document("第一条 处理者应当履行下列义务：\n（一）建立制度；", "第二条 甲应当乙。"))
    assert duties[0].full_text == "处理者应当履行下列义务：建立制度；"
    assert (duties[0].lead_in, duties[1].lead_in) == ("处理者应当履行下列义务", "")
    assert (duties[0].actor, duties[0].actor_inferred, duties[0].modality) == ("处理者", True, "obligation")


def test_must_not_help_is_no_prohibition_but_must_not_unreasonably_is():
    assert not find_modals("不得不加班")
    assert find_modals("不得不合理地损害利益")[0].type == "prohibition"


def test_application_and_response_are_no_modals():
    assert not find_modals("数据应用和应急响应相应提升")


def test_soft_duty_under_a_hard_modal():
    assert modality_of("应当推动数据共享")[:2] == ("obligation", 3)
    assert modality_of("应当公布目录")[:2] == ("obligation", 5)


def test_exemption_is_a_permission():
    assert modality_of("可以在处理前不征得自然人的同意")[0] == "permission"


def test_subject_is_carried_over_from_the_sentence_before():
    duties, _ = extract(document("第一条 国家数据局加强管理。建设国家平台，推动互通。", "第二条 甲应当乙。"))
    assert (duties[1].actor, duties[1].tier, duties[1].actor_inferred) == ("国家数据局", "central", True)


def test_whoever_acts_is_bound_and_no_subject_is_carried_over():
    duties, _ = extract(
        document("第一条 国家支持创新。提供智能化公共服务，应当充分考虑老年人的需求。", "第二条 甲应当乙。")
    )
    assert duties[1].actor_id == "doer"


def test_tiers_of_actors():
    assert classify_actor("县级以上地方各级数据管理部门、国家行业主管部门数据管理机构")[1] == "local"
    assert classify_actor("国务院标准化行政主管部门")[1] == "central"
    assert classify_actor("省级数据管理部门")[1] == "province"
    assert classify_actor("国家机关")[1] == "organ"
    assert classify_actor("达到国家网信部门规定数量的个人信息处理者")[1] == "private"


def test_regions_as_object_are_no_subject():
    assert own_actor("推进各地区、各部门政务服务平台规范化建设") == ""


def test_agent_behind_by_is_the_subject_of_a_delegation():
    assert own_actor("出境安全管理办法，由国家网信部门会同国务院有关部门制定。") == "国家网信部门"


def test_dates_and_article_numbers_are_no_amounts():
    found = amounts_of("违反第三十条的，自2025年3月1日起20个工作日内报告，每年度评估，处5万元以上10万元以下罚款")
    assert [(a.kind, a.value) for a in found] == [
        ("duration", 20.0),
        ("frequency", 1.0),
        ("money", 50000.0),
        ("money", 100000.0),
    ]


def test_chinese_numerals_and_open_bounds():
    assert [(a.value, a.unit) for a in amounts_of("有效期三年，不少于六个月")] == [(3.0, "年"), (6.0, "月")]


def test_definition_and_liability_are_their_own_kinds():
    assert kind_of("数据，是指任何记录") == "definition"
    assert kind_of("违反本法规定，给他人造成损害的，依法承担民事责任") == "liability"
    assert kind_of("指导会员，指导企业加强保护") == "duty"


def test_exception_stays_with_its_duty():
    found = duty("处理者不得提供数据。但是，经本人同意的除外。")
    assert found.text.endswith("除外。") and found.exceptions


def test_quote_is_located_across_white_space_and_keeps_its_span():
    doc = document("第一条 处理者应当 在20 个工作日内报告。", "第二条 甲应当乙。")
    provision, start, end = locate(doc, "应当在20个工作日内报告", "第一条")
    assert doc.text[start:end] == "应当 在20 个工作日内报告"
    assert requirement_at(doc, provision, start, end).actor == "处理者"


def test_lead_in_of_an_outline_point_is_no_duty_where_items_follow():
    text = "关于样例的指引\n一、对处理者公开信息进行审计的，应当重点审查下列事项：\n（一）是否取得单独同意；\n（二）是否公开规则。\n二、处理者应当定期审计，并及时整改。"
    duties, others = extract(parse(text, META, doc_id="d"))
    assert not any(d.text.endswith("：") for d in duties)
    assert any(o.reason == "lead_in" for o in others)


def test_name_of_a_point_before_its_text_is_a_heading():
    text = "关于样例的意见\n一、总体要求\n（一）指导思想。坚持统筹发展和安全，推动数据利用。\n（二）加强组织领导。各地区要建立工作机制，抓好落实。"
    duties, others = extract(parse(text, META, doc_id="d"))
    assert {"（一）指导思想。", "（二）加强组织领导。"} <= {o.text for o in others if o.reason == "heading"}
    assert any("建立工作机制" in d.text for d in duties)
