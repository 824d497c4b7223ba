"""A ledger on the shelf is whole, and is there until somebody has decided on it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ovsha.divergence import ledger
from ovsha.divergence.compare import Entry, Kind
from ovsha.divergence.ledger import Head
from ovsha.errors import DriverError

HEAD = Head("20261121T070000Z-term5", "sw1", 5, "sw2", 6, "2026-11-21T07:00:00Z", "one.db", 99, "hardware_vtep",
            base="term6.db")  # fmt: skip
ENTRIES = [
    Entry("Ucast_Macs_Remote", "u1", Kind.INSERTED, {"MAC": "a"}, None),
    Entry("Ucast_Macs_Remote", "u2", Kind.CHANGED, {"MAC": "b"}, {"MAC": "c"}),
    Entry("Ucast_Macs_Remote", "u3", Kind.DELETED, None, {"MAC": "d"}),
    Entry("Ucast_Macs_Remote", "u4", Kind.DELETED, None, {"MAC": "e"}),
]


def test_a_ledger_is_read_as_it_was_written(tmp_path: Path) -> None:
    head = ledger.add(tmp_path, HEAD, ENTRIES)
    assert head.counts == {"inserted": 1, "changed": 1, "deleted": 2}
    assert ledger.heads(tmp_path) == ([head], [])
    assert ledger.entries(tmp_path, head.id) == ENTRIES
    assert all(path.stat().st_mode & 0o077 == 0 for path in tmp_path.iterdir()), "it is nobody else's business"


def test_a_ledger_without_a_row_is_not_kept(tmp_path: Path) -> None:
    ledger.add(tmp_path, HEAD, [])
    assert list(tmp_path.iterdir()) == []


def test_a_comparison_that_failed_is_kept_without_rows(tmp_path: Path) -> None:
    ledger.add(tmp_path, replace(HEAD, failed="no ovsdb-tool"), [])
    assert [head.failed for head in ledger.heads(tmp_path)[0]] == ["no ovsdb-tool"]


def test_an_open_ledger_is_never_removed_and_settled_ones_make_room(tmp_path: Path) -> None:
    for number in range(2 * ledger.KEEP):
        head = ledger.add(tmp_path, replace(HEAD, id=f"{number:02}"), ENTRIES)
        if number % 2:
            ledger.update(tmp_path, replace(head, replayed={"when": "now", "rows": 4}))
    ledger.update(tmp_path, replace(ledger.add(tmp_path, replace(HEAD, id="98"), ENTRIES), dismissed={"reason": "x"}))
    heads, _ = ledger.heads(tmp_path)
    assert sum(head.open for head in heads) == ledger.KEEP
    settled = [head.id for head in heads if not head.open]
    assert settled == [f"{number:02}" for number in range(3, 2 * ledger.KEEP, 2)] + ["98"]
    assert not (tmp_path / "01.rows").exists()


def test_a_damaged_head_is_named_and_hides_no_other(tmp_path: Path) -> None:
    ledger.add(tmp_path, HEAD, ENTRIES)
    for name, text in (("a", "{"), ("b", "[]"), ("c", '{"version": 9}'), ("d", '{"version": 1, "id": "d"}')):
        (tmp_path / f"{name}.json").write_text(text)
    heads, troubles = ledger.heads(tmp_path)
    assert [head.id for head in heads] == [HEAD.id]
    assert len(troubles) == 4


def test_damaged_rows_are_refused(tmp_path: Path) -> None:
    head = ledger.add(tmp_path, HEAD, ENTRIES)
    (tmp_path / f"{head.id}.rows").write_text('{"table": "Global"}\n')
    with pytest.raises(DriverError, match="is damaged"):
        ledger.entries(tmp_path, head.id)


def test_a_ledger_is_picked_by_a_beginning_that_no_other_has() -> None:
    heads = [replace(HEAD, id=ident) for ident in ("2026a-term5", "2026a-term5+", "2027-term9")]
    assert ledger.pick(heads, "2027").id == "2027-term9"
    assert ledger.pick(heads, "2026a-term5").id == "2026a-term5", "the whole name is meant even if another begins so"
    with pytest.raises(DriverError, match="more than one"):
        ledger.pick(heads, "2026")
    with pytest.raises(DriverError, match="none of that name"):
        ledger.pick(heads, "3")


# -- what is not known -------------------------------------------------------------------------------------------------

OF_AN_EARLIER_RELEASE = (
    {"exact": False, "base": None, "why": "the agent at 169.254.0.9 does not answer"},
    {"exact": False, "base": "term6.db", "why": "the file of sw1 was compacted"},
    {"exact": True, "base": None},
    {"exact": "yes", "base": "term6.db"},
    {"base": None},
)


@pytest.mark.parametrize("said", OF_AN_EARLIER_RELEASE, ids=str)
def test_what_an_earlier_release_compared_without_a_base_is_read_as_doubts(
    tmp_path: Path, said: dict[str, object]
) -> None:
    ledger.add(tmp_path, HEAD, ENTRIES)
    path = tmp_path / f"{HEAD.id}.json"
    head = json.loads(path.read_text())
    del head["exact"]
    path.write_text(json.dumps({**head, "why": "", **said}))
    for _ in range(2):
        ((found,), troubles) = ledger.heads(tmp_path)
        assert (found.exact, troubles) == (False, [])
        assert found.why
        assert found.counts == {"inserted": 0, "changed": 0, "deleted": 0, "doubt": 2}
        rows = ledger.meant(found, ledger.entries(tmp_path, HEAD.id))
        assert [(entry.kind, entry.uuid) for entry in rows] == [(Kind.DOUBT, "u1"), (Kind.DOUBT, "u2")]
        ledger.update(tmp_path, found)  # as when somebody decides on it


def test_a_ledger_of_an_earlier_release_that_lists_only_what_the_survivor_wrote_since_is_not_open(
    tmp_path: Path,
) -> None:
    ledger.add(tmp_path, HEAD, ENTRIES[2:])
    path = tmp_path / f"{HEAD.id}.json"
    path.write_text(path.read_text().replace('"exact": true', '"exact": false'))
    assert [(head.open, head.left) for head in ledger.heads(tmp_path)[0]] == [(False, 0)]


@pytest.mark.parametrize("counts", [[1], {"inserted": "1"}, {"inserted": None}, 7], ids=str)
def test_counts_that_are_none_are_a_damage(tmp_path: Path, counts: object) -> None:
    ledger.add(tmp_path, HEAD, ENTRIES)
    path = tmp_path / f"{HEAD.id}.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "counts": counts}))
    assert [len(found) for found in ledger.heads(tmp_path)] == [0, 1]


def test_a_ledger_is_open_until_nothing_of_it_is_left(tmp_path: Path) -> None:
    head = ledger.add(tmp_path, HEAD, ENTRIES)
    part = replace(head, replayed={"when": "now", "rows": 3, "left": 1})
    assert (part.open, part.left) == (True, 1)
    assert not replace(part, dismissed={"reason": "x"}).open
    assert not replace(head, replayed={"when": "now", "rows": 4}).open, "an earlier release replayed all or nothing"
    assert replace(HEAD, exact=False, failed="no ovsdb-tool").open


def test_what_was_tried_is_kept_as_long_as_the_ledger(tmp_path: Path) -> None:
    head = ledger.add(tmp_path, HEAD, ENTRIES)
    assert ledger.tried(tmp_path, head.id) == frozenset()
    ledger.note_tried(tmp_path, head.id, {"u2", "u1"})
    assert ledger.tried(tmp_path, head.id) == {"u1", "u2"}
    assert ledger.heads(tmp_path)[0] == [head]
