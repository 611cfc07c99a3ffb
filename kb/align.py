"""A national duty and a Scope in, ranked local articles with explainable features out.

Every number here answers a question a reader would ask (are the words there, who acts, how strict, which figure); the
learned part of the judge sees nothing else. Names of features are stable: the model file refers to them.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rapidfuzz.distance import LCSseq

from kb.elements import clauses, load_data, pattern_of
from kb.models import Amount, Requirement
from kb.scope import LocalRule, Scope, canonical, content_bigrams, content_words, coverage, weight

CANDIDATES = 14


@dataclass(frozen=True, slots=True)
class Duty:
    """A requirement prepared for comparison; `title` is that of its document, `vector` its unit vector or None."""

    requirement: Requirement
    title: str
    text: str
    words: frozenset[str]
    action_words: frozenset[str]
    grams: frozenset[str]
    clause_words: tuple[frozenset[str], ...]
    clause_texts: tuple[str, ...]
    vector: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """One local article proposed for a duty; `rule` is the position of its best rule in Scope.rules."""

    article: int
    rule: int
    features: dict[str, float]


def prepare(requirement: Requirement, title: str, vector: np.ndarray | None = None) -> Duty:
    """Everything about a duty that does not depend on the scope."""
    body = re.sub(r"^[\s　]*(?:[（(][零〇一二三四五六七八九十百]+[)）]|\d{1,2}[.．、])\s*", "", requirement.text)
    text = canonical(body)
    parts = [c for c in clauses(text) if len(c) >= 3]
    return Duty(
        requirement=requirement, title=title, text=text, words=content_words(body),
        action_words=content_words(requirement.action or body), grams=grams(text, 4),
        clause_words=tuple(content_words(c) for c in parts), clause_texts=tuple(parts), vector=vector,
    )


@functools.lru_cache(maxsize=65536)
def grams(text: str, n: int) -> frozenset[str]:
    """Runs of n characters inside the text, punctuation left out."""
    plain = re.sub(r"[^\u3400-\u9fff0-9a-zA-Z]", "", text)
    return frozenset(plain[i : i + n] for i in range(len(plain) - n + 1)) if len(plain) >= n else frozenset({plain})


def candidates(duty: Duty, scope: Scope, limit: int = CANDIDATES) -> list[Candidate]:
    """Articles worth reading: the best by lexical score, by vectors and by words in common, with their features."""
    if not scope.rules:
        return []
    lexical = scope.lexical(duty.text)
    dense = scope.vectors @ duty.vector if scope.vectors is not None and duty.vector is not None else np.zeros(len(scope.rules), np.float32)
    best_lex, best_dense = _by_article(scope, lexical), _by_article(scope, dense)
    cover = {i: coverage(duty.words, a.words | _title_words(a.document.meta.title), a.text) for i, a in enumerate(scope.articles)}
    order_lex = sorted(best_lex, key=lambda a: (-best_lex[a], a))
    order_dense = sorted(best_dense, key=lambda a: (-best_dense[a], a))
    order_cover = sorted(cover, key=lambda a: (-cover[a], a))
    pool = list(dict.fromkeys((*order_lex[:limit], *order_dense[:limit], *order_cover[: limit // 2])))
    rank_lex = {a: i for i, a in enumerate(order_lex)}
    rank_dense = {a: i for i, a in enumerate(order_dense)}
    rank_cover = {a: i for i, a in enumerate(order_cover)}
    out = []
    top = {"lex": max(best_lex.values()), "dense": max(best_dense.values()), "cov": max(cover.values())}
    for article in pool:
        rule = _best_rule(duty, scope, article, lexical, dense)
        features = pair_features(duty, scope, article, rule, float(lexical[rule]), float(dense[rule]))
        features["cov_art"] = cover[article]
        features["lex_best"], features["dense_best"] = float(best_lex[article]), float(best_dense[article])
        features["lex_gap"] = float(best_lex[article] - top["lex"])
        features["dense_gap"] = float(best_dense[article] - top["dense"])
        features["cov_gap"] = cover[article] - top["cov"]
        features["rr"] = sum(1.0 / (3 + r[article]) for r in (rank_lex, rank_dense, rank_cover))
        out.append(Candidate(article, rule, features))
    return out


def _by_article(scope: Scope, scores: np.ndarray) -> dict[int, float]:
    best: dict[int, float] = {}
    for rule, score in zip(scope.rules, scores, strict=True):
        if score > best.get(rule.article, -9.0):
            best[rule.article] = float(score)
    return best


def _best_rule(duty: Duty, scope: Scope, article: int, lexical: np.ndarray, dense: np.ndarray) -> int:
    def score(i: int) -> float:
        rule = scope.rules[i]
        kind = 0.15 if rule.requirement.kind == duty.requirement.kind else 0.0
        return float(lexical[i]) + float(dense[i]) + coverage(duty.words, rule.words, rule.text) + kind

    return max(scope.articles[article].rules, key=lambda i: (score(i), -i))


@functools.cache
def _title_words(title: str) -> frozenset[str]:
    return content_words(title)


def pair_features(duty: Duty, scope: Scope, article: int, rule_at: int, lexical: float, dense: float) -> dict[str, float]:
    """Features of one duty against one article through its best rule; shares in 0..1 unless named otherwise."""
    rule, place = scope.rules[rule_at], scope.articles[article]
    local = rule.requirement
    national = duty.requirement
    context = _title_words(place.document.meta.title) | content_words(" ".join(place.provision.heading_path))
    plain = len(re.sub(r"\W", "", duty.text)) or 1
    lcs = LCSseq.similarity(duty.text, rule.text)
    article_grams = grams(place.text, 4)
    f = {
        "lex": lexical,
        "dense": dense,
        "cov_rule": coverage(duty.words, rule.words, rule.text),
        "cov_ctx": coverage(duty.words, rule.words | context, rule.text),
        "cov_action": coverage(duty.action_words, rule.words, rule.text),
        "cov_action_art": coverage(duty.action_words, place.words, place.text),
        "bi_rule": _share(content_bigrams(duty.text), content_bigrams(rule.text)),
        "rev_cov": coverage(rule.words, duty.words | content_words(national.full_text), duty.text),
        "lcs": min(1.0, lcs / plain),
        "lcs_local": lcs / max(1, len(rule.text)),
        "gram4": _share(duty.grams, article_grams),
        "gram8": _share(grams(duty.text, 8), grams(place.text, 8)),
        "rare": coverage(_rarest(duty.words, 3), place.words, place.text),
        "rare1": coverage(_rarest(duty.words, 1), place.words, place.text),
        "kind_def": float(national.kind == "definition" == local.kind),
        "kind_def_not": float((national.kind == "definition") != (local.kind == "definition")),
        "kind_liab": float(national.kind == "liability" == local.kind),
        "kind_liab_not": float((national.kind == "liability") != (local.kind == "liability")),
        "actor_sim": actor_similarity(national.actor, local.actor),
        "actor_tier": float(_tier_group(national.tier) == _tier_group(local.tier)),
        "term_match": term_match(national.text, local.text),
        "num_equal": number_match(national.amounts, local.amounts)[0],
        "num_other": number_match(national.amounts, local.amounts)[1],
    }
    shares = [coverage(w, place.words, place.text) for w in duty.clause_words] or [f["cov_rule"]]
    f["clause_min"], f["clause_mean"] = min(shares), sum(shares) / len(shares)
    f["clause_low"] = sum(s < 0.45 for s in shares) / len(shares)
    return f


def _share(wanted: frozenset[str], held: frozenset[str]) -> float:
    return len(wanted & held) / len(wanted) if wanted else 0.0


@functools.lru_cache(maxsize=65536)
def _rarest(words: frozenset[str], n: int) -> frozenset[str]:
    return frozenset(sorted(words, key=lambda w: (-weight(w), w))[:n])


def actor_similarity(a: str, b: str) -> float:
    """Dice overlap of the character pairs of two actor phrases in canonical form; 0.3 where one is not named."""
    if not a or not b:
        return 0.3
    x, y = content_bigrams(a), content_bigrams(b)
    return 2 * len(x & y) / (len(x) + len(y)) if x and y else 0.3


_TIER_GROUPS = {
    "state": "central", "central": "central", "province": "local", "province_up": "local", "local": "local",
    "authority": "local", "organ": "organ", "body": "body", "private": "private", "vertical": "central",
}


def _tier_group(tier: str) -> str:
    return _TIER_GROUPS.get(tier, "any")


_TERM = re.compile(r"(?:所称|^|[。；])(?:的)?([\u4e00-\u9fff（）“”]{2,18}?)[”]?(?:（[^）]{2,30}）)?，?(?:是指|指的是|指，|是以|包括)")


def defined_term(text: str) -> str:
    """The term a definition defines, canonical; "" where none is found."""
    body = re.sub(r"^[\s　]*(?:[（(][零〇一二三四五六七八九十百]+[)）]|\d{1,2}[.．、])\s*", "", text)
    match = _TERM.search(body)
    return canonical(match[1].strip("“”")) if match else ""


def term_match(a: str, b: str) -> float:
    """1.0 when both define the same term, 0.5 when one term ends with the other, else 0."""
    x, y = defined_term(a), defined_term(b)
    if not x or not y:
        return 0.0
    return 1.0 if x == y else 0.5 if x.endswith(y) or y.endswith(x) else 0.0


def number_match(a: Sequence[Amount], b: Sequence[Amount]) -> tuple[float, float]:
    """(share of a's numbers that b repeats, share of a's numbers for which b has another value of the same kind and unit)."""
    if not a:
        return 0.0, 0.0
    equal = other = 0
    for x in a:
        same = [y for y in b if y.kind == x.kind]
        if any(y.value == x.value and y.unit == x.unit for y in same):
            equal += 1
        elif same:
            other += 1
    return equal / len(a), other / len(a)


# -- what differs ---------------------------------------------------------------------------------------------------

_ADDED_EXCEPTION = re.compile(r"除外|另有约定|可以不|除[^，。；]{1,40}外")
_APPROVAL = re.compile(r"(?:未经|经)[^，。；]{0,16}(?:批准|同意|许可|审批)(?!后的)|(?:批准|审批)(?:后)?")
_CAP = re.compile(r"不得超过|不超过|最长|上限|且(?:要求|不)|仅限|只能|应当同时")
_EXEMPT = re.compile(r"免予|无需|不需|可以不|不再|豁免|免于")
_HARD_BAN = re.compile(r"未经[^，。；]{0,12}(?:批准|同意|许可|授权)[^。；]{0,6}不得|一律不得|禁止")
_REFER = re.compile(
    r"(?:依照|按照|依据|适用)[^，。；]{0,24}(?:法律|法规|国家)[^，。；]{0,20}(?:规定|执行|处罚|处理|办理)|从其规定|按(?:照)?国家(?:有关|相关)?规定|法律、(?:行政)?法规[^，。；]{0,12}有(?:处罚)?规定"
)


def difference_features(duty: Duty, rule: LocalRule, place_text: str) -> dict[str, float]:
    """Signs that the local text says something else (E1-E5), each 0 or 1 unless a share."""
    national, local = duty.requirement, rule.requirement
    n, m = duty.text, rule.text
    return {
        "d_weaker": float(national.modality_level >= 5 and local.modality_level in (2, 3) and national.kind == "duty"),
        "d_may": float(national.modality in ("obligation", "prohibition") and local.modality == "permission"),
        "d_soft": float(national.modality in ("obligation", "prohibition") and local.modality == "encouragement"),
        "d_stronger": float(national.modality in ("permission", "encouragement") and local.modality in ("obligation", "prohibition")),
        "d_ban_for_may": float((national.modality == "permission" or bool(_EXEMPT.search(n))) and local.modality == "prohibition"),
        "d_exempt_nat": float(bool(_EXEMPT.search(n))),
        "d_exempt_loc": float(bool(_EXEMPT.search(m)) and not _EXEMPT.search(n)),
        "d_exception": float(bool(_ADDED_EXCEPTION.search(m)) and not _ADDED_EXCEPTION.search(n)),
        "d_exception_lost": float(bool(_ADDED_EXCEPTION.search(n)) and not _ADDED_EXCEPTION.search(place_text)),
        "d_approval": float(bool(_APPROVAL.search(m)) and not _APPROVAL.search(n)),
        "d_ban": float(bool(_HARD_BAN.search(m)) and not _HARD_BAN.search(n)),
        "d_cap": float(bool(_CAP.search(m)) and not _CAP.search(n)),
        "d_refer": float(bool(_REFER.search(place_text))),
        "d_open": float(bool(set(local.open_terms) - set(national.open_terms))),
        "d_clash": float(len(distinct_clashes(n, m)) > 0),
        "d_numbers": number_match(national.amounts, local.amounts)[1],
        "d_number_missing": float(bool(national.amounts) and not local.amounts),
        "d_conditions_more": float(len(local.conditions) > len(national.conditions)),
    }


def distinct_clashes(national: str, local: str) -> list[tuple[str, str]]:
    """(national term, local term) of the groups in drift.yaml that must never be merged, each absent on the other side."""
    found = []
    for group in load_data("drift.yaml")["distinct"]:
        ours = [t for t in group if _stands_alone(t, national, group)]
        theirs = [t for t in group if _stands_alone(t, local, group)]
        if ours and theirs and not set(ours) & set(theirs):
            found.append((ours[0], theirs[0]))
    return found


def _stands_alone(term: str, text: str, group: Sequence[str]) -> bool:
    """True when `term` stands in `text` outside a longer term of its group (同意 inside 单独同意 does not count)."""
    longer = [t for t in group if term in t and t != term]
    for t in longer:
        text = text.replace(t, "")
    return term in text


def refers_to_national(text: str) -> bool:
    """True for 引致: the local text hands on to national law or rules."""
    return bool(_REFER.search(text)) or bool(pattern_of("reference").search(text))
