"""Clients keep their connections, send half a request or read nothing: the agents answer all others, and sleep."""

from __future__ import annotations

import json
import os
import resource
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from lab import Lab
from ovsha.ovsdb import unixctl
from story import LIMIT, MakeLab, ask_agent, await_pair, begin, in_sync, undisturbed
from switch import Switch

COUNT = 300
ASK = json.dumps({"id": 0, "method": "status", "params": ["json"]}).encode()


def processor_seconds(pid: int) -> float:
    """Return how much processor time the process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


MEASURED = 3.0
"""Seconds over which a share of a processor is taken."""


def share(pair: Lab, switch: Switch) -> float:
    """Return which share of a processor the agent uses."""
    assert switch.agent.pid is not None
    begun, used = time.monotonic(), processor_seconds(switch.agent.pid)
    pair.wait_until(lambda: time.monotonic() - begun > MEASURED, LIMIT, "it is measured")
    return (processor_seconds(switch.agent.pid) - used) / (time.monotonic() - begun)


@contextmanager
def clients(switch: Switch, count: int, say: Callable[[socket.socket], None]) -> Iterator[list[socket.socket]]:
    """Have so many connections with the agent's control socket, each of which has said something."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    path = str(switch.run_directory / f"ovsha.{switch.agent.pid}.ctl")
    with ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        opened = []
        for _ in range(count):
            client = stack.enter_context(socket.socket(socket.AF_UNIX))
            client.connect(path)  # it waits until the agent takes it
            client.setblocking(False)
            opened.append(client)
            try:
                say(client)
            except (BlockingIOError, BrokenPipeError, ConnectionResetError):
                continue  # it reads no more of us, or has closed it: what we want to see
        yield opened


def nothing(client: socket.socket) -> None:
    """Say nothing."""


def half_a_request(client: socket.socket) -> None:
    client.send(ASK[: len(ASK) // 2])


def questions_without_end(client: socket.socket) -> None:
    for _ in range(2000):
        client.send(ASK)


def a_request_without_end(client: socket.socket) -> None:
    client.send(b'{"id": 0, "method": "')
    for _ in range(2 * unixctl.LONGEST // 1000):
        client.send(b"x" * 1000)


@pytest.fixture
def pair(lab: MakeLab) -> Lab:
    pair = begin(lab)
    pair.wait_until(lambda: in_sync(pair), LIMIT, "the pair is well")
    return pair


@pytest.mark.parametrize(
    ("say", "count"),
    [
        pytest.param(nothing, 1200, id="more idle clients than it has descriptors"),
        pytest.param(half_a_request, COUNT, id="half a request", marks=pytest.mark.long),
        pytest.param(questions_without_end, 60, id="who reads no answer"),
        pytest.param(a_request_without_end, 60, id="a request without end", marks=pytest.mark.long),
    ],
)
def test_clients_of_the_control_socket_that_stay_keep_nobody_else_from_it_and_the_loop_sleeps(
    pair: Lab, say: Callable[[socket.socket], None], count: int
) -> None:
    with undisturbed(pair), clients(pair.sw1, count, say):
        pair.wait_until(lambda: "in sync" in pair.sw1.ovsha("sync-status").stdout, LIMIT, "an operator is answered")
        pair.wait_until(lambda: share(pair, pair.sw1) < 0.5, LIMIT, "the loop sleeps")
        held = pair.sw1.run("ss", "-Hxp", limit=LIMIT).stdout.count(f"ovsha.{pair.sw1.agent.pid}.ctl")
        assert held <= unixctl.MOST + 1, "with the socket that listens"
    assert ask_agent(pair.sw1, "version").startswith("ovsha")
    await_pair(pair, pair.sw1)
