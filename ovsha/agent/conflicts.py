"""Tell who gets in the way: a second holder of the VIP, and a client that wrote over the agents' keys.

A claim is answered at once, but no more than one in ten seconds, however many there are.

Where nothing is written again, because this side carries out nothing, it is told when it is seen, and seldom again.
"""

from __future__ import annotations

from ovs.poller import Poller

from ovsha.agent.drivers import NoDuplicateWatch
from ovsha.config import Config
from ovsha.core import belief
from ovsha.core.election import Goal
from ovsha.core.facts import PEER_LINK, Mode, Record, Role
from ovsha.core.situation import Situation
from ovsha.core.transition import Step
from ovsha.core.turn import Decision
from ovsha.history.recorder import Recorder
from ovsha.net.arp_watch import DuplicateWatch
from ovsha.protocol import conflicts
from ovsha.protocol.conflicts import Conflicts, Kind


class Rivals:
    """What `ear` hears, and what the peer says, of who is in our way; it is noted in `collisions`."""

    def __init__(self, config: Config, ear: DuplicateWatch | NoDuplicateWatch, collisions: Conflicts) -> None:
        self._config, self._ear, self._collisions = config, ear, collisions
        self._claims: list[str] = []
        self._owed = False
        self._not_before = float("-inf")

    def hear(self, now: float, holding: bool, record: Record | None) -> None:
        """Hear who else claims the VIP while we are `holding` it; the peer's last `record` tells which MAC it has."""
        for mac in self._ear.run(now, holding):
            kind = Kind.PEER_VIP if record is not None and mac == record.mac else Kind.VIP
            self._collisions.see(now, kind, mac, self._config.vip.interface)
            self._claims.append(mac)
        if not holding:
            self._collisions.end(Kind.PEER_VIP)

    def met(self, record: Record, now: float) -> None:
        """Note what the peer's `record`, which has just come, contradicts, and what has ended as it says."""
        config, theirs = self._config, record.preferred
        preferred = config.pair.preferred
        if preferred in (config.node, config.peer) and theirs not in (None, preferred):
            claim = f"{config.node} {preferred}, and {config.peer} {theirs}"
            self._collisions.see(now, Kind.PREFERRED, str(config.other.peer_link), PEER_LINK, claim)
        else:
            self._collisions.end(Kind.PREFERRED)
        if record.mac:
            self._collisions.known_as(record.mac, Kind.VIP, Kind.PEER_VIP)
        if not record.vip:
            self._collisions.end(Kind.PEER_VIP)

    def owes(self, case: Situation, goal: Goal) -> bool:
        """Return whether the VIP is to be announced now, and take it as announced.

        What is claimed less than ten seconds after an answer is answered when they are over.  A side that carries out
        nothing answers when it acts again, and one that gives the VIP away, never.
        """
        kept = self._owed and goal is Goal.SERVE and case.view.vip.present
        self._owed = any(conflicts.claim_answered(case, goal, mac) for mac in self._claims) or kept
        self._claims.clear()
        now = case.view.now
        if not self._owed or case.idle or now < self._not_before:
            return False
        self._owed, self._not_before = False, now + conflicts.ANSWER_INTERVAL
        return True

    def wait(self, poller: Poller, now: float) -> None:
        """Wake the loop for the answer that is owed."""
        if self._owed and now < self._not_before:
            poller.timer_wait(int((self._not_before - now) * 1000) + 1)


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
