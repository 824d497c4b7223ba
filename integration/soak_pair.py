"""A pair that is soaked: a lab with a writer, two VTEP daemons and two readers, and what becomes of each round."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Self

import history
import soak_check
from demo_live import Tail
from growing import Growing
from history import Ack
from lab import Lab
from nsx_switch import REMOTE
from service import Service
from session import mac_of
from settings import VIP, VIP_PORT
from soak_check import Evidence
from soak_faults import Round
from soak_hand import Hand
from soak_kept import SetAside
from story import QUICK, in_sync, settled
from switch import HERE, Switch

RATE = 50.0
ORDER = 60.0
"""Seconds in which the pair must come to order when all blows have ended."""
KEEPING = 60.0
"""Seconds in which what a failover left behind must be found in a ledger."""
TRACEBACK = "Traceback (most recent call last)"

# The service is to be given back in every round, and not only so many times an hour.
CONFIGURATION: Mapping[str, Any] = {**QUICK, "link_cut": {"hold": 1.0}, "damping": {"moves": 1000}}


@dataclass(frozen=True)
class Outcome:
    """What became of a round; times are in seconds.

    `clock` is the wall clock's, as in the agents' logs: when the round began.  `order` is how long the pair took to
    come to order after the last blow, `outage` the longest time without an acknowledgement.  `kept` counts the
    acknowledged rows of this round that are only in a ledger, `lost` those that are nowhere.
    `broken` has a sentence for each law that did not hold.
    """

    round: Round
    clock: str
    order: float
    serves: str
    outage: float
    moves: int
    acked: int
    kept: int
    lost: int
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
            self._aside = SetAside(self.lab)
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
        return self._controller.acks()

    def do(self, round_: Round) -> Outcome:
        """Deal the blows, wait for order, and hold the laws."""
        before = len(self.acks)
        clock, begun = time.strftime("%H:%M:%S"), time.monotonic()
        self._hand.deal(round_.blows, begun)
        dealt = time.monotonic()
        broken = self._hand.bad_answers()
        kept, lost, serving = 0, 0, "nobody"
        try:
            serving = self._await_order().node
        except AssertionError as error:
            broken.append(f"the pair did not come to order: {error}")
        ordered = time.monotonic()
        broken += self._complaints()
        if serving != "nobody":
            evidence = self._evidence(round_, begun, dealt, bool(broken))
            broken += soak_check.broken(evidence)
            away = {ack.mac for ack in soak_check.missing(evidence)}
            self._lost |= away
            kept = len(away.intersection(evidence.kept))
            lost = len(away) - kept
        return Outcome(
            round_,
            clock,
            order=ordered - dealt,
            serves=serving,
            outage=soak_check.worst_outage(self.acks, begun, ordered),
            moves=soak_check.moves(self.acks[max(0, before - 1) :]),
            acked=len(self.acks) - before,
            kept=kept,
            lost=lost,
            broken=tuple(broken),
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

    def _evidence(self, round_: Round, begun: float, dealt: float, hasty: bool) -> Evidence:
        """Gather it, and again until the laws hold: a restore may be moving the service, a ledger being written.

        What is lost stays lost, however often it is looked for.
        """
        since, self._judged = self._judged, time.monotonic()
        gone = frozenset(
            row
            for _, record in self._readers
            for event in record.events()
            if event.kind == "gone" and event.t >= since
            for row in event.fields["rows"]
        )
        deadline = time.monotonic() + KEEPING
        while True:
            acks = tuple(self.acks)  # before the rows: what is acknowledged later need not be there
            found = self._rows()
            wanted = {ack.mac for ack in history.missing(acks, found)} | {mac_of(REMOTE, row) for row in gone}
            wanted -= self._lost | found
            evidence = Evidence(
                planned=round_.planned,
                acks=acks,
                controller=self._controller.events(),
                found=found,
                kept=self._aside.macs() if wanted else (),
                lost=frozenset(self._lost),
                gone=gone,
                since=since,
                deaf=soak_check.deaf(round_.blows, begun, dealt),
            )
            if not soak_check.broken(evidence) or hasty or time.monotonic() > deadline:
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

    def _complaints(self) -> list[str]:
        """Return what needs no judging: programs that ended by themselves, tracebacks."""
        self._hand.look()
        found = [*self._hand.ended]
        self._hand.ended.clear()
        for node, tail in self._logs.items():
            if any(TRACEBACK in line for line in tail.lines()):
                found.append(f"the agent of {node} logged a traceback")
        return found


def _read_since(record: Growing, t: float) -> bool:
    return any(event.kind == "read" and event.t > t for event in record.events()[-5:])
