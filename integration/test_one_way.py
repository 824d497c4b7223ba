"""Heartbeats are lost in one direction only, on one path or on both: nothing moves, and both sides name the way.

Only the heartbeats are lost, so that whatever else is noticed has its cause in them.
"""

from __future__ import annotations

import pytest

from lab import Lab
from story import LIMIT, MakeLab, await_pair, begin, in_sync, other, status, undisturbed
from switch import Switch
from topology import INTERFACE, Line

NAMES: dict[Line, str] = {"peer link": "peer-link", "backup path": "backup-path"}
LOST = "table netdev lost_heartbeats"


def deafen(switch: Switch, *paths: Line) -> None:
    """Lose every heartbeat that arrives at `switch` over these paths."""
    rules = [f"add {LOST}"]
    for number, path in enumerate(paths):
        hook = f'{{ type filter hook ingress device "{INTERFACE[path]}" priority 0; }}'
        rules.append(f"add chain netdev lost_heartbeats path{number} {hook}")
        rules.append(f"add rule netdev lost_heartbeats path{number} udp dport 5344 drop")
    assert switch.run("nft", "; ".join(rules)).returncode == 0


def hear_again(switch: Switch) -> None:
    assert switch.run("nft", f"delete {LOST}").returncode == 0


def path_state(switch: Switch, path: Line) -> str:
    state: str = status(switch)["paths"][NAMES[path]]["state"]
    return state


def await_state(pair: Lab, switch: Switch, path: Line, state: str) -> None:
    pair.wait_until(lambda: path_state(switch, path) == state, LIMIT, f"{switch.node} says that the {path} is {state}")


def told(switch: Switch, words: str) -> bool:
    """Say whether `ovsha status` names `words` as a problem."""
    return words in switch.ovsha("status").stdout


def all_up(pair: Lab) -> bool:
    return all(path_state(switch, path) == "up" for switch in pair.switches for path in NAMES)


def test_each_direction_of_each_path_is_cut_alone_and_nothing_moves(lab: MakeLab) -> None:
    pair = begin(lab)
    for deaf in pair.switches:
        heard = other(pair, deaf)
        for path, name in NAMES.items():
            with undisturbed(pair):
                deafen(deaf, path)
                await_state(pair, deaf, path, "one-way out")
                await_state(pair, heard, path, "one-way in")
                way = f"see what stops packets from {heard.node} to {deaf.node} there"
                assert all(told(switch, f"the heartbeat path {name} is one-way") for switch in pair.switches)
                assert all(told(switch, way) for switch in pair.switches), "both name the same way"
                pair.wait_until(lambda: in_sync(pair), LIMIT, "and both that the pair is in sync")
            with undisturbed(pair):
                hear_again(deaf)
                pair.wait_until(lambda: all_up(pair), LIMIT, "both paths work again")
    await_pair(pair, pair.sw1)


@pytest.mark.parametrize("deaf", ["sw1", pytest.param("sw2", marks=pytest.mark.long)])
def test_a_side_that_hears_no_heartbeat_at_all_moves_nothing_while_the_database_session_lives(
    lab: MakeLab, deaf: str
) -> None:
    pair = begin(lab)
    switch = next(each for each in pair.switches if each.node == deaf)
    with undisturbed(pair, rows=500):
        deafen(switch, *NAMES)
        pair.wait_until(lambda: status(switch)["presence"] == "silent", LIMIT, "it hears nobody")
        for path in NAMES:
            await_state(pair, other(pair, switch), path, "one-way in")
        assert told(switch, "is silent")
    with undisturbed(pair):
        hear_again(switch)
        pair.wait_until(lambda: all_up(pair), LIMIT, "both paths work again")
    await_pair(pair, pair.sw1)


def test_a_deaf_backup_still_takes_over_when_the_active_server_dies(lab: MakeLab) -> None:
    pair = begin(lab, overrides={"restore": {"mode": "manual"}})
    deafen(pair.sw2, "peer link")
    await_state(pair, pair.sw2, "peer link", "one-way out")
    pair.sw1.server.kill()
    pair.wait_until(lambda: pair.sw2.vip_present(), LIMIT, "sw2 serves")
    hear_again(pair.sw2)
    pair.sw1.server.start(wait=False)
    await_pair(pair, pair.sw2)
