"""Say where the servers of the pair listen, in the form of ovsdb(7), and with which certificates they are reached."""

from __future__ import annotations

from ovsha.config import Config
from ovsha.drivers import tls


def remote(method: str, address: str, port: int) -> str:
    """Return a connection method: the port comes first in a passive one."""
    host = f"[{address}]" if ":" in address else address
    return f"{method}:{port}:{host}" if method.startswith("p") else f"{method}:{host}:{port}"


def peer_server(config: Config) -> str:
    """Return where the peer's server takes sessions, such as tcp:169.254.0.9:9999; "" where there is no peer."""
    return _server_of(config, config.peer)


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
