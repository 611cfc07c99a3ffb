"""Text in, citations out: which instrument, article, 款, 项 is meant, or why that cannot be said.

One tokenizer serves statutes and queries. A run of 条款项 tokens joined by 、和至 is one chain and belongs to the title that stands
right before it; without a title it belongs to the citing document itself (in a statute) or to the nearest title (in a query).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from kb.docnos import find_numbers
from kb.models import Document, Provision, Unit
from kb.names import is_draft_title
from kb.numerals import ANY_NUMERAL, NUMERAL, article_label, article_number, to_chinese, to_int
from kb.titles import NameMatch, TitleEntry, TitleIndex, entry_of

__all__ = [
    "Citation",
    "TitleEntry",
    "TitleIndex",
    "entry_of",
    "local_aliases",
    "parse_citations",
    "parse_query",
    "resolve",
]

_N = ANY_NUMERAL
_MAX_RANGE = 300


@dataclass(frozen=True, slots=True)
class Citation:
    """One place a text points to.

    `kind` is article, point, document, number, division (本章) or dangling (有关规定). `label` is the provision label (第十二条;
    二、（五）) or "". `doc_ids` lists every reading, best first; `doc_id` is the first. When `resolved` is False, `reason` is
    not_in_library, no_title, no_such_article, no_paragraph_before, out_of_context or no_instrument_named.
    """

    span: tuple[int, int]
    text: str
    kind: str
    title: str = ""
    doc_id: str = ""
    doc_ids: tuple[str, ...] = ()
    label: str = ""
    paragraph: int | None = None
    item: int | None = None
    subitem: int | None = None
    how: str = ""
    relation: str = ""
    resolved: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Title:
    start: int
    end: int
    title: str
    doc_ids: tuple[str, ...]
    how: str
    own: bool = False


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    start: int
    end: int
    value: tuple[int, ...]
    word: str = ""


_TOKEN = re.compile(
    rf"(?P<art>第\s*{_N}\s*条(?:\s*之\s*{_N})*)"
    rf"|(?P<point>(?:第\s*{_N}\s*部分|{NUMERAL}{{1,3}}\s*、(?=\s*[（(])|(?<![\u4e00-\u9fff第]){NUMERAL}{{1,3}}\s*、?)\s*(?:第?\s*[（(]\s*{_N}\s*[)）]\s*[条点项]?)(?:\s*\d{{1,2}}\s*[.．点])?|第\s*{_N}\s*部分)"
    rf"|(?P<para>第\s*{_N}\s*款)|(?P<item>第\s*[（(]?\s*{_N}\s*[)）]?\s*项|[（(]\s*{NUMERAL}+\s*[)）]\s*项)|(?P<sub>第\s*{_N}\s*目)"
    rf"|(?P<rel>(?<![基根])本(?:条(?![例件])|款(?![目项])|项(?!目)|[编章节](?![程目约能]))"
    rf"|(?<![以目之提当空事生面年从不得])[前上](?:{_N})?(?:条(?![例件约])|款(?!项)|项(?!目)))"
)
_QUERY_ARTICLE = re.compile(rf"(?<![\d第年月.])第?\s*({_N})\s*条(?!例)((?:\s*之\s*{_N})*)")
_QUERY_PART = re.compile(rf"(?<=条)\s*{_N}\s*款|(?<=[条款])\s*[（(]?{_N}[)）]?\s*项")
_JOIN = re.compile(r"^\s*(?:[、,，]|和|及|以及|或者|或|与|并)?\s*(?:的)?\s*$")
_RANGE = re.compile(r"^\s*(?:至|到|—|–|-|~|～)\s*$")
_SELF = re.compile(
    r"本(?:法|条例|办法|规定|规范|细则|规程|意见|方案|通知|指南|指引|规则|计划|措施|决定|标准|实施办法|实施细则)(?![律规])"
)
_SAME = re.compile(r"(?:同|该|上述|前述)(?:一)?(?:法(?![律规])|条例|办法|规定(?=第)|规范(?=第)|意见|方案|通知)")
_DANGLING = re.compile(
    r"(?:国家|有关|相关|法律、行政法规|法律、法规|法律法规|法律|其他)(?:的)?(?:有关|相关)?(?:法律、(?:行政)?法规)?(?:的)?规定(?!第)"
)
_RELATION = re.compile(r"(根据|依据|依照|按照|参照|贯彻|落实|违反|适用|执行|废止|修改|代替|衔接)")
_ALIAS = re.compile(
    r"^\s*(?:[（(][^（）()]{0,24}[）)])?\s*[（(][^（()）]{0,24}?以下(?:简称|统称)[：:]?\s*[“\"《「]?([^”\"》」）)、，,]{1,20})"
)


def local_aliases(text: str) -> dict[str, str]:
    """Short names a document gives to instruments: 《A法》（以下简称本法律甲） -> {"本法律甲": "A法"}."""
    found: dict[str, str] = {}
    for _start, end, title in _quoted(text):
        match = _ALIAS.match(text[end : end + 80])
        if match and not _SELF.fullmatch(match[1].strip()) and "《" not in text[end : end + match.start(1)]:
            found.setdefault(match[1].strip(), title)
    return found


def parse_citations(
    text: str, titles: TitleIndex, context: Provision | None = None, *, aliases: Mapping[str, str] | None = None
) -> list[Citation]:
    """Citations of a text in order of position.

    Args:
        text: usually the text of `context`; any substring of it works as well.
        context: the citing provision; it gives 本条, 前款 and bare articles their document. None: they stay unresolved.
        aliases: short names defined elsewhere in the citing document (`local_aliases` of its whole text).
    """
    known = {**(aliases or {}), **local_aliases(text)}
    mentions = _mentions(text, titles, known, context)
    citations: list[Citation] = []
    used: set[tuple[int, int]] = set()
    own_label = context is not None and text == context.text and context.kind == "article"
    for chain in _chains(text):
        if own_label and chain[0].start == 0:
            chain = chain[1:]
            if not chain:
                continue
        citations += _read_chain(text, chain, mentions, titles, context, used)
    citations += [_document_citation(text, m, titles) for m in mentions if not m.own and (m.start, m.end) not in used]
    citations += _number_citations(text, titles, loose=False)
    if context is not None or not citations:
        citations += _dangling(text)
    return sorted(citations, key=lambda c: c.span)


def parse_query(query: str, titles: TitleIndex) -> list[Citation]:
    """Citations of a search query: short names, slips, numbers without brackets, 33条 without 第; best first is not implied.

    A chain takes the title before it, else the first title of the query. Without any title it is reported as no_title.
    """
    names = titles.find(query, derived=True)
    quoted = [_mention_of(query, s, e, t, titles, formal=False) for s, e, t in _quoted(query)]
    mentions = [_Title(m.start, m.end, _display(m, titles), m.doc_ids, m.how) for m in names]
    mentions = _without_overlap(quoted, mentions)
    # 深圳 2025 12 月: without 号 it is a number only when a document has it
    numbers = [n for n in _number_citations(query, titles, loose=True) if n.resolved or "号" in query[slice(*n.span)]]
    mentions = [m for m in mentions if not any(n.span[0] < m.end and m.start < n.span[1] for n in numbers)]
    anchors = mentions + [_Title(n.span[0], n.span[1], n.title or n.text, n.doc_ids, "number") for n in numbers]
    anchors.sort(key=lambda m: m.start)
    citations: list[Citation] = []
    used: set[tuple[int, int]] = set()
    taken = [(m.start, m.end) for m in mentions if m.how]
    for chain in _chains(query, typed=True, taken=taken, more=_bare_articles(query, mentions, titles)):
        owner = next((a for a in reversed(anchors) if a.end <= chain[0].start), anchors[0] if anchors else None)
        if owner is None:
            owner = _unknown_title(query, chain[0].start)
        if owner is None:
            citations += [replace(c, reason="no_title") for c in _expand(query, chain, None, titles)]
            continue
        used.add((owner.start, owner.end))
        citations += _expand(query, chain, owner, titles)
    citations += [_document_citation(query, m, titles) for m in mentions if (m.start, m.end) not in used]
    citations += [n for n in numbers if n.span not in used]
    if is_draft_title(query):
        citations = [_drafts_first(c, titles) for c in citations]
    return sorted(citations, key=lambda c: c.span)


_BARE_ARTICLE = re.compile(r"\s?(\d{1,4})(?=第|[\s，。,、；;？?]|$)")


def _bare_articles(query: str, mentions: Sequence[_Title], titles: TitleIndex) -> list[_Token]:
    """网数条例55, 个保法 38: a number right after a title is an article when the document has that article."""
    found = []
    for mention in mentions:
        match = _BARE_ARTICLE.match(query, mention.end)
        entry = titles.entries.get(mention.doc_ids[0]) if match and mention.doc_ids else None
        if match and entry and 1 <= int(match[1]) <= 9999 and article_label(int(match[1])) in entry.labels:
            found.append(_Token("art", match.start(1), match.end(1), (int(match[1]), 0), match[1]))
    return found


def _drafts_first(citation: Citation, titles: TitleIndex) -> Citation:
    """A query that says 征求意见稿 means the draft where the library holds one."""
    ids = {*citation.doc_ids, *(d for d in titles.drafts_of(citation.title))}
    ordered = tuple(
        sorted(
            ids, key=lambda d: (not titles.entries[d].draft, citation.doc_ids.index(d) if d in citation.doc_ids else 0)
        )
    )
    if not ordered or not titles.entries[ordered[0]].draft:
        return citation
    entry = titles.entries[ordered[0]]
    return replace(citation, doc_ids=ordered, doc_id=ordered[0], title=entry.title)


# --- titles in a text --------------------------------------------------------------------------------------------------


def _quoted(text: str) -> Iterator[tuple[int, int, str]]:
    """(start, end, title) of every outermost 《…》; an unclosed one ends at the line."""
    position = 0
    while (start := text.find("《", position)) >= 0:
        depth, end = 0, -1
        for i in range(start, min(len(text), start + 200)):
            if text[i] == "《":
                depth += 1
            elif text[i] == "》":
                depth -= 1
                if depth == 0:
                    end = i + 1
                    break
        if end < 0:
            position = start + 1
            continue
        yield start, end, re.sub(r"\s*\n\s*", "", text[start + 1 : end - 1])
        position = end


def _mention_of(text: str, start: int, end: int, title: str, titles: TitleIndex, *, formal: bool = True) -> _Title:
    article = _TOKEN.match(text, end)
    label = article_label(_numbers_of(article["art"])) if article and article["art"] and _valid(article["art"]) else ""
    ids, how = titles.by_title(title, article=label, formal=formal)
    return _Title(start, end, titles.entries[ids[0]].title if ids else title, ids, how)


def _mentions(text: str, titles: TitleIndex, aliases: Mapping[str, str], context: Provision | None) -> list[_Title]:
    found = [_mention_of(text, s, e, t, titles) for s, e, t in _quoted(text)]
    own = [
        _Title(m.start(), m.end(), "", (context.doc_id,) if context else (), "self", own=True)
        for m in _SELF.finditer(text)
    ]
    bare = [_Title(m.start, m.end, _display(m, titles), m.doc_ids, m.how) for m in titles.find(text, derived=False)]
    named: list[_Title] = []
    for alias, title in aliases.items():
        for match in re.finditer(re.escape(alias), text):
            ids, _ = titles.by_title(title, formal=True)
            named.append(
                _Title(match.start(), match.end(), titles.entries[ids[0]].title if ids else title, ids, "local")
            )
    mentions = _without_overlap(_without_overlap(_without_overlap(found, named), own), bare)
    for match in _SAME.finditer(text):
        last = next((m for m in reversed(mentions) if m.end <= match.start() and not m.own), None)
        if last is not None:
            mentions = _without_overlap(mentions, [replace(last, start=match.start(), end=match.end(), how="same")])
    return mentions


def _without_overlap(first: Sequence[_Title], more: Iterable[_Title]) -> list[_Title]:
    """`first` and those of `more` that do not touch it; in order."""
    kept = sorted(first, key=lambda m: m.start)
    extra = [m for m in more if not any(m.start < k.end and k.start < m.end for k in kept)]
    return sorted([*kept, *extra], key=lambda m: m.start)


def _display(match: NameMatch, titles: TitleIndex) -> str:
    return titles.entries[match.doc_ids[0]].title if match.doc_ids else match.name


_UNKNOWN = re.compile(r"([\u4e00-\u9fff]{2,24}(?:法|条例|办法|规定|规范|细则|意见|方案))[\s》]*$")


def _unknown_title(query: str, start: int) -> _Title | None:
    match = _UNKNOWN.search(query[:start])
    return _Title(match.start(1), match.end(1), match[1], (), "") if match else None


# --- chains of 条款项 --------------------------------------------------------------------------------------------------


def _chains(
    text: str, *, typed: bool = False, taken: Sequence[tuple[int, int]] = (), more: Sequence[_Token] = ()
) -> Iterator[list[_Token]]:
    """Runs of tokens joined by list or range words; tokens inside `taken` spans (数据二十条) belong to a name.

    `more` are tokens found by other means; they join the runs in order of position.
    """
    chain: list[_Token] = []
    for token in sorted([*_tokens(text, typed), *more], key=lambda t: t.start):
        if any(start < token.end and token.start < end for start, end in taken):
            continue
        if chain:
            gap = text[chain[-1].end : token.start]
            if not (_JOIN.match(gap) or _RANGE.match(gap)) or (typed and token.kind == "point"):
                yield chain
                chain = []
        chain.append(token)
    if chain:
        yield chain


def _tokens(text: str, typed: bool) -> list[_Token]:
    found = []
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or ""
        if (kind == "rel" and typed) or (kind != "rel" and not _valid(match[0])):
            continue
        value = _relative(match[0]) if kind == "rel" else _numbers_of(match[0])
        found.append(_Token(kind, match.start(), match.end(), value, match[0]))
    if typed:
        for match in _QUERY_ARTICLE.finditer(text):
            if not any(t.start < match.end() and match.start() < t.end for t in found) and _valid(match[0]):
                label = match[0] if match[0].lstrip().startswith("第") else f"第{match[0]}"
                found.append(_Token("art", match.start(), match.end(), _numbers_of(label)))
        for match in _QUERY_PART.finditer(text):
            if not any(t.start < match.end() and match.start() < t.end for t in found) and _valid(match[0]):
                kind = "para" if match[0].endswith("款") else "item"
                found.append(_Token(kind, match.start(), match.end(), _numbers_of(match[0])))
    return sorted(found, key=lambda t: t.start)


def _valid(token: str) -> bool:
    """Numbers from 1 to 9999 only."""
    return all(1 <= to_int(n) <= 9999 for n in re.findall(_N, re.sub(r"部分|条|款|项|目|点", " ", token)))


def _numbers_of(token: str) -> tuple[int, ...]:
    if "条" in token and "部分" not in token and "（" not in token and "(" not in token:
        return article_number(token)
    return tuple(to_int(n) for n in re.findall(_N, token))


def _relative(token: str) -> tuple[int, ...]:
    """前款 -> (-1,), 前两款 -> (-2, -1), 本款 -> (0,)."""
    if token.startswith("本"):
        return (0,)
    count = re.search(_N, token[1:-1])
    steps = min(to_int(count[0]), 20) if count else 1
    return tuple(range(-steps, 0))


def _read_chain(text, chain, mentions, titles, context, used) -> list[Citation]:
    first = chain[0]
    owner = _owner(text, first.start, mentions)
    if owner is not None:
        used.add((owner.start, owner.end))
        if owner.own and context is None:
            return [replace(c, reason="out_of_context") for c in _expand(text, chain, None, titles)]
        return _expand(text, chain, owner, titles, context)
    if context is None:
        return [replace(c, reason="out_of_context") for c in _expand(text, chain, None, titles)]
    own = _Title(first.start, first.start, "", (context.doc_id,), "self", own=True)
    return _expand(text, chain, own, titles, context)


_BETWEEN = re.compile(r"^[\s的中里]*(?:[（(][^（()）]{0,60}[）)])?[\s的中里]*$")


def _owner(text: str, start: int, mentions: Sequence[_Title]) -> _Title | None:
    """The title that ends right before a chain; a bracket such as （以下简称…） or （国发〔2016〕5号） may stand between."""
    before = [m for m in mentions if m.end <= start]
    if before and start - before[-1].end <= 70 and _BETWEEN.match(text[before[-1].end : start]):
        return before[-1]
    return None


def _expand(text, chain, owner, titles, context=None) -> list[Citation]:
    """One citation for every place a chain names: lists, ranges, and 款项 that hang on the article before them."""
    places: list[dict] = []
    current: dict = {}
    previous: _Token | None = None
    for token in chain:
        ranged = previous is not None and bool(_RANGE.match(text[previous.end : token.start]))
        current = _step(places, current, token, previous, ranged)
        previous = token
    start = owner.start if owner is not None else chain[0].start
    return [_citation(text, start, place, owner, titles, context) for place in places]


_DEPTH = {"art": 0, "point": 0, "para": 1, "item": 2, "sub": 3}


def _step(places, current, token, previous, ranged) -> dict:
    """Add or refine the last place; returns the place that later tokens refine."""
    if token.kind == "rel":
        return _relative_step(places, current, token)
    depth = _DEPTH[token.kind]
    field = ("label", "paragraph", "item", "subitem")[depth]
    value = token.value if depth == 0 else token.value[-1]
    same_kind = previous is not None and previous.kind == token.kind
    if ranged and same_kind and places:
        low, high = places[-1][field], value
        for step in _between(low, high, depth):
            places.append({**places[-1], field: step, "end": token.end})
        return places[-1]
    finer = previous is not None and not same_kind and _depth_of(previous) < depth
    if depth == 0:
        place = {"kind": token.kind, "label": value, "start": token.start, "end": token.end}
    elif places and finer:
        places[-1] = {**places[-1], field: value, "end": token.end}
        return places[-1]
    else:
        base = {k: v for k, v in current.items() if k not in ("start", "end")} if previous is not None else {}
        place = {"kind": "art", **_shallower(base, depth), field: value, "start": token.start, "end": token.end}
    places.append(place)
    return place


def _depth_of(token: _Token) -> int:
    """Level a token speaks of: 0 article or point, 1 款, 2 项, 3 目; 前款 is as deep as 款."""
    return _DEPTH[token.kind] if token.kind != "rel" else {"款": 1, "项": 2}.get(token.word[-1], 0)


def _shallower(place: dict, depth: int) -> dict:
    drop = ("paragraph", "item", "subitem")[depth - 1 :]
    return {k: v for k, v in place.items() if k not in drop}


def _between(low, high, depth) -> list:
    if depth == 0:
        if len(low) != 2 or len(high) != 2 or not low[0] < high[0] <= low[0] + _MAX_RANGE:
            return [high]
        return [(n, 0) for n in range(low[0] + 1, high[0])] + [high]
    return list(range(low + 1, high + 1)) if low < high <= low + _MAX_RANGE else [high]


def _relative_step(places, current, token) -> dict:
    """前款, 前两款, 本条, 前条, 前项, 本章: what they mean depends on where (`at`) they stand in the citing provision."""
    where = {"start": token.start, "end": token.end, "at": token.start, "word": token.word}
    places.extend({"kind": "art", "rel": step, **where} for step in token.value)
    return places[-1] if places else current


def _citation(text, start, place, owner, titles, context) -> Citation:
    if "rel" in place:
        return _relative_citation(text, place, context)
    end = place["end"]
    base = Citation(
        span=(min(start, place["start"]), end),
        text=text[min(start, place["start"]) : end],
        kind="point" if place["kind"] == "point" else "article",
        title=owner.title if owner else "",
        doc_ids=owner.doc_ids if owner else (),
        doc_id=(owner.doc_ids or ("",))[0] if owner else "",
        paragraph=place.get("paragraph"),
        item=place.get("item"),
        subitem=place.get("subitem"),
        how=owner.how if owner else "",
        relation=_relation_before(text, start),
    )
    label = place.get("label")
    if label is None:
        return _inherit_article(base, context, place, text)
    labels = _possible_labels(place["kind"], label)
    if owner is None:
        return replace(base, label=labels[0], reason="no_title")
    return _checked(replace(base, label=labels[0]), labels, titles, context)


def _possible_labels(kind: str, value: tuple[int, ...]) -> list[str]:
    """Labels a place may have, the literal one first; 第十六条 of an outline means its running point （十六）."""
    if kind == "art":
        return [article_label(value), f"（{to_chinese(value[0])}）", f"{to_chinese(value[0])}、"]
    top = f"{to_chinese(value[0])}、"
    labels = [top + "".join(f"（{to_chinese(v)}）" for v in value[1:2]) + "".join(f"{v}." for v in value[2:3])]
    return labels + ([labels[0].rstrip("0123456789.")] if len(value) > 2 else [])


def _checked(citation: Citation, labels: Sequence[str], titles: TitleIndex, context: Provision | None) -> Citation:
    """Resolve the label against the candidates: the first document that has it wins."""
    if not citation.doc_ids:
        return replace(citation, reason="not_in_library")
    for doc_id in citation.doc_ids:
        entry = titles.entries.get(doc_id)
        if entry is None or not entry.labels:
            continue
        for label in labels:
            full = label if label in entry.labels else next((x for x in entry.labels if _ends_with_point(x, label)), "")
            if full:
                kind = "article" if full.endswith("条") or "条之" in full else "point"
                others = tuple(d for d in citation.doc_ids if d != doc_id)
                return replace(
                    citation,
                    doc_id=doc_id,
                    doc_ids=(doc_id, *others),
                    title=entry.title,
                    label=full,
                    kind=kind,
                    resolved=True,
                )
    known = [d for d in citation.doc_ids if d in titles.entries and titles.entries[d].labels]
    if not known:
        return replace(citation, resolved=True)
    return replace(citation, reason="no_such_article")


def _ends_with_point(label: str, wanted: str) -> bool:
    """二、（十六） ends with the running point （十六）; bare chapters of an outline never match an article number."""
    return wanted.startswith("（") and label.endswith(f"、{wanted}")


def _inherit_article(citation: Citation, context: Provision | None, place: dict, text: str) -> Citation:
    """第二款 or 第三项 alone: of the citing article; 项 of the 款 they stand in, or of the only 款 that has this 项."""
    if context is None:
        return replace(citation, reason=citation.reason or "out_of_context")
    paragraph = citation.paragraph
    if paragraph is None:
        unit = _unit_at(text, place["start"], context)
        paragraph = unit.paragraph if unit else None
        holders = {u.paragraph for u in context.units if u.item == citation.item}
        if paragraph not in holders and len(holders) == 1:
            (paragraph,) = holders
    return replace(
        citation,
        doc_id=context.doc_id,
        doc_ids=(context.doc_id,),
        label=context.label,
        paragraph=paragraph,
        how="self",
        resolved=True,
    )


# --- relative forms ----------------------------------------------------------------------------------------------------


def _unit_at(text: str, position: int, context: Provision) -> Unit | None:
    """The 款 or 项 of `context` a mention stands in; `text` is the provision's text or a part of it."""
    base = 0 if text == context.text else context.text.find(text)
    if base < 0:
        return None
    offset = context.start + base + position
    inside = [u for u in context.units if u.start <= offset < u.end]
    return inside[-1] if inside else None


def _relative_citation(text: str, place: dict, context: Provision | None) -> Citation:
    start, end, step, word = place["start"], place["end"], place["rel"], place["word"]
    base = Citation(
        span=(start, end),
        text=text[start:end],
        kind="article",
        paragraph=place.get("paragraph"),
        item=place.get("item"),
        subitem=place.get("subitem"),
        how="relative",
        relation=_relation_before(text, start),
    )
    if context is None:
        return replace(base, reason="out_of_context")
    base = replace(base, doc_id=context.doc_id, doc_ids=(context.doc_id,), label=context.label)
    if word[-1] in "编章节":
        heading = next((h for h in reversed(context.heading_path) if word[-1] in h[:8]), "")
        return replace(
            base, kind="division", label=heading, resolved=bool(heading), reason="" if heading else "out_of_context"
        )
    if word[-1] == "条":
        if step == 0:
            return replace(base, resolved=True)
        number = context.number[0] + step
        ok = context.kind == "article" and number >= 1
        return replace(
            base, label=article_label(number) if ok else "", resolved=ok, reason="" if ok else "no_article_before"
        )
    unit = _unit_at(text, place["at"], context)
    if unit is None:
        return replace(base, reason="out_of_context")
    if word[-1] == "项":
        item = (unit.item or 0) + step if base.item is None else base.item
        ok = unit.item is not None and item >= 1
        return replace(
            base,
            paragraph=unit.paragraph,
            item=item if ok else None,
            resolved=ok,
            reason="" if ok else "no_item_before",
        )
    paragraph = unit.paragraph + step
    if paragraph < 1:
        return replace(base, reason="no_paragraph_before")
    return replace(base, paragraph=paragraph, resolved=True)


# --- documents, numbers, dangling --------------------------------------------------------------------------------------


def _document_citation(text: str, mention: _Title, titles: TitleIndex) -> Citation:
    return Citation(
        span=(mention.start, mention.end),
        text=text[mention.start : mention.end],
        kind="document",
        title=mention.title,
        doc_id=(mention.doc_ids or ("",))[0],
        doc_ids=mention.doc_ids,
        how=mention.how,
        relation=_relation_before(text, mention.start),
        resolved=bool(mention.doc_ids),
        reason="" if mention.doc_ids else "not_in_library",
    )


def _number_citations(text: str, titles: TitleIndex, *, loose: bool) -> list[Citation]:
    found = []
    for match in find_numbers(text, loose=loose):
        ids = titles.by_number(match.keys)
        found.append(
            Citation(
                span=(match.start, match.end),
                text=match.text,
                kind="number",
                title=titles.entries[ids[0]].title if ids else "",
                doc_id=ids[0] if ids else "",
                doc_ids=ids,
                how="number",
                resolved=bool(ids),
                reason="" if ids else "not_in_library",
                relation=_relation_before(text, match.start),
            )
        )
    return found


def _dangling(text: str) -> list[Citation]:
    return [
        Citation(
            span=m.span(),
            text=m[0],
            kind="dangling",
            relation=_relation_before(text, m.start()),
            reason="no_instrument_named",
        )
        for m in _DANGLING.finditer(text)
    ]


def _relation_before(text: str, start: int) -> str:
    """The verb that governs a citation, within its clause: 根据, 依照, 违反 ..."""
    clause = re.split(r"[。；\n]", text[max(0, start - 120) : start])[-1]
    verbs = _RELATION.findall(clause)
    return verbs[-1] if verbs else ""


# --- resolution --------------------------------------------------------------------------------------------------------


def resolve(citation: Citation, documents: Mapping[str, Document]) -> tuple[Provision | None, Unit | None, str]:
    """The provision and unit a citation names, or the reason why there is none.

    Returns:
        (provision, unit, reason): reason is "" when the place exists as cited.
    """
    document = documents.get(citation.doc_id)
    if document is None:
        return None, None, citation.reason or "not_in_library"
    if not citation.label:
        return None, None, ""
    provision = next((p for p in document.provisions if p.label == citation.label), None)
    if provision is None:
        return None, None, "no_such_article"
    if citation.paragraph is None and citation.item is None:
        return provision, None, ""
    wanted = [u for u in provision.units if citation.paragraph in (None, u.paragraph) and u.item == citation.item]
    if citation.subitem is not None:
        wanted = [u for u in wanted if u.subitem == citation.subitem]
    if not wanted:
        return provision, None, "no_such_paragraph" if citation.item is None else "no_such_item"
    return provision, wanted[0], ""
