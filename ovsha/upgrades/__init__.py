"""What is saved before an upgrade of the system, and put back after it.  All of it blocks; the agent never calls it."""
