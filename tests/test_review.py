"""Decisions: fold, undo, conflicts, texts that change, agreement, a log that survives crashes and strangers."""

from __future__ import annotations

import dataclasses
import json
import re
import threading

import pytest
from workbench_corpus import build_library

from kb.errors import ReviewError
from kb.review import (
    ReviewConflict,
    ReviewLog,
    agreement,
    assign,
    decide,
    fingerprint,
    fold,
    format_evidence,
    kappa,
    orphans,
    parse_evidence,
    states,
)
from kb.rows import gap_rows, national_documents, scope_choice


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return build_library(tmp_path_factory.mktemp("review"))


@pytest.fixture(scope="module")
def rows(library):
    return gap_rows(library, [d.doc_id for d in national_documents(library)], scope_choice(library))


@pytest.fixture
def log(tmp_path):
    return ReviewLog(tmp_path / "reviews.jsonl")


def row_at(rows, address):
    return next(r for r in rows if r.requirement.address == address and r.national.meta.title == "测试数据管理办法")


def test_a_row_without_events_is_open_with_the_label_of_the_judge(library, rows, log):
    held = states(library, rows, log.decisions())
    assert {s.state for s in held.values()} == {"open"}
    assert all(held[r.row_id].label == r.assessment.label for r in rows)


def test_confirming_and_changing_are_told_apart(library, rows, log):
    first, second = rows[0], rows[1]
    other = next(x for x in ("已覆盖", "未覆盖") if x != second.assessment.proposed_label)
    decide(log, library, first, "甲", {"label": first.assessment.proposed_label})
    decide(log, library, second, "甲", {"label": other, "note": "说明"})
    held = states(library, rows, log.decisions())
    assert (held[first.row_id].state, held[second.row_id].state) == ("confirmed", "changed")
    assert held[second.row_id].label == other
    assert held[second.row_id].decision.values["note"] == "说明"


def test_the_log_keeps_who_when_before_after_and_both_fingerprints(library, rows, log):
    row = row_at(rows, "第四条")
    decide(log, library, row, "甲", {"label": "部分覆盖"})
    decide(log, library, row, "甲", {"label": "已覆盖"})
    lines = [json.loads(line) for line in log.path.read_text(encoding="utf-8").splitlines()]
    assert [(e["who"], e["before"].get("label"), e["after"]["label"]) for e in lines] == [
        ("甲", "", "部分覆盖"),
        ("甲", "部分覆盖", "已覆盖"),
    ]
    assert lines[0]["national_fp"] == fingerprint(row.requirement.text)
    assert lines[0]["at"].endswith("+00:00")


def test_undo_takes_back_the_last_own_event_only(library, rows, log):
    row = rows[0]
    decide(log, library, row, "甲", {"label": "已覆盖"})
    decide(log, library, row, "乙", {"label": "未覆盖"})
    with pytest.raises(ReviewError, match="没有可撤销"):
        log.undo(row.row_id, "丙")
    log.undo(row.row_id, "乙")
    assert log.decisions()[row.row_id].values["label"] == "已覆盖"
    log.undo(row.row_id, "甲")
    assert row.row_id not in log.decisions()
    assert len(log.events()) == 4


def test_the_second_of_two_windows_sees_the_conflict_and_nothing_is_lost(library, rows, log):
    row = rows[0]
    decide(log, library, row, "甲", {"label": "已覆盖"}, seen="")
    with pytest.raises(ReviewConflict) as caught:
        decide(log, library, row, "乙", {"label": "未覆盖"}, seen="")
    assert caught.value.current.values["label"] == "已覆盖"
    decide(log, library, row, "乙", {"label": "未覆盖"}, seen=caught.value.current.last_event)
    assert [e.after["label"] for e in log.events()] == ["已覆盖", "未覆盖"]


def test_twenty_writers_at_once_lose_no_event(library, rows, log):
    def write(n):
        decide(ReviewLog(log.path), library, rows[n % len(rows)], f"人{n}", {"note": f"说明{n}"})

    threads = [threading.Thread(target=write, args=(n,)) for n in range(20)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(e.after["note"] for e in log.events()) == sorted(f"说明{n}" for n in range(20))


@pytest.mark.parametrize("side", ["national", "local"])
def test_a_changed_text_returns_the_decision_with_old_and_new(tmp_path, side):
    library = build_library(tmp_path)
    docs = [d.doc_id for d in national_documents(library)]
    row = row_at(gap_rows(library, docs, scope_choice(library)), "第四条")
    log = ReviewLog(tmp_path / "corpus" / "reviews.jsonl")
    decide(log, library, row, "甲", {"label": "部分覆盖", "evidence": format_evidence([(local_id(library), "第四条")])})
    name, old, new = {
        "national": ("national/测试数据管理办法.md", "每年度开展", "每半年开展"),
        "local": ("shenzhen/深圳市测试数据条例.md", "定期开展", "每两年开展"),
    }[side]
    path = tmp_path / "corpus" / name
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    after = build_library(tmp_path)
    fresh = gap_rows(after, docs, scope_choice(after))
    held = states(after, fresh, log.decisions())
    state = held[row_at(fresh, "第四条").row_id]
    assert state.state == "suspect" and state.label == "部分覆盖"
    change = state.changes[0]
    assert old in change.old and new in change.new


def local_id(library):
    return next(d.doc_id for d in library.documents if d.meta.level == "shenzhen")


def test_a_text_that_only_changed_white_space_changes_nothing(library, rows, log):
    assert fingerprint("第四条　测试 数据\n处理者") == fingerprint("第四条测试数据处理者")


def test_a_local_article_that_only_got_another_number_keeps_its_decision(tmp_path):
    library = build_library(tmp_path)
    docs = [d.doc_id for d in national_documents(library)]
    row = row_at(gap_rows(library, docs, scope_choice(library)), "第四条")
    log = ReviewLog(tmp_path / "corpus" / "reviews.jsonl")
    decide(log, library, row, "甲", {"label": "部分覆盖", "evidence": format_evidence([(local_id(library), "第四条")])})
    path = tmp_path / "corpus" / "shenzhen" / "深圳市测试数据条例.md"
    numerals = "零一二三四五六七八九十"

    def later(found):
        n = numerals.index(found[1])
        return f"第{numerals[n + 1]}条" if n >= 4 else found[0]

    text = re.sub(r"(?m)^第([一二三四五六七八九])条", later, path.read_text(encoding="utf-8"))
    path.write_text(re.sub(r"(?m)^第五条", "第四条　市园林部门应当养护树木。\n第五条", text, count=1), encoding="utf-8")
    after = build_library(tmp_path)
    fresh = gap_rows(after, docs, scope_choice(after))
    held = states(after, fresh, log.decisions())[row_at(fresh, "第四条").row_id]
    assert held.state in ("confirmed", "changed") and held.label == "部分覆盖"


def test_a_duty_that_moved_keeps_its_decision_as_suspect_and_a_lost_one_is_an_orphan(library, rows, log):
    row = row_at(rows, "第四条")
    decide(log, library, row, "甲", {"label": "部分覆盖"})
    duty = dataclasses.replace(
        row.requirement,
        requirement_id=row.requirement.requirement_id + "9",
        text=row.requirement.text.replace("每年度", "每季度"),
    )
    moved = dataclasses.replace(row, row_id=row.row_id.replace("@", "9@"), requirement=duty)
    others = [r for r in rows if r.row_id != row.row_id]
    assert states(library, [moved, *others], log.decisions())[moved.row_id].state == "suspect"
    unlike = dataclasses.replace(moved, requirement=dataclasses.replace(duty, text="完全无关的一句话"))
    assert [d.row_id for d in orphans([unlike], log.decisions())] == [row.row_id]


def test_a_new_local_answer_reopens_a_gap(library, rows, log):
    row = row_at(rows, "第五条")
    decide(log, library, row, "甲", {"label": "未覆盖"})
    item = dataclasses.replace(row.assessment.evidence[0], grade=2, doc_id=peer_id(library), article="第二条")
    answered = dataclasses.replace(row, assessment=dataclasses.replace(row.assessment, evidence=(item,)))
    state = states(library, [answered], log.decisions())[row.row_id]
    assert state.state == "suspect" and state.changes[0].where.startswith("新出现的本地依据")


def peer_id(library):
    return next(d.doc_id for d in library.documents if d.meta.level == "peers")


def test_a_second_reader_who_differs_makes_the_row_disputed_until_resolved(library, rows, log):
    row = rows[0]
    decide(log, library, row, "甲", {"label": "已覆盖"})
    with pytest.raises(ReviewError, match="另一人"):
        decide(log, library, row, "甲", {"label": "未覆盖"}, role="second")
    decide(log, library, row, "乙", {"label": "未覆盖"}, role="second")
    assert states(library, rows, log.decisions())[row.row_id].state == "disputed"
    decide(log, library, row, "丙", {"label": "部分覆盖"}, role="resolve")
    state = states(library, rows, log.decisions())[row.row_id]
    assert state.state != "disputed" and state.label == "部分覆盖"


def test_agreement_counts_pairs_and_lists_disputes(library, rows, log):
    for row, second in zip(rows[:3], ("已覆盖", "已覆盖", "未覆盖"), strict=True):
        decide(log, library, row, "甲", {"label": "已覆盖"})
        decide(log, library, row, "乙", {"label": second}, role="second")
    found = agreement(log.decisions().values())
    assert (found.n, found.observed) == (3, 2 / 3)
    assert [d.row_id for d in found.disputed] == [rows[2].row_id]
    assert found.per_label["未覆盖"][:2] == (0, 1)


def test_kappa_is_that_of_the_paper():
    pairs = [("a", "a")] * 20 + [("a", "b")] * 5 + [("b", "a")] * 10 + [("b", "b")] * 15
    po, pe = 35 / 50, (25 * 30 + 25 * 20) / 2500
    assert kappa(pairs) == pytest.approx((po - pe) / (1 - pe))
    assert kappa([]) is None and kappa([("a", "a")]) is None


@pytest.mark.parametrize(
    ("who", "after", "message"),
    [
        ("", {"label": "已覆盖"}, "姓名"),
        ("甲", {"label": "违法"}, "不是可选"),
        ("甲", {"bogus": "x"}, "不能识别"),
        ("甲", {"label": "待人工核定"}, "不是可选"),
    ],
)
def test_what_cannot_be_recorded_says_why_and_writes_nothing(library, rows, log, who, after, message):
    with pytest.raises(ReviewError, match=message):
        decide(log, library, rows[0], who, after)
    assert not log.path.exists()


def test_a_line_broken_by_a_crash_is_skipped_and_named_and_the_next_event_starts_a_new_line(library, rows, log):
    decide(log, library, rows[0], "甲", {"label": "已覆盖"})
    with log.path.open("a", encoding="utf-8") as handle:
        handle.write('{"event_id": "x", "at": "20')
    decide(log, library, rows[1], "甲", {"label": "已覆盖"})
    assert len(log.events()) == 2
    assert [f.where for f in log.findings()] == ["reviews.jsonl:2"]


def test_lines_of_strangers_do_not_stop_the_log(log):
    log.path.write_bytes(
        b'[]\n{"a": 1}\nnull\n\xff\xfe\n{"event_id":"e","at":"t","who":"w","row_id":"r","doc_id":"d","address":"a","after":[1]}\n'
    )
    assert log.events() == () and len(log.findings()) == 5


def test_evidence_values_read_back():
    pairs = [("a", "第一条"), ("b", "二、（五）")]
    assert parse_evidence(format_evidence(pairs)) == pairs
    assert parse_evidence("") == [] and parse_evidence("junk") == []


def test_fold_of_nothing_is_nothing():
    assert fold([]) is None


def test_rows_are_given_to_a_person_once_and_taken_back(library, rows, log):
    assert assign(log, rows[:3], "组长", "小王") == 3
    assert assign(log, rows[:3], "组长", "小王") == 0
    assert assign(log, rows[:1], "组长", "") == 1
    held = states(library, rows, log.decisions())
    assert [held[r.row_id].assignee for r in rows[:3]] == ["", "小王", "小王"]
    assert {held[r.row_id].state for r in rows[:3]} == {"open"}


def test_giving_a_row_to_somebody_is_no_conflict_for_the_window_that_shows_it(library, rows, log):
    assign(log, rows[:1], "组长", "小王")
    decide(log, library, rows[0], "小王", {"label": "已覆盖"}, seen="")
    seen = log.decisions()[rows[0].row_id].last_event
    assign(log, rows[:1], "组长", "小李")
    decide(log, library, rows[0], "小王", {"label": "未覆盖"}, seen=seen)
    with pytest.raises(ReviewConflict, match="小王"):
        decide(log, library, rows[0], "小李", {"label": "已覆盖"}, seen=seen)


def test_a_reader_may_not_write_and_nothing_of_a_refused_batch_is_kept(library, rows, tmp_path):
    log = ReviewLog(tmp_path / "reviews.jsonl", "甲， 乙")
    decide(log, library, rows[0], "甲", {"label": "已覆盖"})
    for act in (
        lambda: decide(log, library, rows[1], "丙", {"label": "已覆盖"}),
        lambda: assign(log, rows, "丙", "甲"),
    ):
        with pytest.raises(ReviewError, match="读者") as caught:
            act()
        assert "KB_REVIEWERS" in caught.value.hint
    assert len(log.events()) == 1


def test_rows_read_twice_come_with_the_disputed_ones_first(library, rows, log):
    for row, second in ((rows[0], "已覆盖"), (rows[1], "未覆盖"), (rows[2], "未覆盖")):
        decide(log, library, row, "甲", {"label": "已覆盖"})
        decide(log, library, row, "乙", {"label": second}, role="second")
    decide(log, library, rows[1], "甲", {"label": "部分覆盖"}, role="resolve")
    found = agreement(log.decisions().values())
    assert [d.row_id for d in found.both] == [rows[2].row_id, rows[1].row_id, rows[0].row_id]
    assert [d.row_id for d in found.disputed] == [rows[2].row_id, rows[1].row_id]
    assert set(found.per_label) == {"已覆盖", "未覆盖"}
