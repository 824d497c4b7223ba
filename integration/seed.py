"""Make the databases the switches start with: a blank one, or one with a pair's configuration and many rows.

Rows are written by a real ovsdb-server that listens on a unix socket only and is gone afterwards; ovsdb-tool takes a
transaction as one word of its command line, which is too short for this.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import rpc
from service import Service

SCHEMA = Path("/usr/share/openvswitch/vtep.ovsschema")
SWITCH = "pair"
LOGICAL_SWITCH = "ls0"
TUNNEL_ADDRESS = "10.0.0.1"
REMOTE_TUNNEL_ADDRESS = "10.0.0.3"
NEWER_VERSION = "99.0.0"
BATCH = 5000


def blank(database: Path, schema: Path = SCHEMA) -> None:
    """Create a database with the hardware_vtep schema and not one row."""
    subprocess.run(["ovsdb-tool", "create", str(database), str(schema)], check=True, capture_output=True)


def newer_schema(path: Path) -> Path:
    """Write the hardware_vtep schema with a column more and a higher version to `path`, and return that."""

    def add(schema: dict[str, Any]) -> None:
        schema["tables"]["Global"]["columns"]["added_later"] = {"type": "string"}
        schema["version"] = NEWER_VERSION

    return _changed(path, add)


def narrow_schema(path: Path) -> Path:
    """Write the hardware_vtep schema with room for one row in each logical switch to `path`, and return that."""

    def add(schema: dict[str, Any]) -> None:
        schema["tables"]["Ucast_Macs_Remote"]["indexes"] = [["logical_switch"]]

    return _changed(path, add)


def _changed(path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    change(schema)
    path.write_text(json.dumps(schema), encoding="utf-8")
    return path


def fill(database: Path, rows: int, manager: str | None) -> None:
    """Add a Physical_Switch, a Logical_Switch, `rows` Ucast_Macs_Remote and one Manager row to a blank database.

    `manager` is the Manager's target, such as "ssl:192.168.100.10:6640"; with None there is no such row.
    """
    first_batch = [_mac_row(n, ["named-uuid", "ls"], ["named-uuid", "loc"]) for n in range(min(rows, BATCH))]
    with _server(database) as socket:
        # In one transaction with the first rows, because a Physical_Locator that nothing refers to is dropped.
        added = rpc.transact(socket, *_configuration(manager), *first_batch, limit=30.0)
        logical_switch, locator = added[0]["uuid"], added[1]["uuid"]
        for first in range(BATCH, rows, BATCH):
            numbers = range(first, min(first + BATCH, rows))
            rpc.transact(socket, *(_mac_row(n, logical_switch, locator) for n in numbers), limit=60.0)


def mac(number: int) -> str:
    """Return the MAC of the seeded row `number`; the controller's stand-in writes other ones."""
    return ":".join(f"{byte:02x}" for byte in (0x0E, 0x5E, *number.to_bytes(4, "big")))


def _configuration(manager: str | None) -> Iterator[dict[str, Any]]:
    yield _insert("Logical_Switch", "ls", name=LOGICAL_SWITCH, tunnel_key=5000)
    yield _insert("Physical_Locator", "loc", encapsulation_type="vxlan_over_ipv4", dst_ip=REMOTE_TUNNEL_ADDRESS)
    yield _insert("Physical_Switch", "ps", name=SWITCH, tunnel_ips=TUNNEL_ADDRESS)
    managers: list[Any] = []
    if manager is not None:
        yield _insert("Manager", "mgr", target=manager)
        managers = [["named-uuid", "mgr"]]
    yield _insert("Global", "g", switches=["set", [["named-uuid", "ps"]]], managers=["set", managers])


def _mac_row(number: int, logical_switch: Any, locator: Any) -> dict[str, Any]:
    row = {"MAC": mac(number), "logical_switch": logical_switch, "locator": locator}
    return {"op": "insert", "table": "Ucast_Macs_Remote", "row": row}


def _insert(table: str, uuid_name: str, /, **row: Any) -> dict[str, Any]:
    return {"op": "insert", "table": table, "uuid-name": uuid_name, "row": row}


@contextmanager
def _server(database: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="oh-seed-") as name:
        directory = Path(name)
        socket = directory / "db.sock"
        command = ["ovsdb-server", "--no-chdir", f"--remote=punix:{socket}"]
        command += [f"--unixctl={directory / 'ctl'}", str(database)]
        environment = {"OVS_RUNDIR": name, "PATH": os.environ["PATH"]}
        server = Service(
            "seeding ovsdb-server",
            lambda: command,
            directory / "log",
            environment,
            ready=lambda: rpc.DATABASE in rpc.call(socket, "list_dbs", []),
        )
        server.start()
        try:
            yield socket
        finally:
            server.stop()
