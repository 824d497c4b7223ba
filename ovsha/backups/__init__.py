"""Backups of the database: taking, keeping, checking, restoring.  All of it blocks, and the agent never calls it."""
