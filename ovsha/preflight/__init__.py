"""Find out before a pair is installed, or paired, whether it can work here, and what has to be corrected first.

Nothing is changed: what has to be tried out is tried out on a copy of the database, with
private servers, or with probes that leave no trace in anybody's tables.
"""
