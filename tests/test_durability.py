"""Nothing a machine does to a running build may damage the index or lose a decision: kill, full disk, no rights, hang."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from corpora import NATIONAL, write_corpus

from kb.errors import IndexError_, KbError, LockedError
from kb.generations import current_generation, generations
from kb.index import Library, build
from kb.settings import load_settings

HERE = Path(__file__).parent


@pytest.fixture
def settings(tmp_path):
    write_corpus(tmp_path / "corpus", documents=4, articles=6)
    return load_settings({"corpus": tmp_path / "corpus", "index": tmp_path / "index", "encoder": "hash"}, env={})


def amend(settings) -> None:
    path = settings.corpus / "national" / f"{NATIONAL}0.md"
    path.write_text(path.read_text(encoding="utf-8") + "\n\n第七条　市级部门应当每年报送情况。\n", encoding="utf-8")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_at_100_random_moments_the_index_is_the_old_or_the_new_one_whole(tmp_path):
    run = subprocess.run(
        [sys.executable, str(HERE / "kill_harness.py"), str(tmp_path), "100", "11"],
        capture_output=True,
        text=True,
        timeout=1800,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE)},
    )
    assert run.returncode == 0, run.stderr[-2000:]
    counts = json.loads(run.stdout.splitlines()[-1])
    assert counts["killed"] >= 30 and counts["old"] + counts["new"] == 100 and counts["left_over"] > 0


@pytest.mark.parametrize("limit", [4_000, 20_000, 60_000, 120_000])
def test_a_full_disk_leaves_the_old_index_and_says_so(settings, limit):
    first = build(settings).generation
    amend(settings)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # a write past the limit fails as it does on a full disk, at another place for each limit
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        with pytest.raises(KbError) as caught:
            build(settings)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "Free some space" in caught.value.hint
    assert current_generation(settings.index) == first and len(Library(settings).documents) == 4
    assert build(settings).documents.changed == 1
    assert not list(settings.index.glob(".tmp-gen-*"))


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs POSIX rights")
def test_a_read_only_folder_is_named_with_the_next_step():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        write_corpus(folder / "corpus", documents=2, articles=4)
        settings = load_settings({"corpus": folder / "corpus", "index": folder / "index", "encoder": "none"}, env={})
        build(settings)
        amend(settings)
        for path in [folder / "index", *(folder / "index").rglob("*")]:
            path.chmod(0o555 if path.is_dir() else 0o444)
        was = os.geteuid()
        try:
            if was == 0:
                os.seteuid(65534)  # root may write anywhere, nobody may not
            with pytest.raises(IndexError_, match="cannot be written") as caught:
                build(settings)
        finally:
            os.seteuid(was)
            for path in [folder / "index", *(folder / "index").rglob("*")]:
                path.chmod(0o755 if path.is_dir() else 0o644)
        assert "--index DIR" in caught.value.hint
        assert len(Library(settings).documents) == 2


def test_of_two_builders_one_builds_and_the_other_is_told(settings):
    build(settings)
    amend(settings)
    code = (
        "import sys; from kb.index import build; from kb.errors import LockedError; from kb.settings import load_settings\n"
        f"s = load_settings({{'corpus': {str(settings.corpus)!r}, 'index': {str(settings.index)!r}, 'encoder': 'hash'}}, env={{}})\n"
        "try:\n    print(build(s).generation)\n"
        "except LockedError as e:\n    assert 'process' in str(e); print('locked')\n"
    )

    def one(_):
        return subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, cwd=HERE.parent, timeout=300
        )

    with ThreadPoolExecutor(3) as pool:
        runs = list(pool.map(one, range(3)))
    assert all(run.returncode == 0 for run in runs), [run.stderr[-300:] for run in runs]
    made = {run.stdout.strip() for run in runs} - {"locked"}
    assert made == {current_generation(settings.index)} and len(generations(settings.index)) == 2


def test_readers_keep_their_generation_while_a_build_switches(settings):
    build(settings)
    library = Library(settings)
    amend(settings)
    build(settings)
    assert len(library.document(f"{NATIONAL}0").provisions) == 6
    assert len(Library(settings).document(f"{NATIONAL}0").provisions) == 7


def test_a_run_that_hangs_is_stopped_by_its_limit_with_a_message(tmp_path):
    code = "import time\nfrom kb.schedule import stop_after\nwith stop_after(0.01):\n    time.sleep(60)\n"
    started = time.monotonic()
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=HERE.parent, timeout=300)
    assert run.returncode == 1 and "took longer than its limit" in run.stderr
    assert time.monotonic() - started < 50  # it would sleep for 60


def test_the_lock_is_free_again_when_its_owner_was_killed(settings):
    code = (
        "import os, signal; from pathlib import Path; from kb.generations import locked\n"
        f"with locked(Path({str(settings.index)!r}), 'build'):\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=HERE.parent, timeout=300)
    assert run.returncode != 0
    assert build(settings).documents.new == 4


def test_a_locked_folder_never_waits_for_ever(settings):
    from kb.generations import locked

    with locked(settings.index, "update"), pytest.raises(LockedError):
        build(settings)
