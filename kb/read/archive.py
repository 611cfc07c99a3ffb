"""A zip container in, members out: nothing is unpacked before its size, name and ratio were looked at.

Members are read into memory under a byte budget; nothing is ever written to a path that an archive names.
"""

from __future__ import annotations

import io
import posixpath
import zipfile
from collections.abc import Iterator
from pathlib import PurePosixPath

from kb.errors import ReadError
from kb.read.limits import Limits

_SMALL = 1 * 2**20


class Archive:
    """A zip file that was checked against the limits; `read` gives single members.

    Raises:
        ReadError: not a zip file, encrypted, too many members, or more data than the limits allow.
    """

    def __init__(self, data: bytes, where: str, limits: Limits) -> None:
        self._where, self._limits, self._spent = where, limits, 0
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
            infos = [info for info in self._zip.infolist() if not info.is_dir()]
        except Exception as error:
            raise ReadError(f"{where}: damaged archive ({_short(error)})", hint="Get the file again.") from error
        if len(infos) > limits.max_members:
            raise ReadError(
                f"{where}: {len(infos):,} files in one archive",
                hint=f"At most {limits.max_members:,}; unpack it by hand.",
            )
        total = sum(info.file_size for info in infos)
        if total > limits.max_unpacked:
            raise ReadError(
                f"{where}: unpacks to {total / 2**20:,.0f} MiB",
                hint="Refused as a possible zip bomb; unpack it by hand.",
            )
        for info in infos:
            self._check(info)
        self._infos = {info.filename: info for info in infos}

    def _check(self, info: zipfile.ZipInfo) -> None:
        if info.flag_bits & 0x1:
            raise ReadError(f"{self._where}: the archive is encrypted", hint="Save it without a password.")
        too_dense = info.file_size > _SMALL and info.file_size > self._limits.max_ratio * max(1, info.compress_size)
        if info.file_size > self._limits.max_member or too_dense:
            raise ReadError(
                f"{self._where}: {safe_name(info.filename)} unpacks from {info.compress_size:,} to {info.file_size:,} bytes",
                hint="Refused as a possible zip bomb; unpack it by hand.",
            )

    @property
    def names(self) -> list[str]:
        """Member names as stored, in stored order; they are keys, never paths."""
        return list(self._infos)

    def find(self, name: str) -> str | None:
        """The stored name that equals `name` after normalising slashes and case."""
        wanted = normal(name).lower()
        return next((stored for stored in self._infos if normal(stored).lower() == wanted), None)

    def read(self, name: str) -> bytes:
        """Bytes of one member. The declared size is not trusted: reading stops at the budget.

        Raises:
            ReadError: no such member, damaged data, or more data than declared.
        """
        info = self._infos.get(name)
        if info is None:
            raise ReadError(
                f"{self._where}: {safe_name(name)} is missing in the archive", hint="The file is damaged; get it again."
            )
        try:
            with self._zip.open(info) as stream:
                data = stream.read(info.file_size + 1)
        except Exception as error:
            raise ReadError(
                f"{self._where}: {safe_name(name)} cannot be unpacked ({_short(error)})", hint="Get the file again."
            ) from error
        self._spent += len(data)
        if len(data) > info.file_size or self._spent > self._limits.max_unpacked * 2:
            raise ReadError(
                f"{self._where}: {safe_name(name)} holds more data than it declares",
                hint="Refused as a possible zip bomb.",
            )
        return data

    def members(self) -> Iterator[tuple[str, str]]:
        """(stored name, readable name) of every member; the readable one has no directories and no odd characters."""
        for stored, info in self._infos.items():
            yield stored, safe_name(_decoded(info))


def normal(name: str) -> str:
    """A member name with forward slashes, without . and .. and leading slashes."""
    parts = [part for part in PurePosixPath(name.replace("\\", "/")).parts if part not in ("/", "..", ".")]
    return "/".join(parts)


def resolve(base: str, target: str) -> str:
    """`target` as seen from the member `base`; a leading slash means the root. Never leaves the archive."""
    target = target.replace("\\", "/")
    path = target if target.startswith("/") else posixpath.join(posixpath.dirname(normal(base)), target)
    return normal(posixpath.normpath("/" + path))


def safe_name(name: str) -> str:
    """Last part of a path for messages and file names: no separators, control characters or leading dots."""
    last = name.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]
    cleaned = "".join(c for c in last if c.isprintable() and c not in '<>:"|?*').lstrip(". ")
    return cleaned[:120] or "unnamed"


def _decoded(info: zipfile.ZipInfo) -> str:
    """Chinese archives often hold GBK names without the UTF-8 flag, which zipfile reads as cp437."""
    if info.flag_bits & 0x800:
        return info.filename
    try:
        raw = info.filename.encode("cp437")
    except UnicodeEncodeError:
        return info.filename
    for encoding in ("utf-8", "gb18030"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return info.filename


def _short(error: BaseException) -> str:
    return (str(error) or type(error).__name__).split("\n")[0][:120]
