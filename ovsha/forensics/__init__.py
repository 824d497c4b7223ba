"""Bundles of evidence and the support archive.  All of it blocks: it is for commands and children."""
