"""Say which keys describe the pair: the two switches, what is between them, and the VIP."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import netaddr

from ovsha import config_values as read
from ovsha.config_keys import key

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
