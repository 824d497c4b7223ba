"""Turn a side's record into the plain values that a heartbeat carries, and back.

Fields that have their default value are left out, which keeps a packet small.  A record
from another release may carry fields we do not know: they are passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import fields
from enum import Enum
from typing import Any

from ovsha.core.facts import Ask, Grant, Kind, Life, MlagRole, Mode, Record, Role, Stamp, State

_TEXTS = ("trouble", "why", "refusal", "decision", "reason")
_PEOPLE = ("mode_left", "upgraded", "uptime", "mac", "lag", "listener", "managers")
SHED = ((), ("trouble",), ("trouble", "why"), _TEXTS, (*_TEXTS, *_PEOPLE))
"""What is left out of a record, more and more of it, until it fits a packet: what only people read."""

_DEFAULTS = {field.name: field.default for field in fields(Record)}


def to_plain(record: Record, shed: Collection[str] = ()) -> dict[str, Any]:
    """Return the record as JSON values, without the fields that have their default and those to `shed`."""
    plain = {}
    for name, default in _DEFAULTS.items():
        value = getattr(record, name)
        if value != default and name not in shed:
            plain[name] = _plain(value)
    return plain


def from_plain(plain: Mapping[str, Any]) -> Record:
    """Return the record that `plain` carries.

    Raises ValueError, naming the field, when a value is not what the field holds: the
    peer's fault, or that of its release.
    """
    values: dict[str, Any] = {}
    for name, value in plain.items():
        read = _READERS.get(name)
        if read is None:
            continue
        try:
            values[name] = None if value is None and _DEFAULTS[name] is None else read(value)
        except (TypeError, ValueError, KeyError, IndexError) as error:
            raise ValueError(f"{name}: {value!r} is not usable: {error}") from None
    if "node" not in values:
        raise ValueError("node: is missing")
    return Record(**values)


def urgent(record: Record) -> tuple[object, ...]:
    """Return what the peer waits for: when this changes, the record is sent at once."""
    return (
        record.state, record.life, record.role, record.serving, record.stamp, record.ask, record.grant,
        record.offer, record.in_sync_for is None, record.refusal, record.keep, record.undriven,
    )  # fmt: skip


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Stamp):
        return [value.term, value.node, value.chosen]
    if isinstance(value, Ask):
        return [value.ident, value.kind.value]
    if isinstance(value, Grant):
        return [value.ident, value.kind.value, value.barrier, value.drained]
    return round(value, 3) if isinstance(value, float) else value


def _exactly(kind: type) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if type(value) is not kind:
            raise ValueError(f"not of type {kind.__name__}")
        return value

    return read


_text, _number, _flag = _exactly(str), _exactly(int), _exactly(bool)


def _age(value: Any) -> float:
    if type(value) not in (int, float) or not 0 <= value < float("inf"):
        raise ValueError("not a number of seconds")
    return float(value)


def _pair(value: Any) -> tuple[int, int]:
    first, second = value
    return _number(first), _number(second)


def _stamp(value: Any) -> Stamp:
    term, node, chosen = value
    return Stamp(_number(term), _text(node), _flag(chosen))


def _ask(value: Any) -> Ask:
    ident, kind = value
    return Ask(_text(ident), Kind(kind))


def _grant(value: Any) -> Grant:
    ident, kind, barrier, drained = value
    return Grant(_text(ident), Kind(kind), None if barrier is None else _pair(barrier), _flag(drained))


_READERS: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(
        ("node", "source", "preferred", "offer", "mac", "refusal", "why", "trouble", "keep", "decision", "reason"),
        _text,
    ),
    **dict.fromkeys(("term", "controllers", "vteps", "cells"), _number),
    **dict.fromkeys(("serving", "vip", "listener", "managers", "link_up", "restore"), _flag),
    **dict.fromkeys(("replicating", "empty", "lapsed", "cut_off", "estranged", "undriven", "by_order"), _flag),
    **dict.fromkeys(("in_sync_for", "lag", "active_for", "uptime", "mode_left", "upgrade", "upgraded"), _age),
    "state": State,
    "life": Life,
    "role": Role,
    "mlag": MlagRole,
    "mode": Mode,
    "stamp": _stamp,
    "token": _pair,
    "ask": _ask,
    "grant": _grant,
}
