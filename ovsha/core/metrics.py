"""Turn the document of `ovsha.core.status` into metrics for Prometheus: one table.

Each row is a metric: its name with its unit, what it is, and where its samples come from.
Every number and every yes or no of the document is in one of them, which
tests/test_metrics.py holds.  What is not known has no sample, so that it is not taken for
a zero.  Each sample says by `pair` and `node` whose agent tells it; where it is about one
side of the pair, `side` names that and `whose` says whether it is the teller's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from ovsha.core import diagnosis, heartbeat
from ovsha.core.facts import Life, MlagRole, Mode, Presence, Role, State
from ovsha.core.path import PathState

Document = Mapping[str, Any]
Sample = tuple[dict[str, str], float]
Finder = Callable[[Document], Iterator[Sample]]

GAUGE, COUNTER = "gauge", "counter"


@dataclass(frozen=True, slots=True)
class Metric:
    """One row: a counter's name ends in _total."""

    name: str
    doc: str
    find: Finder

    @property
    def kind(self) -> str:
        """COUNTER or GAUGE."""
        return COUNTER if self.name.endswith("_total") else GAUGE


@dataclass(frozen=True, slots=True)
class Family:
    """A metric with its samples of this moment."""

    name: str
    kind: str
    doc: str
    samples: tuple[Sample, ...]


def families(document: Document) -> list[Family]:
    """Return all metrics, also those that have no sample now."""
    whose = {"pair": str(document["pair"]), "node": str(document["node"])}
    rows = [*METRICS, *_further_counters(document)]
    return [
        Family(row.name, row.kind, row.doc, tuple((whose | labels, value) for labels, value in row.find(document)))
        for row in rows
    ]


def _number(value: object) -> float | None:
    """Return a number, 1 or 0 for yes or no, None for what is not known or no number."""
    return float(value) if isinstance(value, (bool, int, float)) else None


def _one(labels: dict[str, str], value: object) -> Iterator[Sample]:
    number = _number(value)
    if number is not None:
        yield labels, number


def _at(*keys: str) -> Finder:
    """Find one value, which a null on the way to it leaves out."""

    def find(document: Document) -> Iterator[Sample]:
        value: Any = document
        for key in keys:
            value = None if value is None else value[key]
        yield from _one({}, value)

    return find


def _hot(label: str, values: type[Enum], value: object, labels: dict[str, str]) -> Iterator[Sample]:
    """Yield a 1 for the value that holds and a 0 for the others; nothing when it is not known."""
    if value is not None:
        for each in values:
            yield {**labels, label: str(each.value)}, float(each.value == value)


def _sides(document: Document) -> Iterator[tuple[dict[str, str], Mapping[str, Any]]]:
    for name, side in document["sides"].items():
        if side is not None:
            yield {"side": name, "whose": "own" if name == document["node"] else "peer"}, side


def _side(*keys: str) -> Finder:
    def find(document: Document) -> Iterator[Sample]:
        for labels, side in _sides(document):
            value: Any = side
            for key in keys:
                value = None if value is None else value[key]
            yield from _one(labels, value)

    return find


def _side_is(key: str, label: str, values: type[Enum]) -> Finder:
    def find(document: Document) -> Iterator[Sample]:
        for labels, side in _sides(document):
            yield from _hot(label, values, side[key], labels)

    return find


def _side_known(key: str) -> Finder:
    """Find a 1 where `key` is known and a 0 where it is null."""
    return lambda document: ((labels, float(side[key] is not None)) for labels, side in _sides(document))


def _side_said(key: str) -> Finder:
    """Find a 1 where `key` has a text and a 0 where it is empty."""
    return lambda document: ((labels, float(bool(side[key]))) for labels, side in _sides(document))


def _token_number(token: str | None) -> int | None:
    return None if token is None else int(token.partition(".")[2])


def _side_token(document: Document) -> Iterator[Sample]:
    for labels, side in _sides(document):
        yield from _one(labels, _token_number(side["token"]))


def _side_preferred(document: Document) -> Iterator[Sample]:
    for name in document["sides"]:
        whose = "own" if name == document["node"] else "peer"
        yield {"side": name, "whose": whose}, float(name == document["preferred"]["node"])


def _path(key: str) -> Finder:
    def find(document: Document) -> Iterator[Sample]:
        for name, path in document["paths"].items():
            yield from _one({"path": name}, path[key])

    return find


def _path_state(document: Document) -> Iterator[Sample]:
    for name, path in document["paths"].items():
        yield from _hot("state", PathState, path["state"], {"path": name})


def _path_up(document: Document) -> Iterator[Sample]:
    for name, path in document["paths"].items():
        yield {"path": name}, float(path["state"] == "up" and not path["trouble"])


def _info(document: Document) -> Iterator[Sample]:
    yield {"version": document["version"], "peer": document["peer"] or "", "schema": str(document["schema"])}, 1.0


def _vip_info(document: Document) -> Iterator[Sample]:
    if document["vip"]["address"] is not None:
        yield {key: str(value) for key, value in document["vip"].items()}, 1.0


def _managers(document: Document) -> Iterator[Sample]:
    for manager in document["managers"]:
        yield from _one({"target": manager["target"]}, manager["connected"])


def _divergences(key: str) -> Finder:
    def find(document: Document) -> Iterator[Sample]:
        for each in document["divergences"]:
            yield from _one({"ledger": each["ledger"]}, each[key])

    return find


def _collisions(key: str) -> Finder:
    def find(document: Document) -> Iterator[Sample]:
        for seen in document["collisions"]["seen"]:
            yield from _one({name: seen[name] for name in ("kind", "address", "where")}, seen[key])

    return find


def _collision_count(document: Document) -> Iterator[Sample]:
    yield {}, float(len(document["collisions"]["seen"]))


def _problems(document: Document) -> Iterator[Sample]:
    names = {name: level.value for name, level, _ in diagnosis.ROWS} | {"settling": "broken"}
    found = [(each["name"], each["level"]) for each in document["problems"]]
    for name, level in sorted({*names.items(), *found}):
        yield {"problem": name, "level": level}, float(found.count((name, level)))


def _failing(document: Document) -> Iterator[Sample]:
    for step in document["failing"]:
        yield {"step": step}, 1.0


_SECONDS = ("_interval", "_delay", "_timeout", "_hold", "_lag", "_boot", "_window")


def _settings(in_seconds: bool) -> Finder:
    def find(document: Document) -> Iterator[Sample]:
        for name, value in document["settings"].items():
            if name.endswith(_SECONDS) is in_seconds:
                yield from _one({"setting": name}, value)

    return find


def _identity(document: Document) -> Iterator[Sample]:
    yield from _one({}, (document.get("identity") or {}).get("estranged"))


def _refused(document: Document) -> Iterator[Sample]:
    for reason in heartbeat.REASONS:
        yield from _one({"reason": reason}, document["counters"].get(reason))


def _exchange_refused(document: Document) -> Iterator[Sample]:
    for name, count in document["counters"].items():
        if name.startswith("exchange_") and name != "exchange_asked":
            yield {"reason": name.removeprefix("exchange_")}, float(count)


def _counter(name: str) -> Finder:
    return lambda document: _one({}, document["counters"].get(name))


def _further_counters(document: Document) -> list[Metric]:
    """Return a row for each counter that no row of the table tells: one that was added since."""
    told = {*_COUNTERS, *heartbeat.REASONS}
    return [
        Metric(f"ovsha_{name}_total", f"The counter {name} of ovsha status.", _counter(name))
        for name in document["counters"]
        if name not in told and not name.startswith("exchange_")
    ]


_COUNTERS = {
    "moves": "Changes of this side's state since the agent started.",
    "incidents": "Times that ovsdb-server was found in another role than ordered, or came back by itself.",
    "gaps": "Times that the agent was not scheduled for longer than the dead interval.",
    "decisions": "Times that this side could not go on without an operator.",
    "exchange_asked": "Questions of the peer that were answered over the exchange.",
    "unrecorded": "Lines of the flight recorder that were lost to a disk that took none.",
    "hooks_run": "Hooks that were run.",
    "hooks_failed": "Hooks that could not be started, ended with an error, or took too long and were killed.",
    "hooks_dropped": "Events that no hook was told of, because too many were waiting.",
}

METRICS: tuple[Metric, ...] = (
    Metric("ovsha_info", "The release of the agent, its peer, and the schema of the status; always 1.", _info),
    Metric("ovsha_vip_info", "The VIP with its interface and port; always 1.", _vip_info),
    Metric("ovsha_agent_pid", "The process id of the agent.", _at("pid")),
    Metric("ovsha_uptime_seconds", "For how long the agent has run.", _at("uptime")),
    Metric("ovsha_in_sync", "1 when one side is active and the other a living copy of it.", _at("in_sync")),
    Metric("ovsha_standalone", "1 when this switch has no peer by its configuration.", _at("standalone")),
    Metric("ovsha_healthy", "1 when ovsha status shows no problem.", _at("healthy")),
    Metric("ovsha_problem", "Problems that ovsha status shows, by name and level.", _problems),
    Metric("ovsha_step_failing", "1 for a step that failed when it was last tried.", _failing),
    Metric("ovsha_last_move_age_seconds", "How long ago this side last changed its state.", _at("moved", "age")),
    Metric("ovsha_last_service_move_age_seconds", "How long ago the service last moved, as far as this agent saw it.",
           _at("service", "age")),
    Metric(
        "ovsha_handover_granted", "Whether an asked-for handover is granted; absent when none is asked for.",
        _at("handover", "granted"),
    ),
    Metric(
        "ovsha_handover_drained", "Whether the serving side has drained for the handover; absent when there is none.",
        _at("handover", "drained"),
    ),
    Metric("ovsha_pause_left_seconds", "When the pause of this side ends by itself; absent when it is not paused.",
           _at("pause", "left")),
    Metric("ovsha_pause_saved", "1 when that pause would survive the agent.", _at("pause", "saved")),
    Metric("ovsha_planned_switchover_left_seconds", "When the planned switchover begins; absent when none is planned.",
           _at("planned_switchover", "left")),
    Metric("ovsha_planned_switchover_saved", "1 when that plan would survive the agent.",
           _at("planned_switchover", "saved")),
    Metric("ovsha_preferred_chosen", "1 when an operator chose the preferred side.", _at("preferred", "chosen")),
    Metric(
        "ovsha_presence", "What is known of the peer: 1 for the word that holds.",
        lambda document: _hot("presence", Presence, None if document["peer"] is None else document["presence"], {}),
    ),
    Metric("ovsha_identity_estranged", "1 when another switch answers in the peer's place.", _identity),
    # -- one side of the pair
    Metric("ovsha_side_age_seconds", "How old the last word of that side is.", _side("age")),
    Metric("ovsha_side_current", "1 when the last word of that side is younger than the dead interval.",
           _side("current")),
    Metric("ovsha_side_state", "The side's state: 1 for the word that holds.", _side_is("state", "state", State)),
    Metric("ovsha_side_mode", "Whether the side acts, or an operator has it only watch: 1 for the word that holds.",
           _side_is("mode", "mode", Mode)),
    Metric("ovsha_side_mode_left_seconds", "When a pause ends by itself; absent when there is none.",
           _side("mode_left")),
    Metric("ovsha_side_upgrade_seconds", "For how long the side has been in an upgrade; absent when it is in none.",
           _side("upgrade")),
    Metric("ovsha_side_upgraded_seconds", "How long ago its last upgrade was finished; absent after a week.",
           _side("upgraded")),
    Metric("ovsha_side_serving", "1 when the side holds the VIP, its listener or the managers' remote.",
           _side("serving")),
    Metric("ovsha_side_preferred", "1 for the side that should serve when both can.", _side_preferred),
    Metric("ovsha_side_server_life", "Whether ovsdb-server lives: 1 for the word that holds.",
           _side_is("life", "life", Life)),
    Metric("ovsha_side_server_role", "The role of ovsdb-server: 1 for the word that holds.",
           _side_is("role", "role", Role)),
    Metric("ovsha_side_mlag_role", "The role that clagd gives the switch: 1 for the word that holds.",
           _side_is("mlag", "role", MlagRole)),
    Metric("ovsha_side_replicating", "1 when ovsdb-server says that it replicates.", _side("replicating")),
    Metric("ovsha_side_parked", "1 when ovsdb-server follows the address that cannot answer.", _side("parked")),
    Metric("ovsha_side_in_sync", "1 when the side's copy holds what the active side had committed.",
           _side_known("in_sync_for")),
    Metric("ovsha_side_in_sync_seconds", "For how long the copy has been in sync; absent when it is not.",
           _side("in_sync_for")),
    Metric("ovsha_side_lag_seconds", "How long the last token took to reach the copy.", _side("lag")),
    Metric("ovsha_side_term", "The highest term that the side has seen.", _side("term")),
    Metric("ovsha_side_stamp_term", "The term stamped into the side's database.", _side("stamp", "term")),
    Metric("ovsha_side_stamp_chosen", "1 when an operator moved the service to the node of the stamp.",
           _side("stamp", "chosen")),
    Metric("ovsha_side_token_number", "The number of the last token in the side's database, which grows in a term.",
           _side_token),
    Metric("ovsha_side_active_seconds", "For how long the side has served; absent when it does not.",
           _side("active_for")),
    Metric("ovsha_side_uptime_seconds", "For how long the side's agent has run.", _side("uptime")),
    Metric("ovsha_side_vip", "1 when the side holds the VIP.", _side("vip")),
    Metric("ovsha_side_listener", "1 when the listener on the VIP is open.", _side("listener")),
    Metric("ovsha_side_managers_open", "1 when the managers' remote is open.", _side("managers")),
    Metric("ovsha_side_controllers", "Controllers in session with the side's ovsdb-server.", _side("controllers")),
    Metric("ovsha_side_vtep_sessions", "VTEP daemons attached to the side over the VIP.", _side("vteps")),
    Metric("ovsha_side_link_up", "1 when the peer link has a carrier.", _side("link_up")),
    Metric("ovsha_side_empty", "1 when the side's database holds nothing.", _side("empty")),
    Metric("ovsha_side_cells", "Rows times columns of all tables of the side's database.", _side("cells")),
    Metric("ovsha_side_lapsed", "1 when the side slept or was started since it last heard its peer.",
           _side("lapsed")),
    Metric("ovsha_side_cut_off", "1 when clients did not answer the side for most of its peer's last silence.",
           _side("cut_off")),
    Metric("ovsha_side_trouble", "1 when something hinders the side.", _side_said("trouble")),
    # -- what is between the sides
    Metric("ovsha_path_up", "1 when heartbeats pass on the path in both directions.", _path_up),
    Metric("ovsha_path_state", "How the path is doing: 1 for the word that holds.", _path_state),
    Metric("ovsha_path_heard_age_seconds", "When a heartbeat last came in over the path.", _path("heard_age")),
    Metric("ovsha_path_echo_age_seconds", "When we sent the last heartbeat that the peer has heard there.",
           _path("echo_age")),
    Metric("ovsha_path_round_trip_seconds", "The smoothed round trip on the path.", _path("round_trip")),
    Metric("ovsha_source_loaded", "1 when the database of the peer's ovsdb-server has been read.",
           _at("source", "loaded")),
    Metric("ovsha_source_closed", "1 when the peer's ovsdb-server closed our session or refuses it.",
           _at("source", "closed")),
    Metric("ovsha_source_host_silent_seconds", "For how long the peer's host has acknowledged nothing.",
           _at("source", "host_silent_for")),
    Metric("ovsha_source_unanswered_seconds", "For how long the peer's ovsdb-server has owed an answer.",
           _at("source", "unanswered_for")),
    Metric("ovsha_source_role", "The role of the peer's ovsdb-server, as it says: 1 for the word that holds.",
           lambda document: _hot("role", Role, document["source"]["role"], {})),
    Metric("ovsha_source_stamp_term", "The term stamped into the database of the peer's ovsdb-server.",
           _at("source", "stamp", "term")),
    Metric("ovsha_source_stamp_chosen", "1 when an operator moved the service to the node of that stamp.",
           _at("source", "stamp", "chosen")),
    Metric("ovsha_source_token_number", "The number of the last token in the peer's database.",
           lambda document: _one({}, _token_number(document["source"]["token"]))),
    Metric("ovsha_clag_age_seconds", "When clagd last answered.", _at("clag", "age")),
    Metric("ovsha_clag_role", "The role that clagd tells: 1 for the word that holds, absent when it is not known.",
           lambda document: _hot("role", MlagRole, document["clag"]["role"], {})),
    Metric("ovsha_clag_peer_alive", "1 when clagd says that its peer is alive.", _at("clag", "peer_alive")),
    Metric("ovsha_clag_backup_active", "1 when clagd's backup path is active.", _at("clag", "backup_active")),
    Metric("ovsha_manager_connected", "1 when that controller is connected; only the active side knows.", _managers),
    # -- who gets in the way
    Metric("ovsha_collisions", "Collisions that are kept: strangers in the pair's name, other holders of the VIP.",
           _collision_count),
    Metric("ovsha_collision_sightings", "How often that collision was seen.", _collisions("count")),
    Metric("ovsha_collision_first_age_seconds", "When it was first seen.", _collisions("first_age")),
    Metric("ovsha_collision_last_age_seconds", "When it was last seen.", _collisions("last_age")),
    Metric("ovsha_divergence_rows", "Acknowledged rows that exist only in that ledger.", _divergences("rows")),
    Metric("ovsha_divergence_exact", "1 when all of them surely do.", _divergences("exact")),
    Metric("ovsha_collisions_missed", "Sightings of collisions that found no room, of late.",
           _at("collisions", "missed")),
    # -- what is counted
    *(Metric(f"ovsha_{name}_total", doc, _counter(name)) for name, doc in _COUNTERS.items()),
    Metric("ovsha_heartbeats_refused_total", "Heartbeats that were not believed, by the reason.", _refused),
    Metric("ovsha_exchange_refused_total", "Connections to the exchange that were closed, by the reason.",
           _exchange_refused),
    # -- what is configured
    Metric("ovsha_setting_seconds", "The times that decisions depend on; absent for ever.", _settings(True)),
    Metric("ovsha_setting", "The other numbers that decisions depend on.", _settings(False)),
)  # fmt: skip
"""Every metric but two that the serving thread adds: how old what it serves is, and whether the loop turns."""
