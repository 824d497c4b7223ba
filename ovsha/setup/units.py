"""Have our own services run the server and the agent, in the place of those that start a server in their own way."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

from ovsha.checks import ovsdb
from ovsha.config import Config
from ovsha.errors import DriverError
from ovsha.setup.services import Services

SERVER, AGENT = "ovsha-ovsdb-server.service", "ovsha.service"
OTHERS = (
    "openvswitch-vtep.service",
    "openvswitch-switch.service",
    "ovs-vswitchd.service",
    "ovsdb-server.service",
)
"""Cumulus' and Debian's: each starts a server that is active and writable at once."""

_END_LIMIT = 15.0


def others(services: Services) -> list[str]:
    """Return those of them that run or are started at boot.  Raises DriverError."""
    there = [unit for unit in OTHERS if services.exists(unit)]
    return [unit for unit in there if services.is_active(unit) or services.is_enabled(unit)]


def set_up(services: Services, unit: str) -> bool:
    """Tell whether a unit runs and is started at boot.  Raises DriverError."""
    return services.exists(unit) and services.is_active(unit) and services.is_enabled(unit)


def begin(services: Services, unit: str) -> None:
    """Have a unit started, now and at boot.  Raises DriverError."""
    services.enable(unit)
    services.start(unit)


def stray(services: Services, config: Config) -> int | None:
    """Return the pid of an ovsdb-server that our service does not run, None when there is none.  Raises DriverError."""
    return None if services.is_active(SERVER) else ovsdb.look(config).pid


def end_stray(services: Services, config: Config) -> str:
    """Have such a server end, and say so, "" when there is none.  Raises DriverError when it does not end.

    Debian's openvswitch-vtep leaves its server running when it is stopped, and the database locked with it.
    """
    pid = stray(services, config)
    if pid is None:
        return ""
    with suppress(DriverError), ovsdb.Control(config.server.pidfile.parent / f"ovsdb-server.{pid}.ctl") as control:
        control.command("exit")  # it may be gone before it has answered
    end = time.monotonic() + _END_LIMIT
    while Path(f"/proc/{pid}").exists():
        if time.monotonic() > end:
            raise DriverError(f"ovsdb-server, pid {pid}, was told to exit and did not: end it, it locks the database")
        time.sleep(0.05)
    return f"ovsdb-server, pid {pid}, which was left running, has ended"
