"""Say by which interface packets to an address leave, and whether that has a carrier (rtnetlink(7), netdevice(7))."""

from __future__ import annotations

import array
import errno
import fcntl
import socket
import struct

from ovsha.drivers import netlink

_RTM_GETROUTE = 26
_RTMSG = struct.Struct("=BBBBBBBBI")  # family, lengths of destination and source, and what is not asked for
_ATTRIBUTE = struct.Struct("=HH")
_RTA_DST, _RTA_SRC, _RTA_OIF = 1, 2, 4

_SIOCGIFFLAGS, _SIOCETHTOOL = 0x8913, 0x8946
_ETHTOOL_GLINK = 0x0A
_IFF_UP, _IFF_RUNNING = 0x1, 0x40
_NAME = 16


def interface(family: int, target: bytes, source: bytes, scope: int) -> int:
    """Return the index of the interface by which a packet from `source` to `target` leaves.

    `scope` is the index of the interface or VRF that the socket is bound to, 0 for none.  Raises OSError when there is
    no way.
    """
    body = _RTMSG.pack(family, 8 * len(target), 8 * len(source), 0, 0, 0, 0, 0, 0)
    body += _attribute(_RTA_DST, target) + _attribute(_RTA_SRC, source)
    if scope:
        body += _attribute(_RTA_OIF, struct.pack("=I", scope))
    with netlink.open_socket(socket.NETLINK_ROUTE) as sock:
        answer = netlink.ask(sock, _RTM_GETROUTE, body)
    found = dict(netlink.attributes(answer, _RTMSG.size)).get(_RTA_OIF)
    if found is None or len(found) != 4:
        raise OSError(errno.ENETUNREACH, "no interface leads there")
    return int(struct.unpack("=I", found)[0])


def carrier(sock: socket.socket, index: int) -> bool:
    """Tell whether the interface of that index is there, up, and has a carrier; any socket will do to ask by."""
    try:
        name = socket.if_indextoname(index).encode()
        request = fcntl.ioctl(sock, _SIOCGIFFLAGS, struct.pack("16s24x", name))
        (flags,) = struct.unpack_from("=H", request, _NAME)
        return bool(flags & _IFF_UP) and _has_link(sock, name, flags)
    except OSError:
        return False


def _has_link(sock: socket.socket, name: bytes, flags: int) -> bool:
    """Ask the driver, whose word comes before the flag, which the kernel sets up to a second later."""
    told = array.array("I", [_ETHTOOL_GLINK, 0])
    try:
        fcntl.ioctl(sock, _SIOCETHTOOL, struct.pack("16sP16x", name, told.buffer_info()[0]))
    except OSError:
        return bool(flags & _IFF_RUNNING)
    return bool(told[1])


def _attribute(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value
