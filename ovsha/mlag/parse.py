"""Turn what an MLAG source prints into facts: role, peer, backup path, and the detail for an operator.

An answer is believed whole or not at all: a word or a type that the source is not known to
print leaves everything unknown, and `trouble` names it.  What it merely leaves out
(all that is about a peer it does not see) is unknown by itself.  Unknown is not dead: no
form of bad input says anything about the peer.

clagctl's JSON form knows the addresses, the text form also the conflicts and the reasons of a
proto-down, so both are read.  What an answer does not tell is "" or None.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Any

from ovsha.core.facts import Clag, MlagRole
from ovsha.mlag import sources
from ovsha.mlag.sources import CLAGCTL, CLAGCTL_TEXT, OWN, How, Source

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


def facts_of(text: str, source: Source = CLAGCTL, status: int = 0) -> Clag:
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
        answer = sources.decoded(text)
    except ValueError as err:
        raise _Odd(f"{source.who} printed JSON that cannot be read: {_short(str(err))}") from err
    if not sources.has_root(source, answer):
        raise _Odd(f"{source.who} printed JSON without a status")
    read = _Reader(source, sources.found(source, answer))
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
            return sources.backup(value)[0] or None
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


_NONE = ("", "-")
_DIGITS = 9
_LABEL = re.compile(r"\s*([A-Za-z ,]+):\s*(.*)")


@dataclass(frozen=True, slots=True)
class Interface:
    """A bond or a VXLAN in clagd's table: `peer` "" is singly attached, `conflict` and `down` "" is well."""

    name: str
    peer: str = ""
    conflict: str = ""
    down: str = ""


@dataclass(frozen=True, slots=True)
class Detail:
    """What clagctl tells of this switch and of its peer.

    `vrf`: the VRF of the backup IP, which the text form alone tells; "" for the default one, or none told.
    """

    priority: int | None = None
    ident: str = ""
    peer_priority: int | None = None
    peer_ident: str = ""
    peer_interface: str = ""
    peer_address: str = ""
    backup: str = ""
    system_mac: str = ""
    anycast: str = ""
    interfaces: tuple[Interface, ...] = ()
    vrf: str = ""
    reason: str = ""


def read_detail(source: Source, text: str) -> Detail:
    """Return what the source tells; an empty Detail for what is not its answer."""
    if source in (CLAGCTL, CLAGCTL_TEXT) and not text.lstrip().startswith("{"):
        return detail_of_text(text)
    return detail_of_json(text, CLAGCTL if source is CLAGCTL_TEXT else source)


def detail_of_json(text: str, source: Source = CLAGCTL) -> Detail:
    """Return what is told in JSON; an empty Detail for what is not the source's answer."""
    try:
        answer = sources.decoded(text[max(0, text.find("{")) :])
    except ValueError:
        return Detail()
    told = sources.found(source, answer)
    backup, vrf = sources.backup(told.get("backup_address"))
    table = answer.get("clagIntfs") if source is CLAGCTL and isinstance(answer, dict) else None
    rows = table.items() if told and isinstance(table, dict) else ()
    return Detail(
        _number(told.get("priority")),
        _word(told.get("id")).lower(),
        _number(told.get("peer_priority")),
        _word(told.get("peer_id")).lower(),
        _word(told.get("peer_interface")),
        _word(told.get("peer_address")),
        backup,
        _word(told.get("system_mac")).lower(),
        _word(told.get("anycast_address")),
        tuple(_of_json(str(name), row) for name, row in rows if isinstance(row, dict)),
        vrf,
        _word(told.get("reason")),
    )


def detail_of_text(text: str) -> Detail:
    """Return what `clagctl` tells, read by its labels; an empty Detail for what is not its answer."""
    detail, table = Detail(), False
    interfaces = []
    for line in text.splitlines():
        if line.strip().startswith("Our Interface"):
            table = True
        elif table and line.strip() and not line.strip().startswith("---"):
            interfaces.append(_of_text(line))
        elif not table and (found := _LABEL.fullmatch(line.rstrip())):
            label = " ".join(found[1].lower().split())
            if label in _READERS:
                detail = _READERS[label](detail, found[2].split())
    return replace(detail, interfaces=tuple(interfaces))


def joined_detail(first: Detail, second: Detail) -> Detail:
    """Return what either tells; the second one's table is the better one where it has one."""
    filled = {
        name: getattr(first, name) if getattr(first, name) not in ("", None) else getattr(second, name)
        for name in Detail.__slots__
    }
    down = {each.name: each for each in first.interfaces}
    rows = [replace(each, down=each.down or down.get(each.name, each).down) for each in second.interfaces]
    return Detail(**{**filled, "interfaces": tuple(rows) or first.interfaces})


def _of_json(name: str, row: dict[str, Any]) -> Interface:
    """The JSON form has one word for both: dual and single are well, protoDown and errDisabled are not."""
    state = _word(row.get("status"))
    down = "" if state in ("", "dual", "single") else state
    return Interface(name, _word(row.get("peerIf")), "", down)


def _of_text(line: str) -> Interface:
    """Read a row: cells are at least two blanks apart, or one where a page has collapsed them."""
    cells = re.split(r"\s{2,}", line.strip())
    if len(cells) != 5:
        words = line.split()
        cells = [*words[:3], " ".join(words[3:-1]), words[-1]] if len(words) >= 5 else [*words, "-", "-", "-", "-"]
    name, peer, _, conflict, down, *_ = ("" if cell in _NONE else cell for cell in cells)
    return Interface(name, peer, conflict, down)


def _ours(detail: Detail, words: list[str]) -> Detail:
    return replace(detail, priority=_first(words), ident=words[1].lower()) if len(words) == 3 else detail


def _theirs(detail: Detail, words: list[str]) -> Detail:
    return replace(detail, peer_priority=_first(words), peer_ident=words[1].lower()) if len(words) == 3 else detail


def _peer(detail: Detail, words: list[str]) -> Detail:
    return replace(detail, peer_interface=words[0], peer_address=words[1]) if len(words) >= 2 else detail


def _backup_line(detail: Detail, words: list[str]) -> Detail:
    address = "" if not words or words[0].startswith("(") else words[0]
    inside = address and words[1:2] == ["vrf"] and len(words) > 2
    return replace(detail, backup=address, vrf=words[2] if inside else "")


_READERS: dict[str, Callable[[Detail, list[str]], Detail]] = {
    "our priority, id, and role": _ours,
    "peer priority, id, and role": _theirs,
    "peer interface and ip": _peer,
    "vxlan anycast ip": lambda detail, words: replace(detail, anycast=" ".join(words)),
    "backup ip": _backup_line,
    "system mac": lambda detail, words: replace(detail, system_mac=" ".join(words).lower()),
}


def _first(words: list[str]) -> int | None:
    return int(words[0]) if words[0].isdecimal() else None


def _number(value: object) -> int | None:
    if isinstance(value, str) and value.isdecimal() and len(value) <= _DIGITS:
        return int(value)
    return value if type(value) is int else None


def _word(value: object) -> str:
    return value if isinstance(value, str) else ""
