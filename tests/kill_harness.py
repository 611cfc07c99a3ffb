"""Kill a builder with SIGKILL at random moments and look at what it leaves: python tests/kill_harness.py FOLDER ROUNDS SEED.

Every round edits the corpus and builds in a forked child that is killed after a random time; the next child first checks
that the index is whole. The parent itself opens no engine, so that it can be forked.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import faiss  # noqa: F401  loaded before the forks, used only in the children
import tantivy  # noqa: F401
from corpora import edit, write_corpus

from kb.generations import current_generation, generations
from kb.index import Library, build
from kb.review import Event, ReviewLog
from kb.settings import load_settings


def main(folder: Path, rounds: int, seed: int) -> None:
    """Run the rounds and print one JSON line of counts; exit 1 at the first damage."""
    rng = random.Random(seed)
    settings = load_settings(
        {"corpus": folder / "corpus", "index": folder / "index", "encoder": "hash", "keep_generations": 2}, env={}
    )
    write_corpus(settings.corpus, documents=4, articles=4, seed=seed)
    reviews = ReviewLog(settings.corpus / "reviews.jsonl")
    reviews.append(
        Event("e1", "2026-01-01T00:00:00+00:00", "甲", "row@chain", "doc", "第一条", after={"label": "已覆盖"})
    )
    if _child(lambda ready: build(settings)) != 0:
        sys.exit("the first build failed")
    whole = min(_timed(settings) for _ in range(3))
    counts = {"rounds": rounds, "killed": 0, "finished": 0, "old": 0, "new": 0, "left_over": 0}
    for number in range(rounds):
        before = current_generation(settings.index)
        done = edit(settings.corpus, rng)
        status = _child(lambda ready: _check_and_build(settings, ready), kill_after=rng.uniform(0, 1.2 * whole))
        killed = status == -signal.SIGKILL
        if not killed and status != 0:
            sys.exit(f"round {number} ({done}): {before} is damaged or could not be built upon")
        counts["killed" if killed else "finished"] += 1
        counts["left_over"] += bool(list(settings.index.glob(".tmp-gen-*")))
        after = current_generation(settings.index)
        counts["old" if after == before else "new"] += 1
        if after is None:
            sys.exit(f"round {number} ({done}): {before} is gone")
        if len(reviews.events()) != 1:
            sys.exit(f"round {number}: a review was lost")
    if _child(lambda ready: _check_and_build(settings, ready)) != 0 or _child(lambda ready: _check(settings)) != 0:
        sys.exit("the last build failed")
    if list(settings.index.glob(".tmp-gen-*")) or len(generations(settings.index)) > 3:
        sys.exit("left-overs were not removed")
    print(json.dumps(counts))


def _check_and_build(settings, ready) -> None:
    """What the last kill left must be whole; only then does the clock of the next kill start."""
    _check(settings)
    ready()
    build(settings, force=True)


def _timed(settings) -> float:
    """Seconds of a build, without the check before it and the start of the process."""
    started: list[float] = []
    if _child(lambda ready: _check_and_build(settings, ready), on_ready=lambda: started.append(time.monotonic())) != 0:
        sys.exit("a build that nobody killed failed")
    return time.monotonic() - started[0]


def _check(settings) -> None:
    """The generation in force is complete: its counts are those of its rows, vectors and lexical index."""
    library = Library(settings)
    counts = library.manifest["counts"]
    assert len(library.documents) == counts["documents"] == len(library.manifest["documents"])
    read = [library.document(d.doc_id) for d in library.documents]
    assert sum(len(d.provisions) for d in read) == counts["provisions"]
    assert len(library.chunk_docs) == len(library.chunk_provisions) == counts["chunks"]
    assert len(library.vectors.vectors(range(counts["chunks"]))) == counts["chunks"]
    assert library.lexical.search({"words": ["数据"]}, 10_000, None)
    assert sum(len(library.requirements(d.doc_id)) for d in library.documents) == counts["requirements"]


def _child(work, kill_after: float | None = None, on_ready=None) -> int:
    """Exit status of a forked child that does the work; minus the signal when it was killed, `kill_after` s after it is ready."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            work(lambda: os.write(writer, b"."))
            os._exit(0)
        except BaseException as error:
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
            sys.stderr.flush()
            os._exit(1)
    os.close(writer)
    if on_ready is not None and os.read(reader, 1):
        on_ready()
    if kill_after is not None and os.read(reader, 1):
        time.sleep(kill_after)
        os.kill(pid, signal.SIGKILL)
    os.close(reader)
    status = os.waitpid(pid, 0)[1]
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
