"""The recording of a release, as it lies in the daemon's folder: what was judged, to be explained and judged again elsewhere."""

import logging
from http import HTTPStatus
from pathlib import Path
from typing import Final

from aiohttp import web

from daemon.aio.threads import OwnThread
from daemon.errors import NotFound
from daemon.http import intake, slowreaders
from daemon.http.api.releases import ID
from daemon.http.endpoint import ApiPorts, Endpoint, Group
from daemon.http.guard import Open

log = logging.getLogger(__name__)

NDJSON: Final = "application/x-ndjson"
PIECE_BYTES: Final = 256 * 1024
SLOWEST_SECONDS: Final = 10.0
"""For a piece to be taken; whoever is slower is cut off."""


def endpoints(ports: ApiPorts) -> list[Endpoint]:
    """Reading is open."""

    async def recording(request: web.Request) -> web.StreamResponse:
        view = await ports.releases.view(intake.release_id(request))
        if ports.recordings is None:
            raise NotFound("this daemon keeps no recordings; recordings.directory names a folder for them")
        file, reading = ports.recordings / f"{view.id}.jsonl", OwnThread("recording")
        size = await reading.run(_size, file)
        if size is None:
            why = "nothing was sampled yet, it was another daemon's, or it was kept for as long as it is to be"
            raise NotFound(f"release {view.id} has no recording here: {why}")
        told = {"Content-Type": NDJSON, "Content-Disposition": f'attachment; filename="{file.name}"', "Cache-Control": "no-store"}
        response = web.StreamResponse(headers=told)
        response.content_length = size
        await response.prepare(request)
        if request.method != "HEAD":
            await _send(file, size, request=request, response=response, reading=reading)
        return response

    return [
        Endpoint(
            name="getRecording",
            method="GET",
            path="/v1/releases/{id}/recording",
            handler=recording,
            guard=Open(),
            summary="The samples that were judged, as JSON lines; of a watch that goes on, those that are there.",
            parameters=(ID,),
            answers={HTTPStatus.OK: NDJSON, 400: None, 404: None, 409: None},
        )
    ]


async def _send(file: Path, size: int, *, request: web.Request, response: web.StreamResponse, reading: OwnThread) -> None:
    """Piece by piece, and in the handler: what the library sends of a file by itself it sends where nobody counts the connection as
    busy. Whoever is too slow, and what is gone meanwhile, ends with the connection.
    """
    try:
        for offset in range(0, size, PIECE_BYTES):
            piece = await reading.run(_piece, file, offset=offset, size=min(PIECE_BYTES, size - offset))
            await slowreaders.write(piece, request=request, response=response, within_seconds=SLOWEST_SECONDS)
    except OSError as error:  # a connection that is gone is one too
        log.info("a recording was not sent whole", extra={"file": file.name, "reason": str(error)})
        if request.transport is not None:
            request.transport.abort()


def _size(file: Path) -> int | None:
    return file.stat().st_size if file.is_file() else None


def _piece(file: Path, *, offset: int, size: int) -> bytes:
    with file.open("rb") as lying:
        lying.seek(offset)
        return lying.read(size)


GROUP: Final = Group(name="recordings", about="What was judged, for `verdictd explain` and `verdictd replay`.", endpoints=endpoints)
