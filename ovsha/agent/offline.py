"""Look at the pair from a switch where no agent answers, by the agent's own eyes and without its hands.

It drives what the agent reads by (the control socket and the database of our ovsdb-server, a
session to the peer's, netlink), gives no order, and ends after a moment.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ovs.poller import Poller

from ovsha import SCHEMA
from ovsha import config as configuration
from ovsha.agent import drivers
from ovsha.agent.drivers import NoSource
from ovsha.config import Config
from ovsha.core.facts import Life
from ovsha.core.facts import Vip as VipFacts
from ovsha.core.view import View
from ovsha.errors import ConfigError, DriverError
from ovsha.ovsdb.peer_server import PeerSource
from ovsha.ovsdb.server import LocalServer
from ovsha.peer import rpc_client
from ovsha.report import offline

LIMIT = 1.5
"""Seconds that the servers are given to answer."""

_AGENT_LIMIT = 1.5
_PROBE_EVERY = 0.1


def look(config: Config, why: str, hangs: bool) -> dict[str, Any]:
    """Return the document of what can be seen; `why` and `hangs` as in `ovsha.report.offline.OfflineView`."""
    settings = drivers.settings(config)
    server, source = drivers.local_server(config), _source(config, settings.source)
    try:
        now = _watch(server, source)
        facts, theirs = server.facts(now), source.facts(now)
        troubles = server.trouble, source.trouble
    finally:
        server.close(time.monotonic())
        source.close(time.monotonic())
    vip, vip_trouble = _vip(config)
    told, peer_trouble = _ask_peer(config)
    around = offline.OfflineView(
        config.pair.id, config.server.database, str(config.vip.address or ""), config.vip.interface, config.vip.port,
        why, hangs, *troubles, vip_trouble, told, peer_trouble,
    )  # fmt: skip
    return offline.document(View(now, settings, facts, vip, source=theirs), around)


def _source(config: Config, address: str) -> PeerSource | NoSource:
    return NoSource() if config.standalone else PeerSource(address, config.server.database, LIMIT)


def _watch(server: LocalServer, source: PeerSource | NoSource) -> float:
    """Let both answer, for `LIMIT` seconds at most; return the time at which they were last looked at."""
    begun = now = time.monotonic()
    while True:
        server.run(now)
        source.run(now, _PROBE_EVERY)
        if now - begun >= LIMIT or (_known(server, now) and _known_there(source, now)):
            return now
        poller = Poller()
        server.wait(poller, now)
        source.wait(poller, now)
        poller.timer_wait(20)
        poller.block()
        now = time.monotonic()


def _known(server: LocalServer, now: float) -> bool:
    facts = server.facts(now)
    return facts.life is Life.DOWN or (facts.role is not None and facts.loaded)


def _known_there(source: PeerSource | NoSource, now: float) -> bool:
    if isinstance(source, NoSource):
        return True
    facts = source.facts(now)
    return facts.loaded and facts.role is not None


def _vip(config: Config) -> tuple[VipFacts, str]:
    if config.vip.address is None:
        return VipFacts(), ""
    try:
        vip = drivers.vip_driver(config)
    except DriverError as error:
        return VipFacts(), str(error)
    try:
        return VipFacts(vip.present, vip.peer_carrier), ""
    finally:
        vip.close()


def _ask_peer(config: Config) -> tuple[dict[str, Any] | None, str]:
    if config.standalone:
        return None, ""
    try:
        return ask_peer(config, _AGENT_LIMIT), ""
    except (DriverError, ConfigError) as error:
        return None, str(error)


def ask_peer(config: Config, limit: float) -> dict[str, Any]:
    """Return the status document of the peer's agent.  Raises DriverError and, for our pair key, ConfigError."""
    address = str(config.other.peer_link)
    key = configuration.read_key(config.pair.key_file)
    document = rpc_client.ask(address, config.exchange.port, key, "status", {}, limit)
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise DriverError(f"the agent on {config.peer} answers in a form of another release; upgrade both switches")
    return document


def answer(document: Callable[[], dict[str, Any] | None]) -> Callable[[Any], dict[str, Any]]:
    """Return the method of the exchange by which the peer asks for `document`, None of which is not there yet."""

    def answered(params: Any) -> dict[str, Any]:
        told = document()
        if told is None:
            raise DriverError("it has only just started; try again in a moment")
        return told

    return answered
