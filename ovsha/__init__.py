"""Make the OVSDB servers of two MLAG switches behave as one highly available server.

Each switch of the *pair* runs one agent.  The *active* side's ovsdb-server is the one that serves: it holds the
*VIP* and alone talks to the *manager*; the other side's is its *backup*, a copy.  A *switchover* moves the service
by order and a *failover* after a death, and each opens a new *term*, by which newer data is told from older.
"""

from __future__ import annotations

__version__ = "0.1.0"

SCHEMA = 1
"""The number of the form of what the agent answers: a status, and how an order went (docs/json.rst)."""
