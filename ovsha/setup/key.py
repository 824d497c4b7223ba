"""Make the secret of a pair, and tell whether two switches have the same one without showing it."""

from __future__ import annotations

import hashlib
import hmac
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


def fingerprint(key: bytes) -> str:
    """Return what two people can compare: 32 hex digits in groups of four, from which the key cannot be told."""
    digits = derive(key, "fingerprint").hex()[:32]
    return ":".join(digits[at : at + 4] for at in range(0, len(digits), 4))


def derive(key: bytes, purpose: str) -> bytes:
    """Return 32 bytes for another purpose than the key's own, by which nothing else is given away."""
    return hmac.new(key, f"ovsha {purpose}".encode(), hashlib.sha256).digest()
