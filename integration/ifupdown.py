"""Run the real ifupdown2 on a switch of the lab, as `ifreload -a` and `systemctl restart networking` do.

Debian's package is unpacked beside the sources by scripts/install-deps.sh, and not installed: it would take the place
of what configures this machine.  Its programs see a root of their own (a mount namespace, overlays) with the switch's
/etc/network and /run, and the switch's network.

The peer link is a veth pair here, whose name ends like a VLAN's; so ifupdown2 is told not to see to bonds and VLANs.
Everything else is as it comes.
"""

from __future__ import annotations

import shlex
import subprocess

from lab import Lab
from switch import HERE, Switch
from topology import INTERFACE

UNPACKED = HERE.parent / ".packages" / "ifupdown2"
NOT_HERE = ("bond", "vlan")


def missing() -> str:
    """Return why it cannot be run here, "" when it can be."""
    there = (UNPACKED / "usr/share/ifupdown2").is_dir()
    return "" if there else f"no ifupdown2 in {UNPACKED}: scripts/install-deps.sh apt"


class Ifupdown:
    """The ifupdown2 of one switch; its first `ifup -a` has been made, so that it knows what is its own."""

    def __init__(self, lab: Lab, switch: Switch) -> None:
        self._switch = switch
        self._plan = lab.network.plan
        self._place = switch.directory / "ifupdown"
        for name in ("etc/network/ifupdown2", "etc/default", "run", "work", "var"):
            (self._place / name).mkdir(parents=True)
        addons = (UNPACKED / "etc/network/ifupdown2/addons.conf").read_text(encoding="utf-8")
        kept = [line for line in addons.splitlines() if line.partition(",")[2] not in NOT_HERE]
        (self._place / "etc/network/ifupdown2/addons.conf").write_text("\n".join(kept) + "\n", encoding="utf-8")
        self.write()
        self.run("ifup", "-a")

    def write(self, more: str = "") -> None:
        """Write /etc/network/interfaces: the minimum of an MLAG pair, and `more`."""
        length = self._plan.lengths
        text = f"""auto lo
iface lo inet loopback

auto {INTERFACE["backup path"]}
iface {INTERFACE["backup path"]}
    address {self._switch.management_address}/{length["backup path"]}

auto {INTERFACE["peer link"]}
iface {INTERFACE["peer link"]}
    address {self._switch.address}/{length["peer link"]}
{more}"""
        (self._place / "etc/network/interfaces").write_text(text, encoding="utf-8")

    def restart_networking(self) -> str:
        """Do what `systemctl restart networking` does: ExecStop and ExecStart of networking.service."""
        script = "/usr/share/ifupdown2/sbin/start-networking"
        return self.run("sh", "-c", f"{script} stop && {script} start")

    def run(self, *command: str) -> str:
        """Run a program in its root, and return what it printed; CalledProcessError when it fails."""
        place = self._place
        script = [
            f"mount -t overlay -o lowerdir={UNPACKED}/etc:/etc,upperdir={place}/etc,workdir={place}/work none /etc",
            f"mount -t overlay -o lowerdir={UNPACKED}/usr/share:/usr/share none /usr/share",
            f"mount -t overlay -o lowerdir={UNPACKED}/sbin:/usr/sbin none /usr/sbin",
            f"mount --bind {place}/run /run",
            f"mount --bind {place}/var /var/tmp",
            "mkdir -p /run/network",
            f"exec {shlex.join(command)}",
        ]
        words = [*self._switch.entering, "sh", "-ec", "\n".join(script)]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr
