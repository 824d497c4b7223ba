"""Check the other agent: heard over both paths, in both directions, and the switch that it is believed to be."""

from __future__ import annotations

from typing import Any

from ovsha.checks.look import START, Look
from ovsha.checks.outcome import Outcome, critical, joined, ok, warning
from ovsha.core.words import ago, span

_NAMES = {"peer-link": "the peer link", "backup-path": "the backup path"}
_RECENT = 60.0
"""Seconds for which heartbeats that were sealed with another key tell why the peer is not heard."""


def check(look: Look) -> Outcome:
    """Return how the peer is heard."""
    document, peer = look.document, look.config.peer
    if look.config.standalone and document is None:
        why = look.trouble.removesuffix("; start ovsha")
        return critical(f"without the agent nothing is served again that stops: {why}", START)
    if look.config.standalone:
        return ok("this switch stands alone: there is no peer")
    if document is None:
        why = look.trouble.removesuffix("; start ovsha")
        return critical(f"without the agent {peer} is not heard here, and nothing moves by itself: {why}", START)
    identity, presence = document["identity"], document["presence"]
    facts = {"presence": presence, "paths": document["paths"]}
    if identity["stranger"] or identity["estranged"]:
        text = f"{peer} is not the switch that was learned as the peer, or does not know this one again"
        do = "if one of them was replaced: ovsha peer forget, on the other one; see ovsha peer show"
        return critical(text, do, **facts)
    if presence != "alive":
        said = document["sides"][peer]
        heard = ago(said["age"]) if said else "never"
        if _other_key(look, document):
            text = f"{peer} is {presence}, last heard {heard}: its heartbeats are sealed with another key"
            return critical(text, "copy pair.key_file from one switch to the other, and restart ovsha there", **facts)
        if presence == "silent":
            text = f"the agent on {peer} is silent, last heard {heard}, but the switch is not dead"
            return critical(text, f"start or restart ovsha on {peer}; on {peer}: ovsha check all", **facts)
        do = f"see that {peer} has power and runs ovsha, and that its links are up; on {peer}: ovsha check all"
        return critical(f"{peer} is {presence}: last heard {heard}", do, **facts)
    found = [each for name, path in document["paths"].items() for each in _path(peer, name, path)]
    if document["sides"][peer]["mode"] != "active":
        what = f"{peer} is heard, but its agent carries out nothing (mode {document['sides'][peer]['mode']})"
        found.append(warning(what, f"on {peer}: ovsha resume, or set mode: active in its configuration"))
    if "backup-path" not in document["paths"]:
        do = "set backup_path of both nodes in the configuration to their clagd-backup-ip addresses"
        text = "there is no backup path: a cut peer link cannot be told from a dead peer"
        found.append(warning(text, do))
    heard = "; ".join(_told(name, path) for name, path in document["paths"].items())
    return joined(found, ok(f"{peer} is alive, heard over {heard}", **facts))


def _other_key(look: Look, document: dict[str, Any]) -> bool:
    """Return whether heartbeats that come from the peer's own address were refused for their key a moment ago."""
    node = look.config.other
    own = (str(node.peer_link).partition("%")[0], str(node.backup_path))
    forged = (each for each in document["collisions"]["seen"] if each["kind"] == "forged")
    return any(each["address"] in own and each["last_age"] < _RECENT for each in forged)


def _path(peer: str, name: str, path: dict[str, Any]) -> list[Outcome]:
    where = _NAMES.get(name, name)
    if path["trouble"]:
        return [warning(f"{where} cannot be used from here: {path['trouble']}", "correct that address or that link")]
    if path["state"] in ("up", "degraded"):
        return []
    age = ago(path["heard_age"])
    what = {
        "one-way in": f"{peer} is heard over {where}, but does not hear this switch there",
        "one-way out": f"{peer} hears this switch over {where}, but is not heard there (last {age})",
    }.get(path["state"], f"{peer} is not heard over {where} (last {age})")
    do = f"see that {where} is up on both sides and that UDP passes both ways; on {peer}: ovsha check peer"
    return [warning(what, do)]


def _told(name: str, path: dict[str, Any]) -> str:
    trip = path["round_trip"]
    return _NAMES.get(name, name) + ("" if trip is None else f" (round trip {span(trip)})")
