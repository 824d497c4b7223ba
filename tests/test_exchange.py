"""A real listener and real clients over loopback: the peer is answered, and nobody else gets anything."""

from __future__ import annotations

import base64
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ovs.poller import Poller

from ovsha import exchange
from ovsha.core import exchange as codec
from ovsha.drivers.exchange import IDLE, MAX_CONNECTIONS, Exchange
from ovsha.drivers.files import Files
from ovsha.errors import DriverError

KEY, OTHER_KEY = bytes(range(32)), bytes(range(1, 33))
HOST = "127.0.0.9"
LIMIT = 20.0
LARGE = bytes(range(256)) * 2000


class Rig:
    """An exchange in its loop, asked by threads."""

    def __init__(self, directory: Path, address: str = HOST) -> None:
        self.address = address
        self.blocked = threading.Event()
        self.ahead = 0.0
        files = Files(directory)
        self.server = Exchange(
            address, 0, KEY,
            {"echo": lambda params: params, "refuse": self._refuse, "large": lambda params: "x" * codec.MAX_ANSWER},
            {"fetch": files.fetch, "list": files.list, "hang": lambda params: self.blocked.wait(LIMIT)},
        )  # fmt: skip
        self._pool = ThreadPoolExecutor()
        self.turn()

    def ask(self, method: str, params: dict[str, Any], key: bytes = KEY, limit: float = LIMIT) -> Any:
        return self.spin(self.start(exchange.ask, self.address, self.server.port, key, method, params, limit))

    def fetch(self, kind: str, name: str, target: Path) -> int:
        size: int = self.spin(
            self.start(exchange.fetch, self.address, self.server.port, KEY, kind, name, target, LIMIT)
        )
        return size

    def start(self, call: Callable[..., Any], *args: Any) -> Future[Any]:
        return self._pool.submit(call, *args)

    def spin(self, future: Future[Any]) -> Any:
        self.until(future.done)
        return future.result()

    def until(self, holds: Callable[[], bool]) -> None:
        end = time.monotonic() + LIMIT
        while not holds():
            assert time.monotonic() < end, "in vain"
            self.turn()

    def turn(self) -> None:
        now = time.monotonic() + self.ahead
        self.server.run(now)
        poller = Poller()
        self.server.wait(poller, now)
        poller.timer_wait(5)
        poller.block()

    def connect(self) -> socket.socket:
        """Return a connection that has been greeted, and its nonce behind the magic."""
        sock = socket.create_connection((self.address, self.server.port))
        sock.settimeout(LIMIT)
        return sock

    def greeted(self) -> tuple[socket.socket, bytes]:
        sock = self.connect()
        return sock, self.read(sock, codec.GREETING)[len(codec.MAGIC) :]

    def read(self, sock: socket.socket, size: int = 1 << 20) -> bytes:
        """Return what comes until there are `size` bytes or the other side closes."""

        def all_of_it() -> bytes:
            data = b""
            while len(data) < size:
                try:
                    more = sock.recv(size - len(data))
                except ConnectionResetError:
                    break
                if not more:
                    break
                data += more
            return data

        got: bytes = self.spin(self.start(all_of_it))
        return got

    def count(self, reason: str) -> int:
        return self.server.counters[f"exchange_{reason}"]

    def close(self) -> None:
        self.blocked.set()
        self._pool.shutdown()
        self.server.close()

    @staticmethod
    def _refuse(params: Any) -> Any:
        raise DriverError("not today")


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
    return codec.request(key, address, nonce, b"n" * codec.NONCE, method, {"a": 1})


# -- the peer ----------------------------------------------------------------------------------------------------------


def test_the_peer_is_answered(rig: Rig) -> None:
    assert rig.ask("echo", {"text": "ä\n", "list": [1, None, 2.5]}) == {"text": "ä\n", "list": [1, None, 2.5]}
    assert rig.count("asked") == 1
    assert rig.server.trouble == ""


def test_one_connection_serves_for_many_questions(rig: Rig) -> None:
    def many() -> list[Any]:
        with exchange.Asker(HOST, rig.server.port, KEY, LIMIT) as asker:
            return [asker.ask("echo", {"n": number}) for number in range(50)]

    assert rig.spin(rig.start(many)) == [{"n": number} for number in range(50)]


def test_a_refusal_an_unknown_method_and_an_answer_too_large_are_told_in_one_line(rig: Rig) -> None:
    where = f"the agent at {HOST}:{rig.server.port} refuses"
    for method, why in (
        ("refuse", "not today"),
        ("nonsense", "'nonsense' is not known to this release"),
        ("large", "the answer has 262199 bytes and 262144 is the most"),
    ):
        with pytest.raises(DriverError) as told:
            rig.ask(method, {})
        assert str(told.value) == f"{where} {method}: {why}"


def test_it_works_over_ipv6(tmp_path: Path) -> None:
    rig = Rig(tmp_path, "::1")
    try:
        assert rig.ask("echo", {"a": 1}) == {"a": 1}
    finally:
        rig.close()


def test_a_slow_disk_holds_up_neither_the_loop_nor_what_needs_no_disk(rig: Rig) -> None:
    hanging = rig.start(exchange.ask, HOST, rig.server.port, KEY, "hang", {}, LIMIT)
    rig.until(lambda: any(each.working for each in rig.server._connections))
    assert rig.ask("echo", {"a": 1}) == {"a": 1}
    assert not hanging.done()
    rig.blocked.set()
    assert rig.spin(hanging) is True


# -- files -------------------------------------------------------------------------------------------------------------


def test_a_file_of_many_slices_is_fetched_whole(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "bases").mkdir()
    (tmp_path / "bases" / "one.db").write_bytes(LARGE)
    target = tmp_path / "copy"
    assert rig.fetch("bases", "one.db", target) == len(LARGE)
    assert target.read_bytes() == LARGE
    assert list(tmp_path.glob("*.part")) == []


def test_an_empty_file_is_fetched_too(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "forensics" / "id").mkdir(parents=True)
    (tmp_path / "forensics" / "id" / "empty").touch()
    assert rig.fetch("forensics", "id/empty", tmp_path / "copy") == 0
    assert (tmp_path / "copy").read_bytes() == b""


def test_a_file_that_shrinks_meanwhile_leaves_nothing_behind(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "bases").mkdir()
    path = tmp_path / "bases" / "one.db"
    path.write_bytes(LARGE)
    honest = rig.server.files["fetch"]

    def shrinking(params: Any) -> Any:
        answer = honest(params)
        path.write_bytes(LARGE[:1000])
        return answer

    rig.server.files["fetch"] = shrinking
    with pytest.raises(DriverError, match="changed while it was fetched"):
        rig.fetch("bases", "one.db", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
    assert list(tmp_path.glob("*.part")) == []


def test_files_are_listed_by_kind_without_what_is_unfinished(rig: Rig, tmp_path: Path) -> None:
    for name in ("a.db", "b.db.part", ".hidden", "x/below"):
        (tmp_path / "bases" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "bases" / name).write_text(name)
    for name in ("one/manifest.json", "two.part/manifest.json", "stray"):
        (tmp_path / "forensics" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "forensics" / name).write_text(name)
    listed = rig.ask("list", {"kind": "bases"})
    assert [(each["name"], each["size"]) for each in listed] == [("a.db", 4)]
    assert [each["name"] for each in rig.ask("list", {"kind": "forensics"})] == ["one/manifest.json"]
    assert rig.ask("list", {"kind": "ledgers"}) == []


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("bases", "../secret"),
        ("bases", "..", ),
        ("bases", "/etc/passwd"),
        ("bases", ".hidden"),
        ("bases", "x/y"),
        ("bases", "link"),
        ("bases", "directory"),
        ("bases", "fifo"),
        ("bases", ""),
        ("bases", "missing"),
        ("forensics", "../secret"),
        ("forensics", "id/../secret"),
        ("forensics", "one"),
        ("..", "secret"),
        (".", "secret"),
        ("snapshots", "secret"),
        (7, "secret"),
        ("bases", None),
    ],
)
def test_no_other_file_can_be_had(rig: Rig, tmp_path: Path, kind: Any, name: Any) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "bases" / "directory").mkdir(parents=True)
    (tmp_path / "bases" / "link").symlink_to(tmp_path / "secret")
    os.mkfifo(tmp_path / "bases" / "fifo")
    with pytest.raises(DriverError):
        rig.ask("fetch", {"kind": kind, "name": name, "offset": 0, "size": 100})


@pytest.mark.parametrize("params", [{"offset": -1}, {"offset": True}, {"size": None}, {"offset": 2**80}])
def test_a_slice_that_is_none_is_refused(rig: Rig, tmp_path: Path, params: dict[str, Any]) -> None:
    (tmp_path / "bases").mkdir()
    (tmp_path / "bases" / "a").write_text("a")
    with pytest.raises(DriverError, match="a whole number is wanted"):
        rig.ask("fetch", {"kind": "bases", "name": "a", "offset": 0, "size": 10, **params})


# -- strangers ---------------------------------------------------------------------------------------------------------


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
        size = int.from_bytes(rig.read(sock, codec.LENGTH))
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
    nonce, own = b"s" * codec.NONCE, b"c" * codec.NONCE
    tape = codec.answer(KEY, HOST, nonce, own, b"f" * codec.NONCE, {"lie": 1}, "")
    with socket.create_server((HOST, 0)) as liar, ThreadPoolExecutor() as pool:
        asked = pool.submit(exchange.ask, HOST, liar.getsockname()[1], KEY, "echo", {}, LIMIT)
        sock, _ = liar.accept()
        with sock:
            sock.sendall(codec.MAGIC + nonce)
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
            sock.sendall(codec._frame(body, codec._tag(KEY, b"ask", HOST, nonce, b"", body)))
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
        assert len(rig.read(sock, codec.LENGTH)) == codec.LENGTH
    assert rig.count("asked") == 1


def test_who_does_not_read_its_answer_is_closed_at_its_time_and_blocks_nobody(rig: Rig, tmp_path: Path) -> None:
    rig.server.methods["much"] = lambda params: "x" * (codec.MAX_ANSWER - 100)
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect((HOST, rig.server.port))
        sock.settimeout(LIMIT)
        nonce = rig.read(sock, codec.GREETING)[len(codec.MAGIC) :]
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
    assert len(rig.read(held[0])) <= codec.GREETING, "the oldest were closed"


def test_a_stranger_does_not_push_out_the_peer(rig: Rig, stack: ExitStack) -> None:
    for _ in range(MAX_CONNECTIONS):
        sock, nonce = rig.greeted()
        stack.enter_context(sock).sendall(request(nonce))
        rig.read(sock, codec.LENGTH)
    late = stack.enter_context(rig.connect())
    assert rig.read(late) == b""
    assert len(rig.server._connections) == MAX_CONNECTIONS
    assert all(each.trusted for each in rig.server._connections)


def test_a_flood_of_connections_is_taken_at_a_measured_pace(rig: Rig, stack: ExitStack) -> None:
    def flood() -> None:
        for _ in range(300):
            with socket.create_connection((HOST, rig.server.port)):
                pass

    flooding = rig.start(flood)
    now = time.monotonic()
    while rig.server._tokens >= 1:
        rig.server.run(now)  # a clock that stands still, so that nothing is added to what may be taken
        assert time.monotonic() < now + LIMIT
    crowded = rig.count("crowded")
    rig.server.run(now)
    assert rig.count("crowded") == crowded, "the rest waits"
    rig.spin(flooding)
    assert rig.ask("echo", {"a": 1}) == {"a": 1}


def test_the_address_may_come_later(tmp_path: Path) -> None:
    """An address of TEST-NET-1 (RFC 5737) is not here; when it is, the same loop listens."""
    late = Exchange("192.0.2.1", 0, KEY, {})
    try:
        late.run(100.0)
        assert "the peer cannot ask us at 192.0.2.1 port 0: Cannot assign requested address" in late.trouble
        late._address = HOST
        late.run(100.5)
        assert late.trouble
        late.run(101.1)
        assert late.trouble == ""
    finally:
        late.close()


def test_nobody_there_is_one_line() -> None:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
        with pytest.raises(DriverError) as told:
            exchange.ask(HOST, port, KEY, "echo", {}, LIMIT)
    assert str(told.value) == f"the agent at {HOST}:{port} cannot be reached: Connection refused"


def test_an_agent_that_hangs_is_not_waited_for_longer_than_was_said() -> None:
    with socket.create_server((HOST, 0)) as mute, pytest.raises(DriverError, match=r"does not answer within 0.2 s"):
        exchange.ask(HOST, mute.getsockname()[1], KEY, "echo", {}, 0.2)


def test_another_program_at_the_port_is_named() -> None:
    with socket.create_server((HOST, 0)) as server, ThreadPoolExecutor() as pool:
        asked = pool.submit(exchange.ask, HOST, server.getsockname()[1], KEY, "echo", {}, LIMIT)
        sock, _ = server.accept()
        with sock:
            sock.sendall(b"SSH-2.0-OpenSSH_9.2p1 Debian\r\n")
            with pytest.raises(DriverError, match="no agent of this release"):
                asked.result(LIMIT)


# -- the seals ---------------------------------------------------------------------------------------------------------

nonces = st.binary(min_size=codec.NONCE, max_size=codec.NONCE)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(nonces, nonces, st.text(), st.dictionaries(st.text(), json_values, max_size=3))
def test_a_request_comes_out_as_it_went_in(nonce: bytes, own: bytes, method: str, params: dict[str, Any]) -> None:
    frame = codec.request(KEY, HOST, nonce, own, method, params)
    assert codec.read_request(KEY, HOST, nonce, frame[codec.LENGTH :]) == (method, params, own)


@given(nonces, nonces, nonces, json_values, st.text())
def test_an_answer_comes_out_as_it_went_in(nonce: bytes, own: bytes, following: bytes, result: Any, error: str) -> None:
    frame = codec.answer(KEY, HOST, nonce, own, following, result, error)
    wanted = (None, error, following) if error else (result, "", following)
    assert codec.read_answer(KEY, HOST, nonce, own, frame[codec.LENGTH :]) == wanted


@given(nonces, nonces, st.data())
def test_a_frame_with_one_bit_changed_is_forged(nonce: bytes, own: bytes, data: st.DataObject) -> None:
    frame = bytearray(codec.request(KEY, HOST, nonce, own, "echo", {})[codec.LENGTH :])
    bit = data.draw(st.integers(0, 8 * len(frame) - 1))
    frame[bit // 8] ^= 1 << bit % 8
    with pytest.raises(codec.Refused, match="forged"):
        codec.read_request(KEY, HOST, nonce, bytes(frame))


@given(nonces, nonces)
def test_a_request_is_no_answer_and_an_answer_no_request(nonce: bytes, own: bytes) -> None:
    asked = codec.request(KEY, HOST, nonce, own, "echo", {})[codec.LENGTH :]
    answered = codec.answer(KEY, HOST, nonce, b"", own, {}, "")[codec.LENGTH :]
    with pytest.raises(codec.Refused):
        codec.read_answer(KEY, HOST, nonce, b"", asked)
    with pytest.raises(codec.Refused):
        codec.read_request(KEY, HOST, nonce, answered)


def test_a_slice_fits_an_answer() -> None:
    whole = {"data": base64.b64encode(bytes(codec.SLICE)).decode(), "total": 2**62}
    frame = codec.answer(KEY, HOST, b"n" * 16, b"n" * 16, b"n" * 16, whole, "")
    assert codec.read_answer(KEY, HOST, b"n" * 16, b"n" * 16, frame[codec.LENGTH :])[0] == whole


def test_a_request_too_large_is_a_bug_of_ours() -> None:
    with pytest.raises(ValueError, match="a request of"):
        codec.request(KEY, HOST, b"", b"", "echo", {"x": "y" * codec.MAX_REQUEST})
