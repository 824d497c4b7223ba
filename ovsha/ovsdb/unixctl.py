"""Control commands both ways: our control socket, and what ovsdb-server answers on its own.

A client may keep its connection, send half a request, ask again and again, or never read what it is answered: there are
never more than `MOST` of them, a turn costs the loop a bounded time, and nobody who waits keeps it awake.  Whoever may
give orders is never turned away for the sake of those who may only ask.

Releases up to 3.2 print `state`, then `replicating` or what hinders it, then `database`;
from 3.3 on there is one such block for each database, which begins with `database`.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ovs.jsonrpc
import ovs.stream
import ovs.unixctl.server
from ovs.poller import Poller

from ovsha.core.facts import Role
from ovsha.core.lineage import PARKED, WITHOUT
from ovsha.errors import DriverError
from ovsha.ovsdb.channel import Channel

MOST = 32
"""Connections; beyond them the one that has asked nothing for longest is closed."""

LONGEST = 256 * 1024
"""Bytes of a request; who sends more is no client of ours."""

_AT_ONCE = 16 * 1024
"""Bytes that one connection is read in a turn."""

_SPENT = 0.02
"""Seconds of a turn after which the connections that have not had theirs wait for the next one."""

_ACCEPTED = 16
_RETRY = 1.0
_EMPTY = (errno.EAGAIN, b"")


def listen(path: str) -> Server:
    """Return a server at the path of a socket.  Raises DriverError when that cannot be made."""
    error, listener = ovs.stream.PassiveStream.open(f"punix:{path}")
    if error:
        raise DriverError(f"{path}: the control socket cannot be made: {os.strerror(error)}")
    return Server(listener)


class _Stream:
    """A stream that is read only so much in a turn, and of which one request is only so long."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.turn = _AT_ONCE
        self.request = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def recv(self, size: int) -> tuple[int, bytes]:
        """Return an error, 0 when there is none, and what was read."""
        if self.turn <= 0:
            return _EMPTY
        error, data = self._stream.recv(size)
        self.turn -= len(data)
        self.request += len(data)
        return (errno.EMSGSIZE, b"") if self.request > LONGEST else (error, data)


class _Connection(ovs.unixctl.server.UnixctlConnection):  # type: ignore[misc]
    """One client; `orders`: it may give orders, `turned`: the turn in which it last asked something."""

    def __init__(self, stream: Any, turned: int) -> None:
        self.stream = _Stream(stream)
        self.turned = turned
        self.orders = _uid(stream) in (0, os.geteuid())
        super().__init__(ovs.jsonrpc.Connection(self.stream))

    @property
    def waits(self) -> bool:
        """It has asked something that is answered later."""
        return self._request_id is not None

    def turn(self, number: int) -> int:
        """Send what can be sent, and answer at most one request; return the error that ends it, 0 for none."""
        self.stream.turn = _AT_ONCE
        self._rpc.run()
        error: int = self._rpc.get_status()
        if error or self.waits or self._rpc.get_backlog():
            return error
        error, message = self._rpc.recv()
        if message is not None:
            if message.type != ovs.jsonrpc.Message.T_REQUEST:
                return errno.EINVAL
            self.turned, self.stream.request = number, 0
            self._process_command(message)
            error = self._rpc.get_status()
        return 0 if error == errno.EAGAIN else error

    def wait(self, poller: Poller) -> None:
        """Wake the loop when it can be sent more, or asks something."""
        self._rpc.wait(poller)
        if not self.waits and not self._rpc.get_backlog():
            self._rpc.recv_wait(poller)

    def close(self) -> None:
        """End it, and forget what it waits for."""
        self._close()


class Server:
    """The connections at `listener`, and what is asked over them: each is answered by a command of ovs.unixctl."""

    def __init__(self, listener: Any) -> None:
        self._listener = listener
        self._connections: list[_Connection] = []
        self._number = 0
        self._deaf_until = 0.0

    def run(self) -> None:
        """Take who has come, and answer what was asked, in turn."""
        self._number += 1
        self._accept()
        end = time.monotonic() + _SPENT
        for count, connection in enumerate(self._connections):
            if count and time.monotonic() >= end:
                # Who had none of this turn is the first of the next one.
                self._connections = self._connections[count:] + self._connections[:count]
                break
            if connection.turn(self._number):
                connection.close()
        self._connections = [each for each in self._connections if each._rpc.stream is not None]

    def wait(self, poller: Poller) -> None:
        """Wake the loop for the next connection or question."""
        if time.monotonic() >= self._deaf_until:
            self._listener.wait(poller)
        else:
            poller.timer_wait(int((self._deaf_until - time.monotonic()) * 1000) + 1)
        for connection in self._connections:
            connection.wait(poller)

    def close(self) -> None:
        """End all of them, and take the socket away."""
        for connection in self._connections:
            connection.close()
        self._connections = []
        self._listener.close()

    def _accept(self) -> None:
        if time.monotonic() < self._deaf_until:
            return
        for _ in range(_ACCEPTED):
            error, stream = self._listener.accept()
            if error == errno.EAGAIN:
                return
            if error:
                # Descriptors are short, or memory is: to try again at once would keep the loop awake.
                self._deaf_until = time.monotonic() + _RETRY
                return
            self._connections.append(_Connection(stream, self._number))
            if len(self._connections) > MOST:
                self._make_room()

    def _make_room(self) -> None:
        """Close one that waits for no answer, rather one that may only ask, and of these the one idle for longest."""
        idle = [each for each in self._connections if not each.waits]
        least = min(idle, key=lambda each: (each.orders, each.turned)) if idle else self._connections[-1]
        self._connections.remove(least)
        least.close()


def _uid(stream: Any) -> int | None:
    """Return the user at the other end, None when the kernel does not tell."""
    try:
        _, uid, _ = struct.unpack("iII", stream.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    except (OSError, AttributeError):
        return None
    return int(uid)


@dataclass(frozen=True, slots=True)
class SyncStatus:
    """What `ovsdb-server/sync-status` says of one database; `role` None: it could not be read.

    `excluded`: the tables that a backup does not copy, "" when it copies all.
    """

    role: Role | None
    replicating: bool = False
    line: str = ""
    excluded: str = ""


def sync_status(text: str, database: str) -> SyncStatus:
    """Return what the text says of `database`; text that says nothing of it gives role None."""
    block = _block(text.splitlines(), database)
    fields = {key: value for key, colon, value in (line.partition(": ") for line in block) if colon}
    state = fields.get("state", "")
    if state not in ("active", "backup"):
        return SyncStatus(None, line=text.strip().replace("\n", "; ")[:200])
    detail = next((line for line in block if not line.startswith(("state:", "database:", "exclude:"))), "")
    return SyncStatus(Role(state), "replicating" in fields, detail, fields.get("exclude", "").strip())


def version(text: str) -> tuple[int, int]:
    """Return major and minor number from `version`; (0, 0) when they are not there."""
    found = re.search(r"\b(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def cells(text: str) -> int | None:
    """Return the rows times columns of all tables from `memory/show`, None when it does not tell."""
    found = re.search(r"\bcells:(\d+)", text)
    return int(found[1]) if found else None


def _block(lines: list[str], database: str) -> list[str]:
    stripped = [line.strip() for line in lines]
    heads = [number for number, line in enumerate(stripped) if line.startswith("database:")]
    if not heads or heads[0] != 0:
        return stripped
    for start, end in zip(heads, [*heads[1:], len(stripped)], strict=True):
        if stripped[start] == f"database: {database}":
            return stripped[start:end]
    return []


_QUESTIONS = {
    "memory": "memory/show",
    "version": "version",
    "source": "ovsdb-server/get-active-ovsdb-server",
    "status": "ovsdb-server/sync-status",
    "remotes": "ovsdb-server/list-remotes",
}
_NEEDED = _QUESTIONS.keys() - {"memory"}


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """What the server says of itself.

    `source`: whom it is told to copy from, with the tables that it leaves out, if it does; None when it was never told.
    `line`: its own words on the state of the copy.  `cells` None: it does not tell.
    """

    role: Role | None
    source: str | None
    replicating: bool
    remotes: frozenset[str]
    version: tuple[int, int]
    cells: int | None
    line: str

    def differs(self, role: Role | None, source: str | None) -> bool:
        """Tell whether this is not what was ordered; an active server copies from nobody, whatever it was told."""
        return self.role is not role or (self.role is Role.BACKUP and self.source != source)


def ask(control: Channel, database: str, done: Callable[[ServerStatus], None]) -> None:
    """Ask for all of it at once; `done` is called when the last answer is there, and not when one fails.

    Questions and orders keep their order on the one connection.
    """
    answers: dict[str, str] = {}

    def take(key: str) -> Callable[[Any, str | None], None]:
        def answered(result: Any, error: str | None) -> None:
            if error is None:
                answers[key] = str(result)
            if key == "remotes" and answers.keys() >= _NEEDED:
                done(_read(answers, database))

        return answered

    for key, command in _QUESTIONS.items():
        control.request(command, [], take(key))


def words(role: Role | None, source: str | None) -> str:
    """Return role and source as an operator reads them."""
    if role is Role.BACKUP:
        return f"backup of {source}"
    return role.value if role else "in an unknown role"


def _read(answers: dict[str, str], database: str) -> ServerStatus:
    status = sync_status(answers["status"], database)
    source = answers["source"].strip() or None
    if status.excluded and source != PARKED:
        source = f"{source}{WITHOUT}{status.excluded}"
    return ServerStatus(
        status.role,
        source,
        status.replicating,
        frozenset(answers["remotes"].split()),
        version(answers["version"]),
        cells(answers.get("memory", "")),
        status.line,
    )
