"""Whoever is not the peer gets a closed connection, is counted, and holds nobody up."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from ovsha.errors import DriverError
from ovsha.peer import rpc_client
from ovsha.peer.rpc_server import IDLE, MAX_CONNECTIONS
from ovsha.protocol import seal
from tests.support.asked import HOST, KEY, LIMIT, OTHER_KEY, Rig


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.close()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def request(nonce: bytes, method: str = "echo", key: bytes = KEY, address: str = HOST) -> bytes:
    return seal.request(key, address, nonce, b"n" * seal.NONCE, method, {"a": 1})


def test_who_has_another_key_gets_a_closed_connection_and_is_counted(rig: Rig) -> None:
    with pytest.raises(DriverError, match="ended the connection: it has another key"):
        rig.ask("echo", {}, key=OTHER_KEY)
    assert (rig.count("forged"), rig.count("asked")) == (1, 0)


def test_a_request_is_good_once_and_on_its_own_connection(rig: Rig) -> None:
    sock, nonce = rig.greeted()
    other, _ = rig.greeted()
    with sock, other:
        tape = request(nonce)
        other.sendall(tape)
        assert rig.read(other) == b""
        sock.sendall(tape)
        size = int.from_bytes(rig.read(sock, seal.LENGTH))
        assert b'"result":{"a":1}' in rig.read(sock, size)
        sock.sendall(tape)
        assert rig.read(sock) == b""
    assert (rig.count("forged"), rig.count("asked")) == (2, 1)


def test_a_request_meant_for_another_address_is_not_answered(rig: Rig) -> None:
    """Who relays our own question to us must not get our answer for the peer's."""
    sock, nonce = rig.greeted()
    with sock:
        sock.sendall(request(nonce, address="127.0.0.10"))
        assert rig.read(sock) == b""
    assert rig.count("forged") == 1


def test_an_answer_to_another_question_is_not_believed() -> None:
    """A server without the key repeats what it has recorded of a real one."""
    nonce, own = b"s" * seal.NONCE, b"c" * seal.NONCE
    tape = seal.answer(KEY, HOST, nonce, own, b"f" * seal.NONCE, {"lie": 1}, "")
    with socket.create_server((HOST, 0)) as liar, ThreadPoolExecutor() as pool:
        asked = pool.submit(rpc_client.ask, HOST, liar.getsockname()[1], KEY, "echo", {}, LIMIT)
        sock, _ = liar.accept()
        with sock:
            sock.sendall(seal.RPC_MAGIC + nonce)
            sock.recv(1000)
            sock.sendall(tape)
            with pytest.raises(DriverError, match="is forged: it has not our pair key"):
                asked.result(LIMIT)


@pytest.mark.parametrize(
    "noise",
    [b"GET / HTTP/1.1\r\n\r\n", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0\0\0\x21" + b"x" * 33, b"{" * 100_000],
    ids=["http", "nothing", "huge", "short", "much"],
)
def test_noise_ends_the_connection_and_is_counted(rig: Rig, noise: bytes) -> None:
    sock, _ = rig.greeted()
    with sock:
        sock.sendall(noise)
        assert rig.read(sock) == b""
    assert rig.count("malformed") + rig.count("forged") == 1
    assert rig.ask("echo", {}) == {}


def test_a_sealed_request_without_the_form_of_one_is_refused(rig: Rig) -> None:
    for body in (b"[]", b"{}", b'{"method":1,"params":{},"nonce":""}', b"\xff", b"[" * 5000):
        sock, nonce = rig.greeted()
        with sock:
            sock.sendall(seal._frame(body, seal._tag(KEY, b"ask", HOST, nonce, b"", body)))
            assert rig.read(sock) == b""
    assert rig.count("malformed") == 5


def test_who_says_nothing_or_half_a_request_is_closed_at_its_time(rig: Rig) -> None:
    silent, _ = rig.greeted()
    slow, nonce = rig.greeted()
    with silent, slow:
        slow.sendall(request(nonce)[:40])
        rig.turn()
        assert len(rig.server._connections) == 2
        rig.ahead = IDLE + 0.1
        assert rig.read(silent) == rig.read(slow) == b""
    assert rig.count("slow") == 2


def test_a_drop_at_a_time_is_read_as_well(rig: Rig) -> None:
    sock, nonce = rig.greeted()
    with sock:
        for byte in request(nonce):
            sock.sendall(bytes([byte]))
            rig.turn()
        assert len(rig.read(sock, seal.LENGTH)) == seal.LENGTH
    assert rig.count("asked") == 1


def test_who_does_not_read_its_answer_is_closed_at_its_time_and_blocks_nobody(rig: Rig, tmp_path: Path) -> None:
    rig.server.methods["much"] = lambda params: "x" * (seal.MAX_ANSWER - 100)
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect((HOST, rig.server.port))
        sock.settimeout(LIMIT)
        nonce = rig.read(sock, seal.GREETING)[len(seal.RPC_MAGIC) :]
        for each in rig.server._connections:
            each.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        sock.sendall(request(nonce, "much"))
        rig.until(lambda: rig.count("asked") == 1)
        assert rig.server._connections[0].output
        assert rig.ask("echo", {"a": 1}) == {"a": 1}
        rig.ahead = IDLE + 0.1
        rig.until(lambda: rig.count("slow") == 1)
    assert rig.server._connections == []


def test_strangers_who_hold_connections_do_not_keep_the_peer_out(rig: Rig, stack: ExitStack) -> None:
    held = [stack.enter_context(rig.connect()) for _ in range(MAX_CONNECTIONS + 4)]
    rig.until(lambda: rig.count("crowded") == 4)
    assert len(rig.server._connections) == MAX_CONNECTIONS
    assert rig.ask("echo", {"a": 1}) == {"a": 1}
    assert len(rig.read(held[0])) <= seal.GREETING, "the oldest were closed"


def test_a_stranger_does_not_push_out_the_peer(rig: Rig, stack: ExitStack) -> None:
    for _ in range(MAX_CONNECTIONS):
        sock, nonce = rig.greeted()
        stack.enter_context(sock).sendall(request(nonce))
        rig.read(sock, seal.LENGTH)
    late = stack.enter_context(rig.connect())
    assert rig.read(late) == b""
    assert len(rig.server._connections) == MAX_CONNECTIONS
    assert all(each.trusted for each in rig.server._connections)


def test_a_flood_of_connections_is_taken_at_a_measured_pace(rig: Rig) -> None:
    begun: list[int] = []

    def flood() -> None:
        for number in range(150):
            with suppress(TimeoutError), socket.create_connection((HOST, rig.server.port), 0.1):
                begun.append(number)

    flooding = rig.start(flood)
    now = time.monotonic()
    rounds = 0
    while rounds < 50:
        rig.server.run(now)  # a clock that stands still, so that nothing is added to what may be taken
        rounds += rig.server._tokens < 1
        rig.blocked.wait(0.005)
        assert time.monotonic() < now + LIMIT
    assert len(begun) < 100, "50 were taken, and the kernel holds a few"
    rig.spin(flooding)
    assert rig.ask("echo", {"a": 1}) == {"a": 1}
