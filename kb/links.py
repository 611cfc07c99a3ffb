"""A list page or feed in, links with title and date out: by selectors where they are given, else by what such pages share.

Government column pages differ in mark-up and agree in shape: many links of one kind, each with a title and a day. Links are
grouped by the mark-up around them, and the groups whose entries carry days are taken. A page that is an error, a login or a
challenge in disguise is named as such and yields nothing.
"""

from __future__ import annotations

import html
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit, urlunsplit

from selectolax.lexbor import LexborHTMLParser, LexborNode

ATTACHMENTS = (".pdf", ".doc", ".docx", ".wps", ".ofd", ".zip")
_MIN_TITLE = 6
_CHINESE = re.compile(r"[\u4e00-\u9fff]")
_DAY = re.compile(r"(?<!\d)(20\d\d)\s*[-./年]\s*(\d{1,2})\s*[-./月]\s*(\d{1,2})(?!\d)")
_SHOWN_DAY = re.compile(rf"[\[【(（]?{_DAY.pattern}日?[\]】)）]?")
_URL_DAY = re.compile(r"(?:/t|/)(20\d\d)[-/]?([01]\d)[-/]?([0-3]\d)(?:[_/]|\d{6,})")
_ERROR_TITLE = re.compile(
    r"40[34]|50[0234]|not found|forbidden|无法访问|页面不存在|找不到|出错|错误|访问受限|访问被拒|已被拦截|系统维护|正在维护",
    re.I,
)
_LOGIN = re.compile(
    r"统一身份认证|用户登录|请登录|请先登录|扫码登录|验证码|人机验证|安全验证|浏览器安全检查|captcha", re.I
)
_MORE = re.compile(r"^(?:更多|查看更多|下一页|上一页|首页|尾页|末页|返回|打印|关闭|详情|点击查看).{0,4}$")


@dataclass(frozen=True, slots=True)
class Link:
    """One entry of a list; `date` is an ISO day or "" where none is shown."""

    url: str
    title: str
    date: str = ""


def find_links(text: str, base: str, selectors: Mapping[str, str] | None = None) -> list[Link]:
    """Entries of a list page, a feed or a JSON list, in page order, each address once.

    Args:
        text: the decoded answer.
        base: its final address, for relative links.
        selectors: CSS of `item`, and inside it of `link` and `date`; without `item` the shape of the page decides.
    """
    text = text.replace("\x00", "").lstrip("\ufeff \r\n\t")
    head = text[:200].lower()
    if head.startswith(("{", "[")):
        found: Iterable[Link] = _json_links(text, base)
    elif head.startswith("<?xml") or re.match(r"<(?:rss|feed|rdf)", head):
        found = _feed_links(text, base)
    else:
        tree = LexborHTMLParser(text)
        found = _selected(tree, base, selectors) if selectors and selectors.get("item") else _shaped(tree, base)
    kept: dict[str, Link] = {}
    for link in found:
        key = address_key(link.url)
        if key not in kept or (link.date and not kept[key].date):
            kept[key] = link
    return list(kept.values())


def address_key(url: str) -> str:
    """One key for the spellings of an address: scheme, www, fragment, index files and a trailing slash make no difference."""
    parts = urlsplit(url.strip())
    host = (parts.hostname or "").removeprefix("www.")
    port = f":{parts.port}" if parts.port and parts.port not in (80, 443) else ""
    path = re.sub(r"/(?:index\.s?html?)?$", "", parts.path)
    query = "&".join(
        sorted(p for p in parts.query.split("&") if p and not re.match(r"(?:utm_\w+|spm|from|share\w*)=", p))
    )
    return f"{host}{port}{path}" + (f"?{query}" if query else "")


def objection(text: str, url: str) -> str:
    """Why an answer of status 200 is no page to read: an error page, a login wall, a challenge; "" for an ordinary one."""
    head = text.lstrip("\ufeff \r\n\t")[:200].lower()
    if not text.strip():
        return "内容为空"
    if head.startswith(("{", "[", "<?xml", "<rss", "<feed")):
        return ""
    tree = LexborHTMLParser(text)
    title = _text(tree.css_first("title"))
    body = re.sub(r"\s+", "", _visible(tree))
    links = len(tree.css("a[href]"))
    if _ERROR_TITLE.search(title) and len(body) < 1500:
        return f"错误页面（{title[:30]}）"
    if tree.css_first("input[type=password]") is not None or (
        _LOGIN.search(title + body[:600]) and links < 10 and len(body) < 1500
    ):
        return "需要登录或验证"
    if len(body) < 300 and links < 5 and _ERROR_TITLE.search(body):
        return f"错误页面（{body[:30]}）"
    if len(body) < 40 and links < 3:
        return "页面没有正文，可能由脚本生成"
    return ""


def attachments(text: str, base: str) -> list[Link]:
    """Files a document page offers: PDF, Word, WPS, OFD and ZIP links, in page order."""
    found = []
    for node in LexborHTMLParser(text).css("a[href]"):
        url = _join(base, node.attributes.get("href"))
        if url and urlsplit(url).path.lower().endswith(ATTACHMENTS):
            name = _text(node) or node.attributes.get("title") or urlsplit(url).path.rsplit("/", 1)[-1]
            found.append(Link(url, name.strip()))
    return list({address_key(link.url): link for link in found}.values())


# -- HTML ---------------------------------------------------------------------------------------------------------------


def _selected(tree: LexborHTMLParser, base: str, selectors: Mapping[str, str]) -> Iterator[Link]:
    for item in tree.css(selectors["item"]):
        anchor = item if item.tag == "a" else item.css_first(selectors.get("link") or "a[href]")
        url = _join(base, anchor.attributes.get("href")) if anchor is not None else ""
        if not url:
            continue
        shown = item.css_first(selectors["date"]) if selectors.get("date") else None
        title = _title(anchor)
        if title:
            yield Link(url, title, day_in(_text(shown)) or day_in(_text(item)) or day_in_url(url))


def _shaped(tree: LexborHTMLParser, base: str) -> list[Link]:
    """Groups of links with the same mark-up around them; those that carry days, else the largest group of long titles."""
    groups: dict[tuple[str, ...], list[tuple[int, Link]]] = defaultdict(list)
    site = _site(base)
    for number, node in enumerate(tree.css("a[href]")):
        url, title = _join(base, node.attributes.get("href")), _title(node)
        if not url or _site(url) != site or len(_CHINESE.findall(title)) < _MIN_TITLE or _MORE.match(title):
            continue
        if address_key(url) == address_key(base):
            continue
        entry = _entry(node)
        groups[_shape(node)].append((number, Link(url, title, day_in(_text(entry)) or day_in_url(url))))
    dated = [g for g in groups.values() if sum(bool(link.date) for _, link in g) * 2 > len(g)]
    long = [g for g in groups.values() if len(g) >= 5 and sum(len(link.title) for _, link in g) >= 12 * len(g)]
    chosen = dated or ([max(long, key=len)] if long else [])
    return [link for _, link in sorted((pair for g in chosen for pair in g), key=lambda pair: pair[0])]


def _entry(node: LexborNode) -> LexborNode:
    """The list item around a link: the highest ancestor that holds no other link with a long title."""
    entry = node
    for _ in range(4):
        parent = entry.parent
        if parent is None or parent.tag in ("body", "html"):
            break
        others = [a for a in parent.css("a[href]") if len(_CHINESE.findall(_title(a))) >= _MIN_TITLE]
        if len({a.attributes.get("href") for a in others}) > 1:
            break
        entry = parent
    return entry


def _shape(node: LexborNode) -> tuple[str, ...]:
    path = []
    current: LexborNode | None = node
    for _ in range(6):
        if current is None or current.tag in ("body", "html"):
            break
        # numbers in class names count entries (item1, item2), they are no other kind of mark-up
        path.append(current.tag + "." + re.sub(r"\d+", "", (current.attributes.get("class") or "").split(" ")[0]))
        current = current.parent
    return tuple(path)


def _title(node: LexborNode) -> str:
    shown = _text(node)
    named = re.sub(r"\s+", " ", html.unescape(node.attributes.get("title") or "")).strip()
    shown = _SHOWN_DAY.sub("", shown).strip(" ·•>-　")
    cut = shown.endswith(("...", "…"))
    return named if named and (cut or (len(named) > len(shown) and named.startswith(shown[:8]))) else shown


def _text(node: LexborNode | None) -> str:
    return re.sub(r"\s+", " ", node.text(separator=" ")).strip() if node is not None else ""


def _visible(tree: LexborHTMLParser) -> str:
    for node in tree.css("script,style,noscript,template"):
        node.decompose()
    return tree.body.text(separator=" ") if tree.body else ""


def _join(base: str, href: str | None) -> str:
    """Absolute http(s) address without fragment, or ""."""
    if not href or href.strip().lower().startswith(("javascript:", "mailto:", "tel:", "data:", "#")):
        return ""
    try:
        parts = urlsplit(urljoin(base, href.strip()))
        _ = parts.port  # raises for a port that cannot be
        return urlunsplit(parts._replace(fragment="")) if parts.scheme in ("http", "https") and parts.hostname else ""
    except ValueError:
        return ""


def _site(url: str) -> str:
    """The registered name of a host: www.nda.gov.cn and file.nda.gov.cn are one site."""
    host = urlsplit(url).hostname or ""
    labels = host.split(".")
    if re.fullmatch(r"[\d.]+|localhost", host) or len(labels) < 3:
        return host
    return ".".join(labels[-3:] if labels[-2] in ("gov", "com", "org", "net", "edu") else labels[-2:])


# -- dates --------------------------------------------------------------------------------------------------------------


def day_in(text: str) -> str:
    """The first full date of a text as ISO day, or ""."""
    for match in _DAY.finditer(text):
        if day := _iso(match):
            return day
    return ""


def day_in_url(url: str) -> str:
    """The day many sites write into an address (/202501/t20250116_1395713.html), or ""."""
    match = _URL_DAY.search(urlsplit(url).path)
    return _iso(match) if match else ""


def _iso(match: re.Match[str]) -> str:
    year, month, day = (int(g) for g in match.groups())
    return f"{year:04}-{month:02}-{day:02}" if 1 <= month <= 12 and 1 <= day <= 31 else ""


# -- feeds --------------------------------------------------------------------------------------------------------------

_ITEM = re.compile(r"<(item|entry)\b.*?</\1>", re.S | re.I)


def _feed_links(text: str, base: str) -> Iterator[Link]:
    """RSS and Atom, read with patterns: no entity is ever expanded, no external part loaded."""
    for match in _ITEM.finditer(text):
        item = match[0]
        href = re.search(r"<link\b[^>]*\bhref=[\"']([^\"']+)", item, re.I)
        url = _join(base, html.unescape(href[1]) if href else _element(item, "link"))
        title = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", html.unescape(_element(item, "title")))).strip()
        if url and title:
            when = next((w for n in ("pubDate", "published", "updated", "dc:date") if (w := _element(item, n))), "")
            yield Link(url, title, _feed_day(when))


def _element(item: str, name: str) -> str:
    match = re.search(rf"<{name}\b[^>]*>(.*?)</{name}>", item, re.S | re.I)
    return re.sub(r"^\s*<!\[CDATA\[(.*?)\]\]>\s*$", r"\1", match[1], flags=re.S).strip() if match else ""


def _feed_day(text: str) -> str:
    from email.utils import parsedate_to_datetime

    if day := day_in(text):
        return day
    try:
        return parsedate_to_datetime(text).date().isoformat()
    except (TypeError, ValueError, IndexError):
        return ""


def _json_links(text: str, base: str) -> Iterator[Link]:
    """Lists of objects that have a title and an address under any of the usual names."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return
    stack = [data]
    while stack:
        value = stack.pop()
        if isinstance(value, list):
            stack.extend(reversed(value))
        elif isinstance(value, dict):
            fields = {str(k).lower(): v for k, v in value.items()}
            url = next((v for k in ("url", "link", "href", "puburl") if isinstance(v := fields.get(k), str)), "")
            title = next((v for k in ("title", "name", "doctitle") if isinstance(v := fields.get(k), str)), "")
            joined = _join(base, url)
            if joined and title:
                days = (day_in(str(v)) for k, v in fields.items() if "time" in k or "date" in k)
                plain = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", html.unescape(title))).strip()
                yield Link(joined, plain, next((d for d in days if d), ""))
            else:
                stack.extend(v for v in reversed(list(value.values())) if isinstance(v, (list, dict)))
