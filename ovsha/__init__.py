"""Make the OVSDB servers of two MLAG switches behave as one highly available server.

Each switch of the *pair* runs one agent.  The *active* side's ovsdb-server is the one that serves: it holds the
*VIP* and alone talks to the *manager*; the other side's is its *backup*, a copy.  A *switchover* moves the service
by order and a *failover* after a death, and each opens a new *term*, by which newer data is told from older.

The rooms, from the top; each imports only what is below it, as tests/project/test_layers.py lists:

    cli        what an operator types              report      what is told of a decision (pure)
    agent      loop, drivers, orders, telling      peer        the other agent: UDP, RPC
    provision  init, join, vtep-bootstrap, upgrade ovsdb       everything about ovsdb-server
    checks     check, preflight                    mlag        clagd and other sources
    history    write and read what was recorded    net         netlink: VIP, announcements, echoes
    forensics  bundles, support archive            host        processes, disk, systemd, HTTP
    backup     take, keep, restore                 protocol    the two agents' wires (pure)
    divergence rows only an overwritten side had   core        facts -> rule -> step (pure)
                                                   config      YAML -> frozen Config
"""

from __future__ import annotations

__version__ = "0.1.0"

SCHEMA = 1
"""The number of the form of what the agent answers: a status, and how an order went (docs/json.rst)."""
