"""Turn one value of the configuration file into what the agent works with, or say why that cannot be.

A reader takes what stands in the file and returns the value, or raises ValueError with what is wrong with it;
`ovsha.config` knows the file and the key and adds them.  The factories here make readers.

A key has its one-sentence documentation, the reader that turns what stands in the file into the value the agent works
with, and its default as it would stand in the file.

Plain words are text unless they are a decimal number or null: no dates, no `on` and `off`, no 1:30.  A key that is
there twice is refused, of which YAML itself would silently take the second; so are anchors, aliases and tags, by
which a small file could become large, and nesting deep enough to trouble the parser.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Callable
from dataclasses import field
from enum import Enum
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any

import netaddr
import yaml

from ovsha.errors import ConfigError

Reader = Callable[[object], Any]

PARKING_ADDRESS = netaddr.IPAddress("192.0.2.254")
"""An address that cannot answer (RFC 5737, TEST-NET-1): a backup pointed there copies nothing and keeps its data."""


def quote(value: object) -> str:
    """Return `value` on one short line, for a message."""
    return "null" if value is None else reprlib.repr(value)


def as_yaml(value: object) -> str:
    """Return `value` as it would stand in the file, on one line."""
    text: str = yaml.safe_dump(value, default_flow_style=True, width=10_000)
    return text.removesuffix("\n").removesuffix("\n...")


def seconds(least: float, most: float) -> Reader:
    """Read a number of seconds that is not outside `least` to `most`."""

    def read(value: object) -> float:
        if isinstance(value, str) and re.fullmatch(r"[0-9][0-9.]* *[A-Za-zµ]+", value):
            raise ValueError(f"{quote(value)} is not a number of seconds, which is written without a unit")
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            raise ValueError(f"{quote(value)} is not a number of seconds")
        if not least <= value <= most:
            raise ValueError(f"{quote(value)} is not between {least:g} and {most:g} seconds")
        return float(value)

    return read


def whole(least: int, most: int, what: str = "a whole number") -> Reader:
    """Read an integer that is not outside `least` to `most`."""

    def read(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise ValueError(f"{quote(value)} is not {what} from {least} to {most}")
        return value

    return read


def share(value: object) -> float:
    """Read a share of a whole, from 0 to 1."""
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value <= 1:
        raise ValueError(f"{quote(value)} is not a share from 0 to 1")
    return float(value)


port = whole(1, 65535, "a port")


def text(pattern: str, what: str) -> Reader:
    """Read a string that matches `pattern` as a whole."""

    def read(value: object) -> str:
        if isinstance(value, (int, float)):
            raise ValueError(f"{value!r} is a number where {what} is wanted: put it into quotes")
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise ValueError(f"{quote(value)} is not {what}")
        return value

    return read


name = text(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", "a name (letters, digits, '.', '_' and '-', at most 63)")
interface_name = text(r"(?!\.\.?$)[^\s/:]{1,15}", "the name of an interface (at most 15 characters)")


def or_null(read: Reader) -> Reader:
    """Read what `read` reads, or null, which becomes the empty string."""
    return lambda value: "" if value is None else read(value)


def seconds_or_null(least: float, most: float) -> Reader:
    """Read a number of seconds that is not outside `least` to `most`, or null, which becomes None: no limit."""
    read = seconds(least, most)
    return lambda value: None if value is None else read(value)


def choice(*words: str) -> Reader:
    """Read one of `words`."""

    def read(value: object) -> str:
        if value not in words or not isinstance(value, str):
            raise ValueError(f"{quote(value)} is not {' or '.join(words)}")
        return value

    return read


def flag(value: object) -> bool:
    """Read true or false; a plain word is a text to our reader of YAML."""
    words = {"true": True, "false": False}
    if isinstance(value, bool):
        return value
    if not isinstance(value, str) or value not in words:
        raise ValueError(f"{quote(value)} is not true or false")
    return words[value]


def listening_address(value: object) -> str:
    """Read an address of this switch to listen on: the loopback's, any of its own, or 0.0.0.0 or :: for all of them."""
    try:
        return str(netaddr.IPAddress(value if isinstance(value, str) else "", flags=netaddr.INET_PTON))
    except (netaddr.AddrFormatError, ValueError):
        raise ValueError(f"{quote(value)} is not an IP address") from None


def absolute_path(value: object) -> Path:
    """Read the path of a file or directory, from the root."""
    if not isinstance(value, str) or not value.startswith("/") or "\0" in value:
        raise ValueError(f"{quote(value)} is not an absolute path")
    return Path(value)


def absolute_paths(value: object) -> tuple[Path, ...]:
    """Read a list of paths from the root; it may be empty."""
    if not isinstance(value, list):
        raise ValueError(f"{quote(value)} is not a list of absolute paths")
    return tuple(absolute_path(each) for each in value)


def path_or_null(value: object) -> Path | None:
    """Read the path of a file, or null for none."""
    return None if value is None else absolute_path(value)


def command(value: object) -> tuple[str, ...]:
    """Read a command as a list of words, the program with its whole path: no shell looks at it."""
    if not isinstance(value, list) or not value or not all(isinstance(word, str) and word for word in value):
        raise ValueError(f"{quote(value)} is not a list of the words of a command")
    if not value[0].startswith("/"):
        raise ValueError(f"{quote(value[0])} is not the absolute path of a program")
    return tuple(value)


def command_or_null(value: object) -> tuple[str, ...]:
    """Read a command, or null, which becomes one without words."""
    return () if value is None else command(value)


class ZonedAddress(netaddr.IPAddress):
    """A link-local IPv6 address with its zone, the interface that it means something on; it is written with it."""

    __slots__ = ("zone",)

    def __init__(self, address: str, zone: str) -> None:
        super().__init__(address, flags=netaddr.INET_PTON)
        self.zone = zone

    def __str__(self) -> str:
        return f"{super().__str__()}%{self.zone}"

    def __eq__(self, other: object) -> bool:
        return str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    @property
    def made_of_mac(self) -> bool:
        """Whether it looks like one that the kernel made of the interface's MAC (RFC 4291, appendix A)."""
        return int(self) >> 24 & 0xFFFF == 0xFFFE


def link_address(value: object) -> netaddr.IPAddress:
    """Read an address as `address` does, or a link-local IPv6 address with its zone: fe80::9%peerlink.4094."""
    text, percent, zone = value.partition("%") if isinstance(value, str) else ("", "", "")
    if not percent:
        try:
            return address(value)
        except ValueError as err:
            more = f"; add it, as {text}%peerlink.4094" if "means nothing without" in str(err) else ""
            raise ValueError(f"{err}{more}") from None
    try:
        read = ZonedAddress(text, interface_name(zone))
    except (netaddr.AddrFormatError, ValueError):
        raise ValueError(f"{quote(value)} is not an IP address") from None
    if read.version != 6 or not read.is_link_local():
        raise ValueError(f"{quote(value)} is not a link-local IPv6 address, and only those have a zone")
    return read


def address(value: object) -> netaddr.IPAddress:
    """Read an IPv4 or IPv6 address that one host can have and another can reach."""
    try:
        # Without INET_PTON the Debian 12 release of netaddr takes '10' for 0.0.0.10.
        read = netaddr.IPAddress(value if isinstance(value, str) else "", flags=netaddr.INET_PTON)
    except (netaddr.AddrFormatError, ValueError):
        more = ", which is written without a prefix length" if "/" in str(value) else ""
        raise ValueError(f"{quote(value)} is not an IP address{more}") from None
    if read.is_multicast() or read.is_loopback() or int(read) in (0, 2**32 - 1):
        raise ValueError(f"{read} is not the address of one switch that another can reach")
    if read.version == 6 and read.is_link_local():
        raise ValueError(f"{read} is a link-local IPv6 address, which means nothing without an interface")
    if read == PARKING_ADDRESS:
        raise ValueError(f"{read} is the address that must never answer: backups are parked on it")
    return read


def address_or_null(value: object) -> netaddr.IPAddress | None:
    """Read an address, or null for none."""
    return None if value is None else address(value)


def link_address_or_null(value: object) -> netaddr.IPAddress | None:
    """Read an address of a link, or null for none."""
    return None if value is None else link_address(value)


def wait_or_seconds(value: object) -> float | None:
    """Read a number of seconds, or the word `wait`, which becomes None: for ever."""
    if value == "wait":
        return None
    try:
        return float(seconds(0, 86400)(value))
    except ValueError as err:
        raise ValueError(f"{err}, nor the word wait") from None


class Default(Enum):
    """What stands in the place of a default where there is none."""

    REQUIRED = "required"


def key(doc: str, reader: Reader, default: object = Default.REQUIRED, example: object = None) -> Any:
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


DEPTH = 8
"""The nesting above which a file is refused; ours needs three."""


def read_yaml(text: str) -> Any:
    """Return dicts, lists, texts, ints, floats and Nones; None for an empty text.

    Raises ConfigError with the line and what is wrong there.
    """
    try:
        _refuse_cleverness(text)
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as err:
        line = f"line {err.problem_mark.line + 1}: " if err.problem_mark else ""
        raise ConfigError(line + ", ".join(filter(None, (err.context, err.problem)))) from err
    except yaml.YAMLError as err:
        raise ConfigError(" ".join(str(err).split())) from err


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 (PyYAML's own form)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise _refusal(f"the key {quote(key.value)} is there twice", key)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


_NUMBER_STARTS = list("-+.0123456789")
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"[-+]?(0|[1-9][0-9]{0,17})$"), _NUMBER_STARTS)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?$"),
    _NUMBER_STARTS,
)
_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"(~|null|)$"), ["~", "n", ""])


def _refuse_cleverness(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEPTH:
            raise _refusal("is nested too deeply", event)
        if isinstance(event, yaml.NodeEvent) and (event.anchor or getattr(event, "tag", None)):
            raise _refusal("anchors, aliases and tags of YAML are not used here", event)


def _refusal(problem: str, where: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=where.start_mark)


def bare(address: object) -> IPv4Address | IPv6Address:
    """Return the address without the zone of a link-local one: fe80::9 of fe80::9%peerlink.4094."""
    return ip_address(str(address).partition("%")[0])
