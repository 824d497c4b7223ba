"""A bounded HTTP server in threads of its own, and what it answers.

GET and HEAD only (RFC 9110).  What is answered is made by a function that is given the
path; nothing of a request comes back in an answer.  An address that cannot be bound is
tried again until it can: `trouble` says why, and nothing ends.  Raises nothing.

What it must not do it is kept from: to repeat a request, to name releases, to ask a name
server, to start threads without end.
"""

from __future__ import annotations

import contextlib
import http.server
import logging
import select
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

_RETRY = 2.0
_JOIN = 0.5

if TYPE_CHECKING:
    pass


class Web:
    """A server at `address` and `port` that begins with `start`; `listening` and `trouble` tell how far it came."""

    def __init__(self, address: str, port: int, answer: Answerer, retry: float = _RETRY) -> None:
        self.trouble = ""
        self.port = port
        self.listening = False
        self._address, self._answer, self._retry = address, answer, retry
        self._ear, self._bell = socket.socketpair()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to listen, and to try until that can be."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="web", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Stop listening, so that a successor can listen there; answers under way may end."""
        self._bell.close()
        if self._thread is not None:
            self._thread.join(_JOIN)
        self._ear.close()

    def _serve(self) -> None:
        """Listen until the bell is closed."""
        while True:
            try:
                with Server(self._address, self.port, self._answer) as server:
                    self.trouble, self.port = "", server.server_address[1]
                    self.listening = True
                    if self._listen(server):
                        return
            except OSError as error:
                where = f"{self._address} port {self.port}"
                self.listening = False
                self.trouble = f"{where} cannot be listened on: {error.strerror or error}"
            if self._rung(self._retry):
                return

    def _listen(self, server: Server) -> bool:
        """Hand connections to threads; True when the bell is closed."""
        while True:
            ready, _, _ = select.select([server.socket, self._ear], [], [])
            if self._ear in ready:
                return True
            server.handle_request()

    def _rung(self, limit: float) -> bool:
        return bool(select.select([self._ear], [], [], limit)[0])


log = logging.getLogger("ovsha")

MOST = 8
"""Requests that are answered at the same time; more are turned away."""

PATIENCE = 5.0
"""Seconds for which nothing may come of a request, or be read of an answer; who takes longer in all makes room."""

_ROOM = 0.5
"""Seconds in which a thread notices that its client was sent away."""

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Server(http.server.ThreadingHTTPServer):
    """A server whose sockets belong to this agent alone, with a limit to what is under way."""

    daemon_threads = True
    block_on_close = False
    timeout = 0.0

    def __init__(self, address: str, port: int, answer: Answerer) -> None:
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.answer = answer
        self._slots = threading.BoundedSemaphore(MOST)
        self._held: dict[socket.socket, float] = {}
        super().__init__((address, port), _Handler)

    def server_bind(self) -> None:
        """Bind without asking a name server for our name, as the base class would."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "ovsha", self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give the request a thread, unless as many are busy as there may be."""
        if not self._slots.acquire(blocking=False) and not (self._make_room() and self._slots.acquire(timeout=_ROOM)):
            self.shutdown_request(request)
            return
        self._held[request] = time.monotonic()
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # no further thread can be started
            self._done(request)
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer it."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._done(request)

    def _done(self, request: Any) -> None:
        self._held.pop(request, None)
        self._slots.release()

    def _make_room(self) -> bool:
        """End the request that has taken longest, if that is longer than any has to; return whether there was one."""
        held = sorted(self._held.copy().items(), key=lambda each: each[1])
        if not held or time.monotonic() - held[0][1] < PATIENCE:
            return False
        with contextlib.suppress(OSError):
            held[0][0].shutdown(socket.SHUT_RDWR)
        return True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say what went wrong with an answer where it may be looked for; a client that goes away is no event."""
        log.debug("a request for metrics was not answered", exc_info=True)


class _Handler(http.server.BaseHTTPRequestHandler):
    """One request.  The base class reads it, within limits of its own, and refuses what is no HTTP."""

    server: Server
    timeout = PATIENCE

    def do_GET(self) -> None:
        """Answer with headers and body."""
        answer = self.server.answer(self.path.partition("?")[0], self.headers.get("Accept", ""))
        self._send(answer, with_body=self.command == "GET")

    do_HEAD = do_GET

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse without repeating anything of the request, which the base class would."""
        status = HTTPStatus(code)
        # The base class knows no other reason for 501 than a method without a do_.
        if status is HTTPStatus.NOT_IMPLEMENTED:
            status = HTTPStatus.METHOD_NOT_ALLOWED
        self.close_connection = True
        with contextlib.suppress(OSError):
            self._send(Answer(f"{status.phrase}\n".encode(), status, headers={"Allow": "GET, HEAD"}), with_body=True)

    def version_string(self) -> str:
        """Name the program, and no release of anything."""
        return "ovsha"

    def log_message(self, format: str, *args: Any) -> None:
        """Keep requests out of the log of the moves."""

    def _send(self, answer: Answer, with_body: bool) -> None:
        self.request_version = "HTTP/1.0"  # headers also for who has asked as in HTTP 0.9, or in no version at all
        self.send_response(answer.status)
        lengths = {"Content-Type": answer.kind, "Content-Length": str(len(answer.body))}
        for name, value in {**_HEADERS, **lengths, **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(answer.body)


@dataclass(frozen=True, slots=True)
class Answer:
    """What one URL shows; `headers` stand beside those that every answer has, or in their place."""

    body: bytes
    status: HTTPStatus = HTTPStatus.OK
    kind: str = "text/plain; charset=utf-8"
    headers: dict[str, str] = field(default_factory=dict)


Answerer = Callable[[str, str], Answer]
"""From a path and the Accept header to what is answered; called by several threads."""
