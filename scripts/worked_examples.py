"""The worked examples of a page (domain.md 4.6) and a corpus in, the judge's answers beside them and a score out.

    python scripts/worked_examples.py --corpus ../shared/corpus --page ../shared/domain.md

Nothing of the page is kept here: its table is read at run time, and each duty is found by the short title, the number of the
article and the quoted words of its row. A row whose text is not held counts as not answered.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kb.corpus import load
from kb.elements import load_data
from kb.evaluate_gaps import LABEL_ORDER
from kb.gaps import National, build_national, judge_duties, prepared
from kb.judge_model import JudgeModel, default_model
from kb.models import Assessment, Document, Requirement
from kb.numerals import article_label
from kb.scope import Encode, Scope, build_scope, content_words, coverage
from kb.segment import squeeze

LOCAL = "深圳经济特区数据条例"
"""The page compares with this one text; it says so above the table."""
_HEADING = "### 4.6 "
_ROW = re.compile(r"^\| (\d+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.M)
_CITED = re.compile(
    r"^(?P<name>[^\d“、，]{3,12}?)\s?(?P<number>\d+|[一二三四五六七八九十]+(?:（[一二三四五六七八九十]+）)?)(?=$|[第，、：:,\s“])"
)
_PARAGRAPH = re.compile(r"第([一二三四五六七八九十])款")


@dataclass(frozen=True, slots=True)
class Example:
    """One row of the page; `labels` are the labels that agree with it, empty where none can."""

    number: int
    national: str
    labels: tuple[str, ...]
    quotes: tuple[str, ...]


def read_examples(page: str) -> list[Example]:
    """Rows of the table, in order; other tables of the page do not count."""
    out = []
    table = page.split(_HEADING, 1)[-1].split("\n#", 1)[0]
    for number, national, _, label, _ in _ROW.findall(table):
        named = tuple(x for x in LABEL_ORDER if x in label)
        silent = ("未覆盖", "直接适用无需配套", "不适用") if "不计入覆盖" in label else ()
        out.append(Example(int(number), national.strip(), named or silent, tuple(re.findall(r"“([^”]+)”", national))))
    return out


def find_duty(example: Example, documents: dict[str, Document]) -> tuple[Document, str, int | None] | None:
    """(document, label of the article or point, paragraph) named by a row, None where it is not held."""
    aliases = {a: title for title, names in load_data("aliases.yaml")["titles"].items() for a in names}
    cited = _CITED.match(example.national)
    if not cited or cited["name"].strip() not in aliases:
        return None
    document = documents.get(squeeze(aliases[cited["name"].strip()]))
    if document is None:
        return None
    number = cited["number"]
    label = (
        article_label(int(number))
        if number.isdigit()
        else number.replace("（", "、（")
        if "（" in number
        else f"{number}、"
    )
    paragraph = _PARAGRAPH.search(example.national)
    return document, label, "零一二三四五六七八九十".index(paragraph[1]) if paragraph else None


def pick(example: Example, duties: Sequence[Requirement], label: str, paragraph: int | None) -> int | None:
    """Position of the duty of that article which has most of the quoted words (of all words of the row without a quote)."""
    wanted = content_words("".join(example.quotes) or example.national)
    inside = [i for i, d in enumerate(duties) if d.label == label]
    inside = [i for i in inside if paragraph in (None, duties[i].paragraph)] or inside
    if not inside:
        return None
    return max(inside, key=lambda i: (coverage(wanted, content_words(duties[i].text), duties[i].text), -i))


def answer(
    examples: Sequence[Example], documents: dict[str, Document], encode: Encode | None, model: JudgeModel | None = None
) -> list[tuple[Example, Requirement | None, Assessment | None]]:
    """Each example with the duty found and its judgement."""
    scope: Scope = build_scope([documents[squeeze(LOCAL)]], encode)
    nationals: dict[str, National] = {}
    out = []
    for example in examples:
        found = find_duty(example, documents)
        if found is None:
            out.append((example, None, None))
            continue
        document, label, paragraph = found
        national = nationals.setdefault(document.doc_id, None) or build_national(document, encode)
        nationals[document.doc_id] = national
        at = pick(example, national.duties, label, paragraph)
        if at is None:
            out.append((example, None, None))
            continue
        row = judge_duties([(prepared(national, at), None)], national, scope, model or default_model())[0]
        out.append((example, national.duties[at], row))
    return out


def agrees(example: Example, row: Assessment | None) -> bool:
    """Whether the proposed label is one the page accepts."""
    return row is not None and row.proposed_label in example.labels


def load_documents(corpus: Path) -> dict[str, Document]:
    """Documents by squeezed title; the first of a title stays."""
    out: dict[str, Document] = {}
    for document in load(corpus).documents:
        out.setdefault(squeeze(document.meta.title), document)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--page", type=Path, required=True)
    args = parser.parse_args()
    from kb.embed import load_encoder

    examples = read_examples(args.page.read_text(encoding="utf-8"))
    rows = answer(examples, load_documents(args.corpus), load_encoder().encode_passages)
    for example, duty, row in rows:
        got = (
            f"{row.proposed_label} {row.confidence:.2f} {row.evidence[0].article if row.evidence else ''}"
            if row
            else "-"
        )
        mark = "=" if agrees(example, row) else "x"
        print(f"{mark} {example.number:>2} {'/'.join(example.labels)} | {got} | {duty.address if duty else 'not held'}")
    print(f"{sum(agrees(e, r) for e, _, r in rows)} of {len(rows)} agree")


if __name__ == "__main__":
    main()
