"""Leave the small model alone, from every state that was visited, and see that it comes to rest as it should.

What can happen then happens in one fair order, so each state has one successor and every way
ends in a circle: seconds pass and nothing changes any more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ovsha.core.lineage import term_of
from tests.model.actions import fair
from tests.model.laws import LawBroken, check
from tests.model.state import DATA, FOLLOWS, MEMORIES, NODES, State, serves, serves_whole
from tests.model.trace import standing


class Rest(NamedTuple):
    """A way to be left alone: the actions that do not happen, and what is asked of the circle in the end."""

    name: str
    without: frozenset[str]
    objection: Callable[[State], str]


def _not_in_order(state: State) -> str:
    stamps = [DATA.values[side.data].stamp for side in state.sides]
    chosen = next((NODES.index(stamp.node) for stamp in stamps if stamp and stamp.chosen), 0)
    active, backup = state.sides[chosen], state.sides[1 - chosen]
    if not serves_whole(active) or serves(backup) or backup.vip:
        return f"{NODES[chosen]} should serve, wholly and alone"
    if backup.copying != FOLLOWS or backup.data != active.data:
        return f"{NODES[1 - chosen]} should be a copy"
    return ""


def _nobody_takes_over(state: State) -> str:
    serving = sum(serves(side) for side in state.sides)
    if serving == 2 and not state.blind:
        return "both serve"
    if serving == 0 and (able := [node for n, node in enumerate(NODES) if _able(state, n)]):
        return f"nobody serves although {' and '.join(able)} could"
    return ""


def _able(state: State, n: int) -> bool:
    """Tell whether a side can know that it may serve: it has met the peer, and has the newest data there is."""
    s, peer = state.sides[n], state.sides[1 - n]
    if not s.running or not s.memory or not MEMORIES.values[s.memory].met:
        return False
    own, other = DATA.values[s.data], DATA.values[peer.data]
    if own.stamp is None or term_of(own.stamp) < max(term_of(other.stamp), MEMORIES.values[s.memory].term):
        return False
    return own.stamp == other.stamp and (other.token or (0, 0)) <= (own.token or (0, 0)) if other.stamp else True


REPAIRED = Rest("all faults end", frozenset(), _not_in_order)
LEFT = Rest("only agents are restarted", frozenset({"heal", "power on", "start server"}), _nobody_takes_over)
RESTS = (REPAIRED, LEFT)


class Ends:
    """Where each state ends when it is left alone, and how long that takes.

    `turns`, `seconds`: the most that agents took, and that passed, until exactly one side
    served for good.
    """

    def __init__(self, rest: Rest) -> None:
        self.rest = rest
        self.turns = self.seconds = 0
        # For each state None when exactly one side serves from there on, else the turns and seconds until then.
        self._known: dict[State, tuple[int, int] | None] = {}

    def follow(self, state: State) -> None:
        """Follow a state to its end.  Raises LawBroken when that is not as it should be."""
        way: list[tuple[State, str]] = []
        place: dict[State, int] = {}
        now = state._replace(faults=0, late=0, aside=0)
        while now not in self._known and now not in place:
            place[now] = len(way)
            (name, _), then = fair(now, self.rest.without)
            check(then)
            way.append((now, name))
            now = then
        if now in place:
            circle = way[place[now]:]
            del way[place[now]:]
            self._judge(circle)
            self._known.update(dict.fromkeys((each for each, _ in circle)))
        after = self._known[now]
        for each, name in reversed(way):
            if after is not None or sum(serves(side) for side in each.sides) != 1:
                turns, seconds = after or (0, 0)
                after = (turns + (name == "turn"), seconds + (name == "tick"))
                self.turns, self.seconds = max(self.turns, after[0]), max(self.seconds, after[1])
            self._known[each] = after

    def _judge(self, circle: list[tuple[State, str]]) -> None:
        objections = [text for state, _ in circle if (text := self.rest.objection(state))]
        if all(name != "tick" for _, name in circle):
            objections.append("the agents never come to rest")
        if objections:
            end = standing(circle[0][0])
            raise LawBroken(f"of progress: left alone ({self.rest.name}), {objections[0]}: {end}")
