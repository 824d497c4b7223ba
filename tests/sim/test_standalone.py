"""What a switch that stands alone does: it serves what is surely its own, and waits for nobody."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from ovsha.core import turn as turns
from ovsha.core.election import Goal
from ovsha.core.facts import Life, Role, Server, Stamp, State, Vip
from ovsha.core.lineage import PARKED
from ovsha.core.transition import Step
from ovsha.core.view import Memory, Settings, View
from ovsha.report import status, status_text
from ovsha.report.assessment import StatusInputs
from ovsha.report.what_if import others
from tests.support.views import NODE, NOW, a_copy, an_active, memories, servers, vips

ALONE = Settings(NODE, "", preferred=NODE, source="")
WITHOUT_VIP = replace(ALONE, has_vip=False)
MEMORY = Memory("x", term=3, held=(3, 10))
BACK = a_copy(source=PARKED, replicating=False, stamp=Stamp(3, NODE))
"""Its server after a safe start, with its own data."""

SERVING = View(NOW, WITHOUT_VIP, an_active(listener_open=False))
views = st.builds(View, st.just(NOW), st.sampled_from([ALONE, WITHOUT_VIP]), servers, vips)
fresh = st.builds(
    replace, memories, met=st.just(False), ask=st.none(), grant=st.none(), wanted=st.none(), offer=st.none(),
    silent_since=st.none(), keep=st.none() | st.just(NODE),
)  # fmt: skip


@given(views, fresh)
def test_it_has_nobody_to_follow_to_drain_for_or_to_ask(view: View, memory: Memory) -> None:
    decision = turns.turn(view, memory)
    assert decision.rule.goal in (Goal.SERVE, Goal.PARK, Goal.FENCE, Goal.KEEP)
    assert (decision.record.ask, decision.record.grant) == (None, None)


@given(views, fresh)
def test_it_serves_unless_its_server_cannot_or_its_data_is_in_doubt(view: View, memory: Memory) -> None:
    decision = turns.turn(view, memory)
    doubts = {"server-down", "server-hung", "server-undriven", "server-unknown", "server-unread", "rolled-back",
              "found-unstamped", "copy-too-old", "standalone-copies"}  # fmt: skip
    assert decision.rule.goal is Goal.SERVE or decision.rule.name in doubts


@given(views, fresh)
def test_without_a_vip_none_is_added_and_no_listener_is_opened(view: View, memory: Memory) -> None:
    decision = turns.turn(replace(view, settings=WITHOUT_VIP), memory)
    assert decision.step not in (Step.ADD_VIP, Step.OPEN_LISTENER)


def carried_out(view: View, memory: Memory) -> tuple[list[Step], View, Memory]:
    """Return the steps that are ordered until none is left, each of which does what it should."""
    steps = []
    while True:
        decision = turns.turn(view, memory)
        memory, server = decision.memory, view.server
        if decision.step is None:
            return steps, view, memory
        steps.append(decision.step)
        term = decision.opening.term
        done: dict[Step, Server] = {
            Step.PROMOTE: replace(server, role=Role.ACTIVE, source=None),
            Step.STAMP: replace(server, stamp=decision.opening, token=(term, 1)),
            Step.OPEN_MANAGERS: replace(server, managers_open=True),
            Step.OPEN_LISTENER: replace(server, listener_open=True),
        }
        vip = Vip(present=True) if decision.step is Step.ADD_VIP else view.vip
        view = replace(view, server=done.get(decision.step, server), vip=vip, reserved=max(view.reserved, term))


def test_a_server_that_is_back_after_a_crash_is_served_again_in_a_term_of_its_own() -> None:
    down = turns.turn(View(NOW, WITHOUT_VIP, Server(life=Life.DOWN)), MEMORY)
    assert (down.state, down.rule.goal) == (State.FAULT, Goal.FENCE)
    steps, view, _ = carried_out(View(NOW, WITHOUT_VIP, BACK), down.memory)
    assert steps == [Step.RESERVE_TERM, Step.PROMOTE, Step.STAMP, Step.OPEN_MANAGERS]
    assert view.server.stamp == Stamp(4, NODE)


def test_with_a_vip_it_is_taken_and_nobody_elses_sockets_are_looked_for() -> None:
    steps, _, _ = carried_out(View(NOW, ALONE, BACK), MEMORY)
    assert steps[-3:] == [Step.OPEN_MANAGERS, Step.ADD_VIP, Step.OPEN_LISTENER]


def test_an_agent_that_is_started_anew_finds_the_service_and_touches_nothing() -> None:
    started = Memory("y", term=3, held=(3, 10), awake=NOW)
    decision = turns.turn(SERVING, started)
    assert (decision.rule.name, decision.step, decision.state) == ("we-serve", None, State.ACTIVE)


def test_a_single_server_that_served_before_ovsha_came_is_stamped_where_it_stands() -> None:
    found = replace(SERVING, server=an_active(listener_open=False, stamp=None, token=None))
    steps, view, _ = carried_out(found, Memory("x"))
    assert steps == [Step.RESERVE_TERM, Step.STAMP]
    assert view.server.stamp == Stamp(1, NODE)


def test_a_blank_database_after_a_crash_is_not_served_before_an_operator_says_so() -> None:
    blank = View(NOW, WITHOUT_VIP, replace(BACK, stamp=None, token=None, empty=True))
    for view in (blank, replace(blank, server=replace(blank.server, role=Role.ACTIVE, source=None))):
        first = turns.turn(view, MEMORY)
        later = turns.turn(replace(view, now=NOW + 2), first.memory)
        assert (later.rule.name, later.state) == ("rolled-back", State.NEEDS_DECISION)
        assert "once held 3.10" in later.why
    kept = replace(later.memory, keep=NODE, keep_until=NOW + 60)
    assert carried_out(blank, kept)[0][-1] is Step.OPEN_MANAGERS


def test_a_copy_that_is_older_than_what_the_former_peer_had_is_not_served_unasked() -> None:
    left_behind = replace(MEMORY, peer_stamp=Stamp(5, "sw2"))
    first = turns.turn(View(NOW, WITHOUT_VIP, BACK), left_behind)
    assert (first.rule.name, first.rule.goal) == ("copy-too-old", Goal.PARK)


def test_a_former_backup_whose_source_still_answers_leaves_that_one_its_service() -> None:
    view = View(NOW, WITHOUT_VIP, a_copy(source="tcp:169.254.0.10:9999"))
    decision = turns.turn(view, MEMORY)
    assert (decision.rule.name, decision.step) == ("standalone-copies", None)
    alone = replace(view, server=replace(view.server, replicating=False))
    assert turns.turn(alone, decision.memory).rule.name == "standalone"


def test_the_first_of_two_keeps_its_term_and_goes_on_serving_when_a_second_one_joins() -> None:
    pair = replace(ALONE, peer="sw2", source="tcp:169.254.0.10:9999")
    serving = View(NOW, pair, an_active(), Vip(present=True))
    decision = turns.turn(serving, Memory("y", term=3, held=(3, 10), awake=NOW - 10))
    assert (decision.rule.name, decision.step, decision.opening.term) == ("we-serve", None, 3)


def told(view: View, memory: Memory) -> dict[str, object]:
    """Return the document of ovsha status."""
    outside = StatusInputs("0", "rack7", 1, 60.0, "hardware_vtep", "", "", 9998)
    return status.status(view, turns.turn(view, memory), outside)


def test_status_says_that_it_stands_alone_and_shows_nothing_of_a_pair_as_broken() -> None:
    document = told(SERVING, MEMORY)
    assert (document["standalone"], document["peer"], document["in_sync"], document["do"]) == (True, None, None, None)
    assert (document["problems"], list(document["sides"])) == ([], [NODE])  # type: ignore[call-overload]
    assert status_text.sync_text(document).endswith("\nverdict: standalone, and serving\n")
    text = status_text.status_text(document)
    assert text.startswith("OK: standalone, and serving, nothing is wrong\n")
    assert not any(word in text for word in ("peer", "clagd", "MLAG", "in sync", "VIP "))


def test_status_is_broken_when_it_does_not_serve() -> None:
    for server in (BACK, Server(life=Life.DOWN), Server(life=Life.HUNG), Server()):
        document = told(replace(SERVING, server=server), MEMORY)
        assert document["do"] is not None
        assert "pair" not in str(document["verdict"])


def test_explain_tells_of_no_peer_that_could_change_anything() -> None:
    for view in (SERVING, replace(SERVING, server=BACK)):
        assert not any("peer" in each.fact or "VIP" in each.fact for each in others(view, MEMORY))




def test_on_a_full_disk_nothing_is_promoted_before_the_term_is_kept_and_what_is_served_goes_on() -> None:
    """A term that is not on disk could be used twice; what is open already needs no new one."""
    memory = MEMORY
    for turn in range(3):
        decision = turns.turn(View(NOW + turn, WITHOUT_VIP, BACK, reserved=3), memory)
        memory = decision.memory
        assert decision.step is Step.RESERVE_TERM
    assert turns.turn(replace(SERVING, reserved=3), MEMORY).step is None
