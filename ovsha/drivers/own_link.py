"""Make and remove the interface that is there for the VIP alone, by rtnetlink(7).

What was made here says so in its alias (ip link show), by which it is known after the agent was started anew; an
interface that somebody else made is used as it is, and stays.  Raises NetlinkError and OSError.
"""

from __future__ import annotations

import errno

from pyroute2 import IPRoute, NetlinkError

MARK = "made by ovsha for the VIP"


def make(route: IPRoute, name: str, kind: str) -> int:
    """Make the interface, up and marked, and return its index; one that came meanwhile is taken as it is."""
    try:
        route.link("add", ifname=name, kind=kind, state="up")
    except NetlinkError as error:
        if error.code == errno.EEXIST:
            return index(route, name)
        if error.code == errno.EOPNOTSUPP:
            what = f"this kernel has no {kind} interfaces: modprobe {kind}, or write vip.mode: loopback"
            raise OSError(errno.EOPNOTSUPP, what) from None
        raise
    made = index(route, name)
    route.link("set", index=made, ifalias=MARK, IFLA_IFALIAS=MARK)
    return made


def index(route: IPRoute, name: str) -> int:
    """Return the index of an interface that exists."""
    return int(next(iter(route.link("get", ifname=name)))["index"])


def remove(route: IPRoute, made: int) -> None:
    """Remove the interface; nothing is wrong when it is gone."""
    try:
        route.link("del", index=made)
    except NetlinkError as error:
        if error.code != errno.ENODEV:
            raise
