"""Names and numbers of instruments in, document ids out: formal titles, short names, typing slips, 文号, 令号, 公告号.

Short names come from three places: what people listed (`kb/data/aliases.yaml`, catalogue), rules that drop the parts people
drop (中华人民共和国, 经济特区, 暂行, 管理 ...), and subsequences (网数条例). A name that fits several instruments keeps all of them, best first.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from rapidfuzz.distance import OSA

from kb.docnos import number_keys
from kb.models import Document
from kb.names import KEPT_MARKS, TITLE_NOUNS, alias_data, derived_names, is_draft_title, noun_of, title_key
from kb.numerals import ANY_NUMERAL, article_label, to_int

# 法 inside 法律, 法规, 方法 is no title
_NOUN = re.compile(
    "|".join(noun for noun in TITLE_NOUNS if noun != "法") + "|(?<![方合依守违执立司])法(?![律规定人院治学制庭])"
)
# a pair of characters that more names than this share says nothing about which name is meant
_CROWDED = 300
_ORDER = ("exact", "alias", "formal", "derived")
_LOCAL_LEVELS = ("shenzhen", "guangdong", "national", "peers")


@dataclass(frozen=True, slots=True)
class TitleEntry:
    """What the index must know of one document: `labels` are its provision labels, `in_force` its status today."""

    doc_id: str
    title: str
    aliases: tuple[str, ...] = ()
    doc_no: str | None = None
    level: str = ""
    draft: bool = False
    in_force: bool = True
    effective_on: str = ""
    labels: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class NameMatch:
    """A name found in a text: `how` is exact, alias, formal, derived, short or typo; `doc_ids` best first.

    formal leaves out only the state, the makers, 印发 or brackets; derived leaves out place or filler words too.
    """

    start: int
    end: int
    doc_ids: tuple[str, ...]
    how: str
    name: str


class TitleIndex:
    """Names and numbers of the documents of one library. Building is linear in their number; lookups do not scan them."""

    def __init__(self, entries: Iterable[TitleEntry]) -> None:
        self.entries: dict[str, TitleEntry] = {}
        self._names: dict[str, dict[str, str]] = defaultdict(dict)
        self._numbers: dict[str, list[str]] = defaultdict(list)
        self._places = tuple(alias_data()["places"])
        listed: dict[str, list[str]] = {title_key(k): list(v) for k, v in alias_data()["titles"].items()}
        for entry in entries:
            self.entries[entry.doc_id] = entry
            self._add(title_key(entry.title), entry.doc_id, "exact")
            aliases = list(entry.aliases) + ([] if entry.draft else listed.get(title_key(entry.title), []))
            for alias in aliases:
                self._add(title_key(alias), entry.doc_id, "alias")
            for name, how in derived_names(entry.title).items():
                self._add(name, entry.doc_id, how)
                if not entry.draft:
                    for alias in listed.get(name, ()):
                        self._add(title_key(alias), entry.doc_id, "alias")
            for key in number_keys(entry.doc_no or ""):
                self._numbers[key].append(entry.doc_id)
        self._by_head: dict[str, list[str]] = defaultdict(list)
        self._by_bigram: dict[str, set[str]] = defaultdict(set)
        for name in self._names:
            if len(name) >= 2:
                self._by_head[name[:2]].append(name)
            if len(name) >= 5:
                for i in range(len(name) - 1):
                    self._by_bigram[name[i : i + 2]].add(name)
        self._longest = min(64, max(map(len, self._names), default=0))
        self._by_char: dict[str, list[str]] = defaultdict(list)
        for head, names in self._by_head.items():
            names.sort(key=len, reverse=True)
            self._by_char[head[0]] += names

    @classmethod
    def from_documents(cls, documents: Iterable[Document]) -> TitleIndex:
        """Index of parsed documents."""
        return cls(entry_of(document) for document in documents)

    def _add(self, name: str, doc_id: str, how: str) -> None:
        if len(name) >= 2:
            self._names[name].setdefault(doc_id, how)

    def by_number(self, keys: Iterable[str]) -> tuple[str, ...]:
        """Documents of the first key that is known: keys go from the longest reading to the shortest."""
        for key in keys:
            if key in self._numbers:
                return self.rank(self._numbers[key])
        return ()

    def by_title(self, title: str, *, article: str = "", formal: bool = False) -> tuple[tuple[str, ...], str]:
        """Documents a written title names, best first, and how it was matched ("" when none).

        `formal` is for titles that an official text quotes: no place is added, no word left out, no slip forgiven.
        """
        name = title_key(title)
        if name in self._names and not (formal and self._best_how(name) == "derived"):
            return self._ranked(name, article)
        for variant, how in derived_names(title).items():
            usable = how == "formal" or (not formal and not _other_place(variant, name, self._places))
            if usable and variant in self._names and not (formal and self._best_how(variant) == "derived"):
                return self._ranked(variant, article)[0], how
        close = "" if formal else self._close(name)
        return (self._ranked(close, article)[0], "typo") if close else ((), "")

    def _best_how(self, name: str) -> str:
        return min(self._names[name].values(), key=_ORDER.index)

    def _ranked(self, name: str, article: str) -> tuple[tuple[str, ...], str]:
        how = self._best_how(name)
        ids = (
            [d for d, value in self._names[name].items() if value == how]
            if how in ("exact", "formal")
            else list(self._names[name])
        )
        return self.rank(ids, article=article), how

    def drafts_of(self, title: str) -> tuple[str, ...]:
        """Drafts (征求意见稿 ...) of the instrument with this title."""
        key = title_key(title)
        ids = [d for d in self._names.get(key, ()) if self.entries[d].draft]
        return self.rank(ids)

    def rank(self, doc_ids: Iterable[str], *, article: str = "") -> tuple[str, ...]:
        """Best reading first: has the article, final text, in force, nearest level, latest, then id."""

        def key(doc_id: str) -> tuple:
            entry = self.entries[doc_id]
            missing = bool(article) and bool(entry.labels) and article not in entry.labels
            level = _LOCAL_LEVELS.index(entry.level) if entry.level in _LOCAL_LEVELS else 9
            return (missing, entry.draft, not entry.in_force, level, _descending(entry.effective_on), doc_id)

        return tuple(sorted(set(doc_ids), key=key))

    def find(self, text: str, *, derived: bool) -> list[NameMatch]:
        """Names standing in `text`, longest first, left to right, without overlap.

        `derived` also takes short forms, subsequences and typing slips: right for a query, too eager for a statute.
        """
        if not derived:
            return self._formal_names(text)
        compact, offsets = _compact(text)
        matches: list[NameMatch] = []
        position = 0
        while position < len(compact) - 1:
            match = self._name_at(text, compact, offsets, position)
            if match is None:
                position += 1
            else:
                floor = bisect_left(offsets, matches[-1].end) if matches else 0
                matches.append(self._widened(text, compact, offsets, match, floor))
                position = match[1]
        matches += self._short_or_mistyped(text, compact, offsets, matches)
        return sorted(matches, key=lambda m: m.start)

    def _formal_names(self, text: str) -> list[NameMatch]:
        """Whole titles and listed short names as they stand, without looking through spaces or marks."""
        matches: list[NameMatch] = []
        heads, position, last = self._by_head, 0, len(text) - 3
        while position < last:
            names = heads.get(text[position : position + 2])
            name = next((n for n in names if len(n) >= 4 and text.startswith(n, position)), "") if names else ""
            if name and self._best_how(name) != "derived":
                ids, how = self._ranked(name, _article_after(text, position + len(name)))
                matches.append(NameMatch(position, position + len(name), ids, how, name))
                position += len(name)
            else:
                position += 1
        return matches

    def _name_at(self, text, compact, offsets, position):
        for name in self._by_head.get(compact[position : position + 2], ()):
            if not compact.startswith(name, position):
                continue
            end = position + len(name)
            if _broken(text, offsets, position, end):
                continue
            how = self._best_how(name)
            if how in ("formal", "derived") and not name.endswith(TITLE_NOUNS):
                continue
            ids, how = self._ranked(name, _article_after(text, offsets[end - 1] + 1))
            ids = self._of_place(compact, position, ids)
            if ids:
                return NameMatch(offsets[position], offsets[end - 1] + 1, ids, how, name), end
        return None

    def _of_place(self, compact: str, position: int, doc_ids: tuple[str, ...]) -> tuple[str, ...]:
        """Only documents of the place written just before the name (上海|数据条例), when one is written there."""
        before = re.sub(r"(?:经济特区|特区|市|省|自治区)$", "", compact[max(0, position - 8) : position])
        place = next((p for p in self._places if before.endswith(p)), None)
        if place is None:
            return doc_ids
        return tuple(d for d in doc_ids if place in self.entries[d].title or place in compact[position : position + 6])

    def _widened(self, text, compact, offsets, match, floor: int) -> NameMatch:
        """A name found inside a longer one with a slip in its front part (上海|数据条例 of 上海师数据条例) is the longer one."""
        found, end = match
        start = bisect_left(offsets, found.start)
        if start == floor or offsets[start - 1] != offsets[start] - 1:
            return found
        hit = self._mistyped(compact, max(floor, end - self._longest - 1), end, longer_than=len(found.name))
        if not hit or hit[0] >= start or _broken(text, offsets, hit[0], end):
            return found
        article = _article_after(text, found.end)
        ids = self.rank({d for name in hit[1] for d in self._names[name]}, article=article)
        return NameMatch(offsets[hit[0]], found.end, ids, "typo", compact[hit[0] : end])

    def _short_or_mistyped(self, text, compact, offsets, taken) -> list[NameMatch]:
        """Names the dictionary does not hold: 个保法-like subsequences, then slips of one character (two in long names)."""
        found: list[NameMatch] = []
        for end, noun in _name_ends(compact):
            stop = offsets[end - 1] + 1
            if any(m.start < stop and offsets[end - 1] < m.end for m in taken + found):
                continue
            floor = max([m_end for m_end in (bisect_left(offsets, m.end) for m in taken) if m_end < end], default=0)
            window = max(floor, end - self._longest - 1)
            hit = self._mistyped(compact, window, end) or (noun and self._subsequence(compact, window, end, noun))
            if not hit or _broken(text, offsets, hit[0], end):
                continue
            start, names, how = hit
            article = _article_after(text, stop)
            if how == "short" and not article and not _alone(text, offsets[start], stop):
                continue
            ids = self.rank({d for name in names for d in self._names[name]}, article=article)
            ids = self._of_place(compact, start, ids)
            if ids:
                found.append(NameMatch(offsets[start], stop, ids, how, compact[start:end]))
        return found

    def _mistyped(self, compact: str, window: int, end: int, *, longer_than: int = 4):
        """(start, names, "typo") of the closest name that ends at `end`, slips of one character (two in long names) allowed."""
        tail = compact[window:end]
        counts: dict[str, int] = defaultdict(int)
        postings = [self._by_bigram.get(tail[i : i + 2], ()) for i in range(len(tail) - 1)]
        crowded = any(len(names) > _CROWDED for names in postings)
        for names in postings:
            for name in names if len(names) <= _CROWDED else ():
                counts[name] += 1
        best = None
        for name, shared in counts.items():
            own = len(name) - (7 if name.startswith("中华人民共和国") else 0)
            allowed = 1 if own < 11 else 2
            if (
                own < 5
                or len(name) <= longer_than
                or noun_of(name) != (noun_of(tail) or noun_of(name))
                or shared < (1 if crowded else len(name) - 1 - 2 * allowed)
            ):
                continue
            for length in range(len(name) - 1, len(name) + 2):
                if 4 < length <= len(tail):
                    distance = OSA.distance(tail[-length:], name, score_cutoff=allowed)
                    if 0 < distance <= allowed and _same_place(tail[-length:], name, self._places):
                        candidate = (distance / len(name), -len(name), end - length, name)
                        best = min(best, candidate) if best else candidate
        return (best[2], [best[3]], "typo") if best else None

    def _close(self, name: str) -> str:
        hit = self._mistyped(name, 0, len(name)) if len(name) >= 5 else None
        return hit[1][0] if hit and hit[0] == 0 else ""

    def _subsequence(self, compact: str, window: int, end: int, noun: str):
        """个保法: the noun, and before it 2 to 6 characters that occur in this order in a title with the same noun."""
        for length in range(6, 1, -1):
            start = end - len(noun) - length
            if start < window:
                continue
            core = compact[start : end - len(noun)]
            names = [
                name
                for name in self._by_head_char(core[0])
                if noun_of(name) == noun
                and len(name) > length + len(noun)
                and _is_abbreviation(core, name[: -len(noun)])
            ]
            if names:
                return start, names, "short"
        return None

    def _by_head_char(self, char: str) -> list[str]:
        return self._by_char.get(char, [])


def entry_of(document: Document) -> TitleEntry:
    """The index entry of a parsed document."""
    meta = document.meta
    return TitleEntry(
        doc_id=document.doc_id,
        title=meta.title,
        aliases=meta.aliases,
        doc_no=meta.doc_no,
        level=meta.level,
        draft=meta.status == "draft" or is_draft_title(meta.title),
        in_force=meta.status not in ("repealed", "lapsed"),
        effective_on=meta.effective_on or "",
        labels=frozenset(p.label for p in document.provisions),
    )


def _compact(text: str) -> tuple[str, list[int]]:
    """Letters and digits of a text in comparison form, and where each stood."""
    chars, offsets = [], []
    for i, raw in enumerate(text):
        folded = raw if "\u4e00" <= raw <= "\u9fff" else unicodedata.normalize("NFKC", raw).lower()
        for c in folded:
            if c.isalnum() or c in KEPT_MARKS:
                chars.append(c)
                offsets.append(i)
    return "".join(chars), offsets


def _broken(text: str, offsets: list[int], start: int, end: int) -> bool:
    """True when a sentence mark stands inside the span."""
    return any(c in "，,。；;：:！!？?\n" for c in text[offsets[start] : offsets[end - 1] + 1])


_ARTICLE_START = re.compile(rf"第?{ANY_NUMERAL}条(?!例)")
_ARTICLE_NEXT = re.compile(rf"^[》”\"\s（(的中里]*第?\s*({ANY_NUMERAL})\s*条((?:之{ANY_NUMERAL})?)")


def _article_after(text: str, position: int) -> str:
    match = _ARTICLE_NEXT.match(text[position : position + 20])
    if not match or not 1 <= to_int(match[1]) <= 9999:
        return ""
    return article_label((to_int(match[1]), to_int(match[2][1:]) if match[2] else 0))


def _alone(text: str, start: int, end: int) -> bool:
    """A short name must stand between boundaries (white space, marks, ends), or it is part of a word."""
    before = text[start - 1] if start else " "
    return not before.isalnum()


def _name_ends(compact: str) -> list[tuple[int, str]]:
    """Where a name may end: after a title noun, or before an article number (the noun itself may hold the slip)."""
    ends = {m.end(): m[0] for m in _NOUN.finditer(compact)}
    for match in _ARTICLE_START.finditer(compact):
        ends.setdefault(match.start(), "")
    return sorted((end, noun) for end, noun in ends.items() if end)


def _is_abbreviation(core: str, full: str) -> bool:
    """个保 of 个人信息保护: characters in order, the first one first."""
    if not full.startswith(core[0]):
        return False
    position = 0
    for char in core:
        position = full.find(char, position) + 1
        if not position:
            return False
    return True


def _same_place(written: str, name: str, places: tuple[str, ...]) -> bool:
    """A slip never turns one place into another: 广东省X is not 广西省X."""
    return {p for p in places if p in written} == {p for p in places if p in name}


def _other_place(variant: str, written: str, places: tuple[str, ...]) -> bool:
    return any(p in written and p not in variant for p in places)


def _descending(date: str) -> tuple[int, ...]:
    return tuple(-ord(c) for c in date)
