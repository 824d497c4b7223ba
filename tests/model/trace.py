"""Tell what happened in the small model, one action a line."""

from __future__ import annotations

from collections.abc import Iterable

from tests.model.actions import Action
from tests.model.state import DATA, NODES, ORDERS, Side, State, serves
from tests.model.turn import decide

_SENTENCES = {
    "heal": "all paths work again",
    "tick": "a second passes",
    "power on": "{own} gets power",
    "start server": "{own}: ovsdb-server starts, parked",
    "start agent": "{own}: the agent starts",
    "token": "{own}: commits a token",
    "save": "{own}: the store reaches the disk",
    "read": "{own}: the agent has read role and rows of ovsdb-server",
    "session": "{own}: the agent connects to ovsdb-server of {other}",
    "deliver": "{own}: its heartbeat arrives at {other}",
    "erase": "{own}: ovsdb-server connects to {other}'s and is erased",
    "fill": "{own}: ovsdb-server receives the copy",
    "apply": "{own}: ovsdb-server receives a commit",
    "write": "{own}: a controller's write is acknowledged",
    "kill server": "FAULT {own}: ovsdb-server is killed",
    "kill agent": "FAULT {own}: the agent is killed",
    "power off": "FAULT {own} loses power",
    "lose": "FAULT {own}: its heartbeats are lost until the next second",
    "order switchover": "ORDER switchover to {own}, told there",
    "offer switchover": "ORDER switchover to {own}, told on {other}",
}
_CUTS = ("", "FAULT the peer link is cut", "FAULT both paths are cut")


def sentence(state: State, action: Action) -> str:
    """Return what the action does in that state."""
    name, n = action
    if name == "cut":
        return _CUTS[n]
    if name.startswith("late "):
        return f"LATE {sentence(state, (name.removeprefix('late '), n))}"
    own, other = NODES[n], NODES[1 - n]
    if name == "order":
        return f"{own}: ovsdb-server does: {ORDERS.values[state.sides[n].order].step.value}"
    if name == "turn":
        outcome = decide(state, n)
        return f"{own}: turn: {outcome.rule}" + (f": {outcome.step.value}" if outcome.step else "")
    return _SENTENCES[name].format(own=own, other=other)


def lines(steps: Iterable[tuple[State, Action]]) -> list[str]:
    """Return a line for each state with the action that was taken in it."""
    return [f"{number:4}  {sentence(state, action)}" for number, (state, action) in enumerate(steps, 1)]


def standing(state: State) -> str:
    """Return how the two sides stand."""
    return "; ".join(f"{node}: {_standing(side)}" for node, side in zip(NODES, state.sides, strict=True))


def _standing(side: Side) -> str:
    if not side.power:
        return "no power"
    data, parts = DATA.values[side.data], ["no agent"] * (not side.memory)
    if not side.running:
        parts.append("no ovsdb-server")
    else:
        parts.append("serves" if serves(side) else "active but closed" if side.active else "backup")
    stamp = f"term {data.stamp.term} of {data.stamp.node}" if data.stamp else "no stamp"
    return f"{', '.join(parts)}, {stamp}, token {data.token}, writes {data.rows}"
