"""Parse the command line, ask the running agent, print its answer, and give the exit status.

0: healthy, or done.  1: unhealthy, out of reach, or failed.  2: wrong usage or
configuration.  An error is one line on the standard error.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from ovsha import __version__, client
from ovsha import config as configuration
from ovsha.core import status_text
from ovsha.core.status import SCHEMA, sync_status
from ovsha.errors import ConfigError, DriverError

DEFAULT_CONFIG = Path("/etc/ovsha/ovsha.yaml")
_MARGIN = 5.0
"""Seconds that a switchover's answer may come after the agent's own time limit for it."""


class _Parser(argparse.ArgumentParser):
    """Tell a wrong command line in one line."""

    def error(self, message: str) -> NoReturn:
        """Print `message` and exit with status 2."""
        print(f"ovsha: {message}; see {self.prog} --help", file=sys.stderr)
        raise SystemExit(2)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status; SystemExit for --help, --version and wrong usage."""
    options = _parser().parse_args(argv)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        status = run(options)
        sys.stdout.flush()
    except ConfigError as error:
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
    return status


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="ovsha", allow_abbrev=False, description="Keep the OVSDB servers of an MLAG pair available.")
    parser.add_argument("--version", action="version", version=f"ovsha {__version__}")
    _add_common(parser, DEFAULT_CONFIG, None)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    agent = _command(commands, "agent", _agent, "run the agent of this switch")
    _add_config(agent, argparse.SUPPRESS)
    _question(commands, "sync-status", _sync_status, "show whether both sides are in sync; exit status 0 if they are")
    _question(commands, "status", _status, "show all that the agent knows; exit status 0 if nothing is wrong")
    move = _question(commands, "switchover", _switchover, "move the service to the other side, losing nothing")
    move.add_argument("--to", metavar="NODE", default="", help="to this side; default: the one that does not serve")
    config = commands.add_parser("config", help="look at a configuration file", allow_abbrev=False)
    actions = config.add_subparsers(metavar="ACTION", required=True)
    check = _command(actions, "check", _config_check, "say whether a configuration file can be used")
    check.add_argument("file", metavar="FILE", type=Path, nargs="?", default=DEFAULT_CONFIG)
    return parser


def _command(commands: Any, name: str, run: Callable[[argparse.Namespace], int], help: str) -> Any:
    command = commands.add_parser(name, help=help, description=help.capitalize() + ".", allow_abbrev=False)
    command.set_defaults(run=run)
    return command


def _question(commands: Any, name: str, run: Callable[[argparse.Namespace], int], help: str) -> Any:
    command = _command(commands, name, run, help)
    command.add_argument("--json", action="store_true", help="print JSON")
    _add_common(command, argparse.SUPPRESS, argparse.SUPPRESS)
    return command


def _add_common(parser: argparse.ArgumentParser, config: object, target: object) -> None:
    """Add the options that may stand before and after a command; the ones after it win."""
    _add_config(parser, config)
    parser.add_argument(
        "--target", metavar="SOCKET", type=Path, default=target, help="the agent's control socket; then no file is read"
    )


def _add_config(parser: argparse.ArgumentParser, default: object) -> None:
    about = f"the configuration file; default: {DEFAULT_CONFIG}"
    parser.add_argument("--config", metavar="FILE", type=Path, default=default, help=about)


def _agent(options: argparse.Namespace) -> int:
    # Here, because the agent and its drivers take longer to import than a question takes to answer.
    from ovsha import daemon

    return daemon.run(options.config)


def _config_check(options: argparse.Namespace) -> int:
    config = configuration.load(options.file)
    warnings = list(config.warnings)
    try:
        configuration.read_key(config.pair.key_file)
    except ConfigError as error:
        # A file is often checked on another machine than it is for, so this does not make it invalid.
        warnings.append(f"{options.file}: pair.key_file: {error}")
    for warning in warnings:
        print(f"ovsha: warning: {warning}", file=sys.stderr)
    print(f"{options.file}: is valid")
    return 0


def _sync_status(options: argparse.Namespace) -> int:
    document = client.ask_json(_find(options), "status", "json", schema=SCHEMA)
    _print(options, sync_status(document), status_text.sync_text)
    return 0 if document["in_sync"] else 1


def _status(options: argparse.Namespace) -> int:
    document = client.ask_json(_find(options), "status", "json", schema=SCHEMA)
    _print(options, document, status_text.status_text)
    return 0 if document["healthy"] else 1


def _switchover(options: argparse.Namespace) -> int:
    find = _find(options)
    # Asked first, for its time limit, and because an agent that hangs should not be waited for as long as that.
    timeout = client.ask_json(find, "status", "json", schema=SCHEMA)["settings"]["handover_timeout"]
    form = ("json",) if options.json else ()
    print(client.ask(find, "switchover", options.to, *form, limit=timeout + _MARGIN), end="")
    return 0


def _find(options: argparse.Namespace) -> client.Find:
    if options.target is not None:
        target: Path = options.target.absolute()
        return lambda: target
    return client.in_directory(configuration.load(options.config).run_directory)


def _print(options: argparse.Namespace, document: dict[str, Any], text: Callable[[dict[str, Any]], str]) -> None:
    print(json.dumps(document, indent=2) if options.json else text(document).rstrip("\n"))


def _fail(message: str, status: int) -> int:
    print("ovsha: " + " ".join(message.split()), file=sys.stderr)
    return status


def _forget_stdout() -> None:
    """Leave nothing for the interpreter to write when it ends, which would fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
