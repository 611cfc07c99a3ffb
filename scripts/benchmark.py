"""Speed and memory of the whole path, as numbers and ratios, for docs/benchmarks.md.

    python scripts/benchmark.py --corpus ../shared/corpus [--queries FILE] [--out docs/benchmarks.json]

Every measurement runs in its own process, so that peak memory is its own. Times depend on the machine; the ratios
(build against the encoder alone, one changed file against a full build) carry over.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

QUERIES = (
    "公共数据授权运营的收益怎么分配",
    "重要数据风险评估多久做一次",
    "个保法第三十八条",
    "刷脸进小区合规吗",
    "数据交易所日志保存几年",
    "发改数据规〔2025〕26号",
    "未成年人个人信息谁来同意",
    "数据出境要不要申报",
    "政务数据共享争议怎么解决",
    "深圳有没有首席数据官制度",
)


def main() -> None:
    """Run all measurements and print them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", type=Path, default=Path("corpus"))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--step", choices=["build", "encode", "search"], help=argparse.SUPPRESS)
    parser.add_argument("--index", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.step:
        print(json.dumps({"build": _build, "encode": _encode, "search": _search}[args.step](args.corpus, args.index)))
        return
    with tempfile.TemporaryDirectory() as folder:
        index = Path(folder) / "index"
        result = {"build": _child("build", args.corpus, index)}
        result["build_again"] = _child("build", args.corpus, index)
        result["encode"] = _child("encode", args.corpus, index)
        result["search"] = _child("search", args.corpus, index)
        result["cold_search_s"] = _cold(args.corpus, index)
    built, encoded = result["build"], result["encode"]
    result["build_over_encoder"] = round((built["chunks"] / built["seconds"]) / encoded["texts_per_s"], 3)
    text = json.dumps(result, ensure_ascii=False, indent=1)
    print(text)
    if args.out:
        args.out.write_text(text + "\n", encoding="utf-8")


def _child(step: str, corpus: Path, index: Path) -> dict:
    line = [sys.executable, __file__, "--step", step, "--corpus", str(corpus), "--index", str(index)]
    return json.loads(subprocess.run(line, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def _settings(corpus: Path, index: Path):
    from kb.settings import load_settings

    return load_settings({"corpus": corpus, "index": index})


def _build(corpus: Path, index: Path) -> dict:
    from kb.index import build

    summary = build(_settings(corpus, index))
    return {
        "seconds": summary.seconds,
        "chunks": summary.chunks,
        "embedded": summary.embedded,
        "provisions": summary.provisions,
        "requirements": summary.requirements,
        "peak_mib": _peak(),
    }


def _encode(corpus: Path, index: Path) -> dict:
    """The encoder alone on the texts of the same corpus."""
    from kb.chunk import chunk
    from kb.corpus import load
    from kb.embed import load_encoder
    from kb.index import passage_text

    texts = [passage_text(c) for doc in load(corpus).documents for c in chunk(doc)]
    encoder = load_encoder()
    started = time.perf_counter()
    encoder.encode_passages(texts)
    seconds = time.perf_counter() - started
    return {
        "texts": len(texts),
        "seconds": round(seconds, 2),
        "texts_per_s": round(len(texts) / seconds, 2),
        "peak_mib": _peak(),
    }


def _search(corpus: Path, index: Path) -> dict:
    from kb.index import Library
    from kb.metrics import percentile
    from kb.search import search

    library = Library(_settings(corpus, index))
    for query in QUERIES:
        search(library, query)
    times = []
    for _ in range(20):
        for query in QUERIES:
            started = time.perf_counter()
            search(library, query)
            times.append((time.perf_counter() - started) * 1000)
    return {"p50_ms": round(percentile(times, 50), 1), "p95_ms": round(percentile(times, 95), 1), "peak_mib": _peak()}


def _cold(corpus: Path, index: Path) -> float:
    """Median of five fresh `kb search` processes, seconds."""
    line = [shutil.which("kb") or "kb", "search", QUERIES[0], "--json", "--corpus", str(corpus), "--index", str(index)]
    if not shutil.which("kb"):
        line = [sys.executable, "-m", *line]
    times = []
    for _ in range(5):
        started = time.perf_counter()
        subprocess.run(line, check=True, capture_output=True)
        times.append(time.perf_counter() - started)
    return round(sorted(times)[2], 2)


def _peak() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


if __name__ == "__main__":
    main()
