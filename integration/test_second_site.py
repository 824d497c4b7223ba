"""A third ovsdb-server, elsewhere, that copies what serves: what it may be used for, and what it is not.

It is on the management network, and reaches the VIP through a port of sw2 that is passed on, as by ssh -L.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

import rpc
import seed
from lab import Lab
from service import Service
from settings import VIP, VIP_PORT
from story import LIMIT, MakeLab, await_pair, await_rows, await_service, begin, in_sync, status, undisturbed
from switch import HERE
from topology import CTL, MANAGEMENT_ADDRESS, SW2

TABLE = "Ucast_Macs_Remote"
PORT = 19998
SOURCE = f"tcp:{MANAGEMENT_ADDRESS[SW2]}:{PORT}"


class Replica:
    """The third server, and what passes its connections on; both end with the stack."""

    def __init__(self, stack: ExitStack, pair: Lab, source: str = SOURCE) -> None:
        self.directory = pair.directory / "replica"
        self.directory.mkdir()
        self.database, self.socket = self.directory / "replica.db", self.directory / "db.sock"
        seed.blank(self.database)
        entering = pair.network.entering
        forward = (sys.executable, str(HERE / "forward.py"), f"{MANAGEMENT_ADDRESS[SW2]}:{PORT}", f"{VIP}:{VIP_PORT}")
        self.forward = Service("forward", lambda: (*entering(SW2), *forward), self.directory / "forward.log", {})
        server = (
            *("ovsdb-server", "--no-chdir", f"--remote=punix:{self.socket}", f"--unixctl={self.directory / 'ctl'}"),
            *(f"--sync-from={source}", str(self.database)),
        )
        environment = {"OVS_RUNDIR": str(self.directory), "PATH": os.environ["PATH"]}
        self.server = Service(
            "replica", lambda: (*entering(CTL), *server), self.directory / "log", environment, ready=self._answers
        )
        for each in (self.forward, self.server):
            stack.callback(each.stop)
            each.start()

    def says(self) -> str:
        """Return its sync-status."""
        return rpc.appctl(self.directory / "ctl", "ovsdb-server/sync-status")

    def rows(self) -> dict[str, str]:
        """Return its MACs by their uuids."""
        return uuids(self.socket)

    def _answers(self) -> bool:
        return "hardware_vtep" in rpc.call(self.socket, "list_dbs", [])


def uuids(socket: Path) -> dict[str, str]:
    return {row["_uuid"][1]: row["MAC"] for row in rpc.select(socket, TABLE, "_uuid", "MAC")}


def refused(replica: Replica) -> bool:
    try:
        rpc.transact(replica.socket, {"op": "insert", "table": "Logical_Switch", "row": {"name": "elsewhere"}})
    except rpc.Refused as refusal:
        return "read only" in str(refusal)
    return False


def quiet(pair: Lab, replica: Replica) -> None:
    """Have nobody write any more, and all three hold the same."""
    pair.controller.stop()
    pair.wait_until(lambda: in_sync(pair), LIMIT, "both are in sync")
    pair.wait_until(lambda: replica.rows() == uuids(pair.sw1.socket), LIMIT, "the replica holds the same")


def test_a_replica_follows_the_service_wherever_it_goes_and_the_pair_does_not_notice_it(
    lab: MakeLab, stack: ExitStack
) -> None:
    pair = begin(lab, rows=200)
    pair.wait_until(lambda: in_sync(pair), LIMIT, "the pair is in sync")
    with undisturbed(pair):
        replica = Replica(stack, pair)
        pair.wait_until(lambda: f"replicating: {SOURCE}" in replica.says(), LIMIT, "it replicates")
        assert refused(replica)
    for switch in pair.switches:
        assert [each["name"] for each in status(switch)["problems"]] == []
    pair.sw1.server.kill()
    await_service(pair, pair.sw2)
    await_rows(pair, 50)
    pair.sw1.server.start()
    await_pair(pair, pair.sw1)
    await_rows(pair, 50)
    quiet(pair, replica)
    assert refused(replica)
    # A restart of it is a copy again.
    replica.server.kill()
    replica.server.start()
    assert refused(replica)
    pair.wait_until(lambda: f"replicating: {SOURCE}" in replica.says(), LIMIT, "it replicates")


def test_when_the_pair_is_lost_a_spare_goes_on_with_the_file_of_the_replica(lab: MakeLab, stack: ExitStack) -> None:
    pair = begin(lab, rows=200)
    replica = Replica(stack, pair)
    await_rows(pair, 25)
    quiet(pair, replica)
    held = replica.rows()
    for switch in pair.switches:
        switch.agent.kill()
        switch.server.kill()
        switch.database.unlink()
        seed.blank(switch.database)
    replica.server.stop()
    subprocess.run(["gzip", replica.database], check=True)
    packed = f"{replica.database}.gz"
    done = pair.sw1.ovsha("backup", "restore", packed, "--offline", "--yes", limit=90.0)
    assert done.returncode == 0, done.stderr
    pair.controller.start()
    for switch in pair.switches:
        switch.server.start()
        switch.agent.start()
    await_pair(pair, pair.sw1)
    assert held.items() <= uuids(pair.sw1.socket).items()
    assert held.items() <= uuids(pair.sw2.socket).items()


@pytest.mark.parametrize("trap", ["blank", "newer"])
def test_a_replica_has_no_agent_that_keeps_it_from_the_traps(lab: MakeLab, stack: ExitStack, trap: str) -> None:
    pair = lab(rows=200)
    source = Service(
        "source", lambda: command, pair.directory / "source.log", {"PATH": os.environ["PATH"]},
        ready=lambda: "hardware_vtep" in rpc.call(pair.directory / "source.sock", "list_dbs", []),
    )  # fmt: skip
    stack.callback(source.stop)
    command = (
        *("ovsdb-server", "--no-chdir", f"--remote=punix:{pair.directory / 'source.sock'}"),
        *(f"--unixctl={pair.directory / 'source.ctl'}", str(pair.sw1.database)),
    )
    source.start()
    replica = Replica(stack, pair, f"unix:{pair.directory / 'source.sock'}")
    pair.wait_until(lambda: len(replica.rows()) == 200, LIMIT, "it has the rows")
    source.stop()
    schema = seed.newer_schema(pair.directory / "newer") if trap == "newer" else seed.SCHEMA
    pair.sw1.database.unlink()
    seed.blank(pair.sw1.database, schema)
    source.start()
    if trap == "blank":
        pair.wait_until(lambda: not replica.rows(), LIMIT, "it has copied the emptiness")
    else:
        pair.wait_until(lambda: "state: active" in replica.says(), LIMIT, "it has made itself active")
        assert len(replica.rows()) == 200
        assert not refused(replica), "it takes writes that nobody else has"

