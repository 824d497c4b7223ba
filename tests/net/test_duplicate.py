"""Laws of the ear for other holders of the VIP; integration/test_collisions.py shows that it hears them on a wire."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ovs.poller import Poller

from ovsha.net.announce import ARP_REPLY, ARP_REQUEST, gratuitous_arp, unsolicited_advertisement
from ovsha.net.arp_watch import DuplicateWatch, claimant, program

MAC, OURS = bytes.fromhex("02aabbccddee"), bytes.fromhex("443839000009")
VIP, VIP6 = IPv4Address("169.254.0.11"), IPv6Address("fd00::11")
ADDRESSES = st.sampled_from([VIP, VIP6])


def passes(frame: bytes, address: IPv4Address | IPv6Address) -> bool:
    """Run the filter as the kernel does: a load outside the frame drops it."""
    code = list(struct.iter_unpack("=HBBI", program(address)))
    sizes, register, at = {0x20: "!I", 0x28: "!H", 0x30: "!B"}, 0, 0
    while True:
        operation, if_true, if_false, operand = code[at]
        at += 1
        if operation in sizes:
            try:
                (register,) = struct.unpack_from(sizes[operation], frame, operand)
            except struct.error:
                return False
        elif operation == 0x15:
            at += if_true if register == operand else if_false
        else:
            assert operation == 0x06
            return bool(operand)


def ipv6_frame(body: bytes, mac: bytes = MAC) -> bytes:
    """Return the frame that carries an ICMPv6 message, as the kernel would send it."""
    header = struct.pack("!IHBB", 6 << 28, len(body), 58, 255) + bytes(32)
    return b"\x33\x33\0\0\0\1" + mac + b"\x86\xdd" + header + body


CLAIMS = [
    (gratuitous_arp(VIP, MAC, ARP_REQUEST), VIP),
    (gratuitous_arp(VIP, MAC, ARP_REPLY), VIP),
    (gratuitous_arp(VIP, MAC, ARP_REQUEST)[:42], VIP),
    (ipv6_frame(unsolicited_advertisement(VIP6, MAC)), VIP6),
    (ipv6_frame(unsolicited_advertisement(VIP6, MAC)[:24]), VIP6),  # without the option: the sender's own
]


@pytest.mark.parametrize(("frame", "address"), CLAIMS)
def test_what_the_announcer_of_another_switch_sends_is_a_claim(
    frame: bytes, address: IPv4Address | IPv6Address
) -> None:
    assert passes(frame, address)
    assert claimant(frame, address) == MAC


def asking(sender: str) -> bytes:
    """Return an ARP request of `sender` for the VIP."""
    frame = gratuitous_arp(IPv4Address(sender), MAC, ARP_REQUEST)
    return frame[:38] + VIP.packed + frame[42:]


@pytest.mark.parametrize(
    ("frame", "address"),
    [
        (asking("169.254.0.10"), VIP),
        (asking("0.0.0.0"), VIP),
        (gratuitous_arp(IPv4Address("169.254.0.12"), MAC, ARP_REPLY), VIP),
        (ipv6_frame(unsolicited_advertisement(IPv6Address("fd00::12"), MAC)), VIP6),
        (ipv6_frame(b"\x87" + unsolicited_advertisement(VIP6, MAC)[1:]), VIP6),
        (gratuitous_arp(VIP, MAC, ARP_REQUEST), VIP6),
    ],
    ids=["a request for it", "a probe for it", "another address", "another target", "a solicitation", "another family"],
)
def test_who_asks_for_the_vip_or_tells_of_another_address_claims_nothing(
    frame: bytes, address: IPv4Address | IPv6Address
) -> None:
    assert not passes(frame, address)
    assert claimant(frame, address) is None


@given(ADDRESSES, st.binary(max_size=120), st.integers(0, 120))
def test_no_frame_is_a_claim_that_the_filter_would_drop_and_none_raises(
    address: IPv4Address | IPv6Address, noise: bytes, cut: int
) -> None:
    for frame, _ in CLAIMS:
        for changed in (noise, frame[:cut], frame[:cut] + noise, noise + frame[cut:]):
            if claimant(changed, address) is not None:
                assert passes(changed, address)


def test_an_ear_is_closed_while_we_are_no_holder_and_tells_why_it_cannot_be_opened() -> None:
    ear = DuplicateWatch("169.254.0.11", "ovsha-none")
    assert ear.run(1.0, holding=False) == []
    poller = Poller()
    ear.wait(poller, 1.0)
    assert (ear.trouble, poller.timeout) == ("", -1)
    assert ear.run(2.0, holding=True) == []
    assert "holders of the VIP on ovsha-none: " in ear.trouble
    ear.wait(poller, 2.0)
    assert 900 < poller.timeout <= 1001
    ear.close()


def test_both_families_have_a_filter_that_ends() -> None:
    for text in ("169.254.0.11", "fd00::11", "255.255.255.255", "::"):
        assert program(ip_address(text))[-8:] == struct.pack("=HBBI", 0x06, 0, 0, 0)
