"""Ask an ovsdb-server, waiting for its answer: JSON-RPC over python-ovs (RFC 7047 section 4)."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

from ovs.jsonrpc import Connection, Message
from ovs.poller import Poller

from ovsha.errors import DriverError
from ovsha.ovsdb import transport
from ovsha.ovsdb.transport import Stream

CONNECT_LIMIT = 5.0
"""Seconds for the connection: where packets are dropped, nothing ever refuses it."""


class Refused(DriverError):
    """The server took the transaction and refused it: nothing was changed."""


class Session:
    """A connection to database `name` at `target`, such as "unix:/run/db.sock"; each answer may take `limit` seconds.

    `whose` is the node of that server, to be told in an error.
    Raises DriverError when it cannot be made, as everything here does for what the server and the network do.
    """

    def __init__(self, target: str, name: str, limit: float, whose: str = "") -> None:
        self.target, self._name, self._limit = target, name, limit
        error, stream = Stream.open_block(Stream.open(target), round(min(limit, CONNECT_LIMIT) * 1000))
        if error:
            of = f"{whose}'s " if whose else ""
            raise DriverError(f"{of}ovsdb-server at {target} cannot be reached: {os.strerror(error)}")
        self._connection = Connection(stream)

    def schema(self) -> dict[str, Any]:
        """Return the schema of the database."""
        found = self._call("get_schema", [self._name])
        if not isinstance(found, dict):
            raise DriverError(f"ovsdb-server at {self.target} has no schema of {self._name}")
        return found

    def transact(self, operations: Sequence[Mapping[str, Any]]) -> list[Any]:
        """Carry out one transaction and return the results of its operations.  Raises Refused when it is refused."""
        results = self._call("transact", [self._name, *operations])
        for number, result in enumerate(results):
            if isinstance(result, dict) and result.get("error"):
                what = f"{result['error']}: {result.get('details', '')}".rstrip(": ")
                of = f"operation {number + 1} of {len(operations)}" if number < len(operations) else "the whole"
                raise Refused(f"ovsdb-server at {self.target} refuses {of}: {what}")
        return list(results)

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *args: object) -> None:
        self.close()

    def _call(self, method: str, params: Sequence[Any]) -> Any:
        request, deadline = Message.create_request(method, list(params)), time.monotonic() + self._limit
        error = self._connection.send(request)
        while not error:
            self._connection.run()
            error, message = self._connection.recv()
            if not error:
                if message.type == Message.T_REQUEST and message.method == "echo":
                    self._connection.send(Message.create_reply(message.params, message.id))
                elif message.type in (Message.T_REPLY, Message.T_ERROR) and message.id == request.id:
                    if message.error is not None:
                        raise Refused(f"ovsdb-server at {self.target} refuses {method}: {message.error}")
                    return message.result
            elif error == errno.EAGAIN:
                error = self._wait(deadline)
        stream = self._connection.stream
        unsafe = stream.trouble if isinstance(stream, transport.TlsStream) else ""
        what = unsafe or ("the connection ended" if error < 0 else os.strerror(error))
        raise DriverError(f"ovsdb-server at {self.target} has not answered {method}: {what}")

    def _wait(self, deadline: float) -> int:
        left = deadline - time.monotonic()
        if left <= 0:
            return errno.ETIMEDOUT
        poller = Poller()
        self._connection.wait(poller)
        self._connection.recv_wait(poller)
        poller.timer_wait(int(left * 1000) + 1)
        poller.block()
        return 0
