"""Answer HTTP requests from a thread of its own, so that no reader of a page can hold up the agent's loop.

GET and HEAD only (RFC 9110).  What is answered is made by a function that is given the
path; nothing of a request comes back in an answer.  An address that cannot be bound is
tried again until it can: `trouble` says why, and nothing ends.  Raises nothing.
"""

from __future__ import annotations

import select
import socket
import threading
from typing import TYPE_CHECKING

from ovsha.drivers.answer import Answerer

_RETRY = 2.0
_JOIN = 0.5

if TYPE_CHECKING:
    from ovsha.drivers.webserver import Server


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
        # Not at the top: it takes a while, and this thread has the time that the agent's start has not.
        from ovsha.drivers.webserver import Server

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
