"""Everything about ovsdb-server: sessions, control socket, process, contents.  Nothing else talks to it.

What the agent's loop calls never waits; `client`, `own_server` and `contents` wait, and are for commands and children.
"""
