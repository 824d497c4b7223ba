"""Both sides of a simulated pair tell the same of each move of the service, and its phases leave no gap."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from ovsha.core.election import Goal
from ovsha.core.facts import Life, Mode, Record, Role, Stamp, State, Vip
from ovsha.core.transition import Step
from ovsha.core.turn import Decision, turn
from ovsha.report.moves import PATIENCE, MoveTracker, TimedMove
from tests.sim.pair import NODES, Pair, serves, wait_for
from tests.sim.side import Agent
from tests.support.views import NODE, NOW, PEER, a_copy, a_peer, active_case, an_active

SECOND = 1.0


class Watched(Pair):
    """A pair whose agents measure the moves that they see."""

    def __init__(self, seed: int = 0, **changed: object) -> None:
        super().__init__(seed, **changed)
        self.meters: dict[str, MoveTracker] = {}
        self.seen: dict[str, list[TimedMove]] = {node: [] for node in NODES}
        for node in NODES:
            self.power_on(node)
        wait_for(self, lambda: self.settled("sw1"), 10.0)
        for moves in self.seen.values():
            moves.clear()

    def decided(self, agent: Agent, last: Decision | None, decision: Decision) -> None:
        super().decided(agent, last, decision)
        if agent.boot not in self.meters:
            self._attach(agent)
        meter, view = self.meters[agent.boot], agent.view
        assert view is not None
        if meter.awaits_controller and self.controller_is_at(agent.host.node):
            meter.controller_seen(self.clock.now)
        self.seen[agent.host.node] += meter.decided(view, decision)

    def _attach(self, agent: Agent) -> None:
        meter = self.meters[agent.boot] = MoveTracker()
        agent.orders.ended = lambda step: meter.stepped(step, self.clock.now)
        add = agent.add_vip

        def add_vip(now: float) -> None:
            add(now)
            meter.vip_added(self.clock.now)

        agent.add_vip = add_vip  # type: ignore[method-assign]

    def controller_is_at(self, node: str) -> bool:
        return serves(self.hosts[node])

    def agent(self, node: str) -> Agent:
        agent = self.hosts[node].agent
        assert agent is not None
        return agent

    def until_served_by(self, node: str) -> None:
        wait_for(self, lambda: self.settled(node) or (serves(self.hosts[node]) and self.clock.now > 0), 10.0)
        self.run(SECOND)


@pytest.fixture
def pair() -> Watched:
    return Watched()


def one(moves: list[TimedMove], side: str) -> TimedMove:
    (move,) = (each for each in moves if each.side == side)
    return move


def names(move: TimedMove) -> list[str]:
    return [phase.name for phase in move.phases]


def assert_without_gaps(move: TimedMove) -> None:
    phases = [phase for phase in move.phases if phase.name != "controller"]
    assert phases[0].begin == 0.0
    assert all(phase.took >= 0.0 for phase in move.phases)
    for one_phase, next_phase in pairwise(phases):
        assert one_phase.begin + one_phase.took == pytest.approx(next_phase.begin)
    assert move.serving == pytest.approx(phases[-1].begin + phases[-1].took)


def test_a_crash_is_told_alike_by_both_sides_with_its_phases(pair: Watched) -> None:
    pair.server_kill("sw1")
    pair.until_served_by("sw2")
    taken, given = one(pair.seen["sw2"], "taken"), one(pair.seen["sw1"], "given")
    for move in (taken, given):
        assert (move.kind, move.source, move.target, move.term) == ("failover", "sw1", "sw2", 2)
        assert (move.planned, move.operator, move.failed) == (False, False, "")
        assert_without_gaps(move)
    assert names(taken) == [
        "detect", "decide", "promote", "managers", "VIP", "announce", "listener", "controller",
    ]  # fmt: skip
    assert names(given) == ["fence", "peer"]
    assert taken.sign == "its ovsdb-server closed our session"
    assert taken.phases[0].took == 0.0, "a closed session tells at once"
    assert taken.reason == "the peer's ovsdb-server cannot serve: down", "and not that it is the active side by now"


def test_a_silent_death_takes_the_dead_interval_to_detect(pair: Watched) -> None:
    pair.power_off("sw1")
    pair.until_served_by("sw2")
    taken = one(pair.seen["sw2"], "taken")
    assert taken.sign == "its heartbeats stopped"
    assert taken.phases[0].took == pytest.approx(pair.settings["sw2"].dead_interval, abs=0.15)
    assert_without_gaps(taken)
    assert taken.serving is not None
    assert taken.serving > taken.phases[0].took


def test_a_takeover_in_which_the_agent_was_frozen_for_a_while_is_one_move_with_its_true_reason(pair: Watched) -> None:
    pair.power_off("sw1")
    wait_for(pair, lambda: pair.agent("sw2").memory.ordered is Role.ACTIVE, 5.0)
    pair.agent_freeze("sw2")
    pair.run(3 * SECOND)
    pair.agent_thaw("sw2")
    pair.until_served_by("sw2")
    taken = one(pair.seen["sw2"], "taken")
    assert (taken.kind, taken.failed) == ("failover", "")
    assert taken.reason.startswith("the peer is silent on every path")
    assert taken.serving is not None
    assert taken.serving > 3 * SECOND
    assert_without_gaps(taken)


def test_an_agent_that_was_just_started_tells_whose_service_it_takes_and_not_that_nobody_had_served(
    pair: Watched,
) -> None:
    pair.agent_kill("sw2")
    pair.agent_start("sw2")
    pair.power_off("sw1")
    pair.until_served_by("sw2")
    taken = one(pair.seen["sw2"], "taken")
    assert (taken.kind, taken.source, taken.target) == ("failover", "sw1", "sw2")
    assert taken.reason.startswith("the peer is silent on every path")


def test_a_move_whose_giver_was_away_when_the_other_side_opened_is_not_told_as_one_that_lost_nothing(
    pair: Watched,
) -> None:
    agent = pair.agent("sw1")
    assert agent.switchover("sw2") == ""
    wait_for(pair, lambda: pair.agent("sw1").memory.grant is not None, 5.0)
    for path in ("peer-link", "backup-path"):
        pair.cut(path)
    pair.agent_freeze("sw1")
    wait_for(pair, lambda: serves(pair.hosts["sw2"]), 5.0)
    pair.run(SECOND)
    for path in ("peer-link", "backup-path"):
        pair.heal(path)
    pair.agent_thaw("sw1")
    pair.run(3 * SECOND)
    assert not one(pair.seen["sw1"], "given").planned
    assert not one(pair.seen["sw2"], "taken").planned


def test_a_restore_is_planned_and_nobody_ordered_it(pair: Watched) -> None:
    pair.server_kill("sw1")
    pair.until_served_by("sw2")
    pair.server_start("sw1")
    wait_for(pair, lambda: pair.settled("sw1"), 10.0)
    pair.run(SECOND)
    taken, given = one(pair.seen["sw1"], "taken"), one(pair.seen["sw2"], "given")
    for move in (taken, given):
        assert (move.kind, move.source, move.target, move.term) == ("restore", "sw2", "sw1", 3)
        assert (move.planned, move.operator) == (True, False)
        assert_without_gaps(move)
    assert names(taken)[:3] == ["decide", "fence", "promote"]
    assert names(given) == ["fence", "barrier", "peer"]


@pytest.mark.parametrize("ordered_on", NODES)
def test_an_operators_reason_is_known_on_both_sides_wherever_he_gave_it(pair: Watched, ordered_on: str) -> None:
    agent = pair.agent(ordered_on)
    assert agent.switchover("sw2") == ""
    agent.memory = replace(agent.memory, reason="new line card")
    pair.until_served_by("sw2")
    for move in (one(pair.seen["sw2"], "taken"), one(pair.seen["sw1"], "given")):
        assert (move.kind, move.operator, move.said, move.planned) == ("switchover", True, "new line card", True)


def test_a_reason_given_once_is_not_told_of_the_next_move(pair: Watched) -> None:
    agent = pair.agent("sw1")
    assert agent.switchover("sw2") == ""
    agent.memory = replace(agent.memory, reason="new line card")
    pair.until_served_by("sw2")
    wait_for(pair, lambda: pair.settled("sw2"), 10.0)
    pair.server_kill("sw2")
    pair.until_served_by("sw1")
    last = pair.seen["sw1"][-1]
    assert (last.kind, last.operator, last.said) == ("failover", False, "")


def test_a_server_that_comes_back_where_nobody_else_was_resumes(pair: Watched) -> None:
    pair.power_off("sw2")
    pair.run(SECOND)
    pair.server_kill("sw1")
    pair.run(SECOND)
    pair.server_start("sw1")
    wait_for(pair, lambda: serves(pair.hosts["sw1"]), 10.0)
    pair.run(SECOND)
    taken = one(pair.seen["sw1"], "taken")
    assert (taken.kind, taken.source, taken.target) == ("resume", "sw1", "sw1")
    assert taken.serving is not None
    assert taken.serving >= SECOND, "the outage is told from its beginning"
    assert_without_gaps(taken)


def test_a_move_that_nobody_was_here_to_see_is_told_once_afterwards(pair: Watched) -> None:
    pair.power_off("sw1")
    pair.until_served_by("sw2")
    pair.run(5.0)
    pair.power_on("sw1")
    wait_for(pair, lambda: pair.settled("sw1"), 20.0)
    missed = one(pair.seen["sw1"], "missed")
    assert (missed.source, missed.target, missed.term) == ("sw1", "sw2", 2)
    assert missed.age >= 5.0


def test_an_agent_that_is_started_anew_has_seen_no_move(pair: Watched) -> None:
    for node in NODES:
        pair.agent_kill(node)
        pair.agent_start(node)
        pair.run(2 * SECOND)
    assert pair.seen == {"sw1": [], "sw2": []}


def test_without_a_controller_a_move_is_told_when_patience_is_over(pair: Watched) -> None:
    pair.controller_is_at = lambda node: False  # type: ignore[method-assign]
    pair.settings["sw1"] = replace(pair.settings["sw1"], restore_automatic=False)
    pair.server_kill("sw1")
    pair.run(PATIENCE - 1)
    assert pair.seen["sw2"] == []
    pair.run(2.0)
    taken = one(pair.seen["sw2"], "taken")
    assert taken.controller is None
    assert taken.failed == ""
    assert "controller" not in names(taken)


def test_what_is_under_way_when_the_agent_stops_is_told(pair: Watched) -> None:
    pair.power_off("sw2")
    pair.server_kill("sw1")
    pair.run(SECOND)
    (left,) = pair.meters[pair.agent("sw1").boot].end(pair.clock.now)
    assert (left.side, left.failed, left.serving) == ("given", "the agent stopped", None)


def test_a_step_outside_of_a_move_is_none_of_its_phases() -> None:
    meter = MoveTracker()
    meter.stepped(Step.COMMIT_TOKEN, 5.0)
    meter.vip_added(5.0)
    meter.controller_seen(5.0)
    assert meter.end(6.0) == []
    assert not meter.awaits_controller


def test_what_is_logged_is_one_line_in_the_words_of_the_field(pair: Watched) -> None:
    pair.server_kill("sw1")
    pair.until_served_by("sw2")
    text = one(pair.seen["sw2"], "taken").text
    assert text.startswith("failover: sw1 -> sw2 in term 2, because the peer's ovsdb-server cannot serve: down; served")
    assert ", first controller after " in text
    assert "\n" not in text


def test_the_side_that_gives_way_in_a_split_brain_tells_it_as_that(pair: Watched) -> None:
    for path in ("peer-link", "backup-path"):
        pair.cut(path)
    pair.run(2 * SECOND)
    assert one(pair.seen["sw2"], "taken").kind == "failover"
    for path in ("peer-link", "backup-path"):
        pair.heal(path)
    wait_for(pair, lambda: sum(map(serves, pair.hosts.values())) == 1, 10.0)
    pair.run(SECOND)
    (given,) = (move for moves in pair.seen.values() for move in moves if move.side == "given")
    assert given.kind == "split-brain"
    assert {given.source, given.target} == set(NODES)


def test_a_paused_side_has_not_begun_to_take_what_it_would(pair: Watched) -> None:
    host = pair.hosts["sw2"]
    assert host.agent is not None
    observe = host.agent.observe
    host.agent.observe = lambda now, woke: replace(observe(now, woke), mode=Mode.PAUSED)  # type: ignore[method-assign]
    pair.server_kill("sw1")
    pair.run(5 * SECOND)
    assert pair.seen["sw2"] == []
    host.agent.observe = observe  # type: ignore[method-assign]
    pair.until_served_by("sw2")
    taken = one(pair.seen["sw2"], "taken")
    assert_without_gaps(taken)
    decide = next(phase for phase in taken.phases if phase.name == "decide")
    assert decide.took >= 4.5, "the pause is what the outage was spent on"


# A split brain whose verdict turned while this side gave way, turn by turn.


class Recorded:
    """One side's turns on facts that were recorded, and the moves that it tells."""

    def __init__(self) -> None:
        self.meter, self.told = MoveTracker(), list[TimedMove]()
        self.memory = active_case().memory

    def turn(self, at: float, record: Record, **view: object) -> Decision:
        """Take the turn at `at` seconds, with the peer as `record` says."""
        seen = replace(active_case().view, now=NOW + at, record=record, **view)  # type: ignore[arg-type]
        decision = turn(seen, self.memory)
        self.memory = decision.memory
        self.told += self.meter.decided(seen, decision)
        return decision


STRONGER, WEAKER = a_peer(stamp=Stamp(4, PEER), controllers=1), a_peer(stamp=Stamp(4, PEER))
HALF_CLOSED: dict[str, object] = {"server": an_active(managers_open=False), "vip": Vip(link_up=True)}


def test_a_verdict_that_turns_is_told_as_a_split_brain_after_which_this_side_serves_again() -> None:
    side = Recorded()
    side.turn(0.0, active_case().peer)
    assert side.turn(1.0, STRONGER).rule.name == "split-lost"
    assert side.turn(1.2, STRONGER, **HALF_CLOSED).rule.name == "split-lost"
    assert side.turn(2.0, WEAKER, **HALF_CLOSED).rule.name == "split-won"
    side.meter.stepped(Step.OPEN_MANAGERS, NOW + 2.1)
    side.meter.vip_added(NOW + 2.2)
    side.meter.stepped(Step.ADD_VIP, NOW + 2.3)
    assert side.turn(2.4, active_case().peer).record.state is State.ACTIVE
    side.meter.controller_seen(NOW + 2.5)
    side.turn(2.6, active_case().peer)
    (move,) = side.told
    assert (move.kind, move.side, move.source, move.target, move.failed) == ("split-brain", "taken", NODE, NODE, "")
    assert move.reason == "both sides serve and we go on: it is the preferred side"
    assert move.sign == "both sides serve and the peer goes on: it has a controller's session"
    assert move.serving == pytest.approx(1.3), "from the first verdict on"
    assert names(move) == ["decide", "managers", "VIP", "announce", "controller"]
    assert_without_gaps(move)


def test_a_verdict_that_turns_before_anything_was_closed_is_told_and_the_next_loss_is_measured_by_itself() -> None:
    side = Recorded()
    side.turn(0.0, active_case().peer)
    for at, record in ((1.0, STRONGER), (1.1, WEAKER), (9.0, STRONGER)):
        side.turn(at, record)
    side.turn(9.5, STRONGER, server=a_copy(), vip=Vip(link_up=True))
    assert [(move.kind, move.side, move.target) for move in side.told] == [
        ("split-brain", "taken", NODE), ("split-brain", "given", PEER),
    ]  # fmt: skip
    assert side.told[1].serving == pytest.approx(0.5)


def test_who_only_wavers_and_closes_nothing_has_not_moved() -> None:
    side = Recorded()
    hung = an_active(life=Life.HUNG)
    side.turn(0.0, active_case().peer)
    assert side.turn(1.0, active_case().peer, server=hung).rule.goal is Goal.FENCE
    side.turn(1.1, active_case().peer)
    assert side.told == side.meter.end(NOW + 2.0) == []
