"""The laws of the pair, under any faults in any order.

The laws that are checked after every event are in simulation.py; a schedule that breaks
one is shrunk by hypothesis to the fewest faults.  OVSHA_EXAMPLES=20 searches for longer.
"""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from ovsha.core.facts import Stamp
from tests.conftest import TIMES
from tests.sim.faults import BY_HAND, FAULTS
from tests.sim.network import BACKUP, LINK, NODES
from tests.sim.pair import Pair, started, wait_for
from tests.sim.play import COPY_TIMES, LATENCIES, PAUSES, PREFERENCES, Schedule, play, recover, rows

SAFE = [name for name in sorted(FAULTS) if not any(word in name for word in BY_HAND)]

seeds = st.integers(0, 2**32)
pauses = st.sampled_from(PAUSES)
schedules = st.lists(st.tuples(st.sampled_from(SAFE), pauses), max_size=12)
preferences = st.sampled_from(PREFERENCES)
copy_times = st.sampled_from(COPY_TIMES)
lags = st.sampled_from([0.002, 0.02, 0.4])
latencies = st.sampled_from(LATENCIES)
examples = settings(max_examples=100 * TIMES)
fewer = settings(max_examples=30 * TIMES)


@examples
@given(seeds, schedules, preferences, copy_times, latencies)
def test_laws_hold_under_any_faults_and_the_right_side_serves_when_they_have_ended(
    seed: int, schedule: Schedule, preferred: str, copy_time: float, latency: float
) -> None:
    pair = started(seed, preferred=preferred, copy_time=copy_time, latency=latency)
    play(pair, schedule)
    recover(pair)


@examples
@given(seeds, st.permutations(NODES), pauses, schedules.map(lambda schedule: schedule[:5]))
def test_pair_that_is_disturbed_while_it_boots_comes_up(
    seed: int, order: list[str], pause: float, schedule: Schedule
) -> None:
    pair = Pair(seed)
    for node in order:
        pair.power_on(node)
        pair.run(pause)
    play(pair, schedule)
    recover(pair)


@fewer
@given(
    seeds, st.lists(st.tuples(st.sampled_from(NODES), pauses), max_size=8), latencies, lags, st.sampled_from([0.0, 0.2])
)
def test_planned_moves_lose_no_acknowledged_write(
    seed: int, moves: list[tuple[str, float]], latency: float, lag: float, loss: float
) -> None:
    pair = started(seed, latency=latency, loss=loss, lag=lag)
    for node, pause in moves:
        pair.switchover(node)
        pair.run(pause)
    recover(pair)
    assert pair.acknowledged <= rows(pair)


HARMLESS = [f"{node} {what}" for node in NODES for what in (
    "server stall", "agent kill", "agent start", "agent freeze", "agent thaw",
)] + ["backup-path cut", "backup-path heal", "clagd unknown unknown", "clagd primary secondary"]  # fmt: skip


def undisturbed(pair: Pair, act: Callable[[], None]) -> None:
    """Do something, and see that neither the service nor any database was touched."""
    before = pair.outline()
    pair.watched = lambda: pair.outline() == before or pair.broken("5, 6: the service was disturbed")
    act()
    pair.watched = None


@fewer
@given(seeds, st.lists(st.tuples(st.sampled_from(HARMLESS), pauses), max_size=12))
def test_neither_dead_agents_nor_busy_servers_move_anything(seed: int, schedule: Schedule) -> None:
    pair = started(seed)

    def disturb() -> None:
        play(pair, schedule)
        pair.heal_all()
        pair.run(3.0)

    undisturbed(pair, disturb)
    recover(pair)
    assert pair.acknowledged <= rows(pair)


@fewer
@given(seeds, st.lists(st.tuples(st.sampled_from([LINK, BACKUP]), pauses, pauses), max_size=5))
def test_one_path_is_enough_for_the_service_to_stay_where_it_is(
    seed: int, cuts: list[tuple[str, float, float]]
) -> None:
    pair = started(seed)
    for path, length, rest in cuts:
        pair.cut(path)
        pair.run(length)
        assert pair.serving() == ["sw1"]
        pair.heal(path)
        pair.run(rest + 0.5)
        assert pair.serving() == ["sw1"]
    recover(pair)
    assert pair.acknowledged <= rows(pair)


CLIENTS = ("client clears", "client sets back", "client claims", "client exaggerates")


@fewer
@given(
    seeds, st.lists(st.tuples(st.sampled_from([f"sw1 {what}" for what in (*CLIENTS, "agent kill", "agent start")]),
                              pauses), min_size=1, max_size=8), st.sampled_from(CLIENTS),
)  # fmt: skip
def test_clients_write_on_a_running_server_parks_nobody(seed: int, schedule: Schedule, last: str) -> None:
    pair = started(seed)

    def nobody_is_parked() -> None:
        if pair.serving() != ["sw1"] or any(host.agent and host.agent.waits_for_decision for host in hosts):
            pair.broken("10: a client's write has parked a side")

    hosts, pair.watched = list(pair.hosts.values()), nobody_is_parked
    play(pair, schedule)
    pair.heal_all()
    wait_for(pair, lambda: not hosts[0].server.data.overwritten, 2.0 * 60)
    assert hosts[0].server.data.true_stamp == Stamp(1, "sw1"), "it is of the same term"
    pair.watched = None
    FAULTS[f"sw1 {last}"](pair)
    pair.run(pair.clock.random.choice([0.05, 0.5]))
    pair.server_kill("sw1")
    wait_for(pair, lambda: pair.serving() == ["sw2"], 10.0)
    recover(pair)
