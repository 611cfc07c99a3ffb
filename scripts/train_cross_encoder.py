"""Labelled pairs of a national duty and a local passage in, the weights of the cross-encoder out.

The cross-encoder (kb/cross_encoder.py) takes the states of the encoder's lower layers for both texts, which never
change, and reads them together in a few layers of its own. This script computes the lower states once, trains those
layers and a small head, and reports on documents kept apart. Edited and written pairs come first, real pairs alone
last (`--pairs tests/eval/pairs-relation.jsonl --start ...`). How the labels came about, and why: docs/gaps.md.

    python scripts/train_cross_encoder.py --pairs tests/eval/pairs-*.jsonl --shared ../shared \\
        --base WORK/base.safetensors --tokenizer WORK/tokenizer.json --out kb/cross_encoder_model
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from train_encoder import SEED, Bert, Layout, encode_ids

from kb.cross_encoder import (
    DUTY_TOKENS,
    JOINT_LAYERS,
    LOWER_LAYERS,
    PASSAGE_TOKENS,
    RELATIONS,
    SHARED_RUNS,
    SOFTNESS,
    shared_runs,
)
from kb.embed import PASSAGE_PROMPT
from kb.evaluate_gaps import fingerprint
from kb.models import Document, DocumentMeta
from kb.parse import parse
from kb.reading import rule_window
from kb.requirements import extract
from kb.scope import rules_of

if TYPE_CHECKING:
    import torch

BATCH, HEAD_PEAK, WARM_UP = 32, 1e-3, 0.06
PLANTED = 1200
DROPPED = 0.1
"""Share of the numbers of a text's states set to nothing in training; without it, texts are learned by heart."""
AVERAGED = 0.998
"""What ships is a running mean of the weights with this memory a step."""
FAR_SHARE = 0.45
"""Pairs with nothing in common that are learned from, as a share of the others."""
HEADS = 12
KEPT_APART = 0.1
"""Share of the national documents that only the report sees."""

_SENTENCE = re.compile(r"[^。；]{18,140}[。；]")
_HEADING = re.compile("^第[一二三四五六七八九十百]{1,5}条[\\s　]*")
_NUMERALS = "二三四五六七八九"
_DUTY = re.compile("应当|不得|必须|可以|禁止")
_NUMBER = re.compile(
    "[一二三四五六七八九十]+(?=个?(?:工作)?日|个?月|年|万元|倍|次)|[0-9]+(?=个?(?:工作)?日|个?月|年|万元|%)"
)


@dataclass(frozen=True, slots=True)
class Pair:
    """A duty, a passage, how they relate (position in RELATIONS), and the document the duty is from."""

    duty: str
    passage: str
    relation: int
    document: str


# --- labelled pairs ----------------------------------------------------------------------------------------------


def read_pairs(paths: Sequence[Path], shared: Path) -> list[Pair]:
    """Labelled pairs with their texts, which the label files name by document and fingerprint only.

    A line has `pairs` of [duty, passage, relation]; or `edits` of [duty, passage, changed side, replacements, relation], a
    pair as a rule-maker could have written it, with the relation it then has; or `written` of [duty, text, relation].
    """
    rows = [json.loads(line) for path in paths for line in path.read_text(encoding="utf-8").splitlines()]
    held = documents_of(rows, shared)
    duties = {t: duties_of(held[t]) for t in dict.fromkeys(r["title"] for r in rows)}
    passages = {t: passages_of(held[t]) for t in dict.fromkeys(r["local"] for r in rows if "local" in r)}
    others = [s for texts in passages.values() for t in texts.values() for s in _SENTENCE.findall(t)]
    out, lost = [], 0
    for row in rows:
        asked, local = duties[row["title"]], passages.get(row.get("local"), {})
        found = [
            (edited(asked.get(d), local.get(p), *edit), relation)
            for d, p, *edit, relation in (*row.get("pairs", ()), *row.get("edits", ()))
        ] + [(edited(asked.get(d), in_article(text, others)), relation) for d, text, relation in row.get("written", ())]
        out += [Pair(*texts, RELATIONS.index(relation), row["title"]) for texts, relation in found if texts]
        lost += sum(texts is None for texts, _ in found)
    print(f"{len(out)} labelled pairs found, {lost} not found in the texts as they are read now", flush=True)
    return out


def edited(
    duty: str | None, passage: str | None, side: str = "", replacements: Sequence[tuple[str, str]] = ()
) -> tuple[str, str] | None:
    """Both texts with the replacements in that `side` ("duty", "passage"); None where one does not stand there just once.

    White space does not count when a piece is sought: the labels quote texts without it.
    """
    texts = {"duty": duty, "passage": passage}
    if not duty or not passage:
        return None
    for old, new in replacements:
        found = list(re.finditer(r"\s*".join(map(re.escape, old)), texts[side]))
        if len(found) != 1:
            return None
        texts[side] = texts[side][: found[0].start()] + new + texts[side][found[0].end() :]
    return texts["duty"], texts["passage"]


def in_article(text: str, others: Sequence[str]) -> str:
    """A written passage as it would stand in an article: other sentences around it, a heading or a cut before it.

    Passages that answer were written longer than those that do not, those that differ with more semicolons; here length,
    heading and semicolons say nothing of the relation.
    """
    rng = random.Random(text)
    text = _HEADING.sub("", text).replace("；", "。").rstrip("。") + "。"
    before, after, length = [], [], rng.uniform(70, 190)
    while others and len(text) + sum(map(len, before + after)) < length - 25:
        rng.choice((before, after)).append(rng.choice(others))
    head = rng.choices((f"第{rng.choice(_NUMERALS)}十{rng.choice(_NUMERALS)}条　", "…", ""), (13, 4, 3))[0]
    return head + "".join((*before, text, *after))


def documents_of(rows: Sequence[dict], shared: Path) -> dict[str, Document]:
    """The documents that rows name: of the policy corpus by title, else put together from the benchmark's articles."""
    from kb import corpus

    wanted = {row[side] for row in rows for side in ("title", "local") if side in row}
    out = {d.meta.title: d for d in corpus.load(shared / "corpus").documents if d.meta.title in wanted}
    for level, name in (("national", "statutes-national"), ("peers", "statutes-local")):
        laws: dict[str, list[dict]] = {}
        with gzip.open(shared / "bench" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
            for row in map(json.loads, lines):
                if row["law"] in wanted - out.keys():
                    laws.setdefault(row["law"], []).append(row)
        out |= {law: statute(law, level, articles) for law, articles in laws.items()}
    return out


def statute(law: str, level: str, articles: Sequence[dict]) -> Document:
    """A statute of the benchmark as a document, one article a line."""
    lines = [
        text if text.startswith("第") else f"{a['article']}\u3000{text}"
        for a in articles
        for text in [a["text"].strip()]
    ]
    meta = DocumentMeta(title=law, level=level, status="in_force")
    return parse("\n".join([f"# {law}", *lines]), meta, doc_id=law)


def duties_of(document: Document) -> dict[str, str]:
    """Duties by fingerprint."""
    return {fingerprint(d.full_text): d.full_text for d in extract(document)[0]}


def passages_of(document: Document) -> dict[str, str]:
    """What the cross-encoder would be shown of a local document, by fingerprint: a window around every rule."""
    texts = [rule_window(provision, rule) for provision, rules in rules_of(document) for rule in rules]
    return {fingerprint(t): t for t in texts}


def thinned(pairs: Sequence[Pair], rng: random.Random) -> list[Pair]:
    """The pairs with only some of those that have nothing in common, which the product rarely needs to be told."""
    far = [p for p in pairs if p.relation == 0]
    near = [p for p in pairs if p.relation]
    return near + rng.sample(far, min(len(far), round(FAR_SHARE * len(near))))


# --- planted pairs -----------------------------------------------------------------------------------------------


def planted(statutes: Path, n: int, rng: random.Random) -> Iterator[Pair]:
    """Pairs whose relation is known because one side was changed: a copy, a lost clause, another number or verb, a sentence taken away."""
    with gzip.open(statutes, "rt", encoding="utf-8") as lines:
        texts = [json.loads(line)["text"].strip() for line in lines]
    texts = [t for t in texts if 60 <= len(t) <= 260]
    made = 0
    while made < n:
        text = rng.choice(texts)
        sentences = [s for s in _SENTENCE.findall(text) if _DUTY.search(s)]
        if not sentences:
            continue
        sentence = rng.choice(sentences)
        kind = rng.choice(("copy", "clause", "clause", "number", "verb", "exception", "gone"))
        changed = change(sentence, kind, rng)
        if changed is None:
            continue
        passage, relation = text.replace(sentence, changed[0], 1), changed[1]
        if len(passage) >= 30:
            made += 1
            yield Pair(sentence, passage, RELATIONS.index(relation), "")


def change(sentence: str, kind: str, rng: random.Random) -> tuple[str, str] | None:
    """(the sentence as the local text has it, relation), or None where this change does not apply."""
    if kind == "copy":
        return sentence, "covered"
    if kind == "gone":
        return "", "related"
    if kind == "clause":
        parts = sentence.split("，")
        if len(parts) < 3:
            return None
        parts.pop(rng.randrange(1, len(parts) - 1))
        return "，".join(parts), "partial"
    if kind == "number":
        found = _NUMBER.search(sentence)
        if not found:
            return None
        other = rng.choice([x for x in ("二", "三", "五", "十", "十五", "二十", "三十", "六十") if x != found[0]])
        return sentence[: found.start()] + other + sentence[found.end() :], "conflict"
    if kind == "verb":
        verb = next((v for v in ("应当", "不得", "必须") if v in sentence), None)
        return (sentence.replace(verb, "可以", 1), "conflict") if verb else None
    reason = rng.choice(("情况紧急的", "经主管部门同意的", "涉及商业秘密的", "当事人另有约定的", "规模较小的"))
    return f"{sentence[:-1]}，但{reason}除外{sentence[-1]}", "conflict"


# --- training ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Lower:
    """A text after the lower layers: token ids and bfloat16 states (tokens, hidden)."""

    ids: Sequence[int]
    states: torch.Tensor


def met(text: Lower, other: Lower) -> tuple:
    """What its layers start from, as `kb.cross_encoder` and the graph make it: states, shared runs, nearest, gap."""
    import torch
    from torch.nn import functional as F

    x, y = text.states.float(), other.states.float()
    cosine = F.normalize(x, dim=1) @ F.normalize(y, dim=1).T
    shared = torch.from_numpy(shared_runs(text.ids, other.ids))
    return x, shared, cosine.max(1, keepdim=True).values, x - (cosine / SOFTNESS).softmax(1) @ y


class Joint:
    """The trained part: what the other text says to each token, layers over both texts together, a linear head."""

    def __init__(self, weights: dict) -> None:
        import torch

        last = LOWER_LAYERS + JOINT_LAYERS
        own = {k: v.detach().clone() for k, v in weights.items() if _layer(k) in range(LOWER_LAYERS, last)}
        self.bert = Bert(own, LOWER_LAYERS)
        hidden = own[f"encoder.layer.{LOWER_LAYERS}.output.dense.bias"].shape[0]
        generator = torch.Generator().manual_seed(SEED)
        self.head = {
            "mark.weight": torch.zeros(hidden),
            "embeddings.shared.weight": torch.zeros(len(SHARED_RUNS), hidden),
            "embeddings.nearest.weight": torch.zeros(1, hidden),
            "gap.weight": torch.zeros(hidden, hidden),
            "head.weight": torch.randn(len(RELATIONS), 3 * hidden, generator=generator) * 0.02,
            "head.bias": torch.zeros(len(RELATIONS)),
        }
        for tensor in self.head.values():
            tensor.requires_grad_()

    def __call__(self, pairs: Sequence[tuple]):
        """Lower texts (duty, passage) of each pair to logits (n, relations)."""
        import torch
        from torch.nn import functional as F

        n, whole = len(pairs), Layout.of([len(a.ids) + len(b.ids) for a, b in pairs])
        sides = [side for a, b in pairs for side in (met(a, b), met(b, a))]
        x, shared, nearest, gap = (torch.cat(each) for each in zip(*sides, strict=True))
        second = torch.cat([torch.arange(len(a.ids) + len(b.ids)) >= len(a.ids) for a, b in pairs])
        x = x + second[:, None] * self.head["mark.weight"] + F.linear(gap, self.head["gap.weight"])
        x = x + shared @ self.head["embeddings.shared.weight"] + nearest @ self.head["embeddings.nearest.weight"]
        x = self.bert.between(x, whole, LOWER_LAYERS, LOWER_LAYERS + JOINT_LAYERS).float()
        sums = [x.new_zeros(n, x.shape[1]).index_add(0, whole.row[m], x[m]) for m in (~second, second)]
        a, b = (
            s / torch.bincount(whole.row[m], minlength=n)[:, None] for s, m in zip(sums, (~second, second), strict=True)
        )
        return F.linear(torch.cat([a, b, a * b], 1), self.head["head.weight"], self.head["head.bias"])

    def load(self, weights: dict[str, np.ndarray]) -> None:
        """Go on from other weights."""
        import torch

        with torch.no_grad():
            for name, tensor in (self.bert.w | self.head).items():
                tensor.copy_(torch.from_numpy(weights[name]))

    def state(self) -> dict:
        return {k: v.detach() for k, v in (self.bert.w | self.head).items()}


def _layer(name: str) -> int:
    found = re.match(r"encoder\.layer\.(\d+)\.", name)
    return int(found[1]) if found else -1


def lower_states(texts: Sequence[str], limit: int, weights: dict, tokenizer) -> dict[str, Lower]:
    """Each text above the frozen layers."""
    import torch

    bert, out = Bert(weights, LOWER_LAYERS), {}
    texts = sorted(dict.fromkeys(texts), key=len)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        for start in range(0, len(texts), 32):
            part = texts[start : start + 32]
            ids = encode_ids(tokenizer, [PASSAGE_PROMPT + t for t in part], limit)
            layout = Layout.of([len(i) for i in ids])
            x = bert.between(bert.embedded(ids, layout), layout, 0, LOWER_LAYERS).bfloat16()
            out |= dict(zip(part, map(Lower, ids, x.split([len(i) for i in ids])), strict=True))
    return out


def train(
    pairs: Sequence[Pair], states: tuple[dict, dict], joint: Joint, test: Sequence[Pair], epochs: int, peak: float
) -> None:
    import torch
    from torch.nn import functional as F

    rng = random.Random(SEED)
    plan = [
        {"params": list(joint.bert.w.values()), "lr": peak, "peak": peak},
        {"params": list(joint.head.values()), "lr": HEAD_PEAK, "peak": HEAD_PEAK},
    ]
    optimiser = torch.optim.AdamW(plan, weight_decay=0.01)
    weights = [t for group in plan for t in group["params"]]
    mean = [t.detach().clone() for t in weights]
    steps = epochs * (len(pairs) // BATCH)
    began, step, recent = time.monotonic(), 0, None
    for _ in range(epochs):
        order = rng.sample(list(pairs), len(pairs))
        for start in range(0, len(order) - BATCH + 1, BATCH):
            batch = order[start : start + BATCH]
            share = min((step + 1) / (WARM_UP * steps), (steps - step) / (steps * (1 - WARM_UP)))
            for group in optimiser.param_groups:
                group["lr"] = group["peak"] * min(1.0, share)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                logits = joint([(dropped(states[0][p.duty]), dropped(states[1][p.passage])) for p in batch])
            loss = F.cross_entropy(logits.float(), torch.tensor([p.relation for p in batch]))
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(weights, 1.0)
            optimiser.step()
            step += 1
            with torch.no_grad():
                torch._foreach_lerp_(mean, weights, 1 - min(AVERAGED, (1 + step) / (10 + step)))
            recent = loss.item() if recent is None else 0.95 * recent + 0.05 * loss.item()
            if step % 25 == 0:
                print(f"{step}/{steps} {time.monotonic() - began:.0f}s loss {recent:.3f}", flush=True)
    with torch.no_grad():
        for tensor, average in zip(weights, mean, strict=True):
            tensor.copy_(average)
    print(report(test, states, joint), flush=True)


def dropped(text: Lower) -> Lower:
    """The text with some numbers of its states missing."""
    from torch.nn import functional as F

    return Lower(text.ids, F.dropout(text.states, DROPPED))


def report(pairs: Sequence[Pair], states: tuple[dict, dict], joint: Joint) -> str:
    """Accuracy and the confusion of pairs kept apart; rows are labels, columns proposals, in the order of RELATIONS."""
    import torch

    table = [[0] * len(RELATIONS) for _ in RELATIONS]
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        for start in range(0, len(pairs), BATCH):
            part = pairs[start : start + BATCH]
            logits = joint([(states[0][p.duty], states[1][p.passage]) for p in part])
            for p, guess in zip(part, logits.argmax(1).tolist(), strict=True):
                table[p.relation][guess] += 1
    right = sum(table[i][i] for i in range(len(RELATIONS)))
    return f"kept apart: {len(pairs)} pairs, accuracy {right / max(1, len(pairs)):.3f}, {RELATIONS} {table}"


def write_folder(weights: dict[str, np.ndarray], out: Path) -> None:
    """The cross-encoder as shipped: one 8-bit weight file, the graph that points into it, sizes and digests."""
    import encoder_graph
    import onnx
    from build_encoder import file_table
    from safetensors.numpy import save_file

    first = f"encoder.layer.{LOWER_LAYERS}."
    wide, hidden = weights[first + "intermediate.dense.weight"].shape
    shape = encoder_graph.Shape(0, hidden, JOINT_LAYERS, HEADS, wide, 0, 0, 1e-12)
    out.mkdir(parents=True, exist_ok=True)
    save_file(encoder_graph.pack_transposed(weights), out / encoder_graph.WEIGHTS_FILE)
    where = encoder_graph.offsets(out / encoder_graph.WEIGHTS_FILE)
    layers = range(LOWER_LAYERS, LOWER_LAYERS + JOINT_LAYERS)
    graph = encoder_graph.build_cross_encoder_graph(where, shape, layers, len(RELATIONS))
    (out / "model.onnx").write_bytes(graph.SerializeToString(deterministic=True))
    onnx.checker.check_model(str(out / "model.onnx"))
    (out / "README.md").write_text(_CARD + file_table(out), encoding="utf-8")


def unpacked(folder: Path) -> dict[str, np.ndarray]:
    """The float weights of a folder that `write_folder` wrote."""
    import encoder_graph
    from safetensors.numpy import load_file

    return encoder_graph.unpack_transposed(load_file(folder / encoder_graph.WEIGHTS_FILE))


_CARD = """# The cross-encoder

Layers that read a national duty and a local passage together, for the gap judge (`kb/cross_encoder.py`). They start from what
the lower layers of `kb/encoder/` make of each text and were trained by `scripts/train_cross_encoder.py` on pairs labelled by
reading; do not edit by hand. Origin and licences of the weights they grew from: NOTICE. Measured in docs/gaps.md.

"""


def main() -> None:
    import torch
    from safetensors.torch import load_file
    from tokenizers import Tokenizer

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=Path, nargs="+", required=True)
    parser.add_argument("--base", type=Path, required=True, help="float weights of the encoder")
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--shared", type=Path, required=True, help="folder with bench/ and corpus/")
    parser.add_argument("--out", type=Path, required=True, help="folder to write, e.g. kb/cross_encoder_model")
    parser.add_argument(
        "--start", type=Path, nargs="+", help="cross-encoder folders to go on from: the mean of their weights"
    )
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--peak", type=float, default=1e-4, help="highest learning rate of the layers")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(SEED)
    rng = random.Random(SEED)
    pairs = thinned(read_pairs(args.pairs, args.shared), rng)
    documents = sorted({p.document for p in pairs})
    apart = set(rng.sample(documents, round(KEPT_APART * len(documents))))
    test = [p for p in pairs if p.document in apart]
    learned = [p for p in pairs if p.document not in apart] + list(
        planted(args.shared / "bench" / "statutes-local.jsonl.gz", PLANTED, rng)
    )
    weights, tokenizer = load_file(args.base), Tokenizer.from_file(str(args.tokenizer))
    began = time.monotonic()
    states = (
        lower_states([p.duty for p in (*learned, *test)], DUTY_TOKENS, weights, tokenizer),
        lower_states([p.passage for p in (*learned, *test)], PASSAGE_TOKENS, weights, tokenizer),
    )
    print(f"{len(learned)} pairs to learn, {len(test)} kept apart, states {time.monotonic() - began:.0f}s", flush=True)
    joint = Joint(weights)
    if args.start:
        held = [unpacked(folder) for folder in args.start]
        joint.load({name: np.mean([weights[name] for weights in held], axis=0) for name in held[0]})
    train(learned, states, joint, test, args.epochs, args.peak)
    write_folder({name: tensor.numpy() for name, tensor in joint.state().items()}, args.out)


if __name__ == "__main__":
    main()
