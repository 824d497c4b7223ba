"""Build the drivers, and the settings that the core decides by, from the configuration; or none for a switch alone.

Nothing is talked to, nothing is raised, and there is never anything to wait for.
"""

from __future__ import annotations

from ovs.poller import Poller

from ovsha.config import Config
from ovsha.core.facts import BACKUP_PATH, PEER_LINK, Clag, Source
from ovsha.core.view import Settings
from ovsha.net.path_socket import Endpoint
from ovsha.net.vip import Vip
from ovsha.ovsdb import endpoints
from ovsha.ovsdb.process import Places
from ovsha.ovsdb.server import LocalServer


def settings(config: Config) -> Settings:
    """Return the plain numbers and names that the core decides by."""
    peer = config.nodes.get(config.peer)
    return Settings(
        node=config.node,
        peer=config.peer,
        preferred=config.pair.preferred if peer else config.node,
        source=endpoints.peer_server_remote(config),
        has_vip=config.vip.address is not None,
        dead_interval=config.heartbeat.dead_interval,
        stall_interval=config.heartbeat.stall_interval,
        restore_delay=config.restore.delay,
        restore_automatic=config.restore.mode == "automatic",
        handover_timeout=config.handover.timeout,
        link_cut_hold=config.link_cut.hold,
        max_lag=config.replication.max_lag,
        token_interval=config.replication.token_interval,
        max_behind=config.failover.max_behind,
        lone_boot=config.lone_boot,
        min_share=config.guard.min_share,
        min_cells=config.guard.min_cells,
        move_limit=config.damping.moves,
        move_window=config.damping.window,
    )


def local_server(config: Config) -> LocalServer:
    """Return what drives the ovsdb-server of this switch."""
    return LocalServer(
        Places(config.server.file, config.server.pidfile, config.server.socket),
        config.server.database,
        endpoints.remote("ptcp", str(config.vip.address), config.vip.port) if config.vip.address is not None else "",
        patience=config.heartbeat.dead_interval,
        hang_interval=config.server.hang_interval,
        stall_limit=config.server.stall_limit,
        copied_at=endpoints.listeners(config),
        elsewhere=endpoints.own_server_remote(config),
    )


def vip_driver(config: Config) -> Vip:
    """Return what moves the VIP.  Raises DriverError when the kernel refuses."""
    vip = config.vip
    kind = "dummy" if vip.mode == "dummy" else ""
    link = None if config.standalone else config.peer_link.interface
    return Vip(str(vip.address), vip.interface, link, vip.routed, kind)


def paths(config: Config) -> list[Endpoint]:
    """Return the paths on which heartbeats go to the peer: none for a switch that stands alone."""
    own, peer = config.nodes[config.node], config.nodes.get(config.peer)
    if peer is None:
        return []
    port, vrf = config.heartbeat.port, config.backup_path.vrf or None
    made = [Endpoint(PEER_LINK, str(own.peer_link), str(peer.peer_link), port, config.peer_link.interface)]
    if own.backup_path is not None and peer.backup_path is not None:
        made.append(Endpoint(BACKUP_PATH, str(own.backup_path), str(peer.backup_path), port, vrf))
    return made


class Absent:
    """What there is none of; it can be waited for and closed like what it stands for."""

    trouble = ""

    def wait(self, poller: Poller, now: float) -> None:
        """Wait for nothing."""

    def close(self, now: float = 0.0) -> None:
        """Let go of nothing."""


class Idle(Absent):
    """What has nothing to do."""

    def run(self, now: float, *what: object) -> None:
        """Do nothing."""


class NoDuplicateWatch(Absent):
    """An ear for other holders of a VIP."""

    def run(self, now: float, holding: bool) -> list[str]:
        """Return that nobody has claimed it."""
        return []


class NoVip(Idle):
    """A VIP that is nowhere; the core never asks for it where there is none."""

    present = False
    astray = False
    carrier = False
    mac = ""
    peer_carrier = None

    def add(self, now: float) -> None:
        """Add nothing."""

    def drop(self, now: float) -> None:
        """Drop nothing."""


class NoAnnouncer(Idle):
    """Announcements that nobody needs."""

    def once(self, now: float) -> None:
        """Announce nothing."""

    def start(self, now: float) -> None:
        """Announce nothing."""

    def stop(self) -> None:
        """Stop nothing."""


class NoSource(Idle):
    """A session to no server."""

    schema = None
    closed = ended = False

    def packet_age(self, now: float) -> None:
        """Return None: nobody has sent anything."""

    def facts(self, now: float) -> Source:
        """Return that nothing is known."""
        return Source()


class NoClag(Idle):
    """A clagd that nobody needs."""

    facts = Clag(trouble="this switch stands alone, so clagd is not asked")

    def age(self, now: float) -> None:
        """Return None: it was never asked."""

    def poke(self, now: float) -> None:
        """Ask nobody."""
