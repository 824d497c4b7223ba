"""Talk to what is outside: ovsdb-server, clagd, netlink, the peer's agent, systemd.

Every driver follows the dialect of python-ovs: ``run(now)`` does what can be done now and
``wait(poller, now)`` says what to wake up for; none blocks.  `now` is seconds on the
monotonic clock.  What the outside does wrong is a DriverError, and the next turn tries again.
"""
