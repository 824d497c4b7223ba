"""Both databases are compared row by row while they are written to, and what differs is told."""

from __future__ import annotations

import json
from typing import Any

import rpc
import seed
from story import LIMIT, MakeLab, await_rows, begin, in_sync
from switch import PARKED, Switch


def verified(switch: Switch, status: int) -> dict[str, Any]:
    """Return what the command says, which must exit with `status`."""
    done = switch.ovsha("verify", "--json", limit=60.0)
    assert done.returncode == status, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    assert document["schema"] == 1
    return document


def test_two_sides_are_equal_while_a_controller_writes(lab: MakeLab) -> None:
    pair = begin(lab, rows=3000, rate=500)
    await_rows(pair, 100)
    for switch in pair.switches:
        found = verified(switch, 0)
        assert found["equal"]
        assert found["tables"]["Ucast_Macs_Remote"] > 3200
        assert found["rows"] == sum(found["tables"].values())
    told = pair.sw2.ovsha("verify")
    assert told.returncode == 0
    assert "sw2 and sw1 are equal" in told.stdout
    assert "\r" not in told.stderr, "no progress bar where there is no terminal"


def test_rows_that_differ_are_told_by_table_uuid_and_column(lab: MakeLab) -> None:
    pair = begin(lab, rows=50)
    pair.controller.stop()
    pair.wait_until(lambda: in_sync(pair), LIMIT, "both are in sync")
    for switch in pair.switches:
        switch.agent.stop()
    # A backup that lost its source keeps what it has, and misses what is written then.
    pair.sw2.appctl("ovsdb-server/set-active-ovsdb-server", PARKED)
    pair.sw2.appctl("ovsdb-server/connect-active-ovsdb-server")
    pair.wait_until(lambda: pair.sw2.replicates_from() is None, LIMIT, "sw2 is parked")
    table = "Ucast_Macs_Remote"
    changed, deleted = ([["MAC", "==", seed.mac(number)]] for number in (1, 2))
    rows = {row["MAC"]: row["_uuid"][1] for row in rpc.select(pair.sw1.socket, table, "_uuid", "MAC")}
    rpc.transact(
        pair.sw1.socket,
        {"op": "update", "table": table, "where": changed, "row": {"ipaddr": "192.0.2.1"}},
        {"op": "delete", "table": table, "where": deleted},
    )
    # With the agents down too.
    found = {each["uuid"]: each for each in verified(pair.sw1, 1)["differences"]}
    assert found.keys() == {rows[seed.mac(1)], rows[seed.mac(2)]}
    one, other = found[rows[seed.mac(1)]], found[rows[seed.mac(2)]]
    assert (one["table"], one["where"], one["columns"]) == (table, "both", ["ipaddr"])
    assert (one["rows"]["sw1"]["ipaddr"], one["rows"]["sw2"]["ipaddr"]) == ("192.0.2.1", "")
    assert (other["where"], other["rows"]["sw1"], other["rows"]["sw2"]["MAC"]) == ("sw2", None, seed.mac(2))
    told = pair.sw2.ovsha("verify", limit=60.0)
    assert told.returncode == 1
    assert f'{table} {rows[seed.mac(1)]}: ipaddr is "" on sw2, 192.0.2.1 on sw1' in told.stdout
    assert f"{table} {rows[seed.mac(2)]}: only on sw2, MAC {seed.mac(2)}" in told.stdout


def test_a_peer_out_of_reach_is_told_in_one_line(lab: MakeLab) -> None:
    pair = begin(lab)
    pair.sw2.server.kill()
    done = pair.sw1.ovsha("verify")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert "169.254.0.10:9999 cannot be reached" in done.stderr


def test_databases_whose_sockets_are_lost_are_compared_and_backed_up_where_the_agents_read_them(lab: MakeLab) -> None:
    pair = begin(lab)
    await_rows(pair, 50)
    for switch in pair.switches:
        switch.socket.unlink()
    for switch in pair.switches:
        assert verified(switch, 0)["equal"]
        taken = switch.ovsha("backup", "create")
        assert taken.returncode == 0, taken.stderr
