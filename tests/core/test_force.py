"""An operator can have a side serve whose peer cannot be asked, and only then, and is told what it may cost."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ovsha.core import operator_orders, turn
from ovsha.core.facts import Life, Mode, Source, Stamp
from ovsha.core.lineage import PARKED
from tests.core.test_election import GONE
from tests.support.views import NODE, NOW, PEER, a_copy, a_peer, active_case, backup_case

SILENT = {"heard_age": 12.0}
"""The agent of the peer is gone and its server answers."""

REFUSALS = [
    ({}, {}, "use `ovsha switchover`, which loses nothing"),
    ({"record": a_peer(decision="which?")}, {}, "use `ovsha resolve --keep self --reason TEXT`"),
    ({**SILENT, "mode": Mode.PAUSED}, {}, "sw1 is paused: run `ovsha resume` on sw1 first"),
    ({**SILENT, "mode": Mode.ADVISE}, {}, "its configuration has mode: advise"),
    ({**SILENT, "server": a_copy(life=Life.HUNG)}, {}, "ovsdb-server on sw1 does not answer"),
    ({**SILENT, "server": a_copy(empty=True)}, {}, "the database on sw1 is empty"),
    ({**SILENT, "server": a_copy(stamp=None)}, {"copying": True}, "only half filled"),
    (GONE, {}, "sw2 is dead and sw1 takes over by itself"),
]


@pytest.mark.parametrize(("view", "memory", "words"), REFUSALS, ids=[words for _, _, words in REFUSALS])
def test_it_is_refused_where_there_is_a_better_way_or_nothing_to_serve(
    view: dict[str, object], memory: dict[str, object], words: str
) -> None:
    assert words in operator_orders.force_refusal(backup_case(view, memory))


def test_it_is_refused_on_the_side_that_serves() -> None:
    assert operator_orders.force_refusal(active_case()) == "sw1 serves already; nothing is to be forced"


def test_a_side_whose_peers_agent_is_silent_is_made_to_serve() -> None:
    case = backup_case(SILENT)
    assert operator_orders.force_refusal(case) == ""
    assert turn.turn(case.view, case.memory).rule.name == "peer-silent"
    forced = turn.turn(case.view, operator_orders.force_ordered(case))
    assert (forced.rule.name, forced.step is not None) == ("forced", True)


def test_the_service_stays_where_it_was_forced_to() -> None:
    """No restore takes back what an operator forced away from the original primary."""
    case = backup_case(SILENT)
    for preferred, chosen in ((PEER, True), (NODE, False)):
        settings = replace(case.view.settings, preferred=preferred)
        there = replace(case, view=replace(case.view, settings=settings))
        opening = turn.turn(there.view, operator_orders.force_ordered(there)).opening
        assert (opening.node, opening.chosen) == (NODE, chosen)
        assert ("until it is moved again" in "".join(operator_orders.force_exposure(there))) is chosen


def test_a_copy_that_is_too_old_is_served_all_the_same() -> None:
    old = backup_case({**GONE, "server": a_copy(stamp=Stamp(2, PEER), token=(2, 1), source=PARKED)})
    assert operator_orders.force_refusal(old) == ""
    lost = "our copy is of term 2, the peer's is of term 3; everything written since is lost"
    assert lost in operator_orders.force_exposure(old)
    assert turn.turn(old.view, operator_orders.force_ordered(old)).rule.name == "forced"


def test_the_order_is_void_as_soon_as_the_peer_is_heard() -> None:
    case = backup_case(SILENT)
    heard = turn.turn(backup_case().view, operator_orders.force_ordered(case))
    assert heard.rule.name == "peer-serves"
    assert (heard.memory.keep, heard.memory.forced) == (None, False)


def test_the_order_is_void_after_a_minute() -> None:
    case = backup_case(SILENT)
    late = turn.turn(replace(case.view, now=NOW + 61), operator_orders.force_ordered(case))
    assert (late.rule.name, late.memory.forced) == ("peer-silent", False)


def told(view: dict[str, object], memory: dict[str, object] | None = None) -> str:
    return "\n".join(operator_orders.force_exposure(backup_case(view, memory)))


def test_what_may_be_lost_is_told_with_the_age_of_the_copy_and_the_last_that_was_seen_over_there() -> None:
    text = told(SILENT, {"peer_token": (3, 12)})
    assert "the agent on sw2 was last heard 12 s ago" in text
    assert "of term 3 and ends at token 3.10; its last measured lag was 0.001 s" in text
    assert "sw2 was seen at token 3.12; what it acknowledged after 3.10 is lost" in text
    assert "ovsdb-server on sw2 still answers as active: both sides will serve" in text


def test_of_a_switch_that_answers_nothing_it_is_not_said_that_it_goes_on() -> None:
    text = told(GONE)
    assert "both sides" not in text
    assert "what sw2 acknowledged after that token, if anything, is lost" in text


def test_a_peer_that_was_never_heard_and_a_switch_that_answers_without_its_server_are_named() -> None:
    unknown: dict[str, object] = {"heard_age": None, "source": Source(life_age=0.0, answer_age=0.0)}
    text = told(unknown)
    assert "was never heard since this one started or woke" in text
    assert "the switch sw2 still answers" in text
