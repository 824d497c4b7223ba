"""Two Debian 12 machines with nothing but the package become a pair by `ovsha init` and `ovsha join` over ssh.

Run by ``make machines-test``.  The first one has Debian's own server running, with rows in its database.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import packaged
import two_machines
from machines import Machine
from two_machines import Pair, rows, write_row

SINGLE = "unix:/run/openvswitch/db.sock"


@pytest.fixture
def pair(deb: Path) -> Iterator[Pair]:
    """Give two machines with clagd and the package, and nothing configured; ssh leads from sw2 to sw1."""
    with two_machines.switched_on() as pair:
        two_machines.side_by_side(pair, lambda machine: packaged.install(machine, deb))
        two_machines.start_clagd(pair)
        for machine in pair.both:
            machine.sh(f"{packaged.INSTALL} openssh-client openssh-server", limit=300)
        pair.sw2.sh("mkdir -p -m 700 /root/.ssh; ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519")
        pair.sw1.sh("mkdir -p -m 700 /root/.ssh")
        pair.sw1.write("/root/.ssh/authorized_keys", pair.sw2.sh("cat /root/.ssh/id_ed25519.pub"), 0o600)
        pair.sw1.sh("systemctl start ssh")
        pair.sw2.sh("ssh-keyscan 192.168.0.1 >/root/.ssh/known_hosts 2>/dev/null")
        yield pair


def a_single_server_runs(machine: Machine) -> None:
    """Have Debian's service run, and put rows into its database."""
    machine.sh("sed -i 's/^ENABLE_OVS_VTEP=.*/ENABLE_OVS_VTEP=true/' /etc/default/openvswitch-vtep")
    machine.sh("systemctl restart openvswitch-vtep")
    for name in ("one", "two"):
        row = ["hardware_vtep", {"op": "insert", "table": "Logical_Switch", "row": {"name": name}}]
        machine.sh(f"ovsdb-client transact {SINGLE} '{json.dumps(row)}'")


def test_debians_single_server_becomes_the_first_of_a_pair_and_the_other_joins_it_over_ssh(pair: Pair) -> None:
    a_single_server_runs(pair.sw1)
    said = pair.sw1.sh("ovsha init --peer-name sw2 --vip 169.254.0.11 --yes", limit=120)
    assert "openvswitch-vtep" in said
    assert "/etc/openvswitch/vtep.db" in said
    fingerprint = re.search(r"fingerprint +(\S+)", said)
    assert fingerprint is not None, said
    assert (pair.serving(), rows(pair.sw1)) == (["sw1"], {"one", "two"})
    pair.sw1.cut_power()
    pair.boot()
    pair.sw1.until(lambda: pair.serving() == ["sw1"], "it serves alone after a loss of power, too")
    said = pair.sw2.sh(f"ovsha join ssh://root@192.168.0.1 --fingerprint {fingerprint[1]}", limit=180)
    assert "sw2 and sw1 are equal" in said
    pair.settled("sw1")
    assert rows(pair.sw2) == {"one", "two"}
    for machine in pair.both:
        assert machine.sh("systemctl is-enabled ovsha ovsha-ovsdb-server").split() == ["enabled", "enabled"]
    shown = "cd /etc/openvswitch; sha256sum ovsclient-cert.pem ovsclient-privkey.pem"
    certificates = [machine.sh(shown) for machine in pair.both]
    assert certificates[0] == certificates[1]
    write_row(pair.sw2, "through the VIP")
    pair.sw1.cut_power()
    pair.sw2.until(lambda: pair.serving() == ["sw2"], "the other machine serves")
    pair.boot()
    pair.settled("sw1")
    assert rows(pair.sw1) == {"one", "two", "through the VIP"}
