"""Statute questions and mined pairs in, adapted encoder weights out.

Four steps, each a subcommand: `mine` writes training triples from the benchmark articles, the STARD training questions
and the policy texts; `train` runs contrastive learning on a CPU with the embeddings and the lower layers frozen;
`harden` adds questions of our own and passages that the encoder of the round before confuses with the answer, for the
next round; `blend` averages the weights of two rounds, which keeps what the earlier one knew.
Mined data stay outside the repository; the recipe, the seed and the numbers are in docs/encoder.md.

    python scripts/train_encoder.py mine   --shared DIR --out WORK
    python scripts/train_encoder.py train  --work WORK --start WORK/base.safetensors --round 1
    python scripts/train_encoder.py harden --shared DIR --work WORK --encoder FOLDER --asked tests/eval
    python scripts/train_encoder.py train  --work WORK --start WORK/round-1.safetensors --round 2 (and again for rounds 3 and 4)
    python scripts/train_encoder.py blend --base WORK/round-3.safetensors --adapted WORK/round-4.safetensors --share 0.5 --out BLEND
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import random
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

from kb.cross_encoder import cut

if TYPE_CHECKING:
    import torch

SEED = 20260101
DEV_QUESTIONS = 150
ROUNDS = {
    1: {
        "question": 4000,
        "keywords": 1800,
        "restated": 1200,
        "sentence": 600,
        "policy_keywords": 1400,
        "policy_heading": 560,
        "policy_restated": 800,
    },
    2: {
        "hard_question": 4800,
        "asked": 3200,
        "policy_asked": 2160,
        "keywords": 600,
        "restated": 800,
        "sentence": 400,
        "policy_keywords": 800,
        "policy_heading": 400,
        "policy_restated": 800,
    },
    3: {
        "hard_question": 2600,
        "asked": 7200,
        "policy_asked": 3360,
        "keywords": 240,
        "restated": 400,
        "policy_keywords": 240,
        "policy_restated": 400,
    },
    4: {
        "policy_asked": 6400,
        "hard_question": 1200,
        "asked": 1000,
        "restated": 240,
        "policy_keywords": 160,
        "policy_restated": 240,
    },
}
"""Triples per group in each round; questions repeat (two to three epochs), the rest is seen once."""
PEAK_RATES = {1: 5e-5, 2: 4e-5, 3: 4e-5, 4: 4e-5}

_DATA_WORDS = re.compile("数据|信息|网络|政务|信用|电子|隐私|算法|平台|数字|统计|档案|密码|保密")
_SENTENCE_END = re.compile("(?<=[。；！？])")
_HEADING = re.compile(
    r"^(?:[（(][一二三四五六七八九十百]+[）)]|[一二三四五六七八九十百]+、|第[一二三四五六七八九十百零]+条|\d+[.．、])\s*"
)
_TELLING_IDF = 2.5
_TAILS = (
    "",
    "",
    "",
    "怎么规定",
    "有什么要求",
    "怎么办",
    "由谁负责",
    "要满足什么条件",
    "怎么处理",
    "有哪些规定",
    "多长时间",
    "怎么处罚",
)


@dataclass(frozen=True, slots=True)
class Article:
    """A statute article or a policy paragraph: id, title of its document, text, and where it stands."""

    id: str
    law: str
    text: str
    level: str


@dataclass(frozen=True, slots=True)
class Triple:
    """A query, a passage that answers it, passages that look alike but do not, and the ids not to count as wrong."""

    group: str
    query: str
    query_is_passage: bool
    positive: Article
    negatives: tuple[Article, ...]
    relevant: tuple[str, ...]


# --- reading -----------------------------------------------------------------------------------------------------


def read_articles(path: Path, level: str) -> list[Article]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [Article(r["id"], r["law"], r["text"], level) for r in rows]


def read_policy(root: Path) -> list[Article]:
    """Paragraphs of the policy corpus; a line of a file is a paragraph, its first line the title."""
    out = []
    for path in sorted(root.glob("*/*.md")):
        title, *lines = path.read_text(encoding="utf-8").splitlines()
        for n, line in enumerate(lines):
            text = line.strip()
            if 30 <= len(text) <= 600:
                out.append(Article(f"{path.parent.name}/{path.stem}#{n}", title.lstrip("# "), text, path.parent.name))
    return out


def read_questions(path: Path) -> tuple[list[dict], list[dict]]:
    """STARD training questions as (train, dev); dev is a fixed sample of 150 that training never reads."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    dev = set(random.Random(SEED).sample(range(len(rows)), DEV_QUESTIONS))
    return [r for i, r in enumerate(rows) if i not in dev], [r for i, r in enumerate(rows) if i in dev]


# --- mining ------------------------------------------------------------------------------------------------------


def words(text: str) -> list[str]:
    import rjieba

    return [w for w in rjieba.cut(text) if re.search(r"\w", w)]


def bigrams(text: str) -> set[str]:
    return {text[i : i + 2] for i in range(len(text) - 1)}


def overlap(a: str, b: str) -> float:
    """Jaccard similarity of character bigrams, 0 to 1."""
    x, y = bigrams(a), bigrams(b)
    return len(x & y) / max(1, len(x | y))


class Lexical:
    """BM25 over words of title and text, for mining only."""

    def __init__(self, articles: Sequence[Article]) -> None:
        import tantivy

        schema = tantivy.SchemaBuilder()
        schema.add_unsigned_field("n", stored=True)
        schema.add_text_field("body", tokenizer_name="whitespace", index_option="freq")
        self.articles = articles
        self.schema = schema.build()
        index = tantivy.Index(self.schema)
        writer = index.writer(heap_size=200_000_000, num_threads=1)
        self.df: Counter[str] = Counter()
        for n, article in enumerate(articles):
            tokens = words(f"{article.law} {article.text}")
            self.df.update(set(tokens))
            writer.add_document(tantivy.Document(n=n, body=" ".join(tokens)))
        writer.commit()
        index.reload()
        self.index, self.searcher = index, index.searcher()

    def idf(self, word: str) -> float:
        return math.log(1 + len(self.articles) / (1 + self.df[word]))

    def top(self, tokens: Sequence[str], k: int) -> list[Article]:
        import tantivy

        terms = [tantivy.Query.term_query(self.schema, "body", w) for w in dict.fromkeys(tokens) if w in self.df]
        if not terms:
            return []
        query = tantivy.Query.boolean_query([(tantivy.Occur.Should, t) for t in terms])
        hits = self.searcher.search(query, k).hits
        return [self.articles[self.searcher.doc(address)["n"][0]] for _, address in hits]


def keyword_query(article: Article, lexical: Lexical, rng: random.Random) -> str:
    """A few telling words of the text in their order, now and then with a question's ending."""
    text = _HEADING.sub("", article.text)
    tokens = [w for w in dict.fromkeys(words(text)) if len(w) > 1 and lexical.idf(w) > _TELLING_IDF]
    if len(tokens) < 4:
        return ""
    weights = {w: lexical.idf(w) * rng.random() for w in tokens}
    chosen = set(sorted(tokens, key=weights.__getitem__, reverse=True)[: rng.randint(3, 6)])
    joint = rng.choice(("", " "))
    return joint.join(w for w in tokens if w in chosen) + rng.choice((" ", "")) + rng.choice(_TAILS)


def hard_negatives(hits: Sequence[Article], positives: Sequence[Article], skip: int, n: int = 8) -> tuple[Article, ...]:
    """Hits past the first `skip` that neither are nor restate a positive."""
    ids = {p.id for p in positives}
    out = [h for h in hits[skip:] if h.id not in ids and all(overlap(h.text, p.text) < 0.33 for p in positives)]
    return tuple(out[:n])


def mine_questions(train: Sequence[dict], by_id: dict[str, Article], lexical: Lexical) -> Iterator[Triple]:
    for row in train:
        positives = [by_id[i] for i in row["relevant"] if i in by_id]
        negatives = hard_negatives(lexical.top(words(row["query"]), 60), positives, skip=0, n=24)
        for p in positives:
            yield Triple("question", row["query"], False, p, negatives, tuple(row["relevant"]))


def mine_keywords(group: str, pool: Sequence[Article], lexical: Lexical, rng: random.Random) -> Iterator[Triple]:
    for article in pool:
        query = keyword_query(article, lexical, rng)
        if query:
            negatives = hard_negatives(lexical.top(words(query), 20), [article], skip=0)
            yield Triple(group, query, False, article, negatives, (article.id,))


def mine_restated(group: str, pool: Sequence[Article], lexical: Lexical, rng: random.Random) -> Iterator[Triple]:
    """The same duty in another document: close in wording, yet not a copy."""
    for article in pool:
        tokens = words(article.text)
        best = sorted(dict.fromkeys(tokens), key=lexical.idf, reverse=True)[:24]
        hits = [h for h in lexical.top(best, 30) if h.law != article.law]
        close = [h for h in hits[:6] if 0.22 <= overlap(article.text, h.text) <= 0.7]
        if 1 <= len(close) <= 3:  # more of them means boilerplate, where no passage is the answer
            positive = max(close, key=lambda h: overlap(article.text, h.text))
            yield Triple(
                group,
                article.text,
                rng.random() < 0.5,
                positive,
                hard_negatives(hits, [article, positive], 0),
                (article.id, positive.id),
            )


def mine_sentences(pool: Sequence[Article], lexical: Lexical, rng: random.Random) -> Iterator[Triple]:
    """One sentence or item of an article, against the article without it."""
    for article in pool:
        sentences = [s.strip() for s in _SENTENCE_END.split(article.text) if len(s.strip()) >= 12]
        if len(sentences) < 2:
            continue
        query = rng.choice(sentences)
        rest = article.text.replace(query, "", 1)
        negatives = hard_negatives(lexical.top(words(query), 20), [article], skip=0)
        yield Triple(
            "sentence", query, False, Article(article.id, article.law, rest, article.level), negatives, (article.id,)
        )


def mine_headings(pool: Sequence[Article], lexical: Lexical) -> Iterator[Triple]:
    """The heading or first sentence of a policy point, against what follows it."""
    for article in pool:
        body = _HEADING.sub("", article.text)
        head, _, rest = body.partition("。")
        if not 4 <= len(head) <= 40 or len(rest) < 30:
            continue
        negatives = hard_negatives(lexical.top(words(head), 20), [article], skip=0)
        yield Triple(
            "policy_heading",
            head,
            False,
            Article(article.id, article.law, rest, article.level),
            negatives,
            (article.id,),
        )


def take(items: Iterator[Triple], n: int) -> list[Triple]:
    """The first n triples that have a hard negative."""
    out: list[Triple] = []
    for item in items:
        if item.negatives:
            out.append(item)
        if len(out) == n:
            break
    return out


def mine(shared: Path, out: Path) -> None:
    rng = random.Random(SEED)
    bench = shared / "bench"
    national = read_articles(bench / "statutes-national.jsonl.gz", "national")
    local = read_articles(bench / "statutes-local.jsonl.gz", "local")
    policy = read_policy(shared / "corpus")
    train, dev = read_questions(bench / "stard-train.jsonl")
    lex_national, lex_all, lex_policy = Lexical(national), Lexical(national + local), Lexical(policy)

    pool = [a for a in national + local if 30 <= len(a.text) <= 400]
    rng.shuffle(pool)
    pool.sort(key=lambda a: not _DATA_WORDS.search(a.text) and rng.random() < 0.5)  # half of the far topics go last
    policy_pool = rng.sample(policy, len(policy))
    third = len(pool) // 3
    by_id = {a.id: a for a in national}
    groups = {
        "question": [t for t in mine_questions(train, by_id, lex_national) if t.negatives],
        "keywords": take(mine_keywords("keywords", pool[:third], lex_all, rng), ROUNDS[1]["keywords"]),
        "restated": take(mine_restated("restated", pool[third : 2 * third], lex_all, rng), ROUNDS[1]["restated"]),
        "sentence": take(mine_sentences(pool[2 * third :], lex_all, rng), ROUNDS[1]["sentence"]),
        "policy_keywords": take(
            mine_keywords("policy_keywords", policy_pool, lex_policy, rng), ROUNDS[1]["policy_keywords"]
        ),
        "policy_heading": take(mine_headings(policy_pool, lex_policy), ROUNDS[1]["policy_heading"]),
        "policy_restated": take(
            mine_restated("policy_restated", policy_pool, lex_policy, rng), ROUNDS[1]["policy_restated"]
        ),
    }
    out.mkdir(parents=True, exist_ok=True)
    for name, triples in groups.items():
        write_triples(out / f"{name}.jsonl", triples)
    (out / "dev-questions.jsonl").write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in dev), "utf-8")


# --- hardening ---------------------------------------------------------------------------------------------------


class Dense:
    """Passages ranked by an encoder, for mining only."""

    def __init__(self, encoder, articles: Sequence[Article], passages: Sequence[str], cache: Path) -> None:
        import numpy as np

        self.encoder, self.articles = encoder, articles
        file = cache / f"{encoder.fingerprint.replace(':', '-')}-{len(articles)}.npy"
        if not file.exists():
            np.save(file, encoder.encode_passages(list(passages)).astype("float16"))
        self.vectors = np.load(file).astype("float32")

    def scores(self, queries: Sequence[str]):
        """Cosines (queries, articles)."""
        return self.encoder.encode_queries(list(queries)) @ self.vectors.T

    def top(self, row, k: int) -> list[Article]:
        return [self.articles[i] for i in (-row).argsort(kind="stable")[:k]]


def harden_questions(group: str, rows: Sequence[dict], dense: Dense, lexical: Lexical) -> Iterator[Triple]:
    """Questions with negatives that either engine ranks high: dense and BM25 hits in turn."""
    by_id = {a.id: a for a in dense.articles}
    for row, scores in zip(rows, dense.scores([r["query"] for r in rows]), strict=True):
        positives = [by_id[i] for i in row["relevant"] if i in by_id]
        negatives = in_turn(
            hard_negatives(dense.top(scores, 40), positives, 0, n=16),
            hard_negatives(lexical.top(words(row["query"]), 40), positives, 0, n=8),
        )
        for p in positives:
            yield Triple(group, row["query"], False, p, negatives, tuple(row["relevant"]))


def in_turn(a: Sequence[Article], b: Sequence[Article]) -> tuple[Article, ...]:
    """Both lists without repeats, taking turns."""
    merged = [x for pair in zip_longest(a, b) for x in pair if x]
    return tuple({x.id: x for x in merged}.values())


def policy_pieces(corpus_root: Path) -> list[Article]:
    """Chunks of the parsed corpus as the index embeds them; the id names title and article."""
    from kb import corpus
    from kb.chunk import chunk
    from kb.index import passage_text

    out = []
    for document in corpus.load(corpus_root).documents:
        labels = {p.provision_id: p.label for p in document.provisions}
        title = "".join(document.meta.title.split())
        out += [
            Article(f"{title}#{labels[c.provision_id]}", "", passage_text(c), document.meta.level)
            for c in chunk(document)
        ]
    return out


def policy_id(relevant: dict) -> str:
    """The id that `policy_pieces` gives to the chunks of a labelled provision."""
    return f"{''.join(relevant['title'].split())}#{relevant['article']}"


def measuring_answers(paths: Sequence[Path]) -> frozenset[str]:
    """Decisive provisions of the measuring queries: training neither asks for them nor pushes them away."""
    rows = [json.loads(line) for path in paths for line in path.read_text("utf-8").splitlines()]
    return frozenset(policy_id(r) for row in rows for r in row["relevant"] if r["grade"] >= 2)


def harden_policy(rows: Sequence[dict], dense: Dense, measuring: frozenset[str]) -> Iterator[Triple]:
    """Policy queries against the best chunk of each decisive provision; near misses of the encoder as negatives."""
    at: dict[str, list[int]] = {}
    for n, piece in enumerate(dense.articles):
        at.setdefault(piece.id, []).append(n)
    for row, scores in zip(rows, dense.scores([r["query"] for r in rows]), strict=True):
        ids = {policy_id(r): r["grade"] for r in row["relevant"]}
        wanted = [i for i, grade in ids.items() if grade >= 2 and i in at and i not in measuring]
        found = [dense.articles[max(at[i], key=scores.__getitem__)] for i in wanted]
        near = [a for a in dense.top(scores, 60) if a.id not in ids and a.id not in measuring]
        for p in found:
            yield Triple("policy_asked", row["query"], False, p, hard_negatives(near, found, 0, n=16), tuple(ids))


def harden(shared: Path, work: Path, folder: Path, asked: Path) -> None:
    """Triples of a later round: STARD training questions and our own, with negatives of the encoder of the round before."""
    from kb import statutes
    from kb.embed import BundledEncoder

    encoder = BundledEncoder(folder)
    articles = shared / "bench" / "statutes-national.jsonl.gz"
    national = read_articles(articles, "national")
    passages = [a.passage for a in statutes.read_articles(articles)]
    pieces = policy_pieces(shared / "corpus")
    train, _ = read_questions(shared / "bench" / "stard-train.jsonl")
    own = [json.loads(line) for line in (asked / "questions-statutes.jsonl").read_text("utf-8").splitlines()]
    policy = [json.loads(line) for line in (asked / "queries-encoder.jsonl").read_text("utf-8").splitlines()]
    measuring = measuring_answers([asked / "queries-train.jsonl", shared / "gold" / "queries-dev.jsonl"])
    dense, lexical = Dense(encoder, national, passages, work), Lexical(national)
    near = Dense(encoder, pieces, [p.text for p in pieces], work)
    groups = {
        "hard_question": list(harden_questions("hard_question", train, dense, lexical)),
        "asked": list(harden_questions("asked", own, dense, lexical)),
        "policy_asked": list(harden_policy(policy, near, measuring)),
    }
    for name, triples in groups.items():
        write_triples(work / f"{name}.jsonl", [t for t in triples if t.negatives])


def write_triples(path: Path, triples: Sequence[Triple]) -> None:
    print(f"{path.stem}: {len(triples)}")
    with path.open("w", encoding="utf-8") as f:
        f.writelines(json.dumps(asdict(t), ensure_ascii=False) + "\n" for t in triples)


# --- training ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how hard to train; token limits keep a CPU run short."""

    batch: int = 40
    peak_rate: float = 5e-5
    warm_up: float = 0.08
    temperature: float = 0.02
    query_tokens: int = 96
    passage_tokens: int = 112
    frozen_layers: int = 6
    titled_share: float = 0.5
    save_every: int = 40


def batches(work: Path, sizes: dict[str, int], plan: Plan, rng: random.Random) -> list[list[Triple]]:
    """Shuffled batches of one group each, as many as `sizes` asks for."""
    out = []
    for name, size in sizes.items():
        rows = [triple_from(json.loads(line)) for line in (work / f"{name}.jsonl").read_text("utf-8").splitlines()]
        stream: list[Triple] = []
        while len(stream) < min(size, 3 * len(rows)):
            stream += rng.sample(rows, len(rows))
        stream = stream[:size]
        out += [stream[i : i + plan.batch] for i in range(0, len(stream) - plan.batch + 1, plan.batch)]
    rng.shuffle(out)
    return out


def triple_from(row: dict) -> Triple:
    negatives = tuple(Article(**n) for n in row["negatives"])
    return Triple(
        row["group"],
        row["query"],
        row["query_is_passage"],
        Article(**row["positive"]),
        negatives,
        tuple(row["relevant"]),
    )


@dataclass(frozen=True, slots=True)
class Layout:
    """Where each packed token stands: its text, its place in the text, its cell in a padded table of (n, longest)."""

    lengths: torch.Tensor
    row: torch.Tensor
    position: torch.Tensor
    cell: torch.Tensor

    @classmethod
    def of(cls, lengths: Sequence[int]) -> Layout:
        """The layout of texts of these numbers of tokens."""
        import torch

        each = torch.tensor(lengths)
        longest = int(each.max())
        row, position = (torch.arange(longest)[None] < each[:, None]).nonzero(as_tuple=True)
        return cls(each, row, position, row * longest + position)


class Bert:
    """The encoder's forward pass over packed tokens (no padding in the matrix products), for training on a CPU."""

    def __init__(self, weights: dict, frozen_layers: int, heads: int = 12, layers: int = 12) -> None:
        self.w, self.heads, self.layers = weights, heads, layers
        frozen = ("embeddings.", *(f"encoder.layer.{i}." for i in range(frozen_layers)))
        for name, tensor in weights.items():
            tensor.requires_grad_(not name.startswith(frozen))

    def __call__(self, sequences: Sequence[Sequence[int]]):
        """Token ids of each text to unit vectors (n, hidden)."""
        from torch.nn import functional as F

        layout = Layout.of([len(s) for s in sequences])
        x = self.between(self.embedded(sequences, layout), layout, 0, self.layers)
        return F.normalize(pooled(x.float(), layout), dim=1)

    def embedded(self, sequences: Sequence[Sequence[int]], layout: Layout):
        """What goes into the first layer (tokens, hidden)."""
        import torch

        ids, e = torch.tensor([i for s in sequences for i in s]), "embeddings."
        x = (
            self.w[e + "word_embeddings.weight"][ids]
            + self.w[e + "position_embeddings.weight"][layout.position]
            + self.w[e + "token_type_embeddings.weight"][0]
        )
        return self._norm(x, e + "LayerNorm")

    def between(self, x, layout: Layout, first: int, last: int):
        """States (tokens, hidden) through the layers from `first` up to, without, `last`."""
        import torch
        from torch.nn import functional as F

        n, longest, hidden = len(layout.lengths), int(layout.lengths.max()), x.shape[1]
        outside = torch.arange(longest)[None] >= layout.lengths[:, None]
        bias = torch.zeros(n, 1, 1, longest).masked_fill_(outside[:, None, None], -1e4)
        if torch.is_autocast_enabled("cpu"):
            bias = bias.bfloat16()

        def split(t):
            padded = t.new_zeros(n * longest, hidden).index_copy(0, layout.cell, t)
            return padded.view(n, longest, self.heads, -1).transpose(1, 2)

        for layer in range(first, last):
            p = f"encoder.layer.{layer}."
            q, k, v = (split(self._linear(x, f"{p}attention.self.{s}")) for s in ("query", "key", "value"))
            scores = (q @ k.transpose(-1, -2)) * (hidden // self.heads) ** -0.5 + bias
            mixed = (scores.softmax(-1).to(v.dtype) @ v).transpose(1, 2).reshape(n * longest, hidden)[layout.cell]
            x = self._norm(self._linear(mixed, p + "attention.output.dense") + x, p + "attention.output.LayerNorm")
            inner = F.gelu(self._linear(x, p + "intermediate.dense"))
            x = self._norm(self._linear(inner, p + "output.dense") + x, p + "output.LayerNorm")
        return x

    def _linear(self, x, name: str):
        from torch.nn import functional as F

        return F.linear(x, self.w[name + ".weight"], self.w[name + ".bias"])

    def _norm(self, x, name: str):
        from torch.nn import functional as F

        return F.layer_norm(x, (x.shape[-1],), self.w[name + ".weight"], self.w[name + ".bias"], 1e-12)


def pooled(x, layout: Layout):
    """The mean state of each text (n, hidden)."""
    return x.new_zeros(len(layout.lengths), x.shape[1]).index_add(0, layout.row, x) / layout.lengths[:, None]


def encode_ids(tokenizer, texts: Sequence[str], limit: int) -> list[list[int]]:
    """Token ids as the cross-encoder cuts them."""
    return [cut(e.ids, limit) for e in tokenizer.encode_batch(list(texts))]


def batch_loss(bert: Bert, tokenizer, batch: Sequence[Triple], plan: Plan, rng: random.Random):
    """InfoNCE over positives and one hard negative each; passages that also answer a query do not count against it."""
    import torch
    from torch.nn import functional as F

    def passage(a: Article) -> str:
        return f"passage: {a.law} {a.text}" if rng.random() < plan.titled_share else f"passage: {a.text}"

    passages = [t.positive for t in batch] + [rng.choice(t.negatives) for t in batch]
    queries = [("passage: " if t.query_is_passage else "query: ") + t.query for t in batch]
    q = bert(encode_ids(tokenizer, queries, plan.query_tokens))
    p = bert(encode_ids(tokenizer, [passage(a) for a in passages], plan.passage_tokens))
    scores = q.float() @ p.float().T / plan.temperature
    also_right = torch.zeros_like(scores, dtype=torch.bool)
    for i, t in enumerate(batch):
        for j, a in enumerate(passages):
            if j != i and (a.id in t.relevant or a.text == t.positive.text):
                also_right[i, j] = True
    return F.cross_entropy(scores.masked_fill(also_right, float("-inf")), torch.arange(len(batch)))


def rate_at(step: int, total: int, plan: Plan) -> float:
    """Learning rate: linear up over the warm-up share, then linear down to zero."""
    warm = max(1, round(plan.warm_up * total))
    return plan.peak_rate * min((step + 1) / warm, max(0.0, (total - step) / (total - warm)))


def train(work: Path, start: Path, which: int, plan: Plan, threads: int) -> None:
    """Weights and the mined files of a round to WORK/round-N.safetensors, with checkpoints on the way."""
    import torch
    from safetensors.torch import load_file, save_file
    from tokenizers import Tokenizer

    torch.set_num_threads(threads)
    torch.manual_seed(SEED)
    rng = random.Random(SEED)
    tokenizer = Tokenizer.from_file(str(work / "tokenizer.json"))
    weights = load_file(start)
    bert = Bert(weights, plan.frozen_layers)
    learned = [t for t in weights.values() if t.requires_grad]
    optimiser = torch.optim.AdamW(learned, lr=plan.peak_rate, weight_decay=0.01)
    plans = batches(work, ROUNDS[which], plan, rng)
    started, recent = time.monotonic(), {}
    for step, batch in enumerate(plans):
        for group in optimiser.param_groups:
            group["lr"] = rate_at(step, len(plans), plan)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = batch_loss(bert, tokenizer, batch, plan, rng)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learned, 1.0)
        optimiser.step()
        name = batch[0].group
        recent[name] = 0.9 * recent.get(name, loss.item()) + 0.1 * loss.item()
        if step % 10 == 0:
            shown = " ".join(f"{k}={v:.3f}" for k, v in sorted(recent.items()))
            print(f"{step}/{len(plans)} {time.monotonic() - started:.0f}s {shown}", flush=True)
        if (step + 1) % plan.save_every == 0 or step + 1 == len(plans):
            save_file({k: v.detach() for k, v in weights.items()}, work / f"round-{which}.safetensors")


def blend(base: Path, adapted: Path, share: float, out: Path) -> None:
    """share * adapted + (1 - share) * base, tensor by tensor (Wortsman et al., 2022, "Robust fine-tuning")."""
    from safetensors.numpy import load_file, save_file

    a, b = load_file(adapted), load_file(base)
    save_file({k: (share * a[k] + (1 - share) * b[k]).astype("float32") for k in b}, out)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    steps = parser.add_subparsers(dest="step", required=True)
    p = steps.add_parser("mine", help="write training triples")
    p.add_argument("--shared", type=Path, required=True, help="folder with bench/ and corpus/")
    p.add_argument("--out", type=Path, required=True)
    p.set_defaults(run=lambda a: mine(a.shared, a.out))
    p = steps.add_parser("train", help="contrastive training with WORK/tokenizer.json")
    p.add_argument("--work", type=Path, required=True)
    p.add_argument("--start", type=Path, required=True, help="weights to start from")
    p.add_argument("--round", type=int, choices=tuple(ROUNDS), required=True)
    p.add_argument("--threads", type=int, default=1)
    p.set_defaults(run=lambda a: train(a.work, a.start, a.round, Plan(peak_rate=PEAK_RATES[a.round]), a.threads))
    p = steps.add_parser("harden", help="triples for a later round")
    p.add_argument("--shared", type=Path, required=True, help="folder with bench/ and corpus/")
    p.add_argument("--work", type=Path, required=True)
    p.add_argument("--encoder", type=Path, required=True, help="encoder folder of the round before")
    p.add_argument("--asked", type=Path, required=True, help="folder of questions-statutes and queries-encoder.jsonl")
    p.set_defaults(run=lambda a: harden(a.shared, a.work, a.encoder, a.asked))
    p = steps.add_parser("blend", help="average the weights of two rounds")
    for name in ("--base", "--adapted", "--out"):
        p.add_argument(name, type=Path, required=True)
    p.add_argument("--share", type=float, required=True, help="weight of the adapted model, 0 to 1")
    p.set_defaults(run=lambda a: blend(a.base, a.adapted, a.share, a.out))
    args = parser.parse_args(argv)
    args.run(args)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
