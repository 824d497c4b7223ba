"""`ifreload -a` and `systemctl restart networking` by the real ifupdown2, and interfaces that go and come back."""

from __future__ import annotations

from collections import Counter

import pytest

import ifupdown
from ifupdown import Ifupdown
from lab import Lab
from monitor import Monitor
from story import (
    LIMIT,
    MakeLab,
    await_every_row,
    await_pair,
    await_rows,
    begin,
    kept,
    log,
    lost,
    undisturbed,
)
from test_exchange import answers
from test_links import path_states
from test_wire import announced
from topology import INTERFACE, IPV4, IPV6, LINK_LOCAL, SW1, SW2, Plan
from wire import wire

REAL = pytest.mark.skipif(bool(ifupdown.missing()), reason=ifupdown.missing() or "ifupdown2 is there")
REACHED = "clients reached it while the two were apart"
OTHER_MAC = "44:38:39:00:00:99"
ROUTED = "10.255.0.11"


def term(pair: Lab) -> int:
    return int(pair.sw1.global_config()["ovsha:term"])


@REAL
@pytest.mark.parametrize("mode", ["interface", "loopback"])
def test_nobody_notices_that_ifreload_takes_the_vip_away(lab: MakeLab, mode: str) -> None:
    pair = lab(overrides={"vip": {"address": ROUTED, "mode": mode}} if mode == "loopback" else {})
    vip = pair.sw1.config["vip"]["address"]
    for switch, peer in ((pair.sw1, pair.sw2), (pair.sw2, pair.sw1)) if mode == "loopback" else ():
        assert switch.run("ip", "route", "add", vip, "via", peer.address).returncode == 0
    begin(lambda **_: pair)
    network = Ifupdown(pair, pair.sw1)
    seen = Monitor(pair.sw1.entering, "address", f"{vip}/32")
    try:
        with undisturbed(pair):
            network.run("ifreload", "-a")
            if mode == "interface":
                pair.wait_until(lambda: len(seen.told) >= 2, LIMIT, "the VIP went and came")
            pair.wait_until(pair.sw1.vip_present, LIMIT, "it is there")
        if mode == "interface":
            (gone, words), (back, _), *_ = seen.told
            assert words.startswith("Deleted")
            print(f"without the VIP for {(back - gone) * 1000:.1f} ms, as far as the kernel's word comes at once")
        else:
            assert not seen.told, "ifupdown2 leaves to the loopback what it does not know"
    finally:
        seen.close()


@REAL
def test_a_restart_of_networking_ends_with_one_side_and_loses_nothing_that_is_not_kept(lab: MakeLab) -> None:
    pair = begin(lab)
    Ifupdown(pair, pair.sw2).restart_networking()
    # A backup that reaches nobody for longer than the dead interval may serve, to nobody; on contact it gives way.
    await_pair(pair, pair.sw1)
    assert not lost(pair, pair.sw1), "a restart on the backup costs nothing"
    Ifupdown(pair, pair.sw1).restart_networking()
    # The active side was cut off on every path for longer than the dead interval, so the other one has taken over.
    await_pair(pair, pair.sw1, limit=2 * LIMIT)
    gone = lost(pair, pair.sw1)
    assert {ack.mac for ack in gone} <= kept(pair.sw1) | kept(pair.sw2)
    told = log(pair.sw1)
    assert "both sides serve and the peer goes on" not in told or f"the peer goes on: {REACHED}" in told
    assert {ack.switch for ack in gone} <= {pair.sw1.management_address}, "what clients wrote meanwhile is served"
    await_rows(pair, 50)


@pytest.mark.parametrize("plan", [IPV4, IPV6, LINK_LOCAL], ids=["IPv4", "IPv6", "link-local"])
def test_a_peer_link_that_flaps_or_is_made_anew_moves_nothing(lab: MakeLab, plan: Plan) -> None:
    pair = begin(lab, plan=plan)
    before = term(pair)
    # ovsdb-server listens at a link-local address of that very interface, which another one of its name is not.
    for act in (flap,) if plan is LINK_LOCAL else (flap, remake):
        act(pair)
        pair.wait_until(lambda: path_states(pair, "peer-link") == {"up"}, LIMIT, "the peer link is heard again")
        await_pair(pair, pair.sw1)
        pair.wait_until(lambda: all(answers(switch) for switch in pair.switches), LIMIT, "the agents answer")
        assert term(pair) == before
    await_every_row(pair, pair.sw2)


def flap(pair: Lab) -> None:
    """Take the active side's end down and up again, faster than the dead interval."""
    pair.network.link_down("peer link", SW1)
    pair.network.link_up("peer link", SW1)


def remake(pair: Lab) -> None:
    """Delete the peer link's interfaces and make them anew."""
    pair.network.remake_peer_link()


def test_the_vip_is_announced_anew_when_its_interface_has_another_mac(lab: MakeLab) -> None:
    pair = begin(lab, overrides={"vip": {"announce_count": 1}})
    with wire(pair, SW2, INTERFACE["peer link"]) as raw, undisturbed(pair):
        # As a bond gets the MAC of another of its members at an ifreload.
        assert pair.sw1.run("ip", "link", "set", INTERFACE["peer link"], "address", OTHER_MAC).returncode == 0
        seen: Counter[tuple[int, str]] = Counter()
        pair.wait_until(lambda: announced(raw, seen)[1, OTHER_MAC] == 1, LIMIT, "the VIP is announced")
