"""Everything about the kernel's network: VIP, announcements, echoes, addresses, sockets.

Nothing else speaks netlink; it knows facts of the core, and no other driver.
"""
