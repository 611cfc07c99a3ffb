"""Exact things come first: 2,000 addresses of real documents, each written in one of eight styles."""

from __future__ import annotations

import random
import re

import pytest

from kb.models import Provision
from kb.numerals import article_label
from kb.search import search

N_ADDRESSES = 2000


def _arabic(number: tuple[int, int]) -> str:
    return f"第{number[0]}条" + (f"之{number[1]}" if number[1] else "")


def _styles(title: str, doc_no: str | None, provision: Provision, rng: random.Random) -> dict[str, str]:
    number = (provision.number[0], provision.number[1] if len(provision.number) > 1 else 0)
    label = article_label(number)
    deep = next((u for u in provision.units if u.level == "item"), None) or (
        provision.units[-1] if provision.units else None
    )
    # a slip of one character, never in the characters that tell two instruments apart (years, brackets, digits)
    places = [i for i, c in enumerate(title) if re.match(r"[\u4e00-\u9fff]", c) and 2 <= i < len(title) - 2]
    at = rng.choice(places)
    slip = title[:at] + "某" + title[at + 1 :]
    styles = {
        "quoted": f"《{title}》{label}",
        "bare": f"{title}{label}",
        "spaced": f"{title} {label}",
        "arabic": f"{title}{_arabic(number)}",
        "short": f"{title} {number[0]}条" if not number[1] else f"{title}{label}",
        "unit": f"{title}{deep.address if deep else label}",
        "slip": f"{slip}{label}",
    }
    if doc_no and not doc_no.endswith("令"):
        styles["number"] = f"{doc_no} {label}"
    return styles


@pytest.fixture(scope="module")
def addresses(lexical_library) -> list[tuple[str, str, str, str]]:
    """(style, query, title, address expected) for a seeded sample over all statutes of the library."""
    rng = random.Random(2026)
    pool = []
    for info in lexical_library.documents:
        seqs = [seq for seq, _ in lexical_library.provision_seqs(info.seq)]
        for _, provision in lexical_library.provisions(seqs).values():
            if provision.kind == "article" and not provision.part:
                pool.append((info, provision))
    out = []
    names = ["quoted", "bare", "spaced", "arabic", "short", "unit", "slip", "number"]
    while len(out) < N_ADDRESSES:
        info, provision = rng.choice(pool)
        styles = _styles(info.meta.title, info.meta.doc_no, provision, rng)
        style = names[len(out) % len(names)]
        query = styles.get(style) or styles["bare"]
        out.append((style, query, info.meta.title, provision.label))
    return out


def test_every_written_address_is_the_first_hit(lexical_library, addresses):
    missed = []
    for style, query, title, label in addresses:
        hits = search(lexical_library, query, top=1).hits
        if not hits or (hits[0].title, hits[0].article) != (title, label) or not hits[0].pinned:
            missed.append(f"{style}: {query} -> {hits[0].citation if hits else 'nothing'}")
    assert not missed, f"{len(missed)} of {len(addresses)}: " + "; ".join(missed[:10])


@pytest.mark.parametrize(
    ("query", "article", "address"),
    [
        ("个保法第三十八条第一款", "第三十八条", "第三十八条第一款"),
        ("个人信息保护法38条1款2项", "第三十八条", "第三十八条第一款第二项"),
        ("网数条例33条", "第三十三条", "第三十三条"),
    ],
)
def test_short_names_and_units_lead_to_the_exact_place(lexical_library, query, article, address):
    hit = search(lexical_library, query, top=1).hits[0]
    assert (hit.article, hit.address) == (article, address)


def test_two_citations_in_one_query_are_both_pinned_in_order(lexical_library):
    hits = search(lexical_library, "数据安全法第三十条 网络数据安全管理条例第三十三条", top=5).hits
    assert [(h.title, h.article) for h in hits[:2]] == [
        ("中华人民共和国数据安全法", "第三十条"),
        ("网络数据安全管理条例", "第三十三条"),
    ]


def test_an_article_that_does_not_exist_is_said_and_not_replaced(lexical_library):
    result = search(lexical_library, "数据安全法第九十九条")
    assert "没有这一条" in result.message
    assert not any(h.pinned for h in result.hits)
