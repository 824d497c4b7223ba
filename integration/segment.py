"""Join machines by a segment: a bridge in a network namespace of its own, to which each one has a cable.

A machine that is switched off takes its own cable with it; the others keep theirs, and their carrier.  The namespace
carries its owner in its name, as those of the lab do, and what a killed test has left is removed as theirs is.
"""

from __future__ import annotations

import subprocess

from machines import Failed, Machine
from topology import orphaned_namespaces, remove_namespace, unique_prefix

_BRIDGE = "br0"


class Segment:
    """One piece of network; use it as a context, and it is removed afterwards."""

    def __init__(self) -> None:
        self._namespace = f"{unique_prefix()}-segment"

    def __enter__(self) -> Segment:
        for left in orphaned_namespaces():
            remove_namespace(left)
        _ip("netns", "add", self._namespace)
        _ip("-n", self._namespace, "link", "add", _BRIDGE, "type", "bridge")
        _ip("-n", self._namespace, "link", "set", _BRIDGE, "up")
        return self

    def __exit__(self, *exc: object) -> None:
        remove_namespace(self._namespace)

    def join(self, address: str) -> tuple[str, ...]:
        """Have it an address of its own, with prefix length; return what stands before a program that is to use it."""
        _ip("-n", self._namespace, "address", "add", address, "dev", _BRIDGE)
        return ("ip", "netns", "exec", self._namespace)

    def attach(self, machine: Machine, interface: str, address: str) -> None:
        """Give a running machine a cable to it: an interface of that name, up, with that address and prefix length.

        Nothing happens when it has one; a machine that was off has none.
        """
        if machine.succeeds(f"ip link show {interface}"):
            return
        cable = ("link", "add", interface, "netns", str(machine.leader), "type", "veth")
        _ip(*cable, "peer", "name", machine.name, "netns", self._namespace)
        _ip("-n", self._namespace, "link", "set", machine.name, "master", _BRIDGE, "up")
        machine.sh(f"ip address add {address} dev {interface}; ip link set {interface} up")


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failed(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
