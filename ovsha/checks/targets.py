"""Read the targets of Manager rows (ovsdb(7), Connection Methods): where a controller listens."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from ovsha.checks import ovsdb
from ovsha.config import Config

DEFAULT_PORT = 6640


@dataclass(frozen=True, slots=True)
class Manager:
    """A Manager row: `address` None for a target that does not say where a controller listens (ptcp:, a name).

    `connected` and `status` are what stands in the row, which on a backup is a copy of the active side's.
    """

    target: str
    address: IPv4Address | IPv6Address | None
    port: int
    connected: bool
    status: dict[str, str]

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
    address, port = end(str(row["target"]))
    return Manager(str(row["target"]), address, port, row["is_connected"] is True, dict(row["status"][1]))


def end(target: str) -> tuple[IPv4Address | IPv6Address | None, int]:
    """Return address and port of an active target such as ssl:10.0.0.1:6640 or tcp:[fd00::1]."""
    method, _, rest = target.partition(":")
    host, port = rest, ""
    if rest.startswith("["):
        host, _, port = rest[1:].partition("]")
        port = port.lstrip(":")
    elif rest.count(":") == 1:
        host, _, port = rest.partition(":")
    try:
        number = int(port) if port else DEFAULT_PORT
        return (ip_address(host.partition("%")[0]) if method in ("ssl", "tcp") else None), number
    except ValueError:
        return None, DEFAULT_PORT
