"""The stand-ins for the controller and the VTEP daemon as processes on loopback, and what is needed to test them."""

from __future__ import annotations

import json
import select
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import history
from history import Event
from real_server import LIMIT, Server, running, wait_until

HERE = Path(__file__).parent


class Standin:
    """nsx.py or vtepd.py as a process, and what it has recorded."""

    def __init__(self, stack: ExitStack, events: Path, script: str, *options: str | Path) -> None:
        self.events = events
        self.process = stack.enter_context(running(sys.executable, HERE / script, "--events", events, *options))

    def recorded(self, kind: str | None = None) -> list[Event]:
        """Return what it has recorded so far, all of it or one kind."""
        return [event for event in history.read(self.events) if kind in (None, event.kind)]

    def wait(self, kind: str, count: int = 1) -> list[Event]:
        """Wait until `count` events of a kind are recorded, and return all of that kind."""
        wait_until(lambda: len(self.recorded(kind)) >= count or self.process.poll() is not None, f"{count} {kind}")
        assert self.process.poll() is None, f"it ended with status {self.process.returncode}"
        return self.recorded(kind)

    def wait_ack_after(self, moment: float) -> None:
        """Wait for a row that is acknowledged later than `moment`."""
        wait_until(lambda: any(ack.t > moment for ack in history.acks(self.recorded())), "an acknowledgement")

    def stop(self) -> Event:
        """End it in good order; return its summary."""
        self.process.terminate()
        assert self.process.wait(LIMIT) == 0
        return self.recorded("summary")[-1]


def controller(stack: ExitStack, directory: Path, *options: str | Path) -> tuple[Standin, int]:
    """Start a controller on a free port; return it and the port."""
    standin = Standin(stack, directory / "nsx.events", "nsx.py", "--listen", "127.0.0.1:0", *options)
    return standin, standin.wait("listening")[0].fields["port"]


def gateway(stack: ExitStack, directory: Path, port: int, *options: str, rows: int = 0) -> Server:
    """Start a server that connects to the controller at `port` because of its Manager row."""
    server = Server(stack, directory)
    server.start("--remote=db:hardware_vtep,Global,managers", *options)
    server.fill(f"{'ssl' if options else 'tcp'}:127.0.0.1:{port}", rows)
    return server


def ask(control: Path, line: str) -> dict[str, Any]:
    """Return the answer of the controller's control socket to one line."""
    with closing(socket.socket(socket.AF_UNIX)) as client:
        client.connect(str(control))
        client.sendall(f"{line}\n".encode())
        answer: dict[str, Any] = json.loads(client.makefile().readline())
        return answer


@contextmanager
def relay(source: str, port: int) -> Iterator[int]:
    """Pass connections to 127.0.0.1:`port` on from the address `source`, as another switch would; give its port."""
    listener = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()
    threads: list[threading.Thread] = []

    def start(work: Callable[..., None], *args: socket.socket) -> None:
        threads.append(threading.Thread(target=work, args=args))
        threads[-1].start()

    def copy(one: socket.socket, other: socket.socket) -> None:
        with one, other:
            while not ended.is_set():
                ready, _, _ = select.select([one, other], [], [], 0.05)
                for end in ready:
                    try:
                        data = end.recv(65536)
                        (other if end is one else one).sendall(data)
                    except ConnectionError:  # a killed server resets what it had not read; the other end gets a FIN
                        return
                    if not data:
                        return

    def accept() -> None:
        while not ended.is_set():
            if select.select([listener], [], [], 0.05)[0]:
                start(
                    copy,
                    listener.accept()[0],
                    socket.create_connection(("127.0.0.1", port), source_address=(source, 0)),
                )

    start(accept)
    try:
        yield int(listener.getsockname()[1])
    finally:
        ended.set()
        for thread in threads:
            thread.join()
        listener.close()
