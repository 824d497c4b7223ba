"""The steps of docs/install.rst, copied out of it, make a pair of two fresh machines that passes every check.

Run by ``make machines-test``.  The machines have the package and stand-ins for clagd and the VTEP daemons; there is
a controller who has what an operator pastes into NSX.  Where the page says scp, a file is carried over by hand.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import documented
import pki
import two_machines
from machines import Failed, Machine
from service import Service
from two_machines import Pair

PAGE = two_machines.HERE.parent / "docs" / "install.rst"
ADDRESSES = {"sw1": ("169.254.0.9", "192.168.100.157"), "sw2": ("169.254.0.10", "192.168.100.158")}
CONTROLLER = "192.168.100.17"
DATA = "/var/lib/openvswitch"
VTEPD = """[Unit]
Description=Stand-in for ovs-vtepd
[Service]
WorkingDirectory=/opt/vtepd
ExecStart=/usr/bin/python3 vtepd.py --server tcp:169.254.0.11:9998 --name {name} --events /run/vtepd.events
[Install]
WantedBy=multi-user.target
"""
DEAD = ("ovsha-ovsdb-server.service", "ovsha.service")


class Site:
    """Two machines, and the controller's place beside them."""

    def __init__(self, pair: Pair, deb: Path, directory: Path) -> None:
        self.pair = pair
        self.printed: list[str] = []
        self._directory, self._trusted = directory, directory / "switchca.pem"
        self._entering = pair.management.join(f"{CONTROLLER}/24")
        self.controller = Service("controller", self._controller_command, directory / "nsx.log", {})
        for machine in pair.both:
            machine.copy_in(deb, f"/root/{deb.name}")
            for each in ("vtepd.py", "session.py"):
                machine.copy_in(two_machines.HERE / each, f"/opt/vtepd/{each}")
            machine.write("/etc/systemd/system/vtepd.service", VTEPD.format(name=machine.name))

    def type(self, title: str) -> list[str]:
        """Do the steps of a section of the page; return what each printed."""
        before = len(self.printed)
        for step in documented.steps(PAGE, title):
            where = self.pair.both if step.where == "both" else (getattr(self.pair, step.where),)
            for machine in where:
                self.printed.append(self._typed(machine, step.command))
                self._has_controller()
        return self.printed[before:]

    def _typed(self, machine: Machine, command: str) -> str:
        carried = re.fullmatch(r"scp (?:-p )?(.+) root@([\w.]+):(\S*)", command)
        if carried is not None:
            for file in carried[1].split():
                self._carry(machine, file, carried[2], carried[3] or "/root/")
            return ""
        if "FINGERPRINT" in command:
            found = re.findall(r"fingerprint +([0-9a-f:]{24,})", "\n".join(self.printed))
            command = command.replace("FINGERPRINT", found[-1])
        try:
            return machine.sh(f"cd /root; {command}", 300)
        except Failed as error:
            raise Failed(f"{error}\n{two_machines.journal(machine)[-2000:]}") from None

    def _carry(self, machine: Machine, file: str, address: str, place: str) -> None:
        """Bring a file from a machine to the other one, as scp -p does; what is about to come is waited for."""
        (target,) = (each for each in self.pair.both if ADDRESSES[each.name][1] == address)
        path = Path("/root", file)
        machine.until(lambda: machine.succeeds(f"test -e {path}"), f"{path} is there")
        there = f"{place}{path.name}"
        target.copy_in(machine.root / str(path).lstrip("/"), there)
        target.sh(f"chmod {machine.sh(f'stat -c %a {path}').strip()} {there}")

    def _has_controller(self) -> None:
        """Start the controller as soon as there is an authority that it can be given to trust."""
        trusted = self.pair.sw1.root / f"{DATA.lstrip('/')}/pki/switchca/cacert.pem"
        if self.controller.running or not trusted.exists():
            return
        self._trusted.write_bytes(trusted.read_bytes())
        self.controller.start()

    def _controller_command(self) -> tuple[str, ...]:
        # The switch learns the authority from the chain (--bootstrap-ca-cert).
        own, chain = pki.credentials("ctl"), self._directory / "chain.pem"
        chain.write_bytes(own.certificate.read_bytes() + pki.credentials("sw1").ca_certificate.read_bytes())
        return (
            *(*self._entering, sys.executable, str(two_machines.HERE / "nsx.py"), "--listen", f"{CONTROLLER}:6640"),
            *(f"--private-key={own.private_key}", f"--certificate={chain}", f"--ca-cert={self._trusted}"),
            *("--rate", "20", "--events", str(self._directory / "nsx.events")),
        )


@pytest.fixture
def site(deb: Path, tmp_path: Path) -> Iterator[Site]:
    """Give two machines with nothing but the package in root's home, and the page's first steps done."""
    with two_machines.switched_on(ADDRESSES) as pair:
        site = Site(pair, deb, tmp_path)
        assert [line for line in site.type("The package") if line.startswith("ovsha ")] != []
        two_machines.start_clagd(pair)
        for machine in pair.both:
            assert [machine.pid_of(unit) for unit in DEAD] == [0, 0], "being installed it does nothing"
            machine.sh("systemctl start vtepd")
        try:
            yield site
        finally:
            site.controller.stop()


def passes(site: Site) -> None:
    """Do what the page says of checking and of failing over, and hold that it is so."""
    pair = site.pair
    pair.settled("sw1")
    healthy = "ovsha check all >/dev/null && ovsha sync-status >/dev/null"
    for machine in pair.both:
        machine.until(lambda: machine.succeeds(healthy), f"{machine.name} passes: {_said(machine)}", 90)  # noqa: B023
    site.type("Checking it")
    *_, told = site.type("Seeing it fail over")
    assert "FAILOVER" in told
    pair.settled("sw1")


def _said(machine: Machine) -> str:
    return machine.sh("ovsha check all || true")


@pytest.mark.parametrize("how", ["init and join", "vtep-bootstrap"])
def test_the_page_leads_to_a_pair_that_is_checked_and_fails_over_and_is_purged_away(site: Site, how: str) -> None:
    site.type(f"The pair by {how}")
    passes(site)
    site.type("Taking it away")
    for machine in site.pair.both:
        left = machine.sh("find / -xdev -name '*ovsha*'; find /run -name '*ovsha*'").splitlines()
        assert [name for name in left if not name.startswith(("/root/", "/var/log/", "/var/cache/"))] == []
        assert not machine.succeeds("pgrep -x ovsdb-server")
