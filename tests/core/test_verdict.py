"""Of two sides that both serve, one goes on, and both say which without asking each other."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given

from ovsha.core.facts import Mode, Record
from ovsha.core.split_brain import CRITERIA, SETTLED, winner
from tests.support.views import NODE, PEER, a_peer, active_case, records

ONE = Record(NODE, lapsed=False, preferred=None)
OTHER = replace(ONE, node=PEER)


@pytest.mark.parametrize(
    ("better", "why"),
    [
        ({}, "it has watched without a gap"),
        ({"cut_off": False}, "clients reached it while the two were apart"),
        ({"controllers": 1}, "it has a controller's session"),
        ({"vteps": 2}, "more VTEP daemons are attached to it"),
        ({"active_for": SETTLED}, "it has been active for longer"),
        ({"preferred": PEER}, "it is the preferred side"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_criterion_decides_when_those_above_it_are_equal(better: dict[str, object], why: str) -> None:
    worse = replace(ONE, lapsed=not better, cut_off="cut_off" in better)
    assert winner(worse, replace(OTHER, **better)) == (PEER, why)  # type: ignore[arg-type]


def test_every_criterion_is_reached() -> None:
    assert [criterion.why for criterion in CRITERIA] == [
        "its ovsdb-server takes no orders, so it cannot give way",
        "it carries out nothing, so it cannot give way",
        "it is in no upgrade",
        "it has watched without a gap",
        "clients reached it while the two were apart",
        "it has a controller's session",
        "more VTEP daemons are attached to it",
        "it has been active for longer",
        "it is the preferred side",
    ]


def test_side_in_an_upgrade_yields_whatever_else_speaks_for_it() -> None:
    upgraded = replace(ONE, upgrade=60.0, controllers=1, vteps=9, active_for=1e6, preferred=NODE)
    assert winner(upgraded, replace(OTHER, lapsed=True)) == (PEER, "it is in no upgrade")


def test_side_whose_server_takes_no_orders_goes_on_whatever_speaks_against_it() -> None:
    bound = replace(ONE, undriven=True, lapsed=True, upgrade=60.0)
    best = replace(OTHER, lapsed=False, controllers=1, vteps=9, active_for=1e6, preferred=PEER)
    assert winner(bound, best)[0] == winner(best, bound)[0] == NODE


@pytest.mark.parametrize("mode", [Mode.PAUSED, Mode.ADVISE])
def test_side_that_carries_out_nothing_goes_on_whatever_speaks_against_it(mode: Mode) -> None:
    """It could not give way, so both would serve until an operator resumed it."""
    idle = replace(ONE, mode=mode, lapsed=True, upgrade=60.0)
    best = replace(OTHER, lapsed=False, controllers=1, vteps=9, active_for=1e6, preferred=PEER)
    assert winner(idle, best) == winner(best, idle) == (NODE, "it carries out nothing, so it cannot give way")
    both = replace(best, mode=Mode.PAUSED)
    assert winner(idle, both)[0] == winner(both, idle)[0] == PEER, "where neither can, the rest decides"


@pytest.mark.parametrize("mode", [Mode.PAUSED, Mode.ADVISE])
def test_both_sides_know_which_of_them_carries_out_nothing(mode: Mode) -> None:
    ours = active_case({"mode": mode, "record": a_peer(lapsed=False, controllers=1)}, {"lapsed": True})
    assert ours.verdict == (NODE, "it carries out nothing, so it cannot give way")
    theirs = active_case({"record": a_peer(lapsed=True, mode=mode)})
    assert theirs.verdict == (PEER, "it carries out nothing, so it cannot give way")


def test_a_criterion_outweighs_all_below_it() -> None:
    strong = replace(OTHER, controllers=1)
    weak = replace(ONE, vteps=9, active_for=1e6, preferred=NODE)
    assert winner(strong, weak) == (PEER, "it has a controller's session")


def test_when_all_else_is_equal_the_names_decide() -> None:
    assert winner(ONE, OTHER) == (NODE, "all else is equal and its name comes first")


@given(records, records)
def test_exchanging_the_sides_exchanges_nothing_in_the_answer(one: Record, other: Record) -> None:
    one = replace(one, node=NODE)
    assert winner(one, other) == winner(other, one)


@given(records, records)
def test_both_sides_agree_although_each_knows_its_own_age_now_and_the_others_of_a_moment_ago(
    one: Record, other: Record
) -> None:
    """An age that is compared with another age would let both win, or both lose."""
    one = replace(one, node=NODE)
    later = {"active_for": None}

    def aged(record: Record) -> Record:
        grown = {name: getattr(record, name) for name in later}
        return replace(record, **{name: age if age is None else age + 0.05 for name, age in grown.items()})

    assert winner(aged(one), other) == winner(one, aged(other))
