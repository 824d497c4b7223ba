"""Turn a side's record into the plain values that a heartbeat carries, and back.

Fields that have their default value are left out, which keeps a packet small.  A record from another release may
carry fields that we do not know: they are passed over.  A value that we cannot read, such as a word of a later
release, makes its field absent and never the record: a side that is heard and not understood would be taken for what
it last was.  Each record tells which words its sender reads (WORDS), and none is sent that the peer does not.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import fields
from enum import Enum
from typing import Any

from ovsha.core import stamps
from ovsha.core.facts import Ask, Grant, Kind, Life, MlagRole, Mode, Record, Role, Stamp, State

_TEXTS = ("trouble", "why", "refusal", "decision", "reason")
_LAST = ("mode_left", "upgraded", "uptime", "mac", "lag", "listener", "managers", "by_order", "words", "behind")
_SPARE = ("overwritten", "source", "cells", "link_up")
SHED = ((), ("trouble",), ("trouble", "why"), _TEXTS, (*_TEXTS, *_LAST), (*_TEXTS, *_LAST, *_SPARE))
"""What is left out of a record, more and more of it, until it fits a packet: what only people read, and what can be
done without."""

_UNREAD = {"serving": True}
"""What is believed of a side whose word cannot be read, where the default would be believing the best of it."""

_LONGEST_AGE = 1e12
_DEFAULTS = {field.name: field.default for field in fields(Record)}


WORDS = 1
"""Which words this release reads, and says of itself in `Record.words`; one more with each release that has a new one.

0, which is said by saying nothing, are the words of the first release, which drops a record that has any other.
"""

YOUNGER: Mapping[Enum, int] = {}
"""Words that not every release reads, and the WORDS from which on one does.  A side that reads fewer is told nothing of
a field that holds one, so the default of that field must be true enough, as that of each State, Life, Role, Mode is.
"""


def to_plain(record: Record, shed: Collection[str] = (), reads: int = WORDS) -> dict[str, Any]:
    """Return the record as JSON values, without the fields that have their default and those to `shed`.

    `reads`: the WORDS of the side that it is for.
    """
    plain = {}
    for name, default in _DEFAULTS.items():
        value = getattr(record, name)
        if value != default and name not in shed and all(YOUNGER.get(word, 0) <= reads for word in _words(value)):
            plain[name] = _plain(value)
    return plain


def from_plain(plain: Mapping[str, Any]) -> Record:
    """Return the record that `plain` carries, without what cannot be read of it.

    Raises ValueError when even the node is missing or is no name: then it is nobody's.
    """
    return read(plain)[0]


def read(plain: Mapping[str, Any]) -> tuple[Record, tuple[str, ...]]:
    """Return the record that `plain` carries, and what of it cannot be read, in words; raises as `from_plain` does."""
    values: dict[str, Any] = {}
    unread = []
    for name, value in plain.items():
        reader = _READERS.get(name)
        if reader is None:
            continue
        try:
            values[name] = None if value is None and _DEFAULTS[name] is None else reader(value)
        except (TypeError, ValueError, KeyError, IndexError, OverflowError) as error:
            if name == "node":
                raise ValueError(f"node: {_short(value)} is not usable: {error}") from None
            unread.append(f"{name} {_short(value)}")
            if name in _UNREAD:
                values[name] = _UNREAD[name]
    if "node" not in values:
        raise ValueError("node: is missing")
    return Record(**values), tuple(unread)


def _short(value: Any) -> str:
    try:
        return f"{value!r:.40}"
    except ValueError:
        return "a number of thousands of digits"


def urgent(record: Record) -> tuple[object, ...]:
    """Return what the peer waits for: when this changes, the record is sent at once."""
    return (
        record.state, record.life, record.role, record.serving, record.stamp, record.ask, record.grant,
        record.offer, record.in_sync_for is None, record.refusal, record.keep, record.undriven,
    )  # fmt: skip


def _words(value: Any) -> tuple[Enum, ...]:
    """Return the words in a value of a record."""
    if isinstance(value, (Ask, Grant)):
        return (value.kind,)
    return (value,) if isinstance(value, Enum) else ()


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


_text, _number, _flag = _exactly(str), stamps.whole, _exactly(bool)


def _age(value: Any) -> float:
    if type(value) not in (int, float) or not 0 <= value <= _LONGEST_AGE:
        raise ValueError("not a number of seconds")
    return float(value)


def _stamp(value: Any) -> Stamp:
    term, node, chosen = value
    return Stamp(_number(term), _text(node), _flag(chosen))


def _ask(value: Any) -> Ask:
    ident, kind = value
    return Ask(_text(ident), Kind(kind))


def _grant(value: Any) -> Grant:
    ident, kind, barrier, drained = value
    return Grant(_text(ident), Kind(kind), None if barrier is None else stamps.pair(barrier), _flag(drained))


_READERS: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(
        ("node", "source", "preferred", "offer", "mac", "refusal", "why", "trouble", "keep", "decision", "reason"),
        _text,
    ),
    **dict.fromkeys(("term", "controllers", "vteps", "cells", "words"), _number),
    **dict.fromkeys(("serving", "vip", "listener", "managers", "link_up", "restore", "overwritten"), _flag),
    **dict.fromkeys(("replicating", "empty", "lapsed", "cut_off", "estranged", "undriven", "by_order"), _flag),
    "goodbye": _flag,
    **dict.fromkeys(("in_sync_for", "lag", "active_for", "uptime", "mode_left", "upgrade", "upgraded", "behind"), _age),
    "state": State,
    "life": Life,
    "role": Role,
    "mlag": MlagRole,
    "mode": Mode,
    "stamp": _stamp,
    "token": stamps.pair,
    "ask": _ask,
    "grant": _grant,
}
