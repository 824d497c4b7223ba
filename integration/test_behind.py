"""A copy that lacks too much of what is known of the other side's data is not served unasked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

import pytest

import disk
import settings
from lab import Lab
from soak_kept import ledger_macs
from story import (
    LIMIT,
    MakeLab,
    acks,
    await_copy,
    await_pair,
    await_problem,
    await_rows,
    await_service,
    await_word,
    begin,
    kept,
    log,
    lost,
    open_here,
    serves,
    status,
)
from switch import Switch

SOON: Mapping[str, Any] = {"failover": {"max_behind": 3}, "restore": {"mode": "manual"}}
"""A limit that is soon reached."""


Lagging = Callable[[Lab, "disk.Disk | None"], Callable[[], None]]
"""Has sw2's copy fall behind, and gives what mends that."""


def filtered(pair: Lab, full: disk.Disk | None) -> Callable[[], None]:
    """Let a firewall on sw2 drop what it copies; heartbeats go on."""
    pair.network.drop_tcp("sw2", settings.REPLICATION_PORT)
    return lambda: pair.network.pass_tcp("sw2", settings.REPLICATION_PORT)


def link_cut(pair: Lab, full: disk.Disk | None) -> Callable[[], None]:
    """Cut the peer link; heartbeats go on over the backup path."""
    pair.network.cut("peer link")
    return lambda: pair.network.mend("peer link")


def parked(pair: Lab, full: disk.Disk | None) -> Callable[[], None]:
    """Fill the disk of sw2's snapshots and state, and restart its server, which copies nothing without a snapshot."""
    assert full is not None
    full.fill()
    pair.sw2.server.kill()
    pair.sw2.server.start()
    return full.free


def fall_behind(pair: Lab, how: Lagging, full: disk.Disk | None) -> Callable[[], None]:
    """Have sw2's copy fall further behind than it serves unasked; return what mends it."""
    mend = how(pair, full)
    pair.wait_until(lambda: (status(pair.sw2)["exposure"] or {}).get("beyond"), LIMIT, "sw2 knows how far it is behind")
    return mend


def await_waiting(pair: Lab, limit: float = LIMIT) -> None:
    """Wait until sw2 waits for a decision, and see that it serves nothing."""
    pair.wait_until(lambda: status(pair.sw2)["state"] == "needs-decision", limit, "sw2 needs a decision")
    assert not open_here(pair.sw2)


def reboot(switch: Switch) -> None:
    switch.power_off("kill")
    switch.power_on()


def restart_agent(switch: Switch) -> None:
    switch.agent.kill()
    switch.agent.start()


def nothing(switch: Switch) -> None:
    return


def listed(switch: Switch) -> frozenset[str]:
    """Return the MACs in the ledgers of a switch."""
    files = (switch.directory / "state" / "ledgers").glob("*.rows")
    return frozenset(mac for file in files for mac in ledger_macs(file))


LATER = pytest.mark.long


@pytest.mark.parametrize(
    ("how", "death", "meanwhile"),
    [
        (filtered, "switch", nothing),
        pytest.param(filtered, "switch", restart_agent, marks=LATER),
        pytest.param(filtered, "switch", reboot, marks=LATER),
        pytest.param(filtered, "server", nothing, marks=LATER),
        pytest.param(link_cut, "switch", nothing, marks=LATER),
        pytest.param(link_cut, "switch", restart_agent, marks=LATER),
        pytest.param(parked, "switch", nothing, marks=LATER),
        pytest.param(parked, "switch", restart_agent, marks=LATER),
        pytest.param(parked, "server", restart_agent, marks=LATER),
    ],
)
def test_a_copy_that_is_too_far_behind_waits_until_the_newer_data_is_back(
    lab: MakeLab,
    stack: ExitStack,
    how: Lagging,
    death: str,
    meanwhile: Callable[[Switch], None],
) -> None:
    pair = lab(overrides=settings.merged({"replication": {"token_interval": 0.3}, "lone_boot": 2}, SOON))
    full = disk.for_state(stack, pair.sw2)
    pair.start_controller(rate=100.0)
    pair.start(vtepds=True)
    await_pair(pair, pair.sw1)

    mend = fall_behind(pair, how, full)
    await_problem(pair, pair.sw2, "a failover now would lose what sw1 wrote since", "tokens 1.", "max_behind")
    await_problem(pair, pair.sw1, "a failover now would lose what sw1 wrote since", "sw2 would not take over unasked")
    assert serves(pair, pair.sw1)

    if death == "switch":
        pair.sw1.power_off("kill")
    else:
        pair.sw1.server.kill()
    meanwhile(pair.sw2)
    await_waiting(pair)
    await_problem(pair, pair.sw2, "sw2 needs a decision", "our copy ends at token 1.", "sw1 was seen at 1.", "3.00 s")
    assert lost(pair, pair.sw2), "it lacks rows that were acknowledged"

    if death == "switch":
        pair.sw1.power_on()
    else:
        pair.sw1.server.start()
    pair.wait_until(lambda: serves(pair, pair.sw1), LIMIT, "sw1 alone serves")
    assert not lost(pair, pair.sw1)
    assert "an operator" not in log(pair.sw1) + log(pair.sw2)
    mend()
    await_service(pair, pair.sw1)  # with the VTEP daemon of sw2, which reaches the VIP over the peer link
    await_copy(pair, pair.sw2)
    pair.wait_until(lambda: status(pair.sw2)["exposure"] is None, LIMIT, "it lacks nothing any more")


def test_a_copy_that_lacks_little_takes_over_and_the_ledger_tells_what_it_lacks(lab: MakeLab, stack: ExitStack) -> None:
    pair = begin(lab, rate=100, overrides={"failover": {"max_behind": 60}, "restore": {"mode": "manual"}})
    mend = filtered(pair, None)
    pair.wait_until(lambda: status(pair.sw2)["exposure"], LIMIT, "sw2 knows that it lacks something")
    await_rows(pair, 20)
    pair.sw1.power_off("kill")
    await_service(pair, pair.sw2)
    gone = {ack.mac for ack in lost(pair, pair.sw2)}
    assert gone
    assert "our copy is served although it lacks tokens 1." in log(pair.sw2)
    mend()
    pair.sw1.power_on()
    await_pair(pair, pair.sw2)
    pair.wait_until(lambda: gone <= listed(pair.sw1), LIMIT, "the ledger has every row that sw2 lacks")
    assert gone <= kept(pair.sw1)


@pytest.mark.long
@pytest.mark.parametrize("order", ["force", "resolve"])
def test_an_operator_has_it_served_all_the_same(lab: MakeLab, order: str) -> None:
    pair = begin(lab, rate=100, overrides=SOON)
    fall_behind(pair, filtered, None)
    pair.sw1.power_off("kill")
    await_waiting(pair)
    words = ("failover", "--force", "--accept-data-loss") if order == "force" else ("resolve", "--keep", "self")
    ran = pair.sw2.ovsha(*words, "--yes", "--reason", "sw1 burnt down", limit=90.0)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    await_service(pair, pair.sw2)


@pytest.mark.parametrize(
    ("dead", "verdict"),
    [
        (("server",), "ovsdb-server on sw1 is not running"),
        pytest.param(("server", "agent"), "neither the agent nor ovsdb-server of sw1 has answered", marks=LATER),
    ],
    ids=["its server is dead", "its agent too"],
)
def test_an_order_to_resolve_ends_when_its_side_serves_and_says_truly_why_the_other_one_does_not_follow(
    lab: MakeLab, dead: tuple[str, ...], verdict: str
) -> None:
    pair = begin(lab, rate=100, overrides=SOON)
    fall_behind(pair, filtered, None)
    for each in dead:
        getattr(pair.sw1, each).kill()
    await_waiting(pair)
    ran = pair.sw2.ovsha("resolve", "--keep", "self", "--yes", "--reason", "its disk is gone", limit=90.0)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"sw2 is active in term 2; {verdict}" in ran.stdout
    assert (pair.sw2.role(), pair.sw2.vip_present()) == ("active", True)


@pytest.mark.long
def test_a_complete_copy_takes_over_long_after_the_agent_of_its_source_died(lab: MakeLab) -> None:
    pair = begin(lab, rate=100, overrides=SOON)
    pair.sw1.agent.kill()
    written = len(acks(pair))
    pair.wait_until(lambda: len(acks(pair)) > written + 500, 3 * LIMIT, "sw1's server goes on alone for longer")
    pair.sw1.power_off("kill")
    await_service(pair, pair.sw2, 2 * LIMIT)
    assert len(lost(pair, pair.sw2)) < 100


@pytest.mark.long
def test_without_a_limit_any_copy_of_the_same_term_takes_over(lab: MakeLab) -> None:
    pair = begin(lab, rate=100, overrides=settings.merged(SOON, {"failover": {"max_behind": None}}))
    filtered(pair, None)
    pair.wait_until(lambda: (status(pair.sw2)["exposure"] or {}).get("age", 0) > 6, LIMIT, "sw2 is well behind")
    assert not status(pair.sw2)["exposure"]["beyond"]
    pair.sw1.power_off("kill")
    await_service(pair, pair.sw2)
    await_word(pair, pair.sw2, "it lacks tokens 1.")
