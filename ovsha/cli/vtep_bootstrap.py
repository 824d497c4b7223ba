"""Set a switch up with the command line of the vendor's vtep-bootstrap."""

from __future__ import annotations

import argparse
import difflib
import sys
from pathlib import Path
from typing import Any

from ovsha.cli import common
from ovsha.cli.common import DEFAULT_CONFIG, add_config, command
from ovsha.control_client import order
from ovsha.provision import vtep_options as given_options

_NAME = "vtep-bootstrap"


def add(commands: Any) -> None:
    """Add `vtep-bootstrap`."""
    what = "set this switch up for its controllers and its pair, with the command line of the vendor's vtep-bootstrap"
    added = command(commands, _NAME, _run, what)
    _arguments(added, argparse.SUPPRESS)
    common.add_consent(added)


def _arguments(parser: Any, config: object) -> None:
    given_options.add(parser)
    parser.add_argument("--dry-run", action="store_true", help="show every step and what would be written, do nothing")
    add_config(parser, config)


def _run(options: argparse.Namespace) -> int:
    # Here, because a question to the agent should not wait for what only this command imports.
    import tempfile

    from ovsha.provision import step, vtep_plan, vtep_steps, vtep_tools
    from ovsha.provision.step import plan, run
    from ovsha.provision.units import Services
    from ovsha.provision.vtep_steps import Bootstrap

    wanted = given_options.read(options)
    file: Path = options.config if options.config is not None else DEFAULT_CONFIG
    vtep_plan.need_root()
    services = Services()
    services.need()
    with step.held():
        known = vtep_plan.look(wanted, file.absolute(), services)
        planned = Bootstrap(known, services, Path(tempfile.gettempdir()))
        told = "\n".join([*plan(planned.steps()), *_diff(planned)])
        if options.dry_run:
            print(told)
            return 0
        if not options.yes:
            common.ask(options, told)
        with vtep_tools.work(wanted) as work:
            run(Bootstrap(known, services, Path(work)).steps(), _report)
        if known.without:
            print(f"ovsha: {known.without}; its part was done by ovsha", file=sys.stderr)
        document = vtep_steps.agent(known.config)
        refused = vtep_steps.serves(known.config, wanted, document, order)
    return _finish(known.config, refused)


def _finish(config: Any, refused: str) -> int:
    """Tell what came of it; 1 when the side does not serve that is to, or when the preflight finds what cannot work."""
    from ovsha.provision import vtep_steps

    document = vtep_steps.status(config)
    bad = bool(refused)
    for grade, text in vtep_steps.findings(config, document):
        bad = bad or grade == "FAIL"
        print(f"ovsha: preflight: {grade} {text}", file=sys.stderr)
    if refused:
        print(f"ovsha: {config.node} does not serve: {refused}", file=sys.stderr)
    do = f"; do: {document['do']}" if document["do"] else ""
    print(f"{config.node} of {config.pair.id}: {document['verdict']}{do}")
    return 1 if bad else 0


def _report(step: Any, output: str) -> None:
    """Print a step in the vendor's form."""
    for name, said in getattr(step, "reports", ()) or ((step.name, output),):
        shown = "\n".join(line.strip() if not number else f"              {line.strip()}" for number, line in
                          enumerate(said.splitlines()))  # fmt: skip
        print(f"Executed:\n          {name}\n            ({shown}).", flush=True)


def _diff(planned: Any) -> list[str]:
    """Return what would change in the files, as a unified diff each."""
    from ovsha.provision import files

    lines = []
    for each in planned.wanted():
        before = (files.read(each.path) or b"").decode(errors="replace")
        after = each.content.decode().splitlines()
        lines += ["", *difflib.unified_diff(before.splitlines(), after, str(each.path), str(each.path), lineterm="")]
    return lines

