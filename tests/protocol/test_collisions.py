"""Who gets in the way of the pair is told, is not believed, and cannot make us remember or say much."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovsha.protocol.conflicts import WORDS, Conflict, Conflicts, Kind, Names, conflict_cure, conflict_text
from ovsha.protocol.heartbeat import Conversation
from ovsha.report import status_text
from tests.support.made_up_pair import OUTSIDE, document

KEY, PATHS = bytes(range(32)), ("peer-link", "backup-path")
NAMES = Names("rack7", "sw2", "sw1")
FREE = [Kind.FORGED, Kind.VIP, Kind.PEER_VIP]
"""What anybody can send who has not the key."""


def kinds(table: Conflicts, now: float) -> list[tuple[Kind, str, int]]:
    return [(each.kind, each.address, each.count) for each in table.listed(now)]


# -- the table ---------------------------------------------------------------------------------------------------------


def test_a_collision_is_kept_with_its_first_and_last_moment_and_its_count_and_is_news_once() -> None:
    table = Conflicts()
    for now in (100.0, 101.0, 107.0):
        table.see(now, Kind.THIRD, "192.0.2.7", "peer-link", "sw3")
    (seen,) = table.listed(110.0)
    assert seen == Conflict(Kind.THIRD, "192.0.2.7", "peer-link", "sw3", 10.0, 3.0, 3)
    assert [each.kind for each in table.news(110.0)] == [Kind.THIRD]
    assert table.news(111.0) == ()


def test_a_collision_is_forgotten_an_hour_after_it_was_last_seen_and_is_news_again_afterwards() -> None:
    table = Conflicts()
    table.see(0.0, Kind.VIP, "02:00:00:00:00:01", "peerlink.4094")
    table.see(3000.0, Kind.VIP, "02:00:00:00:00:01", "peerlink.4094")
    assert len(table.listed(6599.0)) == 1
    assert table.listed(6600.0) == ()
    table.news(6600.0)
    table.see(6601.0, Kind.VIP, "02:00:00:00:00:01", "peerlink.4094")
    assert kinds(table, 6601.0) == [(Kind.VIP, "02:00:00:00:00:01", 1)]
    assert len(table.news(6601.0)) == 1


def test_a_ninth_collision_is_counted_and_not_kept_and_the_count_is_forgotten_too() -> None:
    table = Conflicts()
    for number in range(10):
        table.see(float(number), Kind.FORGED, f"192.0.2.{number}", "peer-link")
    assert [each.address for each in table.listed(10.0)] == [f"192.0.2.{number}" for number in range(8)]
    assert table.missed(10.0) == 2
    assert len(table.news(10.0)) == 8
    assert table.missed(3609.0) == 0


def test_who_has_the_key_is_told_of_however_many_have_not() -> None:
    table = Conflicts(keep=2)
    for number in range(5):
        table.see(float(number), Kind.FORGED, f"192.0.2.{number}", "peer-link")
    table.see(5.0, Kind.THIRD, "192.0.2.77", "peer-link", "sw3")
    table.see(6.0, Kind.IDENTITY, "169.254.0.9", "peer-link", "abcd")
    assert [each.kind for each in table.listed(6.0)] == [Kind.THIRD, Kind.IDENTITY]
    table.see(7.0, Kind.FORGED, "192.0.2.1", "peer-link")
    assert [each.kind for each in table.listed(7.0)] == [Kind.THIRD, Kind.IDENTITY]
    assert table.missed(7.0) == 6


def test_what_an_operator_has_settled_is_forgotten_at_once() -> None:
    table = Conflicts()
    table.see(1.0, Kind.IDENTITY, "169.254.0.9", "peer-link", "abcd")
    table.see(1.0, Kind.FORGED, "169.254.0.9", "peer-link")
    table.forget(Kind.IDENTITY)
    assert [each.kind for each in table.listed(1.0)] == [Kind.FORGED]
    assert [each.kind for each in table.news(1.0)] == [Kind.FORGED]


def test_a_claim_cannot_break_the_line_it_is_logged_in() -> None:
    table = Conflicts()
    table.see(1.0, Kind.THIRD, "192.0.2.7", "peer-link", "sw3\nCRITICAL all is lost\x1b[2J" + "x" * 1000)
    (seen,) = table.listed(1.0)
    assert seen.claim.isprintable()
    assert len(seen.claim) == 64


sightings = st.tuples(
    st.floats(0.0, 2000.0), st.sampled_from(Kind), st.sampled_from([f"192.0.2.{n}" for n in range(20)])
)


@given(st.lists(sightings, max_size=200))
def test_no_flood_makes_the_table_or_the_log_grow_or_loses_count(flood: list[tuple[float, Kind, str]]) -> None:
    table = Conflicts(keep=3, forget=1000.0)
    now, told, fresh = 0.0, 0, 0
    for pause, kind, address in flood:
        if pause > 1900.0:
            now += pause
        before = {(each.kind, each.address) for each in table.listed(now)}
        total = sum(each.count for each in table.listed(now)) + table.missed(now)
        table.see(now, kind, address, "peer-link")
        after = table.listed(now)
        assert len(after) <= 3
        assert sum(each.count for each in after) + table.missed(now) == total + 1
        gone = before - {(each.kind, each.address) for each in after}
        assert all(known in FREE or kind not in FREE for known, _ in gone)
        told += len(table.news(now))
        fresh += bool({(each.kind, each.address) for each in after} - before)
    assert told == fresh
    # Three at first; then only what ranks higher gets in, twice, until an hour is over.
    assert told <= 9 * (1 + now / 1000.0)


# -- what the heartbeats tell of it ------------------------------------------------------------------------------------


def talk(node: str, peer: str, boot: str, key: bytes = KEY, pair: str = "rack7") -> Conversation:
    return Conversation(pair, node, peer, key, boot, PATHS)


@pytest.mark.parametrize(
    ("stranger", "kind", "claim"),
    [
        (talk("sw1", "sw2", "x", key=b"k" * 32), Kind.FORGED, ""),
        (talk("sw3", "sw2", "x"), Kind.THIRD, "sw3"),
        (talk("sw1", "sw2", "x", pair="rack8"), Kind.OTHER_PAIR, "rack8"),
        (talk("sw2", "sw1", "x"), Kind.OWN, "sw2"),
    ],
)
@pytest.mark.parametrize("address", ["169.254.0.9", "192.0.2.7"])
def test_a_stranger_is_told_of_wherever_he_speaks_from(
    stranger: Conversation, kind: Kind, claim: str, address: str
) -> None:
    here = talk("sw2", "sw1", "boot")
    for _ in range(3):
        packet = stranger.seal("peer-link", {"serving": True}, 1.0)
        if address == "169.254.0.9":
            assert here.receive(packet, "peer-link", 1.0, address) is None
        else:
            here.receive_from_stranger(packet, "peer-link", 1.0, address)
    (seen,) = here.collisions.listed(1.0)
    assert (seen.kind, seen.address, seen.where, seen.claim, seen.count) == (kind, address, "peer-link", claim, 3)
    assert here.heard_age(1.0) is None


def test_the_peers_own_heartbeats_from_another_address_are_told_and_not_believed() -> None:
    here, peer = talk("sw2", "sw1", "boot"), talk("sw1", "sw2", "x")
    here.receive_from_stranger(peer.seal("peer-link", {}, 1.0), "peer-link", 1.0, "192.0.2.7")
    assert kinds(here.collisions, 1.0) == [(Kind.ADDRESS, "192.0.2.7", 1)]
    assert here.counters["stranger_address"] == 1
    assert here.peer_boot is None


def test_noise_and_our_own_packets_thrown_back_are_nobody_in_our_way() -> None:
    here = talk("sw2", "sw1", "boot")
    own = here.seal("peer-link", {}, 1.0)
    here.receive(own, "peer-link", 1.0, "169.254.0.9")
    here.receive_from_stranger(own, "peer-link", 1.0, "192.0.2.7")
    here.receive_from_stranger(b"noise", "peer-link", 1.0, "192.0.2.7")
    here.receive_from_stranger(b"x" * 3000, "peer-link", 1.0, "192.0.2.7")
    assert here.collisions.listed(1.0) == ()
    assert (here.counters["own"], here.counters["stranger_address"]) == (1, 3)


# -- what the operator is told -----------------------------------------------------------------------------------------


def seen(kind: Kind, **values: object) -> Conflict:
    return replace(Conflict(kind, "169.254.0.9", "peer-link", "x", 20.0, 5.0, 7), **values)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", Kind)
def test_each_collision_says_in_one_line_what_it_is_and_what_to_do(kind: Kind) -> None:
    for text in (conflict_text(seen(kind), NAMES), conflict_cure(seen(kind), NAMES)):
        assert text
        assert text == " ".join(text.split())
    assert kind in WORDS


def test_the_status_shows_a_collision_with_its_age_and_count_and_the_pair_stays_in_sync() -> None:
    told = document(outside=replace(OUTSIDE, collisions=(seen(Kind.THIRD, claim="sw3"),), collisions_missed=4))
    assert told["in_sync"]
    assert not told["healthy"]
    first, more = told["problems"]
    assert first["what"] == (
        "a third switch takes part in pair rack7: sw3 at 169.254.0.9 on peer-link (seen 7 times, last 5.00 s ago)"
    )
    assert (first["name"], first["level"], more["name"]) == ("collision", "degraded", "collision")
    assert "4 more sightings" in more["what"]
    assert told["collisions"]["seen"][0]["kind"] == "third"
    assert told["collisions"]["missed"] == 4
    line = "pair rack7: sw3 at 169.254.0.9 on peer-link; 7 times, first 20 s ago, last 5.00 s ago\n"
    assert line in status_text.status_text(told)


def test_a_collision_that_has_ended_is_shown_and_is_no_problem_any_more() -> None:
    ended = seen(Kind.FORGED, last_age=301.0, first_age=400.0, over=True)
    told = document(outside=replace(OUTSIDE, collisions=(ended,)))
    assert told["healthy"]
    line = "sealed with another key; 7 times, first 6 min 40 s ago, last 5 min 1 s ago, and over"
    assert line in status_text.status_text(told)
