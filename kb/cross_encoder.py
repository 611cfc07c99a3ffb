"""A national duty and local passages in, shares of five relations out: the part of the gap judge that reads both.

Words and vectors find passages on the same subject; whether one answers the duty needs both texts read together. The
lower layers of the bundled encoder read each text once, a few layers of its own read the pair. So a duty that
meets five passages is read once, and so is a passage that meets a hundred duties (MacAvaney et al., 2020, "PreTTR").
Every token is first told what the other text has for it: a shared run of tokens, its nearest token, and what that lacks
(after Chen et al., 2017, "ESIM"); without it far more pairs are needed to learn to compare. Each pair is run alone, so
that its shares do not depend on what else is judged.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from kb.embed import BUNDLED_FOLDER, PASSAGE_PROMPT, clean, cores, digest, one_core_session
from kb.errors import EncoderError

RELATIONS = ("none", "related", "partial", "covered", "conflict")
"""What a passage is to a duty: nothing, same subject only, answers part, answers all, says otherwise."""
ANSWERS = ("partial", "covered", "conflict")
LOWER_LAYERS, JOINT_LAYERS = 6, 4
DUTY_TOKENS, PASSAGE_TOKENS = 96, 144
SHARED_RUNS = (1, 2, 4)
"""A token is told whether it stands in a run of so many tokens that the other text has too."""
SOFTNESS = 0.05
"""Temperature at which a token picks what is like it in the other text."""
WINDOW = 200
"""Characters of a local article that are read, around the rule that meets the duty."""
FOLDER = Path(__file__).parent / "cross_encoder_model"
_KEPT = 4096
"""Texts whose lower states are kept in memory, about 60 kB each."""


def window(text: str, start: int, end: int, size: int = WINDOW) -> str:
    """The part of an article of at most `size` characters around the rule from start to end; … marks a cut."""
    if len(text) <= size:
        return text
    first = start if end - start >= size else (start + end - size) // 2
    first = max(0, min(first, len(text) - size))
    return ("…" if first else "") + text[first : first + size] + ("…" if first + size < len(text) else "")


def cut(ids: list[int], limit: int) -> list[int]:
    """At most `limit` token ids, the closing one kept."""
    return ids if len(ids) <= limit else ids[: limit - 1] + ids[-1:]


def shared_runs(ids: Sequence[int], others: Sequence[int]) -> np.ndarray:
    """Which tokens stand in a run that both texts have: float32 (tokens, len(SHARED_RUNS)) of 0 and 1."""
    out = np.zeros((len(ids), len(SHARED_RUNS)), np.float32)
    for column, n in enumerate(SHARED_RUNS):
        runs = {tuple(others[i : i + n]) for i in range(len(others) - n + 1)}
        for i in range(len(ids) - n + 1):
            if tuple(ids[i : i + n]) in runs:
                out[i : i + n, column] = 1
    return out


class CrossEncoder:
    """Two ONNX graphs: the encoder's lower layers for a text, layers of its own for a pair."""

    def __init__(self, folder: Path = FOLDER, encoder: Path = BUNDLED_FOLDER, threads: int | None = None) -> None:
        from tokenizers import Tokenizer

        try:
            self._tokenizer = Tokenizer.from_file(str(encoder / "tokenizer.json"))
            self._lower = one_core_session(encoder / "lower.onnx")
            self._joint = one_core_session(folder / "model.onnx")
        except Exception as error:  # both libraries raise their own types, some of them plain Exception
            raise EncoderError(
                f"the cross-encoder in {folder} is missing or damaged: {str(error).splitlines()[0]}",
                hint="reinstall the package",
            ) from error
        self._pool = ThreadPoolExecutor(threads or cores(), thread_name_prefix="cross-encoder")
        self._states = functools.lru_cache(_KEPT)(self._run_lower)

    def read(self, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        """Shares (n, len(RELATIONS)) of (duty, passage) pairs, float32, each row adding up to 1."""
        if not pairs:
            return np.zeros((0, len(RELATIONS)), np.float32)
        return np.stack([future.result() for future in self.begin(pairs)])

    def begin(self, pairs: Sequence[tuple[str, str]]) -> list[Future[np.ndarray]]:
        """The shares (len(RELATIONS),) of each pair, read in the background."""
        return [self._pool.submit(self._run_pair, pair) for pair in pairs]

    def _run_pair(self, pair: tuple[str, str]) -> np.ndarray:
        (ids, duty), (others, passage) = self._states(pair[0], DUTY_TOKENS), self._states(pair[1], PASSAGE_TOKENS)
        feeds = {
            "duty": duty.astype(np.float32),
            "duty_shared": shared_runs(ids, others)[None],
            "passage": passage.astype(np.float32),
            "passage_shared": shared_runs(others, ids)[None],
        }
        return self._joint.run(None, feeds)[0][0]

    def _run_lower(self, text: str, limit: int) -> tuple[list[int], np.ndarray]:
        """Token ids of a text, and its states above the lower layers, float16 (1, tokens, hidden)."""
        ids = cut(self._tokenizer.encode(PASSAGE_PROMPT + clean(text)).ids, limit)
        tokens = np.array([ids], np.int64)
        feeds: dict[str, Any] = {"input_ids": tokens, "attention_mask": np.ones_like(tokens)}
        return ids, self._lower.run(None, feeds)[0].astype(np.float16)


@functools.cache
def default_cross_encoder() -> CrossEncoder:
    """The cross-encoder that ships with the package."""
    return CrossEncoder()


@functools.cache
def fingerprint() -> str:
    """Twelve hex digits over its files and those of the encoder whose lower layers it uses; rows rest on it."""
    h = hashlib.sha256(digest(BUNDLED_FOLDER).encode())
    for path in sorted(FOLDER.iterdir()):
        if path.suffix in (".onnx", ".safetensors"):
            h.update(path.read_bytes())
    return h.hexdigest()[:12]
