"""Name the faults that are not ours: the operator's and the outside world's.

A bug of ours is none of them: it stays a plain KeyError or AssertionError, and nobody catches it.
"""

from __future__ import annotations


class ConfigError(Exception):
    """The operator's mistake, in one line that says where it is and what to write instead; exit status 2."""


class DriverError(Exception):
    """Something outside failed: a server, a command, the kernel, the network.  The next turn tries again."""


class UsageError(DriverError):
    """The operator asked for it in a way that cannot be followed; nothing was done; exit status 2."""
