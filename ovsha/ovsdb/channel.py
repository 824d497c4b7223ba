"""Hold a JSON-RPC connection to an ovsdb-server or to its control socket and never block on it.

Both speak JSON-RPC 1.0 (RFC 7047 section 4, ovs-appctl(8)).  Nothing is raised: a request
that fails, or whose connection closes, calls back with an error text.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Sequence
from typing import Any

from ovs.jsonrpc import Connection, Message
from ovs.poller import Poller

from ovsha.ovsdb import transport
from ovsha.ovsdb.transport import Stream

Reply = Callable[[Any, str | None], None]
"""Called once with the result, or with None and the error's text."""

Admit = Callable[[socket.socket], str]
"""Says why the other end of a new connection is the wrong one, "" when it may be the right one."""

_CONNECT_LIMIT = 1.0
_MUTE = "it ends the session before it says anything, as one with TLS does"
_MESSAGES_PER_TURN = 50
_KEEP_ALIVE = ((socket.TCP_KEEPIDLE, 1), (socket.TCP_KEEPINTVL, 1), (socket.TCP_KEEPCNT, 127))
"""Seconds and a count; the count is the highest there is."""


def anybody(connection: socket.socket) -> str:
    """Take whoever answers."""
    return ""


class Channel:
    """One connection to `target`, made anew `retry` seconds after it failed or was closed.

    `greet` is called after each connect, `notice` with the method and the parameters of
    each notification.  `admit` is asked before the first word.  `ended_at`: when the other host ended or refused it
    since it was last connected.
    """

    def __init__(
        self,
        target: str | None,
        retry: float,
        greet: Callable[[], None] = lambda: None,
        notice: Callable[[str, list[Any]], None] = lambda method, params: None,
        admit: Admit = anybody,
    ) -> None:
        self.target = target
        self.trouble = "not connected yet"
        self.closed_at: float | None = None
        self.ended_at: float | None = None
        self._retry = retry
        self._greet = greet
        self._notice = notice
        self._admit = admit
        self._next_try = 0.0
        self._tried_at = 0.0
        self._stream: Stream | None = None
        self._connection: Connection | None = None
        self._pending: dict[Any, tuple[float, Reply]] = {}
        self._now = 0.0
        self._heard = self._mute = False

    @property
    def connected(self) -> bool:
        """Whether requests can be sent now."""
        return self._connection is not None

    @property
    def socket(self) -> socket.socket | None:
        """The connected socket, for what the kernel knows of it; None without a connection."""
        return self._connection.stream.socket if self._connection is not None else None

    @property
    def backlog(self) -> int:
        """How many bytes the kernel has not taken yet."""
        return self._connection.get_backlog() if self._connection is not None else 0

    @property
    def waiting(self) -> bool:
        """Whether a request has no answer yet."""
        return bool(self._pending)

    def unanswered_for(self, now: float) -> float:
        """Return the age in seconds of the oldest request without an answer, 0 when there is none."""
        oldest = next(iter(self._pending.values()), None)
        return now - oldest[0] if oldest else 0.0

    def request(self, method: str, params: Sequence[Any], reply: Reply) -> None:
        """Send a request; `reply` is called from a later `run`, or now when there is no connection."""
        if self._connection is None:
            reply(None, self.trouble)
            return
        message = Message.create_request(method, list(params))
        self._pending[message.id] = (self._now, reply)
        self._connection.send(message)

    def run(self, now: float) -> None:
        """Connect, send what waits, and deliver what has come."""
        self._now = now
        if self._connection is None:
            self._connect(now)
        connection: Any = self._connection
        if connection is None:
            return
        connection.run()
        for _ in range(_MESSAGES_PER_TURN):
            error, message = connection.recv()
            if error:
                break
            self._deliver(connection, message)
            if connection is not self._connection:  # what was delivered made somebody close it
                return
        status = connection.get_status()
        if status:
            self._mute = not self._heard and str(self.target).startswith("tcp:")
            why = _ended(connection.stream) or (_MUTE if self._mute else _word(status))
            self.close(now, why, _by_peer(status))

    def wait(self, poller: Poller, now: float) -> None:
        """Wake the loop when there is something to do here."""
        if self._connection is not None:
            self._connection.wait(poller)
            self._connection.recv_wait(poller)
        elif self._stream is not None:
            self._stream.run_wait(poller)
            self._stream.connect_wait(poller)
            poller.timer_wait(int(_CONNECT_LIMIT * 1000))
        elif self.target is not None:
            poller.timer_wait(max(0, int((self._next_try - now) * 1000) + 1))

    def close(self, now: float, why: str, by_peer: bool = False) -> None:
        """End the connection; requests under way fail with `why`.  `by_peer`: it was the other host that ended it."""
        self.ended_at = now if by_peer else self.ended_at
        if self._connection is not None:
            self._connection.close()
        if self._stream is not None:
            self._stream.close()
        self._connection = self._stream = None
        self.trouble, self.closed_at, self._next_try = why, now, now + self._retry
        pending, self._pending = self._pending, {}
        for _, reply in pending.values():
            reply(None, why)

    def _connect(self, now: float) -> None:
        """Begin to connect, or go on with it."""
        if self._stream is None:
            if self.target is None or now < self._next_try:
                return
            error, stream = Stream.open(self.target)
            if error:
                self.close(now, _word(error), _by_peer(error))
                return
            self._tried_at, self._stream = now, stream
        stream = self._stream
        stream.run()
        error = stream.connect()
        if error == errno.EAGAIN and now - self._tried_at < _CONNECT_LIMIT:
            return
        if error:
            self.close(now, _word(errno.ETIMEDOUT if error == errno.EAGAIN else error), _by_peer(error))
            return
        objection = self._admit(stream.socket)
        if objection:
            self.close(now, objection)
            return
        _keep_alive(stream.socket)
        self._connection, self._stream = Connection(stream), None
        # Where the last one ended before it said anything, or a handshake is to come, what hindered it is not over yet.
        self.trouble = self.trouble if self._mute or isinstance(stream, transport.TlsStream) else ""
        self.closed_at, self.ended_at, self._heard = None, None, False
        self._greet()

    def _deliver(self, connection: Connection, message: Message) -> None:
        self.trouble, self._heard, self._mute = "", True, False
        if message.type == Message.T_NOTIFY:
            self._notice(message.method, message.params)
        elif message.type == Message.T_REQUEST:
            if message.method == "echo":
                connection.send(Message.create_reply(message.params, message.id))
        else:
            _, reply = self._pending.pop(message.id, (0.0, None))
            if reply is not None:
                error = message.error
                reply(message.result, None if error is None else str(error))


def _keep_alive(connection: socket.socket) -> None:
    """Have the kernel ask the other end of a TCP connection that says nothing, once a second, whether it is there.

    An end that was closed while the path was cut has forgotten the connection, its last word was lost, and only what is
    sent to it makes it say so.  It never says that it is dead: what is not answered is judged by who uses the channel.
    """
    if connection.family != socket.AF_UNIX:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEP_ALIVE:
            connection.setsockopt(socket.IPPROTO_TCP, option, value)


def _ended(stream: Stream | None) -> str:
    """Return what TLS has found wrong with a connection, "" for nothing."""
    return stream.trouble if isinstance(stream, transport.TlsStream) else ""


def _by_peer(code: int) -> bool:
    """Tell whether a status means that the other host has ended or refused the connection."""
    return code < 0 or code in (errno.ECONNREFUSED, errno.ECONNRESET, errno.EPIPE)


def _word(code: int) -> str:
    """Return the text for a status of python-ovs: an errno, or a negative number for end of file."""
    return os.strerror(code) if code > 0 else "connection closed by the other end"
