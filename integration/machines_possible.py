"""Say in one line why no machines can be booted here, and exit with 1; say nothing and exit with 0 where they can.

    python3 integration/machines_possible.py

It tries what booting needs: to mount an overlay, to make a cgroup, and to have the root of Debian 12, kept or fetched.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

import machine_root
import machines

_LIMIT = 10.0


def hindrance() -> str:
    """Return why no machine can be booted here, "" when nothing is in the way."""
    if os.geteuid() != 0:
        return "this is not root"
    if Path("/run/systemd/system").exists():
        return "systemd runs here, and would take the machines' cgroups for its own"
    missing = [program for program in ("systemd-nspawn", "debootstrap") if shutil.which(program) is None]
    if missing:
        return f"{' and '.join(missing)} cannot be run"
    return _no_overlay() or _no_cgroup() or _no_root()


def _no_overlay() -> str:
    with tempfile.TemporaryDirectory(prefix="ovsha-possible-") as name:
        place = Path(name)
        if not _mounted("-t", "tmpfs", "possible", name):
            return "nothing can be mounted"
        try:
            for each in ("lower", "upper", "work", "root"):
                (place / each).mkdir()
            layers = f"lowerdir={place}/lower,upperdir={place}/upper,workdir={place}/work"
            if not _mounted("-t", "overlay", "possible", "-o", layers, str(place / "root")):
                return "no overlay can be mounted"
            subprocess.run(["umount", str(place / "root")], check=True)
        finally:
            subprocess.run(["umount", name], check=True)
    return ""


def _mounted(*words: str) -> bool:
    return subprocess.run(["mount", *words], capture_output=True, check=False).returncode == 0


def _no_cgroup() -> str:
    for group in machines.cgroups(f"possible-{os.getpid()}"):
        try:
            group.mkdir()
            group.rmdir()
        except OSError as error:
            return f"no cgroup can be made: {group}: {error.strerror}"
    return "" if machines.cgroups("any") else "there are no cgroups of systemd's kind"


def _no_root() -> str:
    if machine_root.place().exists():
        return ""
    try:
        with urllib.request.urlopen(f"{machine_root.MIRROR}/dists/bookworm/Release", timeout=_LIMIT):
            return ""
    except OSError as error:
        return f"{machine_root.CACHE} has no root, and {machine_root.MIRROR} cannot be reached: {error}"


if __name__ == "__main__":
    why = hindrance()
    if why:
        print(why)
    sys.exit(1 if why else 0)
