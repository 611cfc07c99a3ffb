"""An amending text (修改决定, 修正案草案, 修改稿) and the instrument it amends in, the amended text out, instruction by instruction.

Places are those of the text in force, numbers after 作为 and 改为 those of the amended text (立法技术规范). What cannot be carried out
is named with its reason and left to people; nothing is guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from kb.models import Document, Provision, Unit
from kb.numerals import ANY_NUMERAL, article_label, article_number, to_int
from kb.versions import renumbering

REPLACE, INSERT, DELETE, WORDS, MOVE = "修改", "增加", "删去", "改字", "改条号"
# share of a text that is instructions and their new wording, from which the text is taken for an amending one
_MOSTLY = 0.5
_N = ANY_NUMERAL
_ART = rf"第{_N}条(?:之{_N})*"
_PLACE = rf"(?:原)?(?:(?P<art>{_ART}))?(?:第(?P<par>{_N})款)?(?:第(?P<item>{_N})项)?"
_MARK = rf"(?:{_N}、|[（(]{_N}[)）]|\d{{1,3}}[.．、])?"
_VERB = r"(?:修改|改)为|增加|新增|删[去除]|移至|合并|调整"
_HEAD = re.compile(
    rf"^\s*(?P<mark>{_MARK})\s*(?=(?:将|对|在|把)?(?:原)?(?:第{_N}[条款项章节]|删[去除]|增加|新增|全文|题目|标题|名称|本(?:条例|办法|规定|法)中))"
)
_CLAUSE_AFTER = re.compile(
    rf"”[，。；]?\s*(?=(?:同时|并)?，?(?:将|对|在|把)?(?:原)?(?:第{_N}[条款项][^“”]*(?:{_VERB})|(?:删[去除]|增加|新增)[^“”]*[条款项“]))"
)
_MOVED = re.compile(rf"(?:将|把)?(?:原)?(?P<old>{_ART})改为(?P<new>{_ART})")
_SWAP = re.compile(
    rf"(?P<where>{_PLACE}|全文|本(?:条例|办法|规定|法))中?的?“(?P<from>[^“”]+)”(?:统一)?(?:一律)?(?:修改|改)为“(?P<to>[^“”]*)”"
)
_DROP = re.compile(
    rf"删[去除](?P<a>{_PLACE})中?的?“(?P<x>[^“”]+)”|(?P<b>{_PLACE.replace('?P<', '?P<b_')})中?的?“(?P<y>[^“”]+)”删[去除]"
)
_GONE = re.compile(rf"删[去除](?P<list>(?:原)?第{_N}[条款项][^“”，。；]*)")
_NEW_ARTICLES = re.compile(rf"(?:增加|新增){_N}?条[，,]?(?:分别)?作为(?P<list>{_ART}(?:[、和至]{_ART})*)")
_NEW_UNIT = re.compile(
    rf"(?P<where>{_PLACE})(?:后|中)?(?:，)?(?:增加|新增){_N}?(?P<level>[款项])(?:[，,]?作为第(?P<at>{_N})[款项])?"
)
_NEW_TEXT = re.compile(rf"(?P<where>{_PLACE})(?:修改|改)为[：:]?\s*$")
_LABEL = re.compile(rf"^[“\s]*(?P<label>{_ART})(?:[\s　]+|(?=【))", re.M)


@dataclass(frozen=True, slots=True)
class Step:
    """One instruction: its words, what it does, the label in force and the new one, and why it was not carried out ("" if it was)."""

    kind: str
    words: str
    old: str = ""
    new: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Amended:
    """The amended text with the steps that made it; `text` begins with the title.

    `numbers` gives the new label of every article that stays, `rewritten` the labels in force of those that were replaced whole.
    """

    base_id: str
    title: str
    text: str
    steps: tuple[Step, ...]
    numbers: Mapping[str, str]
    rewritten: frozenset[str]

    @property
    def open_steps(self) -> tuple[Step, ...]:
        """Instructions that people have to carry out themselves."""
        return tuple(s for s in self.steps if s.problem)


@dataclass(frozen=True, slots=True)
class _Clause:
    """An instruction and the new wording after its colon; `article` is what a place without 条 refers to."""

    words: str
    body: str
    article: str


@dataclass(frozen=True, slots=True)
class _Edit:
    """New wording for a span of the text in force; an empty span inserts."""

    start: int
    end: int
    text: str


# -- reading the instructions -----------------------------------------------------------------------------------------------


def is_amending(text: str) -> bool:
    """True when most of a text is instructions to change another one, and not articles of its own."""
    items = list(_items(text))
    return bool(items) and sum(map(len, items)) >= _MOSTLY * len(text.strip())


def amended_names(text: str, title: str) -> list[str]:
    """Titles that an amending text may be about, most likely first: those in book marks near the top, then its own bare title."""
    bare = re.sub(r"[（(][^（）()]*[)）]|修正案|修改稿|修订稿", "", title)
    return list(dict.fromkeys([*re.findall(r"《([^《》]{3,60})》", title + text[:600]), bare.strip()]))


def _items(text: str) -> Iterator[str]:
    """Instructions with their new wording, in order; a line inside quotation marks never opens one."""
    held: list[str] = []
    quoted = False
    for line in text.splitlines():
        opens = not quoted and _HEAD.match(line) and re.search(_VERB, line)
        if opens and held:
            yield "\n".join(held)
        if opens:
            held = [line]
        elif held and not _closes(line):
            held.append(line)
        elif held:
            yield "\n".join(held)
            held = []
        last = max(line.rfind("“"), line.rfind("”"))
        quoted = line[last] == "“" if last >= 0 else quoted
    if held:
        yield "\n".join(held)


def _closes(line: str) -> bool:
    """The sentence after the last instruction: when the decision takes effect, or that numbers follow suit."""
    return bool(re.match(r"\s*(?:此外|本决定自|本修正案自|《[^《》]+》根据本)", line))


def _clauses(text: str) -> Iterator[_Clause]:
    article = ""
    for item in _items(text):
        at = 0
        for cut in [*(m.start() + 1 for m in _CLAUSE_AFTER.finditer(item)), len(item)]:
            part = item[at:cut].strip("，。；\n 　")
            at = cut
            words, body = _divided(part)
            named = re.search(_ART, words)
            article = named[0] if named else article
            yield _Clause(_HEAD.sub("", words) if _HEAD.match(words) else words, body, article)


def _divided(part: str) -> tuple[str, str]:
    """(instruction, new wording): the wording stands after the first colon that nothing but an instruction precedes."""
    match = re.search(r"[：:]\s*", part)
    if not match or not re.search(_VERB, part[: match.start()]):
        return part, ""
    return part[: match.start()].strip(), _unquoted(part[match.end() :])


def _unquoted(text: str) -> str:
    """Wording without the marks around it; each paragraph of a quotation opens with one, the last one closes."""
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    if not any(line.startswith("“") for line in lines):
        return "\n".join(lines)
    lines = [line.removeprefix("“") for line in lines]
    lines[-1] = re.sub(r"”[。；，]?$", "", lines[-1])
    return "\n".join(lines)


# -- carrying them out ------------------------------------------------------------------------------------------------------


def amend(text: str, base: Document) -> Amended:
    """The text in force as it would read after the instructions of an amending text.

    Args:
        text: the amending text.
        base: the instrument in force; only its articles are amended, annexes and preamble stay.
    """
    work = _Work(base)
    for clause in _clauses(text):
        work.carry_out(clause)
    return Amended(
        base.doc_id, base.meta.title, work.text(), tuple(work.steps), work.numbers(), frozenset(work.rewritten)
    )


class _Work:
    """The articles in force with the edits collected so far."""

    def __init__(self, base: Document) -> None:
        self.base = base
        self.articles = {p.label: p for p in base.provisions if p.kind == "article" and not p.part}
        self.edits: dict[str, list[_Edit]] = {}
        self.throughout: list[tuple[str, str]] = []
        self.gone: set[str] = set()
        self.rewritten: set[str] = set()
        self.moved: dict[str, str] = {}
        self.added: dict[tuple[int, ...], str] = {}
        self.steps: list[Step] = []

    def carry_out(self, clause: _Clause) -> None:
        """All that one clause asks for; a clause that says several things does them in order."""
        before = len(self.steps)
        words = clause.words
        for match in _MOVED.finditer(words):
            self._move(words, _canonical(match["old"]), _canonical(match["new"]))
        words = _MOVED.sub("", words)
        article = clause.article
        if moved := _MOVED.search(clause.words):
            article = moved["old"]
        words = self._words(words, article)
        if re.search(rf"第{_N}[章节]", words):
            return self._fail(REPLACE, clause.words, "", "章、节的改动没有自动套入，请人工处理")
        for match in _GONE.finditer(words):
            self._delete(clause.words, match["list"], article)
        if (match := _NEW_ARTICLES.search(words)) and clause.body:
            self._insert(clause.words, match["list"], clause.body)
        elif (match := _NEW_UNIT.search(words)) and clause.body:
            self._insert_unit(clause.words, match, article, clause.body)
        elif (match := _NEW_TEXT.search(words)) and clause.body:
            self._replace(clause.words, match, article, clause.body)
        if len(self.steps) == before:
            return self._fail(REPLACE, clause.words, "", "这一处没有自动套入，请人工处理")
        return None

    def _fail(self, kind: str, words: str, label: str, problem: str) -> None:
        self.steps.append(Step(kind, _short(words), label, "", problem))

    def _done(self, kind: str, words: str, old: str = "", new: str = "") -> None:
        self.steps.append(Step(kind, _short(words), old, new))

    def _edit(self, kind: str, words: str, label: str, edits: Sequence[_Edit]) -> None:
        held = self.edits.setdefault(label, [])
        if label in self.gone or any(_overlap(a, b) for a in held for b in edits):
            return self._fail(kind, words, label, "与另一处修改重叠，请人工处理")
        held += edits
        return self._done(kind, words, label)

    def _move(self, words: str, old: str, new: str) -> None:
        if old not in self.articles:
            return self._fail(MOVE, words, old, f"现行文本没有{old}")
        self.moved[old] = new
        return self._done(MOVE, words, old, new)

    def _words(self, words: str, article: str) -> str:
        """Replacements of single words, in one place or throughout; returns what else the clause says."""
        swaps = [(m, m["from"], m["to"], m["where"]) for m in _SWAP.finditer(words)]
        rest = _SWAP.sub("", words)
        swaps += [(m, m["x"] or m["y"], "", m["a"] or m["b"] or "") for m in _DROP.finditer(rest)]
        for match, old, new, where in swaps:
            if "全文" in where or where.startswith("本"):
                self.throughout.append((old, new))
                held = any(old in p.text for p in self.articles.values())
                (self._done if held else self._fail)(WORDS, match[0], "全文", "" if held else f"没有找到“{old}”")
                continue
            label, par, item = _place(where, article)
            unit = _unit(self.articles[label], par, item) if label in self.articles else None
            places = re.finditer(re.escape(old), self.base.text[unit.start : unit.end]) if unit else ()
            edits = [_Edit(unit.start + m.start(), unit.start + m.end(), new) for m in places]
            if edits:
                self._edit(WORDS, match[0], label, edits)
            else:
                self._fail(WORDS, match[0], label, f"没有找到“{old}”")
        return _DROP.sub("", rest)

    def _replace(self, words: str, match: re.Match[str], article: str, body: str) -> None:
        label, par, item = _place(match["where"], article)
        provision = self.articles.get(label)
        if provision is None:
            return self._fail(REPLACE, words, label, f"现行文本没有{label or '所指的条'}")
        if par is None and item is None:
            start = provision.start + len(_LABEL.match(provision.text)[0]) if _LABEL.match(provision.text) else 0
            text = _LABEL.sub("", body, count=1)
            self.rewritten.add(label)
            return self._edit(REPLACE, words, label, [_Edit(start or provision.start, _stop(provision), text)])
        unit = _unit(provision, par, item)
        if unit is None:
            return self._fail(REPLACE, words, label, "现行文本没有所指的款或项")
        return self._edit(REPLACE, words, label, [_Edit(unit.start, unit.end, body)])

    def _insert(self, words: str, labels: str, body: str) -> None:
        names = [_canonical(m) for m in re.findall(_ART, labels)]
        parts = [p.strip() for p in _LABEL.split(body)[2::2]] or [body]
        if len(parts) != len(names):
            return self._fail(INSERT, words, "、".join(names), f"写明 {len(names)} 条，新文本有 {len(parts)} 条")
        for name, part in zip(names, parts, strict=True):
            self.added[article_number(name)] = part
            self._done(INSERT, words, "", name)
        return None

    def _insert_unit(self, words: str, match: re.Match[str], article: str, body: str) -> None:
        label, par, _ = _place(match["where"], article)
        provision = self.articles.get(label)
        if provision is None:
            return self._fail(INSERT, words, label, f"现行文本没有{label or '所指的条'}")
        at = to_int(match["at"]) if match["at"] else None
        if match["level"] == "款":
            siblings = sorted({u.paragraph for u in provision.units})
            known = [[u for u in provision.units if u.paragraph == n] for n in siblings]
        else:
            known = [[u] for u in provision.units if u.item and not u.subitem and par in (None, u.paragraph)]
        after = len(known) if at is None else at - 1
        if not known or not 0 <= after <= len(known):
            return self._fail(INSERT, words, label, f"不能确定第{match['at'] or ''}{match['level']}的位置")
        place = max(u.end for u in known[after - 1]) if after else min(u.start for u in known[0])
        text = f"\n{body}" if after else f"{body}\n"
        return self._edit(INSERT, words, label, [_Edit(place, place, text)])

    def _delete(self, words: str, places: str, article: str) -> None:
        for place in re.split(r"[、和]", places):
            label, par, item = _place(place, article)
            article = label or article
            provision = self.articles.get(label)
            unit = _unit(provision, par, item) if provision else None
            if provision is None or unit is None:
                self._fail(DELETE, words, label, f"现行文本没有{place}")
            elif par is None and item is None:
                self.gone.add(label)
                self._done(DELETE, words, label)
            else:
                self._edit(DELETE, words, label, [_Edit(unit.start, unit.end, "")])

    # -- the text afterwards

    def numbers(self) -> dict[str, str]:
        """Label in force -> new label."""
        said = [f"{old}改为{new}" for old, new in self.moved.items()]
        said += [f"增加一条，作为{article_label(n)}" for n in self.added if len(n) < 2 or not n[1]]
        said += [f"删去{label}" for label in self.gone]
        highest = max((article_number(label)[0] for label in self.articles), default=0)
        numbers = renumbering("；".join(said), highest)
        return {label: numbers.get(label, label) for label in self.articles if label not in self.gone}

    def text(self) -> str:
        """Title, headings and articles with their new numbers; headings stay where they are."""
        base, numbers = self.base, self.numbers()
        waiting = sorted(self.added)
        first = min((p.start for p in self.articles.values()), default=0)
        first = min([first, *(h.start for h in base.headings if h.start < first)])
        out, position = [f"{base.meta.title}（修改草案）\n\n"], first
        for label, provision in self.articles.items():
            between = base.text[position : provision.start]
            position = provision.end
            if label in self.gone:
                out.append(between)
                continue
            new = numbers[label]
            while waiting and waiting[0] < article_number(new):
                out.append("\n" + _article(waiting[0], self.added[waiting.pop(0)]).rstrip("\n"))
            out += [between, _renamed(self._edited(label, provision), label, new)]
        out += ["\n" + _article(n, self.added[n]).rstrip("\n") for n in waiting]
        tail = base.text[position:] if self.articles else ""
        return "".join([*out, tail]).strip() + "\n"

    def _edited(self, label: str, provision: Provision) -> str:
        text = provision.text
        for edit in sorted(self.edits.get(label, ()), key=lambda e: e.start, reverse=True):
            start, end = edit.start - provision.start, edit.end - provision.start
            text = text[:start] + edit.text + text[end:]
        for old, new in self.throughout:
            text = text.replace(old, new)
        space = provision.text[len(provision.text.rstrip()) :]
        return re.sub(r"\n{2,}", "\n", text.rstrip()) + space


def _article(number: tuple[int, ...], body: str) -> str:
    return f"{article_label(number)} {body.strip()}\n"


def _renamed(text: str, old: str, new: str) -> str:
    return re.sub(rf"^(\s*){_ART}", rf"\g<1>{new}", text, count=1) if old != new else text


def _canonical(label: str) -> str:
    return article_label(article_number(label))


def _place(where: str, article: str) -> tuple[str, int | None, int | None]:
    """(label, paragraph, item) of a place in words; without 条 it is in the article spoken of before."""
    match = re.search(_PLACE, where.removeprefix("将").removeprefix("对").removeprefix("在"))
    found = match.groupdict() if match else {}
    label = found.get("art") or article
    numbers = [to_int(found[k]) if found.get(k) else None for k in ("par", "item")]
    return (_canonical(label) if label else "", *numbers)


def _unit(provision: Provision, par: int | None, item: int | None) -> Unit | None:
    """The 款 or 项 meant; the whole article as one unit where neither is named. A 款 holds its 项."""
    inside = [u for u in provision.units if par in (None, u.paragraph)]
    if item is not None:
        inside = [u for u in inside if u.item == item]
    if par is None and item is None:
        whole = Unit("article", 1, None, None, provision.label, provision.text, provision.start, provision.end)
        return whole
    if not inside:
        return None
    start, end = min(u.start for u in inside), max(u.end for u in inside)
    return replace(inside[0], start=start, end=end)


def _stop(provision: Provision) -> int:
    """End of the words of an article, before the white space that follows them."""
    return provision.start + len(provision.text.rstrip())


def _overlap(a: _Edit, b: _Edit) -> bool:
    return a.start < b.end and b.start < a.end


def _short(words: str) -> str:
    return re.sub(r"\s+", "", words)[:120]
