"""Say what is wrong on the wires between the two sides, in words, and what an operator can do about it.

Each function yields what it found and what to do, for the rows of ovsha.core.diagnosis.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ovsha.core import collision_words
from ovsha.core.collision_words import Names
from ovsha.core.outside import Outside, PathReport
from ovsha.core.path import PathState
from ovsha.core.words import ago, span

Finding = tuple[str, str]


def paths(own: str, peer: str, reports: Mapping[str, PathReport]) -> Iterator[Finding]:
    """Yield each path of the heartbeats that is not up, and which way it is cut."""
    for name, report in reports.items():
        state, age = report.path.state, report.path.heard_age
        if state is PathState.UP:
            continue
        since = f" for {span(age)}" if state is PathState.DOWN and age is not None else ""
        trouble = f": {report.trouble}" if report.trouble else ""
        why, do = _direction(own, peer, state)
        yield f"the heartbeat path {name} is {state.value}{since}{why}{trouble}", do


def _direction(own: str, peer: str, state: PathState) -> Finding:
    if state is PathState.ONE_WAY_IN:
        return f": {own} hears {peer} there and is not heard", f"see what stops packets from {own} to {peer} there"
    if state is PathState.ONE_WAY_OUT:
        return f": {peer} hears {own} there and is not heard", f"see what stops packets from {peer} to {own} there"
    return "", "see its interface and addresses on both switches"


def collisions(names: Names, outside: Outside) -> Iterator[Finding]:
    """Yield each collision that is not over, and whether there were more than are kept."""
    for collision in outside.collisions:
        if not collision.over:
            seen = f"seen {collision.count} times" if collision.count > 1 else "seen once"
            what = f"{collision_words.what(collision, names)} ({seen}, last {ago(collision.last_age)})"
            yield what, collision_words.do(collision, names)
    if outside.collisions_missed:
        what = f"{outside.collisions_missed} more sightings of collisions found no room in the list"
        yield what, "settle those that are listed, or set collisions.keep higher"
