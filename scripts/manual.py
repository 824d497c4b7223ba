"""What the man pages say that neither the command line nor the keys of the configuration do."""

from __future__ import annotations

DESCRIPTION = (
    "ovsha keeps the ovsdb-servers of an MLAG pair of switches in the right roles: one side is active and holds the "
    "VIP and the sessions of the controllers, the other one is a backup that copies from it.  An agent runs on each "
    "switch; all commands but agent and config ask it, on its control socket, and may be run on either side.",
    'Every command that prints facts takes --json; the document has "schema": 1 and is described in docs/json.rst.  '
    "A command that changes something says first what it will do and asks, or takes --yes.",
    "Where no agent answers, sync-status and status show what they can see without it, say so in their first and in "
    "their last line, and exit with 1.",
)

STATES = (
    (
        "init",
        "This side has just started, or waits to follow.  Nothing is served here: the VIP, its listener and the remote "
        "of the managers are closed.  Its database is read-only, or is about to be.",
    ),
    (
        "backup",
        "ovsdb-server copies from the peer, read-only.  Nothing is served here.  What it held before was saved in a "
        "snapshot.  Only the line in sync tells that it has all that the active side had committed.",
    ),
    (
        "active",
        "ovsdb-server takes writes, the VIP is here, its listener and the remote of the managers are open, and the "
        "term is stamped into the database.  While both sides hear each other, at most one is active.",
    ),
    (
        "fault",
        "ovsdb-server does not run, or hangs.  The VIP is dropped and the sessions of a hanging server are cut, so "
        "that nobody goes on talking to it.  The peer may take over.",
    ),
    (
        "needs-decision",
        "Both ways on would lose data or overwrite newer data with older.  Nothing is served here, nothing is "
        "overwritten, and the agent waits for ovsha resolve.",
    ),
)

EXIT_STATUS = (
    ("0", "healthy, or done and verified"),
    ("1", "unhealthy, out of reach, or failed; the reason is one line on the standard error, or in what was printed"),
    ("2", "wrong usage or configuration; nothing was done"),
)
CHECK_STATUS = "ovsha check exits as monitoring plugins do: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN."

FILES = (
    ("/etc/ovsha/ovsha.yaml", "the configuration, see ovsha.yaml(5)"),
    ("/etc/ovsha/pair.key", "the secret that both agents share"),
    ("/etc/ovsha/hooks.d/", "executables that are run when a role changes or something is wrong"),
    ("/var/lib/ovsha/state.json", "the terms that were seen and used; without it the agent waits for its peer"),
    ("/var/lib/ovsha/peer-token.json", "how far the copy on this switch was behind what is known of the peer's"),
    ("/var/lib/ovsha/identity", "by what the peer knows this switch"),
    ("/var/lib/ovsha/joined.json", "where the data is that this switch had before it joined its pair"),
    ("/var/lib/ovsha/snapshots/", "the databases as they were before they were overwritten"),
    ("/var/lib/ovsha/ledgers/", "the rows that exist only in such a snapshot"),
    ("/var/lib/ovsha/forensics/", "what was kept of split brains"),
    ("/var/lib/ovsha/journal/", "the flight recorder, which ovsha history reads"),
    ("/var/run/openvswitch/ovsha.PID.ctl", "the control socket; ovs-appctl -t ovsha works too"),
)

ENVIRONMENT = (
    ("NO_COLOR", "when it is set, nothing is coloured; what does not go to a terminal never is"),
    ("OVSHA_LOG", "the least level that the agent logs: DEBUG, INFO (the default), WARNING or ERROR"),
)

EXAMPLES = (
    ("Make a pair: on the first switch,", "ovsha init --peer-name sw2 --vip 169.254.0.11"),
    ("and on the second.", "ovsha join ovsha-join-sw1-sw2.json"),
    ("Called at night: what is wrong, and what to do?", "ovsha status"),
    ("What does the other switch say of it?", "ovsha status --peer"),
    ("Watch a failover while it happens.", "ovsha status --watch 1"),
    ("Move the service away before this switch is rebooted.", "ovsha switchover"),
    ("What was written to a side that was overwritten later?", "ovsha ledger list"),
    ("In a script: is the pair in sync?", "ovsha sync-status --json | jq .in_sync"),
    ("See whether a configuration can be used before it is.", "ovsha config check /etc/ovsha/ovsha.yaml"),
)

CONFIG_DESCRIPTION = (
    "The file is YAML: sections with keys.  The same file can be used on both switches, since node defaults to the "
    "name of the host.  A key that is not known, a value of the wrong kind, or keys that contradict each other are "
    "refused in one line that names the key; `ovsha config check` does that without an agent.  systemctl reload ovsha "
    "reads the file anew, and a bad one keeps the old.",
    "All intervals, delays and limits are seconds unless another unit is named.",
)

CONFIG_EXAMPLE = """\
pair:
  id: rack7
  preferred: sw1
nodes:
  sw1: {peer_link: 169.254.0.9, backup_path: 192.168.100.1}
  sw2: {peer_link: 169.254.0.10, backup_path: 192.168.100.2}
vip:
  address: 169.254.0.11
"""
