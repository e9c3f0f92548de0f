"""Which targets are scraped, and what is known of a scrape before anything of it is read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from yarl import URL

from daemon.measurements import Watch
from daemon.ports.telemetry import FoundTargets, Target


@dataclass(frozen=True, slots=True, kw_only=True)
class ScrapeStamp:
    """Whom a page is of, and when it was.

    Attributes:
        target: name of the proxy.
        pod: the pod beside which it stands, or what stands for one. namespace: that pod's, where it is known.
        at: when it answered.
        spacing_seconds: how far apart its scrapes usually are.
    """

    target: str
    pod: str
    at: float
    spacing_seconds: float
    namespace: str = ""


class StaticTargets:
    """``Targets`` that the settings name: the same for every release."""

    def __init__(self, endpoints: Sequence[URL]) -> None:
        named = {f"{url.host}:{url.port}": url for url in endpoints}
        targets = tuple([Target(name=name, url=str(url)) for name, url in named.items()])
        self._found = FoundTargets(baseline=targets, canary=targets)

    async def find(self, watches: Sequence[Watch]) -> Mapping[str, FoundTargets]:
        """See ``Targets``."""
        return {watch.release_id: self._found for watch in watches}
