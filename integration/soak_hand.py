"""Deal the blows of a round to a lab: at every moment each part is what the blows of that moment want it to be.

Blows overlap, so no blow undoes anything by itself: a server whose kill is over stays off while its switch has no
power.  What should be is worked out anew whenever a blow begins or ends, and the parts that are otherwise are changed.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from subprocess import CompletedProcess, TimeoutExpired
from typing import Literal, get_args

import history
from lab import Lab
from rpc import Refused
from service import Service
from soak_faults import AWAY, BOTH, Blow
from story import named
from switch import PARKED, LossOfPower, Switch
from topology import INTERFACE, PEER, SWITCHES, Line

State = Literal["run", "off", "frozen"]
WORST_FIRST: Sequence[State] = ("off", "frozen", "run")
STATE: dict[str, State] = {"kill": "off", "stop": "off", "freeze": "frozen", "cut": "frozen"}
HEARTBEAT_PORT = 5344
ECHOES = ("icmp", "icmpv6")
ORDER_LIMIT = 30.0


class Hand:
    """Deals blows, and remembers what it did: the programs it found ended by themselves, the orders it gave."""

    def __init__(self, lab: Lab, rate: float, pool: ThreadPoolExecutor) -> None:
        self._lab = lab
        self._rate = rate
        self._pool = pool
        self._wanted: dict[str, State] = {}
        self._lossy: frozenset[tuple[str, str]] = frozenset()
        self._orders: list[Future[CompletedProcess[str]]] = []
        self.ended: list[str] = []

    def deal(self, blows: Collection[Blow], begun: float) -> None:
        """Deal all blows of a round that began at `begun` of the monotonic clock; return when the last has ended."""
        moments = sorted({moment for blow in blows for moment in (blow.at, blow.until)})
        dealt: set[Blow] = set()
        for moment in moments:
            time.sleep(max(0.0, begun + moment - time.monotonic()))
            self._apply([blow for blow in blows if blow.at <= moment < blow.until])
            for blow in blows:
                if blow.at <= moment and not blow.seconds and blow not in dealt:
                    dealt.add(blow)
                    self._once(blow)
        self._apply(())

    def bad_answers(self) -> list[str]:
        """Wait for the orders given so far, and name those that were not answered as a command should."""
        bad = []
        for order in self._orders:
            try:
                answer = order.result()
            except TimeoutExpired as error:
                bad.append(str(error))
                continue
            if answer.returncode not in (0, 1) or len(answer.stderr.splitlines()) > 1:
                bad.append(f"ovsha switchover ended with status {answer.returncode}: {answer.stderr.strip()}")
        self._orders.clear()
        return bad

    def look(self) -> None:
        """Note the programs that should run and do not."""
        for service in self._services():
            if self._wanted.get(service.name, "run") != "off" and not service.running:
                self.ended.append(f"{service.name} ended by itself with status {service.exit_status}")

    # -- what lasts ----------------------------------------------------------------------------------------------

    def _apply(self, now: Collection[Blow]) -> None:
        self.look()
        wanted = {service.name: state for service, state in self._states(now)}
        for switch in self._lab.switches:
            self._power(switch, [blow for blow in now if blow.kind.what == "power" and blow.where == switch.node])
        for service in self._services():
            stops = [b for b in now if self._hits(b, service) and b.kind.how == "stop"]
            set_state(service, wanted[service.name], gently=bool(stops))
        self._controller(any(blow.kind.what == "controller" for blow in now))
        self._paths(now)
        self._wanted = wanted

    def _services(self) -> Iterator[Service]:
        for switch in self._lab.switches:
            yield from switch.services

    def _states(self, now: Collection[Blow]) -> Iterator[tuple[Service, State]]:
        for service in self._services():
            states = [STATE[blow.kind.how] for blow in now if self._hits(blow, service)]
            yield service, min((*states, "run"), key=WORST_FIRST.index)

    def _hits(self, blow: Blow, service: Service) -> bool:
        """Say whether a blow decides how a program is: its own, or its switch's power."""
        if blow.where not in SWITCHES:
            return False
        switch = named(self._lab, blow.where)
        of = {"agent": switch.agent, "clagd": switch.clagd, "vtepd": switch.vtepd, "server": switch.server}
        return of.get(blow.kind.what) is service or (blow.kind.what == "power" and service in switch.services)

    def _power(self, switch: Switch, blows: Sequence[Blow]) -> None:
        if not blows:
            switch.power_on()
            return
        for how in get_args(LossOfPower):
            if blows[0].kind.how == how:
                switch.power_off(how)

    def _controller(self, off: bool) -> None:
        controller = self._lab.controller
        if off:
            controller.kill()
        elif not controller.running:
            # The rows that were on their way keep their numbers, and are nobody's.
            seen = [event.fields.get("row", 0) for event in history.read(self._lab.controller_events_file)]
            self._lab.start_controller(rate=self._rate, first=max(seen, default=0) + 100)

    def _paths(self, now: Iterable[Blow]) -> None:
        lossy: set[tuple[str, str]] = set()
        for blow in now:
            ends = SWITCHES if blow.where == BOTH else (blow.where,)
            if blow.kind.what in INTERFACE:
                lossy |= {(blow.kind.what, end) for end in ends}
            elif blow.kind.what == "heartbeats":
                lossy |= {(path, end) for path in ("peer link", "heartbeats") for end in ends}
        for what, end in self._lossy - lossy:
            self._lose(what, end, False)
        for what, end in lossy - self._lossy:
            self._lose(what, end, True)
        self._lossy = frozenset(lossy)

    def _lose(self, what: str, into: str, lose: bool) -> None:
        path: Line
        for path in get_args(Line):
            if path == what:
                (self._lab.network.cut if lose else self._lab.network.mend)(path, into)
                return
        hook = f'{{ type filter hook ingress device "{INTERFACE["backup path"]}" priority 1; }}'
        rules = ["add table netdev soak", "delete table netdev soak"]
        if lose:
            rules += ["add table netdev soak", f"add chain netdev soak lost {hook}"]
            rules += [f"add rule netdev soak lost udp dport {HEARTBEAT_PORT} drop"]
            rules += [f"add rule netdev soak lost {kind} type {{ echo-request, echo-reply }} drop" for kind in ECHOES]
        done = named(self._lab, into).run("nft", "; ".join(rules))
        assert done.returncode == 0, done.stderr

    # -- what is done once ---------------------------------------------------------------------------------------

    def _once(self, blow: Blow) -> None:
        if blow.kind.what == "switchover":
            serving = next((switch.node for switch in self._lab.switches if switch.role() == "active"), SWITCHES[0])
            to = PEER[serving] if blow.where == AWAY else blow.where
            # Any switch may be asked; the one that is to let go is the usual one.
            switch = named(self._lab, PEER[to])
            self._orders.append(self._pool.submit(switch.ovsha, "switchover", "--yes", "--to", to, limit=ORDER_LIMIT))
            return
        found = "backup" if "backup made active" in blow.kind.how else "active"
        for switch in self._lab.switches:
            try:
                if switch.role() == found:
                    change_role(switch, found)
                    return
            except (OSError, Refused):
                continue  # a server that does not answer is in no role


def change_role(switch: Switch, found: Literal["active", "backup"]) -> None:
    """Do what an operator should not: make a backup active, or an active server a backup of nobody."""
    if found == "backup":
        switch.appctl("ovsdb-server/disconnect-active-ovsdb-server", limit=1.0)
    else:
        switch.appctl("ovsdb-server/set-active-ovsdb-server", PARKED, limit=1.0)
        switch.appctl("ovsdb-server/connect-active-ovsdb-server", limit=1.0)


def set_state(service: Service, wanted: State, gently: bool) -> None:
    """Bring a program into a state; it does not wait for one that starts."""
    if wanted == "off":
        if gently:
            service.stop()
        service.kill()
    elif not service.running:
        service.start(wait=False)
    if wanted == "frozen" and not frozen(service):
        service.freeze()
    elif wanted == "run" and frozen(service):
        service.thaw()


def frozen(service: Service) -> bool:
    """Say whether a program is stopped by a signal; one that does not run is not."""
    try:
        stat = Path(f"/proc/{service.pid}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] == "T"
