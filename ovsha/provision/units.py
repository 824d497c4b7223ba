"""Have systemd enable, start and stop services, ours in the place of those that start a server in their own way."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from ovsha.config import Config
from ovsha.errors import DriverError
from ovsha.host import child
from ovsha.ovsdb import own_server

LIMIT = 360.0
"""Seconds for a job; making a database and starting the server may take five minutes."""

_PROGRAM = "systemctl"
_BOOTED = Path("/run/systemd/system")


class Services:
    """The services of this switch; everything raises DriverError in one line."""

    def need(self) -> None:
        """Raise unless there is a systemd that can be asked."""
        if not _BOOTED.is_dir():
            raise DriverError(
                "systemd does not run here, so no service can be started: start ovsdb-server and the agent by hand"
                " (ovsha-ovsdb-server --dry-run shows how)"
            )

    def exists(self, unit: str) -> bool:
        """Say whether systemd knows such a unit."""
        return self._show(unit, "LoadState") not in ("not-found", "")

    def is_active(self, unit: str) -> bool:
        """Say whether a unit runs, or is about to."""
        return self._show(unit, "ActiveState") in ("active", "activating", "reloading")

    def is_enabled(self, unit: str) -> bool:
        """Say whether a unit is started at boot."""
        return self._ask("is-enabled", unit)[1].strip().startswith("enabled")

    def enable(self, *units: str) -> None:
        """Have units started at boot."""
        self._order("enable", *units)

    def disable(self, *units: str) -> None:
        """Stop units, and have them not started at boot; those that do not exist are passed over."""
        there = [unit for unit in units if self.exists(unit)]
        if there:
            self._order("disable", "--now", *there)

    def start(self, *units: str) -> None:
        """Start units that do not run."""
        self._order("start", *units)

    def stop(self, *units: str) -> None:
        """Stop units."""
        self._order("stop", *units)

    def restart(self, *units: str) -> None:
        """Restart units, or start them."""
        self._order("restart", *units)

    def reload(self) -> None:
        """Have systemd read its files anew."""
        self._order("daemon-reload")

    def trouble(self, unit: str) -> str:
        """Return the last lines that a unit has logged, on one line; "" where they cannot be had."""
        try:
            status, text = child.read_output(["journalctl", "-q", "-u", unit, "-n", "3", "-o", "cat"], 10.0)
        except DriverError:
            return ""
        return "; ".join(line.strip() for line in text.splitlines() if line.strip()) if status == 0 else ""

    def _show(self, unit: str, value: str) -> str:
        status, text = self._ask("show", "-P", value, unit)
        if status != 0:
            raise DriverError(f"{_PROGRAM} show {unit}: {_line(text)}")
        return text.strip()

    def _ask(self, *words: str) -> tuple[int, str]:
        self.need()
        return child.read_output([_PROGRAM, *words], 30.0)

    def _order(self, *words: str) -> None:
        self.need()
        status, text = child.read_output([_PROGRAM, *words], LIMIT)
        if status != 0:
            told = " ".join(filter(None, (_line(text), *(_told(self.trouble(unit)) for unit in _units(words)))))
            raise DriverError(f"{_PROGRAM} {' '.join(words)}: {told or f'exit status {status}'}")


def _units(words: Iterable[str]) -> list[str]:
    return [word for word in words if not word.startswith("-")][1:]


def _told(trouble: str) -> str:
    return f"[{trouble}]" if trouble else ""


def _line(text: str) -> str:
    return " ".join(text.split())


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
    return None if services.is_active(SERVER) else own_server.look(config).pid


def end_stray(services: Services, config: Config) -> str:
    """Have such a server end, and say so, "" when there is none.  Raises DriverError when it does not end.

    Debian's openvswitch-vtep leaves its server running when it is stopped, and the database locked with it.
    """
    pid = stray(services, config)
    if pid is None:
        return ""
    with suppress(DriverError), own_server.Control(config.server.pidfile.parent / f"ovsdb-server.{pid}.ctl") as control:
        control.command("exit")  # it may be gone before it has answered
    end = time.monotonic() + _END_LIMIT
    while Path(f"/proc/{pid}").exists():
        if time.monotonic() > end:
            raise DriverError(f"ovsdb-server, pid {pid}, was told to exit and did not: end it, it locks the database")
        time.sleep(0.05)
    return f"ovsdb-server, pid {pid}, which was left running, has ended"
