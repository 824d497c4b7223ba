"""Read a database file as the log that it is, and cut it at a moment of its past.

A standalone file (ovsdb(5)) is a sequence of records, "OVSDB JSON LENGTH SHA1" and a line
of JSON: the schema first, then one record for each transaction.  Compaction replaces all
of them by two, and with that the past is gone.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from ovsha.core.stamps import NODE, TERM, number, pairs_of
from ovsha.errors import DriverError

_MAGIC = b"OVSDB JSON "
_LONGEST_HEADER = 128
_LONGEST_RECORD = 2**31


class Compacted(DriverError):
    """The file begins only after the moment asked for."""


def records(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """Yield header and content of each record, up to the first that is damaged or incomplete, as ovsdb-server does."""
    while True:
        header = file.readline(_LONGEST_HEADER)
        words = header[len(_MAGIC) :].split()
        length = number(words[0].decode("ascii", "replace"), _LONGEST_RECORD) if len(words) == 2 else None
        if not header.startswith(_MAGIC) or length is None:
            return
        content = file.read(length)
        if hashlib.sha1(content, usedforsecurity=False).hexdigest().encode() != words[1]:
            return
        yield header, content


def schema(path: Path) -> dict[str, Any]:
    """Return the schema that a database file begins with.  Raises DriverError when there is none to read."""
    try:
        with path.open("rb") as file:
            found = next((json.loads(content) for _, content in records(file)), None)
    except OSError as error:
        raise DriverError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError:
        found = None
    if not isinstance(found, dict) or not isinstance(found.get("tables"), dict):
        raise DriverError(f"{path}: is no standalone database file; see ovsdb-tool db-is-standalone")
    return found


def cut(source: Path, target: Path, term: int, node: str) -> int:
    """Write to `target` what `source` held before `node` stamped `term` into it; return how many transactions that is.

    Raises Compacted when that can no longer be told, DriverError when a file cannot be
    read or written or the stamp is not in it.
    """
    try:
        with source.open("rb") as file, target.open("wb") as part:
            for number, (header, content) in enumerate(records(file)):
                if number > 0 and _stamps(content, term, node):
                    if number == 1:
                        raise Compacted(f"{source}: was compacted since term {term} began")
                    return number - 1
                part.write(header)
                part.write(content)
    except OSError as error:
        raise DriverError(f"{error.filename or target}: {error.strerror}") from None
    raise DriverError(f"{source}: the stamp of term {term} of {node} is not in it")


def whole(path: Path) -> bool:
    """Tell whether a file has its schema and its data and nothing in it is damaged.  Raises DriverError."""
    try:
        with path.open("rb") as file:
            size = sum(len(header) + len(content) for header, content in records(file))
            return 0 < size == file.seek(0, os.SEEK_END)
    except OSError as error:
        raise DriverError(f"{path}: cannot be read: {error.strerror}") from None


def compacted(path: Path, term: int, node: str) -> bool:
    """Tell whether a file was compacted since `node` opened `term`.  Raises DriverError."""
    try:
        with path.open("rb") as file:
            first = next(itertools.islice(records(file), 1, 2), None)
    except OSError as error:
        raise DriverError(f"{path}: cannot be read: {error.strerror}") from None
    return first is not None and _stamps(first[1], term, node)


def _stamps(content: bytes, term: int, node: str) -> bool:
    """Tell whether a transaction writes this stamp; a key that keeps its value is not in the record."""
    if TERM.encode() not in content:
        return False
    rows = json.loads(content).get("Global")
    for row in rows.values() if isinstance(rows, dict) else ():
        config = row.get("other_config") if isinstance(row, dict) else None
        pairs = pairs_of(config)
        if pairs.get(TERM) == str(term) and pairs.get(NODE, node) == node:
            return True
    return False
