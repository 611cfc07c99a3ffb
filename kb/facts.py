"""A fact sheet and documents in, agreement field by field out: is what the parser read what is known?

Only fields that the text states are counted: a fact the text does not hold is no error of reading. `unverified` facts are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from kb.docnos import canonical_maker, number_keys
from kb.models import Document
from kb.names import title_key
from kb.titles import TitleIndex

FIELDS = ("title", "doc_no", "issuers", "adopted_on", "issued_on", "effective_on", "kind", "status")
_KINDS = {
    "党内/政策文件": {"政策文件", "党联合文件", "党政联合文件", "行动计划", "规范性文件"},
    "行动计划": {"行动计划", "政策文件"},
    "政府规章": {"地方政府规章"},
    "规范性文件": {"规范性文件", "名词解释", "行动计划", "政策文件"},
    "地方标准": {"标准"},
}
_STATUS = {
    "现行有效": {"in_force", "amended", "expiry_unchecked"},
    "征求意见稿": {"draft"},
    "已废止": {"repealed"},
    "已失效": {"lapsed"},
}


@dataclass(frozen=True, slots=True)
class Comparison:
    """One fact of one document: `agrees` is None when the text does not state the field."""

    doc_id: str
    field: str
    known: str
    read: str
    agrees: bool | None


def compare_facts(facts: Sequence[Mapping[str, object]], documents: Iterable[Document]) -> list[Comparison]:
    """Compare every known fact with what was read, for each document that the fact sheet knows."""
    documents = list(documents)
    titles = TitleIndex.from_documents(documents)
    by_id = {d.doc_id: d for d in documents}
    rows: list[Comparison] = []
    for fact in facts:
        title = str(fact.get("title") or "")
        ids, how = titles.by_title(title)
        final = [i for i in ids if (by_id[i].meta.status == "draft") == ("征求意见稿" in title)]
        final = [i for i in final if how == "exact" or by_id[i].meta.level == fact.get("level", by_id[i].meta.level)]
        if how in ("exact", "alias", "formal", "derived") and final and _same_instrument(by_id[final[0]], title):
            rows += _compare(fact, by_id[final[0]])
    return rows


def _same_instrument(document: Document, title: str) -> bool:
    """A derived name (条例 without its place) must not compare one place's facts with another's text."""
    a, b = title_key(document.meta.title), title_key(title)
    return a == b or a in b or b in a or any(title_key(x) == b for x in document.meta.aliases)


def _compare(fact: Mapping[str, object], document: Document) -> Iterator[Comparison]:
    meta, unverified = document.meta, set(fact.get("unverified") or ())

    def row(field: str, source: str, read: str, agrees: bool | None) -> Iterator[Comparison]:
        known = fact.get(source)
        if known and source not in unverified:
            text = "、".join(known) if isinstance(known, list) else str(known)
            yield Comparison(document.doc_id, field, text, read, agrees if read else None)

    known_title = title_key(str(fact.get("title") or ""))
    names = [meta.family or "", *meta.aliases, *map(str, fact.get("aliases") or ())]
    same = known_title in (title_key(meta.title), *map(title_key, names)) or _contains(meta.title, known_title)
    yield from row("title", "title", meta.title, same)
    number = str(fact.get("document_number") or "")
    shared = set(number_keys(number)) & set(number_keys(meta.doc_no or ""))
    yield from row(
        "doc_no",
        "document_number",
        meta.doc_no or "",
        bool(shared) or title_key(number) == title_key(meta.doc_no or "-"),
    )
    known_makers = [_maker_key(canonical_maker(str(m))) for m in fact.get("issuers") or ()]
    read_makers = [_maker_key(canonical_maker(m)) for m in meta.issuers]
    lead_agrees = read_makers[:1] == known_makers[:1] and set(known_makers) <= set(read_makers)
    yield from row("issuers", "issuers", "、".join(meta.issuers), lead_agrees)
    yield from row(
        "adopted_on", "adopted_date", meta.adopted_on or "", _same_day(fact.get("adopted_date"), meta.adopted_on)
    )
    issued = [d for d in (meta.signed_on, meta.promulgated_on, meta.adopted_on) if d]
    stated = meta.signed_on or meta.promulgated_on or ""
    yield from row("issued_on", "issued_date", stated, any(_same_day(fact.get("issued_date"), d) for d in issued))
    yield from row(
        "effective_on",
        "effective_date",
        meta.effective_on or "",
        _same_day(fact.get("effective_date"), meta.effective_on),
    )
    kind = str(fact.get("doc_type") or "")
    yield from row(
        "kind", "doc_type", meta.kind, meta.kind == kind or meta.kind in _KINDS.get(kind, ()) or meta.status == "draft"
    )
    status = str(fact.get("status") or "")
    if status in _STATUS:
        yield from row(
            "status", "status", "" if meta.status == "unverified" else meta.status, meta.status in _STATUS[status]
        )


def _contains(title: str, known: str) -> bool:
    """A title with its makers in front (国家数据局等部门关于…) and without are one."""
    key = title_key(title)
    return len(min(key, known, key=len)) >= 8 and (
        key.endswith(known) or known.endswith(key) or (known in key and "印发" in key)
    )


def _maker_key(name: str) -> str:
    name = re.sub(r"^中华人民共和国", "", name)
    return {
        "市场监管总局": "国家市场监督管理总局",
        "国家市场监管总局": "国家市场监督管理总局",
        "中央网信办": "国家互联网信息办公室",
    }.get(name, name)


def _same_day(known: object, read: str | None) -> bool:
    """Equal as far as both say: 2024-12 and 2024-12-20 agree."""
    a, b = str(known or ""), read or ""
    return bool(a and b) and (a.startswith(b) or b.startswith(a))


def agreement(rows: Sequence[Comparison]) -> dict[str, tuple[int, int]]:
    """field -> (agreeing, stated), and "all" for every field together."""
    out: dict[str, tuple[int, int]] = {}
    for field in FIELDS:
        stated = [r for r in rows if r.field == field and r.agrees is not None]
        out[field] = (sum(1 for r in stated if r.agrees), len(stated))
    out["all"] = (sum(a for a, _ in out.values()), sum(n for _, n in out.values()))
    return out
