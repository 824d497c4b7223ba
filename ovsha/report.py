"""Gather from a running agent what its status shows beyond its decision."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from datetime import datetime

from ovsha import __version__
from ovsha.agent import Agent
from ovsha.core.case import Case
from ovsha.core.facts import Role
from ovsha.core.moment import exposure
from ovsha.core.outside import Identities, Manager, Moved, Outside, PathReport, Stands, Upgrade


def outside(agent: Agent, now: float) -> Outside:
    """Return what surrounds the agent's last decision; `now` is on the agent's clock."""
    config, switch, orders = agent.config, agent.switch, agent.orders
    active = agent.view is not None and agent.view.server.role is Role.ACTIVE
    step = agent.decision.step if agent.decision is not None else None
    return Outside(
        version=__version__,
        pair=config.pair.id,
        pid=os.getpid(),
        uptime=now - agent.started,
        database=config.server.database,
        vip=switch.vip_address,
        vip_interface=config.vip.interface,
        vip_port=config.vip.port,
        paths=_paths(agent, now),
        clag_age=switch.clag.age(now),
        managers=tuple(Manager(row.target, active and row.connected) for row in switch.server.contents.managers),
        counters={
            **agent.counters,
            **switch.conversation.counters,
            **switch.exchange.counters,
            **agent.recorder.counters,
        },
        moved=None if agent.moved is None else Moved(now - agent.moved[0], agent.moved[1]),
        service=agent.meter.last(now),
        under_way=orders.under_way.value if orders.under_way else "",
        # An error of a step that is no longer wanted is history.
        failing={each.value: error for each, error in orders.failing.items() if each is step},
        undone=orders.undone.listed(now),
        troubles={**switch.troubles, **_written(agent), **agent.aftermath.troubles, **agent.recorder.troubles},
        server_trouble=switch.server.trouble,
        server_file=switch.server.astray,
        server_control=switch.server.control_socket,
        source_trouble=switch.source.trouble,
        collisions=switch.collisions.listed(now),
        collisions_missed=switch.collisions.missed(now),
        snapshots=switch.snapshots.newest() if agent.decision and agent.decision.record.decision else (),
        identities=_identities(agent, now),
        divergences=agent.aftermath.divergences,
        upgrade=_upgrade(agent),
        lacking_since=_lacking_since(agent),
        **_standing(agent),
    )


def _lacking_since(agent: Agent) -> str:
    """Return since which time of day what one side has is lacking on the other, "" when nothing is."""
    if agent.view is None or agent.decision is None:
        return ""
    exposed = exposure(Case(agent.view, agent.decision.memory, agent.decision.presence))
    return "" if exposed is None else moment(time.time() - exposed.behind.age)


def _standing(agent: Agent) -> dict[str, Stands | None]:
    keeper, wall = agent.standing, time.time()

    def told(left: float, who: str, reason: str, to: str = "") -> Stands:
        return Stands(moment(wall + left), left, who, reason, to, keeper.saved)

    pause, plan, forgotten = keeper.now.pause, keeper.now.plan, keeper.now.forgotten
    return {
        "pause": told(keeper.left, pause.who, pause.reason) if pause else None,
        "plan": told(plan.at - wall, plan.who, plan.reason, plan.to) if plan else None,
        "forgotten": told(-keeper.forgotten_for, forgotten.who, forgotten.reason) if forgotten else None,
    }


def _written(agent: Agent) -> dict[str, str]:
    kept = {
        "upgrade": agent.upgrading.trouble, "standing": agent.standing.trouble, "peer-token": agent.peer_token.trouble,
    }  # fmt: skip
    return {what: trouble for what, trouble in kept.items() if trouble}


def _upgrade(agent: Agent) -> Upgrade | None:
    keeper = agent.upgrading
    now, age, limit = keeper.now, keeper.age, keeper.limit
    if now is None or age is None:
        return None
    return Upgrade(moment(now.began), age, limit, age >= limit, now.who, now.reason, now.save, keeper.saved)


def moment(at: float) -> str:
    """Return a time of day, seconds since 1970, in the local zone, as ISO 8601 writes it."""
    return datetime.fromtimestamp(at).astimezone().isoformat(timespec="seconds")


def _identities(agent: Agent, now: float) -> Identities:
    conversation = agent.switch.conversation
    stranger = conversation.peer.stranger(now, agent.config.heartbeat.dead_interval)
    known = Identities(conversation.identity, conversation.peer.identity)
    if stranger is None:
        return known
    return replace(known, stranger=stranger.identity, stranger_age=now - stranger.heard_at)


def _paths(agent: Agent, now: float) -> dict[str, PathReport]:
    conversation, dead_interval = agent.switch.conversation, agent.config.heartbeat.dead_interval
    return {
        name: PathReport(conversation.path_state(name, now, dead_interval), trouble)
        for name, trouble in agent.switch.peer.trouble.items()
    }
