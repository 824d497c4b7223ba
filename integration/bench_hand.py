"""Set the pair up and move its service by hand, without any agent: what the floor of the bench is measured on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from floor import Control
from lab import Lab
from rpc import DATABASE
from service import die_with_parent
from settings import REPLICATION_PORT, VIP, VIP_PORT
from switch import HERE, Switch
from topology import INTERFACE

MANAGERS = f"db:{DATABASE},Global,managers"
LISTENER = f"ptcp:{VIP_PORT}:{VIP}"


def set_up(lab: Lab) -> None:
    """Make sw1 active, with managers, VIP and listener, and sw2 its backup."""
    sw1, sw2 = lab.switches
    sw1.appctl("ovsdb-server/disconnect-active-ovsdb-server")
    sw1.appctl("ovsdb-server/add-remote", MANAGERS)
    sw1.run("ip", "address", "add", f"{VIP}/32", "dev", INTERFACE["peer link"])
    sw1.appctl("ovsdb-server/add-remote", LISTENER)
    sw2.appctl("ovsdb-server/set-active-ovsdb-server", f"tcp:{sw1.address}:{REPLICATION_PORT}")
    sw2.appctl("ovsdb-server/connect-active-ovsdb-server")


class Floor:
    """The script of floor.py, ready to take over on one switch."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._next()

    def go(self) -> None:
        """Let it take over now."""
        assert self._process.stdin is not None
        self._process.stdin.write("!")
        self._process.stdin.flush()

    def times(self) -> dict[str, float]:
        """Wait until it is done; return when it woke up and when each step had been answered, by time.monotonic()."""
        return {name: value for name, value in self._next().items() if name != "event"}

    def _next(self) -> dict[str, float]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise AssertionError(f"floor.py ended with status {self._process.wait()}, see its standard error")
        answer: dict[str, float] = json.loads(line)
        return answer


@contextmanager
def floor_on(lab: Lab, switch: Switch) -> Iterator[Floor]:
    """Start floor.py on `switch` and wait until it is ready.  Raises AssertionError when it is refused."""
    pid = (switch.run_directory / "ovsdb-server.pid").read_text(encoding="ascii").strip()
    command = [*lab.network.entering(switch.node), sys.executable, str(HERE / "floor.py")]
    command += ["--ctl", str(switch.run_directory / f"ovsdb-server.{pid}.ctl")]
    command += ["--vip", VIP, "--port", str(VIP_PORT), "--interface", INTERFACE["peer link"]]
    parent = os.getpid()
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: die_with_parent(parent),
    )
    try:
        yield Floor(process)
    finally:
        process.kill()
        process.communicate()


def control_of(switch: Switch) -> Control:
    """Return an open connection to the control socket of the switch's server."""
    pid = (switch.run_directory / "ovsdb-server.pid").read_text(encoding="ascii").strip()
    return Control(str(switch.run_directory / f"ovsdb-server.{pid}.ctl"))


def move(giving: Switch, control: Control, floor: Floor) -> None:
    """Move the service as fast as by hand it can be, with no barrier: shut the old side, open the new one."""
    control.command("ovsdb-server/remove-remote", MANAGERS)
    control.command("ovsdb-server/remove-remote", LISTENER)
    floor.go()
    giving.run("ip", "address", "delete", f"{VIP}/32", "dev", INTERFACE["peer link"])
