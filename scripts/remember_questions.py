"""Questions of the public with their answers in, kb/data/remembered.npz out (kb/remembered.py).

    python scripts/remember_questions.py --articles statutes-national.jsonl.gz --questions stard-train.jsonl
        --apart WORK/dev-questions.jsonl --out kb/data/remembered.npz

Run it again whenever the encoder inside changes: vectors of another encoder are of no use.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from kb.embed import load_encoder
from kb.remembered import Memory, fingerprint
from kb.statutes import read_articles, read_questions


def main() -> None:
    """Write the memory and say how much it holds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--articles", type=Path, required=True)
    parser.add_argument("--questions", type=Path, required=True)
    parser.add_argument("--apart", type=Path, required=True, help="Questions that measure and must not be remembered.")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    text_of = {a.article_id: a.text for a in read_articles(args.articles)}
    apart = {q.text for q in read_questions(args.apart)}
    kept = [q for q in read_questions(args.questions) if q.text not in apart]
    pairs = [(i, fingerprint(text_of[a])) for i, q in enumerate(kept) for a in sorted(q.relevant) if a in text_of]
    encoder = load_encoder()
    Memory(
        encoder.fingerprint,
        encoder.encode_queries([q.text for q in kept]).astype(np.float16),
        np.asarray([question for question, _ in pairs], dtype=np.int32),
        np.asarray([article for _, article in pairs], dtype=np.uint64),
    ).save(args.out)
    print(f"{len(kept)} questions, {len(pairs)} answers, {args.out.stat().st_size / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
