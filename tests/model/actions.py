"""What can happen next in the small model of the pair: the actions, each from one state to another.

The sides run the real core.  An agent decides in one action and its order is carried out in
a later one, so a death can come between.  What is prompt in a real pair (orders, heartbeats,
the disk, the turns that they cause) is over before the next second, in any order; a heartbeat
can be lost only as a fault.  Copies and commits on their way may take any number of seconds.
Faults are counted, the operator's orders among them; their ends (a restart, power, a path
that works again) may come at any moment, and are not.

All orders of all that are very many.  So the number of actions that are late can be bounded:
then what is prompt happens in one order, but for so many actions that are put aside, each
for as long as may be; and faults end, and writes come, when nothing else is to be done.
"""

from __future__ import annotations

from collections.abc import Callable

from ovsha.core.transition import Step
from tests.model.acts import (
    cut,
    deliver,
    kill_agent,
    lose,
    may_switch,
    offer_switchover,
    order_switchover,
    power_off,
    power_on,
    read,
    save,
    start_agent,
    tick,
    turn,
    wanted_disk,
)
from tests.model.laws import LawBroken
from tests.model.server import (
    apply,
    carry_out,
    commit_token,
    connect_session,
    erase,
    fill,
    kill_server,
    start_server,
    write,
)
from tests.model.state import ANY, DATA, DISKS, FOLLOWS, HALF, ORDERED, ORDERS, RETRIES, Data, Disk, Side, State, serves

Action = tuple[str, int]
Move = tuple[Action, State]
Act = Callable[[State, int], State]
Can = Callable[[State, int, Side, Side], object]
Table = tuple[tuple[str, Can, Act], ...]

WRITES = 1


def _behind_token(s: Side) -> bool:
    """Tell whether the order takes the way of a token that was sent before it: commits keep their order."""
    return s.token is not None and ORDERS.values[s.order].step in (Step.STAMP, Step.COMMIT_TOKEN)


def _reaches(state: State, s: Side, peer: Side) -> bool:
    return state.cut == 0 and s.running and peer.running


def _may_connect(state: State, n: int, s: Side, peer: Side) -> bool:
    """Tell whether the agent may connect to the peer's server: it looks at what was closed before it does."""
    if not s.memory or not peer.running or state.cut or (s.source is not None and s.source.age >= 0):
        return False
    return turn(state, n) == state


REPAIRS: Table = (
    ("heal", lambda state, n, s, peer: state.cut and n == 0, lambda state, n: cut(state, 0)),
    ("power on", lambda state, n, s, peer: not s.power, power_on),
    ("start server", lambda state, n, s, peer: s.power and not s.running, start_server),
    ("start agent", lambda state, n, s, peer: s.power and not s.memory, start_agent),
)
PROMPT: Table = (
    ("fill", lambda state, n, s, peer: s.copying == HALF, fill),
    ("order", lambda state, n, s, peer: s.order and s.copying != HALF and not _behind_token(s), carry_out),
    ("token", lambda state, n, s, peer: s.token and s.copying != HALF, commit_token),
    ("save", lambda state, n, s, peer: s.memory and wanted_disk(s) != s.disk, save),
    ("read", lambda state, n, s, peer: s.memory and s.running and not s.read, read),
    ("deliver", lambda state, n, s, peer: s.due and peer.memory, deliver),
    ("session", _may_connect, connect_session),
    ("turn", lambda state, n, s, peer: s.memory, turn),
)
SLOW: Table = (
    ("erase", lambda state, n, s, peer: s.copying in (ORDERED, RETRIES) and _reaches(state, s, peer), erase),
    ("apply", lambda state, n, s, peer: s.pipe and s.copying == FOLLOWS and _reaches(state, s, peer), apply),
)
TIME: Table = (("tick", lambda state, n, s, peer: n == 0, lambda state, n: tick(state)),)
WRITE: Table = (
    ("write", lambda state, n, s, peer: serves(s) and state.written < 2**WRITES - 1, write),
)
FAULTS: Table = (
    ("kill server", lambda state, n, s, peer: s.running, kill_server),
    ("kill agent", lambda state, n, s, peer: s.memory, kill_agent),
    ("power off", lambda state, n, s, peer: s.power, power_off),
    ("lose", lambda state, n, s, peer: s.due and peer.memory, lose),
    ("order switchover", lambda state, n, s, peer: may_switch(s, True), order_switchover),
    ("offer switchover", lambda state, n, s, peer: may_switch(peer, False), offer_switchover),
)


def moves(state: State) -> list[Move]:
    """Return what can happen next.  Raises LawBroken, with the action that broke the law."""
    found = _in_any_order(state) if state.late == ANY else _in_order(state)
    if state.faults:
        worse = each(FAULTS, state)
        worse += [(("cut", paths), cut(state, paths)) for paths in range(state.cut + 1, 3)]
        found += [(action, after._replace(faults=state.faults - 1)) for action, after in worse]
    return found


def _in_any_order(state: State) -> list[Move]:
    prompt = each(PROMPT, state)
    found = each(REPAIRS, state) + prompt + each(SLOW, state)
    if not prompt:
        found += each(TIME, state)
    return found + each(WRITE, state)


def _in_order(state: State) -> list[Move]:
    """Return the first of what can happen, what was put aside, and what is worth putting aside.

    Faults end and writes come when nothing else is to be done; at any other moment that
    counts as something late.
    """
    late = state.late
    first, awaited, found = None, False, []
    for table in (PROMPT, SLOW):
        for name, can, act in table:
            for n in (0, 1):
                bit = _BITS[name] << n
                if first is not None and not state.aside & bit:
                    continue
                move = attempt(state, name, can, act, n)
                if move is None:
                    state = state._replace(aside=state.aside & ~bit)
                elif state.aside & bit:
                    found.append((move[0], move[1]._replace(aside=move[1].aside & ~bit)))
                    awaited = awaited or table is PROMPT
                else:
                    first = move
    if first is not None:
        name, n = first[0]
        found.insert(0, first)
        if late:
            found.append(((f"late {name}", n), state._replace(aside=state.aside | _BITS[name] << n, late=late - 1)))
            found += [(action, after._replace(late=late - 1)) for action, after in each((*REPAIRS, *WRITE), state)]
        return found
    if not awaited:
        found += each(TIME, state)
    return found + each((*REPAIRS, *WRITE), state)


def fair(state: State, without: frozenset[str]) -> Move:
    """Return what happens next when nothing is late and no fault comes; at the latest a second passes."""
    for name, can, act in (*PROMPT, *REPAIRS, *SLOW, *TIME):
        if name in without:
            continue
        for n in (0, 1):
            move = attempt(state, name, can, act, n)
            if move is not None:
                return move
    raise AssertionError("time stands still")


def each(table: Table, state: State) -> list[Move]:
    """Return the moves of a table that are possible and change something."""
    found = (attempt(state, name, can, act, n) for name, can, act in table for n in (0, 1))
    return [move for move in found if move is not None]


def attempt(state: State, name: str, can: Can, act: Act, n: int) -> Move | None:
    """Return one move, or None when it is not possible or changes nothing."""
    if not can(state, n, state.sides[n], state.sides[1 - n]):
        return None
    try:
        after = act(state, n)
    except LawBroken as broken:
        broken.action = (name, n)
        raise
    return ((name, n), after) if after != state or name == "tick" else None


def start(faults: int, late: int) -> State:
    """Return two switches that have no power yet; their databases were never opened by an agent."""
    blank, empty = DATA.number(Data()), DISKS.number(Disk())
    side = Side(data=blank, disk=empty)
    return State((side, side), faults=faults, late=late)


_BITS = {name: 4**place for place, (name, _, _) in enumerate((*PROMPT, *SLOW))}
