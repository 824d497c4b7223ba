"""Put one view and what is remembered together, and name what the rules ask of them."""

from __future__ import annotations

from dataclasses import dataclass

from ovsha.core import behind, lineage, split_brain
from ovsha.core.behind import Behind
from ovsha.core.facts import Kind, Life, MlagRole, Mode, Presence, Record, Role, Stamp, Token
from ovsha.core.view import Memory, View
from ovsha.words import ago

USABLE = (Life.UP, Life.BUSY)


@dataclass(frozen=True, slots=True)
class Situation:
    """One moment as the rules see it."""

    view: View
    memory: Memory
    presence: Presence

    @property
    def standalone(self) -> bool:
        """This switch has no peer."""
        return not self.view.settings.peer

    @property
    def alive(self) -> bool:
        """The peer's agent is heard."""
        return self.presence is Presence.ALIVE and self.view.record is not None

    @property
    def peer(self) -> Record:
        """The peer's last record, or an empty one when there is none."""
        return self.view.record or Record(self.view.settings.peer)

    @property
    def undriven(self) -> bool:
        """Our ovsdb-server runs, or may run, and takes no orders."""
        return bool(self.view.server.undriven)

    @property
    def open(self) -> bool:
        """Anything that serves is open here: the VIP, its listener or the managers' remote."""
        return self.view.vip.present or self.view.server.listener_open or self.view.server.managers_open

    @property
    def serving(self) -> bool:
        """This side serves; a server that cannot answer serves as long as the VIP leads to it."""
        server = self.view.server
        if server.life not in USABLE:
            return self.view.vip.present
        return server.role is Role.ACTIVE and self.open

    @property
    def open_to_all(self) -> bool:
        """All that serves is open here."""
        server, settings = self.view.server, self.view.settings
        return server.managers_open and (not settings.has_vip or (server.listener_open and self.view.vip.present))

    @property
    def peer_serving(self) -> bool:
        """The peer is heard and says that it serves."""
        return self.alive and self.peer.serving

    @property
    def peer_seen_active(self) -> bool:
        """Our own session has just had the answer of an active server, whatever the peer's agent says of it.

        One that owes an answer for half of the dead interval does not count, nor does a session that is closed.
        """
        source, interval = self.view.source, self.view.settings.dead_interval
        if source.role is not Role.ACTIVE or source.role_age is None or source.role_age >= interval:
            return False
        return source.life_age is not None and (source.answer_age or 0.0) < interval / 2

    @property
    def idle(self) -> bool:
        """This side decides and carries out nothing."""
        return self.view.mode is not Mode.ACTIVE

    @property
    def peer_idle(self) -> bool:
        """The peer is heard and says that it carries out nothing, so what it holds stays where it is."""
        return self.alive and self.peer.mode is not Mode.ACTIVE

    @property
    def upgrading(self) -> bool:
        """This side was prepared for an upgrade that nobody has finished: it follows, and does not begin to serve."""
        return self.view.upgrade is not None and not self.standalone

    @property
    def peer_upgrading(self) -> bool:
        """The peer is heard and says that it is in such an upgrade."""
        return self.alive and self.peer.upgrade is not None

    @property
    def both_upgrading(self) -> bool:
        """Each side is in such an upgrade, and waits for the other one."""
        return self.upgrading and self.peer_upgrading and not self.peer_serving

    @property
    def unfollowed(self) -> str:
        """Why the peer cannot be followed now, for one that follows before it serves."""
        peer, age = self.view.settings.peer, self.view.heard_age
        if self.alive:
            return f"{peer} does not serve"
        if self.presence is Presence.NEVER or age is None:
            return f"{peer} was not heard yet"
        return f"{peer} was last heard {ago(age)}"

    @property
    def idle_side(self) -> str:
        """Which side carries out nothing, so that an order to move the service would wait for it; "" when both do."""
        settings = self.view.settings
        if self.view.mode is Mode.PAUSED:
            return f"{settings.node} is paused: run `ovsha resume` on {settings.node} first"
        if self.view.mode is Mode.ADVISE:
            return f"{settings.node} carries out nothing: its configuration has mode: advise"
        if self.peer_idle and self.peer.mode is Mode.PAUSED:
            return f"{settings.peer} is paused: run `ovsha resume` on {settings.peer} first"
        if self.peer_idle:
            return f"{settings.peer} carries out nothing: its configuration has mode: advise"
        return ""

    @property
    def founding(self) -> bool:
        """This side may serve because there is no other side of the pair yet."""
        return self.memory.founding and not self.memory.met and not self.unlike_a_new_unit

    @property
    def unlike_a_new_unit(self) -> str:
        """What is at the peer's replication address and may serve, "" when there is nothing, or a blank backup."""
        source, settings = self.view.source, self.view.settings
        if self.presence is Presence.NEVER:
            return ""
        if source.loaded and source.role is Role.BACKUP and source.stamp is None:
            return ""
        role = source.role.value if source.role is not None else "of a role that is not known"
        return (
            f"an ovsdb-server at {settings.source} is {role}, and {settings.peer} has not joined yet:"
            f" stop it, for it may serve what {settings.node} does not have"
        )

    @property
    def restore_ordered(self) -> bool:
        """An operator wants the original primary to have the service now, told on either side."""
        return self.memory.restore or (self.alive and self.peer.restore)

    @property
    def following(self) -> bool:
        """Our server is a backup that copies from the peer's replication address."""
        server = self.view.server
        return server.role is Role.BACKUP and server.source == self.view.settings.source

    @property
    def known_stamp(self) -> Stamp | None:
        """The newest lineage that the peer's database was ever seen with."""
        return lineage.newest(self.memory.peer_stamp, self.peer.stamp, self.view.source.stamp)

    @property
    def keep(self) -> str | None:
        """The node whose data an operator has decided to keep, told on either side; None when none has."""
        memory = self.memory
        if memory.keep is not None and self.view.now < memory.keep_until:
            return memory.keep
        return self.peer.keep if self.alive else None

    @property
    def rolled_back(self) -> str:
        """How far our database is behind what it once held, "" when it is not: it was damaged or replaced."""
        if self.keep == self.view.settings.node:
            return ""
        return lineage.rolled_back(self.view.server, self.memory.held)

    @property
    def outdated(self) -> str:
        """Why our copy is too old to serve, "" when it is not or an operator keeps it all the same."""
        if self.keep == self.view.settings.node:
            return ""
        memory, known = self.memory, lineage.term_of(self.known_stamp)
        # The peer may tell us of the term that we are opening before we see it in our own database.
        if memory.term > (memory.claim or 0):
            known = max(known, memory.term)
        return lineage.outdated(self.view.server, known) or self.rolled_back

    @property
    def behind(self) -> Behind | None:
        """How far our copy is behind what is known of the peer's data, None when it is not."""
        return behind.found(self.view, self.memory)

    @property
    def too_far_behind(self) -> str:
        """Why our copy is too far behind to serve unasked, "" when it is not or an operator keeps it all the same."""
        if self.keep == self.view.settings.node:
            return ""
        return behind.too_far(self.behind, self.view.settings)

    @property
    def preferred(self) -> str | None:
        """The node that should serve when both can: the operator's, or else clagd's choice; None when unknown."""
        stamp = lineage.newest(self.view.server.stamp, self.known_stamp)
        if stamp is not None and stamp.chosen:
            return stamp.node
        return self.configured

    @property
    def configured(self) -> str | None:
        """The original primary: the node that the configuration names, or the one clagd has elected."""
        settings = self.view.settings
        if settings.preferred != "clag":
            return settings.preferred
        if self.view.clag.role is not None:
            return settings.node if self.view.clag.role is MlagRole.PRIMARY else settings.peer
        if self.alive and self.peer.mlag is not None:
            return settings.peer if self.peer.mlag is MlagRole.PRIMARY else settings.node
        return None

    @property
    def outranks(self) -> bool:
        """We come before the peer while nobody serves; one in an upgrade, or that takes no orders, before nobody."""
        if self.upgrading or self.peer_upgrading:
            return not self.upgrading
        if self.undriven or self.peer.undriven:
            return not self.undriven
        server, peer, settings = self.view.server, self.peer, self.view.settings
        # Both sides must come to the same order, so each speaks for itself: two clagds may disagree.
        first, second = self.configured == settings.node, peer.preferred == settings.peer
        stamp = server.stamp
        if stamp is not None and stamp.chosen and stamp == peer.stamp:
            first, second = stamp.node == settings.node, stamp.node == settings.peer
        ours = lineage.rank(server.stamp, server.token, server.empty, first, settings.node)
        theirs = lineage.rank(peer.stamp, peer.token, peer.empty, second, settings.peer)
        return ours > theirs

    @property
    def in_sync(self) -> bool:
        """Our copy holds all that the peer had committed until just now."""
        return self.following and self.view.copy.in_sync_for is not None

    @property
    def link_cut_for(self) -> float | None:
        """Seconds for which the peer is heard on the backup path only, None when the peer link works."""
        lost_at = self.memory.link_lost_at
        return None if lost_at is None else self.view.now - lost_at

    @property
    def granted(self) -> bool:
        """The peer has drained for us, and its last write is in our copy."""
        ask, grant = self.memory.ask, self.peer.grant
        if ask is None or grant is None or grant.ident != ask.ident or not grant.drained:
            return False
        if grant.barrier is None:
            return not self.outdated and not (grant.kind is Kind.START and self.replaced)
        server = self.view.server
        # Once we are active nothing is replicated any more: whatever is written then, the barrier had arrived.
        opened = server.role is Role.ACTIVE and server.token is not None and server.token >= grant.barrier
        return self.token_in_rows == grant.barrier or opened

    @property
    def token_in_rows(self) -> Token | None:
        """The token that is written in our database, by whomever: a barrier is neither more nor less than itself."""
        server = self.view.server
        return server.token if server.written is None else server.written.token

    @property
    def replaced(self) -> bool:
        """Our data is older than the peer's, which gave way to it: our file is not what it was a moment ago."""
        own, peer = self.view.server, self.peer
        ours, theirs = ((lineage.term_of(data.stamp), data.token or (0, 0)) for data in (own, peer))
        return ours < theirs

    @property
    def being_granted(self) -> bool:
        """The peer is draining for us."""
        ask, grant = self.memory.ask, self.peer.grant
        return ask is not None and grant is not None and grant.ident == ask.ident

    def record(self) -> Record:
        """Return what the two sides of a split brain are compared by."""
        server, view = self.view.server, self.view
        since = self.memory.active_since
        return Record(
            node=view.settings.node,
            lapsed=self.memory.lapsed,
            cut_off=view.cut_off,
            controllers=server.controllers,
            vteps=server.vteps,
            cells=server.cells,
            active_for=None if since is None else view.now - since,
            preferred=self.configured,
            term=lineage.term_of(server.stamp),
            upgrade=view.upgrade,
            upgraded=view.upgraded,
            undriven=self.undriven,
            mode=view.mode,
        )

    @property
    def verdict(self) -> tuple[str, str]:
        """The node that goes on serving after a split brain, and why."""
        if self.peer.estranged:
            # It takes in nothing that we say, so it cannot come to any verdict but this one.
            return self.view.settings.peer, "it knows this switch by another identity"
        return split_brain.winner(self.record(), self.peer)
