"""The arrows between the layers point downwards, and the core does no I/O."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "ovsha"
CORE_MAY_IMPORT = {
    "__future__", "collections", "dataclasses", "enum", "hashlib", "hmac", "itertools", "json", "textwrap", "typing",
    "ovsha.core", "ovsha.SCHEMA",
}  # fmt: skip
TOP = {
    "agent", "bundles", "checks", "cli", "client", "commands", "control", "control_explain", "control_peer", "daemon",
    "duel", "exchange", "explaining", "exposition", "forensics_job", "journald", "logtail", "move", "orders", "page",
    "mlag", "passages", "preflight", "recorder", "recording", "report", "retelling", "setup", "switch", "told",
    "urls", "control_backup", "job_main", "joining", "task_job", "tasks", "upgrades", "upgrading", "bootstrap",
    "vtep_bootstrap", "listening", "remotes", "making",
    "pairing", "rivals", "undone", "kernel",
}  # fmt: skip
"""What drives or is driven by the whole, and so is out of reach for the layers below."""

NO_CLOCK_NO_FILE = {"open", "input", "print", "eval", "exec", "__import__"}


def modules(folder: str) -> list[Path]:
    return sorted((PACKAGE / folder).glob("*.py"))


def imports(module: Path) -> Iterator[str]:
    """Yield the full name of everything a module imports, wherever it does so."""
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: a relative import hides its layer"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(name: str, allowed: set[str]) -> bool:
    return any(name == one or name.startswith(one + ".") for one in allowed)


def own(module: Path) -> set[str]:
    return {name for name in imports(module) if within(name, {"ovsha"})} - {"ovsha.SCHEMA"}


named = pytest.mark.parametrize


@named("module", modules("core"), ids=lambda path: path.stem)
def test_the_core_imports_nothing_that_has_a_clock_a_socket_or_a_file(module: Path) -> None:
    assert [name for name in imports(module) if not within(name, CORE_MAY_IMPORT)] == []


@named("module", modules("core"), ids=lambda path: path.stem)
def test_the_core_calls_nothing_that_opens_or_prints(module: Path) -> None:
    calls = (node.func for node in ast.walk(ast.parse(module.read_text())) if isinstance(node, ast.Call))
    assert [name.id for name in calls if isinstance(name, ast.Name) and name.id in NO_CLOCK_NO_FILE] == []


@named("module", modules("drivers"), ids=lambda path: path.stem)
def test_a_driver_knows_neither_the_agent_nor_the_configuration(module: Path) -> None:
    above = {f"ovsha.{name}" for name in TOP | {"config"}}
    assert [name for name in own(module) if within(name, above)] == []


@named("module", sorted(PACKAGE.glob("config*.py")), ids=lambda path: path.stem)
def test_the_configuration_imports_nothing_of_ours_but_its_errors(module: Path) -> None:
    allowed = {"ovsha.errors", *(f"ovsha.{path.stem}" for path in PACKAGE.glob("config*.py"))}
    assert [name for name in own(module) if not within(name, allowed)] == []


def test_the_command_line_reaches_no_driver() -> None:
    modules = [PACKAGE / "cli.py", PACKAGE / "commands" / "common.py"]
    assert [name for module in modules for name in own(module) if within(name, {"ovsha.drivers", "ovsha.switch"})] == []


def test_no_module_imports_itself_in_a_circle() -> None:
    names = {".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): path for path in PACKAGE.rglob("*.py")}
    imported = {name: own(path) for name, path in names.items() if path.stem != "__init__"}
    arrows = {
        name: {other for other in names if within_exactly(other, wanted)} - {name} for name, wanted in imported.items()
    }
    while arrows:
        leaves = {name for name, below in arrows.items() if not below & arrows.keys()}
        assert leaves, f"in a circle: {sorted(arrows)}"
        arrows = {name: below for name, below in arrows.items() if name not in leaves}


def within_exactly(module: str, imported: set[str]) -> bool:
    """Tell whether `module` is imported: as itself, or by a name taken from it."""
    return any(name == module or name.rpartition(".")[0] == module for name in imported)


STARTERS = {
    "bundler", "child", "clag", "content", "forensics_job", "hooks", "private", "programs", "safe_start",
    "snapshot", "stall", "tasks",
    "fetch",
}  # fmt: skip
"""What starts programs: clagctl, ovsdb-tool, copies of files, hooks, what a check asks, and children of our own."""


def test_no_service_is_started_or_ended_by_us() -> None:
    """Programs are started by few modules, and no process is ended but a child, with its group, by who started it."""
    used = {path.stem: set(imports(path)) | called(path) for path in PACKAGE.rglob("*.py")}
    assert {name for name, names in used.items() if "subprocess" in names} == STARTERS
    assert {name for name, names in used.items() if "os.killpg" in names} <= STARTERS
    assert [name for name, names in used.items() if {"os.kill", "os.system", "signal.pidfd_send_signal"} & names] == []


def called(module: Path) -> set[str]:
    """Return what a module calls, by its dotted name."""
    return {ast.unparse(node.func) for node in ast.walk(ast.parse(module.read_text())) if isinstance(node, ast.Call)}
