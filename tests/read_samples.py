"""Small documents of our own in every format, made in memory: tests of reading need no binary fixtures."""

from __future__ import annotations

import io
import zipfile
from xml.sax.saxutils import escape

ARTICLES = (
    "第一章 总则",
    "第一条 为规范样例数据的登记和使用，保障各方合法权益，根据有关法律法规，制定本办法。",
    "第二条 本办法适用于样例数据的登记、共享、开放和监督管理活动，法律、行政法规另有规定的从其规定。",
    "第三条 样例数据主管部门履行下列职责：",
    "（一）组织编制样例数据目录，并按季度向社会公布更新情况；",
    "（二）受理登记申请，自受理之日起二十个工作日内完成审核；",
    "（三）法律、法规规定的其他职责。",
    "第二章 附则",
    "第四条 本办法由样例数据主管部门负责解释。",
    "第五条 本办法自2025年3月1日起施行，有效期五年。",
)
TITLE = "样例数据登记管理办法"
TEXT = "\n".join((TITLE, *ARTICLES))


def pdf(pages: list[list[tuple[float, float, str]]], *, picture: bool = False) -> bytes:
    """A PDF whose pages hold (x, y from the bottom, text); no fonts are embedded. `picture` draws a black square instead."""
    objects: list[bytes] = [b"<< /Type /Catalog /Pages 2 0 R >>", b""]
    objects.append(
        b"<< /Type /Font /Subtype /Type0 /BaseFont /STSong-Light /Encoding /UniGB-UTF16-H /DescendantFonts [4 0 R] >>"
    )
    objects.append(
        b"<< /Type /Font /Subtype /CIDFontType0 /BaseFont /STSong-Light /CIDSystemInfo << /Registry (Adobe) /Ordering (GB1) /Supplement 4 >>"
        b" /DW 1000 >>"
    )
    kids = []
    for page in pages:
        lines = "".join(
            f"BT /F1 15 Tf 1 0 0 1 {x} {y} Tm <{text.encode('utf-16-be').hex()}> Tj ET\n" for x, y, text in page
        )
        content = (lines + ("0 0 0 rg 100 100 300 300 re f\n" if picture else "")).encode()
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content))
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Resources << /Font << /F1 3 0 R >> >> /Contents %d 0 R >>"
            % len(objects)
        )
        kids.append(len(objects))
    objects[1] = b"<< /Type /Pages /Count %d /Kids [%s] >>" % (len(kids), b" ".join(b"%d 0 R" % k for k in kids))
    out = io.BytesIO(b"")
    out.write(b"%PDF-1.5\n")
    offsets = []
    for number, body in enumerate(objects, 1):
        offsets.append(out.tell())
        out.write(b"%d 0 obj\n%s\nendobj\n" % (number, body))
    start = out.tell()
    out.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1))
    out.write(b"".join(b"%010d 00000 n \n" % offset for offset in offsets))
    out.write(b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start))
    return out.getvalue()


def wrapped_pdf(
    paragraphs: tuple[str, ...] = (TITLE, *ARTICLES), *, width: int = 28, rows: int = 14, furniture: bool = True
) -> bytes:
    """Paragraphs typeset as offices do: two characters of indentation, full lines of `width` characters, running title, page number."""
    lines: list[tuple[float, str]] = []
    for number, paragraph in enumerate(paragraphs):
        if number == 0 or paragraph.startswith(("第一章", "第二章")):
            lines.append((220.0, paragraph))
            continue
        lines.append((112.0, paragraph[: width - 2]))
        rest = paragraph[width - 2 :]
        lines += [(82.0, rest[i : i + width]) for i in range(0, len(rest), width)]
    pages = []
    for first in range(0, len(lines), rows):
        page = [(200.0, 790.0, "样例数据汇编")] if furniture else []
        page += [(x, 740.0 - 29 * k, text) for k, (x, text) in enumerate(lines[first : first + rows])]
        pages.append([*page, (285.0, 50.0, f"— {len(pages) + 1} —")] if furniture else page)
    return pdf(pages)


_W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
_TYPES = (
    '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/>'
    '<Override PartName="/word/numbering.xml" ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.numbering+xml"/></Types>'
)
_ROOT = (
    '<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" '
    'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="word/document.xml"/></Relationships>'
)
_PARTS = (
    '<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" '
    'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/numbering" Target="numbering.xml"/></Relationships>'
)


def level(index: int, fmt: str, text: str, start: int = 1) -> str:
    """One w:lvl of a numbering definition."""
    return f'<w:lvl w:ilvl="{index}"><w:start w:val="{start}"/><w:numFmt w:val="{fmt}"/><w:lvlText w:val="{text}"/></w:lvl>'


def paragraph(text: str, number: int | None = None, depth: int = 0) -> str:
    """One w:p, in list `number` at `depth` when given."""
    listed = f'<w:pPr><w:numPr><w:ilvl w:val="{depth}"/><w:numId w:val="{number}"/></w:numPr></w:pPr>' if number else ""
    return f"<w:p>{listed}<w:r><w:t xml:space='preserve'>{escape(text)}</w:t></w:r></w:p>"


def table(*rows: tuple[str, ...]) -> str:
    """A w:tbl with one paragraph in each cell."""
    cells = ("".join(f"<w:tc>{paragraph(cell)}</w:tc>" for cell in row) for row in rows)
    return "<w:tbl>" + "".join(f"<w:tr>{row}</w:tr>" for row in cells) + "</w:tbl>"


def docx(body: str, levels: str = "", extra: dict[str, str] | None = None) -> bytes:
    """A DOCX with this body and one list (number 1) with these levels."""
    numbering = f'<w:numbering {_W}><w:abstractNum w:abstractNumId="0">{levels}</w:abstractNum><w:num w:numId="1"><w:abstractNumId w:val="0"/></w:num></w:numbering>'
    return archive(
        {
            "[Content_Types].xml": _TYPES,
            "_rels/.rels": _ROOT,
            "word/_rels/document.xml.rels": _PARTS,
            "word/numbering.xml": numbering,
            "word/document.xml": f'<?xml version="1.0" encoding="UTF-8"?><w:document {_W}><w:body>{body}</w:body></w:document>',
            **(extra or {}),
        }
    )


def sample_docx() -> bytes:
    """The sample text as a DOCX with plain numbers."""
    return docx("".join(paragraph(line) for line in (TITLE, *ARTICLES)))


def ofd(pages: list[list[tuple[float, float, str]]], *, locations: list[str] | None = None) -> bytes:
    """An OFD whose pages hold (x, y, text) in millimetres from the top left; `locations` replaces the paths of the pages."""
    ns = 'xmlns:ofd="http://www.ofdspec.org/2016"'
    members = {
        "OFD.xml": f'<ofd:OFD {ns} Version="1.1"><ofd:DocBody><ofd:DocRoot>Doc_0/Document.xml</ofd:DocRoot></ofd:DocBody></ofd:OFD>',
    }
    listed = []
    for number, page in enumerate(pages):
        text = "".join(
            f'<ofd:TextObject Boundary="{x} {y} 180 6" Size="5"><ofd:TextCode X="0" Y="4.5">{escape(content)}</ofd:TextCode></ofd:TextObject>'
            for x, y, content in page
        )
        members[f"Doc_0/Pages/Page_{number}/Content.xml"] = (
            f"<ofd:Page {ns}><ofd:Content><ofd:Layer>{text}</ofd:Layer></ofd:Content></ofd:Page>"
        )
        place = locations[number] if locations else f"Pages/Page_{number}/Content.xml"
        listed.append(f'<ofd:Page ID="{number + 1}" BaseLoc="{place}"/>')
    members["Doc_0/Document.xml"] = (
        f"<ofd:Document {ns}><ofd:CommonData><ofd:PageArea><ofd:PhysicalBox>0 0 210 297</ofd:PhysicalBox></ofd:PageArea></ofd:CommonData>"
        f"<ofd:Pages>{''.join(listed)}</ofd:Pages></ofd:Document>"
    )
    return archive(members)


def sample_ofd() -> bytes:
    """The sample text as an OFD, one line a paragraph, two pages."""
    lines = [(30.0, 25.0 + 9 * k, line) for k, line in enumerate((TITLE, *ARTICLES))]
    return ofd([lines[:6], [(x, y - 54, text) for x, y, text in lines[6:]]])


def archive(members: dict[str, str | bytes]) -> bytes:
    """A zip file with these members."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as target:
        for name, content in members.items():
            target.writestr(name, content)
    return out.getvalue()


def html(*, title: str = TITLE) -> bytes:
    """The sample text as a page of a government site with navigation, share bar, scripts and a footer."""
    body = "".join(f"<p>&#12288;&#12288;{escape(line)}</p>" for line in ARTICLES)
    links = "".join(f'<li><a href="/c{k}">栏目名称{k}</a></li>' for k in range(12))
    return f"""<!doctype html><html><head><meta charset="utf-8"><meta name="ArticleTitle" content="{escape(title)}"><title>{escape(title)}-某市政府</title>
<style>.x{{color:red}}</style></head><body><script>var a = "第九十九条 脚本里的文字。";</script>
<div class="header"><a href="/">某市人民政府门户网站</a><ul class="nav">{links}</ul></div>
<div class="position">您的位置：<a href="/">首页</a> &gt; <a href="/zw">政务公开</a></div>
<div class="main"><h1>{escape(title)}</h1><div class="info">发布日期：2025-03-02　来源：某市数据局　浏览次数：<span>12</span>　【字体：大 中 小】</div>
<div class="share">分享到：<a href="#">微信</a><a href="#">微博</a></div>
<div class="content">{body}</div><div class="tools">【打印】【关闭】</div></div>
<div class="footer">主办单位：某市人民政府办公室　版权所有　粤ICP备00000000号</div></body></html>""".encode()
