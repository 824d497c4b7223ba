"""Two switches of the lab with files of their own, on which commands find everything where it really is.

Each is the network namespace of `topology` and a mount namespace, in which /etc, /usr/bin, /var, /run and /home are
overlays over this machine's: what is written there is gone with the switch.  `ovsha` is what is in this tree;
systemctl and clagd have stand-ins.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from topology import (
    INTERFACE,
    MANAGEMENT_ADDRESS,
    PEER,
    PEER_LINK_ADDRESS,
    SWITCHES,
    Network,
    remove_namespace,
    unique_prefix,
)

HERE = Path(__file__).resolve().parent
ENTRIES = {
    "ovsha": "ovsha.cli",
    "ovsha-ovsdb-server": "ovsha.safe_start",
    "ovsha-vtep-bootstrap": "ovsha.vtep_bootstrap",
}
_OWN = ("etc", "usr/bin", "usr/lib/python3/dist-packages", "usr/share/openvswitch", "var", "run", "home")
_READY = "ready\n"
_LIMIT = 90.0


class BareSwitch:
    """One of the two; nothing of ovsha is configured on it."""

    def __init__(self, node: str, network: Network, place: Path) -> None:
        self.node, self.namespace = node, network.namespace(node)
        place.mkdir()
        lines = [f"mount -t tmpfs lab {place}"]
        for each in _OWN:
            upper, work = place / "upper" / each, place / "work" / each
            lines.append(f"mkdir -p {upper} {work}")
            lines.append(f"mount -t overlay lab -o lowerdir=/{each},upperdir={upper},workdir={work} /{each}")
        lines += [
            "rm -rf /var/lib/openvswitch /var/lib/ovsha /etc/ovsha /etc/openvswitch /home/cumulus",
            "rm -rf /run/openvswitch /run/lock /etc/default/ovsha-ovsdb-server /usr/bin/systemctl /usr/bin/clagctl",
            "mkdir -p /var/lib/openvswitch /run/openvswitch /run/lock /run/systemd/system /run/standin-units",
            f"cp {HERE}/standins/systemctl {HERE}/standins/clagctl /usr/bin/",
            f"ln -sfn {HERE.parent}/ovsha /usr/lib/python3/dist-packages/ovsha",
            f"printf {_READY!r}; exec sleep infinity",
        ]
        self._holder = subprocess.Popen(
            [*network.entering(node), "unshare", "-m", "--propagation", "private", "sh", "-ec", "\n".join(lines)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == _READY, "the switch has its files"
        for entry, module in ENTRIES.items():
            start = f"#!/usr/bin/python3\nimport sys\n\nfrom {module} import main\n\nsys.exit(main())\n"
            self.write(f"/usr/bin/{entry}", start, 0o755)
        self._units()

    def close(self) -> None:
        """End the switch; what still runs in its namespace ends with that."""
        self._holder.kill()
        self._holder.wait()
        if self._holder.stdout is not None:
            self._holder.stdout.close()

    def sh(self, script: str, limit: float = _LIMIT) -> subprocess.CompletedProcess[str]:
        """Run a shell script on it; its output and its complaints are told apart."""
        enter = ["nsenter", "-t", str(self._holder.pid), "-m", "-n", "--wdns=/", "sh", "-ec", script]
        return subprocess.run(
            enter, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=limit, check=False
        )

    def ok(self, script: str, limit: float = _LIMIT) -> str:
        """Run a shell script that must end well, and return its output."""
        done = self.sh(script, limit)
        assert done.returncode == 0, f"{self.node}: {script}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file of it."""
        inside = shlex.quote(path)
        given = f"mkdir -p $(dirname {inside}); cat >{inside}; chmod {mode:o} {inside}"
        enter = ["nsenter", "-t", str(self._holder.pid), "-m", "-n", "--wdns=/", "sh", "-ec", given]
        subprocess.run(enter, input=text, text=True, check=True)

    def read(self, path: str) -> str:
        """Return what a file of it holds."""
        return self.ok(f"cat {shlex.quote(path)}")

    def programs(self) -> set[str]:
        """Return the names of the programs that run on it."""
        pids = subprocess.run(["ip", "netns", "pids", self.namespace], capture_output=True, text=True, check=True)
        found = set()
        for pid in pids.stdout.split():
            with suppress(OSError):
                found.add(Path(f"/proc/{pid}/comm").read_text().strip())
        return found

    def until(self, condition: Callable[[], object], what: str, limit: float = _LIMIT) -> None:
        """Wait until `condition` holds; AssertionError with `what` after `limit` seconds."""
        deadline = time.monotonic() + limit
        while not condition():
            assert time.monotonic() < deadline, f"not within {limit:g} s: {what}"
            time.sleep(0.1)

    def clagd(self) -> None:
        """Start the stand-in for clagd."""
        node, other = self.node, PEER[self.node]
        command = [
            *("python3", "-m", "standins.clagd", "--socket", "/run/clagd.lab", "--interface", INTERFACE["peer link"]),
            *("--priority", "1000" if node == SWITCHES[0] else "2000", "--address", PEER_LINK_ADDRESS[node]),
            *("--peer-ip", PEER_LINK_ADDRESS[other], "--backup-local", MANAGEMENT_ADDRESS[node]),
            *("--backup-ip", MANAGEMENT_ADDRESS[other], "--peer-timeout", "2", "--reload-timer", "3"),
            *("--init-delay", "0.2", "--lacp-poll", "0.2", "--peer-link-poll", "0.1"),
        ]
        self.ok(f"cd {HERE}; setsid {shlex.join(command)} </dev/null >/run/clagd.log 2>&1 &")
        self.until(lambda: "Peer Interface" in self.sh("clagctl").stdout, "clagd answers")

    def install_vtepd(self) -> None:
        """Put the stand-in for the VTEP daemon there, with the vendor's script that starts it."""
        start = "#!/bin/sh\n# start ovs-vtepd --enable-vlan-aware-mode\nstart ovs-vtepd --enable-vlan-aware-mode\n"
        self.write("/usr/share/openvswitch/scripts/ovs-ctl-vtep", start)
        words = f"--server $1 --name {self.node} --events /run/vtepd.events"
        lines = ["#!/bin/sh", "echo $$ >/run/openvswitch/ovs-vtepd.pid", f"exec python3 {HERE}/vtepd.py {words}"]
        self.write("/usr/bin/ovs-vtepd", "\n".join([*lines, ""]), 0o755)

    def _units(self) -> None:
        run, places = "/run/openvswitch", "/var/lib/openvswitch"
        foreign = ["openvswitch-vtep"]
        server = {
            "start": ["ovsha-ovsdb-server"],
            "pidfile": f"{run}/ovsdb-server.pid",
            "environment": "/etc/default/ovsha-ovsdb-server",
            "conflicts": foreign,
        }
        agent = {
            "start": ["sh", "-c", "setsid ovsha agent </dev/null >>/var/log/ovsha.log 2>&1 &"],
            "pidfile": f"{run}/ovsha.pid",
        }
        plain = [
            *("ovsdb-server", "--detach", f"--pidfile={run}/ovsdb-server.pid", f"--remote=punix:{run}/db.sock"),
            *("--remote=db:hardware_vtep,Global,managers", "--no-chdir", "-vconsole:off", f"{places}/conf.db"),
        ]
        plain = ["sh", "-c", f"{shlex.join(plain)} && cp {run}/ovsdb-server.pid {run}/openvswitch-vtep.pid"]
        self.write("/run/standin-units/ovsha-ovsdb-server", json.dumps(server))
        self.write("/run/standin-units/ovsha", json.dumps(agent))
        words = "$(sed -n s/^ExecStart=//p /etc/systemd/system/ovsha-vtepd.service)"
        line = f"setsid {words} </dev/null >>/run/vtepd.log 2>&1 &"
        vtepd = {"start": ["sh", "-c", line], "pidfile": f"{run}/ovs-vtepd.pid"}
        self.write("/run/standin-units/ovsha-vtepd", json.dumps(vtepd))
        self._vendors_unit = json.dumps({"start": plain, "pidfile": f"{run}/openvswitch-vtep.pid"})

    def install_vendors(self) -> None:
        """Put the stand-in for the vendor's vtep-bootstrap and its service there."""
        self.write("/run/standin-units/openvswitch-vtep", self._vendors_unit)
        self.ok(f"cp {HERE}/standins/vtep-bootstrap /usr/bin/")


class BarePair:
    """Two such switches, joined by the links of the lab; use it as a context."""

    def __enter__(self) -> BarePair:
        self._network = Network(unique_prefix())
        self._network.build()
        self._place = tempfile.TemporaryDirectory(prefix="ovsha-bare-")
        self.sw1, self.sw2 = (BareSwitch(node, self._network, Path(self._place.name) / node) for node in SWITCHES)
        return self

    def __exit__(self, *exc: object) -> None:
        # What runs there first: it has the mounts, and removes its files.
        for node in SWITCHES:
            remove_namespace(self._network.namespace(node))
        for each in (self.sw1, self.sw2):
            each.close()
        self._network.remove()
        with suppress(OSError):
            self._place.cleanup()
