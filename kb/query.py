"""A query in, what we understood of it out: words to add, places, dates, numbers, intent.

Nothing here is applied silently: every reading is a `Reading` that the front doors show and that a user may switch
off by its key.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from importlib import resources

import yaml

from kb.models import LEVELS
from kb.segment import load_list, search_key

MAX_QUERY_CHARS = 500
_LONGEST_TERM = 12
_LIST_MARK = re.compile(r"[、和与及]|以及")
# words in a query -> level; 省 and 市 alone are too common to mean a place. Named places stand in kb/data/places.yaml.
_OTHER_PLACES = "外地|其他城市|别的城市|兄弟省市|各省|各地|各市"
_LEVEL_WORDS = (
    ("shenzhen", re.compile(r"深圳|特区|本市|我市|我们市|市里")),
    ("guangdong", re.compile(r"广东|本省|我省|省里|粤")),
    (
        "national",
        re.compile(
            r"国家(?:层面|规定|要求|标准|法律|政策|对应|依据|文件|有|怎么|是怎么|与|和)|上位法|全国性|中央|法律法规|国家(?=$|\s)"
        ),
    ),
    ("peers", re.compile(rf"{_OTHER_PLACES}|哪些地方(?=支持|在|有|已|出台)|地方规定")),
)
# 沪粤川: one-character names count only where at least two stand together
_SHORT_RUN = re.compile(r"[京沪津渝冀晋辽苏浙皖闽赣鲁豫鄂湘粤桂琼川黔滇陕陇穗锡杭甬蓉深]{2,}")
_SINCE = re.compile(r"((?:19|20)\d{2})\s*年?\s*(?:\d{1,2}月)?\s*(?:以来|以后|之后|起(?!草)|至今)")
_UNTIL = re.compile(r"((?:19|20)\d{2})\s*年?\s*(?:以前|之前)")
_INTENTS = (
    ("counterpart", re.compile(r"对应(?:哪|的|条|规定)|对应$|对应(?=\s)|相对应|上位法依据")),
    (
        "presence",
        re.compile(r"(?:有没有|有无|是否)[^，。；？]{0,4}(?:规定|条款|条文|要求|依据|涉及|写|提)|有没有(?=$|\s)"),
    ),
    ("across", re.compile(rf"{_OTHER_PLACES}|哪些(?:地方|省|市|城市)")),
    ("comparison", re.compile(r"对照|区别|比较|对比|异同|有什么不同|差异")),
    (
        "definition",
        re.compile(
            r"是什么|什么是|指什么|指谁|指哪|指的是|说的是谁|是指|什么意思|啥意思|定义|含义|何谓|界定|怎么区分|才算|叫什么"
        ),
    ),
    (
        "amount",
        re.compile(
            r"多久|多长|多少|几[天日年月个小倍]|期限|时限|什么时候|何时|哪一?年|多快|最多|最高|以上|以下|[0-9]+万?人?"
        ),
    ),
    ("liability", re.compile(r"罚|处分|法律责任|后果|追究|追责|担责|违法所得")),
    ("draft", re.compile(r"征求意见|草案|意见稿|送审稿")),
    (
        "responsibility",
        re.compile(
            r"谁(?:负责|来|管|制定|审批|定|抓|出|编|牵头|统筹|评|监督)|由谁|由哪|归谁|归哪|哪[个些](?:部门|机构|局|单位|部委)|各管啥|怎么分工"
        ),
    ),
)
_NUMBER = re.compile(
    r"([0-9]+(?:\.[0-9]+)?)\s*(亿|万|千|百)?|([零〇一二两三四五六七八九十百千]{1,8})(亿|万)(?=[人元条以])"
)


@dataclass(frozen=True, slots=True)
class Reading:
    """One thing understood: `kind` is place, since, until, intent, wording or number; `key` switches it off."""

    key: str
    kind: str
    said: str
    means: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Query:
    """A query as typed (shortened, in simplified characters), and everything read out of it."""

    text: str
    readings: tuple[Reading, ...]

    def of(self, kind: str) -> list[Reading]:
        """Readings of one kind, in order of appearance."""
        return [r for r in self.readings if r.kind == kind]

    @property
    def places(self) -> tuple[str, ...]:
        """Levels asked for."""
        return tuple(dict.fromkeys(m for r in self.of("place") for m in r.means if m in LEVELS))

    @property
    def regions(self) -> tuple[str, ...]:
        """Places asked for by name, as stems (湖南)."""
        return tuple(dict.fromkeys(m for r in self.of("place") for m in r.means if m not in LEVELS))

    @property
    def intents(self) -> frozenset[str]:
        return frozenset(m for r in self.of("intent") for m in r.means)

    @property
    def compares_levels(self) -> bool:
        """A comparison of levels or places; one of two terms (有什么区别) is none."""
        return "comparison" in self.intents and ("across" in self.intents or len(self.of("place")) > 1)

    @property
    def added_words(self) -> tuple[str, ...]:
        """Statutory wording for everyday words, without repetition."""
        return tuple(dict.fromkeys(m for kind in ("wording", "number") for r in self.of(kind) for m in r.means))


def understand(text: str, *, ignore: Collection[str] = ()) -> Query:
    """Read a query; `ignore` lists keys of readings that the user switched off."""
    text = re.sub(r"\s+", " ", text).strip()[:MAX_QUERY_CHARS].translate(_simplified())
    key_text = search_key(text)
    readings = (
        *_places(key_text),
        *_dates(key_text),
        *_intents(key_text),
        *_shared_heads(key_text),
        *_wording(key_text),
        *_numbers(key_text),
    )
    return Query(text, tuple(r for r in readings if r.key not in ignore))


@functools.cache
def _simplified() -> dict[int, str]:
    """Traditional characters to simplified ones; the script a query is typed in is no reading to be undone."""
    lines = load_list("traditional.txt")
    return {
        ord(a): b for odd, even in zip(lines[::2], lines[1::2], strict=True) for a, b in zip(odd, even, strict=True)
    }


def _places(text: str) -> list[Reading]:
    by_level = [
        Reading(f"place:{level}", "place", match[0], (level,))
        for level, pattern in _LEVEL_WORDS
        if (match := pattern.search(text))
    ]
    short, found = "".join(_SHORT_RUN.findall(text)), []
    for place in place_table():
        said = next((n for n in place.names if n in text), None) or next((c for c in place.short if c in short), None)
        if said:
            found.append(
                Reading(
                    f"place:{place.stems[0]}", "place", said, (*([place.level] if place.level else []), *place.stems)
                )
            )
    # 深圳 and 广东 are levels as well as places: one reading each
    named = {r.means[0] for r in found}
    return [r for r in by_level if r.means[0] not in named] + found


@dataclass(frozen=True, slots=True)
class Place:
    """A place as queries name it; `stems` are what titles and makers are compared with."""

    names: tuple[str, ...]
    short: tuple[str, ...]
    level: str
    stems: tuple[str, ...]


@functools.cache
def place_table() -> Sequence[Place]:
    """The places of kb/data/places.yaml; names are search keys."""
    rows = yaml.safe_load((resources.files("kb") / "data" / "places.yaml").read_text(encoding="utf-8"))
    return tuple(
        Place(
            tuple(search_key(n) for n in row["names"]),
            tuple(row.get("short", ())),
            row.get("level") or ("peers" if "of" in row else ""),
            tuple(row.get("of") or row["names"][:1]),
        )
        for row in rows
    )


def _dates(text: str) -> list[Reading]:
    out = []
    if match := _SINCE.search(text):
        out.append(Reading("since", "since", match[0], (f"{match[1]}-01-01",)))
    if match := _UNTIL.search(text):
        out.append(Reading("until", "until", match[0], (f"{match[1]}-01-01",)))
    return out


def _intents(text: str) -> list[Reading]:
    return [
        Reading(f"intent:{name}", "intent", m[0], (name,)) for name, pattern in _INTENTS if (m := pattern.search(text))
    ]


def _wording(text: str) -> list[Reading]:
    out = []
    for says, means in everyday_table():
        said = next((s for s in says if s in text), None)
        fresh = tuple(m for m in means if m not in text)
        if said and fresh:
            out.append(Reading(f"wording:{said}", "wording", said, fresh))
    return out


def _shared_heads(text: str) -> list[Reading]:
    """Terms of a list in full: 数据持有权、使用权 also means 数据使用权. Only terms of the dictionary are completed."""
    out, head = [], ""
    for before, after in itertools.pairwise(_LIST_MARK.split(text)):
        head = _term_at_end(before) or head
        for said, full in (
            (after[:n], head[:cut] + after[:n])
            for cut in range(len(head) - 1, 1, -1)
            for n in range(min(len(after), _LONGEST_TERM), 1, -1)
        ):
            if full in _terms() and full not in text:
                out.append(Reading(f"wording:{full}", "wording", said, (full,)))
                break
    return out


def _term_at_end(text: str) -> str:
    """The longest term of the dictionary that a text ends with, or ""."""
    return next((text[i:] for i in range(max(0, len(text) - _LONGEST_TERM), len(text) - 2) if text[i:] in _terms()), "")


@functools.cache
def _terms() -> frozenset[str]:
    return frozenset(load_list("userdict.txt"))


def _numbers(text: str) -> list[Reading]:
    """Other ways to write a number: 一千万 and 1000万, 14岁 and 十四周岁."""
    from kb.numerals import to_chinese, to_int

    out = []
    for match in _NUMBER.finditer(text):
        if match[3]:
            other = f"{to_int(match[3])}{match[4]}"
        elif match[2] or len(match[1]) <= 3:
            value = float(match[1])
            if not value.is_integer() or not 1 <= value <= 9999:
                continue
            other = to_chinese(int(value)) + (match[2] or "")
        else:
            continue
        out.append(Reading(f"number:{match[0]}", "number", match[0], (other,)))
    return out


@functools.cache
def everyday_table() -> Sequence[tuple[tuple[str, ...], tuple[str, ...]]]:
    """(what people say, what texts say), longest saying first inside a row; search keys."""
    rows = yaml.safe_load((resources.files("kb") / "data" / "everyday.yaml").read_text(encoding="utf-8"))
    return tuple(
        (tuple(sorted((search_key(s) for s in row["say"]), key=len, reverse=True)), tuple(row["means"])) for row in rows
    )
