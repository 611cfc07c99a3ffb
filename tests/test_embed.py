"""Encoders: rows of length 1 in order, whole texts, defined results for bad input, no torch, clear refusals."""

import importlib.util
import subprocess
import sys

import numpy as np
import pytest

from kb.embed import BUNDLED_FOLDER, BundledEncoder, clean, load_encoder, prompts_for, unit, windows
from kb.errors import EncoderError

TEXTS = ["公共数据资源授权运营的价格形成机制", "机动车驾驶人应当遵守交通信号", "", "市人民政府建立公共数据开放目录"]
BAD = [
    "",
    " \n\t",
    "😀👩‍👩‍👧",
    "\ud800",
    "数据\udfff安全",
    "\x00\x07\u200b",
    "數據安全與個人資料保護",
    "a" * 5_000,
    "①㈠Ⅷ",
    "�",
]


@pytest.fixture(scope="module")
def bundled():
    return load_encoder()


@pytest.fixture(params=["bundled", "hash"])
def encoder(request, bundled):
    return bundled if request.param == "bundled" else load_encoder("hash")


def test_rows_have_length_one_and_keep_the_order(encoder):
    together = encoder.encode_passages(TEXTS)
    assert together.dtype == np.float32 and together.shape == (len(TEXTS), encoder.dim)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(encoder.encode_passages(TEXTS[::-1])[::-1], together)


def test_a_text_has_one_vector_whatever_it_is_encoded_with(encoder):
    together = encoder.encode_passages([*TEXTS, "数据" * 700])
    alone = np.concatenate([encoder.encode_passages([t]) for t in TEXTS])
    np.testing.assert_array_equal(alone, together[: len(TEXTS)])


def test_like_texts_score_higher_than_unlike_ones(encoder):
    query = encoder.encode_queries(["公共数据授权运营的价格"])[0]
    scores = encoder.encode_passages(TEXTS) @ query
    assert scores.argmax() == 0


def test_no_texts_give_no_rows(encoder):
    assert encoder.encode_queries([]).shape == (0, encoder.dim)


@pytest.mark.parametrize("text", BAD, ids=range(len(BAD)))
def test_bad_input_gives_a_unit_vector(encoder, text):
    for rows in (encoder.encode_queries([text]), encoder.encode_passages([text])):
        assert np.isfinite(rows).all()
        assert np.linalg.norm(rows[0]) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("wrong", ["一个字符串", [None], [b"bytes"]])
def test_anything_but_a_list_of_strings_is_refused(encoder, wrong):
    with pytest.raises(EncoderError, match="list of strings"):
        encoder.encode_passages(wrong)


def test_progress_counts_every_text_once(encoder):
    seen = []
    encoder.encode_passages([f"第{i}条" for i in range(150)], progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (150, 150)
    assert [d for d, _ in seen] == sorted({d for d, _ in seen})


def test_the_end_of_a_5000_character_article_counts(bundled):
    article = "数据处理者应当建立健全全流程数据安全管理制度，组织开展数据安全教育培训。" * 140
    assert len(article) > 5000
    fishing = article[:-1600] + "渔船应当按照规定安装船舶自动识别系统并保持正常使用。" * 64
    before, after, query = bundled.encode_passages([article, fishing, "渔船安装自动识别系统"])
    assert after @ query > before @ query + 0.01


def test_windows_cover_everything_evenly():
    assert windows(0, 10) == [(0, 0)]
    assert windows(10, 10) == [(0, 10)]
    assert windows(21, 10) == [(0, 7), (7, 14), (14, 21)]


def test_queries_and_passages_differ_by_their_prompt(bundled):
    query, passage = bundled.encode_queries(["数据安全"])[0], bundled.encode_passages(["数据安全"])[0]
    assert 0.5 < query @ passage < 0.9999


def test_fingerprint_is_stable_and_follows_the_files(bundled, tmp_path):
    assert bundled.fingerprint == BundledEncoder(BUNDLED_FOLDER).fingerprint
    for path in BUNDLED_FOLDER.iterdir():
        if path.is_file():
            (tmp_path / path.name).write_bytes(path.read_bytes())
    text = (tmp_path / "tokenizer.json").read_text(encoding="utf-8")
    (tmp_path / "tokenizer.json").write_text(text + "\n", encoding="utf-8")
    assert BundledEncoder(tmp_path).fingerprint != bundled.fingerprint


def test_a_missing_file_names_the_command_that_rebuilds_it(tmp_path):
    with pytest.raises(EncoderError, match=r"build_encoder\.py"):
        BundledEncoder(tmp_path)


def test_a_damaged_file_is_a_clear_refusal(tmp_path):
    for path in BUNDLED_FOLDER.iterdir():
        if path.is_file():
            (tmp_path / path.name).write_bytes(path.read_bytes()[:5000])
    with pytest.raises(EncoderError, match="damaged"):
        BundledEncoder(tmp_path)


def test_the_bundled_encoder_never_imports_torch():
    code = (
        "import sys; from kb.embed import load_encoder; load_encoder().encode_queries(['数据']);"
        "print(sorted({'torch', 'transformers', 'sentence_transformers', 'onnx'} & set(sys.modules)))"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=BUNDLED_FOLDER.parents[1]
    )
    assert out.stdout.strip() == "[]"


def test_the_folder_is_small_and_complete():
    sizes = {
        p.relative_to(BUNDLED_FOLDER).as_posix(): p.stat().st_size for p in BUNDLED_FOLDER.rglob("*") if p.is_file()
    }
    assert {"model.onnx", "model.safetensors", "tokenizer.json", "config.json", "modules.json", "README.md"} <= set(
        sizes
    )
    assert sum(sizes.values()) < 38_000_000


def test_readme_hashes_are_those_of_the_files():
    import hashlib

    readme = (BUNDLED_FOLDER / "README.md").read_text(encoding="utf-8")
    for name in ("model.onnx", "model.safetensors", "tokenizer.json"):
        assert hashlib.sha256((BUNDLED_FOLDER / name).read_bytes()).hexdigest() in readme, name


def test_clean_keeps_pairs_and_replaces_lone_surrogates():
    assert clean("\ud83d\ude00数据") == "😀数据"
    assert clean("数\ud800据") == "数�据"
    assert clean("第一条\n数据") == "第一条\n数据"


def test_unit_defines_zero_rows():
    np.testing.assert_array_equal(unit(np.array([[3.0, 4.0], [0.0, 0.0]])), np.array([[0.6, 0.8], [1, 0]], np.float32))


@pytest.mark.parametrize(
    ("name", "configured", "expected"),
    [
        ("BAAI/bge-small-zh-v1.5", {}, ("为这个句子生成表示以用于检索相关文章：", "")),
        ("BAAI/bge-m3", {}, ("", "")),
        ("intfloat/multilingual-e5-small", {}, ("query: ", "passage: ")),
        ("Qwen/Qwen3-Embedding-0.6B", {"query": "Instruct: …\nQuery:", "document": ""}, ("Instruct: …\nQuery:", "")),
        ("some/where", {"query": "q: ", "passage": "p: "}, ("q: ", "p: ")),
        ("some/thing-else", {"query": "", "document": ""}, ("", "")),
    ],
)
def test_prompts_come_from_the_model_then_from_our_table(name, configured, expected):
    assert prompts_for(name, configured) == expected


needs_models = pytest.mark.skipif(
    not all(importlib.util.find_spec(m) for m in ("sentence_transformers", "compressed_tensors")),
    reason='other models need pip install "duibiao[models]"',
)


@pytest.fixture(scope="module")
def same_folder():
    """The bundled folder through SentenceTransformer and torch."""
    return load_encoder(str(BUNDLED_FOLDER))


@needs_models
def test_sentence_transformers_reads_the_same_folder(bundled, same_folder):
    texts = [*TEXTS, "（一）数据目录；\n（二）共享清单 GDPR 50%"]
    for ours, theirs in (
        (bundled.encode_passages(texts), same_folder.encode_passages(texts)),
        (bundled.encode_queries(texts), same_folder.encode_queries(texts)),
    ):
        assert (ours * theirs).sum(axis=1).min() > 0.999


@needs_models
def test_sentence_transformers_sees_long_texts_whole(bundled, same_folder):
    text = "数据处理者应当建立健全全流程数据安全管理制度。" * 60 + "渔船应当安装船舶自动识别系统。" * 60
    rows = same_folder.encode_passages([text, "短文"])
    assert rows.shape == (2, 384)
    assert float(rows[0] @ bundled.encode_passages([text])[0]) > 0.995


@needs_models
def test_an_unreachable_model_names_the_bundled_encoder_and_the_offline_way(monkeypatch):
    monkeypatch.setattr("socket.create_connection", refuse)
    monkeypatch.setattr("urllib.request.getproxies", dict)
    with pytest.raises(EncoderError, match=r"(?s)cannot be loaded.*--encoder bundled.*local-dir"):
        load_encoder("nobody/has-this-model")


def refuse(*_, **__):
    raise OSError("no network in this test")


def test_a_missing_package_names_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(EncoderError, match="pip install"):
        load_encoder("BAAI/bge-m3")
