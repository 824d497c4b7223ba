"""The first switch of a new pair serves alone by its operator's word, until the second one is heard at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest

from ovsha.core import operator_orders, turn
from ovsha.core.facts import Presence, Record, Role, Source, Stamp
from ovsha.core.lineage import PARKED
from ovsha.report import problems_serving
from tests.sim.pair import BACKUP, LINK, NODES, LawBroken, Pair, started, wait_for
from tests.sim.play import in_order
from tests.support.made_up_pair import OUTSIDE
from tests.support.views import NODE, PEER, a_copy, active_case, backup_case

NEW = "0123456789abcdef" * 2
ALONE = {"heard_age": None, "record": None, "source": Source()}
SERVES = Source(True, life_age=0.0, answer_age=0.0, role=Role.ACTIVE)
UNMET = {"met": False, "peer_stamp": None}


def founded() -> Pair:
    """Return a pair of which only sw1 exists, and serves."""
    pair = Pair()
    pair.power_on("sw1")
    pair.run(2.0)
    assert pair.serving() == [], "nobody has said yet that there is no other side"
    assert found(pair) == ""
    wait_for(pair, lambda: pair.serving() == ["sw1"], 2.0)
    pair.run(0.5)
    return pair


def found(pair: Pair, node: str = "sw1") -> str:
    agent = pair.hosts[node].agent
    assert agent is not None
    return agent.found()


def test_the_word_holds_through_the_restart_of_the_agent_and_a_loss_of_power() -> None:
    pair = founded()
    pair.agent_kill("sw1")
    pair.agent_start("sw1")
    pair.run(2.0)
    assert pair.serving() == ["sw1"]
    pair.power_off("sw1")
    pair.power_on("sw1")
    wait_for(pair, lambda: pair.serving() == ["sw1"], 3.0)


def test_the_second_switch_copies_the_first_and_takes_over_when_that_dies() -> None:
    pair = founded()
    pair.power_on("sw2")
    wait_for(pair, lambda: pair.settled("sw1"), 10.0)
    pair.power_off("sw1")
    wait_for(pair, lambda: pair.serving() == ["sw2"], 5.0)


def test_the_word_is_over_once_the_second_switch_was_heard_and_then_a_side_waits_for_the_other() -> None:
    pair = founded()
    pair.power_on("sw2")
    wait_for(pair, lambda: pair.settled("sw1"), 10.0)
    assert not pair.hosts["sw1"].founding
    for node in NODES:
        pair.power_off(node)
    pair.cut(LINK)
    pair.cut(BACKUP)
    pair.power_on("sw1")
    pair.run(5.0)
    assert pair.serving() == [], "sw2 may have what sw1 has not, and nobody said anything of that"
    assert "met sw2 before" in found(pair)


@pytest.mark.parametrize("moment", [0.0, 0.05, 0.1, 0.2, 0.4])
def test_two_sides_never_serve_when_the_first_dies_at_the_moment_in_which_the_second_appears(moment: float) -> None:
    pair = founded()
    pair.power_on("sw2")
    pair.run(moment)
    pair.power_off("sw1")
    pair.run(1.0)
    pair.power_on("sw1")
    wait_for(pair, lambda: pair.settled("sw1"), 10.0)


def test_a_second_switch_that_begins_before_the_first_has_served_waits_for_it() -> None:
    pair = Pair()
    for node in NODES:
        pair.power_on(node)
    wait_for(pair, lambda: pair.settled("sw1"), 10.0)
    assert "is heard, so the pair has both its sides" in found(pair)


@pytest.mark.parametrize(
    ("view", "memory", "known", "said"),
    [
        ({}, {}, "", f"{PEER} is heard"),
        (ALONE, {}, "", "has met"),
        (ALONE, UNMET, NEW, "has met"),
        ({**ALONE, "estranged": Record(PEER)}, UNMET, "", "has met"),
        ({**ALONE, "server": a_copy(loaded=False)}, UNMET, "", "does not answer"),
        ({**ALONE, "source": SERVES}, UNMET, "", "is active, and"),
        (ALONE, {"met": False, "peer_stamp": Stamp(9, PEER)}, "", "the peer's is of term 9"),
    ],
)  # fmt: skip
def test_it_is_refused_where_another_side_may_hold_data(
    view: dict[str, object], memory: dict[str, object], known: str, said: str
) -> None:
    case = backup_case(view, memory)
    case = replace(case, presence=turn.settled(case.view, case.memory).presence)
    assert said in operator_orders.founding_refusal(case, known)


def test_a_blank_backup_in_the_peers_place_does_not_hold_it_up() -> None:
    blank = Source(True, life_age=0.0, answer_age=0.0, role=Role.BACKUP)
    case = backup_case({**ALONE, "source": blank}, UNMET | {"founding": True})
    assert operator_orders.founding_refusal(replace(case, presence=Presence.SILENT), "") == ""
    assert turn.turn(case.view, case.memory).rule.name == "founding"


def test_data_that_is_not_what_it_was_does_not_serve_for_that_word_either() -> None:
    memory = UNMET | {"founding": True, "held": (3, 90)}
    case = backup_case({**ALONE, "server": a_copy(token=(3, 1), source=PARKED)}, memory)
    assert turn.turn(case.view, case.memory).rule.name == "rolled-back"


@pytest.mark.parametrize(
    ("node", "identity", "view", "said"),
    [
        (PEER, NEW, {"heard_age": 5.0}, ""),
        ("leaf09", NEW, {"heard_age": 5.0}, f"has {PEER} as its peer, and not leaf09"),
        (PEER, "NEW", {"heard_age": 5.0}, "32 hexadecimal digits"),
        (PEER, NEW, {}, "is alive, heard"),
        (PEER, "known", {}, ""),
        (PEER, NEW, {"heard_age": 5.0, "source": SERVES}, "is active: stop it first"),
    ],
)  # fmt: skip
def test_a_new_unit_takes_the_place_of_a_lost_one_only_if_nothing_of_that_one_lives(
    node: str, identity: str, view: dict[str, object], said: str
) -> None:
    known = NEW if identity == "known" else "f" * 32
    case = active_case(view)
    case = replace(case, presence=turn.settled(case.view, case.memory).presence)
    answer = operator_orders.replacement_refusal(case, node, NEW if identity == "known" else identity, known)
    assert (said in answer) if said else answer == ""


def test_a_side_that_does_not_serve_has_nothing_for_a_new_unit() -> None:
    case = backup_case({"heard_age": 5.0, "source": Source(closed=True)})
    case = replace(case, presence=Presence.DEAD)
    assert f"{NODE} does not serve" in operator_orders.replacement_refusal(case, PEER, NEW, "f" * 32)


def test_the_pair_keeps_its_laws_whatever_happens_while_it_is_made() -> None:
    """The second switch appears, is cut off and dies at any moment; no law breaks, and the pair comes to order."""
    steps: list[Callable[[Pair], object]] = [
        lambda pair: pair.power_on("sw2"),
        lambda pair: pair.agent_kill("sw1"),
        lambda pair: pair.agent_start("sw1"),
        lambda pair: pair.power_off("sw2"),
        lambda pair: pair.cut(LINK),
        lambda pair: pair.heal(LINK),
        lambda pair: pair.server_kill("sw1"),
        lambda pair: pair.server_start("sw1"),
    ]
    for seed in range(40):
        pair = founded()
        chance = pair.clock.random
        chance.seed(seed)
        try:
            for _ in range(6):
                chance.choice(steps)(pair)
                pair.run(chance.choice([0.0, 0.05, 0.3, 1.0]))
            pair.heal_all()
            wait_for(pair, partial(in_order, pair), 40.0)
        except LawBroken as error:
            raise AssertionError(f"seed {seed}") from error


def test_started_pairs_are_no_founders() -> None:
    assert not any(host.founding for host in started().hosts.values())


def test_status_says_that_the_other_side_has_not_joined_and_what_to_do() -> None:
    case = active_case({**ALONE, "source": Source(closed=True)}, UNMET | {"founding": True})
    found = list(problems_serving.lost(replace(case, presence=Presence.NEVER), OUTSIDE, NODE))
    assert [what for what, _ in found] == [f"{PEER} has not joined the pair yet"]
    assert f"`ovsha join` on {PEER}" in found[0][1]
