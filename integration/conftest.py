"""Give the tests labs, and say why there is none where the machine cannot have one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import packaged
from lab import Lab

# They begin first, so that with several workers none is left with them when the others have nothing to do.
LONGEST = ("test_pairing", "test_vtep_bootstrap", "test_upgrade", "test_bad_input", "test_collect", "test_agent_faults")
PROGRAMS = ("ip", "ss", "nft", "ovsdb-server", "ovsdb-tool", "ovs-pki")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest."""
    items.sort(key=lambda item: item.path.stem not in LONGEST)


@pytest.fixture(scope="session")
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


@pytest.fixture(scope="session")
def needs_machines() -> None:
    """Skip where no machines are asked for; make deb-test and make machines-test do."""
    if "OVSHA_MACHINES" not in os.environ:
        pytest.skip("machines are booted where OVSHA_MACHINES is set")
    missing = [program for program in ("debootstrap", "systemd-nspawn", "lintian") if shutil.which(program) is None]
    assert not missing, f"machines need {', '.join(missing)}"
    assert os.geteuid() == 0, "machines need root"


@pytest.fixture(scope="session")
def deb(needs_machines: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the package, built of the sources as they are."""
    return packaged.build(tmp_path_factory.mktemp("deb"))


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Give a stack for what has to be undone when the test ends."""
    with ExitStack() as stack:
        yield stack
