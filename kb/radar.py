"""Documents in, drift signals out: what a re-indexing reader should look at without asking about one duty.

Four signals, all offline: local texts older than the superior text their basis clause names, delegations nobody carried out,
national texts in force without a local echo, local references to articles that were amended away or repealed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kb.models import Document
from kb.scope import canonical, content_words, coverage

KINDS = {
    "older_than_basis": "本地文本早于其依据的现行版本",
    "delegation_open": "授权制定的配套未见",
    "no_echo": "国家文件在本地没有回应",
    "stale_reference": "引用的条款已修改或废止",
}
_TITLE = re.compile(r"《([^《》]{3,60})》")
_DELEGATION = re.compile(
    r"(?:具体)?([\u4e00-\u9fff]{2,16}?(?:办法|细则|目录|规定|标准|规范|清单))由([^，。；]{2,30}?)(?:另行|会同[^，。；]{2,20}|统一)?(?:制定|规定|编制)"
)
_CITED = re.compile(r"《([^《》]{3,60})》第([零〇一二三四五六七八九十百千0-9]+)条")
OUT_OF_FORCE = ("repealed", "lapsed")


@dataclass(frozen=True, slots=True)
class Signal:
    """One observation; `kind` is a key of KINDS, `where` a citation, `why` one sentence with the dates or names it rests on."""

    kind: str
    title: str
    where: str
    about: str
    why: str


def radar(national: Sequence[Document], local: Sequence[Document]) -> list[Signal]:
    """All signals, local documents in title order."""
    texts = sorted((d for d in local if d.meta.status != "draft"), key=lambda d: d.meta.title)
    return [
        *older_than_basis(national, texts),
        *open_delegations(texts),
        *without_echo(national, texts),
        *stale_references(national, texts),
    ]


def _by_title(documents: Iterable[Document]) -> dict[str, Document]:
    return {_key(d.meta.title): d for d in documents}


def _key(title: str) -> str:
    return re.sub(r"\s|^中华人民共和国|[（(][^（）()]*[)）]$", "", title)


def basis_titles(document: Document) -> tuple[str, ...]:
    """Titles named in the basis clause: the metadata's list, else article 1 or the preamble."""
    if document.meta.basis:
        return tuple(document.meta.basis)
    first = next((p for p in document.provisions if p.number and p.number[0] <= 1), None)
    clause = re.search(r"(?:根据|依据|按照|贯彻|落实)[^。]{4,400}", first.text) if first else None
    return tuple(_TITLE.findall(clause[0])) if clause else ()


def older_than_basis(national: Sequence[Document], local: Sequence[Document]) -> list[Signal]:
    """Local texts in force before the superior text they name was (last) put in force."""
    known = _by_title(national)
    out = []
    for document in local:
        ours = document.meta.effective_on or document.meta.promulgated_on
        for title in basis_titles(document):
            superior = known.get(_key(title))
            theirs = superior and (superior.meta.effective_on or superior.meta.promulgated_on)
            if ours and theirs and ours < theirs:
                out.append(
                    Signal(
                        "older_than_basis",
                        document.meta.title,
                        "",
                        superior.meta.title,
                        f"本地{ours}施行，依据{theirs}施行，需核对是否滞后",
                    )
                )
    return out


def open_delegations(local: Sequence[Document]) -> list[Signal]:
    """“由…另行制定” whose product no held document looks like (most words of its name in no title)."""
    titles = [content_words(d.meta.title) for d in local]
    out = []
    for document in local:
        for provision in document.provisions:
            for match in _DELEGATION.finditer(provision.text):
                if re.search(r"国务院|国家|中央", match[2]):
                    continue
                wanted = content_words(match[1]) - {"具体", "办法", "管理办法", "规定", "另行"}
                if wanted and max((coverage(wanted, t) for t in titles), default=0.0) >= 0.8 and len(wanted) > 1:
                    continue
                out.append(
                    Signal(
                        "delegation_open",
                        document.meta.title,
                        provision.label,
                        match[1],
                        f"“{match[0]}”，文库中未见相应文件",
                    )
                )
    return out


def without_echo(national: Sequence[Document], local: Sequence[Document]) -> list[Signal]:
    """National texts in force that no local text names."""
    named = {_key(t) for d in local for t in _TITLE.findall(d.text)}
    bodies = [canonical(d.text) for d in local]
    out = []
    for document in national:
        if document.meta.status in ("draft", *OUT_OF_FORCE) or not document.provisions:
            continue
        key = _key(document.meta.title)
        if key not in named and not any(canonical(key) in body for body in bodies):
            out.append(Signal("no_echo", document.meta.title, "", "", "范围内没有本地文件引用或转发"))
    return out


def stale_references(national: Sequence[Document], local: Sequence[Document]) -> list[Signal]:
    """Local citations of an article that the held version does not have, or of a text amended after the local one or repealed."""
    known = _by_title(national)
    out = []
    for document in local:
        ours = document.meta.effective_on or document.meta.promulgated_on
        for provision in document.provisions:
            for title, number in _CITED.findall(provision.text):
                target = known.get(_key(title))
                if target is None:
                    continue
                label = f"第{number}条"
                if target.meta.status in OUT_OF_FORCE:
                    why = "所引文件已废止或失效"
                elif all(p.label != label for p in target.provisions):
                    why = "现行文本没有这一条"
                elif ours and (target.meta.effective_on or "") > ours:
                    why = f"所引文件{target.meta.effective_on}的文本晚于本地，条号可能已变"
                else:
                    continue
                out.append(Signal("stale_reference", document.meta.title, provision.label, f"《{title}》{label}", why))
    return out
