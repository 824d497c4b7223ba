"""Steps are carried out one after the other, failures are tried again ever more seldom, and nothing is held up."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest

from ovsha.agent.steps import ACTS, Done, StepExecutor
from ovsha.core import turn
from ovsha.core.transition import Step
from ovsha.core.turn import Decision
from ovsha.core.view import Memory, Settings, View
from ovsha.errors import DriverError

SETTINGS = Settings("sw1", "sw2", "sw1", "tcp:169.254.0.10:9999")
QUIET = turn.turn(View(1.0, SETTINGS), Memory("b007"))


class SmallServer:
    """An ovsdb-server that answers when it is told to."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.waiting: list[Done] = []
        self.pid = 7

    def promote(self, done: Done) -> None:
        self.asked.append("promote")
        self.waiting.append(done)

    def park(self, done: Done) -> None:
        self.asked.append("park")
        self.waiting.append(done)

    def answer(self, error: str | None = None) -> None:
        self.waiting.pop(0)(error)


class SmallSwitch:
    """A switch that really has or has not the VIP, and whose kernel may refuse to drop it."""

    def __init__(self) -> None:
        self.server = SmallServer()
        self.settings = SETTINGS
        self.vip = True
        self.refuses = False

    def drop_vip(self, now: float) -> None:
        if self.refuses:
            raise DriverError("cannot drop 169.254.0.11 from peerlink.4094: Operation not permitted")
        self.vip = False


@pytest.fixture
def switch() -> Any:
    return SmallSwitch()


def ordered(step: Step) -> Decision:
    return replace(QUIET, step=step)


def test_every_step_but_the_one_of_the_store_has_its_act() -> None:
    assert set(ACTS) == set(Step) - {Step.RESERVE_TERM}


def test_second_order_waits_for_the_answer_to_the_first(switch: Any) -> None:
    orders = StepExecutor(switch)
    assert not orders.carry_out(ordered(Step.PROMOTE), 1.0)
    assert not orders.carry_out(ordered(Step.PARK_SERVER), 1.0)
    assert switch.server.asked == ["promote"]
    switch.server.answer()
    orders.carry_out(ordered(Step.PARK_SERVER), 1.1)
    assert switch.server.asked == ["promote", "park"]


def test_vip_is_dropped_even_while_the_server_owes_an_answer(switch: Any) -> None:
    orders = StepExecutor(switch)
    orders.carry_out(ordered(Step.PROMOTE), 1.0)
    assert orders.carry_out(ordered(Step.DROP_VIP), 1.0)
    assert not switch.vip
    assert orders.under_way is Step.PROMOTE


def test_failed_step_is_tried_again_and_ever_more_seldom(switch: Any) -> None:
    orders = StepExecutor(switch)
    switch.refuses = True
    tried, now = [], 0.0
    while now < 8.0:
        deadline = orders.deadline(Step.DROP_VIP)
        orders.carry_out(ordered(Step.DROP_VIP), now)
        if orders.deadline(Step.DROP_VIP) != deadline:
            tried.append(round(now, 3))
        now += 0.05
    gaps = [after - before for before, after in pairwise(tried)]
    assert gaps[0] < gaps[1] < gaps[2]
    assert max(gaps) < 2.1
    assert "Operation not permitted" in orders.failing[Step.DROP_VIP]


def test_step_that_goes_well_at_last_is_forgotten_as_a_failure(switch: Any) -> None:
    orders = StepExecutor(switch)
    switch.refuses = True
    orders.carry_out(ordered(Step.DROP_VIP), 0.0)
    switch.refuses = False
    assert orders.carry_out(ordered(Step.DROP_VIP), 5.0)
    assert orders.failing == {}
    assert orders.deadline(Step.DROP_VIP) is None


def test_nothing_is_done_when_nothing_is_ordered() -> None:
    orders = StepExecutor(SimpleNamespace())  # type: ignore[arg-type]
    assert not orders.carry_out(replace(QUIET, step=None), 1.0)
    assert not orders.carry_out(ordered(Step.RESERVE_TERM), 1.0)
