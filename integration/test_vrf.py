"""The management VRF: the backup path is used in it, and controllers in it are reached by what the preflight advises.

A kernel without VRFs (CONFIG_NET_VRF) shows the first half only, on another device above eth0 that takes its address.
"""

from __future__ import annotations

import shlex
import subprocess
from functools import cache

import pytest

from lab import Lab
from story import LIMIT, MakeLab, in_sync, status
from switch import Switch
from test_preflight import preflight
from test_stages import MANUAL, dies_in_stages
from topology import CTL, MANAGEMENT_ADDRESS

CONTROLLER = MANAGEMENT_ADDRESS[CTL]
ABOVE = {
    "vrf": ("ip link add mgmt type vrf table 1001", "ip link set eth0 master mgmt"),
    "plain": ("ip link add mgmt link eth0 type macvlan mode bridge",),
}
"""What makes a device mgmt above eth0."""


@cache
def kernel_has_vrfs() -> bool:
    """Return whether a VRF can be made here."""
    made = ["unshare", "-n", "ip", "link", "add", "mgmt", "type", "vrf", "table", "1001"]
    return subprocess.run(made, capture_output=True, check=False).returncode == 0


def run(switch: Switch, *lines: str) -> None:
    """Run command lines on a switch."""
    for line in lines:
        done = switch.run(*shlex.split(line))
        assert done.returncode == 0, f"{line}: {done.stderr}"


def move_below(switch: Switch, kind: str) -> None:
    """Make the device anew, and have the management address in it."""
    address = f"{switch.management_address}/24"
    switch.run("ip", "link", "delete", "mgmt")
    run(switch, "ip address flush dev eth0", *ABOVE[kind], "ip link set mgmt up")
    run(switch, f"ip address add {address} dev {'eth0' if kind == 'vrf' else 'mgmt'}")
    # A parked server's source is nowhere, as it was.
    run(switch, f"ip route replace 192.0.2.0/24 via {CONTROLLER} dev {'eth0' if kind == 'vrf' else 'mgmt'}")


def heard(pair: Lab, path: str) -> bool:
    """Say whether both sides hear each other over a path."""
    return all(status(each)["paths"][path]["state"] == "up" for each in pair.switches)


@pytest.mark.parametrize("kind", ABOVE)
def test_the_backup_path_is_used_in_its_vrf_and_again_when_that_was_made_anew(lab: MakeLab, kind: str) -> None:
    if kind == "vrf" and not kernel_has_vrfs():
        pytest.skip("this kernel has no VRFs (CONFIG_NET_VRF)")
    pair = lab(overrides={"backup_path": {"vrf": "mgmt"}}, clag_backup=False)  # the stand-in knows no VRF
    for switch in pair.switches:
        move_below(switch, kind)
    pair.start()
    pair.wait_until(lambda: heard(pair, "backup-path"), LIMIT, "the backup path is heard in mgmt")
    pair.wait_until(lambda: in_sync(pair), LIMIT, "the pair is in sync")
    if kind == "vrf":
        run(pair.sw1, "ip link set eth0 nomaster", f"ip address replace {pair.sw1.management_address}/24 dev eth0")
        _, items = preflight(pair.sw1, "--quick")
        said = items["vrf"]["text"]
        assert f"{pair.sw1.management_address} is in the default VRF, and is looked for in VRF mgmt" in said
    run(pair.sw1, "ip link delete mgmt")
    where = f"{pair.sw1.management_address} in mgmt"
    pair.wait_until(
        lambda: where in (status(pair.sw1)["paths"]["backup-path"]["trouble"] or ""), LIMIT, "sw1 tells what is missing"
    )
    move_below(pair.sw1, kind)
    pair.wait_until(lambda: heard(pair, "backup-path"), LIMIT, "the backup path is heard in the new mgmt")
    assert in_sync(pair), "that was no reason to move"


@pytest.mark.skipif(not kernel_has_vrfs(), reason="this kernel has no VRFs (CONFIG_NET_VRF)")
def test_a_controller_in_the_vrf_is_reached_by_what_the_preflight_advises(lab: MakeLab) -> None:
    pair = lab(overrides={"backup_path": {"vrf": "mgmt"}}, clag_backup=False)  # the stand-in knows no VRF
    for switch in pair.switches:
        move_below(switch, "vrf")
    pair.start_controller()
    pair.start()
    pair.wait_until(lambda: in_sync(pair), LIMIT, "the pair is in sync")
    code, items = preflight(pair.sw1, "--quick")
    assert code == 1
    assert items["vrf"]["grade"] == "PASS", items["vrf"]
    assert "the backup path is in VRF mgmt" in items["vrf"]["text"]
    assert items["backup-path"]["grade"] == "PASS", items["backup-path"]
    assert f"{CONTROLLER} can be reached in VRF mgmt only" in items["controller"]["text"]
    leak, accept = items["controller"]["fix"].removeprefix("leak a route: ").partition(" (")[0].split("; ")[:2]
    run(pair.sw1, leak)
    _, items = preflight(pair.sw1, "--quick")
    assert "what comes back is dropped" in items["controller"]["text"]
    run(pair.sw1, accept)
    _, items = preflight(pair.sw1, "--quick")
    assert items["controller"]["grade"] == "PASS", items["controller"]
    pair.wait_until(lambda: status(pair.sw1)["sides"]["sw1"]["controllers"] == 1, LIMIT, "the controller is connected")


@pytest.mark.long
@pytest.mark.parametrize("kind", ABOVE)
def test_the_kernel_is_asked_in_the_vrf_and_a_death_in_stages_is_believed_there(lab: MakeLab, kind: str) -> None:
    if kind == "vrf" and not kernel_has_vrfs():
        pytest.skip("this kernel has no VRFs (CONFIG_NET_VRF)")
    pair = lab(overrides={"backup_path": {"vrf": "mgmt"}, **MANUAL}, clag_backup=False)
    for switch in pair.switches:
        move_below(switch, kind)
    pair.start()
    pair.wait_until(lambda: in_sync(pair), LIMIT, "the pair is in sync")
    dies_in_stages(pair)
