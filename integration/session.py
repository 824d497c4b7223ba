"""What the stand-ins for the controller and for the VTEP daemon share: an OVSDB session, and the record of events.

A session is an asyncio.Protocol that answers echoes and matches replies with requests (RFC 7047, section 4).
"""

from __future__ import annotations

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


def mac_of(kind: int, number: int) -> str:
    """Return the locally administered MAC 06:`kind`:... that carries `number` in its last four bytes."""
    return ":".join(f"{byte:02x}" for byte in (6, kind, *number.to_bytes(4, "big")))


def endpoint(text: str) -> tuple[str, int]:
    """Read "tcp:ADDRESS:PORT" or "ADDRESS:PORT"; an IPv6 address stands in brackets.  Raises ValueError."""
    host, _, port = text.removeprefix("tcp:").rpartition(":")
    return host.strip("[]"), int(port)


async def until_told(work: Coroutine[Any, Any, None]) -> None:
    """Run `work` until it ends or this process gets SIGTERM or SIGINT."""
    task = asyncio.ensure_future(work)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()
