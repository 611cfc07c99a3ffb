"""Drafts: duties answered or left out, references that lead nowhere, numbering, terms, the real draft of Guangdong."""

from __future__ import annotations

import io

import pytest
from docx import Document as Word
from workbench_corpus import DRAFT, build_library

from kb.draft import COLUMNS, check_draft, comments, draft_document, numbering, references, suggested_nationals, terms
from kb.index import Library, build
from kb.models import SourceText
from kb.report_docx import comments_docx
from kb.rows import scope_choice
from kb.settings import load_settings


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return build_library(tmp_path_factory.mktemp("draft"))


def parsed(text):
    return draft_document(SourceText("draft.md", "text/markdown", text, sha256="0" * 64), "draft.md")


@pytest.fixture(scope="module")
def check(library):
    document = parsed(DRAFT)
    return check_draft(library, document, [suggested_nationals(library, document)[0].doc_id], scope_choice(library))


def test_the_national_text_of_the_same_subject_is_proposed(library):
    assert suggested_nationals(library, parsed(DRAFT))[0].meta.title == "测试数据管理办法"


def test_every_duty_has_a_row_and_counts_add_up(check, library):
    duties = library.requirements(next(d.doc_id for d in library.documents if d.meta.title == "测试数据管理办法"))
    assert len(check.rows) == len(duties) == sum(check.counts.values())


def test_what_the_draft_writes_is_answered_and_what_it_leaves_out_is_not(check):
    by_address = {r.requirement.address: r for r in check.rows}
    assert by_address["第五条"].draft.label in ("已覆盖", "部分覆盖", "待人工核定")
    assert by_address["第三条"].draft.label not in ("已覆盖", "部分覆盖")


def test_a_cited_article_that_does_not_exist_is_an_error(library):
    found = [f for f in references(library, parsed(DRAFT)) if f.severity == "error"]
    assert any("第九十九条" in f.quote or "九十九" in f.quote for f in found)
    assert any("前款" in f.quote for f in found)


def test_a_missing_article_number_is_named(library):
    assert [f.where for f in numbering(parsed(DRAFT))] == ["第四条"]
    assert numbering(parsed(DRAFT.replace("第四条", "第三条").replace("第五条 本", "第四条 本"))) == []


def test_a_short_name_used_too_early_and_a_term_never_used_are_found(library):
    text = "某办法（征求意见稿）\n\n第一条 局应当公布目录。本办法所称沙盒，是指试验环境。\n第二条 数据管理局（以下简称数据局）负责。\n第三条 数据局应当检查，数据局应当公开。\n"
    found = terms(library, parsed(text))
    assert any(f.quote == "沙盒" and "未再使用" in f.what for f in found)
    inside = parsed(
        "某办法\n\n第一条 运营，是指开发活动。授权单位，是指政府确定的单位。\n第二条 授权单位负责。\n第三条 授权单位检查。\n第四条 授权单位公开。\n"
    )
    assert not [f for f in terms(library, inside) if "未作定义" in f.what]
    early = parsed(
        "某办法\n\n第一条 运营机构应当依法开展各项活动并接受社会各方面的监督，按规定公开信息。\n第二条 授权运营机构（以下简称运营机构）应当登记。\n"
    )
    assert any("简称" in f.what for f in terms(library, early))


def test_the_table_of_comments_opens_in_word(check):
    rows = comments(check)
    word = Word(io.BytesIO(comments_docx(check.document.meta.title, COLUMNS, rows)))
    assert len(word.tables[0].rows) == len(rows) + 1
    assert [c.text for c in word.tables[0].rows[0].cells] == list(COLUMNS)


@pytest.mark.slow
def test_the_draft_of_guangdong_against_the_national_norms(shared_corpus, tmp_path):
    corpus = tmp_path / "corpus"
    for folder, stems in (
        ("national", ["公共数据资源授权运营实施规范（试行）.md"]),
        ("guangdong", ["广东省公共数据资源授权运营管理办法（征求意见稿）.md"]),
        ("shenzhen", ["深圳经济特区数据条例.md"]),
    ):
        (corpus / folder).mkdir(parents=True)
        for stem in stems:
            (corpus / folder / stem).write_bytes((shared_corpus / folder / stem).read_bytes())
    settings = load_settings({"corpus": str(corpus), "index": str(tmp_path / "index"), "encoder": "hash"}, {})
    build(settings)
    library = Library(settings)
    document = library.document(next(d.doc_id for d in library.documents if d.meta.level == "guangdong"))
    proposed = suggested_nationals(library, document, 1)
    check = check_draft(library, document, [proposed[0].doc_id], scope_choice(library))
    assert proposed[0].meta.title.startswith("公共数据资源授权运营实施规范")
    answered = sum(r.draft.label in ("已覆盖", "部分覆盖", "疑似不一致") for r in check.rows)
    assert answered > len(check.rows) / 3
    assert sum(r.change == "新增覆盖" for r in check.rows) > 10
    assert not [f for f in check.findings if f.kind == "编号"]
