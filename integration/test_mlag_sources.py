"""A pair whose switches learn their MLAG roles in different ways: clagctl on one, nv on the other, or a command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import settings
from lab import Lab
from switch import HERE, Switch

LIMIT = 20.0
NV = HERE / "standins" / "nv"
FOLLOW = {"pair": {"preferred": "clag"}, "clag": {"interval": 1.0}, "restore": {"delay": 0.5}}


def told(switch: Switch) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(switch.ovsha("status", "--json").stdout)
    return document


def nv_of(directory: Path) -> dict[str, Any]:
    """Return the section of a switch that has no clagctl; the lab gives the stand-in's socket by an option."""
    program = directory / "nv"
    program.write_text(f'#!/bin/sh\nexec {NV} --socket {directory}/run/clagd.socket "$@"\n')
    program.chmod(0o755)
    return {"source": "auto", "command": ["/nowhere/clagctl", "-j"],
            "nv_command": [str(program), "show", "mlag", "-o", "json"]}  # fmt: skip


def use(switch: Switch, **clag: Any) -> None:
    switch.config["clag"] = {**switch.config["clag"], **clag}
    settings.write(switch.config_file, switch.config)


def test_the_service_follows_the_primary_whether_clagctl_or_nv_tells_of_it() -> None:
    with Lab(rows=10, overrides=FOLLOW) as lab:
        sw1, sw2 = lab.switches
        use(sw2, **nv_of(sw2.directory))
        lab.start()
        lab.wait_until(lambda: told(sw2)["in_sync"] and told(sw1)["sides"]["sw1"]["serving"], LIMIT, "in sync")
        roles = {node: side["mlag"] for node, side in told(sw2)["sides"].items()}
        assert roles == {"sw1": "primary", "sw2": "secondary"}
        checked = json.loads(sw2.ovsha("check", "mlag", "--json").stdout)["checks"][0]
        assert (checked["status"], checked["facts"]["source"]) == ("OK", "nv")
        sw2.clagctl("priority", "500")
        lab.wait_until(lambda: sw2.role() == "active" and sw1.role() == "backup", LIMIT, "the service follows")
        assert lab.seeded <= sw2.rows()
        sw2.clagd.kill()
        lab.wait_until(lambda: told(sw2)["clag"]["role"] is None, LIMIT, "nv tells no role any more")
        assert "nv show mlag tells no local-role" in told(sw2)["clag"]["trouble"]


def test_a_command_of_the_operators_own_serves_another_mlag() -> None:
    with Lab(rows=10, overrides=FOLLOW) as lab:
        for switch in lab.switches:
            program, state = switch.directory / "mlag-facts", switch.directory / "state.json"
            state.write_text(json.dumps(
                {"role": "primary" if switch is lab.sw1 else "secondary", "peer_alive": True, "backup_alive": None}
            ))  # fmt: skip
            program.write_text(f"#!/bin/sh\ncat {state} || exit 3\n")
            program.chmod(0o755)
            use(switch, source="command", own_command=[str(program)])
            switch.server.start()
            switch.agent.start()
        sw1, sw2 = lab.switches
        lab.wait_until(lambda: told(sw2)["in_sync"] and sw1.role() == "active", LIMIT, "in sync")
        assert told(sw1)["clag"]["role"] == "primary"
        (sw2.directory / "state.json").unlink()
        lab.wait_until(lambda: told(sw2)["clag"]["role"] is None, LIMIT, "the command fails")
        assert "clag.own_command ended with status 3" in told(sw2)["clag"]["trouble"]
        assert told(sw2)["in_sync"], "unknown is not dead"
        check = sw2.ovsha("check", "mlag")
        assert (check.returncode, "clag.own_command" in check.stdout) == (3, True)
