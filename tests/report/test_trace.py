"""What is remembered of a decision survives JSON whole, and leads to the same decision again."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any, get_type_hints

import pytest
from hypothesis import given

from ovsha import codec
from ovsha.core import turn as turns
from ovsha.core.view import Memory, Settings, View
from ovsha.report import trace
from ovsha.report.trace import Entry, Trace
from tests.support.views import NOW, SETTINGS, a_copy, backup_case, memories, views


def noted(view: View, memory: Memory) -> Entry:
    """Return the entry that a turn on these leaves."""
    kept = Trace()
    kept.note(1.6e9, view, memory, turns.turn(view, memory))
    (entry,) = kept.entries()
    return entry


def through_json(entry: Entry) -> Entry:
    return trace.from_plain(json.loads(json.dumps(trace.to_plain(entry))))


def steady(now: float = NOW, **changed: Any) -> View:
    return replace(backup_case().view, now=now, **changed)


MEMORY = backup_case().memory


@given(views, memories)
def test_an_entry_survives_the_journey(view: View, memory: Memory) -> None:
    entry = noted(view, memory)
    assert through_json(entry) == entry


@given(views, memories)
def test_the_facts_of_an_entry_lead_to_its_decision_again(view: View, memory: Memory) -> None:
    entry = through_json(noted(view, memory))
    assert trace.replay(entry) == turns.turn(view, memory)
    assert trace.holds(entry)


def test_a_changed_decision_is_found_out() -> None:
    entry = noted(steady(), MEMORY)
    assert not trace.holds(replace(entry, outcome=replace(entry.outcome, rule="split-won")))
    assert not trace.holds(replace(entry, why="because"))


@pytest.mark.parametrize("kind", [View, Memory, Settings])
def test_every_field_that_a_decision_is_taken_on_can_be_carried(kind: type) -> None:
    hints = get_type_hints(kind)
    assert all(callable(codec._reader(hints[field.name])) for field in fields(kind))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("path", "value", "complaint"),
    [
        (("number",), True, "number: True is not of type int"),
        (("at",), "now", "at: 'now' is not of type float"),
        (("view",), [], "view: [] is no View"),
        (("view", "server", "life"), "merry", "view: server: life: 'merry' is not a valid Life"),
        (("view", "server", "token"), [1, 2, 3], "view: server: token: [1, 2, 3] is no list of 2"),
        (("view", "server", "token"), [1, "2"], "view: server: token: '2' is not of type int"),
        (("memory", "met"), 1, "memory: met: 1 is not of type bool"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_is_not_usable_is_named_by_its_field(path: tuple[str, ...], value: Any, complaint: str) -> None:
    whole = trace.to_plain(noted(steady(), MEMORY))
    place = whole
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    with pytest.raises(ValueError, match="^" + complaint.replace("[", r"\[")):
        trace.from_plain(whole)


def test_a_missing_field_is_named_and_an_unknown_one_passed_over() -> None:
    whole = trace.to_plain(noted(steady(), MEMORY))
    assert trace.from_plain({**whole, "colour": "red"}) == trace.from_plain(whole)
    del whole["memory"]
    with pytest.raises(ValueError, match="memory"):
        trace.from_plain(whole)


def test_only_changes_are_kept_and_the_very_last_turn() -> None:
    kept = Trace()
    away = replace(a_copy(), role=None)
    for turn, view in enumerate([steady(), steady(NOW + 1), steady(NOW + 2, server=away), steady(NOW + 3)], 1):
        kept.note(1.6e9 + turn, view, MEMORY, turns.turn(view, MEMORY))
    for turn in range(5, 50):
        kept.note(1.6e9 + turn, steady(NOW + turn), MEMORY, turns.turn(steady(NOW + turn), MEMORY))
    assert [entry.number for entry in kept.entries()] == [1, 3, 4, 49]
    assert [entry.number for entry in kept.entries(after=3)] == [4, 49]
    assert [entry.at - 1.6e9 for entry in kept.entries()] == [1, 3, 4, 49]


def test_the_oldest_changes_are_forgotten_first() -> None:
    kept = Trace(size=3)
    for turn in range(10):
        view = steady(NOW + turn, server=replace(a_copy(), role=None)) if turn % 2 else steady(NOW + turn)
        kept.note(0.0, view, MEMORY, turns.turn(view, MEMORY))
    assert [entry.number for entry in kept.entries()] == [8, 9, 10]
    assert Trace().entries() == []


def test_settings_are_part_of_an_entry() -> None:
    whole = trace.to_plain(noted(steady(), MEMORY))
    assert whole["view"]["settings"]["node"] == SETTINGS.node
