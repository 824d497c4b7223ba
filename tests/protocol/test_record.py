"""A record comes out of a heartbeat as it went in, and what cannot be read of it makes its field absent."""

from __future__ import annotations

import contextlib
import json
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovsha.core.facts import Ask, Grant, Kind, Life, MlagRole, Mode, Record, Role, Stamp, State
from ovsha.protocol import record as codec
from ovsha.protocol.record import SHED, WORDS, YOUNGER, from_plain, read, to_plain, urgent
from ovsha.protocol.seal import MAX_PACKET, Echo, Hello, Message, TooLarge, pack

words = st.text(max_size=20)
numbers = st.integers(0, 2**40)
ages = st.none() | st.integers(0, 10**6).map(lambda thousandths: thousandths / 1000)
tokens = st.none() | st.tuples(numbers, numbers)
records = st.builds(
    Record,
    node=words, state=st.sampled_from(State), term=numbers, life=st.sampled_from(Life),
    role=st.none() | st.sampled_from(Role), source=st.none() | words, serving=st.booleans(),
    stamp=st.none() | st.builds(Stamp, numbers, words, st.booleans()), token=tokens, in_sync_for=ages, lag=ages,
    mlag=st.none() | st.sampled_from(MlagRole), link_up=st.none() | st.booleans(), lapsed=st.booleans(),
    cut_off=st.booleans(), controllers=numbers, ask=st.none() | st.builds(Ask, words, st.sampled_from(Kind)),
    grant=st.none() | st.builds(Grant, words, st.sampled_from(Kind), tokens, st.booleans()), refusal=words,
    reason=words, upgrade=ages, upgraded=ages, behind=ages, by_order=st.none() | st.booleans(), words=numbers,
)  # fmt: skip


@given(records)
def test_record_survives_the_journey(record: Record) -> None:
    assert from_plain(json.loads(json.dumps(to_plain(record)))) == record


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("state", "resting"), ("term", "7"), ("term", True), ("stamp", [1]), ("stamp", {"term": 1}),
        ("token", [1, "2"]), ("mode", "asleep"), ("mlag", "third"), ("words", "many"), ("why", 7), ("by_order", "yes"),
        ("ask", ["x", "whim"]), ("lag", -1), ("lag", float("inf")), ("lag", "soon"), ("lag", 10**400),
        ("grant", ["x", "whim", [1, 2], True]), ("grant", ["x", "start", [1], True]), ("role", []), ("life", None),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_read_makes_its_field_absent_and_never_the_record(field: str, value: object) -> None:
    record, unread = read({"node": "sw1", "serving": True, field: value})
    assert record == Record("sw1", serving=True)
    assert [line.split()[0] for line in unread] == [field]
    assert len(unread[0]) < 60


def test_a_side_of_which_it_cannot_be_read_whether_it_serves_is_taken_to_serve() -> None:
    assert read({"node": "sw1", "serving": "in a way"})[0].serving


@pytest.mark.parametrize("node", [5, None, ["sw1"], {}])
def test_a_record_is_refused_whose_node_is_no_name(node: object) -> None:
    with pytest.raises(ValueError, match=r"^node: "):
        from_plain({"node": node})


FIRST = {
    State: {"init", "backup", "active", "fault", "needs-decision"},
    Life: {"up", "busy", "hung", "down", "unknown"},
    Role: {"active", "backup"},
    MlagRole: {"primary", "secondary"},
    Mode: {"active", "paused", "advise"},
    Kind: {"switchover", "restore", "link-cut", "start", "resolve"},
}
"""The words that the first release reads; it drops a record that has any other, and goes on by what it last read."""


def test_a_word_that_the_first_release_cannot_read_is_named_as_younger() -> None:
    new = {word for kind, known in FIRST.items() for word in kind if word.value not in known}
    assert new == set(YOUNGER), "name it in YOUNGER, with a WORDS that is one higher"
    assert all(0 < since <= WORDS for since in YOUNGER.values())


@pytest.mark.parametrize(
    ("said", "field"),
    [(Record("sw1", state=State.FAULT), "state"), (Record("sw1", ask=Ask("x", Kind.RESTORE)), "ask"),
     (Record("sw1", grant=Grant("x", Kind.RESTORE)), "grant")],
    ids=["state", "ask", "grant"],
)  # fmt: skip
def test_a_side_is_not_told_words_that_it_cannot_read(
    said: Record, field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert field in to_plain(said, reads=0)
    monkeypatch.setattr(codec, "YOUNGER", {State.FAULT: 7, Kind.RESTORE: 7})
    assert field in to_plain(said, reads=7)
    assert to_plain(said, reads=6) == {"node": "sw1"}


def sealed(name: str, record: Record) -> int:
    """Return the size of the packet that carries this record between two nodes, and a pair, of such a name."""
    message = Message(
        name, name, "deadbeef", 10**10, "backup-path", 10**15, Echo("deadbeef", 10**10, 10**10, 10**6),
        Hello("deadbeef", 10**10), to_plain(record), {"peer-link": 10**10}, "ab" * 16,
    )  # fmt: skip
    return len(pack(message, bytes(32)))


def largest(name: str, **texts: str) -> Record:
    """Return a record with every field at its longest."""
    return Record(
        name, state=State.NEEDS_DECISION, term=10**9, life=Life.BUSY, role=Role.BACKUP,
        source="tcp:[fe80::ffff:ffff:ffff:ffff]:65535", replicating=True, serving=True, vip=True, listener=True,
        managers=True, stamp=Stamp(10**9, name, True), token=(10**9, 10**9), empty=False, in_sync_for=10**8 + 0.123,
        lag=10**4 + 0.123, mlag=MlagRole.SECONDARY, link_up=False, preferred=name, lapsed=False, cut_off=True,
        controllers=10, vteps=100, active_for=10**8 + 0.123, uptime=10**8 + 0.123, cells=10**9,
        offer="operator-deadbeef", keep=name,
        grant=Grant(f"{name}-deadbeef-{10**6}", Kind.SWITCHOVER, (10**9, 10**9), True), estranged=True,
        mac="44:38:39:00:00:09", mode=Mode.PAUSED, mode_left=10**5 + 0.123, restore=True,
        upgrade=10**7 + 0.123, upgraded=10**6 + 0.123, undriven=True, by_order=False, words=WORDS, **texts,
    )  # fmt: skip


def test_the_largest_record_fits_a_packet_once_its_texts_are_shed_and_with_usual_names_all_of_them_fit() -> None:
    # A side that has granted has no ask of its own and tells of no client's write, and none is behind that is in sync.
    # One that says goodbye offers nothing any more.
    unset = {each.name for each in fields(Record) if getattr(largest("n"), each.name) == each.default}
    last = ("mode_left", "upgraded", "uptime", "mac", "lag", "listener", "managers", "by_order", "words", "behind")
    assert unset | {*last} == {"ask", "goodbye", "overwritten", *SHED[-2]}, "a new field belongs into the largest one"
    assert SHED[-2] == ("trouble", "why", "refusal", "decision", "reason", *last)
    longest = largest("n" * 63)
    spare = set(SHED[-1]) - set(SHED[-2])
    shed = replace(longest, **{name: getattr(Record("n"), name) for name in (*last, *spare)})
    assert sealed("n" * 63, shed) <= MAX_PACKET
    far = 2**61
    grant = Grant(f"{'n' * 63}-deadbeef-{10**6}", Kind.SWITCHOVER, (far, far), True)
    beyond = replace(shed, term=far, stamp=Stamp(far, "n" * 63), token=(far, far), grant=grant)
    assert sealed("n" * 63, beyond) <= MAX_PACKET
    assert sealed("n" * 63, replace(shed, offer=None, goodbye=True)) <= MAX_PACKET
    assert sealed("leaf-01", largest("leaf-01", decision="x" * 200, refusal="x" * 11)) <= MAX_PACKET
    with pytest.raises(TooLarge):
        sealed("n" * 63, largest("n" * 63, why="x" * 120, trouble="x" * 160))


@pytest.mark.parametrize(
    "changed",
    [{"state": State.ACTIVE}, {"serving": True}, {"stamp": Stamp(3, "sw1")}, {"ask": Ask("x", Kind.RESTORE)},
     {"grant": Grant("x", Kind.RESTORE)}, {"offer": "x"}, {"in_sync_for": 0.0}, {"refusal": "x"}, {"keep": "sw1"},
     {"role": Role.ACTIVE}, {"life": Life.DOWN}],
    ids=str,
)  # fmt: skip
def test_what_the_peer_waits_for_is_sent_at_once(changed: dict[str, Any]) -> None:
    assert urgent(replace(Record("sw1"), **changed)) != urgent(Record("sw1"))


def test_what_changes_all_the_time_waits_for_the_next_heartbeat() -> None:
    synced = Record("sw1", in_sync_for=1.0)
    assert urgent(replace(synced, in_sync_for=2.0, token=(3, 2), lag=0.5, uptime=9.0, why="x")) == urgent(synced)


def test_record_without_a_node_is_refused() -> None:
    with pytest.raises(ValueError, match="node: is missing"):
        from_plain({})


def test_field_of_a_later_release_is_passed_over() -> None:
    assert from_plain({"node": "sw1", "novelty": [1, 2]}) == Record("sw1")


@given(st.dictionaries(st.sampled_from(["node", "state", "stamp", "token", "ask", "grant", "lag", "role", "x"]),
                       st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=3),
                                    lambda inner: st.lists(inner, max_size=4), max_leaves=6)))  # fmt: skip
def test_any_plain_values_give_a_record_or_a_value_error(plain: dict[str, Any]) -> None:
    with contextlib.suppress(ValueError):
        assert from_plain(plain).node == plain["node"]
