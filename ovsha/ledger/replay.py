"""Do again on the active side what a ledger lists, in one transaction or not at all.

Each row is looked up first, so that what has moved on is named; the transaction then waits
for each row to be as it was found (RFC 7047 section 5.2.6, with no time), so that what
moves in between makes the whole fail.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ovsha.errors import DriverError
from ovsha.ledger import judge
from ovsha.ledger.compare import Entry, Kind, Row
from ovsha.ledger.content import line
from ovsha.ledger.judge import CONFIG, Judged, Question, Verdict
from ovsha.ledger.schema import Table, tables
from ovsha.ledger.session import Refused, Session

_BATCH = 500
_FEW = 20
"""How many times the server may go through a whole table for us; with 100,000 rows it serves nobody meanwhile."""

Operation = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """Every row of a ledger with its verdict; `schema` is that of the active side."""

    rows: tuple[Judged, ...]
    schema: Mapping[str, Table]

    def having(self, verdict: Verdict) -> list[Judged]:
        """Return the rows of one verdict."""
        return [row for row in self.rows if row.verdict is verdict]

    @property
    def inserted(self) -> dict[str, str]:
        """The uuids that the ledger's inserted rows have on the active side, by those in the ledger."""
        return {each.entry.uuid: each.same or each.entry.uuid for each in self.rows if each.entry.kind is Kind.INSERTED}


def plan(session: Session, entries: Sequence[Entry]) -> Plan:
    """Look up every row and return what can be done.  Raises DriverError when the server does not answer or know it."""
    schema = tables(session.schema())
    unknown = next((entry.table for entry in entries if entry.table not in schema), None)
    if unknown is not None:
        raise DriverError(f"the active side has no table {unknown}: its schema is not that of the ledger")
    inserted = {entry.uuid: entry.uuid for entry in entries if entry.kind is Kind.INSERTED}
    judged: list[Judged] = []
    # Rows that refer to none come first: where another row stands for one of them, others refer to that.
    for refers in (False, True):
        these = [entry for entry in entries if bool(schema[entry.table].references) is refers]
        for entry, asked in _look_up(session, these, schema, inserted):
            judged.append(judge.judge(entry, schema[entry.table], asked, inserted))
        inserted |= {each.entry.uuid: each.same for each in judged if each.same is not None}
    return Plan(tuple(judged), schema)


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
        if each.entry.kind is Kind.INSERTED
    }  # fmt: skip
    inserts = sum(each.entry.kind is Kind.INSERTED for each in plan.having(Verdict.REPLAY))
    for each in plan.having(Verdict.REPLAY):
        entry, table = each.entry, plan.schema[each.entry.table]
        row = judge.settle(entry.row or {}, plan.inserted)
        row = {name: _named(value, named) for name, value in row.items() if name in table.columns}
        if entry.kind is Kind.INSERTED:
            waits += _absent(entry, table if inserts <= _FEW else None, row, named)
            name = {"uuid": entry.uuid} if keep else {"uuid-name": named[entry.uuid]}
            acts.append({"op": "insert", "table": entry.table, "row": row, **name})
        elif entry.kind is Kind.DELETED:
            waits.append(_wait(entry, entry.base or {}))
            acts.append({"op": "delete", "table": entry.table, "where": _where(entry)})
        else:
            _change(each, row, waits, acts)
    comment = {"op": "comment", "comment": f"ovsha: replays ledger {ident}"}
    return [*waits, *acts, comment, {"op": "commit", "durable": True}]


def _look_up(
    session: Session, entries: Iterable[Entry], schema: Mapping[str, Table], inserted: Mapping[str, str]
) -> list[tuple[Entry, list[tuple[Question, list[Row]]]]]:
    """Return each entry with its questions and the rows found for them."""
    asked = [(entry, list(judge.questions(entry, schema[entry.table], inserted))) for entry in entries]
    every = [question for _, questions in asked for question in questions]
    keys: dict[tuple[str, ...], list[Question]] = {}
    for question in every:
        if question.what == "key":
            keys.setdefault((question.table, *(name for name, _, _ in question.where)), []).append(question)
    wheres = {question: [question.where] for question in every}
    for (table, *columns), questions in keys.items():
        if len(questions) > _FEW:
            wheres |= _by_uuid(session, table, columns, questions)
    answers = iter(_select(session, schema, [(q.table, where) for q in every for where in wheres[q]]))
    return [
        (entry, [(question, [row for _ in wheres[question] for row in next(answers)]) for question in questions])
        for entry, questions in asked
    ]


def _by_uuid(
    session: Session, table: str, columns: list[str], questions: list[Question]
) -> dict[Question, list[tuple[Any, ...]]]:
    """Return for each question about a key the rows that have it, by one reading of the table.

    The server finds a row by its uuid at once, and by anything else only by going through
    the whole table, in which time it serves nobody.
    """
    found: dict[str, list[str]] = {}
    select = {"op": "select", "table": table, "where": [], "columns": ["_uuid", *columns]}
    for row in session.transact([select])[0]["rows"]:
        found.setdefault(line({name: row[name] for name in columns}), []).append(row["_uuid"][1])
    return {
        question: [
            (("_uuid", "==", ["uuid", uuid]),)
            for uuid in found.get(line({name: value for name, _, value in question.where}), [])
        ]
        for question in questions
    }


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


def _until(table: str, where: list[Any], rows: list[Row], columns: list[str]) -> Operation:
    return {"op": "wait", "table": table, "where": where, "columns": columns, "until": "==", "rows": rows, "timeout": 0}


def _absent(entry: Entry, table: Table | None, row: Row, named: Mapping[str, str]) -> list[Operation]:
    """Wait until neither the row nor another one with one of its keys is there; without `table` only for the row.

    An index is held by the server in any case.  What is left open with many rows is that an
    address is learned anew between the look and the transaction: it is then there twice.
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
