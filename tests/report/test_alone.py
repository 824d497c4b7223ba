"""What a switch without an agent shows is what was seen, and it never says that all is well."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given

from ovsha.core.facts import Life, Role, Server, Source
from ovsha.core.lineage import WITHOUT
from ovsha.core.view import View
from ovsha.report import offline
from ovsha.report.offline import OfflineView
from tests.support.made_up_pair import FOLLOWING, SERVING, SOURCE, document
from tests.support.views import views

AROUND = OfflineView(
    "rack7", "hardware_vtep", "169.254.0.11", "peerlink.4094", 9998,
    why="no agent runs here: /run/ovsha.pid does not exist", hangs=False,
    peer_trouble="the agent at 169.254.0.9:5345 cannot be reached: Connection refused",
)  # fmt: skip


def names(view: View, around: OfflineView = AROUND) -> list[str]:
    return [each["name"] for each in offline.document(view, around)["problems"]]


def test_a_backup_without_an_agent_is_shown_with_what_its_source_shows() -> None:
    assert (
        offline.text(offline.document(FOLLOWING, AROUND))
        == """\
BROKEN: no agent runs on sw2, so it neither takes over nor gives way
  do: start it: `systemctl start ovsha`; if it does not stay, see `journalctl -u ovsha`

sw1: the peer, its ovsdb-server asked at tcp:169.254.0.9:9999
state: active
term: 7, opened by sw1
last token: 7.155
agent: does not answer: the agent at 169.254.0.9:5345 cannot be reached: Connection refused

sw2: this side, as it is now
agent: no agent runs here: /run/ovsha.pid does not exist
state: backup
replicating: tcp:169.254.0.9:9999
database: hardware_vtep
exclude: none
VIP 169.254.0.11 on peerlink.4094: no
managers' remote open: no
term: 7, opened by sw1
last token: 7.155

BROKEN: no agent runs on sw2, so it neither takes over nor gives way
  do: start it: `systemctl start ovsha`; if it does not stay, see `journalctl -u ovsha`
"""
    )


def test_what_the_peers_agent_says_is_shown_with_its_own_side() -> None:
    told = document(SERVING)  # of sw2, which is the peer of who asks here
    settings = replace(FOLLOWING.settings, node="sw1", peer="sw2")
    shown = offline.document(replace(FOLLOWING, settings=settings), replace(AROUND, told=told))
    assert shown["sides"]["sw2"] == told["sides"]["sw2"]
    assert "\nagent: says: in sync\n" in offline.text(shown)


def test_an_agent_that_hangs_is_told_from_one_that_does_not_run() -> None:
    told = offline.document(SERVING, replace(AROUND, hangs=True))
    assert (told["agent"], told["verdict"]) == ("hangs", "the agent on sw2 hangs")
    assert told["do"].startswith("restart it")


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ({"server": Server(Life.DOWN)}, "server-down"),
        ({"server": Server(Life.HUNG)}, "server-hung"),
        ({"server": replace(SERVING.server, role=Role.ACTIVE)}, "two-active"),
        ({"source": replace(FOLLOWING.source, role=Role.BACKUP)}, "not-served"),
        ({"server": replace(FOLLOWING.server, source=f"{SOURCE}{WITHOUT}Ucast_Macs_Remote")}, "exclude"),
        ({"server": replace(FOLLOWING.server, replicating=False)}, "connecting"),
        ({"server": replace(FOLLOWING.server, stamp=None)}, "copy-behind"),
        ({"source": Source()}, "peer-server"),
    ],
)
def test_what_is_wrong_beyond_the_agent_is_told_too(changed: dict[str, object], found: str) -> None:
    assert names(FOLLOWING) == ["no-agent"]
    both = [found, "no-agent"] if found == "two-active" else ["no-agent", found]
    assert names(replace(FOLLOWING, **changed)) == both  # type: ignore[arg-type]


def test_what_netlink_or_a_silent_server_does_not_tell_is_unknown_and_not_no() -> None:
    silent = replace(FOLLOWING, server=Server(Life.HUNG))
    side = offline.document(silent, replace(AROUND, vip_trouble="cannot open netlink"))["sides"]["sw2"]
    assert {side[key] for key in ("role", "vip", "managers", "listener", "serving", "replicating")} == {None}


@given(views)
def test_whatever_is_seen_the_form_holds_and_only_two_active_are_said_before_no_agent(view: View) -> None:
    told = json.loads(json.dumps(offline.document(view, AROUND)))
    assert told.keys() - {"agent", "agent_trouble", "peer_agent"} <= document().keys()
    for side in told["sides"].values():
        assert side.keys() == document()["sides"]["sw2"].keys()
    two = told["problems"][0]["name"] == "two-active"
    assert (told["healthy"], told["in_sync"], told["problems"][two]["name"]) == (False, None, "no-agent")
    lines = offline.text(told, 80).splitlines()
    first = "BROKEN: no agent runs on sw1, so it neither takes over nor gives way"
    assert (lines[0], max(map(len, lines)) <= 80) == (
        "BROKEN: ovsdb-server is active on sw1 and on sw2" if two else first,
        True,
    )
