#!/usr/bin/python3
"""A stand-in for an NSX controller: it waits for switches to connect, and writes numbered rows to the newest one.

What a controller sees is the measure of the pair, so every acknowledged row is recorded, and so is every moment at
which two switches were in session with it at once.  The words, JSON lines with ``t`` = time.monotonic(); `switch` is
the address a connection comes from, `session` a number that rises with each connection:

* ``listening``      address, port
* ``accepted``       switch, session: TCP is up
* ``connected``      switch, session: with TLS, after the handshake, else with `accepted`
* ``dumped``         switch, session, rows (Ucast_Macs_Remote), seconds since `connected`
* ``acked``          row, mac, switch, session, attempt (1 = at once), late: True when the answer came after the row
                     had been taken back, because a newer session had begun
* ``unacked``        row, mac, switch, session, why (read-only, refused, lost, superseded), details.  The *same*
                     number is written again, before any higher one
* ``closed``         switch, session, how (fin, reset, timeout, silence, handshake), lived: seconds
* ``overlap-began``  switches;  ``overlap``  from, until, switches: two switches were live at once
* ``paused``, ``resumed``, ``rate``  rate: what the control socket was told
* ``summary``        on SIGTERM or SIGINT: the answer to `stats`, with cpu seconds

A session is *live* from an answered echo until 0.25 s later, or until it is closed; an echo is sent every 0.05 s.
The control socket takes a line (pause, resume, rate N, stats) and gives a line of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import bisect
import functools
import json
import math
import socket
import ssl
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nsx_switch import REMOTE, Switch
from overlaps import LIVE, Overlaps
from session import EventFile, Session, endpoint, mac_of, until_told

ECHO = 0.05
HANDSHAKE = 10.0


class Controller:
    """Write rows to the newest session at a steady rate; what is not acknowledged is written again."""

    def __init__(self, args: argparse.Namespace, events: EventFile) -> None:
        self._args = args
        self._events = events
        self._switches: list[Switch] = []
        self._overlaps = Overlaps(events)
        self._tokens = 0.0
        self._filled = time.monotonic()
        self._again: list[int] = []
        self._attempts: dict[int, int] = {}
        self._next: int = args.first
        self._counts: Counter[str] = Counter()
        self._numbers = 0
        self.rate: float = args.rate
        self.paused = False
        self.logical_switch: str | None = args.logical_switch
        self.tunnel_ip: str = args.tunnel_ip

    async def serve(self, listener: socket.socket, tls: ssl.SSLContext | None) -> None:
        """Take every connection for ever."""
        loop = asyncio.get_running_loop()
        tasks = {asyncio.ensure_future(self._beat()), asyncio.ensure_future(self._pace())}
        try:
            while True:
                connection, peer = await loop.sock_accept(listener)
                self._numbers += 1
                switch = Switch(self, self._numbers, peer[0].removeprefix("::ffff:"))
                self._record("accepted", switch)
                task = asyncio.ensure_future(self._take(connection, switch, tls))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
        finally:
            for task in tasks:
                task.cancel()

    async def _take(self, connection: socket.socket, switch: Switch, tls: ssl.SSLContext | None) -> None:
        limit = HANDSHAKE if tls else None
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: Session(switch), connection, ssl=tls, ssl_handshake_timeout=limit
            )
        except OSError as err:  # ssl.SSLError is one
            if not switch.usable:
                self._record("closed", switch, how="handshake", details=str(err), lived=0.0)

    async def _beat(self) -> None:
        """Send echoes, and close what has been silent for longer than the probe."""
        while True:
            for switch in tuple(self._switches):
                switch.echo()
                if switch.silence > self._args.probe:
                    switch.abort("silence")
            self._overlaps.look(time.monotonic())
            await asyncio.sleep(ECHO)

    async def _pace(self) -> None:
        while True:
            self.pump()
            await asyncio.sleep(max(0.002, 0.5 / self.rate))

    @property
    def window(self) -> int:
        """How many rows may be without answer at once: given, or one for every 500 a second."""
        return int(self._args.outstanding or math.ceil(self.rate / 500))

    def pump(self) -> None:
        """Write what the rate and the answers that are still out allow."""
        now = time.monotonic()
        most = max(1.0, self.rate * ECHO)  # time lost is not made up for: a burst would show nothing
        self._tokens = min(self._tokens + (now - self._filled) * self.rate, most)
        self._filled = now
        if self.paused or not self._switches:
            return
        newest = self._switches[-1]
        while self._tokens >= 1 and newest.room(self.window) > 0:
            self._tokens -= 1
            row = self._again.pop(0) if self._again else self._next
            self._next = max(self._next, row + 1)
            self._attempts[row] = self._attempts.get(row, 0) + 1
            newest.write(row, self._attempts[row])

    def connected(self, switch: Switch) -> None:
        """A session can be used: it is the newest, and the rows without answer on others will be written to it."""
        self._counts["sessions"] += 1
        self._record("connected", switch)
        for older in self._switches:
            self._give_up(older, "superseded")
        self._switches.append(switch)

    def dumped(self, switch: Switch) -> None:
        """A session has sent its database."""
        self._record("dumped", switch, rows=switch.rows, seconds=switch.lived)

    def echoed(self, switch: Switch) -> None:
        """A session answered an echo."""
        self._overlaps.answered(switch.number, switch.address, switch.answered)

    def answered(self, switch: Switch, row: int, attempt: int, refusal: str | None) -> None:
        """A row was written, or refused for the reason given."""
        late = row not in switch.outstanding
        switch.outstanding.discard(row)
        if refusal is None:
            self._attempts.pop(row, None)
            if row in self._again:  # an acknowledgement counts, however late
                self._again.remove(row)
            self._counts["late" if late else "acked"] += 1
            self._record("acked", switch, row=row, mac=mac_of(REMOTE, row), attempt=attempt, late=late)
        elif not late:
            self._unacked(switch, row, "read-only" if "read only" in refusal else "refused", refusal)
        self.pump()

    def lost(self, switch: Switch, how: str) -> None:
        """A session is over."""
        self._give_up(switch, "lost")
        self._switches.remove(switch)
        self._record("closed", switch, how=how, lived=switch.lived)
        self._overlaps.closed(switch.number, time.monotonic())

    def _give_up(self, switch: Switch, why: str) -> None:
        for row in sorted(switch.outstanding):
            self._unacked(switch, row, why)
        switch.outstanding.clear()

    def _unacked(self, switch: Switch, row: int, why: str, details: str | None = None) -> None:
        bisect.insort(self._again, row)
        self._counts[why] += 1
        self._record("unacked", switch, row=row, mac=mac_of(REMOTE, row), why=why, details=details)

    def _record(self, event: str, switch: Switch, **fields: object) -> None:
        self._events.write(event, switch=switch.address, session=switch.number, **fields)

    def stats(self) -> dict[str, Any]:
        """Say what was written and which sessions are open."""
        sessions = [
            {"session": s.number, "switch": s.address, "rows": s.rows, "live": s.silence < LIVE, "lived": s.lived}
            for s in self._switches
        ]
        words = ("acked", "late", "read-only", "refused", "lost", "superseded")
        return {
            **{word: self._counts[word] for word in words},
            "next": self._next,
            "rate": self.rate,
            "paused": self.paused,
            "connections": self._counts["sessions"],
            "sessions": sessions,
            "overlap": self._overlaps.seconds,
            "cpu": time.process_time(),
        }

    def finish(self) -> None:
        """Record the end."""
        self._overlaps.end(time.monotonic())
        self._events.write("summary", **self.stats())

    def command(self, line: str) -> Mapping[str, Any]:
        """Carry out a line of the control socket and return the answer."""
        match line.split():
            case ["pause"]:
                self.paused = True
                self._events.write("paused")
            case ["resume"]:
                self.paused = False
                self._events.write("resumed")
            case ["rate", number] if number.replace(".", "", 1).isdecimal() and float(number) > 0:
                self.rate = float(number)
                self._events.write("rate", rate=self.rate)
            case ["stats"]:
                pass
            case _:
                return {"error": f"{line.strip()!r}: not pause, resume, rate N or stats"}
        return self.stats()


async def converse(
    command: Callable[[str], Mapping[str, Any]], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Answer one client of the control socket, line by line."""
    while line := await reader.readline():
        writer.write(json.dumps(command(line.decode())).encode() + b"\n")
        await writer.drain()
    writer.close()


def tls_context(args: argparse.Namespace) -> ssl.SSLContext | None:
    """Return how to speak TLS, or None for plain TCP; with a CA a switch must show a certificate of it."""
    if args.private_key is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(args.certificate, args.private_key)
    if args.ca_cert is not None:
        context.load_verify_locations(args.ca_cert)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line; times are in seconds."""
    parser = argparse.ArgumentParser(description="A stand-in for an NSX controller.")
    parser.add_argument("--listen", type=endpoint, required=True, metavar="ADDRESS:PORT", help="port 0: any")
    parser.add_argument("--events", type=Path, required=True)
    parser.add_argument("--private-key", type=Path, help="without it, plain TCP")
    parser.add_argument("--certificate", type=Path)
    parser.add_argument("--ca-cert", type=Path)
    parser.add_argument("--rate", type=float, default=200.0, help="rows a second")
    parser.add_argument("--outstanding", type=int, help="rows without answer at once; default: rate/500, rounded up")
    parser.add_argument("--logical-switch", metavar="NAME", help="default: the first by name; it is never created")
    parser.add_argument("--tunnel-ip", default="10.0.0.2", help="locator of the rows written")
    parser.add_argument("--first", type=int, default=1, help="number of the first row")
    parser.add_argument("--probe", type=float, default=30.0, help="silence that ends a session")
    parser.add_argument("--control", type=Path, metavar="SOCKET")
    return parser.parse_args(argv)


async def main() -> None:
    """Serve until told to stop."""
    args = arguments()
    events = EventFile(args.events)
    controller = Controller(args, events)
    family = socket.AF_INET6 if ":" in args.listen[0] else socket.AF_INET
    with socket.create_server(args.listen, family=family, backlog=16) as listener:
        listener.setblocking(False)
        if args.control is not None:
            args.control.unlink(missing_ok=True)
            await asyncio.start_unix_server(functools.partial(converse, controller.command), args.control)
        address, port = listener.getsockname()[:2]
        events.write("listening", address=address, port=port)
        await until_told(controller.serve(listener, tls_context(args)))
    controller.finish()


if __name__ == "__main__":
    asyncio.run(main())
