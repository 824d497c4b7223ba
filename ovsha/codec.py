"""Turn the frozen values of ovsha.core into plain JSON values, and back, by the types of their fields.

Fields that have their default are left out.  A new field is carried without a word here; one
of a type that is not known here raises TypeError in the first test that meets it.  Fields of
another release that this one does not know are passed over.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

_LARGEST = 2**63
_T = TypeVar("_T")
_Reader = Callable[[Any], Any]
_READERS: dict[type, dict[str, _Reader]] = {}


def parse(text: str | bytes) -> Any:
    """Return what a text of JSON says.  Raises ValueError for what is none, nested too deep, or has endless numbers."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def to_plain(value: Any) -> Any:
    """Return `value` as JSON values.  Raises TypeError for what is none of ours."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, tuple):
        return [to_plain(each) for each in value]
    if is_dataclass(value):
        held = ((each, getattr(value, each.name)) for each in fields(value))
        return {each.name: to_plain(got) for each, got in held if got != _default(each)}
    raise TypeError(f"{value!r} has no plain form")


def from_plain(kind: type[_T], plain: Any) -> _T:
    """Return the `kind`, a dataclass, that `plain` was made of.

    Raises ValueError, with the name of the field, for what is not usable.
    """
    if not isinstance(plain, Mapping):
        raise ValueError(f"{plain!r:.40} is no {kind.__name__}")
    readers = _readers(kind)
    values = {}
    for name, value in plain.items():
        read = readers.get(name)
        if read is not None:
            try:
                values[name] = read(value)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
    try:
        return kind(**values)
    except TypeError as error:
        raise ValueError(str(error)) from None  # a field without default is missing


def _default(field: Field[Any]) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


def _readers(kind: type) -> dict[str, _Reader]:
    if kind not in _READERS:
        hints = get_type_hints(kind)
        _READERS[kind] = {each.name: _reader(hints[each.name]) for each in fields(kind)}
    return _READERS[kind]


def _reader(hint: Any) -> _Reader:
    """Return what reads a value of the type `hint`."""
    parts = get_args(hint)
    if get_origin(hint) is tuple:
        return _tuple(parts)
    if type(None) in parts:
        (other,) = (part for part in parts if part is not type(None))
        read = _reader(other)
        return lambda value: None if value is None else read(value)
    if is_dataclass(hint):
        return lambda value: from_plain(hint, value)  # type: ignore[arg-type]
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint
    if hint in (bool, int, str):
        return _exactly((hint,))
    if hint is float:
        return _exactly((float, int))
    raise TypeError(f"{hint!r} has no plain form")


def _exactly(kinds: tuple[type, ...]) -> _Reader:
    def read(value: Any) -> Any:
        # type() and not isinstance(): True is an int to Python and not to us.
        if type(value) is int and abs(value) > _LARGEST:
            raise ValueError("a number is too large")
        if type(value) not in kinds:
            raise ValueError(f"{value!r:.40} is not of type {kinds[0].__name__}")
        return value

    return read


def _tuple(parts: tuple[Any, ...]) -> _Reader:
    endless = parts[-1] is Ellipsis
    readers = [_reader(part) for part in parts if part is not Ellipsis]

    def read(value: Any) -> Any:
        if not isinstance(value, list) or not (endless or len(value) == len(readers)):
            raise ValueError(f"{value!r:.40} is no list of {len(readers)}")
        return tuple((readers[0] if endless else readers[at])(each) for at, each in enumerate(value))

    return read
