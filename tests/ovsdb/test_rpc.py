"""A channel never blocks and never raises: whatever becomes of a request, its callback hears of it once."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from ovs.poller import Poller

from ovsha.ovsdb.channel import Channel
from tests.support.endpoint import Endpoint, Refusal, spin

Replies = list[tuple[Any, str | None]]
LIMIT_MS = 10_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sock"


@pytest.fixture
def far(path: Path) -> Iterator[Endpoint]:
    endpoint = Endpoint(path, {"version": lambda params: "3.1.0", "double": lambda params: 2 * params[0]})
    yield endpoint
    endpoint.close()


@pytest.fixture
def channels(path: Path) -> Iterator[Callable[..., Channel]]:
    made: list[Channel] = []

    def make(target: str | None = f"unix:{path}", **wishes: Any) -> Channel:
        made.append(Channel(target, 0.01, **wishes))
        return made[-1]

    yield make
    for channel in made:
        channel.close(0.0, "over")


@pytest.fixture
def channel(channels: Callable[..., Channel], far: Endpoint) -> Channel:
    """Give a connected one."""
    channel = channels()
    connect(channel, far)
    return channel


def connect(channel: Channel, far: Endpoint) -> None:
    """Return when both ends know of the connection."""
    spin(channel.run, [far], lambda: channel.connected)
    far.run()


def ask(channel: Channel, method: str, *params: Any) -> Replies:
    """Send a request; return the list that its reply will be put into."""
    replies: Replies = []
    channel.request(method, params, lambda result, error: replies.append((result, error)))
    return replies


def test_answer_reaches_the_one_who_asked(far: Endpoint, channel: Channel) -> None:
    version, double = ask(channel, "version"), ask(channel, "double", 21)
    spin(channel.run, [far], lambda: version and double)
    assert (version, double) == ([("3.1.0", None)], [(42, None)])
    assert far.asked == [("version", []), ("double", [21])]


def test_error_comes_as_text(far: Endpoint, channel: Channel) -> None:
    def refuse(params: list[Any]) -> Any:
        raise Refusal("no such remote")

    far.answers["ovsdb-server/remove-remote"] = refuse
    replies = ask(channel, "ovsdb-server/remove-remote", "ptcp:9998")
    spin(channel.run, [far], lambda: replies)
    assert replies == [(None, "no such remote")]


def test_request_without_a_connection_fails_at_once(channels: Callable[..., Channel]) -> None:
    assert ask(channels(), "version") == [(None, "not connected yet")]


def test_requests_under_way_fail_once_when_the_other_end_closes(far: Endpoint, channel: Channel) -> None:
    replies = [ask(channel, "silence"), ask(channel, "silence")]
    spin(channel.run, [far], lambda: len(far.asked) == 2)
    far.hang_up()
    spin(channel.run, [], lambda: not channel.connected)
    assert replies == [[(None, "connection closed by the other end")]] * 2
    spin(channel.run, [far], lambda: channel.connected)
    assert [len(each) for each in replies] == [1, 1]


def test_request_made_while_the_connection_is_being_lost_fails_too(far: Endpoint, channel: Channel) -> None:
    second: Replies = []
    channel.request("silence", [], lambda result, error: second.extend(ask(channel, "version")))
    spin(channel.run, [far], lambda: far.asked)
    far.hang_up()
    spin(channel.run, [], lambda: second)
    assert second == [(None, "connection closed by the other end")]


def test_lost_connection_is_dated_and_made_anew_and_greeted(far: Endpoint, channels: Callable[..., Channel]) -> None:
    greeted: list[str] = []
    made = channels(greet=lambda: greeted.append(made.trouble))
    connect(made, far)
    far.hang_up()
    lost = spin(made.run, [], lambda: not made.connected)
    assert (made.closed_at, made.socket) == (lost, None)
    connect(made, far)
    assert greeted == ["", ""]
    assert made.closed_at is None


def test_socket_that_is_not_there_is_named_and_tried_again(path: Path, channels: Callable[..., Channel]) -> None:
    channel = channels()
    channel.run(1.0)
    assert (channel.connected, channel.trouble, channel.closed_at) == (False, "No such file or directory", 1.0)
    far = Endpoint(path, {})
    channel.run(1.0)
    assert not channel.connected, "not before the pause is over"
    channel.run(1.1)
    assert channel.connected
    far.close()


def test_refusal_is_named(path: Path, far: Endpoint, channels: Callable[..., Channel]) -> None:
    far.close()
    channel = channels()
    channel.run(1.0)
    assert channel.trouble == "Connection refused"


def test_refusal_over_tcp_is_named(channels: Callable[..., Channel]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    channel = channels(f"tcp:127.0.0.1:{port}")
    spin(channel.run, [], lambda: channel.closed_at is not None)
    assert channel.trouble == "Connection refused"


def test_attempt_without_an_answer_is_given_up(channels: Callable[..., Channel]) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        target = f"tcp:127.0.0.1:{server.getsockname()[1]}"
        # The kernel drops what it has no place for in the queue, as a dead host would.
        queued = channels(target)
        spin(queued.run, [], lambda: queued.connected)
        channel = channels(target)
        channel.run(100.0)
        channel.run(100.9)
        assert (channel.connected, channel.trouble) == (False, "not connected yet")
        channel.run(101.1)
        assert (channel.connected, channel.trouble) == (False, "Connection timed out")


def test_without_a_target_nothing_is_tried(channels: Callable[..., Channel]) -> None:
    channel = channels(None)
    channel.run(1.0)
    assert (channel.connected, channel.trouble) == (False, "not connected yet")


def test_age_of_the_oldest_open_request_is_known(far: Endpoint, channel: Channel) -> None:
    channel.run(100.0)
    assert channel.unanswered_for(150.0) == 0.0
    first = ask(channel, "version")
    channel.run(101.0)
    second = ask(channel, "silence")
    assert channel.unanswered_for(102.0) == 2.0
    spin(lambda now: channel.run(103.0), [far], lambda: first)
    assert (first, second) == ([("3.1.0", None)], [])
    assert channel.unanswered_for(104.0) == 3.0
    channel.close(105.0, "closing")
    assert channel.unanswered_for(106.0) == 0.0


def test_answer_in_pieces_is_put_together(far: Endpoint, channel: Channel) -> None:
    replies = ask(channel, "known by its number")
    spin(channel.run, [far], lambda: far.asked)
    number = next(iter(channel._pending))
    text = json.dumps({"id": number, "result": "é" * 3, "error": None}, ensure_ascii=False)
    for character in text:
        assert not replies
        far.raw(character.encode())
        channel.run(0.0)
    assert replies == [("ééé", None)]


def test_flood_is_taken_in_turns_and_nothing_of_it_is_lost(far: Endpoint, channels: Callable[..., Channel]) -> None:
    heard: list[tuple[str, list[Any]]] = []
    channel = channels(notice=lambda method, params: heard.append((method, params)))
    connect(channel, far)
    for number in range(150):
        far.notify("update", ["ovsha", number])
    channel.run(0.0)
    assert 0 < len(heard) < 150
    spin(channel.run, [far], lambda: len(heard) == 150)
    assert heard == [("update", ["ovsha", number]) for number in range(150)]


def test_echo_of_the_server_is_answered(path: Path, channels: Callable[..., Channel]) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        channel = channels()
        spin(channel.run, [], lambda: channel.connected)
        server = listener.accept()[0]
    with server:
        server.setblocking(False)
        server.sendall(b'{"method": "echo", "params": ["still there?"], "id": "echo"}')
        channel.run(0.0)
        assert json.loads(server.recv(4096)) == {"id": "echo", "result": ["still there?"], "error": None}


def test_answer_that_nobody_waits_for_is_passed_over(far: Endpoint, channel: Channel) -> None:
    far.raw(b'{"id": "never asked", "result": 1, "error": null}')
    replies = ask(channel, "version")
    spin(channel.run, [far], lambda: replies)
    assert replies == [("3.1.0", None)]


@pytest.mark.parametrize("rubbish", [b"]]", b'{"id": 1}', b'"text"', b"\xff\xff", b'{"method": 3, "params": 4}'])
def test_rubbish_ends_the_connection_and_nothing_else(far: Endpoint, channel: Channel, rubbish: bytes) -> None:
    replies = ask(channel, "silence")
    spin(channel.run, [far], lambda: far.asked)
    far.raw(rubbish)
    spin(channel.run, [far], lambda: not channel.connected)
    assert [result for result, error in replies if error] == [None]
    connect(channel, far)


def test_reply_may_close_the_channel_that_brought_it(far: Endpoint, channel: Channel) -> None:
    replies: Replies = []

    def close(result: Any, error: str | None) -> None:
        replies.append((result, error))
        channel.close(0.0, "enough")

    channel.request("version", [], close)
    other = ask(channel, "silence")
    spin(channel.run, [far], lambda: replies)
    assert (replies, other) == ([("3.1.0", None)], [(None, "enough")])


def test_loop_is_woken_by_an_answer(far: Endpoint, channel: Channel) -> None:
    replies = ask(channel, "version")
    spin(channel.run, [far], lambda: far.asked)
    begun = time.monotonic()
    while not replies:
        poller = Poller()
        channel.wait(poller, time.monotonic())
        poller.timer_wait(LIMIT_MS)
        poller.block()
        channel.run(time.monotonic())
    assert time.monotonic() - begun < LIMIT_MS / 2000


def test_failed_attempts_leave_no_descriptor(path: Path, channels: Callable[..., Channel]) -> None:
    before = sorted(os.listdir("/proc/self/fd"))
    channel = channels()
    for turn in range(20):
        channel.run(float(turn))
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_a_server_that_ends_each_session_before_it_says_anything_is_named_all_the_time() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        channel = Channel(f"tcp:127.0.0.1:{listener.getsockname()[1]}", 0.0)
        told = set()
        for turn in range(6):
            channel.run(float(turn))
            if turn > 1:
                told.add(channel.trouble)
            if channel.connected:
                listener.accept()[0].close()
        channel.close(9.0, "over")
    assert told == {"it ends the session before it says anything, as one with TLS does"}
