"""Do to a real backup what makes ovsdb-server give its copy up and become active and writable by itself.

Each trap is set on a backup that follows its peer, by the server's own control commands.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import seed
from lab import Lab
from service import Service
from switch import Switch
from topology import CTL, MANAGEMENT_ADDRESS

PORT = 9999
STRANGER = f"tcp:{MANAGEMENT_ADDRESS[CTL]}:{PORT}"


def own_address(switch: Switch) -> str:
    """Return where others copy from the switch."""
    return f"tcp:{switch.address}:{PORT}"


def point(switch: Switch, source: str) -> None:
    """Have the server copy from `source`."""
    switch.appctl("ovsdb-server/set-active-ovsdb-server", source)
    switch.appctl("ovsdb-server/connect-active-ovsdb-server")


@contextmanager
def itself(pair: Lab, switch: Switch) -> Iterator[None]:
    """Make the source the server itself."""
    point(switch, own_address(switch))
    yield


@contextmanager
def newer_schema(pair: Lab, switch: Switch) -> Iterator[None]:
    """Make the source a server whose schema has a column that ours lacks."""
    with _stranger(pair, seed.newer_schema(pair.directory / "newer.ovsschema")):
        point(switch, STRANGER)
        yield


@contextmanager
def constraint(pair: Lab, switch: Switch) -> Iterator[None]:
    """Exclude a table that others refer to: the content is refused after all rows were erased for it."""
    switch.appctl("ovsdb-server/set-sync-exclude-tables", "hardware_vtep:Manager")
    yield


@contextmanager
def no_such_database(pair: Lab, switch: Switch) -> Iterator[None]:
    """Make the source a server without the database: 3.1 stays a backup that connects for ever, 4.0 becomes active."""
    other = pair.directory / "other.ovsschema"
    other.write_text(json.dumps({"name": "other", "version": "1.0.0", "tables": {}}), encoding="utf-8")
    with _stranger(pair, other):
        point(switch, STRANGER)
        yield


TRAPS: Mapping[str, Callable[[Lab, Switch], AbstractContextManager[None]]] = {
    "the source is the server itself": itself,
    "the source has a newer schema": newer_schema,
    "a constraint fails while copying": constraint,
    "the source has no such database": no_such_database,
}


@contextmanager
def _stranger(pair: Lab, schema: Path) -> Iterator[None]:
    """Run a server elsewhere that has a database of that schema, and answers whoever would copy from it."""
    database, control = pair.directory / "stranger.db", pair.directory / "stranger.ctl"
    subprocess.run(["ovsdb-tool", "create", str(database), str(schema)], check=True)
    command = (*pair.network.entering(CTL), "ovsdb-server", "--no-chdir", f"--unixctl={control}", str(database))
    command += (f"--remote=ptcp:{PORT}:{MANAGEMENT_ADDRESS[CTL]}",)
    server = Service("a stranger", lambda: command, pair.directory / "stranger.log", {}, control.exists)
    server.start()
    try:
        yield
    finally:
        server.kill()
        for path in (database, control):
            path.unlink(missing_ok=True)
