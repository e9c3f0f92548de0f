"""What a telemetry can tell of a release at all, by its schema, whoever reads it and from where."""

from collections.abc import Sequence

from config.policy import Failures
from daemon.model import Release
from daemon.telemetry.outcomes import cannot_tell
from daemon.telemetry.schema import Schema


class Telling:
    """The part of ``Telemetry`` that nobody need be asked for."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema

    @property
    def split(self) -> bool:
        """Whether the latency histograms hold successes only."""
        return self._schema.split

    def cannot_tell(self, failures: Failures) -> Sequence[str]:
        """What a policy counts as failed and this telemetry never tells."""
        return cannot_tell(self._schema, failures)

    def cannot_count(self, release: Release) -> str | None:
        """What this telemetry has no counters of."""
        if release.protocol in self._schema.protocols:
            return None
        return f"{self._schema.name} telemetry has no counters of {release.protocol}: nothing of the release could be seen"

    def timed(self, release: Release) -> bool:
        """Whether what is counted of it has a histogram."""
        return self._schema.has_latency(release.protocol)
