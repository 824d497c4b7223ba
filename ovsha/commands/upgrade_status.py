"""Do `ovsha upgrade status`: tell where each side is in its upgrade, and what comes next."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from ovsha import SCHEMA, client
from ovsha import config as configuration
from ovsha.client import Hangs, NotRunning
from ovsha.commands.common import find
from ovsha.config import Config
from ovsha.core.words import ago, span
from ovsha.errors import DriverError
from ovsha.upgrades import differences, manifest
from ovsha.upgrades.differences import Difference
from ovsha.upgrades.manifest import Save
from ovsha.upgrading import DIRECTORY, MARK

Document = dict[str, Any]


def run(options: argparse.Namespace) -> int:
    """Tell it."""
    config = configuration.load(options.config)
    need_pair(config)
    directory = config.state_directory / DIRECTORY
    try:
        known: Document | None = client.ask_json(find(options), "status", "json", schema=SCHEMA)
    except (NotRunning, Hangs):
        known = None
    saved = newest(directory, known)
    found = differences.find(saved) if saved is not None else []
    told = _document(config, known, saved, found, directory)
    if options.json:
        print(json.dumps(told, indent=2))
        return 0
    print("\n".join(_text(told)))
    if options.diff and saved is not None:
        print("\n".join(text for each in found for text in differences.lines(saved, each.file)))
    return 0


def need_pair(config: Config) -> None:
    """Raise DriverError for one switch alone: there is nobody to follow, and so nothing of this is of use."""
    if not config.peer:
        how = "take a backup with `ovsha backup create` before an upgrade, and restore it after"
        raise DriverError(f"{config.node} stands alone: {how}")


def newest(directory: Path, known: Document | None) -> Save | None:
    """Return what was saved before the upgrade that stands, else the newest, None for nothing."""
    stands = known["upgrade"] if known is not None else None
    if stands is not None and stands["save"]:
        return manifest.load(directory / stands["save"])
    places = manifest.find(directory)
    return manifest.load(places[-1]) if places else None


def next_step(config: Config, known: Document) -> str:
    """Return what comes next, as far as the agent of this side knows."""
    node, peer = config.node, config.peer
    own, other = known["sides"][node], known["sides"][peer] or {}
    if own["upgrade"] is not None:
        return f"upgrade {node}, then run `ovsha upgrade finish` on {node}"
    if other.get("upgrade") is not None:
        return f"upgrade {peer}, then run `ovsha upgrade finish` on {peer}"
    done = [name for name, side in ((node, own), (peer, other)) if side.get("upgraded") is not None]
    serving = next((name for name, side in ((node, own), (peer, other)) if side.get("serving")), None)
    if len(done) == 2:
        return _after_both(known, serving)
    if not done:
        backup = peer if serving == node else node
        return f"nothing was begun; the backup side is first: `ovsha upgrade prepare` on {backup}"
    left = peer if done == [node] else node
    if serving == left:
        return f"now the other switch: `ovsha switchover --to {done[0]}`, then `ovsha upgrade prepare` on {left}"
    return f"now the other switch: `ovsha upgrade prepare` on {left}"


def _after_both(known: Document, serving: str | None) -> str:
    preferred = known["preferred"]
    configured = preferred["configured"]
    if serving is None or (configured in (serving, "clag") and not preferred["chosen"]):
        return "both switches were upgraded; nothing is left to do"
    if preferred["chosen"] or preferred["restore"] == "manual":
        return "both switches were upgraded; `ovsha restore-primary` gives the service back to the original primary"
    return "both switches were upgraded; the service goes back to the original primary by itself"


def _document(
    config: Config, known: Document | None, saved: Save | None, found: list[Difference], directory: Path
) -> Document:
    sides = known["sides"] if known is not None else {config.node: None, config.peer: None}
    marked = (directory / MARK).exists()
    return {
        "schema": SCHEMA,
        "node": config.node,
        "peer": config.peer,
        "agent": known is not None,
        "sides": {name: _side(side, marked and name == config.node) for name, side in sides.items()},
        "place": str(saved.place) if saved is not None else None,
        "at": saved.manifest.at if saved is not None else None,
        "differences": [plain(each) for each in found],
        "next": next_step(config, known) if known is not None else _without_agent(config, marked),
    }


def _without_agent(config: Config, marked: bool) -> str:
    if marked:
        return f"the agent of {config.node} does not run: `ovsha upgrade finish` puts back what it may lack"
    return "start ovsha: what the other side does is known to the agent only"


def _side(side: Document | None, marked: bool) -> Document:
    """Return where a side is; `in_upgrade` null is not known."""
    if side is None:
        return {"in_upgrade": True if marked else None, "for": None, "finished": None, "in_sync": None}
    return {
        "in_upgrade": side["upgrade"] is not None,
        "for": side["upgrade"],
        "finished": side["upgraded"],
        "in_sync": side["in_sync_for"] is not None,
    }


def plain(each: Difference) -> Document:
    """Return a difference as JSON values."""
    return {
        "path": each.file.path, "kind": each.file.kind.value, "what": each.state.value,
        "more": each.more, "fewer": each.fewer,
    }  # fmt: skip


def line(each: Difference, saved: Path) -> str:
    """Return a difference for humans."""
    copy = saved / manifest.FILES / each.file.path.lstrip("/")
    what = each.state.value
    if each.state is differences.State.CHANGED:
        what = f"changed, {each.more} lines more and {each.fewer} fewer" if each.more or each.fewer else "changed"
    return f"  {each.file.path} ({each.file.kind.value}): {what}; as it was: {copy}"


def _text(told: Document) -> list[str]:
    lines = []
    for name, side in told["sides"].items():
        if side["in_upgrade"]:
            lasts = "" if side["for"] is None else f" for {span(side['for'])}"
            copy = "" if side["in_sync"] is None else ", in sync" if side["in_sync"] else ", not in sync"
            lines.append(f"{name}: in an upgrade{lasts}{copy}")
        elif side["finished"] is not None:
            lines.append(f"{name}: its upgrade was finished {ago(side['finished'])}")
        else:
            lines.append(f"{name}: in no upgrade" if side["in_upgrade"] is False else f"{name}: not known")
    if told["place"] is not None:
        lines.append(f"saved: {told['place']}, {told['at']}")
    lines += [f"  {each['path']} ({each['kind']}): {each['what']}" for each in told["differences"]]
    return [*lines, f"next: {told['next']}"]


def need_save(options: argparse.Namespace, directory: Path, known: Document | None) -> Save:
    """Return what was saved, from where the operator says.  Raises DriverError when there is nothing."""
    if options.place is not None:
        return manifest.load(options.place.absolute())
    saved = newest(directory, known)
    if saved is None:
        raise DriverError(f"{directory}: nothing was saved there; name the place by --from")
    return saved
