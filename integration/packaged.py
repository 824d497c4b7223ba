"""Build the package once, and put it on machines as an operator would, with the files and commands of the README."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from machines import Machine

HERE = Path(__file__).resolve().parent
README = HERE.parent / "README.rst"
KEY = "/etc/ovsha/pair.key"
DATABASE = "/var/lib/openvswitch/vtep.db"
INSTALL = "DEBIAN_FRONTEND=noninteractive apt-get -q -y install"
FOREIGN = "systemctl disable --now openvswitch-switch openvswitch-vtep"
SERVER = "systemctl enable --now ovsha-ovsdb-server"
AGENT = "systemctl enable --now ovsha"


def build(directory: Path) -> Path:
    """Return the package, built from the sources as they stand, in `directory`.

    Raises subprocess.CalledProcessError, with the output, where it does not build or lintian finds an error.
    """
    script = HERE.parent / "scripts" / "build-deb.sh"
    subprocess.run([script, directory], check=True, capture_output=True, text=True)
    (package,) = directory.glob("ovsha_*.deb")
    return package


def newer(package: Path, version: str) -> Path:
    """Return the same package under another version, beside it."""
    tree, result = package.with_name(f"tree-{version}"), package.with_name(f"ovsha_{version}_all.deb")
    subprocess.run(["dpkg-deb", "-R", package, tree], check=True)
    control = tree / "DEBIAN" / "control"
    control.write_text(re.sub(r"(?m)^Version: .*$", f"Version: {version}", control.read_text()))
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", tree, result], check=True, capture_output=True)
    return result


def install(machine: Machine, package: Path) -> None:
    """Install a package with what it depends on and recommends, out of the machine's own cache."""
    machine.copy_in(package, f"/root/{package.name}")
    machine.sh(f"{INSTALL} /root/{package.name}", limit=300)


def configuration(node: str) -> str:
    """Return the configuration that the README shows, for this node."""
    shown = re.search(r"\.\. code-block:: yaml\n\n((?:    .*\n|\n)+)", README.read_text())
    assert shown is not None, "the README shows a configuration"
    return re.sub(r"^ {4}", "", shown[1], flags=re.MULTILINE).replace("node: sw1 ", f"node: {node} ")


def shown_in_readme(*commands: str) -> bool:
    """Say whether each of these commands stands in the README on a line of its own."""
    lines = {line.strip() for line in README.read_text().splitlines()}
    return all(command in lines for command in commands)


def pids(machine: Machine) -> tuple[int, int]:
    """Return the main pids of the server and of the agent."""
    return machine.pid_of("ovsha-ovsdb-server"), machine.pid_of("ovsha")
