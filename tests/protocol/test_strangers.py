"""A switch that has the peer's name and key and is not the switch that was met: it is not believed, and nothing breaks.

`sw2 loses its state`: its state directory is gone, so that it has a new identity and remembers nobody.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ovsha.protocol.conflicts import Kind
from ovsha.protocol.heartbeat import Conversation
from tests.conftest import TIMES
from tests.sim.faults import FAULTS
from tests.sim.pair import NODES, Pair, started, wait_for
from tests.sim.side import BACKUP, LINK, Host

KEY, PATHS, DEAD = bytes(range(32)), ("peer-link", "backup-path"), 0.4


# -- what is heard -----------------------------------------------------------------------------------------------------


def agent(node: str, boot: str, identity: str, known: str = "") -> Conversation:
    peer = {"sw1": "sw2", "sw2": "sw1"}[node]
    return Conversation("rack7", node, peer, KEY, boot, PATHS, identity=identity, peer_identity=known)


def talk(one: Conversation, two: Conversation, begin: float, count: int = 5) -> float:
    for turn in range(count):
        at = begin + turn * 0.1
        for sender, hearer in ((one, two), (two, one)):
            for path in PATHS:
                hearer.receive(sender.seal(path, {"from": sender.node}, at), path, at, f"address of {sender.node}")
    return begin + count * 0.1


def hears(listener: Conversation, now: float) -> bool:
    age = listener.heard_age(now)
    return age is not None and age < DEAD


def test_an_identity_is_learned_when_two_meet_and_survives_the_restart_of_an_agent() -> None:
    one, two = agent("sw1", "a", "one"), agent("sw2", "b", "two")
    at = talk(one, two, 1.0)
    assert (one.peer.identity, two.peer.identity) == ("two", "one")
    again = agent("sw2", "c", "two", known="one")
    at = talk(one, again, at + 1.0)
    assert hears(one, at - 0.1)
    assert hears(again, at - 0.1)
    assert one.collisions.listed(at) == ()


def test_another_switch_with_the_peers_name_and_key_is_not_believed_until_the_peer_is_forgotten() -> None:
    one = agent("sw1", "a", "one", known="two")
    other = agent("sw2", "x", "other")
    at = talk(one, other, 1.0)
    assert one.heard_age(at) is None
    assert hears(other, at - 0.1), "the newcomer believes the one who knows another"
    seen = one.collisions.listed(at)
    assert {(each.kind, each.where, each.claim) for each in seen} == {(Kind.IDENTITY, p, "other") for p in PATHS}
    stranger = one.peer.stranger(at - 0.1, DEAD)
    assert stranger is not None
    assert (stranger.identity, dict(stranger.state)) == ("other", {"from": "sw2"})
    assert one.peer.forget() == "two"
    at = talk(one, other, at)
    assert hears(one, at - 0.1)
    assert one.peer.identity == "other"
    assert one.peer.stranger(at, DEAD) is None


def test_a_recording_of_the_peer_before_it_was_replaced_is_no_stranger_who_is_there() -> None:
    one, two = agent("sw1", "a", "one"), agent("sw2", "b", "two")
    at = talk(one, two, 1.0)
    tape = [two.seal("peer-link", {"serving": True}, at) for _ in range(5)]
    one.peer.forget()
    new = agent("sw2", "c", "new")
    at = talk(one, new, at + 5.0)
    for packet in tape:
        assert one.receive(packet, "peer-link", at) is None
    assert one.peer.stranger(at, DEAD) is None
    assert one.peer.identity == "new"


def test_a_switch_without_an_identity_is_another_one_than_one_that_had_one() -> None:
    one = agent("sw1", "a", "one", known="two")
    at = talk(one, agent("sw2", "b", ""), 1.0)
    assert one.heard_age(at) is None
    assert one.counters["identity"] > 0


def test_a_stranger_who_falls_silent_is_no_longer_there() -> None:
    one = agent("sw1", "a", "one", known="two")
    at = talk(one, agent("sw2", "x", "other"), 1.0) - 0.1
    assert one.peer.stranger(at + DEAD - 0.001, DEAD) is not None
    assert one.peer.stranger(at + DEAD + 0.001, DEAD) is None


# -- what becomes of the service ---------------------------------------------------------------------------------------


def lose_state(host: Host) -> None:
    """Take away what the switch keeps on disk beside its database; its agent must not be running."""
    host.term = host.reserved = 0
    host.peer_stamp, host.met_in = None, -1
    host.identity, host.peer_identity = f"{host.node} anew {host.agents}", ""


def restart_without_state(pair: Pair, node: str) -> None:
    pair.agent_kill(node)
    lose_state(pair.hosts[node])
    pair.agent_start(node)


def estranged(pair: Pair, node: str) -> bool:
    """Say whether this side takes its peer for a stranger, and says so."""
    agent = pair.hosts[node].agent
    return agent is not None and agent.decision is not None and agent.decision.record.estranged


def forget(pair: Pair, node: str) -> None:
    """Do what `ovsha peer forget` does."""
    agent = pair.hosts[node].agent
    assert agent is not None
    agent.conversation.peer.forget()


def stays(pair: Pair, node: str, seconds: float) -> None:
    """Hold that `node` serves, alone, for so long."""

    def serves_alone() -> None:
        if pair.serving() != [node]:
            pair.broken(f"of the story: {pair.serving()} serve, not {node}")

    pair.watched = serves_alone
    pair.run(seconds)
    pair.watched = None


@pytest.mark.parametrize("loser", NODES)
def test_the_service_stays_where_it_is_when_either_side_loses_its_state_and_all_is_well_once_told(loser: str) -> None:
    pair = started()
    knower = pair.other(loser).node
    restart_without_state(pair, loser)
    stays(pair, "sw1", 20.0)
    assert estranged(pair, knower)
    assert not estranged(pair, loser)
    backup = pair.hosts["sw2"].server
    assert backup.data.rows >= set(range(1, 50)), "the copy goes on"
    forget(pair, knower)
    stays(pair, "sw1", 5.0)
    wait_for(pair, lambda: pair.settled("sw1"), 5.0)
    pair.switchover("sw2")
    wait_for(pair, lambda: pair.settled("sw2"), 10.0)


def test_the_newcomer_takes_over_when_the_one_who_does_not_know_it_dies_and_is_not_fought_when_that_returns() -> None:
    pair = started()
    restart_without_state(pair, "sw2")
    pair.run(5.0)
    pair.power_off("sw1")
    wait_for(pair, lambda: pair.serving() == ["sw2"], 10.0)
    pair.power_on("sw1")
    stays(pair, "sw2", 30.0)
    assert estranged(pair, "sw1")
    forget(pair, "sw1")
    wait_for(pair, lambda: pair.settled("sw1"), 30.0)  # restored, as the preferred side


def test_the_one_who_does_not_know_the_active_newcomer_takes_over_when_its_server_dies() -> None:
    pair = started()
    restart_without_state(pair, "sw1")
    pair.run(5.0)
    assert estranged(pair, "sw2")
    pair.server_kill("sw1")
    wait_for(pair, lambda: pair.serving() == ["sw2"], 10.0)
    pair.server_start("sw1")
    stays(pair, "sw2", 20.0)


def test_an_active_stranger_who_is_heard_on_the_backup_path_only_keeps_the_other_side_from_serving() -> None:
    pair = started()
    restart_without_state(pair, "sw1")
    pair.run(5.0)
    pair.cut(LINK)
    stays(pair, "sw1", 30.0)
    pair.heal(LINK)
    stays(pair, "sw1", 10.0)


def test_a_split_with_a_stranger_ends_on_the_side_that_does_not_know_the_other() -> None:
    pair = started()
    restart_without_state(pair, "sw1")
    pair.run(2.0)
    for path in (LINK, BACKUP):
        pair.cut(path)
    wait_for(pair, lambda: len(pair.serving()) == 2, 20.0)
    for path in (LINK, BACKUP):
        pair.heal(path)
    wait_for(pair, lambda: pair.serving() == ["sw2"], 10.0)
    stays(pair, "sw2", 20.0)


@pytest.mark.parametrize("loser", NODES)
def test_a_pair_that_boots_with_a_stranger_in_it_serves_on_one_side_without_being_told(loser: str) -> None:
    pair = started()
    restart_without_state(pair, loser)
    pair.run(2.0)
    for node in NODES:
        pair.power_off(node)
    pair.run(1.0)
    for node in NODES:
        pair.power_on(node)
    wait_for(pair, lambda: len(pair.serving()) == 1, 30.0)
    stays(pair, pair.serving()[0], 20.0)


def test_a_newcomer_with_the_newest_data_serves_after_a_power_cut_because_the_other_one_must_not() -> None:
    pair = started()
    restart_without_state(pair, "sw2")
    pair.run(2.0)
    pair.power_off("sw1")
    wait_for(pair, lambda: pair.serving() == ["sw2"], 10.0)
    pair.power_off("sw2")
    for node in NODES:
        pair.power_on(node)
    wait_for(pair, lambda: pair.serving() == ["sw2"], 30.0)
    stays(pair, "sw2", 20.0)


def test_two_sides_that_are_strangers_to_each_other_serve_on_one_side_through_crash_cut_and_boot() -> None:
    pair = started()
    for host in pair.hosts.values():
        pair.agent_kill(host.node)
        host.identity = f"{host.node} anew"
    for node in NODES:
        pair.agent_start(node)
    stays(pair, "sw1", 10.0)
    assert all(estranged(pair, node) for node in NODES)
    pair.cut(LINK)
    stays(pair, "sw1", 10.0)
    pair.heal(LINK)
    pair.server_kill("sw1")
    wait_for(pair, lambda: pair.serving() == ["sw2"], 10.0)
    pair.server_start("sw1")
    stays(pair, "sw2", 10.0)
    for node in NODES:
        pair.power_off(node)
    for node in NODES:
        pair.power_on(node)
    wait_for(pair, lambda: pair.serving() == ["sw2"], 30.0)
    stays(pair, "sw2", 10.0)


def test_two_strangers_who_both_serve_are_settled_by_having_both_forget() -> None:
    pair = started()
    for host in pair.hosts.values():
        pair.agent_kill(host.node)
        host.identity = f"{host.node} anew"
        pair.agent_start(host.node)
    for path in (LINK, BACKUP):
        pair.cut(path)
    wait_for(pair, lambda: len(pair.serving()) == 2, 20.0)
    for path in (LINK, BACKUP):
        pair.heal(path)
    pair.run(5.0)
    assert len(pair.serving()) == 2, "as the README says of what is not survived"
    for node in NODES:
        forget(pair, node)
    wait_for(pair, lambda: any(pair.settled(node) for node in NODES), 30.0)


DATA = ("returns", "upgraded", "rejects", "by hand", "misled")
"""What is in the names of faults after which an operator may have to decide, strangers or not."""

HARMLESS_TO_DATA = [name for name in sorted(FAULTS) if not any(word in name for word in DATA)]
schedules = st.lists(
    st.tuples(st.sampled_from(HARMLESS_TO_DATA), st.sampled_from([0.0, 0.05, 0.5, 1.0, 3.0])), max_size=8
)


@settings(max_examples=15 * TIMES)
@given(st.integers(0, 2**32), st.sampled_from(NODES), schedules, schedules)
def test_whatever_happens_after_a_side_lost_its_state_one_side_serves_when_it_has_ended(
    seed: int, loser: str, before: list[tuple[str, float]], after: list[tuple[str, float]]
) -> None:
    pair = started(seed)
    for name, pause in before:
        FAULTS[name](pair)
        pair.run(pause)
    restart_without_state(pair, loser)
    for name, pause in after:
        FAULTS[name](pair)
        pair.run(pause)
    pair.heal_all()
    pair.run(20.0)
    wait_for(pair, lambda: len(pair.serving()) == 1, 20.0)
    stays(pair, pair.serving()[0], 10.0)
    for node in NODES:
        if pair.hosts[node].agent is not None and estranged(pair, node):
            forget(pair, node)
    pair.run(1.0)
    wait_for(pair, lambda: any(pair.settled(node) for node in NODES), 60.0)
