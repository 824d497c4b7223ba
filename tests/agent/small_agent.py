"""A small agent that behaves, behind a real control socket with its loop."""

from __future__ import annotations

import os
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from ovs.poller import Poller

from ovsha import config, control_client
from ovsha.agent.control import Control
from ovsha.agent.maintenance import MaintenanceFile
from ovsha.agent.upgrade import Upgrading
from ovsha.core import turn
from ovsha.core.facts import Grant, Kind, Stamp, State
from ovsha.core.turn import Decision
from ovsha.core.view import View
from ovsha.host.boot_clock import Clocks
from ovsha.report.trace import Trace
from tests.support.made_up_pair import ACTIVE_PEER, FOLLOWING, MEMORY, OUTSIDE, SERVING

CONFIG = """\
node: sw2
pair: {{id: rack7, preferred: sw1}}
nodes:
  sw1: {{peer_link: 169.254.0.9}}
  sw2: {{peer_link: 169.254.0.10}}
vip: {{address: 169.254.0.11}}
handover: {{timeout: {timeout}}}
run_directory: {directory}
"""
NEW = Stamp(8, "sw2")
GRANT = Grant("sw2-boot-0", Kind.SWITCHOVER, (7, 156), drained=True)


class SmallAgent:
    """An agent whose service moves from `before` over `stages`, one a turn, once it is ordered to."""

    def __init__(self, settings: config.Config, view: View | None, stages: tuple[View, ...] = ()) -> None:
        self.config = settings
        self.clock = time.monotonic
        self.counters: dict[str, int] = {}
        self.view: View | None = None
        self.decision: Decision | None = None
        self.trace = Trace()
        self.ordered: list[str] = []
        self.refusal = ""
        self.known = "ab" * 16
        self.events: list[tuple[str, str]] = []
        self.recorder = self
        clocks = Clocks("this boot")
        self.standing = MaintenanceFile(settings.run_directory, settings.mode == "advise", clocks)
        self.upgrading = Upgrading(settings.run_directory, settings.upgrade.limit, clocks)
        self.memory = MEMORY
        self._stages = list(stages)
        if view is not None:
            self._see(view)

    def refuse_switchover(self, target: str) -> str:
        """What is against it, if anything."""
        return self.refusal

    def order_switchover(self, target: str, ident: str, reason: str = "", who: str = "", restore: bool = False) -> str:
        """Begin, unless there is something against it."""
        if not self.refusal:
            self.ordered.append(target)
        return self.refusal

    def order_resolve(self, keep: str, reason: str, who: str = "") -> str:
        """Note whose data is kept, unless there is something against it."""
        if not self.refusal:
            self.ordered.append(f"{keep}: {reason}")
        return self.refusal

    def event(self, kind: str, text: str, level: int | None = None, /, **facts: Any) -> None:
        """Note what is to be recorded."""
        self.events.append((kind, text))

    def forget_peer(self) -> str:
        """Forget it, once."""
        forgotten, self.known = self.known, ""
        return forgotten

    def turn(self) -> None:
        """Go one stage on."""
        if self.ordered and self._stages:
            self._see(self._stages.pop(0))

    def _see(self, view: View) -> None:
        self.view = replace(view, now=self.clock())
        memory = replace(MEMORY, awake=self.view.now - 500)
        self.decision = turn.turn(self.view, memory)
        self.trace.note(time.time(), self.view, memory, self.decision)


class Running:
    """A control socket with its loop, and clients that ask it from another thread."""

    def __init__(self, agent: SmallAgent) -> None:
        self.agent = agent
        self.control = Control(agent, agent.config, lambda agent, now: OUTSIDE)
        self.find = control_client.in_directory(agent.config.run_directory)
        (agent.config.run_directory / "ovsha.pid").write_text(f"{os.getpid()}\n")
        self._pool = ThreadPoolExecutor()
        self._closed = False

    def spin(self, *futures: Future[Any], limit: float = 20.0) -> None:
        """Turn the loop until all `futures` are done."""
        end = time.monotonic() + limit
        while not all(future.done() for future in futures):
            assert time.monotonic() < end, "the control socket has not answered"
            self.turn()

    def turn(self) -> None:
        """Take one turn of the loop."""
        self.agent.turn()
        self.control.run()
        poller = Poller()
        self.control.wait(poller)
        poller.timer_wait(20)
        poller.block()

    def start(self, *command: str) -> Future[str]:
        """Ask from another thread."""
        return self._pool.submit(control_client.ask, self.find, *command, limit=15.0)

    def ask(self, *command: str) -> str:
        """Return the answer."""
        future = self.start(*command)
        self.spin(future)
        return future.result()

    def close(self) -> None:
        """Take the socket away."""
        if not self._closed:
            self._closed = True
            self.control.close()
            self._pool.shutdown()


def settings(directory: Path, timeout: float = 5.0) -> config.Config:
    return config.parse(CONFIG.format(directory=directory, timeout=timeout), "test")


MOVE_HERE = (
    replace(FOLLOWING, record=replace(ACTIVE_PEER, state=State.INIT, serving=False, grant=GRANT)),
    replace(
        SERVING,
        server=replace(SERVING.server, stamp=NEW),
        record=replace(ACTIVE_PEER, state=State.INIT, serving=False),
    ),
)
"""The peer drains; then this side is active and the peer does not serve."""

MOVE_AWAY = (
    replace(SERVING, server=replace(SERVING.server, managers_open=False)),
    replace(
        FOLLOWING,
        record=replace(ACTIVE_PEER, stamp=Stamp(8, "sw1"), term=8),
    ),
)
