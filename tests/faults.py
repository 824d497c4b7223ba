"""What can happen to a simulated pair, by the names that schedules and scenarios use."""

from __future__ import annotations

from collections.abc import Callable

from ovsha.core.facts import MlagRole
from sim_side import BACKUP, LINK
from simulation import NODES, Pair

Fault = Callable[[Pair], None]

OF_A_SWITCH = {
    "server kill": Pair.server_kill,
    "server start": Pair.server_start,
    "server freeze": Pair.server_freeze,
    "server thaw": Pair.server_thaw,
    "server stall": Pair.server_stall,
    "agent kill": Pair.agent_kill,
    "agent start": Pair.agent_start,
    "agent freeze": Pair.agent_freeze,
    "agent thaw": Pair.agent_thaw,
    "power off": Pair.power_off,
    "power on": Pair.power_on,
    "switchover": Pair.switchover,
}
ROLES = {"primary": MlagRole.PRIMARY, "secondary": MlagRole.SECONDARY, "unknown": None}


def _cut_both(pair: Pair) -> None:
    pair.cut(LINK)
    pair.cut(BACKUP)


def _heal_both(pair: Pair) -> None:
    pair.heal(LINK)
    pair.heal(BACKUP)


def _of_switches() -> dict[str, Fault]:
    return {
        f"{node} {name}": lambda pair, act=act, node=node: act(pair, node)  # type: ignore[misc]
        for node in NODES
        for name, act in OF_A_SWITCH.items()
    }


def _of_paths() -> dict[str, Fault]:
    one_way: dict[str, Fault] = {
        f"{path} cut from {node}": lambda pair, path=path, node=node: pair.cut(path, node)  # type: ignore[misc]
        for path in (LINK, BACKUP)
        for node in NODES
    }
    return one_way | {
        "peer-link cut": lambda pair: pair.cut(LINK),
        "peer-link down": lambda pair: pair.cut(LINK, carrier=True),
        "peer-link cut for heartbeats": lambda pair: pair.cut(LINK, tcp=False),
        "peer-link heal": lambda pair: pair.heal(LINK),
        "backup-path cut": lambda pair: pair.cut(BACKUP),
        "backup-path heal": lambda pair: pair.heal(BACKUP),
        "paths cut": _cut_both,
        "paths heal": _heal_both,
        "packets lost": lambda pair: setattr(pair, "loss", 0.2),
    }


def _of_clagd() -> dict[str, Fault]:
    return {
        f"clagd {one} {two}": lambda pair, roles=(ROLES[one], ROLES[two]): pair.clag_roles(*roles)  # type: ignore[misc]
        for one in ROLES
        for two in ROLES
    }


FAULTS: dict[str, Fault] = _of_switches() | _of_paths() | _of_clagd() | {
    "orders refused": lambda pair: setattr(pair, "refusals", 0.2)
}  # fmt: skip
