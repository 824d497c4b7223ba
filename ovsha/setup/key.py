"""Make the secret of a pair."""

from __future__ import annotations

import secrets
from pathlib import Path

from ovsha.config import read_key
from ovsha.setup import files

MODE = 0o600


def make() -> bytes:
    """Return the content of a new key file: 256 random bits in hex, and a newline."""
    return f"{secrets.token_hex(32)}\n".encode()


def make_once(path: Path) -> bool:
    """Make a key file where there is none, and say whether one was made.

    Raises ConfigError when the one that is there cannot be used, DriverError when none can be written.
    """
    if path.exists():
        read_key(path)
        return False
    files.replace(path, make(), MODE)
    return True

