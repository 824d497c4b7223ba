"""Have the vendor's VTEP daemon run beside our server, by a unit of its own, and connect to the VIP.

The vendor's own service starts a server too, so it cannot start the daemon alone.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from ovsha.bootstrap.options import bracketed
from ovsha.config import Config
from ovsha.setup import files
from ovsha.setup.discover import VENDORS_START

UNIT = "ovsha-vtepd"
FILE = Path(f"/etc/systemd/system/{UNIT}.service")
VLAN_AWARE = "--enable-vlan-aware-mode"

_TEXT = """\
# Written by ovsha vtep-bootstrap.  The daemon's further options: systemctl edit {unit}
[Unit]
Description=VTEP daemon, connected to the OVSDB server of an MLAG pair
Documentation=man:ovsha(8)
ConditionPathExists=/etc/ovsha/ovsha.yaml
After=network.target networking.service switchd.service ovsha-ovsdb-server.service
# It starts a server and a daemon of its own.
Conflicts=openvswitch-vtep.service
StartLimitIntervalSec=0

[Service]
ExecStart={program} {server} {options}
Restart=always
RestartSec=1s

[Install]
WantedBy=multi-user.target
"""


def program() -> str | None:
    """Return the path of the daemon, None where there is none."""
    return shutil.which("ovs-vtepd", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin")


def unit(found: str, config: Config) -> str:
    """Return the unit that runs it."""
    vip = config.vip.address
    server = f"unix:{config.server.socket}" if vip is None else f"tcp:{bracketed(str(vip))}:{config.vip.port}"
    words = [
        *("-vconsole:emer", "-vsyslog:err", "-vfile:info", "--log-file=/var/log/openvswitch/ovs-vtepd.log"),
        f"--pidfile={config.server.pidfile.parent / 'ovs-vtepd.pid'}",
    ]
    script = (files.read(VENDORS_START) or b"").decode(errors="replace")
    if is_vlan_aware(script):
        words.append(VLAN_AWARE)
    return _TEXT.format(unit=UNIT, program=found, server=server, options=" ".join(words))


def is_vlan_aware(script: str) -> bool:
    """Say whether the vendor's start script has that option, on a line that is no comment."""
    return re.search(rf"^[^#\n]*{VLAN_AWARE}\b", script, re.MULTILINE) is not None
