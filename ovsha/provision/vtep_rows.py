"""Bring the rows that a switch needs into its database, by vtep-ctl(8), wherever that is served."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from ovsha.config.switch import Server
from ovsha.core.facts import Role
from ovsha.core.lineage import PARKED
from ovsha.errors import DriverError
from ovsha.host import child
from ovsha.ovsdb import contents, own_server
from ovsha.ovsdb.client import Session
from ovsha.ovsdb.launch import check_database
from ovsha.ovsdb.own_server import OwnServer
from ovsha.provision import database_file
from ovsha.provision.vtep_options import Options

DATABASE = "hardware_vtep"
_LIMIT = 30
_COLUMNS = {"Physical_Switch": ("name", "tunnel_ips", "management_ips"), "Manager": ("target",)}

SWITCH = "define physical switch"
CONTROLLER = "define NSX controller IP address in OVSDB"
TUNNEL = "define local tunnel IP address on the switch"
MANAGEMENT = "define management IP address on the switch"


@dataclass(frozen=True, slots=True)
class Rows:
    """What the database has: each physical switch with its tunnel and management addresses, and the managers."""

    switches: dict[str, tuple[list[str], list[str]]]
    managers: list[str]


@dataclass(frozen=True, slots=True)
class Change:
    """A part of the transaction: the step it belongs to, and the words of vtep-ctl, none where it is there already."""

    step: str
    words: tuple[str, ...] = ()
    note: str = ""


def read(session: Session) -> Rows:
    """Return what the database has.  Raises DriverError."""
    return _rows(*(own_server.select(session, table, *columns) for table, columns in _COLUMNS.items()))


def of_file(file: Path) -> Rows:
    """Return what a database file has that nobody serves.  Raises DriverError."""
    words = json.dumps([DATABASE, *contents.selects(_COLUMNS)])
    return _rows(*(each["rows"] for each in json.loads(contents.tool(60.0, "query", str(file), words))))


def _rows(switches: list[dict[str, Any]], managers: list[dict[str, Any]]) -> Rows:
    return Rows(
        {row["name"]: (_values(row["tunnel_ips"]), _values(row["management_ips"])) for row in switches},
        sorted(row["target"] for row in managers),
    )


def changes(options: Options, rows: Rows) -> list[Change]:
    """Return what is to be done, step by step.  Raises DriverError where it is another switch's database."""
    others = sorted(rows.switches.keys() - {options.name})
    if others:
        raise DriverError(
            f"the database has the physical switch {', '.join(others)}, and {options.name} would be a second one: give"
            f" that name, or remove it by vtep-ctl del-ps {others[0]}"
        )
    tunnel, management = rows.switches.get(options.name, ([], []))
    known = options.name in rows.switches
    return [
        Change(SWITCH, () if known else ("add-ps", options.name)),
        *_managers(options.controllers, rows.managers),
        Change(TUNNEL, _address(options.name, "tunnel_ips", options.tunnel_ip, tunnel)),
        Change(MANAGEMENT, _address(options.name, "management_ips", options.management_ip, management)),
    ]


def command(made: list[Change], target: str) -> list[str]:
    """Return the one command line that makes all the changes; empty where there are none."""
    words = [word for change in made if change.words for word in ("--", *change.words)]
    return ["vtep-ctl", f"--db={target}", f"--timeout={_LIMIT}", *words] if words else []


def apply(made: list[Change], target: str) -> str:
    """Make all the changes or none, and return what vtep-ctl prints.  Raises DriverError with its own words."""
    line = command(made, target)
    if not line:
        return ""
    status, text = child.read_output(line, _LIMIT + 5)
    if status != 0:
        raise DriverError(" ".join(text.split()) or f"vtep-ctl ended with status {status}")
    return text.strip()


def _managers(wanted: tuple[str, ...], there: list[str]) -> Iterator[Change]:
    """A controller that is known may have brought its whole cluster; only those that are strange are replaced."""
    if not wanted:
        return
    lacking = [target for target in wanted if target not in there]
    if not lacking:
        yield Change(CONTROLLER)
    elif len(lacking) == len(wanted):
        note = f"instead of {', '.join(there)}" if there else ""
        yield Change(CONTROLLER, ("set-manager", *wanted), note)
    else:
        words: list[str] = []
        for number, target in enumerate(lacking):
            name = f"@m{number}"
            words += [*(["--"] if words else []), f"--id={name}", "create", "Manager", f'target="{target}"']
            words += ["--", "add", "Global", ".", "managers", name]
        yield Change(CONTROLLER, tuple(words))


def _address(name: str, column: str, wanted: str, there: list[str]) -> tuple[str, ...]:
    return () if there == [wanted] else ("set", "Physical_Switch", name, f'{column}="{wanted}"')


def _values(value: object) -> list[str]:
    """Return the strings of a set (RFC 7047 section 5.1), where one alone stands by itself."""
    if isinstance(value, list) and len(value) == 2 and value[0] == "set":
        return sorted(str(each) for each in value[1])
    return [str(value)]


_PLACE_LIMIT = 60.0


class Way(Enum):
    """By which way."""

    SERVER = "the server that runs here and is active"
    FILE = "a private server on the database file, since none serves it"
    PARKED = "a private server on the database file, while the parked server is stopped"
    PEER = "the active side has it"


@dataclass(frozen=True, slots=True)
class Place:
    """Where the rows are: the way, and whether the file has been served by a pair before."""

    way: Way
    file: Path
    known: bool = False


def find(places: Server) -> Place:
    """Return the way.  Raises DriverError when a server runs that does not answer."""
    server, file = own_server.look_at(places), places.file
    if server.pid is not None and not _serves_it(places, server):
        server = OwnServer()
    if server.pid is None:
        return Place(Way.FILE, file, _known(places))
    if server.role is Role.ACTIVE:
        return Place(Way.SERVER, file)
    if server.source == PARKED:
        return Place(Way.PARKED, file, _known(places))
    return Place(Way.PEER, file)


def target(places: Server, place: Place) -> AbstractContextManager[str]:
    """Give the target of the server to write to, for as long as a block lasts.  Raises DriverError."""
    if place.way in (Way.SERVER, Way.PEER):
        return nullcontext(f"unix:{places.socket}")
    return database_file.server(place.file)


def _serves_it(places: Server, server: OwnServer) -> bool:
    if server.trouble:
        raise DriverError(f"ovsdb-server (pid {server.pid}) does not answer: {server.trouble}; restart it first")
    with own_server.Control(places.pidfile.parent / f"ovsdb-server.{server.pid}.ctl") as control:
        serves = places.database in control.command("ovsdb-server/list-dbs").split()
    own_server.refuse_several(server, places.database)
    return serves


def _known(places: Server) -> bool:
    """Say whether the file has been served by a pair: then what it lacks may be on the peer."""
    if not places.file.exists():
        return False
    check_database(places.file, places.database)
    lineage, _ = contents.lineage_of_file(places.file, places.database, _PLACE_LIMIT)
    return lineage is not None
