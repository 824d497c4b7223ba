#!/usr/bin/python3
"""Read the pair's rows at the VIP, all the time, and say when something that was there is there no more.

It keeps one session to the VIP as a VTEP daemon does, and remembers across sessions every row of the controller's that
it has ever seen.  Nobody deletes such a row.  As JSON lines with ``t`` = time.monotonic():

* ``read``  newest, rows: the highest number and how many there are; at the end of each dump, and while rows come at
            most once in --progress seconds
* ``gone``  rows: the numbers that an earlier read had and this one has not; each is named once, until it is back
* ``lost``  how: the session is over
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Sequence, Set
from pathlib import Path

from nsx_switch import REMOTE
from session import DATABASE, EventFile, Reply, Session, Tables, endpoint, mac_of, until_told

TABLE = "Ucast_Macs_Remote"
BACKOFF = 0.1
ECHO = 0.25
OURS = mac_of(REMOTE, 0)[:5]


class Reader:
    """One session after the other, and what they have shown."""

    def __init__(self, args: argparse.Namespace, events: EventFile) -> None:
        self._args = args
        self._events = events
        self._seen: frozenset[int] = frozenset()
        self._rows: dict[str, int] = {}
        self._session: Session | None = None
        self._dumped = False
        self._told = 0.0
        self._over: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        """Connect for ever; a silent session is given up after --probe seconds."""
        while True:
            self._session = None
            try:
                async with asyncio.timeout(1.0):
                    await asyncio.get_running_loop().create_connection(lambda: Session(self), *self._args.server)
            except OSError:  # TimeoutError is one
                await asyncio.sleep(BACKOFF)
                continue
            await self._converse()
            await asyncio.sleep(BACKOFF)

    async def _converse(self) -> None:
        session = self._session
        assert session is not None, "connection_made was called"
        while not self._over.done():
            session.echo()
            await asyncio.wait([self._over], timeout=ECHO)
            if time.monotonic() - session.last_heard > self._args.probe:
                session.abort("silence")
        if self._dumped:
            self._seen = frozenset(self._rows.values())
        self._events.write("lost", how=self._over.result())

    def connected(self, session: Session) -> None:
        """Ask for everything there is and every later change."""
        self._session, self._dumped, self._rows = session, False, {}
        self._over = asyncio.get_running_loop().create_future()
        wanted = {TABLE: [{"columns": ["MAC"]}]}
        session.request("monitor", [DATABASE, None, wanted], lambda reply: self._dump(session, reply))

    def _dump(self, session: Session, reply: Reply) -> None:
        if reply.error is not None:
            session.abort("refused")
            return
        self._dumped = True
        self._take(reply.result)
        self._miss(self._seen)
        self._tell()

    def updated(self, session: Session, tables: Tables) -> None:
        """Take a change of the database, in which no row should vanish."""
        self._miss(self._take(tables))
        if time.monotonic() - self._told >= self._args.progress:
            self._tell()

    def _take(self, tables: Tables) -> Set[int]:
        """Learn which rows there are now, and return the numbers of those that were deleted."""
        deleted: set[int] = set()
        for uuid, row in tables.get(TABLE, {}).items():
            if uuid in self._rows:
                deleted.add(self._rows.pop(uuid))
            mac = row.get("new", {}).get("MAC", "")
            if mac.startswith(OURS):
                self._rows[uuid] = int(mac[len(OURS) :].replace(":", ""), 16)
        return deleted

    def _miss(self, had: Set[int]) -> None:
        gone = had - frozenset(self._rows.values()) if had else had
        if gone:
            self._events.write("gone", rows=sorted(gone))

    def _tell(self) -> None:
        self._told = time.monotonic()
        self._events.write("read", newest=max(self._rows.values(), default=0), rows=len(self._rows))

    def heard(self, session: Session) -> None:
        """Do nothing: `updated` says it all."""

    def echoed(self, session: Session) -> None:
        """Do nothing: the session keeps its own time."""

    def lost(self, session: Session, how: str) -> None:
        """Wake `run`."""
        if session is self._session and not self._over.done():
            self._over.set_result(how)


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line; times are in seconds."""
    parser = argparse.ArgumentParser(description="Read the pair's rows at the VIP.")
    parser.add_argument("--server", type=endpoint, required=True, help="tcp:VIP:PORT")
    parser.add_argument("--events", type=Path, required=True)
    parser.add_argument("--probe", type=float, default=2.0, help="silence that ends a session")
    parser.add_argument("--progress", type=float, default=0.25, help="between two read events, at least")
    return parser.parse_args(argv)


async def main() -> None:
    """Read until told to stop."""
    args = arguments()
    await until_told(Reader(args, EventFile(args.events)).run())


if __name__ == "__main__":
    asyncio.run(main())
