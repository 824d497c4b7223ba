"""Laws of what systemd is told."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovsha.host.systemd import Notifier


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """Stand in for systemd: a bound socket, and the name that NOTIFY_SOCKET has for it."""
    name = str(tmp_path / "notify") if request.param == "path" else f"@ovsha-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(name.replace("@", "\0", 1) if name.startswith("@") else name)
        sock.settimeout(10)
        yield sock, name


def test_each_notice_is_one_datagram(manager: tuple[socket.socket, str]) -> None:
    sock, name = manager
    notifier = Notifier({"NOTIFY_SOCKET": name})
    notifier.ready()
    notifier.status("backup of sw1\nin sync\r")
    notifier.reloading(12.345678)
    notifier.watchdog()
    notifier.stopping()
    assert [sock.recv(999).decode() for _ in range(5)] == [
        "READY=1",
        "STATUS=backup of sw1 in sync",
        "RELOADING=1\nMONOTONIC_USEC=12345678",
        "WATCHDOG=1",
        "STOPPING=1",
    ]


def test_a_manager_that_does_not_read_never_holds_us(manager: tuple[socket.socket, str]) -> None:
    sock, name = manager
    notifier = Notifier({"NOTIFY_SOCKET": name})
    for _ in range(5000):
        notifier.watchdog()
    assert sock.recv(999) == b"WATCHDOG=1"


@pytest.mark.parametrize("name", [None, "", "@", "relative", "vsock:2:1", "/nowhere/notify", "/" + "x" * 200])
def test_without_a_manager_nothing_happens(name: str | None) -> None:
    Notifier({} if name is None else {"NOTIFY_SOCKET": name}).ready()


@pytest.mark.parametrize(
    ("env", "interval"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "3000000"}, 1.5),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}, 1.5),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_is_fed_twice_as_often_as_systemd_asks(env: dict[str, str], interval: float | None) -> None:
    assert Notifier(env).watchdog_interval == interval


@given(st.text(max_size=12))
def test_any_watchdog_usec_is_a_number_or_none(usec: str) -> None:
    interval = Notifier({"WATCHDOG_USEC": usec}).watchdog_interval
    assert interval is None or interval > 0
