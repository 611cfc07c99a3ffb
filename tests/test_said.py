"""The workbench says every error and finding of the code in Chinese, and no text makes it slow."""

from __future__ import annotations

import ast
import itertools
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kb.read import files
from kb.settings import SETTINGS
from kb.ui import said
from kb.ui.said import chinese

PACKAGE = Path(__file__).resolve().parent.parent / "kb"
HAN = re.compile("[\u4e00-\u9fff]")
ERRORS = {
    "KbError",
    "UsageError",
    "ReadError",
    "CatalogError",
    "EncoderError",
    "IndexError_",
    "LockedError",
    "NotFoundError",
    "ReviewError",
    "FetchError",
    "Retry",
}
# where what was met stands among the arguments; what to do follows it
FINDINGS = {"Finding": 2, "_error": 2, "_warning": 2}
# engineers read these: the command line, the model server, and measurements on labelled sets
NOT_SHOWN = {"cli", "mcp_server.py", "evaluate.py", "evaluate_gaps.py", "statutes.py"}
# fits every kind of hole
SAMPLE = "7"


def _modules() -> list[Path]:
    return sorted(p for p in PACKAGE.rglob("*.py") if p.relative_to(PACKAGE).parts[0] not in NOT_SHOWN)


class _Texts:
    """Values a text argument can have, as far as its module tells: literals, f-strings filled with a sample, names
    assigned in the function or the module, what functions of the module return."""

    def __init__(self, tree: ast.Module) -> None:
        self.tree = tree
        self.owner: dict[ast.AST, ast.AST] = {}
        self.named: dict[tuple[ast.AST, str], list[ast.expr]] = {}
        self.returned: dict[str, list[ast.expr]] = {}
        self._look(tree, tree)

    def _look(self, node: ast.AST, owner: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            self.owner[child] = owner
            if isinstance(child, ast.Assign):
                self._note(child.targets[0], child.value, owner)
            elif isinstance(child, ast.Return) and child.value and isinstance(owner, ast.FunctionDef):
                self.returned.setdefault(owner.name, []).append(child.value)
            self._look(child, child if isinstance(child, ast.FunctionDef) else owner)

    def _note(self, target: ast.expr, value: ast.expr, owner: ast.AST) -> None:
        if isinstance(target, ast.Name):
            self.named.setdefault((owner, target.id), []).append(value)
        elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            for one, its in zip(target.elts, value.elts, strict=True):
                self._note(one, its, owner)

    def of(self, node: ast.expr, depth: int = 9) -> Iterator[str]:
        """Every text the expression can be; nothing where the module does not tell."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            values = [v.value if isinstance(v, ast.FormattedValue) else v for v in node.values]
            choices = [list(self._each([v], depth)) or [SAMPLE] for v in values]
            yield from map("".join, itertools.product(*choices))
        elif isinstance(node, ast.IfExp):
            yield from self._each([node.body, node.orelse], depth)
        elif isinstance(node, ast.Name):
            for scope in (self.owner[node], self.tree):
                yield from self._each(self.named.get((scope, node.id), []), depth)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield from self._each(self.returned.get(node.func.id, []), depth)

    def _each(self, nodes: list[ast.expr], depth: int) -> Iterator[str]:
        for node in nodes if depth else ():
            yield from self.of(node, depth - 1)


def _said_in(path: Path) -> Iterator[tuple[str, str]]:
    """(file:line, sample text) of every message, hint and finding of a module."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    texts = _Texts(tree)
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            continue
        if call.func.id in ERRORS:
            told = call.args[:1] + [k.value for k in call.keywords if k.arg == "hint"]
        elif call.func.id in FINDINGS:
            told = call.args[FINDINGS[call.func.id] :]
        else:
            continue
        for text in itertools.chain.from_iterable(map(texts.of, told)):
            if re.search("[A-Za-z]{2}", text):
                yield f"{path.relative_to(PACKAGE.parent)}:{call.lineno}", text


@pytest.mark.parametrize("path", _modules(), ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_every_message_of_the_code_is_said_in_chinese(path):
    missing = [f"{where}: {text}" for where, text in _said_in(path) if not HAN.search(chinese(text))]
    assert not missing, "add these to kb/data/messages.yaml:\n" + "\n".join(missing)


def test_the_walk_sees_constants_alternatives_and_conditions():
    found = {text for path in _modules() for _, text in _said_in(path)}
    assert "7: the PDF is protected by a password" in found  # one inside an f-string
    assert "Install OCR with: pip install 'duibiao[ocr]', or get an edition with a text layer." in found  # a constant
    assert "Give one of the two another file name." in found  # assigned in a branch
    assert "7 missing (page 7)" in found  # returned by a helper


@pytest.mark.parametrize(
    ("english", "expected"),
    [
        ("a: b (1).pdf: the PDF has no pages", "a: b (1).pdf：PDF 里没有页面"),
        ("x[2](草案).pdf: 2,500 pages, limit 2,000", "x[2](草案).pdf：共 2,500 页，超过上限 2,000 页"),
        (
            "包.zip!目录: 一/b.doc: an old Word, WPS or RTF file",
            "包.zip!目录: 一/b.doc：这是旧版 Word、WPS 或 RTF 文件",
        ),
        ("f.pdf: the PDF is damaged or protected (a: b (c))", "f.pdf：PDF 已损坏或有密码（a: b (c)）"),
        ("{where}: the file is empty", "{where}：文件是空的"),
        ("a; b.pdf: the file is empty", "a; b.pdf：文件是空的"),
    ],
)
def test_holes_may_hold_colons_brackets_and_braces(english, expected):
    assert chinese(english) == expected


@pytest.mark.parametrize(
    ("english", "expected"),
    [
        ("f.pdf: cannot be opened (Permission denied)", "f.pdf：无法打开（没有权限）"),
        (
            "https://a.cn/x: ConnectionRefusedError: [Errno 111] Connection refused (3 attempts)",
            "https://a.cn/x：网络连接出错（对方拒绝连接），已试 3 次",
        ),
        ("f.rar: a RAR archive", "f.rar：这是 RAR 压缩包，不能直接读取"),
        (
            "another run is at work: build, process 12 on h, since 2026-01-01T00:00:00+00:00 (for 3 min)",
            "另一个更新正在进行：建立索引，在主机 h 上（进程 12），始于 2026-01-01T00:00:00+00:00，已有 3 分钟",
        ),
    ],
)
def test_a_message_inside_a_message_is_said_in_chinese_too(english, expected):
    assert chinese(english) == expected


def test_what_tables_of_the_code_put_into_messages_is_said_in_chinese_too():
    inside = [f"Set KB_{s.name.upper()} to {s.unit}: {s.help}." for s in SETTINGS]
    inside += [f"f.bin: {what}" for what in files._OTHER.values()]
    assert [text for text in inside if not HAN.search(chinese(text).replace("待人工核定", ""))] == []


def test_no_message_is_listed_twice():
    listed = [entry.english for entry in said._entries()]
    assert len(listed) == len(set(listed))


def test_joined_messages_are_said_one_by_one():
    assert chinese("a.pdf: the file is empty\nGet the file again.") == "a.pdf：文件是空的\n请重新获取这个文件。"
    reasons = (
        "文本不完整：附件: 第三条 missing (page 3)；outline: numbers jump from 一、 to 三、; numbers jump from 1. to 3."
    )
    assert chinese(reasons) == (
        "文本不完整：附件：缺第三条（第 3 页附近）；提纲：序号从“一、”跳到“三、”；序号从“1.”跳到“3.”"
    )


@pytest.mark.parametrize("text", ["", "nobody says this", "note: nobody says this", "请填写姓名", "a; b; c\nd"])
def test_text_without_an_entry_comes_back_as_it_is(text):
    assert chinese(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "(.*)+$[a-z]{2,}\\1(?P<x>" * 20,
        ": " * 50_000,
        "numbers jump from " * 200,
        "a: " * 1300,
        "; a: " * 800,
        "[Errno 1] " * 400,
        "x" * 100_000,
    ],
)
def test_hostile_text_is_fast_and_unchanged(text):
    chinese("warm")
    start = time.perf_counter()
    assert chinese(text) == text
    assert time.perf_counter() - start < 2


def test_markup_in_a_hole_stays_what_it_was():
    assert chinese("<b>{0}\\1</b>.pdf: the file is empty") == "<b>{0}\\1</b>.pdf：文件是空的"
