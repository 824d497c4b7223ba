"""Say what this side should do now.

One table.  Its rules are searched from the top and the first that holds decides; the last
always holds.  A rule's sentence is what the log, `ovsha status` and the documentation
print after "because".  Two laws are in the order of the rows: a side that hears an active
peer never begins to serve, and what is not known is never taken for a death.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from ovsha.core import guard, lineage
from ovsha.core.facts import UNREAD, Life, Presence, Role
from ovsha.core.lineage import term_of
from ovsha.core.situation import Situation

_SETTLING = 0.5
"""Seconds for which a side that begins to serve is not burdened with a copy."""


class Goal(Enum):
    """What a side should be doing; core.transition knows the way there."""

    SERVE = "serve"
    DRAIN = "drain"
    FOLLOW = "follow"
    PARK = "park"
    FENCE = "fence"
    KEEP = "keep"


@dataclass(frozen=True, slots=True)
class Rule:
    """If `holds`, this side should reach `goal`, because `why`; `detail` adds what is particular to the moment.

    `asks`: seconds after which this side says that it needs an operator's decision, None for never.
    `unasked`: this side begins to serve without the peer's consent, so what stands above these rules may hold it back.
    """

    name: str
    holds: Callable[[Situation], bool]
    goal: Goal
    why: str
    detail: Callable[[Situation], str] | None = None
    asks: float | None = None
    unasked: bool = False

    def sentence(self, c: Situation) -> str:
        """Return the whole clause that goes after "because"."""
        detail = self.detail(c) if self.detail else ""
        return f"{self.why}: {detail}" if detail else self.why


def _life(*lives: Life) -> Callable[[Situation], bool]:
    return lambda c: c.view.server.life in lives


def _unread(c: Situation) -> bool:
    return not c.view.server.loaded or c.view.server.role is None


def _listening(c: Situation) -> bool:
    return c.view.now - c.memory.awake < c.view.settings.dead_interval and not c.alive and not c.standalone


def _split(won: bool) -> Callable[[Situation], bool]:
    def holds(c: Situation) -> bool:
        return c.serving and c.peer_serving and (c.verdict[0] == c.view.settings.node) is won

    return holds


def _resolved(c: Situation) -> bool:
    return c.keep == c.view.settings.node and c.presence in (Presence.DEAD, Presence.NEVER)


def _forced(c: Situation) -> bool:
    return c.memory.forced and c.keep == c.view.settings.node and not c.alive


def _rolled_back(c: Situation) -> bool:
    return bool(c.rolled_back) and not c.peer_serving


def _found_unstamped(c: Situation) -> bool:
    """Tell whether a server serves that we did not open: we stamp a database before we open anything."""
    found = c.serving and c.memory.ordered is not Role.ACTIVE and not c.peer_serving
    return found and c.view.server.stamp is None and c.memory.term > 0 and c.keep != c.view.settings.node


def _found_far_behind(c: Situation) -> bool:
    """Tell whether somebody has opened a copy that is too far behind; what we opened ourselves bears our stamp."""
    stamp = c.view.server.stamp
    copied = stamp is not None and stamp.node != c.view.settings.node
    found = c.serving and c.memory.ordered is not Role.ACTIVE and not c.peer_serving
    return found and copied and bool(c.too_far_behind)


def _unknown_source(c: Situation) -> bool:
    """Tell whether we have not read what the peer serves now; what we read before its promotion is of no use."""
    read, served = c.view.source, c.peer.stamp
    outdated = read.stamp is not None and read.stamp.term < lineage.term_of(served)
    return c.peer_serving and not c.following and (not read.loaded or outdated)


def _blocked(c: Situation) -> bool:
    return c.peer_serving and not c.following and guard.objection(c) is not None


def _refused_in_silence(c: Situation) -> bool:
    """Tell whether a server that nobody watches serves what must not be copied."""
    unwatched = c.presence is Presence.SILENT and c.view.source.role is Role.ACTIVE and not c.following
    return unwatched and c.view.source.loaded and guard.objection(c) is not None


def _newest_is_out_of_reach(c: Situation) -> bool:
    return bool(c.outdated) and c.presence in (Presence.DEAD, Presence.NEVER)


def _lacking_is_out_of_reach(c: Situation) -> bool:
    return bool(c.too_far_behind) and c.presence in (Presence.DEAD, Presence.NEVER)


def _lacking_is_not_served(c: Situation) -> bool:
    """Tell whether our copy is too far behind a peer that does not serve what ours lacks."""
    read_only = c.presence is Presence.SILENT and c.view.source.role is Role.BACKUP
    return (c.alive or read_only) and bool(c.too_far_behind)


def _settling(c: Situation) -> bool:
    """Tell whether a copy would now compete with the dumps that the peer's new clients wait for."""
    age = c.peer.active_for
    return c.peer_serving and not c.following and age is not None and age < _SETTLING


def _begun(c: Situation) -> bool:
    begun = c.memory.ordered is Role.ACTIVE and c.view.server.role is Role.ACTIVE
    return begun and not (c.outdated or c.too_far_behind) and not c.peer_serving


def _unasked(c: Situation) -> bool:
    """Tell whether this side would begin to serve now although the peer did not consent to it."""
    return any(rule.unasked and rule.holds(c) for rule in RULES)


def _peer_cannot(c: Situation) -> bool:
    return c.alive and c.peer.life in (Life.DOWN, Life.HUNG) and not c.peer.serving


def _peer_barred(c: Situation) -> bool:
    """Tell whether the peer, which takes us for a stranger, knows that our data is newer and so never serves."""
    own, peer = term_of(c.view.server.stamp), c.peer
    knows = peer.estranged and peer.role is Role.BACKUP and peer.term >= own > term_of(peer.stamp)
    return c.alive and knows and not peer.serving


def _peer_read_only(c: Situation) -> bool:
    """Tell whether nobody serves behind a silent agent; where both sides may think so, the preferred goes first."""
    if c.view.estranged is not None and c.view.estranged.serving:
        return False
    if c.presence is not Presence.SILENT or c.view.source.role is not Role.BACKUP or not c.memory.met:
        return False
    since = c.memory.silent_since
    waited = since is not None and c.view.now - since >= c.view.settings.stall_interval
    return waited or c.preferred == c.view.settings.node


def _copies_alone(c: Situation) -> bool:
    """Tell whether the server of a switch that stands alone still copies from one that answers, and may serve."""
    return c.standalone and c.view.server.role is Role.BACKUP and c.view.server.replicating


def _lone_boot_over(c: Situation) -> bool:
    limit = c.view.settings.lone_boot
    return c.presence is Presence.NEVER and limit is not None and c.view.now - c.memory.awake >= limit


def _being_granted(c: Situation) -> bool:
    """Tell whether the peer drains for us; when its server goes meanwhile, ours must not copy what comes back."""
    return c.being_granted and not (c.following and c.view.source.closed)


def _lost_source(c: Situation) -> bool:
    return c.peer_serving and c.following and c.view.source.closed


def _silence(c: Situation) -> str:
    age = c.view.heard_age
    return "" if age is None else f"{age:.2f} s without a heartbeat"


def _with(detail: Callable[[Situation], str]) -> Callable[[Situation], str]:
    """Return the detail, and what our copy lacks where it is served all the same."""

    def said(c: Situation) -> str:
        behind = c.behind
        lacks = "" if behind is None or behind.passing else f"our copy is served although {behind.text}"
        return "; ".join(each for each in (detail(c), lacks) if each)

    return said


def _nothing(c: Situation) -> str:
    return ""


RULES = (
    # name             holds                                     goal          because
    Rule("server-down", _life(Life.DOWN), Goal.FENCE, "our ovsdb-server is not running"),
    Rule("server-hung", _life(Life.HUNG), Goal.FENCE, "our ovsdb-server is stopped or hangs"),
    Rule("server-undriven", lambda c: c.undriven and c.view.server.life is Life.UNKNOWN, Goal.KEEP,
         "our ovsdb-server takes no orders, so it stays as it is", lambda c: c.view.server.undriven),
    Rule("server-unknown", _life(Life.UNKNOWN), Goal.KEEP, "our ovsdb-server has not answered yet"),
    Rule("server-unread", _unread, Goal.KEEP, UNREAD),
    Rule("listening", _listening, Goal.KEEP, "we have just started or woken and listen first"),
    Rule("draining", lambda c: c.memory.grant is not None, Goal.DRAIN, "we hand over to the peer",
         lambda c: c.memory.grant.kind.value if c.memory.grant else ""),
    Rule("granted", lambda c: c.granted, Goal.SERVE, "the peer has drained and its last write is in our copy",
         lambda c: c.memory.ask.kind.value if c.memory.ask else ""),
    Rule("forced", _forced, Goal.SERVE, "an operator has forced this side to serve, and accepts to lose data"),
    Rule("resolved", _resolved, Goal.SERVE, "an operator has decided to keep this side's data"),
    Rule("upgrade-both", lambda c: c.both_upgrading, Goal.PARK,
         "both sides are in an upgrade, so neither may begin to serve", asks=1.0),
    Rule("upgrade-silent", lambda c: c.upgrading and c.presence is Presence.SILENT, Goal.PARK,
         "this side is in an upgrade and follows the peer first", lambda c: c.unfollowed),
    Rule("upgrade-alone", lambda c: c.upgrading and not c.peer_serving, Goal.PARK,
         "this side is in an upgrade and follows the peer first", lambda c: c.unfollowed, asks=10.0),
    Rule("rolled-back", _rolled_back, Goal.PARK, "our data is not what it was", lambda c: c.rolled_back, asks=1.0),
    Rule("found-unstamped", _found_unstamped, Goal.PARK, "our database is of unknown lineage and was opened by others",
         asks=1.0),
    Rule("found-far-behind", _found_far_behind, Goal.PARK, "our copy is too old and was opened by others",
         lambda c: c.too_far_behind, asks=1.0),
    Rule("split-lost", _split(won=False), Goal.PARK, "both sides serve and the peer goes on",
         lambda c: c.verdict[1]),
    Rule("split-won", _split(won=True), Goal.SERVE, "both sides serve and we go on", lambda c: c.verdict[1]),
    Rule("we-serve", lambda c: c.serving and not c.peer_serving, Goal.SERVE, "we are the active side"),
    Rule("being-granted", _being_granted, Goal.KEEP, "the peer is draining for us"),
    Rule("source-lost", _lost_source, Goal.PARK, "the peer's ovsdb-server closed our session"),
    Rule("source-unread", _unknown_source, Goal.PARK, "the peer is active but its database has not been read yet"),
    Rule("source-refused", _blocked, Goal.PARK, "the peer is active but must not be copied", guard.refusal, asks=1.0),
    Rule("peer-settling", _settling, Goal.PARK, "the peer has only just begun to serve, and its clients come first"),
    Rule("peer-serves", lambda c: c.peer_serving, Goal.FOLLOW, "the peer is the active side"),
    Rule("begun", _begun, Goal.SERVE, "we have begun to take over"),
    Rule("copy-too-old", _newest_is_out_of_reach, Goal.PARK, "only the peer has the newest data and it is out of reach",
         lambda c: c.outdated, asks=1.0),
    Rule("copy-outdated", lambda c: bool(c.outdated), Goal.PARK, "only the peer has the newest data",
         lambda c: c.outdated, asks=10.0),
    Rule("copy-far-behind", _lacking_is_out_of_reach, Goal.PARK,
         "only the peer has the newest data and it is out of reach", lambda c: c.too_far_behind, asks=1.0),
    Rule("copy-behind", _lacking_is_not_served, Goal.PARK, "only the peer has the newest data",
         lambda c: c.too_far_behind, asks=10.0),
    Rule("standalone-copies", _copies_alone, Goal.KEEP, "this switch stands alone, and its ovsdb-server still copies",
         lambda c: f"from {c.view.server.source}", asks=10.0),
    Rule("standalone", lambda c: c.standalone, Goal.SERVE, "this switch stands alone"),
    Rule("peer-seen-active", lambda c: c.peer_seen_active and _unasked(c), Goal.PARK,
         "the peer's ovsdb-server answers us, and it is active", asks=10.0),
    Rule("peer-cannot", _peer_cannot, Goal.SERVE, "the peer's ovsdb-server cannot serve",
         _with(lambda c: c.peer.life.value), unasked=True),
    Rule("peer-barred", _peer_barred, Goal.SERVE, "the peer knows this switch by another identity and has older data",
         unasked=True),
    Rule("nobody-serves", lambda c: c.alive, Goal.PARK, "nobody serves and the sides are agreeing on who shall"),
    Rule("peer-read-only", _peer_read_only, Goal.SERVE, "the peer's agent is silent and its ovsdb-server is read-only",
         _with(_nothing), unasked=True),
    Rule("founding", lambda c: c.founding, Goal.SERVE, "the other side of this new pair has not joined yet",
         unasked=True),
    Rule("silent-refused", _refused_in_silence, Goal.PARK,
         "the peer's agent is silent and its ovsdb-server must not be copied", guard.refusal, asks=1.0),
    Rule("peer-silent", lambda c: c.presence is Presence.SILENT, Goal.PARK,
         "the peer's agent is silent, but its switch is not dead", _silence),
    Rule("peer-dead", lambda c: c.presence is Presence.DEAD, Goal.SERVE, "the peer is silent on every path",
         _with(_silence), unasked=True),
    Rule("lone-boot", _lone_boot_over, Goal.SERVE, "the peer was never met and the time set by lone_boot is over",
         _with(_nothing), unasked=True),
    Rule("lone-wait", lambda c: True, Goal.PARK, "the peer was never met since this switch booted",
         asks=60.0),
)  # fmt: skip


def decide(c: Situation) -> Rule:
    """Return the first rule that holds."""
    return next(rule for rule in RULES if rule.holds(c))
