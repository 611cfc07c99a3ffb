"""Local Documents in, a searchable Scope out: single local rules with words, vectors, and the article they stand in.

A scope is what "local" means in one comparison (city, city + province, a draft). Scoring is in memory: BM25 of rules and of
articles, dense similarity of rules; the unit that is returned is the article (domain.md: sentences find, articles are shown).
Every score is a function of the duty and of one article alone (weights and mean lengths are constants), so that a change
elsewhere in the scope leaves it as it is: incremental rows rest on that (rows.py).
"""

from __future__ import annotations

import functools
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources

import numpy as np

from kb.elements import load_data
from kb.models import Document, Provision, Requirement
from kb.requirements import extract, requirement_at
from kb.segment import bigrams, words

Encode = Callable[[Sequence[str]], np.ndarray]
K1, B = 1.2, 0.6
RULE_WORDS, ARTICLE_WORDS = 30.0, 70.0
"""Mean words of a rule and of an article, for BM25; constants, because a mean of the scope would shift with every text."""
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
    total = _total(wanted)
    if not total:
        return 1.0
    missing, near = wanted - text_words, _near()
    got = [weight(word) for word in wanted & text_words]
    for word in missing if text else missing & near.keys():
        if text and len(word) >= 2 and word in text:
            got.append(weight(word))
        elif word in near:
            got.append(weight(word) * max((x for other, x in near[word] if other in text_words), default=0.0))
    return math.fsum(got) / total  # fsum: the order of a set differs from run to run, the sum must not


@functools.lru_cache(maxsize=65536)
def _total(words: frozenset[str]) -> float:
    return math.fsum(weight(w) for w in words)


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

    Rules of article i are those from `starts[i]` on, up to the next start.
    """

    documents: tuple[Document, ...]
    articles: tuple[LocalArticle, ...]
    rules: tuple[LocalRule, ...]
    tier: str
    vectors: np.ndarray | None
    starts: np.ndarray
    _rules: Postings
    _articles: Postings

    @property
    def titles(self) -> tuple[str, ...]:
        return tuple(d.meta.title for d in self.documents)

    def words_in_common(self, wanted: frozenset[str]) -> np.ndarray:
        """Share of the weight of `wanted` in each article or its title, exact words only: a quick first look."""
        return self._articles.share(wanted)

    def lexical(self, text: str) -> np.ndarray:
        """BM25 of every rule for the words of `text`, divided by the score of the text itself."""
        return self._rules.bm25(text)

    def lexical_articles(self, text: str) -> np.ndarray:
        """BM25 of every article, title included, for the words of `text`, divided by the score of the text itself."""
        return self._articles.bm25(text)

    def best_of_articles(self, scores: np.ndarray) -> np.ndarray:
        """The highest score among the rules of each article."""
        return np.maximum.reduceat(scores, self.starts) if len(self.starts) else scores


class Postings:
    """Texts as bags of words; scores one text against all of them. `mean` is the constant mean length in words."""

    def __init__(self, bags: Sequence[Mapping[str, int]], mean: float) -> None:
        lengths = np.array([sum(bag.values()) for bag in bags], dtype=np.float64)
        norms = K1 * (1 - B + B * lengths / mean)
        held: dict[str, tuple[list[int], list[int]]] = {}
        for number, bag in enumerate(bags):
            for word, count in bag.items():
                numbers, counts = held.setdefault(word, ([], []))
                numbers.append(number)
                counts.append(count)
        self._size = len(bags)
        self._held = {}
        for word, (numbers, counts) in held.items():
            at, n = np.array(numbers), np.array(counts, dtype=np.float64)
            self._held[word] = (at, n * (K1 + 1) / (n + norms[at]))

    def bm25(self, text: str) -> np.ndarray:
        scores, best = np.zeros(self._size), 0.0
        for word, tf in Counter(_bag(text)).items():
            idf = weight(word)
            best += idf * (K1 + 1) * tf / (tf + K1)
            if word in self._held:
                at, gains = self._held[word]
                scores[at] += idf * gains
        return scores / best if best else scores

    def share(self, wanted: frozenset[str]) -> np.ndarray:
        """Share of the weight of `wanted` that each text has."""
        out, total = np.zeros(self._size), _total(wanted)
        for word in sorted(wanted):  # a fixed order, so that sums do not differ between runs
            if word in self._held:
                out[self._held[word][0]] += weight(word)
        return out / total if total else out


def _bag(text: str) -> list[str]:
    return [w for w in words(canonical(text)) if len(w) >= 2 or w.isdigit()]


def rules_of(doc: Document) -> list[tuple[Provision, list[Requirement]]]:
    """The provisions of a document that say something, each with its sentences in reading order."""
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
    return [
        (p, sorted(by_provision[p.provision_id], key=lambda r: r.start))
        for p in doc.provisions
        if p.provision_id in by_provision
    ]


def build_scope(documents: Iterable[Document], encode: Encode | None = None) -> Scope:
    """Scope of the given local documents, in title order; drafts stay in (their articles never count as in force)."""
    docs = tuple(sorted(documents, key=lambda d: d.meta.title))
    articles: list[LocalArticle] = []
    rules: list[LocalRule] = []
    for doc in docs:
        for provision, rows in rules_of(doc):
            first = len(rules)
            rules += [
                LocalRule(len(articles), row, content_words(row.full_text), canonical(row.full_text), doc.meta.title)
                for row in rows
            ]
            numbers = tuple(range(first, len(rules)))
            articles.append(
                LocalArticle(doc, provision, numbers, content_words(provision.text), canonical(provision.text))
            )
    vectors = encode([r.requirement.full_text for r in rules]) if encode and rules else None
    return Scope(
        documents=docs,
        articles=tuple(articles),
        rules=tuple(rules),
        tier=scope_tier(docs),
        vectors=vectors,
        starts=np.array([a.rules[0] for a in articles], dtype=np.int64),
        _rules=Postings([Counter(_bag(r.requirement.full_text)) for r in rules], RULE_WORDS),
        _articles=Postings([_article_bag(a) for a in articles], ARTICLE_WORDS),
    )


def _article_bag(article: LocalArticle) -> Counter[str]:
    bag = Counter(_bag(article.provision.text))
    for word in content_words(article.document.meta.title):
        bag.setdefault(word, 1)
    return bag


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
