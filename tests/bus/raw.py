"""A client that sends bytes as they are: what the library would not let through, others may send."""

import asyncio
from collections.abc import Mapping


async def publish(url: str, subject: bytes, body: bytes, *, headers: Mapping[bytes, bytes] | None = None) -> None:
    """Publish one message; returns when its stream has taken it."""
    block = None
    if headers is not None:
        block = b"NATS/1.0\r\n" + b"".join(b"%b: %b\r\n" % pair for pair in headers.items()) + b"\r\n"
    await publish_block(url, subject, body, block=block)


async def publish_block(url: str, subject: bytes, body: bytes, *, block: bytes | None) -> None:
    """Publish one message whose headers are these bytes, whatever they are; returns when its stream has taken it.

    The broker's own "+OK" would be too early: what another connection sends then can still stand before it in the stream.
    """
    host, _, port = url.removeprefix("nats://").rpartition(":")
    async with asyncio.timeout(40):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b'CONNECT {"verbose":false,"headers":true,"protocol":1}\r\nSUB _INBOX.raw.taken 1\r\n')
        if block is None:
            writer.write(b"PUB %b _INBOX.raw.taken %d\r\n%b\r\n" % (subject, len(body), body))
        else:
            sizes = b"%d %d" % (len(block), len(block) + len(body))
            writer.write(b"HPUB %b _INBOX.raw.taken %b\r\n%b%b\r\n" % (subject, sizes, block, body))
        answer = await _answer(reader)
        assert b'"stream":' in answer, answer
        writer.close()
        await writer.wait_closed()


async def _answer(reader: asyncio.StreamReader) -> bytes:
    """What the stream answers; the broker greets first, and asks now and then whether we are there."""
    while not (line := await reader.readline()).startswith(b"MSG _INBOX.raw.taken 1 "):
        assert line.startswith((b"INFO ", b"PING")), line
    return await reader.readline()
