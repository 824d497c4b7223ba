"""Write and read what was recorded: events and decisions, on disk, here and on the peer."""
