"""Backups of the database: taken, kept, checked, restored.  All of it blocks: it is for commands."""
