"""Put a part of a switch's files on a small disk of its own, which can be filled, made read-only, and mended.

The disk is a tmpfs.  It is mounted where the files are and unmounted when the test ends, whoever still has files open.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import ExitStack
from pathlib import Path

import settings
from service import Service
from switch import Switch

MEGABYTES = 48
"""More than the agent wants to stay free, and enough for the databases of the lab."""


class Disk:
    """A disk mounted at `place`, an empty directory or one whose files nobody has open yet."""

    def __init__(self, stack: ExitStack, place: Path, megabytes: int = MEGABYTES) -> None:
        self.place = place
        self._filler = place / "filler"
        place.mkdir(exist_ok=True)
        _run("mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "ovsha-lab", str(place))
        stack.callback(_run, "umount", "--lazy", str(place))

    def fill(self) -> None:
        """Leave not one byte."""
        descriptor = os.open(self._filler, os.O_CREAT | os.O_WRONLY)
        try:
            while os.write(descriptor, bytes(1 << 12)):
                pass
        except OSError:
            pass
        finally:
            os.close(descriptor)

    def free(self) -> None:
        """Take away what filled it."""
        self._filler.unlink()

    def make_read_only(self) -> None:
        """Refuse writes from now on; nobody may have a file open for writing."""
        _run("mount", "-o", "remount,ro", str(self.place))

    def make_writable(self, program: Service) -> None:
        """Take writes again, those of `program` too, which was started meanwhile and so has this mount for itself."""
        _run("mount", "-o", "remount,rw", str(self.place))
        own_mounts = ("nsenter", "--mount", "--target", str(program.pid))
        _run(*own_mounts, "mount", "-o", "remount,bind,rw", str(self.place))


def for_state(stack: ExitStack, switch: Switch) -> Disk:
    """Put the agent's state and its snapshots on a disk of their own, before anything is started."""
    return Disk(stack, switch.directory / "state")


def for_database(stack: ExitStack, switch: Switch, megabytes: int = MEGABYTES) -> Disk:
    """Put the server's database on a disk of its own, before anything is started."""
    disk = Disk(stack, switch.directory / "disk", megabytes)
    shutil.copy(switch.database, disk.place)
    switch.database = disk.place / switch.database.name
    switch.config["server"]["file"] = str(switch.database)
    settings.write(switch.config_file, switch.config)
    return disk


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
