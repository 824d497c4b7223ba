"""Bases, comparisons and replays on the files and servers of a real ovsdb-server, without a lab."""

from __future__ import annotations

import random
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ovs.poller import Poller

import rpc
from ovsha.divergence import baseline, job, ledger, pending, replay
from ovsha.divergence.compare import DONE, Entry, Kind, difference, doubts
from ovsha.divergence.pending import Task
from ovsha.divergence.replay_check import Selection, Verdict
from ovsha.errors import DriverError
from ovsha.ovsdb import contents, log_file
from ovsha.ovsdb.client import Refused, Session
from ovsha.ovsdb.contents import Rows
from ovsha.peer.rpc_server import Exchange, Files
from real_server import Server, free_port, needs_ovs
from session import mac_of

pytestmark = needs_ovs

DATABASE = "hardware_vtep"
LIMIT = 30.0
MACS = "Ucast_Macs_Remote"


class Pair:
    """A server that will be overwritten, and the survivor, which has the same rows."""

    def __init__(self, stack: ExitStack, directory: Path, rows: int = 8) -> None:
        self.lost = Server(stack, directory / "lost")
        self.lost.start()
        self.lost.fill(rows=rows)
        stamp(self.lost, 5, "sw1")
        self.base = directory / "base.db"
        shutil.copy(self.lost.database, self.base)
        self.survivor = Server(stack, directory / "survivor")
        shutil.copy(self.base, self.survivor.database)
        self.survivor.start()
        stamp(self.survivor, 6, "sw2")

    def entries(self) -> list[Entry]:
        return list(difference(rows_of(self.base), rows_of(self.lost.database)))

    @contextmanager
    def session(self) -> Iterator[Session]:
        with Session(f"unix:{self.survivor.socket}", DATABASE, LIMIT) as session:
            yield session

    def plan(self) -> replay.Plan:
        with self.session() as session:
            return replay.plan(session, self.entries())

    def replay(self) -> replay.Plan:
        with self.session() as session:
            plan = replay.plan(session, self.entries())
            assert not plan.having(Verdict.MOVED)
            replay.carry_out(session, plan, "one")
        return plan


@pytest.fixture
def pair(stack: ExitStack, tmp_path: Path) -> Pair:
    return Pair(stack, tmp_path)


def stamp(server: Server, term: int, node: str) -> None:
    pairs = [["ovsha:term", str(term)], ["ovsha:node", node], ["ovsha:token", f"{term}.0"]]
    keys = ["set", [key for key, _ in pairs]]
    mutations = [["other_config", "delete", keys], ["other_config", "insert", ["map", pairs]]]
    server.transact({"op": "mutate", "table": "Global", "where": [], "mutations": mutations})


def mac(number: int) -> str:
    return mac_of(0, number)


def rows_of(path: Path) -> Rows:
    columns = {name: table.columns for name, table in contents.tables(log_file.schema(path)).items()}
    return contents.of_file(path, DATABASE, columns, LIMIT)


def where(**values: Any) -> list[Any]:
    return [[name, "==", value] for name, value in values.items()]


# -- bases -------------------------------------------------------------------------------------------------------------


def test_the_base_is_what_the_server_held_before_its_stamp(stack: ExitStack, tmp_path: Path) -> None:
    server = Server(stack, tmp_path / "server")
    server.start()
    server.fill(rows=20)
    stamp(server, 5, "sw1")
    before = rows_of(server.database)
    stamp(server, 6, "sw2")
    server.transact({"op": "delete", "table": MACS, "where": where(MAC=mac(3))})
    assert baseline.main([str(server.database), str(tmp_path / "bases"), "6", "sw2"]) == 0
    (base,) = baseline.load(tmp_path / "bases")
    assert (base.term, base.node, base.origin, base.token) == (6, "sw2", (5, "sw1"), (5, 0))
    assert rows_of(tmp_path / "bases" / str(base.file)) == before
    assert {path.name for path in (tmp_path / "bases").iterdir()} == {"term6.json", "term6.db"}


def test_a_compacted_file_gives_no_base_and_says_so(stack: ExitStack, tmp_path: Path) -> None:
    server = Server(stack, tmp_path / "server")
    server.start()
    server.fill(rows=20)
    stamp(server, 6, "sw2")
    server.appctl("ovsdb-server/compact")
    assert baseline.main([str(server.database), str(tmp_path / "bases"), "6", "sw2"]) == 0
    (base,) = baseline.load(tmp_path / "bases")
    assert base.file is None
    assert "compacted" in base.why


def test_a_stamp_that_is_not_there_is_an_error_and_leaves_nothing(
    stack: ExitStack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server = Server(stack, tmp_path / "server")
    server.start()
    server.fill()
    assert baseline.main([str(server.database), str(tmp_path / "bases"), "6", "sw2"]) == 1
    assert "the stamp of term 6 of sw2 is not in it" in capsys.readouterr().err
    assert list((tmp_path / "bases").iterdir()) == []


# -- what is replayed --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(6))
def test_any_difference_replayed_on_the_base_gives_what_was_lost(pair: Pair, number: int) -> None:
    chance = random.Random(number)
    for _ in range(40):
        anything(pair.lost, chance)
    pair.replay()
    assert rows_of(pair.survivor.database) == rows_of(pair.lost.database)
    done = pair.plan()
    assert {row.verdict for row in done.rows} <= {Verdict.THERE}, "once more there is nothing to do"
    (keys,) = [dict(row["other_config"][1]) for row in rpc.select(pair.survivor.socket, "Global", "other_config")]
    assert keys["ovsha:term"] == "6", "the survivor's lineage is none of the rows"


def anything(server: Server, chance: random.Random) -> None:
    """Do one of the things that a controller or an operator does."""
    macs = sorted(server.macs())
    row = {"MAC": f"02:00:00:00:{chance.randrange(256):02x}:{chance.randrange(256):02x}"}
    switches = rpc.select(server.socket, "Logical_Switch", "_uuid")
    locators = rpc.select(server.socket, "Physical_Locator", "_uuid")
    known = {"logical_switch": switches[0]["_uuid"], "locator": locators[0]["_uuid"]}
    place = {"dst_ip": f"10.9.0.{chance.randrange(256)}", "encapsulation_type": "vxlan_over_ipv4"}
    new_locator = {"op": "insert", "table": "Physical_Locator", "uuid-name": "new", "row": place}
    one = where(MAC=chance.choice(macs)) if macs else where(MAC="")
    colour = ["map", [["colour", chance.choice(["red", "green"])]]]
    options: list[list[dict[str, Any]]] = [
        [{"op": "insert", "table": MACS, "row": {**row, **known}}],
        [new_locator, {"op": "insert", "table": MACS, "row": {**row, **known, "locator": ["named-uuid", "new"]}}],
        [{"op": "update", "table": MACS, "where": one, "row": {"ipaddr": f"192.0.2.{chance.randrange(256)}"}}],
        [{"op": "delete", "table": MACS, "where": one}] if len(macs) > 2 else [],
        [{"op": "insert", "table": "Logical_Switch", "row": {"name": f"ls-{chance.random()}", "tunnel_key": 7}}],
        [{"op": "mutate", "table": "Global", "where": [], "mutations": [["other_config", "insert", colour]]}],
    ]
    server.transact(*chance.choice([option for option in options if option]))


def test_a_server_that_knows_no_uuid_in_an_insert_gets_the_rows_under_new_ones(pair: Pair) -> None:
    pair.lost.transact(
        {"op": "insert", "table": "Logical_Switch", "uuid-name": "ls", "row": {"name": "new"}},
        {"op": "insert", "table": "Physical_Locator", "uuid-name": "to",
         "row": {"dst_ip": "10.1.1.1", "encapsulation_type": "vxlan_over_ipv4"}},
        {"op": "insert", "table": MACS,
         "row": {"MAC": "m", "logical_switch": ["named-uuid", "ls"], "locator": ["named-uuid", "to"]}},
    )  # fmt: skip
    with pair.session() as session:
        session.transact(replay.operations(replay.plan(session, pair.entries()), "one", keep=False))
    (row,) = [row for row in rpc.select(pair.survivor.socket, MACS, "MAC", "logical_switch") if row["MAC"] == "m"]
    switches = rpc.select(pair.survivor.socket, "Logical_Switch", "_uuid")
    assert row["logical_switch"] in [each["_uuid"] for each in switches]
    again = pair.plan()
    assert {each.verdict for each in again.rows} == {Verdict.THERE}, "they are known again by what they hold"


# -- what has moved on -------------------------------------------------------------------------------------------------

CHANGE: dict[str, Any] = {"op": "update", "table": MACS, "where": where(MAC=mac(1)), "row": {"ipaddr": "192.0.2.1"}}
DELETE = {"op": "delete", "table": MACS, "where": where(MAC=mac(2))}


def insert(server: Server, mac: str, address: str = "", locator: str = "10.1.1.1") -> None:
    (switch,) = rpc.select(server.socket, "Logical_Switch", "_uuid")
    held = {row["dst_ip"]: row["_uuid"] for row in rpc.select(server.socket, "Physical_Locator", "_uuid", "dst_ip")}
    row = {"MAC": mac, "ipaddr": address, "logical_switch": switch["_uuid"], "locator": ["named-uuid", "to"]}
    new = {"dst_ip": locator, "encapsulation_type": "vxlan_over_ipv4"}
    if locator in held:
        server.transact({"op": "insert", "table": MACS, "row": {**row, "locator": held[locator]}})
    else:
        server.transact(
            {"op": "insert", "table": "Physical_Locator", "uuid-name": "to", "row": new},
            {"op": "insert", "table": MACS, "row": row},
        )


def moved(plan: replay.Plan) -> list[str]:
    return [row.why for row in plan.having(Verdict.MOVED)]


def test_a_row_that_was_changed_since_is_refused(pair: Pair) -> None:
    pair.lost.transact(CHANGE)
    pair.survivor.transact({**CHANGE, "row": {"ipaddr": "192.0.2.7"}})
    assert moved(pair.plan()) == ["its ipaddr is 192.0.2.7 now"]


def test_a_changed_row_that_was_deleted_since_is_refused(pair: Pair) -> None:
    pair.lost.transact(CHANGE)
    pair.survivor.transact({"op": "delete", "table": MACS, "where": CHANGE["where"]})
    assert moved(pair.plan()) == ["it was deleted since"]


def test_a_deleted_row_that_was_changed_since_is_refused(pair: Pair) -> None:
    pair.lost.transact(DELETE)
    pair.survivor.transact({**CHANGE, "where": DELETE["where"]})
    assert moved(pair.plan()) == ["its ipaddr is 192.0.2.1 now"]


def test_an_address_that_was_learned_anew_elsewhere_is_refused(pair: Pair) -> None:
    insert(pair.lost, "m", "192.0.2.1")
    insert(pair.survivor, "m", "192.0.2.2")
    (why,) = moved(pair.plan())
    assert "has the same MAC, logical_switch now" in why


def test_of_many_rows_the_one_that_was_learned_anew_is_named_and_the_one_that_is_the_same_is_there(pair: Pair) -> None:
    for number in range(30):
        insert(pair.lost, f"m{number}", "192.0.2.1")
    insert(pair.survivor, "m7", "192.0.2.2")
    insert(pair.survivor, "m8", "192.0.2.1")
    plan = pair.plan()
    assert [row.entry.row["MAC"] for row in plan.having(Verdict.MOVED) if row.entry.row] == ["m7"]
    there = [row.entry.row["MAC"] for row in plan.having(Verdict.THERE) if row.entry.row and "MAC" in row.entry.row]
    assert there == ["m8"]
    pair.survivor.transact({"op": "delete", "table": MACS, "where": where(MAC="m7")})
    pair.replay()
    assert {f"m{number}" for number in range(30)} <= set(pair.survivor.macs())


def test_a_row_whose_reference_is_gone_is_refused(pair: Pair) -> None:
    (switch,) = rpc.select(pair.lost.socket, "Logical_Switch", "_uuid")
    pair.lost.transact({"op": "insert", "table": "Mcast_Macs_Remote", "row": {
        "MAC": "unknown-dst", "logical_switch": switch["_uuid"], "locator_set": ["named-uuid", "set"]}},
        {"op": "insert", "table": "Physical_Locator_Set", "uuid-name": "set",
         "row": {"locators": rpc.select(pair.lost.socket, "Physical_Locator", "_uuid")[0]["_uuid"]}},
    )  # fmt: skip
    pair.survivor.transact(
        {"op": "delete", "table": MACS, "where": []}, {"op": "delete", "table": "Logical_Switch", "where": []}
    )
    assert f"it refers to Logical_Switch {switch['_uuid'][1]}, which is gone" in moved(pair.plan())


def test_what_the_survivor_did_to_other_rows_is_left_alone(pair: Pair) -> None:
    pair.lost.transact(CHANGE)
    insert(pair.lost, "lost only")
    insert(pair.survivor, "survivor only", locator="10.2.2.2")
    pair.survivor.transact(DELETE)
    pair.replay()
    wanted = {mac(number) for number in range(8)} - {mac(2)} | {"lost only", "survivor only"}
    assert set(pair.survivor.macs()) == wanted


def test_a_locator_that_went_with_its_last_row_stays_where_another_row_needs_it_now(pair: Pair) -> None:
    pair.lost.transact({"op": "delete", "table": MACS, "where": []})
    (told,) = [row for row in pair.plan().rows if row.entry.table == "Physical_Locator"]
    assert (told.entry.kind, told.verdict) == (Kind.DELETED, Verdict.THERE)
    insert(pair.survivor, "new", locator="10.9.9.9")
    pair.replay()
    assert pair.survivor.macs() == ["new"]


def test_a_row_that_a_controller_wrote_again_is_there_already_with_what_it_refers_to(pair: Pair) -> None:
    """Both rows have new uuids on the survivor, and so has the locator that they share with a row that is missing."""
    for mac in ("a", "b"):
        insert(pair.lost, mac)
    insert(pair.survivor, "a")
    plan = pair.replay()
    assert [row.entry.row["MAC"] for row in plan.having(Verdict.REPLAY) if row.entry.row] == ["b"]
    rows = {row["MAC"]: row["locator"] for row in rpc.select(pair.survivor.socket, MACS, "MAC", "locator")}
    assert rows["a"] == rows["b"]


def test_a_row_that_moves_on_between_the_look_and_the_replay_makes_the_whole_fail(pair: Pair) -> None:
    insert(pair.lost, "new")
    pair.lost.transact(CHANGE)
    plan = pair.plan()
    pair.survivor.transact({**CHANGE, "row": {"ipaddr": "192.0.2.7"}})
    before = rows_of(pair.survivor.database)
    with pair.session() as session, pytest.raises(Refused, match="timed out"):
        replay.carry_out(session, plan, "one")
    assert rows_of(pair.survivor.database) == before


@pytest.mark.parametrize("kind", DONE)
def test_every_kind_of_row_is_watched_until_it_is_written(pair: Pair, kind: Kind) -> None:
    if kind is Kind.INSERTED:
        insert(pair.lost, "new")
    else:
        pair.lost.transact(CHANGE if kind is Kind.CHANGED else DELETE)
    plan = pair.plan()
    if kind is Kind.INSERTED:
        insert(pair.survivor, "new", "192.0.2.9", locator="10.1.1.2")
    else:
        pair.survivor.transact({"op": "update", "table": MACS, "where": [], "row": {"ipaddr": "192.0.2.9"}})
    with pair.session() as session, pytest.raises(Refused):
        replay.carry_out(session, plan, "one")


def test_of_many_rows_too_one_that_is_learned_anew_between_the_look_and_the_replay_makes_the_whole_fail(
    pair: Pair,
) -> None:
    for number in range(40):
        insert(pair.lost, f"m{number}")
    plan = pair.plan()
    insert(pair.survivor, "m7", "192.0.2.9", locator="10.1.1.2")
    with pair.session() as session, pytest.raises(Refused, match="timed out"):
        replay.carry_out(session, plan, "one")
    assert pair.survivor.macs().count("m7") == 1


def test_nothing_is_written_into_another_lineage_than_the_one_that_was_looked_up(pair: Pair) -> None:
    insert(pair.lost, "new")
    plan = pair.plan()
    stamp(pair.survivor, 7, "sw1")
    with pair.session() as session, pytest.raises(Refused, match="timed out"):
        replay.carry_out(session, plan, "one")
    assert "new" not in pair.survivor.macs()


# -- what goes, and what is in doubt -----------------------------------------------------------------------------------


def uuids_of(server: Server) -> set[str]:
    tables = contents.tables(log_file.schema(server.database))
    return {row["_uuid"][1] for table in tables for row in rpc.select(server.socket, table, "_uuid")}


def replay_with(pair: Pair, wanted: Selection, entries: list[Entry] | None = None) -> replay.Plan:
    with pair.session() as session:
        plan = replay.plan(session, pair.entries() if entries is None else entries, wanted)
        assert not plan.having(Verdict.MOVED)
        replay.carry_out(session, plan, "one")
    return plan


def flood(server: Server, *places: str) -> None:
    """Have frames for the one address go to these places and to no others, as a controller does."""
    switch = rpc.select(server.socket, "Logical_Switch", "_uuid")[0]
    held = {row["dst_ip"]: row["_uuid"] for row in rpc.select(server.socket, "Physical_Locator", "_uuid", "dst_ip")}
    new = {place: f"to{number}" for number, place in enumerate(places) if place not in held}
    inserts = [
        {"op": "insert", "table": "Physical_Locator", "uuid-name": name,
         "row": {"dst_ip": place, "encapsulation_type": "vxlan_over_ipv4"}} for place, name in new.items()
    ]  # fmt: skip
    locators = [["named-uuid", new[place]] if place in new else held[place] for place in places]
    inserts.append({"op": "insert", "table": "Physical_Locator_Set", "uuid-name": "set",
                    "row": {"locators": ["set", locators]}})  # fmt: skip
    row = {"MAC": "unknown-dst", "logical_switch": switch["_uuid"], "locator_set": ["named-uuid", "set"]}
    if rpc.select(server.socket, "Mcast_Macs_Remote", "_uuid"):
        known = {"locator_set": row["locator_set"]}
        server.transact(*inserts, {"op": "update", "table": "Mcast_Macs_Remote", "where": [], "row": known})
    else:
        server.transact(*inserts, {"op": "insert", "table": "Mcast_Macs_Remote", "row": row})


@pytest.mark.parametrize("number", range(6))
def test_unless_deletions_are_asked_for_no_row_of_the_survivor_goes_by_any_way(
    stack: ExitStack, tmp_path: Path, number: int
) -> None:
    pair = Pair(stack, tmp_path)
    chance = random.Random(number)
    for _ in range(20):
        anything(pair.lost, chance)
    pair.lost.transact(DELETE)
    before = uuids_of(pair.survivor)
    plan = replay_with(pair, Selection())
    assert before <= uuids_of(pair.survivor)
    assert {each.entry.kind for each in plan.having(Verdict.LEFT)} <= {Kind.DELETED}
    assert replay_with(pair, Selection(deletions=True)).going
    assert rows_of(pair.survivor.database) == rows_of(pair.lost.database)


def test_a_change_with_which_rows_go_is_a_deletion_too(stack: ExitStack, tmp_path: Path) -> None:
    pair = Pair(stack, tmp_path)
    for server in (pair.lost, pair.survivor):
        server.transact({"op": "delete", "table": "Mcast_Macs_Remote", "where": []})
    flood(pair.lost, "10.1.1.1", "10.1.1.2")
    pair.base.unlink()
    shutil.copy(pair.lost.database, pair.base)
    made = list(difference(rows_of(pair.survivor.database), rows_of(pair.lost.database)))
    with pair.session() as session:
        replay.carry_out(session, replay.plan(session, made), "zero")
    flood(pair.lost, "10.1.1.3")
    before = uuids_of(pair.survivor)
    plan = replay_with(pair, Selection())
    assert [each.entry.kind for each in plan.having(Verdict.LEFT)] == [Kind.CHANGED]
    assert before <= uuids_of(pair.survivor)
    gone = {entry.table for entry in replay_with(pair, Selection(deletions=True)).going}
    assert gone == {"Mcast_Macs_Remote", "Physical_Locator_Set", "Physical_Locator"}, "each is named"
    assert rows_of(pair.survivor.database) == rows_of(pair.lost.database)


def test_a_switch_whose_port_the_survivor_has_changed_since_is_not_deleted(stack: ExitStack, tmp_path: Path) -> None:
    pair = Pair(stack, tmp_path)
    for server in (pair.lost, pair.survivor):
        server.transact({"op": "delete", "table": "Physical_Switch", "where": where(name="gone")})
    pair.lost.transact(
        {"op": "insert", "table": "Physical_Port", "uuid-name": "port", "row": {"name": "swp1"}},
        {"op": "insert", "table": "Physical_Switch", "uuid-name": "switch",
         "row": {"name": "gone", "ports": ["named-uuid", "port"]}},
        {"op": "mutate", "table": "Global", "where": [],
         "mutations": [["switches", "insert", ["named-uuid", "switch"]]]},
    )  # fmt: skip
    shutil.copy(pair.lost.database, pair.base)
    with pair.session() as session:
        made = list(difference(rows_of(pair.survivor.database), rows_of(pair.lost.database)))
        replay.carry_out(session, replay.plan(session, made), "zero")
    pair.lost.transact(
        {"op": "update", "table": "Global", "where": [], "row": {"switches": ["set", []]}},
        {"op": "delete", "table": "Physical_Switch", "where": where(name="gone")},
    )
    pair.survivor.transact({"op": "update", "table": "Physical_Port", "where": [], "row": {"description": "used now"}})
    assert "its description is used now now" in moved(pair.plan())


def doubted(pair: Pair) -> list[Entry]:
    """Return the doubts of a comparison with what the survivor has by now."""
    return list(doubts(difference(rows_of(pair.survivor.database), rows_of(pair.lost.database))))


def uuid_named(entries: list[Entry], **values: str) -> str:
    (found,) = [each.uuid for each in entries if each.row and values.items() <= each.row.items()]
    return found


def test_of_doubts_only_what_is_named_is_added_and_nothing_else_changes(pair: Pair) -> None:
    insert(pair.lost, "a")
    insert(pair.lost, "b")
    pair.lost.transact(CHANGE, DELETE)
    for number in range(30):
        insert(pair.survivor, f"since {number}", locator="10.2.2.2")
    entries, before = doubted(pair), rows_of(pair.survivor.database)
    assert not replay_with(pair, Selection(), entries).having(Verdict.REPLAY)
    assert rows_of(pair.survivor.database) == before
    names = frozenset({uuid_named(entries, MAC="a"), uuid_named(entries, dst_ip="10.1.1.1")})
    replay_with(pair, Selection(named=names, deletions=True), entries)
    after = rows_of(pair.survivor.database)
    new = [rows.keys() - before[table].keys() for table, rows in after.items()]
    assert set().union(*new) == names
    assert all(rows.items() <= after[table].items() for table, rows in before.items())


def test_a_doubt_that_is_otherwise_on_the_active_side_is_never_written_over_it(pair: Pair) -> None:
    pair.survivor.transact({**CHANGE, "row": {"ipaddr": "192.0.2.7"}})
    entries = doubted(pair)
    (one,) = entries
    assert one.base is not None
    with pair.session() as session:
        plan = replay.plan(session, entries, Selection(named=frozenset({one.uuid})))
    assert moved(plan) == ["it is there with another ipaddr: 192.0.2.7"]
    pair.survivor.transact({"op": "delete", "table": MACS, "where": CHANGE["where"]})
    replay_with(pair, Selection(named=frozenset({one.uuid})), entries)
    assert mac(1) in pair.survivor.macs()


def test_a_doubt_is_not_added_without_what_it_refers_to_nor_what_nothing_refers_to(pair: Pair) -> None:
    insert(pair.lost, "a", locator="10.1.1.9")
    entries = doubted(pair)
    address, locator = uuid_named(entries, MAC="a"), uuid_named(entries, dst_ip="10.1.1.9")
    for name, why in ((address, f"it refers to Physical_Locator {locator}, which is gone"),
                      (locator, "it would go again at once: no row that is added refers to it")):  # fmt: skip
        with pair.session() as session:
            assert moved(replay.plan(session, entries, Selection(named=frozenset({name})))) == [why]
    insert(pair.survivor, "other", locator="10.1.1.9")
    replay_with(pair, Selection(named=frozenset({address})), entries)
    rows = {row["MAC"]: row["locator"] for row in rpc.select(pair.survivor.socket, MACS, "MAC", "locator")}
    assert rows["a"] == rows["other"], "the same locator is there by now, under another uuid"


def test_a_row_that_was_brought_back_and_deleted_since_stays_deleted_unless_it_is_named(pair: Pair) -> None:
    insert(pair.lost, "a")
    pair.lost.transact(CHANGE)
    tried = frozenset(each.entry.uuid for each in pair.replay().having(Verdict.REPLAY))
    pair.survivor.transact(
        {"op": "delete", "table": MACS, "where": where(MAC="a")}, {**CHANGE, "row": {"ipaddr": ""}}
    )
    before = rows_of(pair.survivor.database)
    again = replay_with(pair, Selection(deletions=True, tried=tried))
    assert len(again.having(Verdict.LEFT)) == len(tried)
    assert rows_of(pair.survivor.database) == before
    replay_with(pair, Selection(named=tried, tried=tried))
    assert "a" in pair.survivor.macs()
    assert rows_of(pair.survivor.database)[MACS].items() >= before[MACS].items(), "what was changed since stays so"


# -- what is known of the past -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(4))
def test_every_moment_of_a_file_is_known_again_and_no_other_is(stack: ExitStack, tmp_path: Path, number: int) -> None:
    server = Server(stack, tmp_path / "server")
    server.start()
    server.fill(rows=6)
    chance, moments = random.Random(number), []
    columns = {name: table.columns for name, table in contents.tables(log_file.schema(server.database)).items()}
    for _ in range(12):
        anything(server, chance)
        moments.append(rows_of(server.database))
    flood(server, "10.1.1.1", "10.1.1.2")
    flood(server, "10.1.1.2", "10.1.1.3")
    moments.append(rows_of(server.database))
    assert all(log_file.ever_held(server.database, rows, columns) for rows in moments)
    for rows in moments:
        other = {table: dict(each) for table, each in rows.items()}
        other[MACS].popitem()
        other["Logical_Switch"]["5c1b1b1e-0000-4000-8000-000000000000"] = "{}"
        assert not log_file.ever_held(server.database, other, columns)
    server.appctl("ovsdb-server/compact")
    assert log_file.ever_held(server.database, moments[-1], columns)
    assert not log_file.ever_held(server.database, moments[0], columns)


# -- without a base ----------------------------------------------------------------------------------------------------


def without_peer(pair: Pair, directory: Path) -> Task:
    """Return an errand whose peer's agent does not answer, while our own server has the copy of its rows."""
    key = directory / "pair.key"
    key.write_text("k" * 40)
    key.chmod(0o600)
    task = Task(
        "one", "sw1", "sw2", 5, 6, "2026-11-21T07:00:00Z", "snapshot.db", str(pair.lost.database), 1, DATABASE,
        "127.0.0.1", free_port(), str(key), str(pair.survivor.socket), str(directory / "state"),
    )  # fmt: skip
    task.ledgers.mkdir(parents=True)
    pending.save(task)
    return task


def test_a_peer_that_does_not_answer_is_asked_again_later(pair: Pair, tmp_path: Path) -> None:
    task = without_peer(pair, tmp_path)
    with pytest.raises(DriverError, match="Connection refused"):
        job.do(replace(task, tries=1), patience=0.2)
    assert task.path.exists()


def test_at_last_the_survivor_is_compared_as_it_is_now_and_the_ledger_says_so(pair: Pair, tmp_path: Path) -> None:
    task = without_peer(pair, tmp_path)
    insert(pair.lost, "new")
    pair.survivor.transact(DELETE)
    insert(pair.survivor, "written since")
    told = job.do(replace(task, tries=pending.TRIES), patience=0.2)
    assert "in doubt; this is not exact: the agent at 127.0.0.1" in told
    ((head,), _) = ledger.heads(task.ledgers)
    assert not head.exact
    # What the survivor deleted since cannot be told from what exists only here, and what it wrote since is not ours.
    entries = ledger.entries(task.ledgers, head.id)
    assert {entry.row["MAC"] for entry in entries if entry.row and "MAC" in entry.row} == {"new", mac(2)}
    assert {entry.kind for entry in entries} == {Kind.DOUBT}
    assert not task.path.exists()


def test_a_comparison_that_fails_for_good_leaves_a_ledger_that_says_why(
    pair: Pair, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task = replace(without_peer(pair, tmp_path), tries=pending.TRIES + 1)
    pending.save(task)
    assert job.main([str(task.path)]) == 0
    ((head,), _) = ledger.heads(task.ledgers)
    assert head.open
    assert "begun three times" in head.failed
    assert "cannot be compared" in capsys.readouterr().out
    assert not task.path.exists()


@pytest.mark.parametrize("later", [True, False], ids=["by tokens", "within one token"])
def test_a_file_that_lost_its_end_has_nothing_that_the_survivor_lacks(
    stack: ExitStack, tmp_path: Path, later: bool
) -> None:
    """sw1 lost its power and with it rows that sw2 had copied; they were not deleted there."""
    pair = Pair(stack, tmp_path)
    shutil.copy(pair.lost.database, tmp_path / "rolled back.db")
    insert(pair.lost, "copied in time")
    told = compared(pair, tmp_path, tmp_path / "rolled back.db", (5, 1) if later else (5, 0))
    assert "nothing exists only" in told


def test_a_row_that_was_deleted_within_the_last_token_is_listed(stack: ExitStack, tmp_path: Path) -> None:
    pair = Pair(stack, tmp_path)
    before = tmp_path / "before.db"
    shutil.copy(pair.lost.database, before)
    pair.lost.transact(DELETE)
    assert "1 deleted" in compared(pair, tmp_path, pair.lost.database, (5, 0), before)


@pytest.mark.parametrize("lost_end", [DELETE, CHANGE], ids=["a deletion", "a change"])
def test_what_a_file_has_that_lost_its_end_within_one_token_is_in_doubt(
    stack: ExitStack, tmp_path: Path, lost_end: dict[str, Any]
) -> None:
    """sw1 lost its power and with it the end of its file: the survivor has the newer row, or rightly none."""
    pair = Pair(stack, tmp_path)
    shutil.copy(pair.lost.database, tmp_path / "rolled back.db")
    pair.lost.transact(lost_end)
    told = compared(pair, tmp_path, tmp_path / "rolled back.db", (5, 0))
    assert "1 row of snapshot snapshot.db of term 5 in doubt; this is not exact: sw1 never held" in told


def test_what_was_written_to_the_survivor_before_it_had_kept_its_base_was_not_deleted_here(
    stack: ExitStack, tmp_path: Path
) -> None:
    """Somebody wrote to the survivor as it took over, so its base is no moment of the other side's past."""
    pair = Pair(stack, tmp_path)
    wrote = Server(stack, tmp_path / "wrote")
    shutil.copy(pair.base, wrote.database)
    wrote.start()
    insert(wrote, "acknowledged")
    insert(pair.lost, "lost only")
    told = compared(pair, tmp_path, pair.lost.database, (5, 0), wrote.database)
    assert "in doubt" in told
    ((head,), _) = ledger.heads(tmp_path / "state" / "ledgers")
    assert head.counts["deleted"] == 0


@pytest.mark.parametrize("damage", ["cut short", "another one's", "a byte", "empty"])
def test_a_base_that_is_not_what_was_kept_is_never_compared_with(
    stack: ExitStack, tmp_path: Path, damage: str
) -> None:
    pair = Pair(stack, tmp_path)
    insert(pair.lost, "new")
    base = tmp_path / "kept.db"
    shutil.copy(pair.base, base)
    contents.tool(LIMIT, "compact", str(base))
    whole = base.read_bytes()
    if damage == "another one's":
        shutil.copy(pair.survivor.database, base)
    else:
        at = whole.index(b"10.0.0.") if b"10.0.0." in whole else len(whole) - 40
        base.write_bytes({"cut short": whole[:-9], "a byte": whole[:at] + b"X" + whole[at + 1 :]}.get(damage, b""))
    pair.survivor.transact(DELETE)
    with pytest.raises(DriverError):
        compared(pair, tmp_path, pair.lost.database, (5, 0), base)
    task = pending.load(pending.pending(tmp_path / "state" / "ledgers")[0])
    shutil.rmtree(tmp_path / "peer")
    told = compared(pair, tmp_path, pair.lost.database, (5, 0), base, tries=pending.TRIES, task=task)
    assert "in doubt; this is not exact" in told


def test_a_disk_that_takes_no_ledger_uses_up_no_try(
    pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = replace(without_peer(pair, tmp_path), tries=pending.TRIES)
    insert(pair.lost, "new")
    pending.save(task)
    monkeypatch.setattr(job, "PATIENCE", 0.2)
    monkeypatch.setattr(job.do, "__defaults__", (0.2,))
    (task.ledgers / "one.rows").mkdir()  # a rename onto it fails, as a write does on a disk without room
    assert job.main([str(task.path)]) == 1
    assert pending.load(task.path).tries == pending.TRIES - 1
    (task.ledgers / "one.rows").rmdir()
    assert "in doubt" in job.do(replace(task, tries=pending.TRIES), patience=0.2)


def compared(pair: Pair, directory: Path, snapshot: Path, token: tuple[int, int], base: Path | None = None,
             tries: int = 1, task: Task | None = None) -> str:  # fmt: skip
    """Return what is told of a snapshot of sw1's; by default sw2 took over all that sw1's server has."""
    task = replace(task or without_peer(pair, directory), data=str(snapshot), tries=tries)
    took_over = baseline.Baseline(6, "sw2", (5, "sw1"), token, file="term6.db")
    with peer_that_keeps(directory, took_over, task):
        shutil.copy(base or pair.lost.database, directory / "peer" / "bases" / "term6.db")
        return job.do(task, patience=5.0)


def test_a_comparison_that_was_killed_at_its_end_leaves_what_was_decided_since(pair: Pair, tmp_path: Path) -> None:
    task = without_peer(pair, tmp_path)
    insert(pair.lost, "new")
    job.do(replace(task, tries=pending.TRIES), patience=0.2)
    ((head,), _) = ledger.heads(task.ledgers)
    ledger.update(task.ledgers, replace(head, dismissed={"reason": "not wanted"}))
    pending.save(task)
    assert job.main([str(task.path)]) == 0
    ((head,), _) = ledger.heads(task.ledgers)
    assert head.dismissed == {"reason": "not wanted"}
    assert not task.path.exists()


def test_a_base_that_the_peer_has_removed_meanwhile_is_done_without_at_last(pair: Pair, tmp_path: Path) -> None:
    task = without_peer(pair, tmp_path)
    parted = baseline.Baseline(5, "sw1", (4, "sw2"), file="term5.db")
    baseline.need(task.bases)
    baseline.save(task.bases, parted)
    with peer_that_keeps(tmp_path, baseline.Baseline(6, "sw2", (4, "sw2")), task) as reached:
        with pytest.raises(DriverError, match=r"term5\.db"):
            job.do(replace(reached, tries=1), patience=1.0)
        assert "nothing exists only" in job.do(replace(reached, tries=pending.TRIES), patience=1.0)


@contextmanager
def peer_that_keeps(directory: Path, base: baseline.Baseline, task: Task) -> Iterator[Task]:
    """Run the exchange of a peer that has such a base; yield the errand with its address."""
    (directory / "peer" / "bases").mkdir(parents=True)
    baseline.save(directory / "peer" / "bases", base)
    files = Files(directory / "peer")
    key = Path(task.key_file).read_bytes()
    exchange = Exchange("127.0.0.1", task.port, key, {}, {"fetch": files.fetch, "list": files.list})
    stopped = threading.Event()

    def serve() -> None:
        while not stopped.is_set():
            exchange.run(time.monotonic())
            poller = Poller()
            exchange.wait(poller, time.monotonic())
            poller.timer_wait(20)
            poller.block()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield task
    finally:
        stopped.set()
        thread.join()
        exchange.close()


def test_a_comparison_that_another_one_is_at_is_left_to_it(pair: Pair, tmp_path: Path) -> None:
    task = without_peer(pair, tmp_path)
    with pending.held(task.path) as mine:
        assert mine
        assert job.main([str(task.path)]) == pending.BUSY
