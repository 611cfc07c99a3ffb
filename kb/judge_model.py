"""Named features in, probabilities out: a small scorer for linear models and trees kept as plain JSON.

Trained by scripts/train_judge.py; nothing is unpickled. A model file that does not fit the features of this version is
refused with the names that differ.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources

import numpy as np

from kb.errors import KbError

FORMAT = 2


@dataclass(frozen=True, slots=True)
class Linear:
    """Multinomial (or binary, one row) logistic regression on standardised features."""

    mean: np.ndarray
    scale: np.ndarray
    coef: np.ndarray
    intercept: np.ndarray

    def raw(self, rows: np.ndarray) -> np.ndarray:
        # einsum, not a matrix product: a row's last bits must not depend on which rows are scored with it
        scores = np.einsum("ij,kj->ik", (rows - self.mean) / self.scale, self.coef) + self.intercept
        return np.concatenate([np.zeros_like(scores), scores], axis=1) if scores.shape[1] == 1 else scores


@dataclass(frozen=True, slots=True)
class Trees:
    """Boosted trees: `trees[round][class]` is a flat tree (feature, threshold, left, right, value); binary has one column."""

    init: np.ndarray
    rate: float
    trees: tuple[tuple[tuple[np.ndarray, ...], ...], ...]

    def raw(self, rows: np.ndarray) -> np.ndarray:
        scores = np.tile(self.init, (len(rows), 1)).astype(float)
        for stage in self.trees:
            for column, tree in enumerate(stage):
                scores[:, column] += self.rate * _walk(tree, rows)
        return np.concatenate([np.zeros_like(scores), scores], axis=1) if scores.shape[1] == 1 else scores


def _walk(tree: tuple[np.ndarray, ...], rows: np.ndarray) -> np.ndarray:
    feature, threshold, left, right, value = tree
    at = np.zeros(len(rows), dtype=int)
    while True:
        inner = left[at] >= 0
        if not inner.any():
            return value[at]
        goes_left = rows[np.arange(len(rows)), feature[at]] <= threshold[at]
        at = np.where(inner, np.where(goes_left, left[at], right[at]), at)


@dataclass(frozen=True, slots=True)
class Classifier:
    """Average of its members' class probabilities; `classes` names the columns."""

    names: tuple[str, ...]
    classes: tuple[str, ...]
    members: tuple[Linear | Trees, ...]

    def predict(self, rows: Sequence[Mapping[str, float]]) -> np.ndarray:
        """Probabilities (n, classes), one row per feature mapping; a missing feature counts 0."""
        matrix = np.array([[row.get(name, 0.0) for name in self.names] for row in rows], dtype=float)
        if not len(matrix):
            return np.zeros((0, len(self.classes)))
        return np.mean([_softmax(m.raw(matrix)) for m in self.members], axis=0)


def _softmax(scores: np.ndarray) -> np.ndarray:
    shifted = np.exp(scores - scores.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


@dataclass(frozen=True, slots=True)
class JudgeModel:
    """The learned parts of the judge: which articles are read, their order, the labels; and the table that calibrates."""

    first: Classifier
    rank: Classifier
    answered: Classifier
    label: Classifier
    calibration: tuple[tuple[float, float], ...]
    bias: Mapping[str, float]
    version: str

    def calibrate(self, value: float) -> float:
        """Observed accuracy for a raw probability, by linear interpolation of the table; the value itself without one."""
        if not self.calibration:
            return value
        xs, ys = zip(*self.calibration, strict=True)
        return float(np.interp(value, xs, ys))


def load_model(text: str) -> JudgeModel:
    """Model from JSON text.

    Raises:
        KbError: not a model of this format.
    """
    try:
        data = json.loads(text)
        if data["format"] != FORMAT:
            raise ValueError(f"format {data['format']}, this version reads {FORMAT}")
        return JudgeModel(
            first=_classifier(data["first"]),
            rank=_classifier(data["rank"]),
            answered=_classifier(data["answered"]),
            label=_classifier(data["label"]),
            calibration=tuple((float(a), float(b)) for a, b in data["calibration"]),
            bias=data.get("bias", {}),
            version=str(data["version"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise KbError(
            f"the judge model cannot be read: {error}", hint="train it again: python scripts/train_judge.py"
        ) from error


def _classifier(data: Mapping[str, object]) -> Classifier:
    return Classifier(tuple(data["names"]), tuple(data["classes"]), tuple(_member(m) for m in data["members"]))


def _member(data: Mapping[str, object]) -> Linear | Trees:
    if data["type"] == "linear":
        return Linear(*(np.array(data[k], dtype=float) for k in ("mean", "scale", "coef", "intercept")))
    trees = tuple(
        tuple(
            (
                np.array(t[0], int),
                np.array(t[1], float),
                np.array(t[2], int),
                np.array(t[3], int),
                np.array(t[4], float),
            )
            for t in stage
        )
        for stage in data["trees"]
    )
    return Trees(np.array(data["init"], float), float(data["rate"]), trees)


@functools.cache
def default_model() -> JudgeModel:
    """The model that ships with the package."""
    return load_model((resources.files("kb") / "data" / "judge_model.json").read_text(encoding="utf-8"))


def logit(p: float) -> float:
    """Log odds, kept finite."""
    p = min(max(p, 1e-6), 1 - 1e-6)
    return math.log(p / (1 - p))
