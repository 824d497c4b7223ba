#!/usr/bin/python3
"""The floor of the bench: the fastest takeover there can be, to hold ovsha's against.

It is started on the backup before the fault, has its connection to ovsdb-server's control socket and its netlink
socket open, and knows of the fault because one byte comes on standard input.  Then it does what a takeover has to do
and nothing else: no look at the lineage, no term on disk, no announcement.  Standard output gets two JSON lines:

* ``{"event": "ready", "t": ...}`` when it waits;
* ``{"event": "done", "go": ..., "promoted": ..., "managers": ..., "vip": ..., "listener": ...}``: when the byte came
  and when each step had been answered, by time.monotonic().

Exit status: 0 done; 1 a step was refused, or standard input ended without a byte.
"""

from __future__ import annotations

import argparse
import errno
import ipaddress
import json
import os
import socket
import sys
import time
from collections.abc import Sequence

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

IFA_F_NODAD = 0x02
"""From linux/if_addr.h: an IPv6 address is usable at once, without duplicate address detection."""


class Control:
    """A connection to ovsdb-server's control socket, which speaks JSON-RPC (ovs-appctl(8)) one command at a time."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(path)

    def command(self, name: str, *arguments: str) -> str:
        """Carry out a command and return what it prints.  Raises RuntimeError when it is refused."""
        self._socket.sendall(json.dumps({"id": 0, "method": name, "params": arguments}).encode())
        answer = b""
        while not answer.endswith(b"}"):  # the answers to these commands hold no braces of their own
            received = self._socket.recv(65536)
            if not received:
                raise RuntimeError(f"{name}: ovsdb-server closed its control socket")
            answer += received
        reply = json.loads(answer)
        if reply["error"] is not None:
            raise RuntimeError(f"{name}: {reply['error'].strip()}")
        return str(reply["result"])


def add_address(netlink: IPRoute, index: int, vip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    """Add the VIP to interface number `index`; it may be there already."""
    flags = {"flags": IFA_F_NODAD} if vip.version == 6 else {}
    try:
        netlink.addr("add", index=index, address=str(vip), prefixlen=vip.max_prefixlen, **flags)
    except NetlinkError as err:
        if err.code != errno.EEXIST:
            raise RuntimeError(f"{vip}: {err}") from err


def take_over(args: argparse.Namespace, control: Control, netlink: IPRoute, index: int) -> dict[str, float]:
    """Take the service over, in the order that lets no client's dump delay a step; return when each step was done."""
    host = f"[{args.vip}]" if args.vip.version == 6 else str(args.vip)
    times = {"go": time.monotonic()}
    control.command("ovsdb-server/disconnect-active-ovsdb-server")
    times["promoted"] = time.monotonic()
    control.command("ovsdb-server/add-remote", f"db:{args.database},Global,managers")
    times["managers"] = time.monotonic()
    add_address(netlink, index, args.vip)
    times["vip"] = time.monotonic()
    control.command("ovsdb-server/add-remote", f"ptcp:{args.port}:{host}")
    times["listener"] = time.monotonic()
    return times


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Take the service over when one byte comes on standard input.")
    parser.add_argument("--ctl", required=True, metavar="SOCKET", help="control socket of the backup's ovsdb-server")
    parser.add_argument("--vip", type=ipaddress.ip_address, required=True, metavar="ADDRESS")
    parser.add_argument("--interface", required=True, help="where the VIP goes")
    parser.add_argument("--port", type=int, default=9998)
    parser.add_argument("--database", default="hardware_vtep")
    return parser.parse_args(argv)


def main() -> int:
    """Get ready, wait for the byte, take over; return the exit status."""
    args = arguments()
    try:
        control = Control(args.ctl)
        index = socket.if_nametoindex(args.interface)
    except OSError as err:
        print(f"floor: {args.ctl}, {args.interface}: {err}", file=sys.stderr)
        return 1
    with IPRoute() as netlink:
        print(json.dumps({"event": "ready", "t": time.monotonic()}), flush=True)
        if not os.read(sys.stdin.fileno(), 1):
            return 1
        try:
            times = take_over(args, control, netlink, index)
        except RuntimeError as err:
            print(f"floor: {err}", file=sys.stderr)
            return 1
    print(json.dumps({"event": "done", **times}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
