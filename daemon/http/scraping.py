"""``/metrics``, written in a thread: with thousands of releases it takes most of a second, and a revert must not wait for it."""

import asyncio

from aiohttp import web
from prometheus_client.exposition import choose_encoder

from daemon.http.metrics import Metrics
from daemon.http.releases import in_turns
from daemon.model import Stage
from daemon.ports import ReleaseService


class Scraping:
    """The handler. One scrape at a time: a second one waits, so that scrapes cannot crowd out the daemon."""

    def __init__(self, metrics: Metrics, desk: ReleaseService) -> None:
        self._metrics = metrics
        self._desk = desk
        self._one = asyncio.Lock()

    async def metrics(self, request: web.Request) -> web.Response:
        """All metrics, in the format that the scraper asks for."""
        async with self._one:
            # The desk belongs to the event loop: it is asked here, and only the numbers go to the thread.
            counts = dict.fromkeys(Stage, 0)
            async for view in in_turns(self._desk.views()):
                counts[view.stage] += 1
            self._metrics.set_stages(counts)
            encoder, content_type = choose_encoder(request.headers.get("Accept", ""))
            body = await asyncio.to_thread(encoder, self._metrics.registry)
        response = web.Response(body=body, headers={"Content-Type": content_type})
        response.enable_compression()
        return response
