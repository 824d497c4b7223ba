"""Make the bundle that the second switch needs, on a switch that serves."""

from __future__ import annotations

import time
from pathlib import Path

from ovsha import __version__, durable
from ovsha.checks import ovsdb
from ovsha.config import Config
from ovsha.core import schema as schemas
from ovsha.core.facts import Stamp
from ovsha.errors import DriverError
from ovsha.ledger import schema, slices
from ovsha.ledger.session import Session
from ovsha.pairing.agent import Document
from ovsha.setup import bundle, files, other_side, server_options
from ovsha.setup.bundle import Bundle


def make(config: Config, status: Document) -> Bundle:
    """Return the bundle for the other switch; `status` is what our agent tells.  Raises DriverError."""
    node, own = config.node, status["sides"][config.node]
    if not own["serving"]:
        other = status["sides"][config.peer] or {}
        hint = f"run it on {config.peer}, which does" if other.get("serving") else "see ovsha status"
        raise DriverError(f"{node} does not serve, so nothing can be copied from it; {hint}")
    with ovsdb.database(config) as session:
        found = session.schema()
        rows = sum(len(slices.uuids(session, table)) for table in schema.tables(found))
    key = files.read(config.pair.key_file)
    if key is None or config.file is None:
        raise DriverError(f"{config.pair.key_file}: is gone")
    text = files.read(config.file) or b""
    stamp = own["stamp"]
    return Bundle(
        pair=config.pair.id,
        maker=node,
        identity=status["identity"]["own"] or "",
        node=config.peer,
        config=other_side.text(text.decode(), config),
        key=key,
        files=server_options.shared(config),
        stamp=None if stamp is None else Stamp(stamp["term"], stamp["node"], stamp["chosen"]),
        schema=schemas.describe(found),
        rows=rows,
        made=time.time(),
        version=__version__,
    )


def write(made: Bundle, path: Path) -> None:
    """Put the bundle into a file for its owner only.  Raises DriverError."""
    try:
        durable.write(path, bundle.pack(made), bundle.MODE)
    except OSError as error:
        raise DriverError(f"{path}: the bundle cannot be written: {error.strerror}; name another by --bundle") from None


def rows_of(session: Session) -> dict[str, int]:
    """Return how many rows each table of a running server has.  Raises DriverError."""
    return {table: len(slices.uuids(session, table)) for table in schema.tables(session.schema())}
