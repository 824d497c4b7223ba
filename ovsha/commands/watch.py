"""Show a text on an operator's terminal: once, or anew every few seconds in its place.

A colour only repeats what a word says.  NO_COLOR in the environment turns them off, and what
does not go to a terminal has none.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime

from rich.console import Console
from rich.live import Live
from rich.text import Text

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
