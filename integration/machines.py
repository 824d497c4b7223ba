"""Boot Debian 12 machines under their own systemd, to try the package on them as on switches.

A machine is a root of its own, laid over the one that `machine_root` keeps, and booted by systemd-nspawn(1) with a
network of its own.  It needs root, overlayfs and cgroups that can be written to, and no systemd outside.

What a machine has outside its own processes is a directory, two mounts and a cgroup, named after the process that made
it (pid and start time), so that several tests can have machines at the same time, and what a killed one has left behind
is removed by the next.  The processes themselves end with the thread that booted the machine.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import machine_root
from topology import is_orphan, unique_prefix

_CGROUPS = Path("/sys/fs/cgroup")
_LIMIT = 60.0


class Failed(AssertionError):
    """A command in a machine did not end as it should."""


class Machine:
    """One machine; use it as a context, and it is off and removed afterwards."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.boot_seconds: float | None = None
        """How long the last boot took, from its start until systemd had no more jobs; None before the first."""
        self._id = f"{unique_prefix()}-{name}"
        self._place = machine_root.CACHE / "run" / self._id
        self.root = self._place / "root"
        """The machine's files, as seen from here, whether it runs or not."""
        self._keeper: subprocess.Popen[bytes] | None = None
        self.leader = 0
        """The pid of its first process, as counted here; 0 when it is off."""

    def __enter__(self) -> Machine:
        remove_orphans()
        base = machine_root.root()
        upper, work = self._place / "upper", self._place / "work"
        # In memory: dpkg waits for the disk after every file.
        self._place.mkdir(parents=True)
        _run("mount", "-t", "tmpfs", self._id, str(self._place))
        for each in (upper, work, self.root):
            each.mkdir()
        layers = f"lowerdir={base},upperdir={upper},workdir={work}"
        _run("mount", "-t", "overlay", self._id, "-o", layers, str(self.root))
        (self.root / "etc/machine-id").write_text(f"{uuid.uuid4().hex}\n")
        (self.root / "etc/hostname").write_text(f"{self.name}\n")
        (self.root / "etc/hosts").write_text(f"127.0.0.1 localhost\n::1 localhost\n127.0.1.1 {self.name}\n")
        return self

    def __exit__(self, *exc: object) -> None:
        self.cut_power()
        _remove(self._id)

    @property
    def running(self) -> bool:
        """Whether the machine is on."""
        return self._keeper is not None and self._keeper.poll() is None

    def boot(self) -> None:
        """Switch it on, and return when systemd has done all its jobs; Failed when a unit has failed."""
        if self.running:
            return
        began = time.monotonic()
        groups = cgroups(self._id)
        for group in groups:
            group.mkdir(exist_ok=True)
        nspawn = [
            *("systemd-nspawn", "-D", str(self.root), f"--machine={self._id}", "--register=no", "--keep-unit"),
            *(f"--hostname={self.name}", "--private-network", "-b", "--console=passive"),
            *("--resolv-conf=off", "--timezone=off", "--quiet"),
        ]
        # nspawn's machine outlives it, so a shell stays by, which ends all of it when it is left alone.
        script = f"""
            for group in {shlex.join(map(str, groups))}; do echo $$ >$group/cgroup.procs; done
            trap 'echo 1 >{groups[-1]}/cgroup.kill' TERM
            {shlex.join(nspawn)} &
            wait $!
        """
        with (self._place / "console").open("ab") as console:
            self._keeper = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", "sh", "-c", script],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
            )
        self.until(self._has_leader, f"{self.name} has started its systemd")
        self.until(lambda: self.sh("systemctl is-system-running --wait || true").strip() != "", "systemd answers")
        state = self.sh("systemctl is-system-running || true").strip()
        if state != "running":
            raise Failed(f"{self.name} is {state}: {self.sh('systemctl --failed --no-legend')}{self.console()}")
        self.boot_seconds = time.monotonic() - began

    def power_off(self) -> None:
        """Shut it down in good order."""
        if self.running:
            self.sh("systemctl poweroff")
            self.until(lambda: not self.running, f"{self.name} is off")
        self._off()

    def cut_power(self) -> None:
        """Kill all of it at once; what it has written to its disk stays.  Nothing happens when it is off."""
        if self._keeper is not None:
            _kill(self._id)
            self._keeper.wait()
        self._off()

    def sh(self, script: str, limit: float = _LIMIT) -> str:
        """Run a shell script in it as root, and return what it printed; Failed for another exit status than 0."""
        done = subprocess.run(
            ["nsenter", "-t", str(self.leader), "-a", "--wdns=/", "/bin/sh", "-ec", script],
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=limit,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise Failed(f"{self.name}: {script}: exit status {done.returncode}\n{done.stdout}")
        return done.stdout

    def succeeds(self, script: str) -> bool:
        """Say whether a shell script in it ends with status 0."""
        try:
            self.sh(script)
        except Failed:
            return False
        return True

    def copy_in(self, source: Path, target: str) -> None:
        """Copy a file, or a directory with all that is in it, to the absolute path `target` of the machine."""
        inside = self.root / target.lstrip("/")
        inside.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, inside, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, inside)

    def write(self, target: str, text: str, mode: int = 0o644) -> None:
        """Write a file of the machine."""
        inside = self.root / target.lstrip("/")
        inside.parent.mkdir(parents=True, exist_ok=True)
        inside.write_text(text)
        inside.chmod(mode)

    def pid_of(self, unit: str) -> int:
        """Return the main pid of a unit, as the machine counts; 0 when it does not run."""
        return int(self.sh(f"systemctl show -P MainPID {unit}"))

    def console(self) -> str:
        """Return what the machine has printed on its console."""
        return (self._place / "console").read_text(errors="replace")

    def until(self, condition: Callable[[], object], what: str, limit: float = _LIMIT) -> float:
        """Wait until `condition` holds, and return how long that took; Failed with `what` after `limit` seconds."""
        began = time.monotonic()
        while not condition():
            if time.monotonic() - began > limit:
                raise Failed(f"not within {limit:g} s: {what}")
            time.sleep(0.05)
        return time.monotonic() - began

    def _has_leader(self) -> bool:
        """Find the machine's first process, and say whether it is systemd and takes questions."""
        if not self.running:
            raise Failed(f"{self.name} did not start: {self.console()}")
        with suppress(OSError):
            first, *_ = (cgroups(self._id)[-1] / "payload/init.scope/cgroup.procs").read_text().split() or ["0"]
            self.leader = int(first)
        return self.leader != 0 and _answers(self.leader)

    def _off(self) -> None:
        self._keeper, self.leader = None, 0
        _remove_cgroups(self._id)


def remove_orphans() -> None:
    """Remove what machines of tests that were killed have left behind."""
    places = machine_root.CACHE / "run"
    if places.exists():
        for place in places.iterdir():
            if is_orphan(place.name):
                _remove(place.name)


def _remove(identity: str) -> None:
    place = machine_root.CACHE / "run" / identity
    _kill(identity)
    for mounted in (place / "root", place):
        if mounted.is_mount():
            _run("umount", "--lazy", str(mounted))
    _remove_cgroups(identity)
    shutil.rmtree(place)
    with suppress(OSError):
        Path("/run/systemd/nspawn/propagate", identity).rmdir()


def _kill(identity: str) -> None:
    """Kill all processes of a machine, whether it has any or not."""
    with suppress(FileNotFoundError):
        (cgroups(identity)[-1] / "cgroup.kill").write_text("1")


def cgroups(identity: str) -> list[Path]:
    """Return the cgroups of a machine: one in the hierarchy of systemd, and in the unified one where there are both."""
    if (_CGROUPS / "cgroup.procs").exists():
        return [_CGROUPS / identity]
    return [_CGROUPS / name / identity for name in ("systemd", "unified") if (_CGROUPS / name).exists()]


def _remove_cgroups(identity: str) -> None:
    """Remove them; the kernel takes a moment to let go of the processes that were in them."""
    for group in cgroups(identity):
        for _ in range(100):
            below = sorted((path for path in group.rglob("*") if path.is_dir()), key=lambda path: -len(path.parts))
            try:
                for each in (*below, group):
                    each.rmdir()
            except FileNotFoundError:
                break
            except OSError:
                time.sleep(0.05)
                continue
            break


def _answers(leader: int) -> bool:
    """Say whether systemd of that machine takes questions already."""
    probe = ["nsenter", "-t", str(leader), "-a", "--wdns=/", "systemctl", "is-system-running"]
    said = subprocess.run(probe, capture_output=True, text=True, check=False).stdout.strip()
    return said in ("starting", "running", "degraded")


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failed(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout
