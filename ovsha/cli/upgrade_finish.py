"""`ovsha upgrade finish`, also where the peer is lost."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from ovsha import SCHEMA, control_client, times
from ovsha import config as configuration
from ovsha.backup import restore, store
from ovsha.cli import common
from ovsha.cli.backup_restore import kept_term
from ovsha.cli.common import bar, find
from ovsha.cli.upgrade_actions import line, need_pair, need_save, next_step, plain
from ovsha.config import Config
from ovsha.control_client import Hangs, NotRunning, order
from ovsha.core.facts import Stamp
from ovsha.divergence import compare
from ovsha.divergence.compare import LiveDifference
from ovsha.errors import ConfigError, DriverError, UsageError
from ovsha.host.state_file import UPGRADE_MARK, UPGRADES
from ovsha.ovsdb import own_server
from ovsha.ovsdb.client import Session
from ovsha.ovsdb.endpoints import own_database, peer_server_remote
from ovsha.provision import upgrade
from ovsha.provision.units import Services
from ovsha.provision.upgrade import Difference, Kind, Save, State
from ovsha.words import ago, span

Document = dict[str, Any]

_STATE = Path("/var/lib/ovsha")
"""Where the state directory is by default: looked at when the configuration is gone."""

_AGENT = "ovsha.service"
_START_LIMIT = 15.0
_DISK_LIMIT = 5.0
_ANSWER_LIMIT = 60.0
_EVERY = 0.3


def run(options: argparse.Namespace) -> int:
    """Finish the upgrade of this switch."""
    limit = times.seconds(options.wait)
    if options.restore_database and not options.peer_lost:
        raise UsageError("--restore-database needs --peer-lost: beside a living peer its database is copied, not ours")
    if options.peer_lost and not options.reason.strip():
        raise UsageError("--peer-lost needs --reason: say why, for those who read the record afterwards")
    config, trouble = _configuration(options)
    if config is not None:
        need_pair(config)
    known = _known(options) if config is not None else None
    directory = (config.state_directory if config is not None else _STATE) / UPGRADES
    saved, lacking = _saved(options, directory, known)
    if config is None and not _brings(options, saved):
        raise ConfigError(trouble)
    if known is not None and known["upgrade"] is None and options.place is None:
        return _over_already(options, config, known)
    found = upgrade.find_differences(saved) if saved is not None else []
    back = [each for each in found if each.goes_back]
    common.ask(options, "\n".join(_intent(options, saved, found, back, lacking)))
    if saved is not None:
        upgrade.put_back(saved, back)
    config = configuration.load(options.config)
    if options.restore_database:
        if saved is None:
            raise DriverError(lacking)
        return restore_database(options, config, saved)
    _need_agent(options, started=bool(back))
    if options.peer_lost:
        return serve(options, config)
    known = _await_sync(options, config, limit)
    return _prove(options, config, known, found)


# -- before anything is done -------------------------------------------------------------------------------------------


def _configuration(options: argparse.Namespace) -> tuple[Config | None, str]:
    """Return the configuration, or None and why there is none: the upgrade may have taken it."""
    try:
        return configuration.load(options.config), ""
    except ConfigError as error:
        return None, str(error)


def _known(options: argparse.Namespace) -> Document | None:
    """Return the agent's status, None when it does not answer: its key may be gone."""
    try:
        document: Document = control_client.ask_json(find(options), "status", "json", schema=SCHEMA)
    except (NotRunning, Hangs):
        return None
    return document


def _saved(options: argparse.Namespace, directory: Path, known: Document | None) -> tuple[Save | None, str]:
    """Return what was saved, or None and why there is nothing; what the operator names has to be there."""
    try:
        return need_save(options, directory, known), ""
    except DriverError as error:
        if options.place is not None:
            raise
        return None, str(error)


def _brings(options: argparse.Namespace, saved: Save | None) -> bool:
    """Tell whether the configuration is gone, and among what was saved."""
    path = str(options.config.absolute())
    return saved is not None and not options.config.exists() and any(f.path == path for f in saved.manifest.files)


def _over_already(options: argparse.Namespace, config: Config | None, known: Document) -> int:
    node = known["node"]
    finished = known["sides"][node]["upgraded"]
    if finished is None or config is None:
        raise DriverError(f"{node} is in no upgrade; `ovsha upgrade prepare` begins one")
    told = {"schema": SCHEMA, "finished": node, "already": True, "next": next_step(config, known)}
    text = f"the upgrade of {node} was finished {ago(finished)}\nnext: {told['next']}"
    print(json.dumps(told, indent=2) if options.json else text)
    return 0


def _intent(
    options: argparse.Namespace, saved: Save | None, found: list[Difference], back: list[Difference], lacking: str
) -> list[str]:
    if saved is None:
        return [f"nothing is compared and nothing put back: {lacking}", *_then(options)]
    lines = [f"saved on {saved.manifest.at} in {saved.place}:"]
    if not found:
        lines.append("  everything is as it was saved")
    if back:
        lines += ["put back, because it is missing:", *(line(each, saved.place) for each in back)]
    rest = [each for each in found if each not in back]
    if rest:
        lines += ["left as it is; compare it (`ovsha upgrade status --diff`):", *(line(e, saved.place) for e in rest)]
    if any(each.file.kind is Kind.IDENTITY and each.state is State.CHANGED for each in found):
        lines.append("this switch has a new identity: run `ovsha peer forget` on the other one, or it is not believed")
    return [*lines, *_then(options)]


def _then(options: argparse.Namespace) -> list[str]:
    if options.restore_database:
        return ["then the database that was saved takes the place of the one that is there, which is kept beside it"]
    if options.peer_lost:
        return ["then this switch serves what it has, without the other one"]
    return ["then the copy is waited for, and the upgrade ends when it is in sync"]


# -- and after ---------------------------------------------------------------------------------------------------------


def _need_agent(options: argparse.Namespace, started: bool) -> None:
    """Have the agent run.  Raises DriverError when it does not; `started`: what it lacked has just been put back."""
    if _known(options) is not None:
        return
    trouble = "the agent does not answer: start ovsha, then run `ovsha upgrade finish` again"
    if not started:
        raise DriverError(trouble)
    try:
        services = Services()
        services.reload()
        services.restart(_AGENT)
    except DriverError as error:
        raise DriverError(f"what was missing is put back; {trouble} ({error})") from None
    end = time.monotonic() + _START_LIMIT
    while _known(options) is None:
        if time.monotonic() > end:
            raise DriverError(trouble)
        time.sleep(_EVERY)


def _await_sync(options: argparse.Namespace, config: Config, limit: float) -> Document:
    """Wait for a copy in sync, and end the upgrade.  Raises DriverError when it does not come to that."""
    agent, end, last = find(options), time.monotonic() + limit, ""
    with bar(options, f"{config.node} copies {config.peer}") as progress:
        while True:
            refused, passes = _refused(agent, config)
            if refused is None:
                break
            if not passes:
                raise DriverError(refused)
            if time.monotonic() > end:
                raise DriverError(f"{refused}; it was waited for {span(limit)}, run it again to go on waiting")
            if refused != last:
                last = refused
                print(f"  waiting: {refused}", file=sys.stderr if options.json else sys.stdout, flush=True)
            _show(agent, config, progress)
            time.sleep(_EVERY)
    end = time.monotonic() + _DISK_LIMIT
    while True:
        known: Document = control_client.ask_json(agent, "status", "json", schema=SCHEMA)
        if known["upgrade"] is None and not (config.state_directory / UPGRADES / UPGRADE_MARK).exists():
            return known
        if time.monotonic() > end:
            raise DriverError("the end of the upgrade is not on disk, so a restart forgets it: see ovsha status")
        time.sleep(_EVERY)


def _refused(agent: control_client.Find, config: Config) -> tuple[str | None, bool]:
    """Order the end; return why it is refused, None when it is not, and whether that may pass."""
    try:
        known: Document = control_client.ask_json(agent, "status", "json", schema=SCHEMA)
        if known["upgrade"] is None:
            # The mark was lost with the state directory: then there is nothing to end, but a copy to wait for.
            synced = known["in_sync"] or known["sides"][config.node]["serving"]
            return (None if synced else known["verdict"]), True
        checked = order(agent, "upgrade-finish", check=True)
        if checked["refused"] is None:
            order(agent, "upgrade-finish")
        return checked["refused"], checked["passes"]
    except (NotRunning, Hangs) as error:
        return str(error), True


def _show(agent: control_client.Find, config: Config, progress: Any) -> None:
    try:
        sides = control_client.ask_json(agent, "status", "json", schema=SCHEMA)["sides"]
    except (NotRunning, Hangs):
        return
    own, theirs = (((sides[name] or {}).get("cells") or 0) for name in (config.node, config.peer))
    if theirs:
        progress(min(own, theirs), theirs, "rows times columns")


def _prove(options: argparse.Namespace, config: Config, known: Document, found: list[Difference]) -> int:
    """Compare both databases row by row, and tell what comes next."""
    database = config.server.database
    with (
        Session(own_database(config), database, _ANSWER_LIMIT) as own,
        Session(peer_server_remote(config), database, _ANSWER_LIMIT, config.peer) as peer,
        bar(options, "comparing") as progress,
    ):
        compared = compare.compare_live(own, peer, progress)
    equal = not compared.entries and not compared.unsettled
    told = _document(config, known, compared, equal, found)
    if options.json:
        print(json.dumps(told, indent=2))
    else:
        print("\n".join(_text(config, told)))
    return 0 if equal else 1


def _document(
    config: Config, known: Document, compared: LiveDifference, equal: bool, found: list[Difference]
) -> Document:
    stamp = known["sides"][config.node]["stamp"]
    return {
        "schema": SCHEMA,
        "finished": config.node,
        "already": False,
        "equal": equal,
        "rows": sum(compared.rows.values()),
        "differing": len(compared.entries),
        "term": stamp["term"] if stamp else None,
        "put_back": [plain(each) for each in found if each.goes_back],
        "left": [plain(each) for each in found if not each.goes_back],
        "next": next_step(config, known),
    }


def _text(config: Config, told: Document) -> list[str]:
    node, peer = config.node, config.peer
    proof = f"{node} and {peer} are equal: {told['rows']:,} rows, term {told['term']}"
    if not told["equal"]:
        proof = f"{node} and {peer} differ in {told['differing']:,} of {told['rows']:,} rows; see ovsha verify"
    return [f"the upgrade of {node} is finished; it follows {peer} and is in sync", proof, f"next: {told['next']}"]


_LOOK_LIMIT = 5.0
_SERVE_LIMIT = 30.0
_SERVE_EVERY = 0.2


def serve(options: argparse.Namespace, config: Config) -> int:
    """Have this side serve what it has.  Raises DriverError when it must not, or does not come to."""
    agent = find(options)
    checked = order(agent, "upgrade-finish", check=True, lost=True)
    if checked["refused"] is not None:
        more = "; `--restore-database` puts back what was saved" if "is empty" in checked["refused"] else ""
        raise DriverError(checked["refused"] + more)
    costs = [f"  {line}" for line in checked["exposure"]]
    common.ask(options, "\n".join([f"{config.node} serves, and accepts to lose data:", *costs]))
    order(agent, "upgrade-finish", lost=True, reason=options.reason)
    end = time.monotonic() + _SERVE_LIMIT
    while True:
        known: dict[str, Any] = control_client.ask_json(agent, "status", "json", schema=SCHEMA)
        if known["state"] == "active":
            break
        if time.monotonic() > end:
            raise DriverError(f"{config.node} does not serve yet: {known['why']}; see ovsha status")
        time.sleep(_SERVE_EVERY)
    term = known["sides"][config.node]["term"]
    told = {"schema": SCHEMA, "finished": config.node, "serving": True, "term": term, "exposure": checked["exposure"]}
    text = f"{config.node} is active in term {term}; a new switch takes the place of {config.peer} by `ovsha join`"
    print(json.dumps(told, indent=2) if options.json else text)
    return 0


def restore_database(options: argparse.Namespace, config: Config, saved: Save) -> int:
    """Put the saved database into the file of the stopped server.  Raises DriverError, and then nothing was changed."""
    _need_nobody(config)
    upgrade.prove(saved)
    file, database = config.server.file, config.server.database
    term = max(restore.term_of_file(file, database), kept_term(config), saved.manifest.database.term) + 1
    with store.opened(saved.database, database) as opened:
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
        with Session(peer_server_remote(config), config.server.database, _LOOK_LIMIT):
            pass
    except DriverError as error:
        if "cannot be reached" not in str(error):
            raise DriverError(f"{config.peer} may be alive: {error}") from None
    else:
        raise DriverError(f"ovsdb-server of {config.peer} answers, so {config.peer} is not lost: its data is copied")
    holder = own_server.holder(config)
    if holder:
        how = "`systemctl stop ovsha-ovsdb-server`, then run this again"
        raise DriverError(f"ovsdb-server of {config.node} runs and has the file open ({holder}): {how}")
