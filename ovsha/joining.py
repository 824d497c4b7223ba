"""Take the orders by which a pair is made: serve alone until the second switch joins, know a new unit as the peer."""

from __future__ import annotations

import logging
from typing import Any, Protocol

from ovsha import acting
from ovsha.core import founding
from ovsha.drivers.exchange import Exchange
from ovsha.errors import DriverError
from ovsha.exchange import REPLACE


class Switch(Protocol):
    """What this needs of the drivers."""

    exchange: Exchange

    @property
    def peer_identity(self) -> str:
        """The identity by which the peer is known, "" when it was never met."""

    def learn_peer(self, identity: str) -> None:
        """Take the switch with this identity for the peer from now on."""


class Joined(acting.Ordered, Protocol):
    """What this needs of an agent."""

    @property
    def switch(self) -> Any:
        """Its drivers, a `Switch`."""


def register(agent: Joined) -> None:
    """Have the exchange take the order of a unit that was put in the peer's place."""
    agent.switch.exchange.methods[REPLACE] = lambda params: replace_peer(agent, params)


def found_refusal(agent: Joined) -> str:
    """Say why this side must not serve alone as the first of a new pair, "" when it may."""
    now = acting.case(agent)
    return acting.EARLY if now is None else founding.refusal(now, agent.switch.peer_identity)


def found(agent: Joined, reason: str, who: str) -> str:
    """Serve alone until the other side has joined; return why that is refused, "" when it is not."""
    now, refused = acting.case(agent), found_refusal(agent)
    if now is not None and not refused:
        agent.memory = founding.ordered(now)
        config = agent.config
        text = f"{who or 'an operator'} has {config.node} serve alone until {config.peer} joins the pair"
        agent.recorder.event("order", text, order="found", to=config.node, reason=reason, who=who)
    return refused


def replace_peer(agent: Joined, params: Any) -> dict[str, Any]:
    """Know the unit that asks as the peer; it has our pair key, and its operator says that it takes the peer's place.

    Raises DriverError with why that is refused.
    """
    now = acting.case(agent)
    if now is None:
        raise DriverError(acting.EARLY)
    if not isinstance(params, dict) or not all(isinstance(params.get(name), str) for name in ("node", "identity")):
        raise DriverError("it needs the node and the identity of the new unit")
    node, identity, known = params["node"], params["identity"], agent.switch.peer_identity
    refused = founding.replacement_refusal(now, node, identity, known)
    if refused:
        raise DriverError(refused)
    if identity != known:
        agent.switch.learn_peer(identity)
        who = params.get("who") if isinstance(params.get("who"), str) else ""
        text = f"{who or 'an operator'} put a new unit in the place of {node}: its identity is {identity}, and was "
        facts = {"order": "peer-replace", "identity": identity, "was": known, "who": who}
        agent.recorder.event("order", text + (known or "not known"), logging.WARNING, **facts)
    return {"node": node, "identity": identity, "was": known or None}
