"""Turn the text of the configuration file into one frozen `Config`, or say in one line what is wrong with it.

`load` and `parse` refuse what cannot work (ConfigError) and put what is merely doubtful into `Config.warnings`.
Which keys there are, and what each takes, stands in `ovsha.config.schema`.
"""

from __future__ import annotations

import difflib
import os
import secrets
import socket
import stat
from collections.abc import Iterator
from dataclasses import Field, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ovsha.config import values
from ovsha.config.rules import contradictions, doubts
from ovsha.config.schema import LOOPBACK, MLAG_DECIDES, Config
from ovsha.config.values import Default, as_yaml, quote, read_yaml
from ovsha.errors import ConfigError

__all__ = ["Config", "describe", "load", "pair_key", "parse", "read_key"]

KEY_LEAST = 32
"""The length below which a pair key is refused: that of the digest it is used for (RFC 2104, section 3)."""

KEY_MOST = 4096
"""The length above which a file is not taken for a key."""


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
        for key, trouble in contradictions(config):
            raise ConfigError(f"{key}: {trouble}")
    except ConfigError as err:
        raise ConfigError(f"{name}: {err}") from err
    return replace(config, warnings=tuple(f"{name}: {key}: {doubt}" for key, doubt in doubts(config)))


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
            raise ConfigError(f"{key}: {err}; write for example {as_yaml(field.metadata['example'])}") from None
    elif field.metadata["default"] is Default.REQUIRED:
        raise ConfigError(f"{key}: is missing; write for example {as_yaml(field.metadata['example'])}")


def _named(kind: type, values: object, key: str) -> MappingProxyType[str, Any]:
    if not isinstance(values, dict) or len(values) not in (1, 2):
        count = len(values) if isinstance(values, dict) else 0
        raise ConfigError(f"{key}: a pair has two switches, one that stands alone has itself; here are {count} named")
    return MappingProxyType({_node_name(name, key): _section(kind, values[name], f"{key}.{name}.") for name in values})


def _node_name(name: object, key: str) -> str:
    try:
        read: str = values.name(name)
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
