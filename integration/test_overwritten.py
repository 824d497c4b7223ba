"""Another client writes over the agents' keys in Global.other_config, as anybody who reaches the VIP can.

A write on a running server is no damaged file: nobody is parked, the serving side writes its own stamp again, and what
was written is named in one incident.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest

import rpc
import settings
from lab import Lab
from story import (
    LIMIT,
    MakeLab,
    acks,
    assert_little_was_lost_and_all_is_kept,
    await_one,
    await_pair,
    await_problem,
    await_rows,
    await_service,
    await_word,
    begin,
    counter,
    in_sync,
    is_copy,
    log,
    lost,
    open_here,
    standing,
    status,
    undisturbed,
)
from switch import Switch

MANUAL = {"restore": {"mode": "manual"}}
FOREIGN = "somebody else's"
ABSURD = "9" * 5000


def global_row(switch: Switch) -> dict[str, Any]:
    (row,) = rpc.select(switch.socket, "Global", "_uuid", "other_config", "managers", "switches")
    return row


def put(switch: Switch, **keys: str) -> None:
    """Write these keys of ours, and leave what else is in the map; "ovsha_" stands for "ovsha:" in their names."""
    pairs = [[f"ovsha:{name}", value] for name, value in keys.items()]
    mutations = [
        ["other_config", "delete", ["set", [name for name, _ in pairs]]],
        ["other_config", "insert", ["map", pairs]],
    ]
    rpc.transact(switch.socket, {"op": "mutate", "table": "Global", "where": [], "mutations": mutations})


def remove(switch: Switch, *names: str) -> None:
    mutation = ["other_config", "delete", ["set", [f"ovsha:{name}" for name in names]]]
    rpc.transact(switch.socket, {"op": "mutate", "table": "Global", "where": [], "mutations": [mutation]})


def replace(switch: Switch, pairs: Mapping[str, str]) -> None:
    row = {"other_config": ["map", [*pairs.items()]]}
    rpc.transact(switch.socket, {"op": "update", "table": "Global", "where": [], "row": row})


def clear(switch: Switch) -> None:
    replace(switch, {})


def by_vtep_ctl(switch: Switch) -> None:
    done = switch.run("vtep-ctl", f"--db=unix:{switch.socket}", "clear", "Global", ".", "other_config")
    assert done.returncode == 0, done.stderr


def insert_anew(switch: Switch) -> None:
    """Delete the row and insert another that has everything but the agents' keys, as a client does that mirrors it."""
    row = global_row(switch)
    kept = {name: row[name] for name in ("managers", "switches")}
    delete = {"op": "delete", "table": "Global", "where": []}
    rpc.transact(switch.socket, delete, {"op": "insert", "table": "Global", "row": kept})


def token_back(switch: Switch) -> None:
    term, _, number = switch.global_config()["ovsha:token"].partition(".")
    put(switch, token=f"{term}.{max(0, int(number) - 40)}")


WRITES: Mapping[str, Callable[[Switch], None]] = {
    "cleared": clear,
    "cleared by vtep-ctl": by_vtep_ctl,
    "replaced by a whole map": lambda switch: replace(switch, {FOREIGN: "1"}),
    "the row deleted and inserted": insert_anew,
    "token set back": token_back,
    "token of term 0": lambda switch: put(switch, token="0.0"),
    "token removed": lambda switch: remove(switch, "token"),
    "token raised": lambda switch: put(switch, token="1.5000"),
    "token raised beyond belief": lambda switch: put(switch, token=f"1.{2**61}"),
    "token of 5000 digits": lambda switch: put(switch, token=f"1.{ABSURD}"),
    "token that is none": lambda switch: put(switch, token="\u0661.\u0662 nan -1"),
    "term of 5000 digits": lambda switch: put(switch, term=ABSURD),
    "term lowered": lambda switch: put(switch, term="0"),
    "term raised beyond belief": lambda switch: put(switch, term="5000000"),
    "node of the peer": lambda switch: put(switch, node="sw2"),
    "node of a stranger": lambda switch: put(switch, node="x" * 65536),
    "chosen toggled": lambda switch: put(switch, chosen="true"),
    "a stamp of somebody else": lambda switch: put(switch, term="1", node="spine1", token="1.0", chosen="true"),
}
SHORT = ("cleared", "token of 5000 digits")


def stamp(switch: Switch) -> tuple[str, ...]:
    keys = switch.global_config()
    return tuple(keys.get(f"ovsha:{name}", "") for name in ("term", "node", "chosen"))


def number(switch: Switch) -> int:
    """Return the number of the token, -1 for none or one that nobody believes."""
    term, _, text = switch.global_config().get("ovsha:token", "").partition(".")
    return int(text) if term == "1" and text.isascii() and text.isdecimal() and len(text) < 10 else -1


def await_healed(pair: Lab, switch: Switch, was: tuple[str, ...], above: int) -> None:
    healed = lambda: stamp(switch) == was and number(switch) > above  # noqa: E731
    pair.wait_until(healed, LIMIT, f"{switch.node} has its stamp again, and goes on from token {above}")


def pid(switch: Switch) -> int:
    """Return the pid of the agent, which is another one when it was ended by what it read."""
    return int((switch.run_directory / "ovsha.pid").read_text(encoding="ascii"))


@pytest.mark.parametrize(
    "how", [each if each in SHORT else pytest.param(each, marks=pytest.mark.long) for each in WRITES]
)
def test_what_another_client_writes_over_the_stamp_parks_nobody_and_is_healed(lab: MakeLab, how: str) -> None:
    pair = begin(lab, overrides=MANUAL)
    put(pair.sw1, **{"of-mine": "kept"})
    replace(pair.sw1, {**pair.sw1.global_config(), FOREIGN: "2"})
    was, before, agents = stamp(pair.sw1), number(pair.sw1), [pid(switch) for switch in pair.switches]
    with undisturbed(pair):
        WRITES[how](pair.sw1)
        await_healed(pair, pair.sw1, was, before)
        pair.wait_until(lambda: is_copy(pair, pair.sw2), LIMIT, "sw2 has the same")
    if how not in ("cleared", "cleared by vtep-ctl", "replaced by a whole map", "the row deleted and inserted"):
        assert pair.sw1.global_config()[FOREIGN] == "2", "what is not ours stays"
    assert agents == [pid(switch) for switch in pair.switches], "no agent was ended"
    assert not [each for each in status(pair.sw1)["problems"] if each["level"] == "broken"]
    if how != "token raised":
        assert counter(pair.sw1, "incidents") == 1
        assert "wrote over the agents' keys in Global.other_config" in log(pair.sw1)
    pair.sw1.server.kill()
    await_service(pair, pair.sw2)
    assert_little_was_lost_and_all_is_kept(pair, pair.sw2)


@pytest.mark.parametrize("last", ["cleared", pytest.param("token set back", marks=pytest.mark.long)])
def test_server_that_dies_before_the_heal_is_taken_over_from(lab: MakeLab, last: str) -> None:
    pair = begin(lab, overrides=MANUAL)
    pair.sw1.agent.kill()
    WRITES[last](pair.sw1)
    before = len(acks(pair))
    pair.wait_until(lambda: len(acks(pair)) > before + 20, LIMIT, "rows are acknowledged after it")
    assert number(pair.sw2) < 1, "sw2 has what the client wrote"
    pair.sw1.server.kill()
    pair.wait_until(lambda: pair.sw2.role() == "active" and pair.sw2.manager_sessions(), LIMIT, "sw2 takes over")
    pair.sw1.server.start()
    pair.sw1.agent.start()
    await_pair(pair, pair.sw2)
    await_rows(pair, 25)
    assert_little_was_lost_and_all_is_kept(pair, pair.sw2)


@pytest.mark.long
def test_a_write_and_the_death_of_the_server_in_the_same_moment(lab: MakeLab) -> None:
    pair = begin(lab, overrides=MANUAL)
    clear(pair.sw1)
    pair.sw1.server.kill()
    await_service(pair, pair.sw2)
    pair.sw1.server.start()
    await_pair(pair, pair.sw2)


def test_agent_that_is_started_anew_over_a_cleared_map_goes_on_in_its_term(lab: MakeLab) -> None:
    pair = begin(lab, overrides=MANUAL)
    was, before = stamp(pair.sw1), number(pair.sw1)
    pair.wait_until(lambda: (pair.sw1.directory / "state" / "process.json").exists(), LIMIT, "the proof is on disk")
    with undisturbed(pair):
        pair.sw1.agent.kill()
        clear(pair.sw1)
        pair.sw1.agent.start()
        await_healed(pair, pair.sw1, was, before)
    pair.wait_until(lambda: is_copy(pair, pair.sw2), LIMIT, "sw2 has the same")


def test_a_server_that_was_started_anew_and_holds_less_is_still_no_good(lab: MakeLab) -> None:
    pair = begin(lab, overrides=MANUAL)
    for switch in pair.switches[::-1]:
        switch.agent.kill()
    clear(pair.sw1)
    pair.wait_until(lambda: number(pair.sw2) < 0, LIMIT, "sw2 has what the client wrote")
    for switch in pair.switches:
        switch.server.kill()
        switch.server.start()
    for switch in pair.switches:
        switch.agent.start()
    await_problem(pair, pair.sw1, "sw1 needs a decision")
    assert not any(open_here(switch) for switch in pair.switches)


@pytest.mark.parametrize("mode", ["pause", pytest.param("advise", marks=pytest.mark.long)])
def test_a_side_that_carries_out_nothing_heals_nothing_and_says_so(lab: MakeLab, mode: str) -> None:
    pair = begin(lab, overrides=MANUAL)
    was, before = stamp(pair.sw1), number(pair.sw1)
    if mode == "pause":
        assert pair.sw1.ovsha("pause", "--yes", "--reason", "maintenance").returncode == 0
    else:
        read_anew(pair.sw1, mode="advise")
    sessions = standing(pair).controller_sessions
    clear(pair.sw1)
    await_problem(pair, pair.sw1, "a client wrote over the agents' keys", "writes nothing over it")
    await_word(pair, pair.sw1, "writes nothing over it")
    await_rows(pair, 25)
    assert standing(pair).controller_sessions == sessions
    assert "ovsha:term" not in pair.sw1.global_config()
    if mode == "pause":
        assert pair.sw1.ovsha("resume", "--yes").returncode == 0
    else:
        read_anew(pair.sw1, mode="active")
    await_healed(pair, pair.sw1, was, before)
    await_rows(pair, 25)
    assert standing(pair).controller_sessions == sessions


@pytest.mark.long
def test_client_that_clears_it_all_the_time_is_healed_more_and_more_seldom_and_moves_lose_nothing(lab: MakeLab) -> None:
    pair = begin(lab, overrides=MANUAL)
    over = threading.Event()

    def again_and_again() -> None:
        while not over.is_set():
            for switch in pair.switches:
                with contextlib.suppress(OSError, rpc.Refused):
                    clear(switch)

    busy = threading.Thread(target=again_and_again)
    busy.start()
    try:
        with undisturbed(pair, rows=400):
            pair.wait_until(lambda: counter(pair.sw1, "incidents") >= 3, LIMIT, "it is healed again and again")
            for switch in pair.switches:
                cause = "sw2 is not in sync: a client writes over the agents' keys in sw1's database"
                pair.wait_until(lambda: status(switch)["verdict"].startswith(cause), LIMIT, cause)  # noqa: B023
        assert counter(pair.sw1, "incidents") <= 6
    finally:
        over.set()
        busy.join()
    pair.wait_until(lambda: is_copy(pair, pair.sw2), 90.0, "it is healed")


@pytest.mark.parametrize("how", ["cleared", pytest.param("token raised", marks=pytest.mark.long)])
def test_planned_move_while_a_client_writes_over_the_stamp_neither_hangs_nor_loses(lab: MakeLab, how: str) -> None:
    pair = begin(lab, rate=200, overrides=MANUAL)
    for target in (pair.sw2, pair.sw1):
        source = pair.sw1 if target is pair.sw2 else pair.sw2
        pair.wait_until(lambda: in_sync(pair), LIMIT, "both are in sync")
        moving = threading.Thread(target=target.ovsha, args=("switchover", "--to", target.node, "--yes"))
        moving.start()
        for _ in range(30):
            with contextlib.suppress(OSError, rpc.Refused):
                WRITES[how](source)
            time.sleep(0.01)
        moving.join()
        serving = await_one(pair)
        assert not lost(pair, serving)


def test_restore_of_an_old_backup_keeps_the_pair_and_tells_how_old_it_was(lab: MakeLab) -> None:
    pair = begin(lab, overrides=MANUAL)
    taken = pair.sw1.run("ovsdb-client", "backup", f"unix:{pair.sw1.socket}", rpc.DATABASE)
    assert taken.returncode == 0
    was, before = stamp(pair.sw1), number(pair.sw1)
    pair.wait_until(lambda: number(pair.sw1) > before + 2, LIMIT, "tokens are committed since")
    before = number(pair.sw1)
    restore = [*pair.sw1.entering, "ovsdb-client", "restore", f"unix:{pair.sw1.socket}", rpc.DATABASE]
    file = pair.directory / "taken.db"
    file.write_text(taken.stdout)
    with file.open() as backup:
        done = subprocess.run(restore, stdin=backup, text=True, check=False, timeout=30, capture_output=True)
    assert done.returncode == 0, done.stderr
    await_healed(pair, pair.sw1, was, before)
    await_word(pair, pair.sw1, " older than 1.")
    await_pair(pair, pair.sw1)
    pair.sw1.server.kill()
    await_service(pair, pair.sw2)


@pytest.mark.long
def test_switch_that_stands_alone_heals_too(lab: MakeLab) -> None:
    pair = begin(lab, overrides=MANUAL)
    pair.sw2.agent.kill()
    pair.sw2.server.kill()
    pair.sw1.agent.kill()
    alone(pair.sw1)
    pair.sw1.agent.start()
    pair.wait_until(lambda: status(pair.sw1)["standalone"], LIMIT, "sw1 stands alone")
    was, before = stamp(pair.sw1), number(pair.sw1)
    clear(pair.sw1)
    await_healed(pair, pair.sw1, was, before)
    await_word(pair, pair.sw1, "a client wrote over the agents' keys")


def alone(switch: Switch) -> None:
    """Write the least that a switch alone needs."""
    config = {key: value for key, value in switch.config.items() if key not in ("vip", "nodes")}
    config["nodes"] = {switch.node: {}}
    config["pair"] = {"id": switch.config["pair"]["id"]}
    settings.write(switch.config_file, config)


def read_anew(switch: Switch, **changed: object) -> None:
    """Have the agent read its configuration with these keys changed, as `systemctl reload ovsha` does."""
    settings.write(switch.config_file, {**switch.config, **changed})
    assert switch.agent.pid is not None
    os.kill(switch.agent.pid, signal.SIGHUP)
