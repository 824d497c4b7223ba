"""Two Debian 12 machines that are the two switches of an MLAG pair, joined by a peer link and a management network.

They run their own systemd; clagd alone has a stand-in.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from machines import Machine
from segment import Segment

HERE = Path(__file__).resolve().parent
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
    addresses: Mapping[str, tuple[str, str]]

    @property
    def both(self) -> tuple[Machine, Machine]:
        """The two."""
        return self.sw1, self.sw2

    def boot(self) -> None:
        """Switch on what is off, and lay the cables, which go with a machine that is switched off."""
        for machine in self.both:
            machine.boot()
            link, management = self.addresses[machine.name]
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


def journal(machine: Machine) -> str:
    """Return what the agent has logged."""
    return machine.sh("journalctl -q -u ovsha -o cat")


@contextmanager
def switched_on(addresses: Mapping[str, tuple[str, str]] = ADDRESSES) -> Iterator[Pair]:
    """Give two machines that are on and joined, with clagd's files and nothing else: no package, nothing configured.

    `addresses`: on the peer link and on the management network, by the machine's name.
    """
    with ExitStack() as stack:
        sw1, sw2 = (stack.enter_context(Machine(name)) for name in addresses)
        pair = Pair(sw1, sw2, stack.enter_context(Segment()), stack.enter_context(Segment()), addresses)
        for machine in pair.both:
            other = pair.sw2 if machine is pair.sw1 else pair.sw1
            priority = 1000 if machine is pair.sw1 else 2000
            unit = CLAGD.format(here=addresses[machine.name], there=addresses[other.name], priority=priority)
            machine.copy_in(HERE / "standins", "/opt/clagd/standins")
            machine.copy_in(HERE / "standins" / "clagctl", "/usr/bin/clagctl")
            machine.write("/etc/systemd/system/clagd.service", unit)
        pair.boot()
        yield pair


def start_clagd(pair: Pair) -> None:
    """Start it on both; it needs the Python that the package brings."""
    for machine in pair.both:
        machine.sh("systemctl enable --now clagd")
    for machine in pair.both:
        machine.until(functools.partial(machine.succeeds, "clagctl | grep -q Peer"), "clagd answers")


def side_by_side(pair: Pair, do: Callable[[Machine], object]) -> None:
    """Do something on both machines at the same time."""
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(do, pair.both))
