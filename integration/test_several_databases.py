"""A server that has other databases beside ours never follows: that would overwrite them, and no snapshot has them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import rpc
from story import LIMIT, MakeLab, await_pair, await_problem, await_service, begin, serves
from switch import Switch

SYSTEM = Path("/usr/share/openvswitch/vswitch.ovsschema")


def owner(switch: Switch) -> list[str]:
    """Return whose the system database of the switch is."""
    rows = {"op": "select", "table": "Open_vSwitch", "where": [], "columns": ["external_ids"]}
    found = rpc.call(switch.socket, "transact", ["Open_vSwitch", rows], 2.0)
    return [dict(row["external_ids"][1])["owner"] for row in found[0]["rows"]]


def test_server_that_has_other_databases_too_never_follows_and_no_word_makes_it(lab: MakeLab) -> None:
    pair = begin(lab)
    for switch in pair.switches:
        file = switch.directory / "system.db"
        subprocess.run(["ovsdb-tool", "create", str(file), str(SYSTEM)], check=True)
        row = {"external_ids": ["map", [["owner", switch.node]]]}
        words = json.dumps(["Open_vSwitch", {"op": "insert", "table": "Open_vSwitch", "row": row}])
        subprocess.run(["ovsdb-tool", "transact", str(file), words], check=True, stdout=subprocess.DEVNULL)
    pair.sw2.server.stop()
    pair.sw2.more_databases = (str(pair.sw2.directory / "system.db"),)
    pair.sw1.appctl("ovsdb-server/add-db", str(pair.sw1.directory / "system.db"))
    pair.sw2.server.start()
    await_problem(pair, pair.sw2, "sw2 needs a decision", "serves Open_vSwitch beside our database")
    refused = pair.sw2.ovsha("resolve", "--yes", "--keep", "peer", "--reason", "impatience")
    assert (refused.returncode, "Open_vSwitch" in refused.stderr) == (1, True)
    checked = pair.sw2.ovsha("check", "server")
    assert checked.returncode == 2
    assert "serves Open_vSwitch beside hardware_vtep" in checked.stdout
    assert owner(pair.sw2) == ["sw2"]
    await_service(pair, pair.sw1)
    pair.sw2.server.stop()
    pair.sw2.more_databases = ()
    pair.sw2.server.start()
    await_pair(pair, pair.sw1)
    pair.wait_until(lambda: serves(pair, pair.sw1), LIMIT, "sw1 serves")
