"""Two generations in, what changed between them out: documents, articles, status, labels, citations, decisions.

Pure comparison for the change note. Documents that did not change are never opened, so the cost follows the change and not
the size of the library. The first comparison has nothing before it: then every document is new and no label has moved.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from kb.cite import local_aliases, parse_citations
from kb.codec import to_json
from kb.graph import build_graph, cited_but_missing
from kb.index import DocumentInfo, Library
from kb.metadata import family_key, status_on
from kb.models import STATUS_NAMES, Assessment, Document, Finding, Requirement
from kb.parse import owners
from kb.review import ProvisionTexts
from kb.versions import ADDED, REMOVED, RENUMBERED, SAME, align, diff, same_wording

NEW, AMENDED, FACTS, RENAMED, GONE = "new", "amended", "facts", "renamed", "removed"
_FACTS = {
    "title": "标题",
    "doc_no": "文号",
    "kind": "种类",
    "issuers": "制定机关",
    "effective_on": "施行日期",
    "expires_on": "失效日期",
    "promulgated_on": "公布日期",
    "status": "时效",
    "text_kind": "文本",
    "level": "层级",
    "topics": "主题",
    "normative_force": "效力类别",
}
_DIFFS = 6


@dataclass(frozen=True, slots=True)
class ArticleChange:
    """One article of an amended document; `change` is changed, renumbered, added or removed; `diffs` are (old, new) words."""

    change: str
    old: str
    new: str
    old_text: str = ""
    new_text: str = ""
    diffs: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class DocumentChange:
    """One document; `change` is new, amended, facts, renamed or removed. `facts` are (name, old, new)."""

    doc_id: str
    title: str
    level: str
    change: str
    status: str
    text_kind: str = "full"
    n_provisions: int = 0
    n_duties: int = 0
    articles: tuple[ArticleChange, ...] = ()
    facts: tuple[tuple[str, str, str], ...] = ()
    related: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class StatusChange:
    """A document whose status moved with the calendar or with its facts."""

    doc_id: str
    title: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class SeenRow:
    """What a note must remember of a gap row; `evidence` are the deciding local provisions as (doc_id, article)."""

    row_id: str
    doc_id: str
    article: str
    address: str
    text: str
    label: str
    rule: str
    confidence: float
    evidence: tuple[tuple[str, str], ...] = ()
    severity: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The gap rows of one generation against the default scope, and the judge that made them."""

    judge: str
    scope: str
    scope_ids: tuple[str, ...]
    rows: tuple[SeenRow, ...]

    @property
    def counts(self) -> dict[str, int]:
        found: dict[str, int] = defaultdict(int)
        for row in self.rows:
            found[row.label] += 1
        return dict(found)


@dataclass(frozen=True, slots=True)
class NewDuty:
    """A national duty that was not there before, with what the local texts say to it."""

    row_id: str
    title: str
    address: str
    text: str
    label: str
    severity: str = ""


@dataclass(frozen=True, slots=True)
class MovedLabel:
    """A duty whose label is another one than before, and why; `evidence` are its deciding local articles, then and now."""

    row_id: str
    title: str
    address: str
    text: str
    old: str
    new: str
    why: str
    evidence: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class AffectedArticle:
    """A local article to look at again; `because` names the national duties, `bureau` is 未注明 where the text names none."""

    bureau: str
    doc_id: str
    title: str
    article: str
    because: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reopened:
    """A human decision that is 待复核 now and was not before."""

    row_id: str
    title: str
    address: str
    label: str
    who: str
    because: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DeadCitation:
    """A citation that led somewhere before and leads nowhere now."""

    title: str
    label: str
    text: str
    why: str


@dataclass(frozen=True, slots=True)
class ChangeNote:
    """Everything one page about an update needs. `base` is "" for the first note; counts are rows by label.

    `taken` are files that came from the inbox.
    """

    base: str
    generation: str
    created_on: str
    since: str
    documents: tuple[DocumentChange, ...] = ()
    statuses: tuple[StatusChange, ...] = ()
    duties: tuple[NewDuty, ...] = ()
    moved: tuple[MovedLabel, ...] = ()
    affected: tuple[AffectedArticle, ...] = ()
    reopened: tuple[Reopened, ...] = ()
    dead: tuple[DeadCitation, ...] = ()
    missing: tuple[tuple[str, int], ...] = ()
    taken: tuple[str, ...] = ()
    held: tuple[Finding, ...] = ()
    failed: tuple[str, ...] = ()
    judged: bool = True
    rules_changed: bool = False
    counts_before: Mapping[str, int] = field(default_factory=dict)
    counts_after: Mapping[str, int] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        """Whether nothing changed since the last note; files that wait (`held`, `failed`) are no change."""
        return not (self.documents or self.statuses or self.duties or self.moved or self.reopened or self.dead)


# -- documents ----------------------------------------------------------------------------------------------------------


def document_changes(old: Library | None, new: Library) -> list[DocumentChange]:
    """Documents that are new, amended, renamed, removed or have other facts, by level and title."""
    before = {d.doc_id: d for d in old.documents} if old else {}
    after = {d.doc_id: d for d in new.documents}
    gone = {d.sha256: d for i, d in before.items() if i not in after}
    families: dict[str, list[DocumentInfo]] = defaultdict(list)
    for info in after.values():
        families[family_key(info.meta)].append(info)
    out = []
    for info in after.values():
        if info.doc_id in before:
            change = _compared(old, new, before[info.doc_id], info)
        elif info.sha256 in gone:
            change = _change(info, RENAMED, note=f"原标识 {gone.pop(info.sha256).doc_id}")
        else:
            related = [o.meta.title for o in families[family_key(info.meta)] if o.doc_id != info.doc_id]
            change = _change(info, NEW, n_duties=len(new.requirements(info.doc_id)), related=tuple(related))
        if change:
            out.append(change)
    out += [_change(info, GONE) for info in gone.values()]
    levels = {"national": 0, "guangdong": 1, "shenzhen": 2}
    return sorted(out, key=lambda c: (levels.get(c.level, 3), c.change, c.title))


def _change(info: DocumentInfo, change: str, **more: object) -> DocumentChange:
    meta = info.meta
    return DocumentChange(
        info.doc_id,
        meta.title,
        meta.level,
        change,
        STATUS_NAMES.get(meta.status, meta.status),
        meta.text_kind,
        info.n_provisions,
        **more,
    )


def _compared(old: Library, new: Library, was: DocumentInfo, now: DocumentInfo) -> DocumentChange | None:
    facts = tuple(
        (name, _said(getattr(was.meta, key)), _said(getattr(now.meta, key)))
        for key, name in _FACTS.items()
        if getattr(was.meta, key) != getattr(now.meta, key)
    )
    if was.sha256 == now.sha256 and was.n_provisions == now.n_provisions:
        return _change(now, FACTS, facts=facts) if facts else None
    articles = article_changes(old.document(was.doc_id), new.document(now.doc_id))
    if not articles:
        return _change(now, FACTS, facts=facts, note="文件有变化，各条文字不变")
    return _change(now, AMENDED, articles=articles, facts=facts)


def _said(value: object) -> str:
    if isinstance(value, tuple):
        return "、".join(map(str, value))
    return STATUS_NAMES.get(str(value), str(value)) if value else ""


def article_changes(old: Document, new: Document) -> tuple[ArticleChange, ...]:
    """Articles changed, renumbered, added and removed, in the order of the new text; noise is no change."""
    was, now = {p.label: p.text for p in old.provisions}, {p.label: p.text for p in new.provisions}
    rows = []
    alignment = align(old, new)
    for row in alignment:
        if row.change == SAME:
            continue
        a, b = was.get(row.old, ""), now.get(row.new, "")
        words = diff(a, b) if row.old and row.new and row.change != RENUMBERED else []
        rows.append(ArticleChange(row.change, row.old, row.new, a, b, tuple((c.old, c.new) for c in words[:_DIFFS])))
    aligned = {label for row in alignment for label in (row.old, row.new)}
    for label in dict.fromkeys((*was, *now)):  # annexes, terms and preambles: compared by their name
        if label in aligned or same_wording(was.get(label, ""), now.get(label, "")):
            continue
        kind = ADDED if label not in was else REMOVED if label not in now else "changed"
        rows.append(
            ArticleChange(
                kind,
                label if label in was else "",
                label if label in now else "",
                was.get(label, ""),
                now.get(label, ""),
            )
        )
    return tuple(rows)


def status_changes(old: Library | None, new: Library, since: str, today: str) -> list[StatusChange]:
    """Documents whose status on `today` differs from that on `since`, those that ended first."""
    if old is None:
        return []
    before = {d.doc_id: d.meta for d in old.documents}
    rows = []
    for info in new.documents:
        was = before.get(info.doc_id)
        a, b = (status_on(was, since) if was else None), status_on(info.meta, today)
        if a and a != b:
            rows.append(StatusChange(info.doc_id, info.meta.title, a, b))
    ended = ("repealed", "lapsed", "expiry_unchecked")
    return sorted(rows, key=lambda r: (r.new not in ended, r.title))


# -- rows ---------------------------------------------------------------------------------------------------------------


def seen_row(row_id: str, requirement: Requirement, assessment: Assessment) -> SeenRow:
    """What is remembered of one row."""
    evidence = tuple(dict.fromkeys((e.doc_id, e.article) for e in assessment.evidence if e.grade == 2))
    return SeenRow(
        row_id,
        requirement.doc_id,
        requirement.label,
        requirement.address,
        requirement.text,
        assessment.label,
        assessment.rule,
        assessment.confidence,
        evidence,
        assessment.severity,
    )


def paired(old: Sequence[SeenRow], new: Sequence[SeenRow]) -> tuple[list[tuple[SeenRow, SeenRow]], list[SeenRow]]:
    """(pairs of the same duty, duties that are new): by id, by equal wording, by likeness."""
    by_id = {r.row_id: r for r in old}
    pairs, rest = [], []
    for row in new:
        was = by_id.get(row.row_id)
        if was is not None and same_wording(was.text, row.text):
            pairs.append((by_id.pop(row.row_id), row))
        else:
            rest.append(row)
    by_text = {(r.doc_id, _plain(r.text)): r for r in by_id.values()}
    left: list[SeenRow] = []
    for row in rest:
        was = by_text.pop((row.doc_id, _plain(row.text)), None)
        if was is not None:
            by_id.pop(was.row_id, None)
            pairs.append((was, row))
        else:
            left.append(row)
    reworded = _alike(list(by_id.values()), left)
    pairs += reworded
    taken = {b.row_id for _, b in reworded}
    return pairs, [row for row in left if row.row_id not in taken]


_SAME_DUTY = 60.0


def _alike(old: Sequence[SeenRow], new: Sequence[SeenRow]) -> list[tuple[SeenRow, SeenRow]]:
    """Reworded duties: within a document the most alike first, the same place deciding between equals."""
    from rapidfuzz import fuzz

    held: dict[str, list[SeenRow]] = defaultdict(list)
    for row in old:
        held[row.doc_id].append(row)
    scored = [
        (fuzz.ratio(_plain(a.text), _plain(b.text)), a.address == b.address, i, a, b)
        for i, b in enumerate(new)
        for a in held.get(b.doc_id, ())
    ]
    pairs, used = [], set()
    for score, _, _, a, b in sorted(scored, key=lambda s: (-s[0], not s[1], s[2], s[3].row_id)):
        if score >= _SAME_DUTY and not {("old", a.row_id), ("new", b.row_id)} & used:
            used |= {("old", a.row_id), ("new", b.row_id)}
            pairs.append((a, b))
    return pairs


def _plain(text: str) -> str:
    return re.sub(r"\W+", "", text)


def moved_labels(
    old: Snapshot, new: Snapshot, documents: Sequence[DocumentChange], titles: Mapping[str, str]
) -> tuple[list[MovedLabel], list[NewDuty], list[SeenRow]]:
    """(labels that moved, new duties, rows whose national wording changed)."""
    pairs, fresh = paired(old.rows, new.rows)
    because = _Because(old, new, documents, titles)
    moved = [
        MovedLabel(
            b.row_id,
            titles.get(b.doc_id, b.doc_id),
            b.address,
            b.text,
            a.label,
            b.label,
            because(a, b),
            tuple(dict.fromkeys((*b.evidence, *a.evidence))),
        )
        for a, b in pairs
        if a.label != b.label
    ]
    duties = [NewDuty(r.row_id, titles.get(r.doc_id, r.doc_id), r.address, r.text, r.label, r.severity) for r in fresh]
    reworded = [b for a, b in pairs if not same_wording(a.text, b.text)]
    return moved, duties, reworded


class _Because:
    """Why a label moved, in the order in which a person would ask: the duty, the local texts, the scope, the judge."""

    def __init__(
        self, old: Snapshot, new: Snapshot, documents: Sequence[DocumentChange], titles: Mapping[str, str]
    ) -> None:
        self._rules = old.judge != new.judge
        self._scope = set(old.scope_ids) ^ set(new.scope_ids)
        self._titles = titles
        self._changes = {c.doc_id: c for c in documents}
        self._articles = {
            (c.doc_id, label): a.change
            for c in documents
            for a in c.articles
            for label in (a.old, a.new)
            if label and a.change != RENUMBERED
        }
        # an article that only got another number is the same evidence as before
        self._now = {(c.doc_id, a.old): (c.doc_id, a.new) for c in documents for a in c.articles if a.old and a.new}

    def __call__(self, was: SeenRow, now: SeenRow) -> str:
        if not same_wording(was.text, now.text):
            return "国家条文有修改"
        before = [self._now.get(e, e) for e in was.evidence]
        touched = [e for e in dict.fromkeys((*now.evidence, *before, *was.evidence)) if self._touched(e)]
        if touched:
            return "；".join(self._say(e) for e in touched[:3])
        gone = [e for e in before if e not in now.evidence]
        if gone and any(doc in self._scope for doc, _ in gone):
            return f"比对范围变化：《{self._titles.get(gone[0][0], gone[0][0])}》不再计入"
        own = self._changes.get(now.doc_id)
        if own and (own.articles or own.facts):
            return "国家文件的其他条文或信息有变化"
        if self._rules:
            return "判定规则有更新"
        came = [e for e in now.evidence if e not in before]
        if gone and came:
            return f"依据由{self._names(gone)}变为{self._names(came)}"
        if gone or came:
            return f"{self._names(gone)}不再认定为依据" if gone else f"新认定{self._names(came)}为依据"
        return "本地文本有变化，同一依据的可信度随之变化" if self._changes or self._scope else "候选依据变化"

    def _names(self, places: Sequence[tuple[str, str]]) -> str:
        return "、".join(f"《{self._titles.get(doc, doc)}》{article}" for doc, article in places[:2])

    def _touched(self, evidence: tuple[str, str]) -> bool:
        change = self._changes.get(evidence[0])
        return (
            evidence in self._articles
            or (change is not None and change.change in (NEW, GONE))
            or evidence[0] in self._scope
        )

    def _say(self, evidence: tuple[str, str]) -> str:
        doc, article = evidence
        name = f"《{self._titles.get(doc, doc)}》{article}"
        if evidence in self._articles:
            return name + {ADDED: "新增", REMOVED: "删除"}.get(self._articles[evidence], "有修改")
        change = self._changes.get(doc)
        if change is not None and change.change == GONE:
            return f"{name}已移出文库"
        return f"{name}新计入比对范围"


def affected_articles(
    library: Library, rows: Iterable[tuple[SeenRow, str]], titles: Mapping[str, str]
) -> list[AffectedArticle]:
    """Local articles behind some rows, by the bureau their text names, else by who made the document."""
    because: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row, why in rows:
        for place in row.evidence:
            because[place].append(f"《{titles.get(row.doc_id, row.doc_id)}》{row.address}{why}")
    texts = ProvisionTexts(library)
    out = []
    for (doc_id, article), reasons in because.items():
        text = texts.at(doc_id, article)
        if text is None:
            continue
        meta = library.info(doc_id).meta
        bureau = next(iter(owners(text)), "") or _bureau(text) or "、".join(meta.issuers) or "未注明"
        out.append(AffectedArticle(bureau, doc_id, meta.title, article, tuple(dict.fromkeys(reasons))))
    return sorted(out, key=lambda a: (a.bureau == "未注明", a.bureau, a.title, a.article))


_DUTY_BEARER = re.compile(
    r"(?:^|[。；\n　 ])(?:[省市区]?[^，。；\n]{0,12})?((?:市|省)[^，。；、\n应]{2,14}?(?:部门|局|委员会|办公室|中心|机构))应当"
)


def _bureau(text: str) -> str:
    match = _DUTY_BEARER.search(text)
    return match[1] if match else ""


# -- citations ----------------------------------------------------------------------------------------------------------


def dead_citations(old: Library | None, new: Library, documents: Sequence[DocumentChange]) -> list[DeadCitation]:
    """Citations of articles or documents that are gone, found in the texts that name a document that lost something."""
    lost = {
        c.doc_id: c for c in documents if c.change == GONE or any(a.change in (REMOVED, RENUMBERED) for a in c.articles)
    }
    if old is None or not lost:
        return []
    names = [n for c in lost for n in (old.info(c).meta.title, *old.info(c).meta.aliases) if len(n) >= 2]
    out = []
    for document in _naming(new, names):
        aliases = local_aliases(document.text)
        for provision in document.provisions:
            if not any(n in provision.text for n in names) and not any(n in aliases.values() for n in names):
                continue
            before = parse_citations(provision.text, old.titles, provision, aliases=aliases)
            for citation in before:
                if not citation.resolved or citation.doc_id not in lost or citation.doc_id == document.doc_id:
                    continue
                why = _why_dead(lost[citation.doc_id], citation.label)
                if why:
                    out.append(DeadCitation(document.meta.title, provision.label, citation.text, why))
    return list(dict.fromkeys(out))


def _why_dead(change: DocumentChange, label: str) -> str:
    if change.change == GONE:
        return f"《{change.title}》已不在文库"
    for article in change.articles if label else ():
        if article.old == label and article.change == REMOVED:
            return f"《{change.title}》{label}已删除"
        if article.old == label and article.new != label and article.new:
            return f"《{change.title}》{label}现为{article.new}"
    return ""


def _naming(library: Library, names: Sequence[str]) -> Iterable[Document]:
    """Documents of the library whose stored text has one of the names."""
    for doc_id in library.documents_with(names):
        yield library.document(doc_id)


def missing_documents(library: Library, documents: Sequence[DocumentChange]) -> list[tuple[str, int]]:
    """(title, citing documents) of what new and amended documents cite and the library does not hold."""
    wanted = [c.doc_id for c in documents if c.change in (NEW, AMENDED)]
    edges = build_graph([library.document(i) for i in wanted], library.titles)
    return cited_but_missing(edges)


def snapshot_to_json(snapshot: Snapshot) -> str:
    """A snapshot as JSON text."""
    return json.dumps(to_json(snapshot), ensure_ascii=False, separators=(",", ":"))


def snapshot_from_json(text: str) -> Snapshot:
    """The inverse of snapshot_to_json."""
    data = json.loads(text)
    rows = tuple(
        SeenRow(**{**row, "evidence": tuple((doc, article) for doc, article in row["evidence"])})
        for row in data["rows"]
    )
    return Snapshot(data["judge"], data["scope"], tuple(data["scope_ids"]), rows)
