"""What the commands that set a switch up share: files, keys, services, and what clagd and the kernel tell.

Plain functions that block; the agent uses none of them.
"""
