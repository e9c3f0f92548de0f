"""How the channels stand on which verdicts are told, as Prometheus metrics: one series for each that the settings name."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge

from daemon.ports.notices import Backlog


class NoticeMetrics:
    """The port ``NoticeMeter``."""

    def __init__(self, registry: CollectorRegistry, *, now: Callable[[], float]) -> None:
        self._now = now
        self._told = Counter("verdictd_notices_sent", "Verdicts that a sink has acknowledged.", ("sink",), registry=registry)
        self._failed = Counter(
            "verdictd_notices_failed", "Attempts to tell a sink that failed.", ("sink", "error"), registry=registry
        )
        self._given_up = Counter(
            "verdictd_notices_given_up", "Verdicts that a sink was not told; each is a dead letter.", ("sink",), registry=registry
        )
        self._waiting = Gauge("verdictd_notices_waiting", "Verdicts that a sink is still to be told.", ("sink",), registry=registry)
        self._age = Gauge(
            "verdictd_notices_oldest_age_seconds",
            "How long the oldest of them has waited; 0: none waits.",
            ("sink",),
            registry=registry,
        )

    def told(self, channel: str) -> None:
        """See ``NoticeMeter.told``."""
        self._told.labels(channel).inc()

    def failed(self, channel: str, error: Exception) -> None:
        """See ``NoticeMeter.failed``."""
        self._failed.labels(channel, type(error).__name__).inc()

    def gave_up(self, channel: str) -> None:
        """See ``NoticeMeter.gave_up``."""
        self._given_up.labels(channel).inc()

    def waits(self, channel: str, backlog: Backlog) -> None:
        """See ``NoticeMeter.waits``."""
        self._told.labels(channel)
        self._given_up.labels(channel)
        self._waiting.labels(channel).set(backlog.waiting)
        since = backlog.oldest_at
        self._age.labels(channel).set_function(lambda: 0.0 if since is None else max(0.0, self._now() - since))
