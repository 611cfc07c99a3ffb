"""A Library and labelled duties in, the judge's answers out; `kb judge`, `kb eval gaps` and `kb eval ablation` without printing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from kb.ablation import ablation, merge_ablations
from kb.errors import NotFoundError
from kb.evaluate_gaps import Label, find_document, resolve
from kb.gaps import National, build_national, judge
from kb.index import DocumentInfo, Library
from kb.models import Assessment, Document
from kb.rows import Progress, national_documents, passage_encoder
from kb.scope import Scope, build_scope, content_words, coverage
from kb.segment import squeeze


def documents_by_title(library: Library, infos: Iterable[DocumentInfo]) -> dict[str, Document]:
    """Documents keyed by squeezed title; where two share a title the one of record (listed first) stays."""
    out: dict[str, Document] = {}
    for info in infos:
        out.setdefault(squeeze(info.meta.title), library.document(info.doc_id))
    return out


def judge_labels(library: Library, labels: Sequence[Label], progress: Progress | None = None) -> list[Assessment]:
    """Judge quoted duties, each against its own scope, in the order given.

    Raises:
        NotFoundError: a title or a quote is not in the corpus.
    """
    documents = documents_by_title(library, library.documents)
    encode = passage_encoder(library, progress)
    scopes: dict[frozenset[str], Scope] = {}
    nationals: dict[str, National] = {}
    out = []
    for number, label in enumerate(labels, 1):
        document = find_document(label.title, documents)
        if document.doc_id not in nationals:
            nationals[document.doc_id] = build_national(document, encode)
        key = frozenset(map(squeeze, label.scope))
        if key not in scopes:
            scopes[key] = build_scope([find_document(t, documents) for t in label.scope], encode)
        requirement = resolve(label, documents)
        out.append(
            judge(
                requirement,
                nationals[document.doc_id],
                scopes[key],
                encode=encode,
                threshold=library.settings.undetermined_below,
            )
        )
        if progress:
            progress("judge", number, len(labels))
    return out


def ablation_run(library: Library, progress: Progress | None = None) -> dict[str, object]:
    """`kb eval ablation` on the library: registration and operation rules of the country against their local counterparts.

    Pairs are found, not named: a national text and a local text whose titles share most words. The host for planted duties
    and the unrelated document are the local texts that share least with them.
    """
    encode = passage_encoder(library, progress)
    national = [d for d in national_documents(library) if d.n_provisions]
    local = [d for d in library.documents if d.meta.level != "national" and d.n_provisions]
    pairs = [(n, m) for n in national for m in local if _same_subject(n.meta.title, m.meta.title)]
    if not pairs:
        raise NotFoundError(
            "no national text has a local counterpart of the same subject", hint="add local implementing rules"
        )
    names = list(dict.fromkeys(n.doc_id for n, _ in pairs))
    used = {m.doc_id for _, m in pairs}
    spare = [m for m in local if m.doc_id not in used]
    host = max(spare or local, key=lambda d: d.n_provisions)
    unrelated = max((m for m in spare if m.doc_id != host.doc_id), key=lambda d: d.n_provisions, default=host)
    found = [
        ablation(
            [library.document(name)],
            [library.document(m.doc_id) for n, m in pairs if n.doc_id == name],
            library.document(host.doc_id),
            library.document(unrelated.doc_id),
            encode,
        )
        for name in names
    ]
    return {"pairs": [f"{n.meta.title} × {m.meta.title}" for n, m in pairs], **merge_ablations(found)}


def _same_subject(national: str, local: str) -> bool:
    """True when the local title has nearly all content words of the national one: 公共数据资源登记管理暂行办法 × 福建省…登记管理办法."""
    wanted = content_words(re.sub(r"[（(][^（）()]*[)）]|暂行|管理|实施|办法|规范|规定|条例", "", national))
    return len(wanted) >= 3 and coverage(wanted, content_words(local)) >= 0.95
