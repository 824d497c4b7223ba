"""List the items of the preflight, run them one after the other, and word what came out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from ovsha.checks import disk
from ovsha.preflight import mlag, paths, routes, software, stall, vip
from ovsha.preflight.finding import Finding, Grade, of_check
from ovsha.preflight.ground import Ground

SCHEMA = 1

ITEMS: dict[str, tuple[str, Callable[[Ground], Finding]]] = {
    "configuration": ("reading the configuration", software.configuration),
    "versions": ("asking for versions", software.versions),
    "server": ("looking at ovsdb-server", software.server),
    "schema": ("comparing schemas", software.schema),
    "agreement": ("comparing configurations", software.agreement),
    "clocks": ("comparing clocks", software.clocks),
    "disk": ("looking at the disks", lambda ground: of_check(disk.check(ground.look))),
    "mlag": ("asking clagd", mlag.setup),
    "vip-subnet": ("looking at the peer link's subnet", vip.subnet),
    "vip-free": ("asking who has the VIP", vip.free),
    "replication": ("looking at the replication address", vip.replication),
    "controller": ("looking for the way to the controllers", routes.controllers),
    "vrf": ("looking at VRFs", routes.vrf),
    "backup-path": ("looking for the way to the peer's backup address", routes.backup),
    "paths": ("measuring both paths", paths.measured),
    "stall": ("copying the database between two private servers", stall.measured),
}
"""By name, with what is shown while it runs; the measuring ones come last, when nothing else runs."""

OF_ONE = ("configuration", "versions", "server", "schema", "disk", "controller")
"""What is looked at on a switch that stands alone."""

Progress = Callable[[str], None]


def run(ground: Ground, progress: Progress) -> dict[str, Any]:
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
        "schema": SCHEMA,
        "node": node,
        "peer": peer,
        "passed": not counted[Grade.FAIL],
        "counts": {grade.value: counted[grade] for grade in Grade},
        "items": [_plain(name, each) for name, each in found.items()],
    }


def text(document: dict[str, Any]) -> str:
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


def _plain(name: str, found: Finding) -> dict[str, Any]:
    return {
        "name": name,
        "grade": found.grade.value,
        "text": found.text,
        "fix": found.fix or None,
        "rows": [{"what": row.what, "needed": row.needed, "measured": row.measured} for row in found.rows],
        "facts": found.facts,
    }
