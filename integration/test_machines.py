"""Two Debian 12 machines with nothing but the package are a pair.

Run by ``make machines-test``.  The machines run their own systemd; clagd alone has a stand-in.  The tests are one
story, in this order; each leaves the pair whole, with sw1 serving.
"""

from __future__ import annotations

import functools
import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import packaged
from machines import Machine
from segment import Segment

VIP = "169.254.0.11"
ADDRESSES = {"sw1": ("169.254.0.9", "192.168.0.1"), "sw2": ("169.254.0.10", "192.168.0.2")}
CLAGD = """[Unit]
Description=Stand-in for clagd
[Service]
WorkingDirectory=/opt/clagd
# The cables are laid when the machine has booted.
ExecStart=/bin/sh -c 'until ip address | grep -q {here[0]} && ip address | grep -q {here[1]}; do sleep 0.1; done; \\
    exec python3 -m standins.clagd --socket /run/clagd.lab --interface peerlink.4094 --priority {priority} \\
    --address {here[0]} --peer-ip {there[0]} --backup-local {here[1]} --backup-ip {there[1]} \\
    --peer-timeout 2 --reload-timer 3 --init-delay 0.2 --lacp-poll 0.2 --peer-link-poll 0.1'
Restart=always
RestartSec=200ms
StartLimitIntervalSec=0
[Install]
WantedBy=multi-user.target
"""


@dataclass
class Pair:
    """Two machines that are two switches, joined by a peer link and a management network."""

    sw1: Machine
    sw2: Machine
    peer_link: Segment
    management: Segment

    @property
    def both(self) -> tuple[Machine, Machine]:
        """The two."""
        return self.sw1, self.sw2

    def boot(self) -> None:
        """Switch on what is off, and lay the cables, which go with a machine that is switched off."""
        for machine in self.both:
            machine.boot()
            link, management = ADDRESSES[machine.name]
            self.peer_link.attach(machine, "peerlink.4094", f"{link}/29")
            self.management.attach(machine, "eth0", f"{management}/24")

    def serving(self) -> list[str]:
        """Return the names of the machines that are on and hold the VIP."""
        return [each.name for each in self.both if each.running and each.sh(f"ip -o address show to {VIP}")]

    def settled(self, serves: str) -> None:
        """Wait until `serves` serves and the other one is its backup, in sync."""

        def is_settled() -> bool:
            return self.serving() == [serves] and all(each.succeeds("ovsha sync-status") for each in self.both)

        self.sw1.until(is_settled, f"{serves} serves, and both are in sync", 120)


def status(machine: Machine) -> dict[str, Any]:
    """Return what the agent of a machine knows."""
    document: dict[str, Any] = json.loads(machine.sh("ovsha status --json || test $? = 1"))
    return document


def write_row(machine: Machine, name: str) -> None:
    """Commit a row by way of the VIP, as the VTEP daemon of this machine would."""
    change = ["hardware_vtep", {"op": "insert", "table": "Logical_Switch", "row": {"name": name}}]
    answer = json.loads(machine.sh(f"ovsdb-client transact tcp:{VIP}:9998 '{json.dumps(change)}'"))
    assert "uuid" in answer[0], answer


def rows(machine: Machine) -> set[str]:
    """Return the names of the rows that the server of this machine has, asked on its own socket."""
    wanted = ["hardware_vtep", {"op": "select", "table": "Logical_Switch", "where": [], "columns": ["name"]}]
    answer = machine.sh(f"ovsdb-client transact unix:/run/openvswitch/db.sock '{json.dumps(wanted)}'")
    return {row["name"] for row in json.loads(answer)[0]["rows"]}


@pytest.fixture(scope="module")
def pair(deb: Path) -> Iterator[Pair]:
    """Give two machines with clagd and the package, and nothing configured."""
    with ExitStack() as stack:
        sw1, sw2 = (stack.enter_context(Machine(name)) for name in ADDRESSES)
        pair = Pair(sw1, sw2, stack.enter_context(Segment()), stack.enter_context(Segment()))
        for machine in pair.both:
            other = pair.sw2 if machine is pair.sw1 else pair.sw1
            priority = 1000 if machine is pair.sw1 else 2000
            unit = CLAGD.format(here=ADDRESSES[machine.name], there=ADDRESSES[other.name], priority=priority)
            machine.copy_in(packaged.HERE / "standins", "/opt/clagd/standins")
            machine.copy_in(packaged.HERE / "standins" / "clagctl", "/usr/bin/clagctl")
            machine.write("/etc/systemd/system/clagd.service", unit)
        pair.boot()
        installing = [threading.Thread(target=packaged.install, args=(machine, deb)) for machine in pair.both]
        for thread in installing:
            thread.start()
        for thread in installing:
            thread.join()
        for machine in pair.both:
            machine.sh("systemctl enable --now clagd")
        yield pair


def test_installed_it_moves_nothing(pair: Pair) -> None:
    for machine in pair.both:
        assert machine.sh("dpkg-query -W -f '${db:Status-Status}' ovsha") == "installed"
        assert packaged.pids(machine) == (0, 0)
        machine.until(functools.partial(machine.succeeds, "clagctl | grep -q Peer"), "clagd answers")
    assert pair.serving() == []


def test_configured_by_the_readme_one_side_serves(pair: Pair) -> None:
    key = "umask 077; openssl rand -hex 32 >/etc/ovsha/pair.key"
    assert packaged.shown_in_readme(key, packaged.FOREIGN, packaged.SERVER, packaged.AGENT)
    pair.sw1.sh(key)
    pair.sw2.write("/etc/ovsha/pair.key", pair.sw1.sh("cat /etc/ovsha/pair.key"), 0o600)
    for machine in pair.both:
        machine.write("/etc/ovsha/ovsha.yaml", packaged.configuration(machine.name) + "restore: {delay: 2}\n")
        for command in ("ovsha config check", packaged.FOREIGN, packaged.SERVER, packaged.AGENT):
            machine.sh(command)
    pair.settled("sw1")
    for machine in pair.both:
        write_row(machine, f"by {machine.name}")
    pair.sw2.until(lambda: rows(pair.sw2) == {"by sw1", "by sw2"}, "the backup has the rows")


def test_killed_server_is_taken_over_from_and_gets_the_service_back(pair: Pair) -> None:
    server, _ = packaged.pids(pair.sw1)
    pair.sw1.sh(f"kill -9 {server}")
    pair.sw2.until(lambda: pair.serving() == ["sw2"], "the backup serves")
    write_row(pair.sw1, "while sw2 served")
    pair.settled("sw1")
    assert packaged.pids(pair.sw1)[0] not in (0, server), "systemd has brought the server back, parked"
    assert "while sw2 served" in rows(pair.sw1)


def test_watchdog_restarts_a_stopped_agent_and_nothing_moves(pair: Pair) -> None:
    server, agent = packaged.pids(pair.sw1)
    term = status(pair.sw1)["sides"]["sw1"]["term"]
    pair.sw1.sh(f"kill -STOP {agent}")
    took = pair.sw1.until(lambda: packaged.pids(pair.sw1)[1] not in (0, agent), "the watchdog has noticed")
    assert took > 1, "it was the watchdog"
    pair.settled("sw1")
    assert packaged.pids(pair.sw1)[0] == server
    assert status(pair.sw1)["sides"]["sw1"]["term"] == term, "the service was not taken anew"


@pytest.mark.parametrize("node", ["sw1", "sw2"])
def test_restart_of_the_agent_disturbs_nothing(pair: Pair, node: str) -> None:
    machine = pair.sw1 if node == "sw1" else pair.sw2
    server, agent = packaged.pids(machine)
    machine.sh("systemctl restart ovsha")
    assert packaged.pids(machine)[1] not in (0, agent)
    assert pair.serving() == ["sw1"]
    pair.settled("sw1")
    assert packaged.pids(machine)[0] == server


def test_stopped_agent_leaves_the_service_where_it_is(pair: Pair) -> None:
    pair.sw1.sh("systemctl stop ovsha")
    write_row(pair.sw2, "without the agent")
    assert "without the agent" in rows(pair.sw1)
    assert pair.serving() == ["sw1"]
    pair.sw1.sh("systemctl start ovsha")
    pair.settled("sw1")


def test_reload_takes_a_good_file_and_keeps_the_old_for_a_bad_one(pair: Pair) -> None:
    _, agent = packaged.pids(pair.sw1)
    good = pair.sw1.sh("cat /etc/ovsha/ovsha.yaml")
    pair.sw1.write("/etc/ovsha/ovsha.yaml", good.replace("delay: 2", "delay: 3"))
    pair.sw1.sh("systemctl reload ovsha")
    pair.sw1.until(lambda: "configuration read anew" in journal(pair.sw1), "it says so")
    pair.sw1.write("/etc/ovsha/ovsha.yaml", good + "nonsense: 1\n")
    pair.sw1.sh("systemctl reload ovsha")
    pair.sw1.until(lambda: "reload refused, the old configuration stays" in journal(pair.sw1), "it says so")
    pair.sw1.write("/etc/ovsha/ovsha.yaml", good)
    pair.sw1.sh("systemctl reload ovsha")
    pair.settled("sw1")
    assert packaged.pids(pair.sw1)[1] == agent


def test_rebooted_machine_is_taken_over_from_and_gets_the_service_back(pair: Pair) -> None:
    pair.sw1.power_off()
    pair.sw2.until(lambda: pair.serving() == ["sw2"], "the other machine serves")
    pair.boot()
    pair.settled("sw1")


def test_machine_without_power_is_taken_over_from_and_gets_the_service_back(pair: Pair) -> None:
    write_row(pair.sw1, "before the power went")
    pair.sw2.until(lambda: "before the power went" in rows(pair.sw2), "the backup has it")
    pair.sw1.cut_power()
    pair.sw2.until(lambda: pair.serving() == ["sw2"], "the other machine serves")
    pair.boot()
    pair.settled("sw1")
    assert "before the power went" in rows(pair.sw1)


def test_purged_on_one_machine_the_other_one_serves(pair: Pair) -> None:
    pair.sw1.sh("DEBIAN_FRONTEND=noninteractive apt-get -q -y purge ovsha")
    pair.sw2.until(lambda: pair.serving() == ["sw2"], "the other machine serves")
    write_row(pair.sw2, "alone")
    left = pair.sw1.sh("find / -xdev -name '*ovsha*'; find /run -name '*ovsha*'").splitlines()
    assert [name for name in left if not name.startswith(("/root/", "/var/log/", "/var/cache/"))] == []
    assert not pair.sw1.succeeds("pgrep -x ovsdb-server")


def journal(machine: Machine) -> str:
    """Return what the agent has logged."""
    return machine.sh("journalctl -q -u ovsha -o cat")
