"""Hear and send frames on an interface of the lab, as somebody does who is on the same wire."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pyroute2 import netns
from scapy.layers.l2 import Ether
from scapy.packet import Packet

from lab import Lab

ETH_P_ALL = 0x0003
SO_RCVBUFFORCE = 33
_KEPT = 64 << 20
"""Bytes of frames that wait for a reader: whoever looks for one frame in a while must not have lost it to a copy."""


def entered(pair: Lab, node: str, act: Callable[[], object]) -> None:
    """Do something in the namespace of `node`: a thread enters it, and ends there."""

    def enter() -> None:
        netns.setns(pair.network.namespace(node))
        act()

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()


@contextmanager
def wire(pair: Lab, node: str, interface: str) -> Iterator[socket.socket]:
    """Give a socket that sees and sends every frame of an interface of `node`."""
    opened: list[socket.socket] = []

    def bind() -> None:
        opened.append(socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)))
        opened[0].setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, _KEPT)
        opened[0].bind((interface, ETH_P_ALL))

    entered(pair, node, bind)
    with opened[0] as raw:
        raw.setblocking(False)
        yield raw


def frames(raw: socket.socket) -> Iterator[Packet]:
    """Give what has come in since the last time."""
    while True:
        try:
            data, (_, _, kind, _, _) = raw.recvfrom(65536)
        except BlockingIOError:
            return
        if kind != socket.PACKET_OUTGOING:
            yield Ether(data)
