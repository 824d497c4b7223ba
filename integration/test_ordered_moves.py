"""Moves that an operator ordered are not taken for a service that flaps, whatever happens between order and arrival."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from lab import Lab
from story import LIMIT, MakeLab, await_pair, await_service, begin, problems
from switch import Switch

FLAPS = "without an order"


def move(pair: Lab, to: Switch, *order: str, on: Switch | None = None) -> None:
    """Order the service to `to`, on either switch, as soon as the pair takes the order, and see it arrive."""
    said: list[str] = []

    def taken() -> bool:
        answer = (on or pair.sw1).ovsha(*order, "--yes")
        said.append(answer.stderr)
        return answer.returncode == 0

    pair.wait_until(taken, LIMIT, f"`ovsha {' '.join(order)}` is carried out")
    await_service(pair, to)


def orders(pair: Lab, count: int) -> Sequence[tuple[Switch, Switch]]:
    """Return where the service goes, and on which switch that is ordered: on the giver's and the taker's in turn."""
    ways = [(pair.sw2, pair.sw1), (pair.sw1, pair.sw1), (pair.sw2, pair.sw2), (pair.sw1, pair.sw2)]
    return [ways[number % len(ways)] for number in range(count)]


def said_to_flap(pair: Lab) -> list[str]:
    """Return what either side says of a service that moves by itself."""
    return [line for switch in pair.switches for line in problems(switch).splitlines() if FLAPS in line]


def assert_a_crash_is_followed_by_the_restore(pair: Lab) -> None:
    """Kill the server of sw1, the original primary, and see the service come back to it."""
    pair.sw1.server.kill()
    await_service(pair, pair.sw2)
    assert said_to_flap(pair) == []
    pair.sw1.server.start()
    await_pair(pair, pair.sw1)


@pytest.mark.parametrize(
    ("count", "limit"), [pytest.param(4, 2, id="few"), pytest.param(12, 6, id="many", marks=pytest.mark.long)]
)
def test_after_ordered_switchovers_a_crash_is_followed_by_the_restore(lab: MakeLab, count: int, limit: int) -> None:
    pair = begin(lab, rate=50, overrides={"damping": {"moves": limit}})
    for to, on in orders(pair, count):
        move(pair, to, "switchover", "--to", to.node, on=on)
    assert_a_crash_is_followed_by_the_restore(pair)


@pytest.mark.long
def test_agents_that_are_started_anew_right_after_each_order_do_not_forget_who_gave_it(lab: MakeLab) -> None:
    pair = begin(lab, rate=50, overrides={"damping": {"moves": 2}})
    for number, (to, on) in enumerate(orders(pair, 8)):
        move(pair, to, "switchover", "--to", to.node, on=on)
        again = pair.switches[number // 2 % 2]
        again.agent.kill()
        again.agent.start()
    assert_a_crash_is_followed_by_the_restore(pair)


@pytest.mark.long
def test_orders_to_restore_the_original_primary_are_orders_too(lab: MakeLab) -> None:
    pair = begin(lab, rate=50, overrides={"damping": {"moves": 2}, "restore": {"mode": "manual"}})
    for _ in range(3):
        move(pair, pair.sw2, "switchover", "--to", "sw2", on=pair.sw2)
        move(pair, pair.sw1, "restore-primary", on=pair.sw2)
    assert said_to_flap(pair) == []
