"""Say whether the switch that speaks is the one that was learned as the peer.

A switch is known beyond the restarts of its agent by its identity, drawn at random
once and kept on its disk.  The first one that is met is learned, and from then on
another one is not believed, although it has the pair's key: it may be a third
switch with a copy of the configuration, or the peer without its disk, and only an
operator can tell the two apart.

What comes here has been found authentic and fresh by ovsha.protocol.heartbeat, so that
a recording is never taken for a switch that is there.  Nothing here reads a clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ovsha.protocol.seal import Message, Refused


@dataclass(frozen=True, slots=True)
class IdentityMismatch:
    """The last packet of an agent with the peer's name and our key that is not the peer."""

    boot: str
    seq: int
    identity: str
    state: Mapping[str, Any]
    heard_at: float


class PeerIdentity:
    """Whom we take for the peer; `identity` is "" as long as nobody was met, and is the caller's to keep on disk."""

    def __init__(self, identity: str = "") -> None:
        self.identity = identity
        self._stranger: IdentityMismatch | None = None

    def check(self, message: Message, now: float) -> None:
        """Learn which switch the peer is; raises Refused for another one."""
        if self.identity and message.identity != self.identity:
            last = self._stranger
            if last is None or last.boot != message.boot or last.seq < message.seq:
                self._stranger = IdentityMismatch(message.boot, message.seq, message.identity, message.state, now)
            raise Refused("identity", message.identity)
        self.identity = message.identity

    def stranger(self, now: float, dead_interval: float) -> IdentityMismatch | None:
        """Return who has the peer's name and key but another identity, if heard within the dead interval.

        What it says is not believed; it is there for the caller to be careful by.
        """
        stranger = self._stranger
        return stranger if stranger is not None and now - stranger.heard_at < dead_interval else None

    def forget(self) -> str:
        """Learn the next switch that proves itself; return the identity that was known so far."""
        forgotten, self.identity, self._stranger = self.identity, "", None
        return forgotten

    def forget_liveness(self) -> None:
        """Begin to listen anew."""
        self._stranger = None
