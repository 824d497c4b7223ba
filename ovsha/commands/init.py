"""`ovsha init`: make this switch the first of a pair, which serves alone until the second one joins."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ovsha.commands import consent
from ovsha.commands.common import add_config, command
from ovsha.core.words import count
from ovsha.errors import DriverError, UsageError

if TYPE_CHECKING:
    from ovsha.pairing.first import First
    from ovsha.setup.bundle import Bundle
    from ovsha.setup.step import Step

SCHEMA = 1


def add(commands: Any) -> None:
    """Put the command on the command line."""
    added = command(
        commands, "init", _run, "make this switch the first of a pair: it serves alone until the second one joins"
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
    consent.add(added)


def _run(options: argparse.Namespace) -> int:
    # Here, because it takes longer to import than another command takes to answer.
    from ovsha.pairing import first
    from ovsha.pairing.settings import Wishes
    from ovsha.setup import step
    from ovsha.setup.services import Services

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
    plan = first.look(wishes, options.config, options.bundle, Services())
    steps = plan.steps()
    if options.dry_run:
        print("\n".join([*_intent(plan), "", *step.plan(steps)]))
        return 0
    consent.ask(options, "\n".join(_intent(plan)))
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
        print(json.dumps(_document(plan, made, told), indent=2))
    else:
        print("\n".join(_result(plan, made)))
    return 0


def _print_bundle(options: argparse.Namespace) -> int:
    from ovsha import config as configuration
    from ovsha.pairing import agent, making
    from ovsha.setup import bundle

    if sys.stdout.isatty():
        raise UsageError("the bundle has the pair key in it and is not shown on a terminal: redirect it into a file")
    if not options.config.exists():
        raise DriverError(f"{options.config} does not exist: run `ovsha init` on this switch first")
    config = configuration.load(options.config)
    status = agent.status(config)
    if status is None:
        raise DriverError("no agent runs on this switch: run `ovsha init` on it first")
    print(bundle.pack(making.make(config, status)), end="")
    return 0


def _intent(plan: First) -> list[str]:
    from ovsha.pairing.first import local_text

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


def _result(plan: First, made: Bundle) -> list[str]:
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


def _document(plan: First, made: Bundle, told: list[dict[str, str | bool]]) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "pair": made.pair,
        "node": made.maker,
        "peer": made.node,
        "term": made.stamp.term if made.stamp else None,
        "rows": made.rows,
        "fingerprint": made.fingerprint,
        "bundle": str(plan.bundle_file),
        "steps": told,
    }
