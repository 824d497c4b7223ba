"""The agent: its loop, the drivers it looks and acts by, the orders it takes, what it tells.

Only `service` and `offline` are for commands.  Nothing in the loop waits for a disk, a program or the network.
"""
