"""Turn the configuration of one switch into that of the other: the same text but for its `node`."""

from __future__ import annotations

import re
from dataclasses import fields, replace

import yaml

from ovsha import config as configuration
from ovsha.config import Config
from ovsha.config_yaml import read_yaml
from ovsha.errors import ConfigError, DriverError

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
