"""Laws of watching the VIP that hold without privileges; the rest is in integration/test_drivers.py."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovsha.errors import DriverError
from ovsha.net import netlink
from ovsha.net.vip import Vip


@pytest.fixture
def loopback() -> Iterator[Vip]:
    vip = Vip("127.0.0.1", "lo")
    yield vip
    vip.close()


def test_an_address_is_seen_on_its_interface_at_once(loopback: Vip) -> None:
    assert loopback.present
    assert loopback.interface_up
    assert loopback.carrier
    assert loopback.elsewhere is None


def test_an_address_is_told_where_it_is_when_it_is_elsewhere() -> None:
    vip = Vip("127.0.0.1", "ovsha-none")
    try:
        assert not vip.present
        assert vip.elsewhere == "lo"
    finally:
        vip.close()


def test_an_interface_that_does_not_exist_is_down_and_named_when_it_is_needed() -> None:
    vip = Vip("192.0.2.1", "ovsha-none")
    try:
        assert (vip.present, vip.interface_up, vip.carrier, vip.peer_carrier) == (False,) * 4
        with pytest.raises(DriverError, match="ovsha-none: No such device"):
            vip.add(0.0)
    finally:
        vip.close()


def test_the_peer_link_may_be_another_interface() -> None:
    vip = Vip("127.0.0.1", "ovsha-none", peer_interface="lo")
    try:
        assert vip.peer_carrier
        assert not vip.carrier
    finally:
        vip.close()


def message(kind: int, body: bytes) -> bytes:
    return (struct.pack("=IHHII", 16 + len(body), kind, 0, 0, 0) + body).ljust((16 + len(body) + 3) & ~3, b"\0")


@given(st.lists(st.tuples(st.integers(0, 65535), st.binary(max_size=40))))
def test_every_message_of_a_datagram_is_found(sent: list[tuple[int, bytes]]) -> None:
    data = b"".join(message(kind, body) for kind, body in sent)
    assert list(netlink.messages(data)) == sent


@given(st.binary())
def test_rubbish_from_netlink_ends_the_walk(data: bytes) -> None:
    for _, body in netlink.messages(data):
        assert sum(len(value) for _, value in netlink.attributes(body, 8)) <= len(data)
