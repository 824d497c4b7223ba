"""Say what cannot stand together in a configuration, and what may but asks for trouble.

Both take a whole `Config`, and yield dotted keys with a line for the operator about each.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from itertools import combinations

import netaddr

from ovsha.config.schema import LOOPBACK, MLAG_DECIDES, Config, Node, Vip
from ovsha.config.values import as_yaml, quote

TLS_FILES = ("private_key", "certificate", "ca_cert")
"""The keys of section replication that stand together or not at all."""

LONGEST_STALL = 5.0
"""Seconds that a resynchronisation of 100,000 rows silences a backup on two cores: 4.3 measured, and some margin."""


def contradictions(config: Config) -> Iterator[tuple[str, str]]:
    """Yield each key that cannot be together with the others, and why."""
    if config.pair.preferred not in (*config.nodes, MLAG_DECIDES):
        names = ", ".join((*config.nodes, MLAG_DECIDES))
        yield "pair.preferred", f"{quote(config.pair.preferred)} is not one of {names}"
    yield from _missing_addresses(config)
    yield from _address_contradictions(config)
    beat = config.heartbeat
    # A third of a nanosecond of rounding must not refuse 0.3 for three times 0.1.
    if beat.dead_interval < 3 * beat.interval - 1e-9:
        yield (
            "heartbeat.dead_interval",
            f"{beat.dead_interval:g} is less than three times heartbeat.interval ({beat.interval:g}), "
            f"so that two lost packets would pass for a dead peer; write at least {3 * beat.interval:g}",
        )
    if beat.stall_interval <= beat.dead_interval:
        yield "heartbeat.stall_interval", f"is not longer than heartbeat.dead_interval ({beat.dead_interval:g})"
    if config.exchange.port == config.replication.port:
        yield "exchange.port", f"{config.exchange.port} is already replication.port, at the same address"
    if config.clag.source == "command" and not config.clag.own_command:
        yield (
            "clag.own_command",
            "is missing although clag.source is command; write for example " + as_yaml(["/usr/local/sbin/mlag-facts"]),
        )
    named = [getattr(config.replication, name) is not None for name in TLS_FILES]
    if config.replication.tls or any(named):
        for name, there in zip(TLS_FILES, named, strict=True):
            if not there:
                yield f"replication.{name}", f"is missing; TLS needs all of {', '.join(TLS_FILES)}"
    if config.server.hang_interval > config.server.stall_limit:
        yield "server.hang_interval", f"is longer than server.stall_limit ({config.server.stall_limit:g})"
    if config.lone_boot is not None and config.lone_boot <= beat.dead_interval:
        yield (
            "lone_boot",
            f"is not longer than heartbeat.dead_interval ({beat.dead_interval:g}): the peer has no chance",
        )


def _missing_addresses(config: Config) -> Iterator[tuple[str, str]]:
    """Yield each address that a pair cannot do without, and that one switch alone can."""
    needed: dict[str, tuple[type, netaddr.IPAddress | None]] = {
        f"nodes.{name}.peer_link": (Node, node.peer_link) for name, node in config.nodes.items()
    }
    needed["vip.address"] = (Vip, config.vip.address)
    for key, (kind, value) in needed.items():
        if value is None and not config.standalone:
            field = next(field for field in fields(kind) if field.name == key.rpartition(".")[2])
            yield key, f"is missing; write for example {as_yaml(field.metadata['example'])}"


def _address_contradictions(config: Config) -> Iterator[tuple[str, str]]:
    paths = ("peer_link", "backup_path")
    addresses = {
        f"nodes.{name}.{path}": getattr(node, path)
        for name, node in config.nodes.items()
        for path in paths
        if getattr(node, path) is not None
    }
    for (one, first), (other, second) in combinations(addresses.items(), 2):
        if first == second:
            yield other, f"{second} is already {one}"
    own, peer = config.nodes[config.node], config.nodes.get(config.peer)
    for path in paths if peer else ():
        mine, theirs = getattr(own, path), getattr(peer, path)
        if (mine is None) != (theirs is None):
            lacking = config.node if mine is None else config.peer
            yield f"nodes.{lacking}.{path}", "is missing although the other switch has one; a path needs two ends"
        elif mine is not None and mine.version != theirs.version:
            yield f"nodes.{config.peer}.{path}", f"{theirs} and {mine} are not of one family (IPv4, IPv6)"
    link = config.peer_link.interface
    for name, node in config.nodes.items():
        zone = getattr(node.peer_link, "zone", link)
        if zone != link:
            yield f"nodes.{name}.peer_link", f"the zone of {node.peer_link} is not peer_link.interface, {link}"
    if (config.vip.mode == "loopback") is not (config.vip.interface == LOOPBACK):
        yield "vip.interface", f"{config.vip.interface} is not for vip.mode {config.vip.mode}; leave it out"
    if config.vip.routed and config.vip.interface == link:
        yield "vip.interface", f"{link} is the peer link, and vip.mode {config.vip.mode} wants one for the VIP alone"
    vip = config.vip.address
    for key, taken in addresses.items():
        if vip == taken:
            why = "; a backup that copies from the VIP ends up copying itself" if key.endswith("peer_link") else ""
            yield "vip.address", f"{vip} is already {key}{why}"


def doubts(config: Config) -> Iterator[tuple[str, str]]:
    """Yield each key whose value is allowed but asks for trouble, and which."""
    if not config.standalone and config.nodes[config.node].backup_path is None:
        yield "nodes", "without backup_path a cut peer link cannot be told from a dead peer, and both sides will serve"
        if config.backup_path.vrf:
            yield "backup_path.vrf", "names a VRF, but the switches have no backup_path in it"
    for name, node in config.nodes.items():
        if getattr(node.peer_link, "zone", ""):
            yield (
                f"nodes.{name}.peer_link",
                f"{node.peer_link} is bound to the interface as it is now: when that is deleted and made anew, "
                "ovsdb-server has to be restarted; an address such as fd00:4094::9 beside it does not need that",
            )
        if getattr(node.peer_link, "made_of_mac", False):
            yield (
                f"nodes.{name}.peer_link",
                f"{node.peer_link} is made of the interface's MAC and changes with it; give it a fixed one, such as "
                "fe80::9/64, in /etc/network/interfaces",
            )
    if config.metrics.enabled and not netaddr.IPAddress(config.metrics.address).is_loopback():
        yield "metrics.address", f"whoever reaches {config.metrics.address} can read the state of the pair"
    if config.heartbeat.dead_interval < 0.2:
        yield (
            "heartbeat.dead_interval",
            f"{config.heartbeat.dead_interval:g} is shorter than a loaded switch may keep an agent from running; "
            "a peer that is only slow will look silent (0.2 is the shortest that is advised)",
        )
    limit, tokens = config.failover.max_behind, config.replication.token_interval
    if limit is not None and limit < 2 * tokens and not config.standalone:
        yield (
            "failover.max_behind",
            f"{limit:g} is less than two of replication.token_interval ({tokens:g}): what is under way when the active "
            "side dies may keep the other side from taking over",
        )
    if config.server.hang_interval < 1:
        yield (
            "server.hang_interval",
            f"{config.server.hang_interval:g} is short: a server that waits for its disk neither answers nor uses the "
            "processor, and would count as hung",
        )
    for key, limit in (
        ("heartbeat.stall_interval", config.heartbeat.stall_interval),
        ("server.stall_limit", config.server.stall_limit),
    ):
        if limit < LONGEST_STALL:
            yield (
                key,
                f"{limit:g} may be shorter than a resynchronisation of 100,000 rows, which silences a backup for more "
                "than 4 seconds and its active side for more than 2",
            )
