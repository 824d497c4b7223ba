"""Read the Manager rows of this switch: where controllers listen, and which connections are with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ovsha.checks import ovsdb
from ovsha.checks.sockets import Connection
from ovsha.config import Config
from ovsha.drivers import targets


@dataclass(frozen=True, slots=True)
class Manager:
    """A Manager row; `read` is None for a target that is no TCP target or cannot be read.

    `connected` and `status` are what stands in the row, which on a backup is a copy of the active side's.
    """

    target: str
    read: targets.Target | None
    connected: bool
    status: dict[str, str]

    @property
    def address(self) -> targets.Address | None:
        """Where the controller listens; None for one that is named, or that comes to us."""
        return None if self.read is None or self.read.passive else self.read.address

    def has_session(self, session: Connection) -> bool:
        """Tell whether a connection of ovsdb-server's is with this controller."""
        ends = (session.local, session.local_port, session.remote, session.remote_port)
        return self.read is not None and self.read.met_by(*ends) is not False

    @property
    def where(self) -> str:
        """Its address and port."""
        return self.target.partition(":")[2]


def managers(config: Config) -> list[Manager]:
    """Return the Manager rows of this switch's own copy.  Raises DriverError when the server does not answer."""
    columns = ("target", "is_connected", "status")
    with ovsdb.database(config) as session:
        return [_manager(row) for row in ovsdb.select(session, "Manager", *columns)]


def _manager(row: dict[str, Any]) -> Manager:
    target = str(row["target"])
    return Manager(target, targets.read(target), row["is_connected"] is True, dict(row["status"][1]))
