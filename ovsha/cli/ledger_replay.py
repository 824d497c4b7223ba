"""Replay rows of a ledger: what is sure as a whole, deletions only if asked for, doubts only by name or as a list."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections import Counter
from collections.abc import Sequence

from ovsha import SCHEMA, control_client
from ovsha import config as configuration
from ovsha.cli import common, ledger_actions
from ovsha.cli.common import find
from ovsha.config import Config
from ovsha.divergence import ledger, replay_check
from ovsha.divergence import replay as replaying
from ovsha.divergence.compare import DONE, Entry, Kind
from ovsha.divergence.ledger import Head
from ovsha.divergence.replay import Plan
from ovsha.divergence.replay_check import NEW, Judged, Selection, Verdict
from ovsha.errors import DriverError, UsageError
from ovsha.ovsdb.client import Refused, Session
from ovsha.ovsdb.endpoints import own_database, peer_server_remote

_LIMIT = 60.0
"""Seconds for one answer of ovsdb-server: it may be in the middle of a resynchronisation."""

_NAMED = 5
"""How many rows an error names."""


def replay(options: argparse.Namespace) -> int:
    """Bring rows of a ledger back, or say why not; return the exit status.  Raises DriverError and ConfigError."""
    config = configuration.load(options.config)
    head = ledger.pick(ledger_actions.all_heads(config, False)[0], options.ledger)
    with ledger.held(ledger_actions.directory(config), head.id):
        return _replay(options, config, ledger.pick(ledger_actions.all_heads(config, False)[0], head.id))


def _replay(options: argparse.Namespace, config: Config, head: Head) -> int:
    if head.failed:
        raise DriverError(f"ledger {head.id} has no rows: {head.failed}")
    if not head.open and not options.again and not options.dry_run:
        settled = ledger_actions.state(head)
        raise DriverError(f"ledger {head.id} is settled: {settled}; to replay it nonetheless, add --again")
    entries = ledger_actions.entries_of(config, head, False)
    asked, as_list = _selection(options, config, head, entries)
    with Session(_active(options, config), head.database, _LIMIT) as session:
        plan = replaying.plan(session, entries, asked)
        plan = plan.sparing(Verdict.MOVED) if as_list else plan
        if options.dry_run:
            _print_plan(options, head, plan)
            return 1 if plan.having(Verdict.MOVED) else 0
        _refuse(plan, len(entries))
        if plan.having(Verdict.REPLAY):
            common.ask(options, _announced(head, plan, session.target))
            _carry_out(config, head, session, plan)
    # Whoever has confirmed the list has decided on what is not in it, too.
    left = 0 if as_list or not head.open else len(plan.having(Verdict.LEFT))
    ledger_actions.settle(config, ledger_actions.replayed(head, len(plan.having(Verdict.REPLAY)), left))
    _tell(options, head, plan)
    return 0


def _selection(
    options: argparse.Namespace, config: Config, head: Head, entries: Sequence[Entry]
) -> tuple[Selection, bool]:
    """Return what was asked for, and whether it is all that a ledger of doubts lists, which is confirmed as a list."""
    tried = ledger.tried(ledger_actions.directory(config))
    if options.rows:
        return Selection(replay_check.named(entries, options.rows), options.deletions, tried), False
    if head.exact:
        return Selection(None, options.deletions, tried), False
    if not options.dry_run and (options.yes or not sys.stdin.isatty()):
        raise UsageError(
            f"ledger {head.id} lists doubts, rows that may have been deleted since, and is never replayed as a whole:"
            f" name the ROWs to add (see ovsha ledger show {head.id}), or confirm the list at a terminal, without --yes"
        )
    return Selection(frozenset(entry.uuid for entry in entries), options.deletions, tried), True


def _refuse(plan: Plan, listed: int) -> None:
    moved = plan.having(Verdict.MOVED)
    if moved:
        named = "; ".join(f"{ledger_actions.named(each.entry)}: {each.why}" for each in moved[:_NAMED])
        more = f"; and {len(moved) - _NAMED} more" if len(moved) > _NAMED else ""
        what = f"nothing was replayed, for {len(moved)} of {listed} rows have moved on"
        raise DriverError(f"{what}: {named}{more}")


def _announced(head: Head, plan: Plan, target: str) -> str:
    """Return what is about to be done; each row that goes is named, and each doubt."""
    todo = [each.entry for each in plan.having(Verdict.REPLAY)]
    kinds = Counter(Kind.INSERTED if entry.kind in NEW else entry.kind for entry in todo)
    counts = ", ".join(f"{kinds[kind]} {kind.value}" for kind in DONE if kinds[kind])
    lines = [f"on {target}, of ledger {head.id}: {ledger_actions.count(len(todo))} will be {counts}"]
    lines += ledger_actions.together([entry for entry in todo if entry.kind is Kind.DOUBT], "add")
    gone = [entry for entry in plan.going if entry.kind is Kind.DELETED]
    lines += ledger_actions.together(gone, "delete")
    changed = [entry for entry in plan.going if entry.kind is Kind.CHANGED]
    lines += ledger_actions.together(changed, "rows go with the change of")
    left = len(plan.having(Verdict.LEFT))
    return "\n".join([*lines, *([f"{ledger_actions.count(left)} will be left alone"] if left else [])])


def _carry_out(config: Config, head: Head, session: Session, plan: Plan) -> None:
    """Replay; what was begun with is noted before, for of a row that is gone after that nobody knows who deleted it."""
    place, todo = ledger_actions.directory(config), frozenset(each.entry.uuid for each in plan.having(Verdict.REPLAY))
    tried = ledger.tried(place, head.id)
    try:
        ledger.note_tried(place, head.id, tried | todo)
    except OSError as error:
        raise DriverError(f"nothing was replayed, for it cannot be noted: {error.filename}: {error.strerror}") from None
    try:
        replaying.carry_out(session, plan, head.id)
    except Refused:
        with contextlib.suppress(OSError):
            ledger.note_tried(place, head.id, tried)
        raise


def _active(options: argparse.Namespace, config: Config) -> str:
    """Return where the active side takes transactions.  Raises DriverError when no side is active."""
    document = control_client.ask_json(find(options), "status", "json", schema=SCHEMA)
    for node, side in document["sides"].items():
        if side is not None and side["current"] and side["serving"] and side["role"] == "active":
            return own_database(config) if node == document["node"] else peer_server_remote(config)
    raise DriverError("neither side is active, so nothing can be replayed; see ovsha status")


def _tell(options: argparse.Namespace, head: Head, plan: Plan) -> None:
    todo, there, left = (plan.having(verdict) for verdict in (Verdict.REPLAY, Verdict.THERE, Verdict.LEFT))
    if options.json:
        counts = {"replayed": len(todo), "there": len(there), "left": len(left)}
        print(json.dumps({"schema": SCHEMA, "ledger": head.id, **counts}))
        return
    said = [f"ledger {head.id}: {ledger_actions.count(len(todo))} replayed"]
    said += [f"{len(there)} were there already"] if there else []
    said += [f"{number} left alone: {why}" for why, number in Counter(each.why for each in left).items()]
    print("; ".join(said))


def _print_plan(options: argparse.Namespace, head: Head, plan: Plan) -> None:
    if options.json:
        found = [
            {"table": each.entry.table, "uuid": each.entry.uuid, "kind": each.entry.kind.value,
             "verdict": each.verdict.value, "why": each.why} for each in plan.rows
        ]  # fmt: skip
        print(json.dumps({"schema": SCHEMA, "rows": found}, indent=2))
        return
    for each in plan.rows:
        why = f": {each.why}" if each.why else ""
        print(f"{each.entry.kind.value} {ledger_actions.named(each.entry)}: {_word(each, bool(options.rows))}{why}")


def _word(judged: Judged, named: bool) -> str:
    if judged.verdict is Verdict.REPLAY and judged.entry.kind is Kind.DOUBT and not named:
        return "would be added, if you name it or confirm the list"
    return {
        Verdict.REPLAY: "would be replayed", Verdict.THERE: "nothing to do",
        Verdict.LEFT: "left alone", Verdict.MOVED: "refused",
    }[judged.verdict]  # fmt: skip
