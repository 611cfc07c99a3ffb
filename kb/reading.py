"""Candidates of duties in, the same with what the cross-encoder says of the best of them out; it reads in the background.

Words and vectors choose which few articles are worth reading, the cross-encoder reads each with the duty while the next
duties are described. What it says becomes features beside those of align.py.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace

import numpy as np

from kb.align import Candidate, Duty
from kb.cross_encoder import ANSWERS, RELATIONS, default_cross_encoder, window
from kb.models import Provision, Requirement
from kb.scope import Scope

READ, WORTH = 4, 0.02
"""So many articles at most are read together with the duty, those but the first only with this share or more of being the
decisive one; the rest is ranked by words and vectors alone."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Duties with their candidates, some of which are being read."""

    scope: Scope
    duties: list[Duty] = field(default_factory=list)
    found: list[Sequence[Candidate]] = field(default_factory=list)
    shares: list[dict[int, Future[np.ndarray]]] = field(default_factory=list)

    def add(self, duty: Duty, found: Sequence[Candidate], chosen: Sequence[int]) -> None:
        """One more duty, the chosen positions of its candidates to be read."""
        pairs = [pair_texts(duty, self.scope, found[n]) for n in chosen]
        begun = default_cross_encoder().begin(pairs) if pairs else ()
        self.duties.append(duty)
        self.found.append(found)
        self.shares.append(dict(zip(chosen, begun, strict=True)))

    def results(self) -> list[list[Candidate]]:
        """The candidates of each duty, in the order added, once all is read."""
        return [
            with_relations(found, {n: future.result() for n, future in shares.items()})
            for found, shares in zip(self.found, self.shares, strict=True)
        ]


def worth_reading(shares: Sequence[float]) -> list[int]:
    """Positions of the candidates that are read: the best few by words and vectors."""
    best = sorted(range(len(shares)), key=lambda i: (-shares[i], i))[:READ]
    return [i for n, i in enumerate(best) if n == 0 or shares[i] >= WORTH]


def pair_texts(duty: Duty, scope: Scope, candidate: Candidate) -> tuple[str, str]:
    """What the cross-encoder reads of a duty and a candidate: the duty with its lead-in, the article around its best rule."""
    rule = scope.rules[candidate.rule].requirement
    return duty.requirement.full_text, rule_window(scope.articles[candidate.article].provision, rule)


def rule_window(provision: Provision, rule: Requirement) -> str:
    """What is read of an article for one of its rules."""
    return window(provision.text, max(0, rule.start - provision.start), rule.end - provision.start)


def with_relations(found: Sequence[Candidate], read: Mapping[int, np.ndarray]) -> list[Candidate]:
    """Candidates with log odds of each relation where they were read, and a mark that they were."""
    return [
        replace(c, features=c.features | relation_features(read[n])) if n in read else c for n, c in enumerate(found)
    ]


def relation_features(shares: np.ndarray) -> dict[str, float]:
    """Log odds of each relation, and of any that answers the duty."""
    odds = {f"rel_{name}": _log_odds(share) for name, share in zip(RELATIONS, shares, strict=True)}
    return odds | {"read": 1.0, "rel_answers": _log_odds(sum(shares[RELATIONS.index(r)] for r in ANSWERS))}


def _log_odds(share: float) -> float:
    share = min(max(float(share), 0.002), 0.998)
    return math.log(share / (1 - share))
