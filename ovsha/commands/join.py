"""`ovsha join`: have this switch join the pair whose first switch made a bundle."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ovsha.commands import consent
from ovsha.commands.common import add_config, command
from ovsha.commands.progress import bar
from ovsha.core.words import count
from ovsha.errors import DriverError, UsageError

if TYPE_CHECKING:
    from ovsha.pairing.proof import Proof
    from ovsha.pairing.second import Second
    from ovsha.setup.bundle import Bundle
    from ovsha.setup.step import Step

SCHEMA = 1
_WAIT = 300.0


def add(commands: Any) -> None:
    """Put the command on the command line."""
    added = command(
        commands, "join", _run, "have this switch join a pair and copy its data; exit status 0 if both are equal"
    )
    about = "what `ovsha init` has made on the other switch, or ssh://[USER@]HOST[:PORT] to get it from there"
    added.add_argument("bundle", metavar="BUNDLE", help=about)
    added.add_argument("--fingerprint", metavar="XX", default="", help="the bundle's; then nothing is asked")
    added.add_argument("--replace", action="store_true", help="this is a new unit in the place of one that is gone")
    added.add_argument("--discard-local", action="store_true", help="give up what this switch has, though it is more")
    added.add_argument("--database-file", metavar="FILE", type=Path, help="another than the configuration names")
    added.add_argument("--wait", metavar="SECONDS", type=float, default=_WAIT, help=f"for the copy; default: {_WAIT:g}")
    added.add_argument("--remove-bundle", action="store_true", help="remove the file, which has the key in it")
    added.add_argument("--dry-run", action="store_true", help="look at both sides and show what would be done")
    added.add_argument("--json", action="store_true", help="print JSON")
    add_config(added, argparse.SUPPRESS)
    consent.add(added)


def _run(options: argparse.Namespace) -> int:
    # Here, because it takes longer to import than another command takes to answer.
    from ovsha.pairing import fetch, proof, second
    from ovsha.setup import step
    from ovsha.setup.services import Services

    if os.geteuid() != 0:
        raise UsageError("only root can have a switch join a pair; run it by sudo")
    bundle = fetch.get(options.bundle)
    _compare(options, bundle)
    file = options.database_file.absolute() if options.database_file else None
    path = options.config.absolute()
    plan = second.look(
        bundle, path, file, replaces=options.replace, discard=options.discard_local, services=Services()
    )  # fmt: skip
    steps = plan.steps()
    if options.dry_run:
        print("\n".join([*_intent(plan), "", *step.plan(steps)]))
        return 0
    if options.fingerprint:
        _say(options, "\n".join(_intent(plan)))
    else:
        consent.ask(options, "\n".join(_intent(plan)))

    def tell(one: Step, said: str) -> None:
        _say(options, f"  {'as it is' if one.skipped else 'done':<9}{one.name:<15} {said}")

    step.run(steps, tell)
    with bar(options, "copying") as progress:
        proof.in_sync(plan.config, plan.there.rows, options.wait, lambda phase: _say(options, f"  {phase}"), progress)
    with bar(options, "comparing") as progress:
        shown = proof.prove(plan.config, progress)
    removed = _remove(options)
    if options.json:
        print(json.dumps(_document(plan, shown, removed), indent=2))
    else:
        print("\n".join(_result(options, plan, shown, removed)))
    return 0


def _compare(options: argparse.Namespace, bundle: Bundle) -> None:
    """Raise DriverError when the bundle is not the one whose fingerprint the operator has."""
    wanted = re.sub(r"[\s:]", "", options.fingerprint).lower()
    if wanted and wanted != bundle.fingerprint.replace(":", ""):
        raise DriverError(
            f"the fingerprint of the bundle is {bundle.fingerprint}, and not {options.fingerprint}: it is"
            " another one, or was changed"
        )


def _intent(plan: Second) -> list[str]:
    bundle, config, there, here = plan.bundle, plan.config, plan.there, plan.here
    own, peer = config.nodes[config.node], config.nodes[config.peer]
    lines = [
        f"this switch joins pair {bundle.pair} as {config.node}, and copies {config.peer}:",
        f"  fingerprint  {bundle.fingerprint}  (compare it with what `ovsha init` printed on {config.peer})",
        f"  {config.node:<12} {own.peer_link} on {config.peer_link.interface}, backup path {own.backup_path or 'none'}",
        f"  {config.peer:<12} {peer.peer_link}, serves {count(there.rows, 'row')} in term {there.stamp.term},"
        f" schema {there.schema.get('version')}",
    ]
    if here.joined:
        lines.append("  it has joined already: what is missing is made up for")
    elif here.local is not None and here.local.rows:
        lines.append(
            f"  erased       {count(here.local.rows, 'row')} in {here.local.path}; a snapshot is taken first, in"
            f" {config.snapshots.directory}"
        )
    lines += [f"  unused       {each.path} with {count(each.rows, 'row')} is left as it is" for each in here.others]
    if plan.replaces:
        lines.append(f"  replaces     the {config.node} that {config.peer} knows, which is forgotten there")
    if plan.stops:
        lines.append(f"  stops        {', '.join(plan.stops)}: the sessions of that ovsdb-server are cut")
    return lines


def _result(options: argparse.Namespace, plan: Second, shown: Proof, removed: bool) -> list[str]:
    config, side = plan.config, shown.status["sides"][plan.config.node]
    note = plan.note
    lines = [
        f"{config.node} and {config.peer} are equal: {count(shown.rows, 'row')} in {count(shown.tables, 'table')}"
        f" compared in {shown.seconds:.1f} s",
        f"{config.peer} serves in term {shown.term}, {config.node} follows it and is in sync"
        + ("" if side["lag"] is None else f", lag {side['lag']:.3f} s"),
    ]
    if note:
        lines.append(f"what was here before ({count(note['rows'], 'row')}) is in {note['snapshot']}")
    if not options.bundle.startswith("ssh://"):
        text = "is removed" if removed else "has the pair key in it: remove it, here and where it was made"
        lines.append(f"{options.bundle} {text}")
    return lines


def _document(plan: Second, shown: Proof, removed: bool) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "pair": plan.bundle.pair,
        "node": plan.config.node,
        "peer": plan.config.peer,
        "fingerprint": plan.bundle.fingerprint,
        "replaced": plan.replaces,
        "equal": True,
        "rows": shown.rows,
        "tables": shown.tables,
        "term": shown.term,
        "seconds": round(shown.seconds, 3),
        "snapshot": plan.note.get("snapshot"),
        "bundle_removed": removed,
    }


def _remove(options: argparse.Namespace) -> bool:
    """Remove the bundle where that is wanted, or the operator says so now; say whether it is gone."""
    if options.bundle.startswith("ssh://"):
        return False
    wanted = options.remove_bundle
    if not wanted and not options.yes and not options.fingerprint and sys.stdin.isatty():
        print(f"Remove {options.bundle}, which has the pair key in it? [y/N] ", end="", file=sys.stderr, flush=True)
        wanted = sys.stdin.readline().strip().lower() in ("y", "yes")
    if wanted:
        try:
            Path(options.bundle).unlink(missing_ok=True)
        except OSError as error:
            raise DriverError(f"{options.bundle}: cannot be removed: {error.strerror}; the pair is whole") from None
    return bool(wanted)


def _say(options: argparse.Namespace, line: str) -> None:
    print(line, file=sys.stderr if options.json else sys.stdout, flush=True)
