"""Pass TCP connections on, as `ssh -L` does on the machine at its far end: python3 forward.py HERE:PORT THERE:PORT.

Each connection is a new one there; when one end closes, so does the other.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.close()


async def _serve(here: str, there: str) -> None:
    target, _, port = there.rpartition(":")

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(target, int(port))
        except OSError:
            writer.close()
            return
        await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))

    address, _, port_here = here.rpartition(":")
    server = await asyncio.start_server(connected, address, int(port_here))
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(*sys.argv[1:]))
