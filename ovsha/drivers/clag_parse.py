"""Turn what a source of MLAG facts prints into one Clag value, by the tables of `ovsha.drivers.mlag_facts`.

An answer is believed whole or not at all: a word or a type that the source is not known to
print leaves everything unknown, and `trouble` names it.  What it merely leaves out
(all that is about a peer it does not see) is unknown by itself.  Unknown is not dead: no
form of bad input says anything about the peer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_address

from ovsha.core.facts import Clag, MlagRole
from ovsha.drivers import mlag_facts
from ovsha.drivers.mlag_facts import CLAGCTL, CLAGCTL_TEXT, OWN, How, Source

CLAGD_DOWN = "Unable to communicate with clagd. Is it running?"
"""What clagctl prints when clagd does not run; its exit status is not documented."""

_PRIORITY = re.compile(r"(our|peer)\s+priority,\s*id,\s*and\s+role:(.*)", re.IGNORECASE)
_BACKUP = re.compile(r"backup\s+ip:(.*)", re.IGNORECASE)
_STATE = re.compile(r"\((active|inactive)\)", re.IGNORECASE)
_PRIORITY_AND_ID = re.compile(r"[0-9]{1,5} [0-9a-f]{2}(:[0-9a-f]{2}){5}", re.IGNORECASE)
_ALIVE = {"the peer is alive": True, "the peer is not alive": False}
_FLAGS = {"true": True, "false": False}
_JSON_START = re.compile(r"^\s*{", re.MULTILINE)


class _Odd(ValueError):
    """Names what in an answer is not as clagctl prints it."""


def parse(text: str, source: Source = CLAGCTL, status: int = 0) -> Clag:
    """Return what `text` says of the MLAG pair; on input of any other kind, unknown and why.

    Never raises.  `text` is what the `source` printed, with its standard error mixed in, and `status` its exit status.
    clagctl(8) may answer in its text form as well.
    """
    source = CLAGCTL if source is CLAGCTL_TEXT else source
    if source.status and status:
        return Clag(trouble=f"{source.who} ended with status {status}" + (f": {_gist(text)}" if text.strip() else ""))
    if not text.strip():
        return Clag(trouble=f"{source.who} printed nothing")
    if CLAGD_DOWN.lower() in " ".join(text.split()).lower():
        return Clag(trouble=f"clagd does not answer: {CLAGD_DOWN}")
    try:
        start = _JSON_START.search(text)
        if start is not None:
            return _from_json(text[start.start() :], source)
        if source is CLAGCTL:
            return _from_text(text)
        raise _Odd(f"{source.who} printed no JSON: {_gist(text)}")
    except _Odd as odd:
        return Clag(trouble=str(odd))


def _from_json(text: str, source: Source) -> Clag:
    try:
        answer = mlag_facts.decoded(text)
    except ValueError as err:
        raise _Odd(f"{source.who} printed JSON that cannot be read: {_short(str(err))}") from err
    if not mlag_facts.has_root(source, answer):
        raise _Odd(f"{source.who} printed JSON without a status")
    read = _Reader(source, mlag_facts.found(source, answer))
    role = read.word("role")
    if read.disabled():
        raise _Odd(f"MLAG is disabled on this switch, as {source.who} tells")
    if not role:
        reason = read.word("reason")
        raise _Odd(f"{source.who} tells no {source.place('role')}" + (f": {_short(reason)}" if reason else ""))
    return Clag(
        role=_role(role, f"{source.who}: {source.place('role')}"),
        peer_role=_role_or_none(read.word("peer_role") or ""),
        peer_alive=read.flag("peer_alive"),
        backup_active=_backup(source, read.address("backup_address"), read.flag("backup_alive")),
        trouble="",
    )


class _Reader:
    """The values of one answer, each read as the table of its source says."""

    def __init__(self, source: Source, values: Mapping[str, object]) -> None:
        self._source, self._values = source, values
        self._how = {fact.name: fact.how for fact in source.facts}

    def word(self, name: str) -> str | None:
        value = self._values.get(name)
        if value is not None and not isinstance(value, str):
            raise self._odd(name, value, "a word")
        return value

    def flag(self, name: str) -> bool | None:
        value = self._values.get(name)
        if self._how[name] is How.LOOSE_FLAG and isinstance(value, str):
            value = _FLAGS.get(value.strip().lower(), value)
        if value is None or value == "":
            return None
        if not isinstance(value, bool):
            raise self._odd(name, value, "true or false")
        return value

    def address(self, name: str) -> str | None:
        value = self._values.get(name)
        if self._how[name] is How.BACKUP:
            return mlag_facts.backup(value)[0] or None
        return self.word(name)

    def disabled(self) -> bool:
        value = self._values.get("enabled")
        words = value if isinstance(value, dict) else [value]  # NVUE writes some words as the key of a mapping
        return any(str(word).strip().lower() in ("off", "disabled", "false") for word in words)

    def _odd(self, name: str, value: object, wanted: str) -> _Odd:
        return _Odd(f"{self._source.who}: {self._source.place(name)} is {_short(repr(value))}, not {wanted}")


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
        role=_role(_priority_line("".join(found["our"])), "clagctl: our role"),
        peer_role=_role_or_none("".join(found["peer"]).rpartition(" ")[2]),
        peer_alive=alive.pop() if alive else None,
        backup_active=_backup(
            CLAGCTL, "".join(found["backup"]).partition(" ")[0], state and state[1].lower() == "active"
        ),
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
        raise _Odd(f"{name} is {_short(repr(word))}, not primary or secondary") from err


def _role_or_none(word: str) -> MlagRole | None:
    """Give the peer's role; clagd need not know one, which takes nothing from our own."""
    return next((role for role in MlagRole if role.value == word.strip().lower()), None)


def _backup(source: Source, address: str | None, active: bool | None) -> bool | None:
    """Believe in an active backup path only where there is an address to it.

    A typing error in /etc/network/interfaces (``clagd-backup-ip false``) is shown as if it
    were an address.  Another MLAG may have a backup path without one.
    """
    if not active or address is None or (source is OWN and not address):
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
