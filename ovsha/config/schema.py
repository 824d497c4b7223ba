"""The keys of the configuration that describe the pair and its moves: meaning, reader and default of each.

There is no other list of keys or defaults.  All intervals, delays and limits are seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import netaddr

from ovsha.config import values as read
from ovsha.config.switch import (
    Backup,
    Clag,
    Collisions,
    Control,
    Forensics,
    Hooks,
    Metrics,
    Recorder,
    Server,
    Snapshots,
    Upgrade,
)
from ovsha.config.values import key, named, section
from ovsha.errors import ConfigError

MLAG_DECIDES = "clag"
"""The value of `pair.preferred` that leaves the choice to clagd; no switch may bear this name."""

LOOPBACK = "lo"
"""The interface of the mode of the same name, and of no other one."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """What both switches must agree on to know each other."""

    id: str = key("The name of this pair, carried in each heartbeat.", read.name, example="rack7")
    key_file: Path = key(
        "The file with the secret that both agents share: at least 32 bytes, readable by its owner only.",
        read.absolute_path,
        "/etc/ovsha/pair.key",
    )
    preferred: str = key(
        "The original primary, which serves whenever it can: a switch's name, or clag for whichever clagd elects.",
        read.name,
        MLAG_DECIDES,
    )


@dataclass(frozen=True, kw_only=True)
class Node:
    """The addresses of one switch."""

    peer_link: netaddr.IPAddress | None = key(
        "The switch's address on the peer link, which is also its replication address.",
        read.link_address_or_null,
        None,
        example="169.254.0.9",
    )
    backup_path: netaddr.IPAddress | None = key(
        "The switch's address on clagd's backup path, for the second path of heartbeats; null for none.",
        read.address_or_null,
        None,
        example="192.168.100.1",
    )


@dataclass(frozen=True, kw_only=True)
class PeerLink:
    """The link between the two switches."""

    interface: str = key("The interface of the peer link.", read.interface_name, "peerlink.4094")


@dataclass(frozen=True, kw_only=True)
class BackupPath:
    """Clagd's backup path, by which the agents hear each other besides the peer link."""

    vrf: str = key(
        "The VRF that nodes.NAME.backup_path is in, as clagd-backup-ip names it; null for the default one.",
        read.or_null(read.interface_name),
        None,
        "mgmt",
    )


@dataclass(frozen=True, kw_only=True)
class Vip:
    """The address that only the active side holds."""

    address: netaddr.IPAddress | None = key(
        "The address that the VTEP daemons of both switches connect to, without a prefix length.",
        read.address_or_null,
        None,
        example="169.254.0.11",
    )
    mode: Literal["interface", "loopback", "dummy"] = key(
        "Where it goes: to an interface whose neighbours are told (interface), or, where the network routes it, to the "
        "loopback, or to an interface made for it (dummy).",
        read.choice("interface", "loopback", "dummy"),
        "interface",
    )
    interface: str = key(
        "The interface that gets the VIP; null for the peer link's, or by the mode lo or ovsha-vip.",
        read.or_null(read.interface_name),
        None,
        "peerlink.4094",
    )
    port: int = key("The TCP port on the VIP.", read.port, 9998)
    announce_count: int = key(
        "How often a new holder announces the VIP by gratuitous ARP or neighbour advertisement.",
        read.whole(1, 100),
        5,
    )
    announce_interval: float = key(
        "The time between two announcements; the first goes out at once.", read.seconds(0.01, 60), 1.0
    )

    @property
    def routed(self) -> bool:
        """Whether others reach it by routes, and it has no neighbours that could be told or could have it too."""
        return self.mode != "interface"


@dataclass(frozen=True, kw_only=True)
class Replication:
    """How the backup copies the active side."""

    port: int = key("The TCP port on each switch's replication address.", read.port, 9999)
    token_interval: float = key(
        "How often the active side commits a token, by which the backup measures its lag.",
        read.seconds(0.01, 3600),
        2.0,
    )
    max_lag: float = key("The lag up to which the backup counts as in sync.", read.seconds(0.01, 3600), 1.0)
    tls: bool = key("Whether the copy goes over TLS, and both servers show each other a certificate.", read.flag, False)
    private_key: Path | None = key(
        "The private key of ovsdb-server, towards the peer and the controllers; null leaves that to its options.",
        read.path_or_null,
        None,
        "/etc/openvswitch/sw1-privkey.pem",
    )
    certificate: Path | None = key(
        "The certificate of that key; the peer's server shows the same, or one of the same authority.",
        read.path_or_null,
        None,
        "/etc/openvswitch/sw1-cert.pem",
    )
    ca_cert: Path | None = key(
        "The authorities that are believed, one after the other: that of the certificate, and the controllers'.",
        read.path_or_null,
        None,
        "/etc/openvswitch/ovsha-cacert.pem",
    )


@dataclass(frozen=True, kw_only=True)
class Heartbeat:
    """How the agents hear each other."""

    port: int = key("The UDP port of the heartbeats, on both paths.", read.port, 5344)
    interval: float = key("The time between two heartbeats on a path.", read.seconds(0.01, 10), 0.15)
    dead_interval: float = key(
        "The silence after which a path counts as dead; at least three intervals.",
        read.seconds(0.03, 60),
        0.45,
    )
    stall_interval: float = key(
        "How long the peer's switch may answer nothing but acknowledgements before it counts as dead.",
        read.seconds(1, 600),
        10.0,
    )


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """What one switch may ask the other one: files, traces, bundles."""

    port: int = key("The TCP port on each switch's peer link address, for its peer's questions.", read.port, 5345)


@dataclass(frozen=True, kw_only=True)
class Restore:
    """How the original primary gets the service back after a failover."""

    mode: Literal["automatic", "manual"] = key(
        "Whether the original primary asks for the service by itself (automatic) or waits for the operator (manual).",
        read.choice("automatic", "manual"),
        "automatic",
    )
    delay: float = key("How long it must have been in sync before it asks.", read.seconds(0, 604800), 30.0)


@dataclass(frozen=True, kw_only=True)
class Failover:
    """A move of the service that nobody ordered and to which the other side does not consent, because it cannot."""

    max_behind: float | None = key(
        "How far a copy may be behind what is known of the peer's data and still serve unasked; null for no limit.",
        read.seconds_or_null(0, 604800),
        60.0,
    )


@dataclass(frozen=True, kw_only=True)
class Handover:
    """A planned move of the service."""

    timeout: float = key("How long each step may take before the move is called off.", read.seconds(0.1, 600), 5.0)


@dataclass(frozen=True, kw_only=True)
class LinkCut:
    """A peer link that is cut while both switches live."""

    hold: float = key(
        "How long the peer link must be cut before the clagd primary asks for the service.",
        read.seconds(0, 600),
        3.0,
    )


@dataclass(frozen=True, kw_only=True)
class Guard:
    """When the peer's data is refused, and an operator asked, because too little is left of it."""

    min_share: float = key(
        "The share of our database's cells that the peer's must have to be copied over ours.",
        read.share,
        0.5,
    )
    min_cells: int = key(
        "The number of cells, rows times columns, below which our database is not compared.",
        read.whole(0, 1_000_000_000),
        1000,
    )


@dataclass(frozen=True, kw_only=True)
class Damping:
    """How often the service may move without an operator's order before restores are held."""

    moves: int = key("After so many moves within the window, the service is not given back.", read.whole(1, 1000), 6)
    window: float = key("The window in which moves are counted.", read.seconds(1, 604800), 3600.0)


@dataclass(frozen=True, kw_only=True)
class Pause:
    """A pause, in which the agent of this switch watches and reports and changes nothing."""

    limit: float = key(
        "How long a pause may last; it ends by itself then, with an alarm.", read.seconds(1, 604800), 3600.0
    )


@dataclass(frozen=True, kw_only=True)
class Config:
    """The whole configuration of one agent.

    `peer` is the name of the other switch, "" for a switch that stands alone, `file` where all this was read, None when
    it was not read from a file, `warnings` what is allowed but doubtful: one line each, for the operator.
    After `ovsha.config.parse`, `node` and `vip.interface` are never empty, and `lone_boot` None means wait.
    """

    node: str = key(
        "This switch's own name; null for its host name without the domain.",
        read.or_null(read.name),
        None,
        "sw1",
    )
    mode: Literal["active", "advise"] = key(
        "Whether the agent acts (active), or only says what it would do and changes nothing (advise).",
        read.choice("active", "advise"),
        "active",
    )
    pair: Pair = section(Pair)
    nodes: Mapping[str, Node] = named(Node)
    peer_link: PeerLink = section(PeerLink)
    backup_path: BackupPath = section(BackupPath)
    vip: Vip = section(Vip)
    replication: Replication = section(Replication)
    heartbeat: Heartbeat = section(Heartbeat)
    exchange: Exchange = section(Exchange)
    server: Server = section(Server)
    clag: Clag = section(Clag)
    restore: Restore = section(Restore)
    failover: Failover = section(Failover)
    handover: Handover = section(Handover)
    link_cut: LinkCut = section(LinkCut)
    guard: Guard = section(Guard)
    damping: Damping = section(Damping)
    lone_boot: float | None = key(
        "What a switch does that has never met its peer since it booted: wait, or serve alone after so many seconds.",
        read.wait_or_seconds,
        "wait",
    )
    pause: Pause = section(Pause)
    upgrade: Upgrade = section(Upgrade)
    control: Control = section(Control)
    snapshots: Snapshots = section(Snapshots)
    forensics: Forensics = section(Forensics)
    collisions: Collisions = section(Collisions)
    metrics: Metrics = section(Metrics)
    hooks: Hooks = section(Hooks)
    recorder: Recorder = section(Recorder)
    backup: Backup = section(Backup)
    state_directory: Path = key(
        "Where the agent keeps what must survive a reboot: terms and its journal.",
        read.absolute_path,
        "/var/lib/ovsha",
    )
    run_directory: Path = key(
        "Where the agent's pidfile and control socket are; ovs-appctl -t ovsha looks in the default.",
        read.absolute_path,
        "/var/run/openvswitch",
    )
    peer: str = ""
    file: Path | None = None
    warnings: tuple[str, ...] = ()

    @property
    def standalone(self) -> bool:
        """This switch has no peer: it is the only one under `nodes`, and need have neither peer link nor VIP."""
        return not self.peer

    @property
    def other(self) -> Node:
        """The peer's addresses.  Raises ConfigError as `need_other` does."""
        self.need_other()
        return self.nodes[self.peer]

    def need_other(self) -> None:
        """Raise ConfigError for a switch that stands alone, in words for who asked for what takes two."""
        if self.standalone:
            raise ConfigError(f"{self.node} stands alone, as the only one under nodes: there is no other side")
