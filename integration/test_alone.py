"""Where no agent runs, an operator is shown what the servers really do, and nothing is changed by looking."""

from __future__ import annotations

import json
from typing import Any

from story import LIMIT, MakeLab, begin
from switch import Switch


def seen(switch: Switch, *args: str) -> dict[str, Any]:
    """Return the document of `ovsha status`, which exits with 1 there."""
    done = switch.ovsha("status", "--json", *args)
    assert (done.returncode, done.stderr) == (1, "")
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def test_without_an_agent_roles_sources_lineages_and_the_vip_are_those_of_the_servers(lab: MakeLab) -> None:
    pair = begin(lab)
    asked = pair.sw1.ovsha("status", "--peer", "--json")
    assert json.loads(asked.stdout)["node"] == "sw2"
    assert json.loads(asked.stdout)["asked_by"] == "sw1"
    pair.sw2.agent.kill()
    told = seen(pair.sw2)
    here, there = told["sides"]["sw2"], told["sides"]["sw1"]
    assert (told["agent"], told["in_sync"], told["peer_agent"]["answers"]) == ("down", None, True)
    assert (here["role"], here["source"], here["replicating"], here["vip"]) == (
        "backup", pair.sw2.replicates_from(), True, False,
    )  # fmt: skip
    assert (there["role"], there["vip"], there["controllers"]) == ("active", True, 1)
    assert here["stamp"] == there["stamp"] is not None
    text = pair.sw2.ovsha("sync-status")
    assert text.returncode == 1
    assert text.stdout.startswith("BROKEN: no agent runs on sw2, so it neither takes over nor gives way\n")
    assert text.stdout.count("BROKEN: no agent runs on sw2") == 2
    pair.sw1.agent.kill()
    told = seen(pair.sw1)
    assert (told["sides"]["sw1"]["vip"], told["sides"]["sw1"]["managers"]) == (True, True)
    assert (told["sides"]["sw2"]["role"], told["peer_agent"]["answers"]) == ("backup", False)
    assert [pair.sw1.role(), pair.sw2.role()] == ["active", "backup"], "looking has changed nothing"
    pair.sw1.server.kill()
    pair.wait_until(lambda: seen(pair.sw1)["sides"]["sw1"]["life"] == "down", LIMIT, "the dead server is told")
    assert [each["name"] for each in seen(pair.sw2)["problems"]] == ["no-agent", "peer-server"]
