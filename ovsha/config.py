"""Turn the text of the configuration file into one frozen `Config`, or say in one line what is wrong with it.

`load` and `parse` refuse what cannot work (ConfigError) and put what is merely doubtful into `Config.warnings`.
Which keys there are, and what each takes, stands in `ovsha.config_schema`.
"""

from __future__ import annotations

import difflib
import os
import secrets
import socket
import stat
from collections.abc import Iterator
from dataclasses import Field, fields, replace
from itertools import combinations
from pathlib import Path
from types import MappingProxyType
from typing import Any

import netaddr
import yaml

from ovsha import config_values
from ovsha.config_schema import MLAG_DECIDES, Config, Default, Node, Vip
from ovsha.config_values import quote
from ovsha.config_yaml import read_yaml
from ovsha.errors import ConfigError

__all__ = ["Config", "describe", "load", "pair_key", "parse", "read_key"]

KEY_LEAST = 32
"""The length below which a pair key is refused: that of the digest it is used for (RFC 2104, section 3)."""

KEY_MOST = 4096
"""The length above which a file is not taken for a key."""

LOOPBACK = "lo"

TLS_FILES = ("private_key", "certificate", "ca_cert")
"""The keys of section replication that stand together or not at all."""

LONGEST_STALL = 5.0
"""Seconds that a resynchronisation of 100,000 rows silences a backup on two cores: 4.3 measured, and some margin."""


def load(path: Path) -> Config:
    """Return what the file at `path` says; ConfigError, with the path in it, when it cannot be used."""
    try:
        text = path.read_bytes().decode()
    except OSError as err:
        raise ConfigError(f"{path}: cannot be read: {err.strerror}") from err
    except UnicodeDecodeError as err:
        raise ConfigError(f"{path}: byte {err.start} is not UTF-8 text") from err
    return replace(parse(text, str(path)), file=path.absolute())


def parse(text: str, name: str) -> Config:
    """Return what `text` says; `name` stands for it in the ConfigError raised when it cannot be used."""
    try:
        values = read_yaml(text)
        if values is None:
            needed = ", ".join([*(key for key, default, _ in describe() if default is Default.REQUIRED), "nodes"])
            raise ConfigError(f"is empty; what it needs at least is {needed}")
        config = _settled(_section(Config, values, ""))
        for key, trouble in _contradictions(config):
            raise ConfigError(f"{key}: {trouble}")
    except ConfigError as err:
        raise ConfigError(f"{name}: {err}") from err
    return replace(config, warnings=tuple(f"{name}: {key}: {doubt}" for key, doubt in _doubts(config)))


def read_key(path: Path) -> bytes:
    """Return the secret of the pair, without white space around it.

    Raises ConfigError for a file that is missing, too short, or open to others than its owner.
    """
    try:
        # Not to block on a FIFO, and to look at the very file that is read.
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            status = os.fstat(file)
            if not stat.S_ISREG(status.st_mode):
                raise ConfigError(f"{path}: is not a regular file, so it cannot be the pair key")
            if status.st_mode & 0o077:
                mode = stat.S_IMODE(status.st_mode)
                raise ConfigError(f"{path}: mode {mode:04o} lets others than its owner in; run: chmod 0600 {path}")
            key = os.read(file, KEY_MOST + 1).strip()
        finally:
            os.close(file)
    except OSError as err:
        hint = f"; run: (umask 077; openssl rand -hex 32 > {path}) and copy it to the peer"
        missing = isinstance(err, FileNotFoundError)
        raise ConfigError(f"{path}: the pair key cannot be read: {err.strerror}{hint if missing else ''}") from err
    if not KEY_LEAST <= len(key) <= KEY_MOST:
        raise ConfigError(f"{path}: holds {len(key)} bytes, but a pair key has {KEY_LEAST} to {KEY_MOST}")
    return key


def pair_key(config: Config) -> bytes:
    """Return the secret of the pair, and for a switch that stands alone one that nobody else has.

    Raises ConfigError as `read_key` does.
    """
    return secrets.token_bytes(KEY_LEAST) if config.standalone else read_key(config.pair.key_file)


def describe() -> list[tuple[str, object, str]]:
    """Return dotted key, default as it stands in a file (or Default.REQUIRED), and documentation of every key.

    A switch's own keys are under `nodes.NAME`.
    """
    return [(key, field.metadata["default"], field.metadata["doc"]) for key, field in _keys(Config, "")]


def _keys(kind: type, path: str) -> Iterator[tuple[str, Field[Any]]]:
    for field in fields(kind):
        below = field.metadata.get("section") or field.metadata.get("named")
        if below is not None:
            yield from _keys(below, f"{path}{field.name}." + ("NAME." if "named" in field.metadata else ""))
        elif field.metadata:
            yield path + field.name, field


def _section(kind: type, values: object, path: str) -> Any:
    """Make a `kind` of the mapping at `path`; a heading with nothing below it takes all defaults."""
    values = {} if values is None else values
    if not isinstance(values, dict):
        where = path.rstrip(".") + ": " if path else ""
        raise ConfigError(f"{where}{quote(values)} stands where keys with their values belong (key: value)")
    known = {field.name: field for field in fields(kind) if field.metadata}
    for name in values:
        if name not in known:
            raise ConfigError(f"{path}{name}: there is no such key; {_nearest(str(name), list(known))}")
    return kind(**{name: value for name, field in known.items() for value in _value(field, values, path)})


def _value(field: Field[Any], values: dict[str, object], path: str) -> Iterator[Any]:
    """Yield the value of the key that `field` describes, or nothing when its default holds."""
    key = path + field.name
    if "section" in field.metadata:
        yield _section(field.metadata["section"], values.get(field.name), f"{key}.")
    elif "named" in field.metadata:
        yield _named(field.metadata["named"], values.get(field.name), key)
    elif field.name in values:
        try:
            yield field.metadata["read"](values[field.name])
        except ValueError as err:
            raise ConfigError(f"{key}: {err}; write for example {_as_yaml(field.metadata['example'])}") from None
    elif field.metadata["default"] is Default.REQUIRED:
        raise ConfigError(f"{key}: is missing; write for example {_as_yaml(field.metadata['example'])}")


def _named(kind: type, values: object, key: str) -> MappingProxyType[str, Any]:
    if not isinstance(values, dict) or len(values) not in (1, 2):
        count = len(values) if isinstance(values, dict) else 0
        raise ConfigError(f"{key}: a pair has two switches, one that stands alone has itself; here are {count} named")
    return MappingProxyType({_node_name(name, key): _section(kind, values[name], f"{key}.{name}.") for name in values})


def _node_name(name: object, key: str) -> str:
    try:
        read: str = config_values.name(name)
    except ValueError as err:
        raise ConfigError(f"{key}: {err}; write for example sw1") from None
    if read == MLAG_DECIDES:
        raise ConfigError(f"{key}: a switch cannot be called {read}, which has a meaning of its own in pair.preferred")
    return read


def _nearest(name: str, known: list[str]) -> str:
    """Name the key that was probably meant: one like it here, one of the same name elsewhere, or all there are."""
    near = difflib.get_close_matches(name, known, n=1) or [
        key for key, _ in _keys(Config, "") if key.rpartition(".")[2] == name
    ]
    return f"did you mean {near[0]}?" if near else f"here are known: {', '.join(known)}"


def _as_yaml(value: object) -> str:
    text: str = yaml.safe_dump(value, default_flow_style=True, width=10_000)
    return text.removesuffix("\n").removesuffix("\n...")


def _settled(config: Config) -> Config:
    """Fill in what follows from other keys or from the machine."""
    node = config.node or socket.gethostname().partition(".")[0]
    if node not in config.nodes:
        whose = "" if config.node else " (the name of this host)"
        raise ConfigError(f"node: {quote(node)}{whose} is not among nodes: {', '.join(config.nodes)}")
    peer = next((other for other in config.nodes if other != node), "")
    usual = {"interface": config.peer_link.interface, "loopback": LOOPBACK, "dummy": "ovsha-vip"}
    vip = replace(config.vip, interface=config.vip.interface or usual[config.vip.mode])
    return replace(config, node=node, peer=peer, vip=vip)


def _contradictions(config: Config) -> Iterator[tuple[str, str]]:
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
        yield "clag.own_command", "is missing although clag.source is command; write for example " + _as_yaml(
            ["/usr/local/sbin/mlag-facts"]
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
            yield key, f"is missing; write for example {_as_yaml(field.metadata['example'])}"


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


def _doubts(config: Config) -> Iterator[tuple[str, str]]:
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
