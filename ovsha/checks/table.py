"""List the checks, and run some of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ovsha.checks import bfd, certs, controller, disk, mlag, peer, replication, server, vip
from ovsha.checks.look import Look
from ovsha.checks.outcome import Outcome, gravity, worst

SCHEMA = 1

CHECKS: dict[str, Callable[[Look], Outcome]] = {
    "mlag": mlag.check,
    "server": server.check,
    "replication": replication.check,
    "controller": controller.check,
    "vip": vip.check,
    "peer": peer.check,
    "certs": certs.check,
    "bfd": bfd.check,
    "disk": disk.check,
}
"""By name, in the order in which they are shown among those that are equally bad."""


def run(look: Look, names: Sequence[str]) -> dict[str, Any]:
    """Run the checks of these names, which do not wait for each other, and return the document of `ovsha check`."""
    look.server  # noqa: B018 - looked at once, before several want it
    with ThreadPoolExecutor(max_workers=len(names)) as pool:
        found = dict(zip(names, pool.map(lambda name: CHECKS[name](look), names), strict=True))
    shown = sorted(found.items(), key=lambda item: gravity(item[1].level))
    return {
        "schema": SCHEMA,
        "node": look.config.node,
        "peer": look.config.peer or None,
        "agent": look.trouble or None,
        "status": worst(each.level for each in found.values()).name,
        "checks": [_plain(name, each) for name, each in shown],
    }


def text(document: dict[str, Any]) -> str:
    """Return one line for each check, the worst first, as monitoring plugins print them."""
    return "\n".join(
        f"{each['status']} {each['name']}: {each['text']}" + (f"; do: {each['do']}" if each["do"] else "")
        for each in document["checks"]
    )


def _plain(name: str, found: Outcome) -> dict[str, Any]:
    return {
        "name": name,
        "status": found.level.name,
        "text": found.text,
        "do": found.do or None,
        "facts": found.facts,
    }
