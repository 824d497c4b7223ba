"""Say where the servers of the pair listen, in the form of ovsdb(7), and with which certificates they are reached."""

from __future__ import annotations

from ovsha.config import Config
from ovsha.drivers import lockfile, process, tls


def remote(method: str, address: str, port: int) -> str:
    """Return a connection method: the port comes first in a passive one."""
    host = f"[{address}]" if ":" in address else address
    return f"{method}:{port}:{host}" if method.startswith("p") else f"{method}:{host}:{port}"


def peer_server(config: Config) -> str:
    """Return where the peer's server takes sessions, such as tcp:169.254.0.9:9999; "" where there is no peer."""
    return _server_of(config, config.peer)


def own_database(config: Config) -> str:
    """Return where our database answers: at its socket or, where that was lost or is another server's, for the peer.

    The agent reads it there too.  A server that does not run answers nowhere, and then it is the socket.
    """
    section = config.server
    home, elsewhere = f"unix:{section.socket}", own_server(config)
    accepts = lockfile.listener(section.socket)
    pid = process.find(process.Places(section.file, section.pidfile, section.socket)).pid
    if not elsewhere or accepts == lockfile.UNSEEN or pid in (None, accepts):
        return home
    strange = accepts is None or lockfile.name_of(accepts) == process.SERVER
    return elsewhere if strange else home


def client_options(config: Config, target: str) -> list[str]:
    """Return what ovsdb-client(1) needs to reach `target` beside its name."""
    files = credentials(config) if target.startswith("ssl:") else None
    if files is None:
        return []
    return [f"--private-key={files.private_key}", f"--certificate={files.certificate}", f"--ca-cert={files.ca_cert}"]


def own_server(config: Config) -> str:
    """Return where our server takes the peer's sessions, in the form of `peer_server`; "" where it takes none."""
    return _server_of(config, config.node) if not config.standalone else ""


def _server_of(config: Config, node: str) -> str:
    place = config.nodes.get(node)
    if place is None or place.peer_link is None:
        return ""
    target = remote("ssl" if config.replication.tls else "tcp", str(place.peer_link), config.replication.port)
    files = credentials(config)
    if config.replication.tls and files is not None:
        tls.use(target, files)
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


def credentials(config: Config) -> tls.Credentials | None:
    """Return the files of section replication, None where they are not named."""
    section = config.replication
    if section.private_key is None or section.certificate is None or section.ca_cert is None:
        return None
    return tls.Credentials(section.private_key, section.certificate, section.ca_cert)
