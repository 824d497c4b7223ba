"""Give each switch of a lab a file system of its own, so that commands which set a switch up can be run as they are.

Everything is at the places that a switch has: /etc/ovsha, /var/lib/openvswitch, /usr/bin/ovsha, /usr/bin/clagctl.  What
is written there is in memory and gone afterwards; of systemd there is a stand-in, which really starts the agent and the
server of the package.  A machine that boots is heavier: see `machines`.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import rpc
import seed
from lab import Lab
from service import die_with_parent
from switch import CLAGCTL, HERE, Switch

ROOT = HERE.parent
LIMIT = 120.0
PROGRAMS = {
    "ovsha": "ovsha",
    "ovsha-ovsdb-server": "ovsha.ovsdb.launch",
    "ovsha-vtep-bootstrap": "ovsha.cli.vtep_main",
}
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"}
_MOUNTS = """
set -e
mount --make-rprivate /
mount -t tmpfs -o mode=700 box {place}
for each in etc var home usr/bin usr/local usr/share/openvswitch; do
    mkdir -p {place}/$each.upper {place}/$each.work
    mount -t overlay box -o lowerdir=/$each,upperdir={place}/$each.upper,workdir={place}/$each.work /$each
done
mount -t tmpfs box /run
mount -t tmpfs box /root
mkdir -p /run/systemd/system /run/openvswitch /run/sshd /run/lock
rm -rf /etc/ovsha /etc/openvswitch /etc/default/ovsha-ovsdb-server /var/lib/ovsha /var/lib/openvswitch /home/cumulus
mkdir -p /var/lib/openvswitch /usr/local/sbin /root/.ssh
hostname {node}
touch {ready}
exec sleep infinity
"""
_VENDOR = """#!/bin/sh
exec ovsdb-server --detach --pidfile --log-file=/var/log/openvswitch-vtep.log \\
    --remote=punix:/run/openvswitch/db.sock --remote=db:hardware_vtep,Global,managers {options} {file}
"""


class Failed(AssertionError):
    """A command did not end as it should."""


class Box:
    """One switch with files of its own; `lab_switch` is what the lab has of it: its addresses and its clagd."""

    def __init__(self, lab: Lab, lab_switch: Switch) -> None:
        self.node, self.lab = lab_switch.node, lab
        self.lab_switch = lab_switch
        place, ready = lab_switch.directory / "box", lab_switch.directory / "box.ready"
        place.mkdir()
        script = _MOUNTS.format(place=place, node=self.node, ready=ready)
        parent = os.getpid()
        self._holder = subprocess.Popen(
            [*lab_switch.entering, "unshare", "--mount", "--uts", "sh", "-c", script],
            stdin=subprocess.DEVNULL,
            preexec_fn=lambda: die_with_parent(parent),
        )
        until(ready.exists, f"the files of {self.node}", lambda: self._holder.poll() is None)
        for name, module in PROGRAMS.items():
            self._program(name, f'PYTHONPATH={ROOT} exec {sys.executable} -m {module} "$@"')
        socket = lab_switch.run_directory / "clagd.socket"
        self._program("clagctl", f'PYTHONPATH={HERE} exec {CLAGCTL} --socket {socket} "$@"')
        self._program("systemctl", f'exec {HERE}/standins/systemctl "$@"')
        self._program("journalctl", "exit 0")

    def close(self) -> None:
        """Let go of its files; what still runs there ends with the lab."""
        self._holder.kill()
        self._holder.wait()

    def path(self, inside: str) -> Path:
        """Return where a file of the switch is seen from here."""
        return Path(f"/proc/{self._holder.pid}/root{inside}")

    @property
    def socket(self) -> Path:
        """The socket of its ovsdb-server."""
        return self.path("/run/openvswitch/db.sock")

    def command(self, *words: str) -> list[str]:
        """Return the command line by which a command is run on the switch."""
        return ["nsenter", "-t", str(self._holder.pid), "--mount", "--net", "--uts", "--wdns=/root", *words]

    def run(self, *words: str, given: str = "", limit: float = LIMIT) -> subprocess.CompletedProcess[str]:
        """Run a command on the switch, and return what came of it, whatever its exit status."""
        command = self.command(*words)
        return subprocess.run(
            command, input=given, capture_output=True, text=True, timeout=limit, env=ENVIRONMENT, check=False
        )

    def sh(self, script: str) -> str:
        """Run a shell script on the switch; Failed for another exit status than 0."""
        done = self.run("sh", "-ec", script)
        if done.returncode != 0:
            raise Failed(f"{self.node}: {script}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def ovsha(self, line: str, status: int = 0) -> str:
        """Run ovsha with these words, and return all that it printed; Failed for another exit status."""
        done = self.run("ovsha", *shlex.split(line))
        if done.returncode != status:
            raise self._failed(line, done)
        return done.stdout + done.stderr

    def refused(self, line: str, status: int = 1) -> str:
        """Run ovsha with these words, which must be refused in one line on the standard error, and return that."""
        done = self.run("ovsha", *shlex.split(line))
        lines = done.stderr.splitlines()
        if done.returncode != status or len(lines) != 1 or not lines[0].startswith("ovsha: "):
            raise self._failed(line, done)
        return lines[0]

    def refused_after_steps(self, line: str) -> str:
        """Run ovsha with these words, which must fail after some steps with one line on the standard error."""
        done = self.run("ovsha", *shlex.split(line))
        lines = done.stderr.splitlines()
        if done.returncode != 1 or len(lines) != 1 or not lines[0].startswith("ovsha: "):
            raise self._failed(line, done)
        return lines[0]

    def status(self) -> dict[str, Any]:
        """Return what the agent knows."""
        document: dict[str, Any] = json.loads(self.run("ovsha", "status", "--json").stdout)
        return document

    def put(self, source: Path, inside: str) -> None:
        """Copy a file to the switch."""
        self.path(inside).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, self.path(inside))

    def database(self, rows: int | None, inside: str, schema: Path = seed.SCHEMA, manager: str | None = None) -> None:
        """Put a database there, blank or with so many MACs."""
        made = self.lab_switch.directory / "made.db"
        made.unlink(missing_ok=True)
        seed.blank(made, schema)
        if rows is not None:
            seed.fill(made, rows, manager)
        self.put(made, inside)

    def write(self, inside: str, text: str, mode: int = 0o644) -> None:
        """Write a file of the switch."""
        path = self.path(inside)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.touch(mode)
        path.write_text(text)
        path.chmod(mode)

    def read(self, inside: str) -> str:
        """Return what a file of the switch holds."""
        return self.path(inside).read_text()

    @contextmanager
    def replaced(self, name: str, script: str) -> Iterator[None]:
        """Have a shell script stand where a program is, for a while."""
        path = self.path(f"/usr/bin/{name}")
        before = path.read_bytes()
        self._program(name, script)
        try:
            yield
        finally:
            path.write_bytes(before)

    def install_vendors_service(self, inside: str, options: str = "") -> None:
        """Put the vendor's service there, which serves a database as a single server does."""
        self.write("/usr/local/sbin/vendor-server", _VENDOR.format(file=inside, options=options), 0o755)

    def vendor_serves(self, inside: str, options: str = "") -> None:
        """Have the vendor's service serve a database."""
        self.install_vendors_service(inside, options)
        self.sh("systemctl enable openvswitch-vtep; systemctl start openvswitch-vtep")

    def vendors_server_is_left_running(self) -> None:
        """Have the vendor's service be stopped and its server run on, as Debian's leaves it."""
        self.path("/run/units/openvswitch-vtep.service.active").unlink()

    def install_vendors_bootstrap(self, inside: str) -> None:
        """Put the stand-in for the vendor's vtep-bootstrap there, with the service that it starts."""
        self.install_vendors_service(inside)
        self.path("/home/cumulus").mkdir(parents=True)
        self.write("/usr/bin/vtep-bootstrap", (HERE / "standins/vtep-bootstrap").read_text(), 0o755)

    def install_vtepd(self) -> None:
        """Put the stand-in for the VTEP daemon there, with the vendor's script that starts it."""
        start = "#!/bin/sh\n# start ovs-vtepd --enable-vlan-aware-mode\nstart ovs-vtepd --enable-vlan-aware-mode\n"
        self.write("/usr/share/openvswitch/scripts/ovs-ctl-vtep", start)
        words = f"--server $1 --name {self.node} --events /run/vtepd.events"
        self._program("ovs-vtepd", f"exec {sys.executable} {HERE}/vtepd.py {words}")

    def programs(self) -> set[str]:
        """Return the names of the programs that run on the switch."""
        pids = subprocess.run(
            ["ip", "netns", "pids", self.lab.network.namespace(self.node)], capture_output=True, text=True, check=True
        )
        found = set()
        for pid in pids.stdout.split():
            with suppress(OSError):
                found.add(Path(f"/proc/{pid}/comm").read_text().strip())
        return found

    def macs(self) -> frozenset[str]:
        """Return the MACs in its running server."""
        return frozenset(row["MAC"] for row in rpc.select(self.socket, "Ucast_Macs_Remote", "MAC", limit=30.0))

    def holds_vip(self) -> bool:
        """Tell whether the switch has the VIP."""
        return self.lab.network.plan.vip in self.sh("ip -o address")

    def lose_power(self) -> None:
        """Kill all that runs on the switch at once, its cables with it."""
        self.lab_switch.clagd.kill()
        self.lab.network.link_down("peer link", self.node)
        self.lab.network.link_down("backup path", self.node)
        for unit in ("ovsha", "ovsha-ovsdb-server"):
            pidfile = "/run/units/ovsha.service" if unit == "ovsha" else "/run/openvswitch/ovsdb-server.pid"
            self.run("sh", "-c", f"kill -9 $(cat {pidfile})")
        self.lab.network.reset_addresses(self.node)

    def become_another_unit(self) -> None:
        """Put a new unit in its place: nothing of what the old one had on its disk is left."""
        configured = "/etc/ovsha /etc/enabled /etc/default/ovsha-ovsdb-server"
        self.sh(f"rm -rf {configured} /var/lib/ovsha /var/lib/openvswitch/* /run/units /run/openvswitch/*")
        self.lab.network.link_up("peer link", self.node)
        self.lab.network.link_up("backup path", self.node)
        self.lab_switch.clagd.start()

    def _failed(self, line: str, done: subprocess.CompletedProcess[str]) -> Failed:
        said = f"{done.stdout}{done.stderr}{self.logs()}"
        return Failed(f"{self.node}: ovsha {line}: exit status {done.returncode}\n{said}")

    def logs(self) -> str:
        """Return the ends of its logs."""
        return self.run("sh", "-c", "tail -n 25 /var/log/ovsha*.log 2>/dev/null").stdout

    def _program(self, name: str, script: str) -> None:
        path = self.path(f"/usr/bin/{name}")
        path.unlink(missing_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)


@contextmanager
def two(**options: Any) -> Iterator[tuple[Box, Box]]:
    """Give two switches with clagd, and with nothing of a pair; `options` are those of the lab."""
    with Lab(rows=None, **options) as lab:
        one, other = (Box(lab, switch) for switch in lab.switches)
        try:
            for box in (one, other):
                box.lab_switch.clagd.start()
            yield one, other
        finally:
            for box in (one, other):
                box.close()


def until(
    holds: Callable[[], object], what: str, lives: Callable[[], bool] = lambda: True, limit: float = 60.0
) -> None:
    """Wait until something holds; Failed with `what` when that takes too long, or what it waits for has ended."""
    end = time.monotonic() + limit
    while not holds():
        if time.monotonic() > end or not lives():
            raise Failed(f"waited in vain: {what}")
        time.sleep(0.05)
