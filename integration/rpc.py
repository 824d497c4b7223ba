"""Ask an ovsdb-server, by its database socket or its control socket, with nothing between the question and the answer.

Both speak JSON-RPC 1.0 over a unix stream socket (RFC 7047 section 4; unixctl in ovs-appctl(8)).  The lab does not use
vtep-ctl, which writes where it should only read, nor forks a program for each question.

Raises OSError (TimeoutError among them) when the server does not answer, and Refused when it does but says no.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

DATABASE = "hardware_vtep"


class Refused(Exception):
    """The server answered with an error; the text is its own."""


def call(path: Path, method: str, params: Sequence[Any], limit: float = 5.0) -> Any:
    """Return the result of one call on a connection of its own; the whole answer takes at most `limit` seconds."""
    question = json.dumps({"id": 0, "method": method, "params": params}).encode()
    deadline = time.monotonic() + limit
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(limit)
        connection.connect(str(path))
        connection.sendall(question)
        answer = _receive(connection, deadline)
    if answer["error"] is not None:
        raise Refused(str(answer["error"]).strip())
    return answer["result"]


def transact(path: Path, *operations: Mapping[str, Any], limit: float = 5.0) -> list[Any]:
    """Return the results of one hardware_vtep transaction, one for each operation."""
    results: list[Any] = call(path, "transact", [DATABASE, *operations], limit)
    for result in results:
        if result is not None and "error" in result:
            raise Refused(f"{result['error']}: {result.get('details', '')}")
    return results


def select(path: Path, table: str, *columns: str, limit: float = 5.0) -> list[dict[str, Any]]:
    """Return the rows of a table; a backup answers this too."""
    operation = {"op": "select", "table": table, "where": [], "columns": list(columns)}
    rows: list[dict[str, Any]] = transact(path, operation, limit=limit)[0]["rows"]
    return rows


def appctl(path: Path, command: str, *words: str, limit: float = 5.0) -> str:
    """Return what a control command prints, as `ovs-appctl -t PATH COMMAND WORDS...` would."""
    return str(call(path, command, words, limit) or "")


def _receive(connection: socket.socket, deadline: float) -> dict[str, Any]:
    text = bytearray()
    while True:
        connection.settimeout(max(0.001, deadline - time.monotonic()))
        piece = connection.recv(1 << 20)
        if not piece:
            raise ConnectionResetError("closed before the answer was complete")
        text += piece
        if not piece.rstrip().endswith(b"}"):  # cannot be complete: spare the parser
            continue
        try:
            answer: dict[str, Any] = json.loads(text)
        except json.JSONDecodeError:
            continue
        return answer
