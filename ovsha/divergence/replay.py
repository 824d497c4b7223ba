"""Do again on the active side what a ledger lists, in one transaction or not at all.

Each row is looked up first, so that what has moved on is named; the transaction then waits
for each row to be as it was found (RFC 7047 section 5.2.6, with no time), so that what
moves in between makes the whole fail.  It waits for the stamp too: what was looked up in
one lineage is written into no other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ovsha.core.stamps import NODE, TERM
from ovsha.divergence import replay_check
from ovsha.divergence.compare import Entry, Kind
from ovsha.divergence.replay_check import CONFIG, NEW, Judged, Question, Selection, Verdict, removes
from ovsha.errors import DriverError
from ovsha.ovsdb.client import Refused, Session
from ovsha.ovsdb.contents import Row, Table, line, tables

_BATCH = 500
_FEW = 20
_VISITS = 2_000_000
"""How many times the server may go through a whole table for us, and to how many rows it may come in one transaction.

With 100,000 rows it serves nobody meanwhile.
"""

Operation = dict[str, Any]

EVERYTHING = Selection(deletions=True)
"""Each row of which is known what was done to it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Every row of a ledger with its verdict; `schema` is that of the active side.

    `stamp`: who had the lineage in which they were looked up, as an operation that waits for it.
    `searched`: tables in which the server may look for the keys of all new rows once more.
    """

    rows: tuple[Judged, ...]
    schema: Mapping[str, Table]
    stamp: tuple[Operation, ...] = ()
    searched: frozenset[str] = frozenset()

    def having(self, verdict: Verdict) -> list[Judged]:
        """Return the rows of one verdict."""
        return [row for row in self.rows if row.verdict is verdict]

    def sparing(self, verdict: Verdict) -> Plan:
        """Return the same plan with the rows of one verdict left alone."""
        rows = (replace(row, verdict=Verdict.LEFT) if row.verdict is verdict else row for row in self.rows)
        return replace(self, rows=tuple(rows))

    @property
    def inserted(self) -> dict[str, str]:
        """The uuids that the ledger's inserted rows have on the active side, by those in the ledger."""
        return {each.entry.uuid: each.same or each.entry.uuid for each in self.rows if each.entry.kind in NEW}

    @property
    def going(self) -> list[Entry]:
        """The rows that go with what is replayed, and the changed ones with which others go that no entry tells of."""
        removed = (each for each in self.rows if each.verdict is Verdict.REPLAY and removes(each.entry, self.schema))
        found = [each.entry for each in removed]
        return [*found, *(each.entry for each in self.rows if each.goes)] if found else []


def plan(session: Session, entries: Sequence[Entry], selection: Selection = EVERYTHING) -> Plan:
    """Look up every row and return what can be done.  Raises DriverError when the server does not answer or know it."""
    schema = tables(session.schema())
    unknown = next((entry.table for entry in entries if entry.table not in schema), None)
    if unknown is not None:
        raise DriverError(f"the active side has no table {unknown}: its schema is not that of the ledger")
    wanted = {id(entry) for entry in entries if not selection.hindrance(entry, schema)}
    inserted = {entry.uuid: entry.uuid for entry in entries if entry.kind in NEW and id(entry) in wanted}
    stamp = _stamp(session, schema)
    sizes: dict[str, int] = {}
    judged: list[Judged] = []
    # Rows that refer to none come first: where another row stands for one of them, others refer to that.
    for refers in (False, True):
        these = [entry for entry in entries if bool(schema[entry.table].references) is refers]
        for entry, asked in _look_up(session, these, schema, inserted, sizes):
            judged.append(replay_check.judge(entry, schema[entry.table], asked, inserted))
        inserted |= {each.entry.uuid: each.same for each in judged if each.same is not None}
    chosen = (_chosen(each, selection.hindrance(each.entry, schema)) for each in judged)
    rows = tuple(_rooted(tuple(chosen), schema, selection))
    return Plan(rows, schema, stamp, _searched(rows, schema, sizes))


def _chosen(judged: Judged, hindrance: str) -> Judged:
    """Leave alone what nobody asked for, unless there is nothing to do anyway."""
    if judged.verdict is Verdict.THERE or not hindrance:
        return judged
    return replace(judged, verdict=Verdict.LEFT, why=hindrance)


def _rooted(rows: tuple[Judged, ...], schema: Mapping[str, Table], selection: Selection) -> Iterator[Judged]:
    """Do not add what would go again at once, since no row that is written refers to it."""
    writes = [each for each in rows if each.verdict is Verdict.REPLAY and each.entry.kind is not Kind.DELETED]
    referred = set().union(*(replay_check.uuids(list((each.entry.row or {}).values())) for each in writes))
    for each in rows:
        new = each.verdict is Verdict.REPLAY and each.entry.kind in NEW
        if new and not schema[each.entry.table].root and each.entry.uuid not in referred:
            verdict = Verdict.MOVED if selection.named is not None else Verdict.THERE
            each = replace(each, verdict=verdict, why="it would go again at once: no row that is added refers to it")
        yield each


def _stamp(session: Session, schema: Mapping[str, Table]) -> tuple[Operation, ...]:
    """Return an operation that waits for the stamp to be what it is now, none where there is none."""
    table, column = CONFIG
    if table not in schema or column not in schema[table].columns:
        return ()
    (found,) = session.transact([{"op": "select", "table": table, "where": [], "columns": ["_uuid", column]}])
    for row in found["rows"]:
        pairs = [pair for pair in row[column][1] if pair[0] in (TERM, NODE)]
        if pairs:
            where = [["_uuid", "==", row["_uuid"]], [column, "includes", ["map", pairs]]]
            return (_until(table, where, [{"_uuid": row["_uuid"]}], ["_uuid"]),)
    return ()


def _searched(rows: Sequence[Judged], schema: Mapping[str, Table], sizes: Mapping[str, int]) -> frozenset[str]:
    """Return the tables in which the keys of the new rows can be looked for within a transaction."""
    new = Counter(each.entry.table for each in rows if each.verdict is Verdict.REPLAY and each.entry.kind in NEW)
    few = sum(new.values()) <= _FEW
    visits = sum(count * len(schema[table].keys) * sizes.get(table, 0) for table, count in new.items())
    return frozenset(table for table in new if few or (table in sizes and visits <= _VISITS))


def carry_out(session: Session, plan: Plan, ident: str) -> None:
    """Replay what the plan says.  Raises Refused, and then nothing was changed, or DriverError when nobody answers."""
    try:
        session.transact(operations(plan, ident, keep=True))
    except Refused as error:
        if "syntax error" not in str(error):
            raise
        # Servers before 2.13 know no uuid in an insert: the rows get new ones.
        session.transact(operations(plan, ident, keep=False))


def operations(plan: Plan, ident: str, *, keep: bool) -> list[Operation]:
    """Return the transaction; with `keep` inserted rows get the uuids that they have in the ledger."""
    waits: list[Operation] = []
    acts: list[Operation] = []
    named = {} if keep else {
        each.entry.uuid: "row_" + each.entry.uuid.replace("-", "_")
        for each in plan.having(Verdict.REPLAY)
        if each.entry.kind in NEW
    }  # fmt: skip
    for each in plan.having(Verdict.REPLAY):
        entry, table = each.entry, plan.schema[each.entry.table]
        row = replay_check.settle(entry.row or {}, plan.inserted)
        row = {name: _named(value, named) for name, value in row.items() if name in table.columns}
        if entry.kind in NEW:
            waits += _absent(entry, table if entry.table in plan.searched else None, row, named)
            name = {"uuid": entry.uuid} if keep else {"uuid-name": named[entry.uuid]}
            acts.append({"op": "insert", "table": entry.table, "row": row, **name})
        elif entry.kind is Kind.DELETED:
            waits.append(_as_before(entry, table))
            acts.append({"op": "delete", "table": entry.table, "where": _where(entry)})
        else:
            _change(each, row, waits, acts)
    if plan.going:
        waits += [_as_before(each.entry, plan.schema[each.entry.table]) for each in plan.rows if each.goes]
    comment = {"op": "comment", "comment": f"ovsha: replays ledger {ident}"}
    return [*plan.stamp, *waits, *acts, comment, {"op": "commit", "durable": True}]


def _look_up(
    session: Session,
    entries: Iterable[Entry],
    schema: Mapping[str, Table],
    inserted: Mapping[str, str],
    sizes: dict[str, int],
) -> list[tuple[Entry, list[tuple[Question, list[Row]]]]]:
    """Return each entry with its questions and the rows found for them; note in `sizes` how long a table is."""
    asked = [(entry, list(replay_check.questions(entry, schema[entry.table], inserted))) for entry in entries]
    every = [question for _, questions in asked for question in questions]
    keys: dict[tuple[str, ...], list[Question]] = {}
    for question in every:
        if question.what == "key":
            keys.setdefault((question.table, *(name for name, _, _ in question.where)), []).append(question)
    wheres = {question: [question.where] for question in every}
    for (table, *columns), questions in keys.items():
        if len(questions) > _FEW:
            known, sizes[table] = _by_uuid(session, table, columns, questions)
            wheres |= known
    answers = iter(_select(session, schema, [(q.table, where) for q in every for where in wheres[q]]))
    return [
        (entry, [(question, [row for _ in wheres[question] for row in next(answers)]) for question in questions])
        for entry, questions in asked
    ]


def _by_uuid(
    session: Session, table: str, columns: list[str], questions: list[Question]
) -> tuple[dict[Question, list[tuple[Any, ...]]], int]:
    """Return for each question about a key the rows that have it, by one reading of the table, and its length.

    The server finds a row by its uuid at once, and by anything else only by going through
    the whole table, in which time it serves nobody.
    """
    found: dict[str, list[str]] = {}
    select = {"op": "select", "table": table, "where": [], "columns": ["_uuid", *columns]}
    rows = session.transact([select])[0]["rows"]
    for row in rows:
        found.setdefault(line({name: row[name] for name in columns}), []).append(row["_uuid"][1])
    wheres = {
        question: [
            (("_uuid", "==", ["uuid", uuid]),)
            for uuid in found.get(line({name: value for name, _, value in question.where}), [])
        ]
        for question in questions
    }
    return wheres, len(rows)


def _select(session: Session, schema: Mapping[str, Table], wanted: list[tuple[str, Any]]) -> list[list[Row]]:
    rows: list[list[Row]] = []
    for first in range(0, len(wanted), _BATCH):
        selects = [
            {
                "op": "select",
                "table": table,
                "where": [list(clause) for clause in where],
                "columns": ["_uuid", *schema[table].columns],
            }
            for table, where in wanted[first : first + _BATCH]
        ]
        rows += [result["rows"] for result in session.transact(selects)]
    return rows


def _where(entry: Entry) -> list[Any]:
    return [["_uuid", "==", ["uuid", entry.uuid]]]


def _wait(entry: Entry, row: Row) -> Operation:
    """Wait until the row is there with these values, and for no time: if it is not so, the transaction fails."""
    return _until(entry.table, _where(entry), [row], sorted(row))


def _as_before(entry: Entry, table: Table) -> Operation:
    """Wait until a row that goes is as it was when it went, in every column that is known here."""
    return _wait(entry, {name: value for name, value in (entry.base or {}).items() if name in table.columns})


def _until(table: str, where: list[Any], rows: list[Row], columns: list[str]) -> Operation:
    return {"op": "wait", "table": table, "where": where, "columns": columns, "until": "==", "rows": rows, "timeout": 0}


def _absent(entry: Entry, table: Table | None, row: Row, named: Mapping[str, str]) -> list[Operation]:
    """Wait until neither the row nor another one with one of its keys is there; without `table` only for the row.

    An index is held by the server in any case.  What is left open with many rows in a large table is that
    an address is learned anew between the look and the transaction: it is then there twice, and neither is overwritten.
    """
    wheres = [_where(entry)] if not named else []
    for key in table.keys if table is not None else ():
        clauses = [[name, "==", row[name]] for name in key if name in row]
        # A key with a row in it that is only being made is one that nobody has.
        if not any("named-uuid" in str(value) for _, _, value in clauses):
            wheres.append(clauses)
    return [_until(entry.table, where, [], ["_uuid"]) for where in wheres]


def _change(judged: Judged, row: Row, waits: list[Operation], acts: list[Operation]) -> None:
    entry = judged.entry
    base = entry.base or {}
    whole = [name for name in judged.columns if (entry.table, name) != CONFIG and name in row]
    if whole:
        waits.append(_wait(entry, {name: base[name] for name in whole}))
        acts.append(
            {"op": "update", "table": entry.table, "where": _where(entry), "row": {name: row[name] for name in whole}}
        )
    if entry.table == CONFIG[0] and CONFIG[1] in judged.columns:
        before, after = (dict(each[CONFIG[1]][1]) for each in (base, row))
        old = [[key, value] for key, value in before.items() if after.get(key) != value]
        new = [[key, value] for key, value in after.items() if before.get(key) != value]
        # By its pairs, for our own keys are in the same map; an insert leaves a key alone that somebody else has set.
        where = [*_where(entry), [CONFIG[1], "includes", ["map", old]]]
        waits.append(_until(entry.table, where, [{"_uuid": ["uuid", entry.uuid]}], ["_uuid"]))
        mutations = [[CONFIG[1], "delete", ["set", [key for key, _ in old]]], [CONFIG[1], "insert", ["map", new]]]
        acts.append({"op": "mutate", "table": entry.table, "where": _where(entry), "mutations": mutations})


def _named(value: Any, named: Mapping[str, str]) -> Any:
    if isinstance(value, list):
        if len(value) == 2 and value[0] == "uuid" and value[1] in named:
            return ["named-uuid", named[value[1]]]
        return [_named(each, named) for each in value]
    return value
