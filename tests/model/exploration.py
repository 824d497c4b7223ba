"""Visit every state of the small model of the pair, breadth first, and check the laws in each.

    PYTHONPATH=. python3 tests/model/exploration.py --faults 2 --depth 40

prints how many states there are, how far it came, and whether that were all.  A law that is
broken is told with the shortest list of actions that leads there; the exit status is then 1.

From every state that was visited the pair is then left alone: no new fault, and what can
happen happens, in one fair order.  Twice: once with all faults ended, after which the side
that should serve must do so, alone and wholly, with the other as its copy; and once with
nothing but dead agents restarted, after which one must serve wherever a side can know that
it may.
"""

from __future__ import annotations

import argparse
import sys
import time
from array import array

from tests.model.actions import Action, fair, moves, start
from tests.model.laws import LawBroken, check
from tests.model.rest import RESTS, Ends
from tests.model.state import ANY, Pool, Side, State
from tests.model.trace import lines, standing


class Exploration:
    """The states that were met, numbered in the order in which they were, and how each was reached."""

    def __init__(self, root: State) -> None:
        self.depth = self.transitions = 0
        self.exhausted = False
        self.ends = [Ends(rest) for rest in RESTS]
        self._numbers: dict[int, int] = {}
        self._keys: list[int] = []
        self._sides: Pool[Side] = Pool()
        self._between: Pool[tuple[int, ...]] = Pool()
        self._actions: Pool[Action] = Pool()
        self._parents, self._how = array("i"), array("h")
        self._meet(root, -1, ("begin", 0))

    def __len__(self) -> int:
        return len(self._keys)

    def run(self, depth: int, limit: int) -> None:
        """Visit what can be reached in `depth` actions, about `limit` states at most.  Raises LawBroken."""
        first, last = 0, 1
        while first < last and self.depth < depth and len(self) < limit:
            for number in range(first, last):
                self._visit(number)
                if len(self) >= limit:
                    return
            self.depth += 1
            first, last = last, len(self)
        self.exhausted = first == last

    def way(self, number: int) -> list[tuple[State, Action]]:
        """Return the shortest way to a state."""
        steps: list[tuple[State, Action]] = []
        while self._parents[number] >= 0:
            parent = self._parents[number]
            steps.append((self.state(parent), self._actions.values[self._how[number]]))
            number = parent
        return steps[::-1]

    def state(self, number: int) -> State:
        """Return a state by its number."""
        key, sides = self._keys[number], self._sides.values
        return State((sides[key >> 50], sides[key >> 20 & 0x3FFFFFFF]), *self._between.values[key & 0xFFFFF])

    def _visit(self, number: int) -> None:
        state = self.state(number)
        try:
            found = moves(state)
            if any(name == "tick" for (name, _), _ in found):
                # From any other state the fair order leads to one like this, which is visited too.
                for end in self.ends:
                    end.follow(state)
        except LawBroken as broken:
            broken.begin = number
            raise
        self.transitions += len(found)
        for action, after in found:
            self._meet(after, number, action)

    def _meet(self, state: State, parent: int, action: Action) -> None:
        """Take down a state, and check it if it is new."""
        one, two = (self._sides.number(side) for side in state.sides)
        key = one << 50 | two << 20 | self._between.number(state[1:])
        if key in self._numbers:
            return
        number = self._numbers[key] = len(self._keys)
        self._keys.append(key)
        self._parents.append(parent)
        self._how.append(self._actions.number(action))
        try:
            check(state)
        except LawBroken as broken:
            broken.begin = number
            raise


def steady(faults: int, late: int) -> State:
    """Return the state to which a pair that booted without faults comes."""
    state, seen = start(0, 0), set()
    while state not in seen:
        seen.add(state)
        state = fair(state, frozenset())[1]
    return state._replace(faults=faults, late=late)


def told(ways: Exploration, broken: LawBroken) -> str:
    """Return what broke a law, and the shortest way there."""
    steps = ways.way(broken.begin)
    if broken.action is not None and broken.action[0] != "":
        steps.append((ways.state(broken.begin), broken.action))
    return "\n".join([f"law {broken}", "", *lines(steps), "", standing(ways.state(broken.begin))])


def explore(ways: Exploration, depth: int, limit: int) -> tuple[str, bool]:
    """Go on with an exploration; return its report, or what broke a law, and whether all laws held."""
    began = time.process_time()
    try:
        ways.run(depth, limit)
    except LawBroken as broken:
        return told(ways, broken), False
    root = ways.state(0)
    late = "any number of" if root.late == ANY else f"at most {root.late}"
    rest = "that is all of them" if ways.exhausted else "there are more beyond"
    ends = (
        f"{end.rest.name}: exactly one side serves for good after at most {end.turns} turns, {end.seconds} s"
        for end in ways.ends
    )
    report = [
        f"{len(ways)} states, {ways.transitions} transitions: {rest}",
        f"at most {root.faults} faults, {late} late actions, depth {ways.depth}",
        *ends,
        f"{time.process_time() - began:.0f} s of processor time",
    ]
    return "\n".join(report), True


def main() -> int:
    parser = argparse.ArgumentParser(description="Visit every state of a small model of the pair and check the laws.")
    parser.add_argument("--faults", type=int, default=1, help="how many faults may come")
    parser.add_argument("--late", type=int, default=ANY, help="how many actions may be late; any number by default")
    parser.add_argument("--depth", type=int, default=10**6, help="how many actions may follow each other")
    parser.add_argument("--states", type=int, default=10**6, help="stop when there are so many")
    parser.add_argument("--boot", action="store_true", help="begin without power, not with a pair in its steady state")
    arguments = parser.parse_args()
    try:
        root = (start if arguments.boot else steady)(arguments.faults, arguments.late)
    except LawBroken as broken:
        print(f"law {broken}; it is broken already while a pair boots without faults")
        return 1
    report, held = explore(Exploration(root), arguments.depth, arguments.states)
    print(report)
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
