"""The arrows between the packages: who may import whom, and which of them have no clock, no socket and no file."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "ovsha"

GROUND = {"errors", "words", "times", "codec", "atomic_file", "control_client"}
DRIVERS = {"ovsdb", "net", "mlag", "host", "peer"}

# Each package, and what it may import besides itself and the ground files: nothing above it, and nothing in a circle.
ARROWS: dict[str, set[str]] = {
    "cli": {"agent", "provision", "checks", "history", "forensics", "backup", "divergence", "report", "core", "config",
            "ovsdb", "peer", "host"},
    "agent": {"checks", "history", "forensics", "backup", "divergence", "report", "protocol", "core", "config"}
    | DRIVERS,
    "provision": {"checks", "backup", "divergence", "core", "config"} | DRIVERS,
    "checks": {"report", "core", "config"} | DRIVERS,
    "history": {"divergence", "report", "protocol", "config", "host", "peer"},
    "forensics": {"config", "ovsdb", "mlag", "host", "peer"},
    "backup": {"divergence", "core", "config", "ovsdb", "host"},
    "divergence": {"core", "config", "ovsdb", "host", "peer"},
    "ovsdb": {"core", "config", "net", "host"},
    "peer": {"protocol", "config", "net"},
    "mlag": {"core", "config", "host"},
    "net": {"core"},
    "host": {"core"},
    "report": {"protocol", "core"},
    "protocol": {"core"},
    "core": set(),
    "config": set(),
}

PURE = ("core", "protocol", "report")
PURE_MAY_IMPORT = {
    "__future__", "base64", "collections", "dataclasses", "datetime", "enum", "hashlib", "hmac", "html", "itertools",
    "json", "math", "re", "textwrap", "typing",
}  # fmt: skip
NO_CLOCK_NO_FILE = {"open", "input", "print", "eval", "exec", "__import__"}


def imports(module: Path) -> Iterator[str]:
    """Yield the full name of everything a module imports, wherever it does so."""
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: a relative import hides its layer"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def modules(package: str) -> list[Path]:
    return sorted((PACKAGE / package).rglob("*.py"))


def packages_of(module: Path) -> set[str]:
    """Return the packages and ground files of ovsha that a module imports."""
    names = {name.split(".")[1] for name in imports(module) if name.startswith("ovsha.")}
    return {name for name in names if (PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").exists()}


named = pytest.mark.parametrize


def test_every_package_stands_in_the_list_of_arrows() -> None:
    assert {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()} == set(ARROWS)
    assert {path.stem for path in PACKAGE.glob("*.py")} - {"__init__", "__main__"} == GROUND


@named("package", ARROWS)
def test_a_package_imports_only_what_its_arrows_lead_to(package: str) -> None:
    allowed = ARROWS[package] | GROUND | {package}
    above = {str(module.relative_to(PACKAGE)): packages_of(module) - allowed for module in modules(package)}
    assert {module: names for module, names in above.items() if names} == {}


@named("package", ARROWS)
def test_no_arrow_is_allowed_that_nobody_needs(package: str) -> None:
    used = set().union(*(packages_of(module) for module in modules(package)))
    assert ARROWS[package] - used == set()


def test_the_ground_imports_no_package() -> None:
    above = {name: packages_of(PACKAGE / f"{name}.py") - GROUND for name in GROUND}
    assert {name: packages for name, packages in above.items() if packages} == {}


def test_the_arrows_lead_downwards_and_never_in_a_circle() -> None:
    left = dict(ARROWS)
    while left:
        leaves = {package for package, below in left.items() if not below & left.keys()}
        assert leaves, f"in a circle: {sorted(left)}"
        left = {package: below for package, below in left.items() if package not in leaves}


PURE_MODULES = [module for package in PURE for module in modules(package)]


@named("module", PURE_MODULES, ids=lambda path: f"{path.parent.name}.{path.stem}")
def test_a_pure_package_has_no_clock_no_socket_and_no_file(module: Path) -> None:
    foreign = {name.split(".")[0] for name in imports(module)} - {"ovsha"}
    assert foreign - PURE_MAY_IMPORT == set()
    calls = (node.func for node in ast.walk(ast.parse(module.read_text())) if isinstance(node, ast.Call))
    assert [name.id for name in calls if isinstance(name, ast.Name) and name.id in NO_CLOCK_NO_FILE] == []
    clocks = {"datetime.now", "datetime.datetime.now", "datetime.today", "datetime.utcnow", "date.today"}
    assert called(module) & clocks == set()


def test_the_command_line_knows_no_agent_until_it_is_one() -> None:
    """A question takes as long as its imports; and only two modules of the agent are for commands."""
    for module in modules("cli"):
        tree = ast.parse(module.read_text())
        at_once = {f"{node.module}.{alias.name}" for node in tree.body if isinstance(node, ast.ImportFrom)
                   for alias in node.names}  # fmt: skip
        assert not {name for name in at_once if name.startswith(("ovsha.agent", "ovsha.net"))}, module
        late = {name for name in imports(module) if name.startswith("ovsha.agent")}
        assert late <= {"ovsha.agent.service", "ovsha.agent.offline"}, module


def test_no_module_imports_itself_in_a_circle() -> None:
    names = {".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): path for path in PACKAGE.rglob("*.py")}
    imported = {
        name.removesuffix(".__init__"): {one for one in imports(path) if one.startswith("ovsha.")}
        for name, path in names.items()
    }
    arrows = {
        name: {other for other in imported if is_imported(other, wanted)} - {name} for name, wanted in imported.items()
    }
    while arrows:
        leaves = {name for name, below in arrows.items() if not below & arrows.keys()}
        assert leaves, f"in a circle: {sorted(arrows)}"
        arrows = {name: below for name, below in arrows.items() if name not in leaves}


def is_imported(module: str, imported: set[str]) -> bool:
    """Tell whether `module` is imported: as itself, or by a name taken from it."""
    parts = module.split(".")
    for name in imported:
        whole = name.split(".")
        if whole == parts or (whole[:-1] == parts and not is_module(whole)):
            return True
    return False


def is_module(parts: list[str]) -> bool:
    path = PACKAGE.parent.joinpath(*parts)
    return path.is_dir() or path.with_suffix(".py").exists()


STARTERS = {
    "agent/peer_tasks", "agent/split_brain", "checks/stall", "forensics/job", "host/child", "host/hooks",
    "host/snapshot", "mlag/reader", "ovsdb/contents", "ovsdb/launch", "provision/bundle", "provision/database_file",
}  # fmt: skip
"""What starts programs: clagctl, ovsdb-tool, copies of files, hooks, what a check asks, and children of our own."""


def test_no_service_is_started_or_ended_by_us() -> None:
    """Programs are started by few modules, and no process is ended but a child, with its group, by who started it."""
    names = {str(path.relative_to(PACKAGE).with_suffix("")): path for path in PACKAGE.rglob("*.py")}
    used = {name: set(imports(path)) | called(path) for name, path in names.items()}
    assert {name for name, names in used.items() if "subprocess" in names} == STARTERS
    assert {name for name, names in used.items() if "os.killpg" in names} <= STARTERS
    assert [name for name, names in used.items() if {"os.kill", "os.system", "signal.pidfd_send_signal"} & names] == []


def called(module: Path) -> set[str]:
    """Return what a module calls, by its dotted name."""
    return {ast.unparse(node.func) for node in ast.walk(ast.parse(module.read_text())) if isinstance(node, ast.Call)}
