"""What the package, the units and the code say of themselves agrees."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import ovsha

HERE = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((HERE / "pyproject.toml").read_text())
CONTROL = (HERE / "debian/control").read_text()


def test_version_stands_in_one_place() -> None:
    assert PROJECT["project"]["dynamic"] == ["version"]
    assert PROJECT["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "ovsha.__version__"}
    newest = re.match(r"ovsha \((.*)\) ", (HERE / "debian/changelog").read_text())
    assert newest is not None
    assert newest[1] == ovsha.__version__
    assert f"\n{ovsha.__version__} (" in (HERE / "CHANGELOG.rst").read_text()


def test_package_depends_on_what_the_code_needs() -> None:
    names = {"ovs": "openvswitch", "pyyaml": "yaml"}
    for needed in PROJECT["project"]["dependencies"]:
        name, _, least = needed.partition(">=")
        package = f"python3-{names.get(name.lower(), name.lower())} (>= {least})"
        assert package in CONTROL, needed


def test_no_name_of_a_dependency_is_left_to_guessing() -> None:
    listed = (HERE / "debian/py3dist-overrides").read_text().lower().split()
    needed = [each.partition(">=")[0].lower().replace("-", "_") for each in PROJECT["project"]["dependencies"]]
    assert sorted(listed) == sorted(needed)


def test_unit_starts_nothing_without_a_configuration() -> None:
    for unit in (HERE / "systemd").glob("*.service"):
        assert "ConditionPathExists=/etc/ovsha/ovsha.yaml" in unit.read_text().splitlines(), unit.name


def test_no_unit_is_bound_to_another() -> None:
    for unit in (HERE / "systemd").iterdir():
        bound = re.findall(r"^(Requires|BindsTo|PartOf|Requisite|Upholds)=.*", unit.read_text(), re.MULTILINE)
        assert not bound, unit.name


def test_package_enables_and_starts_nothing() -> None:
    calls = re.findall(r"^\tdh_installsystemd (.*)$", (HERE / "debian/rules").read_text(), re.MULTILINE)
    assert calls
    for call in calls:
        assert {"--no-enable", "--no-start"} <= set(call.split()), call
