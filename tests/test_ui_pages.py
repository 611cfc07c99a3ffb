"""Logic of the pages without a browser: filters, counts, the address, what a page says, where uploads go."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
from streamlit.testing.v1 import AppTest
from workbench_corpus import build_library, settings_for

from kb.models import LABELS, Evidence
from kb.review import ReviewLog, assign, decide, states
from kb.rows import gap_rows, national_documents, scope_choice
from kb.ui.data import _parse, _print
from kb.ui.filters import WITH_NUMBER, RowFilter, label_counts, options, select
from kb.ui.levels import chained
from kb.ui.markup import with_marks
from kb.ui.summary import OPEN_LABELS, heat, newest
from kb.ui.update_page import changed_documents, safe_name
from kb.update import make_note, notes, write_note
from kb.wording import DIFFERS, MISSING, SAME, compare

EVIDENCE = Evidence("某条例", "某条例", "某条例/第二条", "第二条", "第二条", "应当登记。", 2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("pages")


@pytest.fixture(scope="module")
def library(folder):
    return build_library(folder)


@pytest.fixture(scope="module")
def rows(library):
    return gap_rows(library, [d.doc_id for d in national_documents(library)], scope_choice(library))


@pytest.fixture(scope="module")
def held(library, rows):
    return states(library, rows, {})


def test_an_empty_filter_keeps_every_row_and_each_label_its_own(rows, held):
    assert select(RowFilter(), rows, held) == rows
    for label, n in label_counts(rows, held).items():
        assert len(select(RowFilter(labels=[label]), rows, held)) == n


def test_filters_combine(rows, held):
    found = select(RowFilter(numbers=WITH_NUMBER, words="目录 公布"), rows, held)
    assert [r.requirement.address for r in found] == ["第五条"]
    assert select(RowFilter(words="没有这个词"), rows, held) == []


def test_people_are_found_by_what_they_did(library, rows, tmp_path):
    log = ReviewLog(tmp_path / "reviews.jsonl")
    decide(log, library, rows[2], "甲", {"label": "已覆盖"})
    fresh = states(library, rows, log.decisions())
    assert [r.row_id for r in select(RowFilter(who="甲"), rows, fresh)] == [rows[2].row_id]
    assert options(rows, fresh)["people"] == ["甲"]


def test_the_heat_of_a_cell_is_the_number_its_click_shows(rows, held):
    for (doc, topic), cell in heat(rows, held).items():
        if topic == "其他":
            continue
        mine = [r for r in rows if r.requirement.doc_id == doc]
        assert len(select(RowFilter(labels=OPEN_LABELS, topics=[topic]), mine, held)) == cell.open
        assert cell.heat is None or 0 <= cell.heat <= 1


def test_the_newest_documents_come_first(library):
    dates = [d.meta.effective_on or "" for d in newest(library.documents)]
    assert dates == sorted(dates, reverse=True)


@pytest.mark.parametrize("value", ["词", ["甲", "乙"], [], True, False, (10, 90), 3])
def test_values_survive_the_address(value):
    default = type(value)() if not isinstance(value, tuple) else (0, 100)
    assert _parse(_print(value), default) == value


@pytest.mark.parametrize(("text", "default"), [("x|y|z", (0, 100)), ("9" * 400, 0), ("<script>", 0), ("a|b", (0, 100))])
def test_hostile_addresses_fall_back(text, default):
    assert _parse(text, default) == default


def test_marks_never_let_markup_through():
    text = "<script>数据</script>"
    assert "<script>" not in with_marks(text, [(0, 4, "kb-same"), (8, 10, "kb-missing")])


def test_differences_are_named_in_words():
    national, local = (
        "处理者应当每年度开展风险评估，并向省级以上部门报送。",
        "处理者可以定期开展风险评估，并向部门报送。",
    )
    marks = compare(national, local)
    kinds = {m.kind: national[m.start : m.end] for m in marks.national}
    assert {SAME, MISSING, DIFFERS} <= set(kinds)
    assert "每年度" in marks.said(national) and "应当" in marks.said(national)
    assert all(a.end <= b.start for a, b in zip(marks.national, marks.national[1:], strict=False))


@pytest.mark.parametrize("silent", [True, False])
def test_a_text_compared_with_itself_misses_nothing(silent):
    text = "市级数据主管部门应当编制测试数据目录，并在三十日内向社会公布。"
    assert {m.kind for m in compare(text, text, silent=silent).national} == {SAME}
    assert compare(text, "").national == ()


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("../../etc/passwd", "passwd"),
        ("a\\b\\c.pdf", "c.pdf"),
        (".hidden", "hidden"),
        ('x<>:"|?*.md', "x.md"),
        ("", "未命名.txt"),
        ("a\x00b\n.md", "ab.md"),
    ],
)
def test_names_of_uploads_cannot_leave_their_folder(name, safe):
    assert safe_name(name) == safe


def test_changed_documents_compare_two_manifests():
    before, after = {"documents": {"a": "1", "b": "1"}}, {"documents": {"b": "2", "c": "1"}}
    assert changed_documents(before, after) == {"新增": ["c"], "有变化": ["b"], "移除": ["a"]}
    assert changed_documents(None, after)["新增"] == ["b", "c"]


def test_rows_are_found_by_actor_by_assignee_and_without_a_topic(library, rows, tmp_path):
    log = ReviewLog(tmp_path / "reviews.jsonl")
    assign(log, rows[:2], "组长", "小王")
    held = states(library, rows, log.decisions())
    assert select(RowFilter(assignee="小王"), rows, held) == rows[:2]
    offered = options(rows, held)
    assert offered["assignees"] == ["小王"] and offered["people"] == ["组长"]
    for actor in offered["actors"]:
        assert {r.requirement.actor for r in select(RowFilter(actors=[actor]), rows, held)} == {actor}
    bare = [r for r in rows if not r.requirement.topics]
    assert select(RowFilter(topics=["其他"]), rows, held) == bare


def test_the_weakest_level_and_what_fills_it_are_named(library, rows):
    def judged_as(label):
        return replace(rows[0], assessment=replace(rows[0].assessment, proposed_label=label, evidence=(EVIDENCE,)))

    found = chained({"province": judged_as("已覆盖"), "city": judged_as("未覆盖")}).chain
    assert (found.weakest, found.filled_by) == ("city", "《某条例》第二条")
    found = chained({"province": judged_as("未覆盖"), "city": judged_as("已覆盖")}).chain
    assert (found.weakest, found.filled_by) == ("province", "")
    assert chained({"province": judged_as("未覆盖"), "city": judged_as("未覆盖")}).chain.weakest == ""


@pytest.fixture
def app(folder, monkeypatch, root):
    settings = settings_for(folder)
    for name in ("corpus", "index", "encoder"):
        monkeypatch.setenv(f"KB_{name.upper()}", str(getattr(settings, name)))
    return AppTest.from_file(str(root / "app.py"), default_timeout=60)


def test_the_overview_shows_what_is_held(app, rows):
    app.run()
    assert not app.exception
    labels = [b.label for b in app.button]
    assert any("国家文件" in x and "**2**" in x for x in labels)
    assert any("未覆盖且程度为高" in x for x in labels)


def test_without_an_index_the_page_says_how_to_build_one(app, monkeypatch, tmp_path):
    monkeypatch.setenv("KB_INDEX", str(tmp_path / "none"))
    app.run()
    assert not app.exception
    assert any("还没有索引" in w.value for w in app.warning)


def test_a_wrong_setting_is_said_on_the_page(app, monkeypatch):
    monkeypatch.setenv("KB_MAX_PAGES", "many")
    app.run()
    assert not app.exception
    assert any("单个文件的页数上限" in e.value for e in app.error)


def test_labels_and_their_colours_match():
    from kb.ui.names import LABEL_COLORS, LABEL_CSS, LABEL_HELP

    assert set(LABELS) == set(LABEL_COLORS) == set(LABEL_CSS) == set(LABEL_HELP)


def one_page(name, session, query=None):
    """A page run by itself, as app.py runs it, with what a session holds."""

    def script(name):
        import importlib

        from kb.ui.data import library_or_stop

        importlib.import_module(f"kb.ui.{name}").page(library_or_stop())

    app = AppTest.from_function(script, args=(name,), default_timeout=60)
    for key, value in (session or {}).items():
        app.session_state[key] = value
    for key, value in (query or {}).items():
        app.query_params[key] = value
    return app


@pytest.fixture
def own_log(folder, library, monkeypatch, app, request):
    """The decisions of the corpus, gone after the test."""
    log = ReviewLog(folder / "corpus" / "reviews.jsonl")
    request.addfinalizer(lambda: log.path.unlink(missing_ok=True))
    return log


def labels_of(app):
    return {b.label: b for b in app.button}


def test_the_review_page_records_under_the_name_and_moves_on(own_log, rows):
    page = one_page("review_page", {"reviewer": "甲"}).run()
    assert not page.exception
    page = labels_of(page)["确认机器结论"].click().run()
    assert not page.exception
    event = own_log.events()[0]
    assert (event.who, event.row_id) == ("甲", rows[0].row_id)
    assert page.session_state["review.row"] == rows[1].row_id


def test_a_reader_looks_and_cannot_decide(own_log, monkeypatch):
    monkeypatch.setenv("KB_REVIEWERS", "甲,乙")
    page = one_page("review_page", {"reviewer": "丙"}).run()
    assert not page.exception
    assert labels_of(page)["确认机器结论"].disabled and labels_of(page)["未覆盖"].disabled
    assert any("读者" in c.value for c in page.caption)
    page = one_page("review_page", {"reviewer": "甲"}).run()
    assert not labels_of(page)["确认机器结论"].disabled


def test_the_queue_is_given_to_a_person_and_filtered_by_them(own_log, rows):
    page = one_page("review_page", {"reviewer": "组长", "give:to": "小王"}).run()
    page = page.button(key="give:do").click().run()
    assert not page.exception
    assert {e.after["assignee"] for e in own_log.events()} == {"小王"} and len(own_log.events()) == len(rows)
    page = one_page("review_page", {"reviewer": "小王"}, {"to": "小王", "q": "all"}).run()
    assert any(f"第 1 / {len(rows)} 条" in m.value for m in page.markdown)


def test_a_second_reader_gets_what_others_decided_and_not_their_label(own_log, library, rows):
    decide(own_log, library, rows[1], "甲", {"label": "不适用", "note": "甲的说明"})
    page = one_page("review_page", {"reviewer": "乙", "second": True}).run()
    assert not page.exception
    assert any("有 1 条已由他人复核" in i.value for i in page.info)
    assert not any("甲的说明" in h.value for h in page.get("html")) if page.get("html") else True
    page = labels_of(page)["未覆盖"].click().run()
    assert not page.exception
    assert [(e.who, e.role) for e in own_log.events()] == [("甲", "first"), ("乙", "second")]
    page = one_page("review_page", {"reviewer": "丙"}, {"v": "两人一致性"}).run()
    assert not page.exception
    assert {m.label for m in page.metric} >= {"相同比例", "一致性系数 κ"}
    assert "1 条" in next(c.value for c in page.caption if "结论不同" in c.value)


@pytest.mark.parametrize("view", ["逐级对照", "滞后线索"])
def test_levels_and_signals_are_drawn(own_log, view):
    page = one_page("gaps_page", {}, {"v": view, "n": "测试数据管理办法"}).run()
    assert not page.exception
    assert len(page.dataframe) == 1 and len(page.dataframe[0].value)


def test_an_amending_draft_shows_what_was_carried_out(own_log):
    text = "关于修改《深圳市测试数据条例》的决定（草案）\n\n一、增加一条，作为第四条：“市数据主管部门应当编制测试数据目录。”\n二、删去第九条。\n"
    page = one_page("draft_page", {"draft:text": text}, {"src": "粘贴文字"}).run()
    assert not page.exception
    assert any("2 处修改，已套入 1 处，1 处需人工处理" in e.label for e in page.expander)
    page = one_page("draft_page", {"draft:text": text.replace("深圳市测试", "没有收录的")}, {"src": "粘贴文字"}).run()
    assert not page.exception and any("没有找到它要修改的文件" in w.value for w in page.warning)


def test_the_update_page_lists_the_inbox_with_reasons_and_earlier_notes(own_log, folder, library, request):
    inbox = folder / "corpus" / "inbox" / "national"
    inbox.mkdir(parents=True)
    (inbox / "残缺的通知.md").write_text("无", encoding="utf-8")
    settings = settings_for(folder)
    write_note(settings, make_note(settings, judge=False))
    request.addfinalizer(lambda: shutil.rmtree(folder / "corpus" / "inbox", ignore_errors=True))
    page = one_page("update_page", {}).run()
    assert not page.exception
    listed = next(d.value for d in page.dataframe if "原因" in d.value.columns)
    assert list(listed["名称"]) == ["残缺的通知"] and listed["原因"][0]
    page.session_state["update:note"] = notes(settings)[0]
    page = page.run()
    assert not page.exception
    assert any("更新说明" in m.value and "索引" in m.value for m in page.markdown)
