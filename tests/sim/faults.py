"""What can happen to a simulated pair, by the names that schedules and scenarios use."""

from __future__ import annotations

from collections.abc import Callable

from ovsha.core.facts import MlagRole
from tests.sim.network import BACKUP, LINK, NODES
from tests.sim.pair import Pair
from tests.sim.server import SimServer

Fault = Callable[[Pair], None]

OF_A_SWITCH = {
    "server kill": Pair.server_kill,
    "server start": Pair.server_start,
    "server freeze": Pair.server_freeze,
    "server thaw": Pair.server_thaw,
    "server stall": Pair.server_stall,
    "server start plain": Pair.server_start_plain,
    "server returns plain": lambda pair, node: pair.server_returns(node, None, plain=True),
    "server returns blank": lambda pair, node: pair.server_returns(node, SimServer.blank),
    "server returns blank and plain": lambda pair, node: pair.server_returns(node, SimServer.blank, plain=True),
    "server returns rolled back": lambda pair, node: pair.server_returns(node, SimServer.roll_back),
    "server returns with an old file": lambda pair, node: pair.server_returns(node, SimServer.return_file),
    "server upgraded": Pair.server_upgraded,
    "server rejects": Pair.server_rejects,
    "server promoted by hand": Pair.server_promoted_by_hand,
    "server connected by hand": Pair.server_connected_by_hand,
    "client clears": Pair.client_clears,
    "client sets back": Pair.client_sets_back,
    "client claims": Pair.client_claims,
    "client exaggerates": Pair.client_exaggerates,
    "agent kill": Pair.agent_kill,
    "agent start": Pair.agent_start,
    "agent stop": Pair.agent_stop,
    "agent freeze": Pair.agent_freeze,
    "agent thaw": Pair.agent_thaw,
    "power off": Pair.power_off,
    "power on": Pair.power_on,
    "death in stages": Pair.death_in_stages,
    "switchover": Pair.switchover,
    "restore ordered": Pair.restore,
    "order called off": Pair.recall,
    "upgrade prepare": Pair.upgrade_prepare,
    "upgrade finish": Pair.upgrade_finish,
    "clagd stop": Pair.clagd_stop,
    "clagd crash": Pair.clagd_crash,
    "clagd start": Pair.clagd_start,
    "clagd preferred": Pair.clagd_prefers,
    "uplink cut": lambda pair, node: pair.network.no_uplink.add(node),
    "uplink heal": lambda pair, node: pair.network.no_uplink.discard(node),
    "copying filtered": lambda pair, node: pair.filter_copying(node),
    "copying passes": lambda pair, node: pair.network.filtered.discard(node),
    "misled": lambda pair, node: pair.network.misled.add(node),
}
BY_HAND = ("connected by hand",)
"""What is in the name of a fault that erases data by an operator's own order: no law forbids that."""
ROLES = {"primary": MlagRole.PRIMARY, "secondary": MlagRole.SECONDARY, "unknown": None}


def _cut_both(pair: Pair) -> None:
    pair.cut(LINK)
    pair.cut(BACKUP)


def _heal_both(pair: Pair) -> None:
    pair.heal(LINK)
    pair.heal(BACKUP)


def _no_backup_path(pair: Pair) -> None:
    """Cut the backup path, and let clagd know of none."""
    pair.cut(BACKUP)
    for host in pair.hosts.values():
        host.clagd.has_backup_path = False


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
        "packets lost": lambda pair: setattr(pair.network, "loss", 0.2),
        "packets doubled": lambda pair: setattr(pair.network, "doubled", 0.5),
        "packets overtaken": lambda pair: setattr(pair.network, "overtaken", 0.5),
        "packets repeated": lambda pair: setattr(pair.network, "repeated", 0.3),
        "no backup path": _no_backup_path,
    }


def _of_clagd() -> dict[str, Fault]:
    return {
        f"clagd {one} {two}": lambda pair, roles=(ROLES[one], ROLES[two]): pair.clag_roles(*roles)  # type: ignore[misc]
        for one in ROLES
        for two in ROLES
    }


_ALL: dict[str, Fault] = _of_switches() | _of_paths() | _of_clagd() | {
    "orders refused": lambda pair: setattr(pair, "refusals", 0.2),
    "clocks set back": lambda pair: setattr(pair, "clock_error", pair.clock_error - 300.0),
    "clocks set ahead": lambda pair: setattr(pair, "clock_error", pair.clock_error + 300.0),
}  # fmt: skip


def _noted(name: str, fault: Fault) -> Fault:
    """Return the fault, which leaves its name and its moment in the pair for the replay."""

    def act(pair: Pair) -> None:
        pair.done.append((pair.clock.now, name))
        fault(pair)

    return act


FAULTS = {name: _noted(name, fault) for name, fault in _ALL.items()}
