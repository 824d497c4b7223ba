"""`ovsha init` and `ovsha join`: make a pair of two switches."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ovsha.cli import common
from ovsha.cli.common import add_config, command
from ovsha.errors import DriverError, UsageError
from ovsha.words import count

if TYPE_CHECKING:
    from ovsha.provision.bundle import Bundle
    from ovsha.provision.init import First
    from ovsha.provision.step import Step
import re

from ovsha.cli.common import bar

if TYPE_CHECKING:
    from ovsha.provision.bundle import Bundle
    from ovsha.provision.join import Proof, Second
    from ovsha.provision.step import Step


INIT_SCHEMA = 1


def add_init(commands: Any) -> None:
    """Put the command on the command line."""
    added = command(
        commands, "init", _init, "make this switch the first of a pair: it serves alone until the second one joins"
    )
    added.add_argument("--name", metavar="PAIR", default="", help="the pair's id; default: both names with a dash")
    added.add_argument("--node", metavar="NAME", default="", help="this switch's name; default: its host name")
    added.add_argument("--peer-name", metavar="NAME", default="", help="the other switch's name")
    added.add_argument("--vip", metavar="ADDRESS", default="", help="the address that only the active side holds")
    added.add_argument("--vip-port", metavar="PORT", type=int, help="its TCP port")
    added.add_argument("--address", default="", help="this switch's on the peer link; default: as the kernel says")
    added.add_argument("--peer-address", metavar="ADDRESS", default="", help="the other's; default: as clagd says")
    added.add_argument("--backup-address", metavar="ADDRESS", default="", help="this switch's on clagd's backup path")
    added.add_argument("--peer-backup-address", metavar="ADDRESS", default="", help="the other's on that path")
    added.add_argument("--interface", metavar="NAME", default="", help="that of the peer link; default: as clagd says")
    added.add_argument("--preferred", metavar="NODE", default="", help="the original primary; default: this switch")
    added.add_argument("--database-file", metavar="FILE", type=Path, help="the database; default: what is found")
    added.add_argument("--bundle", metavar="FILE", type=Path, help="where; default: ./ovsha-join-PAIR.json")
    added.add_argument("--print-bundle", action="store_true", help="print the bundle and do nothing else")
    added.add_argument("--dry-run", action="store_true", help="show what would be done")
    added.add_argument("--json", action="store_true", help="print JSON")
    add_config(added, argparse.SUPPRESS)
    common.add_consent(added)


def _init(options: argparse.Namespace) -> int:
    # Here, because it takes longer to import than another command takes to answer.
    from ovsha.provision import init, step
    from ovsha.provision.init import Wishes
    from ovsha.provision.units import Services

    if os.geteuid() != 0:
        raise UsageError("only root can set a switch up; run it by sudo")
    if options.print_bundle:
        return _print_bundle(options)
    wishes = Wishes(
        pair=options.name, node=options.node, peer_name=options.peer_name, vip=options.vip, vip_port=options.vip_port,
        address=options.address, peer_address=options.peer_address, backup=options.backup_address,
        peer_backup=options.peer_backup_address, interface=options.interface, preferred=options.preferred,
        database_file=options.database_file.absolute() if options.database_file else None,
    )  # fmt: skip
    plan = init.look(wishes, options.config, options.bundle, Services())
    steps = plan.steps()
    if options.dry_run:
        print("\n".join([*_init_intent(plan), "", *step.plan(steps)]))
        return 0
    common.ask(options, "\n".join(_init_intent(plan)))
    told: list[dict[str, str | bool]] = []

    def tell(one: Step, said: str) -> None:
        told.append({"name": one.name, "done": not one.skipped, "said": said})
        mark = "as it is" if one.skipped else "done"
        print(f"  {mark:<9}{one.name:<15} {said}", file=sys.stderr if options.json else sys.stdout, flush=True)

    step.run(steps, tell)
    made = plan.made
    if made is None:
        raise DriverError("no bundle was made")
    if options.json:
        print(json.dumps(_init_document(plan, made, told), indent=2))
    else:
        print("\n".join(_init_result(plan, made)))
    return 0


def _print_bundle(options: argparse.Namespace) -> int:
    from ovsha import config as configuration
    from ovsha.provision import bundle as bundles
    from ovsha.provision import init, wait

    if sys.stdout.isatty():
        raise UsageError("the bundle has the pair key in it and is not shown on a terminal: redirect it into a file")
    if not options.config.exists():
        raise DriverError(f"{options.config} does not exist: run `ovsha init` on this switch first")
    config = configuration.load(options.config)
    status = wait.status(config)
    if status is None:
        raise DriverError("no agent runs on this switch: run `ovsha init` on it first")
    print(bundles.pack(init.make(config, status)), end="")
    return 0


def _init_intent(plan: First) -> list[str]:
    from ovsha.provision.init import local_text

    config = plan.config
    own, peer = config.nodes[config.node], config.nodes[config.peer]
    lines = [
        f"{config.node} becomes the first switch of pair {config.pair.id}, and serves alone until {config.peer} joins:",
        f"  {config.node:<12} {own.peer_link} on {config.peer_link.interface}, backup path {own.backup_path or 'none'}",
        f"  {config.peer:<12} {peer.peer_link}, backup path {peer.backup_path or 'none'}",
        f"  {'VIP':<12} {config.vip.address} port {config.vip.port} on {config.vip.interface}",
        f"  {'preferred':<12} {config.pair.preferred}",
        f"  {'serves':<12} {local_text(plan.local, config)}",
    ]
    if plan.stops:
        stops = ", ".join(plan.stops)
        lines.append(f"  {'replaces':<12} {stops}: sessions with that ovsdb-server are cut for some seconds")
    if plan.deaf:
        lines.append("  restarts     ovsdb-server, to listen on the peer link too: its sessions are cut for a moment")
    warnings = [f"  note: {each.partition(': ')[2]}" for each in config.warnings]
    return [*lines, *warnings]


def _init_result(plan: First, made: Bundle) -> list[str]:
    config = plan.config
    address = config.nodes[config.node].backup_path or config.nodes[config.node].peer_link
    return [
        f"{config.node} serves, with {count(made.rows, 'row')}; {config.peer} may join now",
        f"  fingerprint  {made.fingerprint}",
        f"  bundle       {plan.bundle_file}  (the pair key is in it: bring it over a secure way, then remove it)",
        f"on {config.peer}, as root, one of these:",
        f"  ovsha join {plan.bundle_file.name} --fingerprint {made.fingerprint}",
        f"  ovsha join ssh://{address if ':' not in str(address) else f'[{address}]'}",
    ]


def _init_document(plan: First, made: Bundle, told: list[dict[str, str | bool]]) -> dict[str, Any]:
    return {
        "schema": INIT_SCHEMA,
        "pair": made.pair,
        "node": made.maker,
        "peer": made.node,
        "term": made.stamp.term if made.stamp else None,
        "rows": made.rows,
        "fingerprint": made.fingerprint,
        "bundle": str(plan.bundle_file),
        "steps": told,
    }


JOIN_SCHEMA = 1
_WAIT = 300.0


def add_join(commands: Any) -> None:
    """Put the command on the command line."""
    added = command(
        commands, "join", _join, "have this switch join a pair and copy its data; exit status 0 if both are equal"
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
    common.add_consent(added)


def _join(options: argparse.Namespace) -> int:
    # Here, because it takes longer to import than another command takes to answer.
    from ovsha.provision import bundle as bundles
    from ovsha.provision import join, step
    from ovsha.provision.units import Services

    if os.geteuid() != 0:
        raise UsageError("only root can have a switch join a pair; run it by sudo")
    bundle = bundles.get(options.bundle)
    _compare(options, bundle)
    file = options.database_file.absolute() if options.database_file else None
    path = options.config.absolute()
    plan = join.look(
        bundle, path, file, replaces=options.replace, discard=options.discard_local, services=Services()
    )  # fmt: skip
    steps = plan.steps()
    if options.dry_run:
        print("\n".join([*_join_intent(plan), "", *step.plan(steps)]))
        return 0
    if options.fingerprint:
        _say(options, "\n".join(_join_intent(plan)))
    else:
        common.ask(options, "\n".join(_join_intent(plan)))

    def tell(one: Step, said: str) -> None:
        _say(options, f"  {'as it is' if one.skipped else 'done':<9}{one.name:<15} {said}")

    step.run(steps, tell)
    with bar(options, "copying") as progress:
        join.in_sync(plan.config, plan.there.rows, options.wait, lambda phase: _say(options, f"  {phase}"), progress)
    with bar(options, "comparing") as progress:
        shown = join.prove(plan.config, progress)
    removed = _remove(options)
    if options.json:
        print(json.dumps(_join_document(plan, shown, removed), indent=2))
    else:
        print("\n".join(_join_result(options, plan, shown, removed)))
    return 0


def _compare(options: argparse.Namespace, bundle: Bundle) -> None:
    """Raise DriverError when the bundle is not the one whose fingerprint the operator has."""
    wanted = re.sub(r"[\s:]", "", options.fingerprint).lower()
    if wanted and wanted != bundle.fingerprint.replace(":", ""):
        raise DriverError(
            f"the fingerprint of the bundle is {bundle.fingerprint}, and not {options.fingerprint}: it is"
            " another one, or was changed"
        )


def _join_intent(plan: Second) -> list[str]:
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


def _join_result(options: argparse.Namespace, plan: Second, shown: Proof, removed: bool) -> list[str]:
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


def _join_document(plan: Second, shown: Proof, removed: bool) -> dict[str, Any]:
    return {
        "schema": JOIN_SCHEMA,
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
