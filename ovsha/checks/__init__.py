"""Look at this switch, one thing at a time, and say what is wrong and what to do.

One module a check; `table` lists them.  A check asks the running agent where it knows more,
and looks for itself where it can: at the kernel's sockets and addresses, at ovsdb-server,
at clagctl.  It changes nothing, waits for nothing longer than a few seconds, and an agent
that does not run is said and not stumbled over.
"""
