"""Turn the document of `ovsha.core.status` into metrics for Prometheus: one table.

Each row is a metric: its name with its unit, what it is, and where its samples come from.
Every number and every yes or no of the document is in one of them, which
tests/test_metrics.py holds.  What is not known has no sample, so that it is not taken for
a zero.  Each sample says by `pair` and `node` whose agent tells it; where it is about one
side of the pair, `side` names that and `whose` says whether it is the teller's own.
"""

from __future__ import annotations

from dataclasses import dataclass

from ovsha.core import heartbeat
from ovsha.core import metric_finders as find
from ovsha.core.facts import Life, MlagRole, Mode, Presence, Role, State
from ovsha.core.metric_finders import Document, Finder, Sample

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
        Metric(f"ovsha_{name}_total", f"The counter {name} of ovsha status.", find.counter(name))
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
    Metric("ovsha_info", "The release of the agent, its peer, and the schema of the status; always 1.", find.info),
    Metric("ovsha_vip_info", "The VIP with its interface and port; always 1.", find.vip_info),
    Metric("ovsha_agent_pid", "The process id of the agent.", find.at("pid")),
    Metric("ovsha_uptime_seconds", "For how long the agent has run.", find.at("uptime")),
    Metric("ovsha_in_sync", "1 when one side is active and the other a living copy of it.", find.at("in_sync")),
    Metric("ovsha_standalone", "1 when this switch has no peer by its configuration.", find.at("standalone")),
    Metric("ovsha_healthy", "1 when ovsha status shows no problem.", find.at("healthy")),
    Metric("ovsha_problem", "Problems that ovsha status shows, by name and level.", find.problems),
    Metric("ovsha_step_failing", "1 for a step that failed when it was last tried.", find.failing),
    Metric("ovsha_last_move_age_seconds", "How long ago this side last changed its state.", find.at("moved", "age")),
    Metric("ovsha_last_service_move_age_seconds", "How long ago the service last moved, as far as this agent saw it.",
           find.at("service", "age")),
    Metric(
        "ovsha_handover_granted", "Whether an asked-for handover is granted; absent when none is asked for.",
        find.at("handover", "granted"),
    ),
    Metric(
        "ovsha_handover_drained", "Whether the serving side has drained for the handover; absent when there is none.",
        find.at("handover", "drained"),
    ),
    Metric("ovsha_pause_left_seconds", "When the pause of this side ends by itself; absent when it is not paused.",
           find.at("pause", "left")),
    Metric("ovsha_pause_saved", "1 when that pause would survive the agent.", find.at("pause", "saved")),
    Metric("ovsha_planned_switchover_left_seconds", "When the planned switchover begins; absent when none is planned.",
           find.at("planned_switchover", "left")),
    Metric("ovsha_planned_switchover_saved", "1 when that plan would survive the agent.",
           find.at("planned_switchover", "saved")),
    Metric("ovsha_preferred_chosen", "1 when an operator chose the preferred side.", find.at("preferred", "chosen")),
    Metric(
        "ovsha_presence", "What is known of the peer: 1 for the word that holds.",
        lambda document: find.hot("presence", Presence, None if document["peer"] is None else document["presence"], {}),
    ),
    Metric("ovsha_identity_estranged", "1 when another switch answers in the peer's place.", find.identity),
    Metric("ovsha_exposure_seconds", "For how long a failover would lose what was written; absent for nothing.",
           find.at("exposure", "age")),
    Metric("ovsha_exposure_tokens", "How many tokens that is.", find.at("exposure", "tokens")),
    Metric("ovsha_exposure_at_least", "1 when a clock that was set back hides for how long it is.",
           find.at("exposure", "at_least")),
    Metric("ovsha_exposure_beyond", "1 when that is more than failover.max_behind: the copy would not serve unasked.",
           find.at("exposure", "beyond")),
    # -- one side of the pair
    Metric("ovsha_side_age_seconds", "How old the last word of that side is.", find.of_side("age")),
    Metric("ovsha_side_current", "1 when the last word of that side is younger than the dead interval.",
           find.of_side("current")),
    Metric("ovsha_side_state", "The side's state: 1 for the word that holds.", find.side_is("state", "state", State)),
    Metric("ovsha_side_mode", "Whether the side acts, or an operator has it only watch: 1 for the word that holds.",
           find.side_is("mode", "mode", Mode)),
    Metric("ovsha_side_mode_left_seconds", "When a pause ends by itself; absent when there is none.",
           find.of_side("mode_left")),
    Metric("ovsha_side_upgrade_seconds", "For how long the side has been in an upgrade; absent when it is in none.",
           find.of_side("upgrade")),
    Metric("ovsha_side_upgraded_seconds", "How long ago its last upgrade was finished; absent after a week.",
           find.of_side("upgraded")),
    Metric("ovsha_side_undriven", "1 when its ovsdb-server runs, or may run, and takes no orders.",
           find.of_side("undriven")),
    Metric("ovsha_side_by_order", "1 when an operator ordered the service to be there; absent where it is not.",
           find.of_side("by_order")),
    Metric("ovsha_side_words", "Which words of the other side its release reads; 0 for this switch itself.",
           find.of_side("words")),
    Metric("ovsha_side_behind_seconds", "For how long its copy has lacked what is known; absent when it lacks nothing.",
           find.of_side("behind")),
    Metric("ovsha_side_serving", "1 when the side holds the VIP, its listener or the managers' remote.",
           find.of_side("serving")),
    Metric("ovsha_side_preferred", "1 for the side that should serve when both can.", find.side_preferred),
    Metric("ovsha_side_server_life", "Whether ovsdb-server lives: 1 for the word that holds.",
           find.side_is("life", "life", Life)),
    Metric("ovsha_side_server_role", "The role of ovsdb-server: 1 for the word that holds.",
           find.side_is("role", "role", Role)),
    Metric("ovsha_side_mlag_role", "The role that clagd gives the switch: 1 for the word that holds.",
           find.side_is("mlag", "role", MlagRole)),
    Metric("ovsha_side_overwritten", "1 when a client has written over its stamp or its token.",
           find.of_side("overwritten")),
    Metric("ovsha_side_goodbye", "1 when its agent has ended on purpose, and its server stays.",
           find.of_side("goodbye")),
    Metric("ovsha_side_replicating", "1 when ovsdb-server says that it replicates.", find.of_side("replicating")),
    Metric("ovsha_side_parked", "1 when ovsdb-server follows the address that cannot answer.", find.of_side("parked")),
    Metric("ovsha_side_in_sync", "1 when the side's copy holds what the active side had committed.",
           find.side_known("in_sync_for")),
    Metric("ovsha_side_in_sync_seconds", "For how long the copy has been in sync; absent when it is not.",
           find.of_side("in_sync_for")),
    Metric("ovsha_side_lag_seconds", "How long the last token took to reach the copy.", find.of_side("lag")),
    Metric("ovsha_side_term", "The highest term that the side has seen.", find.of_side("term")),
    Metric("ovsha_side_stamp_term", "The term stamped into the side's database.", find.of_side("stamp", "term")),
    Metric("ovsha_side_stamp_chosen", "1 when an operator moved the service to the node of the stamp.",
           find.of_side("stamp", "chosen")),
    Metric("ovsha_side_token_number", "The number of the last token in the side's database, which grows in a term.",
           find.side_token),
    Metric("ovsha_side_active_seconds", "For how long the side has served; absent when it does not.",
           find.of_side("active_for")),
    Metric("ovsha_side_uptime_seconds", "For how long the side's agent has run.", find.of_side("uptime")),
    Metric("ovsha_side_vip", "1 when the side holds the VIP.", find.of_side("vip")),
    Metric("ovsha_side_listener", "1 when the listener on the VIP is open.", find.of_side("listener")),
    Metric("ovsha_side_managers_open", "1 when the managers' remote is open.", find.of_side("managers")),
    Metric("ovsha_side_controllers", "Controllers in session with the side's ovsdb-server.",
           find.of_side("controllers")),
    Metric("ovsha_side_vtep_sessions", "VTEP daemons attached to the side over the VIP.", find.of_side("vteps")),
    Metric("ovsha_side_link_up", "1 when the peer link has a carrier.", find.of_side("link_up")),
    Metric("ovsha_side_empty", "1 when the side's database holds nothing.", find.of_side("empty")),
    Metric("ovsha_side_cells", "Rows times columns of all tables of the side's database.", find.of_side("cells")),
    Metric("ovsha_side_lapsed", "1 when the side slept or was started since it last heard its peer.",
           find.of_side("lapsed")),
    Metric("ovsha_side_cut_off", "1 when clients did not answer the side for most of its peer's last silence.",
           find.of_side("cut_off")),
    Metric("ovsha_side_trouble", "1 when something hinders the side.", find.side_said("trouble")),
    # -- what is between the sides
    Metric("ovsha_path_up", "1 when heartbeats pass on the path in both directions.", find.path_up),
    Metric("ovsha_path_state", "How the path is doing: 1 for the word that holds.", find.path_state),
    Metric("ovsha_path_heard_age_seconds", "When a heartbeat last came in over the path.", find.of_path("heard_age")),
    Metric("ovsha_path_echo_age_seconds", "When we sent the last heartbeat that the peer has heard there.",
           find.of_path("echo_age")),
    Metric("ovsha_path_round_trip_seconds", "The smoothed round trip on the path.", find.of_path("round_trip")),
    Metric("ovsha_source_loaded", "1 when the database of the peer's ovsdb-server has been read.",
           find.at("source", "loaded")),
    Metric("ovsha_source_closed", "1 when the peer's ovsdb-server closed our session or refuses it.",
           find.at("source", "closed")),
    Metric("ovsha_source_host_silent_seconds", "For how long the peer's host has acknowledged nothing.",
           find.at("source", "host_silent_for")),
    Metric("ovsha_source_unanswered_seconds", "For how long the peer's ovsdb-server has owed an answer.",
           find.at("source", "unanswered_for")),
    Metric("ovsha_source_role", "The role of the peer's ovsdb-server, as it says: 1 for the word that holds.",
           lambda document: find.hot("role", Role, document["source"]["role"], {})),
    Metric("ovsha_source_stamp_term", "The term stamped into the database of the peer's ovsdb-server.",
           find.at("source", "stamp", "term")),
    Metric("ovsha_source_stamp_chosen", "1 when an operator moved the service to the node of that stamp.",
           find.at("source", "stamp", "chosen")),
    Metric("ovsha_source_token_number", "The number of the last token in the peer's database.",
           lambda document: find.one({}, find.token_number(document["source"]["token"]))),
    Metric("ovsha_kernel_answered", "How many echoes the peer's kernel has answered since the agent started.",
           find.at("kernel", "answered")),
    Metric("ovsha_kernel_suspected_seconds", "For how long the peer is suspect without a sign of life; absent: not.",
           find.at("kernel", "suspected_for")),
    Metric("ovsha_kernel_packet_age_seconds", "When the peer's host last sent anything on our session to its server.",
           find.at("kernel", "packet_age")),
    Metric("ovsha_kernel_ended", "1 when the peer's host has ended or refused that session.",
           find.at("kernel", "ended")),
    Metric("ovsha_kernel_path_carrier", "1 when the interface here has a carrier, absent when no echo was answered.",
           find.of_kernel("carrier")),
    Metric("ovsha_kernel_path_answered_age_seconds", "When the peer's kernel last answered an echo on the path.",
           find.of_kernel("answered_age")),
    Metric("ovsha_kernel_path_answered_before_seconds", "The same, at the moment at which the peer became suspect.",
           find.of_kernel("before")),
    Metric("ovsha_kernel_path_asked", "How many echoes have left at once on the last suspicion.",
           find.of_kernel("asked")),
    Metric("ovsha_kernel_path_asked_age_seconds", "When the last one of them left.", find.of_kernel("asked_age")),
    Metric("ovsha_clag_age_seconds", "When clagd last answered.", find.at("clag", "age")),
    Metric("ovsha_clag_role", "The role that clagd tells: 1 for the word that holds, absent when it is not known.",
           lambda document: find.hot("role", MlagRole, document["clag"]["role"], {})),
    Metric("ovsha_clag_peer_alive", "1 when clagd says that its peer is alive.", find.at("clag", "peer_alive")),
    Metric("ovsha_clag_backup_active", "1 when clagd's backup path is active.", find.at("clag", "backup_active")),
    Metric("ovsha_manager_connected", "1 when that controller is connected; only the active side knows.",
           find.managers),
    # -- who gets in the way
    Metric("ovsha_collisions", "Collisions that are not over: strangers in the pair's name, other holders of the VIP.",
           find.collision_count),
    Metric("ovsha_collision_sightings", "How often that collision was seen.", find.collisions("count")),
    Metric("ovsha_collision_first_age_seconds", "When it was first seen.", find.collisions("first_age")),
    Metric("ovsha_collision_last_age_seconds", "When it was last seen.", find.collisions("last_age")),
    Metric("ovsha_divergence_rows", "Acknowledged rows that exist only in that ledger.", find.divergences(True)),
    Metric("ovsha_divergence_doubts", "Rows in that ledger of which it is not known who deleted or changed them.",
           find.divergences(False)),
    Metric("ovsha_divergence_exact", "1 when none of them is a doubt.", find.divergences(None)),
    Metric("ovsha_collisions_missed", "Sightings of collisions that found no room, of late.",
           find.at("collisions", "missed")),
    # -- what is counted
    *(Metric(f"ovsha_{name}_total", doc, find.counter(name)) for name, doc in _COUNTERS.items()),
    Metric("ovsha_heartbeats_refused_total", "Heartbeats that were not believed, by the reason.", find.refused),
    Metric("ovsha_exchange_refused_total", "Connections to the exchange that were closed, by the reason.",
           find.exchange_refused),
    # -- what is configured
    Metric("ovsha_setting_seconds", "The times that decisions depend on; absent for ever.", find.settings(True)),
    Metric("ovsha_setting", "The other numbers that decisions depend on.", find.settings(False)),
)  # fmt: skip
"""Every metric but two that the serving thread adds: how old what it serves is, and whether the loop turns."""
