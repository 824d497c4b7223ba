"""Put together the configuration of the first switch: from the options, an older file, clagd and the kernel."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path

from ovsha.checks import ovsdb
from ovsha.config import Config
from ovsha.config_switch import Server
from ovsha.errors import UsageError
from ovsha.setup import local_database
from ovsha.setup.discover import Found
from ovsha.setup.document import Node, Settings
from ovsha.setup.local_database import Local


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What the operator said; "" and None are options that were not given."""

    pair: str = ""
    node: str = ""
    peer_name: str = ""
    vip: str = ""
    vip_port: int | None = None
    address: str = ""
    peer_address: str = ""
    backup: str = ""
    peer_backup: str = ""
    interface: str = ""
    preferred: str = ""
    database_file: Path | None = None


def together(wishes: Wishes, older: Config | None, found: Found) -> Settings:
    """Return the settings, in which the options come first, then an older file, then what clagd and the kernel say.

    Raises UsageError, which names the option, for what nobody says.
    """
    node = wishes.node or (older.node if older else "") or socket.gethostname().partition(".")[0]
    peer = wishes.peer_name or (older.peer if older and older.node == node else "")
    if not peer:
        raise UsageError("the name of the other switch is not known: give it by --peer-name NAME")
    if peer == node:
        raise UsageError(f"both switches would be called {node}: give --node NAME or --peer-name NAME otherwise")
    own_before = older.nodes.get(node) if older else None
    peer_before = older.nodes.get(peer) if older else None
    nodes = {
        node: Node(
            peer_link=wishes.address or _text(own_before and own_before.peer_link) or found.own,
            backup_path=wishes.backup or _text(own_before and own_before.backup_path) or found.own_backup or None,
        ),
        peer: Node(
            peer_link=wishes.peer_address or _text(peer_before and peer_before.peer_link) or found.peer,
            backup_path=(
                wishes.peer_backup or _text(peer_before and peer_before.backup_path) or found.peer_backup or None
            ),
        ),
    }
    vrf_is_news = bool(found.vrf) and own_before is None and nodes[node].backup_path is not None
    made = Settings(
        node=node,
        pair=wishes.pair or (older.pair.id if older else "") or f"{node}-{peer}",
        nodes=nodes,
        preferred=wishes.preferred or (older.pair.preferred if older and not older.standalone else node),
        interface=wishes.interface or (older.peer_link.interface if older else "") or found.interface,
        backup_vrf=found.vrf if found.own_backup and nodes[node].backup_path == found.own_backup else "",
        vip=wishes.vip or _text(older and older.vip.address),
        vip_port=wishes.vip_port,
        more={"backup_path": {"vrf": found.vrf}} if vrf_is_news else {},
    )
    _complete(made, found)
    return made


def database_file(wishes: Wishes, older: Config | None, config: Config) -> tuple[Path, Local | None]:
    """Return the file of the database that is to be served, and what is in it, None when there is none yet.

    `config` is the configuration as far as it is known.  Raises UsageError where the file cannot be told,
    and DriverError where its server serves other databases too.
    """
    database, server = config.server.database, ovsdb.look(config)
    ovsdb.refuse_several(server, database)
    if wishes.database_file is not None or older is not None:
        path = wishes.database_file or config.server.file
        return path, local_database.look(path, database)
    running = [Path(word) for word in server.words[1:] if word.startswith("/")]
    found = local_database.find(database, running)
    if not found:
        other = Server.file.exists()
        return (Server.file.with_name("vtep.db") if other else Server.file), None
    served = [each for each in found if each.path in running]
    filled = [each for each in found if each.rows]
    if len(filled) > 1 and len(served) != 1:
        several = ", ".join(f"{each.path} ({each.rows:,} rows)" for each in filled)
        raise UsageError(f"there are several databases {database}: {several}: give the one by --database-file FILE")
    chosen = (served or filled or found)[0]
    return chosen.path, chosen


def missing(what: str, option: str, found: Found) -> UsageError:
    """Return the error for something that nobody says."""
    why = f" ({'; '.join(found.trouble)})" if found.trouble else ""
    return UsageError(f"{what} is not known{why}: give it by {option}")


def _complete(made: Settings, found: Found) -> None:
    own, peer = made.nodes.values()
    if not made.interface:
        raise missing("the interface of the peer link", "--interface NAME", found)
    if not own.peer_link:
        what = f"this switch's address on {made.interface}, which is not the VIP,"
        raise missing(what, "--address ADDRESS, or another interface by --interface NAME", found)
    if not peer.peer_link:
        raise missing("the other switch's address on the peer link", "--peer-address ADDRESS", found)
    if not made.vip:
        raise UsageError("the VIP, which no other program can tell, is not known: give it by --vip ADDRESS")
    if bool(own.backup_path) != bool(peer.backup_path):
        option = "--backup-address" if peer.backup_path else "--peer-backup-address"
        raise missing("one end of the backup path", f"{option} ADDRESS", found)


def _text(address: object) -> str:
    return "" if address is None else str(address)
