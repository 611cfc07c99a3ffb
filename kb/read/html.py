"""A page of a government site in, its document out: no navigation, no scripts, list numbers kept in attributes restored.

Nothing is executed and nothing is loaded. The body is the smallest part of the page that holds nearly all of its prose; what stands
around it is dropped only when it looks like a frame (links, buttons, site names), so that title, number, signature and date stay.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from selectolax.lexbor import LexborHTMLParser, LexborNode

from kb.errors import ReadError
from kb.models import Finding, SourceText
from kb.numerals import to_chinese
from kb.read.plain import decode

_SKIP = frozenset(
    [
        "script",
        "style",
        "noscript",
        "template",
        "iframe",
        "object",
        "embed",
        "applet",
        "svg",
        "canvas",
        "audio",
        "video",
        "map",
        "select",
        "textarea",
        "input",
        "button",
        "head",
        "nav",
        "datalist",
    ]
)
_BLOCK = frozenset(
    [
        "address",
        "article",
        "aside",
        "blockquote",
        "body",
        "caption",
        "center",
        "dd",
        "details",
        "dialog",
        "dir",
        "div",
        "dl",
        "dt",
        "fieldset",
        "figcaption",
        "figure",
        "footer",
        "form",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "header",
        "hr",
        "html",
        "legend",
        "li",
        "main",
        "menu",
        "ol",
        "p",
        "pre",
        "section",
        "summary",
        "table",
        "tbody",
        "tfoot",
        "thead",
        "tr",
        "ul",
    ]
)
_FRAME_NAME = re.compile(
    r"(?:^|[\s_-])(?:nav|navbar|menu|mainnav|breadcrumbs?|crumb|share|sharebox|bdshare|toolbar|tools|print|qrcode|ewm|copyright|sidebar|search|login|"
    r"related|xgyd|pagination|footer|foot|header|head|banner|topbar|top|bottom|logo|weizhi|position|dqwz|site|back-button|modal|dialog|pop)(?:$|[\s_-])",
    re.I,
)
_FRAME_TEXT = re.compile(
    r"版权所有|©|ICP备|备案号|网站标识码|公网安备|主办单位|承办单位|联系我们|网站地图|返回首页|技术支持"
)
_PROSE = re.compile(r"[。；，、：]")
_STRIP = re.compile(r"\s+")
_META = {
    "articletitle": "title",
    "og:title": "title",
    "dc.title": "title",
    "pubdate": "published",
    "publishdate": "published",
    "contentsource": "source",
    "url": "source_url",
    "og:url": "source_url",
}
_CHARSET = re.compile(rb"charset\s*=\s*[\"']?\s*([\w-]+)", re.I)
_NUMBER_KEYS = ("data-number", "data-num", "data-no", "data-index", "data-label", "data-marker")
# tags of this length hold pictures or are built to slow the parser down; their attributes are left out
_TAG = 20_000
_LONG_TAG = re.compile(rf"<(\w{{1,20}})\s[^<>]{{{_TAG},}}>")
_MIN_CHARACTERS = 20
_MUCH = 0.15
_MAX_RULES = 40


@dataclass(slots=True)
class _Weight:
    """Characters of text, of link text, and marks of prose below one element; `headings` counts h1."""

    text: int = 0
    link: int = 0
    prose: int = 0
    headings: int = 0


def read_html(data: bytes, where: str) -> SourceText:
    """The document on a saved page.

    Raises:
        ReadError: the page has no text.
    """
    declared = _CHARSET.search(data[:4096])
    markup, note = decode(data, where, declared=declared[1].decode("ascii", "replace") if declared else "")
    tree = LexborHTMLParser(_LONG_TAG.sub(r"<\1>", markup) if len(markup) > _TAG else markup)
    front = _meta(tree)
    findings = [Finding("warning", where, note, "Save the page as UTF-8 and check the text.")] if note else []
    if tree.body is None:
        raise ReadError(f"{where}: the page has no text", hint="Open it in a browser and save it again.")
    marks = _generated(tree)
    text, share, outside = _document(tree.body, marks, hidden=False)
    if len(_STRIP.sub("", text)) < _MIN_CHARACTERS:
        text, share, outside = _document(tree.body, marks, hidden=True)
    if outside:
        findings.append(
            Finding(
                "warning",
                where,
                f"{outside:.0%} of the sentences on the page stand outside its main part and were left out",
                "Compare with the page.",
            )
        )
    if not text.strip() and tree.body.text(separator="").strip():
        raise ReadError(f"{where}: the page is navigation only", hint="Open the address of the document itself.")
    text = _with_title(text, front, tree)
    if not text.strip():
        raise ReadError(
            f"{where}: the page has no text",
            hint="Open it in a browser; it may need scripts. Save what you see as PDF.",
        )
    if share < 0.02 and len(text) < 4000:
        findings.append(
            Finding(
                "error",
                where,
                "the page is navigation only: no sentences outside links",
                "Open the address of the document itself.",
            )
        )
    front["chrome_share"] = max(0.0, round(1 - len(_STRIP.sub("", text)) / max(1, _visible(tree)), 3))
    return SourceText(where, "html", text, front=front, findings=tuple(findings))


def _visible(tree: LexborHTMLParser) -> int:
    return sum(len(_STRIP.sub("", node.text_content or "")) for node, _ in _walk(tree.body, hidden=True))


def _meta(tree: LexborHTMLParser) -> dict[str, object]:
    """What the page says about itself in meta elements: title, published, source, source_url."""
    front: dict[str, object] = {}
    for node in tree.css("meta"):
        attributes = node.attributes
        key = _META.get((attributes.get("name") or attributes.get("property") or "").strip().lower())
        value = (attributes.get("content") or "").strip()
        if key and value and key not in front and len(value) < 300:
            front[key] = value
    return {"page_" + key if key == "title" else key: value for key, value in front.items()}


# --- which part of the page ----------------------------------------------------------------------------------------------


def _walk(root: LexborNode, *, hidden: bool) -> Iterator[tuple[LexborNode, bool]]:
    """(text node, inside a link) in document order, without what is never shown. Iterative: pages may be nested deeply."""
    stack = [(root, False)]
    while stack:
        node, link = stack.pop()
        if node.is_text_node:
            yield node, link
            continue
        if not node.is_element_node or node.tag in _SKIP or (not hidden and _is_hidden(node)):
            continue
        inside = link or node.tag == "a"
        child = node.last_child
        while child is not None:
            stack.append((child, inside))
            child = child.prev


def _is_hidden(node: LexborNode) -> bool:
    attributes = node.attributes
    style = (attributes.get("style") or "").replace(" ", "").lower()
    return "display:none" in style or "visibility:hidden" in style or "hidden" in attributes


def _weights(root: LexborNode, hidden: bool) -> dict[int, _Weight]:
    """Weight of every element that is shown, by its address in the tree."""
    weights: dict[int, _Weight] = {}
    order: list[tuple[LexborNode, int | None]] = []
    stack: list[tuple[LexborNode, int | None, bool]] = [(root, None, False)]
    while stack:
        node, parent, link = stack.pop()
        if node.is_text_node:
            text = node.text_content or ""
            size = len(_STRIP.sub("", text))
            if size and parent is not None:
                weight = weights[parent]
                weight.text += size
                weight.link += size if link else 0
                weight.prose += 0 if link else len(_PROSE.findall(text))
            continue
        if not node.is_element_node or node.tag in _SKIP or (not hidden and _is_hidden(node)):
            continue
        weights[node.mem_id] = _Weight(headings=int(node.tag == "h1"))
        order.append((node, parent))
        inside = link or node.tag == "a"
        child = node.last_child
        while child is not None:
            stack.append((child, node.mem_id, inside))
            child = child.prev
    for node, parent in reversed(order):
        if parent is not None:
            own, above = weights[node.mem_id], weights[parent]
            above.text, above.link = above.text + own.text, above.link + own.link
            above.prose, above.headings = above.prose + own.prose, above.headings + own.headings
    return weights


def _document(body: LexborNode, marks: dict[int, str], hidden: bool) -> tuple[str, float, float]:
    """(text of the document on the page, marks of prose per character of the whole page, share of prose left out when it is much)."""
    weights = _weights(body, hidden)
    total = weights.get(body.mem_id, _Weight())
    root = _main_part(body, weights)
    frames = set(_frames(root, weights))
    text = _Writer(weights, marks, frames, hidden).write(root)
    lost = total.prose - len(_PROSE.findall(text))
    return text, total.prose / max(1, total.text), lost / total.prose if lost > max(10, _MUCH * total.prose) else 0.0


def _main_part(body: LexborNode, weights: dict[int, _Weight]) -> LexborNode:
    """Go down while one child holds nearly all prose and leaves no heading behind."""
    node = body
    while True:
        children = [child for child in node.iter() if child.mem_id in weights]
        best = max(children, key=lambda c: weights[c.mem_id].prose, default=None)
        if best is None:
            return node
        own, inner = weights[node.mem_id], weights[best.mem_id]
        leaves_title = (
            any(
                weights[c.mem_id].headings and weights[c.mem_id].link < 0.5 * weights[c.mem_id].text
                for c in children
                if c is not best
            )
            and not inner.headings
        )
        if inner.prose < 0.9 * own.prose or inner.prose == 0 or leaves_title or best.tag in ("p", "li", "td", "span"):
            return node
        node = best


def _frames(root: LexborNode, weights: dict[int, _Weight]) -> Iterator[int]:
    """Elements inside the main part that only frame the document: link lists, share bars, site footers."""
    limit = 0.1 * max(1, weights[root.mem_id].prose)
    stack = list(root.iter())
    while stack:
        node = stack.pop()
        weight = weights.get(node.mem_id)
        if weight is None:
            continue
        if weight.prose <= limit and _is_frame(node, weight):
            yield node.mem_id
            continue
        stack.extend(node.iter())


def _is_frame(node: LexborNode, weight: _Weight) -> bool:
    if not weight.text:
        return False
    links = weight.link / weight.text
    if node.tag == "a":
        return False
    attributes = node.attributes
    named = _FRAME_NAME.search(f"{attributes.get('class') or ''} {attributes.get('id') or ''}") or node.tag in (
        "footer",
        "aside",
        "header",
    )
    if links > 0.6 and weight.text > 8 and node.tag not in ("p", "td", "li", "span", "tr"):
        return True
    if named and (
        links > 0.3 or (weight.headings == 0 and weight.text < 400 and _FRAME_TEXT.search(node.text(separator="")))
    ):
        return True
    return (
        weight.text < 600
        and weight.headings == 0
        and weight.prose < 6
        and len(_FRAME_TEXT.findall(node.text(separator=""))) >= 2
    )


# --- writing -------------------------------------------------------------------------------------------------------------


class _Writer:
    """Writes shown text block by block; a table row becomes one line, layout tables are unwrapped."""

    def __init__(self, weights: dict[int, _Weight], marks: dict[int, str], frames: set[int], hidden: bool) -> None:
        self._weights, self._marks, self._frames, self._hidden = weights, marks, frames, hidden
        self._lines: list[str] = []
        self._line: list[str] = []
        self._mark = ""

    def write(self, root: LexborNode) -> str:
        """Text of `root` in document order."""
        stack: list[tuple[LexborNode | None, str]] = [(root, "")]
        while stack:
            node, ending = stack.pop()
            if node is None:
                self._close(ending)
            elif node.is_text_node:
                text = node.text_content or ""
                self._line.append(text if self._in_pre(node) else re.sub(r"[ \t\r\n\f]+", " ", text))
            elif node.is_element_node:
                self._open(node, stack)
        self._flush()
        return "\n".join(self._lines)

    def _open(self, node: LexborNode, stack: list) -> None:
        tag = node.tag
        if (
            tag in _SKIP
            or node.mem_id in self._frames
            or (node.mem_id not in self._weights and tag not in ("br", "img"))
        ):
            return
        if tag == "br":
            self._flush()
            return
        if tag == "img":
            self._line.append(_alt(node))
            return
        if tag == "table" and not _is_layout(node, self._weights):
            self._flush()
            self._lines += list(_rows(node, self._hidden))
            return
        if tag in _BLOCK or tag in ("td", "th"):
            self._flush()
            stack.append((None, "block"))
        if mark := self._marks.get(node.mem_id):
            self._mark = mark
        child = node.last_child
        while child is not None:
            stack.append((child, ""))
            child = child.prev

    def _close(self, ending: str) -> None:
        if ending == "block":
            self._flush()

    def _flush(self) -> None:
        """End a line; a waiting list mark goes to the first line with text, wherever its block begins."""
        text = "".join(self._line)
        self._line = []
        for piece in text.split("\n"):
            if line := piece.strip(" \t\u3000\xa0\u2002\u2003"):
                self._lines.append(self._mark + line)
                self._mark = ""

    @staticmethod
    def _in_pre(node: LexborNode) -> bool:
        parent = node.parent
        return parent is not None and parent.tag == "pre"


def _alt(node: LexborNode) -> str:
    """省长签名.GIF: an image that stands for a name or a date keeps its alternative text; icons and buttons do not."""
    alt = (node.attributes.get("alt") or "").strip()
    return alt if re.search(r"签名|签章|\d{4}年\d{1,2}月", alt) and len(alt) < 40 else ""


def _is_layout(table: LexborNode, weights: dict[int, _Weight]) -> bool:
    """A table that only places text: one column, or one cell with nearly all of its prose, or tables inside."""
    weight = weights.get(table.mem_id, _Weight())
    rows = table.css("tr")
    if not rows or table.css_first("table table") is not None:
        return True
    cells = [len([cell for cell in row.iter() if cell.tag in ("td", "th")]) for row in rows]
    if max(cells, default=0) < 2:
        return True
    biggest = max((weights[c.mem_id].prose for c in table.css("td,th") if c.mem_id in weights), default=0)
    return weight.prose > 20 and biggest > 0.85 * weight.prose


def _rows(table: LexborNode, hidden: bool) -> Iterator[str]:
    """One line a row, cells divided by ` | `. Text outside rows (a caption) keeps a line of its own."""
    for part in table.traverse():
        if part.tag == "caption":
            yield _STRIP.sub(" ", part.text(separator="")).strip()
        if part.tag == "tr":
            cells = [
                _STRIP.sub(" ", "".join(n.text_content or "" for n, _ in _walk(cell, hidden=hidden))).strip()
                for cell in part.iter()
                if cell.tag in ("td", "th")
            ]
            if any(cells):
                yield " | ".join(cells)


def _with_title(text: str, front: dict[str, object], tree: LexborHTMLParser) -> str:
    """Put the title of the page above a body that does not begin with it."""
    heading = next(
        (
            node.text(separator="")
            for node in tree.css("h1")
            if 4 <= len(_STRIP.sub("", node.text(separator=""))) <= 120
        ),
        "",
    )
    title = _STRIP.sub(" ", str(front.get("page_title") or heading)).strip()
    key = re.sub(r"\W", "", title)
    if not key or key in re.sub(r"\W", "", text[:1500]):
        return text
    return f"{title}\n{text}"


# --- numbers that are not in the text ------------------------------------------------------------------------------------


def _generated(tree: LexborHTMLParser) -> dict[int, str]:
    """Marks that a browser would show before an element: data-number attributes, ordered lists, generated content of inline styles."""
    marks: dict[int, str] = {}
    resets = any("counter-reset" in (style.text(separator="") or "") for style in tree.css("style"))
    for selector, pieces in islice(_rules(tree), _MAX_RULES):
        counters: dict[int, int] = {}
        try:
            nodes = tree.css(selector)
        except Exception:
            continue  # a selector the parser does not know: the mark is decoration we cannot place
        for node in nodes:
            mark = "".join(_piece(piece, node, counters, resets) for piece in pieces)
            if re.search(r"[\d一二三四五六七八九十]", mark) and len(mark) <= 16:
                marks[node.mem_id] = mark
    for ordered in tree.css("ol"):
        for item, mark in _ordered_marks(ordered):
            marks.setdefault(item.mem_id, mark)
    for item in tree.css("li"):
        if _NUMBERED.match(item.text(separator="").lstrip()):
            marks.pop(item.mem_id, None)
        elif mark := _attribute_mark(item):
            marks[item.mem_id] = mark
    return marks


_RULE = re.compile(r"([^{}]+?)::?before\s*\{([^{}]*)\}", re.I)
_CONTENT = re.compile(r"content\s*:\s*([^;}]+)", re.I)
_PIECE = re.compile(
    r"\"([^\"]*)\"|'([^']*)'|attr\(\s*([\w-]+)\s*\)|counters?\(\s*([\w-]+)\s*(?:,\s*\"[^\"]*\"\s*)?(?:,\s*([\w-]+)\s*)?\)",
    re.I,
)


def _rules(tree: LexborHTMLParser) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """(selector, pieces of content) of ::before rules that show an attribute or a counter."""
    for style in tree.css("style"):
        sheet = re.sub(r"/\*.*?\*/", "", (style.text(separator="") or "")[:100_000], flags=re.S)
        for match in _RULE.finditer(sheet):
            content = _CONTENT.search(match[2])
            if not content or ("attr(" not in content[1] and "counter" not in content[1]):
                continue
            pieces = []
            for piece in _PIECE.finditer(content[1]):
                if piece[3]:
                    pieces.append(("attr", piece[3]))
                elif piece[4]:
                    pieces.append(("counter", piece[5] or "decimal"))
                else:
                    pieces.append(("text", piece[1] or piece[2] or ""))
            for selector in match[1].split(","):
                if selector.strip():
                    yield selector.strip(), pieces


def _piece(piece: tuple[str, str], node: LexborNode, counters: dict[int, int], resets: bool) -> str:
    """One piece of generated content; counters run through the page, or below each parent where the style resets them."""
    kind, value = piece
    if kind == "text":
        return value
    if kind == "attr":
        return node.attributes.get(value) or ""
    parent = node.parent.mem_id if resets and node.parent is not None else 0
    counters[parent] = counters.get(parent, 0) + 1
    return _styled(counters[parent], value)


def _styled(number: int, style: str) -> str:
    chinese = style.lower() in (
        "cjk-ideographic",
        "simp-chinese-informal",
        "simp-chinese-formal",
        "trad-chinese-informal",
        "cjk-decimal",
    )
    return to_chinese(number) if chinese and 1 <= number <= 9999 else str(number)


_NUMBERED = re.compile(r"[（(]?[一二三四五六七八九十\d①-⑳]{1,3}[）).．、]|第[一二三四五六七八九十百\d]+[条章节]")


def _attribute_mark(item: LexborNode) -> str:
    """（一） from <li data-number="一">, 1. from data-number="1"."""
    attributes = item.attributes
    value = next((v.strip() for key in _NUMBER_KEYS if (v := attributes.get(key))), "")
    if not value or len(value) > 8 or not re.search(r"[一二三四五六七八九十\d①-⑳]", value):
        return ""
    if re.fullmatch(r"[一二三四五六七八九十百]+", value):
        return f"（{value}）"
    return f"{value}." if value.isdigit() else value


def _ordered_marks(ordered: LexborNode) -> Iterator[tuple[LexborNode, str]]:
    """(item, number as shown) of an ordered list, with start and value attributes and Chinese styles."""
    attributes = ordered.attributes
    style = (attributes.get("style") or "").replace(" ", "").lower()
    kind = match[1] if (match := re.search(r"list-style(?:-type)?:([\w-]+)", style)) else ""
    if kind == "none":
        return
    start = attributes.get("start") or "1"
    number = int(start) - 1 if re.fullmatch(r"\d{1,4}", start) else 0
    for item in ordered.iter():
        if item.tag != "li":
            continue
        own = item.attributes.get("value") or ""
        number = int(own) if re.fullmatch(r"\d{1,4}", own) else number + 1
        shown = _styled(number, kind)
        yield item, f"{shown}." if shown.isdigit() else f"{shown}、"
