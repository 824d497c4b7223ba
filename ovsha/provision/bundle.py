"""What the second switch of a pair needs to join it, in one file, which is as secret as the pair key in it.

The file is JSON.  Its fingerprint is over what makes the pair: names, key, configuration, certificates, the identity of
the switch that made it.  It stays the same however often the bundle is made, by file or over ssh, so that an operator
can compare what one switch printed with what the other one got.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import re
import stat
import subprocess
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ovsha import codec
from ovsha import config as configuration
from ovsha.config import KEY_LEAST, KEY_MOST, Config
from ovsha.core import stamps
from ovsha.core.facts import Schema, Stamp
from ovsha.errors import ConfigError, DriverError, UsageError

FORMAT = "ovsha join bundle 1"
MODE = 0o600
MOST = 8 << 20
"""Bytes above which a file is not taken for a bundle: it holds a key, a configuration and certificates."""

_GROUP, _DIGITS = 4, 20
_ANEW = "make a new one by `ovsha init` on the first switch"


@dataclass(frozen=True, slots=True)
class File:
    """A file that both switches have alike: a certificate, its key, the authority, the server's options."""

    path: str
    mode: int
    content: bytes


@dataclass(frozen=True, slots=True)
class Bundle:
    """What a switch needs to join a pair.

    `maker`: the node that made it, `identity` its own; `node`: the name of the switch that joins.  `config` is the
    text of that switch's configuration, `key` the content of its key file.  The rest tells of the maker's database at
    the time it was `made`: seconds since 1970 by its clock.
    """

    pair: str
    maker: str
    identity: str
    node: str
    config: str
    key: bytes
    files: tuple[File, ...]
    stamp: Stamp | None
    schema: Schema
    rows: int
    made: float
    version: str

    @property
    def fingerprint(self) -> str:
        """What two people compare: 20 hex digits in groups of four, from which nothing secret can be told."""
        lasting = replace(self, stamp=None, schema=Schema("", "", ""), rows=0, made=0.0, version="")
        digits = hashlib.sha256(_text(_plain(lasting)).encode()).hexdigest()[:_DIGITS]
        return ":".join(digits[at : at + _GROUP] for at in range(0, _DIGITS, _GROUP))

    def settings(self) -> Config:
        """Return the configuration of the switch that joins.  Raises DriverError when it cannot be used."""
        try:
            config = configuration.parse(self.config, "the configuration in the bundle")
        except ConfigError as error:
            raise DriverError(f"{error}; was it made by a newer ovsha ({self.version})?") from None
        if (config.node, config.peer, config.pair.id) != (self.node, self.maker, self.pair):
            raise DriverError("the bundle contradicts itself: its configuration is that of another switch or pair")
        return config


def pack(bundle: Bundle) -> str:
    """Return the text of the file."""
    body = _plain(bundle)
    return json.dumps({"format": FORMAT, "checksum": _checksum(body), **body}, indent=1) + "\n"


def unpack(text: str, name: str) -> Bundle:
    """Return what the text says; `name` stands for it in the DriverError that is raised when it cannot be used."""
    try:
        body = codec.parse(text)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict) or not str(body.get("format", "")).startswith(FORMAT.rpartition(" ")[0]):
        raise DriverError(f"{name}: is no join bundle, or is damaged; {_ANEW}")
    if body.pop("format") != FORMAT:
        made_by = body.get("version")
        raise DriverError(f"{name}: was made by another release of ovsha ({made_by}); upgrade both switches")
    if body.pop("checksum", None) != _checksum(body):
        raise DriverError(f"{name}: is damaged; {_ANEW}")
    try:
        found = _read(body)
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise DriverError(f"{name}: lacks what a join bundle has ({error}); {_ANEW}") from None
    for each in found.files:
        path = Path(each.path)
        if not path.is_absolute() or ".." in path.parts:
            raise DriverError(f"{name}: has a file that belongs nowhere: {each.path}")
    if not KEY_LEAST <= len(found.key.strip()) <= KEY_MOST:
        raise DriverError(f"{name}: holds no pair key; {_ANEW}")
    return found


def load(path: Path) -> Bundle:
    """Return the bundle in a file.

    Raises UsageError for a file that others than its owner could read, DriverError for one that is no bundle.
    """
    try:
        # Not to block on a FIFO, and to look at the very file that is read.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                raise DriverError(f"{path}: is not a regular file, so it cannot be a join bundle")
            if status.st_mode & 0o077:
                mode = stat.S_IMODE(status.st_mode)
                raise UsageError(
                    f"{path}: mode {mode:04o} lets others than its owner in, and the pair key is in it;"
                    f" if nobody has read it: chmod 0600 {path}"
                )
            with os.fdopen(os.dup(handle), "rb") as file:
                data = file.read(MOST + 1)
        finally:
            os.close(handle)
        if len(data) > MOST:
            raise DriverError(f"{path}: is too large for a join bundle")
        return unpack(data.decode(), str(path))
    except UnicodeDecodeError:
        raise DriverError(f"{path}: is no join bundle, or is damaged; {_ANEW}") from None
    except OSError as error:
        raise DriverError(f"{path}: cannot be read: {error.strerror}") from None


def _plain(bundle: Bundle) -> dict[str, Any]:
    return {
        **asdict(bundle),
        "key": base64.b64encode(bundle.key).decode(),
        "files": [
            {"path": each.path, "mode": f"{each.mode:04o}", "content": base64.b64encode(each.content).decode()}
            for each in bundle.files
        ],
    }


def _read(body: dict[str, Any]) -> Bundle:
    texts = {name: _a_text(body, name) for name in ("pair", "maker", "identity", "node", "config", "version")}
    stamp, schema = body["stamp"], body["schema"]
    return Bundle(
        **texts,
        key=base64.b64decode(body["key"], validate=True),
        files=tuple(
            File(_a_text(each, "path"), int(each["mode"], 8) & 0o777, base64.b64decode(each["content"], validate=True))
            for each in body["files"]
        ),
        stamp=None if stamp is None else _a_stamp(stamp),
        schema=Schema(_a_text(schema, "name"), _a_text(schema, "version"), _a_text(schema, "checksum")),
        rows=stamps.whole(body["rows"]),
        made=float(body["made"]),
    )


def _a_stamp(body: dict[str, Any]) -> Stamp:
    return Stamp(stamps.whole(body["term"]), stamps.name(body["node"]), bool(body["chosen"]))


def _a_text(body: dict[str, Any], name: str) -> str:
    if not isinstance(body[name], str):
        raise TypeError(f"{name} is no text")
    return str(body[name])


def _text(body: dict[str, Any]) -> str:
    return json.dumps(body, sort_keys=True, separators=(",", ":"))


def _checksum(body: dict[str, Any]) -> str:
    return hashlib.sha256(_text(body).encode()).hexdigest()


SCHEME = "ssh://"
REMOTE = "if [ $(id -u) = 0 ]; then exec ovsha init --print-bundle; else exec sudo -n ovsha init --print-bundle; fi"

WHERE = re.compile(
    r"(?:(?P<user>[^@\s/:-][^@\s/:]*)@)?(?P<host>\[[0-9A-Fa-f:.%\w]+\]|[^@\s/:\[\]-][^@\s/:\[\]]*)"
    r"(?::(?P<port>\d+))?/?"
)


def get(source: str) -> Bundle:
    """Return the bundle from the path or from the ssh://[USER@]HOST[:PORT] that `source` is.

    Raises UsageError and DriverError.
    """
    if "://" in source and not source.startswith(SCHEME):
        raise UsageError(f"{source}: a bundle is a file, or comes from {SCHEME}[USER@]HOST[:PORT]")
    return over_ssh(source) if source.startswith(SCHEME) else load(Path(source))


def over_ssh(source: str) -> Bundle:
    """Return what `ovsha init --print-bundle` prints on the other switch.

    ssh asks its questions on the terminal itself.  Raises UsageError for no such address, DriverError.
    """
    found = WHERE.fullmatch(source.removeprefix(SCHEME))
    if found is None:
        raise UsageError(f"{source}: is no {SCHEME}[USER@]HOST[:PORT]")
    user, host = found["user"], found["host"].strip("[]")
    where = f"{user}@{host}" if user else host
    command = ["ssh", *(["-p", found["port"]] if found["port"] else []), "--", where, REMOTE]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    except OSError as error:
        raise DriverError(f"ssh cannot be run: {error.strerror}; bring the bundle as a file instead") from None
    if done.returncode != 0:
        raise DriverError(
            f"no bundle came from {where} (exit status {done.returncode}, its words are above): run there, as root,"
            " `ovsha init --print-bundle >FILE`, and bring the file"
        )
    return unpack(done.stdout.decode(errors="replace"), source)
