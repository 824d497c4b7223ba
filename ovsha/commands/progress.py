"""Show how far a long command is: a bar by rich on a terminal, nothing anywhere else."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

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
