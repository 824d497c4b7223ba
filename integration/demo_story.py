"""The story that the demo tells, step by step, on one lab.

While a step goes on, what happened is known from what was recorded; the servers are asked only when it is over.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from typing import Any

import rpc
import settings
import story
from demo_live import Live
from demo_table import Kind, Record, Step
from lab import Lab
from switch import Switch

RATE = 200
RESTORE_DELAY = 3.0
LIMIT = 30.0
"""Seconds that anything may take which takes one or two on a machine that has nothing else to do."""


class Story:
    """The story, told step by step on one lab."""

    def __init__(self, lab: Lab, operator: ThreadPoolExecutor) -> None:
        self._lab = lab
        self._operator = operator
        self._live = Live(lab, time.monotonic())
        self._steps: list[Step] = []
        self._active = ""
        self._dark = ""

    def tell(self) -> Record:
        """Tell the whole story and return what was recorded.  Raises AssertionError when something does not happen."""
        one, other = self._lab.switches
        self._start(one, other)
        self._steady()
        self._kill(one, other)
        self._server_returns(one, other)
        self._restore(one, other)
        self._cut(one, other)
        self._power_returns(one, other)
        self._restore(one, other, again=True)
        self._switchover(one, other)
        self._switchover(other, one)
        return self._finish()

    # -- the steps -----------------------------------------------------------------------------------------------

    def _start(self, one: Switch, other: Switch) -> None:
        live = self._live
        live.heading(
            "start",
            "Both switches boot together.  Both servers start read-only; the agents agree that sw1, which has the data,"
            " serves, and sw2, whose database is blank, copies it.",
        )
        began = live.begun = live.say("demo", "clagd, ovsdb-server, agent and vtepd start on both switches")
        self._lab.start_controller(rate=RATE)
        self._lab.start(vtepds=True)
        self._await_writing(one, began, "the pair serves")
        live.until(lambda: self._copies(other, one), LIMIT, "sw2 is a copy of sw1")
        self._end("start", "start", began, one)

    def _steady(self) -> None:
        self._live.heading(
            "steady state", "What the operator sees on each side, and two seconds of nothing but writing."
        )
        began = time.monotonic()
        self._live.until(lambda: story.in_sync(self._lab), LIMIT, "both agents say in sync")
        for switch in self._lab.switches:
            self._ask(switch, "sync-status")
        self._live.for_a_while(2.0)
        self._end("steady state", "quiet", began, self._lab.sw1)

    def _kill(self, one: Switch, other: Switch) -> None:
        self._live.heading(
            "kill -9 of the active ovsdb-server",
            "The kernel closes the sessions of the dead server, which tells both agents at once.",
        )
        began = self._live.say("fault", f"kill -9 of the ovsdb-server on {one.node}")
        one.server.kill()
        self._await_writing(other, began, f"{other.node} takes over")
        for switch in self._lab.switches:
            self._ask(switch, "sync-status")
        self._end("kill -9 of ovsdb-server", "fault", began, other, died=one.node)

    def _server_returns(self, one: Switch, other: Switch) -> None:
        self._live.heading(
            "return of the ovsdb-server",
            "It starts read-only.  Its agent takes a snapshot of what it held and makes it the backup of"
            f" {other.node}.",
        )
        began = self._live.say("demo", f"ovsdb-server on {one.node} is started again, on its old database")
        one.server.start()
        self._live.until(lambda: self._copies(one, other), LIMIT, f"{one.node} is a copy of {other.node}")
        self._end("return of ovsdb-server", "return", began, other)

    def _restore(self, one: Switch, other: Switch, again: bool = False) -> None:
        how = (
            f"{one.node} stays in sync for {RESTORE_DELAY:g} s, then asks for the service.  {other.node} shuts the"
            f" writers out and commits a token; {one.node} opens when it sees the token in its copy, so no write can be"
            " missing."
        )
        self._live.heading("restore of the original primary", "As before." if again else how)
        began = time.monotonic()
        self._await_writing(one, began, f"{one.node} is restored")
        self._live.until(lambda: self._copies(other, one), LIMIT, f"{other.node} is a copy of {one.node}")
        self._end(f"restore of {one.node}", "move", began, one)

    def _cut(self, one: Switch, other: Switch) -> None:
        self._live.heading(
            "silent death of the active switch",
            f"Not one packet leaves {one.node} any more, so nothing is closed: all that {other.node} has is silence,"
            " which 0.4 s after the last heartbeat on every path means death.",
        )
        began = self._live.say("fault", f"{one.node} is cut off and frozen: links down, every program stopped")
        self._dark = one.node
        self._live.watch.without_power = frozenset({one.node})
        one.power_off("cut")
        self._await_writing(other, began, f"{other.node} takes over")
        self._live.for_a_while(1.0)
        self._end(f"silent death of {one.node}", "fault", began, other, died=one.node, dark=one.node)

    def _power_returns(self, one: Switch, other: Switch) -> None:
        self._live.heading(
            "return of the switch",
            f"{one.node} goes on where it stopped, as a server that believes itself active.  As soon as the two hear"
            f" each other it steps back, takes a snapshot and becomes the backup of {other.node}.",
        )
        began = self._live.say("demo", f"{one.node} goes on: links up, every program continued")
        self._dark = ""
        one.power_on()
        self._live.watch.without_power = frozenset()
        self._live.until(lambda: self._copies(one, other), LIMIT, f"{one.node} is a copy of {other.node}")
        self._live.until(lambda: self._attached(one, began), LIMIT, f"{one.node}'s vtepd is attached")
        self._end(f"return of {one.node}", "return", began, other)

    def _switchover(self, giving: Switch, taking: Switch) -> None:
        command = ("switchover", "--to", taking.node, "--yes")
        self._live.heading(f"planned switchover to {taking.node}", "The same handover, ordered by the operator.")
        began = self._live.say("operator", f"{giving.node}# ovsha {' '.join(command)}")
        order = self._operator.submit(giving.ovsha, *command)
        self._live.until(order.done, LIMIT, "ovsha switchover ends")
        answer = order.result()
        for line in (answer.stdout or answer.stderr).splitlines():
            self._live.say("operator", line)
        assert answer.returncode == 0, f"ovsha switchover failed: {answer.stderr.strip()}"
        self._await_writing(taking, began, f"{taking.node} serves")
        self._live.until(lambda: self._copies(giving, taking), LIMIT, f"{giving.node} is a copy of {taking.node}")
        self._end(f"ovsha switchover to {taking.node}", "move", began, taking)

    def _finish(self) -> Record:
        live, lab = self._live, self._lab
        live.heading("end", "The controller stops, and the two databases are compared row by row.")
        lab.controller.stop()
        self._steps[-1] = replace(self._steps[-1], ended=time.monotonic())
        differing: list[str] = []

        def equal() -> bool:
            one, other = (contents(switch) for switch in lab.switches)
            differing[:] = sorted(table for table in one if one[table] != other[table])
            return not differing

        try:
            live.until(equal, LIMIT, "both databases are equal")
        except AssertionError:
            live.say("demo", f"they differ in {', '.join(differing)}")
        else:
            live.say("demo", "they are equal")
        live.catch_up()
        return Record(
            steps=[replace(step, ended=later.began) for step, later in pairwise(self._steps)] + self._steps[-1:],
            controller=live.controller.events,
            vtepds={node: vtepd.events for node, vtepd in live.vtepds.items()},
            heard=[heard for agent in live.agents.values() for heard in agent.heard],
            both=live.watch.both,
            looks=live.watch.looks,
            found={switch.node: switch.rows() for switch in lab.switches},
            kept={switch.node: story.kept(switch) for switch in lab.switches},
            differing=differing,
        )

    # -- what is waited for --------------------------------------------------------------------------------------

    def _await_writing(self, switch: Switch, since: float, what: str) -> None:
        """Wait until `switch` acknowledges rows and every VTEP daemon is attached, by what these record.

        The servers are asked only when it is over, because that would take time from what is measured.
        """
        acks = self._live.controller.acks
        running = [each for each in self._lab.switches if each.node != self._dark]

        def writes() -> bool:
            latest = acks[-RATE // 2 :]
            return len(latest) >= RATE // 2 and all(
                ack.switch == switch.management_address and ack.t > since for ack in latest
            )

        self._live.until(writes, LIMIT, f"{what}: the controller writes there")
        self._live.until(
            lambda: all(self._attached(each, since) for each in running),
            LIMIT,
            f"{what}: both VTEP daemons are attached",
        )
        self._live.until(lambda: story.serves(self._lab, switch), LIMIT, f"{what}: all of the service is there alone")

    def _attached(self, switch: Switch, since: float) -> bool:
        attached = self._live.vtepds[switch.node].attached_since
        return attached is not None and attached > since

    def _copies(self, switch: Switch, source: Switch) -> bool:
        wanted = f"tcp:{source.address}:{settings.REPLICATION_PORT}"
        if switch.replicates_from() != wanted:
            return False
        token = story.token(switch)
        return token is not None and token == story.token(source)

    # -- bookkeeping ---------------------------------------------------------------------------------------------

    def _end(self, title: str, kind: Kind, began: float, active: Switch, died: str = "", dark: str = "") -> None:
        vip = tuple(each.node for each in self._lab.switches if each.node != self._dark and each.vip_present())
        step = Step(title, kind, began, time.monotonic(), self._active, active.node, vip, died, dark)
        self._active = active.node
        self._steps.append(step)

    def _ask(self, switch: Switch, command: str) -> None:
        """Run a command of ovsha and show what the operator sees."""
        order = self._operator.submit(switch.ovsha, command)
        self._live.until(order.done, LIMIT, f"ovsha {command} answers")
        answer = order.result()
        self._live.say("operator", f"{switch.node}# ovsha {command}   (exit status {answer.returncode})")
        self._live.block(answer.stdout + answer.stderr)


def contents(switch: Switch) -> dict[str, dict[str, Any]]:
    """Return every table of a switch's own database by row uuid, without what is not replicated."""
    schema = rpc.call(switch.socket, "get_schema", [rpc.DATABASE])["tables"]
    lasting = {
        table: ["_uuid", *(name for name, column in each["columns"].items() if not column.get("ephemeral", False))]
        for table, each in schema.items()
    }
    selects = [{"op": "select", "table": table, "where": [], "columns": names} for table, names in lasting.items()]
    results = rpc.transact(switch.socket, *selects)
    return {
        table: {row["_uuid"][1]: row for row in result["rows"]} for table, result in zip(lasting, results, strict=True)
    }
