"""Which database may be copied over which: the guard, and the order of two idle sides."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovsha.core import lineage
from ovsha.core.facts import Server, Source, Stamp
from tests.support.views import NODE, PEER, a_copy, an_idle_peer, backup_case, peer_sources, servers, stamps, tokens

OWN = a_copy(stamp=Stamp(3, NODE))
NEWER = Source(loaded=True, stamp=Stamp(4, PEER), token=(4, 1), empty=False)


def test_newer_data_may_be_copied() -> None:
    assert lineage.refusal(OWN, NEWER) == ""


def test_data_of_our_own_term_may_be_copied() -> None:
    assert lineage.refusal(OWN, replace(NEWER, stamp=OWN.stamp, token=OWN.token)) == ""


def test_data_of_our_own_term_that_ends_before_ours_was_taken_back() -> None:
    held = replace(OWN, token=(3, 9))
    for token, ends in (((3, 8), "ends at token 3.8"), (None, "has no token")):
        why = lineage.refusal(held, replace(NEWER, stamp=OWN.stamp, token=token))
        assert why == f"the peer's data {ends}, ours at 3.9: it was damaged or replaced"
    assert lineage.refusal(held, replace(NEWER, stamp=OWN.stamp, token=(3, 9))) == ""


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (replace(NEWER, loaded=False), "the peer's database cannot be read yet"),
        (replace(NEWER, stamp=None), "the peer's database is of unknown lineage"),
        (replace(NEWER, stamp=Stamp(2, PEER)), "the peer's data is older: term 2, ours 3"),
        (replace(NEWER, stamp=Stamp(3, PEER)), "term 3 was opened by both nodes"),
        (replace(NEWER, empty=True), "the peer's database is empty"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_refused_is_told_in_words(source: Source, why: str) -> None:
    assert lineage.refusal(OWN, source) == why


def test_rows_without_a_lineage_may_be_overwritten_but_not_with_nothing() -> None:
    unknown = replace(OWN, stamp=None)
    assert lineage.refusal(unknown, NEWER) == ""
    assert lineage.refusal(unknown, replace(NEWER, empty=True)) == "the peer's database is empty"


@given(servers, peer_sources)
def test_nothing_older_unknown_or_empty_ever_overwrites(own: Server, source: Source) -> None:
    if lineage.refusal(own, source):
        return
    assert source.loaded
    assert source.stamp is not None
    assert source.stamp.term >= lineage.term_of(own.stamp)
    assert own.empty or not source.empty


@given(servers, peer_sources)
def test_of_two_databases_at_most_one_may_overwrite_the_other_unless_they_are_of_one_term(
    own: Server, source: Source
) -> None:
    one, other = replace(own, loaded=True), replace(source, loaded=True)
    mirrored = lineage.refusal(
        replace(own, stamp=source.stamp, empty=source.empty), replace(other, stamp=own.stamp, empty=own.empty)
    )
    if not lineage.refusal(one, other) and not mirrored:
        assert own.stamp is not None
        assert source.stamp is not None
        assert (own.stamp.term, own.stamp.node) == (source.stamp.term, source.stamp.node)


@given(st.lists(stamps))
def test_the_newest_stamp_has_the_highest_term(found: list[Stamp | None]) -> None:
    newest = lineage.newest(*found)
    assert lineage.term_of(newest) == max(map(lineage.term_of, found), default=0)


def test_a_copy_of_an_older_term_than_the_peer_was_seen_with_is_outdated() -> None:
    assert lineage.outdated(OWN, 4) == "our copy is of term 3, the peer's is of term 4"
    assert lineage.outdated(replace(OWN, stamp=None), 1).startswith("our database is of unknown lineage")
    assert lineage.outdated(OWN, 3) == ""
    assert lineage.outdated(replace(OWN, stamp=None), 0) == ""


@given(stamps, tokens, st.booleans(), stamps, tokens, st.booleans(), st.booleans(), st.booleans())
def test_of_two_idle_sides_exactly_one_comes_first(
    one: Stamp | None, first: tuple[int, int] | None, bare: bool,
    other: Stamp | None, second: tuple[int, int] | None, naked: bool, ours: bool, theirs: bool,
) -> None:  # fmt: skip
    left = lineage.rank(one, first, bare, ours, NODE)
    right = lineage.rank(other, second, naked, theirs, PEER)
    assert (left > right) is not (right > left)
    assert left == right or (left[0] == right[0] or (left > right) is (left[0] > right[0])), "newer data comes first"


def test_the_side_that_opened_the_term_comes_first_for_it_had_every_write_before_its_backup() -> None:
    opened_by_peer = backup_case({"record": an_idle_peer(preferred=NODE)})
    assert not opened_by_peer.outranks
    opened_by_us = backup_case({"server": a_copy(stamp=Stamp(3, NODE)), "record": an_idle_peer(stamp=Stamp(3, NODE))})
    assert opened_by_us.outranks


@pytest.mark.parametrize(
    ("token", "held", "whole"),
    [((3, 9), (3, 9), True), ((3, 7), (3, 9), True), ((3, 6), (3, 9), False), ((2, 99), (3, 0), False),
     ((4, 0), (3, 9), True), (None, (3, 9), False), (None, None, True)],
)  # fmt: skip
def test_a_file_that_lost_two_tokens_or_less_passes_for_whole(
    token: tuple[int, int] | None, held: tuple[int, int] | None, whole: bool
) -> None:
    assert (lineage.rolled_back(replace(OWN, token=token), held) == "") is whole
