"""Say how one path to the peer is doing, from what it carried.

A path is heard when it carries a packet newer than any before, and known to
work both ways when the peer says which of our packets it received there.  That
it says over every path it has, so a path of which only the way out works is told
from one that is down.

Nothing here reads a clock, and what arrives here has been found authentic and
fresh by ovsha.protocol.heartbeat.
"""

from collections import deque
from dataclasses import dataclass
from enum import StrEnum

from ovsha.protocol.seal import Echo, Refused

NEVER = float("-inf")
_WINDOW = 128  # numbers within which a latecomer is told from a repetition


class PathState(StrEnum):
    """How one path to the peer is doing."""

    UP = "up"
    DEGRADED = "degraded"  # nothing heard for half the dead interval
    ONE_WAY_IN = "one-way in"  # we hear the peer here, and it does not hear us
    ONE_WAY_OUT = "one-way out"  # the peer hears us here, as it says over another path, and we do not hear it
    DOWN = "down"  # nothing heard for the dead interval, nor heard there of us
    NEVER = "never"  # nothing heard since we began, or began anew, to listen


@dataclass(frozen=True)
class Path:
    """One path as seen now; ages and round trip in seconds, None when never.

    `echo_age` is how long ago we sent the newest packet that the peer says, over
    any path, it received over this one.
    """

    state: PathState
    heard_age: float | None
    echo_age: float | None
    round_trip: float | None


class Ear:
    """What one path has carried from the peer's present incarnation."""

    def __init__(self) -> None:
        self.newest = 0
        self.newest_at = NEVER
        self.round_trip: float | None = None
        self._named = self._told = 0
        self._recent: deque[int] = deque(maxlen=_WINDOW)
        self.forget()

    def forget(self) -> None:
        """Begin to listen anew; the order of the packets is not forgotten."""
        self.heard_at: float | None = None
        self._echoed_at: float | None = None
        self._listening_since = -NEVER

    def hear(self, seq: int, now: float) -> None:
        """Count a packet as a sign of life unless the path carried a newer one.

        Only the order protects; `_recent` merely tells, for the counter, a
        packet that was overtaken from one that is repeated.
        """
        if seq <= self.newest:
            if seq in self._recent or seq <= self.newest - _WINDOW:
                raise Refused("replayed")
            self._recent.append(seq)
            return
        self.newest, self.newest_at, self.heard_at = seq, now, now
        self._listening_since = min(self._listening_since, now)
        self._recent.append(seq)

    def was_heard(self, echo: Echo, sent_at: float, now: float) -> None:
        """Take in which of our packets the peer received over this path."""
        if echo.here <= self._named or sent_at == NEVER:
            return
        self._named, self._echoed_at = echo.here, max(sent_at, self._echoed_at or NEVER)
        sample = max(0.0, now - sent_at - echo.held / 1e6)
        # Smoothed as in RFC 6298 section 2.
        old = self.round_trip
        self.round_trip = sample if old is None else old + (sample - old) / 8

    def was_told(self, newest: int, sent_at: float) -> None:
        """Take in, from a packet of another path, which of our packets the peer received over this one last."""
        if newest > self._told and sent_at != NEVER:
            self._told, self._echoed_at = newest, max(sent_at, self._echoed_at or NEVER)

    def view(self, now: float, dead_interval: float) -> Path:
        """Return how the path is doing; an interval is over when it is reached."""
        heard_age = None if self.heard_at is None else now - self.heard_at
        echo_age = None if self._echoed_at is None else now - self._echoed_at
        # A peer that has only just been heard is given time to have heard us.
        deaf_for = min(-NEVER if echo_age is None else echo_age, now - self._listening_since)
        if heard_age is None or heard_age >= dead_interval:
            # Cut both ways, a path's last signs of life are no further apart than two packets.
            lead = -NEVER if heard_age is None else heard_age - (echo_age or 0.0)
            if echo_age is not None and echo_age < dead_interval and lead >= dead_interval / 2:
                state = PathState.ONE_WAY_OUT
            else:
                state = PathState.NEVER if heard_age is None else PathState.DOWN
        elif heard_age >= dead_interval / 2:
            state = PathState.DEGRADED
        else:
            state = PathState.ONE_WAY_IN if deaf_for >= dead_interval else PathState.UP
        return Path(state, heard_age, echo_age, self.round_trip)
