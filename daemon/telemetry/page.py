"""The Prometheus page of an Envoy, read into a collection."""

from collections.abc import Mapping

from daemon.telemetry.catalogue import Catalogue
from daemon.telemetry.collecting import Collection
from daemon.telemetry.dialect import Dialect
from daemon.telemetry.exposition import parse_series, wanted_lines
from daemon.telemetry.fetching import Body


class EnvoyText:
    """The Prometheus page of Envoy's admin or stats endpoint."""

    path = "/stats/prometheus"
    query: Mapping[str, str] = {}

    def __init__(self, catalogue: Catalogue, dialect: Dialect) -> None:
        self._catalogue = catalogue
        self._names = (*dialect.names, *([dialect.uptime] if dialect.uptime else []))
        self._denials = dialect.denials.names if dialect.denials else None

    def collect(self, body: Body, into: Collection, *, target: str, at: float, spacing_seconds: float) -> None:
        """Add one proxy's page. Raises ``InvalidInput`` when it cannot be understood."""
        catalogue = self._catalogue
        for text, value in wanted_lines(body.decode("utf-8", "replace"), self._names, pattern=self._denials):
            try:
                series = catalogue[text]
            except KeyError:
                series = catalogue.learn(text, *parse_series(text))
            into.met += 1
            if series is None:
                continue
            if series.aside:
                into.add_aside(series, value, target=target, at=at)
            else:
                into.add(series, value, target=target, pod=target, at=at, spacing_seconds=spacing_seconds)
