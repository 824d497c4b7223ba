"""Find, keep and replay the rows that exist only in a database that was overwritten: divergence.

A *base* is the survivor's data as it was when it promoted itself; what a returning side's
snapshot holds beyond its base was acknowledged there only, and is listed in a *ledger*.
Everything here blocks, so it is for commands and for children of the agent.
"""
