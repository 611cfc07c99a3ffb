"""Lines of one provision in, its 款 项 目 out, each with its citation address.

Items belong to the 款 that introduces them; the paragraph after a list is the next 款. Lost item numbers are put back where the list
proves them (two plain lines before （三）), and a line that only continues a wrapped paragraph makes no 款.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kb.marks import Line
from kb.models import Unit
from kb.numerals import to_chinese

_ENDS = set("。！？!?：:；;”」】…")
_LISTS = ("p1", "p2", "p3", "p4", "p5")
_CAPTION = ("【", "（", "(")


@dataclass(slots=True)
class _Block:
    """A paragraph or list entry: lines that belong together. `depth` 0 is a 款, 1 项, 2 目, 3 below."""

    start: int
    end: int
    depth: int
    number: int
    mark: str


def units_of(text: str, body: Sequence[Line], label: str, start: int, *, statute: bool) -> tuple[Unit, ...]:
    """Units of a provision whose text begins at `start` (after 第X条) and runs to the end of its last line."""
    blocks = _blocks(text, [line for line in body if line.level != "blank"], start, statute)
    if statute:
        _restore_numbers(text, blocks)
    return tuple(_addressed(text, blocks, label, statute))


def _blocks(text: str, lines: Sequence[Line], start: int, statute: bool) -> list[_Block]:
    """Group lines into paragraphs and list entries; the order of first appearance gives list marks their depth."""
    blocks: list[_Block] = []
    order: list[str] = []
    counters: dict[str, int] = {}
    top_mark = "" if statute or not lines else lines[0].level
    for index, line in enumerate(lines):
        if index == 0:
            begin = _after_caption(text, start, line.end) if statute else line.lead
            if begin >= line.end:
                continue
            blocks.append(_Block(begin, line.end, 0, 0, ""))
            continue
        if (
            line.level in _LISTS
            and line.level != top_mark
            and blocks
            and _opens_entry(line, counters, blocks[-1], order, text)
        ):
            if line.level not in order:
                order.append(line.level)
            depth = order.index(line.level) + 1
            for deeper in order[depth:]:
                counters.pop(deeper, None)
            counters[line.level] = line.number[0]
            blocks.append(_Block(line.lead, line.end, depth, line.number[0], line.level))
        elif not blocks:
            blocks.append(_Block(line.lead, line.end, 0, 0, ""))
        elif _goes_on(text, blocks[-1], line) or _inside_list(lines, index, counters, blocks[-1]):
            blocks[-1].end = line.end
        else:
            blocks.append(_Block(line.lead, line.end, 0, 0, ""))
            counters, order = {}, [] if statute else order
    return blocks


def _after_caption(text: str, start: int, end: int) -> int:
    """Skip a 条标 (【目的依据】 or （目的与依据）) that stands before the text or alone in its line."""
    if text[start : start + 1] in _CAPTION:
        close = {"【": "】", "（": "）", "(": ")"}[text[start]]
        stop = text.find(close, start, min(end, start + 30))
        if stop > 0 and (text[start] == "【" or not set("，。；：、") & set(text[start:stop])):
            start = stop + 1
    while start < end and text[start] in " \t　\u00a0*":
        start += 1
    return start


def _opens_entry(line: Line, counters: dict[str, int], previous: _Block, order: Sequence[str], text: str) -> bool:
    """A list mark opens an entry when its number follows, or when a list may begin here."""
    number = line.number[0]
    if line.level in counters:
        return (
            number == counters[line.level] + 1
            or number == 1
            or (number > counters[line.level] and text[previous.end - 1] in "；;。")
        )
    return number == 1 or text[previous.end - 1] in _ENDS


def _goes_on(text: str, previous: _Block, line: Line) -> bool:
    """The line only continues a wrapped paragraph: what stands before does not end a sentence."""
    tail = text[previous.end - 1]
    return tail not in _ENDS and not (tail in "）)" and line.level == "") and previous.end - previous.start > 12


def _inside_list(lines: Sequence[Line], index: int, counters: dict[str, int], previous: _Block) -> bool:
    """A plain line between two entries of one list belongs to the entry before it."""
    if previous.depth == 0:
        return False
    level, number = previous.mark, previous.number
    for line in lines[index + 1 : index + 12]:
        if line.level in counters:
            return line.number[0] == counters[line.level] + 1 and (line.level != level or line.number[0] == number + 1)
    return False


def _restore_numbers(text: str, blocks: list[_Block]) -> None:
    """Entries that lost their number: k-1 plain blocks between a lead-in and entry k, or a whole list of …； lines."""
    for i, block in enumerate(blocks):
        if block.depth != 0 or text[block.end - 1] not in "：:":
            continue
        plain = i + 1
        while plain < len(blocks) and blocks[plain].depth == 0:
            plain += 1
        count = plain - i - 1
        if not count:
            continue
        before_mark = plain < len(blocks) and blocks[plain].depth == 1 and blocks[plain].number == count + 1
        if not before_mark:
            count = _semicolon_list(text, blocks, i + 1, plain)
        for k in range(count if before_mark or count >= 2 else 0):
            entry = blocks[i + 1 + k]
            entry.depth, entry.number, entry.mark = 1, k + 1, "p2"


def _semicolon_list(text: str, blocks: Sequence[_Block], first: int, stop: int) -> int:
    """Length of a run …；…；…。 that begins at `first`; 0 when there is none."""
    k = first
    while k < stop and text[blocks[k].end - 1] in "；;":
        k += 1
    return k - first + 1 if k > first and k < stop and text[blocks[k].end - 1] == "。" else 0


def _addressed(text: str, blocks: Sequence[_Block], label: str, statute: bool):
    paragraphs = sum(1 for b in blocks if b.depth == 0)
    paragraph, item, subitem = 0, None, None
    lead_in = ""
    item_address = label
    for block in blocks:
        content = text[block.start : block.end]
        if block.depth == 0:
            paragraph, item, subitem, lead_in = paragraph + 1, None, None, content
            base = label + (f"第{to_chinese(paragraph)}款" if statute and paragraphs > 1 and paragraph <= 9999 else "")
            yield Unit("paragraph", paragraph, None, None, base, content, block.start, block.end)
            item_address = base
            continue
        address = item_address if block.depth > 1 else _base(label, max(paragraph, 1), paragraphs, statute)
        if block.depth == 1:
            item, subitem = block.number, None
            item_address = address + _mark(block, statute, "项")
            yield Unit("item", max(paragraph, 1), item, None, item_address, content, block.start, block.end, lead_in)
        elif block.depth == 2:
            subitem = block.number
            sub_address = item_address + _mark(block, statute, "目")
            yield Unit(
                "subitem", max(paragraph, 1), item, subitem, sub_address, content, block.start, block.end, lead_in
            )
        else:
            deeper = (sub_address if subitem is not None else item_address) + _mark(block, False, "")
            yield Unit("subitem", max(paragraph, 1), item, subitem, deeper, content, block.start, block.end, lead_in)


def _base(label: str, paragraph: int, paragraphs: int, statute: bool) -> str:
    return label + (f"第{to_chinese(paragraph)}款" if statute and paragraphs > 1 else "")


def _mark(block: _Block, statute: bool, word: str) -> str:
    """第三项 in a statute; the mark as written in an outline: （三）, 1., （1）, ①."""
    if statute:
        return f"第{to_chinese(block.number)}{word}" if block.number else ""
    if block.mark == "p3":
        return f"{block.number}."
    if block.mark == "p4":
        return f"（{block.number}）"
    if block.mark == "p5":
        return chr(0x245F + block.number)
    return f"{to_chinese(block.number)}、" if block.mark == "p1" else f"（{to_chinese(block.number)}）"
