"""Show which switch this one takes for its peer, or have it learn the peer anew."""

from __future__ import annotations

import argparse
from typing import Any

from ovsha import SCHEMA, client
from ovsha.commands import consent
from ovsha.commands.common import find, group, need_pair, question, show
from ovsha.core.identity_text import forget_text, peer_text


def add(commands: Any) -> None:
    """Add `peer show` and `peer forget`."""
    actions = group(commands, "peer", "look at the switch that was learned as the peer")
    question(actions, "show", _show, "show by which identities the two know each other; exit status 1 if they do not")
    consent.add(
        question(actions, "forget", _forget, "learn the peer anew, when it was replaced or lost its state directory")
    )


def _show(options: argparse.Namespace) -> int:
    document = client.ask_json(find(options), "status", "json", schema=SCHEMA)
    show(options, _part(document), peer_text)
    identity = document["identity"]
    return 1 if identity["stranger"] or identity["estranged"] else 0


def _forget(options: argparse.Namespace) -> int:
    agent = find(options)
    document = client.ask_json(agent, "status", "json", schema=SCHEMA)
    need_pair(document)
    what = f"the identity of {document['peer']} will be forgotten; the next switch of that name with our key is learned"
    consent.ask(options, what)
    document = client.ask_json(agent, "peer-forget", "json", schema=SCHEMA)
    show(options, document, forget_text)
    return 0


def _part(document: dict[str, Any]) -> dict[str, Any]:
    return {key: document[key] for key in ("schema", "node", "peer", "presence", "identity")}
