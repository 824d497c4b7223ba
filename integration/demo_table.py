"""Sum the demo up: a table of what each step cost, the writes that a failover lost, and the laws.

Pure functions of what was recorded.  Seconds throughout; moments are those of time.monotonic().
"""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import history
from demo_words import NODES, Heard
from topology import SWITCHES

WIDTH = 100
LAST_MOMENT = 1.0
"""Rows acknowledged so shortly before a fault may not have been replicated yet."""
SETTLE = 1.0
"""Two sides that meet again while both serve have to settle it within this time."""

Kind = Literal["start", "quiet", "fault", "return", "move"]


@dataclass(frozen=True)
class Step:
    """A part of the story, from the moment of its fault or order until the next one begins.

    `before` and `after` serve; `died` is the switch whose server or power was taken; `dark` the one without power for
    the whole step; `vip` names the switches that had the VIP at the end.
    """

    title: str
    kind: Kind
    began: float
    ended: float
    before: str
    after: str
    vip: tuple[str, ...]
    died: str = ""
    dark: str = ""


@dataclass(frozen=True)
class Record:
    """What was recorded in the whole demo.

    `found` has the MACs in each switch's own database at the end, `kept` those in its snapshots; `both` the moments
    at which both servers were found open.
    """

    steps: Sequence[Step]
    controller: Sequence[history.Event]
    vtepds: Mapping[str, Sequence[history.Event]]
    heard: Sequence[Heard]
    both: Sequence[float]
    looks: int
    found: Mapping[str, Collection[str]]
    kept: Mapping[str, Collection[str]]
    differing: Sequence[str]


@dataclass(frozen=True)
class Law:
    """A law, and what broke it; "" when it held."""

    text: str
    broken: str


def lost(record: Record) -> list[history.Ack]:
    """Return the acknowledged writes that are not in both databases at the end."""
    found = frozenset.intersection(*(frozenset(macs) for macs in record.found.values()))
    return history.missing(history.acks(record.controller), found)


def exposed(step: Step, ack: history.Ack, steps: Sequence[Step]) -> bool:
    """Say whether a lost write is what asynchronous replication puts at risk in this fault.

    That is one which the side that died acknowledged by itself: just before its fault, or after it, until the two
    sides have heard each other again.
    """
    if step.kind != "fault" or NODES[ack.switch] != step.died:
        return False
    back = next((each.began for each in steps if each.kind == "return" and each.began > step.began), step.ended)
    return step.began - LAST_MOMENT <= ack.t <= back + SETTLE


# -- the table ---------------------------------------------------------------------------------------------------------

HEAD = (
    ("", "", "", "accepted", "no row", "VTEP", "VTEP", "rows", "", "two"),
    ("began", "step", "active", "after", "acked", "sw1", "sw2", "acked", "lost", "live"),
)


def table(record: Record) -> str:
    """Return the table, one line for each step."""
    gone = lost(record)
    begun = record.steps[0].began
    return "\n".join([*(_line(*cells) for cells in HEAD), *(_row(record, step, gone, begun) for step in record.steps)])


def _row(record: Record, step: Step, gone: Sequence[history.Ack], begun: float) -> str:
    active = step.after if step.before in ("", step.after) else f"{step.before} -> {step.after}"
    seen = [event for event in record.controller if event.t <= step.ended]
    acked = [ack for ack in history.acks(seen) if ack.t > step.began and not ack.late]
    cells = [_seconds(value) for value in (_accepted(step, seen), _silence(step, seen))]
    cells += [_vtep(step, node, record.vtepds[node]) for node in SWITCHES]
    here = sum(belongs(step, ack, record.steps) for ack in gone)
    two = history.seconds_with_two(seen, step.began)
    return _line(f"{step.began - begun:.1f}", step.title, active, *cells, f"{len(acked):,}", f"{here}", f"{two:.2f}")


def _line(began: str, step: str, active: str, *cells: str) -> str:
    *figures, acked, lost, two = cells
    return (
        f"{began:>6}  {step:<25} {active:<10}"
        + "".join(f"{each:>9}" for each in figures)
        + f"{acked:>9}{lost:>5}{two:>5}"
    )


def belongs(step: Step, ack: history.Ack, steps: Sequence[Step]) -> bool:
    """Say whether a lost write is counted for this step: for the fault that explains it, else for its time."""
    if any(exposed(each, ack, steps) for each in steps):
        return exposed(step, ack, steps)
    return step.began < ack.t <= step.ended


def _accepted(step: Step, seen: Sequence[history.Event]) -> float | None:
    outage = history.controller_outage(seen, step.began)
    if step.kind in ("start", "fault"):
        return outage.to_accepted
    if step.kind == "move" and outage.accepted is not None and outage.last_ack is not None:
        return outage.accepted - outage.last_ack.t
    return None


def _silence(step: Step, seen: Sequence[history.Event]) -> float | None:
    if step.kind in ("fault", "move"):
        return history.controller_outage(seen, step.began).silence
    times = [ack.t for ack in history.acks(seen) if ack.t > step.began and not ack.late]
    return max((b - a for a, b in pairwise(times)), default=None)


def _vtep(step: Step, node: str, events: Sequence[history.Event]) -> str:
    if node == step.dark:
        return "off"
    seen = [event for event in events if event.t <= step.ended]
    outage = history.vtep_outage(seen, step.began)
    if outage is None:
        return "-"
    if step.kind == "return" and outage.dumped is not None:
        return _seconds(outage.dumped - step.began)
    return "none" if outage.seconds is None else _seconds(outage.seconds)


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


LEGEND = (
    "All in seconds, but rows.  accepted after: from the start or the fault, and in a planned move from the last row"
    " acknowledged before it, until the controller accepted the new active side's connection.  no row acked: the"
    " longest time without an acknowledgement, in a move from the last row of the old side to the first of the new."
    "  VTEP: from the last word a VTEP daemon had until it had read the whole database again; for one whose switch was"
    " off, since power came back.  lost: acknowledged, and not in both databases at the end.  two live: the controller"
    " was in live sessions with both switches."
)


def legend() -> str:
    """Return what the columns mean."""
    return textwrap.fill(LEGEND, WIDTH)


# -- what a failover lost ----------------------------------------------------------------------------------------------


def losses(record: Record) -> Iterator[str]:
    """Name the writes that each failover lost, and say where they are kept."""
    gone = lost(record)
    for step in (each for each in record.steps if each.kind == "fault"):
        acks = [ack for ack in gone if exposed(step, ack, record.steps)]
        if not acks:
            yield f"{step.title}: no acknowledged write was lost."
            continue
        kept = sum(ack.mac in record.kept[step.died] for ack in acks)
        rows = ", ".join(f"{ack.row} ({ack.t - step.began:+.3f} s)" for ack in acks[:6])
        more = f" and {len(acks) - 6} more" if len(acks) > 6 else ""
        yield (
            f"{step.title}: {len(acks)} of the rows that {step.died} acknowledged never reached {step.after}. "
            f"Replication is asynchronous, and what a side acknowledges in its last milliseconds is at risk. "
            f"Row, and when it was acknowledged, from the fault: {rows}{more}. "
            f"{step.died}'s snapshots, taken before it followed {step.after}, keep {kept} of {len(acks)}."
        )


# -- the laws ----------------------------------------------------------------------------------------------------------


def laws(record: Record) -> list[Law]:
    """Hold what was recorded against the laws of the pair."""
    gone = lost(record)
    planned = [step for step in record.steps if step.kind == "move"]
    written = sum(len(_acked_in(record, step)) for step in planned)
    rows = len(next(iter(record.found.values())))
    at_risk = [(step, ack) for step in record.steps for ack in gone if exposed(step, ack, record.steps)]
    return [
        Law(
            f"two sides that heard each other never both served ({_looks(record)})",
            _both_served(record),
        ),
        Law(
            f"the {len(planned)} planned moves lost none of the {written:,} rows acknowledged during them",
            _named(ack for step in planned for ack in gone if belongs(step, ack, record.steps)),
        ),
        Law(
            "a failover lost nothing that the side which took over had acknowledged",
            _named(
                ack
                for ack in gone
                if all(ack is not each for _, each in at_risk)
                and not any(belongs(step, ack, record.steps) for step in planned)
            ),
        ),
        Law(
            f"what a failover loses is in a snapshot of the side that died ({_count(at_risk)} this time)",
            _named(ack for step, ack in at_risk if ack.mac not in record.kept[step.died]),
        ),
        Law("the VIP was on one side at the end of each step", "; ".join(_vips(record.steps))),
        Law(
            f"the original primary {SWITCHES[0]} was restored after each failover, and serves at the end",
            "" if record.steps[-1].after == SWITCHES[0] else f"{record.steps[-1].after} serves",
        ),
        Law(
            f"both databases are equal at the end, with {rows:,} rows of Ucast_Macs_Remote",
            f"they differ in {', '.join(record.differing)}" if record.differing else "",
        ),
    ]


def _acked_in(record: Record, step: Step) -> list[history.Ack]:
    return [ack for ack in history.acks(record.controller) if step.began < ack.t <= step.ended and not ack.late]


def _count(rows: Sequence[object]) -> str:
    return f"{len(rows) or 'no'} row{'' if len(rows) == 1 else 's'}"


def _looks(record: Record) -> str:
    """Say how often both servers were looked at, and that a switch came back in the belief that it was active."""
    seen = f"; both were open in {len(record.both)}, as one came back and the two met again" if record.both else ""
    return f"{record.looks:,} looks at both servers{seen}"


def _both_served(record: Record) -> str:
    since = record.steps[0].began
    for start, end in hearing(record.heard):
        for t in record.both:
            if start + SETTLE <= t <= end:
                return f"both servers were open {t - since:.3f} s after the beginning"
        for overlap in history.overlaps(record.controller):
            if max(start + SETTLE, overlap.since) < min(end, overlap.until):
                return f"both were in session with the controller {overlap.since - since:.3f} s after the beginning"
    return ""


def hearing(heard: Iterable[Heard]) -> list[tuple[float, float]]:
    """Return when each of the two agents said of the other that it is alive."""
    alive: dict[str, bool] = {}
    stretches: list[tuple[float, float]] = []
    since: float | None = None
    for each in sorted(heard, key=lambda each: each.t):
        alive[each.node] = each.alive
        both = len(alive) == len(SWITCHES) and all(alive.values())
        if both and since is None:
            since = each.t
        elif not both and since is not None:
            stretches.append((since, each.t))
            since = None
    return stretches if since is None else [*stretches, (since, float("inf"))]


def _named(acks: Iterable[history.Ack]) -> str:
    named = [f"row {ack.row} ({ack.mac}), acknowledged by {NODES[ack.switch]}" for ack in acks]
    more = f" and {len(named) - 5} more" if len(named) > 5 else ""
    return f"lost: {'; '.join(named[:5])}{more}" if named else ""


def _vips(steps: Sequence[Step]) -> Iterator[str]:
    for step in steps:
        if len(step.vip) != 1:
            yield f"{step.title}: it was on {' and '.join(step.vip) or 'no side'}"
