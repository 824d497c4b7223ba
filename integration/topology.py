"""Build the lab's network: two switches and a controller's place, each a network namespace.

The peer link is a veth pair whose ends are called ``peerlink.4094``, as on a real switch.  The management network,
which is also clagd's backup path, joins ``eth0`` of each switch to a bridge in the controller's namespace::

    sw1 peerlink.4094 169.254.0.9/29 ------------------ 169.254.0.10/29 peerlink.4094 sw2
    sw1 eth0 192.168.100.1/24 ---- [ctl br0 192.168.100.10/24] ---- 192.168.100.2/24 eth0 sw2

That is the plan called IPV4; IPV6 has fd00:4094::9 and so on, LINK_LOCAL the peer link's own addresses with their zone,
and MIXED a VIP of IPv4 beside a peer link of IPv6.

192.0.2.0/24, where a parked ovsdb-server looks for its source, is routed to ctl and vanishes there without a word.

A link that is *down* takes the carrier away on both ends.  A path that is *cut* loses every frame that arrives, ARP
included, and both sides keep their carrier; it can be cut in one direction only.

Namespaces carry their owner in their name (pid and start time, in base 36), so that what a killed lab has left behind
can be told from what another lab is using.  Needs root, iproute2 and nftables.
"""

from __future__ import annotations

import itertools
import os
import re
import select
import signal
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Literal

Line = Literal["peer link", "backup path"]

SW1, SW2, CTL = "sw1", "sw2", "ctl"
SWITCHES = (SW1, SW2)
PEER = MappingProxyType({SW1: SW2, SW2: SW1})
INTERFACE: Mapping[Line, str] = MappingProxyType({"peer link": "peerlink.4094", "backup path": "eth0"})


@dataclass(frozen=True)
class Plan:
    """The addresses of a lab: each switch's on the peer link and on the management network, and the VIP.

    `lengths`: of the two prefixes.  `beside`: what else is on the peer link, with the prefix length.
    """

    peer_link: Mapping[str, str]
    management: Mapping[str, str]
    vip: str
    lengths: Mapping[Line, int]
    beside: Mapping[str, str] = field(default_factory=dict)


IPV4 = Plan(
    {SW1: "169.254.0.9", SW2: "169.254.0.10"},
    {SW1: "192.168.100.1", SW2: "192.168.100.2", CTL: "192.168.100.10"},
    "169.254.0.11",
    {"peer link": 29, "backup path": 24},
)
IPV6 = Plan(
    {SW1: "fd00:4094::9", SW2: "fd00:4094::a"},
    {SW1: "fd00:100::1", SW2: "fd00:100::2", CTL: "fd00:100::10"},
    "fd00:4094::b",
    {"peer link": 64, "backup path": 64},
)
LINK_LOCAL = replace(
    IPV6,
    peer_link={SW1: "fe80::9%peerlink.4094", SW2: "fe80::a%peerlink.4094"},
    beside={SW1: "fd00:4094::9/64", SW2: "fd00:4094::a/64"},
)
MIXED = replace(IPV6, vip=IPV4.vip, beside={SW1: "169.254.0.9/29", SW2: "169.254.0.10/29"})

PEER_LINK_ADDRESS = MappingProxyType(dict(IPV4.peer_link))
MANAGEMENT_ADDRESS = MappingProxyType(dict(IPV4.management))
PREFIX_LENGTH: Mapping[Line, int] = MappingProxyType(dict(IPV4.lengths))
PEER_LINK_MAC = MappingProxyType({SW1: "44:38:39:00:00:09", SW2: "44:38:39:00:00:10"})
MANAGEMENT_MAC = MappingProxyType({SW1: "44:38:39:00:01:01", SW2: "44:38:39:00:01:02"})
NOWHERE = "192.0.2.0/24"

DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
OWNED = re.compile(r"oh\.(?P<pid>[0-9a-z]+)\.(?P<start>[0-9a-z]+)\.[0-9a-z]+")
_serial = itertools.count()


class Network:
    """The network of one lab; `build` and `remove` may both be repeated."""

    def __init__(self, prefix: str, plan: Plan = IPV4) -> None:
        self.prefix = prefix
        self.plan = plan

    def namespace(self, node: str) -> str:
        """Return the name of the namespace of `node`, one of sw1, sw2 and ctl."""
        return f"{self.prefix}-{node}"

    def build(self) -> None:
        """Make the namespaces, the links and the addresses; all links are up afterwards."""
        sw1, sw2, ctl = (self.namespace(node) for node in (SW1, SW2, CTL))
        eth = INTERFACE["backup path"]
        run_batch(
            *(f"netns add {namespace}" for namespace in (sw1, sw2, ctl)),
            self._peer_link(),
            *(
                f"link add {eth} address {MANAGEMENT_MAC[node]} netns {self.namespace(node)} type veth"
                f" peer name {node} netns {ctl}"
                for node in SWITCHES
            ),
        )
        run_batch(
            "link set lo up",
            "link add br0 type bridge",
            _address_order("add", self.plan.management[CTL], self.plan.lengths["backup path"], "br0"),
            "link set br0 up",
            *(f"link set {node} master br0 up" for node in SWITCHES),
            f"route add blackhole {NOWHERE}",
            namespace=ctl,
        )
        for node in SWITCHES:
            run_batch("link set lo up", namespace=self.namespace(node))
            self.reset_addresses(node)
            self.link_up("peer link", node)
            self.link_up("backup path", node)

    def remake_peer_link(self) -> None:
        """Delete the peer link's interfaces and make them anew, with other indexes and all that is their own."""
        run_batch(f"link delete {INTERFACE['peer link']}", namespace=self.namespace(SW1))
        run_batch(self._peer_link())
        self.link_up("peer link")

    def _peer_link(self) -> str:
        ends = (f"{INTERFACE['peer link']} address {PEER_LINK_MAC[n]} netns {self.namespace(n)}" for n in SWITCHES)
        return "link add " + " type veth peer name ".join(ends)

    def remove(self) -> None:
        """Kill what still runs in the namespaces and delete them."""
        for node in (SW1, SW2, CTL):
            remove_namespace(self.namespace(node))

    def reset_addresses(self, node: str) -> None:
        """Leave the switch its own addresses only, as after a reboot; a VIP left behind goes."""
        commands = ["address flush dev lo scope global"]
        for path, interface in INTERFACE.items():
            commands.append(f"address flush dev {interface} scope global")
            commands += self._own_addresses(path, node)
        run_batch(*commands, namespace=self.namespace(node))

    def _own_addresses(self, path: Line, node: str) -> Iterator[str]:
        """Yield the orders by which the switch gets its own addresses of that path; they may be there already."""
        where = self.plan.peer_link if path == "peer link" else self.plan.management
        yield _address_order("replace", where[node], self.plan.lengths[path], INTERFACE[path])
        if path == "peer link" and node in self.plan.beside:
            address, _, length = self.plan.beside[node].partition("/")
            yield _address_order("replace", address, int(length), INTERFACE[path])

    def link_down(self, path: Line, node: str | None = None) -> None:
        """Take the link down at `node`'s end, or at both ends for None; the carrier goes on both."""
        for each in SWITCHES if node is None else (node,):
            run_batch(f"link set {INTERFACE[path]} down", namespace=self.namespace(each))

    def link_up(self, path: Line, node: str | None = None) -> None:
        """Take the link up again at `node`'s end, or at both ends for None.

        An interface that goes down loses its addresses of IPv6, and ifup(8) puts back those that it knows.
        """
        for each in SWITCHES if node is None else (node,):
            orders = [f"link set {INTERFACE[path]} up", *self._own_addresses(path, each)]
            if path == "backup path" and ":" not in self.plan.management[CTL]:
                orders.append(f"route replace {NOWHERE} via {self.plan.management[CTL]}")
            run_batch(*orders, namespace=self.namespace(each))

    def cut(self, path: Line, into: str | None = None) -> None:
        """Lose every frame that arrives at `into` by this path, or at both switches for None; the carrier stays."""
        for node in SWITCHES if into is None else (into,):
            table = _table(path)
            self._nft(
                node,
                f"add table netdev {table}; delete table netdev {table}; add table netdev {table};"
                f" add chain netdev {table} lost"
                f' {{ type filter hook ingress device "{INTERFACE[path]}" priority 0; policy drop; }}',
            )

    def isolate(self, node: str) -> None:
        """Lose every frame that arrives at `node` and every packet it sends, on both paths; the carrier stays."""
        for path in INTERFACE:
            self.cut(path, into=node)
        self._nft(
            node,
            "add table inet lab_mute; add chain inet lab_mute out { type filter hook output priority 0; policy drop; };"
            ' add rule inet lab_mute out oifname "lo" accept',
        )

    def mend(self, path: Line, into: str | None = None) -> None:
        """Undo `cut`."""
        for node in SWITCHES if into is None else (into,):
            table = _table(path)
            self._nft(node, f"add table netdev {table}; delete table netdev {table}")

    def drop_tcp(self, node: str, port: int) -> None:
        """Drop at `node`, without a word, what goes to and comes from this TCP port elsewhere, as a firewall may."""
        table = f"lab_port_{port}"
        self._nft(
            node,
            f"add table inet {table}; add chain inet {table} in {{ type filter hook input priority 0; }};"
            f" add chain inet {table} out {{ type filter hook output priority 0; }};"
            f" add rule inet {table} in tcp sport {port} drop; add rule inet {table} out tcp dport {port} drop",
        )

    def pass_tcp(self, node: str, port: int) -> None:
        """Undo `drop_tcp`."""
        table = f"lab_port_{port}"
        self._nft(node, f"add table inet {table}; delete table inet {table}")

    def run(self, node: str, *command: str, limit: float = 10.0) -> subprocess.CompletedProcess[str]:
        """Run a short command in the namespace of `node` and return what it printed, whatever its exit status."""
        # ip(8) goes there itself, and mounts no /sys of its own for it.
        into = ("ip", "-netns", self.namespace(node)) if command[0] == "ip" else (*self.entering(node), command[0])
        return subprocess.run([*into, *command[1:]], capture_output=True, text=True, timeout=limit, check=False)

    def entering(self, node: str) -> tuple[str, ...]:
        """Return the words to put before a command so that it runs in the namespace of `node`, with the same pid."""
        return ("ip", "netns", "exec", self.namespace(node))

    def _nft(self, node: str, rules: str) -> None:
        _run([*self.entering(node), "nft", rules])


def unique_prefix() -> str:
    """Return a prefix that no other lab has, and that tells later labs whether this process still lives."""
    pid = os.getpid()
    start = _start_time(pid)
    assert start is not None, "this process runs"
    return f"oh.{_base36(pid)}.{_base36(start)}.{_base36(next(_serial))}"


def is_orphan(name: str) -> bool:
    """Say whether `name` begins with the prefix of a lab whose process is gone; names not of a lab are not orphans."""
    owned = OWNED.match(name)
    return owned is not None and _start_time(int(owned["pid"], 36)) != int(owned["start"], 36)


def orphaned_namespaces() -> tuple[str, ...]:
    """Return the namespaces that labs which were killed have left behind."""
    return tuple(name for name in namespaces() if is_orphan(name))


def namespaces() -> Iterator[str]:
    """Give the names of all network namespaces of this machine."""
    for line in _run(["ip", "netns", "list"]).splitlines():
        yield line.split()[0]


def remove_namespace(name: str) -> None:
    """Kill the processes in this namespace and delete it; nothing happens when it is not there."""
    found = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True, check=False)
    for pid in found.stdout.split():
        _end(int(pid))
    subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)


def _end(pid: int) -> None:
    """Kill the process and wait until it is gone, for then it writes no more files."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        signal.pidfd_send_signal(process, signal.SIGKILL)
        select.select([process], [], [], 5.0)
    except ProcessLookupError:
        return
    finally:
        os.close(process)


def _address_order(verb: str, address: str, length: int, interface: str) -> str:
    """Return an order for ip-address(8); one of IPv6 can be used at once, without a look for duplicates."""
    nodad = " nodad" if ":" in address else ""
    return f"address {verb} {address.partition('%')[0]}/{length} dev {interface}{nodad}"


def _table(path: Line) -> str:
    return "lab_" + path.replace(" ", "_")


def _start_time(pid: int) -> int | None:
    """Return when the process began, in clock ticks since boot, or None when there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, *rest = stat.rpartition(")")[2].split()
    return None if state in "ZX" else int(rest[18])


def _base36(number: int) -> str:
    digits = ""
    while number or not digits:
        number, digit = divmod(number, 36)
        digits = DIGITS[digit] + digits
    return digits


def run_batch(*commands: str, namespace: str | None = None) -> None:
    """Have ip(8) carry out these commands, in a namespace or here.  Raises RuntimeError with what it says."""
    where: Iterable[str] = () if namespace is None else ("-n", namespace)
    _run(["ip", *where, "-batch", "-"], given="\n".join(commands) + "\n")


def _run(command: Sequence[str], given: str = "") -> str:
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed: {done.stderr.strip()}\n{given}")
    return done.stdout
