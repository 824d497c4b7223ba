"""Say whether clients reached this side while it heard nothing of its peer.

Where both sides serve after a silence, one of the two may have been cut off from everybody: its sessions are still
there, since TCP needs a while to give them up, but nobody has answered on them.  What clients wrote meanwhile is on the
other side.
"""

from __future__ import annotations


class Reach:
    """Adds up the time of one silence of the peer, by whether a client answered in it."""

    def __init__(self) -> None:
        self._answered = self._unanswered = 0.0

    @property
    def cut_off(self) -> bool:
        """Whether no client answered for most of it; false before the first look."""
        return self._unanswered > self._answered

    def look(self, answered: bool, seconds: float) -> None:
        """Take note of a look while the peer is silent that stands for so many seconds.

        `answered`: a client on another host acknowledges what it is sent.
        """
        if answered:
            self._answered += seconds
        else:
            self._unanswered += seconds

    def forget(self) -> None:
        """Begin anew: the silence has ended, and one side at most serves."""
        self._answered = self._unanswered = 0.0
