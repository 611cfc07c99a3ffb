"""Small made-up corpora for tests of building and updating: national and local texts, and random edits of them."""

from __future__ import annotations

import random
from pathlib import Path

from kb.numerals import article_label

NATIONAL = "国家数据甲办法"
LOCAL = "深圳经济特区数据乙条例"
_WHO = ("市数据主管部门", "公共管理和服务机构", "数据处理者", "国务院有关部门", "地方人民政府", "网信部门")
_ACT = (
    "应当建立数据分类分级保护制度",
    "应当每年开展一次风险评估并报送评估报告",
    "不得非法收集、使用个人信息",
    "应当编制公共数据资源目录并及时更新",
    "可以依法开展授权运营",
    "应当在三十日内作出答复",
    "应当制定数据安全事件应急预案",
    "鼓励企业开放数据",
    "应当保存日志不少于六个月",
    "应当对重要数据进行备份和加密",
    "应当明确数据安全负责人和管理机构",
    "不得将公共数据授权运营收益用于其他用途",
)


def article(number: int, rng: random.Random) -> str:
    """One article with one or two duties."""
    said = "；".join(f"{rng.choice(_WHO)}{rng.choice(_ACT)}" for _ in range(rng.randint(1, 2)))
    return f"{article_label(number)}　{said}。"


def text_of(title: str, articles: list[str]) -> str:
    """A statute of some articles."""
    return f"{title}\n\n第一章　总则\n\n" + "\n\n".join(articles) + "\n"


def write_corpus(folder: Path, *, documents: int = 6, articles: int = 8, seed: int = 1) -> Path:
    """Half national, half Shenzhen documents."""
    rng = random.Random(seed)
    for i in range(documents):
        level, title = ("national", f"{NATIONAL}{i}") if i % 2 == 0 else ("shenzhen", f"{LOCAL}{i}")
        path = folder / level / f"{title}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text_of(title, [article(n, rng) for n in range(1, articles + 1)]), encoding="utf-8")
    return folder


def edit(folder: Path, rng: random.Random) -> str:
    """One random edit of a corpus as people make them; returns what was done."""
    files = sorted(p for level in ("national", "shenzhen") for p in (folder / level).glob("*.md"))
    path = rng.choice(files)
    lines = path.read_text(encoding="utf-8").split("\n\n")
    places = [i for i, line in enumerate(lines) if line.startswith("第") and "条　" in line]
    kind = rng.choice(["word", "word", "insert", "delete", "new", "remove", "rename", "noise", "same"])
    if kind == "word" and places:
        i = rng.choice(places)
        lines[i] = (
            lines[i].replace("应当", "可以", 1)
            if "应当" in lines[i]
            else lines[i].rstrip("\n") + f"{rng.choice(_WHO)}{rng.choice(_ACT)}。"
        )
    elif kind == "insert" and places:
        lines.insert(places[-1] + 1, article(len(places) + 1, rng))
    elif kind == "delete" and len(places) > 2:
        del lines[places[-1]]
    elif kind == "new":
        title = f"{LOCAL}{rng.randint(100, 999)}"
        target = folder / "shenzhen" / f"{title}.md"
        target.write_text(text_of(title, [article(n, rng) for n in range(1, 5)]), encoding="utf-8")
        return f"new {target.name}"
    elif kind == "remove" and len(files) > 3:
        path.unlink()
        return f"remove {path.name}"
    elif kind == "rename":
        path.rename(path.with_name(f"改名{rng.randint(10, 99)}{path.name}"))
        return f"rename {path.name}"
    elif kind == "noise":
        lines = [line.rstrip("\n") + "\n" for line in lines]
    path.write_text("\n\n".join(lines), encoding="utf-8")
    return f"{kind} {path.name}"
