"""Ask the MLAG source: polled by the agent, or once by a command.

Talks to nobody itself, raises nothing: a command that is missing, slow, killed or not
understood leaves the facts unknown and says why in `Clag.trouble`.

The agent asks the same ones by `ovsha.mlag.reader`; nobody else runs clagctl(8), nv(1) or the operator's own command.
"""

from __future__ import annotations

import logging
import math
import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ovs.poller import POLLIN, Poller

from ovsha.config.switch import Clag as Settings
from ovsha.core.facts import Clag
from ovsha.host import child as programs
from ovsha.mlag import parse
from ovsha.mlag.parse import CLAGD_DOWN, Detail, facts_of
from ovsha.mlag.sources import CLAGCTL, CLAGCTL_TEXT, NV, OWN, Question, Source

log = logging.getLogger(__name__)

OUTPUT_LIMIT = 1 << 20
"""Bytes of output that are kept.  clagctl prints some 120 bytes of JSON for every bond and
VXLAN, and its role after all of them, so that 64 KiB would be full at 500."""

_CLOSE_LIMIT = 2.0


class _Child:
    """One running clagctl or the like and its offspring, a process group of their own."""

    def __init__(self, command: Sequence[str]) -> None:
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd="/",
            env={**os.environ, "LC_ALL": "C"},
            start_new_session=True,
        )
        assert self.process.stdout is not None
        self._pipe = self.process.stdout
        self._output = bytearray()
        self._open = True
        self.full = False
        try:
            os.set_blocking(self._pipe.fileno(), False)
            self._exit = os.pidfd_open(self.process.pid)
        except OSError:
            self.kill()
            self.process.wait(_CLOSE_LIMIT)
            self._pipe.close()
            raise

    @property
    def text(self) -> str:
        return self._output.decode("utf-8", "replace")

    def read(self) -> None:
        """Take what the pipe holds, until it holds no more or the limit is reached."""
        while self._open and not self.full:
            try:
                data = os.read(self._pipe.fileno(), 65536)
            except BlockingIOError:
                return
            self._open = bool(data)
            self._output += data
            self.full = len(self._output) >= OUTPUT_LIMIT

    def ended(self) -> bool:
        """Say whether it has exited; it is not reaped yet, so its pid is still its own."""
        return os.waitid(os.P_PIDFD, self._exit, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def kill(self) -> None:
        """Kill the whole group; only before the leader is reaped, or the group may be another's."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def reap(self, limit: float = 0.0) -> bool:
        """Collect the exit status within `limit` seconds; false when it is not to be had yet."""
        try:
            self.process.wait(limit)
        except subprocess.TimeoutExpired:
            return False
        self._pipe.close()
        os.close(self._exit)
        return True

    def wait(self, poller: Poller) -> None:
        poller.fd_wait(self._exit, POLLIN)
        if self._open and not self.full:
            poller.fd_wait(self._pipe.fileno(), POLLIN)


class ClagReader:
    """Ask every `interval` seconds, and give the command `timeout` seconds for an answer.

    `questions` says before each whom to ask; the second one is asked when the answer to the first is not understood.
    There is never more than one child.
    """

    def __init__(self, questions: Callable[[], Sequence[Question]], interval: float, timeout: float) -> None:
        self.facts = Clag()
        self._choose = questions
        self._questions: Sequence[Question] = ()
        self._interval = interval
        self._timeout = timeout
        self._child: _Child | None = None
        self._dying: _Child | None = None
        self._form: int | None = None
        self._due = 0.0
        self._asked = 0.0
        self._answered: float | None = None

    def age(self, now: float) -> float | None:
        """Return how many seconds old `facts` are, None before the first answer or failure."""
        return None if self._answered is None else now - self._answered

    def poke(self, now: float) -> None:
        """Ask at the next `run`; while a clagctl runs, once more as soon as it has ended.

        Its answer may be older than what the caller has just seen happen.
        """
        self._due = min(self._due, now)

    def run(self, now: float) -> None:
        """Start, read, or end a command, whichever is due."""
        if self._dying is not None and self._dying.reap():
            self._dying = None
        if self._child is not None:
            self._follow(self._child, now)
        if self._child is None and self._dying is None and now >= self._next():
            if self._form is None:
                self._form, self._questions = 0, self._choose()
                self._due = now + self._interval
            self._start(self._questions[self._form].command, now)

    def wait(self, poller: Poller, now: float) -> None:
        """Wake up for output, an exit, a child that takes too long, or the next question."""
        child = self._child or self._dying
        if child is not None:
            child.wait(poller)
        if self._child is not None:
            poller.timer_wait(_milliseconds(self._asked + self._timeout - now))
        elif self._dying is None:
            poller.timer_wait(_milliseconds(self._next() - now))

    def close(self) -> None:
        """Kill what runs and see it dead.

        Waits for the kernel to do so, which takes milliseconds; two seconds at most.
        """
        for child in (self._child, self._dying):
            if child is not None:
                child.kill()
                child.reap(_CLOSE_LIMIT)
        self._child = self._dying = None

    def _next(self) -> float:
        """Return when to start a child: at once for the second form of a question begun."""
        return self._due if self._form is None else self._asked

    def _start(self, command: Sequence[str], now: float) -> None:
        self._asked = now
        try:
            self._child = _Child(command)
        except OSError as err:
            self._conclude(Clag(trouble=f"{command[0]}: {err.strerror}"), now)

    def _follow(self, child: _Child, now: float) -> None:
        # Whether it has ended is asked before the last read, so that no output is missed.
        ended = child.ended()
        child.read()
        if ended or child.full:
            self._stop(child)
            self._answer(child, now)
        elif now >= self._asked + self._timeout:
            self._stop(child)
            who = self._questions[self._form or 0].source.who
            self._conclude(Clag(trouble=f"{who} gave no answer within {self._timeout:g} s"), now)

    def _stop(self, child: _Child) -> None:
        self._child = None
        child.kill()
        if not child.reap():
            self._dying = child

    def _answer(self, child: _Child, now: float) -> None:
        status, source = child.process.returncode, self._questions[self._form or 0].source
        facts = facts_of(child.text, source, status)
        if facts.role is None and CLAGD_DOWN not in facts.trouble:
            if self._form == 0 and len(self._questions) > 1:
                log.debug("%s; asking for the text form", facts.trouble)
                self._form = 1
                return
            if status and not source.status:
                facts = Clag(trouble=f"{facts.trouble} (exit status {status})")
        self._conclude(facts, now)

    def _conclude(self, facts: Clag, now: float) -> None:
        if facts != self.facts:
            log.debug("clagd: %s", facts)
        self.facts = facts
        self._answered = now
        self._form = None


def _milliseconds(seconds: float) -> int:
    """Round up: to wake up a little early would only be to wait again."""
    return max(0, math.ceil(seconds * 1000))


@dataclass(frozen=True, slots=True)
class Answer:
    """What the MLAG of this switch tells, and who told it."""

    source: Source
    clag: Clag
    detail: Detail


def questions(settings: Settings) -> tuple[Question, ...]:
    """Return who is to be asked now, and who when that is not understood; with `auto` it depends on what is there.

    Where nothing is there clagctl is named, so that what is missing has the name that an operator expects.
    """
    chosen: str = settings.source
    if chosen == "auto":
        there = {"command": settings.own_command, "clagctl": settings.command, "nv": settings.nv_command}
        chosen = next((name for name, command in there.items() if command and _is_there(command[0])), "clagctl")
    if chosen == "command":
        return (Question(settings.own_command, OWN),)
    if chosen == "nv":
        return (Question(settings.nv_command, NV),)
    texts = (Question(settings.text_command, CLAGCTL_TEXT),) if settings.text_command else ()
    return (Question(settings.command, CLAGCTL), *texts)


def ask(settings: Settings) -> Answer:
    """Return what is told, by clagctl in both its forms.  Raises DriverError when it cannot be run, or hangs."""
    asked = questions(settings)
    answers = [(each.source, *programs.read_output(each.command, settings.timeout)) for each in asked]
    clags = [facts_of(text, source, status) for source, status, text in answers]
    clag = next((each for each in clags if each.role is not None), clags[0])
    detail = Detail()
    for source, _, text in answers:
        detail = parse.joined_detail(detail, parse.read_detail(source, text))
    return Answer(asked[0].source, clag, detail)


def commands(settings: Settings) -> dict[str, tuple[str, ...]]:
    """Return the commands that tell of the MLAG, by the names of the files in which what they print is collected."""
    names = {CLAGCTL: "clagctl.json", CLAGCTL_TEXT: "clagctl.txt", NV: "nv-mlag.json", OWN: "mlag-facts.json"}
    return {names[each.source]: each.command for each in questions(settings)}


def _is_there(program: str) -> bool:
    return Path(program).is_file() and os.access(program, os.X_OK)
