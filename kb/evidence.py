"""A query and the provisions found for it in, explainable features out; the ranking and the honest 未找到 rest on them."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kb import segment
from kb.chunk import sentences
from kb.models import DocumentMeta, Provision
from kb.query import Query

_AMOUNT = re.compile(
    r"[0-9一二三四五六七八九十百千万]+\s*(?:个)?(?:工作日|日|天|年|个月|月|小时|周岁|万|亿|元|%|％|人|次|倍)|百分之"
)
_LIABILITY = re.compile(r"罚款|责令|警告|没收|处分|吊销|追究|民事责任")
_DUTY_HOLDER = re.compile(r"负责|主管|统筹|牵头|会同|由[^，。；]{2,30}(?:制定|组织|决定|协调|审批|确定|裁决)")
# texts about rules, not rules; a glossary and a draft are told apart by `term` and `current`
_BACKGROUND = ("工作报告", "解读", "一图读懂")
# a cosine spread below this says that all candidates mean the same; z-scores must not blow it up
_LEAST_SPREAD = 0.01


@dataclass(frozen=True, slots=True)
class Asked:
    """A query in the forms the features need: the weights of its words, and of those of the added wording."""

    query: Query
    words: Mapping[str, float]
    added: Mapping[str, float]


def text_features(asked: Asked, provision: Provision, meta: DocumentMeta) -> dict[str, float]:
    """What the words, headings and facts of one provision say; everything but the two engines' own scores."""
    text, spans = _sentences(provision.text)
    heading = segment.search_key(" ".join(provision.heading_path))
    title = segment.search_key(meta.title)
    query = asked.query
    return {
        "coverage": share(asked.words, text),
        "coverage_added": share(asked.added, text),
        "sentence": max(share(asked.words, s) for s in spans),
        "title": share(asked.words, title),
        "heading": share(asked.words, heading),
        "level_match": _level_match(meta.level, query.places),
        "region": _region_match(meta, query.regions),
        **_intents(query, provision, text),
        "background": float("报告" in meta.title[-4:] or meta.kind in _BACKGROUND),
        "term": _term_match(query.text, provision),
        "opening": float(provision.kind == "preamble"),
        "short": float(len(text) < 40),
        "long": min(2.0, max(0.0, math.log(max(len(text), 1) / 200))),
    }


@functools.lru_cache(8192)
def _sentences(text: str) -> tuple[str, tuple[str, ...]]:
    """A text and its sentences as search keys; the same provisions come up again and again."""
    key = segment.search_key(text)
    return key, tuple(key[a:b] for a, b in sentences(key, 0)) or (key,)


def share(weights: Mapping[str, float], text: str) -> float:
    """Share of the word weight that a text (a search key) contains, 0 to 1."""
    total = sum(weights.values())
    return sum(weight for word, weight in weights.items() if word in text) / total if total else 0.0


def standing(cosines: np.ndarray) -> np.ndarray:
    """Cosines of all candidates of one query as distances from their mean in standard deviations.

    Encoders differ in where their cosines lie; how far one stands out among the candidates carries over.
    """
    return (cosines - cosines.mean()) / max(float(cosines.std()), _LEAST_SPREAD) if len(cosines) else cosines


def best_by_provision(vectors: np.ndarray, queries: np.ndarray, starts: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Cosines of provisions from those of their chunks.

    Args:
        vectors: chunk vectors, the chunks of a provision together.
        queries: (n, dim).
        starts: first row of each provision, ascending; every provision has a chunk.

    Returns:
        best cosine (n, provisions), row of the best chunk of each provision for the first query.
    """
    cosines = queries @ vectors.T
    ends = [*starts[1:], len(vectors)]
    rows = np.asarray([a + int(cosines[0, a:b].argmax()) for a, b in zip(starts, ends, strict=True)])
    return np.maximum.reduceat(cosines, starts, axis=1), rows


def _level_match(level: str, places: Collection[str]) -> float:
    if not places:
        return 0.0
    return 1.0 if level in places else -1.0


def _region_match(meta: DocumentMeta, regions: Sequence[str]) -> float:
    """1 for a text of a place the query names, -1 for one of another place, 0 for a national one."""
    if not regions or meta.level == "national":
        return 0.0
    of = f"{meta.place} {meta.title}"
    return 1.0 if any(region in of for region in regions) else -1.0


def _intents(query: Query, provision: Provision, text: str) -> dict[str, float]:
    """For each kind of question asked, whether the provision serves it: it defines, counts, punishes or names who."""
    asked = query.intents
    served = {
        "definition": "definition" in asked and _defines(query.text, text),
        "amount": "amount" in asked and bool(_AMOUNT.search(text)),
        "liability": "liability" in asked and bool(_LIABILITY.search(text)),
        "responsibility": "responsibility" in asked and bool(_DUTY_HOLDER.search(text)),
    }
    return {name: float(value) for name, value in served.items()}


def _defines(query: str, text: str) -> bool:
    return any(f"{w},是指" in text or f"{w},指" in text or f"所称{w}" in text for w in _names_in(query))


@functools.lru_cache(256)
def _names_in(query: str) -> frozenset[str]:
    """What a question for a definition may ask the meaning of."""
    return frozenset(w for w in segment.words(query) if len(w) > 1)


def _term_match(query: str, provision: Provision) -> float:
    """Share of a glossary entry's name (by character pairs) that the query says; 0 for other provisions."""
    if provision.kind != "term":
        return 0.0
    pairs = set(segment.bigrams(provision.label))
    return len(pairs & set(segment.bigrams(query))) / len(pairs) if pairs else 0.0
