"""End an upgrade whose other switch is lost: put the saved database back, and serve what there is."""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

from ovsha import SCHEMA, client
from ovsha.backups import check, restore
from ovsha.commands import consent
from ovsha.commands.backup_restore import kept_term
from ovsha.commands.common import find
from ovsha.commands.operator import order
from ovsha.config import Config
from ovsha.core.facts import Stamp
from ovsha.errors import DriverError
from ovsha.ledger.session import Session
from ovsha.remotes import own_database, peer_server
from ovsha.upgrades import save
from ovsha.upgrades.manifest import Save

_LOOK_LIMIT = 5.0
_SERVE_LIMIT = 30.0
_EVERY = 0.2


def serve(options: argparse.Namespace, config: Config) -> int:
    """Have this side serve what it has.  Raises DriverError when it must not, or does not come to."""
    agent = find(options)
    checked = order(agent, "upgrade-finish", check=True, lost=True)
    if checked["refused"] is not None:
        more = "; `--restore-database` puts back what was saved" if "is empty" in checked["refused"] else ""
        raise DriverError(checked["refused"] + more)
    costs = [f"  {line}" for line in checked["exposure"]]
    consent.ask(options, "\n".join([f"{config.node} serves, and accepts to lose data:", *costs]))
    order(agent, "upgrade-finish", lost=True, reason=options.reason)
    end = time.monotonic() + _SERVE_LIMIT
    while True:
        known: dict[str, Any] = client.ask_json(agent, "status", "json", schema=SCHEMA)
        if known["state"] == "active":
            break
        if time.monotonic() > end:
            raise DriverError(f"{config.node} does not serve yet: {known['why']}; see ovsha status")
        time.sleep(_EVERY)
    term = known["sides"][config.node]["term"]
    told = {"schema": SCHEMA, "finished": config.node, "serving": True, "term": term, "exposure": checked["exposure"]}
    text = f"{config.node} is active in term {term}; a new switch takes the place of {config.peer} by `ovsha join`"
    print(json.dumps(told, indent=2) if options.json else text)
    return 0


def restore_database(options: argparse.Namespace, config: Config, saved: Save) -> int:
    """Put the saved database into the file of the stopped server.  Raises DriverError, and then nothing was changed."""
    _need_nobody(config)
    save.prove(saved)
    file, database = config.server.file, config.server.database
    term = max(restore.term_of_file(file, database), kept_term(config), saved.manifest.database.term) + 1
    with check.opened(saved.database, database) as opened:
        try:
            old = restore.offline(file, opened, Stamp(term, config.node, False))
        except OSError as error:
            raise DriverError(f"{error.filename or file}: {error.strerror}; the old file is still there") from None
    rows = saved.manifest.database.rows
    following = "start ovsdb-server here, then run `ovsha upgrade finish --peer-lost --reason TEXT`"
    told = {
        "schema": SCHEMA, "restored": str(file), "rows": rows, "term": term, "before": str(old) if old else None,
        "next": following,
    }  # fmt: skip
    kept = f"; the old file is kept: {old}" if old else ""
    text = f"{file} has the {rows:,} rows that were saved, as term {term}{kept}\nnext: {following}"
    print(json.dumps(told, indent=2) if options.json else text)
    return 0


def _need_nobody(config: Config) -> None:
    """Raise DriverError while the peer's server can be asked, or our own has the file open."""
    try:
        with Session(peer_server(config), config.server.database, _LOOK_LIMIT):
            pass
    except DriverError as error:
        if "cannot be reached" not in str(error):
            raise DriverError(f"{config.peer} may be alive: {error}") from None
    else:
        raise DriverError(f"ovsdb-server of {config.peer} answers, so {config.peer} is not lost: its data is copied")
    try:
        with Session(own_database(config), config.server.database, _LOOK_LIMIT):
            pass
    except DriverError:
        return
    how = "`systemctl stop ovsha-ovsdb-server`, then run this again"
    raise DriverError(f"ovsdb-server of {config.node} runs and has the file open: {how}")
