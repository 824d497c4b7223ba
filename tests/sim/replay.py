#!/usr/bin/python3
"""Run the simulated pair once and print its whole log, or search seed after seed for a broken law.

    replay.py SEED                              the faults that the seed names
    replay.py SEED NAME=VALUE... PAUSE FAULT... these faults, as LawBroken prints them
    replay.py --search COUNT SEED [WORD...]     COUNT seeds from SEED on, with faults whose name has one of the words

Exit status 1: a law is broken.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.sim.faults import FAULTS
from tests.sim.pair import LawBroken, Pair, started
from tests.sim.play import by_chance, play, recover


def once(seed: int, words: Sequence[str]) -> tuple[Pair, Exception | None]:
    """Play what the words say after a steady start; return the pair and what it broke."""
    changed = dict(word.split("=", 1) for word in words if "=" in word)
    told = [word for word in words if "=" not in word]
    pair = started(seed, **{name: value(text) for name, value, text in _typed(changed)})
    try:
        for pause, name in zip(told[::2], told[1::2], strict=True):
            pair.run(float(pause) - (pair.clock.now if pair.done == [] else 0.0))
            pair.note(f"*** {name}")
            FAULTS[name](pair)
        recover(pair)
    except LawBroken as broken:
        return pair, broken
    return pair, None


def _typed(changed: dict[str, str]) -> list[tuple[str, type, str]]:
    """Return each setting with its type: all but names are numbers."""
    return [(name, str if name == "preferred" else float, text) for name, text in changed.items()]


def by_seed(seed: int, words: Sequence[str] = ()) -> tuple[Pair, Exception | None]:
    """Play what the seed names."""
    names = [name for name in sorted(FAULTS) if any(word in name for word in words)]
    pair, schedule = by_chance(seed, names)
    try:
        play(pair, schedule)
        recover(pair)
    except LawBroken as broken:
        return pair, broken
    return pair, None


def search(count: int, first: int, words: Sequence[str]) -> int:
    """Play seed after seed; print the first line and the last of what is broken."""
    found = 0
    for seed in range(first, first + count):
        _, broken = by_seed(seed, words)
        if broken is not None:
            found += 1
            lines = str(broken).splitlines()
            print(f"seed {seed}: {lines[0]}\n    {lines[-1]}", flush=True)
    print(f"{count} schedules, {found} broke a law")
    return int(bool(found))


def main(words: Sequence[str]) -> int:
    """Do what the command line says."""
    logging.disable()
    if len(words) >= 3 and words[0] == "--search":
        return search(int(words[1]), int(words[2]), words[3:])
    if not words or not words[0].isdecimal():
        print(__doc__, file=sys.stderr)
        return 2
    pair, broken = once(int(words[0]), words[1:]) if words[1:] else by_seed(int(words[0]))
    print("\n".join(pair.log))
    if broken is not None:
        print(str(broken).splitlines()[0])
    return int(broken is not None)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
