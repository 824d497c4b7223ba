"""Put together the answers of `ovsha history` and `ovsha explain`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ovsha import SCHEMA, control_client, times
from ovsha.config import Config
from ovsha.errors import ConfigError, DriverError
from ovsha.history import recordings
from ovsha.history.recordings import Decided, Recording
from ovsha.report import explain, history, trace, what_if
from ovsha.report.history import Witness
from ovsha.report.trace import Entry
from ovsha.words import span

_ASIDE_LIMIT, _PEER_LIMIT = 1.5, 10.0
"""Seconds for the peer to tell what only it knows, and for its whole history where that was asked for."""


def retell(config: Config, since: float | None, last: int, everything: bool, of_peer: bool) -> dict[str, Any]:
    """Return the history of this side, or of the peer, as JSON values.

    `since`: seconds since 1970, None for all.  `last`: how many rows, 0 for all.  Raises DriverError when what was
    recorded cannot be read.
    """
    told = _Told(config, of_peer)
    events = [event for event in told.shown.events if since is None or event["at"] >= since]
    chosen = history.chosen(events, everything)
    shown = chosen[-last:] if last else chosen
    rows = [{**row, "when": times.local_moment(row["at"])} for row in history.rows(shown, told.witness)]
    return {
        "schema": history.SCHEMA,
        "node": told.shown.node,
        "since": since,
        "earlier": len(chosen) - len(shown),
        "rows": rows,
        "troubles": [*told.shown.troubles, *told.notes],
    }


class _Told:
    """What the side that is `shown` has recorded, and what the other one adds to it when it is asked for."""

    def __init__(self, config: Config, of_peer: bool) -> None:
        self.notes: list[str] = []
        self.shown = recordings.of_peer(config, _PEER_LIMIT) if of_peer else recordings.local(config)
        self._config = config
        self._known: dict[str, Recording | None] = {self.shown.node: self.shown}

    def witness(self, node: str) -> Witness | None:
        """Return what a side knows of a service it has lost, None when it cannot be asked."""
        if node not in self._known:
            self._known[node] = self._other(node)
        found = self._known[node]
        return None if found is None else Witness(found.events, found.ledgers)

    def _other(self, node: str) -> Recording | None:
        try:
            if node == self._config.node:
                return recordings.local(self._config)
            return recordings.of_peer(self._config, _ASIDE_LIMIT) if node == self._config.peer else None
        except (DriverError, ConfigError) as error:
            self.notes.append(f"what {node} knows is not in this: {error}")
            return None


_NEAR = 0.002
"""Seconds by which a moment that was copied from the history may miss the event."""

_EARLIER = 1.0

Event = dict[str, Any]


@dataclass(frozen=True)
class Found:
    """A decision, and what is to be said of how it was found."""

    entry: Entry
    notes: list[str]


def explained(config: Config, at: str | None) -> dict[str, Any]:
    """Return the explanation of the last decision, or of that `at` a moment or in an event.

    Raises ConfigError when `at` names neither, DriverError when nothing is known of it.
    """
    troubles: list[str] = []
    kept = recordings.local(config)
    decided = list(recordings.decisions(config.state_directory, troubles))
    found = _now(config, decided) if at is None else _then(config, at, kept, decided)
    document = explain.explain(found.entry)
    document["notes"] = [*found.notes, *troubles]
    document["timers"] = None if config.standalone else _timers(found.entry, config, kept)
    return document


def _now(config: Config, decided: Sequence[Decided]) -> Found:
    """Return what the agent decided last, or, when it does not answer, what was recorded last."""
    try:
        answer = control_client.ask_json(control_client.in_directory(config.run_directory), "explain", schema=SCHEMA)
        return Found(trace.from_plain(answer["decision"]), [])
    except ValueError as error:
        raise DriverError(f"the agent answers in a form of another release: {error}; restart ovsha") from None
    except DriverError as error:
        if not decided:
            raise
        last = decided[-1].entry
        return Found(last, [str(error), f"this is the last decision that was recorded, {_ago(last)} ago"])


def _ago(entry: Entry) -> str:
    return span(max(0.0, time.time() - entry.at))


def _then(config: Config, at: str, kept: Recording, decided: Sequence[Decided]) -> Found:
    if not decided:
        raise DriverError(f"{config.state_directory}: no decision is recorded there yet")
    event = _named(kept.events, at)
    if event is not None:
        return _behind(event, decided)
    now = time.time()
    when = times.past_moment(at, now)
    near = [each for each in kept.events if abs(_began(each) - when) < _NEAR]
    if near:
        return _behind(near[-1], decided)
    if when > now:
        raise ConfigError(f"--at {at}: lies in the future; without --at the present is explained")
    before = [each.entry for each in decided if each.entry.at <= when]
    if not before:
        first = times.local_moment(decided[0].entry.at)
        raise DriverError(f"--at {at}: the first decision that is recorded is of {first}")
    last = before[-1]
    note = f"decided {span(when - last.at)} before {times.local_moment(when)}, and the last that was recorded by then"
    return Found(last, [note, *_stopped(kept.events, last.at, when)])


def _stopped(events: Sequence[Event], begin: float, end: float) -> list[str]:
    """Say that the agent did not run at the end of this time, if it was stopped."""
    runs = [each["kind"] for each in events if begin < each["at"] <= end and each["kind"] in ("start", "stop")]
    return ["the agent was stopped by then"] if runs and runs[-1] == "stop" else []


def _named(events: Sequence[Event], name: str) -> Event | None:
    """Return the last event of that name, None when it is a time."""
    if not name.replace("-", "").isalpha():
        return None
    of_service = [each for each in events if each["kind"] == "service"]
    if name in ("move", "last"):
        fits = of_service
    else:
        fits = [each for each in events if name in (each["kind"], each.get("move"))]
    if fits:
        return fits[-1]
    names = {str(each["move"]) for each in of_service} | {each["kind"] for each in events if each["kind"] != "service"}
    known = ", ".join(sorted(names)) or "none yet"
    raise ConfigError(f"--at {name}: no such event is recorded (recorded are: {known}); a time is {times.FORMS}")


def _began(event: Event) -> float:
    return float(event["at"]) - float(event.get("age") or 0.0)


def _behind(event: Event, decided: Sequence[Decided]) -> Found:
    """Return the decision by which an event came about: of a move, the first one by its rule."""
    run = [each.entry for each in decided if each.run == event.get("run")]
    if event["kind"] == "service":
        begin, end = _began(event) - _EARLIER, event["at"]
        chosen = [each for each in run if each.outcome.rule == event.get("rule") and begin <= each.at <= end][:1]
    else:
        chosen = [each for each in run if each.number <= max(1, event.get("turn") or 0)][-1:]
    if not chosen:
        raise DriverError(f"the decision behind this is not recorded any more: {event['text']}; see recorder.size")
    return Found(chosen[0], [f"of {times.local_moment(_began(event))}: {event['text']}"])


def _timers(entry: Entry, config: Config, kept: Recording) -> dict[str, Any]:
    """Return what the timers of the configuration mean at worst."""
    beat, server, copies = config.heartbeat, config.server, config.replication
    timers = what_if.Timers(
        beat.interval, beat.dead_interval, beat.stall_interval, server.hang_interval, server.stall_limit,
        copies.token_interval, copies.max_lag, config.handover.timeout, config.link_cut.hold,
    )  # fmt: skip
    return what_if.document(timers, *_last_move(kept.events), entry.view.copy.lag)


def _last_move(events: Sequence[Event]) -> tuple[float | None, float | None]:
    """Return how long this side's last taking over took once it was decided, and to its first controller."""
    taken = [each for each in events if each.get("side") == "taken" and each.get("serving") is not None]
    if not taken:
        return None, None
    last = taken[-1]
    waited = sum(phase["took"] for phase in last["phases"] if phase["name"] in ("detect", "decide", "fence"))
    controller = last.get("controller")
    return last["serving"] - waited, None if controller is None else controller - waited
