"""Give the tests labs, and say why there is none where the machine cannot have one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from lab import Lab

PROGRAMS = ("ip", "ss", "nft", "ovsdb-server", "ovsdb-tool", "ovs-pki")


@pytest.fixture
def needs_lab() -> None:
    """Skip where there can be no lab."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing or os.geteuid() != 0:
        pytest.skip("a lab needs root" if os.geteuid() else f"a lab needs {', '.join(missing)}")


@pytest.fixture
def lab(needs_lab: None) -> Iterator[Callable[..., Lab]]:
    """Make labs, by the arguments of `Lab`; all are removed when the test ends."""
    with ExitStack() as stack:
        yield lambda **wishes: stack.enter_context(Lab(**wishes))


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Give a stack for what has to be undone when the test ends."""
    with ExitStack() as stack:
        yield stack
