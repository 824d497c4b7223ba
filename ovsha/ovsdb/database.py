"""Read the Global and Manager rows of a database by one JSON-RPC session, and write our keys into them.

RFC 7047 section 4.1.  Only `Global.other_config` is ever written, and there only keys that
begin with `ovsha:`; a monitor is used for reading, since `vtep-ctl` cannot read a backup.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ovsha.core import lineage as schemas
from ovsha.core import stamps
from ovsha.core.facts import Role, Schema, Stamp, Token
from ovsha.ovsdb.channel import Admit, Channel, anybody

_NOWHERE = "00000000-0000-0000-0000-000000000000"
_TABLES = {
    "Global": {"columns": ["other_config", "managers", "switches"]},
    "Manager": {"columns": ["target", "is_connected"]},
}


@dataclass(frozen=True, slots=True)
class Manager:
    """A Manager row: where a controller listens and, on the active side only, whether it is connected."""

    target: str
    connected: bool


@dataclass(frozen=True, slots=True)
class Contents:
    """What the rows say; `loaded` is false until they have been read on the present connection."""

    loaded: bool = False
    stamp: Stamp | None = None
    token: Token | None = None
    empty: bool = True
    managers: tuple[Manager, ...] = ()


class Database:
    """The rows of database `name` behind a channel to `target`."""

    def __init__(
        self,
        target: str,
        name: str,
        retry: float,
        changed: Callable[[], None] = lambda: None,
        admit: Admit = anybody,
    ) -> None:
        self.channel = Channel(target, retry, self._greet, self._notice, admit)
        self.contents = Contents()
        self.trouble = ""
        self.schema: Schema | None = None
        self.whole_schema: Mapping[str, Any] | None = None
        self.others: tuple[str, ...] = ()
        self._name = name
        self._changed = changed
        self._rows: dict[str, dict[str, dict[str, Any]]] = {}

    def run(self, now: float) -> None:
        """Take what has come; a lost connection forgets what was read over it."""
        self.channel.run(now)
        if not self.channel.connected and self.contents.loaded:
            self.contents = Contents()

    def commit(self, values: Mapping[str, str], done: Callable[[str | None], None]) -> None:
        """Write keys into Global.other_config in one transaction; `done` gets None or the error."""
        pairs = ["map", [[key, value] for key, value in values.items()]]
        uuid = next(iter(self._rows.get("Global", {})), None)
        if uuid is None:
            operation: dict[str, Any] = {"op": "insert", "table": "Global", "row": {"other_config": pairs}}
        else:
            keys = ["set", [*values]]
            operation = _mutation(uuid, [["other_config", "delete", keys], ["other_config", "insert", pairs]])
        params = [self._name, operation, {"op": "comment", "comment": "ovsha"}]
        self.channel.request("transact", params, lambda result, error: done(_failure(result, error) or _missed(result)))

    def probe_role(self, done: Callable[[Role | None], None]) -> None:
        """Ask whether the server takes writes, by one that changes no row; `done` gets None when it cannot tell."""
        params = [self._name, _mutation(_NOWHERE, [["other_config", "delete", ["set", []]]])]

        def answered(result: Any, error: str | None) -> None:
            failure = _failure(result, error)
            if failure is None:
                done(Role.ACTIVE)
            else:
                done(Role.BACKUP if "read only" in failure or "read-only" in failure else None)

        self.channel.request("transact", params, answered)

    def _greet(self) -> None:
        self._rows = {}
        self.channel.request("list_dbs", [], self._listed)
        self.channel.request("get_schema", [self._name], self._described)
        self.channel.request("monitor", [self._name, "ovsha", _TABLES], self._monitored)

    def _listed(self, result: Any, error: str | None) -> None:
        names = result if error is None and isinstance(result, list) else []
        # _Server is the server's own, and is copied by nobody (ovsdb-server(5)).
        self.others = tuple(sorted(str(each) for each in names if each not in (self._name, "_Server")))

    def _described(self, result: Any, error: str | None) -> None:
        known = error is None and isinstance(result, dict)
        self.whole_schema = result if known else None
        self.schema = schemas.describe_schema(result) if known else None

    def _monitored(self, result: Any, error: str | None) -> None:
        if error is None and isinstance(result, dict):
            self.trouble = ""
            self._take(result)
        elif self.channel.connected:
            self.trouble = f"database {self._name} cannot be monitored: {error}"

    def _notice(self, method: str, params: list[Any]) -> None:
        if method == "update" and len(params) == 2 and isinstance(params[1], dict):
            self._take(params[1])

    def _take(self, updates: dict[str, Any]) -> None:
        for table, rows in updates.items():
            held = self._rows.setdefault(table, {})
            for uuid, row in rows.items():
                if "new" in row:
                    held[uuid] = row["new"]
                else:
                    held.pop(uuid, None)
        self.contents = _read(self._rows)
        self._changed()


def _mutation(uuid: str, mutations: list[Any]) -> dict[str, Any]:
    where = [["_uuid", "==", ["uuid", uuid]]]
    return {"op": "mutate", "table": "Global", "where": where, "mutations": mutations}


def _failure(result: Any, error: str | None) -> str | None:
    """Return what went wrong in a transaction: RFC 7047 puts it into one of the results."""
    if error is not None:
        return error
    for part in result if isinstance(result, list) else []:
        if isinstance(part, dict) and part.get("error"):
            reason = f" ({part['io-error']})" if "io-error" in part else ""
            return f"{part['error']}: {part.get('details', '')}{reason}"
    return None


def _missed(result: Any) -> str | None:
    """Return that a transaction changed no row, for the one it was for is no more; None when it did."""
    counts = [part.get("count") for part in result if isinstance(part, dict)] if isinstance(result, list) else []
    return "the row of Global is another than a moment ago" if 0 in counts else None


def _read(rows: dict[str, dict[str, dict[str, Any]]]) -> Contents:
    row = next(iter(rows.get("Global", {}).values()), {})
    pairs = stamps.pairs_of(row.get("other_config"))
    managers = tuple(
        sorted(
            (Manager(str(r.get("target")), r.get("is_connected") is True) for r in rows.get("Manager", {}).values()),
            key=lambda manager: manager.target,
        )
    )
    empty = row.get("switches", ["set", []]) == ["set", []]
    return Contents(True, stamps.stamp_of(pairs), stamps.token_of(pairs), empty, managers)
