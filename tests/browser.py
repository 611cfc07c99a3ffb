"""A workbench server and a real browser for tests; both are missing on some machines, and the tests then say so."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

import kb
from kb.settings import Settings

PACKAGE = Path(kb.__file__).resolve().parent.parent
ARGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WAIT = 60_000


def chromium() -> str | None:
    """Path of a Chromium on this machine, or None."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def need_browser() -> None:
    """Skip with a reason where there is no browser or no Playwright."""
    pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    if chromium() is None:
        pytest.skip("Chromium is not on this machine (apt-get install chromium)")


@contextlib.contextmanager
def served(settings: Settings) -> Iterator[str]:
    """The address of a workbench over these settings; it ends with the block."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = os.environ | {
        "KB_CORPUS": str(settings.corpus),
        "KB_INDEX": str(settings.index),
        "KB_ENCODER": settings.encoder,
        "PYTHONPATH": str(PACKAGE),
    }
    line = [
        sys.executable,
        "-m",
        "streamlit",
        "run",
        str(PACKAGE / "app.py"),
        "--server.headless",
        "true",
        "--server.port",
        str(port),
    ]
    server = subprocess.Popen(
        [*line, "--server.address", "127.0.0.1", "--server.fileWatcherType", "none"],
        cwd=PACKAGE,
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            with contextlib.suppress(OSError):
                if urllib.request.urlopen(f"{address}/_stcore/health", timeout=2).status == 200:
                    break
            time.sleep(0.25)
        else:
            raise RuntimeError("the workbench did not start within a minute")
        yield address
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait(10)


@contextlib.contextmanager
def browser() -> Iterator:
    """A headless Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        found = play.chromium.launch(executable_path=chromium(), args=list(ARGS))
        try:
            yield found
        finally:
            found.close()


def settled(page, rest: float = 0.4) -> None:
    """Wait until the page has finished its run and drawn its parts."""
    time.sleep(0.3)
    page.wait_for_function(
        """() => { const app = document.querySelector('[data-testid="stApp"]');
                   return app && app.getAttribute('data-test-script-state') === 'notRunning'
                     && !document.querySelector('[data-testid="stSkeleton"]')
                     && !document.querySelector('[data-stale="true"]'); }""",
        timeout=WAIT,
    )
    time.sleep(rest)


def opened(page, address: str) -> None:
    """Go to an address and wait for its title."""
    page.goto(address, timeout=WAIT)
    page.wait_for_selector("h1", timeout=WAIT)
    settled(page)
