"""Reading: every format gives the same text, hostile or damaged files are refused with the next step."""

from __future__ import annotations

import io
import time
import zipfile
from pathlib import Path

import pytest
import read_samples as sample

from kb.clean import clean_pages, clean_text
from kb.corpus import SourceFile, to_document
from kb.errors import ReadError
from kb.ingest import preview
from kb.read import Limits, kind_of, read_bytes, read_file


def read(data: bytes, name: str, **options):
    return read_bytes(data, name, Path(name).suffix, **options)


def document(data: bytes, name: str):
    source = read(data, name)
    return to_document(source, SourceFile(Path(name), name, "national", Path(name).stem))


def paragraphs(text: str) -> list[str]:
    return ["".join(line.split()) for line in clean_text(text).split("\n") if line.strip()]


EXPECTED = ["".join(line.split()) for line in (sample.TITLE, *sample.ARTICLES)]


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (sample.TEXT.encode(), "a.md"),
        (sample.TEXT.encode("gb18030"), "a.txt"),
        (sample.TEXT.encode("utf-16"), "b.txt"),
        (sample.html(), "a.html"),
        (sample.html().decode().replace("utf-8", "gbk").encode("gb18030"), "b.html"),
        (sample.wrapped_pdf(rows=5), "a.pdf"),
        (sample.sample_docx(), "a.docx"),
        (sample.sample_ofd(), "a.ofd"),
    ],
    ids=["md", "gb18030", "utf-16", "html", "gbk-html", "pdf", "docx", "ofd"],
)
def test_one_document_reads_the_same_in_every_format(data, name):
    assert paragraphs(read(data, name).text) == EXPECTED
    labels = [p.label for p in document(data, name).provisions if p.kind == "article"]
    assert labels == ["第一条", "第二条", "第三条", "第四条", "第五条"]


# --- html ----------------------------------------------------------------------------------------------------------------


def body(markup: str) -> str:
    return read(f"<html><body>{markup}</body></html>".encode(), "a.html").text


def test_numbers_kept_in_an_attribute_come_back():
    text = body(
        '<p>第三条 术语含义：</p><ul><li data-number="一">甲，是指某种数据。</li><li data-number="二">乙，是指另一种数据。</li></ul>'
    )
    assert text.split("\n")[1:] == ["（一）甲，是指某种数据。", "（二）乙，是指另一种数据。"]


def test_ordered_lists_show_the_numbers_a_browser_would():
    text = body(
        '<p>下列材料应当提交给受理的机构：</p><ol start="3"><li>申请表一份。</li><li><p>说明材料，一式两份。</p></li></ol>'
    )
    assert text.split("\n")[1:] == ["3.申请表一份。", "4.说明材料，一式两份。"]


def test_counters_of_inline_styles_are_written_out():
    style = '<style>.t:before { content: counter(n) "."; }</style>'
    text = body(
        f'{style}<h1>名词解释样例文本</h1><div class="t"><b>甲</b>，是指一种样例。</div><div class="t"><b>乙</b>，是指另一种样例。</div>'
    )
    assert text.split("\n")[1:] == ["1.甲，是指一种样例。", "2.乙，是指另一种样例。"]


def test_a_number_that_already_stands_in_the_text_is_not_doubled():
    assert "（一）（一）" not in body(
        '<p>下列情形，应当报告：</p><ul><li data-number="一">（一）发生泄露，造成影响；</li></ul>'
    )


def test_a_page_loses_its_frame_but_keeps_number_signature_and_date():
    text = clean_text(read(sample.html(), "a.html").text)
    assert "栏目名称" not in text and "版权所有" not in text and "脚本里" not in text and "打印" not in text
    text = body(
        "<div class='header'><h1>样例价格通知</h1><div>样发改〔2025〕9号</div></div><div class='content'><h2>一、总体要求</h2>"
        "<p>各单位应当按照要求，认真落实有关事项，及时报告进展。</p><p>本通知自印发之日起施行，请遵照执行。</p></div>"
        "<div class='footer'><div>样例发展改革委</div><div>2025年1月16日</div></div>"
    )
    assert text.split("\n")[:2] == ["样例价格通知", "样发改〔2025〕9号"] and text.endswith(
        "样例发展改革委\n2025年1月16日"
    )


def test_data_tables_stay_rows_and_layout_tables_are_unwrapped():
    rows = body(
        "<p>目录如下，请对照执行。</p><table><tr><th>序号</th><th>名称</th></tr><tr><td>1</td><td>甲类数据</td></tr></table>"
    )
    assert rows.split("\n")[1:] == ["序号 | 名称", "1 | 甲类数据"]
    layout = body("<table><tr><td><p>第一条 甲，应当登记。</p><p>第二条 乙，应当公开。</p></td></tr></table>")
    assert layout.split("\n") == ["第一条 甲，应当登记。", "第二条 乙，应当公开。"]


def test_a_page_that_is_only_navigation_is_refused_or_incomplete():
    links = "".join(f'<li><a href="/{k}">关于印发样例办法{k}的通知</a></li>' for k in range(40))
    with pytest.raises(ReadError, match="navigation only"):
        read(f"<html><body><ul>{links}</ul></body></html>".encode(), "nav.html")
    plain = "".join(f"<p>样例办法{k}</p>" for k in range(40))
    doc = document(f"<html><body><h1>政策文件</h1>{plain}</body></html>".encode(), "list.html")
    assert doc.quality == "incomplete" and any("navigation" in f.what for f in doc.findings)


def test_prose_outside_the_main_part_is_reported():
    main = "".join(f"<p>第{n}条 应当登记的，及时登记；应当公开的，及时公开。</p>" for n in "一二三四五六七八九")
    rest = "".join(f"<a href='/'>链接</a><span>另有说明，共{n}项，应当报告。</span>" for n in range(9))
    source = read(
        f"<html><body><div><div>{main}</div></div><footer>{rest}版权所有 主办单位</footer></body></html>".encode(),
        "a.html",
    )
    assert "另有说明" in source.text or any("outside its main part" in f.what for f in source.findings)


def test_deeply_nested_pages_are_read():
    markup = "<div>" * 5000 + "<p>第一条 嵌套很深的文字，也应当读出。</p>" + "</div>" * 5000
    assert "嵌套很深的文字" in read(f"<html><body>{markup}</body></html>".encode(), "deep.html").text


# --- pdf -----------------------------------------------------------------------------------------------------------------


def test_soft_line_breaks_are_joined_across_pages_and_the_page_map_is_true():
    data = sample.wrapped_pdf(rows=5)
    source = read(data, "a.pdf")
    assert len(source.pages) == 4 and paragraphs(source.text) == EXPECTED
    cleaned = clean_pages(source.text, source.pages)
    assert [p.number for p in cleaned.pages] == [1, 2, 3, 4]
    assert "".join(cleaned.text[p.start : p.end] for p in cleaned.pages) == cleaned.text
    second = cleaned.pages[1]
    assert (
        "根据有关法律法规，制定本办法" in cleaned.text[: second.start]
        or "第二条" in cleaned.text[second.start : second.end]
    )


def test_an_indented_row_begins_a_paragraph_even_after_a_full_line():
    first = "样例机构应当建立健全管理制度明确责任分工保障数据安全。"  # exactly a full line that ends a sentence
    rows = [(112.0, 700.0, first[:26]), (82.0, 671.0, first[26:])]
    rows += [(112.0, 642.0 - 58 * k, "样例机构应当按照规定的程序和时限办理登记手续并向社会") for k in range(6)]
    rows += [(82.0, 613.0 - 58 * k, "公开办理结果，接受监督。") for k in range(6)]
    text = read(sample.pdf([sorted(rows, key=lambda r: -r[1])]), "a.pdf").text
    assert text.split("\n")[0] == first and len(text.split("\n")) == 7


def test_a_password_is_asked_for_and_an_empty_one_is_not():
    from pypdf import PdfReader, PdfWriter

    for password, readable in (("secret", False), ("", True)):
        writer = PdfWriter(clone_from=PdfReader(io.BytesIO(sample.wrapped_pdf(rows=5))))
        writer.encrypt(user_password=password, owner_password="owner", algorithm="RC4-128")
        out = io.BytesIO()
        writer.write(out)
        if readable:
            assert paragraphs(read(out.getvalue(), "a.pdf").text) == EXPECTED
        else:
            with pytest.raises(ReadError, match="password"):
                read(out.getvalue(), "a.pdf")


@pytest.mark.parametrize(
    "damage",
    [lambda d: d[:200], lambda d: b"%PDF-1.5\n" + b"\x00\xff" * 500, lambda d: d.replace(b"/Pages", b"/Pagez")],
)
def test_a_damaged_pdf_is_refused_with_the_next_step(damage):
    with pytest.raises(ReadError) as caught:
        read(damage(sample.wrapped_pdf()), "a.pdf")
    assert caught.value.hint


def test_a_scan_without_ocr_is_refused_and_a_scanned_page_makes_the_text_incomplete():
    with pytest.raises(ReadError, match="scanned"):
        read(sample.pdf([[], []], picture=True), "scan.pdf", ocr=False)
    page = [(82.0, 700.0 - 29 * k, line) for k, line in enumerate(sample.ARTICLES[:5])]
    source = read(_with_picture_page(page), "part.pdf", ocr=False)
    assert any(f.severity == "error" and "pages 2" in f.what for f in source.findings)


def _with_picture_page(page) -> bytes:
    from pypdf import PdfReader, PdfWriter

    writer = PdfWriter()
    for data in (sample.pdf([page]), sample.pdf([[]], picture=True), sample.pdf([page])):
        writer.append(PdfReader(io.BytesIO(data)))
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def test_an_empty_page_is_not_a_lost_page():
    page = [(82.0, 700.0 - 29 * k, line) for k, line in enumerate(sample.ARTICLES[:5])]
    assert not read(sample.pdf([page, []]), "a.pdf", ocr=False).findings


def test_ocr_rows_take_their_place_among_the_pages(monkeypatch):
    from kb.read import ocr
    from kb.read.layout import Row

    rows = [Row("第六条 扫描页上的文字，应当读出。", 112.0, 100.0)]
    monkeypatch.setattr(ocr, "available", lambda: True)
    monkeypatch.setattr(ocr, "pdf_page_rows", lambda data, number: (rows, 595.0, 0.91))
    seen = []
    page = [(82.0, 700.0 - 29 * k, line) for k, line in enumerate(sample.ARTICLES[:5])]
    source = read(_with_picture_page(page), "part.pdf", progress=lambda *step: seen.append(step))
    assert "第六条 扫描页上的文字" in source.text[source.pages[1].start : source.pages[1].end]
    assert source.ocr_confidence == 0.91 and ("ocr", 1, 1) in seen


def test_a_page_with_millions_of_drawing_steps_takes_seconds():
    import zlib

    from pypdf import PdfReader, PdfWriter
    from pypdf.generic import NameObject, StreamObject

    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(sample.wrapped_pdf(rows=20, furniture=False))))
    page = writer.pages[0]
    stream = StreamObject()
    stream._data = zlib.compress(page.get_contents().get_data() + b"0 0 m 9 9 l S\n" * 400_000)
    stream[NameObject("/Filter")] = NameObject("/FlateDecode")
    page[NameObject("/Contents")] = writer._add_object(stream)
    out = io.BytesIO()
    writer.write(out)
    started = time.monotonic()
    assert "样例数据" in read(out.getvalue(), "a.pdf").text
    assert time.monotonic() - started < 8


def test_a_page_tree_that_contains_itself_is_refused_or_read():
    data = sample.wrapped_pdf(rows=20, furniture=False)
    kids = data.index(b"/Kids [") + len(b"/Kids [")
    looped = data[:kids] + b"2 0 R" + data[kids + 5 :]
    started = time.monotonic()
    with pytest.raises(ReadError):
        read(looped, "loop.pdf")
    assert time.monotonic() - started < 5


def test_pages_beyond_the_limit_are_refused():
    with pytest.raises(ReadError, match="limit 2"):
        read(sample.wrapped_pdf(rows=2), "a.pdf", limits=Limits(max_pages=2))


@pytest.mark.slow
def test_a_picture_of_a_page_is_read_offline(shared):
    pytest.importorskip("rapidocr")
    pdfium = pytest.importorskip("pypdfium2")
    book = pdfium.PdfDocument(shared / "corpus/originals/《公共数据资源登记管理暂行办法》.pdf.pdf")
    picture = book[0].render(scale=1.4).to_pil().convert("RGB")
    out = io.BytesIO()
    picture.crop((0, 0, picture.width, picture.height // 3)).save(out, "PNG")
    source = read(out.getvalue(), "page.png")
    assert "公共数据资源登记管理暂行办法" in source.text and "第一条" in source.text
    assert source.ocr_confidence > 0.9


# --- docx, ofd, old word -------------------------------------------------------------------------------------------------


def test_automatic_numbers_are_written_out():
    levels = (
        sample.level(0, "chineseCountingThousand", "第%1条")
        + sample.level(1, "chineseCounting", "（%2）")
        + sample.level(2, "decimal", "%3.")
    )
    text = read(
        sample.docx(
            sample.paragraph("样例办法")
            + sample.paragraph("甲应当登记。", 1)
            + sample.paragraph("乙有下列情形：", 1)
            + sample.paragraph("子；", 1, 1)
            + sample.paragraph("细目一；", 1, 2)
            + sample.paragraph("丑。", 1, 1)
            + sample.paragraph("丙自公布之日起施行。", 1),
            levels,
        ),
        "a.docx",
    ).text
    assert text.split("\n")[1:] == [
        "第一条 甲应当登记。",
        "第二条 乙有下列情形：",
        "（一）子；",
        "1.细目一；",
        "（二）丑。",
        "第三条 丙自公布之日起施行。",
    ]


def test_tables_keep_their_rows_and_one_cell_tables_are_unwrapped():
    text = read(
        sample.docx(sample.table(("责任单位", "任务"), ("样例局", "编制目录。")) + sample.table(("第一条 甲。",))),
        "a.docx",
    ).text
    assert text.split("\n") == ["责任单位 | 任务", "样例局 | 编制目录。", "第一条 甲。"]


def test_insertions_are_read_deletions_are_not_and_both_are_named():
    changed = (
        "<w:p><w:r><w:t>第一条 应当</w:t></w:r><w:ins><w:r><w:t>及时</w:t></w:r></w:ins><w:del><w:r><w:delText>尽快</w:delText></w:r></w:del>"
        "<w:r><w:t>登记。</w:t></w:r></w:p>"
    )
    source = read(sample.docx(changed), "a.docx")
    assert source.text == "第一条 应当及时登记。" and "tracked changes" in source.findings[0].what


def test_rows_of_an_ofd_are_put_in_reading_order():
    text = read(
        sample.ofd([[(30, 60, "第二条 乙。"), (30, 40, "第一条"), (50, 40.2, "甲。"), (80, 20, "样例办法")]]), "a.ofd"
    ).text
    assert text.split("\n") == ["样例办法", "第一条 甲。", "第二条 乙。"]


def test_positions_with_many_decimals_are_read():
    """A writer that prints 20.02535906982422 once put every line on one heap."""
    rows = [
        (30.02535906982422, 20.000000000000004 + 9.123456789012345 * k, line) for k, line in enumerate(sample.ARTICLES)
    ]
    assert paragraphs(read(sample.ofd([rows]), "a.ofd").text) == EXPECTED[1:]


@pytest.mark.parametrize(
    "location",
    ["../../../etc/passwd", "/Doc_0/Pages/Page_0/Content.xml", "..\\Doc_0\\Pages\\Page_0\\Content.xml", "C:/x.xml"],
)
def test_odd_paths_inside_an_ofd_lead_nowhere_else(location):
    data = sample.ofd([[(30, 40, "第一条 甲，应当登记。")]], locations=[location])
    try:
        assert read(data, "a.ofd").text == "第一条 甲，应当登记。"
    except ReadError as error:
        assert error.hint


def test_xml_that_declares_entities_is_refused():
    bomb = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaa">]><w:document><w:body>&a;</w:body></w:document>'
    with pytest.raises(ReadError, match="document type"):
        read(sample.docx("", extra={"word/document.xml": bomb}), "a.docx")


def test_old_word_files_are_converted_or_refused_with_advice(monkeypatch):
    import shutil

    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(ReadError, match="old Word") as caught:
        read(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, "a.doc")
    assert "DOCX" in caught.value.hint


@pytest.mark.slow
def test_rtf_is_converted_where_libreoffice_is_installed():
    import shutil

    if not shutil.which("soffice"):
        pytest.skip("LibreOffice is not on this machine")
    escaped = "".join(f"\\u{ord(c) if ord(c) < 32768 else ord(c) - 65536}?" for c in sample.ARTICLES[1])
    source = read(f"{{\\rtf1\\ansi\\uc1 {escaped}\\par}}".encode(), "a.rtf")
    assert source.media == "doc" and sample.ARTICLES[1] in source.text


# --- hostile and mistaken files ------------------------------------------------------------------------------------------


def test_the_content_decides_and_a_false_name_is_said():
    source = read(sample.wrapped_pdf(), "report.html")
    assert source.media == "pdf" and "called .html but holds PDF" in source.findings[0].what
    assert read(sample.html(), "report.pdf").media == "html"
    assert kind_of(sample.sample_docx(), ".wps") == "docx"


@pytest.mark.parametrize(
    ("data", "name", "said"),
    [
        (b"", "a.md", "empty"),
        (b"\xef\xbb\xbf \n\n", "a.txt", "empty"),
        (b"---\na: 1\n---\n", "a.md", "without text"),
        (bytes(range(256)) * 40, "a.txt", "binary"),
        (b"\xff\x80" * 400, "a.txt", "UTF-8"),
        (b"Rar!\x1a\x07\x00" + b"\0" * 90, "a.docx", "RAR"),
        (b"PK\x03\x04" + b"\0" * 60, "a.docx", "damaged"),
        (b'{"a": 1}', "a.json", "unknown kind"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 99, "a.png", "damaged"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_next_step(data, name, said):
    with pytest.raises(ReadError, match=said) as caught:
        read(data, name)
    assert caught.value.hint


def test_zip_bombs_are_refused_before_they_are_unpacked():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as target:
        target.writestr("word/document.xml", b"\0" * (60 * 2**20))
    started = time.monotonic()
    with pytest.raises(ReadError, match=r"bomb|unpacks"):
        read(out.getvalue(), "a.docx")
    assert time.monotonic() - started < 2


def test_a_member_that_holds_more_than_it_declares_is_refused():
    data = bytearray(sample.archive({"OFD.xml": "<a/>" * 4000, "Doc_0/Document.xml": "<b/>"}))
    # the central directory declares a smaller size than the data unpack to
    position = data.rfind(b"PK\x01\x02", 0, data.rfind(b"PK\x01\x02"))
    data[position + 24 : position + 28] = (10).to_bytes(4, "little")
    with pytest.raises(ReadError):
        read(bytes(data), "a.ofd")


def test_a_file_over_the_size_limit_is_refused_unread(tmp_path):
    path = tmp_path / "big.pdf"
    with path.open("wb") as stream:
        stream.truncate(200 * 2**20)
    started = time.monotonic()
    with pytest.raises(ReadError, match="limit 100 MiB"):
        read_file(path)
    assert time.monotonic() - started < 1


def test_yaml_front_matter_is_data_and_nothing_else():
    assert read("---\ntitle: 甲\n---\n第一条 乙。".encode(), "a.md").front == {"title": "甲"}
    source = read("---\na: &x [1]\nb: [*x, *x]\n---\n第一条 乙。".encode(), "a.md")
    assert source.front == {} and source.findings and "第一条" in source.text


def test_an_archive_points_to_ingest():
    with pytest.raises(ReadError) as caught:
        read(sample.archive({"a.md": "第一条 甲。"}), "a.zip")
    assert "kb ingest" in caught.value.hint


# --- real documents ------------------------------------------------------------------------------------------------------

SIBLINGS = [
    ("公共数据资源登记管理暂行办法", ("公共数据资源登记管理暂行办法.html", "《公共数据资源登记管理暂行办法》.pdf.pdf")),
    ("公共数据资源授权运营实施规范（试行）", ("公共数据资源授权运营实施规范（试行）.html",)),
    (
        "关于完善数据流通安全治理更好促进数据要素市场化价值化的实施方案",
        ("关于完善数据流通安全治理_更好促进数据要素市场化价值化的实施方案.pdf",),
    ),
    (
        "国家发展改革委国家数据局关于建立公共数据资源授权运营价格形成机制的通知",
        ("国家发展改革委_国家数据局关于建立公共数据资源授权运营价格形成机制的通知-html-20251205.html",),
    ),
    (
        "可信数据空间发展行动计划（2024—2028年）（征求意见稿）",
        (
            "可信数据空间发展行动计划2024—2028年.pdf",
            "关于向社会公开征求《可信数据空间发展行动计划（2024—2028年）》意见的公告.docx",
        ),
    ),
]


def units(path: Path) -> dict[str, str]:
    """Label to text of articles and points, white space aside."""
    doc = to_document(read_file(path, ocr=False), SourceFile(path, path.name, "national", path.stem))
    assert all(doc.text[p.start : p.end] == p.text for p in doc.provisions)
    return {p.label: "".join(p.text.split()) for p in doc.provisions if p.kind in ("article", "point")}


@pytest.mark.parametrize(("text", "originals"), SIBLINGS, ids=[s[0][:12] for s in SIBLINGS])
def test_siblings_in_html_pdf_and_docx_give_the_articles_of_the_markdown(shared_corpus, text, originals):
    expected = units(shared_corpus / "national" / f"{text}.md")
    for name in originals:
        found = units(shared_corpus / "originals" / name)
        assert list(found) == list(expected), name
        differing = [label for label in expected if similarity(expected[label], found[label]) < 0.97]
        assert not differing, (name, differing)


def similarity(a: str, b: str) -> float:
    from rapidfuzz.distance import Indel

    return Indel.normalized_similarity(a, b)


def test_originals_are_read_or_flagged(shared_corpus):
    verdicts = {
        item.path: item.quality for item in preview([shared_corpus / "originals"], Path("/nonexistent"), ocr=False)
    }
    assert len(verdicts) == 12
    garbled = next(path for path in verdicts if path.startswith("《数字广东建设"))
    assert verdicts.pop(garbled) == "incomplete"
    assert set(verdicts.values()) == {"complete"}
