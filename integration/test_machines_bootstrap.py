"""The command lines of the vendor's page, under the vendor's name, make a pair of two Debian 12 machines.

Run by ``make machines-test``.  Each order is a story of its own, on two machines with nothing but the package.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import packaged
import two_machines
from machines import Machine
from two_machines import Pair, rows, status, write_row

ADDRESSES = {"sw1": ("169.254.0.9", "192.168.100.1"), "sw2": ("169.254.0.10", "192.168.100.2")}
ACTIVE = (
    "vtep-bootstrap  --db_ha active  --db_ha_vip 169.254.0.11:9998  --db_ha_repl_sv 169.254.0.9:9999"
    " --controller_ip 192.168.100.17 vtep7 172.16.20.157 192.168.100.157"
)
STANDBY = ACTIVE.replace("active", "standby")
DATA = "/var/lib/openvswitch"
VTEPD = """#!/bin/sh
# A client of the server that it is told, as the vendor's daemon is one.
exec ovsdb-client monitor "$1" hardware_vtep Physical_Switch name
"""


@pytest.fixture
def pair(deb: Path) -> Iterator[Pair]:
    """Give two machines with clagd and the package, ours under the vendor's name, and nothing configured."""
    with two_machines.switched_on(ADDRESSES) as pair:
        two_machines.side_by_side(pair, lambda machine: packaged.install(machine, deb))
        two_machines.start_clagd(pair)
        for machine in pair.both:
            machine.sh("ln -s ovsha-vtep-bootstrap /usr/bin/vtep-bootstrap")
            machine.write("/usr/bin/ovs-vtepd", VTEPD, 0o755)
        yield pair


@pytest.mark.parametrize("first", ["active", "standby"])
def test_the_pages_arguments_make_a_pair(pair: Pair, first: str) -> None:
    orders = [(pair.sw1, ACTIVE), (pair.sw2, STANDBY)]
    for machine, order in orders if first == "active" else reversed(orders):
        said = machine.sh(order)
        assert said.count("Executed:\n") == (8 if machine is pair.sw1 else 5), said
    assert pair.serving() == ["sw1"], "the first side serves, the other waits for the key"
    for name, mode in ((f"{DATA}/vtep7-cert.pem", 0o644), (f"{DATA}/vtep7-privkey.pem", 0o600)):
        pair.sw2.write(name, pair.sw1.sh(f"cat {name}"), mode)
    pair.sw2.sh("systemctl restart ovsha-ovsdb-server ovsha")
    pair.settled("sw1")
    write_row(pair.sw2, "through the VIP")
    pair.sw2.until(lambda: "through the VIP" in rows(pair.sw2), "the backup has the row")
    for machine in pair.both:
        assert managers(machine) == ["ssl:192.168.100.17:6640"]
        unchanged = machine.sh("md5sum /etc/ovsha/ovsha.yaml /etc/default/ovsha-ovsdb-server"), packaged.pids(machine)
        assert "nothing that they read has changed" in machine.sh(ACTIVE if machine is pair.sw1 else STANDBY)
        again = machine.sh("md5sum /etc/ovsha/ovsha.yaml /etc/default/ovsha-ovsdb-server"), packaged.pids(machine)
        assert again == unchanged
    pair.sw1.until(lambda: status(pair.sw1)["sides"]["vtep7-1"]["vteps"] == 2, "both VTEP daemons are at the VIP")
    reboot(pair)
    purge(pair.sw2)


def purge(machine: Machine) -> None:
    """Remove all of ovsha; nothing that the wrapper has written for it is left."""
    machine.sh("DEBIAN_FRONTEND=noninteractive apt-get -q -y purge ovsha")
    left = machine.sh("find /etc /usr /var/lib /run -xdev -name '*ovsha*'").splitlines()
    assert [name for name in left if not name.startswith("/var/lib/apt/")] == []


def reboot(pair: Pair) -> None:
    """Switch the active side off and on: what was enabled comes back, and gets the service back."""
    pair.sw1.power_off()
    pair.sw2.until(lambda: pair.serving() == ["sw2"], "the other machine serves")
    pair.boot()
    pair.settled("sw1")


def managers(machine: Machine) -> list[str]:
    wanted = ["hardware_vtep", {"op": "select", "table": "Manager", "where": [], "columns": ["target"]}]
    answer = machine.sh(f"ovsdb-client transact unix:/run/openvswitch/db.sock '{json.dumps(wanted)}'")
    return [row["target"] for row in json.loads(answer)[0]["rows"]]
