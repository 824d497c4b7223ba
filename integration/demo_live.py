"""Show the pair's life while it happens, and look at both servers all the while.

Whoever waits for something calls `look` meanwhile.  It reads what was recorded since the last time, prints it in the
order in which it happened, and asks both servers what they have open.  Lines are held back for a moment, because what
one program records early may be read late.
"""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import history
from demo_table import WIDTH
from demo_words import NODES, Agent, Controller, Told, Vtepd, agent_lines
from lab import Lab
from rpc import Refused
from story import LISTENER, MANAGERS
from switch import Switch

HELD_BACK = 0.4
QUIET = 2.0
"""After so many seconds without a line, one says how writing goes on."""
LOOK_EVERY = 0.05

_CLOCK, _WHO = 8, 10
_INDENT = " " * (_CLOCK + _WHO + 4)


class Tail:
    """Read a file that grows, line by line."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._position = 0

    def lines(self) -> list[str]:
        """Return the lines, with their ends, that were completed since the last time."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            file.seek(self._position)
            complete, end, _ = file.read().rpartition(b"\n")
        self._position += len(complete) + len(end)
        return (complete + end).decode(errors="replace").splitlines(keepends=True)


class Watch:
    """Look every now and then whether both servers are open to managers or to the VIP's clients at once."""

    def __init__(self, lab: Lab) -> None:
        self._switches = lab.switches
        self._due = 0.0
        self.without_power: frozenset[str] = frozenset()
        self.looks = 0
        self.both: list[float] = []

    def look(self, now: float) -> None:
        """Take a look if one is due."""
        if now < self._due:
            return
        self._due = now + LOOK_EVERY
        self.looks += 1
        one, other = self._switches
        # The first is asked again: it may have closed before the second opened.
        if self._open(one) and self._open(other) and self._open(one):
            self.both.append(now)

    def _open(self, switch: Switch) -> bool:
        if switch.node in self.without_power:
            return False
        try:
            return not {MANAGERS, LISTENER}.isdisjoint(switch.remotes())
        except (OSError, Refused):
            return False


class Live:
    """The timeline of one lab; times are told in seconds since `begun`."""

    def __init__(self, lab: Lab, begun: float) -> None:
        self.begun = begun
        self.watch = Watch(lab)
        self.controller = Controller()
        self.agents = {switch.node: Agent(switch.node) for switch in lab.switches}
        self.vtepds = {switch.node: Vtepd(switch.node) for switch in lab.switches}
        self._lab = lab
        self._controller_file = Tail(lab.controller_events_file)
        self._logs = {switch.node: Tail(switch.agent.log) for switch in lab.switches}
        self._vtepd_files = {switch.node: Tail(switch.vtepd_events_file) for switch in lab.switches}
        self._queue: list[Told] = []
        self._printed_at = time.monotonic()
        self._acks_told = 0
        self._blank = True

    # -- looking -------------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Read what is new, print what is due, ask both servers."""
        now = time.monotonic()
        self._read(now)
        self._print([told for told in self._queue if told.t <= now - HELD_BACK])
        if now - self._printed_at >= QUIET and not self._queue:
            self._say_how_writing_goes(now)
        self.watch.look(now)

    def until(self, condition: Callable[[], object], limit: float, what: str) -> None:
        """Wait for `condition`, and show meanwhile what happens.  Raises AssertionError after `limit` seconds."""

        def holds() -> object:
            self.look()
            return condition()

        self._lab.wait_until(holds, limit, what)

    def for_a_while(self, seconds: float) -> None:
        """Only show what happens."""
        end = time.monotonic() + seconds
        self.until(lambda: time.monotonic() >= end, seconds + 10.0, "time passes")

    def _read(self, now: float) -> None:
        self._queue += self.controller.feed(history.parse(self._controller_file.lines()))
        for node, agent in self.agents.items():
            self._queue += agent.feed(agent_lines(self._logs[node].lines()), now)
        for node, vtepd in self.vtepds.items():
            self._queue += vtepd.feed(history.parse(self._vtepd_files[node].lines()))

    def _say_how_writing_goes(self, now: float) -> None:
        acks = self.controller.acks[self._acks_told :]
        if acks:
            writers = " and ".join(sorted({NODES[ack.switch] for ack in acks}))
            text = f"{len(acks)} more rows acknowledged by {writers}, {len(self.controller.acks):,} in all"
        else:
            text = "no row was acknowledged meanwhile"
        self._queue.append(Told(now, "controller", text))
        self._print(self._queue)

    # -- printing ------------------------------------------------------------------------------------------------

    def say(self, who: str, text: str, at: float | None = None) -> float:
        """Put a line of the demo's own into the timeline; return its time."""
        t = time.monotonic() if at is None else at
        self._queue.append(Told(t, who, text))
        return t

    def catch_up(self) -> None:
        """Print everything that has happened by now, before something that is no part of the timeline."""
        end = time.monotonic()
        self.until(lambda: time.monotonic() >= end + HELD_BACK and not self._until(end), 10.0, "all is told")

    def heading(self, title: str, *sentences: str) -> None:
        """Begin a part of the story."""
        self.catch_up()
        self._blank_line()
        print(f"--- {title} {'-' * (WIDTH - 5 - len(title))}")
        for sentence in sentences:
            print(textwrap.fill(sentence, WIDTH))
            self._blank = False
        self._blank_line()
        self._printed_at = time.monotonic()

    def block(self, text: str) -> None:
        """Print what an operator sees."""
        self.catch_up()
        self._blank_line()
        print(textwrap.indent(text.rstrip("\n"), "    "))
        self._blank = False
        self._blank_line()
        self._printed_at = time.monotonic()

    def _blank_line(self) -> None:
        """End a paragraph; two in a row are one."""
        if not self._blank:
            print(flush=True)
        self._blank = True

    def _until(self, end: float) -> bool:
        return any(told.t <= end for told in self._queue)

    def _print(self, due: list[Told]) -> None:
        for told in sorted(due, key=lambda each: each.t):
            self._queue.remove(told)
            head = f"{told.t - self.begun:{_CLOCK}.3f}  {told.who:<{_WHO}}  "
            lines = [wrapped for line in told.text.splitlines() for wrapped in _wrap(line)]
            print(head + ("\n" + _INDENT).join(lines), flush=True)
            self._blank = False
            self._printed_at = time.monotonic()
            self._acks_told = len(self.controller.acks)


def _wrap(line: str) -> list[str]:
    return textwrap.wrap(line, WIDTH - len(_INDENT), subsequent_indent="  ", break_on_hyphens=False)
