"""Servers that mean us no good, written on bare sockets: what they send is what a test says, to the byte."""

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from yarl import URL

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]
MIB = 1024 * 1024


@dataclass
class Server:
    """Where it listens, what it was asked (heads, as they came), and how many bytes of bodies it could send."""

    url: URL
    asked: list[str] = field(default_factory=list)
    sent_bytes: int = 0

    async def send(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        """Send, as fast as the other side reads."""
        writer.write(data)
        await writer.drain()
        self.sent_bytes += len(data)


@asynccontextmanager
async def server(answer: Callable[[Server, asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[Server]:
    """One connection, one answer."""
    tasks: set[asyncio.Task[None]] = set()
    writers: list[asyncio.StreamWriter] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        writers.append(writer)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                head = await reader.readuntil(b"\r\n\r\n")
                made.asked.append(head.decode())
                await answer(made, writer)
                writer.close()
                await writer.wait_closed()
        finally:
            tasks.discard(task)
            writer.transport.abort()  # whoever does not read what is left keeps no connection open

    listening = await asyncio.start_server(handle, "127.0.0.1", 0)
    made = Server(URL(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/"))
    try:
        yield made
    finally:
        listening.close()
        for task in list(tasks):
            task.cancel()
        if tasks:
            await asyncio.wait(list(tasks))
        for writer in writers:
            writer.transport.abort()  # what nobody has read is not waited for
        await asyncio.gather(*(writer.wait_closed() for writer in writers), return_exceptions=True)


def head(status: str = "200 OK", **headers: str) -> bytes:
    """The head of an answer that ends with its connection."""
    lines = [f"HTTP/1.1 {status}", "Connection: close", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def says(body: bytes = b"", status: str = "200 OK", **headers: str) -> Callable[[Server, asyncio.StreamWriter], Awaitable[None]]:
    """Answer this."""

    async def answer(made: Server, writer: asyncio.StreamWriter) -> None:
        await made.send(writer, head(status, **headers) + body)

    return answer


def bomb(size_bytes: int, *, of: bytes = b"\0") -> bytes:
    """A small gzip that unpacks to this much."""
    return gzip.compress(of * (size_bytes // len(of)), compresslevel=9)


def endless_gzip() -> Iterator[bytes]:
    """A gzip without end: 1 MiB of the same in each part of a KiB."""
    packing = zlib.compressobj(9, wbits=31)
    yield packing.compress(b"\n" * MIB) + packing.flush(zlib.Z_FULL_FLUSH)
    again = packing.compress(b"\n" * MIB) + packing.flush(zlib.Z_FULL_FLUSH)
    while True:
        yield again
