"""A pair of switches to try ovsha on: real ovsdb-servers and real agents in a network of namespaces.

    with Lab(rows=1000) as lab:
        lab.start_controller()
        lab.start()
        lab.wait_until(lambda: lab.sw1.role() == "active", 10, "sw1 becomes active")
        lab.sw1.server.kill()

Leaving the block ends every process, deletes the namespaces and the directory; with OVSHA_KEEP_LAB=1 in the environment
the directory is kept and its name printed.  What a killed lab could not clean up, the next lab does, and it touches
nothing that belongs to a lab still running.  Needs root.  Everything is started from the thread that uses the lab, and
dies with it.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pki
import seed
import settings
from rpc import Refused
from service import Service
from standins.clag_rules import Timers
from switch import HERE, NSX_PORT, Switch, events
from topology import (
    CTL,
    IPV4,
    SW1,
    SW2,
    Network,
    Plan,
    is_orphan,
    orphaned_namespaces,
    remove_namespace,
    unique_prefix,
)

# A twentieth or so of clagd's own, but still slower than ovsha's dead interval, as on a real pair.
CLAG_TIMERS = Timers(lacp_poll=0.2, peer_timeout=2.0, peer_link_poll=0.1, reload_timer=5.0, init_delay=0.2)
CLAG_PRIORITIES = {SW1: 1000, SW2: 32768}
KEPT = "kept"
RATE = 50.0
"""Rows a second that a controller writes who is told nothing else: a hundred are a fifth of a core in each lab."""


class Lab:
    """Two switches, a controller's place, and nothing running yet.

    `rows` of Ucast_Macs_Remote and one Manager row are put into sw1's database; with None both databases are blank, and
    sw2's always is.  With `tls` the Manager row says ssl: and both servers have certificates.  `overrides` change the
    configuration files of both switches, `node_overrides` that of one, section by section.  Without `clag_backup` clagd
    has no backup path.  `plan` says which addresses everything has.  `manager`: its target, spelled otherwise.
    `releases`: where the ovsha of another release is, for a switch that has one.
    """

    def __init__(
        self,
        rows: int | None = 10,
        tls: bool = False,
        overrides: Mapping[str, Any] | None = None,
        node_overrides: Mapping[str, Mapping[str, Any]] | None = None,
        clag_timers: Timers = CLAG_TIMERS,
        clag_priorities: Mapping[str, int] | None = None,
        clag_backup: bool = True,
        plan: Plan = IPV4,
        manager: str = "",
        releases: Mapping[str, Path] | None = None,
    ) -> None:
        self.prefix = unique_prefix()
        self.network = Network(self.prefix, plan)
        self.tls = tls
        self.seeded = frozenset(seed.mac(number) for number in range(rows or 0))
        self.controller_events_file = Path()
        self._rows = rows
        self._manager, self._releases = manager, dict(releases or {})
        self._overrides = dict(overrides or {})
        self._node_overrides = dict(node_overrides or {})
        self._clag = (clag_timers, {**CLAG_PRIORITIES, **(clag_priorities or {})}, clag_backup)
        self._controller_options: tuple[str, ...] = ()

    def __enter__(self) -> Self:
        clean_up_after_the_killed()
        self.directory = Path(tempfile.gettempdir()) / directory_name(self.prefix)
        self.directory.mkdir(mode=0o700)
        try:
            self.network.build()
            self._make_switches()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()

    # -- the parts -----------------------------------------------------------------------------------------------

    def start(self, agents: bool = True, vtepds: bool = False) -> None:
        """Start clagd and the servers on both switches, wait until they answer, then start the agents."""
        for switch in self.switches:
            switch.clagd.start(wait=False)
            switch.server.start(wait=False)
        for switch in self.switches:
            switch.clagd.start()
            switch.server.start()
        for switch in self.switches:
            if agents:
                switch.agent.start()
            if vtepds:
                switch.vtepd.start()

    def start_controller(self, rate: float = RATE, **options: object) -> None:
        """Start the controller's stand-in, writing `rate` rows a second.

        `options` are its own with underscores, such as logical_switch="ls0"; they hold for later starts too.
        """
        self._controller_options = (
            *("--rate", str(rate)),
            *(word for name, value in options.items() for word in ("--" + name.replace("_", "-"), str(value))),
        )
        self.controller.start()

    def tell_controller(self, line: str) -> dict[str, Any]:
        """Give the controller a line, such as "pause", "resume" or "rate 50", and return what it answers."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(10.0)
            connection.connect(str(self._controller_control))
            connection.sendall(f"{line}\n".encode())
            answer: dict[str, Any] = json.loads(connection.makefile().readline())
        return answer

    def controller_events(self) -> list[dict[str, Any]]:
        """Return what the controller has recorded so far."""
        return events(self.controller_events_file)

    def actives(self) -> tuple[Switch, ...]:
        """Return the switches whose servers say they are active."""
        return tuple(switch for switch in self.switches if switch.role() == "active")

    def wait_until(self, condition: Callable[[], object], limit: float, what: str) -> float:
        """Return how many seconds passed until `condition` held; look every 20 ms, and later every 50 ms.

        A condition that meets a server which does not answer, or refuses, is one that does not hold yet.  Raises
        AssertionError after `limit` seconds, with the ends of the agents' logs.
        """
        begun = time.monotonic()
        while True:
            trouble: Exception | None = None
            try:
                if condition():
                    return time.monotonic() - begun
            except (OSError, Refused) as error:
                trouble = error
            passed = time.monotonic() - begun
            if passed > limit:
                raise AssertionError(self._report(what, limit, trouble))
            time.sleep(0.02 if passed < 0.4 else 0.05)

    def _report(self, what: str, limit: float, trouble: Exception | None) -> str:
        lines = [f"awaited for {limit} s: {what}" + (f" (last: {trouble!r})" if trouble else "")]
        for switch in self.switches:
            state = ", ".join(f"{each.name} {'runs' if each.running else 'is off'}" for each in switch.services)
            lines += [f"--- {switch.node}: role {switch.role()}; {state}", switch.agent.tail()]
        return "\n".join(lines)

    # -- building and removing -----------------------------------------------------------------------------------

    def _make_switches(self) -> None:
        key_file = self.directory / "pair.key"
        key_file.touch(mode=0o600)
        key_file.write_text(secrets.token_hex(32))
        timers, priorities, backup = self._clag
        self.sw1, self.sw2 = (
            Switch(
                node,
                self.network,
                self.directory / node,
                key_file,
                settings.merged(self._overrides, self._node_overrides.get(node, {})),
                pki.credentials(node) if self.tls else None,
                timers,
                priorities[node],
                backup,
                self._releases.get(node),
            )
            for node in (SW1, SW2)
        )
        self.switches = (self.sw1, self.sw2)
        for switch in self.switches:
            seed.blank(switch.database)
        if self._rows is not None:
            seed.fill(self.sw1.database, self._rows, self.manager)
        self.controller_events_file = self.directory / "controller.events"
        self.controller = Service(
            "the controller",
            self._controller_command,
            self.directory / "controller.log",
            {},
            lambda: bool(self.network.run(CTL, "ss", "-Hltn", "sport", "=", f":{NSX_PORT}").stdout),
        )

    @property
    def manager(self) -> str:
        """The Manager target of the controller."""
        return self._manager or f"{'ssl' if self.tls else 'tcp'}:{self._nsx}"

    @property
    def _nsx(self) -> str:
        return f"{settings.host(self.network.plan.management[CTL])}:{NSX_PORT}"

    @property
    def _controller_control(self) -> Path:
        return self.directory / "controller.control"

    def _controller_command(self) -> tuple[str, ...]:
        return (
            *self.network.entering(CTL),
            *(sys.executable, str(HERE / "nsx.py"), "--listen", self._nsx),
            *(pki.credentials(CTL).options() if self.tls else ()),
            *("--events", str(self.controller_events_file), "--control", str(self._controller_control)),
            *self._controller_options,
        )

    def _remove(self) -> None:
        """End our processes by their pids, then whatever else is left in our namespaces, then the files."""
        services = [service for switch in getattr(self, "switches", ()) for service in switch.services]
        for service in (*services, *([self.controller] if hasattr(self, "controller") else [])):
            service.kill()
        self.network.remove()
        if os.environ.get("OVSHA_KEEP_LAB") == "1":
            (self.directory / KEPT).touch()
            print(f"kept {self.directory}", file=sys.stderr)
        else:
            shutil.rmtree(self.directory, ignore_errors=True)


def directory_name(prefix: str) -> str:
    """Return the name of the lab's directory, by which its owner can be told too."""
    return f"{prefix}.lab"


def clean_up_after_the_killed() -> None:
    """Remove the namespaces, the processes in them, and the directories of labs whose own process is gone."""
    for namespace in orphaned_namespaces():
        remove_namespace(namespace)
    for directory in Path(tempfile.gettempdir()).glob("oh.*.lab"):
        if is_orphan(directory.name) and not (directory / KEPT).exists():
            shutil.rmtree(directory, ignore_errors=True)
