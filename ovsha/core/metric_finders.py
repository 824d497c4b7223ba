"""Find the samples of metrics in the document of `ovsha.core.status`, for the rows of `ovsha.core.metrics`.

A sample is its labels and its value.  What is not known has none, so that it is not taken for a zero.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from typing import Any

from ovsha.core import diagnosis, heartbeat
from ovsha.core.path import PathState

Document = Mapping[str, Any]
Sample = tuple[dict[str, str], float]
Finder = Callable[[Document], Iterator[Sample]]


def _number(value: object) -> float | None:
    """Return a number, 1 or 0 for yes or no, None for what is not known or no number."""
    return float(value) if isinstance(value, (bool, int, float)) else None


def one(labels: dict[str, str], value: object) -> Iterator[Sample]:
    """Yield a number with these labels, and nothing for what is none."""
    number = _number(value)
    if number is not None:
        yield labels, number


def at(*keys: str) -> Finder:
    """Find one value, which a null on the way to it leaves out."""

    def find(document: Document) -> Iterator[Sample]:
        value: Any = document
        for key in keys:
            value = None if value is None else value[key]
        yield from one({}, value)

    return find


def hot(label: str, values: type[Enum], value: object, labels: dict[str, str]) -> Iterator[Sample]:
    """Yield a 1 for the value that holds and a 0 for the others; nothing when it is not known."""
    if value is not None:
        for each in values:
            yield {**labels, label: str(each.value)}, float(each.value == value)


def _sides(document: Document) -> Iterator[tuple[dict[str, str], Mapping[str, Any]]]:
    for name, side in document["sides"].items():
        if side is not None:
            yield {"side": name, "whose": "own" if name == document["node"] else "peer"}, side


def of_side(*keys: str) -> Finder:
    """Find one value of each side, which a null on the way to it leaves out."""

    def find(document: Document) -> Iterator[Sample]:
        for labels, side in _sides(document):
            value: Any = side
            for key in keys:
                value = None if value is None else value[key]
            yield from one(labels, value)

    return find


def side_is(key: str, label: str, values: type[Enum]) -> Finder:
    """Find for each side which word holds of those that `key` can be."""

    def find(document: Document) -> Iterator[Sample]:
        for labels, side in _sides(document):
            yield from hot(label, values, side[key], labels)

    return find


def side_known(key: str) -> Finder:
    """Find a 1 where `key` is known and a 0 where it is null."""
    return lambda document: ((labels, float(side[key] is not None)) for labels, side in _sides(document))


def side_said(key: str) -> Finder:
    """Find a 1 where `key` has a text and a 0 where it is empty."""
    return lambda document: ((labels, float(bool(side[key]))) for labels, side in _sides(document))


def token_number(token: str | None) -> int | None:
    """Return the number in a token as the status shows it."""
    return None if token is None else int(token.partition(".")[2])


def side_token(document: Document) -> Iterator[Sample]:
    """Yield the number of each side's last token."""
    for labels, side in _sides(document):
        yield from one(labels, token_number(side["token"]))


def side_preferred(document: Document) -> Iterator[Sample]:
    """Yield which side is the preferred one."""
    for name in document["sides"]:
        whose = "own" if name == document["node"] else "peer"
        yield {"side": name, "whose": whose}, float(name == document["preferred"]["node"])


def of_path(key: str) -> Finder:
    """Find one value of each heartbeat path."""

    def find(document: Document) -> Iterator[Sample]:
        for name, path in document["paths"].items():
            yield from one({"path": name}, path[key])

    return find


def of_kernel(key: str) -> Finder:
    """Return what finds a number of the echoes to the peer's kernel on each path."""

    def find(document: Document) -> Iterator[Sample]:
        for path in document["kernel"]["paths"]:
            yield from one({"path": path["path"]}, path[key])

    return find


def path_state(document: Document) -> Iterator[Sample]:
    """Yield how each path is doing."""
    for name, path in document["paths"].items():
        yield from hot("state", PathState, path["state"], {"path": name})


def path_up(document: Document) -> Iterator[Sample]:
    """Yield whether heartbeats pass on each path both ways."""
    for name, path in document["paths"].items():
        yield {"path": name}, float(path["state"] == "up" and not path["trouble"])


def info(document: Document) -> Iterator[Sample]:
    """Yield what never changes while an agent runs."""
    yield {"version": document["version"], "peer": document["peer"] or "", "schema": str(document["schema"])}, 1.0


def vip_info(document: Document) -> Iterator[Sample]:
    """Yield where the VIP is, if there is one."""
    if document["vip"]["address"] is not None:
        yield {key: str(value) for key, value in document["vip"].items()}, 1.0


def managers(document: Document) -> Iterator[Sample]:
    """Yield whether each controller is connected."""
    for manager in document["managers"]:
        yield from one({"target": manager["target"]}, manager["connected"])


def divergences(exact: bool | None) -> Finder:
    """Find how many rows each ledger that was not settled has if it is `exact` or is not, or with None which it is."""

    def find(document: Document) -> Iterator[Sample]:
        for each in document["divergences"]:
            rows = each["rows"] if each["exact"] is exact else 0
            yield from one({"ledger": each["ledger"]}, each["exact"] if exact is None else rows)

    return find


def collisions(key: str) -> Finder:
    """Find one value of each collision that is kept."""

    def find(document: Document) -> Iterator[Sample]:
        for seen in document["collisions"]["seen"]:
            yield from one({name: seen[name] for name in ("kind", "address", "where")}, seen[key])

    return find


def collision_count(document: Document) -> Iterator[Sample]:
    """Yield how many collisions are not over."""
    yield {}, float(sum(not each["over"] for each in document["collisions"]["seen"]))


def problems(document: Document) -> Iterator[Sample]:
    """Yield how many problems there are of each name and level."""
    names = {name: level.value for name, level, _ in diagnosis.ROWS} | {"settling": "broken"}
    found = [(each["name"], each["level"]) for each in document["problems"]]
    for name, level in sorted({*names.items(), *found}):
        yield {"problem": name, "level": level}, float(found.count((name, level)))


def failing(document: Document) -> Iterator[Sample]:
    """Yield each step that failed when it was last tried."""
    for step in document["failing"]:
        yield {"step": step}, 1.0


_SECONDS = ("_interval", "_delay", "_timeout", "_hold", "_lag", "_boot", "_window")


def settings(in_seconds: bool) -> Finder:
    """Find the settings that are seconds, or the others."""

    def find(document: Document) -> Iterator[Sample]:
        for name, value in document["settings"].items():
            if name.endswith(_SECONDS) is in_seconds:
                yield from one({"setting": name}, value)

    return find


def identity(document: Document) -> Iterator[Sample]:
    """Yield whether another switch answers in the peer's place."""
    yield from one({}, (document.get("identity") or {}).get("estranged"))


def refused(document: Document) -> Iterator[Sample]:
    """Yield the heartbeats that were not believed, by the reason."""
    for reason in heartbeat.REASONS:
        yield from one({"reason": reason}, document["counters"].get(reason))


def exchange_refused(document: Document) -> Iterator[Sample]:
    """Yield the connections that the exchange closed, by the reason."""
    for name, count in document["counters"].items():
        if name.startswith("exchange_") and name != "exchange_asked":
            yield {"reason": name.removeprefix("exchange_")}, float(count)


def counter(name: str) -> Finder:
    """Find one counter."""
    return lambda document: one({}, document["counters"].get(name))
