"""BERT weights in, one 8-bit weight file and an ONNX graph that points into it out.

Linear weights are rounded per row and 32 inputs, word vectors per row. The file is an ordinary safetensors file in the
"pack-quantized" layout of compressed-tensors, which transformers reads; its bytes are also exactly what the operator
MatMulNBits wants, so the ONNX graph refers to them by offset and nothing is stored twice.

MatMulNBits scales activations per row and 32 inputs while running. Plain dynamic quantisation has one scale for a
whole batch and stays at cosine 0.988 to float32 on this model; this way it is above 0.999.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from kb.cross_encoder import LOWER_LAYERS, SHARED_RUNS, SOFTNESS

BITS = 8
GROUP = 32
"""Inputs per scale in linear weights."""
WORDS = "embeddings.word_embeddings"
WEIGHTS_FILE = "model.safetensors"
_ZERO = 128
"""Stored value that means 0: the default of MatMulNBits for 8 bits, and the offset of pack-quantized."""
_MICROSOFT = "com.microsoft"


# --- the weight file ---------------------------------------------------------------------------------------------


def quantise(weight: np.ndarray, group: int) -> tuple[np.ndarray, np.ndarray]:
    """(rows, columns) float32 to uint8 (rows, columns) and float32 scales (rows, columns / group).

    Symmetric: value = (stored - 128) * scale with stored in 1..255; a block of zeros has scale 0.
    """
    rows, columns = weight.shape
    blocks = weight.reshape(rows, columns // group, group)
    scale = np.abs(blocks).max(axis=2) / 127
    stored = np.rint(blocks / np.where(scale == 0, 1, scale)[..., None]) + _ZERO
    return stored.astype(np.uint8).reshape(rows, columns), scale.astype(np.float32)


def dequantise(stored: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """The inverse of `quantise`, up to rounding."""
    blocks = stored.astype(np.float32).reshape(*scale.shape, -1) - _ZERO
    return (blocks * scale[..., None]).reshape(stored.shape)


def pack(weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """BertModel tensors to the tensors of a pack-quantized file: four 8-bit values in one int32, low byte first."""
    out = {}
    for name, weight in weights.items():
        if not (is_linear(name, weight) or name == WORDS + ".weight"):
            out[name] = weight
            continue
        stored, scale = quantise(weight, weight.shape[1] if name == WORDS + ".weight" else GROUP)
        out[name + "_packed"] = stored.view("<i4")
        out[name + "_scale"] = scale
        out[name + "_shape"] = np.array(weight.shape, np.int64)
    return out


def pack_transposed(weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The tensors of a dynamic graph: linear weights as int8 (inputs, outputs) with a scale for each output."""
    out = {}
    for name, weight in weights.items():
        if not is_linear(name, weight):
            out[name] = weight
            continue
        scale = np.abs(weight).max(axis=1) / 127
        out[name + "_int8"] = np.rint(weight / np.where(scale == 0, 1, scale)[:, None]).astype(np.int8).T.copy()
        out[name + "_scale"] = scale.astype(np.float32)
    return out


def unpack_transposed(stored: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The inverse of `pack_transposed`, up to rounding."""
    out = {k: v for k, v in stored.items() if not k.endswith(("_int8", "_scale"))}
    names = [k.removesuffix("_int8") for k in stored if k.endswith("_int8")]
    return out | {n: (stored[n + "_int8"].astype(np.float32) * stored[n + "_scale"]).T.copy() for n in names}


def is_linear(name: str, weight: np.ndarray) -> bool:
    return weight.ndim == 2 and not name.startswith("embeddings.")


def quantization_config() -> dict:
    """What config.json tells transformers about the file; it makes dense float weights of it while loading."""
    weights = {"num_bits": BITS, "type": "int", "symmetric": True, "dynamic": False}
    return {
        "quant_method": "compressed-tensors",
        "format": "pack-quantized",
        "quantization_status": "compressed",
        "dequantize": True,
        "ignore": ["embeddings.position_embeddings", "embeddings.token_type_embeddings"],
        "config_groups": {
            "linear": {"targets": ["Linear"], "weights": {**weights, "strategy": "group", "group_size": GROUP}},
            "words": {"targets": ["Embedding"], "weights": {**weights, "strategy": "channel"}},
        },
    }


def offsets(path: Path) -> dict[str, tuple[int, int]]:
    """Where each tensor of a safetensors file lies: name to (first byte, bytes)."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
    header.pop("__metadata__", None)
    return {
        n: (8 + length + t["data_offsets"][0], t["data_offsets"][1] - t["data_offsets"][0]) for n, t in header.items()
    }


# --- the graph ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of the network."""

    vocab: int
    hidden: int
    layers: int
    heads: int
    feed_forward: int
    positions: int
    token_types: int
    eps: float


class _Graph:
    """Collects nodes, small constants and references into the weight file."""

    def __init__(self, where: dict[str, tuple[int, int]], *, dynamic: bool = False) -> None:
        self.where, self.dynamic = where, dynamic
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}

    def constant(self, name: str, values: Sequence[int] | float | np.ndarray) -> str:
        array = np.float32(values).reshape(()) if isinstance(values, float) else np.asarray(values)
        self.initializers[name] = numpy_helper.from_array(array, name)
        return name

    def stored(self, name: str, kind: int, *dims: int) -> str:
        """The tensor `name` of the weight file, its bytes read as `kind` with these dimensions."""
        at, size = self.where[name]
        expected = int(np.prod(dims)) * np.dtype(helper.tensor_dtype_to_np_dtype(kind)).itemsize
        if size != expected:
            raise ValueError(f"{name}: {size} bytes in the weight file, {expected} expected")
        tensor = TensorProto(name=name, data_type=kind, dims=dims, data_location=TensorProto.EXTERNAL)
        for key, value in (("location", WEIGHTS_FILE), ("offset", at), ("length", size)):
            tensor.external_data.add(key=key, value=str(value))
        self.initializers[name] = tensor
        return name

    def floats(self, name: str, *dims: int) -> str:
        return self.stored(name, TensorProto.FLOAT, *dims)

    def node(self, op: str, inputs: list[str], domain: str = "", output: str = "", **attributes) -> str:
        output = output or f"{op}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [output], domain=domain, **attributes))
        return output


def build_graph(where: dict[str, tuple[int, int]], shape: Shape) -> onnx.ModelProto:
    """The encoder: input_ids, attention_mask int64 (n, tokens) -> sentence_embedding float32 (n, hidden).

    The output is the mean over the tokens the mask keeps, not normalised: joining the windows of a long text and the
    unit length are the caller's.
    """
    g = _Graph(where)
    x = _states(g, shape, shape.layers)
    kept = g.node("Cast", ["attention_mask"], to=TensorProto.FLOAT)
    token_axis = g.constant("token_axis", np.array([1]))
    weighted = g.node("Mul", [x, g.node("Unsqueeze", [kept, g.constant("last_axis", np.array([2]))])])
    total = g.node("ReduceSum", [weighted, token_axis], keepdims=0)
    g.node("Div", [total, g.node("ReduceSum", [kept, token_axis], keepdims=1)], output="sentence_embedding")
    return _model(g, "encoder", _TOKEN_INPUTS, [_floats_info("sentence_embedding", "n", shape.hidden)])


def build_lower_graph(where: dict[str, tuple[int, int]], shape: Shape) -> onnx.ModelProto:
    """The layers that the cross-encoder shares: input_ids, attention_mask -> lower_states float32 (n, tokens, hidden)."""
    g = _Graph(where)
    g.node("Identity", [_states(g, shape, min(LOWER_LAYERS, shape.layers))], output="lower_states")
    return _model(g, "lower", _TOKEN_INPUTS, [_floats_info("lower_states", "n", "tokens", shape.hidden)])


_TOKEN_INPUTS = [
    helper.make_tensor_value_info(n, TensorProto.INT64, ["n", "tokens"]) for n in ("input_ids", "attention_mask")
]


def _states(g: _Graph, shape: Shape, layers: int) -> str:
    """Token states (n, tokens, hidden) above the first `layers` layers."""
    keys = g.node("Cast", ["attention_mask"], to=TensorProto.INT32)
    x = _embeddings(g, shape)
    for layer in range(layers):
        x = _layer(g, shape, f"encoder.layer.{layer}.", x, keys)
    return x


def build_cross_encoder_graph(
    where: dict[str, tuple[int, int]], shape: Shape, layers: Sequence[int], relations: int
) -> onnx.ModelProto:
    """The cross-encoder, one pair a run: shares float32 (1, relations).

    Inputs are float32: duty and passage (1, tokens, hidden), the lower states; duty_shared and passage_shared
    (1, tokens, runs), as `kb.cross_encoder.shared_runs` makes them.
    """
    g, runs = _Graph(where, dynamic=True), len(SHARED_RUNS)
    names, hidden = ("duty", "passage"), shape.hidden
    units = [g.node("LpNormalization", [n], axis=2, p=2) for n in names]
    cosine = g.node("MatMul", [units[0], g.node("Transpose", [units[1]], perm=[0, 2, 1])])
    alike = [cosine, g.node("Transpose", [cosine], perm=[0, 2, 1])]
    starts = [_met(g, hidden, runs, n, o, c) for n, o, c in zip(names, reversed(names), alike, strict=True)]
    x = g.node("Concat", [starts[0], g.node("Add", [starts[1], g.floats("mark.weight", hidden)])], axis=1)
    for layer in layers:
        x = _layer(g, shape, f"encoder.layer.{layer}.", x, keys="")
    edge = g.node("Shape", ["duty"], start=1, end=2)
    first, last, axis = (
        g.constant(n, np.array([v])) for n, v in (("first", 0), ("last", np.iinfo(np.int64).max), ("token_axis", 1))
    )
    means = [
        g.node("ReduceMean", [g.node("Slice", [x, *ends, axis])], axes=[1], keepdims=0)
        for ends in ((first, edge), (edge, last))
    ]
    both = g.node("Concat", [*means, g.node("Mul", means)], axis=1)
    logits = g.node("Add", [_matmul(g, "head", relations, 3 * hidden, both), g.floats("head.bias", relations)])
    g.node("Softmax", [logits], output="shares", axis=1)
    inputs = [_floats_info(n, 1, f"{n}_tokens", hidden) for n in names]
    inputs += [_floats_info(f"{n}_shared", 1, f"{n}_tokens", runs) for n in names]
    return _model(g, "cross_encoder", inputs, [_floats_info("shares", 1, relations)])


def _met(g: _Graph, hidden: int, runs: int, text: str, other: str, cosine: str) -> str:
    """States of a text plus what the other text says to each token: shared runs, nearness, what it lacks."""
    soft = g.node("Softmax", [g.node("Div", [cosine, g.constant("softness", SOFTNESS)])], axis=2)
    gap = _matmul(g, "gap", hidden, hidden, g.node("Sub", [text, g.node("MatMul", [soft, other])]))
    nearest = g.node("ReduceMax", [cosine], axes=[2], keepdims=1)
    shared = g.node("MatMul", [f"{text}_shared", g.floats("embeddings.shared.weight", runs, hidden)])
    near = g.node("MatMul", [nearest, g.floats("embeddings.nearest.weight", 1, hidden)])
    return g.node("Sum", [text, gap, shared, near])


def _floats_info(name: str, *dims: str | int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(dims))


def _model(g: _Graph, name: str, inputs: list, outputs: list) -> onnx.ModelProto:
    graph = helper.make_graph(g.nodes, name, inputs, outputs, list(g.initializers.values()))
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(_MICROSOFT, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9, producer_name="build_encoder")


def _embeddings(g: _Graph, shape: Shape) -> str:
    """Word vector from 8 bits, plus position and type, normalised."""
    table = g.stored(WORDS + ".weight_packed", TensorProto.UINT8, shape.vocab, shape.hidden)
    scales = g.floats(WORDS + ".weight_scale", shape.vocab, 1)
    rows = g.node("Cast", [g.node("Gather", [table, "input_ids"])], to=TensorProto.FLOAT)
    centred = g.node("Sub", [rows, g.constant("zero_point", float(_ZERO))])
    word = g.node("Mul", [centred, g.node("Gather", [scales, "input_ids"])])
    length = g.node("Shape", ["input_ids"], start=1, end=2)
    positions = g.floats("embeddings.position_embeddings.weight", shape.positions, shape.hidden)
    position = g.node("Slice", [positions, g.constant("start", np.array([0])), length])
    types = g.floats("embeddings.token_type_embeddings.weight", shape.token_types, shape.hidden)
    kind = g.node("Gather", [types, g.constant("type_0", np.array(0))])
    summed = g.node("Add", [g.node("Add", [word, position]), kind])
    norm = [g.floats(f"embeddings.LayerNorm.{s}", shape.hidden) for s in ("weight", "bias")]
    return g.node("LayerNormalization", [summed, *norm], axis=-1, epsilon=shape.eps)


def _matmul(g: _Graph, name: str, rows: int, columns: int, x: str) -> str:
    """x times the transposed weight, in 8-bit integers.

    Activations are scaled per 32 inputs (MatMulNBits, accuracy level 4), or in a dynamic graph once for all tokens, which
    takes half the time and is exact enough for shares of five relations.
    """
    if g.dynamic:
        parts = [
            g.stored(name + ".weight_int8", TensorProto.INT8, columns, rows),
            g.floats(name + ".weight_scale", rows),
        ]
        return g.node("DynamicQuantizeMatMul", [x, *parts], domain=_MICROSOFT)
    weight = g.stored(name + ".weight_packed", TensorProto.UINT8, rows, columns // GROUP, GROUP)
    scale = g.floats(name + ".weight_scale", rows * columns // GROUP)
    sizes = {"K": columns, "N": rows, "bits": BITS, "block_size": GROUP, "accuracy_level": 4}
    return g.node("MatMulNBits", [x, weight, scale], domain=_MICROSOFT, **sizes)


def _add_and_norm(g: _Graph, shape: Shape, dense: str, columns: int, norm: str, x: str, skip: str) -> str:
    """LayerNorm(dense(x) + skip)."""
    product = _matmul(g, dense, shape.hidden, columns, x)
    constants = [g.floats(n, shape.hidden) for n in (norm + ".weight", norm + ".bias", dense + ".bias")]
    return g.node("SkipLayerNormalization", [product, skip, *constants], domain=_MICROSOFT, epsilon=shape.eps)


def _layer(g: _Graph, shape: Shape, p: str, x: str, keys: str) -> str:
    h, a = shape.hidden, p + "attention."
    parts = [f"{a}self.{s}" for s in ("query", "key", "value")]
    bias = g.node("Concat", [g.floats(n + ".bias", h) for n in parts], axis=0)
    qkv = [_matmul(g, n, h, h, x) for n in parts]
    mixed = g.node("MultiHeadAttention", [*qkv, bias, keys], domain=_MICROSOFT, num_heads=shape.heads)
    x = _add_and_norm(g, shape, a + "output.dense", h, a + "output.LayerNorm", mixed, x)
    up = p + "intermediate.dense"
    wide = _matmul(g, up, shape.feed_forward, h, x)
    inner = g.node("BiasGelu", [wide, g.floats(up + ".bias", shape.feed_forward)], domain=_MICROSOFT)
    return _add_and_norm(g, shape, p + "output.dense", shape.feed_forward, p + "output.LayerNorm", inner, x)
