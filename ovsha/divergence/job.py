"""List what exists only in a snapshot: python3 -m ovsha.divergence.job ERRAND, a child of the agent.

Exit status 0: it is listed, or there is nothing to list, and one line on the standard
output says so.  1: it failed, and one line on the standard error says why; the errand
stays.  75 (EX_TEMPFAIL of sysexits.h): another one is at it.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import tenacity

from ovsha import config as configuration
from ovsha.core.stamps import TERM, number, pairs_of
from ovsha.divergence import baseline, ledger, pending
from ovsha.divergence.baseline import Baseline, Choice
from ovsha.divergence.compare import difference, doubts
from ovsha.divergence.pending import Task
from ovsha.errors import ConfigError, DriverError
from ovsha.ovsdb import contents, log_file
from ovsha.ovsdb.client import Session
from ovsha.ovsdb.contents import Rows, Table
from ovsha.peer.rpc_client import PeerLedgers

PATIENCE = 30.0
"""Seconds to wait for the peer to have its base, and for our own copy of it to be filled: both take a second or two."""

_TOOL_LIMIT = 300.0
_ASK_LIMIT = 10.0


def main(argv: Sequence[str]) -> int:
    """Do the errand in file `argv[0]`; return the exit status."""
    try:
        with pending.held(Path(argv[0])) as mine:
            if not mine:
                return pending.BUSY
            task = pending.load(Path(argv[0]))
            try:
                print(do(task))
            except (DriverError, ConfigError) as error:
                # An OSError is our own disk: what is on it shall be compared once that is mended.
                if task.tries < pending.TRIES:
                    raise
                print(give_up(task, word(error)))
            except OSError:
                with contextlib.suppress(OSError):
                    pending.save(replace(task, tries=task.tries - 1))
                raise
    except (DriverError, ConfigError, OSError) as error:
        print(word(error), file=sys.stderr)
        return 1
    return 0


def word(error: Exception) -> str:
    """Return what went wrong, in one line."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return " ".join(str(error).split())


def do(task: Task, patience: float = PATIENCE) -> str:
    """Write the ledger and end the errand; return what came of it in a sentence.  Raises DriverError and OSError."""
    done = [head for head in ledger.heads(task.ledgers)[0] if head.id == task.id]
    if done:  # killed just before it was over; somebody may have decided on the ledger since
        pending.forget(task)
        return told(done[0])
    if task.tries > pending.TRIES:
        raise DriverError("it was begun three times, and each time ended or was ended before it was done")
    choice = choose(task, patience)
    if choice.planned:
        pending.forget(task)
        return f"{task.peer} had taken over term {task.term} by plan; nothing to compare"
    ours = contents.tables(log_file.schema(Path(task.data)))
    found: tuple[contents.Columns, Rows] | None = None
    if choice.base is not None:
        try:
            found = _of_base(task, choice, ours)
        except DriverError as error:
            if task.tries < pending.TRIES:
                raise
            choice = Choice(why=str(error))
    columns, before = found or _of_survivor(task, ours, patience)
    name = choice.base.file if choice.base else None
    after = contents.of_file(Path(task.data), task.database, columns, _TOOL_LIMIT)
    entries = list(difference(before, after))
    why = choice.why
    if choice.of_peer and choice.base is not None:
        why = _doubt(task, choice.base, before, columns)
    exact = choice.base is not None and not why
    head = replace(_head(task), base=name, exact=exact, why=why)
    head = ledger.add(task.ledgers, head, entries if exact else doubts(entries))
    pending.forget(task)
    return told(head)


def _doubt(task: Task, base: Baseline, before: Rows, columns: contents.Columns) -> str:
    """Return why a base of the peer's, with rows `before`, is not known to be a moment of our past, "" when it is.

    Both are beginnings of one history, that of our term, but not everything is written
    to the disk that was copied already: a switch that lost its power may have lost the end of its
    file, and then it is the snapshot that came before the base.  Nor is everything in the base
    for sure ours, if somebody wrote to the peer's server while that was taking over.
    """
    data = Path(task.data)
    try:
        if log_file.ever_held(data, before, columns):
            return ""
    except DriverError as error:
        return f"the past of {task.node} cannot be read: {error}"
    _, last = contents.lineage_of_file(data, task.database, _TOOL_LIMIT)
    if not log_file.compacted(data, task.term, task.node):
        return f"{task.node} never held what {base.node} went on with: the end of its file may be lost"
    if last is None or base.token is None or last <= base.token:
        return f"the file of {task.node} was compacted, and its end may be lost"
    return ""


def give_up(task: Task, why: str) -> str:
    """Put up a ledger without rows that says why there are none; return that in a sentence.  Raises OSError."""
    head = ledger.add(task.ledgers, replace(_head(task), exact=False, failed=why), [])
    pending.forget(task)
    return f"ledger {head.id}: snapshot {head.snapshot} of term {head.term} cannot be compared: {why}"


def _head(task: Task) -> ledger.Head:
    return ledger.Head(
        task.id, task.node, task.term, task.peer, task.peer_term, task.when, task.snapshot, task.size, task.database
    )


def told(head: ledger.Head) -> str:
    """Return what a ledger comes to, in a sentence."""
    if not head.rows:
        return f"nothing exists only in snapshot {head.snapshot} of term {head.term}"
    of = f"snapshot {head.snapshot} of term {head.term}"
    if not head.exact:
        rows = "1 row" if head.rows == 1 else f"{head.rows} rows"
        return f"ledger {head.id}: {rows} of {of} in doubt; this is not exact: {head.why}"
    counts = ", ".join(f"{count} {kind}" for kind, count in head.counts.items() if count)
    return f"ledger {head.id}: rows that exist only in {of}: {counts}"


def choose(task: Task, patience: float) -> Choice:
    """Return what to compare with, as soon as the peer can tell.  Raises DriverError while that may still come."""
    troubles: list[str] = []

    def look() -> Choice | None:
        try:
            return baseline.choose(task.lost, task.survivor, baseline.load(task.bases), _bases_of_peer(task))
        except DriverError as error:
            troubles.append(str(error))
            return None

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_result(lambda choice: choice is None),
        stop=tenacity.stop_after_delay(patience),
        wait=tenacity.wait_fixed(min(1.0, patience / 4)),
        retry_error_callback=lambda state: None,
    )
    choice: Choice | None = retrying(look)
    if choice is not None:
        return choice
    silent = troubles[-1] if troubles else f"{task.peer} does not know how it came to serve after term {task.term}"
    if task.tries < pending.TRIES:
        raise DriverError(silent)
    return Choice(why=silent)


def _bases_of_peer(task: Task) -> list[Baseline]:
    peer = _peer(task)
    wanted = {baseline.name(term) for term in range(1, task.peer_term + 1)}
    found = []
    for name in peer.names("bases"):
        if name in wanted:
            # What is damaged, or of another release, is as good as not there.
            with contextlib.suppress(ValueError):
                found.append(baseline.parse(peer.text("bases", name)))
    return found


def _peer(task: Task) -> PeerLedgers:
    return PeerLedgers(task.address, task.port, configuration.read_key(Path(task.key_file)))


def _of_base(task: Task, choice: Choice, ours: dict[str, Table]) -> tuple[contents.Columns, Rows]:
    """Return the columns to compare, and the rows of the base."""
    assert choice.base is not None
    name = str(choice.base.file)
    with tempfile.TemporaryDirectory(prefix="ovsha-ledger-") as place:
        path = task.bases / name
        if choice.of_peer:
            path = Path(place) / name
            _peer(task).save("bases", name, path)
        _verify(path, task, choice.base)
        columns = contents.shared(ours, contents.tables(log_file.schema(path)))
        return columns, contents.of_file(path, task.database, columns, _TOOL_LIMIT)


def _verify(path: Path, task: Task, base: Baseline) -> None:
    """Raise DriverError unless a file is the whole base that its small file tells of.

    ovsdb-tool reads a damaged file up to the damage and says nothing.
    """
    of = f"what {base.node} held when it opened term {base.term}"
    if not log_file.whole(path):
        raise DriverError(f"{of} is damaged: {base.file}")
    if contents.lineage_of_file(path, task.database, _TOOL_LIMIT)[0] != base.origin:
        raise DriverError(f"{of} is not what was kept then: {base.file}")


def _of_survivor(task: Task, ours: dict[str, Table], patience: float) -> tuple[contents.Columns, Rows]:
    """Return the columns to compare, and the survivor's rows as they are now.

    They are read from our own copy, so that the active side is spared a dump.  Raises
    DriverError when that copy is not filled within `patience` seconds.
    """
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(DriverError),
        stop=tenacity.stop_after_delay(patience),
        wait=tenacity.wait_fixed(min(1.0, patience / 4)),
        reraise=True,
    )
    retrying(lambda: _filled(task))
    with Session(f"unix:{task.socket}", task.database, _TOOL_LIMIT) as session:
        columns = contents.shared(ours, contents.tables(session.schema()))
        return columns, contents.of_results(session.transact(list(contents.selects(columns))), columns)


def _filled(task: Task) -> None:
    """Raise DriverError while our own server has not what the peer had in its term."""
    with Session(f"unix:{task.socket}", task.database, _ASK_LIMIT) as session:
        rows = session.transact(list(contents.selects({"Global": ["other_config"]})))[0]["rows"]
    terms = [number(pairs_of(row["other_config"]).get(TERM)) for row in rows]
    if not any(term is not None and term >= task.peer_term for term in terms):
        raise DriverError(f"there is no base, and the copy of {task.peer}'s term {task.peer_term} is not filled yet")


if __name__ == "__main__":
    os.nice(10)
    os.umask(0o077)
    sys.exit(main(sys.argv[1:]))
