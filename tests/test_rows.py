"""Gap rows beside the index: judged once, exact after every change, judged again only where something they rest on changed."""

from pathlib import Path

import pytest

from kb import rows as gap
from kb.index import Library, build
from kb.settings import load_settings

NATIONAL = """国家数据办法
第一条 为了规范数据处理，制定本办法。
第二条 县级以上地方人民政府应当编制公共数据资源目录，并每年度更新。
第三条 数据处理者应当在20个工作日内报告安全事件。
第四条 任何组织不得窃取数据。
第五条 各级人民政府应当组织开展数据安全宣传教育。
"""
FIRST = ["第一条 为了发展，制定本条例。", "第二条 市人民政府应当编制公共数据资源目录，并定期更新。"]
REST = [
    "第三条 数据处理者应当在20个工作日内报告安全事件。",
    "第四条 市数据主管部门应当组织开展数据安全宣传教育。",
    *(
        f"第{n}条 园林绿化部门应当养护{thing}并公布养护标准。"
        for n, thing in zip("五六七八九", "树花草湖亭", strict=True)
    ),
    *(
        f"第十{n}条 交通运输部门应当维护{thing}并保持畅通。"
        for n, thing in zip("一二三四五六七八九", "桥路站灯牌亭栏沟港", strict=True)
    ),
    *(
        f"第二十{n}条 教育部门应当支持{thing}建设。"
        for n, thing in zip("一二三四五六七八九", "校馆室场园舍班社队", strict=True)
    ),
]


@pytest.fixture
def settings(tmp_path: Path):
    for level in ("national", "shenzhen"):
        (tmp_path / "corpus" / level).mkdir(parents=True)
    (tmp_path / "corpus/national/a.md").write_text(NATIONAL, encoding="utf-8")
    write(tmp_path, [*FIRST, *REST])
    return load_settings({"corpus": tmp_path / "corpus", "index": tmp_path / "index", "encoder": "hash"}, {})


def write(folder: Path, articles) -> None:
    (folder / "corpus/shenzhen/b.md").write_text("深圳市数据条例\n" + "\n".join(articles) + "\n", encoding="utf-8")


def rows_now(settings, fresh=None):
    build(settings)
    library = Library(settings)
    ids = [d.doc_id for d in gap.national_documents(library)]
    return gap.gap_rows(library, ids, gap.scope_choice(library), fresh=fresh)


def from_nothing(settings):
    (settings.index / "judged.db").unlink()
    library = Library(settings)
    return gap.gap_rows(library, [d.doc_id for d in gap.national_documents(library)], gap.scope_choice(library))


def whole(rows):
    """Rows with the positions of their evidence, which comparison leaves out."""
    return [(r.row_id, r.assessment, [(e.start, e.end) for e in r.assessment.evidence]) for r in rows]


@pytest.mark.parametrize(
    "change",
    [
        lambda a: [a[0], a[1].replace("定期", "每年度"), *a[2:]],
        lambda a: [a[0] + "\n本条例依据《国家数据办法》制定。", *a[1:]],
        lambda a: [*a, "第三十一条 任何组织不得窃取数据。"],
        lambda a: [*a[:2], *a[3:]],
        lambda a: [a[0], "第二条 为了便民，公布本条例的解释。", *a[1:]],
    ],
)
def test_rows_after_a_change_equal_rows_from_nothing(settings, tmp_path, change):
    rows_now(settings)
    write(tmp_path, change([*FIRST, *REST]))
    after = rows_now(settings)
    assert whole(after) == whole(from_nothing(settings))


def test_only_duties_that_meet_the_changed_article_are_judged_again(settings, tmp_path):
    rows_now(settings, first := [])
    assert len(first) == 4
    write(tmp_path, [*FIRST, *REST[:-1], REST[-1].replace("队", "团队")])
    again: list[str] = []
    rows_now(settings, again)
    assert len(again) < 4


def test_nothing_is_judged_twice(settings):
    before = rows_now(settings)
    again: list[str] = []
    assert whole(rows_now(settings, again)) == whole(before) and not again


def test_evidence_points_at_its_words_after_text_above_it_grew(settings, tmp_path):
    rows_now(settings)
    write(tmp_path, [FIRST[0] + "数据是重要资源，应当得到保护和利用。", FIRST[1], *REST])
    rows = rows_now(settings)
    library = Library(settings)
    for evidence in (e for r in rows for e in r.assessment.evidence):
        assert library.document(evidence.doc_id).text[evidence.start : evidence.end] == evidence.quote


def test_a_damaged_result_file_is_made_anew(settings):
    before = rows_now(settings)
    (settings.index / "judged.db").write_bytes(b"no database" * 100)
    assert whole(rows_now(settings)) == whole(before)


def test_chain_and_radar_are_asked_from_the_command_line(settings, tmp_path, monkeypatch):
    import json

    from click.testing import CliRunner

    from kb.cli.gaps import command

    (tmp_path / "corpus/guangdong").mkdir()
    text = "广东省数据条例\n第一条 为了发展，制定本条例。\n第二条 各级人民政府应当组织开展数据安全宣传教育。\n"
    (tmp_path / "corpus/guangdong/c.md").write_text(text, encoding="utf-8")
    write(tmp_path, [FIRST[0], "第二条 园林绿化部门应当养护树木。", "第三条 具体奖励办法由市教育部门另行制定。"])
    build(settings)
    where = ["--corpus", str(settings.corpus), "--index", str(settings.index), "--encoder", "hash", "--json"]
    rows = json.loads(CliRunner().invoke(command, [*where, "--chain"]).stdout)["rows"]
    taught = next(r for r in rows if "宣传教育" in r["text"])
    assert taught["weakest"] == "深圳市" and "广东省数据条例" in taught["filled_by"]
    found = json.loads(CliRunner().invoke(command, [*where, "--radar"]).stdout)["signals"]
    assert {s["kind"] for s in found} >= {"no_echo", "delegation_open"}
