"""Say what is wrong on the wires between the two sides, in words, and what an operator can do about it.

Each function yields what it found and what to do, for the rows of ovsha.core.diagnosis.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ovsha.core.outside import PathReport
from ovsha.core.path import PathState
from ovsha.core.words import span

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
