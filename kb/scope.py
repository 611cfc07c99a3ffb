"""Local Documents in, a searchable Scope out: single local rules with words, vectors, and the article they stand in.

A scope is what "local" means in one comparison (city, city + province, a draft). Scoring is in memory: BM25 over rules and
articles, dense similarity of rules; the unit that is returned is the article (domain.md: sentences find, articles are shown).
"""

from __future__ import annotations

import functools
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources

import numpy as np

from kb.elements import load_data, phrases
from kb.models import Document, Provision, Requirement
from kb.requirements import extract, requirement_at
from kb.segment import bigrams, words

Encode = Callable[[Sequence[str]], np.ndarray]
K1, B = 1.2, 0.6
_MUNICIPAL = ("北京", "天津", "上海", "重庆")


@functools.cache
def _same_terms() -> tuple[tuple[re.Pattern[str], str], ...]:
    pairs = []
    for group in load_data("drift.yaml")["same"]:
        others = sorted(group[1:], key=len, reverse=True)
        pairs.append((re.compile("|".join(map(re.escape, others))), group[0]))
    return tuple(pairs)


@functools.lru_cache(maxsize=65536)
def canonical(text: str) -> str:
    """Text with the synonyms of drift.yaml replaced by one form; for comparison only, never shown."""
    text = re.sub(r"\s+", "", text)
    for pattern, to in _same_terms():
        text = pattern.sub(to, text)
    return text


@functools.lru_cache(maxsize=65536)
def content_words(text: str) -> frozenset[str]:
    """Words of the canonical text that carry meaning: two characters or more, or figures."""
    return frozenset(w for w in words(canonical(text)) if len(w) >= 2 or w.isdigit())


@functools.lru_cache(maxsize=65536)
def content_bigrams(text: str) -> frozenset[str]:
    return frozenset(bigrams(canonical(text)))


@functools.cache
def _weights() -> tuple[float, Mapping[str, int]]:
    data = json.loads((resources.files("kb") / "data" / "word_counts.json").read_text(encoding="utf-8"))
    return float(data["sentences"]), data["counts"]


@functools.cache
def weight(word: str) -> float:
    """Inverse sentence frequency of a word in rules of this field; unknown words weigh most."""
    n, counts = _weights()
    return math.log(1 + n / (1 + counts.get(word, 0)))


@functools.cache
def _near() -> Mapping[str, tuple[tuple[str, float], ...]]:
    out: dict[str, list[tuple[str, float]]] = {}
    for row in load_data("drift.yaml")["near"]:
        out.setdefault(row["a"], []).append((row["b"], float(row["weight"])))
        out.setdefault(row["b"], []).append((row["a"], float(row["weight"])))
    return {k: tuple(v) for k, v in out.items()}


def coverage(wanted: frozenset[str], text_words: frozenset[str], text: str = "") -> float:
    """Share of the weight of `wanted` that `text_words` answers, near synonyms at their weight; 1.0 for nothing wanted."""
    total = got = 0.0
    near = _near()
    for word in wanted:
        w = weight(word)
        total += w
        if word in text_words or (text and len(word) >= 2 and word in text):
            got += w
        elif word in near:
            got += w * max((x for other, x in near[word] if other in text_words), default=0.0)
    return got / total if total else 1.0


@dataclass(frozen=True, slots=True)
class LocalRule:
    """One local sentence with its elements; `article` is the index of its article in the scope."""

    article: int
    requirement: Requirement
    words: frozenset[str]
    text: str
    title: str


@dataclass(frozen=True, slots=True)
class LocalArticle:
    """One local provision; `rules` are positions in Scope.rules."""

    document: Document
    provision: Provision
    rules: tuple[int, ...]
    words: frozenset[str]
    text: str


@dataclass(slots=True)
class Scope:
    """What counts as local in one comparison. `tier` is province or city; `vectors` has one unit row per rule or is None.

    `phrase_vectors` holds the phrases of all rules in order; article i begins at row `phrase_starts[i]`.
    """

    documents: tuple[Document, ...]
    articles: tuple[LocalArticle, ...]
    rules: tuple[LocalRule, ...]
    tier: str
    vectors: np.ndarray | None
    phrase_vectors: np.ndarray | None = None
    phrase_starts: np.ndarray | None = None
    _article_words: dict[str, np.ndarray] = field(default_factory=dict)
    _lexicon: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    _lengths: list[int] = field(default_factory=list)

    @property
    def titles(self) -> tuple[str, ...]:
        return tuple(d.meta.title for d in self.documents)

    def words_in_common(self, wanted: frozenset[str]) -> np.ndarray:
        """Share of the weight of `wanted` in each article or its title, exact words only: a quick first look."""
        out = np.zeros(len(self.articles), dtype=np.float32)
        total = 0.0
        for word in wanted:
            w = weight(word)
            total += w
            if word in self._article_words:
                out[self._article_words[word]] += w
        return out / total if total else out

    def lexical(self, text: str) -> np.ndarray:
        """BM25 of every rule for `text` (canonical words and bigrams are one bag), divided by the score of text itself."""
        terms = Counter(_bag(text))
        scores = np.zeros(len(self.rules), dtype=np.float32)
        mean = sum(self._lengths) / max(1, len(self._lengths))
        best = 0.0
        for term, tf in terms.items():
            postings = self._lexicon.get(term, ())
            idf = weight(term) if len(term) >= 2 else 0.5
            best += idf * (K1 + 1) * tf / (tf + K1)
            for rule, count in postings:
                norm = K1 * (1 - B + B * self._lengths[rule] / mean)
                scores[rule] += idf * count * (K1 + 1) / (count + norm)
        return scores / best if best else scores


def _bag(text: str) -> list[str]:
    return [w for w in words(canonical(text)) if len(w) >= 2 or w.isdigit()]


def build_scope(documents: Iterable[Document], encode: Encode | None = None) -> Scope:
    """Scope of the given local documents, in title order; drafts stay in (their articles never count as in force)."""
    docs = tuple(sorted(documents, key=lambda d: d.meta.title))
    articles: list[LocalArticle] = []
    rules: list[LocalRule] = []
    for doc in docs:
        by_provision: dict[str, list[Requirement]] = {}
        duties, others = extract(doc)
        provisions = {p.provision_id: p for p in doc.provisions}
        for duty in duties:
            by_provision.setdefault(duty.provision_id, []).append(duty)
        for other in others:
            if other.reason not in ("heading", "wrapper", "statement") or (
                other.reason == "statement" and len(other.text) > 12
            ):
                by_provision.setdefault(other.provision_id, []).append(
                    requirement_at(doc, provisions[other.provision_id], other.start, other.end)
                )
        for provision in doc.provisions:
            rows = sorted(by_provision.get(provision.provision_id, ()), key=lambda r: r.start)
            if not rows:
                continue
            first = len(rules)
            text = canonical(provision.text)
            for row in rows:
                rules.append(
                    LocalRule(
                        len(articles), row, content_words(row.full_text), canonical(row.full_text), doc.meta.title
                    )
                )
            articles.append(
                LocalArticle(doc, provision, tuple(range(first, len(rules))), content_words(provision.text), text)
            )
    scope = Scope(docs, tuple(articles), tuple(rules), scope_tier(docs), None)
    if encode and rules:
        scope.vectors = encode([r.requirement.full_text for r in rules])
        parts = [(r.article, phrase) for r in rules for phrase in phrases(r.requirement.text) or [r.requirement.text]]
        scope.phrase_vectors = encode([phrase for _, phrase in parts])
        scope.phrase_starts = np.searchsorted([article for article, _ in parts], range(len(articles)))
    held: dict[str, list[int]] = {}
    for number, article in enumerate(articles):
        for word in article.words | content_words(article.document.meta.title):
            held.setdefault(word, []).append(number)
    scope._article_words = {word: np.array(numbers) for word, numbers in held.items()}
    for number, rule in enumerate(rules):
        bag = Counter(_bag(rule.requirement.full_text))
        scope._lengths.append(sum(bag.values()))
        for term, count in bag.items():
            scope._lexicon.setdefault(term, []).append((number, count))
    return scope


def scope_tier(documents: Sequence[Document]) -> str:
    """province when every text is of a province (or a municipality under the central government), else city."""
    return "province" if documents and all(document_tier(d) == "province" for d in documents) else "city"


_PROVINCES = [
    "北京",
    "天津",
    "上海",
    "重庆",
    "河北",
    "山西",
    "辽宁",
    "吉林",
    "黑龙江",
    "江苏",
    "浙江",
    "安徽",
    "福建",
    "江西",
    "山东",
    "河南",
    "湖北",
    "湖南",
    "广东",
    "海南",
    "四川",
    "贵州",
    "云南",
    "陕西",
    "甘肃",
    "青海",
    "台湾",
    "内蒙古",
    "广西",
    "西藏",
    "宁夏",
    "新疆",
]


def document_tier(doc: Document) -> str:
    """province or city, by the first place named in the title: 江苏省…, 上海市… are provincial, 广州市…, 深圳经济特区… are not."""
    place = doc.meta.place or doc.meta.title
    found = sorted((place.find(p), p) for p in _PROVINCES if p in place)
    if not found:
        return "city"
    at, name = found[0]
    city = re.search(r"([\u4e00-\u9fff]{2,3})(?:市|经济特区)", place)
    if name in _MUNICIPAL:
        return "province"
    if city and city[1] not in _PROVINCES and city.start() <= at:
        return "city"
    return "city" if re.search(rf"{name}省?[\u4e00-\u9fff]{{2,3}}(?:市|经济特区)", place) else "province"
