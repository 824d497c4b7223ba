"""Processes, disk, systemd and HTTP of this switch, and what must survive a restart."""
