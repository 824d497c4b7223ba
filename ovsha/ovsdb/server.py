"""Drive the local ovsdb-server: its role, its remotes, and the keys we keep in its database.

It is spoken to over its control socket (the Runtime Management Commands of
ovsdb-server(1)) and over one JSON-RPC session.  Orders are answered by a callback with
None or the error's text; nothing is raised and nothing blocks.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ovs.poller import Poller

from ovsha.core import stamps
from ovsha.core.facts import Life, Role, Server, Stamp, Token
from ovsha.core.lineage import PARKED
from ovsha.ovsdb import process, unixctl
from ovsha.ovsdb.channel import Channel
from ovsha.ovsdb.database import Contents, Database
from ovsha.ovsdb.process import Places, Process, identity
from ovsha.ovsdb.unixctl import ServerStatus, words

Done = Callable[[str | None], None]

_POLL_EVERY = 1.0
_LOOK_EVERY = 0.1
_LOOKS = 100
_ECHO_EVERY = 0.8
_PROBE_EVERY = 0.4
_RETRY = 0.05
_LAST_BREATH = 1.0
_UNDRIVEN_AFTER = 5.0
"""Seconds after which a control socket that is not there is missed: a server that starts reads its file first."""
_FILE_EVERY = 2.0


class LocalServer:
    """The ovsdb-server of this switch; `listener` is the remote for the VIP, "" where there is none.

    `copied_at`: the remote for the peer, and its counterpart with or without TLS, which is not to be there.
    `elsewhere`: where the database is read when its own socket is gone, "" for nowhere.
    `astray`: what became of the file that it writes to, "" while that is in its place.
    """

    def __init__(
        self,
        places: Places,
        database: str,
        listener: str,
        *,
        patience: float,
        hang_interval: float,
        stall_limit: float,
        copied_at: tuple[str, str] = ("", ""),
        elsewhere: str = "",
    ) -> None:
        self.listener = listener
        self.managers = f"db:{database},Global,managers"
        self.saved = False
        self.incidents: list[str] = []
        self.status_line = ""
        self.write_trouble = ""
        self.astray = ""
        self.losses: list[str] = []
        self._database_name = database
        self._rundir = places.pidfile.parent
        self._copied_at, self._exchanging = copied_at, False
        self._patience, self._hang_interval, self._stall_limit = patience, hang_interval, stall_limit
        self._process = Process(places)
        self._file = places.file
        self._at_home, self._elsewhere = f"unix:{places.socket}", elsewhere
        self._control = Channel(None, _RETRY, self._poll, admit=self._admit)
        self._database = Database(self._at_home, database, _RETRY, admit=self._admit)
        self._pid: int | None = None
        self._identity = ""
        self._role: Role | None = None
        self._source: str | None = None
        self._replicating = False
        self._remotes: frozenset[str] = frozenset()
        self._version = (0, 0)
        self._cells: int | None = None
        self._fenced = False
        self._orders = 0
        self._looks = 0
        self._poll_at = self._echo_at = 0.0
        self._ticks: int | None = None
        self._ticks_since = 0.0
        self._driven_at = self._around_at = 0.0
        self._astray_seen, self._file_at = "", 0.0

    @property
    def active(self) -> bool:
        """Whether it said that it is, when it was last asked."""
        return self._role is Role.ACTIVE

    @property
    def contents(self) -> Contents:
        """What the rows of the database say."""
        return self._database.contents

    @property
    def schema(self) -> Mapping[str, Any] | None:
        """The whole schema of the database, None before it was read."""
        return self._database.whole_schema

    @property
    def pid(self) -> int | None:
        """The process, None while there is none."""
        return self._pid

    @property
    def control_socket(self) -> str:
        """Where it takes orders, "" while it does not run."""
        return f"{self._rundir}/ovsdb-server.{self._pid}.ctl" if self._pid is not None else ""

    @property
    def trouble(self) -> str:
        """What hinders us from talking to the server, "" when nothing does."""
        seen = self._process.sight
        sessions = self._database.trouble or self._control.trouble or self._database.channel.trouble
        return (seen.unsure or seen.stranger if self._pid is None else "") or sessions

    def facts(self, now: float) -> Server:
        """Return what the server is doing."""
        life, contents = self._life(now), self._database.contents
        parked = self._role is Role.BACKUP and self._source == PARKED
        self.saved = self.saved and parked and life is not Life.DOWN
        active = self._role is Role.ACTIVE
        return Server(
            life=life,
            role=self._role,
            source=self._source if self._role is Role.BACKUP else None,
            replicating=self._replicating,
            managers_open=self.managers in self._remotes,
            listener_open=self.listener in self._remotes,
            loaded=contents.loaded,
            stamp=contents.stamp,
            token=contents.token,
            empty=contents.empty,
            controllers=sum(row.connected for row in contents.managers) if active else 0,
            fenced=self._fenced,
            saved=self.saved,
            cells=self._cells,
            schema=self._database.schema if contents.loaded else None,
            undriven=self._undriven(now),
            process=self._identity,
            stranger=self._process.sight.stranger if self._pid is None else "",
            others=self._database.others if contents.loaded else (),
        )

    def run(self, now: float) -> None:
        """Take what has come, and ask again for what is due."""
        self._process.run(now)
        if self._process.pid != self._pid:
            self._replaced(now)
        self._control.run(now)
        self._database.run(now)
        if self._control.connected:
            self._driven_at = now
        self._look_around(now)
        self._look_at_file(now)
        if now >= self._poll_at and self._control.connected:
            self._poll_at = now + (_LOOK_EVERY if self._looks else _POLL_EVERY)
            self._looks = max(0, self._looks - 1)
            self._poll()
        if now >= self._echo_at and self._database.channel.connected:
            self._echo_at = now + (_PROBE_EVERY if self._role is Role.BACKUP else _ECHO_EVERY)
            if not self._database.channel.waiting:
                self._touch()

    def wait(self, poller: Poller, now: float) -> None:
        """Wake the loop when there is something to do here; what is due by time waits for the next heartbeat."""
        self._process.wait(poller, now)
        if self._pid is not None:
            self._control.wait(poller, now)
            self._database.channel.wait(poller, now)

    def close(self, now: float) -> None:
        """Let go of the server without changing anything about it."""
        self._control.close(now, "closing")
        self._database.channel.close(now, "closing")
        self._process.close()

    def promote(self, done: Done) -> None:
        """Make the server active."""
        self._order([("disconnect-active-ovsdb-server", [])], self._became_active, done)

    def follow(self, source: str, done: Done) -> None:
        """Make the server a backup of `source`, which erases what it holds as soon as that answers."""
        point: list[tuple[str, list[str]]] = [
            ("set-active-ovsdb-server", [source]),
            ("connect-active-ovsdb-server", []),
        ]
        if self._role is Role.BACKUP and self._version >= (3, 3):
            # These releases keep the old source unless they are told to leave it first.
            point.insert(0, ("disconnect-active-ovsdb-server", []))
        if source != PARKED:
            # What somebody has excluded would be missing, or be missed by what refers to it.  While the server copies
            # this would have it copy anew from whom it is to leave, so it is done on the way out of the park only.
            point.insert(0, ("set-sync-exclude-tables", [""]))
        if self._role is Role.ACTIVE:
            point.append(("reconnect", []))

        def became_backup() -> None:
            self._role, self._source, self._replicating = Role.BACKUP, source, False
            self.write_trouble = ""
            # A server that cannot copy makes itself active and writable, mostly in the first moments.
            self._looks = 0 if source == PARKED else _LOOKS

        self._order(point, became_backup, done)

    def park(self, done: Done) -> None:
        """Make the server a backup of nobody: it keeps its data, read-only."""
        self.follow(PARKED, done)

    def open(self, remote: str, done: Done) -> None:
        """Add a remote: `managers` or `listener`."""
        self._order([("add-remote", [remote])], lambda: self._set_remotes(self._remotes | {remote}), done)

    def shut(self, remote: str, done: Done) -> None:
        """Remove a remote, and with it the sessions that came over it; one that is not there is gone already."""

        def answered(error: str | None) -> None:
            if error is not None and "no such remote" in error:
                self._set_remotes(self._remotes - {remote})
                error = None
            done(error)

        self._order([("remove-remote", [remote])], lambda: self._set_remotes(self._remotes - {remote}), answered)

    @property
    def copied_otherwise(self) -> bool:
        """Whether the peer is listened to with TLS and should be without, or the other way."""
        return bool(self._copied_at[1]) and self._copied_at[1] in self._remotes and not self._exchanging

    def listen_rightly(self, done: Done) -> None:
        """Listen to the peer as configured, at the same port; its sessions end, and it comes again."""
        wanted, other = self._copied_at
        self._exchanging = True
        orders = [("remove-remote", [other])] + ([] if wanted in self._remotes else [("add-remote", [wanted])])

        def answered(error: str | None) -> None:
            self._exchanging = False
            done(error)

        self._order(orders, lambda: self._set_remotes(self._remotes - {other} | {wanted}), answered)

    def fence(self) -> None:
        """Leave orders to close and to park in the control socket of a server that hangs."""
        for remote in filter(None, (self.managers, self.listener)):
            self.shut(remote, lambda error: None)
        self.park(lambda error: None)
        self._fenced = True

    def stamp(self, stamp: Stamp, done: Done) -> None:
        """Write the lineage and the first token of its term."""
        self.renew(stamp, (stamp.term, 0), done)

    def renew(self, stamp: Stamp, token: Token, done: Done) -> None:
        """Write a lineage and a token, whatever is there now, and leave the keys of others as they are."""
        self._database.commit(stamps.written(stamp, token), self._noting(done))

    def commit(self, token: Token, done: Done) -> None:
        """Write a token."""
        self._database.commit(stamps.written_token(token), self._noting(done))

    def _noting(self, done: Done) -> Done:
        """Note in `write_trouble` that the server's disk does not take what is written."""

        def noted(error: str | None) -> None:
            if error is None or error.startswith("I/O error"):
                self.write_trouble = f"ovsdb-server acknowledges no write: {error}" if error else ""
            done(error)

        return noted

    def _set_remotes(self, remotes: frozenset[str]) -> None:
        self._remotes = remotes

    def _became_active(self) -> None:
        self._role, self._source, self._replicating = Role.ACTIVE, None, False

    def _replaced(self, now: float) -> None:
        """Begin anew with another process, or with none."""
        self._pid, self._driven_at = self._process.pid, now
        self._around_at = now + 1.0
        self._identity = identity(self._pid) if self._pid is not None else ""
        self._control.close(now, "ovsdb-server is not running")
        self._database.channel.close(now, "ovsdb-server is not running")
        self._database.run(now)
        self._role = self._source = self._ticks = self._cells = None
        self._replicating = self._fenced = False
        self.write_trouble = self.astray = self._astray_seen = ""
        self._remotes = frozenset()
        self._control.target = None
        self._database.channel.target = self._at_home
        if self._pid is not None:
            self._control.target = f"unix:{self.control_socket}"
            self._control.run(now + _RETRY)

    def _touch(self) -> None:
        """Have the server answer; one that should be read-only, or cannot be asked, also shows whether it is."""
        if self._role is Role.BACKUP or not self._control.connected:
            self._database.probe_role(self._probed)
        else:
            self._database.channel.request("echo", [], lambda result, error: None)

    def _probed(self, role: Role | None) -> None:
        if not self._control.connected:
            self._role, self._source, self._replicating = role, None, False
        elif role is Role.ACTIVE and self._role is Role.BACKUP:
            self._poll_at = 0.0  # it takes writes: find out what it is now

    def _admit(self, connection: socket.socket) -> str:
        """Say why what answers is not the server of our database, "" when it may be."""
        pid = process.accepted_by(connection) if connection.family == socket.AF_UNIX else process.UNSEEN
        if not self._process.other(pid):
            return ""
        return f"ovsdb-server {pid} answers there, which does not serve {self._file}"

    def _look_around(self, now: float) -> None:
        """Read the database at the address for the peer when its own socket is gone, or is another server's now."""
        channel = self._database.channel
        ours = self._undriven(now) or (self._pid is not None and self._copied_at[0] in self._remotes)
        if ours and not channel.connected and self._elsewhere and now >= self._around_at:
            self._around_at = now + 1.0
            channel.target = self._elsewhere if channel.target == self._at_home else self._at_home

    def _look_at_file(self, now: float) -> None:
        """See whether the server writes to the file that its next start reads; one look may fall into a compaction."""
        if now < self._file_at or self._pid is None:
            return
        self._file_at = now + _FILE_EVERY
        seen, before = process.astray(self._pid, self._file), self._astray_seen
        self._astray_seen = seen
        if seen == before and seen != self.astray:
            self.astray = seen
            if seen:
                self.losses.append(f"{seen} under ovsdb-server {self._pid}, which goes on with what it had")

    def _undriven(self, now: float) -> str:
        """Say why the server takes no orders although it, or what may be it, runs; "" when it takes them."""
        if self._pid is None:
            return self._process.sight.unsure
        if self._control.connected or now - self._driven_at < _UNDRIVEN_AFTER:
            return ""
        return f"no control socket {self.control_socket} answers: {self._control.trouble}"

    def _life(self, now: float) -> Life:
        if self._pid is None:
            return Life.UNKNOWN if self._process.sight.unsure else Life.DOWN
        if self._ending(now):
            return Life.DOWN
        if self._undriven(now):
            return Life.HUNG if self._process.stopped() else Life.UNKNOWN
        silent_for = max(self._control.unanswered_for(now), self._database.channel.unanswered_for(now))
        if silent_for < self._patience:
            self._ticks = None
            self._fenced = False
            return Life.UP if self._role is not None else Life.UNKNOWN
        if self._process.stopped() or silent_for >= self._stall_limit:
            return Life.HUNG
        ticks = self._process.cpu_ticks()
        if ticks != self._ticks:
            self._ticks, self._ticks_since = ticks, now
        return Life.HUNG if now - self._ticks_since >= self._hang_interval else Life.BUSY

    def _ending(self, now: float) -> bool:
        """Tell whether both connections have just ended: it is dying, and the kernel is not done with it yet."""
        moments = (self._control.closed_at, self._database.channel.closed_at)
        lost = self._role is not None and all(moment is not None and now - moment < _LAST_BREATH for moment in moments)
        return lost and self._process.ended()

    def _order(self, commands: Sequence[tuple[str, list[str]]], applied: Callable[[], None], done: Done) -> None:
        """Send commands back to back; the first error is the answer, and a last success applies."""
        failures: list[str] = []
        left = len(commands)
        self._orders += 1

        def answered(result: Any, error: str | None) -> None:
            nonlocal left
            left -= 1
            if error is not None:
                failures.append(error)
            if left == 0:
                self._orders -= 1
                self._poll_at = 0.0
                if not failures:
                    applied()
                done(failures[0].strip() if failures else None)

        for verb, arguments in commands:
            self._control.request(f"ovsdb-server/{verb}", arguments, answered)

    def _poll(self) -> None:
        """Ask what the server is doing, unless it still owes an answer."""
        if not self._control.waiting:
            unixctl.ask(self._control, self._database_name, self._found)

    def _found(self, now: ServerStatus) -> None:
        if self._orders:
            return
        if self._role is not None and now.differs(self._role, self._source):
            was, ordered = words(now.role, now.source), words(self._role, self._source)
            self.incidents.append(f"ovsdb-server was found {was}, but was ordered {ordered}")
        self._role, self._source, self._replicating = now.role, now.source, now.replicating
        self._remotes, self._version, self._cells = now.remotes, now.version, now.cells
        self.status_line = now.line
        if now.replicating:
            self._looks = 0
