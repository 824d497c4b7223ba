"""What `ovsha preflight` says before a pair runs, while it runs, and of what would keep it from working."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lab import Lab
from story import LIMIT, MakeLab, begin, in_sync
from switch import Switch
from topology import SW1

STRANGER_MAC = "02:00:00:00:00:99"
ITEMS = 16


def preflight(switch: Switch, *options: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """Return the exit status of `ovsha preflight`, and its items by name."""
    done = switch.ovsha("preflight", "--json", *options, limit=120.0)
    assert not done.stderr, done.stderr
    document = json.loads(done.stdout)
    assert document["schema"] == 1
    assert done.returncode == (0 if document["passed"] else 1)
    return done.returncode, {each["name"]: each for each in document["items"]}


def failing(items: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Return what is said of what FAILs; each has a fix."""
    bad = {name: each for name, each in items.items() if each["grade"] == "FAIL"}
    assert all(each["fix"] for each in bad.values()), bad
    return {name: str(each["text"]) for name, each in bad.items()}


def before(lab: MakeLab, **wishes: Any) -> Lab:
    """Return two switches with clagd and ovsdb-server, and no agent."""
    pair = lab(**wishes)
    pair.start(agents=False)
    pair.wait_until(lambda: pair.sw1.clag()["peerAlive"], LIMIT, "clagd sees its peer")
    pair.wait_until(lambda: pair.sw1.clag()["backupActive"], LIMIT, "and its backup path")
    return pair


def test_a_pair_passes_before_its_agents_run_and_what_was_measured_is_told(lab: MakeLab) -> None:
    pair = before(lab, rows=2000)
    status, items = preflight(pair.sw1)
    assert (status, failing(items), len(items)) == (0, {}, ITEMS)
    grades = {name: each["grade"] for name, each in items.items()}
    assert {name for name, grade in grades.items() if grade == "SKIP"} == {"agreement", "clocks"}
    assert grades["mlag"] == "WARN", "the lab has no anycast IP"
    assert {name for name, grade in grades.items() if grade == "WARN"} <= {"mlag", "paths"}
    assert "169.254.0.11 is free" in items["vip-free"]["text"]
    stall = items["stall"]["facts"]
    assert 0 < stall["active"] < stall["whole"]
    assert 0 < stall["backup"] <= stall["whole"]
    assert [row["what"] for row in items["paths"]["rows"]] == [
        *(f"peer link: {what}" for what in ("round trip", "lost")),
        *(f"backup path: {what}" for what in ("round trip", "lost")),
    ]
    assert pair.sw1.role() == pair.sw2.role() == "backup", "nothing was changed"


def test_a_running_pair_passes_on_both_sides_and_the_peers_are_compared(lab: MakeLab) -> None:
    pair = begin(lab)
    pair.wait_until(lambda: in_sync(pair), LIMIT, "the pair is in sync")
    for switch, words in ((pair.sw1, "is on this side"), (pair.sw2, "is on sw1")):
        status, items = preflight(switch, "--peer", "--quick")
        assert (status, failing(items)) == (0, {})
        assert words in items["vip-free"]["text"]
        assert "are the same on" in items["agreement"]["text"]
        assert abs(items["clocks"]["facts"]["offset"]) < 1
        assert items["stall"]["grade"] == "SKIP"
    shown = pair.sw1.ovsha("preflight", "--quick", limit=120.0)
    assert shown.stdout.rstrip().endswith(": this switch is ready for ovsha"), shown.stdout


def test_a_vip_that_somebody_else_has_fails_by_his_mac(lab: MakeLab) -> None:
    pair = before(lab)
    link = ("link", "add", "link", "peerlink.4094", "name", "stranger", "address", STRANGER_MAC, "type", "macvlan")
    for words in (link, ("link", "set", "stranger", "up"), ("address", "add", "169.254.0.11/29", "dev", "stranger")):
        assert pair.sw2.run("ip", *words).returncode == 0
    status, items = preflight(pair.sw1, "--quick")
    assert (status, set(failing(items))) == (1, {"vip-free"})
    assert STRANGER_MAC in items["vip-free"]["text"]
    assert preflight(pair.sw2, "--quick")[1]["vip-free"]["grade"] in ("WARN", "FAIL"), "it is on this very switch"


def test_a_backup_path_over_the_peer_link_fails(lab: MakeLab) -> None:
    pair = before(lab)
    assert pair.sw1.run("ip", "route", "add", "192.168.100.2/32", "via", "169.254.0.10").returncode == 0
    assert "is over peerlink.4094, the peer link" in failing(preflight(pair.sw1, "--quick")[1])["backup-path"]


def test_a_peer_that_answers_over_one_path_only_fails(lab: MakeLab) -> None:
    pair = before(lab)
    pair.network.cut("backup path")
    found = failing(preflight(pair.sw1, "--quick")[1])
    assert found["paths"] == "sw2 does not answer over the backup path"


def test_a_replication_address_that_is_the_vip_fails_before_all_else(lab: MakeLab) -> None:
    pair = lab(overrides={"vip": {"address": "169.254.0.10"}})
    status, items = preflight(pair.sw1)
    assert (status, set(items)) == (1, {"configuration"})
    assert "a backup that copies from the VIP ends up copying itself" in failing(items)["configuration"]


def test_a_server_that_copies_from_the_vip_fails(lab: MakeLab) -> None:
    pair = before(lab)
    pair.sw2.appctl("ovsdb-server/set-active-ovsdb-server", "tcp:169.254.0.11:9999")
    assert "which is the VIP" in failing(preflight(pair.sw2, "--quick")[1])["replication"]


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"heartbeat": {"dead_interval": 0.9}}, "heartbeat.dead_interval is 0.9 here and 0.45 there"),
        ({"replication": {"port": 9997}}, "replication.port is 9997 here and 9999 there"),
    ],
    ids=["timers", "ports"],
)
def test_configurations_that_differ_fail_by_the_names_of_their_keys(
    lab: MakeLab, overrides: dict[str, Any], words: str
) -> None:
    pair = lab(node_overrides={SW1: overrides})
    pair.start(agents=False)
    pair.sw2.agent.start()
    pair.wait_until(lambda: "agreement" in failing(preflight(pair.sw1, "--quick", "--peer")[1]), LIMIT, "sw2 is asked")
    pair.wait_until(
        lambda: words in failing(preflight(pair.sw1, "--quick", "--peer")[1])["agreement"], LIMIT, "they are compared"
    )
