"""The steps of vtep-bootstrap, in the vendor's words where they are the vendor's, and what came of them."""

from __future__ import annotations

import functools
import shlex
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ovsha import SCHEMA, control_client
from ovsha.checks import run
from ovsha.checks.context import Context, PreflightContext
from ovsha.config import Config
from ovsha.errors import DriverError
from ovsha.ovsdb import own_server
from ovsha.ovsdb.client import Session
from ovsha.ovsdb.launch import SCHEMAS, make_database
from ovsha.provision import files, server_options, units, vtep_rows, vtep_tools
from ovsha.provision.files import Wanted
from ovsha.provision.step import Step
from ovsha.provision.units import Services
from ovsha.provision.vtep_options import ACTIVE, Options
from ovsha.provision.vtep_plan import Known
from ovsha.provision.vtep_rows import DATABASE, Way

CERTIFICATE = "create certificate on a switch, to be used for authentication with controller"
SIGN = "sign certificate"
RESTART = "restart a service"


@dataclass(frozen=True)
class Rows(Step):
    """The rows of the database, which are made together and reported one by one: each with what is said of it."""

    reports: tuple[tuple[str, str], ...] = ()


class Bootstrap:
    """Makes the steps of one run; `work` is a directory for what is not in its place yet."""

    def __init__(self, known: Known, services: Services, work: Path) -> None:
        self._known, self._services, self._work = known, services, work
        self._files: list[Wanted] = []

    def steps(self) -> list[Step]:
        """Return them in their order; what can fail comes before anything is in its place."""
        return [
            *self._vendor(), *self._certificate(), *self._key(), *self._stop(), *self._rows(), self._put(),
            self._restart(),
        ]  # fmt: skip

    def wanted(self) -> list[Wanted]:
        """Return the files that are written besides certificate and key."""
        known = self._known
        wanted = [Wanted(known.file, known.text.encode(), 0o644)] if known.text != known.before else []
        if known.words != known.words_before:
            text = server_options.text(known.words)
            wanted.append(Wanted(server_options.FILE, text.encode(), server_options.MODE))
        if known.vtepd and known.vtepd != known.vtepd_before:
            wanted.append(Wanted(vtep_tools.FILE, known.vtepd.encode(), 0o644))
        return wanted

    def _vendor(self) -> Iterator[Step]:
        known = self._known
        if known.tool:
            words = vtep_tools.arguments(known.options, pairs=known.tool_knows_pairs)
            yield Step(
                f"run {known.tool}",
                shlex.join([known.tool, *words]),
                lambda: vtep_tools.run_vendor(known.tool, words),
                f"see what it says; nothing of ovsha was written, and {known.tool} may have left a part",
            )

    def _certificate(self) -> Iterator[Step]:
        known, maker = self._known, vtep_tools.Maker(self._known.options, self._work)
        if not known.options.encryption or known.tool:
            return
        there = f"{known.options.credential('cert')} is there" if known.certificate else ""
        name, place = known.options.name, f"--dir={known.options.pki}"
        remedy = "see that ovs-pki (openvswitch-common) and openssl are installed, and the room on the disk"

        def sign() -> str:
            said = maker.sign()
            self._files += maker.wanted()
            return said

        yield Step(CERTIFICATE, f"ovs-pki {place} req {name}", maker.request, remedy, skipped=there)
        yield Step(SIGN, f"ovs-pki --batch {place} sign {name} switch", sign, remedy, skipped=there)

    def _key(self) -> Iterator[Step]:
        if self._known.new_key:
            file = self._known.config.pair.key_file

            def make() -> str:
                self._files.append(Wanted(file, files.make(), files.MODE))
                return ""

            yield Step("create the key of the pair", f"make {file} of 256 random bits", make)

    def _stop(self) -> Iterator[Step]:
        where = self._known.place
        if where is not None and where.way is Way.PARKED and self._lacking():
            yield Step(
                "stop the parked server",
                f"systemctl stop {units.SERVER}",
                functools.partial(_quietly, self._services.stop, units.SERVER),
                undo=lambda: self._services.start(units.SERVER),
            )

    def _rows(self) -> Iterator[Step]:
        known, where = self._known, self._known.place
        if where is None:
            reason = "a standby copies them from the active side"
            yield Step("define physical switch, controller and addresses", "", str, skipped=reason)
            return
        reports = tuple(
            (each.step, each.note if each.words else "it is there already") for each in known.changes
        )  # fmt: skip
        line = vtep_rows.command(list(known.changes), f"unix:{known.config.server.socket}")
        by = f"by {where.way.value} ({where.file})"
        would = f"{shlex.join(line) if line else 'nothing is lacking'}\n{by}"
        remedy = "nothing of it was written; correct what vtep-ctl says, and run this again"
        do = functools.partial(self._write, where)
        yield Rows(vtep_rows.SWITCH, would, do, remedy, reports=reports)

    def _write(self, where: vtep_rows.Place) -> str:
        if not self._lacking() and not self._known.tool:
            return ""
        if self._known.tool:
            where = vtep_rows.find(self._known.config.server)
        made = not where.file.exists()
        if where.way is Way.FILE:
            make_database(where.file, SCHEMAS[DATABASE])
        try:
            with vtep_rows.target(self._known.config.server, where) as target:
                with Session(target, DATABASE, own_server.ANSWER_LIMIT) as session:
                    there = vtep_rows.read(session)
                return vtep_rows.apply(vtep_rows.changes(self._known.options, there), target)
        except DriverError:
            if made:
                where.file.unlink(missing_ok=True)
                where.file.with_name(f".{where.file.name}.~lock~").unlink(missing_ok=True)
            raise

    def _put(self) -> Step:
        def put() -> str:
            wanted = [*self._files, *self.wanted()]
            copies = [copy for copy in files.together(wanted) if copy is not None]
            said = [str(each.path) for each in wanted] + [f"the older one is {copy}" for copy in copies]
            return "\n".join(said)

        known = self._known
        new = [] if known.certificate or not known.options.encryption or known.tool else ["certificate and key"]
        new += [str(known.config.pair.key_file)] if known.new_key else []
        new += [str(each.path) for each in self.wanted()]
        would = f"write {', '.join(new)}; an older file is copied first" if new else "nothing has changed"
        return Step("put certificate, key and configuration in their places", would, put, "make room on the disk")

    def _restart(self) -> Step:
        known = self._known
        server = known.restarts_server or any(each.words for each in known.changes if self._parked)
        agent = known.text != known.before or known.words != known.words_before or known.new_key
        daemon = bool(known.vtepd) and known.vtepd != known.vtepd_before
        ours = [units.SERVER, units.AGENT, *([vtep_tools.UNIT] if known.vtepd else [])]
        orders = [f"systemctl disable --now {' '.join(known.foreign)}"] if known.foreign else []
        orders += ["systemctl daemon-reload"] if daemon else []
        orders.append(f"systemctl enable {' '.join(ours)}")
        orders.append(f"systemctl {'restart' if server else 'start'} {units.SERVER}")
        orders.append(f"systemctl {'restart' if agent else 'start'} {units.AGENT}")
        if known.vtepd:
            orders.append(f"systemctl {'restart' if daemon else 'start'} {vtep_tools.UNIT}")

        def restart() -> str:
            # The vendor's program may have started it just now.
            self._services.disable(*units.others(self._services))
            ended = units.end_stray(self._services, known.config)
            if daemon:
                self._services.reload()
            self._services.enable(*ours)
            (self._services.restart if server else self._services.start)(units.SERVER)
            (self._services.restart if agent else self._services.start)(units.AGENT)
            if known.vtepd:
                (self._services.restart if daemon else self._services.start)(vtep_tools.UNIT)
            return ended or ("" if server or agent or daemon else "nothing that they read has changed")

        remedy = f"see journalctl -u {units.SERVER} -u {units.AGENT}, and run this again: what is done stays done"
        return Step(RESTART, "\n".join(orders), restart, remedy)

    @property
    def _parked(self) -> bool:
        return self._known.place is not None and self._known.place.way is Way.PARKED

    def _lacking(self) -> bool:
        return any(each.words for each in self._known.changes)


def _quietly(order: Callable[[str], None], unit: str) -> str:
    order(unit)
    return ""


_AGENT_LIMIT = 30.0
_SERVES_LIMIT = 20.0
_LOOK_EVERY = 0.2


def agent(config: Config) -> dict[str, Any]:
    """Return what the agent tells once it does; raise DriverError when it does not within half a minute."""
    deadline = time.monotonic() + _AGENT_LIMIT
    while True:
        try:
            document = status(config)
            if document["uptime"] >= 1:
                return document
        except DriverError as error:
            if time.monotonic() > deadline:
                raise DriverError(f"the agent does not answer: {error}; see journalctl -u ovsha") from None
        time.sleep(_LOOK_EVERY)


def status(config: Config) -> dict[str, Any]:
    """Return what the agent tells.  Raises DriverError."""
    return control_client.ask_json(control_client.in_directory(config.run_directory), "status", "json", schema=SCHEMA)


def serves(config: Config, options: Options, document: dict[str, Any], order: Any) -> str:
    """Have the first side of a new pair serve; return why it does not, "" when it does, or need not.

    `order` gives an order to the agent.
    """
    if options.side != ACTIVE or _other_is_there(document):
        return ""
    deadline = time.monotonic() + _SERVES_LIMIT
    refused = ""
    where, reason = control_client.in_directory(config.run_directory), "vtep-bootstrap --db_ha active"
    while not status(config)["sides"][config.node]["serving"]:
        try:
            order(where, "found", check=False, reason=reason)
        except DriverError as error:
            refused = str(error)
        if time.monotonic() > deadline:
            return refused or status(config)["why"]
        time.sleep(_LOOK_EVERY)
    return ""


def findings(config: Config, document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Run the quick items of the preflight and yield what is not well: the grade, and the sentence with its fix."""
    found = run.run_preflight(PreflightContext(Context(config, document), quick=True), lambda doing: None)
    for each in found["items"]:
        if each["grade"] in ("FAIL", "WARN"):
            fix = f"; fix: {each['fix']}" if each["fix"] else ""
            yield each["grade"], f"{each['name']}: {each['text']}{fix}"


def _other_is_there(document: dict[str, Any]) -> bool:
    other = document["sides"].get(document["peer"])
    return other is not None and bool(other["current"])
