"""Telemetry whose readings also say what stands beside the counts, whoever knows it and whoever counts."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from config.policy import Failures
from daemon.aio.stretches import in_stretches
from daemon.measurements import Reading, Watch
from daemon.model import Release
from daemon.ports.telemetry import Telemetry


class SignalSource(Protocol):
    """Who knows something beside the counts."""

    async def look(self, watches: Sequence[Watch]) -> None:
        """Look anew, without delay. Raises nothing: what cannot be seen is not known."""
        ...

    def into(self, watch: Watch, reading: Reading) -> Reading:
        """The reading, with what is known of its release."""
        ...


class SignalledTelemetry:
    """``Telemetry`` with what some sources of signals know."""

    def __init__(self, telemetry: Telemetry, sources: Sequence[SignalSource]) -> None:
        self._telemetry = telemetry
        self._sources = sources

    @property
    def tick_seconds(self) -> float:
        """See ``Telemetry``."""
        return self._telemetry.tick_seconds

    @property
    def wait_seconds(self) -> float | None:
        """See ``Telemetry``."""
        return self._telemetry.wait_seconds

    @property
    def split(self) -> bool:
        """See ``Telemetry``."""
        return self._telemetry.split

    def cannot_tell(self, failures: Failures) -> Sequence[str]:
        """See ``Telemetry``."""
        return self._telemetry.cannot_tell(failures)

    def cannot_count(self, release: Release) -> str | None:
        """See ``Telemetry``."""
        return self._telemetry.cannot_count(release)

    def timed(self, release: Release) -> bool:
        """See ``Telemetry``."""
        return self._telemetry.timed(release)

    @property
    def failure(self) -> str | None:
        """See ``Telemetry``."""
        return self._telemetry.failure

    async def read(self, watches: Sequence[Watch]) -> Mapping[str, Reading]:
        """See ``Telemetry``. What is known is looked for first: some of it is found by those that count."""
        for source in self._sources:
            await source.look(watches)
        readings = dict(await self._telemetry.read(watches))
        async for watch in in_stretches(watches):
            for source in self._sources if watch.release_id in readings else ():
                readings[watch.release_id] = source.into(watch, readings[watch.release_id])
        return readings

    def forget(self, release_id: str) -> None:
        """See ``Telemetry``."""
        self._telemetry.forget(release_id)
