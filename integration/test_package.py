"""The package on a fresh Debian 12: installed, upgraded, removed and purged, with its units as systemd sees them.

Run by ``make deb-test``.  The tests are one story, in this order, on one machine.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import machine_root
import packaged
from machines import Machine

UNITS = ("ovsha.service", "ovsha-ovsdb-server.service", "ovsha-backup.service", "ovsha-backup.timer")
MOST_EXPOSED = {"ovsha.service": 4.0, "ovsha-ovsdb-server.service": 3.5, "ovsha-backup.service": 4.0}
EXPORT = """#!/bin/sh
# What an export may want to do: become another user, use the network, write to a mounted share.
set -e
runuser -u nobody -- id -un >/mnt/vault/who
ip -br address show dev peerlink.4094 >/mnt/vault/network
cp "$1" /mnt/vault/
"""
NOT_OURS = (
    *("/var/cache/", "/var/log/", "/var/lib/dpkg", "/var/lib/apt", "/var/lib/systemd"),
    *("/run/systemd", "/root/", "/etc/rc"),
)


@pytest.fixture(scope="module")
def machine(needs_machines: None) -> Iterator[Machine]:
    """Give a fresh machine on which only the packages that ovsha needs are installed."""
    with Machine("switch") as machine:
        machine.boot()
        machine.sh(f"{packaged.INSTALL} {' '.join(machine_root.FETCHED)}", limit=300)
        yield machine


@pytest.fixture(scope="module")
def before(machine: Machine) -> set[str]:
    """Give the files that were there before the package."""
    return files(machine)


def files(machine: Machine) -> set[str]:
    found = machine.sh("find / -xdev -print; find /run -xdev -print").splitlines()
    return {name for name in found if not name.startswith(NOT_OURS) and "/__pycache__" not in name}


def test_installing_enables_and_starts_nothing(machine: Machine, before: set[str], deb: Path) -> None:
    packaged.install(machine, deb)
    for unit in UNITS:
        assert machine.sh(f"systemctl is-enabled {unit} || true").strip() in ("disabled", "static"), unit
        assert machine.sh(f"systemctl is-active {unit} || true").strip() == "inactive", unit
    assert not machine.succeeds("test -e /etc/ovsha/ovsha.yaml")
    assert machine.succeeds("getent group ovsha")
    assert machine.sh("ovsha --version").split()[0] == "ovsha"


def test_services_do_nothing_without_a_configuration(machine: Machine) -> None:
    pid = machine.sh("cat /run/openvswitch/ovsdb-server.pid")
    machine.sh("systemctl start ovsha ovsha-backup.service")
    assert machine.pid_of("ovsha") == 0
    assert machine.sh("systemctl show -P ConditionResult ovsha").strip() == "no"
    assert machine.sh("cat /run/openvswitch/ovsdb-server.pid") == pid, "Debian's own server goes on"
    assert not machine.succeeds("test -e /var/lib/ovsha")


def test_systemd_finds_nothing_wrong_with_the_units(machine: Machine) -> None:
    said = machine.sh(f"systemd-analyze verify --man=no {' '.join(f'/lib/systemd/system/{unit}' for unit in UNITS)}")
    assert "ovsha" not in said


@pytest.mark.parametrize("unit", MOST_EXPOSED)
def test_services_are_no_more_exposed_than_they_must_be(machine: Machine, unit: str) -> None:
    said = machine.sh(f"systemd-analyze security --no-pager --offline=true /lib/systemd/system/{unit}")
    level = re.search(r"exposure level for .*: ([0-9.]+)", said)
    assert level is not None
    assert float(level[1]) <= MOST_EXPOSED[unit]


def test_server_is_not_started_on_the_database_of_another(machine: Machine) -> None:
    theirs = packaged.configuration("sw1").replace(packaged.DATABASE, "/var/lib/openvswitch/conf.db")
    machine.write("/etc/ovsha/ovsha.yaml", theirs)
    machine.sh(packaged.FOREIGN)
    assert not machine.succeeds("systemctl start ovsha-ovsdb-server")
    said = machine.sh("journalctl -q -u ovsha-ovsdb-server -o cat")
    assert said.count("conf.db: holds the database Open_vSwitch and not hardware_vtep") == 1, "and not tried again"
    machine.sh("systemctl reset-failed")


def test_configured_and_enabled_it_serves(machine: Machine) -> None:
    machine.sh("""
        ip link add peerlink.4094 type veth peer name nobody
        ip address add 169.254.0.9/29 dev peerlink.4094
        ip link set peerlink.4094 up
        ip link set nobody up
    """)
    machine.write("/etc/ovsha/ovsha.yaml", packaged.configuration("sw1") + "lone_boot: 1\n")
    machine.sh(f"umask 077; head -c 32 /dev/urandom | base64 >{packaged.KEY}")
    assert packaged.shown_in_readme(packaged.FOREIGN, packaged.SERVER, packaged.AGENT)
    for command in (packaged.SERVER, packaged.AGENT):
        machine.sh(command)
    machine.until(lambda: holds_vip(machine), "the only switch serves")


def test_backup_of_the_timer_is_exported_by_whatever_the_operator_needs_for_it(machine: Machine) -> None:
    good = machine.sh("cat /etc/ovsha/ovsha.yaml")
    machine.write("/etc/ovsha/ovsha.yaml", good + "backup: {export: [/usr/local/sbin/export]}\n")
    machine.write("/usr/local/sbin/export", EXPORT, 0o755)
    machine.sh("mkdir -m 777 /mnt/vault")
    try:
        machine.sh("systemctl start ovsha-backup.service || { journalctl -q -u ovsha-backup -o cat; false; }")
        assert machine.sh("cat /mnt/vault/who").strip() == "nobody"
        assert len(machine.sh("ls /mnt/vault/*.db.gz").split()) == 1
    finally:
        machine.sh("rm -r /mnt/vault /usr/local/sbin/export")
        machine.write("/etc/ovsha/ovsha.yaml", good)


def test_upgrade_restarts_the_agent_and_nothing_else(machine: Machine, deb: Path) -> None:
    server, agent = packaged.pids(machine)
    configured = machine.sh("cat /etc/ovsha/ovsha.yaml; ls -l /etc/ovsha")
    packaged.install(machine, packaged.newer(deb, "99.1"))
    machine.until(lambda: packaged.pids(machine)[1] not in (0, agent), "another agent runs")
    assert packaged.pids(machine)[0] == server
    assert holds_vip(machine), "nobody had to let go"
    assert machine.sh("cat /etc/ovsha/ovsha.yaml; ls -l /etc/ovsha") == configured
    assert machine.sh("systemctl is-enabled ovsha").strip() == "enabled"


def test_upgrade_does_not_start_what_an_operator_has_stopped(machine: Machine, deb: Path) -> None:
    machine.sh("systemctl stop ovsha")
    packaged.install(machine, packaged.newer(deb, "99.2"))
    assert machine.pid_of("ovsha") == 0
    assert holds_vip(machine)
    machine.sh("systemctl start ovsha")


def test_wrong_configuration_is_said_once_and_not_tried_again(machine: Machine) -> None:
    good = machine.sh("cat /etc/ovsha/ovsha.yaml")
    machine.write("/etc/ovsha/ovsha.yaml", good + "nonsense: 1\n")
    assert not machine.succeeds("systemctl restart ovsha")
    assert machine.sh("systemctl show -P ExecMainStatus ovsha").strip() == "2"
    assert machine.sh("systemctl is-active ovsha || true").strip() == "failed"
    assert "nonsense" in machine.sh("journalctl -q -u ovsha -n 20 -o cat")
    assert holds_vip(machine), "what is served is served on"
    machine.write("/etc/ovsha/ovsha.yaml", good)
    machine.sh("systemctl restart ovsha")


def test_removal_ends_what_it_ran_and_keeps_what_the_operator_wrote(machine: Machine) -> None:
    machine.sh("DEBIAN_FRONTEND=noninteractive apt-get -q -y remove ovsha")
    assert not holds_vip(machine)
    assert not machine.succeeds("pgrep -x ovsdb-server")
    assert not machine.succeeds("pgrep -f '[o]vsha agent'")
    assert machine.succeeds(f"test -e /etc/ovsha/ovsha.yaml -a -e {packaged.KEY} -a -e /var/lib/ovsha/identity")


def test_purge_leaves_nothing_behind_but_the_database(machine: Machine, before: set[str]) -> None:
    machine.sh("DEBIAN_FRONTEND=noninteractive apt-get -q -y purge ovsha")
    left = {name for name in files(machine) - before if "/openvswitch/" not in name or "ovsha" in name}
    assert sorted(left) == []
    assert machine.succeeds(f"test -e {packaged.DATABASE}"), "the rows are the operator's"
    assert not machine.succeeds("getent group ovsha")
    assert machine.sh("systemctl list-unit-files 'ovsha*' --no-legend || true").strip() == ""


def test_installed_again_it_does_nothing_again(machine: Machine, deb: Path) -> None:
    packaged.install(machine, deb)
    assert machine.pid_of("ovsha") == 0
    assert machine.sh("systemctl is-enabled ovsha || true").strip() == "disabled"


def test_pip_installs_it_into_a_venv(needs_machines: None, tmp_path: Path) -> None:
    # Without the network: what it needs is Debian's, and only what pip makes of the sources is looked at.
    sources = tmp_path / "sources"
    shutil.copytree(packaged.HERE.parent / "ovsha", sources / "ovsha")
    for name in ("pyproject.toml", "README.rst"):
        shutil.copy(packaged.HERE.parent / name, sources)
    subprocess.run(["/usr/bin/python3", "-m", "venv", "--system-site-packages", tmp_path / "venv"], check=True)
    pip = tmp_path / "venv/bin/pip"
    subprocess.run([pip, "install", "-q", "--no-deps", "--no-build-isolation", str(sources)], check=True)
    for program in ("ovsha", "ovsha-ovsdb-server"):
        done = subprocess.run([tmp_path / "venv/bin" / program, "--help"], check=True, capture_output=True, text=True)
        assert program in done.stdout


def holds_vip(machine: Machine) -> bool:
    return machine.sh("ip -o address show to 169.254.0.11") != ""
