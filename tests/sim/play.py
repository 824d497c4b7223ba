"""Play schedules of faults to a simulated pair, and see it come to order when they have ended."""

from __future__ import annotations

import random

from tests.sim.faults import BY_HAND, FAULTS
from tests.sim.pair import Pair, started, wait_for

Schedule = list[tuple[str, float]]

PAUSES = (0.0, 0.01, 0.05, 0.2, 0.5, 1.0, 3.0)
LATENCIES, COPY_TIMES, PREFERENCES = (0.005, 0.02, 0.3), (0.02, 0.1, 1.0), ("sw1", "clag")
RECOVERY = 40.0  # seconds in which everything is as it should be when faults have ended


def play(pair: Pair, schedule: Schedule) -> None:
    """Let the faults happen, each followed by its pause."""
    for name, pause in schedule:
        pair.note(f"*** {name}")
        FAULTS[name](pair)
        pair.run(pause)


def in_order(pair: Pair) -> bool:
    """Tell whether the side that should serve does: the operator's choice, or else the original primary."""
    stamps = [host.server.data.true_stamp for host in pair.hosts.values()]
    chosen = [stamp.node for stamp in stamps if stamp is not None and stamp.chosen]
    return any(pair.settled(node) for node in ("sw1", *chosen))


def decide(pair: Pair) -> None:
    """Be the operator: where a side waits for a decision, keep the data that have the most writes."""
    waiting = [host for host in pair.hosts.values() if host.agent and host.agent.waits_for_decision]
    if waiting and pair.kept is None:
        keep = max(pair.hosts.values(), key=lambda host: (len(host.server.data.rows), not host.server.half)).node
        answer = pair.resolve(keep)
        pair.note(f"*** the operator keeps {keep}{': ' + answer if answer else ''}")


def recover(pair: Pair) -> None:
    """End all faults, and see the pair come to order and stay there.

    Where files were changed behind the agents' backs, an operator helps once.
    """
    pair.note("*** all faults end")
    pair.heal_all()
    def help_out() -> None:
        for node, host in pair.hosts.items():
            if host.upgrade is not None:
                pair.upgrade_finish(node)
        if helped:
            decide(pair)

    helped = any(host.files_changed or host.server.unproven for host in pair.hosts.values())
    for _ in range(2):
        wait_for(pair, lambda: in_order(pair), RECOVERY, help_out)
        pair.run(3.0)
    if not in_order(pair):
        pair.broken("of rest: the pair does not stay in order")


def rows(pair: Pair) -> set[int]:
    """Return the writes that the serving side holds."""
    (node,) = pair.serving()
    return set(pair.hosts[node].server.data.rows)


def by_chance(seed: int, names: list[str] | None = None) -> tuple[Pair, Schedule]:
    """Return a started pair and a schedule of faults that the seed names."""
    chance = random.Random(seed)
    pair = started(
        seed,
        preferred=chance.choice(PREFERENCES),
        copy_time=chance.choice(COPY_TIMES),
        latency=chance.choice(LATENCIES),
    )
    names = [name for name in names or sorted(FAULTS) if not any(word in name for word in BY_HAND)]
    return pair, [(chance.choice(names), chance.choice(PAUSES)) for _ in range(chance.randint(1, 12))]
