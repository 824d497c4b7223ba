"""`ovsha collect`: put into one archive, from both sides, what somebody needs who was not there."""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ovsha import config as configuration
from ovsha.commands.common import add_config, command
from ovsha.commands.progress import bar
from ovsha.errors import ConfigError, DriverError

if TYPE_CHECKING:
    from ovsha.collection import Archive
    from ovsha.config import Config

_PEER_LIMIT = 240.0
_FETCH_LIMIT = 300.0


def add(commands: Any) -> None:
    """Put the command on the command line."""
    added = command(commands, "collect", _run, "put the state, the logs and the traces of both sides into one archive")
    add_config(added, argparse.SUPPRESS)
    added.add_argument("--output", metavar="FILE", type=Path, help="where to; default: ovsha-NODE-TIME.tar.gz here")
    added.add_argument("--database", action="store_true", help="with the database of each side, which can be large")
    added.add_argument("--no-peer", action="store_true", help="do not ask the other side for its part")


def _run(options: argparse.Namespace) -> int:
    # Here, because most commands do without it.
    from ovsha import collection

    config = configuration.load(options.config)
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    path = (options.output or Path(f"ovsha-{config.node}-{moment}.tar.gz")).absolute()
    parts = f"{config.node}: this side"
    try:
        with collection.Archive(path, collection.secrets_of(config)) as archive, bar(options, "collecting") as progress:
            missing = collection.fill(archive, config, database=options.database, progress=progress)
            alone = options.no_peer or config.standalone
            trouble = "" if alone else _from_peer(archive, config, options.database, progress)
            if config.standalone:
                parts += ", which stands alone"
            elif options.no_peer:
                parts += f"\n{config.peer}: was not asked (--no-peer)"
            else:
                parts += f"\n{config.peer}: " + (f"missing: {trouble}" if trouble else "by its agent")
            archive.add("MANIFEST", f"{parts}\n\nEach side has a MANIFEST of its own.\n".encode())
            names = list(archive.names)
        size = path.stat().st_size
    except OSError as error:
        raise DriverError(f"{path}: cannot be written: {error.strerror or error}") from None
    print("\n".join(_text(config, path, size, names, missing, trouble)))
    return 0


def _from_peer(archive: Archive, config: Config, database: bool, progress: Any) -> str:
    """Add the peer's part; return why there is none, "" when there is."""
    from ovsha import exchange
    from ovsha.commands import on_peer

    progress(0, 1, f"waiting for {config.peer}")
    try:
        found = on_peer.run(config, "collect", _PEER_LIMIT, database=database)
        with tempfile.TemporaryDirectory(prefix="ovsha-collect-") as place:
            part = Path(place) / "peer.tar.gz"
            exchange.fetch(*on_peer.where(config), "collect", str(found["name"]), part, _FETCH_LIMIT)
            exchange.ask(*on_peer.where(config), "task-end", {}, 10.0)
            archive.merge(part, config.peer)
    except (DriverError, ConfigError) as error:
        return " ".join(str(error).split())
    return ""


def _text(config: Config, path: Path, size: int, names: list[str], missing: list[str], trouble: str) -> list[str]:
    lines = [f"{path}: {size / 1000:,.1f} kB, {len(names)} files, readable by its owner only; no key is in it"]
    for node in (config.node, config.peer):
        own = [name.removeprefix(f"{node}/") for name in names if name.startswith(f"{node}/")]
        if own:
            heads = sorted({name.split("/")[0] + ("/" if "/" in name else "") for name in own})
            lines.append(f"{node}: {' '.join(heads)}")
    lines += [f"{config.node} has no {line}" for line in missing]
    if trouble:
        lines.append(f"{config.peer} is missing: {trouble}; run ovsha collect there too")
    return lines
