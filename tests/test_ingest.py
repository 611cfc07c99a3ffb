"""Ingest: a preview that writes nothing, an addition that overwrites nothing, and names that lead nowhere."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import read_samples as sample
from click.testing import CliRunner

from kb.cli.ingest import command
from kb.errors import UsageError
from kb.ingest import add, preview
from kb.read import Limits

NAMED = sample.TEXT.replace(sample.TITLE, "深圳市样例数据登记管理办法", 1)


def items(*paths: Path, corpus: Path, **options):
    return list(preview(list(paths), corpus, **options))


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    (folder / "shenzhen").mkdir(parents=True)
    return folder


def test_a_preview_tells_what_the_file_holds_and_writes_nothing(tmp_path, corpus):
    path = tmp_path / "新文件.md"
    path.write_text(NAMED, encoding="utf-8")
    (item,) = items(path, corpus=corpus)
    assert (item.state, item.title, item.level, item.quality) == (
        "new",
        "深圳市样例数据登记管理办法",
        "shenzhen",
        "complete",
    )
    assert item.dates["effective_on"] == "2025-03-01" and item.first[0].startswith("第一条")
    assert [p for p in corpus.rglob("*") if p.is_file()] == []


def test_what_is_added_is_the_original_and_is_then_known(tmp_path, corpus):
    path = tmp_path / "a.html"
    path.write_bytes(sample.html(title="深圳市样例数据登记管理办法"))
    found = items(path, corpus=corpus)
    (name,) = add(found, corpus)
    assert (
        name == "fulltext/shenzhen/深圳市样例数据登记管理办法.html"
        and (corpus / name).read_bytes() == path.read_bytes()
    )
    (again,) = items(path, corpus=corpus)
    assert again.state == "same" and add([again], corpus) == []


def test_another_text_under_the_same_title_gets_a_name_of_its_own(tmp_path, corpus):
    for folder, text in (("a", NAMED), ("b", NAMED.replace("五年", "三年"))):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.md").write_text(text, encoding="utf-8")
    added = add(items(tmp_path / "a", tmp_path / "b", corpus=corpus), corpus)
    assert len(set(added)) == 2 and all((corpus / name).is_file() for name in added)
    first = (corpus / added[0]).read_text(encoding="utf-8")
    (tmp_path / "a" / "x.md").write_text(NAMED.replace("五年", "二年"), encoding="utf-8")
    add(items(tmp_path / "a", corpus=corpus), corpus)
    assert (corpus / added[0]).read_text(encoding="utf-8") == first


def test_nothing_is_overwritten_even_when_a_file_appears_in_between(tmp_path, corpus):
    path = tmp_path / "a.md"
    path.write_text(NAMED, encoding="utf-8")
    found = items(path, corpus=corpus)
    target = corpus / found[0].target
    target.parent.mkdir(parents=True)
    target.write_text("人工校订的文本", encoding="utf-8")
    with pytest.raises(UsageError, match="there already"):
        add(found, corpus)
    assert target.read_text(encoding="utf-8") == "人工校订的文本" and not list(target.parent.glob(".*"))


def test_an_archive_is_expanded_and_its_names_lead_nowhere(tmp_path, corpus):
    path = tmp_path / "附件.zip"
    path.write_bytes(
        sample.archive(
            {
                "../../../../etc/evil.md": NAMED,
                "目录/附件2.docx": sample.sample_docx(),
                "readme.exe": b"MZ",
                "inner.zip": sample.archive({"a.md": "甲"}),
                "__MACOSX/._a.md": "junk",
            }
        )
    )
    found = items(path, corpus=corpus, level="shenzhen")
    assert [(item.path, item.state) for item in found] == [
        ("附件.zip!evil.md", "new"),
        ("附件.zip!附件2.docx", "new"),
        ("附件.zip!inner.zip", "refused"),
    ]
    add(found, corpus)
    files = [p for p in tmp_path.rglob("*") if p.is_file() and p != path]
    assert len(files) == 2 and all(p.is_relative_to(corpus / "fulltext" / "shenzhen") for p in files)


def test_a_title_with_path_marks_makes_a_plain_file_name(tmp_path, corpus):
    path = tmp_path / "a.md"
    path.write_text(NAMED.replace("深圳市样例", "深圳市../../样例/甲", 1), encoding="utf-8")
    (item,) = items(path, corpus=corpus, level="shenzhen")
    assert item.target.count("/") == 2 and ".." not in Path(item.target).parts


def test_one_bad_file_never_stops_the_others(tmp_path, corpus):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.pdf").write_bytes(b"%PDF-1.4 broken")
    (tmp_path / "in" / "b.docx").write_bytes(b"PK\x03\x04broken")
    (tmp_path / "in" / "c.md").write_text(NAMED, encoding="utf-8")
    (tmp_path / "in" / "d.txt").write_bytes(b"")
    (tmp_path / "in" / "e.md").symlink_to("/etc/passwd")
    states = {item.path: item.state for item in items(tmp_path / "in", corpus=corpus)}
    assert states == {"a.pdf": "refused", "b.docx": "refused", "c.md": "new", "d.txt": "refused"}


def test_incomplete_texts_need_a_word_of_their_own(tmp_path, corpus):
    path = tmp_path / "a.md"
    path.write_text(NAMED.replace("第三条", "第八条"), encoding="utf-8")
    found = items(path, corpus=corpus)
    assert found[0].state == "incomplete" and add(found, corpus) == []
    assert len(add(found, corpus, incomplete=True)) == 1


def test_an_unknown_level_must_be_given(tmp_path, corpus):
    path = tmp_path / "a.md"
    path.write_text(sample.TEXT, encoding="utf-8")
    (item,) = items(path, corpus=corpus)
    assert item.state == "undecided" and add([item], corpus, incomplete=True) == []
    assert items(path, corpus=corpus, level="peers")[0].target.startswith("fulltext/peers/")
    with pytest.raises(UsageError):
        items(path, corpus=corpus, level="county")
    with pytest.raises(UsageError):
        items(tmp_path / "absent.md", corpus=corpus)


def test_limits_hold_for_files_in_folders(tmp_path, corpus):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "big.md").write_text(NAMED * 40, encoding="utf-8")
    (item,) = items(tmp_path / "in", corpus=corpus, limits=Limits(max_bytes=5000))
    assert item.state == "refused" and "limit" in item.findings[0].what


def test_levels_of_the_reference_texts_are_never_wrong(shared_corpus, tmp_path):
    wrong, undecided = [], 0
    for level in ("national", "guangdong", "shenzhen", "peers"):
        for item in preview([shared_corpus / level], tmp_path):
            undecided += item.state == "undecided"
            if item.level not in ("", level):
                wrong.append((item.title, item.level))
    assert not wrong and undecided <= 10


def test_the_command_prints_a_preview_and_json(tmp_path, corpus):
    path = tmp_path / "a.md"
    path.write_text(NAMED, encoding="utf-8")
    shown = CliRunner().invoke(command, [str(path), "--corpus", str(corpus)])
    assert (
        shown.exit_code == 0 and "深圳市样例数据登记管理办法" in shown.output and "Nothing was written" in shown.output
    )
    done = CliRunner().invoke(command, [str(path), "--corpus", str(corpus), "--yes", "--json"])
    told = json.loads(done.stdout)
    assert told["added"] == ["fulltext/shenzhen/深圳市样例数据登记管理办法.md"] and told["counts"] == {"new": 1}
    bad = tmp_path / "b.pdf"
    bad.write_bytes(b"%PDF-1.4 broken")
    assert CliRunner().invoke(command, [str(bad), "--corpus", str(corpus)]).exit_code == 1
