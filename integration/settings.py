"""Write the configuration file of ovsha for one switch of the lab.

It holds the defaults of the lab where they differ from ovsha's own, the places of this switch's files, and what a test
wants otherwise.  Both switches get the same but for `node` and those places.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from topology import INTERFACE, IPV4, SWITCHES, Plan

VIP = IPV4.vip
VIP_PORT = 9998
REPLICATION_PORT = 9999


def configuration(
    node: str, directory: Path, key_file: Path, clagctl: Sequence[str], plan: Plan = IPV4
) -> dict[str, Any]:
    """Return the configuration of `node`, whose files are in `directory`, as the lab runs it by default."""
    return {
        "node": node,
        "pair": {"id": "lab", "key_file": str(key_file), "preferred": SWITCHES[0]},
        "nodes": {
            each: {"peer_link": plan.peer_link[each], "backup_path": plan.management[each]} for each in SWITCHES
        },
        "peer_link": {"interface": INTERFACE["peer link"]},
        "vip": {"address": plan.vip, "port": VIP_PORT},
        "replication": {"port": REPLICATION_PORT},
        "server": {
            "pidfile": str(directory / "run" / "ovsdb-server.pid"),
            "socket": str(directory / "run" / "db.sock"),
            "database": "hardware_vtep",
            "file": str(directory / "conf.db"),
        },
        "clag": {"command": [*clagctl, "-j"], "text_command": list(clagctl), "interval": 2.0},
        "restore": {"mode": "automatic", "delay": 1.0},
        "snapshots": {"directory": str(directory / "state" / "snapshots")},
        "backup": {"directory": str(directory / "state" / "backups")},
        "state_directory": str(directory / "state"),
        "run_directory": str(directory / "run"),
    }


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with `over` laid upon it, section by section; anything but a section is replaced whole."""
    result = dict(base)
    for key, value in over.items():
        old = result.get(key)
        result[key] = merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return result


def write(path: Path, content: Mapping[str, Any]) -> None:
    """Write the configuration as YAML."""
    path.write_text(yaml.safe_dump(dict(content), sort_keys=False), encoding="utf-8")


def host(address: str) -> str:
    """Return an address as it stands before a colon and a port."""
    return f"[{address}]" if ":" in address else address
