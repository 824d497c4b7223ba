"""On a terminal `ovsha status` has its width and colours, and `--watch` refreshes in place until it is interrupted."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ovsha.cli.status import _seconds
from tests.agent.small_agent import CONFIG, Running, SmallAgent, settings
from tests.support.made_up_pair import FOLLOWING

ROOT = Path(__file__).parents[2]
LIMIT = 60
COLOUR = re.compile(r"\x1b\[[0-9;]*3[0-9][0-9;]*m")

pytest.importorskip("rich", reason="python3-rich is not installed")


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Running]:
    (tmp_path / "ovsha.yaml").write_text(CONFIG.format(directory=tmp_path, timeout=5.0))
    running = Running(SmallAgent(settings(tmp_path), FOLLOWING))
    yield running
    running.close()


def at_a_terminal(agent: Running, *args: str, until: str = "", **environment: str) -> tuple[int, str]:
    """Run ovsha as at a terminal of 72 columns, interrupt it once `until` was seen, return exit status and screen."""
    master, slave = pty.openpty()
    file = agent.agent.config.run_directory / "ovsha.yaml"
    env = {**os.environ, "TERM": "xterm", "COLUMNS": "72", "LINES": "60", **environment}
    env.pop("NO_COLOR", None) if "NO_COLOR" not in environment else None

    def run() -> tuple[int, str]:
        seen, awaited = "", until
        with subprocess.Popen(
            [sys.executable, "-m", "ovsha", *args, "--config", str(file)], stdin=slave, stdout=slave, stderr=slave,
            cwd=ROOT, env=env, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler) and None,
        ) as client:  # fmt: skip
            os.close(slave)
            end = time.monotonic() + LIMIT
            while time.monotonic() < end:
                try:
                    seen += os.read(master, 65536).decode()
                except OSError:  # the other end is closed: it has ended
                    break
                if awaited and re.search(awaited, seen, re.DOTALL):
                    awaited = ""
                    client.send_signal(signal.SIGINT)
            return client.wait(LIMIT), seen.replace("\r\n", "\n")

    with ThreadPoolExecutor() as pool:
        future = pool.submit(run)
        agent.spin(future, limit=LIMIT)
    os.close(master)
    return future.result()


def plain(screen: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen)


def test_a_terminal_gets_its_width_and_colours_that_say_nothing_new(agent: Running) -> None:
    status, screen = at_a_terminal(agent, "status")
    assert status == 0
    assert COLOUR.search(screen)
    lines = plain(screen).splitlines()
    assert (lines[0], lines[-1]) == ("OK: in sync, nothing is wrong",) * 2
    assert max(map(len, lines)) <= 72
    bare = at_a_terminal(agent, "status", NO_COLOR="1")
    assert not COLOUR.search(bare[1])
    assert plain(bare[1]).splitlines()[0] == lines[0]


def test_watching_refreshes_in_place_and_leaves_the_last_picture_behind(agent: Running) -> None:
    status, screen = at_a_terminal(agent, "status", "--watch", "0.1", until="every 0.1 s.*every 0.1 s.*every 0.1 s")
    assert status == 0
    assert "\x1b[?1049h" in screen, "it has a screen of its own"
    left = plain(screen.rpartition("\x1b[?1049l")[2]).splitlines()
    assert (left[0], left[-1]) == ("OK: in sync, nothing is wrong",) * 2
    assert "Traceback" not in screen


def test_watching_into_a_pipe_is_one_plain_text_after_the_other(agent: Running) -> None:
    file = agent.agent.config.run_directory / "ovsha.yaml"
    command = [sys.executable, "-m", "ovsha", "status", "--watch", "0.1", "--config", str(file)]

    def run() -> str:
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as client:
            assert client.stdout is not None
            lines: list[str] = []
            while sum(line.startswith("OK: ") for line in lines) < 5:
                lines.append(client.stdout.readline())
            client.terminate()
            return "".join(lines)

    with ThreadPoolExecutor() as pool:
        future = pool.submit(run)
        agent.spin(future, limit=LIMIT)
    assert "\x1b" not in future.result()
    assert len(re.findall(r"(?m)^20\d\d-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d\d:\d\d$", future.result())) >= 2


@pytest.mark.parametrize("wrong", ["soon", "0", "nan", "1e9", "-2"])
def test_an_interval_that_is_none_is_refused(wrong: str) -> None:
    with pytest.raises(Exception, match="is not a number of seconds"):
        _seconds(wrong)
