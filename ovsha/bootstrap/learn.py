"""Put the configuration of this side together: of the options, an older file, clagd and the kernel, in this order."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path

from ovsha.bootstrap.options import ACTIVE, KEY_FILE, Options, same
from ovsha.checks.net import Held
from ovsha.config import Config
from ovsha.errors import DriverError, UsageError
from ovsha.setup.discover import Found
from ovsha.setup.document import Node, Settings


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
        peer = options.peer_ip or _older(older, own, theirs=True) or found.peer
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
    own = options.own_ip or _older(older, peer, theirs=True) or _near(held, peer, options)
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


def _older(older: Config | None, address: str, *, theirs: bool) -> str:
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

