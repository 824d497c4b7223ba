#!/usr/bin/python3
"""A stand-in for ovs-vtepd, and the OVSDB client session that nsx.py shares with it.

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
import codecs
import errno
import itertools
import json
import signal
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TextIO

DATABASE = "hardware_vtep"
TABLES = ("Global", "Manager", "Physical_Switch", "Logical_Switch", "Ucast_Macs_Remote")
ENCAPSULATION = "vxlan_over_ipv4"
Tables = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""The <table-updates> of RFC 7047, section 4.1.6: table, row uuid, then "old" and "new"."""


class JsonStream:
    """Cut a stream of bytes into the JSON values that stand in it one after the other, with nothing between them."""

    EAGER = 1 << 16
    """Below so many characters every arrival is tried; above, only those that may complete a value."""

    def __init__(self) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")().decode
        self._scan = json.JSONDecoder().raw_decode
        self._parts: list[str] = []
        self._size = 0

    def feed(self, data: bytes) -> list[Any]:
        """Give the values that `data` completes.

        A value cut in the middle is kept, and so is text that never becomes JSON: ovsdb-server sends none.
        """
        text = self._decode(data)
        self._parts.append(text)
        self._size += len(text)
        # A dump of megabytes comes in hundreds of pieces; scanning it anew for each would take quadratic time.
        if self._size > self.EAGER and not text.endswith("}"):
            return []
        text = "".join(self._parts)
        values, position = [], 0
        try:
            while position < len(text):
                value, position = self._scan(text, position)
                values.append(value)
        except json.JSONDecodeError:
            pass  # the rest is still on its way
        self._parts = [text[position:]]
        self._size = len(self._parts[0])
        return values


class EventFile:
    """Append events to a file, one JSON line each, seen by readers at once."""

    def __init__(self, path: Path, **always: str) -> None:
        self._file: TextIO = path.open("a", encoding="utf-8")
        self._always = always

    def write(self, event: str, **fields: object) -> None:
        """Record `event` at this moment of the monotonic clock."""
        line = {"t": time.monotonic(), "event": event, **self._always, **fields}
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()


@dataclass(frozen=True)
class Reply:
    """The answer to a request (RFC 7047, section 4): `error` is None when the request itself was accepted."""

    result: Any
    error: Any

    def refusal(self) -> str | None:
        """Return why a transaction was not committed, in the server's words, or None when it was."""
        if self.error is not None:
            return json.dumps(self.error)
        for operation in self.result:
            if operation is not None and "error" in operation:
                return f"{operation['error']}: {operation.get('details', '')}"
        return None


class Owner(Protocol):
    """Who uses a Session; every method is called from the event loop."""

    def connected(self, session: Session) -> None:
        """The session can be used (with TLS: after the handshake)."""

    def heard(self, session: Session) -> None:
        """Some bytes came; called after they were handled."""

    def echoed(self, session: Session) -> None:
        """The server answered one of our echoes."""

    def updated(self, session: Session, tables: Tables) -> None:
        """A monitored table changed."""

    def lost(self, session: Session, how: str) -> None:
        """The session is over: fin, reset, timeout, or the word given to `abort`."""


def how_lost(exc: Exception | None) -> str:
    """Name the way in which a connection ended: fin, timeout or reset."""
    if exc is None or type(exc).__name__ == "SSLEOFError":  # a killed server sends FIN without TLS's close_notify
        return "fin"
    if isinstance(exc, OSError) and exc.errno in (errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH):
        return "timeout"
    return "reset"


class Session(asyncio.Protocol):
    """One OVSDB session seen from the client: answers echoes, and matches replies with requests."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._stream = JsonStream()
        self._ids = itertools.count()
        self._waiting: dict[int, Callable[[Reply], None]] = {}
        self._transport: asyncio.Transport | None = None
        self._verdict: str | None = None
        self.since = self.last_heard = time.monotonic()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin (asyncio.Protocol)."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.since = self.last_heard = time.monotonic()
        self._owner.connected(self)

    def data_received(self, data: bytes) -> None:
        """Handle the messages that `data` completes (asyncio.Protocol)."""
        self.last_heard = time.monotonic()
        for message in self._stream.feed(data):
            self._message(message)
        self._owner.heard(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """End (asyncio.Protocol)."""
        self._transport = None
        self._owner.lost(self, self._verdict or how_lost(exc))

    def request(self, method: str, params: Sequence[Any], answer: Callable[[Reply], None]) -> None:
        """Send a request; `answer` gets its reply, and is never called when the session is lost before."""
        number = next(self._ids)
        self._waiting[number] = answer
        self._send({"method": method, "params": params, "id": number})

    def transact(self, operations: Sequence[Mapping[str, Any]], answer: Callable[[Reply], None]) -> None:
        """Ask for a transaction in hardware_vtep (RFC 7047, section 4.1.3)."""
        self.request("transact", [DATABASE, *operations], answer)

    def monitor(self, answer: Callable[[Reply], None], once: Sequence[str] = ()) -> None:
        """Ask for the content of TABLES and, but for the tables named in `once`, for every later change."""
        first = {"select": {"initial": True, "insert": False, "delete": False, "modify": False}}
        wanted = {table: [first if table in once else {}] for table in TABLES}
        self.request("monitor", [DATABASE, None, wanted], answer)

    def echo(self) -> None:
        """Ask for a sign of life; the owner's `echoed` is called when it comes."""
        self._send({"method": "echo", "params": [], "id": "echo"})

    def abort(self, verdict: str) -> None:
        """Close at once, without waiting for what is unsent; the owner's `lost` gets `verdict`."""
        if self._transport is not None:
            self._verdict = verdict
            self._transport.abort()

    def _send(self, message: Mapping[str, Any]) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(json.dumps(message).encode())

    def _message(self, message: Mapping[str, Any]) -> None:
        method = message.get("method")
        if method == "echo":
            self._send({"id": message["id"], "result": message["params"], "error": None})
        elif method == "update":
            self._owner.updated(self, message["params"][1])
        elif message["id"] == "echo":
            self._owner.echoed(self)
        elif method is None:
            self._waiting.pop(message["id"])(Reply(message["result"], message["error"]))


def find_locator(session: Session, address: str, answer: Callable[[str | None], None]) -> None:
    """Look for the Physical_Locator of `address`; `answer` gets its uuid, or None when there is none yet."""
    where = [["encapsulation_type", "==", ENCAPSULATION], ["dst_ip", "==", address]]
    select = {"op": "select", "table": "Physical_Locator", "where": where, "columns": ["_uuid"]}

    def found(reply: Reply) -> None:
        rows = reply.result[0]["rows"] if reply.refusal() is None else []
        answer(rows[0]["_uuid"][1] if rows else None)

    session.transact([select], found)


def insert_mac(table: str, mac: str, switch: str, locator: str | None, address: str) -> list[dict[str, Any]]:
    """Give the operations that insert one row of a Ucast_Macs table, the last one for the row itself.

    With `locator` None its Physical_Locator is inserted in front.  The two must share a transaction: the schema has
    Physical_Locator as a non-root table, so that one nobody refers to vanishes at the commit.
    """
    row = {"MAC": mac, "logical_switch": ["uuid", switch], "ipaddr": ""}
    if locator is not None:
        return [{"op": "insert", "table": table, "row": row | {"locator": ["uuid", locator]}}]
    place = {"encapsulation_type": ENCAPSULATION, "dst_ip": address}
    return [
        {"op": "insert", "table": "Physical_Locator", "uuid-name": "place", "row": place},
        {"op": "insert", "table": table, "row": row | {"locator": ["named-uuid", "place"]}},
    ]


def grown(rows: Mapping[str, Mapping[str, Any]]) -> int:
    """Return by how many rows one update makes a table grow, negative when it shrinks."""
    return sum(("new" in row) - ("old" in row) for row in rows.values())


def next_backoff(backoff: float, least: float, most: float) -> float:
    """Return the seconds to wait after one more failure: `least` at first, then doubling up to `most`."""
    return min(max(least, 2 * backoff), most)


def mac_of(kind: int, number: int) -> str:
    """Return the locally administered MAC 06:`kind`:... that carries `number` in its last four bytes."""
    return ":".join(f"{byte:02x}" for byte in (6, kind, *number.to_bytes(4, "big")))


def endpoint(text: str) -> tuple[str, int]:
    """Read "tcp:ADDRESS:PORT" or "ADDRESS:PORT"; an IPv6 address stands in brackets.  Raises ValueError."""
    host, _, port = text.removeprefix("tcp:").rpartition(":")
    return host.strip("[]"), int(port)


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


async def until_told(work: Coroutine[Any, Any, None]) -> None:
    """Run `work` until it ends or this process gets SIGTERM or SIGINT."""
    task = asyncio.ensure_future(work)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()


async def main() -> None:
    """Be a VTEP daemon until told to stop."""
    args = arguments()
    events = EventFile(args.events, name=args.name)
    events.write("started", server=":".join(map(str, args.server)))
    await until_told(Daemon(args, events).run())
    events.write("summary", cpu=time.process_time())


if __name__ == "__main__":
    asyncio.run(main())
