"""The status URLs over real HTTP: what each says in each situation, and that no client can do harm."""

from __future__ import annotations

import http.client
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from ovsha.agent.urls import STUCK, Board, Published, Urls
from ovsha.core import turn
from ovsha.core.facts import Copy
from ovsha.core.view import View
from ovsha.host.http import MOST, Answer, Web
from tests.support.made_up_pair import FOLLOWING, MEMORY, OUTSIDE, SERVING, lost

HOST = "127.0.0.1"
LIMIT = 20.0


class Clock:
    """A clock that stands until it is set."""

    def __init__(self) -> None:
        self.now = FOLLOWING.now

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def told() -> Iterator[Told]:
    with closing(Told()) as told:
        yield told


class Told:
    """A server with a board that nobody has written on yet."""

    def __init__(self) -> None:
        self.board, self.clock = Board(), Clock()
        self.web = Web(HOST, 0, Urls(self.board, self.clock).answer)
        self.web.start()
        await_true(lambda: self.web.listening)

    def close(self) -> None:
        self.web.close()

    def publish(self, view: View) -> None:
        decision = turn.turn(view, MEMORY)
        self.board.published, self.board.turned = Published(1.8e9, view.now, view, decision, OUTSIDE), view.now

    def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], str]:
        with closing(http.client.HTTPConnection(HOST, self.web.port, timeout=LIMIT)) as connection:
            connection.request(method, path, headers=headers)
            response = connection.getresponse()
            return response.status, dict(response.headers), response.read().decode()

    def status(self, path: str) -> int:
        return self.ask(path)[0]


def await_true(condition: object, limit: float = LIMIT) -> None:
    end = time.monotonic() + limit
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.01)


def test_before_the_first_turn_nothing_is_vouched_for(told: Told) -> None:
    assert {told.status(path) for path in ("/healthz", "/active", "/backup", "/metrics")} == {503}


@pytest.mark.parametrize(
    ("view", "active", "backup"),
    [
        (SERVING, 200, 503),
        (FOLLOWING, 503, 200),
        (replace(FOLLOWING, copy=Copy(None, None)), 503, 503),
        (replace(lost(SERVING), server=SERVING.server), 200, 503),
    ],
    ids=["active", "backup in sync", "backup not in sync", "active without a peer"],
)
def test_active_and_backup_say_who_is_what(told: Told, view: View, active: int, backup: int) -> None:
    told.publish(view)
    assert (told.status("/active"), told.status("/backup"), told.status("/healthz")) == (active, backup, 200)


def test_a_loop_that_does_not_turn_is_said_by_all_but_the_metrics(told: Told) -> None:
    told.publish(SERVING)
    told.clock.now += STUCK
    assert told.status("/healthz") == 200
    told.clock.now += 10
    for path in ("/healthz", "/active", "/backup"):
        status, _, body = told.ask(path)
        assert (status, body) == (503, "the agent's loop has not turned for 12 s\n")
    told.board.turned = told.clock.now
    assert told.status("/healthz") == 200


def test_metrics_go_on_while_the_loop_is_stuck_and_say_so(told: Told) -> None:
    pytest.importorskip("prometheus_client", reason="python3-prometheus-client is not installed")
    told.publish(SERVING)
    told.clock.now += 12
    status, headers, body = told.ask("/metrics")
    assert (status, headers["Content-Type"].split(";")[0]) == (200, "text/plain")
    assert 'ovsha_loop_age_seconds{node="sw2",pair="rack7"} 12.0' in body
    assert 'ovsha_side_serving{node="sw2",pair="rack7",side="sw2",whose="own"} 1.0' in body


def test_without_the_library_the_metrics_say_what_is_missing_and_the_rest_goes_on() -> None:
    script = """
import sys
sys.modules["prometheus_client"] = None
sys.path[:0] = ["."]
from tests.agent.test_urls import Told, SERVING
import logging
logging.basicConfig(format="%(message)s")
told = Told()
told.publish(SERVING)
print(told.ask("/metrics")[::2], told.ask("/metrics")[0], told.status("/active"))
"""
    root = Path(__file__).resolve().parents[2]
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=root, capture_output=True, text=True, timeout=60, check=False
    )
    assert "503, 'Prometheus metrics need the package python3-prometheus-client" in ran.stdout, ran.stderr
    assert ran.stdout.rstrip().endswith("503 200")
    assert ran.stderr.count("python3-prometheus-client") == 1, "it is logged once"


def test_nothing_but_get_and_head_is_taken(told: Told) -> None:
    told.publish(SERVING)
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "BREW"):
        status, headers, body = told.ask("/active", method)
        assert (status, headers["Allow"]) == (405, "GET, HEAD")
        assert method not in body
    status, headers, body = told.ask("/active", "HEAD")
    assert (status, body, headers["Content-Length"]) == (200, "", str(len("sw2 serves\n")))


def test_nothing_of_a_request_comes_back(told: Told) -> None:
    told.publish(SERVING)
    for sent in (
        b"GET /<script>alert(1)</script>?x=<b> HTTP/1.0\r\n\r\n",
        b"<script> /metrics HTTP/1.0\r\n\r\n",
        b"GET / <script>\r\n\r\n",
        b"GET /" + b"<script>" * 10_000 + b" HTTP/1.0\r\n\r\n",
        b"\x16\x03\x01\x02\x00<script>\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: <script>\r\n" * 300 + b"\r\n",
    ):
        answer = raw(told.web.port, sent)
        assert answer.startswith(b"HTTP/1.0 4"), answer[:80]
        assert b"script" not in answer
        assert b"X-Content-Type-Options: nosniff" in answer
        assert b"Python" not in answer


def raw(port: int, sent: bytes) -> bytes:
    with closing(socket.create_connection((HOST, port), LIMIT)) as connection:
        try:
            connection.sendall(sent)
            received = b""
            while more := connection.recv(65536):
                received += more
        except ConnectionResetError:
            pass
        return received


def test_clients_that_say_nothing_keep_only_their_own_places(told: Told) -> None:
    told.publish(SERVING)
    idle = [socket.create_connection((HOST, told.web.port), LIMIT) for _ in range(MOST - 1)]
    assert told.status("/active") == 200
    for each in idle:
        each.close()


def test_too_many_at_once_are_turned_away_and_then_taken_again(told: Told) -> None:
    told.publish(SERVING)
    idle = [socket.create_connection((HOST, told.web.port), LIMIT) for _ in range(MOST + 4)]
    for each in idle[MOST:]:
        each.settimeout(LIMIT)
        assert each.recv(1) == b"", "closed without an answer"
    for each in idle:
        each.close()
    await_true(lambda: served(told))


def served(told: Told) -> bool:
    try:
        return told.status("/active") == 200
    except (OSError, http.client.HTTPException):
        return False


def test_an_address_in_use_is_a_trouble_until_it_is_free() -> None:
    holder = socket.create_server((HOST, 0))
    port = holder.getsockname()[1]
    web = Web(HOST, port, lambda path, accept: Answer(b"here\n"), retry=0.05)
    with closing(web):
        web.start()
        await_true(lambda: web.trouble)
        assert web.trouble == f"{HOST} port {port} cannot be listened on: Address already in use"
        holder.close()
        await_true(lambda: web.listening)
        with closing(http.client.HTTPConnection(HOST, port, timeout=LIMIT)) as connection:
            connection.request("GET", "/")
            assert connection.getresponse().read() == b"here\n"


def test_an_address_that_is_not_ours_is_a_trouble() -> None:
    with closing(Web("192.0.2.1", 1, lambda path, accept: Answer(b""))) as web:
        web.start()
        await_true(lambda: web.trouble)
        assert "192.0.2.1 port 1 cannot be listened on" in web.trouble


def test_a_successor_can_listen_at_once() -> None:
    first = Web(HOST, 0, lambda path, accept: Answer(b"first"))
    first.start()
    await_true(lambda: first.listening)
    first.close()
    second = Web(HOST, first.port, lambda path, accept: Answer(b"second"), retry=LIMIT)
    with closing(second):
        second.start()
        await_true(lambda: second.listening)
        with closing(http.client.HTTPConnection(HOST, first.port, timeout=LIMIT)) as connection:
            connection.request("GET", "/")
            assert connection.getresponse().read() == b"second"


def test_ipv6_works_too() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    web = Web("::1", 0, lambda path, accept: Answer(b"six"))
    with closing(web):
        web.start()
        await_true(lambda: web.listening or web.trouble)
        if web.trouble:
            pytest.skip(web.trouble)
        with closing(http.client.HTTPConnection("::1", web.port, timeout=LIMIT)) as connection:
            connection.request("GET", "/")
            assert connection.getresponse().read() == b"six"


def test_the_document_is_made_once_however_many_ask(told: Told) -> None:
    told.publish(SERVING)
    bodies: list[str] = []
    threads = [threading.Thread(target=lambda: bodies.append(told.ask("/active")[2])) for _ in range(MOST // 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(bodies) == {"sw2 serves\n"}
