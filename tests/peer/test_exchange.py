"""A real listener and real clients over loopback: the peer is answered."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ovsha.errors import DriverError
from ovsha.peer import rpc_client
from ovsha.peer.rpc_server import Exchange
from tests.support.asked import HOST, KEY, LIMIT, Rig


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.close()


def test_the_peer_is_answered(rig: Rig) -> None:
    assert rig.ask("echo", {"text": "ä\n", "list": [1, None, 2.5]}) == {"text": "ä\n", "list": [1, None, 2.5]}
    assert rig.count("asked") == 1
    assert rig.server.trouble == ""


def test_one_connection_serves_for_many_questions(rig: Rig) -> None:
    def many() -> list[Any]:
        with rpc_client.Asker(HOST, rig.server.port, KEY, LIMIT) as asker:
            return [asker.ask("echo", {"n": number}) for number in range(50)]

    assert rig.spin(rig.start(many)) == [{"n": number} for number in range(50)]


def test_a_refusal_an_unknown_method_and_an_answer_too_large_are_told_in_one_line(rig: Rig) -> None:
    where = f"the agent at {HOST}:{rig.server.port} refuses"
    with pytest.raises(DriverError, match=r"does not know the question 'nonsense': install the same release on both"):
        rig.ask("nonsense", {})
    for method, why in (
        ("refuse", "not today"),
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
    hanging = rig.start(rpc_client.ask, HOST, rig.server.port, KEY, "hang", {}, LIMIT)
    rig.until(lambda: any(each.working for each in rig.server._connections))
    assert rig.ask("echo", {"a": 1}) == {"a": 1}
    assert not hanging.done()
    rig.blocked.set()
    assert rig.spin(hanging) is True


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
            rpc_client.ask(HOST, port, KEY, "echo", {}, LIMIT)
    assert str(told.value) == f"the agent at {HOST}:{port} cannot be reached: Connection refused"


def test_an_agent_that_hangs_is_not_waited_for_longer_than_was_said() -> None:
    with socket.create_server((HOST, 0)) as mute, pytest.raises(DriverError, match=r"does not answer within 0.2 s"):
        rpc_client.ask(HOST, mute.getsockname()[1], KEY, "echo", {}, 0.2)


def test_another_program_at_the_port_is_named() -> None:
    with socket.create_server((HOST, 0)) as server, ThreadPoolExecutor() as pool:
        asked = pool.submit(rpc_client.ask, HOST, server.getsockname()[1], KEY, "echo", {}, LIMIT)
        sock, _ = server.accept()
        with sock:
            sock.sendall(b"SSH-2.0-OpenSSH_9.2p1 Debian\r\n")
            with pytest.raises(DriverError, match="no agent of this release"):
                asked.result(LIMIT)
