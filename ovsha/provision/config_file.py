"""Write the configuration file of what is known, for this switch or for the other one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import yaml

from ovsha import config as configuration
from ovsha.config import Config
from ovsha.config.values import read_yaml
from ovsha.errors import ConfigError, DriverError

_NODES = "The switches, by the names that `node` and `pair.preferred` use."


@dataclass(frozen=True, kw_only=True)
class Node:
    """The addresses of one switch, without prefix lengths; None is none."""

    peer_link: str | None = None
    backup_path: str | None = None


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a command has found out or was told; "" and None leave a key as it is, or to its default.

    `more`: any other keys, nested as in the file.
    """

    node: str
    pair: str
    nodes: Mapping[str, Node]
    preferred: str = ""
    key_file: Path | None = None
    interface: str = ""
    backup_vrf: str = ""
    vip: str = ""
    vip_port: int | None = None
    replication_port: int | None = None
    database_file: Path | None = None
    more: Mapping[str, Any] = field(default_factory=dict)

    def values(self) -> dict[str, Any]:
        """Return them nested as in the file."""
        nodes = {
            name: _without_nothing({"peer_link": node.peer_link, "backup_path": node.backup_path})
            for name, node in self.nodes.items()
        }
        told: dict[str, Any] = {
            "node": self.node,
            "pair": {
                "id": self.pair,
                "key_file": None if self.key_file is None else str(self.key_file),
                "preferred": self.preferred,
            },
            "peer_link": {"interface": self.interface},
            "backup_path": {"vrf": self.backup_vrf},
            "vip": {"address": self.vip, "port": self.vip_port},
            "replication": {"port": self.replication_port},
            "server": {"file": None if self.database_file is None else str(self.database_file)},
        }
        # A switch that stands alone has no addresses, and is named all the same.
        return _merged({**_without_nothing(told), "nodes": nodes}, self.more)


def render(settings: Settings, before: str = "") -> str:
    """Return the text of the file; keys of the text `before` that the settings do not speak of are kept.

    The nodes are those of the settings only.  Where `before` means the same already, it is returned as it is, with its
    comments.  Raises ConfigError when `before` is no configuration, or the result cannot be used.
    """
    old = read_yaml(before) if before else None
    kept = dict(old) if isinstance(old, dict) else {}
    named = kept.pop("nodes", None)
    values = settings.values()
    if isinstance(named, dict):
        # What an older file says of the same switch, and we know nothing of, holds.
        values["nodes"] = {
            name: {**(named.get(name) or {}), **node} if isinstance(named.get(name), dict | None) else node
            for name, node in values["nodes"].items()
        }
    text = "\n".join(_lines(_merged(kept, values))) + "\n"
    wanted = configuration.parse(text, "the new configuration")
    return before if before and _means(before) == _meaning(wanted) else text


def _means(text: str) -> object:
    try:
        return _meaning(configuration.parse(text, "the older configuration"))
    except ConfigError:
        return None


def _meaning(config: Config) -> object:
    return {each.name: getattr(config, each.name) for each in fields(config) if each.name not in ("warnings", "file")}


def _lines(values: Mapping[str, Any]) -> Iterator[str]:
    yield "# The configuration of ovsha.  What is not here has its default: see /usr/share/ovsha/ovsha.yaml."
    comments = {each.name: each.metadata["section"].__doc__ for each in fields(Config) if "section" in each.metadata}
    comments["nodes"] = _NODES
    defaults = {key: default for key, default, _ in configuration.describe()}
    order = [each.name for each in fields(Config) if each.metadata]
    for name in sorted(values, key=lambda name: order.index(name) if name in order else len(order)):
        below = values[name]
        if not isinstance(below, dict):
            if below != defaults.get(name):
                yield ""
                yield f"{name}: {_inline(below)}"
            continue
        shown = {key: value for key, value in below.items() if value != defaults.get(f"{name}.{key}", ...)}
        if shown:
            yield ""
            if name in comments:
                yield f"# {comments[name].splitlines()[0]}"
            yield f"{name}:"
            yield from (f"  {key}: {_inline(value)}" for key, value in shown.items())


def _inline(value: object) -> str:
    """Return it on one line; a word that our reader takes for text anyway needs no quotes."""
    plain = {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value
    text: str = yaml.safe_dump(plain, default_flow_style=True, sort_keys=False, width=10_000, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...")


def _without_nothing(values: Mapping[str, Any]) -> dict[str, Any]:
    found = {}
    for key, value in values.items():
        kept = _without_nothing(value) if isinstance(value, Mapping) else value
        if kept not in ("", None, {}):
            found[key] = kept
    return found


def _merged(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Return both, the second one's word above the first one's, section by section."""
    made = dict(first)
    for key, value in second.items():
        below = made.get(key)
        made[key] = _merged(below, value) if isinstance(below, dict) and isinstance(value, Mapping) else value
    return made


_NODE = re.compile(r"^node[ \t]*:.*$", re.MULTILINE)


def text(own: str, config: Config) -> str:
    """Return the text for the peer of the switch whose configuration is the text `own`, read as `config`.

    Its comments stay.  Raises DriverError where that cannot be done.
    """
    line = f"node: {config.peer}"
    candidates = [_NODE.sub(line, own, count=1) if _NODE.search(own) else f"{line}\n{own}", _anew(own, config.peer)]
    wanted = replace(config, node=config.peer, peer=config.node)
    for made in candidates:
        try:
            found = configuration.parse(made, "the configuration of the other switch")
        except ConfigError:
            continue
        if all(getattr(found, each.name) == getattr(wanted, each.name) for each in fields(found) if each.metadata):
            return made
    raise DriverError(f"{config.file}: cannot be turned into the configuration of {config.peer}; write that by hand")


def _anew(own: str, peer: str) -> str:
    """Return it without comments, for a file whose form is beyond a replaced line."""
    values = read_yaml(own)
    mapping = values if isinstance(values, dict) else {}
    text: str = yaml.safe_dump({**mapping, "node": peer}, sort_keys=False, allow_unicode=True)
    return text
