"""Texts in, unit vectors out: the bundled encoder, any sentence-transformers model, a tiny one for tests.

The bundled encoder runs each text on its own, several at a time on several threads, and not in padded batches. Its
integer arithmetic would let neighbours in a batch nudge a vector by a hair; alone, a text has exactly one vector, so
an incremental update equals a full rebuild bit for bit. It costs little: nothing is padded (docs/encoder.md).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
import unicodedata
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from kb.errors import EncoderError

if TYPE_CHECKING:
    import onnxruntime

Progress = Callable[[int, int], None]
"""Called as progress(done, total), in texts; total is constant during one call."""

BUNDLED = "bundled"
BUNDLED_FOLDER = Path(__file__).parent / "encoder"
QUERY_PROMPT, PASSAGE_PROMPT = "query: ", "passage: "
"""The prompts the bundled model was trained with; also in its config_sentence_transformers.json."""

_MAX_TOKENS = 512
_RECIPE = "1"
"""Raise when the same weights would give other vectors (prompts, windows, pooling); part of the fingerprint."""
_CHUNK = 64
"""Texts between two progress calls."""
_HASH_DIM = 256
_HUB_WAIT_S = 4
_RESTORE = "reinstall the package, or rebuild it: python scripts/build_encoder.py --out kb/encoder"

_PROMPTS: tuple[tuple[str, str, str], ...] = (
    (r"bge-(small|base|large)-zh", "为这个句子生成表示以用于检索相关文章：", ""),
    (r"bge-(small|base|large)-en", "Represent this sentence for searching relevant passages: ", ""),
    (
        r"e5-.*instruct",
        "Instruct: Given a question, retrieve passages of laws and policies that answer it\nQuery: ",
        "",
    ),
    (r"(^|[-/_])e5-", "query: ", "passage: "),
    (r"stella|xiaobu|conan|acge|gte-.*zh|bge-m3|m3e", "", ""),
)
"""(pattern of the model name, query prompt, passage prompt) for models whose own config names no prompts."""


class Encoder(Protocol):
    """What search and indexing need of an encoder; rows have length 1 and keep the order of the texts."""

    name: str
    fingerprint: str
    dim: int

    def encode_queries(self, texts: Sequence[str], progress: Progress | None = None) -> np.ndarray:
        """What a user asks: float32 (n, dim)."""
        ...

    def encode_passages(self, texts: Sequence[str], progress: Progress | None = None) -> np.ndarray:
        """What is searched: float32 (n, dim); a text of any length is represented whole."""
        ...


def load_encoder(name: str | None = None) -> Encoder:
    """The encoder called `name`: None or "bundled", "hash" (tests), else a sentence-transformers model or folder.

    Raises:
        EncoderError: its files or its packages are missing, or the model hub cannot be reached.
    """
    if name is None or name == BUNDLED:
        return BundledEncoder(BUNDLED_FOLDER)
    if name == "hash":
        return HashEncoder()
    return SentenceTransformerEncoder(name)


def clean(text: str) -> str:
    """Lone surrogates become U+FFFD; everything else is left to the tokenizer."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def windows(n_tokens: int, room: int) -> list[tuple[int, int]]:
    """Spans that cover n_tokens in order, evenly, none longer than `room`; one empty span for no tokens."""
    parts = max(1, -(-n_tokens // room))
    edges = [n_tokens * i // parts for i in range(parts + 1)]
    return list(pairwise(edges))


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows scaled to length 1 as float32; a zero row becomes the first axis, so that no NaN can arise."""
    rows = np.asarray(rows, np.float32)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    flat = lengths[:, 0] == 0
    if flat.any():
        rows, lengths = rows.copy(), np.where(lengths == 0, 1, lengths)
        rows[flat, 0] = 1
    return (rows / lengths).astype(np.float32)


def _checked(texts: Sequence[str]) -> list[str]:
    """The texts as a list; a lone string or another type is refused, since it would be taken letter by letter."""
    if isinstance(texts, (str, bytes)) or not all(isinstance(t, str) for t in texts):
        raise EncoderError("an encoder takes a list of strings", hint="wrap a single text as [text]")
    return [clean(t) for t in texts]


def cores() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def one_core_session(graph: Path) -> onnxruntime.InferenceSession:
    """An ONNX graph that runs on one core: texts are run alone, several at a time on several threads."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])


class BundledEncoder:
    """multilingual-e5-small, Chinese vocabulary, 8 bits, on onnxruntime and tokenizers; never imports torch."""

    name = BUNDLED

    def __init__(self, folder: Path, threads: int | None = None) -> None:
        model, tokenizer = folder / "model.onnx", folder / "tokenizer.json"
        missing = [p.name for p in (model, tokenizer) if not p.is_file()]
        if missing:
            raise EncoderError(
                f"the bundled encoder in {folder} lacks {', '.join(missing)}",
                hint=_RESTORE,
            )
        try:
            from tokenizers import Tokenizer

            self._tokenizer = Tokenizer.from_file(str(tokenizer))
            self._session = one_core_session(model)
        except ImportError as error:
            raise EncoderError(f"the bundled encoder needs {error.name}", hint=f"pip install {error.name}") from error
        except Exception as error:  # both libraries raise their own types, some of them plain Exception
            raise EncoderError(
                f"the bundled encoder in {folder} is damaged: {str(error).splitlines()[0]}", hint=_RESTORE
            ) from error
        self._pool = ThreadPoolExecutor(threads or cores(), thread_name_prefix="encoder")
        self.dim = int(self._session.get_outputs()[0].shape[1])
        self.fingerprint = f"{BUNDLED}:{digest(folder)}"

    def encode_queries(self, texts: Sequence[str], progress: Progress | None = None) -> np.ndarray:
        return self._encode(texts, QUERY_PROMPT, progress)

    def encode_passages(self, texts: Sequence[str], progress: Progress | None = None) -> np.ndarray:
        return self._encode(texts, PASSAGE_PROMPT, progress)

    def _encode(self, texts: Sequence[str], prompt: str, progress: Progress | None) -> np.ndarray:
        cleaned = _checked(texts)
        order = sorted(range(len(cleaned)), key=lambda i: -len(cleaned[i]))  # long ones first: threads end together
        out = np.zeros((len(cleaned), self.dim), np.float32)
        for start in range(0, len(order), _CHUNK):
            part = order[start : start + _CHUNK]
            split = [(i, ids, weight) for i in part for ids, weight in self._windows(prompt, cleaned[i])]
            means = self._pool.map(self._mean, (ids for _, ids, _ in split))
            for (i, _, weight), mean in zip(split, means, strict=True):
                out[i] += weight * mean
            if progress:
                progress(start + len(part), len(order))
        return unit(out)

    def _windows(self, prompt: str, text: str) -> list[tuple[list[int], float]]:
        """(token ids, share of the text) of what the network reads: one window, or several that cover a long text."""
        ids = self._tokenizer.encode(prompt + text).ids
        if len(ids) <= _MAX_TOKENS:
            return [(ids, 1.0)]
        head = self._tokenizer.encode(prompt.rstrip()).ids[:-1]
        body, end = ids[len(head) : -1], ids[-1:]
        spans = windows(len(body), _MAX_TOKENS - len(head) - 1)
        return [(head + body[a:b] + end, (b - a) / len(body)) for a, b in spans]

    def _mean(self, ids: list[int]) -> np.ndarray:
        """The mean over the token vectors of one window; not normalised."""
        tokens = np.array([ids], np.int64)
        feeds = {"input_ids": tokens, "attention_mask": np.ones_like(tokens)}
        return self._session.run(["sentence_embedding"], feeds)[0][0]


def digest(folder: Path) -> str:
    """Twelve hex digits over the weights, the tokenizer and the recipe."""
    h = hashlib.sha256(f"{_RECIPE}|{QUERY_PROMPT}|{PASSAGE_PROMPT}".encode())
    for path in sorted(folder.iterdir()):
        if path.name in ("tokenizer.json", "model.onnx") or path.suffix == ".safetensors":
            h.update(path.read_bytes())
    return h.hexdigest()[:12]


class HashEncoder:
    """Character uni- and bigrams hashed to 256 numbers: no model, yet like texts score as alike. For tests."""

    name = "hash"
    fingerprint = "hash:1"
    dim = _HASH_DIM

    def encode_queries(self, texts: Sequence[str], progress: Progress | None = None) -> np.ndarray:
        return self.encode_passages(texts, progress)

    def encode_passages(self, texts: Sequence[str], progress: Progress | None = None) -> np.ndarray:
        cleaned = _checked(texts)
        out = np.zeros((len(cleaned), self.dim), np.float32)
        for row, text in zip(out, cleaned, strict=True):
            text = "".join(unicodedata.normalize("NFKC", text).lower().split())
            for gram in [*text, *(text[i : i + 2] for i in range(len(text) - 1))]:
                code = zlib.crc32(gram.encode())
                row[code % self.dim] += len(gram) if code & 0x8000_0000 else -len(gram)
        if progress and cleaned:
            progress(len(cleaned), len(cleaned))
        return unit(out)


class SentenceTransformerEncoder:
    """Any model that `SentenceTransformer(name)` loads, with its own prompts; a text past its limit is windowed."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._model = _load_sentence_transformer(name)
        self._prompts = prompts_for(name, dict(self._model.prompts or {}))
        probe = self._model.encode([""], convert_to_numpy=True, show_progress_bar=False)
        self.dim = int(probe.shape[1])
        self.fingerprint = f"{name}:{self._weights_digest()}"

    def encode_queries(self, texts: Sequence[str], progress: Progress | None = None) -> np.ndarray:
        return self._encode(texts, self._prompts[0], progress)

    def encode_passages(self, texts: Sequence[str], progress: Progress | None = None) -> np.ndarray:
        return self._encode(texts, self._prompts[1], progress)

    def _encode(self, texts: Sequence[str], prompt: str, progress: Progress | None) -> np.ndarray:
        cleaned = _checked(texts)
        out = np.empty((len(cleaned), self.dim), np.float32)
        for start in range(0, len(cleaned), _CHUNK):
            pieces = [self._pieces(t, prompt) for t in cleaned[start : start + _CHUNK]]
            flat = [prompt + piece for parts in pieces for piece in parts]
            vectors = unit(self._model.encode(flat, prompt="", convert_to_numpy=True, show_progress_bar=False))
            at = 0
            for offset, parts in enumerate(pieces):
                rows = vectors[at : at + len(parts)]
                out[start + offset] = np.average(rows, axis=0, weights=[max(1, len(p)) for p in parts])
                at += len(parts)
            if progress:
                progress(start + len(pieces), len(cleaned))
        return unit(out)

    def _pieces(self, text: str, prompt: str) -> list[str]:
        """The text, or consecutive pieces of it where it has more tokens than the model reads."""
        limit = self._model.max_seq_length
        tokenizer = self._model.tokenizer
        if not limit or len(text) + len(prompt) < limit // 2:
            return [text]
        spans = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)["offset_mapping"]
        room = limit - len(tokenizer(prompt, verbose=False)["input_ids"]) - 2
        if len(spans) <= room:
            return [text]
        return [text[spans[a][0] : spans[b - 1][1]] for a, b in windows(len(spans), max(1, room))]

    def _weights_digest(self) -> str:
        """Over names, shapes and a sample of every tensor, and the prompts: cheap, and another model differs."""
        h = hashlib.sha256(json.dumps([_RECIPE, *self._prompts, self._model.max_seq_length]).encode())
        for key, tensor in self._model.state_dict().items():
            values = tensor.detach().flatten()
            sample = values[:: max(1, len(values) // 1024)].float().cpu().numpy()
            h.update(f"{key}{tuple(tensor.shape)}".encode() + sample.tobytes())
        return h.hexdigest()[:12]


def prompts_for(name: str, configured: dict[str, str]) -> tuple[str, str]:
    """(query prompt, passage prompt): the model's own where its config names one, else our table, else none."""
    query = configured.get("query") or ""
    passage = next((configured[k] for k in ("passage", "document") if configured.get(k)), "")
    if query or passage:
        return query, passage
    for pattern, q, p in _PROMPTS:
        if re.search(pattern, name, re.IGNORECASE):
            return q, p
    return "", ""


def _load_sentence_transformer(name: str) -> Any:
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise EncoderError(
            f"encoder {name!r} needs the package sentence-transformers",
            hint='pip install "sentence-transformers" "torch<2.14", or use the bundled encoder: --encoder bundled',
        ) from error
    stored = Path(name).exists() or not _hub_answers()
    try:
        return SentenceTransformer(name, device="cpu", local_files_only=stored)
    except Exception as error:  # the hub client raises a dozen unrelated types
        raise EncoderError(
            f"encoder {name!r} cannot be loaded: {type(error).__name__}: {str(error).partition(chr(10))[0]}",
            hint="Without a network: use the bundled encoder (--encoder bundled), or fetch the model elsewhere"
            f" (hf download {name} --local-dir PATH), copy the folder here and name it (--encoder PATH).",
        ) from error


def _hub_answers() -> bool:
    """Whether the model hub can be reached; asked first, because its client retries for more than a minute.

    Behind a proxy a direct connection says nothing, so the answer is yes and the client finds out.
    """
    import urllib.parse
    import urllib.request

    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        return False
    if urllib.request.getproxies().get("https"):
        return True
    hub = urllib.parse.urlsplit(os.environ.get("HF_ENDPOINT") or "https://huggingface.co")
    try:
        socket.create_connection((hub.hostname, hub.port or 443), timeout=_HUB_WAIT_S).close()
    except OSError:
        return False
    return True
