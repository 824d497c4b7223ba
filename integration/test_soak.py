from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import islice

import pytest

import rpc
import soak
from history import Ack, Event
from nsx_switch import REMOTE
from session import mac_of
from soak_check import SETTLE, Evidence, broken, deaf, moves, worst_outage
from soak_faults import BOTH, KINDS, Blow, Round, draw, rounds
from soak_pair import Outcome, Pair

SOME = 300


def kind(what: str, how: str) -> Callable[..., Blow]:
    (found,) = (each for each in KINDS if (each.what, each.how) == (what, how))
    return lambda where="sw1", at=0.5, seconds=1.0: Blow(found, where, at, seconds)


# -- the schedule ------------------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_schedule_and_a_round_can_be_drawn_alone() -> None:
    drawn = list(islice(rounds(7), SOME))
    assert drawn == list(islice(rounds(7), SOME))
    assert drawn != list(islice(rounds(8), SOME))
    assert draw(7, 100) == drawn[99]


def test_a_planned_round_holds_harmless_blows_only_and_the_others_at_least_one_that_is_not() -> None:
    for drawn in islice(rounds(7), SOME):
        assert drawn.blows
        assert drawn.planned == all(blow.kind.harmless for blow in drawn.blows)


def test_every_kind_of_blow_comes_and_every_place_of_it() -> None:
    dealt = {(blow.kind, blow.where) for drawn in islice(rounds(7), SOME) for blow in drawn.blows}
    assert dealt == {(kind, where) for kind in KINDS for where in kind.where}


def test_the_line_of_a_round_says_what_is_dealt_where_and_how_long() -> None:
    dealt = (kind("server", "kill")("sw2", 0.25, 3.0), kind("peer link", "cut")(BOTH, 1.0, 0.6))
    assert str(Round(1, False, dealt)) == "0.25 s server kill at sw2 for 3 s; 1.00 s peer link cut both ways for 0.6 s"


# -- the laws ----------------------------------------------------------------------------------------------------------


def ack(t: float, row: int, switch: str = "192.168.100.1", late: bool = False) -> Ack:
    return Ack(t, row, mac_of(REMOTE, row), switch, 1, late)


ACKS = [ack(1.0, 1), ack(2.0, 2), ack(3.0, 3)]
MACS = frozenset(each.mac for each in ACKS)
GOOD = Evidence(
    planned=True,
    acks=ACKS,
    controller=(),
    found=MACS,
    kept=(),
    lost=(),
    gone=(),
    since=1.5,
    deaf=(),
)
WITHOUT_2 = MACS - {mac_of(REMOTE, 2)}
TWO = frozenset({mac_of(REMOTE, 2)})
OVERLAP = Event(2.5, "overlap", {"from": 2.0, "until": 2.5, "switches": ["a", "b"]})


def test_a_round_in_which_nothing_went_wrong_breaks_no_law() -> None:
    assert broken(GOOD) == []
    assert broken(replace(GOOD, planned=False)) == []


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (replace(GOOD, planned=False, found=WITHOUT_2), "neither in the database nor in a ledger: 1 rows: 2 "),
        (replace(GOOD, found=WITHOUT_2, kept=TWO), "a planned round lost acknowledged writes: 1 rows: 2 "),
        (replace(GOOD, gone=[2]), "a reader at the VIP missed rows it had read before: 1 rows: 2"),
        (replace(GOOD, planned=False, gone=[9]), "read at the VIP, and now neither in the database"),
        (replace(GOOD, controller=[OVERLAP]), "both in live sessions with the controller for 0.50 s"),
        (replace(GOOD, controller=[OVERLAP], deaf=[(2.1, 9.0)]), "both in live sessions"),
    ],
)
def test_what_breaks_a_law_is_found_and_named(bad: Evidence, words: str) -> None:
    (found,) = broken(bad)
    assert words in found


@pytest.mark.parametrize(
    "allowed",
    [
        replace(GOOD, planned=False, found=WITHOUT_2, kept=TWO),
        replace(GOOD, planned=False, found=WITHOUT_2, kept=TWO, gone=[2]),
        replace(GOOD, found=WITHOUT_2, lost=TWO, gone=[2]),
        replace(GOOD, controller=[OVERLAP], deaf=[(1.9, 2.2)]),
        replace(GOOD, controller=[OVERLAP], since=2.6),
    ],
    ids=["in a ledger", "and a reader saw it", "in an earlier round", "deaf", "an earlier overlap"],
)
def test_what_an_unplanned_failover_may_cost_breaks_no_law(allowed: Evidence) -> None:
    assert broken(allowed) == []


def test_two_sides_are_deaf_without_an_agent_power_or_heartbeats_and_without_both_paths_at_once() -> None:
    link, path = kind("peer link", "cut"), kind("backup path", "cut")
    server, agent = kind("server", "kill"), kind("agent", "freeze")
    assert deaf([link(), server()], 10.0, 11.5) == []
    assert deaf([agent(at=0.5, seconds=1.0)], 10.0, 11.5) == [(10.5, 11.5 + SETTLE)]
    assert deaf([link(at=0.5, seconds=1.0), path(at=1.0, seconds=3.0)], 10.0, 14.0) == [(11.0, 11.5 + SETTLE)]
    assert deaf([link(at=0.5, seconds=0.2), path(at=1.0, seconds=3.0)], 10.0, 14.0) == []
    assert deaf([agent(at=0.5, seconds=1.0)], 10.0, 12.5) == [(10.5, 12.5 + SETTLE)], "the hand was late by a second"


def test_an_outage_and_the_moves_are_told_from_the_acknowledgements_in_time() -> None:
    acks = [ack(0.0, 1), ack(1.0, 2), ack(4.0, 3, "192.168.100.2"), ack(3.0, 4, late=True), ack(4.5, 5)]
    assert worst_outage(acks, 2.0, 9.0) == 2.0
    assert worst_outage(acks, 4.2, 9.0) == pytest.approx(0.3)
    assert worst_outage(acks, 5.0, 9.0) == 0
    assert moves(acks) == 2


def test_the_summary_counts_what_the_rounds_came_to() -> None:
    dealt = (kind("server", "kill")(), kind("agent", "kill")())
    one = Outcome(Round(1, False, dealt), "", 1.0, "sw1", 0.4, 2, 100, 3, 0, ())
    two = Outcome(Round(2, True, dealt[1:]), "", 2.0, "sw2", 0.6, 1, 50, 0, 1, ("a law",))
    text = soak.summary([one, two], 5, 60.0)
    assert "2 rounds (1 planned), 3 faults" in text
    assert "2  agent: kill" in text
    assert "moves 3, worst outage 0.600 s (round 2), slowest order 2.0 s, acknowledged writes 150" in text
    assert "lost 1, only in ledgers 3, rounds that broke a law 1" in text


# -- on real servers ---------------------------------------------------------------------------------------------------

MOVE = Round(1, True, (kind("switchover", "ordered")("sw2", 0.1, 0.0),))


def test_a_soak_finds_a_row_that_vanishes_and_a_program_that_ends_and_nothing_before(needs_lab: None) -> None:
    with Pair() as pair:
        good = pair.do(MOVE)
        assert good.broken == ()
        assert (good.serves, good.moves) == ("sw2", 1)
        row = pair.acks[-1].mac
        rpc.transact(pair.lab.sw2.socket, delete(row))
        pair.lab.sw2.clagd.kill()
        bad = pair.do(Round(2, True, ()))
        for words in ("lost acknowledged writes", "missed rows it had read", "clagd of sw2 ended by itself"):
            assert sum(words in law for law in bad.broken) == 1, bad.broken


def delete(mac: str) -> dict[str, object]:
    return {"op": "delete", "table": "Ucast_Macs_Remote", "where": [["MAC", "==", mac]]}
