"""What is told while the peer's agent is not heard: the true cause first, and a remedy that fits."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ovsha import config as configuration
from ovsha.checks import pair, server
from ovsha.checks.context import Context
from ovsha.core.facts import Role
from ovsha.core.view import View
from ovsha.protocol.conflicts import Conflict, Kind
from tests.support.made_up_pair import ACTIVE_PEER, FOLLOWING, MEMORY, OUTSIDE, SERVING, SOURCE, document, names

SILENT = replace(SERVING, heard_age=12.3, link_silent_for=12.3, record=ACTIVE_PEER)
FORGED = Conflict(Kind.FORGED, "169.254.0.9", "peer-link", "", 30.0, 0.2, 99)
KEY = "copy pair.key_file from one switch to the other"


def source(view: View, **changed: Any) -> View:
    return replace(view, source=replace(view.source, **changed))


CONFIG = """
node: sw2
pair: {id: rack7}
nodes: {sw1: {peer_link: 169.254.0.9}, sw2: {peer_link: 169.254.0.10}}
vip: {address: 169.254.0.11}
"""


def look(told: dict[str, Any]) -> Context:
    """Return what a check looks at, on sw2 of the pair of the README."""
    return cast("Context", SimpleNamespace(document=told, config=configuration.parse(CONFIG, "test"), trouble=""))


@pytest.mark.parametrize("view", [source(SILENT, role=Role.ACTIVE), source(SILENT, role=None)])
def test_a_silent_peer_that_serves_too_is_told_before_all_else(view: View) -> None:
    told = document(view)
    assert names(told)[:2] == ["split-brain", "peer-lost"]
    assert told["verdict"] == "both sides are active and hold the VIP: the agent on sw1 is silent"
    assert told["do"] == "start ovsha on sw1; one side gives way on contact, its writes to the ledger"
    assert not any("not touched" in each["do"] for each in told["problems"])


@pytest.mark.parametrize("view", [source(SILENT, role=Role.BACKUP), source(SILENT, role=None, closed=True)])
def test_a_silent_peer_whose_server_does_not_serve_is_no_split(view: View) -> None:
    assert "split-brain" not in names(document(view))


def test_another_key_comes_first_in_the_status_and_in_the_check_of_the_peer() -> None:
    assert SOURCE.split(":")[1] == FORGED.address
    alone = replace(FOLLOWING, record=None, heard_age=None, link_silent_for=None)
    for view in (alone, replace(FOLLOWING, heard_age=12.3, link_silent_for=12.3)):
        told = document(view, replace(OUTSIDE, collisions=(FORGED,)))
        assert told["verdict"] == "sw1 is not heard, because its heartbeats are sealed with another key"
        assert told["do"].startswith(KEY)
        assert not any("start ovsha on" in each["do"] for each in told["problems"])
        found = pair.check_peer(look(told))
        assert "sealed with another key" in found.text
        assert found.do.startswith(KEY)


@pytest.mark.parametrize("collision", [replace(FORGED, address="10.9.9.9"), replace(FORGED, last_age=200.0)])
def test_a_strangers_key_is_not_taken_for_the_peers(collision: Conflict) -> None:
    told = document(replace(SERVING, heard_age=12.3, link_silent_for=12.3), replace(OUTSIDE, collisions=(collision,)))
    assert names(told) == ["peer-lost", "collision"]
    assert "another key" not in told["verdict"]
    assert "another key" not in pair.check_peer(look(told)).text


def test_nobody_is_sent_to_the_cables_of_a_switch_that_is_not_dead() -> None:
    found = pair.check_peer(look(document(replace(SERVING, heard_age=12.3, link_silent_for=12.3))))
    assert "agent on sw1 is silent" in found.text
    assert "power" not in found.do
    assert "links" not in found.do


def test_a_dead_server_is_started_by_the_unit_that_the_readme_enables() -> None:
    dead = SimpleNamespace(server=SimpleNamespace(pid=None, trouble="no process"))
    assert "systemctl start ovsha-ovsdb-server;" in server.check_server(cast("Context", dead)).do


def test_what_a_silent_peer_said_before_we_took_over_is_not_told_as_if_it_were_so_now() -> None:
    """It has lost its power since, and its server is up before its agent is."""
    for role, says in ((None, False), (Role.ACTIVE, True)):
        view = source(SILENT, role=role)
        since = view.now - (view.heard_age or 0.0) + 0.1
        told = document(view, memory=replace(MEMORY, active_since=since))
        assert any(each["name"] == "split-brain" for each in told["problems"]) is says
        assert not any("hold the VIP" in each["what"] and "may" not in each["what"] for each in told["problems"])
