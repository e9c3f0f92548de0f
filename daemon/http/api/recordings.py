"""The recording of a release, as it lies in the daemon's folder: what was judged, to be explained and judged again elsewhere."""

import asyncio
from http import HTTPStatus
from typing import Final

from aiohttp import web

from daemon.errors import NotFound
from daemon.http import intake
from daemon.http.api.releases import ID
from daemon.http.endpoint import ApiPorts, Endpoint, Group
from daemon.http.guard import Open

NDJSON: Final = "application/x-ndjson"


def endpoints(ports: ApiPorts) -> list[Endpoint]:
    """Reading is open."""

    async def recording(request: web.Request) -> web.StreamResponse:
        view = await ports.releases.view(intake.release_id(request))
        if ports.recordings is None:
            raise NotFound("this daemon keeps no recordings; recordings.directory names a folder for them")
        file = ports.recordings / f"{view.id}.jsonl"
        if not await asyncio.to_thread(file.is_file):
            why = "nothing was sampled yet, it was another daemon's, or it was kept for as long as it is to be"
            raise NotFound(f"release {view.id} has no recording here: {why}")
        told = {"Content-Type": NDJSON, "Content-Disposition": f'attachment; filename="{file.name}"', "Cache-Control": "no-store"}
        return web.FileResponse(file, headers=told)

    return [
        Endpoint(
            name="getRecording",
            method="GET",
            path="/v1/releases/{id}/recording",
            handler=recording,
            guard=Open(),
            summary="The samples that were judged, as JSON lines; of a watch that goes on, those that are there.",
            parameters=(ID,),
            answers={HTTPStatus.OK: NDJSON, 206: NDJSON, 304: NDJSON, 400: None, 404: None, 409: None, 416: None},
            about={206: "A part that was asked for.", 304: "As the sender has it.", 416: "There is no such part."},
        )
    ]


GROUP: Final = Group(name="recordings", about="What was judged, for `verdictd explain` and `verdictd replay`.", endpoints=endpoints)
