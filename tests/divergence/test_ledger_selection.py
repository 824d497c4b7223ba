"""What a replay may touch: no row goes unasked, and a doubt is added by name and never written over anything."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from ovsha.divergence import replay, replay_check
from ovsha.divergence.compare import Entry, Kind, difference, doubts
from ovsha.divergence.replay import Plan
from ovsha.divergence.replay_check import Judged, Selection, Verdict, judge, questions
from ovsha.errors import UsageError
from ovsha.ovsdb.contents import Table, tables

SWITCH, SET, OTHER_SET = (f"{letter * 8}-0000-4000-8000-000000000000" for letter in "abc")
REFERENCE = {"type": {"key": {"type": "uuid", "refTable": "Physical_Locator_Set"}}}
SCHEMA: dict[str, Table] = tables(
    {
        "tables": {
            "Mcast_Macs_Remote": {"isRoot": True, "columns": {"MAC": {"type": "string"}, "locator_set": REFERENCE}},
            "Physical_Locator_Set": {"columns": {"locators": {"type": {"key": "string", "min": 0}}}},
            "Logical_Switch": {"isRoot": True, "columns": {"name": {"type": "string"}}},
        }
    }
)
INSERTED = Entry("Logical_Switch", "1111", Kind.INSERTED, {"name": "new"}, None)
CHANGED = Entry("Logical_Switch", "2222", Kind.CHANGED, {"name": "now"}, {"name": "then"})
DELETED = Entry("Logical_Switch", "3333", Kind.DELETED, None, {"name": "gone"})
DOUBT = Entry("Logical_Switch", "4444", Kind.DOUBT, {"name": "perhaps"}, None)
DIFFERS = Entry("Logical_Switch", "5555", Kind.DOUBT, {"name": "perhaps"}, {"name": "otherwise"})
DROPS = Entry(
    "Mcast_Macs_Remote", "6666", Kind.CHANGED,
    {"MAC": "m", "locator_set": ["uuid", SET]}, {"MAC": "m", "locator_set": ["uuid", OTHER_SET]},
)  # fmt: skip
EVERY = (INSERTED, CHANGED, DELETED, DOUBT, DIFFERS, DROPS)


def allowed(wanted: Selection) -> list[Entry]:
    return [entry for entry in EVERY if not wanted.hindrance(entry, SCHEMA)]


def test_without_a_word_what_is_sure_is_replayed_and_no_row_goes() -> None:
    assert allowed(Selection()) == [INSERTED, CHANGED]
    assert allowed(Selection(deletions=True)) == [INSERTED, CHANGED, DELETED, DROPS]


def test_what_is_named_is_replayed_and_nothing_else_and_still_no_row_goes() -> None:
    names = frozenset(entry.uuid for entry in EVERY)
    assert allowed(Selection(named=names)) == [INSERTED, CHANGED, DOUBT, DIFFERS]
    assert allowed(Selection(named=frozenset({"4444"}), deletions=True)) == [DOUBT]


def test_what_was_brought_back_before_is_no_more_sure() -> None:
    names = frozenset(entry.uuid for entry in EVERY)
    assert allowed(Selection(deletions=True, tried=names)) == []
    assert allowed(Selection(named=names, deletions=True, tried=names)) == [INSERTED]


@pytest.mark.parametrize("found", [None, {"name": "perhaps"}, {"name": "otherwise"}, {"name": "third"}], ids=str)
@pytest.mark.parametrize("entry", [DOUBT, DIFFERS], ids=["not there", "otherwise"])
def test_a_doubt_is_inserted_where_nothing_is_and_otherwise_left(entry: Entry, found: dict[str, Any] | None) -> None:
    rows = [] if found is None else [{"_uuid": ["uuid", entry.uuid], **found}]
    inserted = {entry.uuid: entry.uuid}
    asked = [(question, rows) for question in questions(entry, SCHEMA["Logical_Switch"], inserted)]
    told = judge(entry, SCHEMA["Logical_Switch"], asked, inserted)
    wanted = Verdict.REPLAY if found is None else Verdict.THERE if found == entry.row else Verdict.MOVED
    assert told.verdict is wanted
    done = {each["op"] for each in replay.operations(Plan((told,), SCHEMA), "one", keep=True)}
    assert done - {"wait", "comment", "commit"} == ({"insert"} if found is None else set())


def test_every_row_that_is_written_is_waited_for_in_the_same_transaction() -> None:
    rows = tuple(Judged(entry, Verdict.REPLAY, columns=entry.changed) for entry in EVERY)
    acts = [each for each in replay.operations(Plan(rows, SCHEMA), "one", keep=True) if "table" in each]
    waits = [each["where"][0][2][1] for each in acts if each["op"] == "wait" and each["timeout"] == 0]
    assert sorted(waits) == sorted(entry.uuid for entry in EVERY)
    first = [each["op"] for each in acts]
    assert first == ["wait"] * len(waits) + [word for word in first if word != "wait"]


def test_rows_that_only_the_survivor_has_are_no_doubts() -> None:
    values = (None, "{}", '{"name":"a"}')
    for base, ours in itertools.product(values, values):
        before, after = ({} if text is None else {"u": text} for text in (base, ours))
        found = list(doubts(difference({"T": before}, {"T": after})))
        assert [entry.kind for entry in found] == ([Kind.DOUBT] if ours is not None and ours != base else [])


def test_a_row_is_named_by_a_beginning_that_no_other_has() -> None:
    entries = [Entry("T", uuid, Kind.DOUBT, {}, None) for uuid in (SWITCH, SET, f"{SET[:-1]}1")]
    assert replay_check.named(entries, [SWITCH[:4].upper(), f" {SET}"]) == {SWITCH, SET}
    with pytest.raises(UsageError, match="2 rows of the ledger begin so"):
        replay_check.named(entries, ["bbbb"])
    with pytest.raises(UsageError, match="no row"):
        replay_check.named(entries, ["aaa"])
