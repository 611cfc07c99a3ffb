"""Documents in, the graph of who cites whom out: basis, citation, delegation, amendment and repeal edges.

Every citation makes one edge. An edge without a target says why, so that what the library lacks can be counted.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from kb.cite import Citation, TitleIndex, local_aliases, parse_citations
from kb.models import Document, Provision
from kb.names import title_key


@dataclass(frozen=True, slots=True)
class Edge:
    """`kind` is basis, policy_basis, citation, delegation, amendment, repeal or dangling. An unresolved edge has no target."""

    kind: str
    source: str
    target: str
    title: str
    label: str
    text: str
    reason: str = ""


_DELEGATION = re.compile(
    r"(?:具体|实施|管理|配套)?[^，。；\n]{0,30}?(?:办法|细则|目录|标准|规则|清单|规定|方案|制度)[^，。；\n]{0,6}由([^，。；\n]{2,40}?)(?:另行|会同[^，。；\n]{2,30})?(?:制定|规定|确定|公布|编制)"
)


def build_graph(documents: Sequence[Document], titles: TitleIndex | None = None) -> list[Edge]:
    """Basis, citation, delegation, amendment and repeal edges between provisions; one edge for every citation."""
    titles = titles or TitleIndex.from_documents(documents)
    edges: list[Edge] = []
    for document in documents:
        aliases = local_aliases(document.text)
        for provision in document.provisions:
            edges += _edges_of(provision, titles, aliases)
    return edges


def _edges_of(provision: Provision, titles: TitleIndex, aliases: Mapping[str, str]) -> Iterator[Edge]:
    first = provision.label == "第一条" or provision.kind == "preamble"
    for citation in parse_citations(provision.text, titles, provision, aliases=aliases):
        target = citation.doc_id + (f"/{citation.label}" if citation.label and citation.resolved else "")
        kind = _edge_kind(citation, provision, first)
        yield Edge(
            kind,
            provision.provision_id,
            target if citation.resolved else "",
            citation.title or citation.text,
            citation.label,
            citation.text,
            citation.reason,
        )
    for match in _DELEGATION.finditer(provision.text):
        yield Edge("delegation", provision.provision_id, "", match[1], "", match[0])


def _edge_kind(citation: Citation, provision: Provision, first: bool) -> str:
    if citation.kind == "dangling":
        return "dangling"
    if citation.relation in ("废止",) or re.search(
        r"同时废止|即行废止", provision.text[citation.span[1] : citation.span[1] + 40]
    ):
        return "repeal"
    if citation.relation == "修改" or citation.title.startswith("关于修改"):
        return "amendment"
    if first and citation.kind in ("document", "number"):
        return "basis" if citation.relation in ("根据", "依据", "依照", "") else "policy_basis"
    return "citation"


def reverse_index(edges: Iterable[Edge]) -> dict[str, list[Edge]]:
    """Who points at a provision or document: target -> edges, in order of source."""
    found: dict[str, list[Edge]] = defaultdict(list)
    for edge in edges:
        if edge.target:
            found[edge.target].append(edge)
    return {target: sorted(rows, key=lambda e: e.source) for target, rows in sorted(found.items())}


def cited_but_missing(edges: Iterable[Edge]) -> list[tuple[str, int]]:
    """(title, number of citing documents) of instruments the library does not hold, most cited first."""
    citing: dict[str, set[str]] = defaultdict(set)
    names: dict[str, Counter[str]] = defaultdict(Counter)
    for edge in edges:
        if edge.reason == "not_in_library":
            key = title_key(edge.title)
            citing[key].add(edge.source.split("/")[0])
            names[key][edge.title] += 1
    rows = [(names[key].most_common(1)[0][0], len(sources)) for key, sources in citing.items()]
    return sorted(rows, key=lambda row: (-row[1], row[0]))
