"""One switch of the lab: its files, its programs, and the questions a test asks about it.

The programs are a real ovsdb-server started in the safe way (as a backup of an address that cannot answer), the agent
under test, and the stand-ins for clagd and the VTEP daemon.  Each is a `Service`: ``sw1.server.kill()``.

What is asked of the server goes over its own sockets and raises OSError when it does not answer within a second or so,
and rpc.Refused when it says no.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import rpc
import settings
from pki import Credentials
from service import Service
from standins.clag_rules import Timers
from topology import INTERFACE, PEER, Network

HERE = Path(__file__).resolve().parent
CLAGCTL = HERE / "standins" / "clagctl"
PARKED = "tcp:192.0.2.254:9999"
NSX_PORT = 6640
PATIENCE = 1.0
BOOT_ID = "/proc/sys/kernel/random/boot_id"

LossOfPower = Literal["cut", "kill"]


class Switch:
    """A top-of-rack switch, with everything off at first."""

    def __init__(
        self,
        node: str,
        network: Network,
        directory: Path,
        key_file: Path,
        overrides: Mapping[str, Any],
        credentials: Credentials | None,
        clag_timers: Timers,
        clag_priority: int,
        backup_path: bool,
        release: Path | None = None,
    ) -> None:
        self.node = node
        self.directory = directory
        self.address = network.plan.peer_link[node]
        self.management_address = network.plan.management[node]
        self.run_directory = directory / "run"
        self.database = directory / "conf.db"
        self.config_file = directory / "ovsha.yaml"
        self.socket = self.run_directory / "db.sock"
        self.vtepd_events_file = directory / "vtepd.events"
        self.agent_under: tuple[str, ...] = ()
        """What stands before the agent's command line from its next start on, such as setpriv(1)."""
        self.server_plain = False
        """Whether its server is started without a source from its next start on, and so active and writable at once."""
        self.more_databases: tuple[str, ...] = ()
        """The files of other databases that its server has from its next start on."""
        self.credentials = credentials
        """What its server is given for TLS from its next start on, None for nothing."""
        self.server_tls = False
        """Whether its server takes the peer's sessions over TLS from its next start on."""
        self.release = release
        """Where the ovsha is that its commands, and its agent from its next start on, are of; None for this release."""
        self._network = network
        self._clag = (clag_timers, clag_priority, backup_path)
        self._off: LossOfPower | None = None
        self._had: tuple[Service, ...] = ()
        for each in (directory, self.run_directory, directory / "state"):
            each.mkdir()
        self._boot_id = directory / "boot_id"
        self._boot_id.write_text(f"{uuid.uuid4()}\n", encoding="ascii")
        self._clagctl = (str(CLAGCTL), "--socket", str(self.run_directory / "clagd.socket"))
        usual = settings.configuration(node, directory, key_file, self._clagctl, network.plan)
        self.config = settings.merged(usual, overrides)
        settings.write(self.config_file, self.config)
        self.server_tls = bool(self.config["replication"].get("tls"))
        self.server = self._service("ovsdb-server", self._server_command, self._server_is_ready)
        self.agent = self._service("ovsha", self._agent_command)
        self.clagd = self._service("clagd", self._clagd_command, lambda: self.clagctl("priority").returncode == 0)
        self.vtepd = self._service("vtepd", self._vtepd_command)
        self.services = (self.clagd, self.server, self.agent, self.vtepd)

    # -- switching it off and on ---------------------------------------------------------------------------------

    def power_off(self, how: LossOfPower = "cut") -> None:
        """Let the switch fall silent in the middle of whatever it does: not one packet leaves it from now on.

        "cut" freezes its programs, and they go on where they were when power comes back.  "kill" is a loss of power:
        its programs, its sockets and what was in /run are gone.  The carrier goes on its peer's side too.
        """
        if self._off is not None:
            return
        self._off = how
        self._network.link_down("peer link", self.node)
        self._network.link_down("backup path", self.node)
        self._had = tuple(service for service in self.services if service.running)
        for service in self._had:
            if how == "cut":
                service.freeze()
            else:
                service.kill()
        if how == "kill":
            self._forget_memory()

    def fall_silent(self) -> None:
        """Lose every packet from and to it, as behind a switch that fails between the two; the carrier stays."""
        self._network.isolate(self.node)

    def power_on(self) -> None:
        """Bring the links up, and the programs that ran before; killed ones start with the database as it was left.

        It does not wait for them: at boot they also come up side by side.
        """
        if self._off is None:
            return
        how, self._off = self._off, None
        self._network.link_up("peer link", self.node)
        self._network.link_up("backup path", self.node)
        for service in self._had:
            if how == "cut":
                service.thaw()
            else:
                service.start(wait=False)

    def _forget_memory(self) -> None:
        """Lose what a reboot loses: sockets the kernel still wanted to close politely, added addresses, /run."""
        self.run("ss", "-K", "-t", "-a")
        self._network.reset_addresses(self.node)
        shutil.rmtree(self.run_directory)
        self.run_directory.mkdir()
        self._boot_id.write_text(f"{uuid.uuid4()}\n", encoding="ascii")

    # -- questions -----------------------------------------------------------------------------------------------

    def run(self, *command: str, limit: float = 10.0) -> subprocess.CompletedProcess[str]:
        """Run a short command on this switch."""
        return self._network.run(self.node, *command, limit=limit)

    def ovsha(self, *args: str, limit: float = 30.0) -> subprocess.CompletedProcess[str]:
        """Run ovsha's command line on this switch; --config is added but to `config ...`, which names its file."""
        command = [*self._network.entering(self.node), *self._program, *args]
        if args[:1] != ("config",):
            command += ["--config", str(self.config_file)]
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=limit,
            check=False,
            cwd=HERE.parent,
            env=self.environment,
        )

    def clagctl(self, *args: str, limit: float = 5.0) -> subprocess.CompletedProcess[str]:
        """Run the stand-in for clagctl; `clagctl("lab-mode", "hang")` sets how others are answered."""
        return subprocess.run([*self._clagctl, *args], capture_output=True, text=True, timeout=limit, check=False)

    def clag(self) -> dict[str, Any]:
        """Return the `status` section of `clagctl -j`; raises ConnectionError when clagctl prints anything else."""
        text = self.clagctl("-j").stdout
        try:
            status: dict[str, Any] = json.loads(text)["status"]
        except json.JSONDecodeError as error:
            raise ConnectionError(text.strip()) from error
        return status

    def appctl(self, command: str, *words: str, limit: float = 5.0) -> str:
        """Return what the control command prints, such as "ovsdb-server/sync-status"."""
        return rpc.appctl(self._control_socket(), command, *words, limit=limit)

    def role(self) -> Literal["active", "backup"] | None:
        """Return the role the server says it is in, or None when it does not answer."""
        try:
            text = self.appctl("ovsdb-server/sync-status", limit=PATIENCE)
        except OSError:
            return None
        return "active" if "state: active" in text.splitlines() else "backup"

    def replicates_from(self) -> str | None:
        """Return the source the server copies from just now, or None when it has no session with any."""
        for line in self.appctl("ovsdb-server/sync-status", limit=PATIENCE).splitlines():
            label, _, source = line.partition(": ")
            if label == "replicating":
                return source
        return None

    def remotes(self) -> frozenset[str]:
        """Return the server's remotes, as "ptcp:9999:169.254.0.9"."""
        return frozenset(self.appctl("ovsdb-server/list-remotes", limit=PATIENCE).split())

    def vip_present(self) -> bool:
        """Say whether the VIP is on an interface of this switch."""
        vip = self.config["vip"]["address"]
        return vip in self.run("ip", "-oneline", "address", "show", "to", vip).stdout

    @property
    def listener(self) -> str:
        """The remote on the VIP, as the server lists it."""
        vip = self.config["vip"]
        return f"ptcp:{vip['port']}:{settings.host(vip['address'])}"

    @property
    def replication(self) -> str:
        """What its peer copies from."""
        method = "ssl" if self.server_tls else "tcp"
        return f"{method}:{settings.host(self.address)}:{settings.REPLICATION_PORT}"

    def global_config(self) -> dict[str, str]:
        """Return Global.other_config, empty when there is no such row; a backup answers too."""
        for row in rpc.select(self.socket, "Global", "other_config", limit=PATIENCE):
            return dict(row["other_config"][1])
        return {}

    def rows(self, table: str = "Ucast_Macs_Remote", limit: float = 30.0) -> frozenset[str]:
        """Return the MACs in a table of this switch's own copy."""
        return frozenset(row["MAC"] for row in rpc.select(self.socket, table, "MAC", limit=limit))

    def manager_sessions(self) -> tuple[str, ...]:
        """Return the controllers, as "192.168.100.10:6640", that this switch has established TCP connections with."""
        shown = self.run("ss", "-Htn", "state", "established", "dport", "=", f":{NSX_PORT}").stdout
        return tuple(line.split()[3] for line in shown.splitlines())

    def vtepd_events(self) -> list[dict[str, Any]]:
        """Return what the VTEP daemon has recorded so far."""
        return events(self.vtepd_events_file)

    # -- how the programs are started ----------------------------------------------------------------------------

    def _service(
        self, name: str, command: Callable[[], Sequence[str]], ready: Callable[[], bool] = lambda: True
    ) -> Service:
        return Service(
            f"{name} of {self.node}",
            lambda: (*self._network.entering(self.node), *command()),
            self.directory / f"{name}.log",
            self.environment,
            ready,
        )

    @property
    def entering(self) -> tuple[str, ...]:
        """What stands before a command that is run on this switch."""
        return tuple(self._network.entering(self.node))

    @property
    def environment(self) -> dict[str, str]:
        """What its programs get beside the environment of the lab."""
        directories = {f"OVS_{kind}DIR": str(self.run_directory) for kind in ("RUN", "DB")}
        return directories | {"OVS_LOGDIR": str(self.directory), "PYTHONPATH": f"{HERE.parent}:{HERE}"}

    @property
    def _program(self) -> tuple[str, ...]:
        """What ovsha is started by; with -P another release is not looked for where the tests run."""
        if self.release is None:
            return (sys.executable, "-m", "ovsha")
        return ("env", f"PYTHONPATH={self.release}", sys.executable, "-P", "-m", "ovsha")

    def _server_command(self) -> Sequence[str]:
        options: Sequence[str] = () if self.credentials is None else self.credentials.options()
        method = "pssl" if self.server_tls else "ptcp"
        return (
            "ovsdb-server",
            "--no-chdir",
            f"--pidfile={self.run_directory / 'ovsdb-server.pid'}",
            f"--remote=punix:{self.socket}",
            f"--remote={method}:{settings.REPLICATION_PORT}:{settings.host(self.address)}",
            *([] if self.server_plain else [f"--sync-from={PARKED}"]),
            *options,
            str(self.database),
            *self.more_databases,
        )

    def _server_is_ready(self) -> bool:
        return "hardware_vtep" in rpc.call(self.socket, "list_dbs", [], PATIENCE) and self.role() is not None

    def _agent_command(self) -> Sequence[str]:
        # Entering a namespace by ip-netns(8) gives a program mounts of its own, so each switch can have its own boot.
        own_boot = ("sh", "-c", f'mount --bind "$0" {BOOT_ID} && exec "$@"', str(self._boot_id))
        return (*own_boot, *self.agent_under, *self._program, "agent", "--config", str(self.config_file))

    def _clagd_command(self) -> Sequence[str]:
        timers, priority, backup_path = self._clag
        peer = PEER[self.node]
        command = [sys.executable, "-m", "standins.clagd", "--socket", str(self.run_directory / "clagd.socket")]
        command += ["--interface", INTERFACE["peer link"], "--address", self.address]
        command += ["--peer-ip", self._network.plan.peer_link[peer], "--priority", str(priority)]
        if backup_path:
            command += ["--backup-local", self.management_address, "--backup-ip", self._network.plan.management[peer]]
        for name, value in asdict(timers).items():
            command += ["--" + name.replace("_", "-"), str(value)]
        return command

    def _vtepd_command(self) -> Sequence[str]:
        vip = self.config["vip"]
        command = [sys.executable, str(HERE / "vtepd.py"), "--name", self.node, "--events", str(self.vtepd_events_file)]
        return [*command, "--server", f"tcp:{settings.host(vip['address'])}:{vip['port']}"]

    def _control_socket(self) -> Path:
        """Return the server's control socket, found by its pid, or by the pidfile as ovs-appctl does."""
        if self.server.pid is not None:
            return self.run_directory / f"ovsdb-server.{self.server.pid}.ctl"
        pidfile = self.run_directory / "ovsdb-server.pid"
        if not pidfile.is_file():  # to read a pipe that a test has put there would never end
            raise FileNotFoundError(pidfile)
        pid = pidfile.read_text(encoding="ascii").strip()
        return self.run_directory / f"ovsdb-server.{pid}.ctl"


def events(path: Path) -> list[dict[str, Any]]:
    """Read the JSON lines a stand-in has written so far; a line still being written is left for the next time."""
    if not path.exists():
        return []
    complete, _, _ = path.read_text(encoding="utf-8").rpartition("\n")
    return [json.loads(line) for line in complete.splitlines()]
