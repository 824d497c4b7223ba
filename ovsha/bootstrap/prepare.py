"""Look at this switch, and say all that vtep-bootstrap is going to do before anything is done."""

from __future__ import annotations

import contextlib
import os
import shlex
import socket
import time
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from ovsha import SCHEMA, client, safe_start
from ovsha import config as configuration
from ovsha.bootstrap import environment, learn, pki, place, rows, vendor, vtepd
from ovsha.bootstrap.options import STANDBY, Options
from ovsha.bootstrap.place import Place, Way
from ovsha.bootstrap.rows import Change
from ovsha.checks import net, ovsdb
from ovsha.checks.look import Look
from ovsha.config import Config
from ovsha.errors import ConfigError, DriverError
from ovsha.preflight import vip
from ovsha.preflight.finding import Grade
from ovsha.preflight.ground import Ground
from ovsha.setup import discover, document, files, server_options, units
from ovsha.setup.services import Services

_FIND_LIMIT = 1.0


@dataclass(frozen=True, kw_only=True)
class Known:
    """What was found out, and what follows from it; nothing was changed for it.

    `file`: the configuration; `text` and `before`: as it is to be and as it is, "" for none.  `place` and `changes`: by
    which way the rows are written, and which; none on a standby.  `certificate`: whether the switch has one.  `tool`:
    the vendor's program, "" where it is not there or not run, and then `without` may say why.  `vtepd`: the unit of the
    VTEP daemon, "" where there is none, and as it is.
    """

    options: Options
    file: Path
    before: str
    text: str
    config: Config
    certificate: bool
    words_before: tuple[str, ...]
    words: tuple[str, ...]
    place: Place | None
    changes: tuple[Change, ...] = ()
    tool: str = ""
    tool_knows_pairs: bool = False
    without: str = ""
    new_key: bool = False
    server: ovsdb.OwnServer
    foreign: tuple[str, ...] = ()
    unit_runs: bool = False
    vtepd: str = ""
    vtepd_before: str = ""

    @property
    def restarts_server(self) -> bool:
        """Whether what the server is started with differs from what it runs with."""
        line = safe_start.command(self.config, shlex.join(self.words))
        return tuple(line) != self.server.words or not self.unit_runs


def look(options: Options, file: Path, services: Services) -> Known:
    """Return what is to be done on this switch.  Raises UsageError, ConfigError and DriverError in one line."""
    older, before = _older(file)
    database = discover.database_file(older)
    if options.side:
        found = discover.look(older.clag if older else None, options.interface, options.vip)
        settings = learn.pair(options, older, found, net.held(), database)
    else:
        settings = learn.alone(options, older, database)
    text = document.render(settings, before)
    config = configuration.parse(text, str(file))
    certificate = options.encryption and pki.present(options)
    new_key = not config.standalone and _key(options, config, certificate)
    if not config.standalone:
        _vip_is_free(config)
    where, made = (None, ()) if options.side == STANDBY else _rows(options, config)
    words = server_options.given()
    server_runs = services.is_active(units.SERVER)
    tool, pairs, without = _tool(options, server_runs)
    daemon = vtepd.program()
    return Known(
        options=options, file=file, before=before, text=text, config=config, certificate=certificate,
        words_before=tuple(words), words=tuple(environment.words(options, words)), place=where, changes=made,
        tool=tool, tool_knows_pairs=pairs, without=without, new_key=new_key, server=ovsdb.look(config),
        foreign=tuple(units.others(services)), unit_runs=server_runs,
        vtepd=vtepd.unit(daemon, config) if daemon else "",
        vtepd_before=(files.read(vtepd.FILE) or b"").decode(errors="replace"),
    )  # fmt: skip


def need_root() -> None:
    """Raise DriverError unless we are root."""
    if os.geteuid() != 0:
        raise DriverError("only root can set a switch up: run it by sudo")


def read_rows(places: configuration.Config, where: Place) -> rows.Rows:
    """Return what the database has, whoever serves it; an empty one where there is no file.  Raises DriverError."""
    if where.way is Way.FILE:
        if not where.file.exists():
            return rows.Rows({}, [])
        return rows.of_file(where.file)
    with ovsdb.database(places) as session:
        return rows.read(session)


def _older(file: Path) -> tuple[Config | None, str]:
    content = files.read(file)
    if content is None or not content.strip():
        return None, ""
    try:
        return configuration.load(file), content.decode()
    except ConfigError as error:
        raise ConfigError(f"{error}; correct the file, or move it away") from None


def _key(options: Options, config: Config, certificate: bool) -> bool:
    """Say whether a pair key is to be made; raise ConfigError where there is none that can be used, and none may be."""
    file = config.pair.key_file
    if file.exists():
        configuration.read_key(file)
        return False
    if options.encryption and file == options.credential("privkey") and not certificate:
        return False
    if options.side == STANDBY:
        raise DriverError(
            f"{file}: the pair key is missing here: copy it from {config.peer} (scp -p {config.peer}:{file} {file}),"
            " then run this again; nothing was changed"
        )
    return True


def _vip_is_free(config: Config) -> None:
    """Raise DriverError when somebody else than the pair answers for the VIP."""
    _know_the_peer(config)
    status = None
    with contextlib.suppress(DriverError):
        status = client.ask_json(client.in_directory(config.run_directory), "status", "json", schema=SCHEMA)
    if status is not None and status["node"] != config.node:
        status = None
    found = vip.free(Ground(Look(config, status)))
    if found.grade is Grade.FAIL:
        raise DriverError(f"--db_ha_vip: {found.text}; {found.fix}; nothing was changed")


def _know_the_peer(config: Config) -> None:
    """Have the kernel learn the peer's MAC, by which it is known that it is the peer that has the VIP."""
    peer = str(config.other.peer_link)
    family = socket.AF_INET6 if ip_address(peer).version == 6 else socket.AF_INET
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"", (peer, 9))
    deadline = time.monotonic() + _FIND_LIMIT
    with contextlib.suppress(DriverError):
        while not net.neighbours(peer) and time.monotonic() < deadline:
            time.sleep(0.05)


def _rows(options: Options, config: Config) -> tuple[Place, tuple[Change, ...]]:
    """Return where the rows are written, and which are lacking.  Raises DriverError where that is not for us."""
    where = place.find(config.server)
    made = tuple(rows.changes(options, read_rows(config, where)))
    lacking = [each.step for each in made if each.words]
    if where.way is Way.PEER and lacking:
        raise DriverError(
            f"this side is the backup, and its copy lacks what --db_ha active brings ({lacking[0]}): have it serve"
            f" first (ovsha switchover to {config.node}), or run this on {config.peer}"
        )
    if where.known and lacking:
        raise DriverError(
            f"{where.file} has been served by a pair, and does not serve now: {config.peer} may have newer data; start"
            " ovsha, and run this again when this side serves (ovsha status)"
        )
    return where, made


def _tool(options: Options, server_runs: bool) -> tuple[str, bool, str]:
    program = vendor.find()
    if program is None:
        return "", False, ""
    pairs = vendor.knows_pairs(program)
    without = vendor.hindrance(options, pairs=pairs, ours_runs=server_runs)
    return "" if without else program, pairs, f"{program} is not run: {without}" if without else ""
