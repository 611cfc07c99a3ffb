"""Versions: alignment across renumbering, noise-blind diff, the four answers of kb show."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace

import pytest
from click.testing import CliRunner

from kb.metadata import extract_metadata
from kb.models import DocumentMeta
from kb.numerals import to_chinese
from kb.parse import parse
from kb.titles import TitleIndex
from kb.versions import align, diff, drafts_of, lineage, renumbering, same_wording, show, version_on, versions_of

DUTIES = (
    "为了规范数据处理活动，保障数据安全，制定本法。",
    "国家建立数据分类分级保护制度。",
    "开展数据处理活动应当建立全流程安全管理制度，组织教育培训。",
    "重要数据的处理者应当定期开展风险评估，并报送风险评估报告。",
    "从事数据交易中介服务的机构应当审核双方身份，留存记录。",
    "国家机关应当遵循公正、公平、便民的原则公开政务数据。",
)


def statute(duties, history: str, effective: str, doc_id: str):
    lines = ["中华人民共和国某数据法", history]
    lines += [f"第{to_chinese(i)}条 {text}" for i, text in enumerate(duties, 1)]
    text = "\n".join([*lines, f"第{to_chinese(len(duties) + 1)}条 本法自{effective}起施行。"])
    return parse(text, extract_metadata(text, path_level="national")[0], doc_id=doc_id)


PASSED = "（2016年11月7日第十二届全国人民代表大会常务委员会第二十四次会议通过"
OLD = statute(DUTIES, f"{PASSED}）", "2017年6月1日", "old")
NEW = statute(
    (*DUTIES[:2], "数据工作坚持统筹发展和安全。", DUTIES[2], DUTIES[3].replace("定期", "每年度"), *DUTIES[5:]),
    f"{PASSED} 根据2025年10月28日第十四届全国人民代表大会常务委员会第十八次会议《关于修改〈中华人民共和国某数据法〉的决定》修正）",
    "2017年6月1日",
    "new",
)
DOCS = {"old": OLD, "new": NEW}
TITLES = TitleIndex.from_documents(DOCS.values())


def answer(text: str, day: str | None = None, docs=DOCS):
    titles = TitleIndex.from_documents(docs.values())
    return show(
        text,
        titles,
        {i: d.meta for i, d in docs.items()},
        docs.__getitem__,
        day=day or "2026-11-22",
        as_of=day is not None,
    )


def test_articles_are_paired_by_wording_across_renumbering():
    rows = {(r.old, r.new): r.change for r in align(OLD, NEW)}
    assert rows == {
        ("第一条", "第一条"): "same",
        ("第二条", "第二条"): "same",
        ("", "第三条"): "added",
        ("第三条", "第四条"): "renumbered",
        ("第四条", "第五条"): "changed",
        ("第五条", ""): "removed",
        ("第六条", "第六条"): "same",
        ("第七条", "第七条"): "same",
    }
    assert lineage(OLD, NEW)["第四条"] == "第五条"


def test_an_article_that_moved_against_the_order_is_still_found():
    moved = statute((DUTIES[4], *DUTIES[:4], DUTIES[5]), f"{PASSED}）", "2018年6月1日", "moved")
    assert lineage(OLD, moved)["第五条"] == "第一条"


def test_cybersecurity_law_article_21_became_23(shared):
    rows = []
    with gzip.open(shared / "bench" / "statutes-national.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [r for r in map(json.loads, lines) if r["law"] == "网络安全法" and r["date"] == "2016-11-07"]
    old = parse(
        "网络安全法\n" + "\n".join(f"{r['article']} {r['text']}" for r in rows),
        DocumentMeta("网络安全法", "national"),
        doc_id="old",
    )
    text = (shared / "corpus" / "national" / "中华人民共和国网络安全法.md").read_text(encoding="utf-8")
    new = parse(text, DocumentMeta("网络安全法", "national"), doc_id="new")
    moved = lineage(old, new)
    # the decision of 2025-10-28 itself: 40 -> 42, and inner references 21 -> 23, 25 -> 27
    assert [moved[k] for k in ("第二十一条", "第二十五条", "第四十条", "第十八条")] == [
        "第二十三条",
        "第二十七条",
        "第四十二条",
        "第十九条",
    ]


def test_a_decision_gives_the_new_numbers():
    decision = "一、增加一条，作为第三条。\n二、将第十八条改为第十九条，修改为…\n三、增加一条，作为第二十条。\n四、将第四十条改为第四十二条，增加一款。\n五、删去第五十条。"
    new = renumbering(decision, 60)
    assert [new[k] for k in ("第二条", "第三条", "第十八条", "第二十一条", "第四十条", "第四十一条", "第五十一条")] == [
        "第二条",
        "第四条",
        "第十九条",
        "第二十三条",
        "第四十二条",
        "第四十三条",
        "第五十二条",
    ]
    assert "第五十条" not in new


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("２０个工作日，应当", "20 个工作日,应当"),
        ("第一〇二条", "第一零二条"),
        ("《甲》、《乙》", "《甲》《乙》"),
        ("（一）甲；", "(一)甲;"),
        ("“人工智能+”", '"人工智能＋"'),
        ("2024—2028年", "2024-2028年"),
        ("数据，是指\n任何记录", "数据，是指任何记录"),
    ],
)
def test_noise_is_no_difference(a, b):
    assert same_wording(a, b)
    assert diff(a, b) == []


def test_a_difference_is_shown_as_printed():
    changes = diff("应当 定期开展风险评估。", "应当每年度开展风险评估，并报告。")
    assert [(c.op, c.old, c.new) for c in changes] == [("replace", "定期", "每年度"), ("insert", "", "，并报告")]


def test_the_version_of_a_day():
    versions = versions_of(DOCS.values(), NEW.meta)
    assert [d.doc_id for d in versions] == ["old", "new"]
    assert [version_on(versions, day).doc_id for day in ("2018-01-01", "2025-10-27", "2026-01-01")] == [
        "old",
        "old",
        "new",
    ]
    assert version_on(versions, "2010-01-01") is None


def test_drafts_stand_beside_the_final_text():
    draft = parse(
        "某办法（征求意见稿）\n第一条 甲。",
        extract_metadata("某办法（征求意见稿）\n第一条 甲。", path_level="national")[0],
        doc_id="draft",
    )
    final = parse(
        "某办法\n第一条 甲。", extract_metadata("某办法\n第一条 甲。", path_level="national")[0], doc_id="final"
    )
    assert [d.doc_id for d in drafts_of([draft, final], final.meta)] == ["draft"]
    assert [d.doc_id for d in versions_of([draft, final], final.meta)] == ["final"]


# --- the four answers ------------------------------------------------------------------------------------------------------


def test_found():
    shown = answer("某数据法第五条")
    assert (shown.answer, shown.doc_id, shown.address, shown.status) == ("found", "new", "第五条", "in_force")
    assert "每年度" in shown.text


def test_amended_since_shows_the_text_of_that_day_and_the_article_of_today():
    shown = answer("某数据法第四条", "2024-01-01")
    assert (shown.answer, shown.doc_id, shown.article, shown.current_article) == (
        "amended_since",
        "old",
        "第四条",
        "第五条",
    )
    assert ("定期", "每年度") in shown.differences


def test_amended_since_when_the_old_text_is_not_held():
    shown = answer("某数据法第四条", "2024-01-01", {"new": NEW})
    assert shown.answer == "amended_since"
    assert "2025-10-28" in shown.why


def test_a_decision_in_the_library_says_what_the_article_is_called_now():
    text = "全国人民代表大会常务委员会关于修改《中华人民共和国某数据法》的决定\n（2025年10月28日第十四届全国人民代表大会常务委员会第十八次会议通过）\n一、增加一条，作为第三条。\n二、将第四条改为第五条。"
    decision = parse(text, extract_metadata(text, path_level="national")[0], doc_id="decision")
    shown = answer("某数据法第三条", "2024-01-01", {"new": NEW, "decision": decision})
    assert (shown.answer, shown.current_article) == ("amended_since", "第四条")


def test_wording_differs_names_the_words():
    shown = answer("某数据法第二条：“国家建立数据分级分类保护制度。”")
    assert shown.answer == "wording_differs"
    assert answer("某数据法第二条：“国家建立数据分类分级保护制度”").answer == "found"


def test_a_digest_never_says_that_a_quotation_is_wrong():
    digest = replace(NEW, meta=replace(NEW.meta, text_kind="digest"))
    shown = answer("某数据法第二条：“国家建立数据分级分类保护制度。”", docs={"new": digest})
    assert (shown.answer, shown.text_kind) == ("found", "digest")
    assert "核对原文" in shown.why


@pytest.mark.parametrize("text", ["某某法第三条", "某数据法第一百条", "第三条", "你好", "某数据法第二条第九款"])
def test_not_in_library(text):
    shown = answer(text)
    assert (shown.answer, shown.text) == ("not_in_library", "")
    assert shown.why


def test_not_yet_in_force_on_that_day():
    assert (
        answer("某数据法第一条", "2016-12-01", {"old": OLD}).answer,
        answer("某数据法第一条", "2016-12-01", {"old": OLD}).status,
    ) == ("found", "not_yet_effective")


def test_the_command_answers_in_json(tmp_path, monkeypatch):
    from kb.cli.show import command

    folder = tmp_path / "corpus" / "national"
    folder.mkdir(parents=True)
    (folder / "某数据法.md").write_text(NEW.text, encoding="utf-8")
    monkeypatch.setenv("KB_INDEX", str(tmp_path / "none"))
    result = CliRunner().invoke(command, ["某数据法第五条", "--corpus", str(tmp_path / "corpus"), "--json"])
    assert result.exit_code == 0, result.output
    assert {"answer", "title", "article", "address", "text", "status", "why"} <= set(json.loads(result.stdout))
    assert json.loads(result.stdout)["answer"] == "found"


def test_doctor_describes_a_corpus(tmp_path, monkeypatch):
    from kb.cli.doctor import command

    folder = tmp_path / "corpus" / "national"
    folder.mkdir(parents=True)
    (folder / "某数据法.md").write_text(NEW.text, encoding="utf-8")
    facts = tmp_path / "facts.yaml"
    facts.write_text(
        "documents:\n- title: 中华人民共和国某数据法\n  effective_date: '2017-06-01'\n  status: 现行有效\n",
        encoding="utf-8",
    )
    monkeypatch.setenv("KB_INDEX", str(tmp_path / "none"))
    page = CliRunner().invoke(command, ["--corpus", str(tmp_path / "corpus"), "--facts", str(facts)])
    assert page.exit_code == 0, page.output
    assert "1 件" in page.output and "100.0%" in page.output
    value = json.loads(CliRunner().invoke(command, ["--corpus", str(tmp_path / "corpus"), "--json"]).stdout)
    assert sum(value["by_status"].values()) == value["n_documents"] == 1
