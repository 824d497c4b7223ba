from __future__ import annotations

from itertools import islice

import pytest

import switchovers
from switchovers import LOADS, Load, Move

STEADY, FULL_SPEED = LOADS


@pytest.mark.parametrize(
    "load", [pytest.param(STEADY, id="steady"), pytest.param(FULL_SPEED, id="full speed", marks=pytest.mark.long)]
)
def test_switchovers_under_load_are_proven_and_lose_no_acknowledged_write(needs_lab: None, load: Load) -> None:
    moves = list(islice(switchovers.series(load, 4), 4))
    assert [move.fault for move in moves] == [""] * 4
    assert sum(move.lost for move in moves) == 0
    assert all(move.acked >= 2 * load.rows for move in moves)


def test_the_report_counts_what_was_lost_and_names_what_was_not_proven() -> None:
    moves = [Move(0.03, 200.0, 250, 0, ""), Move(0.05, 200.0, 250, 2, ""), Move(0.0, 0.0, 10, 0, "refused")]
    text = switchovers.report(LOADS[0], moves, [])
    assert "3 switchovers, 2 made and proven by barrier and term, 2 of 510 acknowledged writes lost" in text
    assert "median 40.0 ms (30.0-50.0)" in text
    assert "NOT PROVEN: refused" in text
