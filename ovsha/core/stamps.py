"""Read the numbers and names that say how old a database is, from whoever wrote them, and bound them.

Terms and tokens come from rows that any client can write, from files and from heartbeats.  A number is a whole one
from 0 to `WRITTEN_END`; what is anything else, or longer than that, is no number, and nothing is ever raised for it
but ValueError by `whole`.  Whether a number is *believed* is another question: see ovsha.core.belief.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ovsha.core.facts import Stamp, Token

TERM, NODE, CHOSEN, TOKEN = "ovsha:term", "ovsha:node", "ovsha:chosen", "ovsha:token"
"""The keys of Global.other_config that are the agents'."""

LEAP = 1_000_000
"""By how much a term or a token in a row may exceed the highest that either agent wrote or told."""

BELIEVED_END = 2**61
"""The highest number that is believed when others have written it: it leaves as many again to count on from there."""

WRITTEN_END = 2**62
"""The highest number that is ever written, and so that is read back."""

_DIGITS = len(str(WRITTEN_END))

_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
_LONGEST_NAME = 63
"""As the configuration takes the name of a node."""


def number(text: Any, end: int = WRITTEN_END) -> int | None:
    """Return the number that `text` is, in ASCII digits, None when it is none or more than `end`."""
    if not isinstance(text, str) or not text.isascii() or not text.isdecimal() or len(text) > _DIGITS:
        return None
    found = int(text)
    return found if found <= end else None


def whole(value: Any, end: int = BELIEVED_END) -> int:
    """Return `value`, of a file or a heartbeat, when it is a whole number from 0 to `end`; ValueError when not."""
    if type(value) is not int or not 0 <= value <= end:
        # The value itself is not told: Python makes no text of a number of thousands of digits.
        raise ValueError(f"not a whole number from 0 to {end}")
    return value


def name(value: Any) -> str:
    """Return `value` when a node may be called so; ValueError when not."""
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_NAME or not _NAME.issuperset(value):
        raise ValueError("not the name of a node")
    return value


def pair(value: Any, end: int = BELIEVED_END) -> Token:
    """Return the token in a list of two numbers; ValueError when there is none."""
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        raise ValueError("not a term and a number")
    return whole(value[0], end), whole(value[1], end)


def token(text: Any) -> Token | None:
    """Return the token that `text`, TERM.NUMBER, is, None when it is none."""
    if not isinstance(text, str):
        return None
    first, _, second = text.partition(".")
    term, count = number(first), number(second)
    return None if term is None or count is None else (term, count)


def stamp_of(pairs: Mapping[str, Any]) -> Stamp | None:
    """Return the stamp in the pairs of a map, None when there is none or somebody has scribbled over it."""
    term = number(pairs.get(TERM))
    if not term:
        return None
    try:
        return Stamp(term, name(pairs.get(NODE)), pairs.get(CHOSEN) == "true")
    except ValueError:
        return None


def token_of(pairs: Mapping[str, Any]) -> Token | None:
    """Return the token in the pairs of a map, None when there is none."""
    return token(pairs.get(TOKEN))


def pairs_of(column: Any) -> dict[str, Any]:
    """Return the pairs of a map as RFC 7047 writes it, ["map", [[key, value], ...]]; none of what is no such thing."""
    if not isinstance(column, (list, tuple)) or len(column) != 2 or column[0] != "map":
        return {}
    members = column[1] if isinstance(column[1], (list, tuple)) else ()
    return {
        each[0]: each[1]
        for each in members
        if isinstance(each, (list, tuple)) and len(each) == 2 and isinstance(each[0], str)
    }


def written(stamp: Stamp, token: Token) -> dict[str, str]:
    """Return the keys that write this stamp and this token."""
    chosen = "true" if stamp.chosen else "false"
    return {TERM: str(stamp.term), NODE: stamp.node, CHOSEN: chosen, **written_token(token)}


def written_token(token: Token) -> dict[str, str]:
    """Return the key that writes this token."""
    return {TOKEN: f"{token[0]}.{token[1]}"}
