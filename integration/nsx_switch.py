"""One switch as the stand-in for the controller sees it: its dump, its locator, and the rows not answered yet."""

from __future__ import annotations

import functools
import time
from typing import Protocol

from session import Reply, Session, Tables, find_locator, grown, insert_mac, mac_of

REMOTE = 0x6E
"""The second byte of the MACs of Ucast_Macs_Remote; the row's number stands in the last four."""


class Writer(Protocol):
    """Who writes to a Switch, and hears what becomes of it; every method is called from the event loop."""

    logical_switch: str | None
    """The logical switch to write to; None: the first by name."""
    tunnel_ip: str
    """The address of the locator of the rows written."""

    def connected(self, switch: Switch) -> None:
        """The session can be used."""

    def dumped(self, switch: Switch) -> None:
        """The session has sent its database."""

    def echoed(self, switch: Switch) -> None:
        """The session answered an echo."""

    def answered(self, switch: Switch, row: int, attempt: int, refusal: str | None) -> None:
        """A row was written, or refused for the reason given."""

    def pump(self) -> None:
        """There may be room for a row now."""

    def lost(self, switch: Switch, how: str) -> None:
        """The session is over."""


class Switch:
    """One session with a switch: its dump, what is needed to write to it, and the rows not answered yet."""

    def __init__(self, writer: Writer, number: int, address: str) -> None:
        self._writer = writer
        self._name = writer.logical_switch
        self._session: Session | None = None
        self._logical: dict[str, str] = {}
        self._locator: str | None = None
        self._located = False
        self.number = number
        self.address = address
        self.answered = time.monotonic()
        self.rows: int | None = None
        self.outstanding: set[int] = set()

    @property
    def silence(self) -> float:
        """Seconds since the last answer to an echo, at this moment."""
        return time.monotonic() - self.answered

    @property
    def lived(self) -> float:
        """Seconds since the session could be used; 0 when it never could."""
        return time.monotonic() - self._session.since if self._session else 0.0

    @property
    def usable(self) -> bool:
        """The session can carry requests."""
        return self._session is not None

    def room(self, window: int) -> int:
        """Return how many rows may be written now, when `window` may be without answer at a time."""
        if not self._located or self._target() is None:
            return 0
        # The first row brings the locator, and the others have to know its uuid.
        return (1 if self._locator is None else window) - len(self.outstanding)

    def write(self, row: int, attempt: int) -> None:
        """Insert row number `row`, for the `attempt`th time; the writer hears what became of it."""
        session, target = self._session, self._target()
        assert session is not None
        assert target is not None
        self.outstanding.add(row)
        place = self._writer.tunnel_ip
        operations = insert_mac("Ucast_Macs_Remote", mac_of(REMOTE, row), target, self._locator, place)
        session.transact(operations, functools.partial(self._answer, row, attempt, len(operations) > 1))

    def echo(self) -> None:
        """Send an echo, if there is a session to carry it."""
        if self._session is not None:
            self._session.echo()

    def abort(self, why: str) -> None:
        """Close the session at once."""
        if self._session is not None:
            self._session.abort(why)

    def connected(self, session: Session) -> None:
        """Ask for the dump and for the first sign of life."""
        self._session = session
        self.answered = time.monotonic()
        session.echo()
        # Nobody else writes Ucast_Macs_Remote: hearing of each own row again would only cost time.
        session.monitor(self._dump, once=("Ucast_Macs_Remote",))
        self._writer.connected(self)

    def heard(self, session: Session) -> None:
        """Do nothing: only an answered echo makes a session live."""

    def echoed(self, session: Session) -> None:
        """The session is live from now on."""
        self.answered = time.monotonic()
        self._writer.echoed(self)

    def updated(self, session: Session, tables: Tables) -> None:
        """Keep the logical switches by their names."""
        for uuid, row in tables.get("Logical_Switch", {}).items():
            self._logical.pop(uuid, None)
            if "new" in row:
                self._logical[uuid] = row["new"]["name"]

    def lost(self, session: Session, how: str) -> None:
        """Tell the writer."""
        self._writer.lost(self, how)

    def _dump(self, reply: Reply) -> None:
        assert self._session is not None
        if reply.error is not None:
            self._session.abort("refused")
            return
        self.updated(self._session, reply.result)
        self.rows = grown(reply.result.get("Ucast_Macs_Remote", {}))
        self._writer.dumped(self)
        self._find()

    def _find(self) -> None:
        """Look for the locator; nothing is written before the answer."""
        assert self._session is not None
        self._located = False
        find_locator(self._session, self._writer.tunnel_ip, self._found)

    def _found(self, locator: str | None) -> None:
        self._locator, self._located = locator, True
        self._writer.pump()

    def _answer(self, row: int, attempt: int, placed: bool, reply: Reply) -> None:
        refusal = reply.refusal()
        if refusal is None and placed:
            self._locator = reply.result[0]["uuid"][1]
        elif refusal is not None and self._located:
            self._find()  # what was known of this database may be wrong
        self._writer.answered(self, row, attempt, refusal)

    def _target(self) -> str | None:
        """Return the uuid of the logical switch to write to: the one named, or the first by name."""
        wanted = [(name, uuid) for uuid, name in self._logical.items() if self._name in (None, name)]
        return min(wanted)[1] if wanted else None
