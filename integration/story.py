"""The phrases in which the stories of a pair are told: how it begins, how it stands, what nobody noticed.

A story is told by what can be seen from outside: the servers' own answers, the kernel's addresses and sockets, the
record of the controller, and the records of the VTEP daemons.  What the agents say of themselves is asked for only
where it is the subject.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import history
import rpc
import settings
from lab import RATE, Lab
from switch import Switch
from topology import INTERFACE, PEER

MakeLab = Callable[..., Lab]

LIMIT = 20.0
"""Seconds that anything may take which takes a second or two on a machine that has nothing else to do."""

LAST_MOMENT = 100
"""Rows that may exist only on a server that died: replication is asynchronous, and a loaded machine is slow at it."""

MANAGERS = "db:hardware_vtep,Global,managers"
LISTENER = f"ptcp:{settings.VIP_PORT}:{settings.VIP}"

# Tokens are committed more often than by default, so that a copy is known to be in sync sooner.
QUICK: Mapping[str, Any] = {"replication": {"token_interval": 0.3}}


def begin(make_lab: MakeLab, rate: float = RATE, limit: float = LIMIT, **wishes: Any) -> Lab:
    """Return a pair that serves on sw1, with a controller that writes and both VTEP daemons attached."""
    wishes["overrides"] = settings.merged(QUICK, wishes.get("overrides", {}))
    lab = make_lab(**wishes)
    lab.start_controller(rate=rate)
    lab.start(vtepds=True)
    await_pair(lab, lab.sw1, limit)
    return lab


def named(lab: Lab, node: str) -> Switch:
    """Return the switch of that name."""
    return next(switch for switch in lab.switches if switch.node == node)


def other(lab: Lab, switch: Switch) -> Switch:
    """Return the peer of `switch`."""
    return named(lab, PEER[switch.node])


# -- how the pair stands -----------------------------------------------------------------------------------------------


def open_here(switch: Switch) -> frozenset[str]:
    """Name everything of the service that is on this switch; a server that does not answer has no remotes.

    LISTENER stands for the one on the VIP, whatever that is in this lab.

    A switch without power has nothing, whatever its frozen memory still holds.
    """
    if without_power(switch):
        return frozenset()
    role = switch.role()
    remotes = frozenset() if role is None else switch.remotes() & {MANAGERS, switch.listener}
    remotes = frozenset(LISTENER if remote == switch.listener else remote for remote in remotes)
    return remotes | ({"active server"} if role == "active" else set()) | ({"VIP"} if switch.vip_present() else set())


SERVICE = frozenset({MANAGERS, LISTENER, "active server", "VIP"})


def serves(lab: Lab, switch: Switch) -> bool:
    """Say whether the whole service is on `switch` and no part of it on the other one."""
    return open_here(switch) == SERVICE and not open_here(other(lab, switch))


def attached(switch: Switch) -> int:
    """Return how many VTEP daemons are in session with `switch` over the VIP."""
    listening = ("sport", "=", f":{settings.VIP_PORT}")
    return len(switch.run("ss", "-Htn", "state", "established", *listening).stdout.splitlines())


def await_service(lab: Lab, switch: Switch, limit: float = LIMIT) -> None:
    """Wait until the service is on `switch` alone, with the controller writing there and the VTEP daemons attached."""
    lab.wait_until(lambda: serves(lab, switch), limit, f"{switch.node} alone serves")
    running = sum(each.vtepd.running for each in lab.switches if not without_power(each))
    lab.wait_until(lambda: attached(switch) >= running, limit, "the VTEP daemons are back")
    if lab.controller.running:
        lab.wait_until(lambda: writer(lab) == switch.management_address, limit, "the controller writes there")


def await_copy(lab: Lab, switch: Switch, limit: float = LIMIT) -> None:
    """Wait until `switch` is a read-only copy of the other one, made after a snapshot, and in sync."""
    lab.wait_until(lambda: is_copy(lab, switch), limit, f"{switch.node} is a copy of the other side")
    assert snapshots(switch), "a snapshot was taken before the first copy"


def is_copy(lab: Lab, switch: Switch) -> bool:
    """Say whether `switch` follows the other one, is read-only, and has the token that was committed there last."""
    source = other(lab, switch)
    follows = switch.replicates_from() == source.replication
    return follows and token(switch) is not None and token(switch) == token(source) and is_read_only(switch)


def await_pair(lab: Lab, switch: Switch, limit: float = LIMIT) -> None:
    """Wait until the service is on `switch` and the other one is its copy."""
    await_service(lab, switch, limit)
    await_copy(lab, other(lab, switch), limit)


def without_power(switch: Switch) -> bool:
    """Say whether the switch has lost its power, by which both its links are down."""
    return all("UP" not in switch.run("ip", "-br", "link", "show", each).stdout for each in INTERFACE.values())


def token(switch: Switch) -> tuple[str, str] | None:
    """Return the lineage and the token in this switch's own copy."""
    keys = switch.global_config()
    return (keys["ovsha:node"], keys["ovsha:token"]) if "ovsha:token" in keys else None


def is_read_only(switch: Switch) -> bool:
    """Try to write to the server as a client on the switch would."""
    try:
        rpc.transact(switch.socket, {"op": "insert", "table": "Logical_Switch", "row": {"name": "not-to-be"}})
    except rpc.Refused as refusal:
        return "read only" in str(refusal)
    return False


def snapshots(switch: Switch) -> list[str]:
    """Return the names of the snapshots kept on a switch, the oldest first."""
    directory = switch.directory / "state" / "snapshots"
    return sorted(path.name for path in directory.glob("*.db"))


def kept(switch: Switch) -> frozenset[str]:
    """Return the MACs in all snapshots of a switch together."""
    macs: set[str] = set()
    for name in snapshots(switch):
        query = json.dumps(["hardware_vtep", {"op": "select", "table": "Ucast_Macs_Remote", "where": []}])
        file = switch.directory / "state" / "snapshots" / name
        found = switch.run("ovsdb-tool", "query", str(file), query, limit=60.0)  # a hundred thousand rows take seconds
        macs.update(row["MAC"] for row in json.loads(found.stdout)[0]["rows"])
    return frozenset(macs)


# -- what the controller and the VTEP daemons went through -------------------------------------------------------------


def acks(lab: Lab) -> list[history.Ack]:
    """Return every acknowledgement the controller has had so far."""
    return history.acks(history.read(lab.controller_events_file))


def writer(lab: Lab) -> str | None:
    """Return the address of the switch that acknowledged the last row, None when there was none yet."""
    last = acks(lab)[-1:]
    return last[0].switch if last else None


def await_rows(lab: Lab, count: int, limit: float = LIMIT) -> None:
    """Wait until the controller has written `count` more rows."""
    wanted = len(acks(lab)) + count
    lab.wait_until(lambda: len(acks(lab)) >= wanted, limit, f"{count} more rows are written")


def lost(lab: Lab, switch: Switch) -> list[history.Ack]:
    """Return the rows that were acknowledged and are not in the database of `switch`."""
    acknowledged = acks(lab)  # before the rows: what is acknowledged later need not be there
    return history.missing(acknowledged, switch.rows())


def await_every_row(lab: Lab, switch: Switch, limit: float = LIMIT) -> None:
    """Wait until all that has been acknowledged by now is in the database of `switch`, a backup for instance."""
    acknowledged = acks(lab)
    lab.wait_until(lambda: not history.missing(acknowledged, switch.rows()), limit, f"{switch.node} has every row")


def assert_little_was_lost_and_all_is_kept(lab: Lab, serving: Switch) -> None:
    """Hold that what did not reach the survivor is little, and is in the snapshots."""
    gone = lost(lab, serving)
    assert len(gone) <= LAST_MOMENT
    assert not gone or {ack.mac for ack in gone} <= kept(lab.sw1) | kept(lab.sw2)


def seconds_with_two(lab: Lab) -> float:
    """Return for how long both switches were in live sessions with the controller."""
    return history.seconds_with_two(history.read(lab.controller_events_file))


@dataclass(frozen=True)
class Standing:
    """What an interruption or a move would change: sessions, lineage, and the place of the service."""

    controller_sessions: int
    lost_by_vtepds: tuple[int, ...]
    stamps: frozenset[tuple[str, str]]
    open_on: tuple[frozenset[str], ...]


def standing(lab: Lab) -> Standing:
    """Take a picture of the service."""
    sessions = Counter(event.kind for event in history.read(lab.controller_events_file))["accepted"]
    losses = tuple(
        sum(event.kind == "lost" for event in history.read(switch.vtepd_events_file)) for switch in lab.switches
    )
    serving = [switch for switch in lab.switches if open_here(switch)]
    stamps = frozenset(
        (keys.get("ovsha:term", ""), keys.get("ovsha:node", ""))
        for keys in (switch.global_config() for switch in serving)
    )
    return Standing(sessions, losses, stamps, tuple(open_here(switch) for switch in lab.switches))


@contextmanager
def undisturbed(lab: Lab, rows: int = 50) -> Iterator[None]:
    """Hold that nobody outside notices what happens in the block, nor while `rows` more rows are written after it."""
    before = standing(lab)
    yield
    await_rows(lab, rows)
    assert standing(lab) == before


# -- what the agents say -----------------------------------------------------------------------------------------------


def ask_agent(switch: Switch, command: str, *words: str, limit: float = 10.0) -> str:
    """Return what the agent's control command prints; OSError when it does not answer, rpc.Refused when it says no."""
    pid = (switch.run_directory / "ovsha.pid").read_text(encoding="ascii").strip()
    return rpc.appctl(switch.run_directory / f"ovsha.{pid}.ctl", command, *words, limit=limit)


def status(switch: Switch) -> dict[str, Any]:
    """Return the document of `ovsha status --json`."""
    document: dict[str, Any] = json.loads(ask_agent(switch, "status", "json"))
    return document


def counter(switch: Switch, name: str) -> int:
    """Return a counter of the agent, 0 when it has not been counted."""
    return int(status(switch)["counters"].get(name, 0))


def problems(switch: Switch) -> str:
    """Return what the agent says is wrong and what to do about it, a line each."""
    return "\n".join(f"{each['what']}; {each['do']}" for each in status(switch)["problems"])


def await_problem(lab: Lab, switch: Switch, *words: str, limit: float = LIMIT) -> None:
    """Wait until one line of what the agent says is wrong has all these words in it."""

    def said() -> bool:
        return any(all(word in line for word in words) for line in problems(switch).splitlines())

    lab.wait_until(said, limit, f"{switch.node}'s agent says: {' ... '.join(words)}")


def log(switch: Switch) -> str:
    """Return the whole log of the agent, over all its lives."""
    path = switch.agent.log
    return path.read_text(encoding="utf-8") if path.exists() else ""


def await_word(lab: Lab, switch: Switch, words: str, limit: float = LIMIT, since: int = 0) -> None:
    """Wait until the agent's log says `words`, after its first `since` characters."""
    lab.wait_until(lambda: words in log(switch)[since:], limit, f"{switch.node}'s agent says: {words}")


def strike(switch: Switch, words: str, since: int, blow: Callable[[], None], limit: float = LIMIT) -> None:
    """Deal the blow in the very millisecond in which the agent says `words`; for that the log is read without a pause.

    What the agent does meanwhile is over in a few milliseconds, so where exactly the blow falls differs between runs.
    """
    deadline = time.monotonic() + limit
    with switch.agent.log.open(encoding="utf-8") as lines:
        lines.seek(since)
        said = ""
        while words not in said:
            said += lines.read()
            assert time.monotonic() < deadline, f"{switch.node}'s agent does not say: {words}\n{said}"
    blow()


def await_one(lab: Lab, limit: float = LIMIT) -> Switch:
    """Wait until one side serves, the other is its copy, and it stays so for a second.

    Returns the serving side.  A move that was ordered before may still come, and is waited for.
    """

    def calm() -> bool:
        before = standing(lab)
        await_rows(lab, 50)
        return standing(lab) == before and any(settled(lab, switch) for switch in lab.switches)

    lab.wait_until(calm, limit, "one side alone serves and the other is its copy")
    return next(switch for switch in lab.switches if open_here(switch))


def settled(lab: Lab, switch: Switch) -> bool:
    """Say whether `switch` serves and the other side is its copy."""
    return serves(lab, switch) and is_copy(lab, other(lab, switch))


def in_sync(lab: Lab) -> bool:
    """Say whether both agents hold the copy to be in sync."""
    return all(status(switch)["in_sync"] for switch in lab.switches)
