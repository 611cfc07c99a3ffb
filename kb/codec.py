"""Records to JSON values and back, by their field types; the inverse of each other."""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, get_args, get_origin

R = TypeVar("R")


def to_json(value: Any) -> Any:
    """Dataclasses become objects, tuples become arrays; other values are kept."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    if names := _names(kind):
        return {name: to_json(getattr(value, name)) for name in names}
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    return value


_PLAIN = frozenset({str, int, float, bool, type(None)})


@functools.cache
def _names(kind: type) -> tuple[str, ...]:
    """Field names of a dataclass; empty for every other type (and for a dataclass without fields)."""
    return tuple(f.name for f in dataclasses.fields(kind)) if dataclasses.is_dataclass(kind) else ()


def from_json(cls: type[R], data: Mapping[str, Any]) -> R:
    """Rebuild a record; unknown keys are ignored, missing ones take their default."""
    return cls(
        **{name: data[name] if read is None else read(data[name]) for name, read in _fields(cls) if name in data}
    )


@functools.cache
def _fields(cls: type) -> tuple[tuple[str, Callable[[Any], Any] | None], ...]:
    """Field names with what rebuilds their values; None where the value is kept."""
    hints = typing.get_type_hints(cls)
    return tuple((f.name, _reader(hints[f.name])) for f in dataclasses.fields(cls))


def _reader(kind: Any) -> Callable[[Any], Any] | None:
    origin, args = get_origin(kind), get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return _reader(next(a for a in args if a is not type(None)))
    if origin is tuple:
        return functools.partial(_tuple, _reader(args[0]))
    return functools.partial(_record, kind) if dataclasses.is_dataclass(kind) else None


def _tuple(read: Callable[[Any], Any] | None, items: Any) -> Any:
    if items is None:
        return None
    return tuple(items) if read is None else tuple([read(item) for item in items])


def _record(kind: type, data: Any) -> Any:
    return None if data is None else from_json(kind, data)
