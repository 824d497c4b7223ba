"""A hundred thousand rows: a copy blocks both servers for seconds, and nobody takes a busy server for a dead one."""

from __future__ import annotations

import pytest

from story import (
    QUICK,
    MakeLab,
    assert_little_was_lost_and_all_is_kept,
    await_copy,
    await_pair,
    await_service,
    counter,
    undisturbed,
)

ROWS = 100_000
PATIENT = 180.0


@pytest.mark.long
def test_a_hundred_thousand_rows_are_copied_taken_over_and_given_back_and_nobody_is_taken_for_dead(
    lab: MakeLab,
) -> None:
    pair = lab(rows=ROWS, overrides=QUICK)
    pair.start_controller(rate=50, probe=PATIENT)
    pair.start()
    await_pair(pair, pair.sw1, PATIENT)
    with undisturbed(pair, rows=20):
        moves = counter(pair.sw1, "moves")
        pair.sw2.server.kill()
        pair.sw2.server.start(wait=False)
        await_copy(pair, pair.sw2, PATIENT)
        assert counter(pair.sw1, "moves") == moves, "the active side, which the copy stalls too, has not moved"
    pair.sw1.server.kill()
    await_service(pair, pair.sw2, PATIENT)
    assert pair.seeded <= pair.sw2.rows()
    terms = int(pair.sw2.global_config()["ovsha:term"])
    pair.sw1.server.start(wait=False)
    await_pair(pair, pair.sw1, PATIENT)
    assert int(pair.sw1.global_config()["ovsha:term"]) == terms + 1, "it moved once, when it was given back"
    assert pair.seeded <= pair.sw1.rows()
    assert_little_was_lost_and_all_is_kept(pair, pair.sw1)
