"""Make the drivers, and the settings that the core decides by, from the configuration."""

from __future__ import annotations

from ovsha import remotes
from ovsha.config import Config
from ovsha.core.view import Settings
from ovsha.drivers.path_socket import Endpoint
from ovsha.drivers.process import Places
from ovsha.drivers.server import LocalServer
from ovsha.drivers.vip import Vip

PEER_LINK, BACKUP_PATH = "peer-link", "backup-path"


def settings(config: Config) -> Settings:
    """Return the plain numbers and names that the core decides by."""
    peer = config.nodes.get(config.peer)
    return Settings(
        node=config.node,
        peer=config.peer,
        preferred=config.pair.preferred if peer else config.node,
        source=remotes.peer_server(config),
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
        remotes.remote("ptcp", str(config.vip.address), config.vip.port) if config.vip.address is not None else "",
        patience=config.heartbeat.dead_interval,
        hang_interval=config.server.hang_interval,
        stall_limit=config.server.stall_limit,
        copied_at=remotes.listeners(config),
        elsewhere=remotes.own_server(config),
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
