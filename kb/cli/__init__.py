"""The `kb` command: one module per subcommand, imported only when it is called."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from typing import Any

import click

from kb.errors import KbError, UsageError
from kb.settings import Settings, load_settings

# name -> (module, one line of help); the module has an attribute `command`
COMMANDS = {
    "build": ("kb.cli.build", "Read the corpus and switch to a new index."),
    "search": ("kb.cli.search", "Find provisions."),
    "show": ("kb.cli.show", "Show one cited provision, or say why it cannot be shown."),
    "gaps": ("kb.cli.gaps", "Map every national requirement to the local rules."),
    "judge": ("kb.cli.judge", "Judge duties listed in a JSONL file."),
    "eval": ("kb.cli.evaluate", "Measure search, gaps and statutes against labels."),
    "review": ("kb.cli.review", "List what waits for people; record decisions."),
    "report": ("kb.cli.report", "Write comparison tables, ledgers and task lists."),
    "draft": ("kb.cli.draft", "Check a draft against national duties."),
    "serve": ("kb.cli.serve", "Open the workbench in a browser."),
    "mcp": ("kb.cli.mcp", "Serve the library to an assistant (MCP)."),
    "doctor": ("kb.cli.doctor", "Print the state of a corpus and its index."),
    "catalog": ("kb.cli.catalog", "Check the catalogue."),
    "ingest": ("kb.cli.ingest", "Preview documents, then add them to the corpus."),
    "fetch": ("kb.cli.fetch", "Fetch official full texts."),
    "update": ("kb.cli.update", "Redo what changed and write the change note."),
    "watch": ("kb.cli.watch", "Look for new documents on official pages."),
    "rollback": ("kb.cli.rollback", "Return to an earlier index."),
}


class LazyGroup(click.Group):
    """Lists all commands, imports the one that is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        return importlib.import_module(COMMANDS[name][0]).command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup)
@click.version_option(package_name="duibiao")
def group() -> None:
    """Chinese data-governance policy: search, and national requirements mapped to local gaps."""


def main() -> None:
    """Entry point: 0 done, 1 failed, 2 wrong usage."""
    try:
        group.main(prog_name="kb", standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(1)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except UsageError as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    except KbError as error:
        click.echo(str(error), err=True)
        sys.exit(1)
    except BrokenPipeError:
        sys.exit(1)


def common_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """--corpus, --index, --encoder and --json, as on every command; pass them to `settings_from`."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="One JSON value on stdout, everything else on stderr."),
        click.option("--encoder", default=None, help="bundled, none, or a sentence-transformers model (KB_ENCODER)."),
        click.option("--index", "index", default=None, metavar="DIR", help="Index folder (KB_INDEX, default index/)."),
        click.option(
            "--corpus", "corpus", default=None, metavar="DIR", help="Corpus folder (KB_CORPUS, default corpus/)."
        ),
    ):
        function = option(function)
    return function


def delay_option(default: float) -> Callable[..., Any]:
    """--delay, on commands that ask web sites for something."""
    return click.option(
        "--delay",
        default=default,
        show_default=True,
        type=click.FloatRange(0.2, 60),
        help="Seconds between two requests to one host.",
    )


def settings_from(corpus: str | None, index: str | None, encoder: str | None) -> Settings:
    """Settings of this run from the common options and the environment."""
    return load_settings({"corpus": corpus, "index": index, "encoder": encoder})


def print_json(value: object) -> None:
    """One JSON value on stdout."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=1))


class Meter:
    """Progress on stderr: a bar a stage, rewritten in place, with counts and the time left; without a terminal one line at its end."""

    WIDTH = 24

    def __init__(self) -> None:
        self._started: dict[str, float] = {}
        self._shown = 0.0

    def __call__(self, stage: str, done: int, total: int) -> None:
        import time

        now = time.monotonic()
        # a stage may be interrupted by another (a scanned file while files are read) and goes on with its own clock
        spent = now - self._started.setdefault(stage, now)
        live, ended = sys.stderr.isatty(), done >= total
        if not ended and (not live or now - self._shown < 0.1):
            return
        self._shown = now
        if ended:
            del self._started[stage]
        line = self.line(stage, done, total, spent)
        click.echo(f"\r{line}\x1b[K" if live else line, err=True, nl=ended)

    @classmethod
    def line(cls, stage: str, done: int, total: int, spent: float) -> str:
        """One stage as text; `spent` is in seconds. The first item of a stage says nothing about its speed yet."""
        filled = cls.WIDTH * done // total if total else cls.WIDTH
        bar = "█" * filled + "░" * (cls.WIDTH - filled)
        if done >= total:
            when = duration(spent)
        else:
            when = f"about {duration(spent / done * (total - done))} left" if done and spent > 0.5 else "…"
        return f"{stage:<8} {bar} {done:,}/{total:,}  {when}"


def duration(seconds: float) -> str:
    """Seconds as people say them: 4 s, 3 min 20 s, 2 h 05 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"
