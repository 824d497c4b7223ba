"""A pair that is soaked: a lab with a writer, two VTEP daemons and two readers, and what becomes of each round."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import history
import soak_check
from demo_live import Tail
from history import Ack, Event
from lab import Lab
from nsx_switch import REMOTE
from rpc import Refused
from service import Service
from session import mac_of
from settings import VIP, VIP_PORT
from soak_check import Evidence
from soak_faults import Round
from soak_hand import Hand
from story import QUICK, in_sync, kept, settled
from switch import HERE, Switch

RATE = 50.0
ORDER = 60.0
"""Seconds in which the pair must come to order when all blows have ended."""
KEEPING = 20.0
"""Seconds in which what a failover left behind must be found in a ledger."""
TRACEBACK = "Traceback (most recent call last)"

CONFIGURATION: Mapping[str, Any] = {**QUICK, "link_cut": {"hold": 1.0}}


class Growing:
    """The events of a file that is being written, each line read once."""

    def __init__(self, path: Path) -> None:
        self._tail = Tail(path)
        self._events: list[Event] = []

    def read(self) -> list[Event]:
        """Return all events so far."""
        self._events += history.parse(self._tail.lines())
        return self._events


@dataclass(frozen=True)
class Outcome:
    """What became of a round; times are in seconds.

    `order` is how long the pair took to come to order after the last blow, `outage` the longest time without an
    acknowledgement.  `kept` counts the acknowledged rows of this round that are only in a ledger.  `broken` has a
    sentence for each law that did not hold.
    """

    round: Round
    order: float
    serves: str
    outage: float
    moves: int
    acked: int
    kept: int
    broken: tuple[str, ...]


class Pair:
    """A running pair; leaving the block removes it."""

    def __init__(self, rate: float = RATE) -> None:
        self._rate = rate
        self._stack = ExitStack()
        self._lost: set[str] = set()
        self._judged = 0.0

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.lab = stack.enter_context(Lab(overrides=CONFIGURATION))
            pool = stack.enter_context(ThreadPoolExecutor(2))
            self._hand = Hand(self.lab, self._rate, pool)
            self._controller = Growing(self.lab.controller_events_file)
            self._readers = [self._reader(switch) for switch in self.lab.switches]
            for service, _ in self._readers:
                stack.callback(service.kill)
            self._logs = {switch.node: Tail(switch.agent.log) for switch in self.lab.switches}
            self.lab.start_controller(rate=self._rate)
            self.lab.start(vtepds=True)
            for service, _ in self._readers:
                service.start()
            self._await_order()
            self._judged = time.monotonic()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _reader(self, switch: Switch) -> tuple[Service, Growing]:
        record = switch.directory / "reader.events"
        command = [*self.lab.network.entering(switch.node), sys.executable, str(HERE / "soak_reader.py")]
        command += ["--server", f"tcp:{VIP}:{VIP_PORT}", "--events", str(record)]
        name = f"the reader on {switch.node}"
        return Service(name, lambda: command, switch.directory / "reader.log", {}, record.exists), Growing(record)

    # -- a round -------------------------------------------------------------------------------------------------

    @property
    def acks(self) -> list[Ack]:
        """Every acknowledgement the controller has had so far."""
        return history.acks(self._controller.read())

    def do(self, round_: Round) -> Outcome:
        """Deal the blows, wait for order, and hold the laws."""
        before = self.acks
        begun = time.monotonic()
        self._hand.deal(round_.blows, begun)
        dealt = time.monotonic()
        complaints = self._hand.bad_answers()
        try:
            serving = self._await_order()
        except AssertionError as error:
            failed = f"the pair did not come to order: {error}"
            return self._outcome(round_, begun, dealt, None, before, 0, (failed, *complaints, *self._complaints()))
        evidence = self._evidence(round_, begun, dealt, (*complaints, *self._complaints()))
        here = {ack.mac for ack in soak_check.missing(evidence)}
        self._lost |= here
        broken = tuple(soak_check.broken(evidence))
        return self._outcome(round_, begun, dealt, serving, before, len(here), broken)

    def _outcome(
        self,
        round_: Round,
        begun: float,
        dealt: float,
        serving: Switch | None,
        before: list[Ack],
        kept: int,
        broken: tuple[str, ...],
    ) -> Outcome:
        acks, now = self.acks, time.monotonic()
        return Outcome(
            round_,
            order=now - dealt,
            serves="nobody" if serving is None else serving.node,
            outage=soak_check.worst_outage(acks, begun, now),
            moves=soak_check.moves(acks[max(0, len(before) - 1) :]),
            acked=len(acks) - len(before),
            kept=kept,
            broken=broken,
        )

    def _await_order(self) -> Switch:
        """Return the side that serves, when the other one is its copy and writing and reading go on."""
        found: list[Switch] = []

        def order() -> bool:
            found[:] = [switch for switch in self.lab.switches if settled(self.lab, switch)]
            return bool(found) and in_sync(self.lab)

        self.lab.wait_until(order, ORDER, "one side serves and the other is its copy")
        begun = time.monotonic()
        self.lab.wait_until(lambda: self._acked_since(begun) >= 5, ORDER, "the controller writes")
        for service, record in self._readers:
            self.lab.wait_until(lambda r=record: _read_since(r, begun), ORDER, f"{service.name} reads")  # type: ignore[misc]
        return found[0]

    def _acked_since(self, t: float) -> int:
        return sum(ack.t > t for ack in self.acks[-20:])

    # -- what is held against the laws ---------------------------------------------------------------------------

    def _evidence(self, round_: Round, begun: float, dealt: float, complaints: tuple[str, ...]) -> Evidence:
        """Gather it, and again until the laws hold: a restore may be moving the service, a ledger being written.

        What is lost stays lost, however often it is looked for.
        """
        since, self._judged = self._judged, time.monotonic()
        gone = frozenset(
            row
            for _, record in self._readers
            for event in record.read()
            if event.kind == "gone" and event.t >= since
            for row in event.fields["rows"]
        )
        deadline = time.monotonic() + KEEPING
        while True:
            acks = self.acks  # before the rows: what is acknowledged later need not be there
            found = self._rows()
            wanted = {ack.mac for ack in history.missing(acks, found)} | {mac_of(REMOTE, row) for row in gone}
            wanted -= self._lost | found
            evidence = Evidence(
                planned=round_.planned,
                acks=acks,
                controller=self._controller.read(),
                found=found,
                kept=set_aside(self.lab) if wanted else (),
                lost=frozenset(self._lost),
                gone=gone,
                since=since,
                deaf=soak_check.deaf(round_.blows, begun, dealt),
                complaints=complaints,
            )
            if not soak_check.broken(evidence) or complaints or time.monotonic() > deadline:
                return evidence
            time.sleep(0.2)

    def _rows(self) -> frozenset[str]:
        """Return what is in the database of the side that serves, as soon as one does."""
        found: list[frozenset[str]] = []

        def rows() -> bool:
            found[:] = [switch.rows() for switch in self.lab.actives()]
            return len(found) == 1

        self.lab.wait_until(rows, ORDER, "one server is active")
        return found[0]

    def _complaints(self) -> tuple[str, ...]:
        """Return what needs no judging: programs that ended by themselves, tracebacks."""
        self._hand.look()
        found = [*self._hand.ended]
        self._hand.ended.clear()
        for node, tail in self._logs.items():
            if any(TRACEBACK in line for line in tail.lines()):
                found.append(f"the agent of {node} logged a traceback")
        return tuple(found)


def _read_since(record: Growing, t: float) -> bool:
    return any(event.kind == "read" and event.t > t for event in record.read()[-5:])


def set_aside(lab: Lab) -> Collection[str]:
    """Return the MACs in the ledgers and the snapshots of both switches."""
    found: set[str] = set()
    for switch in lab.switches:
        for path in (switch.directory / "state" / "ledgers").glob("*.json"):
            entries = json.loads(path.read_text(encoding="utf-8")).get("entries", ())
            found |= {entry["row"]["MAC"] for entry in entries if entry["table"] == "Ucast_Macs_Remote"}
        try:
            found |= kept(switch)
        except (json.JSONDecodeError, Refused):
            continue  # a snapshot was removed meanwhile
    return found
