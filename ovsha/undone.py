"""Remember what somebody undoes again and again, so that it is done again ever more seldom.

A script, ifupdown, NetworkManager or another client of ovsdb-server may take away what the agent has put there.  Put
back at once each time, that would be a fight which costs both a processor and the log its lines.  What was left alone
for `QUIET` seconds is put back at once again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ovsha.core.outside import Undoing
from ovsha.core.transition import Step

QUIET = 60.0
"""Seconds for which what was done again must stay before it counts as left alone."""

_PAUSES = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0)
"""Seconds that are waited after the first, second, ... time before what serves is put back."""

_AT_MOST_A_SECOND = (0.0, 0.1, 0.2, 0.4, 0.8, 1.0)
"""The same where what somebody has put there is taken away: a side that is not to serve must not for long."""

_COPY = (0.0, 1.0, 2.0, 4.0, 8.0)
"""The same before a server that was taken out of its role begins to copy: meanwhile it is parked, and gets older."""

MADE_ACTIVE = "ovsdb-server was found active where it is to copy"

WORDS: dict[Step, str] = {
    Step.PROMOTE: "ovsdb-server was made a backup",
    Step.ADD_VIP: "the VIP was taken away",
    Step.OPEN_LISTENER: "the listener on the VIP was closed",
    Step.OPEN_MANAGERS: "the remote of the managers was removed",
    Step.DROP_VIP: "the VIP was added where nothing is to be served",
    Step.CLOSE_LISTENER: "the listener on the VIP was opened where nothing is to be served",
    Step.CLOSE_MANAGERS: "the remote of the managers was added where nothing is to be served",
    Step.CONNECT: MADE_ACTIVE,
}
"""What somebody has done when the step, which was done and not undone by us, is due again.

That of CONNECT is noted as what it is, for such a server is parked, and so the step undone by us, in between.
"""

_OPPOSITES: dict[Step, tuple[Step, ...]] = {
    Step.PROMOTE: (Step.PARK_SERVER, Step.CONNECT, Step.FENCE_SERVER),
    Step.ADD_VIP: (Step.DROP_VIP,),
    Step.OPEN_LISTENER: (Step.CLOSE_LISTENER, Step.FENCE_SERVER),
    Step.OPEN_MANAGERS: (Step.CLOSE_MANAGERS, Step.FENCE_SERVER),
    Step.DROP_VIP: (Step.ADD_VIP,),
    Step.CLOSE_LISTENER: (Step.OPEN_LISTENER,),
    Step.CLOSE_MANAGERS: (Step.OPEN_MANAGERS,),
}
"""By which steps we undo one ourselves."""

_TAKE_AWAY = (Step.DROP_VIP, Step.CLOSE_LISTENER, Step.CLOSE_MANAGERS)
_OF_VIP = (Step.ADD_VIP, Step.DROP_VIP)


@dataclass(frozen=True, slots=True)
class _Kept:
    count: int
    first: float
    last: float
    again: float | None = None  # when it was done again, None while it is not


class Undone:
    """What was undone since when and how often; `now` is monotonic seconds."""

    def __init__(self) -> None:
        self.incidents: list[str] = []
        self._done: set[Step] = set()
        self._kept: dict[str, _Kept] = {}
        self._pid: int | None = None

    def due(self, step: Step, pid: int | None, now: float) -> None:
        """Note that a step is due; `pid`: the process of our server, another one of which has forgotten its remotes."""
        if pid != self._pid:
            self._pid = pid
            self._done.intersection_update(_OF_VIP)
        if step in self._done:
            self._done.discard(step)
            if step is not Step.PROMOTE:  # which the server's own incidents tell
                self.incidents.append(WORDS[step])
            self.note(WORDS[step], now)

    def did(self, step: Step, now: float) -> None:
        """Note that a step was carried out."""
        self._done = {each for each in self._done if step not in _OPPOSITES[each]}
        if step in _OPPOSITES:
            self._done.add(step)
        words = WORDS.get(step, "")
        if words in self._kept:
            self._kept[words] = replace(self._kept[words], again=now)

    def note(self, words: str, now: float) -> None:
        """Note that somebody has done that."""
        kept = self._kept.get(words)
        if kept is None or (kept.again is not None and now - kept.again >= QUIET):
            kept = _Kept(0, now, now)
        self._kept[words] = replace(kept, count=kept.count + 1, last=now, again=None)

    def not_before(self, step: Step) -> float | None:
        """Return when the step may be carried out again, None when it may be at any time."""
        kept = self._kept.get(WORDS.get(step, ""))
        if kept is None or kept.again is not None:
            return None
        pauses = _AT_MOST_A_SECOND if step in _TAKE_AWAY else _COPY if step is Step.CONNECT else _PAUSES
        return kept.last + pauses[min(kept.count, len(pauses)) - 1]

    def listed(self, now: float) -> tuple[Undoing, ...]:
        """Return what was undone more than once of late."""

        def quiet(kept: _Kept) -> bool:
            return now - (kept.last if kept.again is None else kept.again) >= QUIET

        self._kept = {words: kept for words, kept in self._kept.items() if not quiet(kept)}
        told = ((words, kept) for words, kept in self._kept.items() if kept.count > 1)
        return tuple(Undoing(words, kept.count, now - kept.first, now - kept.last) for words, kept in told)
