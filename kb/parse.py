"""Text in, Document out: 编章节条款项 of statutes, 一、（一）1. outlines, glossaries, annexes, several of them in one file.

A line opens an article only when its number follows the previous one; any other line that merely looks like a heading is a wrapped
citation and stays text. Every span is exact, and headings, provisions and plain spans together cover the text without overlap.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from kb.front import NOTICE, Parsed, Scope, front, is_date_line, title_like
from kb.marks import HEADING_LEVELS, Line, Run, chain, contents_lines, ends_sentence, point_ready, scan
from kb.models import Document, DocumentMeta, Finding, Heading, Page, PlainSpan, Provision
from kb.structure import annex, glossary, glossary_opens, outline, plain, statute, top_level


@dataclass(frozen=True, slots=True)
class _Part:
    """Lines [first, stop) with one numbering run; `name` is "" for the main text."""

    first: int
    stop: int
    name: str
    opens: tuple[int, ...]
    gaps: tuple[tuple[int, int], ...] = ()


def parse(
    text: str,
    meta: DocumentMeta,
    *,
    doc_id: str,
    version: str = "",
    pages: Sequence[Page] = (),
    source_path: str = "",
    sha256: str = "",
) -> Document:
    """Parse cleaned text. Any text yields a Document; what is not recognised stays plain text of its provision."""
    lines = scan(text)
    for i in contents_lines(lines):
        lines[i].level = "contents" if lines[i].level != "blank" else "blank"
    runs = _article_runs(lines)
    whole = Parsed()
    for part in _named(_parts(lines, runs), lines, meta):
        piece = _parse_part(text, lines, part, doc_id)
        whole.headings += piece.headings
        whole.provisions += piece.provisions
        whole.roles.update(piece.roles)
        whole.findings += piece.findings + [_gap_finding(low, high) for low, high in part.gaps]
    provisions, repeats = _without_repeats(whole.provisions)
    provisions = _unique(provisions)
    findings = whole.findings + [
        Finding(
            "warning",
            "",
            f"{p.label} stands twice with the same text; the second copy is not indexed",
            "Check the source page.",
        )
        for p in repeats
    ]
    spans = _plain_spans(text, lines, whole.headings, provisions, repeats, whole.roles)
    return Document(
        doc_id=doc_id,
        version=version,
        meta=meta,
        text=text,
        headings=tuple(sorted(whole.headings, key=lambda h: h.start)),
        provisions=tuple(provisions),
        findings=tuple(findings),
        source_path=source_path,
        sha256=sha256,
        pages=tuple(pages),
        plain=tuple(spans),
    )


def segments(document: Document) -> list[tuple[str, int, int]]:
    """(kind, start, end) of every heading, provision and plain span in order of position: together they are the whole text."""
    rows = [("heading", h.start, h.end) for h in document.headings]
    rows += [("provision", p.start, p.end) for p in document.provisions]
    rows += [(s.kind, s.start, s.end) for s in document.plain]
    return sorted(rows, key=lambda row: (row[1], row[2]))


_OWNERS = re.compile(r"[（(]([^（）()]{2,200}(?:负责|牵头)[^（）()]{0,20})[）)][。\s]*$")
_OWNER_WORDS = re.compile(
    r"按(?:照)?(?:各自)?职责(?:分工)?(?:落实|负责)?|(?:分工|共同|组织)?负责(?:落实)?|等(?:单位|部门)?$|[\u4e00-\u9fff]{2}单位[：:]|^由"
)


def owners(text: str) -> tuple[str, ...]:
    """Offices named in the owner note that closes a task, lead first: （商务部牵头，财政部、海关总署按职责分工负责）."""
    match = _OWNERS.search(text.rstrip())
    if not match:
        return ()
    lead, _, others = match[1].rpartition("牵头")
    names = [_OWNER_WORDS.sub("", n).strip() for n in re.split(r"[，、；,;：:]|会同|配合", f"{lead}、{others}")]
    return tuple(dict.fromkeys(n for n in names if len(n) >= 2))


# --- parts ---------------------------------------------------------------------------------------------------------------


def _article_runs(lines: Sequence[Line]) -> list[Run]:
    """Accepted article runs; every other article candidate becomes plain text."""
    candidates = [i for i, line in enumerate(lines) if line.level == "article"]
    runs = [run for run in chain(lines, candidates) if len(run.opens) >= 2]
    accepted = {i for run in runs for i in run.opens}
    for i in candidates:
        if i not in accepted:
            lines[i].level = ""
    return runs


def _parts(lines: Sequence[Line], runs: Sequence[Run]) -> list[_Part]:
    """Cut the file where an annex begins, where article numbers start again, and where points start again."""
    annexes = [i for i, line in enumerate(lines) if line.level == "annex" and _opens_annex(lines, i)]
    cuts = {0: "", **{i: annex_name(lines[i]) for i in annexes}}
    floor = 0
    for number, run in enumerate(runs):
        first = run.opens[0]
        above = bisect_right(annexes, first)
        floor = max(floor, annexes[above - 1] if above else 0)
        title = _title_above(lines, first, floor)
        if number or _has_own_points(lines, floor, title):
            cuts.setdefault(title, _short_title(lines, title, first) or f"第{number + 1}部分")
            floor = title
        floor = max(floor, run.opens[-1]) if len(runs) > 1 else floor
    return [piece for part in _cut(lines, cuts, runs) for piece in _split_points(lines, part)]


def _cut(lines: Sequence[Line], cuts: Mapping[int, str], runs: Sequence[Run]) -> Iterator[_Part]:
    """Parts between the cuts, each with the openings and gaps of the runs that begin in it."""
    starts = sorted(cuts)
    begins = [run.opens[0] for run in runs]
    for first, stop in zip(starts, [*starts[1:], len(lines)], strict=True):
        inside = runs[bisect_left(begins, first) : bisect_left(begins, stop)]
        opens = tuple(i for run in inside for i in run.opens if i < stop)
        yield _Part(first, stop, cuts[first], opens, tuple(gap for run in inside for gap in run.gaps))


def _split_points(lines: Sequence[Line], part: _Part) -> Iterator[_Part]:
    """A second run of 一、二、 (the attachment of a notice, a second paper) makes its own part."""
    begin = part.opens[-1] + 1 if part.opens else part.first
    candidates = [i for i in range(begin, part.stop) if lines[i].level == "p1" and point_ready(lines, i)]
    runs = [run for run in chain(lines, candidates) if len(run.opens) >= 2 and lines[run.opens[0]].number == (1,)]
    if part.opens:
        runs = [
            run
            for run in runs
            if _title_above(lines, run.opens[0], begin) < run.opens[0] and _breaks(lines, begin, run.opens[0])
        ]
    else:
        runs = runs[1:]
    first = part.first
    for number, run in enumerate(runs, 2):
        cut = _title_above(lines, run.opens[0], first)
        if cut <= first:
            continue
        yield replace(part, first=first, stop=cut, gaps=part.gaps if first == part.first else ())
        title = _short_title(lines, cut, run.opens[0]) or f"第{number}部分"
        part, first = _Part(cut, part.stop, title, ()), cut
    yield replace(part, first=first)


def _breaks(lines: Sequence[Line], first: int, stop: int) -> bool:
    """A date line or a title line between an article and a list of points: the list is no part of the article."""
    return any(
        is_date_line(lines[i].text) or (title_like(lines[i]) and len(lines[i].text) >= 4) for i in range(first, stop)
    )


_LIST_OF_ANNEXES = re.compile(r"^附\s?件\s?[：:]")


def _opens_annex(lines: Sequence[Line], i: int) -> bool:
    """False for 附件说明 (附件：1.名词解释 …, before the signature) and for sentences that begin with 附件."""
    line = lines[i]
    text = line.text
    if (
        len(text) > 50
        or text[-1] in "。；，、"
        or (not ends_sentence(lines, i) and not title_like(lines[max(0, i - 1)]))
    ):
        return False
    following = [other for other in lines[i + 1 : i + 6] if other.level != "blank"]
    if not following:
        return False
    if _LIST_OF_ANNEXES.match(text):
        body = text[line.body - line.lead :]
        listed = bool(body) or (
            following[0].level == "p3" and len(following[0].text) <= 60 and following[0].text[-1] not in "。；"
        )
        if listed:
            return (
                not body
                and not any(o.level == "annex" or is_date_line(o.text) for o in lines[i + 1 : i + 20])
                and len(following) < 2
            )
    return not (following[0].level == "annex" and following[0].number == line.number)


def annex_name(line: Line) -> str:
    """附件, 附件2, 附录: the name of the part an annex line opens."""
    word = re.sub(r"\s", "", line.text)[:2]
    return word + (str(line.number[0]) if line.number[0] else "")


def _title_above(lines: Sequence[Line], first: int, floor: int) -> int:
    """The line where the title, 题注 and chapter heading above an opening begin."""
    i, seen = first, 0
    while i > floor and seen < 10:
        above = lines[i - 1]
        if above.level in ("blank", "contents", *HEADING_LEVELS):
            i -= 1
        elif title_like(above) and not (is_date_line(above.text) and above.text[0] not in "（("):
            i, seen = i - 1, seen + 1
        else:
            break
    while i < first and lines[i].level == "blank":
        i += 1
    return i


def _short_title(lines: Sequence[Line], first: int, stop: int) -> str:
    """First title line of a part, as its name."""
    for line in lines[first:stop]:
        if line.level == "" and not is_date_line(line.text) and line.text[0] not in "（(":
            return re.sub(r"[\s/#　]+", "", line.text)[:30]
    return ""


def _has_own_points(lines: Sequence[Line], first: int, stop: int) -> bool:
    """A covering notice with its own 一、二、 before the attached articles."""
    candidates = [i for i in range(first, stop) if lines[i].level == "p1" and ends_sentence(lines, i)]
    return any(len(run.opens) >= 2 for run in chain(lines, candidates))


def _named(parts: Sequence[_Part], lines: Sequence[Line], meta: DocumentMeta) -> list[_Part]:
    """Decide which part is the main text (name ""): the one under the document's title, else the first with structure."""
    if len(parts) == 1:
        return [replace(parts[0], name="")]
    structured = [part for part in parts if part.opens or _points(lines, part) >= 2]
    key = _letters(meta.title)
    titled = [
        part
        for part in structured[1:]
        if key and _letters(_short_title(lines, part.first, part.stop)) in (key, key[:30])
    ]
    main = titled[0] if titled else structured[0] if structured else parts[0]
    seen: set[str] = {""}
    out = []
    for number, part in enumerate(parts, 1):
        name = "" if part is main else part.name or NOTICE
        while name in seen and part is not main:
            name = f"{name}（{number}）"
        seen.add(name)
        out.append(replace(part, name=name))
    return out


def _letters(text: str) -> str:
    return "".join(c for c in text if c.isalnum())


def _points(lines: Sequence[Line], part: _Part) -> int:
    return sum(1 for i in range(part.first, part.stop) if lines[i].level in ("p1", "p2", "p3", "decimal"))


def _parse_part(text: str, lines: list[Line], part: _Part, doc_id: str) -> Parsed:
    opening = lines[part.first] if part.first < part.stop else None
    if opening is not None and opening.level == "annex" and part.name:
        below = _parse_part(text, lines, replace(part, first=part.first + 1), doc_id)
        title = opening.text[opening.body - opening.lead :].strip()
        below.headings.insert(0, Heading("annex", opening.number[0], title, opening.lead, opening.end))
        return below
    scope = Scope(text, lines, part.first, part.stop, doc_id, part.name)
    if part.opens:
        return statute(scope, part.opens)
    if opens := glossary_opens(scope):
        return glossary(scope, opens)
    level, points = top_level(scope)
    if points:
        return outline(scope, level, points)
    if part.name.startswith("附"):
        return annex(scope, part.name)
    if part.name == NOTICE:
        out = Parsed()
        front(Scope(text, lines, part.first, part.stop, doc_id, ""), part.stop, out)
        return out
    return plain(scope)


# --- the whole -----------------------------------------------------------------------------------------------------------


def _gap_finding(low: int, high: int) -> Finding:
    missing = f"第{low + 1}条" if high == low + 2 else f"第{low + 1}条至第{high - 1}条"
    return Finding(
        "warning",
        "",
        f"numbers jump from {low} to {high}: {missing} missing",
        "Look for lost pages in the source file.",
    )


def _without_repeats(provisions: Sequence[Provision]) -> tuple[list[Provision], list[Provision]]:
    """Provisions of later parts that repeat an earlier one word by word (a block printed twice on one page)."""
    seen: dict[tuple[str, str], str] = {}
    if len({p.part for p in provisions}) < 2:
        return list(provisions), []
    kept, repeats = [], []
    for provision in provisions:
        key = (provision.label, provision.text)
        if len(key[1]) > 20 and key in seen and provision.part != seen[key]:
            repeats.append(provision)
        else:
            seen.setdefault(key, provision.part)
            kept.append(provision)
    return kept, repeats


def _unique(provisions: Sequence[Provision]) -> list[Provision]:
    """Ids are unique in a document: the second of two equal ids gets ~2."""
    seen: dict[str, int] = {}
    out = []
    for provision in provisions:
        count = seen[provision.provision_id] = seen.get(provision.provision_id, 0) + 1
        out.append(provision if count == 1 else replace(provision, provision_id=f"{provision.provision_id}~{count}"))
    return sorted(out, key=lambda p: p.start)


def _plain_spans(
    text: str,
    lines: Sequence[Line],
    headings: Sequence[Heading],
    provisions: Sequence[Provision],
    repeats: Sequence[Provision],
    roles: dict[int, str],
) -> list[PlainSpan]:
    """What headings and provisions leave uncovered, cut where the role of the lines changes."""
    covered = sorted([(x.start, x.end) for x in (*headings, *provisions)])
    role_at = {lines[i].start: role for i, role in roles.items()}
    repeated = [(p.start, p.end) for p in repeats]
    spans: list[PlainSpan] = []
    position, k = 0, 0
    for line in lines:
        stop = min(len(text), line.start + text_length(text, line))
        while k < len(covered) and covered[k][1] <= line.start:
            k += 1
        position = max(position, line.start)
        j = k
        while position < stop:
            if j < len(covered) and covered[j][0] <= position:
                position, j = max(position, covered[j][1]), j + 1
                continue
            end = min(stop, covered[j][0]) if j < len(covered) else stop
            kind = (
                "blank"
                if not text[position:end].strip(" \t　\u00a0#*\n")
                else role_at.get(line.start)
                or (
                    "repeat"
                    if any(a <= position < b for a, b in repeated)
                    else "contents"
                    if line.level == "contents"
                    else "other"
                )
            )
            if spans and spans[-1].kind == kind and spans[-1].end == position:
                spans[-1] = replace(spans[-1], end=end)
            else:
                spans.append(PlainSpan(kind, position, end))
            position = end
    return spans


def text_length(text: str, line: Line) -> int:
    """Length of a line with its newline."""
    end = text.find("\n", line.start)
    return (len(text) if end < 0 else end + 1) - line.start
