"""Turn what the two switches know of each other's identity into what an operator reads."""

from __future__ import annotations

from typing import Any

from ovsha.core.words import ago


def peer_text(document: dict[str, Any]) -> str:
    """Return what `ovsha peer show` prints."""
    node, peer, identity = document["node"], document["peer"], document["identity"]
    if peer is None:
        known = f"; the former one, {identity['peer']}, is known until ovsha peer forget" if identity["peer"] else ""
        return f"{node}, this side: {identity['own'] or 'without an identity'}\nit stands alone, without a peer{known}"
    lines = [
        f"{node}, this side: {identity['own'] or 'without an identity'}",
        f"{peer}, the peer: {identity['peer'] or 'not learned yet'}",
    ]
    stranger = identity["stranger"]
    if stranger:
        heard = f"heard {ago(stranger['age'])}"
        lines += [
            f"a stranger by the name of {peer}: {stranger['identity'] or 'without an identity'}, {heard}",
            f"  do: if {peer} was replaced or lost its state directory, run `ovsha peer forget` on {node}",
        ]
    if identity["estranged"]:
        lines += [
            f"{peer} takes this switch for a stranger",
            f"  do: if this switch was replaced or lost its state directory, run `ovsha peer forget` on {peer}",
        ]
    return "\n".join(lines)


def forget_text(document: dict[str, Any]) -> str:
    """Return what `ovsha peer forget` prints; `forgotten` None: there was nothing to forget."""
    peer, forgotten = document["peer"] or "the former peer", document["forgotten"]
    which = f"is forgotten ({forgotten})" if forgotten else "was not known"
    return f"{peer} {which}; the next switch that has its name and the pair's key is learned"
