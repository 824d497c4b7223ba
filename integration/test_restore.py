"""The service moves while both sides live, back to its preferred side or where an operator wants it, without loss."""

from __future__ import annotations

import json
import time

import history
from lab import Lab
from story import (
    LIMIT,
    MakeLab,
    acks,
    assert_little_was_lost_and_all_is_kept,
    await_every_row,
    await_pair,
    await_rows,
    await_service,
    await_word,
    begin,
    in_sync,
    lost,
    named,
    seconds_with_two,
    status,
    undisturbed,
)
from topology import SW1, SW2

NO_RESTORE = {"restore": {"mode": "manual"}}


def sessions(pair: Lab) -> list[str]:
    """Return from which switch each session with the controller came, in their order."""
    return [event.fields["switch"] for event in history.read(pair.controller_events_file) if event.kind == "accepted"]


def test_the_preferred_side_gets_the_service_back_once_after_being_in_sync_for_the_delay(lab: MakeLab) -> None:
    delay = 2.0
    pair = begin(lab, rate=200, overrides={"restore": {"delay": delay}})
    pair.sw1.server.kill()
    await_service(pair, pair.sw2)
    before = len(sessions(pair))
    pair.sw1.server.start()
    pair.wait_until(lambda: pair.sw1.replicates_from(), LIMIT, "sw1 follows")
    following = time.monotonic()
    await_pair(pair, pair.sw1)
    restored = next(ack.t for ack in acks(pair) if ack.t > following and ack.switch == pair.sw1.management_address)
    # It may have followed for up to one look at the server's answer before it was seen here.
    assert restored - following > delay - 0.5
    await_rows(pair, 200)
    assert len(sessions(pair)) == before + 1, "it moved once"
    assert_little_was_lost_and_all_is_kept(pair, pair.sw1)
    written_on_sw2 = [ack for ack in acks(pair) if ack.switch == pair.sw2.management_address]
    assert len(written_on_sw2) > 200
    assert not history.missing(written_on_sw2, pair.sw1.rows()), "what sw2 had acknowledged has come along"
    assert seconds_with_two(pair) == 0


def test_with_a_manual_restore_the_service_stays_until_an_operator_moves_it(lab: MakeLab) -> None:
    pair = begin(lab, overrides=NO_RESTORE)
    pair.sw1.server.kill()
    await_service(pair, pair.sw2)
    pair.sw1.server.start()
    await_pair(pair, pair.sw2)
    pair.wait_until(lambda: in_sync(pair), LIMIT, "the pair is in sync")
    with undisturbed(pair, rows=250):
        assert status(pair.sw1)["preferred"]["restore"] == "manual"
    switch_over(pair, SW1)
    await_pair(pair, pair.sw1)


def test_a_switchover_there_and_back_loses_nothing_under_load_and_the_service_stays_where_it_was_put(
    lab: MakeLab,
) -> None:
    pair = begin(lab, rate=200, overrides={"restore": {"delay": 0.3}})
    for target in (SW2, SW1, SW2, SW1, SW2):
        pair.wait_until(lambda: in_sync(pair), LIMIT, "the pair is in sync")
        await_rows(pair, 50)
        answer = switch_over(pair, target)
        assert (answer["moved"], answer["to"]) == (True, target)
        await_pair(pair, named(pair, target))
        await_every_row(pair, named(pair, target))
        assert lost(pair, named(pair, target)) == []
    with undisturbed(pair, rows=250):
        assert status(pair.sw1)["preferred"] == {
            "node": SW2,
            "configured": SW1,
            "chosen": True,
            "restore": "automatic",
        }
    assert seconds_with_two(pair) == 0


def switch_over(pair: Lab, target: str) -> dict[str, object]:
    """Order the move from sw1, wherever it goes to; return what the command line prints."""
    done = pair.sw1.ovsha("switchover", "--yes", "--to", target, "--json")
    assert done.returncode == 0, done.stderr
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


def test_a_switchover_to_the_serving_side_moves_nothing(lab: MakeLab) -> None:
    pair = begin(lab)
    with undisturbed(pair):
        assert switch_over(pair, SW1)["moved"] is False


def test_a_switchover_to_a_side_that_cannot_serve_is_refused_in_one_line_and_moves_nothing(lab: MakeLab) -> None:
    pair = begin(lab, overrides=NO_RESTORE)
    with undisturbed(pair):
        pair.sw2.server.freeze()
        await_word(pair, pair.sw2, "-> fault")
        frozen = pair.sw1.ovsha("switchover", "--yes", "--to", SW2)
        pair.sw2.server.kill()
        pair.sw2.agent.kill()
        await_word(pair, pair.sw1, "the peer is silent")
        alone = pair.sw1.ovsha("switchover", "--yes", "--to", SW2)
        stranger = pair.sw1.ovsha("switchover", "--yes", "--to", "sw3")
    for refused, code in ((frozen, 1), (alone, 1), (stranger, 2)):
        assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (code, "", 1), refused
        assert refused.stderr.startswith("ovsha: ")


def test_a_chosen_side_that_fails_and_returns_gives_way_to_the_preferred_one(lab: MakeLab) -> None:
    pair = begin(lab, overrides={"restore": {"delay": 0.5}})
    pair.wait_until(lambda: in_sync(pair), LIMIT, "the pair is in sync")
    switch_over(pair, SW2)
    await_pair(pair, pair.sw2)
    pair.sw2.server.kill()
    await_service(pair, pair.sw1)
    pair.sw2.server.start()
    await_pair(pair, pair.sw1)
    with undisturbed(pair, rows=150):
        assert status(pair.sw1)["preferred"]["node"] == SW1
