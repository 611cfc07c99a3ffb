"""Requirements and a Scope in, Assessments out: the ordered rule of domain.md 4.5 with evidence, confidence and reasons.

What the law decides by itself (who is addressed, which tier, does the text call for a local measure) is decided by rules.
Whether a local text answers the duty, and how completely, is weighed by a small learned scorer over the features of
align.py. Every label names its rule; below the set confidence the printed label is 待人工核定 and the proposal is kept.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from kb.align import (
    Candidate,
    Duty,
    Pool,
    candidates,
    difference_features,
    distinct_clashes,
    number_match,
    prepare,
    refers_to_national,
    similarities,
)
from kb.edits import Edit, core_of, frame_edits, frame_share
from kb.elements import amounts_of
from kb.judge_model import Classifier, JudgeModel, default_model
from kb.metadata import brought_by
from kb.models import Assessment, Document, Evidence, Provision, Requirement
from kb.reading import Reading, worth_reading
from kb.requirements import extract, is_policy
from kb.scope import Encode, LocalRule, Scope, canonical, content_words, coverage, weight

THRESHOLD = 0.4
_BATCH, _PART = 64, 8
"""Duties that are scored together, more would only take memory; and that are described before their reading begins."""
EVIDENCE = 5
NOT_APPLICABLE, CLASH, COVERED, PARTIAL, DIRECT, MISSING, UNDETERMINED = (
    "不适用",
    "疑似不一致",
    "已覆盖",
    "部分覆盖",
    "直接适用无需配套",
    "未覆盖",
    "待人工核定",
)
RULES = {
    NOT_APPLICABLE: "4.5-1",
    CLASH: "4.5-2",
    COVERED: "4.5-3",
    PARTIAL: "4.5-4",
    DIRECT: "4.5-5",
    MISSING: "4.5-6",
}


@dataclass(frozen=True, slots=True)
class National:
    """A national document prepared for judging: its duties, and vectors where an encoder was given.

    `judged` are the positions of the duties to judge, all of them when empty. `leads` are the telling words of the different
    lead-ins of its lists.
    """

    document: Document
    duties: tuple[Requirement, ...]
    vectors: np.ndarray | None
    title_words: frozenset[str] = frozenset()
    postings: Mapping[str, np.ndarray] = field(default_factory=dict)
    leads: frozenset[frozenset[str]] = frozenset()
    judged: tuple[int, ...] = ()

    def echo(self, rule_words: frozenset[str]) -> np.ndarray:
        """Share of the weight of `rule_words` that each duty of this document has, in duty order."""
        out = np.zeros(len(self.duties), dtype=np.float32)
        total = 0.0
        for word in rule_words:
            w = weight(word)
            total += w
            if word in self.postings:
                out[self.postings[word]] += w
        return out / total if total else out


def build_national(document: Document, encode: Encode | None = None) -> National:
    """Duties of a national document with their vectors (one call of `encode`)."""
    duties = tuple(extract(document)[0])
    vectors = encode([d.full_text for d in duties]) if encode and duties else None
    held: dict[str, list[int]] = {}
    for number, duty in enumerate(duties):
        for word in content_words(duty.text):
            held.setdefault(word, []).append(number)
    postings = {word: np.array(numbers) for word, numbers in held.items()}
    title = content_words(document.meta.title)
    leads = frozenset(lead_words(duty, title) for duty in duties) - {frozenset()}
    return National(document, duties, vectors, title, postings, leads)


@dataclass(frozen=True, slots=True)
class Case:
    """One duty against one scope before the verdict: ranked candidates and the features the scorer sees."""

    duty: Duty
    ranked: tuple[Candidate, ...]
    shares: tuple[float, ...]
    features: Mapping[str, float] = field(default_factory=dict)


# -- what the national side alone decides -----------------------------------------------------------------------------

LAW, NORM, POLICY = "法律规范", "规范性文件", "政策部署"


def force_of(document: Document) -> str:
    """法律规范, 规范性文件 or 政策部署: from the metadata, else from title, number and form (domain.md 1.1)."""
    if document.meta.normative_force in (LAW, NORM, POLICY):
        return document.meta.normative_force
    title = re.sub(r"[（(][^）)]*[)）]$", "", document.meta.title.strip())
    if is_policy(document):
        return POLICY
    if re.search(r"(?:(?<!办)法|条例)$", title):
        return LAW
    number = (
        document.meta.doc_no
        or (re.search(r"[\u4e00-\u9fff]{2,10}[〔\[（]20\d\d[〕\]）]\s*\d+\s*号", document.text[:600]) or [""])[0]
    )
    if number and "令" not in number:
        return NORM
    return NORM if title.endswith(("规范", "通知", "意见", "方案", "指引", "指南", "要点")) else LAW


def outside_scope(duty: Requirement, scope: Scope) -> str:
    """Why a duty is not addressed to this place (step 1 of domain.md 4.5), or ""."""
    if duty.tier == "state":
        return "主语为国家，属国家事权"
    if duty.tier == "central":
        return f"主体为{duty.actor}，属中央事权"
    if duty.tier == "vertical":
        return "主体为垂直管理的机构"
    if duty.tier in ("province", "province_up") and scope.tier == "city":
        return f"主体为{duty.actor}，属省级以上事权"
    return ""


def silent_label(duty: Requirement, document: Document) -> str:
    """直接适用无需配套 or 未覆盖 when no local text answers (steps 5 and 6): who is addressed, in what kind of text."""
    if force_of(document) != LAW:
        return MISSING
    addressed = duty.tier in ("local", "authority", "province", "province_up") and duty.kind not in (
        "definition",
        "liability",
    )
    return MISSING if addressed or duty.trigger == "optional_rules" else DIRECT


# -- candidates and features --------------------------------------------------------------------------------------------


def build_case(duty: Duty, national: National, scope: Scope, model: JudgeModel | None = None) -> Case:
    """One duty with its ranked candidates and what the scorer sees of it."""
    model = model or default_model()
    return _cases(_begin_reading([(duty, None)], national, scope, model), national, scope, model)[0]


def _begin_reading(
    duties: Sequence[tuple[Duty, Pool | None]], national: National, scope: Scope, model: JudgeModel
) -> Reading:
    """The candidates of some duties, the best of them handed to the cross-encoder; nothing is read where step 1 decides."""
    reading = Reading(scope)
    for part in (duties[i : i + _PART] for i in range(0, len(duties), _PART)):
        found = [described(duty, national, scope, pool) for duty, pool in part]
        for (duty, _), each, shares in zip(part, found, _predict(model.first, found), strict=True):
            reading.add(duty, each, () if outside_scope(duty.requirement, scope) else worth_reading(shares))
    return reading


def _cases(reading: Reading, national: National, scope: Scope, model: JudgeModel) -> list[Case]:
    """The duties that were read, each with its candidates ranked and the best of them described; the ranking runs once."""
    found = reading.results()
    out = []
    for duty, each, shares in zip(reading.duties, found, _predict(model.rank, found), strict=True):
        ranked, ordered = order_candidates(each, shares, carried_out(duty.requirement, national, scope))
        out.append(Case(duty, ranked, ordered, case_features(duty, national, scope, ranked, ordered)))
    return out


def _predict(scorer: Classifier, found: Sequence[Sequence[Candidate]]) -> list[np.ndarray]:
    """The scorer's probability of each candidate, one array for each duty."""
    scores = scorer.predict([c.features for each in found for c in each])[:, 1]
    return np.split(scores, np.cumsum([len(each) for each in found])[:-1])


def described(duty: Duty, national: National, scope: Scope, pool: Pool | None = None) -> list[Candidate]:
    """The candidates of a duty with all features the ranking sees."""
    found = candidates(duty, scope, pool)
    for candidate in found:
        candidate.features.update(reverse_features(duty, national, scope, candidate))
    return found


def order_candidates(
    found: Sequence[Candidate], shares: Sequence[float], first: int | None = None
) -> tuple[tuple[Candidate, ...], tuple[float, ...]]:
    """Best first; the article `first`, where given and found, leads."""
    order = sorted(range(len(found)), key=lambda i: (found[i].article != first, -shares[i], found[i].article))
    return tuple(found[i] for i in order), tuple(float(shares[i]) for i in order)


def lead_of(duty: Requirement) -> str:
    """The lead-in of an item, "" for what has none; a definition says the same wherever it is listed."""
    return "" if duty.kind == "definition" else duty.lead_in


_FOLLOWING = frozenset(("以下", "以下内容", "下列", "内容", "包括", "包含", "应当", "之一"))
"""Words of a lead-in that only say that a list follows."""


def lead_words(duty: Requirement, title: frozenset[str]) -> frozenset[str]:
    """The telling words of the lead-in of a duty: neither those of the title of its text nor those that announce a list."""
    return content_words(lead_of(duty)) - title - _FOLLOWING


def of_another_list(case: Case, national: National, scope: Scope) -> bool:
    """Does the best local rule stand in a list (or sentence) that another lead-in of the national text names, not that of the item?

    方案应当包括 and 协议应当包括 may have the same items, and one is no answer to the other.
    """
    wanted = lead_words(case.duty.requirement, national.title_words)
    if not wanted:
        return False
    local = scope.rules[case.ranked[0].rule].requirement
    said = content_words(lead_of(local) or local.full_text)
    other = max(coverage(lead, said) for lead in national.leads)
    return other - coverage(wanted, said) > OTHER_LIST


def reverse_features(duty: Duty, national: National, scope: Scope, candidate: Candidate) -> dict[str, float]:
    """Does the local rule look back at this duty, or at another one of the same national text; do the whole articles meet?"""
    rule, place = scope.rules[candidate.rule], scope.articles[candidate.article]
    own = duty.requirement
    article = provision_of(national, duty)
    inside = np.array([d.provision_id == own.provision_id for d in national.duties], dtype=bool)
    others = np.array([not (d.start < own.end and own.start < d.end) for d in national.duties], dtype=bool)
    out = {
        "art_cov": coverage(content_words(article.text), place.words, place.text),
        "art_back": coverage(place.words, content_words(article.text)),
        "back_words": 0.0,
        "back_dense": 0.0,
        "art_dense": 0.0,
    }
    if others.any():
        out["back_words"] = coverage(rule.words, duty.words) - float(national.echo(rule.words)[others].max())
    if national.vectors is not None and scope.vectors is not None and duty.vector is not None:
        sims = similarities(national.vectors, scope.vectors[candidate.rule], len(national.duties))
        if others.any():
            out["back_dense"] = float(
                similarities(duty.vector[None], scope.vectors[candidate.rule], 1)[0] - sims[others].max()
            )
        if inside.any():
            local = scope.vectors[place.rules[0] : place.rules[-1] + 1]
            out["art_dense"] = float(np.einsum("ij,kj->ik", national.vectors[inside], local).max(axis=1).mean())
    return out


def context_features(duty: Duty, national: National, scope: Scope, candidate: Candidate) -> dict[str, float]:
    """Is the local rule about a subset: words of its conditions, of the sentence before it and of its title that the national text lacks."""
    rule, place = scope.rules[candidate.rule], scope.articles[candidate.article]
    known = (
        duty.words
        | national.title_words
        | content_words(duty.requirement.full_text)
        | content_words(provision_of(national, duty).text)
    )
    conditions = content_words("，".join(rule.requirement.conditions))
    earlier = [
        i
        for i in place.rules
        if i < candidate.rule and scope.rules[i].requirement.paragraph == rule.requirement.paragraph
    ]
    before = scope.rules[earlier[-1]].words if earlier else frozenset()
    actor = content_words(rule.requirement.actor)
    title = content_words(place.document.meta.title)
    return {
        "x_conditions": heaviest(conditions, known, 3),
        "x_before": heaviest(before, known, 3),
        "x_actor": heaviest(actor, known, 2),
        "x_title": heaviest(title, known, 2),
        "x_rule": heaviest(rule.words, known, 4),
        "cov_national_article": coverage(content_words(provision_of(national, duty).text), place.words, place.text),
    }


def heaviest(words: frozenset[str], known: frozenset[str], n: int) -> float:
    """Weight of the n heaviest words that are not known, as a share of the weight n unheard-of words would have."""
    extra = sorted((weight(w) for w in words - known), reverse=True)[:n]
    return sum(extra) / (n * weight("\x00"))


def provision_of(national: National, duty: Duty) -> Provision:
    """The national provision that holds the duty."""
    return next(p for p in national.document.provisions if p.provision_id == duty.requirement.provision_id)


_HEAD = 3000


@functools.lru_cache(maxsize=4096)
def names_in_head(head: str) -> frozenset[str]:
    """Titles in 《》 at the head of a text, where its basis is named; canonical; of a notice also what it brings."""
    names = re.findall(r"《([^《》]{3,60})》", head)
    return frozenset(canonical(name) for title in names for name in (title, brought_by(title)) if name)


def document_facts(document: Document) -> list:
    """What a row takes of a local document beyond its metadata and the article: short, so that an edit elsewhere in the
    document rarely changes it."""
    return [sorted(names_in_head(document.text[:_HEAD])), "从其规定" in document.text, is_policy(document)]


def scope_facts(scope: Scope) -> list:
    """What a row takes of a scope beyond the articles found."""
    incomplete = [d.meta.title for d in scope.documents if d.quality == "incomplete"]
    return [scope.tier, incomplete, any(d.meta.text_kind == "digest" for d in scope.documents), bool(scope.rules)]


_TIERS = ("province", "province_up", "local", "authority", "organ", "body", "private", "any")
_KINDS = ("definition", "liability", "principle")
_MODALITIES = ("obligation", "prohibition", "permission", "encouragement", "responsibility", "none")


def case_features(
    duty: Duty, national: National, scope: Scope, ranked: Sequence[Candidate], shares: Sequence[float]
) -> dict[str, float]:
    """What the scorer sees of a duty: its best article, what the next ones add, who is addressed, what differs."""
    own = duty.requirement
    force = force_of(national.document)
    f: dict[str, float] = {f"tier_{t}": float(own.tier == t) for t in _TIERS}
    f |= {f"kind_{k}": float(own.kind == k) for k in _KINDS}
    f |= {f"modality_{m}": float(own.modality == m) for m in _MODALITIES}
    f |= {"force_law": float(force == LAW), "force_norm": float(force == NORM), "force_policy": float(force == POLICY)}
    f |= {
        "length": min(len(duty.text), 200) / 100,
        "clauses": min(len(duty.clause_words), 8) / 4,
        "is_item": float(own.item is not None),
    }
    f |= {
        "has_number": float(bool(own.amounts)),
        "silent_missing": float(silent_label(own, national.document) == MISSING),
    }
    if not ranked:
        return f
    best = ranked[0]
    rule, place = scope.rules[best.rule], scope.articles[best.article]
    f |= {f"t_{k}": v for k, v in best.features.items()}
    f |= {f"p{i + 1}": (shares[i] if i < len(shares) else 0.0) for i in range(3)}
    f |= difference_features(duty, rule, place.text)
    union = frozenset().union(*(scope.articles[c.article].words for c in ranked[:3]))
    f["cov_top3"] = coverage(duty.words, union)
    for key in (
        "cov_art",
        "dense_best",
        "lcs",
        "gram4",
        "clause_min",
        "phrase_mean",
        "phrase_min",
        "core_place",
        "term_match",
        "act_place",
        "act_rule",
        "act_main",
        "whole_place",
        "heavy_place",
    ):
        f[f"max_{key}"] = max(c.features.get(key, 0.0) for c in ranked)
    read = [c.features for c in ranked if "read" in c.features]
    for key in ("rel_answers", "rel_covered", "rel_partial", "rel_conflict"):
        f[f"max_{key}"] = max((c[key] for c in read), default=0.0)
    local_title, national_title = content_words(place.document.meta.title), national.title_words
    f |= context_features(duty, national, scope, best)
    f["title_covered"] = coverage(local_title, national_title | duty.words)
    f["title_covers"] = coverage(national_title, local_title | frozenset(("管理", "条例", "中华", "中华人民共和国")))
    f["basis"] = float(canonical(national.document.meta.title) in names_in_head(place.document.text[:_HEAD]))
    f["definition_unmatched"] = float(own.kind == "definition" and max(c.features["term_match"] for c in ranked) == 0)
    close = best.features["lcs"]
    for sign in ("d_weaker", "d_approval", "d_cap", "d_exception", "d_numbers", "d_clash", "d_open"):
        f[f"{sign}_close"] = f[sign] * close
    f["added_but_close"] = best.features["added_but"] * close
    f["added_close"] = best.features["added"] * close
    f["lost_close"] = min(1.0, best.features["lost_rule"]) * close
    f["liability_refers"] = max(c.features["liab_refers"] for c in ranked[:5])
    f["liability_general"] = max(c.features["liab_general"] for c in ranked[:5])
    f["local_level"] = rule.requirement.modality_level / 5
    f["local_public"] = float(rule.requirement.tier in ("local", "authority", "province"))
    f["local_private"] = float(rule.requirement.tier == "private")
    f["local_definition"] = float(rule.requirement.kind == "definition")
    f["local_liability"] = float(rule.requirement.kind == "liability")
    f["province"] = float(scope.tier == "province")
    return f


# -- the verdict ----------------------------------------------------------------------------------------------------------


def probabilities(cases: Sequence[Case], national: National, scope: Scope, model: JudgeModel) -> list[dict[str, float]]:
    """Probability of each label for some duties; step 1 is decided by rule, the split of silence by `silent_label`."""
    fixed = [decided(case, national, scope) for case in cases]
    open_ = [case.features for case, shares in zip(cases, fixed, strict=True) if shares is None]
    answered = iter(model.answered.predict(open_)[:, list(model.answered.classes).index("yes")])
    split = iter(model.label.predict(open_))
    out = []
    for case, shares in zip(cases, fixed, strict=True):
        if shares is None:
            shares = _weighed(
                case, national, scope, float(next(answered)), dict(zip(model.label.classes, next(split), strict=True))
            )
        out.append(shares)
    return out


def decided(case: Case, national: National, scope: Scope) -> dict[str, float] | None:
    """Shares of the labels where a rule decides alone, else None."""
    own = case.duty.requirement
    if outside_scope(own, scope):
        return {NOT_APPLICABLE: 0.97}
    if carried_out(own, national, scope) is not None:
        return {COVERED: 0.9}
    if not case.ranked:
        return {silent_label(own, national.document): 0.95}
    return None


def _weighed(
    case: Case, national: National, scope: Scope, answered: float, split: Mapping[str, float]
) -> dict[str, float]:
    """Shares of the labels from the two scorers, corrected by what a word-for-word comparison says."""
    out = {label: answered * float(p) for label, p in split.items()}
    silent = silent_label(case.duty.requirement, national.document)
    out[silent] = out.get(silent, 0.0) + 1 - answered
    if of_another_list(case, national, scope):
        return _moved(out, COVERED, silent, 0.8)
    edits = edits_of(case, scope)
    if not edits and word_for_word(case, scope):
        return {label: 0.15 * share for label, share in out.items()} | {COVERED: 0.85 + 0.15 * out.get(COVERED, 0.0)}
    if number_left_open(case, scope):
        return _moved(out, COVERED, PARTIAL, 0.8)
    return with_edits(out, edits)


def number_left_open(case: Case, scope: Scope) -> bool:
    """Step 4: the duty sets a number or a frequency, the best article has none of that kind (定期 for 每年度) and hands on to
    no national rule that has it."""
    own, place = case.duty.requirement, scope.articles[case.ranked[0].article].provision
    if own.kind != "duty" or not own.amounts or refers_to_national(place.text):
        return False
    kinds = {a.kind for a in amounts_of(place.text)}
    return not any(a.kind in kinds for a in own.amounts)


def _moved(shares: Mapping[str, float], source: str, target: str, share: float) -> dict[str, float]:
    moved = share * shares.get(source, 0.0)
    return dict(shares) | {source: shares.get(source, 0.0) - moved, target: shares.get(target, 0.0) + moved}


VERBATIM, ALIKE = 0.97, 0.6
"""Shares of the wording of a duty from which a rule has the whole of it, and from which a person is asked about it."""
OTHER_LIST = 0.1
"""By so much another lead-in of the national text must fit a local list better before the list counts as another one."""


def word_for_word(case: Case, scope: Scope) -> bool:
    """True when a rule of the best article has the whole wording of the duty: step 3 without weighing (同文)."""
    text = case.duty.requirement.text
    rules = scope.articles[case.ranked[0].article].rules
    return any(frame_share(text, scope.rules[rule].requirement.text) >= VERBATIM for rule in rules)


def edits_of(case: Case, scope: Scope) -> tuple[Edit, ...]:
    """Edits against the local rule that shares most of the wording, among those of the three best articles; an edit against
    another article than the best says which."""
    if not case.ranked:
        return ()
    text = case.duty.requirement.text
    core = core_of(text)
    rules = [rule for c in case.ranked[:3] for rule in scope.articles[c.article].rules]
    shares = {rule: frame_share(core, scope.rules[rule].requirement.text) for rule in rules}
    best = max(rules, key=lambda rule: (shares[rule], frame_share(text, scope.rules[rule].requirement.text), -rule))
    article = scope.rules[best].article
    place = scope.articles[article]
    edits = frame_edits(text, scope.rules[best].requirement.text, place.provision.text)
    if article == case.ranked[0].article:
        return edits
    where = f"《{place.document.meta.title}》{place.provision.label}"
    return tuple(replace(e, where=where) for e in edits)


def with_edits(shares: Mapping[str, float], edits: Sequence[Edit]) -> dict[str, float]:
    """Step 2 before step 3: in one frame of words a changed number, strength or exception is no coverage, whatever the
    similarity; something left out there moves 已覆盖 to 部分覆盖."""
    out = dict(shares)
    if any(e.clash for e in edits):
        return {label: 0.15 * share for label, share in out.items()} | {CLASH: 0.85 + 0.15 * out.get(CLASH, 0.0)}
    return _moved(out, COVERED, PARTIAL, 0.9) if edits else out


def carried_out(duty: Requirement, national: National, scope: Scope) -> int | None:
    """Article of a local text made under an optional power to issue rules (它以本文件为依据), or None."""
    if duty.trigger != "optional_rules":
        return None
    title = canonical(re.sub(r"[（(][^（）()]*[)）]$", "", national.document.meta.title))
    for number, place in enumerate(scope.articles):
        if place.provision.number and place.provision.number[0] <= 1 and title in place.text:
            return number
    return None


def choose(shares: Mapping[str, float], bias: Mapping[str, float]) -> str:
    """The label with the highest biased probability (biases balance rare labels); ties in the order of the rule."""
    order = list(RULES)
    return max(shares, key=lambda k: (shares[k] * bias.get(k, 1.0), -order.index(k)))


def judge(
    requirement: Requirement,
    national: National,
    scope: Scope,
    *,
    encode: Encode | None = None,
    model: JudgeModel | None = None,
    threshold: float = THRESHOLD,
) -> Assessment:
    """Judge one duty against one scope; deterministic. `encode` gives the vector where the scope has vectors."""
    vector = encode([requirement.full_text])[0] if encode else None
    duty = prepare(requirement, national.document.meta.title, vector)
    return judge_duties([(duty, None)], national, scope, model or default_model(), threshold)[0]


def judge_all(
    national: National, scope: Scope, *, model: JudgeModel | None = None, threshold: float = THRESHOLD
) -> list[Assessment]:
    """Every duty of a national document against a scope, in reading order."""
    duties = [(prepared(national, n), None) for n in national.judged or range(len(national.duties))]
    return judge_duties(duties, national, scope, model or default_model(), threshold)


def prepared(national: National, number: int) -> Duty:
    """The duty at a position of the document, ready to be compared."""
    vector = None if national.vectors is None else national.vectors[number]
    return prepare(national.duties[number], national.document.meta.title, vector)


def judge_duties(
    duties: Sequence[tuple[Duty, Pool | None]],
    national: National,
    scope: Scope,
    model: JudgeModel,
    threshold: float = THRESHOLD,
) -> list[Assessment]:
    """Judge prepared duties, in order; a pool that is known already is not sought again."""
    batches = (duties[i : i + _BATCH] for i in range(0, len(duties), _BATCH))
    begun = (_begin_reading(batch, national, scope, model) for batch in batches)
    out = []
    # the next batch is begun before this one ends
    for reading, _ in itertools.pairwise(itertools.chain(begun, (None,))):
        cases = _cases(reading, national, scope, model)
        for case, shares in zip(cases, probabilities(cases, national, scope, model), strict=True):
            label = choose(shares, model.bias)
            sure = label == NOT_APPLICABLE or not case.ranked
            confidence = shares[label] if sure else model.calibrate(shares[label])
            out.append(_assessment(case, national, scope, label, confidence, threshold))
    return out


def _assessment(
    case: Case, national: National, scope: Scope, label: str, confidence: float, threshold: float
) -> Assessment:
    own = case.duty.requirement
    missing = missing_elements(case, scope) if label in (PARTIAL, CLASH) else ()
    differs = differing_elements(case, scope) if label == CLASH else ()
    shown, extra = _quality_rule(label, national, scope, confidence, threshold)
    tag = coverage_tag(case, national, scope) if label == COVERED else ""
    return Assessment(
        requirement_id=own.requirement_id,
        scope=scope.titles,
        label=shown,
        proposed_label=label,
        tag=tag,
        rule=RULES[label],
        confidence=round(confidence, 3),
        severity=severity_of(own, label),
        evidence=evidence_of(case, scope, label),
        missing=missing,
        differs=differs,
        questions=(*questions_of(case, national, scope, label), *extra),
        suggestion=suggestion_of(own, label),
        reason=reason_of(case, national, scope, label),
        elements=elements_of(case, scope),
    )


def _quality_rule(
    label: str, national: National, scope: Scope, confidence: float, threshold: float
) -> tuple[str, tuple[str, ...]]:
    """(label to print, extra questions): incomplete texts never give 未覆盖, digests ask for the full text."""
    notes: list[str] = []
    kinds = {national.document.meta.text_kind, *(d.meta.text_kind for d in scope.documents)}
    if "digest" in kinds and label in (CLASH, COVERED, PARTIAL):
        notes.append("依据为要点摘编，措辞差异需核对原文")
    incomplete = [d.meta.title for d in (national.document, *scope.documents) if d.quality == "incomplete"]
    if incomplete and label in (MISSING, DIRECT):
        notes.append(f"文本不完整，不能据此认定没有规定：{'、'.join(incomplete)}")
        return UNDETERMINED, tuple(notes)
    if not scope.rules and label != NOT_APPLICABLE:
        notes.append("比对范围内没有可用的本地文本")
        return UNDETERMINED, tuple(notes)
    return (label if confidence >= threshold else UNDETERMINED), tuple(notes)


# -- explanations -----------------------------------------------------------------------------------------------------------


def evidence_of(case: Case, scope: Scope, label: str) -> tuple[Evidence, ...]:
    """Up to five articles, decisive first; grade 2 where the article answers the duty, 1 where it is only related."""
    out = []
    decisive = label in (CLASH, COVERED, PARTIAL)
    for index, candidate in enumerate(case.ranked[:EVIDENCE]):
        place, rule = scope.articles[candidate.article], scope.rules[candidate.rule]
        grade = 2 if decisive and (index == 0 or case.shares[index] >= max(0.35, 0.6 * case.shares[0])) else 1
        own = rule.requirement
        out.append(
            Evidence(
                doc_id=place.document.doc_id,
                title=place.document.meta.title,
                provision_id=place.provision.provision_id,
                article=place.provision.label,
                address=own.address,
                quote=own.text,
                grade=grade,
                score=round(case.shares[index], 4),
                start=own.start,
                end=own.end,
            )
        )
    return tuple(out)


def _best(case: Case, scope: Scope) -> tuple[LocalRule, Provision, Document] | None:
    if not case.ranked:
        return None
    best = case.ranked[0]
    place = scope.articles[best.article]
    return scope.rules[best.rule], place.provision, place.document


def missing_elements(case: Case, scope: Scope, limit: int = 4) -> tuple[str, ...]:
    """Parts of the duty whose words the decisive articles do not have, longest gap first in reading order."""
    decisive = [c for i, c in enumerate(case.ranked) if i == 0 or case.shares[i] >= 0.6 * case.shares[0]][:3]
    held = frozenset().union(*(scope.articles[c.article].words for c in decisive)) if decisive else frozenset()
    text = "".join(scope.articles[c.article].text for c in decisive)
    parts = [
        (coverage(words, held, text), clause)
        for clause, words in zip(case.duty.clause_texts, case.duty.clause_words, strict=True)
        if words
    ]
    gaps = [clause for share, clause in parts if share < 0.6]
    if not gaps and parts:
        gaps = [min(parts)[1]]
    gaps = [e.words for e in edits_of(case, scope) if not e.clash] + gaps
    own = case.duty.requirement
    best = _best(case, scope)
    if best and own.amounts and number_match(own.amounts, best[0].requirement.amounts)[0] < 1:
        gaps.append("数值或期限：" + "、".join(a.text for a in own.amounts))
    return tuple(dict.fromkeys(gaps))[:limit]


def differing_elements(case: Case, scope: Scope) -> tuple[str, ...]:
    """What the decisive local rule says otherwise, element by element, with the words of both sides."""
    best = _best(case, scope)
    if not best:
        return ()
    rule, own = best[0].requirement, case.duty.requirement
    out = [e.words for e in edits_of(case, scope) if e.clash]
    signs = difference_features(case.duty, best[0], best[1].text)
    if signs["d_weaker"] or signs["d_ban_for_may"] or signs["d_stronger"]:
        out.append(
            f"E3 强度：国家“{'、'.join(own.modality_words[:2]) or own.modality}”，本地“{'、'.join(rule.modality_words[:2]) or rule.modality}”"
        )
    for a in own.amounts:
        other = [b for b in rule.amounts if b.kind == a.kind]
        if other and all((b.value, b.unit) != (a.value, a.unit) for b in other):
            out.append(f"E5 数值：国家“{a.text}”，本地“{other[0].text}”")
    for ours, theirs in distinct_clashes(own.text, rule.full_text):
        out.append(f"E2 用语：国家“{ours}”，本地“{theirs}”")
    for text in (x for x in rule.exceptions if x not in own.text):
        if signs["d_exception"]:
            out.append(f"E4 例外：本地增加“{text[:40]}”")
    if signs["d_approval"] or signs["d_ban"]:
        out.append("E4 条件：本地增加批准、同意一类的前置条件")
    if signs["d_exception_lost"]:
        out.append("E4 例外：国家文本的例外本地未写")
    return tuple(dict.fromkeys(out)) or (f"表述不同：本地“{rule.text[:60]}”",)


def coverage_tag(case: Case, national: National, scope: Scope) -> str:
    """同文, 细化, 严于国家 or 引致 of a covered duty."""
    if carried_out(case.duty.requirement, national, scope) is not None:
        return "细化"
    best = case.ranked[0]
    f, rule = best.features, scope.rules[best.rule]
    own = case.duty.requirement
    place = scope.articles[best.article]
    if refers_to_national(rule.text) and f["cov_rule"] < 0.6 and not refers_to_national(case.duty.text):
        return "引致"
    if f["lcs"] >= 0.8 or f["gram4"] >= 0.6:
        return "同文" if f["rev_cov"] >= 0.45 or f["lcs"] >= 0.9 else "细化"
    if own.modality in ("permission", "encouragement") and rule.requirement.modality in ("obligation", "prohibition"):
        return "严于国家"
    return "引致" if refers_to_national(place.text) and f["cov_art"] < 0.5 else "细化"


def severity_of(duty: Requirement, label: str) -> str:
    """高, 中 or 低 for gaps (domain.md 4.5); empty where nothing is to be done."""
    if label not in (MISSING, PARTIAL, CLASH):
        return ""
    if duty.modality in ("permission", "encouragement", "goal", "principle") or duty.modality_level <= 2:
        return "低"
    institution = re.search(r"(?:制度|机制|机构|目录|方案|平台|预案|体系|清单)", duty.text)
    if duty.modality_level >= 5 and (duty.amounts or re.search(r"及时|立即", duty.text) or institution):
        return "高"
    return "中"


_SUGGESTIONS = {
    NOT_APPLICABLE: "暂不调整",
    CLASH: "修改或解释",
    COVERED: "暂不调整",
    PARTIAL: "印发配套",
    DIRECT: "衔接执行",
    MISSING: "制定",
}


def suggestion_of(duty: Requirement, label: str) -> str:
    """One of the verbs of domain.md 4.7."""
    if label == MISSING and severity_of(duty, label) == "低":
        return "可完善：视需要制定"
    return _SUGGESTIONS[label]


def questions_of(case: Case, national: National, scope: Scope, label: str) -> tuple[str, ...]:
    """What only a person can answer: variation under zone authority, 从其规定, which text is later, the same words in another list."""
    out = []
    best = _best(case, scope)
    if label == CLASH and best:
        _, provision, document = best
        if re.search(r"经济特区.*条例", document.meta.title):
            out.append("是否属于经济特区法规的变通规定？")
        if "从其规定" in document.text or "另有规定" in provision.text:
            out.append("是否由“另有规定的，从其规定”条款吸收？")
        ours, theirs = document.meta.effective_on, national.document.meta.effective_on
        if ours and theirs:
            out.append(f"先后：本地{ours}施行，国家{theirs}施行" + ("，本地在先，可能滞后" if ours < theirs else ""))
        else:
            out.append("两份文件何者在后？上位法后出台的，差异可能是滞后")
    if label == MISSING and scope.tier == "city":
        out.append("省级或区级文件是否已作安排？")
    own, rule = case.duty.requirement, best[0].requirement if best else None
    if rule and lead_of(rule) and frame_share(own.text, rule.text) >= ALIKE and of_another_list(case, national, scope):
        out.append(f"本地相近的一项列在“{lead_of(rule)}”之下，国家的列在“{lead_of(own)}”之下，是否仍算回应？")
    if label in (COVERED, PARTIAL, CLASH) and best and best[2].meta.status == "draft":
        out.append("本地文本为征求意见稿，只能作拟出台参考")
    return tuple(out)


def reason_of(case: Case, national: National, scope: Scope, label: str) -> str:
    """One sentence that says which rule decided and on what."""
    own = case.duty.requirement
    best = _best(case, scope)
    place = f"《{best[2].meta.title}》{best[0].requirement.address}" if best else "本地文本"
    if label == NOT_APPLICABLE:
        return outside_scope(own, scope)
    if label == MISSING:
        who = f"主体为{own.actor}" if own.actor else f"属{force_of(national.document)}"
        return (
            f"{who}，需要本地落实；最接近的{place}只是相关。" if best else f"{who}，需要本地落实；范围内没有相关条款。"
        )
    if label == DIRECT:
        return f"{force_of(national.document)}有明确义务人{('（' + own.actor + '）') if own.actor else ''}，本地沉默；{place}只是相关。"
    number = carried_out(own, national, scope) if label == COVERED else None
    if number is not None:
        basis = scope.articles[number]
        return f"《{basis.document.meta.title}》{basis.provision.label}写明以本文件为依据，可以制定的细则已经制定。"
    if label == COVERED:
        return f"{place}对同一义务作了规定，要素齐备。"
    if label == PARTIAL:
        return f"{place}涉及同一义务，但要素不全。"
    return f"{place}就同一义务作了不同规定，疑似不一致，建议核实。"


def elements_of(case: Case, scope: Scope) -> dict[str, str]:
    """E1-E6: what each side says, and 相符, 缺, 不同 or 未写."""
    own = case.duty.requirement
    best = _best(case, scope)
    if not best:
        return {}
    rule = best[0].requirement
    f = case.ranked[0].features
    equal, other = number_match(own.amounts, rule.amounts)
    return {
        "E1 主体": f"{own.actor or '（未写）'} / {rule.actor or '（未写）'}",
        "E2 行为": f"{own.action[:40]} / {rule.action[:40]}（词语对应 {f['cov_art']:.0%}）",
        "E3 强度": f"{own.modality} / {rule.modality}",
        "E4 条件例外": f"{'；'.join((*own.conditions, *own.exceptions))[:60] or '无'} / {'；'.join((*rule.conditions, *rule.exceptions))[:60] or '无'}",
        "E5 数值时限": (
            f"{'、'.join(a.text for a in own.amounts) or '无'} / {'、'.join(a.text for a in rule.amounts) or '无'}"
            + ("" if not own.amounts else "（相同）" if equal == 1 else "（不同）" if other else "（本地未写）")
        ),
        "E6 配套": own.trigger or "无触发词",
    }


# -- chain --------------------------------------------------------------------------------------------------------------

LINK_ORDER = {COVERED: 0, NOT_APPLICABLE: 0, DIRECT: 1, PARTIAL: 2, CLASH: 3, MISSING: 4, UNDETERMINED: 5}


@dataclass(frozen=True, slots=True)
class Link:
    """One level of the chain: its name, its assessment."""

    level: str
    assessment: Assessment


@dataclass(frozen=True, slots=True)
class Chain:
    """National duty → province → city (→ district): the links, the weakest of them ("" when all are alike), and who fills a
    city gap."""

    requirement: Requirement
    links: tuple[Link, ...]
    weakest: str
    filled_by: str


def chain(
    requirement: Requirement, national: National, scopes: Mapping[str, Scope], *, encode: Encode | None = None
) -> Chain:
    """Judge one duty at each level of `scopes` (in order, higher level first)."""
    return chained(requirement, {k: judge(requirement, national, scope, encode=encode) for k, scope in scopes.items()})


def chained(requirement: Requirement, levels: Mapping[str, Assessment]) -> Chain:
    """The judgements of one duty as a chain, higher level first; a level that answers fills the gaps below it."""
    links = tuple(Link(level, assessment) for level, assessment in levels.items())
    rank = {link.level: LINK_ORDER[link.assessment.proposed_label] for link in links}
    weakest = max(rank, key=rank.__getitem__) if len(set(rank.values())) > 1 else ""
    filled = ""
    if links and links[-1].assessment.proposed_label in (MISSING, DIRECT, PARTIAL):
        better = [x for x in links[:-1] if x.assessment.proposed_label == COVERED and x.assessment.evidence]
        if better:
            first = better[-1].assessment.evidence[0]
            filled = f"《{first.title}》{first.address}"
    return Chain(requirement, links, weakest, filled)


def peer_wording(
    requirement: Requirement, national: National, peers: Scope, *, encode: Encode | None = None, limit: int = 3
) -> tuple[Evidence, ...]:
    """How other places word the same duty: decisive rules first, offered to drafters and never counted as coverage."""
    return judge(requirement, national, peers, encode=encode).evidence[:limit]
