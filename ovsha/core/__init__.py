"""What ovsha knows and decides, without a clock, a socket or a file.

Everything here is a function of values passed in, the time included, so that
the same code runs in the agent, in the simulation of two switches, and in
``ovsha explain``.
"""
