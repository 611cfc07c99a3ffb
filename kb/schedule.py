"""A run that is watched by nobody: its time limit, and one line in a rotated log."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import logging
import logging.handlers
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from kb.errors import KbError

TIMED_OUT = 1
_GRACE_S = 20


@contextlib.contextmanager
def stop_after(minutes: float) -> Iterator[None]:
    """End this process after its time; the index is safe, because a process may end at any moment. 0 sets no limit.

    A timer thread says why and ends the process; where native code does not let it run, the alarm of the operating system
    ends it a little later.
    """
    if not minutes:
        yield
        return
    seconds = minutes * 60

    def stop() -> None:
        sys.stderr.write(
            f"stopped: the run took longer than its limit of {minutes:g} min; the old index is still in force\n"
        )
        sys.stderr.flush()
        os._exit(TIMED_OUT)

    timer = threading.Timer(seconds, stop)
    timer.daemon = True
    timer.start()
    alarm = hasattr(signal, "SIGALRM") and threading.current_thread() is threading.main_thread()
    if alarm:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(int(seconds) + _GRACE_S)
    try:
        yield
    finally:
        timer.cancel()
        if alarm:
            signal.alarm(0)


@contextlib.contextmanager
def log_run(file: str | None, command: str) -> Iterator[Callable[[dict], None]]:
    """Append one JSON line about the run to `file`, good or bad; the file is rotated at 1 MB, five are kept."""
    told: dict = {}
    started = time.monotonic()
    fault = ""
    try:
        yield told.update
    except (KbError, OSError) as error:
        fault = str(error).replace("\n", " ")
        raise
    finally:
        if file:
            line = {
                "at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
                "command": command,
                "ok": not fault,
                "seconds": round(time.monotonic() - started, 1),
                "error": fault,
                **{k: told[k] for k in ("generation", "documents", "changes") if k in told},
            }
            _append(Path(file), json.dumps(line, ensure_ascii=False))


def _append(file: Path, line: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.handlers.RotatingFileHandler(
        file, maxBytes=1_000_000, backupCount=5, encoding="utf-8", errors="replace"
    )
    handler.emit(logging.LogRecord("kb", logging.INFO, "", 0, line, None, None))
    handler.close()
