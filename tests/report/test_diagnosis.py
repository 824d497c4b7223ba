"""Laws of the verdict: what is wrong is said, and nothing is said to be right that is not."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovsha.core.facts import (
    Ask,
    Clag,
    Copy,
    EchoPath,
    Grant,
    Kernel,
    Kind,
    Life,
    MlagRole,
    Mode,
    Record,
    Role,
    Server,
    Source,
    Stamp,
    State,
    Vip,
)
from ovsha.core.lineage import PARKED
from ovsha.core.view import Memory, View
from ovsha.protocol.path import PathState
from ovsha.report import status_text
from ovsha.report.assessment import Identities, PathReport, StatusInputs, Undoing
from tests.support.made_up_pair import (
    ACTIVE_PEER,
    BACKUP_PEER,
    FOLLOWING,
    OUTSIDE,
    SERVING,
    SETTINGS,
    SOURCE,
    UP,
    document,
    lost,
    names,
)


def test_a_server_that_says_replicating_is_not_believed_without_the_token() -> None:
    told = document(replace(FOLLOWING, copy=Copy()))
    assert not told["in_sync"]
    assert told["verdict"] == "sw2 is not in sync: the last token of sw1 has not arrived in time"


@pytest.mark.parametrize(
    ("view", "name", "what"),
    [
        (replace(FOLLOWING, server=Server(Life.DOWN)), "server-down", "ovsdb-server on sw2 is not running"),
        (replace(FOLLOWING, server=Server(Life.HUNG)), "server-hung", "ovsdb-server on sw2 is stopped or hangs"),
        (replace(FOLLOWING, server=Server()), "server-unknown", "ovsdb-server on sw2 has not answered yet"),
        (
            replace(SERVING, record=replace(BACKUP_PEER, life=Life.DOWN)),
            "server-down",
            "ovsdb-server on sw1 is not running",
        ),
        (
            replace(SERVING, record=replace(ACTIVE_PEER, lapsed=True)),
            "split-brain",
            "both sides serve; sw2 goes on, because it has watched without a gap",
        ),
        (
            replace(FOLLOWING, record=replace(ACTIVE_PEER, serving=False, why="we wait")),
            "not-served",
            "nobody serves (sw2: nobody serves and the sides are agreeing on who shall; sw1: we wait)",
        ),
        (lost(SERVING), "peer-lost", "sw1 is silent on every path for 12 s"),
        (
            replace(lost(SERVING), kernel=Kernel(paths=(EchoPath("peer-link", answered_age=0.1),))),
            "peer-lost",
            "the agent on sw1 is silent for 12 s, but the switch is not dead",
        ),
        (
            replace(lost(SERVING), kernel=Kernel(ended=True, paths=(EchoPath("peer-link", answered_age=0.1),))),
            "peer-lost",
            "neither the agent nor ovsdb-server of sw1 has answered for 12 s, though its kernel does",
        ),
        (
            replace(lost(SERVING), source=replace(SERVING.source, loaded=False)),
            "peer-lost",
            "the agent on sw1 is silent for 12 s, but the switch is not dead",
        ),
        (
            replace(FOLLOWING, record=replace(ACTIVE_PEER, state=State.INIT, listener=False)),
            "partly-served",
            "sw1 serves only in part: without the listener on it",
        ),
        (
            replace(SERVING, record=replace(BACKUP_PEER, in_sync_for=None)),
            "copy-behind",
            "sw1 is not in sync: the last token of sw2 has not arrived in time",
        ),
        (
            replace(SERVING, record=replace(BACKUP_PEER, stamp=Stamp(6, "sw1"))),
            "copy-behind",
            "sw1 is not in sync: its copy of sw2's database is being filled",
        ),
        (
            replace(SERVING, record=replace(BACKUP_PEER, source=PARKED, why="it is wary")),
            "copy-behind",
            "sw1 is not in sync: it does not follow sw2, because it is wary",
        ),
        (
            replace(FOLLOWING, copy=Copy(), record=replace(ACTIVE_PEER, overwritten=True)),
            "copy-behind",
            "sw2 is not in sync: a client writes over the agents' keys in sw1's database, by which its copy is"
            " measured",
        ),
    ],
)
def test_what_breaks_the_pair_is_the_verdict(view: View, name: str, what: str) -> None:
    told = document(view)
    assert (names(told)[0], told["verdict"]) == (name, what)
    assert not told["in_sync"]
    assert told["do"]


@pytest.mark.parametrize(
    ("view", "outside", "name", "what"),
    [
        (FOLLOWING, replace(OUTSIDE, failing={"drop the VIP": "boom"}), "step-failing", "cannot drop the VIP: boom"),
        (SERVING, replace(OUTSIDE, undone=(Undoing("the VIP was taken away", 7, 30.0, 2.0),)), "undone",
         "on sw2 the VIP was taken away 7 times within 30 s, last 2.00 s ago; it is put right ever more seldom"),
        (replace(FOLLOWING, vip=Vip(link_up=False)), OUTSIDE, "peer-link", "the peer link has no carrier here"),
        (
            replace(FOLLOWING, server=replace(FOLLOWING.server, life=Life.BUSY)),
            OUTSIDE,
            "server-busy",
            "ovsdb-server on sw2 is too busy to answer",
        ),
        (
            replace(FOLLOWING, clag=Clag(trouble="clagd is not running")),
            OUTSIDE,
            "mlag",
            "the MLAG role is unknown: clagd is not running",
        ),
        (
            replace(FOLLOWING, clag=Clag(MlagRole.PRIMARY, trouble="")),
            OUTSIDE,
            "mlag",
            "both switches are MLAG primary",
        ),
        (
            replace(FOLLOWING, record=replace(ACTIVE_PEER, controllers=0)),
            OUTSIDE,
            "no-controller",
            "no controller is connected to sw1: ssl:10.0.0.1:6632",
        ),
        (
            replace(FOLLOWING, record=replace(ACTIVE_PEER, vteps=0)),
            OUTSIDE,
            "no-vtep",
            "no VTEP daemon is attached to sw1",
        ),
        (FOLLOWING, replace(OUTSIDE, troubles={"announce": "no route"}), "trouble", "announce: no route"),
        (FOLLOWING, replace(OUTSIDE, server_file="/x/conf.db was moved or deleted", server_control="/x/s.ctl"),
         "server-file", "/x/conf.db was moved or deleted, and ovsdb-server on sw2 goes on with what it had, which is"
         " lost when it ends"),
        (FOLLOWING, replace(OUTSIDE, server_trouble="refused"), "trouble", "ovsdb-server on sw2: refused"),
    ],
)
def test_what_only_weakens_the_pair_is_told_and_leaves_it_in_sync(
    view: View, outside: StatusInputs, name: str, what: str
) -> None:
    told = document(view, outside)
    assert [(problem["name"], problem["level"], problem["what"]) for problem in told["problems"]] == [
        (name, "degraded", what)
    ]
    assert told["in_sync"]
    assert not told["healthy"]


@pytest.mark.parametrize(
    ("mode", "do"),
    [
        (Mode.ACTIVE, "wait; the other side is taken back by itself"),
        (Mode.PAUSED, "run `ovsha resume` on sw1 at once: it carries out nothing, so both go on until then"),
        (Mode.ADVISE, "set mode: active on sw1 at once: it carries out nothing, so both go on until then"),
    ],
)
def test_a_side_that_gives_way_in_a_split_brain_is_waited_for_only_if_it_carries_anything_out(
    mode: Mode, do: str
) -> None:
    """It has to give way although it carries out nothing where the other side carries out nothing either."""
    told = document(replace(SERVING, mode=mode, record=replace(ACTIVE_PEER, lapsed=True, mode=mode)))
    assert next(problem for problem in told["problems"] if problem["name"] == "split-brain")["do"] == do


def test_a_side_that_has_only_just_opened_misses_nobody() -> None:
    fresh = replace(ACTIVE_PEER, active_for=2.0, controllers=0, vteps=0)
    assert document(replace(FOLLOWING, record=fresh))["healthy"]


@pytest.mark.parametrize(
    ("state", "what", "do"),
    [
        (PathState.ONE_WAY_IN, "one-way in: sw2 hears sw1 there and is not heard", "packets from sw2 to sw1"),
        (PathState.ONE_WAY_OUT, "one-way out: sw1 hears sw2 there and is not heard", "packets from sw1 to sw2"),
        (PathState.DEGRADED, "degraded", "see its interface"),
    ],
)
def test_a_path_that_works_one_way_only_is_told_with_the_way_that_is_cut(state: PathState, what: str, do: str) -> None:
    path = PathReport(replace(UP, state=state))
    (problem,) = document(outside=replace(OUTSIDE, paths={"peer-link": path}))["problems"]
    assert (problem["name"], problem["level"]) == ("path", "degraded")
    assert problem["what"] == f"the heartbeat path peer-link is {what}"
    assert do in problem["do"]


@pytest.mark.parametrize(
    ("counters", "hint"),
    [
        ({"forged": 9}, "another key"),
        ({"stranger_pair": 9}, "pair.id"),
        ({"stranger_node": 9}, "compare node and nodes"),
        ({}, "start sw1 and ovsha on it"),
    ],
)
def test_a_peer_never_heard_is_explained_by_what_was_refused(counters: dict[str, int], hint: str) -> None:
    alone = replace(FOLLOWING, record=None, heard_age=None, link_silent_for=None, source=Source(), copy=Copy())
    told = document(alone, replace(OUTSIDE, counters=counters), Memory("boot", awake=1.0))
    problem = next(problem for problem in told["problems"] if problem["name"] == "peer-lost")
    assert problem["what"] == "sw1 was never heard since this switch booted"
    assert hint in problem["do"]


def test_a_switch_that_waits_for_its_peer_says_how_it_may_serve_alone() -> None:
    alone = replace(FOLLOWING, record=None, heard_age=None, link_silent_for=None, source=Source(), copy=Copy())
    told = document(alone, memory=Memory("boot", awake=1.0))
    assert told["verdict"] == "sw2 does not serve, because the peer was never met since this switch booted"
    assert "lone_boot" in told["do"]


ages = st.none() | st.sampled_from([0.0, 0.05, 0.3, 5.0, 100.0])
stamps = st.none() | st.builds(Stamp, st.integers(1, 3), st.sampled_from(["sw1", "sw2"]), st.booleans())
tokens = st.none() | st.tuples(st.integers(1, 3), st.integers(0, 3))
sources = st.sampled_from([None, SOURCE, "tcp:169.254.0.10:9999", PARKED])
grants = st.none() | st.builds(Grant, st.just("sw2-boot-0"), st.sampled_from(Kind), tokens, st.booleans())
records = st.none() | st.builds(
    Record,
    st.just("sw1"),
    state=st.sampled_from(State),
    life=st.sampled_from(Life),
    role=st.none() | st.sampled_from(Role),
    source=sources,
    replicating=st.booleans(),
    serving=st.booleans(),
    stamp=stamps,
    token=tokens,
    in_sync_for=ages,
    lag=ages,
    mlag=st.none() | st.sampled_from(MlagRole),
    active_for=ages,
    ask=st.none() | st.builds(Ask, st.just("sw1-x-0"), st.sampled_from(Kind)),
    grant=grants,
)
servers = st.builds(
    Server,
    st.sampled_from(Life),
    st.none() | st.sampled_from(Role),
    sources,
    replicating=st.booleans(),
    managers_open=st.booleans(),
    listener_open=st.booleans(),
    loaded=st.booleans(),
    stamp=stamps,
    token=tokens,
)
views = st.builds(
    View,
    st.just(1000.0),
    st.just(SETTINGS),
    servers,
    st.builds(Vip, st.booleans(), st.none() | st.booleans()),
    st.builds(Clag, st.none() | st.sampled_from(MlagRole)),
    st.builds(Source, st.booleans(), st.booleans(), ages, ages, st.none() | st.sampled_from(Role), stamps, tokens),
    st.builds(Copy, ages, ages),
    records,
    ages,
    ages,
)
memories = st.builds(Memory, st.just("boot"), met=st.booleans(), peer_stamp=stamps, active_since=ages)


NEARLY = views | st.builds(
    lambda view, record, peer, now: replace(view, **{**record, "record": peer} if now else record),
    st.sampled_from([FOLLOWING, SERVING]),
    st.fixed_dictionaries({}, optional={"server": servers, "copy": st.builds(Copy, ages, ages), "heard_age": ages}),
    records,
    st.booleans(),
)
"""Anything that can be, and what differs little from a pair in sync."""


@given(NEARLY, memories)
def test_the_pair_is_in_sync_if_and_only_if_nothing_breaks_it_and_the_text_always_says_so(
    view: View, memory: Memory
) -> None:
    told = document(view, memory=memory)
    json.dumps(told)
    broken = [problem for problem in told["problems"] if problem["level"] == "broken"]
    assert told["in_sync"] is not bool(broken)
    assert (told["verdict"] == "in sync") is told["in_sync"] is (told["do"] is None)
    assert ("\nverdict: in sync\n" in status_text.sync_text(told)) is told["in_sync"]
    text = status_text.status_text(told)
    assert text.startswith("OK: in sync") is not bool(told["problems"])
    for problem in told["problems"]:
        assert f": {problem['what']}\n  do: {problem['do']}\n" in text.replace(": in sync, but ", ": ")


@given(NEARLY, memories)
def test_in_sync_means_one_active_side_heard_now_and_a_backup_of_its_term(view: View, memory: Memory) -> None:
    told = document(view, memory=memory)
    if told["in_sync"]:
        active, backup = sorted(told["sides"].values(), key=lambda one: not one["serving"])
        assert (active["serving"], backup["serving"]) == (True, False)
        assert (active["current"], backup["current"]) == (True, True)
        assert (active["role"], backup["role"]) == ("active", "backup")
        assert active["stamp"] == backup["stamp"] is not None


def test_a_stranger_in_the_peers_place_is_told_on_both_sides_with_what_to_run_where() -> None:
    stranger = replace(lost(SERVING), estranged=replace(BACKUP_PEER, serving=True))
    known = Identities("aa", "bb", "cc", 0.1)
    told = document(stranger, replace(OUTSIDE, identities=known))
    assert told["verdict"] == (
        "what calls itself sw1 is another switch than the sw1 that was met before, and is not believed; "
        "it says that it serves"
    )
    assert "`ovsha peer forget` on sw2" in told["do"]
    assert told["identity"] == {
        "own": "aa", "peer": "bb", "stranger": {"identity": "cc", "age": 0.1}, "estranged": False
    }  # fmt: skip
    assert "a stranger by the name of sw1: cc, heard 0.10 s ago" in status_text.peer_text(told)
    here = document(replace(FOLLOWING, record=replace(ACTIVE_PEER, estranged=True)))
    (problem,) = here["problems"]
    assert (problem["name"], problem["level"], here["in_sync"]) == ("estranged", "degraded", True)
    assert "`ovsha peer forget` on sw1" in problem["do"]
