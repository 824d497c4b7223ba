"""Say which keys describe what one switch has and keeps: its server, its MLAG, its files, who may ask it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ovsha.config import values as read
from ovsha.config.values import key


@dataclass(frozen=True, kw_only=True)
class Server:
    """The ovsdb-server of this switch."""

    pidfile: Path = key(
        "The server's pidfile; its control socket is beside it.",
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
class Snapshots:
    """The copies of the database that are taken before it may be erased."""

    directory: Path = key("Where the snapshots are kept.", read.absolute_path, "/var/lib/ovsha/snapshots")
    keep: int = key("How many of them are kept.", read.whole(1, 1000), 5)
    max_age: int = key("After how many days one of them is removed; the newest one stays.", read.whole(1, 36500), 30)


@dataclass(frozen=True, kw_only=True)
class Forensics:
    """What is kept of a split brain on the side that gave way, below the state directory."""

    keep: int = key("How many bundles are kept.", read.whole(1, 100), 5)


@dataclass(frozen=True, kw_only=True)
class Collisions:
    """What gets in the way of this pair: strangers in its name, a second holder of the VIP."""

    keep: int = key("How many of them are kept, and shown by ovsha status.", read.whole(1, 100), 8)
    forget: float = key("How long one is kept after it was last seen.", read.seconds(1, 604800), 3600.0)


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
