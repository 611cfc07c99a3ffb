"""Amending drafts: instructions carried out on the text in force, numbers that shift, what cannot be done is named."""

from __future__ import annotations

import pytest
from workbench_corpus import build_library

from kb.amendment import amend, amended_names, is_amending
from kb.draft import carried_out, check_draft, comments, draft_document, suggested_nationals
from kb.errors import NotFoundError
from kb.models import SourceText
from kb.rows import scope_choice

BASE = """深圳市样例数据条例

第一章 总则
第一条 为了规范样例数据管理，制定本条例。
第二条 本条例所称样例数据，是指任何记录。
样例数据包括日志。
第三条 市人民政府应当建立协调机制。
第二章 管理
第四条 样例数据处理者应当履行下列义务：
（一）制定制度；
（二）定期开展风险评估；
（三）其他义务。
主管部门应当公布目录。
第五条 样例数据处理者不得出售样例数据。
第六条 违反本条例第四条规定的，责令改正。
第七条 本条例自2024年1月1日起施行。
"""
DECISION = """某市人民代表大会常务委员会关于修改《深圳市样例数据条例》的决定（草案）

一、将第二条第一款修改为：“本条例所称样例数据，是指为检验功能而产生的记录。”
二、增加一条，作为第四条：“市数据主管部门应当在三十日内公布目录。
“目录应当每年度更新。”
三、将第四条改为第五条，第一款第二项修改为：“（二）每年度开展风险评估；”增加一款，作为第三款：“报告应当保存三年。”
四、删去第五条。
五、将第六条中的“责令改正”修改为“责令限期改正”。
六、第三条中的“协调机制”修改为“统筹协调机制”，并删去第九条。
七、将第二章章名修改为：“数据管理”。
八、删去第二条第二款。
九、将本条例中的“样例数据处理者”统一修改为“样例数据持有者”。
此外，对条文顺序作相应调整。
本决定自2026年1月1日起施行。
"""
WITHOUT_MARKS = """深圳市样例数据条例（修改稿）

第三条修改为：
第三条 【协调机制】市人民政府应当建立统筹协调机制，每年度向社会公布情况。
增加一条作为第四条：
第四条 【目录】市数据主管部门应当编制目录。
删去第五条。
"""


def document(text, name="draft.md"):
    return draft_document(SourceText(name, "text/markdown", text, sha256="0" * 64), name)


@pytest.fixture(scope="module")
def amended():
    return amend(DECISION, document(BASE))


def articles(text):
    return {p.label: p.text for p in document(text).provisions}


def test_an_amending_text_is_told_from_a_text_of_its_own():
    assert is_amending(DECISION) and is_amending(WITHOUT_MARKS)
    assert not is_amending(BASE) and not is_amending("")
    assert amended_names(DECISION, "决定")[0] == "深圳市样例数据条例"


def test_articles_paragraphs_items_and_words_change_where_the_text_says(amended):
    now = articles(amended.text)
    assert "为检验功能而产生" in now["第二条"] and "日志" not in now["第二条"]
    assert "统筹协调机制" in now["第三条"]
    assert "三十日内" in now["第四条"] and "每年度更新" in now["第四条"]
    assert "（二）每年度开展风险评估；" in now["第五条"] and now["第五条"].rstrip().endswith("报告应当保存三年。")
    assert "限期改正" in now["第六条"]
    assert "处理者" not in amended.text and "样例数据持有者应当履行" in amended.text


def test_numbers_run_on_and_old_ones_are_kept_track_of(amended):
    assert list(articles(amended.text)) == [f"第{n}条" for n in "一二三四五六七"]
    assert amended.numbers["第四条"] == "第五条" and "第五条" not in amended.numbers


def test_what_cannot_be_carried_out_is_named_and_nothing_is_guessed(amended):
    assert {s.problem for s in amended.open_steps} == {"现行文本没有第九条", "章、节的改动没有自动套入，请人工处理"}
    twice = amend("第三条修改为：“甲。”\n第三条第一款修改为：“乙。”\n", document(BASE))
    assert [bool(s.problem) for s in twice.steps] == [False, True]
    missing = amend("将第三条中的“没有这个词”修改为“甲”。\n第二条第八款修改为：“甲。”\n", document(BASE))
    assert all(s.problem for s in missing.steps) and articles(missing.text)["第三条"] == articles(BASE)["第三条"]


def test_captions_of_articles_and_missing_quotation_marks_are_read():
    now = articles(amend(WITHOUT_MARKS, document(BASE)).text)
    assert "每年度向社会公布" in now["第三条"] and "编制目录" in now["第四条"]
    assert "处理者不得出售" not in "".join(now.values())
    assert len(now) == 7


@pytest.mark.parametrize(
    "text",
    [
        "",
        "一、",
        "删去第",
        "第九百条修改为：",
        "增加一条，作为第四条、第五条：“第四条 甲。”",
        "“" * 2000 + "删去第一条。",
    ],
)
def test_broken_instructions_never_raise(text):
    assert amend(text, document(BASE)).text


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return build_library(tmp_path_factory.mktemp("amending"))


CHANGES = """关于修改《深圳市测试数据条例》的决定（草案）

一、增加一条，作为第四条：“市数据主管部门应当编制测试数据目录，并在三十日内向社会公布。”
二、将第四条改为第五条，修改为：“测试数据处理者可以按照有关规定定期开展测试数据风险评估。”
三、删去第九条。
"""


def test_a_draft_that_lists_changes_is_judged_as_the_text_it_leads_to(library):
    draft, amended = carried_out(library, document(CHANGES))
    assert amended.base_id == next(d.doc_id for d in library.documents if d.meta.title == "深圳市测试数据条例")
    national = suggested_nationals(library, draft, 1)[0].doc_id
    check = check_draft(library, draft, [national], scope_choice(library), amended=amended)
    by_address = {r.requirement.address: r for r in check.rows}
    assert by_address["第五条"].draft.evidence[0].article == "第四条"
    assert any(f.kind == "套改" and "第九条" in f.quote for f in check.findings)
    assert any("第九条" in " ".join(row) for row in comments(check))


def test_a_draft_of_its_own_stays_as_it_is_and_an_unknown_base_is_told(library):
    whole = document(BASE)
    assert carried_out(library, whole) == (whole, None)
    with pytest.raises(NotFoundError) as caught:
        carried_out(library, document(DECISION.replace("样例数据", "没有收录的东西")))
    assert caught.value.hint


def test_references_to_a_number_that_moved_are_found(tmp_path):
    from workbench_corpus import write_corpus

    write_corpus(tmp_path)
    (tmp_path / "corpus" / "shenzhen" / "深圳市样例数据条例.md").write_text(BASE, encoding="utf-8")
    held = build_library(tmp_path)
    draft, amended = carried_out(held, document(DECISION))
    found = [f for f in check_draft(held, draft, [], amended=amended).findings if f.kind == "引用"]
    assert [(f.where, f.severity) for f in found if "第五条" in f.what] == [("第六条", "error")]
