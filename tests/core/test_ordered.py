"""Who ordered a move is known when it begins, and both sides still know it at its end, whatever happens between."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ovsha.core import damping, handover, turn
from ovsha.core.facts import Ask, Grant, Kind, Role, Stamp
from ovsha.core.situation import Situation
from ovsha.core.view import Memory
from tests.sim.pair import NODES, Pair, started, wait_for
from tests.support.views import NODE, PEER, a_peer, active_case, an_active, an_idle_peer, backup_case

ASKED, GIVEN = Ask("sw1-x-0", Kind.SWITCHOVER), Grant("sw1-x-0", Kind.SWITCHOVER, (3, 11), drained=True)
TAKEN = Ask("sw2-y-0", Kind.SWITCHOVER)


def counted(memory: Memory) -> bool:
    return bool(memory.moves)


def moves(pair: Pair) -> dict[str, int]:
    """Return how many moves without an order each side has counted."""
    agents = {node: host.agent for node, host in pair.hosts.items()}
    return {node: len(agent.memory.moves) if agent else 0 for node, agent in agents.items()}


def test_the_giver_knows_the_order_when_its_grant_has_ended_before_the_peer_serves() -> None:
    given = handover.advance(active_case(memory={"holder": NODE}, view={"record": asking()}))
    assert given.sent is Kind.SWITCHOVER
    later = replace(given, grant=None, ask=None)
    assert not counted(damping.count_move(backup_case(memory={"holder": NODE, "sent": later.sent})))


def asking() -> object:
    return an_idle_peer(
        source="tcp:169.254.0.9:9999", stamp=Stamp(3, NODE), in_sync_for=60.0, ask=TAKEN, term=3
    )


def test_the_taker_knows_the_order_when_its_ask_has_ended_before_it_serves() -> None:
    case = backup_case({"record": an_idle_peer(grant=GIVEN)}, {"holder": PEER, "ask": ASKED})
    sent = damping.order_noticed(case)
    assert sent.sent is Kind.SWITCHOVER
    begun = damping.order_begun(replace(case, memory=sent), "granted")
    assert (begun.by_order, begun.chosen) == (True, True)
    assert not counted(damping.count_move(active_case(memory={"holder": PEER, "by_order": begun.by_order})))


def test_the_word_of_the_side_that_serves_counts_and_an_older_agent_says_none() -> None:
    told = {word: counted(damping.count_move(seen_from(word))) for word in (True, False, None)}
    assert told == {True: False, False: True, None: True}
    assert not counted(damping.count_move(seen_from(None, sent=Kind.RESOLVE)))
    after = damping.count_move(seen_from(False, sent=Kind.SWITCHOVER))
    assert counted(after), "the crash came before the order was done"


def seen_from(by_order: bool | None, **memory: object) -> Situation:
    return backup_case({"record": a_peer(by_order=by_order)}, {"holder": NODE, **memory})


@pytest.mark.parametrize(("rule", "order"), [("forced", True), ("resolved", True), ("peer-dead", False)])
def test_a_side_that_serves_without_the_peer_knows_by_which_rule_it_began(rule: str, order: bool) -> None:
    assert damping.order_begun(backup_case(memory={"holder": PEER, "sent": Kind.SWITCHOVER}), rule).by_order is order


def test_a_side_that_has_only_just_started_does_not_claim_to_know() -> None:
    assert damping.order_begun(backup_case(), "granted").by_order is None


def test_an_order_is_over_when_the_old_holder_serves_on() -> None:
    stays = {"holder": PEER, "sent": Kind.SWITCHOVER, "by_order": True, "chosen": True}
    after = damping.order_noticed(backup_case(memory=stays))
    assert (after.sent, after.by_order, after.chosen) == (None, None, False)
    drains = backup_case({"record": an_idle_peer()}, stays)
    assert damping.order_noticed(drains).sent is Kind.SWITCHOVER, "nobody serves yet"


def test_the_restore_that_was_ordered_is_an_order_and_the_one_that_was_due_is_not() -> None:
    assert damping.order_kind(backup_case(memory={"restore": True}), Kind.RESTORE) is Kind.RESTORE
    assert damping.order_kind(backup_case(), Kind.RESTORE) is None


def test_the_stamp_says_that_the_side_was_chosen_although_the_ask_is_gone() -> None:
    settings = replace(active_case().view.settings, preferred=PEER)
    begun = {"holder": PEER, "ordered": Role.ACTIVE, "chosen": True, "by_order": True, "ask": None, "claim": 4}
    case = active_case({"settings": settings, "server": an_active(stamp=Stamp(3, PEER))}, begun)
    assert turn.turn(case.view, case.memory).opening == Stamp(4, NODE, chosen=True)


@pytest.mark.parametrize("trouble", ["nothing else", "latency", "loss", "agents restart", "orders refused"])
def test_ordered_switchovers_are_never_counted_and_the_restore_follows_a_crash(trouble: str) -> None:
    slow = {"latency": 0.3} if trouble == "latency" else {"loss": 0.2} if trouble == "loss" else {}
    pair = started(7, **slow)
    pair.refusals = 0.2 if trouble == "orders refused" else 0.0
    for number in range(12):
        target = NODES[1 - number % 2]
        move(pair, target)
        if trouble == "agents restart":
            again = NODES[number // 2 % 2]
            pair.agent_kill(again)
            pair.agent_start(again)
        wait_for(pair, lambda target=target: pair.settled(target), 20.0)  # type: ignore[misc]
    pair.refusals = 0.0
    assert moves(pair) == dict.fromkeys(NODES, 0)
    pair.server_kill("sw1")
    wait_for(pair, lambda: pair.serving() == ["sw2"], 10.0)
    assert set(moves(pair).values()) <= {0, 1}
    pair.server_start("sw1")
    wait_for(pair, lambda: pair.settled("sw1"), 20.0)


def move(pair: Pair, target: str) -> None:
    """Order the service to `target` until the order is taken and the service is there."""

    def there() -> bool:
        if pair.serving() != [target] and all(host.agent and not under_way(host.agent) for host in pair.hosts.values()):
            pair.switchover(target)
        return pair.serving() == [target]

    wait_for(pair, there, 30.0)


def under_way(agent: object) -> bool:
    memory: Memory = agent.memory  # type: ignore[attr-defined]
    return any((memory.ask, memory.grant, memory.wanted, memory.offer))


def test_a_crash_after_an_order_that_came_to_nothing_is_counted_on_both_sides() -> None:
    pair = started(3)
    pair.switchover("sw2")
    for node in NODES:
        pair.recall(node)
    pair.run(5.0)
    if pair.serving() == ["sw2"]:
        move(pair, "sw1")
    wait_for(pair, lambda: pair.settled("sw1"), 10.0)
    pair.server_kill("sw1")
    wait_for(pair, lambda: pair.serving() == ["sw2"], 10.0)
    pair.run(1.0)
    assert moves(pair) == dict.fromkeys(NODES, 1)
