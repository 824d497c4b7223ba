"""Say what lineage our database has, and the peer's, whatever a client has written into their rows.

The agents' keys are in a row that every client may write.  But a process of ovsdb-server that held a token goes on from
there, and holds no less as long as it runs: less in its rows is a client's write, and no damaged file.  So what is
believed is kept apart from what is written.  The active side may be written to by clients only, and its process is
proof enough; a backup goes on from what it held as long as it follows the same process of the peer, for what it copies
anew may be anything.

A term or a token that is written is believed when it exceeds the highest that either agent wrote or told by no more
than `stamps.LEAP`.
"""

from __future__ import annotations

from dataclasses import replace

from ovsha.core import lineage
from ovsha.core.facts import Proof, Record, Role, Server, Source, Stamp, Token, Written
from ovsha.core.situation import Situation
from ovsha.core.stamps import BELIEVED_END, LEAP, WRITTEN_END
from ovsha.core.view import Memory, View
from ovsha.words import span

LAST_WORDS = 0.5
"""Seconds after the end of a source's session within which no other can have been copied (ovsdb-server waits for one),
and what was on its way may still come."""


def kept(view: View, memory: Memory) -> Proof | None:
    """Return the proof as far as it still holds for what the server shows now, None when it does not."""
    proof, server = memory.proof, view.server
    if proof is None or (server.process and server.process != proof.process):
        return None
    if not server.process or not server.loaded or server.role is None:
        return proof
    following = server.role is Role.BACKUP and server.source == view.settings.source
    parked = server.role is Role.BACKUP and server.source == lineage.PARKED
    if following and not proof.copy:
        return None  # it was connected, and erased
    goes_on = (following and not memory.severed and not view.source.closed) or (
        server.role is Role.ACTIVE and not proof.copy
    )
    if goes_on:
        return replace(proof, until=None)
    until = view.now + LAST_WORDS if proof.until is None and not view.woke else proof.until
    written = Written(server.stamp, server.token)
    if (following or parked or server.role is Role.ACTIVE) and (
        proof.written in (None, written) or (until is not None and view.now < until)
    ):
        return replace(proof, until=until or view.now)
    return None


def believed(view: View, memory: Memory) -> View:
    """Return the view with what is believed of both databases in the place of what is written in them."""
    if not view.server.loaded and not view.source.loaded:
        return view
    server = _server(view, memory) if view.server.loaded else view.server
    source = _source(view, memory, server) if view.source.loaded else view.source
    if server is view.server and source is view.source:
        return view
    return replace(view, server=server, source=source)


def proven(c: Situation) -> Proof | None:
    """Return what our server's process is now known to hold; `c` is what is believed already."""
    server, proof = c.view.server, c.memory.proof
    if not server.process or not server.loaded or server.role is None:
        return proof
    active = server.role is Role.ACTIVE
    if proof is None:
        unsure = c.following and (not c.in_sync or c.view.source.closed)
        if server.stamp is None or unsure or bool(c.rolled_back):
            return None
        proof = Proof(server.process, server.stamp, copy=c.following)
    written = server.written or Written(server.stamp, server.token)
    token = server.token if coherent(server.stamp, server.token) else proof.token
    stamp = server.stamp or proof.stamp
    settled = replace(proof, stamp=stamp, token=token, copy=proof.copy and not active, written=written)
    return settled if settled != proof else proof


def coherent(stamp: Stamp | None, token: Token | None) -> bool:
    """Tell whether the token is one of the stamp's term."""
    return stamp is not None and token is not None and token[0] == stamp.term


def above(c: Situation) -> Token | None:
    """Return the token that follows all that were seen of our database's term, None when it has no stamp."""
    stamp = c.view.server.stamp
    if stamp is None:
        return None
    seen = (c.view.server.token, c.memory.held, c.memory.peer_token, c.peer.token)
    number = max((token[1] for token in seen if token is not None and token[0] == stamp.term), default=0)
    return stamp.term, min(number + 1, WRITTEN_END)


def _known_term(view: View, memory: Memory) -> int:
    told = view.record.term if view.record is not None else 0
    return max(memory.term, told, lineage.term_of(memory.proof.stamp if memory.proof else None))


def _credible(stamp: Stamp | None, known: int) -> Stamp | None:
    """Return the stamp when its term is to be believed, given the highest that is known."""
    if stamp is None or (stamp.term > known and stamp.term > min(known + LEAP, BELIEVED_END)):
        return None
    return stamp


def _server(view: View, memory: Memory) -> Server:
    server, proof = view.server, memory.proof
    read = server.written or Written(server.stamp, server.token)
    credible = _credible(read.stamp, _known_term(view, memory))
    if proof is None or not server.process or server.process != proof.process:
        if credible is server.stamp and server.written is None:
            return server
        return replace(server, stamp=credible, token=read.token, written=None)
    stamp = _stamp(credible, proof.stamp, view.settings.peer if proof.copy else view.settings.node)
    token = _token(read.token, stamp, proof, _tokens(view.record, memory))
    written = None if (stamp, token) == (read.stamp, read.token) else read
    if (stamp, token, written) == (server.stamp, server.token, server.written):
        return server
    return replace(server, stamp=stamp, token=token, written=written)


def _stamp(read: Stamp | None, held: Stamp, writer: str) -> Stamp:
    """Return the stamp that is believed where `held` was, and only `writer` may open a term."""
    if read is None or read.term <= held.term:
        return held
    return read if read.node == writer else replace(held, term=read.term)


def _token(read: Token | None, stamp: Stamp, proof: Proof, known: tuple[Token | None, ...]) -> Token | None:
    held = proof.token if coherent(stamp, proof.token) else None
    if coherent(stamp, read) and read is not None:
        least = held[1] if held is not None else 0
        most = max((token[1] for token in (held, *known) if token and token[0] == stamp.term), default=0)
        if least <= read[1] <= max(most, min(most + LEAP, BELIEVED_END)):
            return read
    return held or ((stamp.term, 0) if stamp != proof.stamp else proof.token)


def _tokens(record: Record | None, memory: Memory) -> tuple[Token | None, ...]:
    return memory.held, memory.peer_token, record.token if record is not None else None


def _source(view: View, memory: Memory, own: Server) -> Source:
    """Return what is believed of the peer's database: what its agent tells, where it says that a client wrote there."""
    source, record = view.source, view.record
    heard = view.heard_age is not None and view.heard_age < view.settings.dead_interval
    if record is not None and record.overwritten and heard:
        stamp, token = record.stamp, record.token
    else:
        known = max(_known_term(view, memory), lineage.term_of(own.stamp))
        stamp, token = _credible(source.stamp, known), source.token
        if token is not None and stamp is not None:
            token = _bounded(token, (own.token, *_tokens(record, memory)))
    if (stamp, token) == (source.stamp, source.token):
        return source
    return replace(source, stamp=stamp, token=token)


def _bounded(token: Token, known: tuple[Token | None, ...]) -> Token:
    """Return the token, or the highest that is known of its term when it exceeds that beyond belief."""
    numbers = [each[1] for each in known if each is not None and each[0] == token[0]]
    if not numbers or token[1] <= max(numbers) + LEAP:
        return token
    return token[0], max(numbers)


# -- writing it again --------------------------------------------------------------------------------------------------

LONGEST_PAUSE = 60.0
"""Seconds between two heals of a row that is overwritten again and again; they begin with one."""


def healed(c: Situation) -> bool:
    """Tell whether there is nothing to write over what a client wrote, or it is too soon to do so again."""
    return c.view.server.written is None or c.view.now < c.memory.heal_after


def healing(memory: Memory, now: float) -> Memory:
    """Return the memory of a side that writes its stamp again now."""
    pause = min(LONGEST_PAUSE, 2.0 ** min(memory.heals, 8))
    return replace(memory, heals=memory.heals + 1, heal_after=now + pause)


def calmed(c: Situation) -> Memory:
    """Return the memory, without the heals when nobody has overwritten anything for long."""
    calm = c.memory.heals and c.view.server.written is None and c.view.now >= c.memory.heal_after + LONGEST_PAUSE
    return replace(c.memory, heals=0) if calm else c.memory


def remembered(proof: Proof | None, held: Token | None) -> Proof | None:
    """Return the proof of the disk with the token that is kept there too, which may be the newer one."""
    if proof is None or held is None or held[0] != proof.stamp.term or (proof.token or (0, 0)) >= held:
        return proof
    return replace(proof, token=held)


def overwriting(server: Server, interval: float | None = None) -> str:
    """Say what a client wrote over what is believed, "" when nothing.

    A token is committed each `interval` seconds; None when that is not known, and then no age is told.
    """
    written, stamp, token = server.written, server.stamp, server.token
    if written is None or stamp is None:
        return ""
    if written.stamp is None and written.token is None:
        return f"the stamp of term {stamp.term} and its token are gone"
    found = []
    if written.stamp is None:
        found.append(f"the stamp of term {stamp.term} is gone or unreadable")
    elif written.stamp != stamp:
        chosen = ", chosen" if written.stamp.chosen else ""
        found.append(f"the stamp is of term {written.stamp.term} by {written.stamp.node}{chosen}")
    if written.token is None:
        found.append("the token is gone or unreadable")
    elif written.token != token:
        found.append(f"the token is {written.token[0]}.{written.token[1]}{_age(written.token, token, interval)}")
    return ", ".join(found)


def _age(written: Token, token: Token | None, interval: float | None) -> str:
    if token is None or written > token:
        return ""
    if written[0] == token[0] and interval is None:
        return f", older than {token[0]}.{token[1]}"
    if written[0] == token[0] and interval is not None:
        return f", about {span((token[1] - written[1]) * interval)} older than {token[0]}.{token[1]}"
    return f", of an older term than {token[0]}.{token[1]}"
