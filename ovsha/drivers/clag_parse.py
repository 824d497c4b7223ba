"""Turn what clagctl prints, as JSON or as text, into one Clag value.

An answer is believed whole or not at all: a word or a type that clagctl is not known to
print leaves everything unknown, and `trouble` names it.  What clagctl merely leaves out
(all that is about a peer it does not see) is unknown by itself.  Unknown is not dead: no
form of bad input says anything about the peer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from ipaddress import ip_address

from ovsha.core.facts import Clag, MlagRole

CLAGD_DOWN = "Unable to communicate with clagd. Is it running?"
"""What clagctl prints when clagd does not run; its exit status is not documented."""

_PRIORITY = re.compile(r"(our|peer)\s+priority,\s*id,\s*and\s+role:(.*)", re.IGNORECASE)
_BACKUP = re.compile(r"backup\s+ip:(.*)", re.IGNORECASE)
_STATE = re.compile(r"\((active|inactive)\)", re.IGNORECASE)
_PRIORITY_AND_ID = re.compile(r"[0-9]{1,5} [0-9a-f]{2}(:[0-9a-f]{2}){5}", re.IGNORECASE)
_ALIVE = {"the peer is alive": True, "the peer is not alive": False}
_JSON_START = re.compile(r"^\s*{", re.MULTILINE)


class _Odd(ValueError):
    """Names what in an answer is not as clagctl prints it."""


def parse(text: str) -> Clag:
    """Return what `text` says of the MLAG pair; on input of any other kind, unknown and why.

    Never raises.  `text` is the output of ``clagctl`` or ``clagctl -j``, with its standard
    error mixed in.
    """
    if not text.strip():
        return Clag(trouble="clagctl printed nothing")
    if CLAGD_DOWN.lower() in " ".join(text.split()).lower():
        return Clag(trouble=f"clagd does not answer: {CLAGD_DOWN}")
    try:
        start = _JSON_START.search(text)
        return _from_text(text) if start is None else _from_json(text[start.start() :])
    except _Odd as odd:
        return Clag(trouble=str(odd))


def _from_json(text: str) -> Clag:
    try:
        answer, _ = json.JSONDecoder().raw_decode(text.lstrip())
    except (ValueError, RecursionError) as err:
        raise _Odd(f"clagctl printed JSON that cannot be read: {_short(str(err))}") from err
    status = answer.get("status") if isinstance(answer, dict) else None
    if not isinstance(status, dict):
        raise _Odd("clagctl printed JSON without a status")
    role = _json_word(status, "ourRole")
    if not role:
        raise _Odd("clagctl tells no ourRole")
    peer_role = _json_word(status, "peerRole") or ""
    return Clag(
        role=_role(role, "ourRole"),
        peer_role=_role_or_none(peer_role),
        peer_alive=_json_flag(status, "peerAlive"),
        backup_active=_backup(_json_word(status, "backupIp"), _json_flag(status, "backupActive")),
        trouble="",
    )


def _json_word(status: Mapping[str, object], key: str) -> str | None:
    value = status.get(key)
    if value is not None and not isinstance(value, str):
        raise _Odd(f"clagctl: {key} is {_short(repr(value))}, not a word")
    return value


def _json_flag(status: Mapping[str, object], key: str) -> bool | None:
    value = status.get(key)
    if value is None or value == "":
        return None
    if not isinstance(value, bool):
        raise _Odd(f"clagctl: {key} is {_short(repr(value))}, not true or false")
    return value


def _from_text(text: str) -> Clag:
    """Read the text form by its labels, since columns and their order vary."""
    found: dict[str, set[str]] = {"our": set(), "peer": set(), "backup": set()}
    alive: set[bool] = set()
    for line in (" ".join(raw.split()) for raw in text.splitlines()):
        if (said := _ALIVE.get(line.lower().rstrip("."))) is not None:
            alive.add(said)
        elif match := _PRIORITY.fullmatch(line):
            found[match[1].lower()].add(match[2].strip())
        elif match := _BACKUP.fullmatch(line):
            found["backup"].add(match[1].strip())
    if not found["our"]:
        raise _Odd(f"clagctl tells no role: {_gist(text)}")
    if len(alive) > 1 or any(len(values) > 1 for values in found.values()):
        raise _Odd("clagctl contradicts itself")
    state = _STATE.search("".join(found["backup"]))
    return Clag(
        role=_role(_priority_line("".join(found["our"])), "our role"),
        peer_role=_role_or_none("".join(found["peer"]).rpartition(" ")[2]),
        peer_alive=alive.pop() if alive else None,
        backup_active=_backup("".join(found["backup"]).partition(" ")[0], state and state[1].lower() == "active"),
        trouble="",
    )


def _priority_line(value: str) -> str:
    """Return the role out of ``<priority> <mac> <role>``."""
    words = value.split()
    if len(words) != 3 or not _PRIORITY_AND_ID.fullmatch(" ".join(words[:2])):
        raise _Odd(f"clagctl: {_short(repr(value))} is not a priority, an ID and a role")
    return words[2]


def _role(word: str, name: str) -> MlagRole:
    try:
        return MlagRole(word.strip().lower())
    except ValueError as err:
        raise _Odd(f"clagctl: {name} is {_short(repr(word))}, not primary or secondary") from err


def _role_or_none(word: str) -> MlagRole | None:
    """Give the peer's role; clagd need not know one, which takes nothing from our own."""
    return next((role for role in MlagRole if role.value == word.strip().lower()), None)


def _backup(address: str | None, active: bool | None) -> bool | None:
    """Believe in an active backup path only where there is an address to it.

    A typing error in /etc/network/interfaces (``clagd-backup-ip false``) is shown as if it
    were an address.
    """
    if not active or address is None:
        return active
    try:
        ip_address(address.partition(" ")[0].partition("%")[0])
    except ValueError:
        return None
    return True


def _gist(text: str) -> str:
    """Return the one line of `text` that tells most: of a Python traceback, that is the last."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return _short(repr(lines[-1] if lines[0].startswith("Traceback") else lines[0]))


def _short(text: str) -> str:
    return text if len(text) <= 80 else text[:77] + "..."
