"""However a Manager's target is spelled: a split is won by the side with the controller, and a hung server loses it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any

import pytest

from lab import Lab
from story import LIMIT, MakeLab, await_pair, await_rows, await_service, begin, log, open_here, writer
from switch import NSX_PORT
from topology import CTL, IPV4, IPV6, SW1, SWITCHES, Plan

REACHED = "clients reached it while the two were apart"
MANUAL = {"restore": {"mode": "manual"}}
NAME = "controller.lab"
FOUR, SIX = IPV4.management[CTL], IPv6Address(IPV6.management[CTL]).exploded.upper()

SPELLED = [
    pytest.param(f"tcp:{FOUR}", IPV4, id="no port"),
    pytest.param(f"tcp:[{SIX}]:{NSX_PORT}", IPV6, id="IPv6 at full length", marks=pytest.mark.long),
    pytest.param(f"tcp:[::ffff:{FOUR}]:{NSX_PORT}", IPV4, id="IPv4 in IPv6", marks=pytest.mark.long),
    pytest.param(f"tcp:{NAME}:{NSX_PORT}", IPV4, id="a name", marks=pytest.mark.long),
]


@contextmanager
def named(pair_of: MakeLab, target: str, plan: Plan) -> Iterator[MakeLab]:
    """Give what makes the lab, with the controller's name in the hosts file of both switches where one is used."""
    made: list[Path] = []

    def make(**wishes: Any) -> Lab:
        pair: Lab = pair_of(manager=target, plan=plan, **wishes)
        for node in SWITCHES if NAME in target else ():
            made.append(Path("/etc/netns") / pair.network.namespace(node))
            made[-1].mkdir(parents=True)
            (made[-1] / "hosts").write_text(f"{plan.management[CTL]} {NAME}\n", encoding="ascii")
        return pair

    try:
        yield make
    finally:
        for directory in made:
            (directory / "hosts").unlink()
            directory.rmdir()


def part(pair: Lab) -> None:
    """Cut sw1 off from everybody: from sw2 on both paths, and from the controller."""
    pair.network.cut("peer link")
    pair.network.cut("backup path", SW1)
    version = "ip6" if ":" in pair.sw1.management_address else "ip"
    hook = '{ type filter hook ingress device "eth0" priority 0; }'
    pair.sw2.run("nft", f"add table netdev apart; add chain netdev apart lost {hook}")
    pair.sw2.run("nft", f"add rule netdev apart lost {version} saddr {pair.sw1.management_address} drop")


def meet(pair: Lab) -> None:
    """Undo that."""
    pair.sw2.run("nft", "delete table netdev apart")
    pair.network.mend("backup path", SW1)
    pair.network.mend("peer link")


@pytest.mark.parametrize(("target", "plan"), SPELLED)
def test_a_split_is_won_by_the_side_that_has_the_controller(lab: MakeLab, target: str, plan: Plan) -> None:
    with named(lab, target, plan) as make:
        pair = begin(make, overrides=MANUAL)
        part(pair)
        pair.wait_until(lambda: writer(pair) == pair.sw2.management_address, LIMIT, "the controller writes to sw2")
        assert open_here(pair.sw1), "sw1 cannot know that nobody reaches it"
        await_rows(pair, 100)
        meet(pair)
        await_pair(pair, pair.sw2)
        assert REACHED in log(pair.sw1)


@pytest.mark.parametrize(("target", "plan"), SPELLED)
def test_a_hung_server_keeps_no_session_with_the_controller(lab: MakeLab, target: str, plan: Plan) -> None:
    with named(lab, target, plan) as make:
        pair = begin(make)
        assert pair.sw1.manager_sessions()
        pair.sw1.server.freeze()
        await_service(pair, pair.sw2)
        pair.wait_until(lambda: not pair.sw1.manager_sessions(), LIMIT, "the frozen server has no session any more")
        pair.sw1.server.thaw()
        await_pair(pair, pair.sw1)
