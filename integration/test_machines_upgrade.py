"""An upgrade of two machines under systemd: it takes conf.db and the key, and starts the server the vendor's way.

One story, in this order; run with the other tests of machines by ``make machines-test``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import packaged
import two_machines
from two_machines import Pair, rows, status, write_row

VENDORS = (
    "mkdir -p /run/openvswitch; /usr/sbin/ovsdb-server --detach --no-chdir --pidfile=/run/openvswitch/ovsdb-server.pid"
    " --remote=punix:/run/openvswitch/db.sock --remote=db:hardware_vtep,Global,managers --remote=ptcp:9999:169.254.0.9"
    f" {packaged.DATABASE}"
)
BLANK = (
    f"rm {packaged.DATABASE}; ovsdb-tool create {packaged.DATABASE} /usr/share/openvswitch/vtep.ovsschema"
)  # fmt: skip


@pytest.fixture(scope="module")
def pair(deb: Path) -> Iterator[Pair]:
    """Give two machines that are a pair, with sw1 serving."""
    with two_machines.switched_on() as pair:
        two_machines.side_by_side(pair, lambda machine: packaged.install(machine, deb))
        two_machines.start_clagd(pair)
        pair.sw1.sh("umask 077; openssl rand -hex 32 >/etc/ovsha/pair.key")
        pair.sw2.write("/etc/ovsha/pair.key", pair.sw1.sh("cat /etc/ovsha/pair.key"), 0o600)
        for machine in pair.both:
            machine.write("/etc/ovsha/ovsha.yaml", packaged.configuration(machine.name) + "restore: {delay: 2}\n")
            for command in (packaged.FOREIGN, packaged.SERVER, packaged.AGENT):
                machine.sh(command)
        pair.settled("sw1")
        yield pair


def test_upgraded_backup_gets_its_key_back_and_is_started_by_finish(pair: Pair) -> None:
    write_row(pair.sw2, "before")
    pair.sw2.until(lambda: "before" in rows(pair.sw2), "the backup has it")
    said = pair.sw2.sh("ovsha upgrade prepare --yes --reason 'release 5.9'")
    assert "/etc/ovsha/pair.key (key)" in said
    assert pair.sw2.sh("find /var/lib/ovsha/upgrade -type d ! -perm 700") == ""
    pair.sw2.sh(f"systemctl disable --now ovsha; systemctl stop ovsha-ovsdb-server; {BLANK}; rm /etc/ovsha/pair.key")
    pair.sw2.power_off()
    write_row(pair.sw1, "meanwhile")
    pair.boot()
    assert not pair.sw2.succeeds(packaged.AGENT), "without its key the agent does not start"
    assert pair.serving() == ["sw1"]
    said = pair.sw2.sh("ovsha upgrade finish --yes", limit=120)
    assert "sw2 and sw1 are equal" in said
    assert pair.sw2.sh("stat -c %a:%U /etc/ovsha/pair.key").strip() == "600:root"
    pair.settled("sw1")
    assert rows(pair.sw2) == {"before", "meanwhile"}


def test_upgraded_preferred_side_is_taken_back_from_the_vendors_start_and_follows(pair: Pair) -> None:
    pair.sw1.sh("ovsha switchover --to sw2 --yes")
    pair.settled("sw2")
    pair.sw1.sh("ovsha upgrade prepare --yes")
    pair.sw1.sh(f"systemctl stop ovsha ovsha-ovsdb-server; systemctl disable ovsha ovsha-ovsdb-server; {BLANK}")
    pair.sw1.power_off()
    write_row(pair.sw2, "while sw1 was upgraded")
    pair.boot()
    pair.sw1.sh(VENDORS)
    pair.sw1.sh(packaged.AGENT)
    pair.sw1.until(lambda: "while sw1 was upgraded" in rows(pair.sw1), "the server of sw1 is taken back, and copies")
    assert pair.serving() == ["sw2"]
    assert status(pair.sw2)["sides"]["sw1"]["upgrade"] is not None
    pair.sw1.sh(f"kill $(cat /run/openvswitch/ovsdb-server.pid); {packaged.SERVER}")
    said = pair.sw1.sh("ovsha upgrade finish --yes", limit=120)
    assert "both switches were upgraded; `ovsha restore-primary`" in said
    pair.sw1.sh("ovsha restore-primary --yes")
    pair.settled("sw1")
    assert rows(pair.sw1) == {"before", "meanwhile", "while sw1 was upgraded"}
