"""The table of metrics: each with its unit, its meaning, and where its samples come from.

A sample is its labels and its value.

Each row is a metric: its name with its unit, what it is, and where its samples come from.
Every number and every yes or no of the document is in one of them, which
tests/report/test_metrics.py holds.  What is not known has no sample, so that it is not taken for
a zero.  Each sample says by `pair` and `node` whose agent tells it; where it is about one
side of the pair, `side` names that and `whose` says whether it is the teller's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from ovsha.core.facts import Life, MlagRole, Mode, Presence, Role, State
from ovsha.protocol import heartbeat
from ovsha.protocol.path import PathState
from ovsha.report import diagnosis

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


def _further_counters(document: Document) -> list[Metric]:
    """Return a row for each counter that no row of the table tells: one that was added since."""
    told = {*_COUNTERS, *heartbeat.REASONS}
    return [
        Metric(f"ovsha_{name}_total", f"The counter {name} of ovsha status.", counter(name))
        for name in document["counters"]
        if name not in told and not name.startswith("exchange_")
    ]


_COUNTERS = {
    "moves": "Changes of this side's state since the agent started.",
    "incidents": "Times that somebody changed the role of ovsdb-server, its remotes, or the VIP.",
    "gaps": "Times that the agent was not scheduled for longer than the dead interval.",
    "decisions": "Times that this side could not go on without an operator.",
    "exchange_asked": "Questions of the peer that were answered over the exchange.",
    "unrecorded": "Lines of the flight recorder that were lost to a disk that took none.",
    "hooks_run": "Hooks that were run.",
    "hooks_failed": "Hooks that could not be started, ended with an error, or took too long and were killed.",
    "hooks_dropped": "Events that no hook was told of, because too many were waiting.",
}

METRICS: tuple[Metric, ...] = (
    Metric("ovsha_info", "The release of the agent, its peer, and the schema of the status; always 1.", info),
    Metric("ovsha_vip_info", "The VIP with its interface and port; always 1.", vip_info),
    Metric("ovsha_agent_pid", "The process id of the agent.", at("pid")),
    Metric("ovsha_uptime_seconds", "For how long the agent has run.", at("uptime")),
    Metric("ovsha_in_sync", "1 when one side is active and the other a living copy of it.", at("in_sync")),
    Metric("ovsha_standalone", "1 when this switch has no peer by its configuration.", at("standalone")),
    Metric("ovsha_healthy", "1 when ovsha status shows no problem.", at("healthy")),
    Metric("ovsha_problem", "Problems that ovsha status shows, by name and level.", problems),
    Metric("ovsha_step_failing", "1 for a step that failed when it was last tried.", failing),
    Metric("ovsha_last_move_age_seconds", "How long ago this side last changed its state.", at("moved", "age")),
    Metric("ovsha_last_service_move_age_seconds", "How long ago the service last moved, as far as this agent saw it.",
           at("service", "age")),
    Metric(
        "ovsha_handover_granted", "Whether an asked-for handover is granted; absent when none is asked for.",
        at("handover", "granted"),
    ),
    Metric(
        "ovsha_handover_drained", "Whether the serving side has drained for the handover; absent when there is none.",
        at("handover", "drained"),
    ),
    Metric("ovsha_pause_left_seconds", "When the pause of this side ends by itself; absent when it is not paused.",
           at("pause", "left")),
    Metric("ovsha_pause_saved", "1 when that pause would survive the agent.", at("pause", "saved")),
    Metric("ovsha_planned_switchover_left_seconds", "When the planned switchover begins; absent when none is planned.",
           at("planned_switchover", "left")),
    Metric("ovsha_planned_switchover_saved", "1 when that plan would survive the agent.",
           at("planned_switchover", "saved")),
    Metric("ovsha_preferred_chosen", "1 when an operator chose the preferred side.", at("preferred", "chosen")),
    Metric(
        "ovsha_presence", "What is known of the peer: 1 for the word that holds.",
        lambda document: hot("presence", Presence, None if document["peer"] is None else document["presence"], {}),
    ),
    Metric("ovsha_identity_estranged", "1 when another switch answers in the peer's place.", identity),
    Metric("ovsha_exposure_seconds", "For how long a failover would lose what was written; absent for nothing.",
           at("exposure", "age")),
    Metric("ovsha_exposure_tokens", "How many tokens that is.", at("exposure", "tokens")),
    Metric("ovsha_exposure_at_least", "1 when a clock that was set back hides for how long it is.",
           at("exposure", "at_least")),
    Metric("ovsha_exposure_beyond", "1 when that is more than failover.max_behind: the copy would not serve unasked.",
           at("exposure", "beyond")),
    # -- one side of the pair
    Metric("ovsha_side_age_seconds", "How old the last word of that side is.", of_side("age")),
    Metric("ovsha_side_current", "1 when the last word of that side is younger than the dead interval.",
           of_side("current")),
    Metric("ovsha_side_state", "The side's state: 1 for the word that holds.", side_is("state", "state", State)),
    Metric("ovsha_side_mode", "Whether the side acts, or an operator has it only watch: 1 for the word that holds.",
           side_is("mode", "mode", Mode)),
    Metric("ovsha_side_mode_left_seconds", "When a pause ends by itself; absent when there is none.",
           of_side("mode_left")),
    Metric("ovsha_side_upgrade_seconds", "For how long the side has been in an upgrade; absent when it is in none.",
           of_side("upgrade")),
    Metric("ovsha_side_upgraded_seconds", "How long ago its last upgrade was finished; absent after a week.",
           of_side("upgraded")),
    Metric("ovsha_side_undriven", "1 when its ovsdb-server runs, or may run, and takes no orders.",
           of_side("undriven")),
    Metric("ovsha_side_by_order", "1 when an operator ordered the service to be there; absent where it is not.",
           of_side("by_order")),
    Metric("ovsha_side_words", "Which words of the other side its release reads; 0 for this switch itself.",
           of_side("words")),
    Metric("ovsha_side_behind_seconds", "For how long its copy has lacked what is known; absent when it lacks nothing.",
           of_side("behind")),
    Metric("ovsha_side_serving", "1 when the side holds the VIP, its listener or the managers' remote.",
           of_side("serving")),
    Metric("ovsha_side_preferred", "1 for the side that should serve when both can.", side_preferred),
    Metric("ovsha_side_server_life", "Whether ovsdb-server lives: 1 for the word that holds.",
           side_is("life", "life", Life)),
    Metric("ovsha_side_server_role", "The role of ovsdb-server: 1 for the word that holds.",
           side_is("role", "role", Role)),
    Metric("ovsha_side_mlag_role", "The role that clagd gives the switch: 1 for the word that holds.",
           side_is("mlag", "role", MlagRole)),
    Metric("ovsha_side_overwritten", "1 when a client has written over its stamp or its token.",
           of_side("overwritten")),
    Metric("ovsha_side_goodbye", "1 when its agent has ended on purpose, and its server stays.",
           of_side("goodbye")),
    Metric("ovsha_side_replicating", "1 when ovsdb-server says that it replicates.", of_side("replicating")),
    Metric("ovsha_side_parked", "1 when ovsdb-server follows the address that cannot answer.", of_side("parked")),
    Metric("ovsha_side_in_sync", "1 when the side's copy holds what the active side had committed.",
           side_known("in_sync_for")),
    Metric("ovsha_side_in_sync_seconds", "For how long the copy has been in sync; absent when it is not.",
           of_side("in_sync_for")),
    Metric("ovsha_side_lag_seconds", "How long the last token took to reach the copy.", of_side("lag")),
    Metric("ovsha_side_term", "The highest term that the side has seen.", of_side("term")),
    Metric("ovsha_side_stamp_term", "The term stamped into the side's database.", of_side("stamp", "term")),
    Metric("ovsha_side_stamp_chosen", "1 when an operator moved the service to the node of the stamp.",
           of_side("stamp", "chosen")),
    Metric("ovsha_side_token_number", "The number of the last token in the side's database, which grows in a term.",
           side_token),
    Metric("ovsha_side_active_seconds", "For how long the side has served; absent when it does not.",
           of_side("active_for")),
    Metric("ovsha_side_uptime_seconds", "For how long the side's agent has run.", of_side("uptime")),
    Metric("ovsha_side_vip", "1 when the side holds the VIP.", of_side("vip")),
    Metric("ovsha_side_listener", "1 when the listener on the VIP is open.", of_side("listener")),
    Metric("ovsha_side_managers_open", "1 when the managers' remote is open.", of_side("managers")),
    Metric("ovsha_side_controllers", "Controllers in session with the side's ovsdb-server.",
           of_side("controllers")),
    Metric("ovsha_side_vtep_sessions", "VTEP daemons attached to the side over the VIP.", of_side("vteps")),
    Metric("ovsha_side_link_up", "1 when the peer link has a carrier.", of_side("link_up")),
    Metric("ovsha_side_empty", "1 when the side's database holds nothing.", of_side("empty")),
    Metric("ovsha_side_cells", "Rows times columns of all tables of the side's database.", of_side("cells")),
    Metric("ovsha_side_lapsed", "1 when the side slept or was started since it last heard its peer.",
           of_side("lapsed")),
    Metric("ovsha_side_cut_off", "1 when clients did not answer the side for most of its peer's last silence.",
           of_side("cut_off")),
    Metric("ovsha_side_trouble", "1 when something hinders the side.", side_said("trouble")),
    # -- what is between the sides
    Metric("ovsha_path_up", "1 when heartbeats pass on the path in both directions.", path_up),
    Metric("ovsha_path_state", "How the path is doing: 1 for the word that holds.", path_state),
    Metric("ovsha_path_heard_age_seconds", "When a heartbeat last came in over the path.", of_path("heard_age")),
    Metric("ovsha_path_echo_age_seconds", "When we sent the last heartbeat that the peer has heard there.",
           of_path("echo_age")),
    Metric("ovsha_path_round_trip_seconds", "The smoothed round trip on the path.", of_path("round_trip")),
    Metric("ovsha_source_loaded", "1 when the database of the peer's ovsdb-server has been read.",
           at("source", "loaded")),
    Metric("ovsha_source_closed", "1 when the peer's ovsdb-server closed our session or refuses it.",
           at("source", "closed")),
    Metric("ovsha_source_host_silent_seconds", "For how long the peer's host has acknowledged nothing.",
           at("source", "host_silent_for")),
    Metric("ovsha_source_unanswered_seconds", "For how long the peer's ovsdb-server has owed an answer.",
           at("source", "unanswered_for")),
    Metric("ovsha_source_role", "The role of the peer's ovsdb-server, as it says: 1 for the word that holds.",
           lambda document: hot("role", Role, document["source"]["role"], {})),
    Metric("ovsha_source_stamp_term", "The term stamped into the database of the peer's ovsdb-server.",
           at("source", "stamp", "term")),
    Metric("ovsha_source_stamp_chosen", "1 when an operator moved the service to the node of that stamp.",
           at("source", "stamp", "chosen")),
    Metric("ovsha_source_token_number", "The number of the last token in the peer's database.",
           lambda document: one({}, token_number(document["source"]["token"]))),
    Metric("ovsha_kernel_answered", "How many echoes the peer's kernel has answered since the agent started.",
           at("kernel", "answered")),
    Metric("ovsha_kernel_suspected_seconds", "For how long the peer is suspect without a sign of life; absent: not.",
           at("kernel", "suspected_for")),
    Metric("ovsha_kernel_packet_age_seconds", "When the peer's host last sent anything on our session to its server.",
           at("kernel", "packet_age")),
    Metric("ovsha_kernel_ended", "1 when the peer's host has ended or refused that session.",
           at("kernel", "ended")),
    Metric("ovsha_kernel_path_carrier", "1 when the interface here has a carrier, absent when no echo was answered.",
           of_kernel("carrier")),
    Metric("ovsha_kernel_path_answered_age_seconds", "When the peer's kernel last answered an echo on the path.",
           of_kernel("answered_age")),
    Metric("ovsha_kernel_path_answered_before_seconds", "The same, at the moment at which the peer became suspect.",
           of_kernel("before")),
    Metric("ovsha_kernel_path_asked", "How many echoes have left at once on the last suspicion.",
           of_kernel("asked")),
    Metric("ovsha_kernel_path_asked_age_seconds", "When the last one of them left.", of_kernel("asked_age")),
    Metric("ovsha_clag_age_seconds", "When clagd last answered.", at("clag", "age")),
    Metric("ovsha_clag_role", "The role that clagd tells: 1 for the word that holds, absent when it is not known.",
           lambda document: hot("role", MlagRole, document["clag"]["role"], {})),
    Metric("ovsha_clag_peer_alive", "1 when clagd says that its peer is alive.", at("clag", "peer_alive")),
    Metric("ovsha_clag_backup_active", "1 when clagd's backup path is active.", at("clag", "backup_active")),
    Metric("ovsha_manager_connected", "1 when that controller is connected; only the active side knows.",
           managers),
    # -- who gets in the way
    Metric("ovsha_collisions", "Collisions that are not over: strangers in the pair's name, other holders of the VIP.",
           collision_count),
    Metric("ovsha_collision_sightings", "How often that collision was seen.", collisions("count")),
    Metric("ovsha_collision_first_age_seconds", "When it was first seen.", collisions("first_age")),
    Metric("ovsha_collision_last_age_seconds", "When it was last seen.", collisions("last_age")),
    Metric("ovsha_divergence_rows", "Acknowledged rows that exist only in that ledger.", divergences(True)),
    Metric("ovsha_divergence_doubts", "Rows in that ledger of which it is not known who deleted or changed them.",
           divergences(False)),
    Metric("ovsha_divergence_exact", "1 when none of them is a doubt.", divergences(None)),
    Metric("ovsha_collisions_missed", "Sightings of collisions that found no room, of late.",
           at("collisions", "missed")),
    # -- what is counted
    *(Metric(f"ovsha_{name}_total", doc, counter(name)) for name, doc in _COUNTERS.items()),
    Metric("ovsha_heartbeats_refused_total", "Heartbeats that were not believed, by the reason.", refused),
    Metric("ovsha_exchange_refused_total", "Connections to the exchange that were closed, by the reason.",
           exchange_refused),
    # -- what is configured
    Metric("ovsha_setting_seconds", "The times that decisions depend on; absent for ever.", settings(True)),
    Metric("ovsha_setting", "The other numbers that decisions depend on.", settings(False)),
)  # fmt: skip
"""Every metric but two that the serving thread adds: how old what it serves is, and whether the loop turns."""
