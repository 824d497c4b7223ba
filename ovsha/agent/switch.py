"""Hold everything of this switch that the agent looks at or acts on, and put it into one view.

The drivers know nothing of each other; here they are made from the configuration, run,
waited for, and read.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from ovs.poller import Poller

from ovsha.agent import drivers
from ovsha.agent.conflicts import Rivals
from ovsha.agent.drivers import NoAnnouncer, NoClag, NoDuplicateWatch, NoSource, NoVip
from ovsha.agent.peer_kernel import KernelWatch
from ovsha.config import Config
from ovsha.core import lineage as schemas
from ovsha.core.facts import PEER_LINK, Record, Role, Vip
from ovsha.core.lineage import CopyWatch
from ovsha.core.view import Memory, View
from ovsha.errors import DriverError
from ovsha.host import state_file
from ovsha.host.boot_clock import boot_id
from ovsha.host.disk import Disks
from ovsha.host.snapshot import Snapshots, label
from ovsha.host.state_file import PersistentState, Store
from ovsha.mlag import reader
from ovsha.mlag.reader import ClagReader
from ovsha.net.announce import Announcer
from ovsha.net.arp_watch import DuplicateWatch
from ovsha.net.icmp import Echoes
from ovsha.net.vip import Vip as VipDriver
from ovsha.ovsdb import proofs
from ovsha.ovsdb.peer_server import PeerSource
from ovsha.ovsdb.proofs import Proofs
from ovsha.ovsdb.sessions import ClientSessions
from ovsha.peer.link import PeerLink
from ovsha.peer.rpc_server import Exchange, Files
from ovsha.protocol import conflicts
from ovsha.protocol import record as codec
from ovsha.protocol.conflicts import Conflicts, Kind
from ovsha.protocol.heartbeat import Conversation
from ovsha.protocol.seal import TooLarge

log = logging.getLogger("ovsha")

_PROBE_EVERY = 1.0
_GOODBYES = 3


def unread_words(peer: str, unread: Sequence[str]) -> str:
    """Return what is to be told of values in the peer's record that this release cannot read, "" for none."""
    if not unread:
        return ""
    return f"{peer} says what this release cannot read, and is believed without it: {', '.join(unread)}"


class Switch:
    """The drivers of this switch.  Raises DriverError when the kernel or the state directory refuses."""

    def __init__(self, config: Config, key: bytes, boot: str, kept: PersistentState, identity: str) -> None:
        self.config = config
        self.settings = drivers.settings(config)
        own, peer = config.nodes[config.node], config.nodes.get(config.peer)
        self.vip_address, self.own_address = str(config.vip.address or ""), str(own.peer_link)
        self.server = drivers.local_server(config)
        silence = max(2.0, 5 * config.heartbeat.dead_interval)
        self.source: PeerSource | NoSource = NoSource()
        self.clag: ClagReader | NoClag = NoClag()
        self.vip: VipDriver | NoVip = NoVip()
        self.announcer: Announcer | NoAnnouncer = NoAnnouncer()
        self.duplicate: DuplicateWatch | NoDuplicateWatch = NoDuplicateWatch()
        if config.vip.address is not None:
            self.vip, vip = drivers.vip_driver(config), config.vip
            if not vip.routed:
                self.announcer = Announcer(self.vip_address, vip.interface, vip.announce_count, vip.announce_interval)
                self.duplicate = DuplicateWatch(self.vip_address, vip.interface)
        if peer is not None:
            stall = config.heartbeat.stall_interval
            self.source = PeerSource(self.settings.source, config.server.database, silence, stall)
            self.clag = ClagReader(partial(reader.questions, config.clag), config.clag.interval, config.clag.timeout)
        paths = drivers.paths(config)
        self.names = conflicts.Names(config.pair.id, config.node, config.peer)
        self.collisions = Conflicts(config.collisions.keep, config.collisions.forget)
        self.rivals = Rivals(config, self.duplicate, self.collisions)
        self.conversation = Conversation(
            config.pair.id, config.node, config.peer, key, boot, [each.path for each in paths],
            max_delay=max(1.0, config.heartbeat.dead_interval), collisions=self.collisions,
            identity=identity, peer_identity=kept.peer_identity,
        )  # fmt: skip
        self.peer = PeerLink(self.conversation, paths)
        self.kernel = KernelWatch(Echoes(paths), self.source, config.heartbeat.dead_interval)
        kept_copies = config.snapshots
        self.snapshots = Snapshots(
            config.server.file, kept_copies.directory, kept_copies.keep, kept_copies.max_age
        )
        self.disks = Disks([config.server.file, kept_copies.directory, config.state_directory])
        self.store = Store(config.state_directory / "state.json", kept)
        self.proofs = Proofs(config.state_directory / proofs.NAME)
        files = Files(config.state_directory, {"backups": config.backup.directory})
        self.exchange = Exchange(
            self.own_address if peer else "", config.exchange.port, key, {},
            {"fetch": files.fetch, "list": files.list},
        )
        self.record: Record | None = None
        self.heard = False
        self.stale = False
        no_controllers = [] if peer is None else [str(each) for each in (peer.peer_link, peer.backup_path) if each]
        self.clients = ClientSessions(
            self.vip_address, config.vip.port, lambda: self.server.contents.managers, lambda: self.server.pid,
            no_controllers,
        )  # fmt: skip
        self.troubles: dict[str, str] = {}
        self.collided: list[str] = []
        self.vip_added: Callable[[], None] = lambda: None
        self._copy = CopyWatch(config.replication.max_lag, config.replication.token_interval)
        self._carrier: bool | None = None
        self._shown: tuple[bool, str] | None = None
        self._known = kept.peer_identity
        self._boot_id = boot_id()
        self._schemas: tuple[object, object, str] = (None, None, "")

    def run(self, now: float, memory: Memory) -> None:
        """Let every driver do what can be done now."""
        self.server.run(now)
        self.source.run(now, self._probe_every(now))
        states = self.peer.run(now)
        self.heard = bool(states)
        for state in states:
            self._believe(state, now)
        self._ask_kernel(now)
        if self._known != self.conversation.peer.identity:
            self._known = self.conversation.peer.identity
            log.info("%s is known by its identity: %s", self.settings.peer, self._known or "forgotten")
        self.rivals.hear(now, self.vip.present, self.record)
        self._watch("duplicate", self.duplicate.trouble)
        for collision in self.collisions.news(now):
            self.collided.append(conflicts.conflict_text(collision, self.names))
        self._guard("vip", lambda: self.vip.run(now))
        self._guard("announce", lambda: self.announcer.run(now))
        self.clag.run(now)
        self.snapshots.run()
        self.store.run(now, self._wanted(memory))
        self._watch("store", self.store.trouble)
        self.proofs.run(now, memory.proof)
        self._watch("proof", self.proofs.trouble)
        self._watch("snapshots", self.snapshots.trouble)
        self.disks.run(now)
        self._watch("disk", self.disks.trouble)
        self._watch("database", self.server.write_trouble)
        self.exchange.run(now)
        self._watch("exchange", self.exchange.trouble)
        self._announce_anew(now)
        if self._carrier is not self.vip.peer_carrier:
            self._carrier = self.vip.peer_carrier
            self.clag.poke(now)
        split = self.server.active and self.record is not None and self.record.serving
        self.clients.run(now, self.server.active, self._silent(now), split)
        self._watch("clients", self.clients.trouble)

    def wait(self, poller: Poller, now: float) -> None:
        """Have the loop woken when one of the drivers has something to do."""
        self.server.wait(poller, now)
        self.source.wait(poller, now)
        self.peer.wait(poller, now)
        self.kernel.wait(poller, now)
        self.vip.wait(poller, now)
        self.announcer.wait(poller, now)
        self.duplicate.wait(poller, now)
        self.rivals.wait(poller, now)
        self.clag.wait(poller, now)
        self.snapshots.wait(poller)
        self.store.wait(poller)
        self.proofs.wait(poller)
        self.exchange.wait(poller, now)

    def observe(self, now: float, woke: bool) -> View:
        """Return all that is known now."""
        server = self.server.facts(now)
        server = replace(server, vteps=self.clients.vteps) if self.vip.present else server
        source = self.source.facts(now)
        following = server.role is Role.BACKUP and server.source == self.settings.source
        interval, alone = self.settings.dead_interval, self.config.standalone
        link = None if alone else self.conversation.path_state(PEER_LINK, now, interval).heard_age
        return View(
            now=now,
            settings=self.settings,
            server=server,
            vip=Vip(self.vip.present, self.vip.peer_carrier, self.vip.astray, self.stale),
            clag=self.clag.facts,
            source=source,
            copy=self._copy.look(now, server, source, following),
            kernel=self.kernel.facts(now),
            record=self.record,
            heard_age=self.conversation.heard_age(now),
            link_silent_for=link,
            reserved=self.store.kept.reserved,
            woke=woke,
            schema_gap=self._schema_gap(),
            estranged=self._estranged(now),
            cut_off=self.clients.reach.cut_off,
        )

    def woke(self, now: float) -> None:
        """Forget what was heard before a gap: what waits in the sockets says nothing of now."""
        self.peer.discard_queued()
        self.kernel.forget()
        self.conversation.forget_liveness(now)

    @property
    def peer_identity(self) -> str:
        """The identity by which the peer is known, "" when it was never met."""
        return self.conversation.peer.identity

    def learn_peer(self, identity: str) -> None:
        """Take the switch with this identity for the peer from now on."""
        self.collisions.forget(Kind.IDENTITY)
        self.conversation.peer.forget()
        self.conversation.peer.identity = identity

    def forget_peer(self) -> str:
        """Learn the peer's identity anew; return the one that was known, "" for none."""
        self.collisions.forget(Kind.IDENTITY)
        return self.conversation.peer.forget()

    def send(self, record: Record, now: float) -> None:
        """Send our state to the peer over every path, with as many of its free texts as fit a packet."""
        record = replace(record, mac=self.vip.mac, words=codec.WORDS)
        reads = self.record.words if self.record is not None else 0
        for texts in codec.SHED:
            try:
                self.peer.send(codec.to_plain(record, texts, reads), now)
            except TooLarge:
                continue
            return
        raise AssertionError("a record without its texts fits a packet, as tests/protocol/test_record.py holds")

    def say_goodbye(self, record: Record, now: float) -> None:
        """Tell the peer that this agent ends and its server stays; more than once, because a packet may be lost."""
        for _ in range(_GOODBYES):
            self.send(replace(record, goodbye=True, offer=None), now)

    def add_vip(self, now: float) -> None:
        """Take the VIP and begin to announce it.  Raises DriverError when the kernel refuses."""
        self.vip.add(now)
        self.stale = not self.config.standalone
        self.vip_added()
        self.announce(now)

    def answer_rivals(self, now: float) -> None:
        """Announce the VIP once, since somebody else has claimed it."""
        self._guard("announce", lambda: self.announcer.once(now))

    def announce(self, now: float) -> None:
        """Begin to announce the VIP anew."""
        self._guard("announce", lambda: self.announcer.start(now))

    def drop_vip(self, now: float) -> None:
        """Let go of the VIP, and of this switch's own sockets that led to it and would lead nowhere.

        Raises DriverError when the kernel refuses to drop it.
        """
        self.announcer.stop()
        self.vip.drop(now)
        self.stale = False
        self._guard("sockets", self.clients.cut_own)

    def cut_stale(self) -> None:
        """Destroy our side's sockets to the VIP's former holder, whose FIN we can no longer hear.

        Raises DriverError when the kernel refuses.
        """
        self.clients.cut_stale()
        self.stale = False

    def fence(self) -> None:
        """Cut the sessions of our hanging server, and leave it the orders to close and to park."""
        self._guard("fence", self.clients.cut)
        self.server.fence()

    def connect(self, done: Callable[[str | None], None]) -> None:
        """Make our server a backup of the peer's; what it held until then is no proof of anything any more."""
        self.proofs.drop(lambda: self.server.follow(self.settings.source, done))

    def snapshot(self, term: int, done: Callable[[str | None], None]) -> None:
        """Copy the database file; `done` gets None or the error's text."""

        def taken(error: str | None) -> None:
            self.server.saved = error is None
            done(error)

        self.snapshots.take(label(term, self.server.contents.empty), taken, self.server.pid)

    def close(self, now: float) -> None:
        """Let go of everything and change nothing: a healthy service goes on."""
        self.clag.close()
        self.snapshots.close()
        self.store.close()
        self.proofs.close()
        self.exchange.close()
        self.announcer.close()
        self.duplicate.close()
        self.vip.close()
        self.peer.close()
        self.kernel.close()
        self.source.close(now)
        self.server.close(now)

    def _announce_anew(self, now: float) -> None:
        """Tell the neighbours again when the VIP's interface has come back, or has another MAC, as bonds get one."""
        shown, before = (self.vip.carrier, self.vip.mac), self._shown
        if shown != before:
            self._shown = shown
            if before is not None and self.vip.carrier and self.vip.present:
                self.announce(now)

    def _believe(self, state: dict[str, object], now: float) -> None:
        try:
            self.record, unread = codec.read(state)
            self._watch("record", unread_words(self.settings.peer, unread))
            self.rivals.met(self.record, now)
        except ValueError as error:
            self._note("record", f"the peer's heartbeat carries a record that cannot be read: {error}")

    def _estranged(self, now: float) -> Record | None:
        """Return what an agent claims that has the peer's name and key but is another switch."""
        stranger = self.conversation.peer.stranger(now, self.settings.dead_interval)
        try:
            return codec.from_plain(stranger.state) if stranger else None
        except ValueError:
            return Record(self.settings.peer)

    def _silent(self, now: float) -> bool:
        age = self.conversation.heard_age(now)
        return not self.config.standalone and (age is None or age > self.settings.dead_interval)

    def _ask_kernel(self, now: float) -> None:
        """Ask the peer's kernel, as often as its server is probed and at once when something makes it suspect."""
        if not self.config.standalone:
            goodbye = self.record is not None and self.record.goodbye
            self.kernel.run(now, self._probe_every(now), self.conversation.heard_age(now), goodbye)
            self._watch("echo", self.kernel.trouble(self.peer.trouble))

    def _probe_every(self, now: float) -> float:
        """Return how often the peer's server is probed: each interval once its agent is late.

        At all times so often that an active one was seen to be so within the dead interval, whatever its agent says.
        """
        beat, age = self.config.heartbeat, self.conversation.heard_age(now)
        return beat.interval if age is None or age > 1.5 * beat.interval else min(_PROBE_EVERY, beat.dead_interval / 3)

    def _wanted(self, memory: Memory) -> PersistentState:
        kept = self.store.kept
        return PersistentState(
            kept.pair,
            kept.node,
            term=memory.term,
            reserved=max(kept.reserved, memory.term + 1),
            peer_stamp=memory.peer_stamp,
            held=state_file.surely_on_disk(memory.held, kept.held),
            met_in=self._boot_id if memory.met else kept.met_in,
            peer_identity=self.conversation.peer.identity,
            founding=memory.founding,
        )

    def _schema_gap(self) -> str:
        """Compare the two schemas, which are read anew with each session, only when one of them is another."""
        own, theirs = self.server.schema, self.source.schema
        if own is not self._schemas[0] or theirs is not self._schemas[1]:
            self._schemas = (own, theirs, schemas.schema_gap(own, theirs) if own and theirs else "")
        return self._schemas[2]

    def _guard(self, what: str, act: Callable[[], None]) -> None:
        """Do what may fail without harm; the reason is logged when it changes."""
        try:
            act()
            self.troubles.pop(what, None)
        except (DriverError, ValueError) as error:
            self._note(what, str(error))

    def _watch(self, what: str, trouble: str) -> None:
        if trouble:
            self._note(what, trouble)
        else:
            self.troubles.pop(what, None)

    def _note(self, what: str, trouble: str) -> None:
        if self.troubles.get(what) != trouble:
            log.warning("%s", trouble)
        self.troubles[what] = trouble
