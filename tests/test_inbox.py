"""The inbox: what passes the gate goes into the corpus with the update, the rest waits with its reason; nothing is lost."""

from __future__ import annotations

import io
import json
import os
import zipfile

import pytest
from click.testing import CliRunner
from corpora import LOCAL, text_of, write_corpus

import kb.inbox as inbox_module
from kb.cli import group
from kb.errors import UsageError
from kb.inbox import file_id, reject, take_doubtful, take_in, waiting
from kb.index import Library, build
from kb.settings import load_settings
from kb.update import update

BODY = [
    f"第{n}条　数据处理者应当按照国家有关规定建立健全第{n}项管理制度，并向市级主管部门报告执行情况。"
    for n in "一二三四五六"
]
TITLE = "深圳市甲数据管理办法"


@pytest.fixture
def settings(tmp_path):
    write_corpus(tmp_path / "corpus", documents=2, articles=4)
    (tmp_path / "corpus" / "inbox").mkdir()
    result = load_settings({"corpus": tmp_path / "corpus", "index": tmp_path / "index", "encoder": "none"}, env={})
    build(result)
    return result


def drop(settings, name, content):
    path = settings.corpus / "inbox" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return file_id(name)


def left(settings):
    folder = settings.corpus / "inbox"
    names = (p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    return sorted(n for n in names if not n.startswith("."))


def test_a_file_that_was_dropped_is_in_the_library_after_the_update(settings):
    update(settings, judge=False)
    drop(settings, "新文件.md", text_of(TITLE, BODY))
    (row,) = waiting(settings)
    assert (row.title, row.state, row.level) == (TITLE, "downloaded", "shenzhen")
    result = update(settings, judge=False)
    assert result.note.taken == (f"fulltext/shenzhen/{TITLE}.md",)
    assert [(d.title, d.change) for d in result.note.documents] == [(TITLE, "new")]
    assert left(settings) == [] and waiting(settings) == []
    assert len(Library(settings).document(TITLE).provisions) == 6


def test_the_folder_says_the_level_where_the_text_does_not(settings):
    drop(settings, "某数据管理办法.md", text_of("某数据管理办法", BODY))
    drop(settings, "guangdong/另一数据管理办法.md", text_of("另一数据管理办法", BODY))
    intake = take_in(settings)
    assert intake.added == ("fulltext/guangdong/另一数据管理办法.md",)
    (finding,) = intake.findings
    assert "看不出层级" in finding.what
    assert take_doubtful(settings, [file_id("某数据管理办法.md")], level="national") == [
        "fulltext/national/某数据管理办法.md"
    ]


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("shenzhen/空.pdf", b"", "0 字节"),
        ("shenzhen/坏.pdf", b"%PDF-1.7 broken", ""),
        ("shenzhen/表.xyz", b"some text", "unknown kind"),
        ("shenzhen/壳.html", "<html><body><h1>欢迎访问</h1><p>本站网址导航。</p></body></html>", "没有识别出条文"),
        ("shenzhen/缺.md", text_of(TITLE, [*BODY[:2], *BODY[4:]]), "不完整"),
        ("shenzhen/撞.md", text_of(f"{LOCAL}1", BODY), "标题与已收录的"),
    ],
)
def test_what_cannot_be_taken_stays_with_its_reason_and_is_told(settings, name, content, word):
    update(settings, judge=False)
    drop(settings, name, content)
    result = update(settings, judge=False)
    assert result.note.taken == () and result.summary.documents.new == 0
    (finding,) = result.note.held
    assert finding.where == f"inbox/{name}" and word in finding.what and finding.what
    assert left(settings) == [name]


def test_of_two_texts_with_one_title_the_second_is_held(settings):
    drop(settings, "shenzhen/a.md", text_of(TITLE, BODY))
    drop(settings, "shenzhen/b.md", text_of(TITLE, [b.replace("报告", "通报") for b in BODY]))
    drop(settings, "shenzhen/c.md", text_of(TITLE, BODY) + "\n\n")
    intake = take_in(settings)
    assert len(intake.added) == 1 and left(settings) == ["shenzhen/b.md"]
    assert "尚未索引" in take_in(settings).findings[0].what
    build(settings)
    (finding,) = take_in(settings).findings
    assert "标题与已收录的" in finding.what


def test_another_version_is_held_and_taken_when_a_person_says_so(settings):
    old = [*BODY, "第七条　本办法自2020年1月1日起施行。"]
    new = [*(b.replace("报告", "通报") for b in BODY), "第七条　本办法自2026年1月1日起施行。"]
    drop(settings, "a.md", text_of(TITLE, new))
    update(settings, judge=False)
    one = drop(settings, "b.md", text_of(TITLE, old))
    assert "可能是另一版本" in waiting(settings)[0].reason and waiting(settings)[0].doubtful
    assert update(settings, judge=False).note.taken == ()
    assert len(take_doubtful(settings, [one])) == 1
    assert update(settings, judge=False).summary.documents.new == 1
    assert sorted(d.meta.effective_on for d in Library(settings).documents if d.meta.title == TITLE) == [
        "2020-01-01",
        "2026-01-01",
    ]


def test_a_file_that_cannot_be_used_is_not_taken_whatever_a_person_says(settings):
    one = drop(settings, "shenzhen/空.pdf", b"")
    with pytest.raises(UsageError, match="0 字节"):
        take_doubtful(settings, [one])
    with pytest.raises(UsageError, match="not in the inbox"):
        take_doubtful(settings, ["nope"])
    assert left(settings) == ["shenzhen/空.pdf"]


def test_rejected_files_are_put_aside_and_not_deleted(settings):
    one = drop(settings, "shenzhen/空.pdf", b"")
    reject(settings, [one])
    assert waiting(settings) == [] and left(settings) == []
    (aside,) = (settings.corpus / "inbox" / ".rejected").iterdir()
    assert aside.name.endswith("空.pdf")


def test_an_archive_gives_its_good_documents_and_stays_while_one_is_bad(settings):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("好.md", text_of(TITLE, BODY))
        archive.writestr("坏.pdf", b"%PDF-1.7 broken")
    drop(settings, "shenzhen/包.zip", packed.getvalue())
    intake = take_in(settings)
    assert intake.added == (f"fulltext/shenzhen/{TITLE}.md",) and left(settings) == ["shenzhen/包.zip"]
    assert "坏.pdf" in intake.findings[0].what
    assert take_in(settings).added == ()


def test_a_run_that_dies_between_adding_and_clearing_loses_and_doubles_nothing(settings, monkeypatch):
    drop(settings, "shenzhen/a.md", text_of(TITLE, BODY))

    def die(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(inbox_module, "_clear", die)
    with pytest.raises(KeyboardInterrupt):
        take_in(settings)
    monkeypatch.undo()
    assert left(settings) == ["shenzhen/a.md"]
    result = update(settings, judge=False)
    assert left(settings) == [] and sum(d.meta.title == TITLE for d in Library(settings).documents) == 1
    assert result.note.taken == () and not result.note.held


def test_a_file_that_grew_while_it_was_read_stays(settings, monkeypatch):
    drop(settings, "shenzhen/a.md", text_of(TITLE, BODY))
    plain = inbox_module.add

    def slow(*args, **more):
        with (settings.corpus / "inbox" / "shenzhen" / "a.md").open("a", encoding="utf-8") as stream:
            stream.write("\n\n第七条　后写入的一条规定，应当保留。\n")
        return plain(*args, **more)

    monkeypatch.setattr(inbox_module, "add", slow)
    take_in(settings)
    assert left(settings) == ["shenzhen/a.md"]


def test_verdicts_are_remembered_until_the_file_changes(settings, monkeypatch):
    drop(settings, "shenzhen/缺.md", text_of(TITLE, [*BODY[:2], *BODY[4:]]))
    first = waiting(settings)
    seen = []
    monkeypatch.setattr(inbox_module, "preview", lambda *a, **k: seen.append(a) or [])
    assert waiting(settings) == first and not seen
    path = settings.corpus / "inbox" / "shenzhen" / "缺.md"
    os.utime(path, ns=(1, 1))
    waiting(settings)
    assert len(seen) == 1


def test_links_and_hidden_files_are_left_alone(settings, tmp_path):
    outside = tmp_path / "secret.md"
    outside.write_text(text_of(TITLE, BODY), encoding="utf-8")
    (settings.corpus / "inbox" / "link.md").symlink_to(outside)
    drop(settings, ".partial/x.md", text_of(TITLE, BODY))
    assert take_in(settings).added == () and outside.exists() and waiting(settings) == []


def test_the_commands_show_take_and_leave_the_inbox(settings):
    drop(settings, "shenzhen/缺.md", text_of(TITLE, [*BODY[:2], *BODY[4:]]))
    drop(settings, "好.md", text_of("深圳市乙数据管理办法", BODY))
    common = ["--corpus", str(settings.corpus), "--index", str(settings.index), "--encoder", "none"]
    run = CliRunner()
    listed = json.loads(run.invoke(group, ["watch", "--list", "--json", *common]).stdout)
    assert [(i["state"], i["doubtful"]) for i in listed["items"]] == [("held", True), ("downloaded", False)]
    left_alone = json.loads(run.invoke(group, ["update", "--no-judge", "--no-inbox", "--json", *common]).stdout)
    assert left_alone["changes"]["taken"] == []
    taken = json.loads(run.invoke(group, ["update", "--no-judge", "--json", *common]).stdout)
    assert len(taken["changes"]["taken"]) == 1 and taken["changes"]["held"] == 1
    done = run.invoke(group, ["watch", "--approve", listed["items"][0]["id"], *common])
    assert done.exit_code == 0 and f"taken in: fulltext/shenzhen/{TITLE}.md" in done.stdout
    assert run.invoke(group, ["watch", "--reject", "nope", *common]).exit_code != 0
