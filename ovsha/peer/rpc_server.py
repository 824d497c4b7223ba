"""Answer what the peer's agent asks, and give it the files that it may have.

python-ovs could carry JSON-RPC here, but it parses what it has not authenticated, without
a limit, and listens on IPv4 only.  Nothing is raised for what the network does: a
connection that says anything but a sealed request is closed and counted, one that is slow
or idle is closed at its time, and no more than a few are held or taken in a turn, so that
a flood costs the loop little.  The reason why we cannot listen stands in `trouble`.

Everything here reads a disk and may take as long as that does: it is called by a thread.
Raises DriverError for what is not there or may not be had.
"""

from __future__ import annotations

import base64
import errno
import logging
import os
import re
import secrets
import socket
import stat
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ovs.poller import POLLIN, POLLOUT, Poller

from ovsha.errors import DriverError
from ovsha.protocol import seal
from ovsha.protocol.seal import SLICE

log = logging.getLogger(__name__)

Method = Callable[[Any], Any]
"""Answer the parameters of a request with JSON values; DriverError is answered as an error."""

MAX_CONNECTIONS = 8
IDLE = 5.0
"""Seconds that a connection may take for a request, and for reading its answer."""

WORK = 30.0
"""Seconds after which nobody waits for a disk any more."""

_PER_SECOND = 50
_BACKLOG = 16
_RETRY = 1.0
_REASONS = ("exchange_asked", "exchange_forged", "exchange_malformed", "exchange_slow", "exchange_crowded")


class Exchange:
    """The listening socket at `address` and `port`, and what has been asked over it; `address` "": nobody may ask.

    `methods` are answered at once, `files` by a thread, because they wait for a disk.  `counters` counts the requests
    that were answered and, by the reason, the connections that were closed.
    """

    def __init__(
        self,
        address: str,
        port: int,
        key: bytes,
        methods: Mapping[str, Method],
        files: Mapping[str, Method] | None = None,
    ) -> None:
        self.trouble = ""
        self.counters: Counter[str] = Counter(dict.fromkeys(_REASONS, 0))
        self.methods, self.files = dict(methods), dict(files or {})
        self.port = port
        self._address, self._key = address, key
        self._listener: socket.socket | None = None
        self._retry_at = float("-inf")
        self._tokens, self._counted_at = float(_PER_SECOND), float("-inf")
        self._connections: list[_Connection] = []
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="exchange")
        self._bell, self._ear = socket.socketpair()
        for end in (self._bell, self._ear):
            end.setblocking(False)

    def run(self, now: float) -> None:
        """Take connections, read requests, answer them."""
        _drain(self._ear)
        if self._listener is None and now >= self._retry_at and self._address:
            self._listen(now)
        self._accept(now)
        for connection in self._connections:
            self._serve(connection, now)
        self._connections = [each for each in self._connections if not each.closed]

    def wait(self, poller: Poller, now: float) -> None:
        """Wake the loop for a connection, a request, an answer that is ready, and a time limit."""
        poller.fd_wait(self._ear.fileno(), POLLIN)
        moments = [each.deadline for each in self._connections]
        if not self._address:
            pass
        elif self._listener is None:
            moments.append(self._retry_at)
        elif self._tokens >= 1:
            poller.fd_wait(self._listener.fileno(), POLLIN)
        else:
            moments.append(now + 1 / _PER_SECOND)
        for each in self._connections:
            if each.output:
                poller.fd_wait(each.sock.fileno(), POLLOUT)
            elif each.working is None:
                poller.fd_wait(each.sock.fileno(), POLLIN)
        if moments:
            poller.timer_wait(max(0, int((min(moments) - now) * 1000) + 1))

    def close(self) -> None:
        """Close everything; what a thread still reads is dropped."""
        for each in self._connections:
            each.close()
        self._connections = []
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        self._thread.shutdown(cancel_futures=True)
        self._bell.close()
        self._ear.close()

    def _listen(self, now: float) -> None:
        family = socket.AF_INET6 if ":" in self._address else socket.AF_INET
        try:
            (_, _, _, _, place), *_ = socket.getaddrinfo(
                self._address, self.port, family, socket.SOCK_STREAM, 0, socket.AI_NUMERICHOST
            )
            sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            try:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family is socket.AF_INET6:
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                sock.bind(place)
                sock.listen(_BACKLOG)
            except OSError:
                sock.close()
                raise
        except OSError as error:
            self.trouble = f"the peer cannot ask us at {self._address} port {self.port}: {error.strerror or error}"
            self._retry_at = now + _RETRY
        else:
            self._listener, self.port, self.trouble = sock, sock.getsockname()[1], ""

    def _accept(self, now: float) -> None:
        """Take who has come, but not so many that the loop has nothing else to do."""
        self._tokens = min(_PER_SECOND, self._tokens + max(0.0, now - self._counted_at) * _PER_SECOND)
        self._counted_at = now
        for _ in range(MAX_CONNECTIONS):
            if self._listener is None or self._tokens < 1:
                return
            try:
                sock, _ = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                # The connection is gone again (accept(2) names a dozen errors for that), or descriptors are short.
                short = error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
                self._tokens = 0.0 if short else self._tokens
                return
            self._tokens -= 1
            self._connections.append(_Connection(sock, now))
            if len(self._connections) > MAX_CONNECTIONS:
                self._make_room()

    def _make_room(self) -> None:
        """Close the connection that has said nothing authentic for the longest, or the newest when all have."""
        strangers = [each for each in self._connections if not each.trusted]
        oldest = min(strangers, key=lambda each: each.deadline)
        self._connections.remove(oldest)
        self._end(oldest, "exchange_crowded")

    def _serve(self, connection: _Connection, now: float) -> None:
        """Go on with one connection; one request of it in a turn."""
        try:
            if connection.working is not None and connection.working.done():
                self._answer(connection, connection.working, now)
            connection.send(now)
            if connection.working is None and not connection.output:
                frame = connection.receive()
                if frame is not None:
                    self._take(connection, frame, now)
        except seal.RequestRefused as refusal:
            self._end(connection, f"exchange_{refusal.reason}")
        except OSError:
            connection.close()
        if not connection.closed and now >= connection.deadline:
            self._end(connection, "exchange_slow")

    def _take(self, connection: _Connection, frame: bytes, now: float) -> None:
        address = self._address.partition("%")[0]
        method, params, own = seal.read_request(self._key, address, connection.nonce, frame)
        connection.trusted, connection.own, connection.deadline = True, own, now + WORK
        log.debug("asked for %s", method)
        if method in self.files:
            connection.working = self._thread.submit(self.files[method], params)
            connection.working.add_done_callback(lambda done: _ring(self._bell))
            return
        done: Future[Any] = Future()
        try:
            if method not in self.methods:
                raise DriverError(f"{method!r:.40} {seal.UNKNOWN}")
            done.set_result(self.methods[method](params))
        except DriverError as error:
            done.set_exception(error)
        self._answer(connection, done, now)
        connection.send(now)

    def _answer(self, connection: _Connection, done: Future[Any], now: float) -> None:
        error = done.exception()
        if error is not None and not isinstance(error, DriverError):
            raise error  # a bug of ours
        following = secrets.token_bytes(seal.NONCE)
        connection.output += seal.answer(
            self._key, self._address.partition("%")[0], connection.nonce, connection.own, following,
            None if error else done.result(), str(error) if error else "",
        )  # fmt: skip
        connection.nonce, connection.working, connection.deadline = following, None, now + IDLE
        self.counters["exchange_asked"] += 1

    def _end(self, connection: _Connection, reason: str) -> None:
        self.counters[reason] += 1
        log.debug("connection closed: %s", reason)
        connection.close()


class _Connection:
    """One that may ask: what it has said of its request, and what it has not taken yet of the answer."""

    def __init__(self, sock: socket.socket, now: float) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.closed = self.trusted = False
        self.nonce, self.own = secrets.token_bytes(seal.NONCE), b""
        self.output = seal.RPC_MAGIC + self.nonce
        self.working: Future[Any] | None = None
        self.deadline = now + IDLE
        self._input = b""

    def send(self, now: float) -> None:
        """Send what the other side takes.  Raises OSError when it is gone."""
        if self.output:
            try:
                sent = self.sock.send(self.output)
            except BlockingIOError:
                return
            self.output = self.output[sent:]

    def receive(self) -> bytes | None:
        """Return the next whole frame, without its length, or None.

        Raises Refused for one that is longer than a request can be, OSError when the other side is gone.
        """
        try:
            data = self.sock.recv(seal.LENGTH + seal.MAX_REQUEST + seal.TAG - len(self._input))
        except BlockingIOError:
            return None
        if not data:
            raise ConnectionResetError
        self._input += data
        size = int.from_bytes(self._input[: seal.LENGTH]) if len(self._input) >= seal.LENGTH else None
        if size is not None and not seal.TAG < size <= seal.MAX_REQUEST + seal.TAG:
            raise seal.RequestRefused("malformed")
        if size is None or len(self._input) < seal.LENGTH + size:
            return None
        if len(self._input) > seal.LENGTH + size:
            raise seal.RequestRefused("malformed")  # who has not the answer cannot have sealed a second request
        frame, self._input = self._input[seal.LENGTH :], b""
        return frame

    def close(self) -> None:
        self.closed = True
        self.sock.close()


def _ring(bell: socket.socket) -> None:
    try:
        bell.send(b"!")
    except OSError:
        return  # the ear has enough to hear already, or the agent is gone


def _drain(ear: socket.socket) -> None:
    try:
        while ear.recv(64):
            pass
    except BlockingIOError:
        return


COLLECTED = "collect"
"""Below the state directory: where archives are until the peer has them."""

KINDS = {"backups": 1, "bases": 1, COLLECTED: 1, "forensics": 2, "journal": 1, "ledgers": 1}
"""The directories, and of how many words a name in each consists: forensics/ID/FILE."""

_WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:+@-]{0,127}")
_MOST = 1000
_UNFINISHED = ".part"


class Files:
    """What of the files below `directory` the peer may have; `elsewhere` names kinds that are in other directories."""

    def __init__(self, directory: Path, elsewhere: Mapping[str, Path] | None = None) -> None:
        self._places = {kind: directory / kind for kind in KINDS} | dict(elsewhere or {})

    def fetch(self, params: Any) -> dict[str, Any]:
        """Return `size` bytes of the file `name` of `kind` from `offset` on, as base64, and the file's `total` size."""
        kind, name = text(params, "kind"), text(params, "name")
        offset, size = whole(params, "offset"), min(whole(params, "size"), SLICE)
        path = self._place(kind).joinpath(*_words(kind, name))
        try:
            # Not to follow a link out of the directory, nor to wait for a FIFO.
            file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                found = os.fstat(file)
                if not stat.S_ISREG(found.st_mode):
                    raise DriverError(f"{kind}/{name} is not a regular file")
                data = os.pread(file, size, offset)
            finally:
                os.close(file)
        except OSError as error:
            raise DriverError(f"{kind}/{name} cannot be read: {error.strerror}") from None
        return {"data": base64.b64encode(data).decode(), "total": found.st_size}

    def list(self, params: Any) -> list[dict[str, Any]]:
        """Return name, size and time of change (seconds since 1970) of the files of `kind`, by their names."""
        kind = text(params, "kind")
        depth, place = _depth(kind), self._place(kind)
        entries = []
        for path in sorted(place.glob("/".join(["*"] * depth))):
            words = path.relative_to(place).parts
            if not all(map(_WORD.fullmatch, words)) or any(word.endswith(_UNFINISHED) for word in words):
                continue
            try:
                found = path.lstat()
            except OSError:
                continue  # gone between the two looks
            if stat.S_ISREG(found.st_mode):
                entries.append({"name": "/".join(words), "size": found.st_size, "mtime": found.st_mtime})
        return entries[-_MOST:]

    def _place(self, kind: str) -> Path:
        _depth(kind)
        return self._places[kind]


def text(params: Any, name: str) -> str:
    """Return a text among the parameters of a request.  Raises DriverError when there is none."""
    value = params.get(name) if isinstance(params, dict) else None
    if not isinstance(value, str):
        raise DriverError(f"{name}: a text is wanted")
    return value


def whole(params: Any, name: str) -> int:
    """Return a whole number, from 0 to 2**62, among the parameters.  Raises DriverError when there is none."""
    value = params.get(name) if isinstance(params, dict) else None
    if type(value) is not int or not 0 <= value <= 2**62:
        raise DriverError(f"{name}: a whole number is wanted")
    return value


def _depth(kind: str) -> int:
    if kind not in KINDS:
        raise DriverError(f"kind: {kind!r:.40} is not one of {', '.join(KINDS)}")
    return KINDS[kind]


def _words(kind: str, name: str) -> list[str]:
    words = name.split("/")
    if len(words) != _depth(kind) or not all(map(_WORD.fullmatch, words)):
        raise DriverError(f"name: {name!r:.80} is not the name of a file of {kind}")
    return words
