"""kb update: the change note names what changed, why labels moved, who is affected; nothing is lost when a run dies."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import pytest
from click.testing import CliRunner
from corpora import LOCAL, NATIONAL, edit, text_of, write_corpus

from kb import rows as gap
from kb.change_note import as_markdown, headline
from kb.changes import (
    AffectedArticle,
    ArticleChange,
    ChangeNote,
    DocumentChange,
    NewDuty,
    SeenRow,
    Snapshot,
    article_changes,
    moved_labels,
    paired,
    seen_row,
    snapshot_from_json,
    snapshot_to_json,
)
from kb.cli import group
from kb.generations import current_generation, generations, read_pointer, rollback
from kb.index import NOTED, Library, build
from kb.models import Document, DocumentMeta, Finding
from kb.parse import parse
from kb.review import Basis, Event, LocalText, ReviewLog
from kb.settings import load_settings
from kb.update import notes, read_note, read_snapshot, update

NAT = [
    "第一条　为了规范数据处理活动，制定本办法。",
    "第二条　数据处理者应当建立数据分类分级保护制度，明确数据安全负责人和管理机构。",
    "第三条　重要数据的处理者应当每年开展一次风险评估，并向有关主管部门报送风险评估报告。",
    "第四条　地方人民政府应当编制公共数据资源目录，并及时更新。",
]
SZ = [
    "第一条　为了规范本市数据活动，根据《国家数据甲办法》，制定本条例。",
    "第二条　市数据主管部门应当建立本市数据分类分级保护制度，数据处理者应当明确数据安全负责人和管理机构。",
    "第三条　市数据主管部门应当编制本市公共数据资源目录，并及时更新。",
    "第四条　依照《国家数据甲办法》第三条的规定开展风险评估。",
]


@pytest.fixture
def settings(tmp_path):
    corpus = tmp_path / "corpus"
    _write(corpus, "national", NATIONAL, NAT)
    _write(corpus, "shenzhen", LOCAL, SZ)
    write_corpus(corpus, documents=2, articles=4)
    return load_settings({"corpus": corpus, "index": tmp_path / "index", "encoder": "hash"}, env={})


def _write(corpus, level, title, articles):
    path = corpus / level / f"{title}.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text_of(title, articles), encoding="utf-8")


def test_the_first_note_lists_every_document_and_no_moved_label(settings):
    result = update(settings)
    assert {d.change for d in result.note.documents} == {"new"} and len(result.note.documents) == 4
    assert not result.note.moved and not result.note.duties
    assert sum(result.note.counts_after.values()) == len(read_snapshot(settings, result.summary.generation).rows) > 0


def test_a_second_run_without_changes_says_so_and_writes_nothing(settings):
    update(settings)
    again = update(settings)
    assert again.note.empty and again.file == "" and len(notes(settings)) == 1
    assert again.summary.changes["empty"] is True


def test_an_amended_document_is_told_article_by_article(settings):
    update(settings)
    changed = [
        NAT[0],
        NAT[1].replace("明确数据安全负责人", "书面明确数据安全负责人"),
        "第三条　新增的一条规定。",
        *_renumbered(NAT[2:], 4),
    ]
    _write(settings.corpus, "national", NATIONAL, changed)
    note = update(settings).note
    (document,) = note.documents
    assert document.change == "amended"
    rows = [(a.change, a.old, a.new) for a in document.articles]
    assert rows == [
        ("changed", "第二条", "第二条"),
        ("added", "", "第三条"),
        ("renumbered", "第三条", "第四条"),
        ("renumbered", "第四条", "第五条"),
    ]
    assert ("", "书面") in document.articles[0].diffs


def _renumbered(articles, start):
    from kb.numerals import article_label

    return [f"{article_label(n)}　{a.split('　', 1)[1]}" for n, a in enumerate(articles, start)]


def test_layout_noise_is_no_amendment(settings):
    update(settings)
    path = settings.corpus / "national" / f"{NATIONAL}.md"
    path.write_text(path.read_text(encoding="utf-8").replace("，", "， ").replace("\n\n", "\n\n\n"), encoding="utf-8")
    note = update(settings).note
    assert all(d.change == "facts" and not d.articles for d in note.documents)
    assert not note.moved and not note.affected


def test_new_duties_and_citations_that_lead_nowhere_now_are_named(settings):
    update(settings)
    _write(
        settings.corpus,
        "national",
        NATIONAL,
        [NAT[0], NAT[1], NAT[3].replace("第四条", "第三条"), "第四条　数据处理者应当保存日志不少于六个月。"],
    )
    note = update(settings).note
    assert any("保存日志" in d.text for d in note.duties)
    assert not any("编制公共数据" in d.text for d in note.duties)
    (dead,) = [d for d in note.dead if d.label == "第四条"]
    assert dead.title == LOCAL and "第三条已删除" in dead.why


def test_a_new_duty_at_an_old_place_is_new_and_the_moved_one_keeps_its_history(settings):
    update(settings)
    moved = NAT[3].replace("第四条", "第三条").replace("及时更新", "每月更新")
    _write(
        settings.corpus, "national", NATIONAL, [NAT[0], NAT[1], moved, "第四条　数据处理者应当保存日志不少于六个月。"]
    )
    note = update(settings).note
    assert [d.text for d in note.duties] == ["数据处理者应当保存日志不少于六个月。"]
    assert not any(not d.why.startswith(f"《{NATIONAL}》第") for d in note.dead), (
        "a citation of the whole document is not dead"
    )


def test_a_removed_document_leaves_dead_citations_and_a_renamed_one_does_not_count_as_new(settings):
    update(settings)
    old = settings.corpus / "shenzhen" / f"{LOCAL}.md"
    old.rename(old.with_name("别名.md"))
    note = update(settings).note
    assert [(d.change, d.doc_id) for d in note.documents] == [("renamed", "别名")]
    (settings.corpus / "national" / f"{NATIONAL}.md").unlink()
    note = update(settings).note
    assert [(d.change, d.title) for d in note.documents] == [("removed", NATIONAL)]
    assert {d.why for d in note.dead} == {f"《{NATIONAL}》已不在文库"}


def test_a_local_amendment_names_the_article_and_the_bureau(settings):
    update(settings)
    _write(settings.corpus, "shenzhen", LOCAL, [SZ[0], SZ[1], SZ[2].replace("并及时更新", "并每季度更新"), SZ[3]])
    note = update(settings).note
    resting = [r for r in read_snapshot(settings, note.generation).rows if (LOCAL, "第三条") in r.evidence]
    assert resting, "the judge finds the article that answers 国家数据甲办法 第四条"
    assert (LOCAL, "第三条", "市数据主管部门") in {(a.title, a.article, a.bureau) for a in note.affected}


def test_documents_cited_and_not_held_are_listed(settings):
    update(settings)
    _write(
        settings.corpus,
        "shenzhen",
        "深圳丙办法",
        ["第一条　根据《某某未收录条例》，制定本办法。", "第二条　本办法自公布之日起施行。"],
    )
    assert update(settings).note.missing == (("某某未收录条例", 1),)


def test_a_human_decision_reopens_when_its_text_changes_and_is_told_once(settings):
    update(settings)
    library = Library(settings)
    scope = gap.scope_choice(library)
    row = next(r for r in gap.gap_rows(library, [NATIONAL], scope) if "分类分级" in r.requirement.text)
    text = library.document(LOCAL).provisions[1].text
    basis = Basis(row.requirement.text, (LocalText(LOCAL, LOCAL, "第二条", text),), row.assessment.proposed_label)
    log = ReviewLog(settings.corpus / "reviews.jsonl")
    log.append(
        Event(
            "e1",
            "2026-11-01T00:00:00+00:00",
            "张三",
            row.row_id,
            NATIONAL,
            row.requirement.address,
            after={"label": "已覆盖"},
            basis=basis,
        )
    )
    assert not update(settings).note.reopened
    _write(settings.corpus, "shenzhen", LOCAL, [SZ[0], SZ[1].replace("数据安全负责人", "负责人"), *SZ[2:]])
    (reopened,) = update(settings).note.reopened
    assert reopened.row_id == row.row_id and reopened.who == "张三" and "第二条" in reopened.because[0]
    assert not update(settings).note.reopened
    assert len(ReviewLog(settings.corpus / "reviews.jsonl").events()) == 1


def test_the_calendar_alone_makes_a_note(settings, monkeypatch):
    text = text_of(
        "国家数据期满办法",
        ["第一条　数据处理者应当登记。", "第二条　本办法自2026年1月1日起施行，有效期至2027年12月31日。"],
    )
    (settings.corpus / "national" / "国家数据期满办法.md").write_text(text, encoding="utf-8")
    monkeypatch.setattr("kb.rows.today", lambda: "2027-06-01")
    update(settings)
    monkeypatch.setattr("kb.rows.today", lambda: "2028-02-01")
    result = update(settings)
    assert [(s.old, s.new) for s in result.note.statuses] == [("in_force", "expiry_unchecked")]
    assert "期满待核" in as_markdown(result.note) and result.file
    assert update(settings).note.empty
    monkeypatch.setattr("kb.rows.today", lambda: "2020-01-01")  # a clock set back tells no news
    assert update(settings).note.empty


def test_a_build_between_two_notes_is_not_lost(settings):
    update(settings)
    _write(settings.corpus, "national", "国家数据丁办法", NAT[:2])
    build(settings)  # as when a run was killed after the switch and before the note
    _write(settings.corpus, "national", "国家数据戊办法", NAT[1:3])
    note = update(settings).note
    assert {d.title for d in note.documents} == {"国家数据丁办法", "国家数据戊办法"}


def test_the_noted_generation_outlives_pruning(settings):
    settings = replace(settings, keep_generations=1)
    first = update(settings).summary.generation
    for n in range(3):
        _write(settings.corpus, "national", f"国家数据第{n}办法", NAT[:2])
        build(settings)
    assert read_pointer(settings.index, NOTED) == first and first in generations(settings.index)
    assert len(update(settings).note.documents) == 3
    build(settings, force=True)
    assert first not in generations(settings.index)


def test_after_a_rollback_the_next_note_starts_from_what_was_told(settings):
    update(settings)
    _write(settings.corpus, "national", "国家数据丁办法", NAT[:2])
    update(settings)
    rollback(settings)
    again = update(settings)
    assert current_generation(settings.index) == again.summary.generation
    assert not again.note.documents


def test_other_rules_are_named_as_the_reason(settings):
    update(settings)
    generation = read_pointer(settings.index, NOTED)
    snapshot = read_snapshot(settings, generation)
    other = replace(snapshot, judge="earlier", rows=tuple(replace(r, label="未覆盖") for r in snapshot.rows))
    titles = {NATIONAL: NATIONAL}
    moved, duties, _ = moved_labels(other, snapshot, [], titles)
    assert not duties and moved and {m.why for m in moved} == {"判定规则有更新"}


def test_rows_are_paired_by_wording_when_their_place_moved(settings):
    update(settings)
    rows = read_snapshot(settings, read_pointer(settings.index, NOTED)).rows
    moved = [replace(r, row_id=f"{r.row_id}x", address="第九十条") for r in rows]
    pairs, fresh = paired(rows, moved)
    assert len(pairs) == len(rows) and not fresh


def test_why_a_label_moved_is_told_from_its_evidence_and_another_number_is_no_reason():
    def row(label, *evidence):
        return SeenRow("r", "国", "第二条", "第二条", "应当登记。", label, "", 0.6, evidence)

    def why(before, after, *articles):
        local = DocumentChange("本", "本地办法", "shenzhen", "amended", "现行有效", articles=articles)
        snapshots = [Snapshot("judge", "chain", ("本",), (r,)) for r in (before, after)]
        (moved,), _, _ = moved_labels(*snapshots, [local], {"本": "本地办法"})
        return moved.why

    renumbered = ArticleChange("renumbered", "第三条", "第四条")
    changed = ArticleChange("changed", "第三条", "第三条")
    held = row("部分覆盖", ("本", "第三条"))
    assert why(held, row("未覆盖"), changed) == "《本地办法》第三条有修改"
    assert why(held, row("未覆盖"), renumbered) == "《本地办法》第四条不再认定为依据"
    assert why(held, row("已覆盖", ("本", "第四条")), renumbered) == "本地文本有变化，同一依据的可信度随之变化"
    assert why(held, row("已覆盖", ("本", "第九条")), renumbered) == "依据由《本地办法》第四条变为《本地办法》第九条"
    assert why(row("未覆盖"), row("已覆盖", ("本", "第九条")), renumbered) == "新认定《本地办法》第九条为依据"


def test_the_note_puts_first_what_may_be_wrong_or_missing_and_names_every_bureau():
    duties = [
        NewDuty(f"r{n}", "国家办法", f"第{n}条", "应当登记。", label, severity)
        for n, (label, severity) in enumerate(
            [("不适用", ""), ("未覆盖", "低"), ("未覆盖", "高"), ("疑似不一致", "中"), ("已覆盖", "")]
        )
    ]
    renumbered = tuple(ArticleChange("renumbered", f"第{n}条", f"第{n + 1}条") for n in range(1, 9))
    note = ChangeNote(
        "gen-1",
        "gen-2",
        "2026-11-22",
        "2026-11-15",
        documents=(
            DocumentChange(
                "本", "本地办法", "shenzhen", "amended", "现行有效",
                articles=(ArticleChange("added", "", "第1条"), *renumbered),
            ),
        ),
        duties=tuple(duties),
        affected=tuple(
            AffectedArticle(bureau, "本", "本地办法", f"第{n}条", ("《国家办法》第2条（新增要求）",))
            for bureau, many in (("甲局", 1), ("乙局", 30), ("丙局", 2))
            for n in range(many)
        ),
    )  # fmt: skip
    page = as_markdown(note)
    assert (
        "仅条号变化 8 条（第1条至第8条改为第2条至第9条）" in page
        and "新增国家要求 5 项（疑似不一致 1、未覆盖 2）" in page
    )
    order = [page.index(x) for x in ("【疑似不一致·中】第3条", "【未覆盖·高】第2条", "【未覆盖·低】第1条")]
    assert order == sorted(order) and "【不适用" not in page
    bureaus = [page.index(x) for x in ("**乙局**（30）", "**丙局**（2）", "**甲局**（1）")]
    assert bureaus == sorted(bureaus) and page.count("\n") < 60
    assert [
        line[3:].partition("（")[0] for line in page.splitlines() if line.startswith("## ") and "附" not in line
    ] == ["一、文件", "二、新增国家要求", "三、受影响的本地条文"]


def test_a_snapshot_survives_json(settings):
    update(settings)
    snapshot = read_snapshot(settings, read_pointer(settings.index, NOTED))
    assert snapshot_from_json(snapshot_to_json(snapshot)) == snapshot
    assert isinstance(snapshot, Snapshot) and snapshot.rows[0] == seen_row_again(settings, snapshot.rows[0].row_id)


def seen_row_again(settings, row_id):
    library = Library(settings)
    rows = gap.gap_rows(library, [d.doc_id for d in gap.national_documents(library)], gap.scope_choice(library))
    return next(seen_row(r.row_id, r.requirement, r.assessment) for r in rows if r.row_id == row_id)


def test_the_note_is_one_page_and_carries_no_mark_up_of_its_sources(settings):
    update(settings)
    for n in range(30):
        _write(settings.corpus, "national", f"国家数据<script>alert({n})</script>[x](javascript:1)办法{n}", NAT[:3])
    page = as_markdown(update(settings).note)
    assert "<script" not in page and "](javascript" not in page.replace("\\]", "")
    assert page.count("\n") < 120 and "另有" in page


def test_files_that_wait_are_shown_once_and_do_not_make_a_note_each_night(settings):
    held = (Finding("warning", "inbox: 《甲》", "需要登录或验证", "Open it."),)
    first = update(settings, held=held)
    assert "需要登录或验证" in as_markdown(first.note)
    assert update(settings, held=held).file == ""
    other = update(settings, held=(*held, Finding("warning", "inbox: 《乙》", "内容为空", "")))
    assert other.file and "内容为空" in as_markdown(other.note)


def test_without_the_judge_the_note_says_so(settings):
    note = update(settings, judge=False).note
    assert not note.counts_after and "未作对标判断" in headline(note)


def test_the_command_prints_one_json_value_and_tells_monitors(settings, tmp_path):
    runner = CliRunner()
    base = ["update", "--corpus", str(settings.corpus), "--index", str(settings.index), "--encoder", "hash"]
    log = tmp_path / "logs" / "update.log"
    first = runner.invoke(group, [*base, "--json", "--exit-code", "--log", str(log)])
    assert first.exit_code == 10
    data = json.loads(first.stdout)
    assert {
        "generation",
        "documents",
        "provisions",
        "chunks",
        "requirements",
        "embedded",
        "seconds",
        "findings",
        "changes",
    } <= set(data)
    assert {"new", "changed", "same", "removed", "failed"} <= set(data["documents"])
    assert runner.invoke(group, [*base, "--exit-code", "--log", str(log)]).exit_code == 0
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    assert [line["ok"] for line in lines] == [True, True] and lines[0]["generation"] == data["generation"]
    runner.invoke(
        group, ["update", "--corpus", str(tmp_path / "none"), "--index", str(settings.index), "--log", str(log)]
    )
    last = json.loads(log.read_text(encoding="utf-8").splitlines()[-1])
    assert last["ok"] is False and "not a folder" in last["error"]
    listed = runner.invoke(
        group, ["rollback", "--list", "--corpus", str(settings.corpus), "--index", str(settings.index)]
    )
    assert data["generation"] in listed.stdout


def test_the_note_on_disk_reads_back(settings):
    result = update(settings)
    (file,) = notes(settings)
    assert str(file) == result.file and read_note(file)["generation"] == result.summary.generation


def _document(articles) -> Document:
    return parse(text_of("甲办法", articles), DocumentMeta(title="甲办法", level="national"), doc_id="甲办法")


def test_article_changes_are_blind_to_noise_and_see_every_real_change():
    rng = random.Random(3)
    base = [
        f"第{n}条　机构{c}应当按照规定报送第{c}类材料并保存{i + 3}年。"
        for i, (n, c) in enumerate(zip("一二三四五六七八", "甲乙丙丁戊己庚辛", strict=True))
    ]
    for _ in range(50):
        other = list(base)
        picked = rng.sample(range(8), rng.randint(1, 3))
        for i in picked:
            other[i] = other[i].replace("应当", "可以")
        noisy = [a.replace("，", "， ") + " " for a in other]
        found = article_changes(_document(base), _document(noisy))
        assert sorted(a.new for a in found) == sorted(base[i][:3] for i in picked)
        assert all(("应当", "可以") in a.diffs for a in found)


def test_progress_says_counts_and_the_time_left(monkeypatch, capsys):
    from kb.cli import Meter, duration

    assert Meter.line("embed", 25, 100, 30.0) == "embed    " + "█" * 6 + "░" * 18 + " 25/100  about 1 min 30 s left"
    assert Meter.line("read", 84, 84, 3.4).endswith(" 84/84  3 s")
    assert Meter.line("judge", 0, 10, 0.0).endswith("0/10  …") and Meter.line("read", 0, 0, 0.0)
    assert (duration(59.6), duration(7500)) == ("1 min 00 s", "2 h 05 min")
    meter = Meter()
    for done in range(1, 6):
        meter("read", done, 5)  # no terminal: one line, at the end
    assert capsys.readouterr().err.splitlines() == ["read     " + "█" * 24 + " 5/5  0 s"]


def all_rows(settings) -> list:
    """Every gap row of the generation in force, whole, against the default scope and against the province alone."""
    library = Library(settings)
    ids = [d.doc_id for d in gap.national_documents(library)]
    return [
        (r.row_id, r.requirement, r.assessment)
        for key in ("chain", "city")
        for r in gap.gap_rows(library, ids, gap.scope_choice(library, key))
    ]


@pytest.mark.parametrize("seed", range(3))
def test_gap_rows_after_random_edits_equal_those_of_a_rebuild_from_nothing(settings, tmp_path, seed):
    rng = random.Random(seed)
    update(settings)
    all_rows(settings)
    for step in range(4):
        done = [edit(settings.corpus, rng) for _ in range(rng.randint(1, 2))]
        update(settings)
        fresh = replace(settings, index=tmp_path / f"fresh{step}")
        build(fresh)
        kept, full = all_rows(settings), all_rows(fresh)
        assert [r[0] for r in kept] == [r[0] for r in full], done
        for was, now in zip(kept, full, strict=True):
            assert was == now, done
        told = read_snapshot(settings, current_generation(settings.index))
        chain = [(i, a.label, a.confidence) for i, _, a in full if i.endswith("@chain")]
        assert [(r.row_id, r.label, r.confidence) for r in told.rows] == chain
