"""Thousands of damaged files: reading them raises ReadError or gives a text, quickly, and no sentence goes missing unsaid.

Seeded, so a failure repeats. The originals are our own digests and samples, and the real pages, PDF and DOCX files where they are at hand.
"""

from __future__ import annotations

import io
import random
import re
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import read_samples as sample

from kb.clean import clean_pages
from kb.corpus import SourceFile, to_document
from kb.errors import ReadError
from kb.ingest import preview
from kb.parse import segments
from kb.read import Limits, read_bytes

ROOT = Path(__file__).resolve().parent.parent
ORIGINALS = ROOT.parent / "shared" / "corpus" / "originals"
LIMITS = Limits(max_seconds=20)
SLOWEST_S = 10.0
# kind -> number of cases; together 2,310
CASES = {"md": 700, "html": 700, "docx": 350, "ofd": 300, "pdf": 180, "zip": 80}


def originals(kind: str) -> list[bytes]:
    """Files to damage: samples, and real ones of moderate size."""
    if kind == "md":
        found = [path.read_bytes() for path in sorted((ROOT / "corpus").rglob("*.md"))[:24]]
        return [sample.TEXT.encode(), sample.TEXT.encode("gb18030"), *found]
    made = {
        "html": sample.html,
        "docx": sample.sample_docx,
        "ofd": sample.sample_ofd,
        "pdf": lambda: sample.wrapped_pdf(rows=5),
        "zip": lambda: sample.archive({"甲.md": sample.TEXT, "乙.docx": sample.sample_docx()}),
    }[kind]()
    real = sorted(ORIGINALS.glob(f"*.{kind}")) if ORIGINALS.is_dir() else []
    small = [path.read_bytes() for path in real if path.stat().st_size < {"pdf": 210_000}.get(kind, 400_000)]
    return [made, *([] if kind == "pdf" else small), *small[: 1 if kind == "pdf" else 0]]


# --- damage --------------------------------------------------------------------------------------------------------------


def flip(data: bytearray, rng: random.Random) -> bytearray:
    for _ in range(rng.choice((1, 3, 20, 200))):
        data[rng.randrange(len(data))] = rng.randrange(256)
    return data


def cut(data: bytearray, rng: random.Random) -> bytearray:
    return data[: rng.randrange(1, len(data))] if rng.random() < 0.5 else data[rng.randrange(len(data)) :]


def drop(data: bytearray, rng: random.Random) -> bytearray:
    start = rng.randrange(len(data))
    del data[start : start + rng.choice((1, 2, 50, 2000))]
    return data


def repeat(data: bytearray, rng: random.Random) -> bytearray:
    start = rng.randrange(len(data))
    piece = data[start : start + rng.choice((10, 300, 5000))]
    return data[:start] + piece * rng.choice((2, 5)) + data[start:]


def insert(data: bytearray, rng: random.Random) -> bytearray:
    start = rng.randrange(len(data))
    junk = rng.choice(
        (
            b"\x00" * 9,
            b"\xff\xfe",
            "第三条".encode(),
            b"<div><p>",
            b"</body>",
            b"---\n",
            "\u202e\u200b".encode(),
            b"\r\n\r\n",
            b"<script>",
            bytes(rng.randrange(256) for _ in range(30)),
        )
    )
    return data[:start] + junk + data[start:]


def recode(data: bytearray, rng: random.Random) -> bytearray:
    text = bytes(data).decode("utf-8", "ignore")
    return bytearray(text.encode(rng.choice(("gb18030", "utf-16", "utf-8-sig", "latin-1")), "replace"))


def members(data: bytearray, rng: random.Random) -> bytearray:
    """Damage inside a zip container, so that checksums still hold."""
    try:
        with zipfile.ZipFile(io.BytesIO(bytes(data))) as source:
            content = {name: source.read(name) for name in source.namelist()}
    except Exception:
        return flip(data, rng)
    name = rng.choice(sorted(content))
    damaged = bytearray(content[name] or b"x")
    content[name] = bytes(rng.choice((flip, cut, drop, repeat, insert))(damaged, rng))
    if rng.random() < 0.2:
        content[rng.choice(("../" + name, "/abs/" + name, name.upper(), name.replace("/", "\\")))] = content.pop(name)
    return bytearray(sample.archive(content))


def elements(data: bytearray, rng: random.Random) -> bytearray:
    """Well-formed XML with elements removed, doubled, moved, or attributes changed: what odd writers produce."""
    from lxml import etree

    try:
        with zipfile.ZipFile(io.BytesIO(bytes(data))) as source:
            content = {name: source.read(name) for name in source.namelist()}
        name = rng.choice([name for name in sorted(content) if name.endswith(".xml")])
        root = etree.fromstring(content[name])
    except Exception:
        return members(data, rng)
    for _ in range(rng.choice((1, 3, 12))):
        nodes = [node for node in root.iter() if isinstance(node.tag, str) and node.getparent() is not None]
        if not nodes:
            break
        node, other = rng.choice(nodes), rng.choice(nodes)
        action = rng.randrange(4)
        if action == 0:
            node.getparent().remove(node)
        elif action == 1:
            node.addnext(etree.fromstring(etree.tostring(node)))
        elif action == 2 and node is not other and node not in other.iterancestors():
            other.append(node)
        elif node.attrib:
            node.set(
                rng.choice(sorted(node.attrib)),
                rng.choice(("", "0", "-1", "99999999999", "第", "../../x", "1e999", "%1%2%9")),
            )
    content[name] = etree.tostring(root)
    return bytearray(sample.archive(content))


DAMAGE: dict[str, tuple[Callable[[bytearray, random.Random], bytearray], ...]] = {
    "md": (flip, cut, drop, repeat, insert, recode),
    "html": (flip, cut, drop, repeat, insert, recode),
    "docx": (elements, elements, elements, elements, members, flip, cut),
    "ofd": (elements, elements, elements, elements, members, flip, cut),
    "pdf": (flip, cut, drop, repeat, insert),
    "zip": (members, members, flip, cut, drop),
}


def damaged(kind: str, number: int, files: list[bytes]) -> bytes:
    """Case `number` of a kind: always the same bytes."""
    rng = random.Random(f"{kind}/{number}")
    data = bytearray(files[number % len(files)])
    for _ in range(rng.choice((1, 1, 2))):
        data = rng.choice(DAMAGE[kind])(data, rng) or bytearray(b"x")
    return bytes(data)


# --- what must hold ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [kind for kind in CASES if kind != "zip"])
def test_damaged_files_are_read_or_refused_and_never_crash(kind):
    files = originals(kind)
    outcomes = {"read": 0, "refused": 0}
    for number in range(CASES[kind]):
        data = damaged(kind, number, files)
        started = time.monotonic()
        try:
            source = read_bytes(data, f"{number}.{kind}", f".{kind}", limits=LIMITS, ocr=False)
        except ReadError as error:
            assert error.hint, (kind, number)
            outcomes["refused"] += 1
            source = None
        assert time.monotonic() - started < SLOWEST_S, (kind, number)
        if source is None:
            continue
        outcomes["read"] += 1
        check_text(source, kind, number)
        if kind in ("md", "html"):
            check_nothing_is_lost(data, source, kind, number)
        if kind == "docx":
            check_words_are_kept(data, source, number)
    assert outcomes["read"] > CASES[kind] // 5, outcomes
    assert sum(outcomes.values()) == CASES[kind]


def test_damaged_archives_are_previewed_and_write_nothing(tmp_path):
    files, corpus = originals("zip"), tmp_path / "corpus"
    states = set()
    for number in range(CASES["zip"]):
        path = tmp_path / f"{number}.zip"
        path.write_bytes(damaged("zip", number, files))
        for item in preview([path], corpus, level="peers", limits=LIMITS, ocr=False):
            states.add(item.state)
            assert item.target == "" or re.fullmatch(r"fulltext/peers/[^/\\]+", item.target), (number, item.target)
        path.unlink()
    assert {"new", "refused"} <= states and not corpus.exists()


def check_text(source, kind: str, number: int) -> None:
    """The page map covers the text, and every third text goes through the whole of parsing with true offsets."""
    assert source.text.strip(), (kind, number)
    cleaned = clean_pages(source.text, source.pages)
    assert len(cleaned.pages) == len(source.pages), (kind, number)
    assert all(0 <= p.start <= p.end <= len(cleaned.text) for p in cleaned.pages), (kind, number)
    if number % 3:
        return
    document = to_document(source, SourceFile(Path("x"), f"{number}.{kind}", "national", "x"))
    assert document.quality in ("complete", "doubtful", "incomplete")
    assert all(document.text[p.start : p.end] == p.text for p in document.provisions), (kind, number)
    joined = "".join(document.text[start:end] for _, start, end in segments(document))
    assert joined == document.text, (kind, number)


_SENTENCE = re.compile("[\u4e00-\u9fff]{12,}。")


def check_nothing_is_lost(data: bytes, source, kind: str, number: int) -> None:
    """Plain text: every sentence is there. Pages: what is not there is small, or a finding speaks of it."""
    text = _decoded(data)
    if text is None:
        return
    if kind == "html":
        text = re.sub(
            r"<!--.*?(?:-->|$)|<(script|style|noscript|iframe|template|svg|textarea|select|nav)\b.*?(?:</\1|$)",
            "",
            text,
            flags=re.S | re.I,
        )
        text = re.sub(r"<[^>]*>", "\n", text)
    elif source.front:
        return
    wanted = _SENTENCE.findall(re.sub(r"[^\S\n]", "", text))
    kept = "".join(clean_pages(source.text).text.split())
    lost = [sentence for sentence in wanted if sentence not in kept]
    if kind == "md":
        assert not lost, (number, lost[:2])
    elif len(lost) > max(2, 0.15 * len(wanted)):
        assert source.findings, (number, len(lost), len(wanted))


def check_words_are_kept(data: bytes, source, number: int) -> None:
    """Every w:t that stands in the body outside deletions and fallbacks is in the text."""
    from lxml import etree

    w = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            root = etree.fromstring(archive.read("word/document.xml"))
    except (KeyError, etree.XMLSyntaxError):
        return
    body = root.find(f"{w}body")
    hidden = ("del", "moveFrom", "Fallback", "pPr", "rPr", "tblPr", "tblGrid", "trPr", "tcPr", "sectPr")
    kept = "".join(source.text.split())
    for node in body.iter(f"{w}t") if body is not None else ():
        above = [parent.tag.rsplit("}", 1)[-1] for parent in node.iterancestors()]
        words = "".join((node.text or "").split())
        if "p" in above and not set(above) & set(hidden) and "vMerge" not in above and len(words) > 5:
            assert words in kept, (number, words)


def _decoded(data: bytes) -> str | None:
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return None
