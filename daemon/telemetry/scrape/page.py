"""The Prometheus page of an Envoy, read into a collection as it comes."""

from collections.abc import Mapping

from daemon.telemetry.counters.collection import Collection, Scrape
from daemon.telemetry.counters.series import Catalogue
from daemon.telemetry.schema import Dialect
from daemon.telemetry.scrape.text import parse_series, wanted_lines
from daemon.telemetry.wire import Lines


class EnvoyText:
    """The Prometheus page of Envoy's admin or stats endpoint."""

    path = "/stats/prometheus"
    query: Mapping[str, str] = {}

    def __init__(self, catalogue: Catalogue, dialect: Dialect) -> None:
        self.catalogue = catalogue
        self.names = (*dialect.names, *([dialect.uptime] if dialect.uptime else []))
        self.denials = dialect.denials.names if dialect.denials else None

    def reader(self, into: Collection, scrape: Scrape) -> "TextReader":
        """What reads one proxy's page."""
        return TextReader(self, into, scrape)


class TextReader:
    """Adds one proxy's page to a collection. ``feed`` and ``close`` raise ``InvalidInput`` when it cannot be understood."""

    def __init__(self, page: EnvoyText, into: Collection, scrape: Scrape) -> None:
        self._page = page
        self._into = into
        self._scrape = scrape
        self._lines = Lines()
        self._number = 1

    def feed(self, piece: bytes) -> None:
        """See ``Reader``."""
        lines = self._lines.feed(piece)
        if lines:
            self._read(lines)
            self._number += lines.count(b"\n")

    def close(self) -> None:
        """See ``Reader``."""
        self._read(self._lines.close())

    def _read(self, lines: bytes) -> None:
        page, catalogue, into, scrape = self._page, self._page.catalogue, self._into, self._scrape
        text = lines.decode("utf-8", "replace")
        for series_text, value in wanted_lines(text, page.names, pattern=page.denials, first=self._number):
            try:
                series = catalogue[series_text]
            except KeyError:
                series = catalogue.learn(series_text, *parse_series(series_text))
            into.met += 1
            if series is None:
                continue
            if series.aside:
                into.add_aside(series, value, target=scrape.target, at=scrape.at)
            else:
                into.add(
                    series,
                    value,
                    target=scrape.target,
                    pod=scrape.target,
                    at=scrape.at,
                    spacing_seconds=scrape.spacing_seconds,
                )
