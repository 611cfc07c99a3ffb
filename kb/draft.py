"""A draft in, its weak points out: duties it answers or leaves out, dead references, numbering, terms.

The draft need not be in the library. Duties are judged twice, against the draft and against the rules in force, so that what the
draft would lose or gain is visible. A draft that only lists changes to a text in force (修改决定, 修正案草案) is carried out on
that text first. Findings point; people decide. Pure apart from the Library it reads.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kb import gaps
from kb.amendment import Amended, amend, amended_names, is_amending
from kb.cite import Citation, parse_citations
from kb.codec import to_json
from kb.corpus import SourceFile, to_document
from kb.errors import NotFoundError
from kb.index import DocumentInfo, Library
from kb.metadata import status_on
from kb.models import LABELS, STATUS_NAMES, Assessment, Document, Requirement, SourceText
from kb.rows import GapRow, ScopeChoice, gap_rows, national_documents, passage_encoder, today
from kb.scope import build_scope
from kb.titles import TitleIndex, entry_of

Progress = Callable[[str, int, int], None]
KINDS = ("套改", "引用", "编号", "用语", "衔接")
ANSWERED = ("已覆盖", "部分覆盖", "疑似不一致")
_ENDED = ("repealed", "lapsed", "expiry_unchecked")
_SHORT = re.compile(r"[（(]以下(?:统称|简称)[为：:]?[“\"]?([\u4e00-\u9fff]{2,14})[”\"]?[）)]")
# 本办法所称X，是指…; a list of terms after 所称 takes the last one
_DEFINES = re.compile(
    r"(?:所称的?|(?:^|。)(?:[（(][一二三四五六七八九十]+[)）])?(?![^，。]*所称))([\u4e00-\u9fff]{2,12})，?是指", re.M
)
_REASONS = {
    "no_such_article": "所引条款在该文件中不存在，可能已经调整条号",
    "no_paragraph_before": "本条没有所指的前款或前项",
    "out_of_context": "找不到所指的条款",
}


@dataclass(frozen=True, slots=True)
class DraftFinding:
    """One thing to look at: where in the draft, its words, what is odd, what to do. `severity` is error, warning or info."""

    kind: str
    severity: str
    where: str
    quote: str
    what: str
    suggestion: str


@dataclass(frozen=True, slots=True)
class DraftRow:
    """One national duty against the draft and, where given, against the rules in force."""

    title: str
    requirement: Requirement
    draft: Assessment
    current: Assessment | None

    @property
    def change(self) -> str:
        """新增覆盖, 可能丢失, 减弱 or "" between the rules in force and the draft."""
        if self.current is None:
            return ""
        before, after = _rank(self.current), _rank(self.draft)
        if before == after or "待人工核定" in (self.current.label, self.draft.label):
            return ""
        if before == 0:
            return "新增覆盖"
        return "可能丢失" if after == 0 else "减弱" if after < before else "加强"


def _rank(assessment: Assessment) -> int:
    return {"已覆盖": 2, "部分覆盖": 1, "疑似不一致": 1}.get(assessment.label, 0)


@dataclass(frozen=True, slots=True)
class DraftCheck:
    """All that is known of a draft; `amended` where it only listed changes and `document` is the text they lead to."""

    document: Document
    nationals: tuple[str, ...]
    rows: tuple[DraftRow, ...]
    findings: tuple[DraftFinding, ...]
    counts: dict[str, int]
    amended: Amended | None = None


def draft_document(source: SourceText, name: str) -> Document:
    """A text that is not in the library as a Document; its id cannot be that of a held one."""
    return to_document(source, SourceFile(Path(name), f"draft/{name}", "shenzhen", f"draft:{source.sha256[:8]}"))


def carried_out(library: Library, document: Document, base_id: str = "") -> tuple[Document, Amended | None]:
    """The text a draft leads to: itself, or for a draft that lists changes the amended text with its steps.

    Args:
        base_id: the text in force that is amended; by default the one the draft names.

    Raises:
        NotFoundError: the draft lists changes to a text that is not held.
    """
    if not is_amending(document.text):
        return document, None
    base = base_id or _base_of(library, document)
    amended = amend(document.text, library.document(base))
    sha = hashlib.sha256(amended.text.encode("utf-8", "surrogatepass")).hexdigest()
    name = f"{amended.title}（修改草案）.txt"
    return draft_document(SourceText(name, "text/plain", amended.text, sha256=sha), name), amended


def _base_of(library: Library, document: Document) -> str:
    names = amended_names(document.text, document.meta.title)
    for name in names:
        for doc_id in library.titles.by_title(name)[0]:
            if library.info(doc_id).meta.status != "draft":
                return doc_id
    raise NotFoundError(
        f"修改稿所针对的文件不在文库：{'、'.join(names[:2]) or '（没有写明）'}",
        hint="请先收录现行文本，或指明被修改的文件。",
    )


def check_draft(
    library: Library,
    document: Document,
    national_ids: Sequence[str],
    current: ScopeChoice | None = None,
    *,
    amended: Amended | None = None,
    progress: Progress | None = None,
) -> DraftCheck:
    """Structure, references, terms and national duties of a draft.

    Args:
        national_ids: national documents whose duties the draft should answer.
        current: rules in force to compare with; None leaves that comparison out.
        amended: the steps that led to the document, from `carried_out`.
        progress: called with ("judge", done, total).
    """
    rows = tuple(_rows(library, document, national_ids, current, progress))
    steps = (*open_steps(amended), *stale_references(library, document, amended)) if amended else ()
    found = (*steps, *numbering(document), *references(library, document), *terms(library, document))
    counts = Counter(r.draft.label for r in rows)
    return DraftCheck(
        document,
        tuple(library.info(i).meta.title for i in national_ids),
        rows,
        found,
        {label: counts.get(label, 0) for label in LABELS},
        amended,
    )


def _rows(library, document, national_ids, current, progress):
    encode = passage_encoder(library)
    # its numbering is reported apart; a skipped number must not turn every silence into 待人工核定
    scope = build_scope([replace(document, meta=replace(document.meta, status="in_force"), quality="complete")], encode)
    total = sum(len(library.requirements(i)) for i in national_ids)
    done = 0
    for doc_id in national_ids:
        held: list[GapRow] = gap_rows(library, [doc_id], current) if current else []
        by_id = {r.requirement.requirement_id: r.assessment for r in held}
        national = gaps.build_national(library.document(doc_id), encode)
        verdicts = gaps.judge_all(national, scope, threshold=library.settings.undetermined_below)
        done += len(verdicts)
        if progress:
            progress("judge", done, total)
        for duty, verdict in zip(national.duties, verdicts, strict=True):
            yield DraftRow(library.info(doc_id).meta.title, duty, verdict, by_id.get(duty.requirement_id))


def suggested_nationals(library: Library, document: Document, limit: int = 3) -> list[DocumentInfo]:
    """National documents a draft should answer: those of the same subject first, then those it cites most."""
    from rapidfuzz import fuzz

    wanted = _subject(document.meta.title)
    known = {d.doc_id: d for d in national_documents(library)}
    cited = Counter(
        c.doc_id for p in document.provisions for c in _citations(library, document, p) if c.doc_id in known
    )
    scored = sorted(
        known.values(),
        key=lambda d: (
            -fuzz.token_sort_ratio(" ".join(wanted), " ".join(_subject(d.meta.title))) - 4 * cited[d.doc_id],
            d.doc_id,
        ),
    )
    return scored[:limit]


def _subject(title: str) -> list[str]:
    from kb.segment import words

    common = {
        "管理",
        "办法",
        "条例",
        "规定",
        "暂行",
        "实施",
        "试行",
        "征求意见",
        "意见",
        "广东省",
        "广东",
        "深圳市",
        "深圳",
        "国家",
        "规范",
        "关于",
    }
    return [w for w in words(title) if len(w) > 1 and w not in common]


# -- changes carried out --------------------------------------------------------------------------------------------------


def open_steps(amended: Amended) -> list[DraftFinding]:
    """Changes the draft lists that could not be carried out on the text in force."""
    return [
        DraftFinding("套改", "warning", s.old or "—", s.words, s.problem, "请核对现行文本的条、款、项和用语")
        for s in amended.open_steps
    ]


def stale_references(library: Library, document: Document, amended: Amended) -> list[DraftFinding]:
    """Places of the old text that still point to an article by the number it had before the changes."""
    texts = {p.label: p.text for p in document.provisions}
    out = []
    for p in library.document(amended.base_id).provisions:
        if p.label in amended.rewritten or p.label not in amended.numbers:
            continue
        here = amended.numbers[p.label]
        for c in _citations(library, document, p):
            own = c.doc_id == amended.base_id and c.label
            if own and c.text in texts.get(here, "") and amended.numbers.get(c.label) != c.label:
                now = amended.numbers.get(c.label)
                what = f"{c.label}已改为{now}，此处未随之修改" if now else f"{c.label}已删去，此处仍引用"
                out.append(DraftFinding("引用", "error", here, c.text, what, "请随条文顺序调整引用"))
    return out


# -- numbering ----------------------------------------------------------------------------------------------------------


def numbering(document: Document) -> list[DraftFinding]:
    """Gaps and repetitions in the numbers of articles and chapters, and items that do not start at one or skip."""
    out = []
    previous: tuple[int, ...] | None = None
    seen: dict[str, int] = {}
    for p in (p for p in document.provisions if p.kind == "article"):
        seen[p.label] = seen.get(p.label, 0) + 1
        if seen[p.label] == 2:
            out.append(DraftFinding("编号", "error", p.label, p.text[:60], "条号重复", "请检查条文顺序"))
        elif previous and p.number[0] > previous[0] + 1:
            out.append(
                DraftFinding(
                    "编号", "error", p.label, p.text[:60], f"条号不连续：上一条为第{previous[0]}条", "请检查是否漏条"
                )
            )
        previous = p.number
        items = [u.item for u in p.units if u.item is not None and u.subitem is None]
        if items and items != list(range(1, len(items) + 1)) and sorted(set(items)) != list(range(1, max(items) + 1)):
            out.append(DraftFinding("编号", "warning", p.label, p.text[:60], "项的序号不连续", "请检查各项序号"))
    chapters = [h.number for h in document.headings if h.level == "chapter"]
    if chapters and chapters != list(range(1, len(chapters) + 1)):
        out.append(
            DraftFinding("编号", "warning", "章", "", f"章的序号为 {'、'.join(map(str, chapters))}", "请检查章的序号")
        )
    return out


# -- references ---------------------------------------------------------------------------------------------------------


def _titles(library: Library, document: Document) -> TitleIndex:
    others = [e for i, e in library.titles.entries.items() if i != document.doc_id]
    return TitleIndex([*others, entry_of(document)])


def _citations(library: Library, document: Document, provision) -> list[Citation]:
    return parse_citations(provision.text, library.titles, provision)


def references(library: Library, document: Document) -> list[DraftFinding]:
    """Places the draft points to that are not there, texts that are no longer in force, drafts cited as if in force."""
    titles = _titles(library, document)
    metas = {d.doc_id: d.meta for d in library.documents}
    out, named = [], set()
    for p in document.provisions:
        for c in parse_citations(p.text, titles, p):
            if c.kind == "dangling":
                continue
            if not c.resolved and c.reason in _REASONS:
                inside = c.doc_id in ("", document.doc_id)
                what = ("本文件内部引用：" if inside else f"《{c.title}》：") + _REASONS[c.reason]
                out.append(DraftFinding("引用", "error", p.label, c.text, what, "请核对条号"))
            elif not c.resolved and c.reason == "not_in_library" and c.title not in named:
                named.add(c.title)
                out.append(
                    DraftFinding("引用", "info", p.label, c.text, "所引文件不在文库，无法核对", "可先收录该文件")
                )
            elif c.resolved and c.doc_id in metas and (c.doc_id, "status") not in named:
                status = status_on(metas[c.doc_id], today())
                if status in (*_ENDED, "draft"):
                    named.add((c.doc_id, "status"))
                    out.append(
                        DraftFinding(
                            "引用",
                            "warning",
                            p.label,
                            c.text,
                            f"所引文件的时效为“{STATUS_NAMES[status]}”",
                            "请核实是否仍可引用",
                        )
                    )
    return out


# -- terms --------------------------------------------------------------------------------------------------------------


def terms(library: Library, document: Document) -> list[DraftFinding]:
    """Defined terms that are never used, short names used before they are introduced, terms of national law left undefined."""
    out = []
    defined: dict[str, str] = {}
    for p in document.provisions:
        for unit in p.units or ():
            for match in _DEFINES.finditer(unit.text):
                defined.setdefault(match[1], p.label)
        for match in _SHORT.finditer(p.text):
            short = match[1]
            defined.setdefault(short, p.label)
            first = document.text.find(short)
            at = p.start + match.start()
            if 0 <= first < at - 40 and document.text[first - 1 : first] not in "《":
                out.append(
                    DraftFinding(
                        "用语",
                        "warning",
                        p.label,
                        match[0],
                        f"“{short}”在写明简称之前已经使用",
                        "请把简称移到首次出现处",
                    )
                )
    for term, label in defined.items():
        if document.text.count(term) < 2:
            out.append(DraftFinding("用语", "info", label, term, "定义后未再使用", "请核实是否需要这一定义"))
    for term, (title, address) in sorted(_national_terms(library).items()):
        used = [p.label for p in document.provisions if term in p.text]
        if len(used) >= 3 and not any(term in d or d in term for d in defined):
            out.append(
                DraftFinding(
                    "用语",
                    "info",
                    used[0],
                    term,
                    f"“{term}”在 {len(used)} 条中使用而未作定义；国家文件有定义：《{title}》{address}",
                    "可写明含义从其规定，或与之保持一致",
                )
            )
    return out


def _national_terms(library: Library) -> dict[str, tuple[str, str]]:
    """Terms that national documents in force define, with the place of the definition; longer than three characters only."""
    out: dict[str, tuple[str, str]] = {}
    for info in national_documents(library):
        for duty in library.requirements(info.doc_id):
            if (match := _DEFINES.search(duty.text)) and len(match[1]) >= 4:
                out.setdefault(match[1], (info.meta.title, duty.address))
    return out


# -- the table of comments ------------------------------------------------------------------------------------------------

_ADVICE = {
    "未覆盖": "补写这一要求，或说明由哪一文件落实",
    "部分覆盖": "补齐所缺的内容，或说明不写的理由",
    "疑似不一致": "核对后改为一致，或说明依据",
}
COLUMNS = ("序号", "草案条款", "原文", "类别", "问题", "建议")


def comments(check: DraftCheck) -> list[tuple[str, ...]]:
    """Rows of COLUMNS: national duties left out, weaker or different first, then findings."""
    rows = []
    for r in check.rows:
        a = r.draft
        if a.label not in ("未覆盖", "部分覆盖", "疑似不一致"):
            continue
        best = a.evidence[0] if a.evidence else None
        decisive = best is not None and a.label != "未覆盖"
        where = best.address if decisive else "（未写）"
        detail = "；".join(a.missing or a.differs)
        lead = {"未覆盖": "草案未写", "部分覆盖": "要素不全", "疑似不一致": "与国家文件疑似不一致，建议核实"}[a.label]
        change = f"。与现行规定相比：{r.change}" if r.change else ""
        rows.append(
            (
                where,
                best.quote if decisive else "",
                "衔接",
                f"《{r.title}》{r.requirement.address}：{r.requirement.text}　{lead}{'：' + detail if detail else ''}{change}",
                _ADVICE[a.label],
            )
        )
    rows += [(f.where, f.quote, f.kind, f.what, f.suggestion) for f in check.findings]
    return [(str(n), *row) for n, row in enumerate(rows, 1)]


def as_json(check: DraftCheck) -> bytes:
    """The check without the text of the draft."""
    data = {
        "title": check.document.meta.title,
        "provisions": len(check.document.provisions),
        "nationals": list(check.nationals),
        "changes": [to_json(s) for s in check.amended.steps] if check.amended else [],
        "counts": check.counts,
        "rows": [
            {
                "title": r.title,
                "address": r.requirement.address,
                "text": r.requirement.text,
                "label": r.draft.label,
                "confidence": r.draft.confidence,
                "current": r.current.label if r.current else None,
                "change": r.change,
                "evidence": [to_json(e) for e in r.draft.evidence],
                "missing": list(r.draft.missing),
                "differs": list(r.draft.differs),
            }
            for r in check.rows
        ],
        "findings": [to_json(f) for f in check.findings],
        "comments": [dict(zip(COLUMNS, row, strict=True)) for row in comments(check)],
    }
    return json.dumps(data, ensure_ascii=False, indent=1).encode("utf-8", "replace")
