"""Rows that only an overwritten side had: compared, kept in a ledger, replayed.

A *base* is the survivor's data as it was when it promoted itself; what a returning side's
snapshot holds beyond its base was acknowledged there only, and is listed in a *ledger*.
Everything here blocks, so it is for commands and for children of the agent.
"""





