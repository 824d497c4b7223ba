#!/usr/bin/python3
"""A stand-in for ovs-vtepd.

The daemon keeps one session to the VIP, monitors what a VTEP daemon monitors and records, as JSON lines with
``t`` = time.monotonic(), what its switch sees of the service.  Nothing in it knows that there are two switches.

Each event carries ``name``:

* ``started``    server
* ``refused``    how (refused, timeout, unreachable), backoff: an attempt to connect failed, next one in so many seconds
* ``connected``  attempts: TCP is up
* ``dumped``     rows (Ucast_Macs_Remote), seconds since `connected`, gap: seconds since the last word of the
                 session before, None for the first session
* ``progress``   rows: something was heard; at most one in --progress seconds
* ``lost``       how (fin, reset, timeout, silence), heard: when the last word came, lived: seconds
* ``acked``, ``unacked``  row, mac (only with --write), the second with why
* ``summary``    on SIGTERM
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

from session import EventFile, Reply, Session, Tables, endpoint, find_locator, grown, insert_mac, mac_of, until_told


def next_backoff(backoff: float, least: float, most: float) -> float:
    """Return the seconds to wait after one more failure: `least` at first, then doubling up to `most`."""
    return min(max(least, 2 * backoff), most)


class Daemon:
    """Keep one session to the server, as ovs-vtepd does, and record what became of it."""

    LOCAL = 0x6C  # the second byte of the MACs of Ucast_Macs_Local

    def __init__(self, args: argparse.Namespace, events: EventFile) -> None:
        self._args = args
        self._events = events
        self._session: Session | None = None
        self._over: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._number: int = args.first
        self._rows = 0
        self._switch: str | None = None
        self._dumped = False
        self._heard = self._reported = 0.0

    async def run(self) -> None:
        """Connect for ever.  As in ovs's reconnect, a session that outlived the back-off makes it forgotten."""
        args, backoff, attempts = self._args, 0.0, 0
        while True:
            attempts += 1
            refused = await self._connect(max(backoff, args.min_backoff))
            if refused is None and self._session is not None:
                self._events.write("connected", attempts=attempts)
                attempts = 0
                if await self._converse(self._session) >= backoff:
                    backoff = 0.0
                    continue
            backoff = next_backoff(backoff, args.min_backoff, args.max_backoff)
            if refused is not None:
                self._events.write("refused", how=refused, backoff=backoff)
            await asyncio.sleep(backoff)

    async def _connect(self, limit: float) -> str | None:
        """Open a session within `limit` seconds; return None, or in one word why there is none."""
        try:
            async with asyncio.timeout(limit):
                await asyncio.get_running_loop().create_connection(lambda: Session(self), *self._args.server)
        except TimeoutError:
            return "timeout"
        except ConnectionRefusedError:
            return "refused"
        except OSError:
            return "unreachable"
        return None

    async def _converse(self, session: Session) -> float:
        """Stay until the session is lost; return for how many seconds words came from it."""
        writing = asyncio.ensure_future(self._write(session)) if self._args.write else None
        while not self._over.done():
            session.echo()
            await asyncio.wait([self._over], timeout=min(self._args.echo, self._args.probe / 4))
            if time.monotonic() - session.last_heard > self._args.probe:
                session.abort("silence")
        if writing is not None:
            writing.cancel()
        lived = session.last_heard - session.since
        self._heard = session.last_heard
        self._events.write("lost", how=self._over.result(), heard=self._heard, lived=lived)
        return lived

    async def _write(self, session: Session) -> None:
        """Insert Ucast_Macs_Local rows at the rate wanted, one at a time; a row not committed is tried again."""
        loop, due = asyncio.get_running_loop(), time.monotonic()
        while True:
            due = max(due + 1 / self._args.write, time.monotonic() - 1)
            await asyncio.sleep(due - time.monotonic())
            if not self._dumped or self._switch is None:
                continue
            mac, why = mac_of(self.LOCAL, self._number), "lost"
            try:
                locator: asyncio.Future[str | None] = loop.create_future()
                find_locator(session, self._args.tunnel_ip, locator.set_result)
                rows = insert_mac("Ucast_Macs_Local", mac, self._switch, await locator, self._args.tunnel_ip)
                reply: asyncio.Future[Reply] = loop.create_future()
                session.transact(rows, reply.set_result)
                why = (await reply).refusal() or ""
            finally:
                self._events.write("unacked" if why else "acked", row=self._number, mac=mac, why=why or None)
            self._number += not why

    def connected(self, session: Session) -> None:
        """Ask for the dump."""
        self._session, self._dumped = session, False
        self._over = asyncio.get_running_loop().create_future()
        session.monitor(lambda reply: self._dump(session, reply))

    def _dump(self, session: Session, reply: Reply) -> None:
        if reply.error is not None:
            session.abort("refused")
            return
        self._rows, self._switch, self._dumped = 0, None, True
        self.updated(session, reply.result)
        now = time.monotonic()
        gap = now - self._heard if self._heard else None
        self._events.write("dumped", rows=self._rows, seconds=now - session.since, gap=gap)

    def heard(self, session: Session) -> None:
        """Record that there is progress, but not too often."""
        if self._dumped and session.last_heard - self._reported >= self._args.progress:
            self._reported = session.last_heard
            self._events.write("progress", rows=self._rows)

    def echoed(self, session: Session) -> None:
        """Do nothing: `heard` says it all."""

    def updated(self, session: Session, tables: Tables) -> None:
        """Count the rows, and know a logical switch to write to."""
        self._rows += grown(tables.get("Ucast_Macs_Remote", {}))
        for uuid, row in tables.get("Logical_Switch", {}).items():
            self._switch = uuid if "new" in row else None

    def lost(self, session: Session, how: str) -> None:
        """Wake `run`."""
        if session is self._session and not self._over.done():
            self._over.set_result(how)


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line; times are in seconds."""
    parser = argparse.ArgumentParser(description="A stand-in for ovs-vtepd.")
    parser.add_argument("--server", type=endpoint, required=True, help="tcp:VIP:PORT")
    parser.add_argument("--name", required=True, help="the switch it runs on, said in each event")
    parser.add_argument("--events", type=Path, required=True)
    parser.add_argument("--min-backoff", type=float, default=0.1)
    parser.add_argument("--max-backoff", type=float, default=1.0)
    parser.add_argument("--echo", type=float, default=0.5, help="between two echoes")
    parser.add_argument("--probe", type=float, default=5.0, help="silence that ends a session")
    parser.add_argument("--progress", type=float, default=0.1, help="between two progress events, at least")
    parser.add_argument("--write", type=float, default=0.0, metavar="RATE", help="Ucast_Macs_Local rows a second")
    parser.add_argument("--first", type=int, default=1, help="number of the first row written")
    parser.add_argument("--tunnel-ip", default="10.0.0.1", help="locator of the rows written")
    return parser.parse_args(argv)


async def main() -> None:
    """Be a VTEP daemon until told to stop."""
    args = arguments()
    events = EventFile(args.events, name=args.name)
    events.write("started", server=":".join(map(str, args.server)))
    await until_told(Daemon(args, events).run())
    events.write("summary", cpu=time.process_time())


if __name__ == "__main__":
    asyncio.run(main())
