"""Answer what the peer's checks ask of this switch: its certificate's fingerprint, its clock, what it is made of.

No key, no file and no secret is told.  All but the clock takes a while, so that a thread of
the exchange answers it.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from ovsha import __version__
from ovsha.config import Config
from ovsha.core import lineage as schemas
from ovsha.errors import DriverError
from ovsha.mlag import reader
from ovsha.ovsdb import certificates, own_server
from ovsha.peer.rpc_server import Exchange

CERTIFICATE, CLOCK, SURVEY = "certificate", "clock", "survey"


def register(exchange: Exchange, config: Config) -> None:
    """Have `exchange` answer these."""
    exchange.methods[CLOCK] = lambda params: {"at": time.time()}
    exchange.files[CERTIFICATE] = lambda params: certificates.told(config)
    exchange.files[SURVEY] = lambda params: survey(config)


def survey(config: Config) -> dict[str, Any]:
    """Return what a pair must agree on; what cannot be told has its reason under `troubles`, by the same name."""
    troubles: dict[str, str] = {}

    def attempt(name: str, look: Callable[[], Any]) -> Any:
        try:
            return look()
        except DriverError as error:
            troubles[name] = str(error)
            return None

    server = own_server.look(config)
    return {
        "node": config.node,
        "version": __version__,
        "python": platform.python_version(),
        "server": None if server.version == (0, 0) else list(server.version),
        "schema": attempt("schema", partial(_schema, config)),
        "mlag": attempt("mlag", partial(_mlag, config)),
        "settings": settings(config),
        "troubles": troubles,
    }


def settings(config: Config) -> dict[str, Any]:
    """Return the keys of the configuration that have to be the same on both switches, by their names in the file."""
    return {
        "pair.id": config.pair.id,
        "pair.preferred": config.pair.preferred,
        "nodes": {name: [str(node.peer_link), str(node.backup_path)] for name, node in sorted(config.nodes.items())},
        "vip.address": str(config.vip.address),
        "vip.port": config.vip.port,
        "vip.mode": config.vip.mode,
        "replication.port": config.replication.port,
        "replication.tls": config.replication.tls,
        "heartbeat.port": config.heartbeat.port,
        "heartbeat.interval": config.heartbeat.interval,
        "heartbeat.dead_interval": config.heartbeat.dead_interval,
        "server.database": config.server.database,
    }


def _schema(config: Config) -> dict[str, str]:
    with own_server.database(config) as session:
        found = schemas.describe_schema(session.schema())
    return {"name": found.name, "version": found.version, "checksum": found.checksum}


def _mlag(config: Config) -> dict[str, Any]:
    answer = reader.ask(config.clag)
    clag, detail = answer.clag, answer.detail
    return {
        "role": clag.role.value if clag.role else None,
        "priority": detail.priority,
        "id": detail.ident,
        "system_mac": detail.system_mac,
        "anycast_ip": detail.anycast,
    }
