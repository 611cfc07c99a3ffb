"""How much one file may ask of this machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

# called with (stage, done, total); stages are "read" and "ocr", the unit is a page
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes, times in seconds. `max_unpacked` is the sum over one archive, `max_ratio` unpacked to packed."""

    max_bytes: int = 100 * 2**20
    max_pages: int = 2000
    max_unpacked: int = 300 * 2**20
    max_member: int = 100 * 2**20
    max_members: int = 5000
    max_ratio: int = 200
    max_seconds: float = 300.0


DEFAULTS = Limits()
