"""Start ovsdb-server in the safe way: as a backup of an address that cannot answer, opened to nobody.

Run as ``ovsha-ovsdb-server``, by the unit of the same name.  Where the server listens, its sockets and its database
come from the agent's own configuration file; what only the server needs, its certificate above all, is taken from the
environment (``OVSDB_SERVER_OPTIONS``) and must not undo what is said here.  The process becomes the server.

There is no ``--monitor``: a server that comes back by itself in the role it had can meet the one that took over.  The
service manager brings it back parked.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from ovsha import config as configuration
from ovsha.config import Config
from ovsha.core.lineage import PARKED
from ovsha.errors import ConfigError, DriverError
from ovsha.ovsdb import endpoints

SERVER = "/usr/sbin/ovsdb-server"
SCHEMAS: Mapping[str, Path] = {"hardware_vtep": Path("/usr/share/openvswitch/vtep.ovsschema")}
OPTIONS = "OVSDB_SERVER_OPTIONS"
FORBIDDEN = ("--active", "--config-file", "--monitor", "--pidfile", "--remote", "--sync-from")
"""What would give the server another role or another listener than the agent reckons with."""

_TLS_OPTIONS = ("--private-key", "-p", "--certificate", "-c", "--ca-cert", "-C", "--bootstrap-ca-cert")
"""What says which certificate is shown and which are believed, to the peer and to the controllers alike."""

_LIMIT = 60.0


def main(argv: Sequence[str] | None = None) -> int:
    """Become the server; return 1 or 2 where that cannot be, after one line on the standard error."""
    options = parser().parse_args(argv)
    try:
        config = configuration.load(options.config)
        line = command(config, os.environ.get(OPTIONS, ""))
        if options.dry_run:
            print(shlex.join(line))
            return 0
        schema = options.schema or SCHEMAS.get(config.server.database)
        if make_database(config.server.file, schema):
            made = f"{config.server.file} was not there; made an empty one of {schema}"
            print(f"ovsha-ovsdb-server: {made}", file=sys.stderr)
        check_database(config.server.file, config.server.database)
        _become(config, line)
    except ConfigError as error:
        print(f"ovsha-ovsdb-server: {error}", file=sys.stderr)
        return 2
    except DriverError as error:
        print(f"ovsha-ovsdb-server: {error}", file=sys.stderr)
        return 1


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    what = "Start ovsdb-server in the safe way, as a parked backup."
    parser = argparse.ArgumentParser(prog="ovsha-ovsdb-server", allow_abbrev=False, description=what)
    parser.add_argument("--config", metavar="FILE", type=Path, default=Path("/etc/ovsha/ovsha.yaml"))
    parser.add_argument("--schema", metavar="FILE", type=Path, help="what to make a missing database of")
    parser.add_argument("--dry-run", action="store_true", help="print the command, and do nothing")
    return parser


def command(config: Config, extra: str) -> list[str]:
    """Return the command line of the server of this switch; `extra` is written as in a shell.

    Raises ConfigError for an option in `extra` that would undo the safe start.
    """
    try:
        options = shlex.split(extra)
    except ValueError as error:
        raise ConfigError(f"{OPTIONS}: {str(error).lower()}: {extra}") from None
    for option in options:
        name = option.partition("=")[0]
        if not option.startswith("-"):
            raise ConfigError(f"{OPTIONS}: {option}: is no option; the database is server.file of the configuration")
        if any(name == each or (len(name) > 3 and each.startswith(name)) for each in FORBIDDEN):
            raise ConfigError(f"{OPTIONS}: {name}: is decided by the agent; take it away")
    listener, _ = endpoints.listeners(config)
    return [
        SERVER,
        "--detach",
        "--no-chdir",
        f"--pidfile={config.server.pidfile}",
        "--log-file=/var/log/openvswitch/ovsdb-server.log",
        "-vconsole:emer",
        "-vsyslog:err",
        "-vfile:info",
        f"--remote=punix:{config.server.socket}",
        *([f"--remote={listener}"] if listener else []),
        f"--sync-from={PARKED}",
        *_tls(config, options),
        *options,
        str(config.server.file),
    ]


def _tls(config: Config, options: Sequence[str]) -> list[str]:
    """Return the options for the files of section replication; raise ConfigError where `options` name others."""
    files = endpoints.credentials(config)
    if files is None:
        return []
    for option in options:
        name = option.partition("=")[0]
        if name in _TLS_OPTIONS or (name[:2] in _TLS_OPTIONS and not name.startswith("--")):
            raise ConfigError(f"{OPTIONS}: {name}: is decided by section replication; take it away")
    return [
        f"--private-key={files.private_key}", f"--certificate={files.certificate}", f"--ca-cert={files.ca_cert}"
    ]  # fmt: skip


def make_database(file: Path, schema: Path | None) -> bool:
    """Make an empty database where there is none, and say whether; it is whole, or not there, whenever this ends.

    Nothing follows an empty one (its lineage is unknown), so the peer's data comes here and not the other way.
    """
    if file.exists():
        return False
    if schema is None or not schema.exists():
        known = "its schema is not known" if schema is None else f"{schema} is not there; install openvswitch-vtep"
        raise DriverError(f"{file}: there is no database, and none can be made: {known}")
    part = file.with_name(f"{file.name}.ovsha-new")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        part.unlink(missing_ok=True)
        _ovsdb_tool("create", part, schema)
        part.replace(file)
    except (OSError, DriverError) as error:
        raise DriverError(f"{file}: cannot be made: {error}") from None
    finally:
        part.unlink(missing_ok=True)
        part.with_name(f".{part.name}.~lock~").unlink(missing_ok=True)
    return True


def check_database(file: Path, name: str) -> None:
    """Raise ConfigError when the file holds another database than `name`, DriverError when it holds none."""
    try:
        found = _ovsdb_tool("db-name", file).strip()
    except (OSError, DriverError) as error:
        raise DriverError(f"{file}: is no database that can be served: {error}") from None
    if found != name:
        raise ConfigError(
            f"{file}: holds the database {found} and not {name}; name another file by server.file of the configuration"
        )


def _ovsdb_tool(*arguments: str | Path) -> str:
    """Return what ovsdb-tool(1) prints.  Raises DriverError with its own words, OSError where there is none."""
    try:
        done = subprocess.run(
            ["ovsdb-tool", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise DriverError(f"ovsdb-tool did not end within {_LIMIT:g} s") from None
    if done.returncode != 0:
        raise DriverError(" ".join(done.stderr.split()))
    return done.stdout


def _become(config: Config, line: Sequence[str]) -> NoReturn:
    places = (config.server.pidfile.parent, config.server.socket.parent, Path("/var/log/openvswitch"))
    try:
        for place in places:
            place.mkdir(parents=True, exist_ok=True)
        # The control socket goes where the pidfile is, since that is where the agent looks for it.
        os.execve(line[0], list(line), os.environ | {"OVS_RUNDIR": str(config.server.pidfile.parent)})
    except OSError as error:
        raise DriverError(f"{error.filename or line[0]}: {error.strerror}; the server was not started") from None


if __name__ == "__main__":
    sys.exit(main())
