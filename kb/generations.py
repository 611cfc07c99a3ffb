"""Generations of an index on disk: names, the pointer in force, the lock, durability, rollback and pruning.

A generation is a folder that is complete or absent: it is written under a hidden name, flushed to disk, renamed, and only
then named by the pointer `current`. Names carry a running number, so that a clock that jumps cannot reorder them.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import re
import shutil
import socket
import sqlite3
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from kb.errors import IndexError_, LockedError
from kb.settings import Settings

_NUMBERED = re.compile(r"gen-(\d{6})-")


def generations(index: Path) -> list[str]:
    """Names of complete generations, oldest first."""
    return sorted((p.name for p in index.glob("gen-*") if (p / "manifest.json").is_file()), key=_order)


def _order(name: str) -> tuple[int, str]:
    match = _NUMBERED.match(name)
    return (int(match[1]) if match else 0, name)


def new_name(index: Path, created: dt.datetime) -> str:
    """Name of the next generation: one number higher than any that is there."""
    last = max((_order(name)[0] for name in generations(index)), default=0)
    return f"gen-{last + 1:06d}-{created:%Y%m%dT%H%M%S}"


def current_generation(index: Path) -> str | None:
    """Name of the generation in force, or None."""
    return read_pointer(index, "current")


def read_pointer(index: Path, name: str) -> str | None:
    """The generation a pointer file names; None where there is none or it is gone."""
    try:
        generation = (index / name).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
    sound = re.fullmatch(r"gen-[\w-]+", generation) and (index / generation / "manifest.json").is_file()
    return generation if sound else None


def point(index: Path, name: str, generation: str) -> None:
    """Make a pointer file name a generation, atomically and durably."""
    write_durably(index / name, generation.encode())


def read_manifest(index: Path, generation: str | None = None) -> dict | None:
    """Manifest of a generation (the one in force by default), or None."""
    name = generation or current_generation(index)
    return json.loads((index / name / "manifest.json").read_text(encoding="utf-8")) if name else None


def rollback(settings: Settings, to: str | None = None) -> str:
    """Point to an earlier generation, the one before the current one by default, and return its name.

    Raises:
        IndexError_: there is no such generation.
        LockedError: another process is building.
    """
    with locked(settings.index, "rollback"):
        current = current_generation(settings.index)
        names = generations(settings.index)
        earlier = [n for n in names if current is None or _order(n) < _order(current)]
        if to is not None and to not in names:
            raise IndexError_(f"there is no generation {to}", hint=f"Held: {', '.join(names) or 'none'}.")
        if to is None and not earlier:
            raise IndexError_("there is no earlier generation to return to", hint="kb build makes a new one.")
        chosen = to or earlier[-1]
        point(settings.index, "current", chosen)
        return chosen


def prune(settings: Settings, keep: frozenset[str] = frozenset()) -> list[str]:
    """Remove generations beyond the setting, oldest first; the one in force and those in `keep` stay. Returns the names."""
    current = current_generation(settings.index)
    removed = []
    for name in generations(settings.index)[: -max(settings.keep_generations, 1)]:
        if name != current and name not in keep:
            _remove(settings.index / name)
            removed.append(name)
    return removed


def _remove(folder: Path) -> None:
    """A generation disappears whole: its manifest goes first, so that what a crash leaves behind is no generation."""
    hidden = folder.with_name(f".tmp-{folder.name}")
    with contextlib.suppress(OSError):
        os.rename(folder, hidden)
        remove_folder(hidden)


def remove_folder(folder: Path, attempts: int = 10) -> None:
    """Remove a folder, again after a pause while a background writer of a failed build still puts files into it."""
    for _ in range(attempts):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.1)


def sweep(index: Path) -> None:
    """Remove what runs that died have left. Call it under the lock."""
    for leftover in (*index.glob(".tmp-gen-*"), *index.glob(".*.part")):
        if leftover.is_dir():
            remove_folder(leftover)
        else:
            leftover.unlink(missing_ok=True)


@contextlib.contextmanager
def locked(index: Path, purpose: str) -> Iterator[None]:
    """Hold the one lock of an index folder; the operating system frees it when the process ends, however it ends.

    Raises:
        LockedError: another process holds it; its message says who and since when.
        IndexError_: the folder cannot be written.
    """
    from filelock import FileLock, Timeout

    try:
        index.mkdir(parents=True, exist_ok=True)
        lock = FileLock(index / ".lock")
        lock.acquire(timeout=0)
        _name_owner(index, purpose)
        sweep(index)
    except Timeout:
        raise LockedError(f"another run is at work: {lock_owner(index)}", hint="Wait for it, then try again.") from None
    except OSError as error:
        raise IndexError_(
            f"{index} cannot be written ({error.strerror or error})",
            hint="Free some space or correct its rights, or choose another folder with --index DIR.",
        ) from error
    try:
        yield
    finally:
        lock.release()


def _name_owner(index: Path, purpose: str) -> None:
    owner = {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "purpose": purpose,
        "since": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
    }
    (index / ".lock-owner.json").write_text(json.dumps(owner), encoding="utf-8")


def lock_owner(index: Path) -> str:
    """Who holds the lock, and for how long."""
    try:
        owner = json.loads((index / ".lock-owner.json").read_text(encoding="utf-8"))
        since = dt.datetime.fromisoformat(owner["since"])
        minutes = (dt.datetime.now(dt.UTC) - since).total_seconds() / 60
        age = f"for {minutes:.0f} min" if minutes >= 0 else "by a clock that was ahead of this one"
        return f"{owner['purpose']}, process {owner['pid']} on {owner['host']}, since {owner['since']} ({age})"
    except (OSError, ValueError, KeyError, TypeError):
        return "owner unknown"


@contextlib.contextmanager
def storage_errors(index: Path) -> Iterator[None]:
    """Faults of the disk as one clear message; the engines below each have their own way to say that it is full."""
    try:
        yield
    except OSError as error:
        raise _storage_error(index, error.strerror or str(error)) from error
    except sqlite3.Error as error:
        raise _storage_error(index, str(error)) from error
    except (RuntimeError, ValueError) as error:  # FAISS and tantivy report failed writes as these
        if not re.search(r"write|space|too large|i/o|os error|io error", str(error), re.I):
            raise
        raise _storage_error(index, str(error).splitlines()[0]) from error


def _storage_error(index: Path, what: str) -> IndexError_:
    hint = "Free some space or correct the rights of the folder, then run the same command again."
    if "malformed" in what or "not a database" in what:
        hint = f"Remove {index / 'cache.db'} (it is made again), then run the same command again."
    return IndexError_(
        f"{index}: the new generation could not be written ({what}); the old one is still in force", hint=hint
    )


def write_durably(path: Path, data: bytes) -> None:
    """Replace a file so that a crash leaves the old or the new content: write beside, flush, rename, flush the folder."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    with temporary.open("wb") as handle:
        handle.write(data)
        handle.flush()
        os.fsync(handle.fileno())
    os.replace(temporary, path)
    flush(path.parent)


def make_durable(folder: Path) -> None:
    """Flush a folder and everything in it."""
    for path in [*folder.rglob("*"), folder]:
        flush(path)


def flush(path: Path) -> None:
    """fsync of a file or folder; folders cannot be flushed on Windows."""
    if sys.platform == "win32" and path.is_dir():
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
