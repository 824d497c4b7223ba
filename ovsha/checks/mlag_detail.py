"""Read from an MLAG source what an operator wants to know beyond the roles: priorities, addresses, conflicts.

clagctl's JSON form knows the addresses, the text form also the conflicts and the reasons of a
proto-down, so both are read.  What an answer does not tell is "" or None.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from ovsha.drivers import mlag_facts
from ovsha.drivers.mlag_facts import CLAGCTL, CLAGCTL_TEXT, Source

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


def read(source: Source, text: str) -> Detail:
    """Return what the source tells; an empty Detail for what is not its answer."""
    if source in (CLAGCTL, CLAGCTL_TEXT) and not text.lstrip().startswith("{"):
        return from_text(text)
    return from_json(text, CLAGCTL if source is CLAGCTL_TEXT else source)


def from_json(text: str, source: Source = CLAGCTL) -> Detail:
    """Return what is told in JSON; an empty Detail for what is not the source's answer."""
    try:
        answer = mlag_facts.decoded(text[max(0, text.find("{")) :])
    except ValueError:
        return Detail()
    told = mlag_facts.found(source, answer)
    backup, vrf = mlag_facts.backup(told.get("backup_address"))
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


def from_text(text: str) -> Detail:
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


def together(first: Detail, second: Detail) -> Detail:
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


def _backup(detail: Detail, words: list[str]) -> Detail:
    address = "" if not words or words[0].startswith("(") else words[0]
    inside = address and words[1:2] == ["vrf"] and len(words) > 2
    return replace(detail, backup=address, vrf=words[2] if inside else "")


_READERS: dict[str, Callable[[Detail, list[str]], Detail]] = {
    "our priority, id, and role": _ours,
    "peer priority, id, and role": _theirs,
    "peer interface and ip": _peer,
    "vxlan anycast ip": lambda detail, words: replace(detail, anycast=" ".join(words)),
    "backup ip": _backup,
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
