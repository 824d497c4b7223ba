"""The peer link or the backup path is cut while both switches live."""

from __future__ import annotations

import pytest

import history
from lab import Lab
from soak_kept import ledger_macs
from story import (
    LIMIT,
    MakeLab,
    await_copy,
    await_every_row,
    await_pair,
    await_rows,
    begin,
    kept,
    lost,
    open_here,
    seconds_with_two,
    serves,
    status,
    undisturbed,
)
from switch import Switch
from topology import SW1, SW2

SECONDARY = {SW1: 32768, SW2: 1000}
"""Priorities by which clagd's primary is sw2, so that sw1, which the configuration prefers, is its secondary."""


def cut(pair: Lab, how: str) -> None:
    if how == "down":
        pair.network.link_down("peer link")
    else:
        pair.network.cut("peer link", into=None if how == "cut" else how)


def mend(pair: Lab, how: str) -> None:
    if how == "down":
        pair.network.link_up("peer link")
    else:
        pair.network.mend("peer link")


def path_states(pair: Lab, path: str) -> set[str]:
    """Return how both sides see a path."""
    return {status(switch)["paths"][path]["state"] for switch in pair.switches}


@pytest.mark.parametrize("how", ["down", "cut", "sw1", "sw2"], ids=["down", "cut", "into sw1", "into sw2"])
def test_the_clagd_primary_serves_on_when_the_peer_link_is_cut_and_when_it_comes_back(lab: MakeLab, how: str) -> None:
    pair = begin(lab, overrides={"link_cut": {"hold": 0.5}})
    sessions = controller_sessions(pair)
    cut(pair, how)
    pair.wait_until(lambda: path_states(pair, "peer-link") != {"up"}, LIMIT, "the cut is seen")
    pair.wait_until(lambda: not pair.sw1.clag()["peerAlive"], LIMIT, "clagd sees it too")
    await_rows(pair, 100)
    assert serves(pair, pair.sw1)
    assert path_states(pair, "backup-path") == {"up"}
    mend(pair, how)
    pair.wait_until(lambda: path_states(pair, "peer-link") == {"up"}, LIMIT, "the peer link works again")
    await_pair(pair, pair.sw1)
    await_every_row(pair, pair.sw2)
    assert controller_sessions(pair) == sessions, "the controller noticed nothing"


def controller_sessions(pair: Lab) -> int:
    return sum(event.kind == "accepted" for event in history.read(pair.controller_events_file))


@pytest.mark.parametrize("how", ["down", "cut"])
def test_the_clagd_primary_takes_the_service_when_the_peer_link_stays_cut(lab: MakeLab, how: str) -> None:
    hold = 1.5
    pair = begin(lab, overrides={"link_cut": {"hold": hold}}, clag_priorities=SECONDARY)
    pair.wait_until(lambda: pair.sw2.clag()["ourRole"] == "primary", LIMIT, "sw2 is clagd's primary")
    pair.wait_until(lambda: pair.sw2.clag()["backupActive"], LIMIT, "clagd's backup path works")
    cut(pair, how)
    held = pair.wait_until(lambda: "VIP" in open_here(pair.sw2), LIMIT, "the primary serves")
    assert held > hold - 0.2
    pair.wait_until(lambda: serves(pair, pair.sw2), LIMIT, "the secondary has let go of everything")
    await_rows(pair, 50)
    mend(pair, how)
    await_pair(pair, pair.sw1)
    gone = {ack.mac for ack in lost(pair, pair.sw1)}
    assert gone <= kept(pair.sw1), "what was written while the link was cut is kept"
    pair.wait_until(lambda: gone <= listed(pair.sw1), LIMIT, "and it is listed row by row")
    assert seconds_with_two(pair) == 0


def listed(switch: Switch) -> frozenset[str]:
    """Return the MACs in all ledgers of a switch together."""
    ledgers = (switch.directory / "state" / "ledgers").glob("*.rows")
    return frozenset().union(*map(ledger_macs, ledgers))


def test_a_peer_link_that_is_cut_for_a_moment_moves_nothing(lab: MakeLab) -> None:
    pair = begin(lab, overrides={"link_cut": {"hold": 10.0}}, clag_priorities=SECONDARY)
    with undisturbed(pair):
        pair.network.cut("peer link")
        pair.wait_until(lambda: path_states(pair, "peer-link") == {"down"}, LIMIT, "the cut is seen")
        pair.network.mend("peer link")
        await_copy(pair, pair.sw2)
    await_pair(pair, pair.sw1)


@pytest.mark.parametrize("how", ["down", "cut"])
def test_a_lost_backup_path_is_seen_and_moves_nothing(lab: MakeLab, how: str) -> None:
    pair = begin(lab)
    # At sw2's end only, because the active side reaches the controller by the same network.
    with undisturbed(pair):
        if how == "down":
            pair.network.link_down("backup path", SW2)
        else:
            pair.network.cut("backup path", into=SW2)
        seen = {"down"} if how == "down" else {"one-way in", "one-way out"}
        pair.wait_until(lambda: path_states(pair, "backup-path") == seen, LIMIT, "the loss is seen on both sides")
        pair.wait_until(lambda: not pair.sw2.clag()["backupActive"], LIMIT, "clagd sees it too")
        assert path_states(pair, "peer-link") == {"up"}
        assert not status(pair.sw1)["healthy"]
    with undisturbed(pair):
        if how == "down":
            pair.network.link_up("backup path", SW2)
        else:
            pair.network.mend("backup path", into=SW2)
        pair.wait_until(lambda: path_states(pair, "backup-path") == {"up"}, LIMIT, "it works again")
    await_pair(pair, pair.sw1)


NOT_ASKED = 3.0
"""Seconds without an answer after which the peer's server is asked no more."""


def test_a_session_with_the_peers_server_whose_end_was_lost_is_made_anew(lab: MakeLab) -> None:
    pair = begin(lab, overrides={"link_cut": {"hold": 10.0}})
    pair.sw2.server.freeze()
    # Then nothing more is sent: all was acknowledged by the other kernel, and a hanging server is not asked for ever.
    pair.wait_until(lambda: unanswered(pair.sw1) > NOT_ASKED, LIMIT, "sw1's question has no answer")
    pair.network.cut("peer link", into=SW1)
    pair.sw2.server.kill()  # with unread words, for which the kernel resets the connection, once
    pair.sw2.server.start()
    pair.network.mend("peer link", into=SW1)
    pair.wait_until(lambda: unanswered(pair.sw1) < 1.0, LIMIT, "sw1 has a session with the new server")
    await_pair(pair, pair.sw1)


def unanswered(switch: Switch) -> float:
    """Return for how long the peer's server has owed an answer; infinity without a session."""
    age = status(switch)["source"]["unanswered_for"]
    return float("inf") if age is None else float(age)
