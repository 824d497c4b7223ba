"""Moves that nobody ordered are counted, and too many of them end the giving back; a failover is never held."""

from __future__ import annotations

from dataclasses import replace

from ovsha.core import damping, handover, turn
from ovsha.core.facts import Copy, Kind, Life, Source
from ovsha.core.situation import Situation
from ovsha.core.view import Memory
from tests.support.views import BACKUP_VIEW, MEMORY, NODE, NOW, PEER, a_peer, active_case, an_idle_peer, backup_case

LIMIT, WINDOW = BACKUP_VIEW.settings.move_limit, BACKUP_VIEW.settings.move_window
MANY = tuple(NOW - 100 + moment for moment in range(LIMIT))


def moves(case: Situation) -> tuple[float, ...]:
    return damping.count_move(case).moves


def test_the_first_holder_that_is_seen_is_no_move() -> None:
    memory = damping.count_move(backup_case())
    assert (memory.holder, memory.moves) == (PEER, ())


def test_a_change_of_the_holder_is_a_move_on_either_side() -> None:
    assert moves(backup_case(memory={"holder": NODE})) == (NOW,)
    assert moves(active_case(memory={"holder": PEER})) == (NOW,)
    assert moves(active_case(memory={"holder": NODE})) == ()


def test_what_an_operator_ordered_does_not_count() -> None:
    assert moves(active_case(memory={"holder": PEER, "by_order": True})) == ()
    assert moves(active_case(memory={"holder": PEER, "sent": Kind.SWITCHOVER})) == ()
    assert moves(active_case(memory={"holder": PEER, "by_order": False})) == (NOW,)


def test_nobody_serving_for_a_while_is_no_move() -> None:
    idle = damping.count_move(backup_case({"record": an_idle_peer()}, {"holder": NODE}))
    assert (idle.holder, idle.moves) == (NODE, ())


def test_moves_are_held_from_the_limit_on_until_the_oldest_is_out_of_the_window() -> None:
    assert damping.held_for(backup_case(memory={"moves": MANY[1:]})) is None
    assert damping.held_for(backup_case(memory={"moves": MANY})) == WINDOW - 100
    assert damping.held_for(backup_case({"now": MANY[0] + WINDOW}, {"moves": MANY})) is None


def due_for_restore(memory: Memory) -> Situation:
    peer = a_peer(preferred=NODE)
    view = replace(BACKUP_VIEW, record=peer, copy=Copy(in_sync_for=1000.0, lag=0.0))
    return backup_case({"record": view.record, "copy": view.copy}, {"moves": memory.moves})


def test_a_restore_is_held_and_a_failover_is_not() -> None:
    assert handover.wish(due_for_restore(MEMORY)) is Kind.RESTORE
    assert handover.wish(due_for_restore(replace(MEMORY, moves=MANY))) is None
    crashed = backup_case({"record": an_idle_peer(life=Life.DOWN), "source": Source(closed=True)}, {"moves": MANY})
    assert turn.turn(crashed.view, crashed.memory).rule.name == "peer-cannot"
