"""Run the transcripts in scenarios/: what is done to a simulated pair, and all that it does then.

A transcript opens with what it shows, in lines that begin with #.  Then come blocks of
commands, each with its outcome after ----.  Commands are the names in faults.py, `advance
SECONDS`, `boot NODE ...` and, before those, `set NAME VALUE` for a setting.  `steady` boots
both and passes over what they do until sw1 serves and sw2 is in sync.  To write all outcomes
anew, run `PYTHONPATH=. python3 tests/sim/test_scenarios.py`, and look at every line that changes.
"""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from ovsha.core.view import Settings
from tests.sim.faults import FAULTS
from tests.sim.laws import serves
from tests.sim.network import NODES
from tests.sim.pair import Pair, wait_for
from tests.sim.side import Host

SCENARIOS = sorted((Path(__file__).parent / "scenarios").glob("*.txt"))
KINDS = {field.name: field.type for field in fields(Settings)}


def value(name: str, text: str) -> object:
    kind = str(KINDS[name])
    return text == "yes" if kind == "bool" else float(text) if "float" in kind else text


def state(host: Host) -> str:
    """Say what a side is to those outside."""
    if host.server.frozen:
        return "is stopped"
    if serves(host):
        return "serves"
    if host.vip:
        return "serves nothing but holds the VIP"
    if not host.server.running:
        return "is down"
    return "is a backup" if host.server.replicating else "waits"


def outcome(pair: Pair) -> list[str]:
    """Return how the pair stands: who serves, what each database is, which acknowledged writes are gone."""
    lines = []
    held: set[int] = set()
    for node, host in pair.hosts.items():
        server, stamp = host.server, host.server.data.stamp
        data = f"term {stamp.term} of {stamp.node}{', chosen' if stamp.chosen else ''}" if stamp else "no lineage"
        lines.append(f"= {node} {state(host)}, {data}")
        held |= server.data.rows if serves(host) else set()
    lost = sum(number not in held for number in pair.acknowledged)
    return lines if not held or not lost else [*lines, f"= {lost} acknowledged writes are not served"]


def run(text: str) -> str:
    """Return the transcript with the outcomes that its commands have now."""
    settings: dict[str, object] = {}
    pair: Pair | None = None
    out: list[str] = []
    for block in text.strip().split("\n\n"):
        commands = [line for line in block.split("\n----")[0].split("\n") if line]
        out += commands
        seen = len(pair.log) if pair is not None else 0
        for command in (line for line in commands if not line.startswith("#")):
            verb, _, rest = command.partition(" ")
            if verb == "set":
                name, _, text_value = rest.partition(" ")
                settings[name] = value(name, text_value)
                continue
            pair = pair or Pair(**settings)
            if verb == "advance":
                pair.run(float(rest))
            elif verb == "steady":
                for node in NODES:
                    pair.power_on(node)
                wait_for(pair, lambda steady=pair: steady.settled("sw1"), 5.0)  # type: ignore[misc]
                pair.run(3.0 - pair.clock.now)
                seen = len(pair.log)
            elif verb == "boot":
                for node in rest.split():
                    pair.power_on(node)
            else:
                FAULTS[command](pair)
        if pair is not None:
            out += ["----", *pair.log[seen:], *outcome(pair)]
        out.append("")
    return "\n".join(out)


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_transcript_is_what_happens(path: Path) -> None:
    assert run(path.read_text()) == path.read_text()


def test_there_are_scenarios() -> None:
    assert len(SCENARIOS) >= len(NODES)


if __name__ == "__main__":
    for scenario in SCENARIOS:
        scenario.write_text(run(scenario.read_text()))
