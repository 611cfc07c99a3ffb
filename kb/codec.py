"""Records to JSON values and back, by their field types; the inverse of each other."""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Mapping
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
    return cls(**{name: _value(kind, data[name]) for name, kind in _fields(cls) if name in data})


@functools.cache
def _fields(cls: type) -> tuple[tuple[str, Any], ...]:
    hints = typing.get_type_hints(cls)
    return tuple((f.name, hints[f.name]) for f in dataclasses.fields(cls))


def _value(kind: Any, value: Any) -> Any:
    if value is None:
        return None
    origin, args = get_origin(kind), get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return _value(next(a for a in args if a is not type(None)), value)
    if origin is tuple:
        return tuple(_value(args[0], item) for item in value)
    if dataclasses.is_dataclass(kind):
        return from_json(kind, value)
    return value
