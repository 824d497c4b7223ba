"""List the checks and the items of the preflight, and run them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ovsha.checks import certificates, pair, preflight, preflight_net, server, stall
from ovsha.checks.context import Context, PreflightContext
from ovsha.checks.result import Finding, Grade, Result, gravity, of_check, worst

CHECK_SCHEMA = 1

CHECKS: dict[str, Callable[[Context], Result]] = {
    "mlag": pair.check_mlag,
    "server": server.check_server,
    "replication": server.check_replication,
    "controller": server.check_controller,
    "vip": pair.check_vip,
    "peer": pair.check_peer,
    "certs": certificates.check,
    "bfd": pair.check_bfd,
    "disk": pair.check_disk,
}
"""By name, in the order in which they are shown among those that are equally bad."""


def run_checks(look: Context, names: Sequence[str]) -> dict[str, Any]:
    """Run the checks of these names, which do not wait for each other, and return the document of `ovsha check`."""
    look.server  # noqa: B018 - looked at once, before several want it
    with ThreadPoolExecutor(max_workers=len(names)) as pool:
        found = dict(zip(names, pool.map(lambda name: CHECKS[name](look), names), strict=True))
    shown = sorted(found.items(), key=lambda item: gravity(item[1].level))
    return {
        "schema": CHECK_SCHEMA,
        "node": look.config.node,
        "peer": look.config.peer or None,
        "agent": look.trouble or None,
        "status": worst(each.level for each in found.values()).name,
        "checks": [_check_row(name, each) for name, each in shown],
    }


def check_text(document: dict[str, Any]) -> str:
    """Return one line for each check, the worst first, as monitoring plugins print them."""
    return "\n".join(
        f"{each['status']} {each['name']}: {each['text']}" + (f"; do: {each['do']}" if each["do"] else "")
        for each in document["checks"]
    )


def _check_row(name: str, found: Result) -> dict[str, Any]:
    return {
        "name": name,
        "status": found.level.name,
        "text": found.text,
        "do": found.do or None,
        "facts": found.facts,
    }


PREFLIGHT_SCHEMA = 1

ITEMS: dict[str, tuple[str, Callable[[PreflightContext], Finding]]] = {
    "configuration": ("reading the configuration", preflight.configuration),
    "versions": ("asking for versions", preflight.versions),
    "server": ("looking at ovsdb-server", preflight.server),
    "schema": ("comparing schemas", preflight.schema),
    "agreement": ("comparing configurations", preflight.agreement),
    "clocks": ("comparing clocks", preflight.clocks),
    "disk": ("looking at the disks", lambda ground: of_check(pair.check_disk(ground.look))),
    "mlag": ("asking clagd", preflight.setup),
    "vip-subnet": ("looking at the peer link's subnet", preflight_net.subnet),
    "vip-free": ("asking who has the VIP", preflight_net.free),
    "replication": ("looking at the replication address", preflight_net.replication),
    "controller": ("looking for the way to the controllers", preflight_net.controllers),
    "vrf": ("looking at VRFs", preflight_net.vrf),
    "backup-path": ("looking for the way to the peer's backup address", preflight_net.backup),
    "paths": ("measuring both paths", preflight_net.measured),
    "stall": ("copying the database between two private servers", stall.measured),
}
"""By name, with what is shown while it runs; the measuring ones come last, when nothing else runs."""

OF_ONE = ("configuration", "versions", "server", "schema", "disk", "controller")
"""What is looked at on a switch that stands alone."""

Progress = Callable[[str], None]


def run_preflight(ground: PreflightContext, progress: Progress) -> dict[str, Any]:
    """Run all items and return the document of `ovsha preflight`."""
    found: dict[str, Finding] = {}
    wanted = {name: ITEMS[name] for name in (OF_ONE if ground.config.standalone else ITEMS)}
    for number, (name, (doing, look)) in enumerate(wanted.items(), 1):
        progress(f"{number}/{len(wanted)} {doing}")
        found[name] = look(ground)
    return document(ground.config.node, ground.peer or None, found)


def document(node: str | None, peer: str | None, found: dict[str, Finding]) -> dict[str, Any]:
    """Return the JSON values of what was found."""
    counted = Counter(each.grade for each in found.values())
    return {
        "schema": PREFLIGHT_SCHEMA,
        "node": node,
        "peer": peer,
        "passed": not counted[Grade.FAIL],
        "counts": {grade.value: counted[grade] for grade in Grade},
        "items": [_preflight_row(name, each) for name, each in found.items()],
    }


def preflight_text(document: dict[str, Any]) -> str:
    """Return a line for each item with its fix below it, the table of what was measured, and a summary."""
    return "\n".join([*_lines(document), *_measured(document), *_summary(document)])


def _lines(document: dict[str, Any]) -> Iterator[str]:
    wide = max(len(each["name"]) for each in document["items"])
    for each in document["items"]:
        yield f"{each['grade']}  {each['name']:<{wide}}  {each['text']}"
        if each["fix"]:
            yield f"{'':<{wide + 8}}fix: {each['fix']}"


def _measured(document: dict[str, Any]) -> Iterator[str]:
    rows = [("", "needed", "measured")]
    rows += [(row["what"], row["needed"], row["measured"]) for each in document["items"] for row in each["rows"]]
    if len(rows) > 1:
        first, second = (max(len(row[column]) for row in rows) for column in (0, 1))
        yield ""
        yield from (f"{what:<{first}}  {needed:<{second}}  {measured}".rstrip() for what, needed, measured in rows)


def _summary(document: dict[str, Any]) -> Iterator[str]:
    counts = document["counts"]
    told = ", ".join(f"{counts[grade.value]} {grade.value}" for grade in Grade if counts[grade.value])
    verdict = "this switch is ready for ovsha" if document["passed"] else "correct what says FAIL first"
    yield ""
    yield f"{told}: {verdict}"


def _preflight_row(name: str, found: Finding) -> dict[str, Any]:
    return {
        "name": name,
        "grade": found.grade.value,
        "text": found.text,
        "fix": found.fix or None,
        "rows": [{"what": row.what, "needed": row.needed, "measured": row.measured} for row in found.rows],
        "facts": found.facts,
    }
