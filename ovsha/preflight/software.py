"""Look at the versions, the schema, the clocks, and at what both configurations must have alike."""

from __future__ import annotations

import platform
import re
import time

from ovsha import __version__, exchange, programs
from ovsha.checks import answers, ovsdb
from ovsha.checks import server as server_check
from ovsha.config import pair_key, read_key
from ovsha.core import schema as schemas
from ovsha.core.words import span
from ovsha.errors import ConfigError, DriverError
from ovsha.preflight.finding import Finding, fail, of_check, passed, skip, together, warn
from ovsha.preflight.ground import Ground

_LEAST = (2, 8)
_DISCONNECTS = (3, 3)
_CLOCK_WARN, _CLOCK_ASKS = 1.0, 5
_VERSION = re.compile(r"\b([0-9]+)\.([0-9]+)")


def configuration(ground: Ground) -> Finding:
    """The file was read already; here is what in it is doubtful, and whether the pair key can be used."""
    try:
        pair_key(ground.config)
    except ConfigError as error:
        return fail(str(error), "make the pair key once, and copy it to the other switch")
    doubts = [warn(each, "see the comments in etc/ovsha.yaml") for each in ground.config.warnings]
    return together(doubts, passed(f"can be used, for {ground.config.node} of pair {ground.config.pair.id}"))


def versions(ground: Ground) -> Finding:
    """Is ovsdb-server one that can be spoken to, and do both switches have the same?"""
    server, running = ground.look.server.version, ground.look.server.version != (0, 0)
    if not running:
        try:
            found = _VERSION.search(programs.read([ovsdb.program(ground.look.server), "--version"], 5.0)[1])
        except DriverError as error:
            return fail(f"{error}", "install openvswitch-vtep")
        server = (int(found[1]), int(found[2])) if found else (0, 0)
    told = f"{server[0]}.{server[1]}"
    if server < _LEAST:
        return fail(f"ovsdb-server is {told}, and has no active-backup replication before 2.8", "upgrade it")
    pointing = "disconnects before it follows another source" if server >= _DISCONNECTS else "re-points in one step"
    text = f"ovsdb-server {told} (at least 2.8; {pointing}), ovsha {__version__}, Python {platform.python_version()}"
    theirs = ground.survey or {}
    differ = []
    if theirs.get("version") not in (None, __version__):
        what = f"ovsha is {__version__} here and {theirs['version']} on {ground.peer}"
        differ.append(warn(what, "upgrade the older one"))
    if theirs.get("server") not in (None, list(server)):
        other = ".".join(map(str, theirs["server"]))
        what = f"ovsdb-server is {told} here and {other} on {ground.peer}"
        differ.append(warn(what, "upgrade the older one; the backup first"))
    return together(differ, passed(text, ovsdb_server=told, ovsha=__version__))


def server(ground: Ground) -> Finding:
    """Does ovsdb-server run, and was it started so that it does no harm?"""
    return of_check(server_check.check(ground.look))


def schema(ground: Ground) -> Finding:
    """Is the database there, and is its schema the peer's?"""
    config = ground.config
    if ground.look.server.pid is None:
        return skip("not looked at, as ovsdb-server does not run", "see the item server")
    try:
        with ovsdb.database(config) as session:
            own = session.schema()
    except DriverError as error:
        return fail(str(error), "see server.database and server.socket in the configuration")
    ours = schemas.describe(own)
    told = f"{ours.name} {ours.version}, checksum {ours.checksum}"
    if config.standalone:
        return passed(told, checksum=ours.checksum)
    try:
        with ovsdb.database(config, ground.look.source) as session:
            theirs = session.schema()
    except DriverError as error:
        do = f"see that ovsdb-server runs on {ground.peer}"
        return skip(f"{told}; not compared with {ground.peer}'s: {error}", do)
    other = schemas.describe(theirs)
    if other.checksum == ours.checksum:
        return passed(f"{told} on both sides", checksum=ours.checksum)
    what = f"{told} here, and {other.version}, checksum {other.checksum} on {ground.peer}"
    lacking = [schemas.gap(own, theirs), schemas.gap(theirs, own)]
    if all(lacking):
        return fail(f"{what}: neither can be copied to the other one", "bring both to the same release")
    return warn(f"{what}: a copy works only onto the newer one", "upgrade the older one; the backup first")


def clocks(ground: Ground) -> Finding:
    """How far apart are the clocks?  The agents decide by clocks that nobody sets; logs and certificates do not."""
    if ground.survey is None:
        return skip(f"not compared, as {ground.peer} does not answer") if ground.asked else _not_asked(ground)
    address, port = str(ground.config.nodes[ground.peer].peer_link), ground.config.exchange.port
    samples = []
    try:
        with exchange.Asker(address, port, read_key(ground.config.pair.key_file), 10.0) as asker:
            for _ in range(_CLOCK_ASKS):
                sent = time.time()
                at = float(asker.ask(answers.CLOCK, {})["at"])
                back = time.time()
                samples.append((back - sent, at - (sent + back) / 2))
    except (DriverError, KeyError, TypeError, ValueError) as error:
        return warn(f"the clock of {ground.peer} cannot be asked: {error}", "see its log")
    trip, offset = min(samples)
    told = f"{ground.peer}'s clock is {span(abs(offset))} {'ahead' if offset > 0 else 'behind'} (to {span(trip / 2)})"
    if abs(offset) - trip / 2 > _CLOCK_WARN:
        fix = "let chrony or ntpd slew both clocks; a jump makes some releases of clagd stop"
        return warn(f"{told}: the logs of both sides cannot be read together", fix, offset=offset)
    return passed(told, offset=offset)


def agreement(ground: Ground) -> Finding:
    """Are the keys that both configurations must have alike the same?"""
    if ground.survey is None:
        return _not_asked(ground)
    own, theirs = answers.settings(ground.config), ground.survey.get("settings")
    if not isinstance(theirs, dict):
        return warn(f"{ground.peer} does not tell its configuration", "upgrade both switches to one release")
    differ = [name for name, value in own.items() if theirs.get(name) != value]
    if not differ:
        return passed(f"the {len(own)} keys that both sides must share are the same on {ground.peer}")
    told = ", ".join(f"{name} is {own[name]} here and {theirs.get(name)} there" for name in differ)
    return fail(told, "use the same file on both switches; only `node` differs")


def _not_asked(ground: Ground) -> Finding:
    if ground.asked:
        return fail(f"{ground.peer}'s agent does not answer: {ground.trouble}", f"start ovsha on {ground.peer}")
    return skip(f"{ground.peer} was not asked", "run ovsha preflight --peer once ovsha runs there")
