"""The echoes to the peer's kernel: what is sent and believed, what counts as sent, and what becomes of errors.

The kernel of this machine answers on its loopback device, which takes root.
"""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Callable, Iterator

import pytest

from ovsha.core.echo import BURST
from ovsha.net import icmp, netlink
from ovsha.net.icmp import Echoes
from ovsha.net.path_socket import Endpoint

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="a raw socket takes root")
LIMIT = 10.0
NOBODY = "127.0.0.1"
FAMILIES = [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]


def endpoint(local: str, peer: str, interface: str | None = None) -> Endpoint:
    return Endpoint("peer-link", local, peer, 0, interface)


@pytest.fixture(params=["127.0.0.1", "::1"])
def echoes(request: pytest.FixtureRequest) -> Iterator[Echoes]:
    """Give those that this machine answers to itself."""
    made = Echoes([endpoint(request.param, request.param)])
    yield made
    made.close()


def spin(made: Echoes, until: Callable[[], object], every: float = 0.02) -> float:
    """Run it until something holds, and return the clock then."""
    began = time.monotonic()
    while not until():
        assert time.monotonic() - began < LIMIT
        made.run(time.monotonic(), every)
        time.sleep(0.002)
    return time.monotonic()


@needs_root
def test_this_machine_answers_and_its_way_has_a_carrier(echoes: Echoes) -> None:
    now = spin(echoes, lambda: echoes.answered >= 3)
    (path,) = echoes.facts(now)
    assert path.carrier is True
    assert path.answered_age is not None
    assert path.answered_age < 1.0
    assert echoes.sent >= echoes.answered


@needs_root
def test_a_burst_sends_five_and_counts_those_that_left(echoes: Echoes) -> None:
    now = spin(echoes, lambda: echoes.answered >= 1, every=100.0)
    assert echoes.facts(now)[0].asked == 0
    echoes.burst(time.monotonic())
    now = spin(echoes, lambda: echoes.facts(time.monotonic())[0].asked == BURST, every=100.0)
    spin(echoes, lambda: echoes.answered == 1 + BURST, every=100.0)
    age = echoes.facts(now)[0].asked_age
    assert age is not None
    assert 0.0 <= age < LIMIT


@needs_root
def test_nothing_counts_as_sent_by_a_burst_before_the_way_is_known() -> None:
    made = Echoes([endpoint("127.0.0.1", "127.0.0.2")])
    made.burst(time.monotonic())
    assert made.facts(time.monotonic())[0].asked == 0
    made.close()


@needs_root
def test_where_the_address_is_not_ours_there_are_no_facts_and_one_line_of_trouble() -> None:
    made = Echoes([endpoint("192.0.2.1", "192.0.2.2")])
    made.run(time.monotonic(), 1.0)
    assert (made.sent, made.answered, made.facts(0.0)[0].carrier) == (0, 0, None)
    assert made.trouble({"peer-link": ""}).startswith("the peer's kernel cannot be asked on peer-link: cannot open")
    assert made.trouble({"peer-link": "cannot open"}) == "", "the heartbeats have said so"
    made.close()


@needs_root
@pytest.mark.parametrize(("family", "here"), FAMILIES)
def test_the_filter_passes_only_replies_to_our_identifier(family: socket.AddressFamily, here: str) -> None:
    ours, theirs = 4711, 4712
    with icmp.raw_socket(family) as ear, icmp.raw_socket(family) as mouth:
        icmp.pass_replies_only(ear, ours)
        ear.bind((here, 0))
        for identifier in (theirs, ours, theirs):
            mouth.sendto(icmp.request(family, identifier, identifier, b"nonce"), (here, 0))
        assert select.select([ear], [], [], LIMIT)[0]
        heard = []
        while select.select([ear], [], [], 0.1)[0]:
            heard.append(icmp.reply(family, ear.recv(512), ours))
    assert heard == [(ours, b"nonce")]


@needs_root
def test_a_reply_with_another_nonce_or_a_second_time_is_not_counted() -> None:
    made = Echoes([endpoint("127.0.0.1", "127.0.0.1")])
    spin(made, lambda: made.answered >= 1, every=100.0)
    asker = made._askers[0]
    with icmp.raw_socket(socket.AF_INET) as mouth:
        for _ in range(3):  # its kernel answers these to the identifier of ours, as a forger would
            mouth.sendto(icmp.request(socket.AF_INET, asker._identifier, 0, bytes(16)), ("127.0.0.1", 0))
    assert asker._sock is not None
    assert select.select([asker._sock], [], [], LIMIT)[0]
    made.run(time.monotonic(), 100.0)
    assert made.answered == 1
    made.close()


def test_a_reply_is_read_or_is_none() -> None:
    assert icmp.reply(socket.AF_INET, b"", 1) is None
    assert icmp.reply(socket.AF_INET6, b"\x81", 1) is None
    reply = b"\x81\0\0\0\0\1\0\2nonce"
    assert icmp.reply(socket.AF_INET6, reply, 1) == (2, b"nonce")
    assert icmp.reply(socket.AF_INET6, reply, 3) is None
    assert icmp.reply(socket.AF_INET6, b"\x80" + reply[1:], 1) is None


def test_an_interface_that_is_not_there_has_no_carrier() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        assert netlink.carrier(sock, 1), "that of the loopback device, which is up on any machine that runs tests"
        assert not netlink.carrier(sock, 2**30)
    assert icmp.SPACING <= 0.01
