"""Virtual time for the simulated pair: one seed gives one order of all that happens."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable


class Clock:
    """What was put off to a moment happens then, in an order that the seed fixes."""

    def __init__(self, seed: int) -> None:
        self.now = 0.0
        self.random = random.Random(seed)
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    def after(self, delay: float, act: Callable[[], None]) -> None:
        """Do `act` in `delay` seconds."""
        heapq.heappush(self._queue, (self.now + delay, next(self._numbers), act))

    def between(self, low: float, high: float) -> float:
        """Return a random length of time."""
        return self.random.uniform(low, high)

    def chance(self, probability: float) -> bool:
        """Tell whether something of this probability happens now."""
        return self.random.random() < probability

    def run(self, until: float, after_each: Callable[[], None]) -> None:
        """Let time pass up to the moment `until`."""
        while self._queue and self._queue[0][0] <= until:
            self.now, _, act = heapq.heappop(self._queue)
            act()
            after_each()
        self.now = until
