"""Generations: an update equals a full build, bad files cost only themselves, the pointer always names a whole index."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import sqlite3
import time
from dataclasses import replace

import numpy as np
import pytest
from corpora import LOCAL, NATIONAL, article, edit, text_of, write_corpus

from kb import cache as cache_module
from kb import remembered
from kb.cache import Cache
from kb.embed import load_encoder
from kb.errors import IndexError_, LockedError
from kb.generations import current_generation, generations, locked, read_manifest, rollback
from kb.index import Library, build
from kb.models import SourceText
from kb.remembered import Memory, fingerprint
from kb.search import Filters, search
from kb.settings import load_settings

QUERIES = ("数据 分类 分级", "风险 评估", "授权 运营 收益", "日志 保存", "应急 预案")


@pytest.fixture
def settings(tmp_path):
    write_corpus(tmp_path / "corpus")
    return load_settings({"corpus": tmp_path / "corpus", "index": tmp_path / "index", "encoder": "hash"}, env={})


def everything(settings) -> dict[str, object]:
    """All rows, arrays, vectors and ranked lists of the generation in force, as plain values."""
    library = Library(settings)
    out: dict[str, object] = {}
    with sqlite3.connect(library.folder / "library.db") as db:
        for (table,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            out[table] = db.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall()
    out["chunk_docs"] = library.chunk_docs.tolist()
    out["chunk_provisions"] = library.chunk_provisions.tolist()
    out["vectors"] = library.vectors.vectors(range(len(library.chunk_docs))).tolist()
    out["lexical"] = [library.lexical.search({"words": q.split()}, 50, None) for q in QUERIES]
    manifest = {k: v for k, v in library.manifest.items() if k not in ("generation", "created_at")}
    out["manifest"] = manifest
    return out


def fresh(settings, tmp_path, name):
    """The same corpus built from nothing."""
    other = load_settings({"corpus": settings.corpus, "index": tmp_path / name, "encoder": settings.encoder}, env={})
    build(other)
    return other


@pytest.mark.parametrize("seed", range(4))
def test_updates_after_random_edits_equal_a_full_build_row_by_row(settings, tmp_path, seed):
    rng = random.Random(seed)
    build(settings)
    for step in range(5):
        done = [edit(settings.corpus, rng) for _ in range(rng.randint(1, 3))]
        build(settings)
        kept, full = everything(settings), everything(fresh(settings, tmp_path, f"full{step}"))
        for table in full:
            assert kept[table] == full[table], (table, done)


def test_a_vector_does_not_depend_on_what_is_embedded_with_it():
    # the reason why an update may take vectors from the cache: the bundled encoder runs every text alone
    try:
        encoder = load_encoder("bundled")
    except Exception as error:
        pytest.skip(f"no bundled encoder: {error}")
    texts = ["应当建立数据分类分级保护制度。", "短", "应当每年开展一次风险评估并报送评估报告，" * 12]
    together = encoder.encode_passages(texts)
    alone = np.concatenate([encoder.encode_passages([t]) for t in texts])
    assert np.array_equal(together, alone)


def test_only_new_text_is_embedded_and_only_changed_files_are_read(settings, monkeypatch):
    first = build(settings)
    assert first.embedded > 20
    path = settings.corpus / "shenzhen" / f"{LOCAL}1.md"
    path.write_text(path.read_text(encoding="utf-8") + "\n\n第九条　本市设立数据专员。\n", encoding="utf-8")
    parsed = []
    monkeypatch.setattr(cache_module, "to_document", lambda *a: parsed.append(a[1].name) or _to_document(*a))
    second = build(settings)
    assert (second.documents.changed, second.documents.same, second.embedded) == (1, 5, 1)
    assert parsed == [f"shenzhen/{LOCAL}1.md"]


_to_document = cache_module.to_document


def test_nothing_changed_writes_nothing(settings):
    first = build(settings)
    again = build(settings)
    assert again.generation == first.generation and again.embedded == 0 and again.documents.same == 6


def test_counts_add_up_to_what_was_scanned(settings):
    build(settings)
    (settings.corpus / "national" / "坏.pdf").write_bytes(b"%PDF-1.7 broken")
    (settings.corpus / "national" / "空.md").write_text("", encoding="utf-8")
    os.rename(settings.corpus / "national" / f"{NATIONAL}0.md", settings.corpus / "national" / f"改名{NATIONAL}0.md")
    twin = settings.corpus / "national" / f"{NATIONAL}2.md"
    (settings.corpus / "national" / "龙副本.md").write_bytes(twin.read_bytes())
    summary = build(settings)
    d = summary.documents
    assert (d.new, d.changed, d.same, d.renamed, d.removed, d.failed, d.set_aside) == (0, 0, 5, 1, 0, 2, 1)
    assert {f.where for f in summary.findings if f.severity == "error"} == {"national/坏.pdf", "national/空.md"}
    assert any("copy" in f.what and f.where == "national/龙副本.md" for f in summary.findings)


def test_the_same_file_name_in_two_levels_is_two_documents(settings):
    rng = random.Random(5)
    for level in ("national", "shenzhen"):
        text = text_of(f"{level}某规定", [article(n, rng) for n in range(1, 4)])
        (settings.corpus / level / "某规定.md").write_text(text, encoding="utf-8")
    build(settings)
    ids = {d.doc_id for d in Library(settings).documents}
    assert {"某规定", "某规定~shenzhen"} <= ids


def test_catalogue_facts_override_and_a_full_text_replaces_the_digest(settings):
    catalogue = f"""documents:
- id: jia-0
  title: {NATIONAL}0
  aliases: [甲办法]
  level: national
  effective_on: '2031-05-01'
  status: 现行有效
  file: national/{NATIONAL}0.md
  text_kind: digest
"""
    (settings.corpus / "catalog.yaml").write_text(catalogue, encoding="utf-8")
    digest = settings.corpus / "national" / f"{NATIONAL}0.md"
    full = settings.corpus / "fulltext" / "national" / f"{NATIONAL}0.md"
    full.parent.mkdir(parents=True)
    full.write_text(digest.read_text(encoding="utf-8") + "\n\n第九条　全文才有的一条。\n", encoding="utf-8")
    digest.write_text("---\ntext_kind: digest\n---\n" + digest.read_text(encoding="utf-8"), encoding="utf-8")
    summary = build(settings)
    library = Library(settings)
    info = library.info("jia-0")
    assert info.meta.effective_on == "2031-05-01" and "甲办法" in info.meta.aliases and info.meta.text_kind == "full"
    assert library.document("jia-0").provisions[-1].label == "第九条"
    assert library.digest("jia-0").provisions[-1].label == "第八条"
    assert summary.documents.set_aside == 1
    # a changed fact is a changed document, although no text changed
    (settings.corpus / "catalog.yaml").write_text(catalogue.replace("2031", "2032"), encoding="utf-8")
    assert build(settings).documents.changed == 1
    assert Library(settings).info("jia-0").meta.effective_on == "2032-05-01"


def test_other_code_reads_everything_again(settings, monkeypatch):
    build(settings)
    monkeypatch.setattr(cache_module, "rules_version", lambda: "other")
    monkeypatch.setattr("kb.index.rules_version", lambda: "other")
    summary = build(settings)
    assert read_manifest(settings.index)["rules"] == "other" and summary.embedded == 0


def test_a_damaged_cache_is_started_again(settings):
    build(settings)
    before = everything(settings)
    for leftover in settings.index.glob("cache.db*"):
        leftover.write_bytes(b"this is no database, it is a note to the milkman" * 100)
    summary = build(settings, force=True)
    assert summary.embedded > 0
    after = everything(settings)
    assert dict(after.items()) == before


# -- generations ----------------------------------------------------------------------------------------------------------


def _touch(settings, n: int):
    path = settings.corpus / "national" / f"{NATIONAL}0.md"
    path.write_text(path.read_text(encoding="utf-8") + f"\n\n第{'九十百'[n % 3]}条　补充第{n}次。\n", encoding="utf-8")
    return build(settings)


def test_rollback_returns_and_old_generations_are_pruned(settings):
    made = [build(settings).generation] + [_touch(settings, n).generation for n in range(4)]
    assert generations(settings.index) == made[-3:]
    assert rollback(settings) == made[-2] == current_generation(settings.index)
    assert rollback(settings) == made[-3]
    with pytest.raises(IndexError_, match="no earlier generation"):
        rollback(settings)
    assert rollback(settings, made[-1]) == made[-1]
    with pytest.raises(IndexError_, match="no generation"):
        rollback(settings, "gen-000099-x")


def test_after_a_rollback_a_build_reads_the_corpus_again(settings):
    build(settings)
    newest = _touch(settings, 1)
    rollback(settings)
    again = build(settings)
    assert again.provisions == newest.provisions and again.generation > newest.generation


def test_a_clock_that_jumps_back_does_not_reorder_generations(settings, monkeypatch):
    import datetime as dt

    first = build(settings).generation

    class Past(dt.datetime):
        @classmethod
        def now(cls, tz=None):
            return dt.datetime(1999, 1, 1, tzinfo=tz)

    monkeypatch.setattr("kb.index.dt.datetime", Past)
    second = _touch(settings, 1).generation
    assert generations(settings.index) == [first, second]
    assert current_generation(settings.index) == second
    assert rollback(settings) == first


def test_a_second_builder_is_told_who_is_at_work_and_since_when(settings):
    build(settings)
    with (
        locked(settings.index, "nightly update"),
        pytest.raises(LockedError, match=rf"nightly update, process {os.getpid()}.*for 0 min"),
    ):
        build(settings)
    assert build(settings).documents.same == 6


def test_a_pointer_that_names_nothing_or_leads_outside_is_no_index(settings):
    build(settings)
    for bad in ("gen-999999-x", "../../etc", "", "\ud800"):
        (settings.index / "current").write_bytes(bad.encode("utf-8", "surrogatepass"))
        assert current_generation(settings.index) is None
        with pytest.raises(IndexError_, match="no index yet"):
            Library(settings)
    build(settings)
    assert len(Library(settings).documents) == 6


def test_a_generation_that_lost_a_file_says_what_to_do(settings):
    build(settings)
    manifest = settings.index / current_generation(settings.index) / "manifest.json"
    data = json.loads(manifest.read_text(encoding="utf-8"))
    manifest.write_text(json.dumps({**data, "format": 99}), encoding="utf-8")
    with pytest.raises(IndexError_, match="format 99"):
        Library(settings)


def test_progress_reaches_the_end_of_every_stage(settings):
    seen: dict[str, tuple[int, int]] = {}
    build(settings, progress=lambda stage, done, total: seen.__setitem__(stage, (done, total)))
    assert set(seen) == {"read", "write", "embed"}
    assert all(done == total for done, total in seen.values())


def test_one_changed_article_costs_a_small_part_of_a_full_build(shared_corpus, tmp_path):
    import shutil

    corpus = tmp_path / "corpus"
    shutil.copytree(shared_corpus, corpus, copy_function=shutil.copyfile)
    for folder in corpus.rglob("*"):
        if folder.is_dir():
            folder.chmod(0o755)
    settings = load_settings({"corpus": corpus, "index": tmp_path / "index", "encoder": "hash"}, env={})
    started = time.process_time()
    build(settings)
    full = time.process_time() - started
    path = sorted((corpus / "shenzhen").glob("*.md"))[0]
    path.write_text(path.read_text(encoding="utf-8").replace("应当", "应", 1), encoding="utf-8")
    started = time.process_time()
    summary = build(settings)
    spent = time.process_time() - started
    assert summary.documents.changed == 1 and summary.embedded <= 3
    # with the bundled encoder the full build takes 20 times as long and the update the same (docs/updating.md)
    assert spent < 10 and spent < 0.4 * full


def test_what_an_entry_amends_is_named_by_title(settings):
    catalogue = f"""documents:
- {{id: jia-0, title: {NATIONAL}0, level: national, status: 现行有效, file: national/{NATIONAL}0.md, text_kind: full}}
- {{id: jia-2, title: {NATIONAL}2, level: national, status: 现行有效, file: national/{NATIONAL}2.md, text_kind: full,
   relations: {{amends: [jia-0]}}}}
"""
    (settings.corpus / "catalog.yaml").write_text(catalogue, encoding="utf-8")
    build(settings)
    assert Library(settings).info("jia-2").meta.amends == (f"{NATIONAL}0",)
    renamed = catalogue.replace(f"title: {NATIONAL}0", f"title: 新{NATIONAL}0")
    (settings.corpus / "catalog.yaml").write_text(renamed, encoding="utf-8")
    build(settings)
    assert Library(settings).info("jia-2").meta.amends == (f"新{NATIONAL}0",)


# -- what the cache keeps ---------------------------------------------------------------------------------------------------


def _vectors(settings) -> int:
    with sqlite3.connect(settings.index / "cache.db") as db:
        return db.execute("SELECT count(*) FROM vectors").fetchone()[0]


def test_vectors_that_no_kept_generation_uses_are_dropped_and_those_in_use_stay(settings):
    settings = replace(settings, keep_generations=2)
    first = build(settings)
    keep = first.embedded
    for n in range(12):
        (settings.corpus / "national" / f"{NATIONAL}0.md").write_text(
            text_of(f"{NATIONAL}0", [article(i, random.Random(n * 100 + i)) for i in range(1, 30)]), encoding="utf-8"
        )
        build(settings)
    with sqlite3.connect(settings.index / "cache.db") as db:
        cached = {key.partition(":")[2].rpartition(":")[2] for (key,) in db.execute("SELECT key FROM vectors")}
    used = set()
    for name in generations(settings.index):
        with sqlite3.connect(settings.index / name / "library.db") as db:
            used |= {key for (key,) in db.execute("SELECT text_key FROM chunks")}
    assert cached == used and len(cached) < keep + 12 * 29
    assert build(settings, force=True).embedded == 0


def test_vectors_the_judge_asks_for_stay_while_they_are_asked_for(settings, monkeypatch):
    import datetime as dt

    settings = replace(settings, keep_generations=1)
    build(settings)
    encoder = load_encoder("hash")
    with contextlib.closing(Cache(settings.index / "cache.db")) as cache:
        assert cache.embed(encoder, ["要求一", "要求二"]) == 2
    _touch(settings, 1)
    with contextlib.closing(Cache(settings.index / "cache.db")) as cache:
        assert cache.embed(encoder, ["要求一"]) == 0
    later = dt.date.today() + dt.timedelta(days=cache_module.IDLE_DAYS + 1)
    monkeypatch.setattr(cache_module.dt, "date", type("Later", (dt.date,), {"today": classmethod(lambda cls: later)}))
    with contextlib.closing(Cache(settings.index / "cache.db")) as cache:
        assert cache.embed(encoder, ["要求一"]) == 0
    _touch(settings, 2)
    with contextlib.closing(Cache(settings.index / "cache.db")) as cache:
        assert cache.embed(encoder, ["要求一", "要求二"]) == 1


def test_vectors_of_an_encoder_that_no_kept_generation_has_are_dropped(settings):
    settings = replace(settings, keep_generations=1)
    build(settings)
    assert _vectors(settings) > 0
    build(replace(settings, encoder="none"))
    assert _vectors(settings) == 0


def test_texts_of_files_that_are_gone_are_dropped(settings):
    page = settings.corpus / "national" / "某办法.html"
    page.write_text(
        f"<html><body><h1>某办法</h1><p>{'第一条　数据处理者应当登记。' * 3}</p></body></html>", encoding="utf-8"
    )
    build(settings)
    page.unlink()
    build(settings)
    with sqlite3.connect(settings.index / "cache.db") as db:
        assert db.execute("SELECT count(*) FROM sources").fetchone()[0] == 0


def test_limits_hold_for_files_of_the_corpus_and_large_ones_are_not_even_read(settings):
    big = settings.corpus / "national" / "大.txt"
    big.write_text(text_of("大办法", ["第一条　应当登记。" * 200_000]), encoding="utf-8")
    summary = build(replace(settings, max_file_mb=1))
    assert summary.documents.failed == 1
    assert any(f.where == "national/大.txt" and "limit 1 MiB" in f.what for f in summary.findings)


def test_a_scanned_page_is_told_page_by_page_and_read_again_when_ocr_arrives(settings, monkeypatch):
    read = []

    def reader(path, *, name, limits, progress=None):
        if not name.endswith(".pdf"):
            return _read_file(path, name=name, limits=limits)
        read.append(limits.max_pages)
        for page in (1, 2):
            progress("ocr", page, 2)
            progress("read", page, 2)
        text = text_of("扫描办法", ["第一条　应当登记。", "第二条　应当公开。"])
        return SourceText(name, "pdf", text, sha256=hashlib.sha256(path.read_bytes()).hexdigest())

    _read_file = cache_module.read_file
    monkeypatch.setattr(cache_module, "read_file", reader)
    (settings.corpus / "national" / "扫描.pdf").write_bytes(b"%PDF-1.7 scanned")
    seen = []
    first = build(replace(settings, max_pages=7), progress=lambda *event: seen.append(event))
    assert read == [7] and [e for e in seen if e[0] == "ocr"] == [("ocr", 1, 2), ("ocr", 2, 2)]
    assert build(settings).generation == first.generation and len(read) == 1
    monkeypatch.setattr(cache_module, "readers_version", lambda: "with OCR")
    monkeypatch.setattr("kb.index.readers_version", lambda: "with OCR")
    assert build(settings).generation != first.generation and len(read) == 2


def test_a_search_inside_one_document_fills_its_places_from_it(settings):
    build(settings)
    library = Library(settings)
    hits = search(library, "数据 风险 评估", top=20).hits
    title = hits[-1].title
    inside = search(library, "数据 风险 评估", Filters(title=title), top=3).hits
    assert len(hits) == 20 and len(inside) == 3 and {h.title for h in inside} == {title}


def test_a_build_notes_which_provisions_are_known_answers(settings, monkeypatch):
    encoder = load_encoder(settings.encoder)
    build(settings)
    library = Library(settings)
    assert library.recall is None  # the memory that ships is of the bundled encoder
    doc, answer = next(iter(library.provisions([5]).values()))
    memory = Memory(
        encoder.fingerprint,
        encoder.encode_queries(["谁来评估"]).astype(np.float16),
        np.zeros(1, dtype=np.int32),
        np.asarray([fingerprint(answer.text.removeprefix(answer.label))], dtype=np.uint64),
    )
    monkeypatch.setattr(remembered, "shipped", lambda: memory)
    before = library.generation
    build(settings)
    library = Library(settings)
    assert library.generation != before  # another memory is another library
    assert library.recall.places.tolist() == [[0, 5]]
    seqs, shares = library.recall.answers(encoder.encode_queries(["谁来评估"])[0])
    assert seqs.tolist() == [5] and shares[0] > 0.99
    other = next(d for d in library.documents if d.seq != doc)
    hits = search(library, "谁来评估", Filters(doc_id=other.doc_id)).hits
    assert {h.doc_id for h in hits} == {other.doc_id}  # what is remembered does not pass the filter
