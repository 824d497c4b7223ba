"""Tell that a client wrote over the agents' keys in Global.other_config, once for each time they are written again.

Where nothing is written again, because this side carries out nothing, it is told when it is seen, and seldom again.
"""

from __future__ import annotations

from ovsha.config import Config
from ovsha.core import belief
from ovsha.core.facts import Mode, Role
from ovsha.core.side import Decision
from ovsha.core.transition import Step
from ovsha.recorder import Recorder

_ANEW = belief.LONGEST_PAUSE


class Overwritten:
    """What this agent has told of it."""

    def __init__(self, config: Config, recorder: Recorder) -> None:
        self._interval, self._node = config.replication.token_interval, config.node
        self._recorder = recorder
        self._seen = False
        self._tell_at = 0.0

    def look(self, decision: Decision) -> int:
        """Record what was overwritten, if that is to be told now; return how many incidents that makes."""
        view, seen = decision.view, self._seen
        server = view.server
        self._seen = server.written is not None and server.role is Role.ACTIVE
        heals = decision.step is Step.HEAL
        unhealed = self._seen and not seen and view.mode is not Mode.ACTIVE and view.now >= self._tell_at
        if not (heals or unhealed):
            return 0
        self._tell_at = view.now + _ANEW
        what = belief.overwriting(server, self._interval)
        count = decision.memory.heals
        text = f"a client wrote over the agents' keys in Global.other_config: {what}; {self._then(decision)}"
        written = server.written
        self._recorder.event(
            "incident", f"incident: {text}", what=text, overwritten=what, count=count,
            token=list(written.token) if written is not None and written.token is not None else None,
        )  # fmt: skip
        return 1

    def _then(self, decision: Decision) -> str:
        mode, count = decision.view.mode, decision.memory.heals
        if mode is not Mode.ACTIVE:
            why = "paused" if mode is Mode.PAUSED else "in mode advise"
            return f"{self._node} is {why} and writes nothing over it"
        stamp = decision.record.stamp
        times = f", {count} times in a row now" if count > 1 else ""
        return f"{self._node} writes its stamp of term {stamp.term if stamp else 0} again{times}"
