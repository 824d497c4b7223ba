"""Say which keys the configuration file has: what each means, takes, and is when it is left out.

There is no other list of keys or defaults.  All intervals, delays and limits are seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ovsha import config_values as read
from ovsha.config_keys import key, named, section
from ovsha.config_moves import Damping, Failover, Guard, Handover, LinkCut, Pause, Restore
from ovsha.config_pair import (
    BackupPath,
    Exchange,
    Heartbeat,
    Node,
    Pair,
    PeerLink,
    Replication,
    Vip,
)
from ovsha.config_switch import (
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
from ovsha.errors import ConfigError


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
