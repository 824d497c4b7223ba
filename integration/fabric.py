"""Join the switches of a lab to a routed network: a spine above both, and a client behind it, with real FRR.

    sw1 swp51 ---- swp1 spine swp2 ---- swp51 sw2        fe80 addresses only: BGP unnumbered
                        |
                      client 10.99.0.2/24, fd00:99::2/64

zebra and bgpd run in each of the three namespaces, started by us in the foreground, with their sockets, pidfiles and
logs in the lab's directory; nothing of FRR runs outside.  They get their configuration by vtysh, as FRR's own service
does.  The switches' is the one of docs/routed-vip.rst.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Self

from lab import Lab
from monitor import Monitor
from service import Service
from switch import HERE, events
from topology import SWITCHES, remove_namespace, run_batch

DAEMONS = Path("/usr/lib/frr")
USER = "frr"
DOCUMENT = HERE.parent / "docs" / "routed-vip.rst"
SPINE = """frr defaults datacenter
router bgp 65000
 bgp router-id 10.0.0.254
 neighbor swp1 interface remote-as external
 neighbor swp2 interface remote-as external
 address-family ipv4 unicast
  network 10.99.0.0/24
 exit-address-family
 address-family ipv6 unicast
  neighbor swp1 activate
  neighbor swp2 activate
  network fd00:99::/64
 exit-address-family
"""
PORT = {"sw1": "swp1", "sw2": "swp2"}


def missing() -> str:
    """Return why there can be no such network here, "" when there can be."""
    there = (DAEMONS / "bgpd").exists() and shutil.which("vtysh") is not None
    return "" if there else "a routed lab needs FRR: apt-get install frr"


def documented(node: str) -> str:
    """Return the frr.conf of a switch: that of sw1 in the document, with the values of the table below it for sw2."""
    text = DOCUMENT.read_text(encoding="utf-8")
    block = re.search(r"^\.\. code-block:: none\n   :name: frr\.conf\n\n((?:   .*\n|\n)+)", text, re.MULTILINE)
    assert block, f"{DOCUMENT} has a code block called frr.conf"
    lines = "\n".join(line.removeprefix("   ") for line in block[1].splitlines())
    rows = re.findall(r"^``(\S+)`` +``(\S+)``$", text, re.MULTILINE)
    assert rows, f"{DOCUMENT} has a table of what differs"
    for first, second in rows if node == "sw2" else ():
        assert first in lines
        lines = lines.replace(first, second)
    return lines.rstrip() + "\n"


class Fabric:
    """The network above `lab`; use it as a context, within the lab's own."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._network = lab.network
        self._spine, self._client = (f"{lab.prefix}-{name}" for name in ("spine", "client"))
        # FRR's user cannot enter the lab's own; what a killed test leaves is removed as that is, by its name.
        self._directory = Path(tempfile.gettempdir()) / f"{lab.prefix}.frr.lab"
        self._services: list[Service] = []
        self._vip = str(lab.sw1.config["vip"]["address"])
        self._watch: Monitor | None = None
        self.client_events = lab.directory / "client.events"

    def __enter__(self) -> Self:
        try:
            self._build()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self._remove()

    def _build(self) -> None:
        self._directory.mkdir(mode=0o755)
        self._wire()
        for node in SWITCHES:
            self._start(node, self._network.namespace(node), documented(node))
        self._start("spine", self._spine, SPINE)
        self._watch = Monitor(("ip", "netns", "exec", self._spine), "route", self._vip)
        self._lab.wait_until(self._reaches_all, 60.0, "the spine and both switches have each other's routes")

    def _remove(self) -> None:
        for service in self._services:
            service.kill()
        if self._watch is not None:
            self._watch.close()
        for namespace in (self._spine, self._client):
            remove_namespace(namespace)
        shutil.rmtree(self._directory, ignore_errors=True)

    def start_client(self) -> None:
        """Have a VTEP daemon's stand-in behind the spine keep a session with the VIP."""
        vip = self._lab.sw1.config["vip"]
        host = f"[{vip['address']}]" if ":" in self._vip else self._vip
        command = [sys.executable, str(HERE / "vtepd.py"), "--name", "client", "--events", str(self.client_events)]
        command += ["--server", f"tcp:{host}:{vip['port']}", "--max-backoff", "0.1"]
        self._run("the client", self._client, command, self._lab.directory / "client.log")

    def connections(self) -> list[float]:
        """Return when the client's sessions with the VIP began."""
        return [event["t"] for event in events(self.client_events) if event["event"] == "dumped"]

    def leads_to(self) -> list[str]:
        """Return the nodes that the spine's routes to the VIP lead to."""
        family = "-6" if ":" in self._vip else "-4"
        shown = self._ip(self._spine, family, "route", "show", self._vip)
        return [node for node in SWITCHES if f"dev {PORT[node]} " in shown]

    def moved(self, node: str, since: float) -> float:
        """Return how many seconds after `since` the spine's route led to `node` and nowhere else any more."""
        assert self._watch is not None
        told = self._watch.told
        last = [at for at, line in told if at >= since and not line.startswith("Deleted") and PORT[node] in line]
        assert last, f"no route to {node} since then: {told}"
        return last[-1] - since

    def uplink(self, node: str, state: str) -> None:
        """Take the spine's end of a switch's uplink up or down."""
        self._ip(self._spine, "link", "set", PORT[node], state)

    def vtysh(self, node: str, command: str) -> str:
        """Return what a command of FRR prints on a switch or the spine."""
        words = ["vtysh", "--vty_socket", str(self._place(node)), "-c", command]
        return subprocess.run(words, capture_output=True, text=True, check=True, timeout=10).stdout

    def _reaches_all(self) -> bool:
        shown = [self.vtysh(node, "show bgp ipv4 unicast summary failed") for node in (*SWITCHES, "spine")]
        shown += [self.vtysh(node, "show bgp ipv6 unicast summary failed") for node in (*SWITCHES, "spine")]
        networks = [self._ip(self._network.namespace(node), "-4", "route", "show", "10.99.0.0/24") for node in SWITCHES]
        networks += [self._ip(self._network.namespace(n), "-6", "route", "show", "fd00:99::/64") for n in SWITCHES]
        return all("No failed" in each for each in shown) and all(networks)

    def _wire(self) -> None:
        for namespace in (self._spine, self._client):
            run_batch(f"netns add {namespace}")
        for node in SWITCHES:
            there = self._network.namespace(node)
            run_batch(
                f"link add {PORT[node]} netns {self._spine} type veth peer name swp51 netns {there}",
            )
            run_batch("link set swp51 up", namespace=there)
            run_batch(f"link set {PORT[node]} up", namespace=self._spine)
            self._forward(there)
        run_batch(f"link add client netns {self._spine} type veth peer name eth0 netns {self._client}")
        run_batch(
            "link set lo up", "link set client up", "address add 10.99.0.1/24 dev client",
            "address add fd00:99::1/64 dev client nodad", namespace=self._spine,
        )  # fmt: skip
        run_batch(
            "link set lo up", "link set eth0 up", "address add 10.99.0.2/24 dev eth0",
            "address add fd00:99::2/64 dev eth0 nodad", "route add default via 10.99.0.1",
            "route add default via fd00:99::1", namespace=self._client,
        )  # fmt: skip
        self._forward(self._spine)

    def _forward(self, namespace: str) -> None:
        for name in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
            command = ["ip", "netns", "exec", namespace, "sh", "-c", f"echo 1 >/proc/sys/net/{name}"]
            subprocess.run(command, check=True)

    def _start(self, node: str, namespace: str, configuration: str) -> None:
        place = self._place(node)
        place.mkdir()
        shutil.chown(place, USER, USER)
        for daemon in ("zebra", "bgpd"):
            command = [str(DAEMONS / daemon), "-i", f"{place}/{daemon}.pid"]
            command += ["-z", f"{place}/zserv.api", "--vty_socket", str(place), "-A", "127.0.0.1", "-P", "0"]
            command += ["--log", f"file:{place}/{daemon}.log", "-f", "/dev/null"]
            self._run(f"{daemon} of {node}", namespace, command, place / f"{daemon}.out", place / f"{daemon}.vty")
        file = place / "frr.conf"
        file.write_text(configuration, encoding="utf-8")
        words = ["vtysh", "--vty_socket", str(place), "-f", str(file)]
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=30)
        assert done.returncode == 0, f"{node}: {done.stdout}{done.stderr}"

    def _run(self, name: str, namespace: str, command: list[str], log: Path, ready: Path | None = None) -> None:
        whole = ("ip", "netns", "exec", namespace, *command)
        service = Service(name, lambda: whole, log, {}, lambda: ready is None or ready.exists())
        self._services.append(service)
        service.start()

    def _place(self, node: str) -> Path:
        return self._directory / node

    def _ip(self, namespace: str, *words: str) -> str:
        return subprocess.run(["ip", "-netns", namespace, *words], capture_output=True, text=True, check=True).stdout
