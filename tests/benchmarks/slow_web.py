"""A web server for benchmarks, in its own process: all loopback addresses, one body, a delay given by the path.

Not for faults: those are in the generated world.
"""

import asyncio
import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

BODY = bytes(range(256)) * 112  # 28 kB, the average of LAION's images


@contextmanager
def slow_web() -> Iterator[int]:
    """Serve as a context manager and yield the port: `/<milliseconds>/…` answers after that time, `/silent/…` never."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=_serve, args=(theirs,), daemon=True)
    process.start()
    try:
        yield int(ours.recv())
    finally:
        process.kill()
        process.join()


def _serve(pipe: Connection) -> None:
    asyncio.run(_run(pipe))


async def _run(pipe: Connection) -> None:
    server = await asyncio.start_server(_answer, "0.0.0.0", 0, backlog=1024)
    pipe.send(server.sockets[0].getsockname()[1])
    await server.serve_forever()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        kind = head.split(b" ", 2)[1].split(b"/")[1]
        if kind == b"silent":
            await reader.read()  # wait until the client disconnects
        elif kind.isdigit():
            if delay_ms := int(kind):
                await asyncio.sleep(delay_ms / 1000)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(BODY) + BODY)
        else:
            writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
    except (ConnectionError, asyncio.IncompleteReadError):
        return  # the client disconnected
    finally:
        writer.close()
