"""What forbids a copy, in the words that the operator reads, and what can be overruled."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given

from ovsha.core import guard, lineage, turn
from ovsha.core.facts import Role, Schema, Source, Stamp, State
from ovsha.core.lineage import PARKED
from ovsha.core.situation import Situation
from ovsha.core.view import Memory
from tests.support.views import BACKUP_VIEW, MEMORY, NODE, NOW, PEER, a_copy, a_peer, backup_case, memories, views

OWN = a_copy(source=PARKED, cells=5000, schema=Schema("hardware_vtep", "1.7.0", "c0ffee"))
OFFER = Source(
    True, life_age=0.0, answer_age=0.0, role=Role.ACTIVE, stamp=Stamp(4, PEER), token=(4, 1), empty=False,
    schema=Schema("hardware_vtep", "1.8.0", "feed"),
)  # fmt: skip


def refused(**facts: object) -> str:
    memory = facts.pop("memory", {})
    view = {"server": OWN, "source": OFFER, "record": a_peer(stamp=OFFER.stamp, cells=5000), **facts}
    return guard.refusal(backup_case(view, memory))  # type: ignore[arg-type]


def test_a_healthy_source_may_be_copied() -> None:
    assert refused() == ""


def test_a_source_whose_rows_collapsed_is_refused() -> None:
    assert "has shrunk to 2499 cells" in refused(record=a_peer(stamp=OFFER.stamp, cells=2499))
    assert refused(record=a_peer(stamp=OFFER.stamp, cells=2500)) == ""


def test_small_databases_and_unknown_sizes_are_not_compared() -> None:
    assert refused(server=replace(OWN, cells=999), record=a_peer(stamp=OFFER.stamp, cells=1)) == ""
    assert refused(server=replace(OWN, cells=None), record=a_peer(stamp=OFFER.stamp, cells=1)) == ""
    assert refused(record=a_peer(stamp=OFFER.stamp, cells=None)) == ""


def test_a_newer_schema_on_the_active_side_is_refused_and_the_way_out_is_said() -> None:
    said = refused(schema_gap="a column Global.colour")
    assert "hardware_vtep 1.8.0 has a column Global.colour, which ours, 1.7.0, lacks" in said
    assert f"on {NODE} first" in said


def test_a_copy_that_was_given_up_three_times_is_not_tried_again() -> None:
    assert refused(memory={"failed_copies": 2}) == ""
    assert "gave up copying it 3 times" in refused(memory={"failed_copies": 3})


def test_server_of_several_databases_never_follows_whatever_an_operator_says() -> None:
    several = replace(OWN, others=("Open_vSwitch",))
    said = refused(server=several)
    assert f"ovsdb-server on {NODE} serves Open_vSwitch beside our database" in said
    assert refused(server=several, memory=KEEP_PEER) == said


KEEP_PEER = {"keep": PEER, "keep_until": NOW + 1}


@pytest.mark.parametrize(
    "wrong",
    [
        {"source": replace(OFFER, stamp=None)},
        {"source": replace(OFFER, empty=True)},
        {"source": replace(OFFER, stamp=Stamp(2, PEER))},
        {"record": a_peer(stamp=OFFER.stamp, cells=1)},
    ],
    ids=["unknown lineage", "empty", "older", "collapsed"],
)
def test_an_operator_can_overrule_what_is_no_more_than_doubt(wrong: dict[str, object]) -> None:
    assert refused(**wrong)
    assert refused(**wrong, memory=KEEP_PEER) == ""


def test_nobody_can_overrule_what_ovsdb_server_itself_would_not_copy() -> None:
    assert refused(schema_gap="a table Foo", memory=KEEP_PEER)
    assert refused(source=Source(), memory=KEEP_PEER)


def test_a_side_that_refuses_for_a_second_says_that_it_needs_a_decision_and_names_the_reason() -> None:
    view = replace(BACKUP_VIEW, server=OWN, source=replace(OFFER, stamp=None), record=a_peer(stamp=None))
    first = turn.turn(view, MEMORY)
    assert (first.rule.name, first.state) == ("source-refused", State.INIT)
    later = turn.turn(replace(view, now=NOW + 1), first.memory)
    assert later.state is State.NEEDS_DECISION
    assert "of unknown lineage" in later.record.decision


@given(views, memories)
def test_whatever_is_followed_has_passed_every_guard(view: object, memory: Memory) -> None:
    decision = turn.turn(view, memory)  # type: ignore[arg-type]
    case = Situation(view, decision.memory, decision.presence)  # type: ignore[arg-type]
    if decision.rule.goal.value == "follow" and not case.following:
        assert guard.objection(case) is None
        assert case.keep == PEER or lineage.refusal(case.view.server, case.view.source) == ""
