"""Say which keys the configuration file has: what each means, takes, and is when it is left out.

A key is a field of a frozen dataclass, made by `key`: its one-sentence documentation, the reader that turns what
stands in the file into the value the agent works with, and its default as it would stand in the file.  There is no
other list of keys or defaults.  All intervals, delays and limits are seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Literal

import netaddr

from ovsha import config_values as read
from ovsha.errors import ConfigError

MLAG_DECIDES = "clag"
"""The value of `pair.preferred` that leaves the choice to clagd; no switch may bear this name."""


class Default(Enum):
    """What stands in the place of a default where there is none."""

    REQUIRED = "required"


def key(doc: str, reader: read.Reader, default: object = Default.REQUIRED, example: object = None) -> Any:
    """Describe one key of the file; `default` and `example` are written as in the file."""
    metadata = {
        "doc": doc,
        "read": reader,
        "default": default,
        "example": default if example is None else example,
    }
    if default is Default.REQUIRED:
        return field(metadata=metadata)
    return field(default=reader(default), metadata=metadata)


def section(kind: type) -> Any:
    """Describe a mapping of the file whose keys are the fields of `kind`."""
    return field(metadata={"section": kind})


def named(kind: type) -> Any:
    """Describe a mapping from names that the operator chooses to sections of `kind`."""
    return field(metadata={"named": kind})


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
class Server:
    """The ovsdb-server of this switch."""

    pidfile: Path = key(
        "The server's pidfile, by which its control socket is found.",
        read.absolute_path,
        "/var/run/openvswitch/ovsdb-server.pid",
    )
    socket: Path = key(
        "The Unix socket on which the server takes database sessions.",
        read.absolute_path,
        "/var/run/openvswitch/db.sock",
    )
    database: str = key(
        "The name of the database.",
        read.text(r"[A-Za-z_][A-Za-z_0-9]*", "the name of a database"),
        "hardware_vtep",
    )
    file: Path = key(
        "The file the database is kept in, of which snapshots are taken.",
        read.absolute_path,
        "/var/lib/openvswitch/conf.db",
    )
    hang_interval: float = key(
        "How long a server may answer nothing and use no processor time before it counts as hung.",
        read.seconds(0.1, 600),
        3.0,
    )
    stall_limit: float = key(
        "How long a server may answer nothing although it is busy; a resynchronisation takes seconds.",
        read.seconds(0.1, 3600),
        60.0,
    )


@dataclass(frozen=True, kw_only=True)
class Clag:
    """Who is asked for the MLAG role of this switch: clagd, by clagctl or by nv, or a command of your own."""

    source: Literal["auto", "clagctl", "nv", "command"] = key(
        "Who is asked: clagctl, nv, own_command (command), or the first of these that is there, own_command before the "
        "others (auto).",
        read.choice("auto", "clagctl", "nv", "command"),
        "auto",
    )
    command: tuple[str, ...] = key(
        "The command by which clagctl prints the state of clagd as JSON.", read.command, ["/usr/bin/clagctl", "-j"]
    )
    text_command: tuple[str, ...] = key(
        "The command that prints it as text, for releases without the JSON form.",
        read.command,
        ["/usr/bin/clagctl"],
    )
    nv_command: tuple[str, ...] = key(
        "The command by which NVUE prints it as JSON.", read.command, ["/usr/bin/nv", "show", "mlag", "-o", "json"]
    )
    own_command: tuple[str, ...] = key(
        "A command of your own that prints the facts of another MLAG as docs/mlag-sources.rst says; null for none.",
        read.command_or_null,
        None,
        ["/usr/local/sbin/mlag-facts"],
    )
    interval: float = key("The time between two questions.", read.seconds(0.1, 3600), 5.0)
    timeout: float = key("How long the command may take before it is killed.", read.seconds(0.1, 600), 4.0)


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
class Snapshots:
    """The copies of the database that are taken before it may be erased."""

    directory: Path = key("Where the snapshots are kept.", read.absolute_path, "/var/lib/ovsha/snapshots")
    keep: int = key("How many of them are kept.", read.whole(1, 1000), 5)
    max_age: int = key("After how many days one of them is removed; the newest one stays.", read.whole(1, 36500), 30)


@dataclass(frozen=True, kw_only=True)
class Collisions:
    """What gets in the way of this pair: strangers in its name, a second holder of the VIP."""

    keep: int = key("How many of them are kept, and shown by ovsha status.", read.whole(1, 100), 8)
    forget: float = key("How long one is kept after it was last seen.", read.seconds(1, 604800), 3600.0)


@dataclass(frozen=True, kw_only=True)
class Forensics:
    """What is kept of a split brain on the side that gave way, below the state directory."""

    keep: int = key("How many bundles are kept.", read.whole(1, 100), 5)


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """What is told over HTTP: /metrics for Prometheus, /healthz, /active, /backup, and a page."""

    enabled: bool = key("Whether the agent answers there.", read.flag, True)
    address: str = key(
        "The address it listens on; whoever reaches it can read all of it, and change nothing.",
        read.listening_address,
        "127.0.0.1",
    )
    port: int = key("The TCP port.", read.port, 9477)
    page: bool = key("Whether / shows a page with the picture of the pair and its last moves.", read.flag, False)


@dataclass(frozen=True, kw_only=True)
class Hooks:
    """Executables that are run before and after a role changes, and when something is wrong."""

    directory: Path = key(
        "Where they are; each one, and the directory, must belong to root and be writable by nobody else.",
        read.absolute_path,
        "/etc/ovsha/hooks.d",
    )
    limit: float = key("How long one of them may take before it is killed.", read.seconds(0.1, 3600), 10.0)
    hold: float = key("How long something must be wrong before they are told.", read.seconds(0, 3600), 5.0)


@dataclass(frozen=True, kw_only=True)
class Recorder:
    """The flight recorder: what happened and why, kept below the state directory for ovsha history and explain."""

    size: int = key("How many megabytes all of it may take on the disk.", read.whole(1, 100_000), 32)
    days: int = key("After how many days it is removed.", read.whole(1, 36500), 90)


@dataclass(frozen=True, kw_only=True)
class Pause:
    """A pause, in which the agent of this switch watches and reports and changes nothing."""

    limit: float = key(
        "How long a pause may last; it ends by itself then, with an alarm.", read.seconds(1, 604800), 3600.0
    )


@dataclass(frozen=True, kw_only=True)
class Upgrade:
    """An upgrade of the system, which replaces the database and the scripts that start its server."""

    limit: float = key("How long one may take before there is an alarm.", read.seconds(60, 2592000), 14400.0)
    files: tuple[Path, ...] = key(
        "What ovsha upgrade prepare saves beside the database, the configuration, the key and the certificates; a"
        " directory is saved with the files in it.",
        read.absolute_paths,
        [
            "/usr/share/openvswitch/scripts/ovs-ctl-vtep",
            "/etc/default/openvswitch-vtep",
            "/etc/default/ovsha-ovsdb-server",
            "/etc/systemd/system/openvswitch-vtep.service.d",
            "/etc/systemd/system/ovsha.service.d",
            "/etc/systemd/system/ovsha-ovsdb-server.service.d",
            "/etc/ovsha/hooks.d",
        ],
    )


@dataclass(frozen=True, kw_only=True)
class Control:
    """The control socket, by which the agent is asked and given orders."""

    group: str = key(
        "Whose members may ask and give orders like root, if there is such a group on this switch.",
        read.name,
        "ovsha",
    )
    everybody_reads: bool = key(
        "Whether every user of this switch may ask; orders are still taken from root and the group only.",
        read.flag,
        False,
    )


@dataclass(frozen=True, kw_only=True)
class Backup:
    """The backups of ovsha backup, which a timer takes once a day."""

    directory: Path = key("Where the backups are kept.", read.absolute_path, "/var/lib/ovsha/backups")
    keep: int = key("How many of them are kept.", read.whole(1, 1000), 5)
    export: tuple[str, ...] = key(
        "A command that brings a new backup off this switch, called with its path added; null for none.",
        read.command_or_null,
        None,
        ["/usr/local/sbin/ovsha-export"],
    )
    export_limit: float = key("How long that may take before it is ended.", read.seconds(1, 86400), 300.0)


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
