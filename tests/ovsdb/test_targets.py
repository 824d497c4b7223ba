"""What a Manager target says, in every spelling that ovsdb-server takes, and whose connections are of it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovsha.ovsdb.database import Manager
from ovsha.ovsdb.endpoints import Target, read, read_all
from ovsha.ovsdb.sessions import ClientSessions

FOUR, SIX = ip_address("10.0.0.1"), ip_address("fd00::1")


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("ssl:10.0.0.1:6632", Target(FOUR, 6632)),
        ("tcp:10.0.0.1", Target(FOUR, 6640)),
        ("tcp:10.0.0.1:", Target(FOUR, 6640)),
        (" ssl:10.0.0.1 ", Target(FOUR, 6640)),
        ("ssl:[10.0.0.1]:6640", Target(FOUR, 6640)),
        ("ssl:[::ffff:10.0.0.1]:6640", Target(FOUR, 6640)),
        ("ssl:[fd00::1]:6640", Target(SIX, 6640)),
        ("ssl:[fd00::1]", Target(SIX, 6640)),
        ("ssl:fd00::1", Target(SIX, 6640)),
        ("ssl:[FD00:0:0:0:0:0:0:1]:6653", Target(SIX, 6653)),
        ("tcp:[fd00::1%eth0]:6640", Target(SIX, 6640)),
        ("ssl:nsx.example:6641", Target(None, 6641, name="nsx.example")),
        ("ssl:nsx.example", Target(None, 6640, name="nsx.example")),
        ("ptcp:", Target(None, 6640, passive=True)),
        ("pssl:6641", Target(None, 6641, passive=True)),
        ("ptcp:6641:10.0.0.1", Target(FOUR, 6641, passive=True)),
        ("ptcp:6641:[fd00::1%eth0]", Target(SIX, 6641, passive=True)),
        ("ptcp::10.0.0.1", Target(FOUR, 6640, passive=True)),
    ],
)  # fmt: skip
def test_a_target_is_read_as_ovsdb_server_reads_it(target: str, said: Target) -> None:
    assert read(target) == said


@pytest.mark.parametrize(
    "target",
    ["", "ssl", "ssl:", "ssl::6640", "unix:/run/db.sock", "punix:/x", "ssl:10.0.0.1:0", "ssl:10.0.0.1:65536",
     "ssl:10.0.0.1:http", "ssl:10.0.0.1:\u0661\u0662", "ssl:[fd00::1", "ssl:fd00::zz", "ptcp:6640:host",
     "udp:10.0.0.1:1",
     "ssl:10.0.0.1:" + "9" * 5000],
)  # fmt: skip
def test_a_target_that_cannot_be_read_takes_nothing_from_the_others(target: str) -> None:
    assert read(target) is None
    assert read_all([target, "ssl:10.0.0.1"]) == (Target(FOUR, 6640),)


@given(st.text(max_size=40) | st.text(alphabet="0123456789abcdef:[]%.", max_size=40).map(lambda rest: f"ssl:{rest}"))
def test_no_text_whatever_ends_the_reading(text: str) -> None:
    read(text)


@contextmanager
def session(host: str) -> Iterator[int]:
    """Hold an established connection to `host`, and give its port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server((host, 0), family=family))
        port = server.getsockname()[1]
        stack.enter_context(socket.create_connection((host, port)))
        stack.enter_context(server.accept()[0])
        yield port


def counted(*spelled: str, server: int | None = None, no_controllers: tuple[str, ...] = ()) -> int:
    rows = [Manager(each, connected=True) for each in spelled]
    return ClientSessions("192.0.2.1", 1, lambda: rows, lambda: server, no_controllers).controllers()


def test_sessions_are_found_by_every_spelling_of_their_target_and_each_is_counted_once() -> None:
    with session("127.0.0.1") as port:
        for spelled in (f"ssl:127.0.0.1:{port}", f"ssl:[::ffff:127.0.0.1]:{port}", f"ptcp:{port}:127.0.0.1"):
            assert counted(spelled) == 1, spelled
        assert counted(f"ssl:127.0.0.1:{port}", f"tcp:[127.0.0.1]:{port}", "ssl:nonsense:x", "ssl") == 1
        assert counted(f"ssl:127.0.0.2:{port}") == 0
    with session("::1") as port:
        for spelled in (f"ssl:[::1]:{port}", f"ssl:[0:0:0:0:0:0:0:1%lo]:{port}", f"ptcp:{port}:[::1]"):
            assert counted(spelled) == 1, spelled


def test_the_sessions_of_a_named_controller_are_those_of_the_server_itself() -> None:
    with session("127.0.0.1") as port:
        named = f"ssl:controller.example:{port}"
        assert counted(named, server=os.getpid()) == 1

        assert counted(named, server=None) == 1, "where nobody can tell, a session to that port is one"
        assert counted(named, server=os.getpid(), no_controllers=("127.0.0.1",)) == 0, "the peer is no controller"
