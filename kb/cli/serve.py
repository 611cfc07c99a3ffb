"""kb serve: the web UI."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import resources
from pathlib import Path

import click

from kb.cli import common_options, settings_from
from kb.errors import UsageError


@click.command()
@common_options
@click.option("--host", default=None, help="Interface to bind to (KB_HOST, default localhost).")
@click.option("--port", default=None, type=int, help="Port (KB_PORT, default 8501).")
def command(corpus, index, encoder, as_json, host, port) -> None:
    """Open the workbench in a browser."""
    settings = settings_from(corpus, index, encoder)
    app = Path(str(resources.files("kb"))).parent / "app.py"
    if not app.is_file():
        raise UsageError("app.py was not found beside the package", hint="Run kb serve from a checkout of the project.")
    env = os.environ | {
        "KB_CORPUS": str(settings.corpus),
        "KB_INDEX": str(settings.index),
        "KB_ENCODER": settings.encoder,
    }
    address, number = host or settings.host, port or settings.port
    click.echo(f"http://{address}:{number}", err=True)
    line = [sys.executable, "-m", "streamlit", "run", str(app), "--server.headless", "true"]
    sys.exit(subprocess.call([*line, "--server.address", address, "--server.port", str(number)], env=env))
