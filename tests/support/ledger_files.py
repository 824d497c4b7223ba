"""Database files made up record by record, as ovsdb-server writes them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SCHEMA: dict[str, Any] = {
    "name": "hardware_vtep",
    "version": "1.7.0",
    "tables": {
        "Global": {
            "columns": {"other_config": {"type": {"key": "string", "value": "string", "min": 0, "max": "unlimited"}}},
            "isRoot": True,
        },
        "Manager": {
            "columns": {
                "target": {"type": "string"},
                "is_connected": {"type": "boolean", "ephemeral": True},
            },
            "indexes": [["target"]],
        },
        "Physical_Locator": {"columns": {"dst_ip": {"type": "string"}}, "indexes": [["dst_ip"]]},
        "Ucast_Macs_Remote": {
            "columns": {
                "MAC": {"type": "string"},
                "ipaddr": {"type": "string"},
                "logical_switch": {"type": "string"},
                "locator": {"type": {"key": {"type": "uuid", "refTable": "Physical_Locator"}}},
            },
            "isRoot": True,
        },
    },
}

NAMES = {"term": "ovsha:term", "node": "ovsha:node", "token": "ovsha:token"}


def record(content: Mapping[str, Any]) -> bytes:
    text = json.dumps(content).encode() + b"\n"
    return b"OVSDB JSON %d %s\n" % (len(text), hashlib.sha1(text).hexdigest().encode()) + text


def stamp(**keys: str) -> dict[str, Any]:
    """Return a transaction that writes these of our keys."""
    pairs = [[NAMES[name], value] for name, value in keys.items()]
    return {"Global": {"g": {"other_config": ["map", pairs]}}, "_date": 1, "_is_diff": True}


def mac(number: int) -> dict[str, Any]:
    return {"Ucast_Macs_Remote": {f"u{number}": {"MAC": f"00:00:00:00:00:{number:02x}"}}, "_date": 1}


def write(path: Path, *transactions: Mapping[str, Any], schema: Mapping[str, Any] = SCHEMA) -> Path:
    path.write_bytes(b"".join(map(record, (schema, *transactions))))
    return path
