"""Where servers and controllers listen, in the form of ovsdb(7), and which connections belong to them.

A target is a connection method of ovsdb(7), such as ``ssl:10.0.0.1:6640``, ``tcp:[fe80::1%eth0]``,
``ssl:controller.example.net`` or ``ptcp:6640:10.0.0.2``.  The kernel knows addresses only, in one spelling, without
zones; so each target is read once into what the kernel can be asked for.  A host name is not resolved, which would hold
up who asks and may give another answer than ovsdb-server got: a named controller's are the connections to that port
that the process itself has.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from ovsha.config import Config
from ovsha.ovsdb import process, transport


def remote(method: str, address: str, port: int) -> str:
    """Return a connection method: the port comes first in a passive one."""
    host = f"[{address}]" if ":" in address else address
    return f"{method}:{port}:{host}" if method.startswith("p") else f"{method}:{host}:{port}"


def peer_server_remote(config: Config) -> str:
    """Return where the peer's server takes sessions, such as tcp:169.254.0.9:9999; "" where there is no peer."""
    return _server_of(config, config.peer)


def own_database(config: Config) -> str:
    """Return where our database answers: at its socket or, where that was lost or is another server's, for the peer.

    The agent reads it there too.  A server that does not run answers nowhere, and then it is the socket.
    """
    section = config.server
    home, elsewhere = f"unix:{section.socket}", own_server_remote(config)
    accepts = process.listener(section.socket)
    pid = process.find(process.Places(section.file, section.pidfile, section.socket)).pid
    if not elsewhere or accepts == process.UNSEEN or pid in (None, accepts):
        return home
    strange = accepts is None or process.name_of(accepts) == process.SERVER
    return elsewhere if strange else home


def backup_command(config: Config, limit: float) -> list[str]:
    """Return the command that prints our whole database, by ovsdb-client(1), which gives up after `limit` seconds."""
    target = own_database(config)
    reach = _client_options(config, target)
    return ["ovsdb-client", f"--timeout={limit:.0f}", *reach, "backup", target, config.server.database]


def _client_options(config: Config, target: str) -> list[str]:
    """Return what ovsdb-client needs to reach `target` beside its name."""
    files = credentials(config) if target.startswith("ssl:") else None
    if files is None:
        return []
    return [f"--private-key={files.private_key}", f"--certificate={files.certificate}", f"--ca-cert={files.ca_cert}"]


def own_server_remote(config: Config) -> str:
    """Return where our server takes the peer's sessions, in the form of `peer_server`; "" where it takes none."""
    return _server_of(config, config.node) if not config.standalone else ""


def _server_of(config: Config, node: str) -> str:
    place = config.nodes.get(node)
    if place is None or place.peer_link is None:
        return ""
    target = remote("ssl" if config.replication.tls else "tcp", str(place.peer_link), config.replication.port)
    files = credentials(config)
    if config.replication.tls and files is not None:
        transport.use(target, files)
    return target


def listeners(config: Config) -> tuple[str, str]:
    """Return where our server is to take the peer's sessions, and its counterpart with or without TLS.

    Both are "" on a switch without an address for it.
    """
    address = config.nodes[config.node].peer_link
    if address is None:
        return "", ""
    plain, secured = (remote(method, str(address), config.replication.port) for method in ("ptcp", "pssl"))
    return (secured, plain) if config.replication.tls else (plain, secured)


def credentials(config: Config) -> transport.Credentials | None:
    """Return the files of section replication, None where they are not named."""
    section = config.replication
    if section.private_key is None or section.certificate is None or section.ca_cert is None:
        return None
    return transport.Credentials(section.private_key, section.certificate, section.ca_cert)


DEFAULT_PORT = 6640
"""The port of OVSDB (IANA), which a target need not name."""

Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Target:
    """Where a controller listens, or where ovsdb-server listens for one (`passive`).

    `address` None: a named host, or every address of a passive one; `name`: the host's name, "" where it is an address.
    """

    address: Address | None
    port: int
    passive: bool = False
    name: str = ""

    def met_by(self, local: Address, local_port: int, remote: Address, remote_port: int) -> bool | None:
        """Tell whether a connection between these ends is of this target; None where its owner decides that."""
        near, far = (local, local_port), (remote, remote_port)
        end = near if self.passive else far
        if end[1] != self.port:
            return False
        return (True if self.passive else None) if self.address is None else end[0] == self.address


def read(target: str) -> Target | None:
    """Return what `target` says, None where it is no TCP target or cannot be read."""
    method, colon, rest = target.strip().partition(":")
    passive = method in ("ptcp", "pssl")
    if not colon or method not in ("tcp", "ssl", "ptcp", "pssl"):
        return None
    host, port = _parts(rest, passive)
    number = _port(port)
    if number is None or (not host and not passive):
        return None
    address = _address(host)
    if address is None and host and (passive or ":" in host):
        return None
    return Target(address, number, passive, "" if address else host)


def read_all(targets: Iterable[str]) -> tuple[Target, ...]:
    """Return what the targets say, each once; one that cannot be read takes nothing from the others."""
    return tuple(dict.fromkeys(each for each in map(read, targets) if each is not None))


def ports(targets: Iterable[Target]) -> Iterator[tuple[int, int]]:
    """Yield remote and local port to ask the kernel for, 0 for any, each pair once."""
    pairs = ((0, each.port) if each.passive else (each.port, 0) for each in targets)
    yield from dict.fromkeys(pairs)


def _parts(rest: str, passive: bool) -> tuple[str, str]:
    """Return host and port as ovsdb-server takes them apart: several colons outside of brackets are a bare address."""
    outside = _outside(rest)
    if outside.count(":") > 1:
        return rest, ""
    at = outside.find(":")
    first, second = (rest, "") if at < 0 else (rest[:at], rest[at + 1 :])
    return (second, first) if passive else (first, second)


def _outside(text: str) -> str:
    """Return the text with everything between brackets made harmless."""
    depth, found = 0, []
    for letter in text:
        depth += (letter == "[") - (letter == "]")
        found.append("." if depth > 0 else letter)
    return "".join(found)


def _port(text: str) -> int | None:
    if not text:
        return DEFAULT_PORT
    number = int(text) if text.isdecimal() and text.isascii() and len(text) <= 5 else 0
    return number if 0 < number <= 65535 else None


def _address(host: str) -> Address | None:
    """Return the address as the kernel tells it: without brackets and zone, an IPv4 one in IPv6 as IPv4."""
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    try:
        address = ip_address(bare.partition("%")[0])
    except ValueError:
        return None
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address
