"""What is written to somebody who may not take it: whoever is too slow is cut off."""

import asyncio

from aiohttp import web


async def write(body: bytes, *, request: web.Request, response: web.StreamResponse, within_seconds: float) -> None:
    """Write a part of an answer. Raises ``ConnectionError`` when the reader is gone, or too slow."""
    try:
        async with asyncio.timeout(within_seconds):
            await response.write(body)
    except TimeoutError as error:
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionResetError("the reader is too slow") from error
