"""What a split brain calls for beyond the verdict: announce the VIP again, and keep the evidence.

The core settles a split brain by itself.  Whoever goes on announces the VIP once more when
the other side has stopped, for the switches and hosts on its part of the network have learned
the other's address.  Whoever gives way has a forensic bundle made of what it gives up, as
soon as the snapshot is there that has to be taken before anything is erased; an agent that
ends before that leaves the snapshot only.

The child is `python3 -m ovsha.forensics.job` and gets its task as one JSON object on its
standard input, from a thread.  One that fails or is not over in time is ended with all that
it has started; nothing waits for it.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import IO, Any

from ovs.poller import POLLIN, Poller

import ovsha
from ovsha import __version__
from ovsha.agent.switch import Switch
from ovsha.config import Config
from ovsha.core import split_brain
from ovsha.core.election import Goal
from ovsha.core.facts import Presence, Record
from ovsha.core.turn import Decision
from ovsha.core.view import View
from ovsha.forensics import bundle
from ovsha.host.systemd import TAIL
from ovsha.peer.rpc_server import Method, text, whole
from ovsha.protocol import record
from ovsha.report import trace
from ovsha.report.trace import Trace

log = logging.getLogger("ovsha")

_WHAT = "forensics"
_PER_ANSWER = 24
"""Decisions in one answer: some 30 KB, and 2 ms of the loop."""


@dataclass(frozen=True)
class Lost:
    """A split brain that this side has lost: when, in seconds since 1970, and both records then."""

    at: float
    own: Record
    peer: Record


class SplitBrain:
    """What of a split brain is under way on this side."""

    def __init__(self, config: Config, key: bytes, switch: Switch, decisions: Trace) -> None:
        self._config, self._key, self._switch, self._decisions = config, key, switch, decisions
        self._directory = config.state_directory / bundle.DIRECTORY
        self._bundler = Bundler()
        self._lost: Lost | None = None
        self._to_announce = False
        self._heard = False
        switch.exchange.methods["trace"] = partial(answer_trace, config.node, decisions)
        switch.exchange.files.update(forensics_methods(self._directory))

    def look(self, view: View, decision: Decision, at: float) -> None:
        """Take note of what was decided; `at` is seconds since 1970."""
        self._announce(view, decision)
        if decision.rule.name == "split-lost" and self._lost is None and view.record is not None:
            self._lost = Lost(at, decision.record, view.record)
        lost = self._lost
        if lost is None or self._bundler.busy:
            return
        if decision.rule.goal is Goal.FOLLOW and view.server.saved:
            self._bundle(lost, str(self._switch.snapshots.last_taken), view.now)
        elif decision.rule.goal is Goal.SERVE:
            self._bundle(lost, None, view.now, "this side went on to serve again, and gave up nothing")

    def run(self, now: float) -> None:
        """Look after the bundle that is being made."""
        self._bundler.run(now)
        trouble, known = self._bundler.trouble, self._switch.troubles
        if trouble and known.get(_WHAT) != trouble:
            log.warning("%s", trouble)
            known[_WHAT] = trouble
        elif not trouble:
            known.pop(_WHAT, None)

    def wait(self, poller: Poller, now: float) -> None:
        """Wake the loop when the bundle is made."""
        self._bundler.wait(poller, now)

    def close(self) -> None:
        """Leave a bundle that is being made to its child."""
        self._bundler.close()

    def _announce(self, view: View, decision: Decision) -> None:
        """Announce the VIP again when the peer is heard again, or stops serving, while we serve throughout."""
        heard = decision.presence is Presence.ALIVE
        holding = decision.record.serving and view.vip.present
        self._to_announce = holding and (
            self._to_announce or (heard and not self._heard) or decision.rule.name == "split-won"
        )
        self._heard = heard
        if self._to_announce and heard and view.record is not None and not view.record.serving:
            self._to_announce = False
            log.info("the VIP is announced again: the peer is heard and does not serve")
            self._switch.announce(view.now)

    def _bundle(self, lost: Lost, database: str | None, now: float, why: str = "") -> None:
        self._lost = None
        fixed = partial(self._task, lost, database, why, self._decisions.entries(), TAIL.lines())
        self._bundler.start(fixed, now)

    def _task(
        self, lost: Lost, database: str | None, why: str, entries: list[trace.Entry], lines: list[str]
    ) -> dict[str, Any]:
        """Return what the child is to do; a thread calls this, for it takes a while."""
        config = self._config
        began = datetime.fromtimestamp(lost.at, UTC)
        winner, reason = split_brain.winner(lost.own, lost.peer)
        term = lost.own.stamp.term if lost.own.stamp else 0
        return {
            "directory": str(self._directory),
            "keep": config.forensics.keep,
            "id": f"{began:%Y%m%dT%H%M%SZ}-term{term}",
            "node": config.node,
            "key": self._key.hex(),
            "peer": {
                "node": config.peer,
                "address": str(config.other.peer_link),
                "port": config.exchange.port,
            },
            "database": database,
            "no_database": why,
            "trace": [trace.to_plain(entry) for entry in entries],
            "log": lines,
            "manifest": {
                "what": "split brain, lost by this side",
                "at": began.isoformat(timespec="milliseconds"),
                "node": config.node,
                "peer": config.peer,
                "version": __version__,
                "term": term,
                "winner": winner,
                "why": reason,
                "records": {
                    config.node: record.to_plain(lost.own),
                    config.peer: record.to_plain(lost.peer),
                },
            },
        }


def answer_trace(node: str, decisions: Trace, params: Any) -> dict[str, Any]:
    """Answer the exchange: the first decisions after the turn `after`, and whether there are more."""
    entries = decisions.entries(whole(params, "after"))
    told = [trace.to_plain(entry) for entry in entries[:_PER_ANSWER]]
    return {"node": node, "entries": told, "more": len(entries) > _PER_ANSWER}


def forensics_methods(directory: Path) -> dict[str, Method]:
    """Return the methods of the exchange by which the peer sees and removes the bundles in `directory`."""

    def clear(params: Any) -> list[str]:
        return bundle.clear(directory, None if params == {} else text(params, "id"))

    return {
        "forensics-list": lambda params: bundle.find(directory),
        "forensics-show": lambda params: bundle.show(directory, text(params, "id")),
        "forensics-clear": clear,
    }


LIMIT = 120.0
"""Seconds after which a child is ended; the database may be large and the child is the last in the queue."""

_COMMAND = (sys.executable, "-m", "ovsha.forensics.job")

_LEFT: list[subprocess.Popen[bytes]] = []
"""Children that nobody waits for, not even when the agent is replaced in this process; noticed when they end."""


class Bundler:
    """One child at a time.  `trouble` says why the last bundle could not be made, "" when it could."""

    def __init__(self, command: tuple[str, ...] = _COMMAND, limit: float = LIMIT) -> None:
        self.trouble = ""
        self._command, self._limit = command, limit
        self._child: subprocess.Popen[bytes] | None = None
        self._feeder: threading.Thread | None = None
        self._deadline = 0.0

    @property
    def busy(self) -> bool:
        """A child is at work."""
        return self._child is not None

    def start(self, task: Callable[[], dict[str, Any]], now: float) -> None:
        """Start a child with what `task` returns, which is called by a thread; nothing may change it meanwhile."""
        assert self._child is None
        try:
            self._child = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": ":".join(_places()), "PYTHONSAFEPATH": "1"},
            )
        except OSError as error:
            self._note(f"its child cannot be started: {error.strerror}")
            return
        assert self._child.stdin is not None
        self._deadline = now + self._limit
        self._feeder = threading.Thread(target=_feed, args=(self._child.stdin, task), name="bundler", daemon=True)
        self._feeder.start()

    def run(self, now: float) -> None:
        """Notice that the child is over, or end it when its time is."""
        _LEFT[:] = [each for each in _LEFT if each.poll() is None]
        child = self._child
        if child is None:
            return
        if child.poll() is None:
            if now >= self._deadline:
                self._kill(child)
                self._note(f"it took longer than {self._limit:g} s")
            return
        assert child.stderr is not None
        said = child.stderr.read(4096).decode(errors="replace").strip().rpartition("\n")[2]
        child.stderr.close()
        self._child = None
        if child.returncode:
            self._note(said or f"its child ended with status {child.returncode}")
        else:
            self.trouble = ""

    def wait(self, poller: Poller, now: float) -> None:
        """Wake the loop when the child closes its end of the pipe, which it does as it ends, or is due."""
        if self._child is not None and self._child.stderr is not None:
            poller.fd_wait(self._child.stderr.fileno(), POLLIN)
            poller.timer_wait(max(0, int((self._deadline - now) * 1000) + 1))

    def close(self) -> None:
        """Leave a child that has its task to itself, for it ends in time by itself; end one that has not."""
        child, self._child = self._child, None
        if child is None:
            return
        if self._feeder is not None and self._feeder.is_alive():
            self._kill(child)
            return
        _LEFT.append(child)
        if child.stderr is not None:
            child.stderr.close()

    def _kill(self, child: subprocess.Popen[bytes]) -> None:
        """End the child; one that waits for a dead disk dies when it can, and is not waited for."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        if child.stderr is not None:
            child.stderr.close()
        _LEFT.append(child)
        self._child = None

    def _note(self, why: str) -> None:
        self.trouble = f"a forensic bundle cannot be made: {why}"


def _feed(pipe: IO[bytes], task: Callable[[], dict[str, Any]]) -> None:
    """Write the task; a child that is gone does not want it any more."""
    with contextlib.suppress(BrokenPipeError), pipe:
        pipe.write(json.dumps(task()).encode())


def _places() -> list[str]:
    """Return where the child looks for modules first: where this very program was found."""
    return [str(Path(ovsha.__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
