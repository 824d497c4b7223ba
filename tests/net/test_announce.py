"""Laws of the announcements' bytes and times; that they arrive is shown in integration/test_drivers.py."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from ovs.poller import Poller

from ovsha.errors import DriverError
from ovsha.net.announce import ARP_REPLY, ARP_REQUEST, Announcer, gratuitous_arp, unsolicited_advertisement

MAC = bytes.fromhex("02aabbccddee")
VIP = IPv4Address("169.254.0.11")


def test_the_request_form_asks_for_the_address_it_tells() -> None:
    frame = gratuitous_arp(VIP, MAC, ARP_REQUEST)
    assert frame[:42].hex(" ", 2) == (
        "ffff ffff ffff 02aa bbcc ddee 0806 "  # to all, from us, ARP
        "0001 0800 0604 0001 "  # Ethernet, IPv4, request
        "02aa bbcc ddee a9fe 000b "  # sender: we, the VIP
        "0000 0000 0000 a9fe 000b"  # target: unknown, the VIP
    )


def test_the_reply_form_repeats_the_sender_as_target() -> None:
    frame = gratuitous_arp(VIP, MAC, ARP_REPLY)
    assert frame[20:22] == b"\0\2"
    assert frame[22:32] == frame[32:42] == MAC + VIP.packed


@pytest.mark.parametrize("operation", [ARP_REQUEST, ARP_REPLY])
def test_a_frame_is_filled_up_to_the_smallest_of_ethernet(operation: int) -> None:
    frame = gratuitous_arp(VIP, MAC, operation)
    assert len(frame) == 60
    assert not any(frame[42:])


def test_an_advertisement_overrides_and_is_not_solicited() -> None:
    packet = unsolicited_advertisement(IPv6Address("fd00::11"), MAC)
    assert packet.hex(" ", 4) == "88000000 20000000 fd000000 00000000 00000000 00000011 020102aa bbccddee"


def test_an_interface_that_is_gone_is_named_and_the_rest_is_tried_all_the_same() -> None:
    announcer = Announcer("192.0.2.1", "ovsha-none", count=3, interval=1.0)
    with pytest.raises(DriverError, match="ovsha-none"):
        announcer.start(100.0)
    assert announcer.left == 2
    announcer.run(100.9)
    assert announcer.left == 2
    with pytest.raises(DriverError, match="ovsha-none"):
        announcer.run(101.0)
    announcer.stop()
    announcer.run(200.0)
    assert announcer.left == 0
    announcer.close()


def test_the_loop_is_woken_for_the_next_one_and_never_early() -> None:
    announcer = Announcer("192.0.2.1", "ovsha-none", count=2, interval=1.0)
    poller = Poller()
    announcer.wait(poller, 0.0)
    assert poller.timeout == -1
    with pytest.raises(DriverError):
        announcer.start(100.0)
    announcer.wait(poller, 100.9995)
    assert poller.timeout == 1
    announcer.close()
