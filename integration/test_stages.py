"""A switch dies in stages, its kernel last: it is believed whatever clagd says, and what only looks like it is not."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest

import stages
from lab import Lab
from service import Service
from stages import CLAGD, DELAYS, FIRST, THEN, Clagd, First, Then, await_proof, die, silence_clagd
from story import (
    LIMIT,
    SERVICE,
    MakeLab,
    await_pair,
    await_rows,
    await_service,
    await_word,
    begin,
    in_sync,
    log,
    open_here,
    problems,
    status,
    undisturbed,
)
from switch import Switch
from topology import IPV6, LINK_LOCAL, MIXED, Plan

MANUAL = {"restore": {"mode": "manual"}}


def kernel(switch: Switch, path: str) -> dict[str, object]:
    """Return what the agent says of the peer's kernel on that path."""
    return next(each for each in status(switch)["kernel"]["paths"] if each["path"] == path)


def silent_for(switch: Switch) -> float:
    """Return for how many seconds the agent of the switch has not heard its peer."""
    return float(status(switch)["sides"]["sw1"]["age"])


def dead_interval(switch: Switch) -> float:
    return float(status(switch)["settings"]["dead_interval"])


def asked_at_once(switch: Switch) -> bool:
    """Say whether it has sent a whole burst over the backup path, and nothing is suspected any more."""
    known = status(switch)["kernel"]
    return known["suspected_for"] is None and kernel(switch, "backup-path")["asked"] == 5


def lose_the_agent(pair: Lab, end: Callable[[Service], object] = Service.kill) -> None:
    """End the agent of sw1, and wait until that is known; at the start it is said too that the peer is silent."""
    said = len(log(pair.sw2))
    end(pair.sw1.agent)
    await_word(pair, pair.sw2, "the peer is silent", since=said)


def without_its_agent(lab: MakeLab) -> Lab:
    """Return a pair whose active side has lost its agent, which is known, while its kernel answers both ways."""
    pair = begin(lab, overrides=MANUAL)
    lose_the_agent(pair)
    await_proof(pair, pair.sw2)
    return pair


def test_a_switch_whose_kernel_dies_after_its_agent_is_replaced_although_clagd_says_that_it_lives(
    lab: MakeLab,
) -> None:
    pair = without_its_agent(lab)
    silence_clagd(pair.sw2, "says *alive*")
    assert not open_here(pair.sw2), "an agent that is dead alone moves nothing"
    pair.sw1.power_off("cut")
    await_service(pair, pair.sw2)
    await_rows(pair, 25)
    assert pair.sw2.clag()["peerIf"], "clagd goes on saying what it said"


def test_a_peer_link_that_is_lost_after_the_agent_moves_nothing_while_the_kernel_answers_on_the_backup_path(
    lab: MakeLab,
) -> None:
    pair = without_its_agent(lab)
    silence_clagd(pair.sw2, "says *alive*")
    with undisturbed(pair):
        pair.network.link_down("peer link", pair.sw1.node)
        pair.wait_until(lambda: asked_at_once(pair.sw2), LIMIT, "the kernel was asked and has answered")
        pair.wait_until(lambda: status(pair.sw2)["source"]["closed"], LIMIT, "its server is given up")
    pair.network.link_up("peer link", pair.sw1.node)
    pair.sw1.agent.start()
    await_pair(pair, pair.sw1)


def proven(lab: MakeLab) -> Lab:
    """Return a pair in sync that knows that the kernel of the active side answers, and whose backup's clagd lies."""
    pair = begin(lab, overrides=MANUAL)
    pair.sw1.agent.freeze()
    await_proof(pair, pair.sw2)
    pair.sw1.agent.thaw()
    pair.wait_until(lambda: in_sync(pair), LIMIT, "the pair is in sync")
    silence_clagd(pair.sw2, "says *alive*")
    return pair


def hold(pair: Lab) -> None:
    """Wait until the agent of sw1 has been silent for so long that any takeover would have begun."""
    long = 8 * dead_interval(pair.sw2)
    pair.wait_until(lambda: silent_for(pair.sw2) > long, LIMIT, "its agent is known to be silent")
    assert not open_here(pair.sw2)


def test_an_agent_that_dies_after_the_peer_link_moves_nothing_until_its_switch_dies(lab: MakeLab) -> None:
    pair = proven(lab)
    pair.network.link_down("peer link", pair.sw1.node)
    pair.wait_until(lambda: status(pair.sw2)["source"]["closed"], LIMIT, "its server is given up")
    lose_the_agent(pair)
    hold(pair)
    await_rows(pair, 50)
    assert open_here(pair.sw1) == SERVICE
    pair.sw1.power_off("cut")
    await_service(pair, pair.sw2)
    assert pair.sw2.clag()["backupActive"], "clagd goes on saying what it said"


def lose_tcp(pair: Lab) -> None:
    """Freeze the agent, and then let no segment through between the two; their kernels answer echoes."""
    pair.sw1.agent.freeze()
    for node, port in product((pair.sw1.node, pair.sw2.node), (9999,)):
        pair.network.drop_tcp(node, port)
    pair.wait_until(lambda: status(pair.sw2)["source"]["closed"], LIMIT, "its server is given up")


def lose_the_link_at_once(pair: Lab) -> None:
    """Freeze the agent, and take the peer link down before that is known to be more than a coincidence."""
    pair.sw1.agent.freeze()
    pair.wait_until(lambda: silent_for(pair.sw2) > dead_interval(pair.sw2), LIMIT, "its agent is silent")
    pair.network.link_down("peer link", pair.sw1.node)


def lose_packets(pair: Lab) -> None:
    """Lose 15 of 100 packets that come from the other switch, on both sides and paths, and then the agent."""
    for switch in pair.switches:
        hook = "{ type filter hook input priority 0; }"
        rules = f"add table inet lossy; add chain inet lossy some {hook}"
        rules += "; add rule inet lossy some icmp type { echo-request, echo-reply } numgen random mod 100 < 15 drop"
        for protocol in ("tcp", "udp"):
            ports = "{ 9999, 5344 }"
            rules += f"; add rule inet lossy some {protocol} dport {ports} numgen random mod 100 < 15 drop"
            rules += f"; add rule inet lossy some {protocol} sport {ports} numgen random mod 100 < 15 drop"
        done = switch.run("nft", rules)
        assert done.returncode == 0, done.stderr
    pair.sw1.agent.kill()


@pytest.mark.long
@pytest.mark.parametrize("fault", [lose_tcp, lose_the_link_at_once, lose_packets])
def test_a_kernel_that_answers_holds_up_a_takeover_in_whatever_order_the_rest_falls_silent(
    lab: MakeLab, fault: Callable[[Lab], None]
) -> None:
    pair = proven(lab)
    with undisturbed(pair):
        fault(pair)
        hold(pair)


def test_an_agent_that_is_stopped_says_so_and_a_link_that_vanishes_then_moves_nothing(lab: MakeLab) -> None:
    pair = begin(lab, overrides=MANUAL)
    await_proof_of_paths(pair)
    lose_the_agent(pair, Service.stop)
    with undisturbed(pair):
        pair.network.cut("peer link")
        pair.wait_until(lambda: status(pair.sw2)["source"]["closed"], LIMIT, "its server is given up")
    pair.network.mend("peer link")
    pair.wait_until(lambda: not status(pair.sw2)["source"]["closed"], LIMIT, "its server is heard again")
    pair.sw1.server.kill()
    pair.wait_until(lambda: open_here(pair.sw2) == SERVICE, LIMIT, "sw2 serves, as nobody else does")


def await_proof_of_paths(pair: Lab) -> None:
    """Wait until the kernel has answered on both paths."""

    def both() -> bool:
        return all(kernel(pair.sw2, path)["answered_age"] is not None for path in ("peer-link", "backup-path"))

    pair.wait_until(both, LIMIT, "the peer's kernel answers on both paths")


@pytest.mark.long
def test_an_agent_without_the_privilege_says_so_in_one_line_and_clagd_decides_as_ever(lab: MakeLab) -> None:
    pair = lab(overrides=MANUAL)
    for switch in pair.switches:
        switch.agent_under = ("setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw")
    pair.start_controller()
    pair.start(vtepds=True)
    await_pair(pair, pair.sw1)
    said = [line for line in log(pair.sw2).splitlines() if "the peer's kernel cannot be asked" in line]
    assert len(said) == 1
    lose_the_agent(pair)
    pair.wait_until(lambda: silent_for(pair.sw2) > 4 * dead_interval(pair.sw2), LIMIT, "it is no coincidence any more")
    pair.sw1.power_off("cut")
    await_service(pair, pair.sw2)
    assert pair.sw2.clag().get("backupActive") is not True


@pytest.mark.long
@pytest.mark.parametrize("plan", [IPV6, LINK_LOCAL, MIXED], ids=["IPv6", "link-local", "mixed"])
def test_it_is_the_same_over_ipv6(lab: MakeLab, plan: Plan) -> None:
    pair = begin(lab, overrides=MANUAL, plan=plan)
    pair.wait_until(lambda: in_sync(pair), LIMIT, "the pair is in sync")
    dies_in_stages(pair)


@pytest.mark.long
def test_it_is_the_same_after_the_peer_link_was_made_anew(lab: MakeLab) -> None:
    pair = begin(lab, overrides=MANUAL)
    pair.network.remake_peer_link()
    await_pair(pair, pair.sw1)
    dies_in_stages(pair)


def dies_in_stages(pair: Lab) -> None:
    """Let sw1 lose its agent, then, when its kernel is known to answer on both paths, its links; sw2 has no clagd."""
    lose_the_agent(pair)
    await_proof(pair, pair.sw2)
    await_proof_of_paths(pair)
    silence_clagd(pair.sw2, "down")
    pair.sw1.power_off("cut")
    await_service(pair, pair.sw2)


@pytest.mark.long
def test_a_switch_that_hangs_with_its_links_up_is_replaced_once_its_server_has_been_silent_for_the_stall_interval(
    lab: MakeLab,
) -> None:
    pair = begin(lab, overrides=MANUAL)
    said = len(log(pair.sw2))
    for service in pair.sw1.services:
        service.freeze()
    await_word(pair, pair.sw2, "the peer is silent", since=said)
    assert not open_here(pair.sw2), "a kernel that acknowledges may have a server that is busy"
    pair.wait_until(lambda: open_here(pair.sw2) == SERVICE, LIMIT, "sw2 serves")
    answer_age = status(pair.sw2)["source"]["unanswered_for"]
    assert answer_age is None or answer_age >= status(pair.sw2)["settings"]["stall_interval"]


CELLS = list(product(FIRST, DELAYS, THEN, CLAGD))


@pytest.mark.long
@pytest.mark.parametrize(("first", "delay", "then", "clagd"), CELLS)
def test_every_death_in_stages_is_believed_before_clagd_says_so(
    lab: MakeLab, first: First, delay: float, then: Then, clagd: Clagd
) -> None:
    pair = lab(**stages.WISHES)
    stages.begin(pair, clagd)
    die(pair.sw1, first, delay, then)
    pair.wait_until(lambda: open_here(pair.sw2) == SERVICE, LIMIT, "sw2 serves")
    assert clagd == "down" or pair.sw2.clag()["backupActive"], "clagd has not noticed yet"
    assert "the peer's kernel cannot be asked" not in problems(pair.sw2)
