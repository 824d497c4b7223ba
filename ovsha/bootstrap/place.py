"""Say by which way the rows of a switch are to be written, so that no server that has them is gone behind."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from ovsha.checks import ovsdb
from ovsha.checks.ovsdb import OwnServer
from ovsha.config_switch import Server
from ovsha.core.facts import Role
from ovsha.core.lineage import PARKED
from ovsha.errors import DriverError
from ovsha.ledger import content
from ovsha.safe_start import check_database
from ovsha.setup import private

_LIMIT = 60.0


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
    server, file = ovsdb.look_at(places), places.file
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
    return private.server(place.file)


def _serves_it(places: Server, server: OwnServer) -> bool:
    if server.trouble:
        raise DriverError(f"ovsdb-server (pid {server.pid}) does not answer: {server.trouble}; restart it first")
    with ovsdb.Control(places.pidfile.parent / f"ovsdb-server.{server.pid}.ctl") as control:
        serves = places.database in control.command("ovsdb-server/list-dbs").split()
    ovsdb.refuse_several(server, places.database)
    return serves


def _known(places: Server) -> bool:
    """Say whether the file has been served by a pair: then what it lacks may be on the peer."""
    if not places.file.exists():
        return False
    check_database(places.file, places.database)
    lineage, _ = content.lineage_of_file(places.file, places.database, _LIMIT)
    return lineage is not None
