"""Ask a real exchange in its loop, from threads and over loopback."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ovs.poller import Poller

from ovsha.errors import DriverError
from ovsha.peer import rpc_client
from ovsha.peer.rpc_server import Exchange, Files
from ovsha.protocol import seal

KEY, OTHER_KEY = bytes(range(32)), bytes(range(1, 33))
HOST = "127.0.0.9"
LIMIT = 20.0


class Rig:
    """An exchange in its loop, asked by threads."""

    def __init__(self, directory: Path, address: str = HOST) -> None:
        self.address = address
        self.blocked = threading.Event()
        self.ahead = 0.0
        files = Files(directory)
        self.server = Exchange(
            address, 0, KEY,
            {"echo": lambda params: params, "refuse": self._refuse, "large": lambda params: "x" * seal.MAX_ANSWER},
            {"fetch": files.fetch, "list": files.list, "hang": lambda params: self.blocked.wait(LIMIT)},
        )  # fmt: skip
        self._pool = ThreadPoolExecutor()
        self.turn()

    def ask(self, method: str, params: dict[str, Any], key: bytes = KEY, limit: float = LIMIT) -> Any:
        return self.spin(self.start(rpc_client.ask, self.address, self.server.port, key, method, params, limit))

    def fetch(self, kind: str, name: str, target: Path) -> int:
        size: int = self.spin(
            self.start(rpc_client.fetch, self.address, self.server.port, KEY, kind, name, target, LIMIT)
        )
        return size

    def start(self, call: Callable[..., Any], *args: Any) -> Future[Any]:
        return self._pool.submit(call, *args)

    def spin(self, future: Future[Any]) -> Any:
        self.until(future.done)
        return future.result()

    def until(self, holds: Callable[[], bool]) -> None:
        end = time.monotonic() + LIMIT
        while not holds():
            assert time.monotonic() < end, "in vain"
            self.turn()

    def turn(self) -> None:
        now = time.monotonic() + self.ahead
        self.server.run(now)
        poller = Poller()
        self.server.wait(poller, now)
        poller.timer_wait(5)
        poller.block()

    def connect(self) -> socket.socket:
        """Return a connection that has been greeted, and its nonce behind the magic."""
        sock = socket.create_connection((self.address, self.server.port))
        sock.settimeout(LIMIT)
        return sock

    def greeted(self) -> tuple[socket.socket, bytes]:
        sock = self.connect()
        return sock, self.read(sock, seal.GREETING)[len(seal.RPC_MAGIC) :]

    def read(self, sock: socket.socket, size: int = 1 << 20) -> bytes:
        """Return what comes until there are `size` bytes or the other side closes."""

        def all_of_it() -> bytes:
            data = b""
            while len(data) < size:
                try:
                    more = sock.recv(size - len(data))
                except ConnectionResetError:
                    break
                if not more:
                    break
                data += more
            return data

        got: bytes = self.spin(self.start(all_of_it))
        return got

    def count(self, reason: str) -> int:
        return self.server.counters[f"exchange_{reason}"]

    def close(self) -> None:
        self.blocked.set()
        self._pool.shutdown()
        self.server.close()

    @staticmethod
    def _refuse(params: Any) -> Any:
        raise DriverError("not today")
