"""`ovsha upgrade prepare` and `ovsha upgrade status`."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from ovsha import SCHEMA, control_client
from ovsha import config as configuration
from ovsha.cli import common
from ovsha.cli.common import find
from ovsha.config import Config
from ovsha.control_client import Hangs, NotRunning, order
from ovsha.errors import DriverError
from ovsha.host.state_file import UPGRADE_MARK, UPGRADES
from ovsha.provision import upgrade
from ovsha.provision.upgrade import Difference, Save
from ovsha.words import ago, span

_DISK_LIMIT = 5.0
_EVERY = 0.1


def prepare(options: argparse.Namespace) -> int:
    """Prepare this switch for an upgrade."""
    config = configuration.load(options.config)
    need_pair(config)
    agent = find(options)
    checked = order(agent, "upgrade-prepare", check=True)
    common.ask(options, "\n".join(_intent(config, checked)))
    directory = config.state_directory / UPGRADES
    saved = upgrade.make(config, directory)
    order(agent, "upgrade-prepare", save=saved.name, reason=options.reason)
    _await_mark(agent)
    upgrade.prune(directory, saved.name)
    if options.json:
        print(json.dumps(_prepare_document(config, saved), indent=2))
    else:
        print("\n".join(_prepare_text(config, saved)))
    return 0


def _await_mark(agent: control_client.Find) -> None:
    """Wait until the mark is on disk.  Raises DriverError when it does not come there, and takes the order back."""
    end = time.monotonic() + _DISK_LIMIT
    while True:
        document = control_client.ask_json(agent, "status", "json", schema=SCHEMA)
        stands = document["upgrade"]
        if stands is None:
            raise DriverError("the agent has dropped the order at once; see ovsha status")
        if stands["saved"]:
            return
        if time.monotonic() > end:
            order(agent, "upgrade-finish", reason="the mark could not be written")
            raise DriverError("the agent cannot write the mark of the upgrade, so nothing was done; see ovsha status")
        time.sleep(_EVERY)


def _intent(config: Config, checked: dict[str, Any]) -> list[str]:
    node, peer = config.node, config.peer
    lines = [
        f"{node} is prepared for an upgrade: database, start script, certificates, key and configuration are saved;",
        f"  from then until `ovsha upgrade finish` {node} only follows {peer}, through reboots as well,",
        f"  so nobody serves if {peer} dies meanwhile",
    ]
    if checked["schema_gap"]:
        own, theirs = checked["versions"]
        lines.append(
            f"  note: {node} (schema {own}) cannot copy from {peer} ({theirs}) before the upgrade; it holds what {peer}"
            " had when the service moved there"
        )
    return lines


def _prepare_document(config: Config, saved: Save) -> dict[str, Any]:
    manifest = saved.manifest
    return {
        "schema": SCHEMA,
        "prepared": config.node,
        "place": str(saved.place),
        "rows": manifest.database.rows,
        "term": manifest.database.term,
        "files": [{"path": file.path, "kind": file.kind.value} for file in manifest.files],
        "absent": list(manifest.absent),
    }


def _prepare_text(config: Config, saved: Save) -> list[str]:
    manifest, database = saved.manifest, saved.manifest.database
    lines = [f"saved in {saved.place}, and read back:", f"  database, {database.rows:,} rows, term {database.term}"]
    lines += [f"  {file.path} ({file.kind.value})" for file in manifest.files]
    lines += [f"  not there: {path}" for path in manifest.absent]
    return [
        *lines,
        f"{config.node} is in an upgrade; upgrade it now, then run `ovsha upgrade finish` on it",
        f"  if the upgrade empties {config.state_directory} as well, copy {saved.place} to another machine first, back"
        " afterwards, and name it by --from",
    ]


Document = dict[str, Any]


def status(options: argparse.Namespace) -> int:
    """Tell it."""
    config = configuration.load(options.config)
    need_pair(config)
    directory = config.state_directory / UPGRADES
    try:
        known: Document | None = control_client.ask_json(find(options), "status", "json", schema=SCHEMA)
    except (NotRunning, Hangs):
        known = None
    saved = newest(directory, known)
    found = upgrade.find_differences(saved) if saved is not None else []
    told = _status_document(config, known, saved, found, directory)
    if options.json:
        print(json.dumps(told, indent=2))
        return 0
    print("\n".join(_status_text(told)))
    if options.diff and saved is not None:
        print("\n".join(text for each in found for text in upgrade.lines(saved, each.file)))
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
        return upgrade.load(directory / stands["save"])
    places = upgrade.find_saves(directory)
    return upgrade.load(places[-1]) if places else None


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


def _status_document(
    config: Config, known: Document | None, saved: Save | None, found: list[Difference], directory: Path
) -> Document:
    sides = known["sides"] if known is not None else {config.node: None, config.peer: None}
    marked = (directory / UPGRADE_MARK).exists()
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
    copy = saved / upgrade.FILES / each.file.path.lstrip("/")
    what = each.state.value
    if each.state is upgrade.State.CHANGED:
        what = f"changed, {each.more} lines more and {each.fewer} fewer" if each.more or each.fewer else "changed"
    return f"  {each.file.path} ({each.file.kind.value}): {what}; as it was: {copy}"


def _status_text(told: Document) -> list[str]:
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
        return upgrade.load(options.place.absolute())
    saved = newest(directory, known)
    if saved is None:
        raise DriverError(f"{directory}: nothing was saved there; name the place by --from")
    return saved
