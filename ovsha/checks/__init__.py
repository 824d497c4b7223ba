"""What `ovsha check` and `ovsha preflight` look at; they change nothing.

`run` lists the checks and the items of the preflight.  A check asks the running agent where it knows more, and looks
for itself where it can: at the kernel's sockets and addresses, at ovsdb-server, at clagctl.  It waits for nothing
longer than a few seconds, and an agent that does not run is said and not stumbled over.  What has to be tried out is
tried out on a copy of the database, with private servers, or with probes that leave no trace in anybody's tables.
"""





