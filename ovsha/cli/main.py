"""Parse the command line, ask the running agent, print its answer, and give the exit status.

0: healthy, or done.  1: unhealthy, out of reach, or failed.  2: wrong usage or
configuration.  An error is one line on the standard error.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from ovsha import __version__
from ovsha import config as configuration
from ovsha.cli import (
    backup,
    check,
    forensics,
    history,
    ledger,
    orders,
    pair,
    status,
    switchover,
    upgrade,
    verify,
    vtep_bootstrap,
)
from ovsha.cli.common import DEFAULT_CONFIG, add_common, add_config, command, group
from ovsha.errors import ConfigError, DriverError, UsageError


class _Parser(argparse.ArgumentParser):
    """Tell a wrong command line in one line."""

    def error(self, message: str) -> NoReturn:
        """Print `message` and exit with status 2."""
        print(f"ovsha: {message}; see {self.prog} --help", file=sys.stderr)
        raise SystemExit(2)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Refuse in the name of the command what it does not know, where argparse would in the name of the whole."""
        known, left = super().parse_known_args(args, namespace)
        if left and self.get_default("run") is not None:
            self.error(f"unrecognized arguments: {' '.join(left)}")
        return known, left


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status; SystemExit for --help, --version and wrong usage."""
    try:
        options = _parse(argv)
        run: Callable[[argparse.Namespace], int] = options.run
        code = run(options)
        sys.stdout.flush()
    except (ConfigError, UsageError) as error:
        return _fail(str(error), 2)
    except DriverError as error:
        return _fail(str(error), 1)
    except KeyboardInterrupt:
        return _fail("interrupted; what was ordered may go on, see ovsha status", 1)
    except BrokenPipeError:
        _forget_stdout()
        return 1
    except OSError as error:
        # Standard output is the one thing left that can fail: a full disk behind a redirection.
        _forget_stdout()
        return _fail(f"standard output: {error.strerror}", 1)
    return code


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    try:
        return parser().parse_args(argv)
    except SystemExit:
        # What --help and --version have printed is still to be written.
        sys.stdout.flush()
        raise


def parser() -> argparse.ArgumentParser:
    """Return the whole command line, which the man page and the completions are made of too."""
    made = _Parser(prog="ovsha", allow_abbrev=False, description="Keep the OVSDB servers of an MLAG pair available.")
    made.add_argument("--version", action="version", version=f"ovsha {__version__}", help="print the version and exit")
    add_common(made, DEFAULT_CONFIG, None)
    commands = made.add_subparsers(metavar="COMMAND", required=True)
    agent = command(commands, "agent", _agent, "run the agent of this switch")
    add_config(agent, argparse.SUPPRESS)
    status.add(commands)
    check.add_check(commands)
    orders.add_failover(commands)
    orders.add_pause(commands)
    backup.add(commands)
    forensics.add_collect(commands)
    orders.add_resolve(commands)
    forensics.add_forensics(commands)
    history.add_simulate(commands)
    history.add_explain(commands)
    history.add_history(commands)
    pair.add_init(commands)
    pair.add_join(commands)
    orders.add_peer(commands)
    check.add_preflight(commands)
    ledger.add(commands)
    switchover.add(commands)
    upgrade.add(commands)
    verify.add(commands)
    vtep_bootstrap.add(commands)
    actions = group(commands, "config", "look at a configuration file")
    valid = command(actions, "check", _config_check, "say whether a configuration file can be used")
    valid.add_argument("file", metavar="FILE", type=Path, nargs="?", help="the file; default: that of --config")
    add_config(valid, argparse.SUPPRESS)
    return made


def _agent(options: argparse.Namespace) -> int:
    # Here, because the agent and its drivers take longer to import than a question takes to answer.
    from ovsha.agent import service

    return service.run(options.config)


def _config_check(options: argparse.Namespace) -> int:
    file: Path = options.file or options.config
    config = configuration.load(file)
    warnings = list(config.warnings)
    try:
        configuration.pair_key(config)
    except ConfigError as error:
        # A file is often checked on another machine than it is for, so this does not make it invalid.
        warnings.append(f"{file}: pair.key_file: {error}")
    for warning in warnings:
        print(f"ovsha: warning: {warning}", file=sys.stderr)
    alone = f"; {config.node} stands alone, as the only one under nodes" if config.standalone else ""
    print(f"{file}: is valid{alone}")
    return 0




def _fail(message: str, status: int) -> int:
    print("ovsha: " + " ".join(message.split()), file=sys.stderr)
    return status


def _forget_stdout() -> None:
    """Leave nothing for the interpreter to write when it ends, which would fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
