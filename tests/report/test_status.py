"""Laws of what the operator is told: the same facts always give the same words, and they are true."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from ovsha.core.facts import Ask, Clag, Copy, Grant, Kind, Life, Mode, Server, Source, Stamp, State
from ovsha.core.lineage import PARKED, WITHOUT
from ovsha.core.view import Memory, View
from ovsha.protocol.path import Path, PathState
from ovsha.report import status, status_text
from ovsha.report.assessment import Divergence, Manager, PathReport, ServiceMove, Stands
from ovsha.words import ago, span, yes
from tests.support.made_up_pair import (
    ACTIVE_PEER,
    BACKUP_PEER,
    FOLLOWING,
    MEMORY,
    OUTSIDE,
    SERVING,
    SETTINGS,
    SOURCE,
    document,
    lost,
)


def test_sync_status_of_a_backup_shows_the_vendors_lines_and_that_they_are_true() -> None:
    assert (
        status_text.sync_text(document())
        == """\
sw1: the peer, heard 0.050 s ago
state: active
serving: yes
term: 7, opened by sw1
last token: 7.155

sw2: this side
state: backup
replicating: tcp:169.254.0.9:9999
database: hardware_vtep
exclude: none
serving: no
term: 7, opened by sw1
last token: 7.155
in sync: yes, for 5 min
lag: 0.004 s
session to tcp:169.254.0.9:9999: alive
divergence: none known

verdict: in sync
"""
    )


def test_sync_status_of_the_active_side_shows_the_same_two_sides() -> None:
    assert (
        status_text.sync_text(document(SERVING))
        == """\
sw1: the peer, heard 0.050 s ago
state: backup
replicating: tcp:169.254.0.10:9999
database: hardware_vtep
exclude: none
serving: no
term: 7, opened by sw2
last token: 7.40
in sync: yes, for 20 s
lag: 0.012 s

sw2: this side
state: active
serving: yes
term: 7, opened by sw2
last token: 7.40
divergence: none known

verdict: in sync
"""
    )


def test_a_lost_peer_keeps_its_lines_with_their_age() -> None:
    assert (
        status_text.sync_text(document(lost(SERVING)))
        == """\
sw1: the peer, last heard 12 s ago; what follows was true then
state: backup (when last heard)
replicating: tcp:169.254.0.10:9999
database: hardware_vtep
exclude: none
serving: no
term: 7, opened by sw2
last token: 7.40
in sync: yes, for 20 s
lag: 0.012 s

sw2: this side
state: active
serving: yes
term: 7, opened by sw2
last token: 7.40
divergence: none known

verdict: sw1 is silent on every path for 12 s; see whether sw1 runs and is cabled; it rejoins by itself
"""
    )


def test_a_peer_that_was_never_heard_has_a_line_too() -> None:
    told = document(View(1000.0, SETTINGS, Server(Life.DOWN)), memory=Memory("boot"))
    assert (
        status_text.sync_text(told)
        == """\
sw1: the peer, never heard

sw2: this side
state: unknown
ovsdb-server: down
serving: no
term: unknown
last token: unknown
divergence: none known

verdict: ovsdb-server on sw2 is not running; on sw2: `systemctl start ovsha-ovsdb-server`, \
blank if its file is damaged; the agent there does the rest
"""
    )


def test_status_shows_both_sides_beside_each_other() -> None:
    assert (
        status_text.status_text(document())
        == """\
OK: in sync, nothing is wrong

                  sw1, heard 0.050 s ago       sw2, this side
administrative    preferred, by configuration  not preferred
operational       active                       backup
MLAG role         primary                      secondary
ovsdb-server      active                       backup
source            -                            replicating 169.254.0.9:9999
in sync           -                            yes, for 5 min
lag               -                            0.004 s
term              7, opened by sw1             7, opened by sw1
last token        7.155                        7.155
VIP               yes                          no
controllers       1                            0
VTEP sessions     2                            0
active for        5 min 12 s                   -
agent up for      -                            2 h 5 min

path peer-link    up, heard 0.050 s ago, round trip 0.4 ms
path backup-path  up, heard 0.050 s ago, round trip 0.4 ms
session to peer   tcp:169.254.0.9:9999: alive
clagd             secondary; peer primary, alive; backup path active
VIP               169.254.0.11 port 9998 on peerlink.4094
controller        ssl:10.0.0.1:6632

last move         5 min 12 s ago: init -> backup, because the peer is the active side
agent             ovsha 0.1.0, node sw2 of pair rack7

OK: in sync, nothing is wrong
"""
    )


def test_what_is_wrong_stands_first_and_last_and_the_gravest_nearest_to_the_prompt() -> None:
    behind = replace(FOLLOWING, copy=Copy(), record=replace(ACTIVE_PEER, vteps=0))
    text = status_text.status_text(document(behind))
    gravest = """\
BROKEN: sw2 is not in sync: the last token of sw1 has not arrived in time
  do: wait until it is filled; a failover would lose what is missing
"""
    assert text.startswith(gravest + "  and one more below\n\n")
    lesser = """
also DEGRADED: no VTEP daemon is attached to sw1
  do: point ovs-vtepd of both switches to 169.254.0.11:9998
"""
    assert text.endswith(lesser + gravest)


def test_what_weakens_a_pair_in_sync_is_told_with_the_lines_it_is_seen_in() -> None:
    down = Path(PathState.DOWN, 4.5, None, None)
    outside = replace(OUTSIDE, paths={"peer-link": PathReport(down, "cannot send: Network is unreachable")})
    text = status_text.status_text(document(outside=outside))
    assert "\npath peer-link    down, heard 4.50 s ago, cannot send: Network is unreachable\n" in text
    assert text.endswith(
        """
DEGRADED: in sync, but the heartbeat path peer-link is down for 4.50 s: cannot send: Network is unreachable
  do: see its interface and addresses on both switches
"""
    )


def test_a_lost_peer_keeps_its_column_under_the_age_of_what_it_says() -> None:
    text = status_text.status_text(document(lost(SERVING)))
    assert text.startswith("BROKEN: sw1 is silent on every path for 12 s\n  do: ")
    assert "\n                  sw1, LOST: as it was 12 s ago  sw2, this side\n" in text
    assert "\noperational       backup                         active\n" in text
    assert "\nrestore           to sw1 by itself, once it has been in sync for 30 s\n" in text


def test_the_last_move_of_the_service_is_told_with_its_reason_and_the_operators() -> None:
    moved = ServiceMove(90.0, "switchover", "sw1", "sw2", "the peer has drained and its last write is in our copy")
    text = status_text.status_text(document(outside=replace(OUTSIDE, service=moved)))
    assert "\nlast move         1 min 30 s ago: switchover, sw1 -> sw2, because the peer has drained" in text
    assert "reason given" not in text
    given = replace(moved, operator_reason="change 4711")
    assert "\nreason given      change 4711\n" in status_text.status_text(
        document(outside=replace(OUTSIDE, service=given))
    )


def test_a_silent_agent_is_not_told_thrice_by_the_paths_it_is_not_heard_on() -> None:
    down = Path(PathState.DOWN, 4.5, None, 0.0004)
    outside = replace(OUTSIDE, paths={"peer-link": PathReport(down), "backup-path": PathReport(down)})
    told = document(replace(SERVING, heard_age=4.5, link_silent_for=4.5), outside)
    assert [each["name"] for each in told["problems"]] == ["peer-lost"]
    text = status_text.status_text(told)
    assert "\npath peer-link    no heartbeats, heard 4.50 s ago\n" in text, "an old round trip is none"
    assert told["paths"]["peer-link"]["state"] == "down"


def test_a_peer_that_was_never_heard_has_an_empty_column() -> None:
    text = status_text.status_text(document(View(1000.0, SETTINGS, Server(Life.DOWN)), memory=Memory("boot")))
    assert "\n                  sw1, never heard" in text
    assert re.search(r"\novsdb-server      +down\n", text)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    outside = replace(
        OUTSIDE,
        divergences=(Divergence("20261121T072714Z", 3, True, "conf.db.20261121T072714Z.term7"),),
        managers=(Manager("ssl:[2001:db8:1111:2222:3333:4444:5555:6666]:6632", True),),
    )
    view = replace(lost(SERVING), clag=Clag(trouble="clagctl has not answered within 4 s; " * 3))
    text = status_text.status_text(document(view, outside), width)
    assert [line for line in text.splitlines() if len(line) > width] == []
    whole = status_text.status_text(document(view, outside))
    assert sorted("".join(whole.split())) == sorted("".join(text.split())), "nothing is lost by breaking lines"


def test_what_is_as_it_should_be_has_no_line_of_its_own_and_what_is_not_has() -> None:
    usual = status_text.status_text(document())
    half = status_text.status_text(document(replace(FOLLOWING, record=replace(ACTIVE_PEER, listener=False))))
    for label in ("VIP listener", "managers' remote", "peer link  ", "handover", "next step", "exclude"):
        assert f"\n{label}" not in usual
    assert re.search(r"\nVIP listener      no +no\n", half)


def test_tables_that_a_backup_leaves_out_are_named_and_it_is_not_in_sync() -> None:
    source = f"{SOURCE}{WITHOUT}hardware_vtep:Ucast_Macs_Remote"
    view = replace(FOLLOWING, server=replace(FOLLOWING.server, source=source))
    told = document(view)
    assert (told["sides"]["sw2"]["source"], told["sides"]["sw2"]["exclude"]) == (
        SOURCE, "hardware_vtep:Ucast_Macs_Remote",
    )  # fmt: skip
    assert not told["in_sync"]
    text = status_text.sync_text(told)
    assert f"\nreplicating: {SOURCE}\ndatabase: hardware_vtep\nexclude: hardware_vtep:Ucast" in text
    assert "hardware_vtep:Ucast_Macs_Remote" in status_text.status_text(told)


def test_rows_that_only_a_ledger_has_are_told_beside_the_verdict() -> None:
    diverged = replace(OUTSIDE, divergences=(Divergence("20261121T072714Z", 3, False, "s"),))
    told = status_text.sync_text(document(outside=diverged))
    assert "\ndivergence: 3 rows in doubt in ledger 20261121T072714Z, not exact\n\nverdict: in sync\n" in told
    unknown = replace(OUTSIDE, divergences=(Divergence("x", 0, False, "s", "the file is damaged"),))
    told = status_text.sync_text(document(outside=unknown))
    assert "\ndivergence: of snapshot s not known: the file is damaged\n" in told


def test_the_document_is_json_and_its_keys_do_not_change_within_a_schema() -> None:
    told = json.loads(json.dumps(document()))
    assert told == {
        "schema": 1,
        "version": "0.1.0",
        "node": "sw2",
        "peer": "sw1",
        "standalone": False,
        "pair": "rack7",
        "pid": 4711,
        "uptime": 7500.0,
        "in_sync": True,
        "healthy": True,
        "verdict": "in sync",
        "do": None,
        "state": "backup",
        "rule": "peer-serves",
        "why": "the peer is the active side",
        "step": None,
        "under_way": None,
        "moved": {"age": 312.0, "what": "init -> backup, because the peer is the active side"},
        "service": None,
        "preferred": {"node": "sw1", "configured": "sw1", "chosen": False, "restore": "automatic"},
        "handover": None,
        "mode": "active",
        "would": [],
        "pause": None,
        "forgotten_pause": None,
        "upgrade": None,
        "planned_switchover": None,
        "presence": "alive",
        "sides": {"sw1": SW1, "sw2": SW2},
        "identity": {"own": None, "peer": None, "stranger": None, "estranged": False},
        "source": {
            "address": SOURCE,
            "loaded": True,
            "closed": False,
            "host_silent_for": 0.0,
            "unanswered_for": 0.0,
            "role": "active",
            "stamp": {"term": 7, "node": "sw1", "chosen": False},
            "token": "7.155",
        },
        "kernel": {"answered": 0, "suspected_for": None, "paths": [], "packet_age": None, "ended": False},
        "divergences": [],
        "paths": {
            name: {"state": "up", "heard_age": 0.05, "echo_age": 0.06, "round_trip": 0.0004, "trouble": None}
            for name in ("peer-link", "backup-path")
        },
        "clag": {
            "role": "secondary",
            "peer_role": "primary",
            "peer_alive": True,
            "backup_active": True,
            "trouble": "",
            "age": 2.1,
        },
        "vip": {"address": "169.254.0.11", "interface": "peerlink.4094", "port": 9998},
        "managers": [{"target": "ssl:10.0.0.1:6632", "connected": False}],
        "exposure": None,
        "collisions": {"seen": [], "missed": 0},
        "counters": {"moves": 1, "incidents": 0, "forged": 0},
        "failing": {},
        "settings": {
            "node": "sw2",
            "peer": "sw1",
            "preferred": "sw1",
            "source": SOURCE,
            "dead_interval": 0.45,
            "stall_interval": 10.0,
            "restore_delay": 30.0,
            "restore_automatic": True,
            "handover_timeout": 5.0,
            "link_cut_hold": 3.0,
            "max_lag": 1.0,
            "token_interval": 2.0,
            "max_behind": 60.0,
            "lone_boot": None,
            "min_share": 0.5,
            "min_cells": 1000,
            "move_limit": 6,
            "move_window": 3600.0,
            "has_vip": True,
        },
        "problems": [],
    }


SW1 = {
    "age": 0.05,
    "current": True,
    "state": "active",
    "term": 7,
    "life": "up",
    "role": "active",
    "source": None,
    "replicating": False,
    "serving": True,
    "vip": True,
    "listener": True,
    "managers": True,
    "stamp": {"term": 7, "node": "sw1", "chosen": False},
    "token": "7.155",
    "empty": False,
    "in_sync_for": None,
    "lag": None,
    "mlag": "primary",
    "link_up": True,
    "mode": "active",
    "mode_left": None,
    "upgrade": None,
    "upgraded": None,
    "undriven": False,
    "by_order": None,
    "words": 0,
    "behind": None,
    "overwritten": False,
    "goodbye": False,
    "lapsed": False,
    "cut_off": False,
    "controllers": 1,
    "vteps": 2,
    "active_for": 312.0,
    "uptime": None,
    "cells": None,
    "keep": None,
    "decision": "",
    "refusal": "",
    "why": "we are the active side",
    "trouble": "",
    "database": "hardware_vtep",
    "exclude": "",
    "parked": False,
}
SW2 = SW1 | {
    "age": 0.0,
    "state": "backup",
    "role": "backup",
    "source": SOURCE,
    "replicating": True,
    "serving": False,
    "vip": False,
    "listener": False,
    "managers": False,
    "in_sync_for": 300.0,
    "lag": 0.004,
    "mlag": "secondary",
    "controllers": 0,
    "vteps": 0,
    "active_for": None,
    "uptime": 7500.0,
    "why": "the peer is the active side",
}


def test_sync_status_as_json_is_a_part_of_the_document() -> None:
    told = document()
    part = status.sync_status(told)
    assert part["in_sync"] is True
    assert part.items() <= told.items()
    assert status_text.sync_text(part) == status_text.sync_text(told)


def test_a_parked_backup_is_not_shown_as_connecting() -> None:
    parked = replace(FOLLOWING.server, source=PARKED, replicating=False)
    told = document(replace(FOLLOWING, server=parked, source=Source(loaded=True), copy=Copy()))
    assert f"\nparked: {PARKED}\n" in status_text.sync_text(told)
    assert told["verdict"] == (
        "sw2 is not in sync: it does not follow sw1, because the peer is active but must not be copied: "
        "the peer's database is of unknown lineage"
    )
    assert told["do"] == "nothing is erased; to serve with the data on sw2, stop ovsdb-server on sw1"


def test_a_backup_that_does_not_replicate_yet_is_connecting() -> None:
    told = document(replace(FOLLOWING, server=replace(FOLLOWING.server, replicating=False), copy=Copy()))
    assert f"\nconnecting: {SOURCE}\n" in status_text.sync_text(told)
    assert told["verdict"] == f"sw2 is not in sync: it is connecting to {SOURCE}"


def test_a_handover_shows_how_far_it_is_on_both_sides() -> None:
    ask = Ask("sw1-x-0", Kind.RESTORE)
    asking = replace(SERVING, record=replace(BACKUP_PEER, ask=ask))
    assert document(asking)["handover"] == {
        "kind": "restore",
        "to": "sw1",
        "granted": True,
        "drained": False,
        "barrier": None,
        "refusal": None,
    }
    grant = Grant("sw2-x-0", Kind.SWITCHOVER, (7, 156), drained=True)
    drained = replace(FOLLOWING, record=replace(ACTIVE_PEER, state=State.INIT, serving=False, grant=grant))
    told = document(
        drained, memory=replace(MEMORY, ask=Ask("sw2-x-0", Kind.SWITCHOVER), ask_deadline=2000.0, wanted="o")
    )
    assert told["verdict"] == "the service is on its way to the other side (switchover)"
    assert "handover          switchover to sw2: drained, barrier 7.156" in status_text.status_text(told)


def test_a_refused_ask_shows_the_reason() -> None:
    refusing = replace(FOLLOWING, record=replace(ACTIVE_PEER, refusal="this side is the preferred one"))
    memory = replace(MEMORY, ask=Ask("sw2-x-0", Kind.SWITCHOVER), ask_deadline=2000.0, wanted="o", wanted_until=2000.0)
    text = status_text.status_text(document(refusing, memory=memory))
    assert "handover          switchover to sw2: refused, because this side is the preferred one" in text


def test_an_operators_choice_is_shown_over_the_configured_side() -> None:
    chosen = Stamp(7, "sw2", chosen=True)
    view = replace(SERVING, server=replace(SERVING.server, stamp=chosen), record=replace(BACKUP_PEER, stamp=chosen))
    text = status_text.status_text(document(view, memory=replace(MEMORY, peer_stamp=chosen)))
    assert "administrative    not preferred                  preferred, by operator\n" in text
    assert "\nrestore " not in text


def test_an_agent_that_has_slept_says_so_of_its_peer() -> None:
    told = document(replace(SERVING, heard_age=None, source=Source(), link_silent_for=None))
    assert "sw1: the peer, not heard since this agent slept; what follows was true then" in status_text.sync_text(told)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.000 s"),
        (0.0042, "0.004 s"),
        (0.5, "0.50 s"),
        (12.3, "12 s"),
        (60, "1 min"),
        (312, "5 min 12 s"),
        (3600, "1 h"),
        (3605, "1 h"),
        (7500, "2 h 5 min"),
        (90000, "1 d 1 h"),
        (-1e-9, "0.000 s"),
    ],
)
def test_a_span_has_at_most_two_units(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_what_is_not_known_has_its_own_word() -> None:
    assert (ago(None), ago(2.0), yes(None), yes(True), yes(False)) == ("never", "2.00 s ago", "unknown", "yes", "no")


def test_a_side_that_is_paused_and_a_planned_move_have_their_lines() -> None:
    paused = replace(FOLLOWING, record=replace(ACTIVE_PEER, mode=Mode.PAUSED, mode_left=1740.0))
    plan = Stands("2026-11-21T22:00:00+00:00", 7200.0, "alice", "change 4711", "sw2")
    text = status_text.status_text(document(paused, replace(OUTSIDE, plan=plan)))
    assert re.search(r"\nmode +paused for another 29 min +active\n", text)
    assert (
        "\nplanned           switchover to sw2 at 2026-11-21T22:00:00+00:00, in 2 h, ordered by alice: change 4711\n"
        in text
    )
    assert "\nmode " not in status_text.status_text(document())
