"""Names of instruments in the forms people and texts use: comparison keys, short forms, draft marks, listed aliases."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import yaml


@lru_cache(maxsize=1)
def alias_data() -> Mapping[str, object]:
    """The lists of kb/data/aliases.yaml."""
    path = Path(__file__).parent / "data" / "aliases.yaml"
    return yaml.load(path.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


# nouns a title may end with, and those that tell two titles apart
NOUNS = tuple(alias_data()["nouns"])
TITLE_NOUNS = tuple(alias_data()["title_nouns"])
KEPT_MARKS = set("×+")
_DRAFT = re.compile(r"征求.{0,4}意见|征求.{0,2}见稿|草案|送审稿|修订稿|公开征求")
_DROPPED_WORDS = ("暂行", "试行", "管理", "实施", "促进", "若干", "工作", "发展")
_DRAFT_BRACKET = re.compile(r"[（(][^（）()]*(?:征求|草案|送审)[^（）()]*[）)]")


def title_key(title: str) -> str:
    """Comparison form of a title: NFKC, no white space, marks or brackets, lower case. × and + count as letters."""
    text = unicodedata.normalize("NFKC", title)
    return "".join(c for c in text if c.isalnum() or c in KEPT_MARKS).lower()


def is_draft_title(title: str) -> bool:
    """True for 征求意见稿, 草案, 送审稿."""
    return bool(_DRAFT.search(title))


def noun_of(name: str) -> str:
    return next((noun for noun in TITLE_NOUNS if name.endswith(noun)), "")


@lru_cache(maxsize=4096)
def derived_names(title: str) -> dict[str, str]:
    """Keys of the short forms of a title with their grade, formal or derived; the title's own key is not among them."""
    quoted = re.search(r"(?:印发|发布|公布|公开征求)《([^《》]+(?:〈[^〈〉]+〉[^《》]*)?)》", title)
    bases = [title] + ([quoted[1]] if quoted else [])
    own, names = title_key(title), {}
    for base in bases:
        bare = re.sub(r"[（(][^（）()]*[）)]", "", base)
        for form in (base, bare, _DRAFT_BRACKET.sub("", base)):
            formal = _formal(title_key(form))
            names.update(dict.fromkeys(formal, "formal"))
            for name in formal:
                for loose in _loose(name):
                    names.setdefault(loose, "derived")
    return {n: how for n, how in names.items() if n != own and len(n) >= 3 and n not in NOUNS}


def _formal(key: str) -> list[str]:
    """Forms that name the same instrument without doubt: without the state, without the makers before 关于."""
    forms = [key]
    if key.startswith("中华人民共和国"):
        forms.append(key[7:])
    about = re.match(r"^(.{0,60}?)关于(?:印发|发布|公布)?(.+)$", key)
    if about:
        forms += [f"关于{about[2]}", about[2]]
    return forms


def _loose(form: str) -> list[str]:
    """Forms people type: without place, without 的, 暂行, 管理 and other filler."""
    forms = [form, re.sub(r"的(?=(?:实施|指导|若干)?(?:意见|通知|方案|规定|措施|决定)$)", "", form)]
    place = re.match(r"^(.{2,4}?)(经济特区|省|市|自治区)(.{2,})$", form)
    if place:
        name, kind, rest = place.groups()
        forms += [name + rest, rest]
        if kind == "经济特区":
            forms += [f"{name}市{rest}", f"特区{rest}", f"{name}特区{rest}"]
    out = list(forms)
    for name in forms:
        noun = noun_of(name)
        core = name[: len(name) - len(noun)]
        lean = core
        for word in _DROPPED_WORDS:
            lean = lean.replace(word, "")
            if word in core and len(core) - len(word) >= 4:
                out.append(core.replace(word, "") + noun)
        if noun and len(lean) >= 4:
            out.append(lean + noun)
    return [name for name in out if name != form]
