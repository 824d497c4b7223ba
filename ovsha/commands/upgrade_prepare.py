"""Do `ovsha upgrade prepare`: see that the order is right, save everything, and have the agent follow from now on."""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

from ovsha import SCHEMA, client
from ovsha import config as configuration
from ovsha.commands import consent
from ovsha.commands.common import find
from ovsha.commands.operator import order
from ovsha.commands.upgrade_status import need_pair
from ovsha.config import Config
from ovsha.errors import DriverError
from ovsha.upgrades import save
from ovsha.upgrades.manifest import Save
from ovsha.upgrading import DIRECTORY

_DISK_LIMIT = 5.0
_EVERY = 0.1


def run(options: argparse.Namespace) -> int:
    """Prepare this switch for an upgrade."""
    config = configuration.load(options.config)
    need_pair(config)
    agent = find(options)
    checked = order(agent, "upgrade-prepare", check=True)
    consent.ask(options, "\n".join(_intent(config, checked)))
    directory = config.state_directory / DIRECTORY
    saved = save.make(config, directory)
    order(agent, "upgrade-prepare", save=saved.name, reason=options.reason)
    _await_mark(agent)
    save.prune(directory, saved.name)
    if options.json:
        print(json.dumps(_document(config, saved), indent=2))
    else:
        print("\n".join(_text(config, saved)))
    return 0


def _await_mark(agent: client.Find) -> None:
    """Wait until the mark is on disk.  Raises DriverError when it does not come there, and takes the order back."""
    end = time.monotonic() + _DISK_LIMIT
    while True:
        document = client.ask_json(agent, "status", "json", schema=SCHEMA)
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


def _document(config: Config, saved: Save) -> dict[str, Any]:
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


def _text(config: Config, saved: Save) -> list[str]:
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
