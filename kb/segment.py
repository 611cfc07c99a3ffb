"""Text to search terms: dictionary words with their parts, and character bigrams.

rjieba is jieba in Rust (same dictionary, same words, about 33 times faster); jieba is the fallback where rjieba
has no wheel. Long terms of our user dictionary also give their parts (公共数据资源授权运营 -> 公共数据, 授权, 运营).
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Callable
from importlib import resources

_TOKEN = re.compile(r"[\u3400-\u9fff]+|[a-z]+|[0-9]+(?:\.[0-9]+)?")
_CJK = re.compile(r"[\u3400-\u9fff]")


def search_key(text: str) -> str:
    """Form used for matching only: NFKC, lower case, 〇 as 零. Display text is never changed."""
    return unicodedata.normalize("NFKC", text).lower().replace("〇", "零").replace("○", "零")


def squeeze(text: str) -> str:
    """Text without white space: titles and labels are compared in this form."""
    return re.sub(r"\s", "", text)


def words(text: str) -> list[str]:
    """Words in reading order, long words followed by their parts; stop words and punctuation dropped."""
    cut, stop = _cutter(), _stopwords()
    out: list[str] = []
    for run in _TOKEN.findall(search_key(text)):
        if _CJK.match(run):
            out.extend(w for w in cut(run) if w not in stop)
        else:
            out.append(run)
    return out


def bigrams(text: str) -> list[str]:
    """Overlapping pairs of Chinese characters inside each run; runs of one character give that character."""
    out: list[str] = []
    for run in _TOKEN.findall(search_key(text)):
        if not _CJK.match(run):
            continue
        out.extend([run] if len(run) == 1 else [run[i : i + 2] for i in range(len(run) - 1)])
    return out


@functools.cache
def _cutter() -> Callable[[str], list[str]]:
    terms = load_list("userdict.txt")
    try:
        import rjieba

        engine = rjieba.Jieba()
        for term in terms:
            engine.add_word(term, None, None)
        return engine.cut_for_search
    except ImportError:
        import jieba

        tokenizer = jieba.Tokenizer()
        for term in terms:
            tokenizer.add_word(term)
        return tokenizer.lcut_for_search


def lexical_terms(text: str) -> dict[str, list[str]]:
    """What a text asks of each field of the lexical index."""
    asked = words(text)
    return {"words": asked, "bigrams": bigrams(text), "title": asked, "heading": asked}


@functools.cache
def _stopwords() -> frozenset[str]:
    return frozenset(load_list("stopwords.txt"))


def load_list(name: str) -> tuple[str, ...]:
    """Lines of a list in kb/data; blank lines and lines that start with # do not count."""
    text = (resources.files("kb") / "data" / name).read_text(encoding="utf-8")
    return tuple(line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#"))
