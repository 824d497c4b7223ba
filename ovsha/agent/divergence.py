"""See to it that no acknowledged row is lost from sight when a service moved without a handover.

The side that took over keeps a *base*, what it held at that moment; the side that is about
to be overwritten leaves an *errand*, by which a child lists what it alone held (see
`ovsha.divergence`).  The loop only starts the children and looks at what they left: whatever
fails here is shown and holds nothing up.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ovs.poller import Poller

from ovsha.config import Config
from ovsha.core.facts import Stamp, State
from ovsha.core.handover import PLANNED
from ovsha.core.transition import Step
from ovsha.core.turn import Decision
from ovsha.core.view import View
from ovsha.divergence import baseline, ledger, pending
from ovsha.divergence.pending import Task
from ovsha.errors import DriverError
from ovsha.host.child import Child
from ovsha.report.assessment import Divergence

log = logging.getLogger("ovsha")

_AFTER = 1.0
"""Seconds for which a new active side is left to its clients' dumps before its file is read."""

_LIMIT = 900.0
_PAUSE = 30.0
_LONGEST_PAUSE = 300.0
_AT_START = 5.0
"""Seconds before an errand found at the start is begun: an agent that lives no longer shall not use up its tries."""

_LOOK_EVERY = 2.0


class DivergenceTasks:
    """The bases, errands and ledgers of this switch; `latest` returns the snapshot that was taken last."""

    def __init__(self, config: Config, latest: Callable[[], Path]) -> None:
        self.divergences: tuple[Divergence, ...] = ()
        self.troubles: dict[str, str] = {}
        self._config = config
        self._latest = latest
        self._bases, self._ledgers = config.state_directory / "bases", config.state_directory / "ledgers"
        pending.tidy(self._ledgers)
        self._planned: tuple[int, Stamp | None] | None = None
        self._served = 0
        self._due: list[tuple[float, list[str]]] = []
        self._again, self._now = _PAUSE, 0.0
        self._noted: tuple[str, int, int] | None = None
        self._base, self._job = Child(_LIMIT), Child(_LIMIT)
        self._job_at: float | None = None
        self._look_at = 0.0
        self._seen = -1

    def run(self, now: float, view: View, decision: Decision) -> None:
        """Note what has happened; called before a decided step is carried out, so that no trace of it is lost."""
        self._now = now
        self._job_at = now + _AT_START if self._job_at is None else self._job_at
        self._note_term(now, view, decision)
        self._note_divergence(now, view, decision)
        self._base.run(now)
        self._job.run(now)
        if self._due and now >= self._due[0][0] and not self._base.running:
            words = self._due.pop(0)[1]
            self._base.start(words, now, lambda status, _, error: self._kept(words, status, error))
        if now >= self._look_at:
            self._look_at = now + _LOOK_EVERY
            self._look()
            # What is compared may be what we held when we took over, so that is kept first.
            due = any(at <= now + _AFTER for at, _ in self._due)
            if now >= self._job_at and not (self._job.running or due or self._base.running):
                self._begin(now)

    def wait(self, poller: Poller, now: float) -> None:
        """Wake the loop when a child has ended; what is due by time waits for the next heartbeat."""
        self._base.wait(poller, now)
        self._job.wait(poller, now)

    def close(self) -> None:
        """End what runs: the next agent begins it anew."""
        self._base.close()
        self._job.close()

    # -- the side that took over -------------------------------------------------------------------------------------

    def _note_term(self, now: float, view: View, decision: Decision) -> None:
        """Have a base kept of each term that we open; the file's past can be read even when we serve no more."""
        ask, stamp = decision.memory.ask, view.server.stamp
        term = decision.opening.term
        granted = decision.rule.name == "granted" and ask is not None and ask.kind in PLANNED
        if granted and (stamp is None or stamp.term < term):
            self._planned = (term, stamp)
        if decision.state is not State.ACTIVE or stamp is None or stamp.node != self._config.node:
            return
        if stamp.term == self._served:
            return
        self._served = stamp.term
        if (self._bases / baseline.name(stamp.term)).exists():
            return
        words = [str(self._config.server.file), str(self._bases), str(stamp.term), stamp.node]
        if self._planned is not None and self._planned[0] == stamp.term:
            origin = self._planned[1]
            words += ["planned", *([str(origin.term), origin.node] if origin else [])]
        self._due.append((now + _AFTER, [sys.executable, "-m", "ovsha.divergence.baseline", *words]))

    def _kept(self, words: list[str], status: int, error: str) -> None:
        """Try again later what failed: the past stays in the file until that is compacted."""
        trouble = f"what this side held when it took over cannot be kept: {_last(error)}"
        self._tell("base", trouble if status else "")
        if status:
            self._due.append((self._now + self._again, words))
        self._again = min(2 * self._again, _LONGEST_PAUSE) if status else _PAUSE

    # -- the side that is overwritten --------------------------------------------------------------------------------

    def _note_divergence(self, now: float, view: View, decision: Decision) -> None:
        """Leave an errand before our data is overwritten by what somebody else went on with."""
        own, theirs = view.server.stamp, view.source.stamp
        if decision.step is not Step.CONNECT or own is None or theirs is None:
            return
        if own.node != self._config.node or theirs.term <= own.term:
            return
        # After a handover too: that we had drained is no proof that the peer waited for our last write; its base tells.
        snapshot = self._latest()
        noted = (snapshot.name, own.term, theirs.term)
        if noted != self._noted:
            self._noted = noted
            try:
                self._leave(snapshot, own, theirs)
            except OSError as error:
                self._tell("ledger", f"{error.filename or self._ledgers}: {error.strerror}; {snapshot} is not compared")
            self._look_at = self._job_at = now

    def _leave(self, snapshot: Path, own: Stamp, theirs: Stamp) -> None:
        """Write the errand, once for the same data.  Raises OSError."""
        self._ledgers.mkdir(mode=0o700, parents=True, exist_ok=True)
        # An agent that is started anew takes another snapshot of a parked database; the file only ever grows.
        same = (own.term, theirs.term, snapshot.stat().st_size)
        known: list[ledger.Head | Task] = [*ledger.heads(self._ledgers)[0]]
        for path in pending.pending(self._ledgers):
            with contextlib.suppress(DriverError):
                known.append(pending.load(path))
        if any((each.term, each.peer_term, each.size) == same for each in known):
            return
        config, moment = self._config, time.gmtime()
        ident = f"{time.strftime('%Y%m%dT%H%M%SZ', moment)}-term{own.term}"
        while any(self._ledgers.glob(f"{ident}.*")):
            ident += "+"
        data = self._ledgers / f"{ident}.db"
        try:
            os.link(snapshot, data)  # whatever happens to the snapshot meanwhile
        except OSError:
            data = snapshot  # on another disk
        task = Task(
            ident, config.node, config.peer, own.term, theirs.term, time.strftime("%Y-%m-%dT%H:%M:%SZ", moment),
            snapshot.name, str(data), same[2], config.server.database,
            address=str(config.other.peer_link), port=config.exchange.port,
            key_file=str(config.pair.key_file), socket=str(config.server.socket),
            state_directory=str(config.state_directory),
        )  # fmt: skip
        pending.save(task)

    def _begin(self, now: float) -> None:
        """Let a child do the oldest errand."""
        waiting = pending.pending(self._ledgers)
        if not waiting:
            return
        try:
            task = pending.load(waiting[0])
            pending.save(replace(task, tries=task.tries + 1))
        except (DriverError, OSError) as error:
            self._job_at = now + _PAUSE
            self._tell("ledger", str(error))
            return
        command = [sys.executable, "-m", "ovsha.divergence.job", str(task.path)]
        self._job.start(command, now, lambda status, output, error: self._over(now, status, output, error))

    def _over(self, now: float, status: int, output: str, error: str) -> None:
        self._look_at = now
        if status == 0:
            log.info("%s", output)
        else:
            self._job_at = now + _PAUSE
        self._tell("ledger", "" if status in (0, pending.BUSY) else f"a snapshot cannot be compared: {_last(error)}")

    # -- what there is -----------------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Read the heads of the ledgers anew if any of them has changed."""
        try:
            seen = self._ledgers.stat().st_mtime_ns
        except OSError:
            return
        if seen == self._seen:
            return
        self._seen = seen
        found, troubles = ledger.heads(self._ledgers)
        self._tell("ledgers", "; ".join(troubles))
        self.divergences = tuple(
            Divergence(head.id, head.left, head.exact, head.snapshot, head.failed) for head in found if head.open
        )

    def _tell(self, what: str, trouble: str) -> None:
        if not trouble:
            self.troubles.pop(what, None)
        elif self.troubles.get(what) != trouble:
            log.warning("%s", trouble)
            self.troubles[what] = trouble


def _last(error: str) -> str:
    """Return the last line of what a child said: of a bug's traceback, the one that names it."""
    return (error.splitlines() or ["it was ended"])[-1]
