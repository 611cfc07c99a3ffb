"""Settings: one tuple of name, default, unit and help; read once from the environment, passed on as a value."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kb.errors import UsageError


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting; its environment name is KB_ + upper-case name."""

    name: str
    default: str | int | float
    unit: str
    help: str


SETTINGS = (
    Setting("corpus", "corpus", "folder", "documents, catalogue and reviews that people maintain"),
    Setting("index", "index", "folder", "generations built from the corpus; safe to delete"),
    Setting("encoder", "bundled", "name", "bundled, none (lexical only), a sentence-transformers model name or folder"),
    Setting("keep_generations", 3, "count", "finished generations kept for kb rollback"),
    Setting("undetermined_below", 0.40, "probability", "gap rows below this confidence read 待人工核定"),
    Setting("max_file_mb", 100, "MiB", "larger files are refused"),
    Setting("max_pages", 2000, "pages", "longer files are refused"),
    Setting("reviewers", "", "names", "who may record decisions, separated by commas; empty is everybody who signs"),
    Setting("host", "localhost", "address", "interface the web UI binds to"),
    Setting("port", 8501, "port", "port of the web UI"),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """Values in force for one run."""

    corpus: Path
    index: Path
    encoder: str
    keep_generations: int
    undetermined_below: float
    max_file_mb: int
    max_pages: int
    reviewers: str
    host: str
    port: int


def load_settings(overrides: Mapping[str, object] | None = None, env: Mapping[str, str] | None = None) -> Settings:
    """Defaults, then the environment (KB_...), then `overrides` that are not None.

    Raises:
        UsageError: a value of the wrong type, naming the setting and the value.
    """
    env = os.environ if env is None else env
    values: dict[str, object] = {}
    for setting in SETTINGS:
        raw = (overrides or {}).get(setting.name)
        if raw is None:
            raw = env.get(f"KB_{setting.name.upper()}", setting.default)
        try:
            values[setting.name] = Path(str(raw)) if setting.unit == "folder" else type(setting.default)(raw)
        except ValueError:
            raise UsageError(
                f"setting {setting.name}: {raw!r} is not a {type(setting.default).__name__}",
                hint=f"Set KB_{setting.name.upper()} to {setting.unit}: {setting.help}.",
            ) from None
    return Settings(**values)
