"""Questions whose answers are known in, what their answers say of a new question out.

A question is likely to be answered by what answered the questions nearest to it: a softmax over earlier questions, its mass
handed to their answers (kNN-LM: Khandelwal et al., ICLR 2020). What ships are the vectors of 1,085 questions of the public
(training part of STARD, Su et al. 2024, MIT licence) and fingerprints of the articles that answer them, no text; an
article whose wording has changed since is no longer known. Made by scripts/remember_questions.py.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np

from kb.cache import hash_of
from kb.embed import Encoder
from kb.pool import Ranked, shares_of

TEMPERATURE = 0.05
"""By how much a question must be nearer for a share e times as large."""
KNOWN, KNOWN_SCALE = 0.65, 0.05
"""Cosine to the nearest earlier question at which a question is half known, and by how much more for odds e times as large."""
_FILE = "remembered.npz"
_TELLING = re.compile(r"[\u3400-\u9fffA-Za-z0-9]+")


@dataclass(frozen=True, slots=True)
class Memory:
    """m questions and their k answers, wherever these may stand.

    `encoder` is the fingerprint of what made `vectors`, float16 (m, dim). `questions`, int32 (k,), and `articles`,
    uint64 (k,), pair a question with the fingerprint of an article that answers it.
    """

    encoder: str
    vectors: np.ndarray
    questions: np.ndarray
    articles: np.ndarray

    @property
    def key(self) -> str:
        """Sixteen hex digits that change with the content."""
        content = b"".join(a.tobytes() for a in (self.vectors, self.questions, self.articles))
        return hashlib.sha256(self.encoder.encode() + content).hexdigest()[:16]

    def save(self, file: Path) -> None:
        """Write it for `load`."""
        np.savez_compressed(
            file,
            encoder=np.asarray(self.encoder),
            vectors=self.vectors,
            questions=self.questions,
            articles=self.articles,
        )

    @classmethod
    def load(cls, file: Path) -> Memory:
        """Read what `save` wrote."""
        with np.load(file) as parts:
            return cls(str(parts["encoder"]), parts["vectors"], parts["questions"], parts["articles"])


class Recall:
    """The questions of a memory and where one collection answers them.

    Args:
        vectors: of the m questions, (m, dim).
        places: pairs of a question and the sequence number of a provision that answers it, int32 (n, 2).
    """

    def __init__(self, vectors: np.ndarray, places: np.ndarray) -> None:
        self.places = places
        self._vectors = vectors.astype(np.float32)
        self._questions = places[:, 0]
        self._seqs, self._at = np.unique(places[:, 1], return_inverse=True)
        self._part = 1.0 / np.bincount(self._questions, minlength=len(vectors))[self._questions]

    @classmethod
    def of(cls, memory: Memory, provisions: Iterable[tuple[int, str]]) -> Recall:
        """What the memory knows of these provisions (sequence number, text)."""
        asked: dict[int, list[int]] = {}
        for question, article in zip(memory.questions.tolist(), memory.articles.tolist(), strict=True):
            asked.setdefault(article, []).append(question)
        places = [(q, seq) for seq, text in provisions for q in asked.get(fingerprint(text), ())]
        return cls(memory.vectors, np.asarray(places, dtype=np.int32).reshape(-1, 2))

    def answers(self, query: np.ndarray) -> Ranked:
        """Sequence numbers of the answers of earlier questions and the share of each.

        The shares sum to how known the question is here: nearly 1 where earlier ones are much like it and this collection
        has their answers, nearly 0 where none is like it or the answers are not held.

        Args:
            query: vector of the question, float32 (dim,).
        """
        likeness = self._vectors @ query
        known = 1 / (1 + math.exp((KNOWN - float(likeness.max())) / KNOWN_SCALE))
        shares = known * shares_of(likeness / TEMPERATURE)[self._questions] * self._part
        return self._seqs, np.bincount(self._at, weights=shares, minlength=len(self._seqs))

    def save(self, file: Path) -> None:
        """Write it for `load`."""
        np.savez(file, vectors=self._vectors.astype(np.float16), places=self.places)

    @classmethod
    def load(cls, file: Path) -> Recall:
        """Read what `save` wrote."""
        with np.load(file) as parts:
            return cls(parts["vectors"], parts["places"])


def fingerprint(text: str) -> int:
    """64 bits of the SHA-256 of a text's characters and digits; layout and punctuation do not count."""
    return int(hash_of("".join(_TELLING.findall(text))), 16)


@cache
def shipped() -> Memory:
    """The memory inside the package."""
    with resources.as_file(resources.files("kb") / "data" / _FILE) as file:
        return Memory.load(file)


def memory_of(encoder: Encoder | None) -> Memory | None:
    """The memory inside the package where its vectors are of this encoder."""
    return shipped() if encoder and encoder.fingerprint == shipped().encoder else None
