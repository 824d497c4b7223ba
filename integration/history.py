"""Say what the controller and the VTEP daemons went through, from the events that nsx.py and vtepd.py recorded.

Pure functions over lists of events; only `read` touches a file.  All times are seconds of time.monotonic(), the clock
of every process of the machine, so that the moment of a fault taken by a test can be compared with them.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Event:
    """One line of an events file: when, what, and the fields that belong to it."""

    t: float
    kind: str
    fields: Mapping[str, Any]


@dataclass(frozen=True)
class Ack:
    """A row that the controller holds to be written; `late` when a newer session had begun by then."""

    t: float
    row: int
    mac: str
    switch: str
    session: int
    late: bool


@dataclass(frozen=True)
class ControllerOutage:
    """What a fault meant for the controller.

    `last_ack` is the last acknowledgement of the service before the interruption, `first_ack` the first one after it,
    `accepted` when the first connection after the fault came.  None: there was none in the time looked at.
    """

    fault: float
    last_ack: Ack | None
    accepted: float | None
    first_ack: Ack | None

    @property
    def silence(self) -> float | None:
        """Seconds without an acknowledgement; None when writing did not go on, or had not begun."""
        if self.last_ack is None or self.first_ack is None:
            return None
        return self.first_ack.t - self.last_ack.t

    @property
    def to_accepted(self) -> float | None:
        """Seconds from the fault until a switch connected; None when none did."""
        return None if self.accepted is None else self.accepted - self.fault

    @property
    def to_first_ack(self) -> float | None:
        """Seconds from the fault until a row was acknowledged again; None when none was."""
        return None if self.first_ack is None else self.first_ack.t - self.fault


@dataclass(frozen=True)
class VtepOutage:
    """A lost session of a VTEP daemon: how it ended, when the last word came, and when the next dump was complete."""

    name: str
    how: str
    heard: float
    lost: float
    connected: float | None
    dumped: float | None

    @property
    def seconds(self) -> float | None:
        """Seconds from the last word to the next full dump; None when there has been none."""
        return None if self.dumped is None else self.dumped - self.heard


@dataclass(frozen=True)
class Overlap:
    """A stretch of time in which two switches were in live sessions with the controller at once."""

    since: float
    until: float
    switches: tuple[str, ...]


def parse(lines: Iterable[str]) -> list[Event]:
    """Return the events of `lines`, in order.

    A last line without its end is left out: its writer was killed, or is still writing.  Raises ValueError for any
    other line that is not an event, which is the writer's fault.
    """
    events = []
    for line in lines:
        if not line.endswith("\n"):
            break
        fields = json.loads(line)
        if not isinstance(fields, dict) or not {"t", "event"} <= fields.keys():
            raise ValueError(f"not an event: {line!r}")
        events.append(Event(fields.pop("t"), fields.pop("event"), fields))
    return events


def read(path: Path) -> list[Event]:
    """Return the events recorded in a file so far; none when it is not there yet."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8") as lines:
        return parse(lines)


def acks(events: Iterable[Event]) -> list[Ack]:
    """Return every acknowledgement, in the order in which they came."""
    return [
        Ack(e.t, e.fields["row"], e.fields["mac"], e.fields["switch"], e.fields["session"], e.fields["late"])
        for e in events
        if e.kind == "acked"
    ]


def missing(acknowledged: Iterable[Ack], found: Collection[str]) -> list[Ack]:
    """Return the acknowledged rows whose MAC is not among those found in the database: writes that were lost.

    A row acknowledged twice is named once, by its first acknowledgement.
    """
    present = frozenset(found)
    lost: dict[int, Ack] = {}
    for ack in acknowledged:
        if ack.mac not in present:
            lost.setdefault(ack.row, ack)
    return list(lost.values())


def controller_outage(events: Sequence[Event], fault: float, until: float | None = None) -> ControllerOutage:
    """Return what the fault at `fault` meant for the controller, by what was recorded up to `until` (None: all).

    A few acknowledgements may still come after the fault: they were on their way.  So the interruption is where
    writing first went over to another session, and with no other session where the acknowledgements paused longest.
    Late acknowledgements are none of the service: they come from a session that had been replaced.
    """
    seen = [event for event in events if until is None or event.t <= until]
    service = [ack for ack in acks(seen) if not ack.late]
    accepted = next((e.t for e in seen if e.kind == "accepted" and e.t > fault), None)
    after = [(a, b) for a, b in pairwise(service) if b.t > fault]
    moved = [(a, b) for a, b in after if a.session != b.session]
    last_ack: Ack | None = service[-1] if service else None
    first_ack: Ack | None = None
    if service and service[0].t > fault:
        last_ack, first_ack = None, service[0]
    elif moved:
        last_ack, first_ack = moved[0]
    elif after:
        longest = max(after, key=lambda pair: pair[1].t - pair[0].t)
        # If the silence since the last one is longer still, writing has not gone on.
        if longest[1].t - longest[0].t >= seen[-1].t - service[-1].t:
            last_ack, first_ack = longest
    return ControllerOutage(fault, last_ack, accepted, first_ack)


def vtep_outages(events: Sequence[Event]) -> list[VtepOutage]:
    """Return every session that a VTEP daemon lost, and what came next.

    A session lost before its dump was complete is part of the outage that had begun before it.
    """
    outages: list[VtepOutage] = []
    for position, event in enumerate(events):
        if event.kind != "lost" or (outages and (outages[-1].dumped is None or outages[-1].dumped > event.t)):
            continue
        later = events[position + 1 :]
        dumped = next((e.t for e in later if e.kind == "dumped"), None)
        connections = [e.t for e in later if e.kind == "connected" and (dumped is None or e.t <= dumped)]
        connected = connections[-1] if connections else None
        f = event.fields
        outages.append(VtepOutage(f["name"], f["how"], f["heard"], event.t, connected, dumped))
    return outages


def vtep_outage(events: Sequence[Event], fault: float) -> VtepOutage | None:
    """Return the first outage of a VTEP daemon that was noticed after the fault; None when it noticed nothing."""
    return next((outage for outage in vtep_outages(events) if outage.lost >= fault), None)


def overlaps(events: Sequence[Event]) -> list[Overlap]:
    """Return when two switches were in live sessions at once.

    One that had begun when the record breaks off lasts until the last event: the controller was killed.
    """
    found: list[Overlap] = []
    begun: Event | None = None
    for event in events:
        if event.kind == "overlap-began":
            begun = event
        elif event.kind == "overlap":
            begun = None
            found.append(Overlap(event.fields["from"], event.fields["until"], tuple(event.fields["switches"])))
    if begun is not None:
        found.append(Overlap(begun.t, events[-1].t, tuple(begun.fields["switches"])))
    return found


def seconds_with_two(events: Sequence[Event], since: float = 0.0) -> float:
    """Return for how many seconds, from `since` on, two switches were in live sessions with the controller at once."""
    return sum(max(0.0, overlap.until - max(since, overlap.since)) for overlap in overlaps(events))
