"""Two real PeerLinks talk over loopback addresses, and a third socket attacks them."""

import random
import socket
import time
from collections.abc import Callable, Iterator

import ovs.poller
import pytest

from ovsha.net.path_socket import Endpoint
from ovsha.peer.link import MAX_TURN, PeerLink
from ovsha.protocol.heartbeat import Conversation

KEY = bytes(range(32))
PATHS = ("peer_link", "backup_path")
ADDRESSES = {
    "sw1": {"peer_link": "127.0.0.9", "backup_path": "127.0.1.1"},
    "sw2": {"peer_link": "127.0.0.10", "backup_path": "127.0.1.2"},
}
PATIENCE = 10.0  # seconds; everything here takes milliseconds


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.9", 0))
        port: int = probe.getsockname()[1]
        return port


def conversation(node: str, boot: str = "") -> Conversation:
    peer = {"sw1": "sw2", "sw2": "sw1"}[node]
    return Conversation("rack7", node, peer, KEY, boot or f"boot of {node}", PATHS)


def endpoints(node: str, port: int) -> list[Endpoint]:
    peer = {"sw1": "sw2", "sw2": "sw1"}[node]
    return [Endpoint(p, ADDRESSES[node][p], ADDRESSES[peer][p], port) for p in PATHS]


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def talks() -> dict[str, Conversation]:
    return {node: conversation(node) for node in ADDRESSES}


@pytest.fixture
def pair(port: int, talks: dict[str, Conversation]) -> Iterator[dict[str, PeerLink]]:
    links = {node: PeerLink(talks[node], endpoints(node, port)) for node in ADDRESSES}
    for link in links.values():
        link.run(time.monotonic())
    assert [link.trouble for link in links.values()] == [dict.fromkeys(PATHS, "")] * 2
    yield links
    for link in links.values():
        link.close()


def until(links: dict[str, PeerLink], holds: Callable[[], bool]) -> dict[str, list[object]]:
    """Run all links as the agent's loop would until `holds`; return the states each heard."""
    heard: dict[str, list[object]] = {node: [] for node in links}
    give_up = time.monotonic() + PATIENCE
    while not holds():
        now = time.monotonic()
        assert now < give_up, "in vain"
        poller = ovs.poller.Poller()
        for node, link in links.items():
            heard[node] += link.run(now)
            link.wait(poller, now)
        poller.timer_wait(20)
        if not holds():
            poller.block()
    return heard


def meet(links: dict[str, PeerLink], talks: dict[str, Conversation]) -> None:
    for node, link in links.items():
        link.send({"from": node}, time.monotonic())
    until(links, lambda: all(talk.peer_boot for talk in talks.values()))
    settle(links)


def settle(links: dict[str, PeerLink]) -> None:
    """Read what is still on its way; loopback delivers before sendto() returns."""
    for _ in range(4):
        for link in links.values():
            link.run(time.monotonic())


def attacker(address: tuple[str, int]) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(address)
    return sock


def test_two_links_meet_without_waiting_for_the_next_interval(
    pair: dict[str, PeerLink], talks: dict[str, Conversation]
) -> None:
    begin = time.monotonic()
    pair["sw1"].send({"hello": 1}, begin)
    pair["sw2"].send({"hello": 2}, begin)
    heard = until(pair, lambda: all(talk.peer_boot for talk in talks.values()))
    settle(pair)
    assert time.monotonic() - begin < PATIENCE
    assert all(state == {"hello": 2} for state in heard["sw1"])
    for talk in talks.values():
        states = [talk.path_state(path, time.monotonic(), 5.0).state for path in PATHS]
        assert states == ["up", "up"]


def test_a_state_said_is_heard_once_for_each_path_and_in_order(
    pair: dict[str, PeerLink], talks: dict[str, Conversation]
) -> None:
    meet(pair, talks)
    for number in range(10):
        pair["sw1"].send({"n": number}, time.monotonic())
    heard = pair["sw2"].run(time.monotonic())
    assert [state["n"] for state in heard] == sorted(state["n"] for state in heard)
    assert heard[-1] == {"n": 9}
    assert pair["sw2"].run(time.monotonic()) == []


def test_what_a_stranger_sends_is_counted_and_changes_nothing(
    pair: dict[str, PeerLink], talks: dict[str, Conversation], port: int
) -> None:
    meet(pair, talks)
    now = time.monotonic()
    genuine = talks["sw2"].seal("peer_link", {"evil": True}, now)
    before = [talks["sw1"].path_state(path, now, 5.0) for path in PATHS]
    with attacker(("127.0.0.66", port)) as address, attacker(("127.0.0.10", 0)) as number:
        for sock in (address, number):
            sock.sendto(genuine, ("127.0.0.9", port))
            sock.sendto(b"", ("127.0.0.9", port))
    assert pair["sw1"].run(time.monotonic()) == []
    assert talks["sw1"].counters["stranger_address"] == 4
    assert [talks["sw1"].path_state(path, now, 5.0) for path in PATHS] == before


def test_an_attacker_at_the_peers_very_address_gains_nothing_without_the_key(
    port: int, talks: dict[str, Conversation]
) -> None:
    tape: list[bytes] = []
    link = PeerLink(talks["sw1"], endpoints("sw1", port))
    link.run(time.monotonic())
    peer = talks["sw2"]
    noise = random.Random(7)
    with attacker(("127.0.0.10", port)) as sock:
        sock.settimeout(PATIENCE)

        def shoot(packet: bytes) -> list[dict[str, object]]:
            sock.sendto(packet, ("127.0.0.9", port))
            return link.run(time.monotonic())

        link.send({}, time.monotonic())
        peer.receive(sock.recv(2000), "peer_link", time.monotonic())
        tape = [peer.seal("peer_link", {"n": n}, time.monotonic()) for n in range(3)]
        assert [shoot(packet) for packet in tape] == [[{"n": n}] for n in range(3)]

        heard_at = time.monotonic() - (talks["sw1"].heard_age(time.monotonic()) or 0.0)
        for packet in tape:
            assert shoot(packet) == []
            assert shoot(packet[:-1]) == []
            assert shoot(packet[:-1] + bytes([packet[-1] ^ 1])) == []
            assert shoot(noise.randbytes(noise.randrange(1400))) == []
        assert shoot(b"x" * 3000) == []
    counters = talks["sw1"].counters
    assert counters["replayed"] == 3
    assert counters["forged"] == 6
    assert counters["malformed"] == 3
    assert counters["oversize"] == 1
    age = talks["sw1"].heard_age(now := time.monotonic())
    assert age is not None
    assert abs((now - age) - heard_at) < 0.001
    link.close()


def test_a_flood_on_one_path_does_not_silence_the_other(
    pair: dict[str, PeerLink], talks: dict[str, Conversation], port: int
) -> None:
    meet(pair, talks)
    with attacker(("127.0.0.66", port)) as sock:
        for _ in range(MAX_TURN * 3):
            sock.sendto(b"flood", ("127.0.0.9", port))
    pair["sw2"].send({"n": 1}, time.monotonic())
    assert pair["sw1"].run(time.monotonic()) == [{"n": 1}]
    assert talks["sw1"].counters["stranger_address"] == MAX_TURN - 1


def test_what_is_discarded_is_not_heard(pair: dict[str, PeerLink], talks: dict[str, Conversation]) -> None:
    meet(pair, talks)
    pair["sw2"].send({"n": 1}, time.monotonic())
    assert pair["sw1"].discard_queued() == 2
    assert pair["sw1"].run(time.monotonic()) == []
    pair["sw2"].send({"n": 2}, time.monotonic())
    assert pair["sw1"].run(time.monotonic()) == [{"n": 2}, {"n": 2}]


def test_an_address_that_is_not_there_is_told_and_tried_again_each_second(port: int) -> None:
    ends = [Endpoint("peer_link", "192.0.2.1", "192.0.2.2", port), endpoints("sw1", port)[1]]
    link = PeerLink(conversation("sw1"), ends)
    link.run(50.0)
    assert link.trouble["peer_link"] == "cannot open: Cannot assign requested address"
    assert link.trouble["backup_path"] == ""
    link.send({}, 50.0)  # goes out where it can
    link.close()


def test_a_path_whose_port_is_taken_works_within_a_second_of_its_release(
    port: int, talks: dict[str, Conversation]
) -> None:
    link = PeerLink(talks["sw1"], endpoints("sw1", port))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        holder.bind(("127.0.0.9", port))
        link.run(50.0)
        assert link.trouble["peer_link"] == "cannot open: Address already in use"
    link.run(50.9)
    assert link.trouble["peer_link"] != ""
    link.run(51.0)
    assert link.trouble["peer_link"] == ""
    link.close()


def test_an_interface_that_is_not_there_is_told(port: int) -> None:
    end = Endpoint("peer_link", "127.0.0.9", "127.0.0.10", port, "no-such-port")
    link = PeerLink(conversation("sw1"), [end])
    link.run(50.0)
    assert link.trouble["peer_link"].startswith("cannot open at 127.0.0.9 in no-such-port: ")
    link.close()


def test_an_unreachable_peer_is_noted_and_not_raised(port: int) -> None:
    end = Endpoint("peer_link", "127.0.0.9", "192.0.2.1", port)
    link = PeerLink(conversation("sw1"), [end])
    link.run(50.0)
    link.send({}, 50.0)
    assert link.trouble["peer_link"].startswith("cannot send: ")
    link.close()


def test_reopening_keeps_the_conversation(pair: dict[str, PeerLink], talks: dict[str, Conversation]) -> None:
    meet(pair, talks)
    boot = talks["sw1"].peer_boot
    pair["sw1"].reopen(time.monotonic())
    pair["sw2"].send({"n": 1}, time.monotonic())
    assert pair["sw1"].run(time.monotonic()) == [{"n": 1}, {"n": 1}]
    assert talks["sw1"].peer_boot == boot


def test_packets_are_marked_as_network_control(pair: dict[str, PeerLink], port: int) -> None:
    with attacker(("127.0.2.2", port)) as sock:
        sock.settimeout(PATIENCE)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
        link = PeerLink(conversation("sw1"), [Endpoint("peer_link", "127.0.2.1", "127.0.2.2", port)])
        link.run(50.0)
        link.send({}, 50.0)
        _, ancillary, _, _ = sock.recvmsg(2000, 100)
        link.close()
    assert ancillary[0][2][:1] == b"\xc0"


@pytest.mark.parametrize("interface", [None, "lo"])
def test_the_peer_may_be_reached_over_ipv6(port: int, interface: str | None) -> None:
    talk = Conversation("rack7", "sw1", "sw2", KEY, "boot", ("peer_link",))
    link = PeerLink(talk, [Endpoint("peer_link", "::1", "::1", port, interface)])
    link.run(50.0)
    if link.trouble["peer_link"]:
        pytest.skip(link.trouble["peer_link"])
    link.send({}, 50.0)
    assert link.run(50.0) == []
    assert talk.counters["own"] == 1  # it came back to us, as our own
    link.close()


@pytest.mark.parametrize(("local", "peer"), [("sw1", "127.0.0.1"), ("::1", "127.0.0.1")])
def test_addresses_that_do_not_go_together_are_refused(local: str, peer: str) -> None:
    with pytest.raises(ValueError, match="not an address"):
        PeerLink(conversation("sw1"), [Endpoint("peer_link", local, peer, 1)])


def test_the_loop_wakes_at_once_for_a_packet_and_for_an_answer_due(
    pair: dict[str, PeerLink], talks: dict[str, Conversation]
) -> None:
    meet(pair, talks)
    newcomer = conversation("sw2", "another boot")
    pair["sw2"].close()
    talks["sw1"].receive(newcomer.seal("peer_link", {}, 0.0), "peer_link", now := time.monotonic())
    pair["sw1"].send({}, now)
    talks["sw1"].receive(newcomer.seal("peer_link", {}, 0.0), "peer_link", now)
    poller = ovs.poller.Poller()
    pair["sw1"].wait(poller, now)
    assert 0 < poller.timeout <= 21
