"""The error tree. Only the front doors (cli, ui, mcp_server) catch these.

KbError
├── UsageError          wrong arguments or settings (exit code 2)
├── ReadError           a file that cannot be read: encrypted, damaged, empty, too large
├── CatalogError        a catalogue that cannot be used at all
├── EncoderError        an encoder that cannot be loaded or used
├── IndexError_         no index, another format, another encoder, a damaged generation
│   └── LockedError     another process is building
├── NotFoundError       a title, citation or id that this library does not hold
├── ReviewError         a decision that cannot be recorded
└── FetchError          a source that cannot be fetched safely
"""


class KbError(Exception):
    """What was met and where; `hint` says what to do next."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class UsageError(KbError):
    """Wrong arguments or settings."""


class ReadError(KbError):
    """A file that cannot be read."""


class CatalogError(KbError):
    """A catalogue that cannot be used at all."""


class EncoderError(KbError):
    """An encoder that cannot be loaded or used."""


class IndexError_(KbError):
    """No index, another format, another encoder, or a damaged generation."""


class LockedError(IndexError_):
    """Another process holds the build lock."""


class NotFoundError(KbError):
    """A title, citation or id that this library does not hold."""


class ReviewError(KbError):
    """A decision that cannot be recorded."""


class FetchError(KbError):
    """A source that cannot be fetched safely."""
