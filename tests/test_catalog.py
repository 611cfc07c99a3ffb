"""The catalogue: what loads, what is reported with its line, how a document is found."""

import json
import re
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from kb.catalog import (
    CATALOG_NAME,
    Catalog,
    CatalogEntry,
    check_files,
    expiry,
    load_catalog,
    normalise,
    real_date,
    texts_of_record,
)
from kb.cli.catalog import command
from kb.errors import CatalogError
from kb.models import Document, DocumentMeta

TODAY = date(2026, 11, 22)


def entry(entry_id: str, title: str, *lines: str) -> str:
    fixed = ["kind: 行政法规", "level: national", "status: 现行有效", "verified_by: {'*': 全文}"]
    names = {line.split(":")[0] for line in lines}
    body = [line for line in fixed if line.split(":")[0] not in names] + list(lines)
    return f"- id: {entry_id}\n  title: {title}\n" + "".join(f"  {line}\n" for line in body)


def load(tmp_path: Path, *entries: str) -> tuple[Catalog, list[str]]:
    path = tmp_path / CATALOG_NAME
    path.write_text("documents:\n" + "".join(entries), encoding="utf-8")
    catalog, findings = load_catalog(path, today=TODAY)
    return catalog, [f"{f.severity} {f.where}: {f.what}" for f in findings]


def ids(catalog: Catalog) -> list[str]:
    return [e.id for e in catalog]


def test_a_corpus_without_a_catalogue_has_an_empty_one(tmp_path):
    catalog, findings = load_catalog(tmp_path / CATALOG_NAME)
    assert (len(catalog), findings) == (0, [])
    assert catalog.find("网数条例") is None


def test_a_sound_entry_loads_with_its_line_and_status_code(tmp_path):
    catalog, findings = load(tmp_path, entry("aa", "甲条例", "effective_on: 2025-03-01", "issuers: [国务院]"))
    assert findings == []
    assert (catalog.entries[0].line, catalog.entries[0].status) == (2, "in_force")
    assert catalog.entries[0].effective_on == "2025-03-01"


def test_a_duplicate_id_is_reported_and_the_first_stays(tmp_path):
    catalog, findings = load(tmp_path, entry("aa", "甲条例"), entry("aa", "乙条例"))
    assert [e.title for e in catalog] == ["甲条例"]
    assert findings == ["error catalog.yaml:8: id aa is already used in line 2; not loaded"]


def test_an_unknown_relation_target_and_kind_are_reported_and_left_out(tmp_path):
    catalog, findings = load(
        tmp_path, entry("aa", "甲条例", "relations: {based_on: [zz, bb], follows: [bb]}"), entry("bb", "乙条例")
    )
    assert catalog.entries[0].relations == {"based_on": ("bb",)}
    assert [f.split(": ", 1)[0] for f in findings] == ["error catalog.yaml:2", "error catalog.yaml:8"]
    assert "zz, which is not in the catalogue" in findings[0] and "follows" in findings[1]


@pytest.mark.parametrize("value", ["2025-02-30", "2025-13-01", "'2025-00'", "2025/03/01", "明年", "0000-01-01"])
def test_an_impossible_date_costs_one_message_and_the_field(tmp_path, value):
    catalog, findings = load(tmp_path, entry("aa", "甲条例", f"effective_on: {value}"), entry("bb", "乙条例"))
    assert ids(catalog) == ["aa", "bb"] and catalog.entries[0].effective_on is None
    assert len(findings) == 1 and findings[0].startswith("error catalog.yaml:8: aa: effective_on")


def test_a_line_that_is_not_yaml_costs_its_entry_only(tmp_path):
    catalog, findings = load(
        tmp_path,
        entry("aa", "甲条例"),
        entry("bb", "乙条例", "note: 'never closed", "issuers: [国务院"),
        entry("cc", "丙条例"),
    )
    assert ids(catalog) == ["aa", "cc"]
    assert len(findings) == 1 and "the entry of line 8 is not loaded" in findings[0]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("colour: red", "aa: unknown field colour"),
        ("kind: 章程", "aa: kind: '章程' is not one of"),
        ("status: 有效", "aa: status: '有效' is not one of"),
        ("official_url: file:///etc/passwd", "aa: official_url"),
        ("file: ../../etc/passwd", "aa: file"),
        ("issuers: 国务院", "aa: issuers"),
        ("topics: [天气]", "aa: topics.0"),
    ],
)
def test_a_value_outside_the_schema_is_named_and_the_entry_stays(tmp_path, line, said):
    catalog, findings = load(tmp_path, entry("aa", "甲条例", line))
    assert ids(catalog) == ["aa"]
    assert len(findings) == 1 and said in findings[0]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "documents:\n",
        "documents: []\n",
        "- just\n- a list\n",
        "documents: {a: b}\n",
        "\x00",
        "documents:\n- 3\n",
        "a: &a [*a]\n",
        "documents:\n- &x\n  id: aa\n  aliases: [*x]\n",
    ],
)
def test_no_file_however_odd_raises(tmp_path, text):
    (tmp_path / CATALOG_NAME).write_text(text, encoding="utf-8")
    catalog, _ = load_catalog(tmp_path / CATALOG_NAME)
    assert len(catalog) == 0


@given(st.text(alphabet="ad-: \n[]{}'\"&*!|#，条例0", max_size=80))
def test_any_text_after_a_good_entry_leaves_no_traceback(tail):
    from kb.catalog import read_entries

    entries, findings = read_entries(f"documents:\n{entry('aa', '甲条例')}{tail}", "c.yaml")
    assert isinstance(entries, list) and isinstance(findings, list)


def test_a_file_that_is_not_utf8_says_so(tmp_path):
    (tmp_path / CATALOG_NAME).write_bytes("documents:\n- id: 甲".encode("utf-16"))
    with pytest.raises(CatalogError, match="not UTF-8"):
        load_catalog(tmp_path / CATALOG_NAME)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["effective_on: 2020-01-01", "expires_on: 2025-12-31"], "有效期 ended on 2025-12-31"),
        (["effective_on: 2027-01-01"], "takes effect on 2027-01-01 but the status is 现行有效"),
        (
            ["effective_on: 2025-03-01", "expires_on: 2024-03-01", "status: 期满待核"],
            "expires 2024-03-01 before it takes effect",
        ),
        (["promulgated_on: 2025-03-01", "effective_on: 2025-02-01"], "promulgated_on 2025-03-01 is after"),
        (["effective_on: 2025-03-01", "validity: 5年", "expires_on: 2030-03-01"], "ends on 2030-02-28, not 2030-03-01"),
        (["text_kind: digest"], "text_kind digest without a file"),
        (["unverified: [dco_no]"], "dco_no in verified_by or unverified is not a field"),
    ],
)
def test_facts_that_contradict_each_other_or_the_calendar_are_pointed_at(tmp_path, lines, said):
    _, findings = load(tmp_path, entry("aa", "甲条例", *lines))
    assert len(findings) == 1 and said in findings[0]


def test_validity_ends_the_day_before_the_anniversary():
    assert expiry("2025-03-01", "5年") == "2030-02-28"
    assert expiry("2023-03-01", "1年") == "2024-02-29"
    assert expiry("2025-06-30", "2年") == "2027-06-29"
    assert expiry("2024-08-31", "6个月") == "2025-02-27"
    assert expiry("2025-03", "5年") is None


@given(st.integers(-5, 9999), st.integers(-5, 99), st.integers(-5, 99))
def test_real_date_agrees_with_the_calendar(year, month, day):
    text = f"{year:04}-{month:02}-{day:02}"
    try:
        expected = 1900 <= date(year, month, day).year <= 2100
    except ValueError:
        expected = False
    assert real_date(text) == expected


# --- look-up -----------------------------------------------------------------------------------------------------


def test_a_document_is_found_under_every_spelling_of_its_names():
    catalog = Catalog.of(
        [
            CatalogEntry(
                "dx",
                "“数据要素×”三年行动计划（2024—2026年）",
                "national",
                aliases=("数据要素乘", "数据要素×"),
                doc_no="国数政策〔2023〕11号",
            )
        ]
    )
    for name in (
        "“数据要素×”三年行动计划(2024-2026年)",
        "数据要素x",
        "数据要素乘",
        "国数政策[2023]11号",
        "国数政策 2023 11号",
        "dx",
    ):
        assert catalog.find(name) is not None, name
    assert catalog.find("数据要素") is None


def test_a_title_beats_an_alias_of_another_document():
    catalog = Catalog.of(
        [
            CatalogEntry("a1", "甲办法（征求意见稿）", "national", aliases=("甲办法",)),
            CatalogEntry("a2", "甲办法", "national"),
        ]
    )
    assert catalog.find("甲办法").id == "a2"


def test_a_covering_notice_finds_what_it_brings():
    catalog = Catalog.of([CatalogEntry("a1", "甲办法", "national")])
    assert catalog.find("某委 某局关于印发《甲办法》的通知").id == "a1"
    assert catalog.for_text("national/x.md", "某委关于印发《甲办法》的通知").id == "a1"
    assert catalog.for_text("national/甲办法.md").id == "a1"


@given(st.text(max_size=40))
def test_normalising_twice_changes_nothing(name):
    assert normalise(normalise(name)) == normalise(name)


# --- text of record ----------------------------------------------------------------------------------------------


def document(path: str, kind: str, quality: str = "complete", title: str = "甲办法") -> Document:
    return Document(path, "v", DocumentMeta(title, "national", text_kind=kind), "", (), (), quality, source_path=path)


@pytest.mark.parametrize(
    ("quality", "record", "digest"),
    [
        ("complete", "fulltext/national/甲.md", "national/甲.md"),
        ("doubtful", "fulltext/national/甲.md", "national/甲.md"),
        ("incomplete", "national/甲.md", None),
    ],
)
def test_a_full_text_speaks_and_the_digest_stays_unless_the_full_text_is_incomplete(quality, record, digest):
    texts = [document("national/甲.md", "digest"), document("fulltext/national/甲.md", "full", quality)]
    (group,) = texts_of_record(texts)
    assert (group.record.source_path, group.digest and group.digest.source_path) == (record, digest)


def test_texts_meet_by_file_or_title_through_the_catalogue_and_others_stay_apart():
    catalog = Catalog.of([CatalogEntry("a1", "甲办法", "national", file="national/甲.md", aliases=("甲管理办法",))])
    texts = [
        document("national/甲.md", "digest", title="别名"),
        document("fulltext/national/b.md", "full", title="甲管理办法"),
        document("national/乙.md", "full", title="乙办法"),
    ]
    groups = texts_of_record(texts, catalog)
    assert [(g.entry and g.entry.id, g.record.source_path) for g in groups] == [
        ("a1", "fulltext/national/b.md"),
        (None, "national/乙.md"),
    ]


# --- the shipped catalogue ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shipped(root) -> Catalog:
    catalog, findings = load_catalog(root / "corpus" / CATALOG_NAME, today=TODAY)
    assert [f for f in findings if f.severity != "info"] == []
    return catalog


def test_the_shipped_catalogue_agrees_with_the_files(root, shipped):
    assert list(check_files(shipped, root / "corpus")) == []


def test_the_shipped_corpus_covers_the_three_levels(shipped):
    held = [e for e in shipped if e.file]
    counts = {level: sum(1 for e in held if e.level == level) for level in ("national", "guangdong", "shenzhen")}
    assert counts["national"] >= 40 and counts["guangdong"] >= 5 and counts["shenzhen"] >= 6


def test_every_fact_has_a_source_and_no_status_is_assumed(shipped):
    for e in shipped:
        assert e.verified_by.get("*"), e.id
        if e.verified_by["*"] == ("未见来源",):
            assert e.status == "unverified", e.id
        assert e.status != "unverified" or "status" in e.unverified, e.id


def test_links_lead_to_official_hosts_only(shipped):
    for e in shipped:
        assert e.official_url is None or re.match(r"https?://([\w-]+\.)*(gov\.cn|npc\.gov\.cn)/", e.official_url), e.id


def test_documents_named_in_the_owners_report_are_in_the_catalogue(shipped, shared_corpus):
    report = (shared_corpus / "shenzhen/深圳市政务服务和数据管理局2024年法治政府建设年度报告.md").read_text(
        encoding="utf-8"
    )
    not_policy = ("典型案例", "工作要点", "专题学习的通知", "标准引领数据交易", "《条例》")
    named = [t for t in set(re.findall(r"《[^》]+》", report)) if not any(word in t for word in not_policy)]
    assert len(named) >= 20
    assert [t for t in named if shipped.find(t.strip("《》")) is None] == []


def test_catalog_check_reports_json_and_fails_on_an_error(tmp_path, root):
    good = CliRunner().invoke(command, ["check", "--json", "--corpus", str(root / "corpus")])
    assert good.exit_code == 0 and json.loads(good.stdout)["error"] == 0
    (tmp_path / CATALOG_NAME).write_text(
        "documents:\n" + entry("aa", "甲条例") + entry("aa", "乙条例"), encoding="utf-8"
    )
    bad = CliRunner().invoke(command, ["check", "--corpus", str(tmp_path)])
    assert bad.exit_code == 1 and "catalog.yaml:8" in bad.output
