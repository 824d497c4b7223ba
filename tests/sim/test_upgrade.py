"""What a pair does while one of its switches is upgraded, and when that goes wrong."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ovsha.agent.upgrade import RECENT, Finished, Upgrade, Upgrading
from ovsha.core import operator_orders
from ovsha.core.facts import Ask, Copy, Kind, Life, Mode, Role, State
from ovsha.core.situation import Situation
from ovsha.host.boot_clock import Clocks
from tests.sim.laws import serves
from tests.sim.network import NODES
from tests.sim.pair import Pair, started, wait_for
from tests.sim.play import recover, rows
from tests.sim.server import SimServer
from tests.sim.side import Agent
from tests.support.views import NODE, PEER, a_copy, a_peer, active_case, an_idle_peer, backup_case


def agent(pair: Pair, node: str) -> Agent:
    found = pair.hosts[node].agent
    assert found is not None
    return found


def state(pair: Pair, node: str) -> State:
    decision = agent(pair, node).decision
    assert decision is not None
    return decision.state


def prepared(node: str, seed: int = 0) -> Pair:
    """Return a pair of which this side does not serve and was prepared for an upgrade."""
    pair = started(seed)
    if node == "sw1":
        pair.switchover("sw2")
        wait_for(pair, lambda: pair.settled("sw2"), 10.0)
    assert pair.upgrade_prepare(node) == ""
    pair.run(0.2)
    return pair


def reboot(pair: Pair, node: str, *, plain: bool = False) -> None:
    """Let the upgrade replace the database by a blank one and boot the switch; `plain`: by the vendor's script."""
    pair.power_off(node)
    host = pair.hosts[node]
    host.server.blank()
    host.files_changed = True
    pair.laws.surprised(node)
    pair.run(2.0)
    host.up, host.boots = True, host.boots + 1
    (pair.server_start_plain if plain else pair.server_start)(node)
    pair.clagd_start(node)
    pair.run(1.0)
    pair.agent_start(node)


def never_serves(pair: Pair, node: str) -> None:
    """Fail when an agent of this side lets anybody write to its server."""
    host = pair.hosts[node]
    pair.watched = lambda: (host.agent is None or not host.vip) or pair.broken("2: a side in an upgrade takes the VIP")


@pytest.mark.parametrize("plain", [False, True], ids=["safe-start", "vendors-start"])
@pytest.mark.parametrize("node", NODES)
def test_side_with_a_blank_database_after_its_upgrade_follows_the_other_one(node: str, plain: bool) -> None:
    pair = prepared(node)
    other = pair.other(node).node
    never_serves(pair, node)
    before = set(pair.acknowledged)
    reboot(pair, node, plain=plain)
    wait_for(pair, lambda: pair.upgrade_finish(node) == "", 20.0)
    assert pair.serving() == [other]
    # Nobody can prevent that a server which was started the vendor's way takes writes until the agent runs.
    assert (before if plain else pair.acknowledged) <= rows(pair)
    assert pair.settled(other)


def test_both_switches_are_upgraded_one_after_the_other_and_no_acknowledged_write_is_lost() -> None:
    pair = started()
    assert "backup side is upgraded first" in pair.upgrade_prepare("sw1")
    for node, other in (("sw2", "sw1"), ("sw1", "sw2")):
        assert pair.upgrade_prepare(node) == ""
        reboot(pair, node)
        wait_for(pair, lambda node=node: pair.upgrade_finish(node) == "", 20.0)  # type: ignore[misc]
        assert pair.serving() == [other]
        pair.switchover(node)
        wait_for(pair, lambda node=node: pair.settled(node), 10.0)  # type: ignore[misc]
    assert pair.acknowledged <= rows(pair)


def test_side_in_an_upgrade_waits_for_a_dead_peer_and_says_so_until_the_operator_decides() -> None:
    pair = prepared("sw2")
    pair.power_off("sw1")
    pair.run(20.0)
    assert pair.serving() == []
    assert state(pair, "sw2") is State.NEEDS_DECISION
    assert "in an upgrade" in agent(pair, "sw2").decision.why  # type: ignore[union-attr]
    assert pair.resolve("sw2") == ""
    wait_for(pair, lambda: pair.serving() == ["sw2"], 5.0)
    pair.run(70.0)
    assert pair.serving() == ["sw2"]


def test_side_in_an_upgrade_does_not_take_over_from_a_dead_server() -> None:
    pair = prepared("sw2")
    pair.server_kill("sw1")
    pair.run(15.0)
    assert pair.serving() == []
    pair.server_start("sw1")
    wait_for(pair, lambda: pair.serving() == ["sw1"], 10.0)
    assert pair.upgrade_finish("sw2") == "" or wait_for(pair, lambda: pair.upgrade_finish("sw2") == "", 10.0)
    recover(pair)


def test_after_a_loss_of_power_the_side_that_is_in_no_upgrade_serves_although_the_other_is_preferred() -> None:
    pair = prepared("sw1")
    for node in NODES:
        pair.power_off(node)
    pair.run(1.0)
    for node in NODES:
        pair.power_on(node)
    wait_for(pair, lambda: pair.settled("sw2"), 20.0)
    assert pair.acknowledged <= rows(pair)


def test_server_that_the_vendors_script_starts_beside_a_running_agent_is_taken_back() -> None:
    pair = prepared("sw2")
    pair.server_returns("sw2", SimServer.blank, plain=True)
    wait_for(pair, lambda: pair.settled("sw1"), 10.0)
    assert pair.hosts["sw2"].server.role is Role.BACKUP


def test_both_sides_in_an_upgrade_wait_for_a_decision_and_not_without_a_word() -> None:
    pair = prepared("sw2")
    assert "sw2 is in an upgrade" in pair.upgrade_prepare("sw1") or "active side" in pair.upgrade_prepare("sw1")
    pair.power_off("sw1")
    pair.hosts["sw1"].upgrade = pair.clock.now  # somebody copied the whole state of one switch to the other
    pair.power_on("sw1")
    wait_for(pair, lambda: all(state(pair, node) is State.NEEDS_DECISION for node in NODES), 20.0)
    assert pair.serving() == []
    assert pair.resolve("sw1") == ""
    wait_for(pair, lambda: pair.serving() == ["sw1"], 5.0)
    wait_for(pair, lambda: pair.upgrade_finish("sw2") == "", 10.0)
    recover(pair)


@pytest.mark.parametrize("node", NODES)
def test_blank_database_overwrites_nothing_even_when_the_upgrade_has_wiped_the_mark_as_well(node: str) -> None:
    pair = prepared(node)
    other = pair.other(node).node
    pair.power_off(node)
    pair.run(1.0)
    host = pair.hosts[node]
    host.server.blank()
    host.files_changed, host.upgrade = True, None
    host.term = host.reserved = 0
    host.peer_stamp, host.met_in, host.held, host.peer_identity = None, -1, None, ""
    pair.power_on(node)
    wait_for(pair, lambda: pair.settled(other) or pair.settled(node), 20.0)
    assert pair.acknowledged <= rows(pair)


def test_upgrade_that_is_called_off_at_once_leaves_the_pair_as_it_was() -> None:
    pair = prepared("sw2")
    before = pair.outline()
    assert pair.upgrade_finish("sw2") == ""
    pair.run(5.0)
    assert pair.outline() == before
    assert [node for node in NODES if serves(pair.hosts[node])] == ["sw1"]


def test_active_side_dies_after_the_upgrade_is_finished_and_the_upgraded_side_takes_over() -> None:
    pair = prepared("sw2")
    reboot(pair, "sw2")
    wait_for(pair, lambda: pair.upgrade_finish("sw2") == "", 20.0)
    pair.power_off("sw1")
    wait_for(pair, lambda: pair.serving() == ["sw2"], 10.0)


# -- what the agent keeps in mind --------------------------------------------------------------------------------------


def clocks(now: Callable[[], float]) -> Clocks:
    """Return clocks that go alike."""
    return Clocks("this boot", now, now)


def on_disk(keeper: Upgrading) -> None:
    """Turn the keeper until what stands has reached the disk."""
    end = time.monotonic() + 10.0
    while not keeper.saved:
        assert time.monotonic() < end
        keeper.run()
        time.sleep(0.01)


def test_upgrade_is_remembered_by_the_next_agent_and_so_is_that_it_was_finished(tmp_path: Path) -> None:
    first = Upgrading(tmp_path, 600.0, clocks(lambda: 1000.0))
    assert first.age is None
    first.begin("alice", "release 5.9", "20261121T100000Z")
    on_disk(first)
    first.close()
    later = Upgrading(tmp_path, 600.0, clocks(lambda: 1300.0))
    assert (later.age, later.now) == (300.0, Upgrade(1000.0, "alice", "release 5.9", "20261121T100000Z"))
    assert later.end() == 300.0
    on_disk(later)
    later.close()
    last = Upgrading(tmp_path, 600.0, clocks(lambda: 1400.0))
    assert (last.age, last.since, last.finished) == (None, 100.0, Finished(1300.0, "20261121T100000Z"))
    assert Upgrading(tmp_path, 600.0, clocks(lambda: 1300.0 + RECENT)).since is None


def test_agent_that_is_stopped_before_the_mark_is_on_disk_brings_it_there(tmp_path: Path) -> None:
    keeper = Upgrading(tmp_path, 600.0, clocks(lambda: 1000.0))
    keeper.begin("alice", "", "s")
    keeper.close()
    assert Upgrading(tmp_path, 600.0, clocks(lambda: 1000.0)).age == 0.0


def test_mark_that_cannot_be_read_counts_as_one(tmp_path: Path) -> None:
    (tmp_path / "upgrade").mkdir()
    (tmp_path / "upgrade" / "mark.json").write_text("{\"began\": 10")
    keeper = Upgrading(tmp_path, 600.0, clocks(lambda: 1000.0))
    assert keeper.age is not None
    keeper.end()
    on_disk(keeper)
    assert not (tmp_path / "upgrade" / "mark.json").exists()


def test_mark_that_cannot_be_written_is_not_said_to_be_saved(tmp_path: Path) -> None:
    (tmp_path / "upgrade").write_text("a file where the directory should be")
    keeper = Upgrading(tmp_path, 600.0, clocks(time.time))
    keeper.begin("alice", "", "s")
    end = time.monotonic() + 10.0
    while not keeper.trouble:
        assert time.monotonic() < end
        keeper.run()
        time.sleep(0.01)
    assert not keeper.saved
    assert str(tmp_path / "upgrade") in keeper.trouble
    keeper.end()


def test_upgrade_that_takes_too_long_is_told_once_even_by_the_next_agent(tmp_path: Path) -> None:
    now = [1000.0]
    keeper = Upgrading(tmp_path, 600.0, clocks(lambda: now[0]))
    keeper.begin("alice", "", "s")
    assert keeper.run() is None
    now[0] = 1600.0
    told = keeper.run()
    assert told is not None
    assert keeper.run() is None
    on_disk(keeper)
    assert Upgrading(tmp_path, 600.0, clocks(lambda: now[0] + 1)).run() is None


def test_how_long_an_upgrade_takes_is_not_changed_by_setting_the_clock(tmp_path: Path) -> None:
    up, wall = [50.0], [1000.0]
    own = Clocks("this boot", lambda: wall[0], lambda: up[0])
    keeper = Upgrading(tmp_path, 600.0, own)
    keeper.begin("alice", "", "s")
    on_disk(keeper)
    up[0], wall[0] = 150.0, 10.0**9
    assert (keeper.run(), keeper.age, Upgrading(tmp_path, 600.0, own).age) == (None, 100.0, 100.0)
    rebooted = Upgrading(tmp_path, 600.0, Clocks("the next boot", lambda: 1300.0, lambda: 5.0))
    assert rebooted.age == 300.0
    keeper.end()


# -- what an operator is told ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("case", "says"),
    [
        (backup_case(), ""),
        (backup_case({"upgrade": 60.0}), "is in an upgrade already"),
        (active_case(), "run `ovsha switchover --to sw2`"),
        (backup_case({"heard_age": 5.0}), "sw2 is not heard"),
        (backup_case({"record": a_peer(mode=Mode.PAUSED)}), "sw2 is paused"),
        (backup_case({"mode": Mode.PAUSED}), "sw1 is paused"),
        (backup_case({"record": a_peer(upgrade=60.0)}), "sw2 is in an upgrade: run"),
        (backup_case({"record": a_peer(estranged=True)}), "by another identity"),
        (backup_case({"record": a_peer(ask=Ask("x", Kind.RESTORE))}), "is just being moved"),
        (backup_case({"record": an_idle_peer()}), "sw2 does not serve"),
        (backup_case({"copy": Copy()}), "is not in sync"),
        (backup_case({"copy": Copy(), "schema_gap": "a table Foo"}), ""),
    ],
)  # fmt: skip
def test_a_switch_is_upgraded_only_where_the_other_one_serves_meanwhile(case: Situation, says: str) -> None:
    refused = operator_orders.upgrade_prepare_refusal(case)
    assert says in refused if says else refused == ""


@pytest.mark.parametrize(
    ("case", "says"),
    [
        (backup_case({"upgrade": 60.0}), ""),
        (backup_case(), "is in no upgrade"),
        (backup_case({"upgrade": 60.0, "mode": Mode.PAUSED}), "ovsha resume"),
        (backup_case({"upgrade": 60.0, "server": a_copy(life=Life.DOWN)}), "does not answer"),
        (backup_case({"upgrade": 60.0, "record": an_idle_peer(upgrade=9.0)}), "sw2 is in an upgrade too"),
        (backup_case({"upgrade": 60.0, "heard_age": 5.0}), "add --peer-lost"),
        (backup_case({"upgrade": 60.0, "copy": Copy(), "schema_gap": "a table Foo"}), "was not upgraded"),
        (backup_case({"upgrade": 60.0, "copy": Copy()}), operator_orders.NOT_YET),
    ],
)  # fmt: skip
def test_an_upgrade_is_finished_by_a_copy_in_sync_and_by_nothing_less(case: Situation, says: str) -> None:
    refused = operator_orders.upgrade_finish_refusal(case)
    assert says in refused if says else refused == ""


def test_service_is_not_moved_while_a_side_is_in_an_upgrade() -> None:
    for case, node in (
        (backup_case({"upgrade": 60.0}), NODE),
        (active_case({"record": replace(active_case().peer, upgrade=60.0)}), PEER),
    ):
        assert f"{node} is in an upgrade" in operator_orders.switchover_refusal(case, NODE)
        assert f"{node} is in an upgrade" in operator_orders.switchover_refusal(case, PEER)


def test_only_the_side_in_the_upgrade_is_told_to_keep_its_data() -> None:
    told = backup_case({"record": an_idle_peer(upgrade=60.0, decision="which?")})
    assert "say it on sw2" in operator_orders.resolve_refusal(told, True, PEER)
    assert operator_orders.resolve_refusal(told, True, NODE) == ""


def test_a_lost_peer_is_one_that_is_not_heard() -> None:
    assert "is not lost" in operator_orders.peer_lost_refusal(backup_case({"upgrade": 60.0}))
    assert operator_orders.peer_lost_refusal(backup_case({"upgrade": 60.0, "heard_age": 5.0})) == ""
    assert operator_orders.peer_lost_refusal(backup_case()) == "sw1 is in no upgrade"
