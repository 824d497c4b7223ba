"""An ovsdb-server's socket that answers from a table, so that drivers meet recorded answers.

It lives in the test's own thread: `spin` gives the driver and the endpoint turns until a
condition holds.
"""

from __future__ import annotations

import json
import select
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

LIMIT = 10.0

Answer = Callable[[list[Any]], Any]


class Refusal(Exception):
    """Raised by an answer to make it an error."""


class Endpoint:
    """Listens on `path`; `answers` maps a method to what computes its result; others get no answer."""

    def __init__(self, path: Path, answers: dict[str, Answer]) -> None:
        self.answers = answers
        self.asked: list[tuple[str, list[Any]]] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._clients: dict[socket.socket, str] = {}

    def run(self) -> None:
        """Take what has come and answer it."""
        readable, _, _ = select.select([self._listener, *self._clients], [], [], 0.002)
        for each in readable:
            if each is self._listener:
                self._clients[self._listener.accept()[0]] = ""
                continue
            data = each.recv(65536)
            if not data:
                del self._clients[each]
                each.close()
                continue
            self._clients[each] = self._answer(each, self._clients[each] + data.decode())

    def notify(self, method: str, params: list[Any]) -> None:
        """Send a notification to every client."""
        for client in self._clients:
            client.sendall(json.dumps({"method": method, "params": params, "id": None}).encode())

    def raw(self, data: bytes) -> None:
        """Send anything at all to every client."""
        for client in self._clients:
            client.sendall(data)

    def hang_up(self) -> None:
        """Close the sessions, not the listener."""
        for client in self._clients:
            client.close()
        self._clients.clear()

    def close(self) -> None:
        """Be gone."""
        self.hang_up()
        self._listener.close()

    def _answer(self, client: socket.socket, text: str) -> str:
        while text:
            try:
                message, end = json.JSONDecoder().raw_decode(text)
            except ValueError:
                return text
            text = text[end:]
            if "method" not in message:
                continue
            self.asked.append((message["method"], message["params"]))
            answer = self.answers.get(message["method"])
            if answer is None:
                continue
            reply: dict[str, Any] = {"id": message["id"], "result": None, "error": None}
            try:
                reply["result"] = answer(message["params"])
            except Refusal as refusal:
                reply["error"] = str(refusal)
            client.sendall(json.dumps(reply).encode())
        return text


def spin(run: Callable[[float], None], endpoints: list[Endpoint], until: Callable[[], object]) -> float:
    """Give all of them turns until the condition holds, and return the time; fails after a generous limit."""
    limit = time.monotonic() + LIMIT
    while True:
        now = time.monotonic()
        run(now)
        if until():
            return now
        assert now < limit, "the condition never held"
        for endpoint in endpoints:
            endpoint.run()
