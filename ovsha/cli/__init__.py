"""What an operator types: a module for each command, or for a few that belong together.

A question takes as long as its imports, so what is heavy is imported when its command runs.
"""
