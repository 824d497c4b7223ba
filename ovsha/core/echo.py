"""Say of the peer's kernel, which answers an ICMP echo whatever its programs do, what silence and answers prove.

Its silence confirms a death, and what is not complete confirms nothing.  Its answer is that of a switch that lives: a
server there that we cannot reach may serve, so it counts as dead only when it ended our session, has answered nothing
but acknowledgements for the stall interval, or clagd says that the switch is gone (ovsha.core.liveness).  No answer
causes a takeover.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ovsha.core.facts import PEER_LINK, EchoPath, Kernel
from ovsha.core.view import View

BURST = 5
"""Echoes that are sent on every path when something makes the peer suspect."""

PROVEN = 60
"""Echoes that were answered since our agent started, before silence means anything: so it is known that they are."""

RECENT = 5.0
"""Seconds before the suspicion within which each path answered."""

_LATE = 0.1


def dead_by_echo(view: View) -> bool:
    """Tell whether the kernel of the peer, which answered on both paths until just now, answers nothing any more.

    At least one path that has its carrier here must have carried a whole burst out, and brought nothing back; the other
    is the same or has lost its carrier.  Nothing else may have come from the peer since.
    """
    kernel = view.kernel
    paths, since = kernel.paths, kernel.suspected_for
    if since is None or len(paths) < 2 or kernel.answered < PROVEN:
        return False
    if any(path.before is None or path.before > RECENT for path in paths):
        return False
    if any(age <= since for age in _ages(view.heard_age, kernel.packet_age, paths)):
        return False
    patience = view.settings.dead_interval / 2
    unanswered = [_unanswered(path, patience) for path in paths]
    lost = [path.carrier is False for path in paths]
    return any(unanswered) and all(one or other for one, other in zip(unanswered, lost, strict=True))


def _unanswered(path: EchoPath, patience: float) -> bool:
    """Tell whether a whole burst has left, by a way that has its carrier, and was given time to come back."""
    asked = path.asked >= BURST and path.asked_age is not None and path.asked_age >= patience
    return bool(path.carrier) and asked


def answers(view: View) -> bool:
    """Tell whether the peer's kernel has answered an echo within the dead interval."""
    return any(_lately(path, view) for path in view.kernel.paths)


def mute(view: View) -> bool:
    """Tell whether the peer's kernel answers on the peer link, and its server has not by that link for too long."""
    reached = any(path.path == PEER_LINK and _lately(path, view) for path in view.kernel.paths)
    silent = view.kernel.packet_age
    return reached and silent is not None and silent >= view.settings.stall_interval


def _lately(path: EchoPath, view: View) -> bool:
    """Tell whether the kernel has answered on that path within the dead interval."""
    return path.answered_age is not None and path.answered_age < view.settings.dead_interval


def _ages(heard: float | None, packet: float | None, paths: Sequence[EchoPath]) -> Iterator[float]:
    """Yield how long ago each sign of life was."""
    for age in (heard, packet, *(path.answered_age for path in paths)):
        if age is not None:
            yield age


class EchoWatch:
    """Notice what makes the peer suspect, and when that is refuted; seconds, on the clock that `look` is given.

    Suspect makes the loss of a carrier, the end of the session to its server, the silence of its agent for the dead
    interval, and that of all of it for half as long.  An agent that said that it ends is silent as it said.
    """

    def __init__(self, dead_interval: float) -> None:
        self._dead_interval = dead_interval
        self._late = max(_LATE, dead_interval / 4)
        self.since: float | None = None
        self._before: dict[str, float | None] = {}
        self._carriers: dict[str, bool | None] = {}
        self._closed = self._agent_silent = self._all_silent = False
        self._asked_at = self._looked_at = float("-inf")

    def look(self, now: float, heard: float | None, closed: bool, kernel: Kernel, goodbye: bool) -> bool:
        """Return whether the peer's kernel is to be asked at once, on every path.

        `heard`: seconds since its agent was.  `closed`: our session to its server is.  `goodbye`: its agent has said
        that it ends.
        """
        youngest = min(_ages(heard, kernel.packet_age, kernel.paths), default=None)
        if self.since is not None and youngest is not None and now - youngest >= self.since:
            self.since = None
        # A loop that slept may have slept through the answers.
        late = self.pending(now) and now - self._looked_at > self._late
        self._looked_at = now
        suspect = self._news(heard, youngest, closed, kernel, goodbye)
        if not late and not (suspect and self.since is None):
            return False
        self.since = self._asked_at = now
        self._before = {path.path: path.answered_age for path in kernel.paths}
        return True

    def pending(self, now: float) -> bool:
        """Tell whether what was asked may still be answered, so that the loop has to be quick."""
        return self.since is not None and now < self._asked_at + self._dead_interval

    def forget(self) -> None:
        """Begin anew: we were away, and what we suspected then says nothing of now."""
        self.since = None
        self._agent_silent = self._all_silent = False

    def facts(self, now: float, kernel: Kernel) -> Kernel:
        """Return what is known of the kernel together with the suspicion."""
        paths = tuple(replace(path, before=self._before.get(path.path)) for path in kernel.paths)
        return replace(kernel, suspected_for=None if self.since is None else now - self.since, paths=paths)

    def _news(self, heard: float | None, youngest: float | None, closed: bool, kernel: Kernel, goodbye: bool) -> bool:
        """Tell whether something has happened since the last look that makes the peer suspect."""
        before, ended = self._carriers, closed and not self._closed
        self._carriers, self._closed = {path.path: path.carrier for path in kernel.paths}, closed
        lost = any(before.get(path.path) and path.carrier is False for path in kernel.paths)
        agent_silent = heard is None or heard >= self._dead_interval
        # While its agent is silent the kernel is asked each heartbeat interval: half of the dead interval tells much.
        all_silent = youngest is not None and youngest >= self._dead_interval / 2
        fell_silent = agent_silent and not self._agent_silent and not goodbye
        vanished = all_silent and not self._all_silent
        self._agent_silent, self._all_silent = agent_silent, all_silent
        return lost or ended or fell_silent or vanished
