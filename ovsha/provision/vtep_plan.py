"""Look at this switch, and say all that vtep-bootstrap is going to do before anything is done."""

from __future__ import annotations

import contextlib
import os
import shlex
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from ovsha import SCHEMA, control_client
from ovsha import config as configuration
from ovsha.checks import preflight_net
from ovsha.checks.context import Context, PreflightContext
from ovsha.checks.result import Grade
from ovsha.config import Config
from ovsha.errors import ConfigError, DriverError, UsageError
from ovsha.net import routes
from ovsha.net.routes import Held
from ovsha.ovsdb import launch, own_server
from ovsha.provision import config_file, discover, files, server_options, units, vtep_rows, vtep_tools
from ovsha.provision.config_file import Node, Settings
from ovsha.provision.discover import Found
from ovsha.provision.units import Services
from ovsha.provision.vtep_options import ACTIVE, KEY_FILE, STANDBY, Options, same
from ovsha.provision.vtep_rows import Change, Place, Way

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
    server: own_server.OwnServer
    foreign: tuple[str, ...] = ()
    unit_runs: bool = False
    vtepd: str = ""
    vtepd_before: str = ""

    @property
    def restarts_server(self) -> bool:
        """Whether what the server is started with differs from what it runs with."""
        line = launch.command(self.config, shlex.join(self.words))
        return tuple(line) != self.server.words or not self.unit_runs


def look(options: Options, file: Path, services: Services) -> Known:
    """Return what is to be done on this switch.  Raises UsageError, ConfigError and DriverError in one line."""
    older, before = _older(file)
    database = discover.database_file(older)
    if options.side:
        found = discover.look(older.clag if older else None, options.interface, options.vip)
        settings = pair(options, older, found, routes.held(), database)
    else:
        settings = alone(options, older, database)
    text = config_file.render(settings, before)
    config = configuration.parse(text, str(file))
    certificate = options.encryption and vtep_tools.present(options)
    new_key = not config.standalone and _key(options, config, certificate)
    if not config.standalone:
        _vip_is_free(config)
    where, made = (None, ()) if options.side == STANDBY else _rows(options, config)
    words = server_options.given()
    server_runs = services.is_active(units.SERVER)
    tool, pairs, without = _tool(options, server_runs)
    daemon = vtep_tools.program()
    return Known(
        options=options, file=file, before=before, text=text, config=config, certificate=certificate,
        words_before=tuple(words), words=tuple(server_options.words(options, words)), place=where, changes=made,
        tool=tool, tool_knows_pairs=pairs, without=without, new_key=new_key, server=own_server.look(config),
        foreign=tuple(units.others(services)), unit_runs=server_runs,
        vtepd=vtep_tools.unit(daemon, config) if daemon else "",
        vtepd_before=(files.read(vtep_tools.FILE) or b"").decode(errors="replace"),
    )  # fmt: skip


def need_root() -> None:
    """Raise DriverError unless we are root."""
    if os.geteuid() != 0:
        raise DriverError("only root can set a switch up: run it by sudo")


def read_rows(places: configuration.Config, where: Place) -> vtep_rows.Rows:
    """Return what the database has, whoever serves it; an empty one where there is no file.  Raises DriverError."""
    if where.way is Way.FILE:
        if not where.file.exists():
            return vtep_rows.Rows({}, [])
        return vtep_rows.of_file(where.file)
    with own_server.database(places) as session:
        return vtep_rows.read(session)


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
        agent = control_client.in_directory(config.run_directory)
        status = control_client.ask_json(agent, "status", "json", schema=SCHEMA)
    if status is not None and status["node"] != config.node:
        status = None
    found = preflight_net.free(PreflightContext(Context(config, status)))
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
        while not routes.neighbours(peer) and time.monotonic() < deadline:
            time.sleep(0.05)


def _rows(options: Options, config: Config) -> tuple[Place, tuple[Change, ...]]:
    """Return where the rows are written, and which are lacking.  Raises DriverError where that is not for us."""
    where = vtep_rows.find(config.server)
    made = tuple(vtep_rows.changes(options, read_rows(config, where)))
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
    program = vtep_tools.find()
    if program is None:
        return "", False, ""
    pairs = vtep_tools.knows_pairs(program)
    without = vtep_tools.hindrance(options, pairs=pairs, ours_runs=server_runs)
    return "" if without else program, pairs, f"{program} is not run: {without}" if without else ""


def pair(options: Options, older: Config | None, found: Found, held: Sequence[Held], database: Path) -> Settings:
    """Return the settings of this side of a pair.  Raises UsageError and DriverError in one line.

    `older` is the configuration that is there, None for none; `held` are the addresses of this switch; `database` is
    the file that is to be served.
    """
    own, peer = _addresses(options, older, found, held)
    names = _names(options, older, own, peer)
    first, second = names if options.side == ACTIVE else (names[1], names[0])
    interface = options.interface or _older_interface(older) or found.interface
    return Settings(
        node=names[0],
        pair=options.name,
        nodes={
            name: Node(peer_link=address, backup_path=_backup(older, name) or backup or None)
            for name, address, backup in sorted(
                ((names[0], own, found.own_backup), (names[1], peer, found.peer_backup)),
                key=lambda each: (first, second).index(each[0]),
            )
        },
        preferred=first,
        key_file=key_file(options, older),
        interface=interface or _interface_with(held, own),
        backup_vrf=found.vrf if (_backup(older, names[0]) or found.own_backup) == found.own_backup else "",
        vip=options.vip,
        vip_port=options.vip_port,
        replication_port=options.replication_port,
        database_file=database,
    )


def alone(options: Options, older: Config | None, database: Path) -> Settings:
    """Return the settings of a switch of its own, which may become the first of a pair later.

    Raises UsageError where the configuration that is there is a pair's.
    """
    if older is not None and not older.standalone:
        raise UsageError(
            f"--db_ha: is missing, and {older.node} is one of a pair with {older.peer}: add --db_ha active or standby"
        )
    node = options.node or (older.node if older is not None else f"{options.name}-1")
    return Settings(node=node, pair=options.name, nodes={node: Node()}, preferred=node, database_file=database)


def key_file(options: Options, older: Config | None) -> Path:
    """Return the file that has the pair key: the one that is there, or else the private key that both sides share."""
    if older is not None and older.pair.key_file.exists():
        return older.pair.key_file
    if KEY_FILE.exists() or not options.encryption:
        return KEY_FILE
    return options.credential("privkey")


def _addresses(options: Options, older: Config | None, found: Found, held: Sequence[Held]) -> tuple[str, str]:
    """Return this side's address on the peer link, and the other side's."""
    here = {str(each.address.ip) for each in held}
    if options.side == ACTIVE:
        own, option = options.source, "--db_ha_repl_sv"
        if own not in here:
            hint = ""
            if same(own, found.peer):
                hint = ", but the peer's, by clagd's word: is this the standby? Then say --db_ha standby"
            raise UsageError(f"{option}: {own} is not an address of this switch{hint or _known(found)}")
        peer = options.peer_ip or _older_address(older, own, theirs=True) or found.peer
        if not peer:
            trouble = f" ({'; '.join(found.trouble)})" if found.trouble else ""
            raise DriverError(f"clagd does not tell the peer's address on the peer link{trouble}: add --peer-ip")
        return own, peer
    peer = options.source
    if peer in here:
        raise UsageError(
            f"--db_ha_repl_sv: {peer} is this switch's own address, and is to be the active side's, on both switches:"
            " is this the active one? Then say --db_ha active"
        )
    if found.peer and not same(found.peer, peer) and not options.peer_ip:
        raise DriverError(
            f"--db_ha_repl_sv: {peer} is a wrong peer: clagd's peer is {found.peer}; correct one of them, or add"
            f" --peer-ip {peer} if both are right"
        )
    own = options.own_ip or _older_address(older, peer, theirs=True) or _near(held, peer, options)
    if not own:
        raise DriverError(f"no interface of this switch is in the subnet of {peer}: add --own-ip, or configure it")
    if own not in here:
        raise DriverError(f"{own} is not on this switch, and is to be its address on the peer link: add --own-ip")
    return own, peer


def _known(found: Found) -> str:
    return f"; clagd's peer link is {found.interface}, where it has {found.own}" if found.own else ""


def _near(held: Sequence[Held], peer: str, options: Options) -> str:
    """Return the one address of this switch whose subnet has the peer in it, "" when there is none or several."""
    near = {
        str(each.address.ip)
        for each in held
        if each.address.version == ip_address(peer).version
        and ip_address(peer) in each.address.network
        and not same(str(each.address.ip), options.vip)
        and (not options.interface or each.interface == options.interface)
    }
    return near.pop() if len(near) == 1 else ""


def _older_address(older: Config | None, address: str, *, theirs: bool) -> str:
    """Return what an older file has for the other one of the two switches, of which one has `address`."""
    if older is None or len(older.nodes) != 2:
        return ""
    links = [str(each.peer_link) for each in older.nodes.values() if each.peer_link is not None]
    others = [each for each in links if not same(each, address)]
    return others[0] if theirs and len(links) == 2 and len(others) == 1 else ""


def _names(options: Options, older: Config | None, own: str, peer: str) -> tuple[str, str]:
    """Return this side's name and the other one's."""
    ends = ("1", "2") if options.side == ACTIVE else ("2", "1")
    names = [f"{options.name}-{end}" for end in ends]
    if older is not None:
        names[0] = older.node
        if older.peer:
            names[1] = older.peer
        for name, node in older.nodes.items():
            for number, address in enumerate((own, peer)):
                if node.peer_link is not None and same(str(node.peer_link), address):
                    names[number] = name
    own_name, peer_name = options.node or names[0], options.peer_name or names[1]
    if own_name == peer_name:
        raise UsageError(f"--node: both switches would be called {own_name}: add --node and --peer-name")
    return own_name, peer_name


def _backup(older: Config | None, name: str) -> str:
    node = older.nodes.get(name) if older is not None else None
    return "" if node is None or node.backup_path is None else str(node.backup_path)


def _older_interface(older: Config | None) -> str:
    return "" if older is None or len(older.nodes) != 2 else older.peer_link.interface


def _interface_with(held: Sequence[Held], address: str) -> str:
    return next((each.interface for each in held if same(str(each.address.ip), address)), "")
