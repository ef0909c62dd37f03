"""Rewrite proxy: InfluxDB 2's write address in front of a 1.x server, as cheap as Python can.

    python -m benchmarks.rewrite_proxy SERVER_PORT

Only the request's first line is read; bodies and answers pass as they are. It runs in a process of
its own so that its cost is never counted as the collector's or the database's. Prints its port.
"""

import asyncio
import re
import sys
from contextlib import suppress

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_BUCKET = re.compile(rb"[?&]bucket=([^& ]+)")
_PRECISION = re.compile(rb"[?&]precision=([^& ]+)")
_PIECE = 1 << 16


def rewritten(head: bytes) -> bytes:
    """`/api/v2/write?org&bucket&precision` becomes `/write?db&precision`; all else stays."""
    line, newline, rest = head.partition(b"\r\n")
    if b" /api/v2/write?" not in line:
        return head
    bucket, precision = _BUCKET.search(line), _PRECISION.search(line)
    assert bucket is not None
    unit = precision[1] if precision else b"ns"
    return b"POST /write?db=%b&precision=%b HTTP/1.1%b%b" % (bucket[1], unit, newline, rest)


async def _requests(reader: asyncio.StreamReader, server: asyncio.StreamWriter) -> None:
    while True:
        head = await reader.readuntil(b"\r\n\r\n")
        server.write(rewritten(head))
        length = _LENGTH.search(head)
        left = int(length[1]) if length else 0
        while left:
            piece = await reader.read(min(left, _PIECE))
            if not piece:
                return
            server.write(piece)
            left -= len(piece)
        await server.drain()


async def _answers(reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
    while piece := await reader.read(_PIECE):
        client.write(piece)
        await client.drain()


async def _serve(port: int) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", port)
        tasks = [
            asyncio.create_task(_requests(reader, up_writer)),
            asyncio.create_task(_answers(up_reader, writer)),
        ]
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError, asyncio.IncompleteReadError, ConnectionError):
                await task
        up_writer.close()
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve(int(sys.argv[1])))
