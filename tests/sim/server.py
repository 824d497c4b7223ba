"""A model of ovsdb-server with the traps that cost data, on a virtual clock.

What it has of the real one (the copying is in sim_copy.py):

* it starts parked and read-only, as the pair's units start it; started *plain*, by hand or
  by another script, it is active, writable, and open to the managers at once;
* what a crash left of its file is what it starts with: the state of some moments ago when a
  bad record ends it, another file when somebody put one there;
* it answers nothing while it copies, is copied, or is stopped, and does later what waited;
* a copy that fails makes it active by itself, whatever was ordered;
* its sync-status goes on to say "replicating" when the source is long dead;
* open remotes survive a change of role.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Protocol

from ovsha.core.facts import Role, Stamp, Token
from ovsha.core.lineage import PARKED
from tests.sim.clock import Clock
from tests.sim.copying import Copying

Reply = Callable[[str | None], None]

FILE_RECORDS = 64  # how far back a bad record can set a file


@lru_cache
def schema_of(version: int) -> dict[str, Any]:
    """Return a schema of that version: each has one column more than the one before."""
    columns = {f"column{number}": {"type": "string"} for number in range(version)}
    return {"name": "hardware_vtep", "version": f"1.{version}.0", "tables": {"Global": {"columns": columns}}}



@dataclass(frozen=True, slots=True)
class Data:
    """All that a database holds; `rows` are the numbers of the writes in it.

    `true_stamp` and `true_token` are what the agents wrote: a client may have overwritten the rows that say so.
    """

    stamp: Stamp | None = None
    token: Token | None = None
    empty: bool = True
    rows: frozenset[int] = frozenset()
    true_stamp: Stamp | None = None
    true_token: Token | None = None

    @property
    def overwritten(self) -> bool:
        """A client has written over what an agent wrote."""
        return (self.stamp, self.token) != (self.true_stamp, self.true_token)

    def written(self, stamp: Stamp, token: Token) -> Data:
        """Return the data with this stamp and this token, as an agent writes them."""
        return replace(self, stamp=stamp, token=token, true_stamp=stamp, true_token=token)

    def at_token(self, token: Token) -> Data:
        """Return the data with this token, as an agent writes it, and nothing else."""
        return replace(self, token=token, true_token=token)


class Surroundings(Protocol):
    """What a server needs of the world around it."""

    def reaches(self, server: SimServer) -> SimServer | None:
        """Return the server behind the peer's replication address when TCP to it works."""

    def told(self, server: SimServer) -> None:
        """Something about the server changed that agents may notice."""

    def erasing(self, server: SimServer, source: SimServer, by_itself: bool) -> None:
        """`server` is about to be erased and filled from `source`."""

    def promoting(self, server: SimServer) -> None:
        """`server` becomes active because somebody ordered it."""

    def self_promoted(self, server: SimServer, why: str) -> None:
        """`server` became active by itself."""


class SimServer:
    """One ovsdb-server and its database file."""

    def __init__(self, node: str, clock: Clock, world: Surroundings, data: Data) -> None:
        self.node, self.clock, self.world = node, clock, world
        self.data = data
        self.half = False  # erased and not filled yet
        self.records: deque[Data] = deque(maxlen=FILE_RECORDS)
        self.saved_files: list[Data] = []  # one of each lineage it ever had
        self.schema = 1
        self.unproven = False  # what its rows say is less than it held, and no agent can know that
        self.rejects = False  # a constraint fails on what it receives
        self.running = self.frozen = False
        self.busy_until = 0.0
        self.silent_since = self.started_at = 0.0
        self.process = 0  # how often it was started or killed
        self.denied = False  # its agent, of a release that goes by the pidfile, says that it is down
        self.emptied = False  # its run directory was: an agent that starts from now on finds no control socket
        self.role = Role.BACKUP
        self.source: str | None = PARKED
        self.managers = self.listener = False
        self.says_replicating = False
        self.copy_time, self.longest_lag = 0.1, 0.02
        self.copying = Copying(self)
        self._waiting: list[tuple[Callable[[], str | None], Reply]] = []
        self._due = 0.0

    @property
    def responsive(self) -> bool:
        """It runs, is not stopped, and is not busy copying."""
        return self.running and not self.frozen and self.clock.now >= self.busy_until

    @property
    def writable(self) -> bool:
        """It takes writes from whom it lets in."""
        return self.running and self.role is Role.ACTIVE

    @property
    def cells(self) -> int:
        """Rows times columns, as memory/show counts them: those of the switch itself, and ten for each write."""
        return 10 if self.data.empty else 5000 + 10 * len(self.data.rows)

    @property
    def replicating(self) -> bool:
        """It really follows its source."""
        return self.copying.replicating

    def start(self, *, plain: bool = False) -> None:
        """Start as the pair's servers are started, a backup of nobody without the managers; or plain."""
        if self.running:
            return
        self.running, self.frozen, self.process = True, False, self.process + 1
        self.emptied = False
        self.role, self.source = (Role.ACTIVE, None) if plain else (Role.BACKUP, PARKED)
        self.managers, self.listener, self.says_replicating = plain, False, False
        self.busy_until = self.started_at = self.clock.now
        self.world.told(self)

    def kill(self) -> None:
        """Kill it: its sessions end, its file stays as it is."""
        if not self.running:
            return
        self.running, self.frozen, self.process = False, False, self.process + 1
        self.unproven |= self.data.overwritten
        self.copying.leave()
        self.copying.drop_followers()
        waiting, self._waiting = self._waiting, []
        for _, reply in waiting:
            reply("the connection was closed")
        self.world.told(self)

    def blank(self) -> None:
        """Replace the file of a server that does not run by a new one, as an upgrade does."""
        self._replace(Data())

    def roll_back(self, record: int | None = None) -> None:
        """Let a bad record in the file of a server that does not run hide what follows it, any if none is named."""
        states = [*self.records, self.data]
        self._replace(self.clock.random.choice(states) if record is None else states[record])

    def return_file(self) -> None:
        """Put an old copy of the file there, from before the lineage changed last."""
        older = [data for data in self.saved_files if data.true_stamp != self.data.true_stamp]
        self._replace(older[-1] if older else Data())

    def freeze(self) -> None:
        """Stop it as SIGSTOP does."""
        if self.running and not self.frozen:
            self.silent_since = self.clock.now if self.responsive else self.silent_since
            self.frozen = True

    def thaw(self) -> None:
        """Let it go on."""
        self.frozen = False
        self._flush()
        self.world.told(self)

    def stall(self, seconds: float) -> None:
        """Keep it busy: it answers nothing for so long."""
        if self.responsive:
            self.silent_since = self.clock.now
        self.busy_until = max(self.busy_until, self.clock.now + seconds)
        self.clock.after(seconds + 0.0005, self._flush)

    def order(self, latency: float, act: Callable[[], str | None], reply: Reply) -> None:
        """Have `act` done when the command has arrived and its turn has come; it gives None or an error."""
        if not self.running:
            reply("not connected")
            return
        process = self.process
        self._due = max(self._due + 1e-6, self.clock.now + latency)

        def arrive() -> None:
            if process != self.process:
                reply("the connection was closed")
                return
            self._waiting.append((act, reply))
            self._flush()

        self.clock.after(self._due - self.clock.now, arrive)

    def promote(self) -> str | None:
        """disconnect-active-ovsdb-server."""
        self.copying.leave()
        self.world.promoting(self)
        self._become_active()
        return None

    def promote_itself(self, why: str) -> None:
        """Become active because a copy failed (R2): nobody is told."""
        self.copying.leave()
        self._become_active()
        self.world.self_promoted(self, why)

    def follow(self, source: str) -> str | None:
        """set-active-ovsdb-server and connect-active-ovsdb-server, and reconnect on an active server."""
        self.copying.leave()
        if self.role is Role.ACTIVE:
            self.copying.drop_followers()
        self.role, self.source, self.says_replicating = Role.BACKUP, source, False
        self.world.told(self)
        self.copying.begin()
        return None

    def commit(self, change: Callable[[Data], Data]) -> str | None:
        """Commit one transaction; an active server passes it on to its backups, later."""
        if self.role is not Role.ACTIVE:
            return "not allowed when database server is in read only mode"
        self.hold(change(self.data))
        return None

    def write(self, number: int) -> None:
        """Take a controller's write."""
        self.commit(lambda data: replace(data, rows=data.rows | {number}, empty=False))

    def overwrite(self, change: Callable[[Data], Data]) -> None:
        """Let a client write into the row of the agents, which all can who can write at all."""
        if self.writable and self.data.true_stamp is not None:
            self.commit(change)

    def hold(self, data: Data) -> None:
        """Hold this from now on, on disk too, and pass it on."""
        before, self.data = self.data, data
        self.records.append(before)
        if before.true_stamp != data.true_stamp:
            self.saved_files.append(before)
        # The agents look at what is theirs, not at the rows of a controller.
        if (before.stamp, before.token, before.empty) != (data.stamp, data.token, data.empty):
            self.world.told(self)
        self.copying.pass_on()

    def _become_active(self) -> None:
        self.role, self.source, self.says_replicating = Role.ACTIVE, None, False
        self.world.told(self)

    def _replace(self, data: Data) -> None:
        assert not self.running
        self.data, self.half = data, False
        self.records.clear()

    def _flush(self) -> None:
        while self._waiting and self.responsive:
            act, reply = self._waiting.pop(0)
            reply(act())
