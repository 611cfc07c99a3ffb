"""A change of local texts in, the national duties it can touch out, judged again within seconds; the others keep their rows.

The judge weighs a duty against its whole scope, so after any local change only a complete run gives the exact figures of every
row. A person who has just amended one article first wants to know what that article decides. That is answered here: duties
whose evidence it was, and duties for which its new wording is among the nearest. `kb update` without --quick judges all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from kb import rows as gap
from kb.changes import GONE, NEW, DocumentChange
from kb.index import Library
from kb.models import Assessment, Requirement
from kb.scope import Encode, Scope, content_words, coverage

Progress = Callable[[str, int, int], None]
NEAREST = 3
_SHARED_WORDS = 0.5


def touched_articles(documents: Sequence[DocumentChange], library: Library) -> set[tuple[str, str]]:
    """(doc_id, article) of every local article that changed, came, went or got another number."""
    out: set[tuple[str, str]] = set()
    for change in documents:
        if change.level == "national":
            continue
        out |= {(change.doc_id, label) for a in change.articles for label in (a.old, a.new) if label}
        if (change.change == NEW or change.facts) and library.document_seq(change.doc_id) >= 0:
            out |= {(change.doc_id, label) for _, label in library.provision_seqs(library.document_seq(change.doc_id))}
    return out


def quick_rows(
    old: Library, new: Library, documents: Sequence[DocumentChange], progress: Progress | None = None
) -> tuple[list[gap.GapRow], int]:
    """(rows of all national documents, how many of them were carried over from the generation before).

    National documents that are new or changed are judged whole and exactly; of the others only the duties that the change can
    touch. Where the rows of before are not at hand, everything is judged.
    """
    scope, earlier = gap.scope_choice(new), gap.scope_choice(old)
    infos = gap.national_documents(new)
    changed = {c.doc_id for c in documents}
    stable = [i.doc_id for i in infos if i.doc_id not in changed and old.document_seq(i.doc_id) >= 0]
    stable = [i for i in gap.judged(old, earlier, stable) if i not in set(gap.judged(new, scope, stable))]
    whole = gap.gap_rows(new, [i.doc_id for i in infos if i.doc_id not in set(stable)], scope, progress=progress)
    if not stable:
        return whole, 0
    before = {i: [r.assessment for r in gap.gap_rows(old, [i], earlier)] for i in stable}
    gone = {c.doc_id for c in documents if c.change == GONE} | (set(earlier.doc_ids) - set(scope.doc_ids))
    came = set(scope.doc_ids) - set(earlier.doc_ids)
    touched = touched_articles(documents, new) | {
        (i, label) for i in came for _, label in new.provision_seqs(new.document_seq(i))
    }
    after, n_again = _judge_touched(new, scope, stable, before, touched, gone, progress)
    by_doc: dict[str, list[gap.GapRow]] = {}
    for row in whole:
        by_doc.setdefault(row.national.doc_id, []).append(row)
    for info in (i for i in infos if i.doc_id in after):
        by_doc[info.doc_id] = [
            gap.GapRow(gap.row_id(r.requirement_id, scope.key), info, r, a)
            for r, a in zip(new.requirements(info.doc_id), after[info.doc_id], strict=True)
        ]
    rows = [row for info in infos for row in by_doc.get(info.doc_id, ())]
    return rows, sum(map(len, after.values())) - n_again


def _judge_touched(library, scope, stable, before, touched, gone, progress) -> tuple[dict[str, list[Assessment]], int]:
    local, encode = gap.local_scope(library, scope), gap.passage_encoder(library)
    near = _near(local, touched, encode)
    wanted = {}
    for doc, rows in before.items():
        close = near(library.requirements(doc))
        wanted[doc] = [
            n
            for n, a in enumerate(rows)
            if close[n] or any((e.doc_id, e.article) in touched or e.doc_id in gone for e in a.evidence)
        ]
    total, done = sum(map(len, wanted.values())), 0
    out = {}
    for doc, positions in wanted.items():
        rows = [replace(a, scope=local.titles) for a in before[doc]]
        again = gap.judge_some(library, library.info(doc), local, encode, positions) if positions else []
        for position, assessment in zip(positions, again, strict=True):
            rows[position] = assessment
        out[doc] = rows
        done += len(positions)
        if progress and positions:
            progress("judge", done, total)
    return out, total


def _near(
    local: Scope, touched: set[tuple[str, str]], encode: Encode | None
) -> Callable[[Sequence[Requirement]], list[bool]]:
    """For some duties, whether one of the touched articles is among the nearest: by vectors, else by words in common."""
    articles = [n for n, a in enumerate(local.articles) if (a.document.doc_id, a.provision.label) in touched]
    if not articles:
        return lambda duties: [False] * len(duties)
    owner = np.array([rule.article for rule in local.rules])
    mine = np.isin(owner, articles)

    def by_words(duties: Sequence[Requirement]) -> list[bool]:
        texts = [local.articles[n] for n in articles]
        wanted = [content_words(d.text) for d in duties]
        return [any(coverage(words, t.words, t.text) >= _SHARED_WORDS for t in texts) for words in wanted]

    def by_vectors(duties: Sequence[Requirement]) -> list[bool]:
        if not duties:
            return []
        sims = encode([d.full_text for d in duties]) @ local.vectors.T
        best = sims[:, mine].max(axis=1, keepdims=True)
        return [len(set(owner[row]) - set(articles)) < NEAREST for row in sims > best]

    return by_words if local.vectors is None or encode is None else by_vectors
