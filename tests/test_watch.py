"""kb watch against a local server: layouts of official sites, faults, redesigns, reposts, attachments, approval."""

from __future__ import annotations

import json
import threading
import zlib
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from click.testing import CliRunner
from corpora import text_of

from kb.change_note import as_markdown
from kb.cli import group
from kb.errors import CatalogError, LockedError, UsageError
from kb.fetch import read_provenance
from kb.inbox import inbox_findings, opened, read_ledger, reject, take_in, waiting
from kb.index import Library, build
from kb.links import address_key, attachments, day_in, day_in_url, find_links, objection
from kb.settings import load_settings
from kb.update import update
from kb.watch import accept, approve, download, load_watchlist, watch_all
from kb.web import Client, Limits

BASE = "https://www.nda.gov.cn/sjj/zwgk/zcfb/list/index_pc_1.html"
TITLES = [
    "国家数据局关于印发《可信数据空间发展行动计划》的通知",
    "公共数据资源登记管理暂行办法",
    "关于完善数据流通安全治理的实施方案",
    "数据流通交易合同示范文本公告",
    "公共数据资源授权运营实施规范（试行）",
    "关于促进数据标注产业高质量发展的实施意见",
]
NAV = "".join(
    f'<li><a href="/nav/{i}.html">{name}</a></li>'
    for i, name in enumerate(("首页", "机构概况介绍", "政务公开平台入口", "互动交流", "网站地图导航页面"))
)


def _days(n):
    return [f"2026-{9 - i // 20:02}-{20 - i % 20:02}" for i in range(n)]


# layouts of column pages, as the sites write them: the date beside, inside, before the link, in the address, in a table
LAYOUTS = {
    "ul with span": lambda t, d, i: (
        f'<li><a href="../zcfb/{i:04}/202{i}_pc.html" title="{t}">{t[:14]}...</a><span>{d}</span></li>'
    ),
    "date in the link": lambda t, d, i: (
        f'<li><a href="/zcfb/t{d.replace("-", "")}_{i}.html"><h4>{t}</h4><em>{d}</em></a></li>'
    ),
    "table": lambda t, d, i: (
        f'<tr><td class="num">{i}</td><td><a href="/content/post_{i}.html">{t}</a></td><td>{d.replace("-", "/")}</td></tr>'
    ),
    "div cards": lambda t, d, i: (
        f'<div class="item item{i}"><div class="tit"><a href="content/{i}.htm" target="_blank">{t}</a></div><div class="tim">{d}</div></div>'
    ),
    "year and month words": lambda t, d, i: (
        f'<dd><a href="./{i}.shtml">{t}</a>（{d[:4]}年{int(d[5:7])}月{int(d[8:])}日）</dd>'
    ),
    "date in the address only": lambda t, d, i: (
        f'<p class="l"><a href="/tz/{d[:7].replace("-", "")}/t{d.replace("-", "")}_{i}.html">{t}</a></p>'
    ),
}


def number(title):
    """Sites number their pages once and for ever."""
    return zlib.crc32(title.encode()) % 100_000


def at(title):
    return f"/content/post_{number(title)}.html"


def page(entry, titles=TITLES, days=None, title="政策发布"):
    days = days or _days(len(titles))
    rows = "".join(entry(t, d, number(t)) for t, d in zip(titles, days, strict=True))
    return (
        (
            f"<html><head><title>{title}</title><script>var a='<a href=\"/x\">脚本里的链接不是链接</a>'</script></head><body><ul class='nav'>{NAV}</ul>"
            f"<div class='list'><table>{rows}</table></div><a href='?p=2'>下一页</a>"
            "<div class='foot'><a href='http://www.beian.gov.cn/x'>粤公网安备某某某某号</a><a href='/gywm.html'>网站声明与联系我们的方式</a></div></body></html>"
        )
        .replace("<table>", "<table>" if "<tr>" in rows else "<ul>")
        .replace("</table>", "</table>" if "<tr>" in rows else "</ul>")
    )


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_shape_of_a_page_is_enough_to_find_its_links(name):
    links = find_links(page(LAYOUTS[name]), BASE)
    assert [link.title for link in links] == TITLES
    assert [link.date for link in links] == _days(6)
    assert all(link.url.startswith("https://www.nda.gov.cn/") for link in links)


def test_selectors_win_over_the_shape():
    text = "<div class=a><h3><a href=1.html>短题</a></h3><i>2026-01-02</i></div><li><a href=2.html>不在选择器里的链接标题</a>2026-01-03</li>"
    links = find_links(text, BASE, {"item": "div.a", "link": "h3 a", "date": "i"})
    assert [(link.title, link.date) for link in links] == [("短题", "2026-01-02")]


def test_feeds_and_json_lists_are_read_and_entities_never_expanded():
    rss = (
        '<?xml version="1.0"?><!DOCTYPE r [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]><rss><channel><title>站名</title>'
        "<item><title><![CDATA[公共数据<b>办法</b>]]></title><link>http://www.cac.gov.cn/1.htm</link><pubDate>Tue, 03 Feb 2026 08:00:00 GMT</pubDate></item>"
        "<item><title>&b;</title><link>/2.htm</link></item></rss>"
    )
    links = find_links(rss, "http://www.cac.gov.cn/rss.xml")
    assert next((link.title, link.date, link.url) for link in links) == (
        "公共数据办法",
        "2026-02-03",
        "http://www.cac.gov.cn/1.htm",
    )
    assert "aaa" not in links[1].title
    atom = (
        '<feed><entry><title>甲办法</title><link href="/a.html"/><updated>2026-03-04T00:00:00Z</updated></entry></feed>'
    )
    assert [(link.title, link.date) for link in find_links(atom, BASE)] == [("甲办法", "2026-03-04")]
    data = json.dumps(
        [{"TITLE": "国务院关于甲的意见", "URL": "/zhengce/1.htm", "DOCRELPUBTIME": "2026-05-06"}], ensure_ascii=False
    )
    assert [(link.title, link.date) for link in find_links(data, BASE)] == [("国务院关于甲的意见", "2026-05-06")]
    assert find_links("[" * 100_000, BASE) == [] and find_links("{}", BASE) == []


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "空"),
        ("<html><head><title>404 Not Found</title></head><body>您访问的页面不存在</body></html>", "错误"),
        ("<html><title>系统提示</title><body>用户登录 <input type=password></body></html>", "登录"),
        ("<html><title>安全验证</title><body>请完成人机验证</body></html>", "验证"),
        ("<html><title>政策</title><body><script>render()</script></body></html>", "脚本"),
    ],
)
def test_an_error_page_with_status_200_is_named(text, word):
    assert word in objection(text, BASE)


def test_an_ordinary_page_is_not_taken_for_an_error():
    assert objection(page(LAYOUTS["table"]), BASE) == ""
    assert objection(page(LAYOUTS["table"]).replace("网站地图导航页面", "用户登录"), BASE) == ""


def test_addresses_are_compared_without_their_dress():
    assert address_key("http://www.a.gov.cn/x/index.html#t") == address_key("https://a.gov.cn/x/?utm_source=1")
    assert address_key("https://a.gov.cn/x?id=1") != address_key("https://a.gov.cn/x?id=2")
    assert day_in("发布时间：2026年2月3日 08:00") == "2026-02-03" and day_in("2026-13-40") == ""
    assert day_in_url("https://x.gov.cn/202501/t20250116_1395713.html") == "2025-01-16"


def test_attachments_of_a_notice_are_found():
    text = '<a href="./P020.pdf">附件：办法.pdf</a><a href="./a.docx?x=1">说明</a><a href="/b.html">正文</a><a href="./P020.pdf">再次</a>'
    assert [link.url for link in attachments(text, "https://x.gov.cn/z/1.html")] == [
        "https://x.gov.cn/z/P020.pdf",
        "https://x.gov.cn/z/a.docx?x=1",
    ]


# -- against a server ---------------------------------------------------------------------------------------------------


@dataclass
class Site:
    """A local site: path -> (status, content type, body) or a callable; counts requests."""

    pages: dict = field(default_factory=dict)
    asked: list = field(default_factory=list)
    url: str = ""

    def html(self, path, text, encoding="utf-8", status=200, **headers):
        self.pages[path] = (status, f"text/html; charset={encoding}", text.encode(encoding), headers)

    def file(self, path, body, kind):
        self.pages[path] = (200, kind, body, {})


@pytest.fixture
def site():
    place = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            path = self.path.split("?")[0]
            place.asked.append(path)
            status, kind, body, headers = place.pages.get(path, (404, "text/html", b"nothing here", {}))
            if headers.get("ETag") and self.headers.get("If-None-Match") == headers["ETag"]:
                status, body = 304, b""
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    place.url = f"http://127.0.0.1:{server.server_port}"
    yield place
    server.shutdown()
    server.server_close()


@pytest.fixture
def client():
    return Client(Limits(delay_s=0, attempts=2, backoff_s=0, timeout_s=5), allow_private=True, sleep=lambda s: None)


@pytest.fixture
def settings(tmp_path, site):
    corpus = tmp_path / "corpus"
    (corpus / "national").mkdir(parents=True)
    held = text_of(
        "公共数据资源登记管理暂行办法（公开征求意见稿）", ["第一条　甲机构应当登记。", "第二条　乙机构应当公开。"]
    )
    (corpus / "national" / "登记.md").write_text(held, encoding="utf-8")
    final = text_of("公共数据资源授权运营实施规范（试行）", ["第一条　甲机构应当授权。", "第二条　乙机构应当运营。"])
    (corpus / "national" / "授权.md").write_text(final, encoding="utf-8")
    _watch(corpus, site)
    result = load_settings({"corpus": corpus, "index": tmp_path / "index", "encoder": "none"}, env={})
    build(result)
    return result


def _watch(corpus, site, extra=""):
    (corpus / "watch.yaml").write_text(
        f"topics: [数据]\nignore: [招聘]\nsources:\n- {{id: nda, name: 甲局, level: national, url: '{site.url}/list/'}}\n{extra}",
        encoding="utf-8",
    )


def _list(site, titles=TITLES, days=None, path="/list/", entry="table", **more):
    site.html(path, page(LAYOUTS[entry], titles, days), **more)


def test_new_links_are_recorded_with_what_is_known_of_them(settings, site, client):
    _list(
        site,
        [
            *TITLES,
            "某某局招聘数据岗位工作人员的公告",
            "关于春节放假安排的通知公告",
            "一图读懂公共数据资源登记管理暂行办法",
        ],
    )
    result = watch_all(settings, client=client)
    states = {i.title: (i.state, i.relation) for i in result.items}
    assert states[TITLES[1]] == ("new", "正式稿；已收录其征求意见稿《公共数据资源登记管理暂行办法（公开征求意见稿）》")
    assert states[TITLES[4]][0] == "known"
    assert states[TITLES[0]] == ("new", "")
    assert {t: s for t, (s, _) in states.items() if s == "off_topic"}.keys() == {
        "某某局招聘数据岗位工作人员的公告",
        "关于春节放假安排的通知公告",
        "一图读懂公共数据资源登记管理暂行办法",
    }
    assert all(i.date for i in result.items)


def test_a_second_look_brings_only_what_is_new(settings, site, client):
    _list(site)
    watch_all(settings, client=client)
    assert watch_all(settings, client=client).items == ()
    _list(site, ["国家数据局关于数据产权登记的办法", *TITLES], ["2026-10-01", *_days(6)])
    assert [i.title for i in watch_all(settings, client=client).items] == ["国家数据局关于数据产权登记的办法"]


def test_a_page_that_did_not_change_is_not_read_again(settings, site, client):
    _list(site, ETag='"v1"')
    watch_all(settings, client=client)
    result = watch_all(settings, client=client)
    assert result.sources == (("nda", 0, 0),) and not [f for f in result.findings if f.severity == "error"]


def test_a_redesign_is_reported_and_not_taken_for_news(settings, site, client):
    _list(site)
    watch_all(settings, client=client)
    other = [f"数据栏目旧文件第{n}号标题" for n in range(8)]
    _list(site, other, [f"2026-0{n % 8 + 1}-01" for n in range(8)], entry="div cards")
    result = watch_all(settings, client=client)
    assert {i.state for i in result.items} == {"unsure"}
    assert any("改版" in f.what and f.severity == "warning" for f in result.findings)
    assert accept(settings, ["nda"]) == 8
    assert {i.state for i in read_ledger(settings).items.values() if i.title in other} == {"new"}


def test_new_addresses_of_old_titles_are_no_news(settings, site, client):
    _list(site)
    watch_all(settings, client=client)
    _list(site, entry="div cards")
    result = watch_all(settings, client=client)
    assert result.items == () and any("改版" in f.what for f in result.findings)


def test_a_busy_page_with_only_younger_links_is_news(settings, site, client):
    _list(site)
    watch_all(settings, client=client)
    _list(
        site,
        [f"数据新文件第{n}号的通知" for n in range(6)],
        [f"2026-11-{n + 1:02}" for n in range(6)],
        entry="ul with span",
    )
    assert {i.state for i in watch_all(settings, client=client).items} == {"new"}


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ("<html><title>404</title><body>页面不存在</body></html>", "错误"),
        ("<html><body>用户登录<input type=password></body></html>", "登录"),
        ("", "空"),
        (f"<html><body><ul>{NAV}</ul>{'正文' * 100}</body></html>", "没有找到链接"),
    ],
)
def test_a_page_that_turns_bad_is_an_error_and_forgets_nothing(settings, site, client, body, word):
    _list(site)
    watch_all(settings, client=client)
    before = read_ledger(settings)
    site.html("/list/", body)
    result = watch_all(settings, client=client)
    assert any(word in f.what and f.severity == "error" for f in result.findings) and not result.items
    assert read_ledger(settings) == before


def test_one_dead_source_does_not_stop_the_others(settings, site, client):
    extra = f"- {{id: gone, level: national, url: '{site.url}/gone/'}}\n- {{id: bad, level: moon, url: 'x'}}\n- {{id: two, level: shenzhen, any_topic: true, url: '{site.url}/two/'}}\n"
    _watch(settings.corpus, site, extra)
    _list(site)
    _list(site, ["深圳市城市管理办法（征求意见稿）", *(f"深圳市其他文件第{n}号" for n in range(5))], path="/two/")
    result = watch_all(settings, client=client)
    assert {s: n for s, n, _ in result.sources} == {"nda": 6, "gone": 0, "two": 6}
    assert any("HTTP 404" in f.what for f in result.findings) and any("level moon" in f.what for f in result.findings)
    assert {i.level for i in result.items if i.source == "two"} == {"shenzhen"}


def test_a_gbk_page_is_read(settings, site, client):
    _list(site, encoding="gb18030")
    assert {i.title for i in watch_all(settings, client=client).items} == set(TITLES)


@pytest.mark.parametrize("real", ["gb18030", "utf-8"])
def test_a_page_that_names_another_encoding_than_it_has_is_read(settings, site, client, real):
    other = "utf-8" if real == "gb18030" else "gb2312"
    text = page(LAYOUTS["table"]).replace("<head>", f"<head><meta charset={other}>")
    site.pages["/list/"] = (200, f"text/html; charset={other}", text.encode(real), {})
    assert {i.title for i in watch_all(settings, client=client).items} == set(TITLES)


def test_reposts_and_draft_and_final_are_one_family(settings, site, client):
    _watch(settings.corpus, site, f"- {{id: two, level: national, url: '{site.url}/two/'}}\n")
    _list(site)
    _list(
        site,
        [
            "可信数据空间发展行动计划",
            "数据流通交易合同示范文本公告（征求意见稿）",
            *(f"数据其他文件第{n}号标题" for n in range(4)),
        ],
        path="/two/",
        entry="ul with span",
    )
    items = {i.title: i for i in watch_all(settings, client=client).items if i.source == "two"}
    assert items["可信数据空间发展行动计划"].state == "repost" and "nda" in items["可信数据空间发展行动计划"].relation
    assert (
        "正式稿" in items["数据流通交易合同示范文本公告（征求意见稿）"].relation
        or "征求意见稿" in items["数据流通交易合同示范文本公告（征求意见稿）"].relation
    )


# -- downloads ------------------------------------------------------------------------------------------------------------


def _article_page(title, body, links=""):
    rows = "".join(f"<p>{line}</p>" for line in body)
    return f"<html><head><title>{title}</title></head><body><div class='nav'>{NAV}</div><h1>{title}</h1><div class='content'>{rows}{links}</div></body></html>"


BODY = [
    f"第{n}条　数据处理者应当按照国家有关规定建立健全第{n}项管理制度，并向市级主管部门报告执行情况。"
    for n in "一二三四五六"
]


def _item(settings, title):
    return next(i for i in read_ledger(settings).items.values() if i.title == title)


def _look(settings, site, client, titles=TITLES):
    _list(site, titles)
    watch_all(settings, client=client)


def test_an_approved_document_is_downloaded_and_waits_for_the_update(settings, site, client):
    _look(settings, site, client)
    site.html(at(TITLES[2]), _article_page(TITLES[2], BODY))
    (item,) = download(settings, [_item(settings, TITLES[2]).id], client=client)
    assert item.state == "downloaded" and item.files[0].endswith(".html")
    assert (settings.corpus / "inbox" / item.files[0]).is_file()
    (row,) = [f for f in inbox_findings(settings) if "待入库" in f.what]
    assert "kb update" in row.fix
    assert build(settings).documents.new == 0  # a build reads the corpus, an update takes the inbox in


def test_what_was_ingested_waits_no_longer(settings, site, client):
    _look(settings, site, client)
    site.html(at(TITLES[2]), _article_page(TITLES[2], BODY))
    (item,) = download(settings, [_item(settings, TITLES[2]).id], client=client)
    (settings.corpus / "national" / "流通.md").write_text(text_of(TITLES[2], BODY), encoding="utf-8")
    build(settings)
    assert take_in(settings).added == () and not inbox_findings(settings)
    assert read_ledger(settings).items[item.id].state == "known"


def test_a_faulty_inbox_does_not_stop_an_update(settings, site, client):
    _look(settings, site, client)
    (settings.corpus / "inbox" / "links.json").write_text("{broken", encoding="utf-8")
    run = CliRunner().invoke(
        group,
        [
            "update",
            "--no-judge",
            "--json",
            "--corpus",
            str(settings.corpus),
            "--index",
            str(settings.index),
            "--encoder",
            "none",
        ],
    )
    assert run.exit_code == 0 and "links.json" in json.loads(run.stdout)["changes"]["note"] + run.stderr


def test_a_notice_brings_its_attachment(settings, site, client):
    _look(settings, site, client)
    site.html(
        at(TITLES[0]),
        _article_page(
            TITLES[0],
            ["现将《可信数据空间发展行动计划》印发给你们，请认真贯彻落实。"],
            "<a href='/files/plan.docx'>附件：可信数据空间发展行动计划</a>",
        ),
    )
    site.file(
        "/files/plan.docx",
        _docx(["可信数据空间发展行动计划", *BODY]),
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    )
    (item,) = download(settings, [_item(settings, TITLES[0]).id], client=client)
    assert item.state == "downloaded" and "附件 1 个" in item.relation
    assert item.files[0].endswith(".docx") and len(item.files) == 2


def _docx(lines):
    import io

    docx = pytest.importorskip("docx")
    document = docx.Document()
    for line in lines:
        document.add_paragraph(line)
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


@pytest.mark.parametrize(
    ("kind", "body", "word"),
    [
        ("application/pdf", b"", ""),
        ("application/pdf", b"%PDF-1.7\nbroken", ""),
        ("text/html", _article_page("出错了", ["404 页面不存在"]).encode(), ""),
        ("text/html", "<html><title>登录</title><body>请先登录<input type=password></body></html>".encode(), "登录"),
        ("application/octet-stream", b"\x00\x01\x02MZ" * 100, ""),
        ("text/html", _article_page("导航", ["欢迎访问本网站。"] * 3).encode(), ""),
    ],
    ids=["0-byte pdf", "broken pdf", "error page", "login wall", "binary", "chrome only"],
)
def test_what_is_no_document_is_held_with_its_reason_and_shown(settings, site, client, kind, body, word):
    _look(settings, site, client)
    site.file(at(TITLES[2]), body, kind)
    (item,) = download(settings, [_item(settings, TITLES[2]).id], client=client)
    assert item.state == "held" and item.reason and word in item.reason
    (finding,) = [f for f in inbox_findings(settings) if f.severity == "warning"]
    assert item.reason in finding.what and item.id in finding.fix
    assert build(settings).documents.new == 0


def test_a_title_that_collides_with_another_text_is_held(settings, site, client):
    title = "公共数据资源授权运营实施规范（试行）"
    _look(settings, site, client, ["授权运营数据规范全文发布页面", *TITLES[:5]])
    site.html(at("授权运营数据规范全文发布页面"), _article_page(title, BODY))
    (item,) = download(settings, [_item(settings, "授权运营数据规范全文发布页面").id], client=client)
    assert item.state == "held" and "标题与已收录的" in item.reason


def test_what_was_downloaded_enters_with_the_update_and_says_where_it_came_from(settings, site, client):
    _look(settings, site, client)
    site.html(at(TITLES[2]), _article_page(TITLES[2], BODY), encoding="gb18030")
    (item,) = download(settings, [_item(settings, TITLES[2]).id], client=client)
    result = update(settings, judge=False)
    (name,) = result.note.taken
    assert name.startswith("fulltext/national/") and result.summary.documents.new == 1
    assert [d.title for d in result.note.documents if d.change == "new" and d.title == TITLES[2]]
    assert Library(settings).document(TITLES[2]).provisions[1].text.startswith("第二条　数据处理者应当")
    told = read_provenance(settings.corpus / name)
    assert told.source == site.url + at(TITLES[2]) == item.url
    assert not (settings.corpus / "inbox" / item.files[0]).exists()
    assert read_ledger(settings).items[item.id].state == "known"
    again = update(settings, judge=False)
    assert again.file == "" and again.note.empty


@pytest.mark.parametrize(
    ("kind", "body", "word"),
    [
        ("text/html", _article_page("出错了", ["您访问的页面不存在"]).encode(), ""),
        ("text/html", "<html><title>登录</title><body>请先登录<input type=password></body></html>".encode(), "登录"),
        ("application/pdf", b"", "0 字节"),
        ("text/html", _article_page(TITLES[2], [*BODY[:2], *BODY[4:]]).encode(), "不完整"),
        ("text/html", _article_page("公共数据资源授权运营实施规范（试行）", BODY).encode(), "标题与已收录的"),
    ],
    ids=["error page", "login wall", "0-byte pdf", "articles missing", "title collides"],
)
def test_bad_input_is_held_with_its_reason_in_the_note_and_never_indexed(settings, site, client, kind, body, word):
    update(settings, judge=False)
    _look(settings, site, client)
    site.file(at(TITLES[2]), body, kind)
    item = _item(settings, TITLES[2])
    watch_all(settings, client=client)
    download(settings, [item.id], client=client)
    result = update(settings, judge=False)
    held = read_ledger(settings).items[item.id]
    assert held.state == "held" and held.reason and word in held.reason
    assert result.note.taken == () and result.summary.documents.new == 0
    assert held.reason in [f.what for f in result.note.held]
    page = as_markdown(result.note)
    assert "待处理的文件" in page and TITLES[2] in page
    assert [w.id for w in waiting(settings) if w.state == "held"] == [item.id]


def test_a_person_may_take_what_was_held_or_download_it_again(settings, site, client):
    _look(settings, site, client)
    item = _item(settings, TITLES[2])
    site.file(at(TITLES[2]), b"", "application/pdf")
    assert approve(settings, [item.id], client=client) == []
    assert read_ledger(settings).items[item.id].state == "held"
    site.html(at(TITLES[2]), _article_page(TITLES[2], [*BODY[:2], *BODY[4:]]))
    assert approve(settings, [item.id], client=client) == []
    (row,) = [w for w in waiting(settings) if w.id == item.id]
    assert row.doubtful and "不完整" in row.reason
    (name,) = approve(settings, [item.id], client=client)
    assert (settings.corpus / name).is_file() and read_ledger(settings).items[item.id].state == "known"


def test_a_full_text_of_which_only_a_digest_is_held_is_wanted(settings, site, client):
    digest = text_of(TITLES[1], ["第一条　甲机构应当登记。", "第二条　乙机构应当公开。"])
    (settings.corpus / "national" / "摘编.md").write_text(f"---\ntext_kind: digest\n---\n{digest}", encoding="utf-8")
    build(settings)
    _look(settings, site, client)
    item = _item(settings, TITLES[1])
    assert item.state == "new" and "要点摘编" in item.relation


def test_auto_downloads_what_is_of_interest_and_survives_one_bad_page(settings, site, client):
    _list(site)
    site.html(at(TITLES[2]), _article_page(TITLES[2], BODY))
    result = watch_all(settings, auto=True, client=client)
    states = {i.title: i.state for i in result.items}
    assert states[TITLES[2]] == "downloaded" and states[TITLES[0]] == "held" and states[TITLES[4]] == "known"


def test_what_could_not_be_had_is_asked_for_again(settings, site, client):
    _list(site)
    watch_all(settings, auto=True, client=client)
    assert _item(settings, TITLES[2]).state == "held" and not _item(settings, TITLES[2]).files
    site.html(at(TITLES[2]), _article_page(TITLES[2], BODY))
    watch_all(settings, auto=True, client=client)
    assert _item(settings, TITLES[2]).state == "downloaded"


def test_ignored_items_stay_ignored(settings, site, client):
    _look(settings, site, client)
    item = _item(settings, TITLES[3])
    reject(settings, [item.id])
    watch_all(settings, client=client)
    assert read_ledger(settings).items[item.id].state == "ignored"
    with pytest.raises(UsageError, match="not in the inbox"):
        reject(settings, ["nope"])


def test_names_of_downloads_cannot_leave_the_inbox(settings, site, client):
    evil = "../../数据../etc/passwd 办法:*?全文发布"
    _look(settings, site, client, [evil, *TITLES[:5]])
    item = next(i for i in read_ledger(settings).items.values() if "passwd" in i.title)
    site.html(at(evil), _article_page("某数据办法", BODY))
    (item,) = download(settings, [item.id], client=client)
    folder = (settings.corpus / "inbox").resolve()
    assert item.files and all((folder / f).resolve().is_relative_to(folder / "national") for f in item.files)


def test_files_dropped_into_the_inbox_are_checked(settings):
    folder = settings.corpus / "inbox" / "shenzhen"
    folder.mkdir(parents=True)
    (folder / "好.md").write_text(text_of("深圳市甲办法", BODY), encoding="utf-8")
    (folder / "空.pdf").write_bytes(b"")
    found = {f.where: f for f in inbox_findings(settings)}
    assert found["inbox/shenzhen/好.md"].what == "待入库" and found["inbox/shenzhen/空.pdf"].severity == "warning"


def test_a_damaged_ledger_is_not_overwritten(settings, site, client):
    _look(settings, site, client)
    path = settings.corpus / "inbox" / "links.json"
    path.write_text("{broken", encoding="utf-8")
    with pytest.raises(CatalogError, match="cannot be read"):
        watch_all(settings, client=client)
    assert path.read_text(encoding="utf-8") == "{broken"


def test_two_watchers_do_not_meet(settings, client):
    with opened(settings), pytest.raises(LockedError):
        watch_all(settings, client=client)


def test_a_faulty_watch_list_costs_its_faulty_entries(settings, tmp_path):
    (settings.corpus / "watch.yaml").write_text(
        "sources: [{id: a, url: u, level: national}, 5, {id: a, url: v, level: national}, {id: c, urll: v, level: national}]",
        encoding="utf-8",
    )
    watchlist, findings = load_watchlist(settings.corpus)
    assert [s.id for s in watchlist.sources] == ["a"] and len(findings) == 3
    for text in ("[", "- 1", "sources: 3", ""):
        (settings.corpus / "watch.yaml").write_text(text, encoding="utf-8")
        with pytest.raises(CatalogError):
            load_watchlist(settings.corpus)


def test_the_shipped_watch_list_is_sound(root):
    watchlist, findings = load_watchlist(root / "corpus")
    assert not findings and len(watchlist.sources) >= 8
    assert {"national", "guangdong", "shenzhen"} <= {s.level for s in watchlist.sources}


def test_the_command_lists_the_inbox(settings, site, client):
    _look(settings, site, client)
    base = ["watch", "--corpus", str(settings.corpus), "--index", str(settings.index)]
    shown = CliRunner().invoke(group, [*base, "--list"])
    assert shown.exit_code == 0 and TITLES[0] in shown.stdout and "待看" in shown.stdout
    data = json.loads(CliRunner().invoke(group, [*base, "--list", "--all", "--json"]).stdout)
    assert len(data["items"]) == 6 and {"sources", "items", "taken", "findings"} == set(data)
    item = _item(settings, TITLES[0])
    assert CliRunner().invoke(group, [*base, "--reject", item.id]).exit_code == 0
    assert _item(settings, TITLES[0]).state == "ignored"


def test_no_page_whatever_breaks_the_reading_of_links():
    import random

    rng = random.Random(9)
    whole = (
        page(LAYOUTS["table"])
        + '<a href="http://[::1/">坏地址坏地址坏地址</a><a href="http://a:99999/x">坏端口坏端口坏端口</a><a href>无地址</a>'
    )
    for _ in range(400):
        text = list(whole)
        for _ in range(rng.randint(1, 60)):
            at_ = rng.randrange(len(text))
            text[at_] = rng.choice(["<", ">", '"', "'", "&", "\x00", "\ud800", "", "a", "：", "]]>", "<!--"])
        mutated = "".join(text)
        for link in find_links(mutated, BASE):
            assert link.url.startswith(("http://", "https://")) and address_key(link.url)
        objection(mutated, BASE)
        attachments(mutated, BASE)
