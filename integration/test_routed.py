"""A VIP that the network routes: real FRR announces it from the side that has it, and it moves with the service."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from scapy.layers.l2 import ARP

import fabric
from fabric import Fabric
from lab import Lab
from story import LIMIT, MakeLab, await_pair, await_service, begin, in_sync
from switch import Switch
from test_checks import check
from test_preflight import failing, preflight
from topology import INTERFACE
from wire import frames, wire

VIP4 = "10.255.0.11"

pytestmark = pytest.mark.skipif(bool(fabric.missing()), reason=fabric.missing() or "FRR is there")


@contextmanager
def routed(make_lab: MakeLab, address: str, mode: str) -> Iterator[tuple[Lab, Fabric]]:
    """Give a pair whose VIP is routed, in its network, and a client that has found it."""
    pair = make_lab(overrides={"vip": {"address": address, "mode": mode}})
    if mode == "dummy":
        # The agent makes a dummy interface; where the kernel has none, one that is there is used as it is.
        probe = ("unshare", "-n", "ip", "link", "add", "probe", "type", "dummy")
        for switch in pair.switches if pair.sw1.run(*probe).returncode else ():
            for words in ("add ovsha-vip type ifb", "set ovsha-vip up"):
                assert switch.run("ip", "link", *words.split()).returncode == 0
    with Fabric(pair) as network:
        begin(lambda **_: pair)
        pair.wait_until(lambda: in_sync(pair), LIMIT, "the pair is in sync")
        network.start_client()
        pair.wait_until(network.connections, LIMIT, "the client reaches the VIP")
        yield pair, network


def await_there(pair: Lab, network: Fabric, switch: Switch, since: float) -> tuple[float, float]:
    """Wait until the route and the client are at `switch` alone; return how many seconds each took since then."""
    pair.wait_until(lambda: network.leads_to() == [switch.node], LIMIT, f"the route leads to {switch.node} alone")
    pair.wait_until(lambda: any(at > since for at in network.connections()), LIMIT, "the client is back")
    return network.moved(switch.node, since), min(at for at in network.connections() if at > since) - since


def test_the_route_is_on_one_side_only_and_moves_with_the_vip(lab: MakeLab) -> None:
    with routed(lab, VIP4, "loopback") as (pair, network):
        assert network.leads_to() == ["sw1"]
        for switch, words in ((pair.sw1, "is on lo of this side"), (pair.sw2, "is on sw1")):
            status, lines = check(switch)
            assert status == 0, "\n".join(lines.values())
            _, items = preflight(switch, "--peer", "--quick")
            assert failing(items) == {}
            assert words in items["vip-free"]["text"]
        with wire(pair, "sw2", INTERFACE["peer link"]) as raw:
            begun = time.monotonic()
            pair.sw1.server.kill()
            await_service(pair, pair.sw2)
            took = {"crash": await_there(pair, network, pair.sw2, begun)}
            assert not [frame for frame in frames(raw) if ARP in frame and VIP4 in (frame[ARP].psrc, frame[ARP].pdst)]
        pair.sw1.server.start(wait=False)
        await_pair(pair, pair.sw1)
        await_there(pair, network, pair.sw1, begun)
        pair.wait_until(lambda: in_sync(pair), LIMIT, "the pair is in sync")
        begun = time.monotonic()
        done = pair.sw1.ovsha("switchover", "--to", "sw2", "--yes")
        assert done.returncode == 0, done.stderr
        took["switchover"] = await_there(pair, network, pair.sw2, begun)
        tell(took)


def test_a_routed_vip_of_ipv6_on_an_interface_of_its_own_outlives_its_switch(lab: MakeLab) -> None:
    with routed(lab, "fd00:255::11", "dummy") as (pair, network):
        assert network.leads_to() == ["sw1"]
        begun = time.monotonic()
        pair.sw1.power_off("cut")
        network.uplink("sw1", "down")
        await_service(pair, pair.sw2)
        tell({"silent death": await_there(pair, network, pair.sw2, begun)})
        pair.sw1.power_on()
        network.uplink("sw1", "up")
        await_pair(pair, pair.sw1)
        pair.wait_until(lambda: network.leads_to() == ["sw1"], LIMIT, "the route is back")


def tell(took: dict[str, tuple[float, float]]) -> None:
    """Print the seconds until the route was there, and until the client was."""
    for name, seconds in took.items():
        print(f"{name}: route {seconds[0]:.3f} s, client {seconds[1]:.3f} s")
