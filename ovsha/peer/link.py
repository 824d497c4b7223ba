"""Carry the heartbeats over UDP (RFC 768), one socket for each path to the peer.

A socket is bound to this side's address of the path, and to the path's
interface where one is named, so that a heartbeat never takes another way than
the one it speaks for.  Nothing here raises for what the network does: the
reason stands in `trouble`, and a socket that is of no use any more is opened
again each second.  Whether a packet is believed is decided by
ovsha.protocol.heartbeat.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import ovs.poller

from ovsha.net.path_socket import Channel, Endpoint
from ovsha.protocol.heartbeat import Conversation
from ovsha.protocol.seal import MAX_PACKET

MAX_TURN = 64  # packets read in one turn, over all paths
_MAX_QUEUED = 4096  # more than the receive buffer can hold

class PeerLink:
    """The heartbeats' way out and in, over all paths.

    Raises ValueError for addresses that are none, or of two families on one
    path, which the configuration should have refused.
    """

    def __init__(self, conversation: Conversation, endpoints: Sequence[Endpoint]) -> None:
        self._conversation = conversation
        self._channels = {endpoint.path: Channel(endpoint, MAX_PACKET + 1) for endpoint in endpoints}
        self._state: Mapping[str, Any] | None = None
        self._state_at = 0.0

    @property
    def trouble(self) -> dict[str, str]:
        """Return for each path why it cannot be used from here; "" when it can."""
        return {path: channel.trouble for path, channel in self._channels.items()}

    def run(self, now: float) -> list[dict[str, Any]]:
        """Return the states newly believed, oldest first, of at most MAX_TURN packets.

        A peer that waits for an answer to believe us gets the state sent last,
        unless that is older than the conversation lets a packet be.
        """
        for channel in self._channels.values():
            channel.tend(now)
        states = self._drain(now)
        if self._state is not None and self._answer_due(now):
            self._transmit(self._state, now)
        return states

    def send(self, state: Mapping[str, Any], now: float) -> None:
        """Send `state` over all paths.

        Raises ValueError or TypeError when it does not fit a packet or is not
        JSON: a bug of ours.
        """
        self._state, self._state_at = state, now
        self._transmit(state, now)

    def wait(self, poller: ovs.poller.Poller, now: float) -> None:
        """Wake the loop for a packet, a socket to be opened, or an answer due."""
        moments = []
        for channel in self._channels.values():
            fd = channel.fileno()
            if fd is None or channel.endpoint.interface is not None:
                moments.append(channel.check_at)
            if fd is not None:
                poller.fd_wait(fd, ovs.poller.POLLIN)
        reply_at = self._conversation.reply_at()
        if reply_at is not None and self._may_answer(reply_at):
            moments.append(reply_at)
        if moments:
            poller.timer_wait(max(0, int((min(moments) - now) * 1000) + 1))

    def discard_queued(self) -> int:
        """Drop what waits in the sockets, and return how many packets that was.

        For a loop that was away: what arrived meanwhile says nothing of now.
        """
        dropped = 0
        for channel in self._channels.values():
            for _ in range(_MAX_QUEUED):
                if channel.receive() is None:
                    break
                dropped += 1
        return dropped

    def reopen(self, now: float) -> None:
        """Open all sockets anew, because addresses or interfaces have changed."""
        for channel in self._channels.values():
            channel.close()
            channel.check_at = now
            channel.tend(now)

    def close(self) -> None:
        """Close all sockets."""
        for channel in self._channels.values():
            channel.close()

    def _drain(self, now: float) -> list[dict[str, Any]]:
        """Read the paths in turn, so that a flood on one does not silence the other."""
        states = []
        left, waiting = MAX_TURN, list(self._channels.values())
        while waiting and left:
            for channel in waiting[:left]:
                arrival = channel.receive()
                if arrival is None:
                    waiting.remove(channel)
                    continue
                left -= 1
                state = self._believe(channel.endpoint.path, *arrival, now)
                if state is not None:
                    states.append(state)
        return states

    def _believe(self, path: str, packet: bytes, address: str, from_peer: bool, now: float) -> dict[str, Any] | None:
        if not from_peer:
            self._conversation.receive_from_stranger(packet, path, now, address)
            return None
        return self._conversation.receive(packet, path, now, address)

    def _transmit(self, state: Mapping[str, Any], now: float) -> None:
        for path, channel in self._channels.items():
            channel.send(self._conversation.seal(path, state, now), now)

    def _answer_due(self, now: float) -> bool:
        return self._conversation.wants_reply(now) and self._may_answer(now)

    def _may_answer(self, when: float) -> bool:
        return self._state is not None and when - self._state_at < self._conversation.max_delay
