"""Read the identity of this switch from its disk, or draw one at the first start.

It is 128 random bits in hexadecimal, in a file that only its owner reads; it is on the disk
before it is used.  Raises DriverError with the name of the file.
"""

from __future__ import annotations

import re
import secrets
from pathlib import Path

from ovsha import durable
from ovsha.errors import DriverError

_FORM = re.compile(r"[0-9a-f]{32}")


def own_identity(path: Path) -> str:
    """Return the identity of this switch, which it keeps for as long as its state directory.

    Raises DriverError when the file is damaged, cannot be read, or cannot be made: with a
    new identity at each start the peer would take us for another switch each time.
    """
    try:
        return _read(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise DriverError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        durable.write(path, f"{secrets.token_hex(16)}\n")
        return _read(path)
    except OSError as error:
        raise DriverError(f"{path}: the identity of this switch cannot be kept: {error.strerror}") from None


def _read(path: Path) -> str:
    try:
        text = durable.read(path).strip()
    except ValueError:
        text = ""
    if not _FORM.fullmatch(text):
        raise DriverError(
            f"{path}: is damaged; move it away to be given a new identity, and run `ovsha peer forget` on the peer"
        )
    return text
