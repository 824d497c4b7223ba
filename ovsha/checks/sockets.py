"""Tell which TCP connections a process has, by its descriptors and the tables of its network (proc(5))."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from ovsha.drivers import sockdiag
from ovsha.errors import DriverError

ESTABLISHED = 1
"""The state of net/tcp_states.h."""

Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Connection:
    """One TCP connection that is established."""

    local: Address
    local_port: int
    remote: Address
    remote_port: int


def of(pid: int) -> list[Connection]:
    """Return the established TCP connections of a process.

    Raises DriverError when we may not look at it (that takes root), or it is gone.
    """
    try:
        inodes = sockdiag.inodes(pid)
        tables = [Path(f"/proc/{pid}/net/{name}") for name in ("tcp", "tcp6")]
        return [each for path in tables if path.exists() for each in _read(path.read_text(), inodes)]
    except OSError as error:
        hint = "; run this as root" if isinstance(error, PermissionError) else ""
        raise DriverError(f"the sockets of process {pid} cannot be read: {error.strerror}{hint}") from None


def _read(table: str, inodes: frozenset[int]) -> Iterator[Connection]:
    for line in table.splitlines()[1:]:
        _, local, remote, state, _, _, _, _, _, inode, *_ = line.split()
        if int(state, 16) == ESTABLISHED and int(inode) in inodes:
            yield Connection(*_end(local), *_end(remote))


def _end(text: str) -> tuple[Address, int]:
    """Read ``0100007F:1F90``: the words of the address are in the order of this machine."""
    address, _, port = text.partition(":")
    raw = bytes.fromhex(address)
    raw = b"".join(int.from_bytes(raw[at : at + 4]).to_bytes(4, "little") for at in range(0, len(raw), 4))
    if len(raw) == 4:
        return IPv4Address(raw), int(port, 16)
    wide = IPv6Address(raw)
    return wide.ipv4_mapped or wide, int(port, 16)
