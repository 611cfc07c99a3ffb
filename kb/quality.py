"""A parsed document and its source in, a verdict out: complete 完整, doubtful 可用有疑 or incomplete 不完整, with reasons and pages.

An error says that text is missing or unreadable (incomplete: it can never show that something is not covered), a warning that a person
should look (doubtful). Every check looks at one symptom and knows nothing of the others.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import pairwise

from kb.clean import letter_spacing
from kb.models import Document, Finding, Provision, SourceText
from kb.numerals import article_label

FEW_PER_PAGE, THIN_PER_PAGE = 150, 250
FEW_AT_ALL = 60
FOREIGN_BAD, FOREIGN_ODD = 0.02, 0.002
RARE_BAD, RARE_ODD = 0.25, 0.12
OCR_BAD, OCR_ODD = 0.85, 0.93
NAMES = {"complete": "完整", "doubtful": "可用有疑", "incomplete": "不完整"}

Check = Callable[[Document, SourceText], Iterator[Finding]]


def assess(document: Document, source: SourceText) -> tuple[str, tuple[Finding, ...]]:
    """(complete, doubtful or incomplete; findings, worst first). Digests are judged only on whether they can be read."""
    checks = _ALWAYS if document.meta.text_kind == "digest" else (*_ALWAYS, *_FULL_TEXT)
    found = [finding for check in checks for finding in check(document, source)]
    severities = {finding.severity for finding in (*found, *source.findings)}
    order = {"error": 0, "warning": 1, "info": 2}
    quality = "incomplete" if "error" in severities else "doubtful" if "warning" in severities else "complete"
    return quality, tuple(sorted(found, key=lambda finding: order[finding.severity]))


def page_of(document: Document, position: int) -> int | None:
    """Number of the page that holds a position of the text, or None without a page map."""
    return next((page.number for page in document.pages if page.start <= position < page.end), None)


def _visible(text: str) -> int:
    return sum(map(len, text.split()))


def _at(document: Document, position: int) -> str:
    """ " (page 4)" for a message, or nothing."""
    page = page_of(document, position)
    return f" (page {page})" if page else ""


# --- can it be read ------------------------------------------------------------------------------------------------------


_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff]")
_FOREIGN = re.compile(
    "[\ue000-\uf8ff\ufffd\u0300-\u036f\u0530-\u1fff\u2c00-\u2e7f\ua000-\ua95f\ua980-\uabff\uac00-\ud7ff\U000f0000-\U0010ffff]"
)
_LATIN = re.compile("[A-Za-zÀ-ÿ]")
_SNOW = re.compile(
    r"(?:\*{2,}|@@|★)(?=[\u4e00-\u9fff])|[（(](?<=[\u4e00-\u9fff][（(])[a-zāáǎàēéěèīíǐìōóǒòūúǔùǖǘǚǜ]{1,6}[）)](?=[\u4e00-\u9fff])"
)


def _some_text(document: Document, source: SourceText) -> Iterator[Finding]:
    size = _visible(document.text)
    if size < FEW_AT_ALL:
        yield Finding(
            "error",
            source.path,
            f"only {size} characters of text",
            "Get the document again; this holds next to nothing of it.",
        )


def _readable(document: Document, source: SourceText) -> Iterator[Finding]:
    """Mojibake shows as characters no policy text has, as rare characters, or as Latin letters in place of Chinese."""
    text = document.text
    size = _visible(text)
    if not size:
        return
    n_han = n_rare = n_latin = foreign = 0
    for char, n in Counter(text).items():
        kind = _kind(char)
        n_han += n if kind in ("common", "rare") else 0
        n_rare += n if kind == "rare" else 0
        n_latin += n if kind == "latin" else 0
        foreign += n if kind == "foreign" else 0
    where = _at(document, _FOREIGN.search(text).start()) if foreign else ""
    fix = "Get the document from its official page, or read a scan of it with OCR."
    if foreign > FOREIGN_BAD * size and _garbles_body(document, foreign / size):
        yield Finding(
            "error",
            source.path,
            f"garbled: {foreign / size:.0%} of the characters belong to no Chinese text{where}",
            fix,
        )
    elif foreign > FOREIGN_ODD * size or "\ufffd" in text:
        yield Finding(
            "warning",
            source.path,
            f"{foreign} characters could not be read{where}",
            "Compare the places with the source.",
        )
    rare = n_rare / max(1, n_han)
    if n_han >= 40 and rare > RARE_BAD:
        yield Finding(
            "error", source.path, f"garbled: {rare:.0%} of the characters are rare ones, as after a wrong decoding", fix
        )
    elif n_han >= 200 and rare > RARE_ODD:
        yield Finding(
            "warning",
            source.path,
            f"{rare:.0%} of the characters are rare ones",
            "Read a page; the encoding or the font table may be wrong.",
        )
    if size >= FEW_AT_ALL and n_han < 0.3 * size and n_latin > n_han:
        yield Finding("error", source.path, "hardly any Chinese text", "Is this the document itself?")
    snow = _SNOW.findall(text)
    if len(snow) >= 3 and (len(set(snow)) >= 3 or snow[0][0] not in "（("):
        yield Finding(
            "warning",
            source.path,
            f"{len(snow)} marks or pinyin put between the characters",
            "A mirror site; get the official page.",
        )


def _garbles_body(document: Document, share: float) -> bool:
    """False when only the frame of a page is garbled: its menu has a font of its own, and the last provision runs into its footer."""
    body = sorted((p for p in document.provisions if p.kind in ("article", "point")), key=lambda p: p.end)
    if len(body) < 3 or share > 0.5:
        return True
    return any(len(_FOREIGN.findall(p.text)) > FOREIGN_BAD * len(p.text) + 2 for p in body[:-1])


@lru_cache(maxsize=1)
def _common() -> frozenset[str]:
    """The 3,755 characters of GB 2312 level 1, in order of pinyin: what running text is made of."""
    return frozenset(
        bytes((row, cell)).decode("gb2312")
        for row in range(0xB0, 0xD8)
        for cell in range(0xA1, 0xFF)
        if not (row == 0xD7 and cell > 0xF9)
    )


@lru_cache(maxsize=100_000)
def _kind(char: str) -> str:
    """common or rare (Chinese characters), latin, foreign, or other."""
    if _HAN.match(char):
        return "common" if char in _common() else "rare"
    return "foreign" if _FOREIGN.match(char) else "latin" if _LATIN.match(char) else "other"


def _recognised(document: Document, source: SourceText) -> Iterator[Finding]:
    confidence = source.ocr_confidence
    if confidence is None:
        return
    if confidence < OCR_ODD:
        severity = "error" if confidence < OCR_BAD else "warning"
        yield Finding(
            severity,
            source.path,
            f"OCR confidence {confidence:.2f}",
            "Scan it again with 200 dpi or more, or find a text edition.",
        )


# --- is all of it there --------------------------------------------------------------------------------------------------


def _page_count(document: Document, source: SourceText) -> int:
    """Pages of the file, from its page map or from what an import tool noted in the front matter."""
    noted = source.front.get("pages") or source.front.get("页数") or 0
    return max(len(document.pages), noted if isinstance(noted, int) else int(noted) if str(noted).isdigit() else 0)


def _pages_have_text(document: Document, source: SourceText) -> Iterator[Finding]:
    pages = _page_count(document, source)
    size = _visible(document.text)
    fix = "Pages are pictures or were lost; read the file with OCR or get the official page."
    if pages >= 2 and size < FEW_PER_PAGE * pages:
        yield Finding(
            "error",
            source.path,
            f"{size:,} characters on {pages} pages, {size / pages:.0f} a page: most of the text is missing",
            fix,
        )
        return
    if pages >= 3 and size < THIN_PER_PAGE * pages:
        yield Finding("warning", source.path, f"{size / pages:.0f} characters a page on {pages} pages", fix)
    usual = size / max(1, len(document.pages))
    empty = [p.number for p in document.pages[1:-1] if _visible(document.text[p.start : p.end]) < min(20, 0.1 * usual)]
    if empty and usual > 100:
        shown = ", ".join(map(str, empty[:10]))
        yield Finding(
            "warning",
            source.path,
            f"page {shown} without text between pages with text",
            "Look at the page; a table or picture may be missing.",
        )


_EXCERPT = re.compile(r"编$|节选|摘录|摘编|分则$")


def _articles_follow(document: Document, source: SourceText) -> Iterator[Finding]:
    """Missing articles mean missing text, unless the number stands inside the article before."""
    for part, articles in _by_part(document, "article").items():
        name = f"{part}: " if part else ""
        numbers = [a.number[0] for a in articles]
        if numbers[0] > 1:
            severity = "warning" if _EXCERPT.search(document.meta.title) else "error"
            yield Finding(
                severity,
                source.path,
                f"{name}begins with {articles[0].label}",
                "The beginning is missing; get the whole document.",
            )
        for before, after in pairwise(articles):
            lost = range(before.number[0] + 1, after.number[0])
            if not lost:
                continue
            inside = [n for n in lost if re.search(rf"{article_label(n)}|第\s?{n}\s?条", before.text)]
            label = article_label(lost[0]) + (f"至{article_label(lost[-1])}" if len(lost) > 1 else "")
            severity = "warning" if len(inside) == len(lost) else "error"
            what = "stands inside the article before it" if severity == "warning" else "missing"
            yield Finding(
                severity,
                source.path,
                f"{name}{label} {what}{_at(document, before.end - 1)}",
                "Look for lost pages or a joined paragraph.",
            )


def _points_follow(document: Document, source: SourceText) -> Iterator[Finding]:
    """Gaps in outlines are often slips of the makers, so a single one is only doubtful."""
    gaps = [f.what for f in document.findings if f.what.startswith("numbers jump from") and "条" not in f.what]
    if not gaps:
        return
    points = len(_points(document))
    severity = "error" if len(gaps) >= 3 and len(gaps) >= 0.15 * points else "warning"
    yield Finding(
        severity, source.path, f"outline: {'; '.join(gaps[:3])}", "Look for lost pages or a number that was lost."
    )


def _no_doubles(document: Document, source: SourceText) -> Iterator[Finding]:
    doubled = [
        p for p in document.provisions if "~" in p.provision_id.rsplit("#", 1)[-1] and p.kind in ("article", "point")
    ]
    if doubled:
        labels = "、".join(p.label for p in doubled[:4])
        yield Finding(
            "warning",
            source.path,
            f"{labels} stands more than once{_at(document, doubled[0].start)}",
            "Two documents in one file, or a doubled page?",
        )


def _contents_kept(document: Document, source: SourceText) -> Iterator[Finding]:
    """A chapter named in the table of contents must stand in the text."""
    listed = "\n".join(document.text[s.start : s.end] for s in document.plain if s.kind == "contents")
    wanted = re.findall(r"第([一二三四五六七八九十百]+)章", listed)
    if len(wanted) < 2:
        return
    body = {
        m
        for h in document.headings
        for m in re.findall(r"第([一二三四五六七八九十百]+)章", document.text[h.start : h.end])
    }
    # a heading listed twice: the contents ran into the text, so the second one is the heading itself
    lost = [f"第{n}章" for n in dict.fromkeys(wanted) if n not in body and wanted.count(n) < 2]
    if lost and body:
        yield Finding(
            "error",
            source.path,
            f"{'、'.join(lost[:5])} in the contents but not in the text",
            "Pages are missing; get the whole document.",
        )
    elif lost:
        yield Finding(
            "warning", source.path, "a table of contents, but no chapter headings in the text", "Look at the headings."
        )


_SENT_OUT = re.compile(
    r"(?:现|予以|一并)?(?:将.{0,60})?(?:印发|发布|公布|转发)给你们|现予(?:以)?(?:印发|发布|公布)|(?:全文|原文)(?:见|请查看|下载)附件|请(?:下载|查看)附件"
)


def _not_only_a_wrapper(document: Document, source: SourceText) -> Iterator[Finding]:
    """A notice that sends out a document which is not in the file."""
    articles = [p for p in document.provisions if p.kind == "article"]
    if articles or len(_points(document)) > 2 or _visible(document.text) > 1500 or len(document.text) < FEW_AT_ALL:
        return
    if match := _SENT_OUT.search(document.text):
        quote = match[0][:16]
        yield Finding(
            "error",
            source.path,
            f"a covering notice (…{quote}…) without the document it sends out",
            "Add the attachment.",
        )


def _prose(document: Document, source: SourceText) -> Iterator[Finding]:
    """A page of links or a search result has words but no sentences."""
    if any(p.kind in ("article", "point", "term") for p in document.provisions):
        return
    size = _visible(document.text)
    ends = document.text.count("。") + document.text.count("；")
    if size >= FEW_AT_ALL and ends < size / 250:
        yield Finding(
            "error",
            source.path,
            f"{size:,} characters with {ends} sentence ends: navigation, a list or a table",
            "Is this the document itself?",
        )


def _ends_whole(document: Document, source: SourceText) -> Iterator[Finding]:
    """The last line of prose breaks off. Short lines below it (signature, site footer) do not count."""
    last = max(
        (p for p in document.provisions if p.kind in ("article", "point") and not p.part),
        key=lambda p: p.end,
        default=None,
    )
    if last is None or any(p.part for p in document.provisions):
        return
    lines = [
        line.strip() for line in document.text[last.start :].split("\n") if len(line.strip()) >= 25 and "|" not in line
    ]
    tail = lines[-1] if lines else ""
    if tail and (tail[-1] in "，、" or _HAN.match(tail[-1])) and "，" in tail:
        yield Finding(
            "warning", source.path, f"ends in the middle of a sentence: …{tail[-12:]}", "Is the last page missing?"
        )


def _sentences_whole(document: Document, source: SourceText) -> Iterator[Finding]:
    """Long paragraphs that end without a full stop: lines cut off at the right edge, or a side column printed between them."""
    prose = [
        (p, line.rstrip())
        for p in document.provisions
        if p.kind in ("article", "point")
        for line in p.text.split("\n")
        if len(line) >= 50 and "，" in line and "|" not in line
    ]
    broken = [(p, line) for p, line in prose if _HAN.match(line[-1]) or line[-1] in "，、"]
    if len(broken) >= 2 and len(broken) > 0.08 * len(prose):
        first, line = broken[0]
        yield Finding(
            "warning",
            source.path,
            f"{len(broken)} of {len(prose)} paragraphs break off, first in {first.label}{_at(document, first.start)}: …{line[-10:]}",
            "Lines may be cut off at the page edge or mixed with a side column; compare with the source.",
        )


def _frame_removed(document: Document, source: SourceText) -> Iterator[Finding]:
    before, after = _visible(source.text), _visible(document.text)
    if before > 400 and after < 0.5 * before:
        yield Finding(
            "warning",
            source.path,
            f"{1 - after / before:.0%} of the text was page frame and was left out",
            "Compare with the page.",
        )


_BARE_MARK = re.compile(r"(?m)(?:^|[；。：]|(?<![（(])\s)[0-9０-９一二三四五六七八九十a-zA-Z]{1,3}[）)]")
_PAIRS = (("《", "》"), ("“", "”"), ("（", "）"))


def _pairs_match(document: Document, source: SourceText) -> Iterator[Finding]:
    for opening, closing in _PAIRS:
        a, b = document.text.count(opening), document.text.count(closing)
        if a == b:
            continue
        if opening == "（":
            a, b = a + document.text.count("("), b + document.text.count(")") - len(_BARE_MARK.findall(document.text))
        if abs(a - b) > max(3, 0.05 * max(a, b)):
            yield Finding(
                "warning", source.path, f"{a} {opening} against {b} {closing}", "Lines may be missing or out of order."
            )


_BETWEEN = re.compile("(?<=[\u4e00-\u9fff]) (?=[\u4e00-\u9fff])")


def _spacing(document: Document, source: SourceText) -> Iterator[Finding]:
    left = len(_BETWEEN.findall(document.text))
    if left > 20 and left > 0.05 * max(1, len(document.text)):
        yield Finding(
            "warning",
            source.path,
            f"{left} spaces between characters could not be removed safely",
            "Words may not be found; get another edition.",
        )
        return
    spaces = source.text.count(" ") + source.text.count("　") - document.text.count(" ") - document.text.count("　")
    if spaces > 3 and (repaired := len(source.text) - len(letter_spacing(source.text))) > 3:
        yield Finding("info", source.path, f"letter-spaced headings repaired, {repaired} spaces", "")


# --- helpers -------------------------------------------------------------------------------------------------------------


def _by_part(document: Document, kind: str) -> dict[str, list[Provision]]:
    parts: dict[str, list[Provision]] = {}
    for provision in document.provisions:
        if provision.kind == kind and provision.number:
            parts.setdefault(provision.part, []).append(provision)
    return parts


def _points(document: Document) -> list[Provision]:
    return [p for p in document.provisions if p.kind == "point"]


_ALWAYS: tuple[Check, ...] = (_some_text, _readable, _recognised)
_FULL_TEXT: tuple[Check, ...] = (
    _pages_have_text,
    _articles_follow,
    _points_follow,
    _no_doubles,
    _contents_kept,
    _not_only_a_wrapper,
    _prose,
    _ends_whole,
    _sentences_whole,
    _frame_removed,
    _pairs_match,
    _spacing,
)
