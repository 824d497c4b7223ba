"""Say what of the packets that arrive is the peer, alive, now.

A Conversation seals what we say and judges what we hear.  An incarnation of an
agent is named by its `boot`, drawn at random when it starts, and numbers its
packets over all paths; each packet repeats what its sender last accepted from
the other side.  These laws hold, whatever an attacker records, delays, repeats,
reflects or invents, as long as the key is not known:

* no state is given that is older than one already given;
* no packet counts twice, nor on another path than the one it was sent on;
* an unknown incarnation is believed only on proof that it heard ours: its
  packet names one that we sent a moment ago, later than any the present
  incarnation has named.  Whoever was replaced is never believed again;
* a packet held back for longer than three times `max_delay` counts for nothing;
* an incarnation of another switch than the one that was learned is not believed,
  although it has the key and proves that it is there now (ovsha.protocol.identity).

The last law cannot rest on what the packet repeats, because a peer that does
not hear us is to be heard all the same.  So a packet also carries its sender's
clock, which is compared with ours since the last proof.  What this cannot see is
a whole stream that is held back ever longer, by no more than the drift allowed
between two clocks (0.7 s an hour); its paths then show as one-way.

Nothing here reads a clock: `now` is the caller's monotonic time in seconds.
What a state means is the agent's business.
"""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from typing import Any

from ovsha.protocol.conflicts import OF_REFUSAL, Conflicts
from ovsha.protocol.identity import PeerIdentity
from ovsha.protocol.path import NEVER, Ear, Path, PathState
from ovsha.protocol.seal import Echo, Hello, Message, Refused, pack, unpack

__all__ = ["Conversation", "Path", "PathState"]

REASONS = (
    "oversize", "malformed", "forged", "stranger_address", "stranger_pair", "stranger_node", "own",
    "unproven", "replayed", "delayed", "identity",
)  # fmt: skip

REPLY_INTERVAL = 0.02  # seconds between two packets sent only to answer
_REMEMBERED = 4096  # of our packets, a minute's worth when all are answers
_RETIRED = 256  # incarnations; one forgotten still has to prove itself
_DRIFT = 200e-6  # two undisciplined clocks drift apart by less than this


class Conversation:
    """The heartbeats between this agent and its peer over all paths.

    `boot` must be drawn at random each time the agent starts, `key` is the
    pair's secret, and `paths` bear the same names on both sides.  `max_delay`
    in seconds should be the dead interval or a little more: what is older says
    nothing of who is alive.  `counters` counts what was refused, by reason, and
    `collisions` is told who got in our way.

    `identity` is what the peer shall know this switch by, `peer_identity` what it
    is known by itself, "" as long as none was learned; see `peer`.

    Raises ValueError for a key of less than 32 bytes, which the configuration
    should have refused.
    """

    def __init__(
        self,
        pair_id: str,
        node: str,
        peer_node: str,
        key: bytes,
        boot: str,
        paths: Sequence[str],
        *,
        max_delay: float = 1.0,
        collisions: Conflicts | None = None,
        identity: str = "",
        peer_identity: str = "",
    ) -> None:
        if len(key) < 32:
            raise ValueError("a pair key has at least 32 bytes")
        self.pair_id, self.node, self.peer_node, self.boot = pair_id, node, peer_node, boot
        self.max_delay = max_delay
        self.collisions = collisions or Conflicts()
        self.identity, self.peer = identity, PeerIdentity(peer_identity)
        self.counters: Counter[str] = Counter(dict.fromkeys(REASONS, 0))
        self.peer_boot: str | None = None  # the incarnation of the peer we believe
        self._key = key
        self._seq = 0
        self._sent: deque[float] = deque(maxlen=_REMEMBERED)
        self._named = 0  # the newest of our packets that a believed one named
        self._retired: deque[str] = deque(maxlen=_RETIRED)
        self._forgotten_at = NEVER
        self._hello: Hello | None = None
        self._hello_until = NEVER
        self._answer_due = False
        self._answered_at = NEVER
        self._ears = {path: Ear() for path in paths}
        self._newest = 0
        self._offset = 0.0  # our clock less the peer's, and the least delay
        self._offset_at = 0.0

    def seal(self, path: str, state: Mapping[str, Any], now: float) -> bytes:
        """Return the next packet, to be sent over `path` at once.

        Raises ValueError or TypeError when the state does not fit a packet or
        is not JSON, and KeyError for an unknown path: bugs of ours.
        """
        message = Message(
            self.pair_id, self.node, self.boot, self._seq + 1, path, round(now * 1e6),
            self._echo(self._ears[path], now),
            self._hello if now < self._hello_until else None,
            state,
            {other: ear.newest for other, ear in self._ears.items() if other != path and ear.newest},
            self.identity,
        )  # fmt: skip
        packet = pack(message, self._key)
        self._seq += 1
        self._sent.append(now)
        if self._answer_due:
            self._answer_due, self._answered_at = False, now
        return packet

    def receive(self, packet: bytes, path: str, now: float, address: str = "") -> dict[str, Any] | None:
        """Return the peer's state, if `packet` brings one newer than any before.

        `address` is where it came from, for the operator.  None means that it
        brought none: it was refused, and `counters` says why, or it was overtaken
        by a newer one and at most shows that the path works.  Raises KeyError for
        an unknown path, a bug of ours.
        """
        ear = self._ears[path]
        try:
            message = unpack(packet, self._key)
            self._check_sender(message, path)
            return self._hear(message, ear, now)
        except Refused as refusal:
            self.counters[refusal.reason] += 1
            self._collide(refusal, path, now, address)
            return None

    def receive_from_stranger(self, packet: bytes, path: str, now: float, address: str) -> None:
        """Note who sends from `address`, which is not the peer's; not a word of it is believed."""
        self.counters["stranger_address"] += 1
        try:
            message = unpack(packet, self._key)
            self._check_name(message)
            refusal = Refused("stranger_address", message.node)
        except Refused as error:
            refusal = error
        self._collide(refusal, path, now, address)

    def reply_at(self) -> float | None:
        """Say when to send a packet merely to answer; None when nothing waits for it."""
        return self._answered_at + REPLY_INTERVAL if self._answer_due else None

    def wants_reply(self, now: float) -> bool:
        """Say whether a packet sent at once would let the two sides believe each other."""
        due = self.reply_at()
        return due is not None and now >= due

    def path_state(self, path: str, now: float, dead_interval: float) -> Path:
        """Return how `path` is doing; an interval is over when it is reached."""
        return self._ears[path].view(now, dead_interval)

    def heard_age(self, now: float) -> float | None:
        """Return the seconds since the peer was heard over any path; None for never."""
        last = self._heard_at()
        return None if last is None else now - last

    def deadline(self, dead_interval: float) -> float | None:
        """Return when the peer will be silent on every path; None if it is not heard."""
        last = self._heard_at()
        return None if last is None else last + dead_interval

    def round_trip(self, path: str) -> float | None:
        """Return the seconds to the peer's agent and back, smoothed; None if unknown."""
        return self._ears[path].round_trip

    def forget_liveness(self, now: float) -> None:
        """Begin to listen anew: we were away, and do not know what we missed.

        All paths are as if never heard.  A packet counts again only if it was
        made after `now`, so that what waited in a queue meanwhile does not.
        """
        self._forgotten_at = now
        self.peer.forget_liveness()
        for ear in self._ears.values():
            ear.forget()

    def _heard_at(self) -> float | None:
        moments = (ear.heard_at for ear in self._ears.values())
        return max((moment for moment in moments if moment is not None), default=None)

    def _echo(self, ear: Ear, now: float) -> Echo | None:
        if self.peer_boot is None:
            return None
        held = max(0, round((now - ear.newest_at) * 1e6)) if ear.newest else 0
        return Echo(self.peer_boot, self._newest, ear.newest, held)

    def _collide(self, refusal: Refused, path: str, now: float, address: str) -> None:
        if refusal.claim is not None:
            self.collisions.see(now, OF_REFUSAL[refusal.reason], address, path, refusal.claim)

    def _check_sender(self, message: Message, path: str) -> None:
        self._check_name(message)
        if message.path != path:
            raise Refused("replayed")

    def _check_name(self, message: Message) -> None:
        if message.pair != self.pair_id:
            raise Refused("stranger_pair", message.pair)
        if message.node == self.node:
            # What is thrown back to us is a loop and nobody in our way.
            raise Refused("own", None if message.boot == self.boot else message.node)
        if message.node != self.peer_node:
            raise Refused("stranger_node", message.node)

    def _hear(self, message: Message, ear: Ear, now: float) -> dict[str, Any] | None:
        named = self._named_by(message)
        if message.boot == self.peer_boot:
            self._check_age(message, self._sent_at(named), now)
            self.peer.check(message, now)
        else:
            self._check_proof(message, named, now)
            self._check_identity(message, now)
            self._turn_to(message, now)
            ear = self._ears[message.path]
        ear.hear(message.seq, now)
        self._named = max(self._named, named)
        if message.echo is not None and message.echo.boot == self.boot:
            ear.was_heard(message.echo, self._sent_at(message.echo.here), now)
            for other, newest in message.others.items():
                if other in self._ears and other != message.path:
                    self._ears[other].was_told(newest, self._sent_at(newest))
        if message.seq <= self._newest:
            return None
        self._newest = message.seq
        if message.hello is not None and message.hello.boot == self.boot:
            self._answer_due = True  # the peer hears us and has no proof of it yet
        return dict(message.state)

    def _named_by(self, message: Message) -> int:
        """Return the newest of our packets its sender had heard; 0 for none."""
        named = 0
        if message.echo is not None and message.echo.boot == self.boot:
            named = max(message.echo.newest, message.echo.here, *message.others.values())
        if message.hello is not None and message.hello.boot == self.boot:
            named = max(named, message.hello.seq)
        if named > self._seq:
            raise Refused("malformed")  # names what we never sent
        return named

    def _sent_at(self, seq: int) -> float:
        """Return when we sent packet `seq`; minus infinity if never, or long ago."""
        back = self._seq - seq
        return self._sent[-1 - back] if seq and back < len(self._sent) else NEVER

    def _check_age(self, message: Message, proof: float, now: float) -> None:
        """Refuse a packet of the believed incarnation that was made too long ago.

        `proof` is when we sent the packet it names, before which it cannot
        have been made.  Its clock gives the other estimate.  The difference of
        the clocks is the least seen, loosened by the drift; when a proof
        contradicts it, the peer's clock has been stopped and is read anew.
        """
        drift = min(_DRIFT * (now - self._offset_at), self.max_delay)
        offset = self._offset + drift
        distance = now - message.at / 1e6
        if max(proof, now - distance + offset) < self._earliest(now):
            raise Refused("delayed")
        stopped = distance - offset > self.max_delay
        self._offset = distance if stopped else min(offset, distance)
        self._offset_at = now

    def _earliest(self, now: float) -> float:
        return max(now - self.max_delay, self._forgotten_at)

    def _check_proof(self, message: Message, named: int, now: float) -> None:
        """Refuse an incarnation not believed so far unless its packet shows that it heard us a moment ago."""
        if message.boot in self._retired:
            raise Refused("replayed")
        if named <= self._named or self._sent_at(named) < self._earliest(now):
            self._note_hello(message, now)
            raise Refused("unproven")

    def _check_identity(self, message: Message, now: float) -> None:
        """Refuse another switch than the one we know; it is answered all the same, for it may believe us."""
        try:
            self.peer.check(message, now)
        except Refused:
            if message.echo is None or message.echo.boot != self.boot:
                self._note_hello(message, now)
            raise

    def _turn_to(self, message: Message, now: float) -> None:
        """Believe an incarnation that was not believed so far, and no longer the one before."""
        if self.peer_boot is not None:
            self._retired.append(self.peer_boot)
        if self._hello is not None and self._hello.boot == message.boot:
            self._hello = None
        self.peer_boot = message.boot
        self._ears = {path: Ear() for path in self._ears}
        self._newest = 0
        self._offset, self._offset_at = now - message.at / 1e6, now

    def _note_hello(self, message: Message, now: float) -> None:
        """Let our next packets name this one, so that its sender can prove itself.

        A stranger does not push out one that still waits for its answer: it may
        be a recording, and the other one the peer.
        """
        hello = self._hello if now < self._hello_until else None
        if hello is None or hello.boot == message.boot:
            seq = message.seq if hello is None else max(hello.seq, message.seq)
        elif self._answer_due:
            return
        else:
            seq = message.seq
        self._hello, self._hello_until = Hello(message.boot, seq), now + self.max_delay
        self._answer_due = True
