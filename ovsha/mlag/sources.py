"""List for each source of MLAG facts where each fact stands in what it prints, and how it is read there.

A source is a program that knows the roles of this switch and its peer: clagctl(8), in its
JSON and its text form, NVUE's nv(1), or a command of the operator's own.  One table for
each; `ovsha.mlag.parse` believes an answer by it whole or not at all,
`ovsha.mlag.parse` takes from it what an operator wants to know besides, and
docs/mlag-sources.rst shows it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from ipaddress import ip_address
from typing import Any


class How(Enum):
    """How a fact is read, in the words of the documentation."""

    ROLE = "primary or secondary"
    PEER_ROLE = "primary or secondary; any other word is not known"
    FLAG = "true or false"
    LOOSE_FLAG = "true or false, as JSON's own or as a word in any case"
    NUMBER = "a number"
    LOOSE_NUMBER = "a number, as JSON's own or as digits"
    WORD = "a word"
    ADDRESS = "an address; one that is none makes an active backup path unknown"
    BACKUP = "an address, or a mapping whose first key is one, with its VRF"
    ENABLED = "off, disabled or false, as a word or as the key of a mapping: then no role is known"
    FIRST = "the first word behind the label"
    SECOND = "the second word behind the label"
    THIRD = "the third word behind the label"
    NEXT = "the word behind this one"
    LINE = "all that stands behind the label"
    SENTENCE = "which of the two it is"
    TABLE = "the rows of a table"


@dataclass(frozen=True, slots=True)
class Fact:
    """A fact, by its `name` in ovsha: the first of `places` that is there tells it, read as `how` says."""

    name: str
    places: tuple[str, ...]
    how: How


@dataclass(frozen=True, slots=True)
class Source:
    """A program: its `name` in the configuration, what it is called to an operator, and what to look at with it.

    `dashes`: a key such as peer-alive may as well stand as `alive` in a mapping `peer`, and a value in a mapping with
    the key `operational`.  `roots`: the mappings that hold the facts, in dotted keys, "" for the whole.  `status`: it
    is believed only when its exit status is 0.
    """

    name: str
    who: str
    see: str
    facts: tuple[Fact, ...]
    roots: tuple[str, ...] = ("",)
    dashes: bool = False
    status: bool = False

    def place(self, name: str) -> str:
        """Return where the fact stands first, for messages."""
        return next(fact.places[0] for fact in self.facts if fact.name == name)


ABSOLUTE = "/"
"""What begins a place that is outside the mappings which hold the other facts."""

_CLAGD = "systemctl status clagd, and /var/log/clagd.log"

CLAGCTL = Source("clagctl", "clagctl", f"run clagctl; see {_CLAGD}", (
    Fact("role", ("ourRole",), How.ROLE),
    Fact("peer_role", ("peerRole",), How.PEER_ROLE),
    Fact("peer_alive", ("peerAlive",), How.FLAG),
    Fact("backup_alive", ("backupActive",), How.FLAG),
    Fact("backup_address", ("backupIp",), How.ADDRESS),
    Fact("reason", ("backupReason",), How.WORD),
    Fact("priority", ("ourPriority",), How.NUMBER),
    Fact("id", ("ourId",), How.WORD),
    Fact("peer_priority", ("peerPriority",), How.NUMBER),
    Fact("peer_id", ("peerId",), How.WORD),
    Fact("peer_interface", ("peerIf",), How.WORD),
    Fact("peer_address", ("peerIp",), How.WORD),
    Fact("system_mac", ("sysMac",), How.WORD),
    Fact("anycast_address", ("vxlanAnycast",), How.WORD),
    Fact("interfaces", (f"{ABSOLUTE}clagIntfs",), How.TABLE),
), roots=("status",))  # fmt: skip

CLAGCTL_TEXT = Source("clagctl", "clagctl", CLAGCTL.see, (
    Fact("role", ("Our Priority, ID, and Role:",), How.THIRD),
    Fact("priority", ("Our Priority, ID, and Role:",), How.FIRST),
    Fact("id", ("Our Priority, ID, and Role:",), How.SECOND),
    Fact("peer_role", ("Peer Priority, ID, and Role:",), How.THIRD),
    Fact("peer_priority", ("Peer Priority, ID, and Role:",), How.FIRST),
    Fact("peer_id", ("Peer Priority, ID, and Role:",), How.SECOND),
    Fact("peer_alive", ("The peer is alive", "The peer is not alive"), How.SENTENCE),
    Fact("backup_alive", ("Backup IP: ... (active)", "Backup IP: ... (inactive)"), How.SENTENCE),
    Fact("backup_address", ("Backup IP:",), How.ADDRESS),
    Fact("backup_vrf", ("Backup IP: ... vrf",), How.NEXT),
    Fact("peer_interface", ("Peer Interface and IP:",), How.FIRST),
    Fact("peer_address", ("Peer Interface and IP:",), How.SECOND),
    Fact("system_mac", ("System MAC:",), How.LINE),
    Fact("anycast_address", ("VxLAN Anycast IP:",), How.LINE),
    Fact("interfaces", ("CLAG Interfaces",), How.TABLE),
))  # fmt: skip

NV = Source("nv", "nv show mlag", "run nv show mlag; see systemctl status clagd and nvued", (
    Fact("enabled", ("enable", "state"), How.ENABLED),
    Fact("role", ("local-role",), How.ROLE),
    Fact("peer_role", ("peer-role",), How.PEER_ROLE),
    Fact("peer_alive", ("peer-alive",), How.LOOSE_FLAG),
    Fact("backup_alive", ("backup-active",), How.LOOSE_FLAG),
    Fact("backup_address", ("backup-ip", "backup"), How.BACKUP),
    Fact("reason", ("backup-reason",), How.WORD),
    Fact("priority", ("priority", "local-priority"), How.LOOSE_NUMBER),
    Fact("id", ("local-id",), How.WORD),
    Fact("peer_priority", ("peer-priority",), How.LOOSE_NUMBER),
    Fact("peer_id", ("peer-id",), How.WORD),
    Fact("peer_interface", ("peer-interface",), How.WORD),
    Fact("peer_address", ("peer-ip",), How.WORD),
    Fact("system_mac", ("mac-address",), How.WORD),
    Fact("anycast_address", ("anycast-ip",), How.WORD),
), roots=("", "mlag", "operational", "mlag.operational", "operational.mlag"), dashes=True)  # fmt: skip

OWN = Source("command", "clag.own_command", "run clag.own_command by hand, as root", (
    Fact("role", ("role",), How.ROLE),
    Fact("peer_role", ("peer_role",), How.PEER_ROLE),
    Fact("peer_alive", ("peer_alive",), How.FLAG),
    Fact("backup_alive", ("backup_alive",), How.FLAG),
    Fact("backup_address", ("backup_address",), How.ADDRESS),
    Fact("reason", ("reason",), How.WORD),
    Fact("priority", ("priority",), How.NUMBER),
    Fact("id", ("id",), How.WORD),
    Fact("peer_priority", ("peer_priority",), How.NUMBER),
    Fact("peer_id", ("peer_id",), How.WORD),
    Fact("peer_interface", ("peer_interface",), How.WORD),
    Fact("peer_address", ("peer_address",), How.WORD),
    Fact("system_mac", ("system_mac",), How.WORD),
    Fact("anycast_address", ("anycast_address",), How.WORD),
), status=True)  # fmt: skip

SOURCES = (CLAGCTL, CLAGCTL_TEXT, NV, OWN)


@dataclass(frozen=True, slots=True)
class Question:
    """A command that is run, and the source by whose table its answer is read."""

    command: tuple[str, ...]
    source: Source


def decoded(text: str) -> Any:
    """Return the JSON value that begins `text`.  Raises ValueError where none does."""
    try:
        value, _ = json.JSONDecoder().raw_decode(text.lstrip())
    except RecursionError as error:
        raise ValueError(str(error)) from error
    return value


def found(source: Source, answer: object) -> dict[str, object]:
    """Return the values of an answer that was read as JSON, by the facts' names; what it does not tell is not there.

    Of several mappings that may hold the facts the first with a role is taken, or the first that is a mapping.
    """
    roots = [root for path in source.roots if (root := _below(answer, path)) is not None]
    tables = [dict(_values(source, root)) for root in roots]
    return next((each for each in tables if "role" in each), tables[0] if tables else {})


def backup(value: object) -> tuple[str, str]:
    """Return the address and the VRF of a backup path, "" for what is not told.

    NVUE keeps one as the key of a mapping, whose value is a mapping of the VRF.
    """
    if isinstance(value, str):
        return value, ""
    if not isinstance(value, dict):
        return "", ""
    for address, more in value.items():
        if _is_address(address):
            vrf = more.get("vrf") if isinstance(more, dict) else None
            return address, vrf if isinstance(vrf, str) else ""
    return "", ""


def has_root(source: Source, answer: object) -> bool:
    """Tell whether the answer has a mapping in which facts could stand."""
    return any(_below(answer, path) is not None for path in source.roots)


def _is_address(text: object) -> bool:
    try:
        ip_address(str(text))
    except ValueError:
        return False
    return True


def _below(answer: object, path: str) -> Mapping[str, Any] | None:
    for name in filter(None, path.split(".")):
        answer = answer.get(name) if isinstance(answer, dict) else None
    return answer if isinstance(answer, dict) else None


def _values(source: Source, root: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    for fact in source.facts:
        for place in fact.places:
            value = _at(root, place) if source.dashes else root.get(place)
            if value is not None:
                yield fact.name, value
                break


def _at(root: Mapping[str, Any], place: str) -> object:
    """Return the value of a key with dashes, flat or below the mappings that its parts name."""
    if place in root:
        value = root[place]
        return value["operational"] if isinstance(value, dict) and "operational" in value else value
    head, dash, rest = place.partition("-")
    below = root.get(head)
    return _at(below, rest) if dash and isinstance(below, dict) else None
