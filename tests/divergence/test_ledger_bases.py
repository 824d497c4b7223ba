"""A side is compared with what the other one held when the two parted."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import pytest

from ovsha.divergence import baseline
from ovsha.divergence.baseline import Baseline, choose


def base(term: int, node: str, origin: tuple[int, str] | None, token: tuple[int, int] | None = None) -> Baseline:
    return Baseline(term, node, origin, token, file=f"term{term}.db")


def planned(term: int, node: str, origin: tuple[int, str]) -> Baseline:
    return Baseline(term, node, origin, planned=True)


def test_a_failed_side_is_compared_with_what_the_survivor_took_over() -> None:
    took_over = base(6, "sw2", (5, "sw1"))
    choice = choose((5, "sw1"), (6, "sw2"), [base(5, "sw1", (4, "sw2"))], [took_over, planned(4, "sw2", (3, "sw1"))])
    assert choice is not None
    assert (choice.base, choice.of_peer) == (took_over, True)


def test_it_is_the_first_take_over_that_counts_even_if_more_followed() -> None:
    first = base(6, "sw2", (5, "sw1"))
    choice = choose((5, "sw1"), (8, "sw2"), [], [first, base(7, "sw2", (6, "sw2")), base(8, "sw2", (7, "sw2"))])
    assert choice is not None
    assert choice.base == first


def test_a_side_that_went_off_by_itself_is_compared_with_what_it_held_then() -> None:
    """sw1 served on in term 5 and opened term 7 when it met sw2, which had opened term 6."""
    went_off = base(6, "sw2", (5, "sw1"), (5, 40))
    choice = choose((6, "sw2"), (7, "sw1"), [went_off], [base(7, "sw1", (5, "sw1"), (5, 90)), base(5, "sw1", None)])
    assert choice is not None
    assert (choice.base, choice.of_peer) == (went_off, False)


def test_a_side_that_opened_a_term_of_its_own_after_a_crash_is_compared_with_what_the_other_took_over() -> None:
    """Both opened term 6 from term 5 of sw1, which had all of it; sw2 went on with term 7."""
    parted = base(6, "sw2", (5, "sw1"))
    choice = choose((6, "sw1"), (7, "sw2"), [base(6, "sw1", (5, "sw1"))], [parted, base(7, "sw2", (6, "sw2"))])
    assert choice is not None
    assert (choice.base, choice.of_peer) == (parted, True)


def test_after_a_planned_move_there_is_nothing_to_compare() -> None:
    choice = choose((5, "sw1"), (6, "sw2"), [], [planned(6, "sw2", (5, "sw1"))])
    assert choice is not None
    assert choice.planned


def test_a_survivor_that_went_on_with_older_data_than_it_had_is_compared_as_it_is_now() -> None:
    went_off = base(6, "sw2", (5, "sw1"), (5, 40))
    choice = choose((6, "sw2"), (7, "sw1"), [went_off], [base(7, "sw1", (5, "sw1"), (5, 12))])
    assert choice is not None
    assert choice.base is None
    assert "older data" in choice.why


def test_a_base_that_was_not_kept_is_said_to_be_missing_and_why() -> None:
    lost = replace(base(6, "sw2", (5, "sw1")), file=None, why="the file was compacted")
    choice = choose((5, "sw1"), (6, "sw2"), [], [lost])
    assert choice is not None
    assert choice.base is None
    assert "compacted" in choice.why


@pytest.mark.parametrize("peers", [[], [base(4, "sw2", (3, "sw1"))]])
def test_a_survivor_that_has_not_kept_its_base_yet_is_waited_for(peers: list[Baseline]) -> None:
    assert choose((5, "sw1"), (6, "sw2"), [], peers) is None


def test_lineages_without_a_common_past_cannot_be_compared_by_a_base() -> None:
    choice = choose((5, "sw1"), (6, "sw2"), [base(5, "sw1", None)], [base(6, "sw2", None)])
    assert choice is not None
    assert choice.base is None
    assert "no record leads" in choice.why


def test_a_base_is_read_as_it_was_written(tmp_path: Path) -> None:
    kept = base(6, "sw2", (5, "sw1"), (5, 40))
    baseline.save(tmp_path, kept)
    baseline.save(tmp_path, planned(7, "sw2", (6, "sw1")))
    assert baseline.load(tmp_path) == [kept, planned(7, "sw2", (6, "sw1"))]


def test_only_the_newest_bases_keep_their_data(tmp_path: Path) -> None:
    for term in range(1, 40):
        (tmp_path / f"term{term}.db").touch()
        baseline.save(tmp_path, base(term, "sw2", None))
    assert {path.name for path in tmp_path.glob("*.db")} == {"term37.db", "term38.db", "term39.db"}
    found = baseline.load(tmp_path)
    assert [each.term for each in found if each.file] == [37, 38, 39]
    assert len(found) == 10 * baseline.KEEP
    assert "removed" in found[0].why


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"term": 1}', '{"term": "1", "node": "sw1"}', '{"term": 1, "node": "a", "file": "../x"}']
)
def test_a_damaged_record_is_passed_over(tmp_path: Path, text: str) -> None:
    (tmp_path / "term1.json").write_text(text)
    assert baseline.load(tmp_path) == []


def test_a_record_says_all_that_a_base_is() -> None:
    assert set(asdict(base(1, "a", None))) == {"term", "node", "origin", "token", "planned", "file", "why"}
