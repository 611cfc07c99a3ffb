"""A national duty and a Scope in, ranked local articles with explainable features out.

Every number here answers a question a reader would ask (are the words there, who acts, how strict, which figure); the
learned part of the judge sees nothing else. Names of features are stable: the model file refers to them.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rapidfuzz.distance import Indel, LCSseq

from kb.elements import clauses, load_data, pattern_of
from kb.models import Amount, Requirement
from kb.scope import LocalRule, Scope, canonical, content_bigrams, content_words, coverage, weight

CANDIDATES = 14


@dataclass(frozen=True, slots=True)
class Duty:
    """A requirement prepared for comparison; `title` is that of its document.

    `vector` is its unit vector, None without an encoder; `core` are the words of what must be done, without the actor and
    without words every rule has.
    """

    requirement: Requirement
    title: str
    text: str
    words: frozenset[str]
    action_words: frozenset[str]
    grams: frozenset[str]
    clause_words: tuple[frozenset[str], ...]
    clause_texts: tuple[str, ...]
    core: frozenset[str]
    vector: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """One local article proposed for a duty; `rule` is the position of its best rule in Scope.rules."""

    article: int
    rule: int
    features: dict[str, float]


_COMMON = frozenset(
    [
        "管理",
        "工作",
        "有关",
        "规定",
        "相关",
        "依法",
        "进行",
        "开展",
        "本法",
        "按照",
        "应当",
        "要求",
        "有关规定",
        "国家",
        "国家数据局",
        "国务院",
        "本规范",
        "以及",
        "或者",
        "以下",
        "各级",
        "部门",
    ]
)


def prepare(requirement: Requirement, title: str, vector: np.ndarray | None = None) -> Duty:
    """Everything about a duty that does not depend on the scope; the vector belongs to full_text."""
    body = re.sub(r"^[\s　]*(?:[（(][零〇一二三四五六七八九十百]+[)）]|\d{1,2}[.．、])\s*", "", requirement.text)
    text = canonical(body)
    parts = [c.strip() for c in clauses(body) if len(c.strip()) >= 3]
    return Duty(
        requirement=requirement,
        title=title,
        text=text,
        words=content_words(body),
        action_words=content_words(requirement.action or body),
        grams=grams(text, 4),
        clause_words=tuple(content_words(c) for c in parts),
        clause_texts=tuple(parts),
        core=content_words(body.replace(requirement.actor, "") if requirement.actor else body) - _COMMON,
        vector=vector,
    )


@functools.lru_cache(maxsize=65536)
def grams(text: str, n: int) -> frozenset[str]:
    """Runs of n characters inside the text, punctuation left out."""
    plain = re.sub(r"[^\u3400-\u9fff0-9a-zA-Z]", "", text)
    return frozenset(plain[i : i + n] for i in range(len(plain) - n + 1)) if len(plain) >= n else frozenset({plain})


@dataclass(frozen=True, slots=True)
class Pool:
    """The articles worth reading for a duty, in the order found, with the scores that found them (one row per article)."""

    articles: tuple[int, ...]
    scores: tuple[dict[str, float], ...]
    lexical: np.ndarray
    dense: np.ndarray


def pool_of(duty: Duty, scope: Scope, limit: int = CANDIDATES) -> Pool:
    """Articles that one of four looks finds among the best: words of a rule, words of the article, vectors, words in common.

    Which articles these are depends on the whole scope; everything else about a candidate depends on the duty and the pool.
    """
    if not scope.rules:
        return Pool((), (), np.zeros(0), np.zeros(0))
    lexical, dense = scope.lexical(duty.text), similarities(scope.vectors, duty.vector, len(scope.rules))
    looks = {
        "lex": (scope.best_of_articles(lexical), limit),
        "dense": (scope.best_of_articles(dense), limit),
        "art": (scope.lexical_articles(duty.text), limit // 2),
        "common": (scope.words_in_common(duty.words), limit // 2),
    }
    found = list(dict.fromkeys(a for values, n in looks.values() for a in _highest(values, n)))
    scores = tuple({name: float(values[a]) for name, (values, _) in looks.items()} for a in found)
    return Pool(tuple(found), scores, lexical, dense)


def similarities(rows: np.ndarray | None, vector: np.ndarray | None, n: int) -> np.ndarray:
    """Cosine of each row with a vector, zeros without vectors. einsum, because a row's result must not depend on its neighbours
    (a matrix product goes through blocked kernels whose last bits do)."""
    if rows is None or vector is None:
        return np.zeros(n, np.float32)
    return np.einsum("ij,j->i", rows, vector)


def _highest(values: np.ndarray, n: int) -> list[int]:
    """Positions of the n highest values, best first; ties in the order of the scope."""
    return np.argsort(-values, kind="stable")[:n].tolist()


def candidates(duty: Duty, scope: Scope, pool: Pool | None = None) -> list[Candidate]:
    """The articles of the pool with the features that say how they meet the duty."""
    pool = pool or pool_of(duty, scope)
    covers = [
        coverage(duty.words, place.words | _title_words(place.document.meta.title), place.text)
        for place in (scope.articles[a] for a in pool.articles)
    ]
    out = []
    for article, scores, cover in zip(pool.articles, pool.scores, covers, strict=True):
        rule = _best_rule(duty, scope, article, pool.lexical, pool.dense)
        features = pair_features(duty, scope, article, rule, float(pool.lexical[rule]), float(pool.dense[rule]))
        features["cov_art"] = cover
        features["lex_best"], features["dense_best"], features["lex_art"] = (
            scores["lex"],
            scores["dense"],
            scores["art"],
        )
        out.append(Candidate(article, rule, features))
    _add_standing(out)
    return out


_STANDING = ("lex_best", "dense_best", "lex_art", "cov_art")


def _add_standing(found: Sequence[Candidate]) -> None:
    """How far each candidate lies behind the best of the pool, look by look, and its reciprocal ranks summed."""
    for name in _STANDING:
        values = np.array([c.features[name] for c in found])
        ranks = np.argsort(np.argsort(-values, kind="stable"), kind="stable") if len(values) else ()
        for candidate, value, rank in zip(found, values, ranks, strict=True):
            candidate.features[f"{name}_gap"] = float(value - values.max())
            candidate.features["rr"] = candidate.features.get("rr", 0.0) + 1.0 / (3 + int(rank))


def _best_rule(duty: Duty, scope: Scope, article: int, lexical: np.ndarray, dense: np.ndarray) -> int:
    def score(i: int) -> float:
        rule = scope.rules[i]
        kind = 0.15 if rule.requirement.kind == duty.requirement.kind else 0.0
        return float(lexical[i]) + float(dense[i]) + coverage(duty.words, rule.words, rule.text) + kind

    return max(scope.articles[article].rules, key=lambda i: (score(i), -i))


@functools.cache
def _title_words(title: str) -> frozenset[str]:
    return content_words(title)


def pair_features(
    duty: Duty, scope: Scope, article: int, rule_at: int, lexical: float, dense: float
) -> dict[str, float]:
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
        "private_public": float(_tier_group(national.tier) == "private" and _tier_group(local.tier) == "local"),
        "public_private": float(
            _tier_group(national.tier) in ("local", "organ") and _tier_group(local.tier) == "private"
        ),
        "topics": _jaccard(national.topics, local.topics),
        "gram3": _share(grams(duty.text, 3), grams(rule.text, 3)),
        "gram3_art": _share(grams(duty.text, 3), grams(place.text, 3)),
        "gram6": _share(grams(duty.text, 6), grams(place.text, 6)),
        "liab_refers": float(national.kind == "liability" and handles_breach_by_reference(rule.text)),
        "liab_general": float(
            national.kind == "liability" and handles_breach_by_reference(rule.text) and not _CITES.search(rule.text)
        ),
        "num_equal": number_match(national.amounts, local.amounts)[0],
        "num_other": number_match(national.amounts, local.amounts)[1],
    }
    f |= act_features(duty, rule.text, place.text)
    whole = maximal(duty.core)
    heavy = frozenset(sorted(whole, key=lambda w: (-weight(w), w))[:3])
    f |= {
        "whole_rule": coverage(whole, rule.words, rule.text),
        "whole_place": coverage(whole, place.words, place.text),
        "heavy_rule": coverage(heavy, rule.words, rule.text),
        "heavy_place": coverage(heavy, place.words, place.text),
    }
    f |= lost_features(duty, rule, place.words, place.text)
    f["refers"] = float(refers_to_national(place.text))
    f["refers_cov"] = f["refers"] * coverage(duty.words, place.words, place.text)
    shares = [coverage(w, place.words, place.text) for w in duty.clause_words] or [f["cov_rule"]]
    f["clause_min"], f["clause_mean"] = min(shares), sum(shares) / len(shares)
    f["clause_low"] = sum(s < 0.45 for s in shares) / len(shares)
    return f


@functools.cache
def _acts() -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(line) for line in load_data("acts.yaml")["acts"])


@functools.lru_cache(maxsize=65536)
def acts_of(text: str) -> frozenset[int]:
    """Positions in acts.yaml of the acts a text speaks about."""
    return frozenset(i for i, pattern in enumerate(_acts()) if pattern.search(text))


@functools.cache
def _act_weight(act: int) -> float:
    return min(weight(w.strip("()?!")) for w in re.sub(r"\(\?[^)]*\)", "", _acts()[act].pattern).split("|"))


def act_features(duty: Duty, rule_text: str, place_text: str) -> dict[str, float]:
    """Shares of the acts of the duty that the best rule and its article speak about; `act_main` is the rarest act."""
    wanted = acts_of(duty.text)
    if not wanted:
        return {
            "act_rule": 0.5,
            "act_place": 0.5,
            "act_main": 0.5,
            "act_main_rule": 0.5,
            "act_lost": 0.0,
            "act_extra": 0.0,
            "act_n": 0.0,
        }
    total = sum(_act_weight(a) for a in wanted)
    in_rule, in_place = wanted & acts_of(rule_text), wanted & acts_of(place_text)
    main = max(wanted, key=lambda a: (_act_weight(a), -a))
    return {
        "act_rule": sum(_act_weight(a) for a in in_rule) / total,
        "act_place": sum(_act_weight(a) for a in in_place) / total,
        "act_main": float(main in in_place),
        "act_main_rule": float(main in in_rule),
        "act_lost": min(4, len(wanted) - len(in_place)) / 4,
        "act_extra": min(6, len(acts_of(rule_text) - wanted)) / 6,
        "act_n": min(6, len(wanted)) / 6,
    }


@functools.lru_cache(maxsize=4096)
def maximal(words: frozenset[str]) -> frozenset[str]:
    """Words that are no part of another word of the set: a compound counts once, as a whole."""
    return frozenset(w for w in words if not any(w != x and w in x for x in words))


_RESTRICTS = re.compile(
    r"但|不得超过|除外|除[^，。；]{1,30}外|且|仅|只|经[^，。；]{0,12}(?:批准|同意|审核)|未经|符合[^，。；]{0,20}条件|市|省|本条例|有条件"
)


def lost_features(duty: Duty, rule: LocalRule, place_words: frozenset[str], place_text: str) -> dict[str, float]:
    """What a word-for-word comparison with the best rule loses and adds: heaviest lost words, lost actor, added restrictions."""
    unknown = weight("\x00")
    lost_rule = sorted((weight(w) for w in duty.words if w not in rule.words and w not in rule.text), reverse=True)
    core = {w: weight(w) for w in duty.core}
    total = sum(core.values()) or 1.0
    lost_core_rule = {w: x for w, x in core.items() if w not in rule.words and w not in rule.text}
    lost_core = {w: x for w, x in lost_core_rule.items() if w not in place_words and w not in place_text}
    lost_place = sorted((weight(w) for w in duty.words if w not in place_words and w not in place_text), reverse=True)
    actor = content_words(duty.requirement.actor)
    added = _inserted(duty.text, rule.text)
    return {
        "lost_rule1": (lost_rule[0] if lost_rule else 0.0) / unknown,
        "lost_rule": min(8.0, sum(lost_rule) / unknown),
        "lost_place1": (lost_place[0] if lost_place else 0.0) / unknown,
        "lost_place": min(8.0, sum(lost_place) / unknown),
        "core_rule": 1 - sum(lost_core_rule.values()) / total,
        "core_place": 1 - sum(lost_core.values()) / total,
        "core_lost1": max(lost_core.values(), default=0.0) / unknown,
        "core_lost": min(6.0, sum(lost_core.values()) / unknown),
        "core_lost_rule": min(6.0, sum(lost_core_rule.values()) / unknown),
        "lost_actor": 1.0 - coverage(actor, place_words, place_text) if actor else 0.5,
        "added": min(3.0, len(added) / max(10, len(duty.text))),
        "added_limits": float(bool(_RESTRICTS.search(added))),
        "added_but": float(
            bool(re.search("但|除外|不得超过|且", added)) and not re.search("但|除外|不得超过|且", duty.text)
        ),
    }


def _inserted(national: str, local: str) -> str:
    """Text that the local rule puts between or in place of matched runs of four characters or more, joined by |."""
    runs = [(o.dest_start, o.dest_end) for o in Indel.opcodes(national, local) if o.tag == "equal"]
    runs = [(a, b) for a, b in runs if b - a >= 4]
    return "|".join(local[end:start] for (_, end), (start, _) in itertools.pairwise(runs))


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


_CITES = re.compile(r"第[零〇一二三四五六七八九十百]+条")


def handles_breach_by_reference(text: str) -> bool:
    """True for 违反本条例规定…依照有关法律、法规处罚 / 法律、法规已有处罚规定的，从其规定 / 依法予以处罚."""
    return bool(
        re.search(r"违反|未履行|不履行|行为", text)
        and re.search(
            r"从其规定|依照[^，。；]{2,30}(?:法律|法规|规定)[^，。；]{0,12}(?:处罚|处理|追究)?|依法(?:予以|给予|进行)?(?:处罚|处理|查处)",
            text,
        )
    )


def _jaccard(a: Sequence[str], b: Sequence[str]) -> float:
    return len(set(a) & set(b)) / len(set(a) | set(b)) if a or b else 0.0


_TIER_GROUPS = {
    "state": "central",
    "central": "central",
    "province": "local",
    "province_up": "local",
    "local": "local",
    "authority": "local",
    "organ": "organ",
    "body": "body",
    "private": "private",
    "vertical": "central",
}


def _tier_group(tier: str) -> str:
    return _TIER_GROUPS.get(tier, "any")


_TERM = re.compile(
    r"(?:所称|^|[。；])(?:的)?([\u4e00-\u9fff（）“”]{2,18}?)[”]?(?:（[^）]{2,30}）)?，?(?:是指|指的是|指，|是以|包括)"
)


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
    if x == y:
        return 1.0
    return 0.7 if x.startswith(y) or y.startswith(x) else 0.5 if x.endswith(y) or y.endswith(x) else 0.0


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
        "d_stronger": float(
            national.modality in ("permission", "encouragement") and local.modality in ("obligation", "prohibition")
        ),
        "d_ban_for_may": float(
            (national.modality == "permission" or bool(_EXEMPT.search(n))) and local.modality == "prohibition"
        ),
        "d_exempt_nat": float(bool(_EXEMPT.search(n))),
        "d_exempt_loc": float(bool(_EXEMPT.search(m)) and not _EXEMPT.search(n)),
        "d_exception": float(bool(_ADDED_EXCEPTION.search(m)) and not _ADDED_EXCEPTION.search(n)),
        "d_exception_lost": float(bool(_ADDED_EXCEPTION.search(n)) and not _ADDED_EXCEPTION.search(place_text)),
        "d_approval": float(bool(_APPROVAL.search(m)) and not _APPROVAL.search(n)),
        "d_ban": float(bool(_HARD_BAN.search(m)) and not _HARD_BAN.search(n)),
        "d_cap": float(bool(_CAP.search(m)) and not _CAP.search(n)),
        "d_refer": float(bool(_REFER.search(place_text))),
        "d_open": float(bool(set(local.open_terms) - set(national.open_terms))),
        "d_clash": float(len(distinct_clashes(national.text, local.full_text)) > 0),
        "d_numbers": number_match(national.amounts, local.amounts)[1],
        "d_number_missing": float(bool(national.amounts) and not local.amounts),
        "d_conditions_more": float(len(local.conditions) > len(national.conditions)),
    }


def distinct_clashes(national: str, local: str) -> list[tuple[str, str]]:
    """(national term, local term) of the groups in drift.yaml that must never be merged, each absent on the other side."""
    national, local = re.sub(r"\s+", "", national), re.sub(r"\s+", "", local)
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
