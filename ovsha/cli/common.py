"""What the commands share: options, consent, progress, and a display that is drawn again and again.

Every command that changes something says first what it will do, then asks on a terminal or takes --yes.

A colour only repeats what a word says.  NO_COLOR in the environment turns them off, and what
does not go to a terminal has none.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from ovsha import config as configuration
from ovsha import control_client
from ovsha.errors import DriverError, UsageError

DEFAULT_CONFIG = Path("/etc/ovsha/ovsha.yaml")

Run = Callable[[argparse.Namespace], int]
"""Carry out a command; the exit status."""


def command(commands: Any, name: str, run: Run, help: str) -> Any:
    """Add command `name`, without any option."""
    added = commands.add_parser(name, help=help, description=_sentence(help), allow_abbrev=False)
    added.set_defaults(run=run)
    return added


def _sentence(help: str) -> str:
    return f"{help[:1].upper()}{help[1:]}."


def question(commands: Any, name: str, run: Run, help: str) -> Any:
    """Add command `name`, which may print JSON and asks the agent or reads the configuration."""
    added = command(commands, name, run, help)
    added.add_argument("--json", action="store_true", help="print JSON")
    add_common(added, argparse.SUPPRESS, argparse.SUPPRESS)
    return added


def group(commands: Any, name: str, help: str) -> Any:
    """Add command `name`, which only holds others; they are added to what is returned."""
    added = commands.add_parser(name, help=help, description=_sentence(help), allow_abbrev=False)
    for option in ("--config", "--target"):
        # Its actions tell of them; here, so that they may stand before an action as well.
        added.add_argument(option, type=Path, default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    actions = added.add_subparsers(metavar="ACTION", required=False)

    def without(options: argparse.Namespace) -> int:
        known = ", ".join(sorted(actions.choices))
        raise UsageError(f"{name} needs an ACTION, one of {known}; see ovsha {name} --help")

    added.set_defaults(run=without)
    return actions


def add_common(parser: argparse.ArgumentParser, config: object, target: object) -> None:
    """Add the options that may stand before and after a command; the ones after it win."""
    add_config(parser, config)
    parser.add_argument(
        "--target", metavar="SOCKET", type=Path, default=target, help="the agent's control socket; then no file is read"
    )


def add_config(parser: argparse.ArgumentParser, default: object) -> None:
    """Add the option that names the configuration file."""
    about = f"the configuration file; default: {DEFAULT_CONFIG}"
    parser.add_argument("--config", metavar="FILE", type=Path, default=default, help=about)


def find(options: argparse.Namespace) -> control_client.Find:
    """Return what finds the agent's control socket.  Raises ConfigError for a bad configuration file."""
    if options.target is not None:
        target: Path = options.target.absolute()
        return lambda: target
    return control_client.in_directory(configuration.load(options.config).run_directory)


def need_pair(document: dict[str, Any]) -> None:
    """Raise UsageError when the agent's `document` is that of a switch which stands alone."""
    if document["peer"] is None:
        raise UsageError(f"{document['node']} stands alone, as the only one under nodes: there is no other side")


def show(options: argparse.Namespace, document: dict[str, Any], text: Callable[[dict[str, Any]], str]) -> None:
    """Print a document as JSON if that was asked for, or else what `text` makes of it."""
    print(json.dumps(document, indent=2) if options.json else text(document).rstrip("\n"))


_YES = ("y", "yes")


def add_consent(command: Any) -> None:
    """Give `command`, as ovsha.cli.common makes it, the option that stands for the operator's yes."""
    command.add_argument("--yes", action="store_true", help="do it without asking; needed where there is no terminal")


def ask(options: argparse.Namespace, what: str) -> None:
    """Print `what` will be done and return once the operator agrees; `options` has `yes` of `add` and may have `json`.

    With --json it is printed on the standard error, where the question stands too.  Raises DriverError when that
    is refused, and UsageError, for exit status 2, when there is nobody to ask.
    """
    if not options.yes and not sys.stdin.isatty():
        raise UsageError("there is no terminal to ask at; add --yes to have it done")
    print(what.rstrip("\n"), file=sys.stderr if getattr(options, "json", False) else sys.stdout, flush=True)
    if options.yes:
        return
    print("Go on? [y/N] ", end="", file=sys.stderr, flush=True)
    answer = sys.stdin.readline()
    if not answer.endswith("\n"):
        print(file=sys.stderr)
    if answer.strip().lower() not in _YES:
        raise DriverError("nothing was done")


Show = Callable[[int, int, str], None]
"""Called with how much of how much is done, and what is being done."""


@contextmanager
def bar(options: argparse.Namespace, title: str) -> Iterator[Show]:
    """Give what moves a bar named `title` on the standard error; it is gone when the work is done."""
    if getattr(options, "json", False) or not sys.stderr.isatty():
        yield _nowhere
        return
    try:
        # Here, because it takes longer to import than most commands take, and pipes do without it.
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
    except ImportError:
        yield _nowhere
        return
    percent = TextColumn("{task.percentage:>3.0f}%")
    columns = (TextColumn("{task.description}"), BarColumn(), percent, TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(title, total=None)

        def show(done: int, total: int, what: str) -> None:
            progress.update(task, completed=done, total=total, description=f"{title}: {what}")

        yield show


def _nowhere(done: int, total: int, what: str) -> None:
    return


_COLOURS = (
    (r"(?m)^OK(?=:)", "bold green"),
    (r"(?m)^(also )?DEGRADED(?=:)", "bold yellow"),
    (r"(?m)^(also )?BROKEN(?=:)", "bold red"),
    (r"(?m)^UNKNOWN(?=:)", "bold red"),
    (r"(?m)^ +do:.*", "bold"),
    (r"\bLOST\b", "bold red"),
    (r"(?m)(?<=  )(down|hung|fault|needs-decision|no carrier|one-way in|one-way out)\b", "red"),
    (r"(?m)(?<=  )active\b", "green"),
    (r"(?m)^[a-zA-Z][\w' -]{0,16}(?=  )", "dim"),
)

Shown = Callable[[int | None], str]
"""Return the text in lines of at most so many columns."""


def print_coloured(shown: Shown) -> None:
    """Print once."""
    console = Console(highlight=False)
    console.print(_coloured(shown(console.width)), end="", soft_wrap=True)


def watch(every: float, once: Callable[[int | None], tuple[str, int]]) -> int:
    """Show what `once` returns every so many seconds, until interrupted; return the last exit status it gave.

    What does not go to a terminal gets one text after the other, each under its time.
    """
    console, status = Console(highlight=False), 1
    text = ""
    try:
        if not console.is_terminal or console.is_dumb_terminal:
            while True:
                text, status = once(None)
                print(f"{_now()}\n{text}", flush=True)
                time.sleep(every)
        with Live(console=console, screen=True, auto_refresh=False) as live:
            while True:
                text, status = once(console.width)
                head = f"{_now()}, every {every:g} s; Ctrl-C ends\n"
                live.update(_coloured(head + text), refresh=True)
                time.sleep(every)
    except KeyboardInterrupt:
        if console.is_terminal and not console.is_dumb_terminal:
            console.print(_coloured(text), end="", soft_wrap=True)
    return status


def _coloured(text: str) -> Text:
    coloured = Text(text)
    for pattern, style in _COLOURS:
        coloured.highlight_regex(pattern, style)
    return coloured


def _now() -> str:
    return datetime.now().astimezone().isoformat(" ", "seconds")
