"""Word the single facts of the status document, for the texts that are made of it."""

from __future__ import annotations

from typing import Any

from ovsha.core.words import ago, span

Side = dict[str, Any]
NONE = "-"

_OLD = 15.0
"""Seconds from which on the age of clagd's answer is told."""

_ALIVE = {True: "alive", False: "not alive", None: "perhaps not alive"}
_PATH = {True: "active", False: "inactive", None: "unknown"}


def how(side: Side) -> str:
    """Return what ovs-appctl(8) calls the way in which a backup stands to its source."""
    return "parked" if side["parked"] else "replicating" if side["replicating"] else "connecting"


def lineage(side: Side) -> str:
    """Return the term that the side's database was last opened in, and by whom."""
    stamp = side["stamp"]
    return missing(side) if stamp is None else f"{stamp['term']}, opened by {stamp['node']}"


def missing(side: Side) -> str:
    """Return what to say of a key that was not read: a server that does not answer may well have it."""
    return "none in the database" if side["life"] == "up" else "unknown"


def synced(side: Side) -> str:
    """Return since when the side's copy is in sync."""
    return "no" if side["in_sync_for"] is None else f"yes, for {span(side['in_sync_for'])}"


def session(source: dict[str, Any]) -> str:
    """Return how our session to the peer's server is, which is not ovsdb-server's own and so a second witness."""
    if source["closed"]:
        return "closed"
    if source["host_silent_for"] is None:
        return "not established"
    if source["host_silent_for"] >= 1.0:
        return f"the host has been silent for {span(source['host_silent_for'])}"
    if (source["unanswered_for"] or 0.0) >= 1.0:
        return f"the server has not answered for {span(source['unanswered_for'])}"
    return "alive"


def path(report: dict[str, Any], presence: str) -> str:
    """Return how a path of the heartbeats is doing; it need not be cut where only the peer's agent is silent."""
    state = "no heartbeats" if report["state"] == "down" and presence == "silent" else report["state"]
    text = f"{state}, heard {ago(report['heard_age'])}"
    if report["round_trip"] is not None and report["state"] not in ("down", "never"):
        text += f", round trip {report['round_trip'] * 1000:.1f} ms"
    return text + (f", {report['trouble']}" if report["trouble"] else "")


def clag(told: dict[str, Any]) -> str:
    """Return what clagd says, and how old that is."""
    age = "" if told["age"] is None or told["age"] < _OLD else f"; asked {ago(told['age'])}"
    if told["role"] is None:
        return f"role unknown: {told['trouble']}{age}"
    peer = f"peer {told['peer_role'] or 'of unknown role'}, {_ALIVE[told['peer_alive']]}"
    return f"{told['role']}; {peer}; backup path {_PATH[told['backup_active']]}{age}"


def handover(going: dict[str, Any]) -> str:
    """Return how far a planned move of the service is."""
    text = f"{going['kind']} to {going['to']}: "
    if not going["granted"]:
        return text + (f"refused, because {going['refusal']}" if going["refusal"] else "asked for")
    barrier = f", barrier {going['barrier']}" if going["barrier"] else ""
    return text + ("drained" if going["drained"] else "draining") + barrier
