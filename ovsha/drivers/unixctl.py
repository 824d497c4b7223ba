"""Serve a control socket as python-ovs' unixctl server does, and within limits that this has not.

A client may keep its connection, send half a request, ask again and again, or never read what it is answered: there are
never more than `MOST` of them, a turn costs the loop a bounded time, and nobody who waits keeps it awake.  Whoever may
give orders is never turned away for the sake of those who may only ask.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import time
from typing import Any

import ovs.jsonrpc
import ovs.stream
import ovs.unixctl.server
from ovs.poller import Poller

from ovsha.errors import DriverError

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
