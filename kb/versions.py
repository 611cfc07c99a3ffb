"""Versions of one instrument: which one holds on a day, which article became which, what changed in the wording.

Comparison is blind to noise (width, spaces, 〇 and 零, punctuation style), so that two copies of one text never look amended.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from rapidfuzz import fuzz
from rapidfuzz.distance import Levenshtein

from kb.cite import Citation, parse_query, resolve
from kb.metadata import family_key, status_on, version_start
from kb.models import STATUS_NAMES, Document, DocumentMeta, Provision, Unit
from kb.names import is_draft_title, title_key
from kb.numerals import ANY_NUMERAL, article_label, to_int
from kb.titles import TitleIndex

SAME, CHANGED, RENUMBERED, ADDED, REMOVED = "same", "changed", "renumbered", "added", "removed"
_ALIGNED_FROM = 0.5
_FOLD = str.maketrans(
    {
        "〇": "零",
        "○": "零",
        "、": "、",
        "“": '"',
        "”": '"',
        "‘": "'",
        "’": "'",
        "「": '"',
        "」": '"',
        "—": "-",
        "–": "-",
        "－": "-",
        "‐": "-",
        "〔": "[",
        "〕": "]",
        "【": "[",
        "】": "]",
        "﹝": "[",
        "﹞": "]",
        "•": "·",
        "．": ".",
        "…": ".",
    }
)


# --- wording -------------------------------------------------------------------------------------------------------------


def folded(text: str) -> tuple[str, list[int]]:
    """Text without noise, and where each character of it stood."""
    chars: list[str] = []
    places: list[int] = []
    for i, raw in enumerate(text):
        for c in unicodedata.normalize("NFKC", raw).translate(_FOLD):
            if c.isspace() or c in "\u200b\ufeff*#":
                continue
            if c == "、" and chars and chars[-1] == "》":
                continue  # 《A》、《B》 and 《A》《B》 are two styles of one list
            chars.append(c)
            places.append(i)
    return "".join(chars), places


def same_wording(a: str, b: str) -> bool:
    """True when two texts differ in noise only."""
    return a == b or folded(a)[0] == folded(b)[0]


@dataclass(frozen=True, slots=True)
class Change:
    """One differing stretch: `op` is replace, insert or delete; the texts are as printed in each version."""

    op: str
    old: str
    new: str
    old_span: tuple[int, int]
    new_span: tuple[int, int]


def diff(old: str, new: str) -> list[Change]:
    """Differences of two texts in order, noise left out; neighbouring changes with one or two equal characters between are one."""
    a, a_at = folded(old)
    b, b_at = folded(new)
    merged: list[list[int]] = []
    for op in Levenshtein.opcodes(a, b):
        if op.tag == "equal":
            continue
        row = [op.src_start, op.src_end, op.dest_start, op.dest_end]
        if merged and row[0] - merged[-1][1] <= 2 and row[2] - merged[-1][3] <= 2:
            merged[-1][1], merged[-1][3] = row[1], row[3]
        else:
            merged.append(row)
    changes = []
    for s0, s1, d0, d1 in merged:
        old_span, new_span = _span(a_at, s0, s1, len(old)), _span(b_at, d0, d1, len(new))
        op = "insert" if s0 == s1 else "delete" if d0 == d1 else "replace"
        changes.append(Change(op, old[slice(*old_span)], new[slice(*new_span)], old_span, new_span))
    return changes


def _span(places: Sequence[int], start: int, stop: int, size: int) -> tuple[int, int]:
    if start == stop:
        at = places[start] if start < len(places) else size
        return at, at
    return places[start], places[stop - 1] + 1


# --- which article became which --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Alignment:
    """A pair of provisions of two versions; one side is "" where an article was added or removed. `likeness` is 0 to 1."""

    old: str
    new: str
    change: str
    likeness: float


def align(old: Document, new: Document) -> list[Alignment]:
    """Pair the provisions of two versions: equal wording first, then the likeliest order-keeping pairs between those anchors.

    Numbers are never trusted; they only break ties. Rows come in the order of the new text, removed ones where they stood.
    """
    a, b = _comparable(old), _comparable(new)
    keys_a, keys_b = ([folded(without_number(p.text))[0] for p in side] for side in (a, b))
    anchors = _anchors(keys_a, keys_b)
    rows: list[Alignment] = []
    i = j = 0
    for ai, bj in [*anchors, (len(a), len(b))]:
        rows += _between(a, b, keys_a, keys_b, range(i, ai), range(j, bj))
        if ai < len(a):
            rows.append(_row(a[ai], b[bj], 1.0))
        i, j = ai + 1, bj + 1
    return _rejoined(
        rows, {p.label: k for p, k in zip(a, keys_a, strict=True)}, {p.label: k for p, k in zip(b, keys_b, strict=True)}
    )


def lineage(old: Document, new: Document) -> dict[str, str]:
    """Label in the old version -> label in the new one."""
    return {row.old: row.new for row in align(old, new) if row.old and row.new}


def _comparable(document: Document) -> list[Provision]:
    return [p for p in document.provisions if p.kind in ("article", "point") and not p.part]


def without_number(text: str) -> str:
    """A provision's text without its own number, so that renumbering alone is no change."""
    return re.sub(rf"^\s*(?:第{ANY_NUMERAL}条(?:之{ANY_NUMERAL})*|{ANY_NUMERAL}、|[（(]{ANY_NUMERAL}[)）])", "", text)


def _anchors(a: Sequence[str], b: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs of unique equal bodies, thinned to an order-keeping chain (longest increasing subsequence)."""
    where: dict[str, list[int]] = defaultdict(list)
    for j, key in enumerate(b):
        where[key].append(j)
    count: dict[str, int] = defaultdict(int)
    for key in a:
        count[key] += 1
    pairs = [(i, where[key][0]) for i, key in enumerate(a) if count[key] == 1 and len(where.get(key, ())) == 1]
    tails: list[int] = []
    at: list[int] = []
    back: list[int] = []
    for n, (_, j) in enumerate(pairs):
        k = bisect_left(tails, j)
        if k == len(tails):
            tails.append(j)
            at.append(n)
        else:
            tails[k], at[k] = j, n
        back.append(at[k - 1] if k else -1)
    chain: list[tuple[int, int]] = []
    n = at[-1] if at else -1
    while n >= 0:
        chain.append(pairs[n])
        n = back[n]
    return chain[::-1]


def _between(a, b, keys_a, keys_b, left: range, right: range) -> list[Alignment]:
    """Best order-keeping pairing of a small stretch by likeness; what stays alone is added or removed."""
    if not left or not right:
        return [Alignment(a[i].label, "", REMOVED, 0.0) for i in left] + [
            Alignment("", b[j].label, ADDED, 0.0) for j in right
        ]
    like = [[fuzz.ratio(keys_a[i], keys_b[j]) / 100 for j in right] for i in left]
    n, m = len(left), len(right)
    best = [[0.0] * (m + 1) for _ in range(n + 1)]
    for i in range(n - 1, -1, -1):
        for j in range(m - 1, -1, -1):
            pair = like[i][j] + best[i + 1][j + 1] if like[i][j] >= _ALIGNED_FROM else 0.0
            best[i][j] = max(pair, best[i + 1][j], best[i][j + 1])
    rows: list[Alignment] = []
    i = j = 0
    while i < n or j < m:
        if i < n and j < m and like[i][j] >= _ALIGNED_FROM and best[i][j] == like[i][j] + best[i + 1][j + 1]:
            rows.append(_row(a[left[i]], b[right[j]], like[i][j]))
            i, j = i + 1, j + 1
        elif j < m and (i >= n or best[i][j] == best[i][j + 1]):
            rows.append(Alignment("", b[right[j]].label, ADDED, 0.0))
            j += 1
        else:
            rows.append(Alignment(a[left[i]].label, "", REMOVED, 0.0))
            i += 1
    return rows


def _row(old: Provision, new: Provision, likeness: float) -> Alignment:
    if likeness < 1.0:
        return Alignment(old.label, new.label, CHANGED, round(likeness, 3))
    return Alignment(old.label, new.label, SAME if old.label == new.label else RENUMBERED, 1.0)


def _rejoined(rows: list[Alignment], old: dict[str, str], new: dict[str, str]) -> list[Alignment]:
    """Articles that moved against the order: a removed and an added one that are nearly the same text are one."""
    added = [row for row in rows if row.change == ADDED]
    taken: dict[str, Alignment] = {}
    for row in (r for r in rows if r.change == REMOVED):
        scored = [
            (fuzz.ratio(old[row.old], new[other.new]) / 100, other.new) for other in added if other.new not in taken
        ]
        if scored and max(scored)[0] >= 0.7:
            likeness, label = max(scored)
            taken[label] = Alignment(row.old, label, RENUMBERED if likeness == 1.0 else CHANGED, round(likeness, 3))
    moved = {row.old for row in taken.values()}
    return [
        taken.get(r.new, r) if r.change == ADDED else r for r in rows if not (r.change == REMOVED and r.old in moved)
    ]


_CHANGED_TO = re.compile(rf"将?第({ANY_NUMERAL})条(之{ANY_NUMERAL})?改为第({ANY_NUMERAL})条(之{ANY_NUMERAL})?")
_INSERTED = re.compile(rf"增加(?:一|{ANY_NUMERAL})条，?作为第({ANY_NUMERAL})条((?:、第{ANY_NUMERAL}条)*)")
_DELETED = re.compile(rf"删[去除]第({ANY_NUMERAL})条")


def renumbering(decision: str, count: int) -> dict[str, str]:
    """Old label -> new label from the text of a 修改决定, for an instrument of `count` articles.

    What the decision says (第四十条改为第四十二条) stands; between such points the insertions and deletions it names shift the numbers.
    """
    stated = {to_int(m[1]): to_int(m[3]) for m in _CHANGED_TO.finditer(decision) if not m[2] and not m[4]}
    inserted = sorted(
        to_int(n)
        for m in _INSERTED.finditer(decision)
        for n in re.findall(ANY_NUMERAL, m[1] + m[2].replace("第", " ").replace("条", " "))
    )
    deleted = {to_int(m[1]) for m in _DELETED.finditer(decision)}
    out: dict[str, str] = {}
    number = 0
    for old in range(1, count + 1):
        if old in deleted:
            continue
        number = stated.get(old, number + 1)
        while old not in stated and number in inserted:
            number += 1
        out[article_label(old)] = article_label(number)
    return out


# --- which version holds on a day -----------------------------------------------------------------------------------------


def versions_of(documents: Iterable[DocumentMeta | Document], meta: DocumentMeta) -> list[Document]:
    """Finals of the same instrument, oldest first by the day they can have come into force."""
    key = family_key(meta)
    same = [
        d
        for d in documents
        if family_key(d.meta) == key and d.meta.status != "draft" and not is_draft_title(d.meta.title)
    ]
    return sorted(same, key=lambda d: (version_start(d.meta), d.doc_id))


def drafts_of(documents: Iterable[Document], meta: DocumentMeta) -> list[Document]:
    """Drafts of the same instrument."""
    key = family_key(meta)
    return [
        d for d in documents if family_key(d.meta) == key and (d.meta.status == "draft" or is_draft_title(d.meta.title))
    ]


def version_on(versions: Sequence[Document], day: str) -> Document | None:
    """The version in force on a day; None when all begin later. A version without any date counts as always there."""
    begun = [d for d in versions if version_start(d.meta) <= day]
    return begun[-1] if begun else None


# --- kb show ---------------------------------------------------------------------------------------------------------------

_QUOTE = re.compile(r"^(.*?(?:条|款|项|目|[)）]|、|\s))\s*[：:]?\s*[“\"「](.{4,})[”\"」]?\s*$", re.S)


@dataclass(frozen=True, slots=True)
class Shown:
    """What `kb show` answers; `answer` is found, wording_differs, amended_since or not_in_library."""

    answer: str
    title: str = ""
    article: str = ""
    address: str = ""
    text: str = ""
    status: str = ""
    why: str = ""
    doc_id: str = ""
    citation: str = ""
    current_article: str = ""
    current_text: str = ""
    differences: tuple[tuple[str, str], ...] = ()
    text_kind: str = ""


def show(
    text: str,
    titles: TitleIndex,
    metas: dict[str, DocumentMeta],
    get: Callable[[str], Document],
    *,
    day: str,
    as_of: bool,
) -> Shown:
    """Answer a citation, with or without quoted wording.

    Args:
        text: 网安法第二十一条, 发改数据规〔2025〕26号第七条, or a citation followed by a quotation to check.
        metas: facts of every document of the library, by id.
        get: the whole document of an id.
        day: ISO day to judge by; `as_of` says that the user asked for that day.
    """
    match = _QUOTE.match(text.strip())
    quote = match[2].rstrip('”"」 ') if match and parse_query(match[1], titles) else ""
    cited = parse_query(match[1] if quote and match else text, titles)
    citation = next((c for c in cited if c.label), cited[0] if cited else None)
    if citation is None or not citation.doc_id:
        return _missing(citation)
    family = versions_of((_Light(i, m) for i, m in metas.items()), metas[citation.doc_id])
    ids = [d.doc_id for d in family] if citation.doc_id in {d.doc_id for d in family} else [citation.doc_id]
    begun = [i for i in ids if version_start(metas[i]) <= day]
    held = begun[-1] if begun else ids[0]
    document = get(held if as_of or len(ids) > 1 else citation.doc_id)
    if citation.reason == "no_such_article" or (citation.label and not _find(document, citation.label)):
        return _no_article(citation, document)
    provision, unit, problem = _place(document, citation)
    shown = _shown(document, citation, provision, unit, day)
    if problem:
        return replace(shown, answer="not_in_library", text="", why=problem)
    if not begun and as_of:
        return _before(
            shown,
            document,
            day,
            [get(i) for i, m in metas.items() if title_key(document.meta.title) in map(title_key, m.amends)],
        )
    if held != ids[-1] and provision:
        return _amended(shown, document, provision, get(ids[-1]))
    if shown.status in ("repealed", "lapsed"):
        return replace(shown, answer="amended_since", why=f"该文件{STATUS_NAMES[shown.status]}。")
    return _checked_quote(shown, quote)


@dataclass(frozen=True, slots=True)
class _Light:
    """Id and facts: what choosing a version needs of a document."""

    doc_id: str
    meta: DocumentMeta


def _missing(citation: Citation | None) -> Shown:
    if citation is None:
        return Shown(
            "not_in_library", why="没有读出文件名、文号或条号。请写全称、简称或文号，再加条号，例如：网安法第二十一条。"
        )
    if citation.reason == "no_title":
        return Shown("not_in_library", article=citation.label, why="只有条号，没有文件名。请补上文件名或文号。")
    name = citation.title or citation.text
    return Shown(
        "not_in_library",
        title=name,
        article=citation.label,
        why=f"本库未收录《{name.strip('《》')}》；检索不到不等于不存在。",
    )


def _find(document: Document, label: str) -> Provision | None:
    return next((p for p in document.provisions if p.label == label), None)


def _no_article(citation: Citation, document: Document) -> Shown:
    articles = [p for p in document.provisions if p.kind == "article" and not p.part]
    last = articles[-1].label if articles else (document.provisions[-1].label if document.provisions else "")
    why = f"《{document.meta.title}》没有{citation.label}" + (f"，最后一条是{last}。" if last else "。")
    return Shown("not_in_library", title=document.meta.title, article=citation.label, why=why, doc_id=document.doc_id)


def _place(document: Document, citation: Citation) -> tuple[Provision | None, Unit | None, str]:
    if not citation.label:
        return None, None, ""
    provision = _find(document, citation.label)
    if citation.paragraph is None and citation.item is None:
        return provision, None, ""
    _, unit, reason = resolve(replace(citation, doc_id=document.doc_id), {document.doc_id: document})
    if reason:
        count = len({u.paragraph for u in provision.units if u.level == "paragraph"}) if provision else 0
        return provision, None, f"{citation.label}共有{count}款，没有所引的款项。"
    return provision, unit, ""


def _shown(document: Document, citation: Citation, provision: Provision | None, unit: Unit | None, day: str) -> Shown:
    meta = document.meta
    address = unit.address if unit else provision.label if provision else ""
    number = f"（{meta.doc_no}）" if meta.doc_no else ""
    body = unit.text if unit else provision.text if provision else document.text[:400]
    return Shown(
        "found",
        title=meta.title,
        article=provision.label if provision else "",
        address=address,
        text=body,
        status=status_on(meta, day),
        why="",
        doc_id=document.doc_id,
        citation=f"《{meta.title}》{number}{address}",
        text_kind=meta.text_kind,
    )


def _before(shown: Shown, document: Document, day: str, decisions: Sequence[Document]) -> Shown:
    """The library's only text is younger than the day asked for; a 修改决定 in the library says what the article is called now."""
    meta = document.meta
    if not meta.revised_on or meta.revised_on <= day or (meta.effective_on or "") > day:
        return replace(shown, why=f"{day}时尚未施行，自{meta.effective_on}起施行。", status="not_yet_effective")
    why = f"库内文本是{meta.revised_on}修改后的版本，{day}适用的旧文本未收录，条号和文字可能不同。"
    out = replace(
        shown, answer="amended_since", why=why, status="amended", current_article=shown.article, current_text=shown.text
    )
    later = [d for d in decisions if (version_start(d.meta) or d.meta.adopted_on or "") > day]
    if not later or not shown.article.startswith("第"):
        return out
    label = renumbering(later[0].text, 2000).get(shown.article, "")
    current = _find(document, label) if label else None
    if current is None:
        return replace(
            out, current_article="", current_text="", why=why + f"按《{later[0].meta.title}》，该条已删去或并入其他条。"
        )
    return replace(
        out,
        text=current.text,
        current_article=label,
        current_text=current.text,
        why=f"{day}适用的旧文本未收录；按《{later[0].meta.title}》，原{shown.article}现为{label}。",
    )


def _amended(shown: Shown, old: Document, provision: Provision, new: Document) -> Shown:
    """The text of that day is held, and a later version exists: say what the article is today."""
    row = next((r for r in align(old, new) if r.old == provision.label), None)
    if row is None or not row.new:
        return replace(
            shown,
            answer="amended_since",
            status="amended",
            why=f"该条在现行文本（{version_start(new.meta)}起）中已删去。",
        )
    current = _find(new, row.new)
    moved = f"现为{row.new}" if row.new != row.old else "条号未变"
    if row.change in (SAME, RENUMBERED):
        return replace(
            shown,
            answer="amended_since" if row.new != row.old else "found",
            status="amended",
            current_article=row.new,
            current_text=current.text if current else "",
            why=f"所示为当日文本；{moved}，文字未变。",
        )
    changes = tuple((c.old, c.new) for c in diff(provision.text, current.text if current else ""))
    return replace(
        shown,
        answer="amended_since",
        status="amended",
        current_article=row.new,
        current_text=current.text if current else "",
        differences=changes,
        why=f"所示为当日文本；{moved}，文字有{len(changes)}处改动。",
    )


def _checked_quote(shown: Shown, quote: str) -> Shown:
    if not quote:
        return shown
    if shown.text_kind == "digest":
        return replace(shown, why="库内是要点摘编，不是原文，引文需核对原文。")
    wanted, held = folded(quote)[0].strip('".。,，;；'), folded(shown.text)[0]
    if wanted in held:
        return replace(shown, why="引文与库内文本一致。")
    nearest = fuzz.partial_ratio_alignment(wanted, held)
    passage = held[nearest.dest_start : nearest.dest_end] if nearest else held
    changes = tuple((c.old, c.new) for c in diff(wanted, passage))
    return replace(shown, answer="wording_differs", differences=changes, why=f"引文与库内文本有{len(changes)}处不同。")
