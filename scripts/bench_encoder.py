"""Speed and memory of the bundled encoder beside the same model in torch float32, on the same texts, taking turns.

    python scripts/bench_encoder.py --shared DIR [--texts 200]

Turns of 20 texts alternate between the two, so that other work on the machine hits both; the ratio is what counts.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

LOAD = (
    "import time; t = time.perf_counter(); from kb.embed import load_encoder; load_encoder().encode_queries(['数据']);"
    "print(time.perf_counter() - t)"
)
TURN = 20


def median_load_s(runs: int = 5) -> float:
    """Seconds from a fresh interpreter's first import to the first vector."""
    return statistics.median(float(subprocess.check_output([sys.executable, "-c", LOAD])) for _ in range(runs))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, required=True, help="folder with bench/")
    parser.add_argument("--texts", type=int, default=200)
    args = parser.parse_args()

    from train_encoder import SEED, read_articles, read_questions

    from kb.embed import BUNDLED_FOLDER, load_encoder

    articles = read_articles(args.shared / "bench/statutes-national.jsonl.gz", "national")
    texts = [a.text for a in random.Random(SEED).sample(articles, args.texts)]
    questions = [q["query"] for q in read_questions(args.shared / "bench/stard-train.jsonl")[1]]
    result: dict[str, float] = {"load_s": median_load_s()}
    ours = load_encoder()
    ours.encode_passages(texts[:TURN])
    times = []
    for question in questions:
        started = time.perf_counter()
        ours.encode_queries([question])
        times.append((time.perf_counter() - started) * 1000)
    ours.encode_passages(texts)
    result |= {"query_p50_ms": statistics.median(times), "query_p95_ms": statistics.quantiles(times, n=20)[-1]}
    result["memory_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    theirs = load_encoder(str(BUNDLED_FOLDER))
    spent, agreement = {"ours": 0.0, "torch": 0.0}, []
    for start in range(0, len(texts), TURN):
        part, rows = texts[start : start + TURN], {}
        for name, encoder in (("ours", ours), ("torch", theirs)):
            started = time.perf_counter()
            rows[name] = encoder.encode_passages(part)
            spent[name] += time.perf_counter() - started
        agreement += (rows["ours"] * rows["torch"]).sum(axis=1).tolist()
    result |= {f"{name}_texts_per_s": len(texts) / seconds for name, seconds in spent.items()}
    result |= {
        "speed_ratio": spent["torch"] / spent["ours"],
        "cosine_min": min(agreement),
        "cosine_mean": statistics.mean(agreement),
    }
    print(json.dumps({k: round(v, 4) for k, v in result.items()}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
