"""Outlines of real documents, reviewed by eye against their source; a missing one is written and the test fails so that someone looks.

A golden file holds addresses, numbers, at most twelve characters of each heading, and a hash of the letters of each provision.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from kb.clean import clean_text
from kb.metadata import extract_metadata
from kb.parse import parse
from kb.read import read_file

GOLDEN = Path(__file__).parent / "golden"
FILES = (
    "national/中华人民共和国网络安全法.md",
    "national/中华人民共和国个人信息保护法.md",
    "national/网络数据安全管理条例.md",
    "national/公共数据资源登记管理暂行办法.md",
    "national/公共数据资源授权运营实施规范（试行）.md",
    "national/国家发展改革委国家数据局关于建立公共数据资源授权运营价格形成机制的通知.md",
    "national/中共中央国务院关于构建数据基础制度更好发挥数据要素作用的意见.md",
    "national/可信数据空间发展行动计划（2024—2028年）.md",
    "national/个人信息保护合规审计管理办法.md",
    "national/全国一体化政务大数据体系建设指南.md",
    "national/财政部数据资产全过程管理试点方案.md",
    "national/数据领域常用名词解释（第二批）.md",
    "shenzhen/深圳经济特区数据条例.md",
    "shenzhen/深圳经济特区人工智能产业促进条例.md",
    "shenzhen/深圳市人工智能语料券专项资金操作规程.md",
    "guangdong/广州市数据条例.md",
    "peers/上海市公共数据资源授权运营管理办法.md",
    "peers/甘肃省数据条例.md",
)


def outline(document) -> dict:
    """What a reviewer compares with the source: the tree, the addresses of units, and a hash of each text."""
    return {
        "title": document.meta.title,
        "headings": [f"{h.level} {h.number} {h.title[:12]}".strip() for h in document.headings],
        "provisions": [
            {
                "id": p.provision_id.split("/", 1)[1],
                "kind": p.kind,
                "path": [step[:12] for step in p.heading_path],
                "units": [u.address.removeprefix(p.label) for u in p.units if u.address != p.label],
                "text": _hash(p.text),
            }
            for p in document.provisions
        ],
        "plain": sorted({s.kind for s in document.plain} - {"blank"}),
    }


def _hash(text: str) -> str:
    """Hash of letters and digits: cleaning of spaces and marks does not change it."""
    return hashlib.sha256("".join(c for c in text if c.isalnum()).encode()).hexdigest()[:12]


@pytest.mark.parametrize("name", FILES)
def test_a_real_document_keeps_its_reviewed_outline(shared_corpus, name):
    path = shared_corpus / name
    text = clean_text(read_file(path).text)
    meta, _ = extract_metadata(text, path_level=name.split("/")[0], file_name=path.stem)
    found = outline(parse(text, meta, doc_id=path.stem))
    expected = GOLDEN / f"{path.stem}.json"
    if not expected.exists():
        expected.write_text(_dump(found), encoding="utf-8")
        pytest.fail(f"{expected.name} was missing and has been written; compare it with {name} and commit it")
    assert found == json.loads(expected.read_text(encoding="utf-8"))


def _dump(found: dict) -> str:
    """One provision a line, so that a review reads like the outline itself."""
    rows = ",\n  ".join(json.dumps(p, ensure_ascii=False) for p in found["provisions"])
    head = ",\n ".join(
        f"{json.dumps(k)}: {json.dumps(v, ensure_ascii=False)}" for k, v in found.items() if k != "provisions"
    )
    return f'{{{head},\n "provisions": [\n  {rows}\n ]}}\n'
