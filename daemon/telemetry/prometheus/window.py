"""How far back to ask Prometheus for raw samples: long enough to meet a new one, short enough not to carry old ones along."""

_SPACINGS = 2.5
_SLACK_SECONDS = 1.0
_WIDE_EVERY = 10


class Window:
    """Learns how far apart the samples are and asks for a few of them.

    Every tenth time it looks as far back as samples count at all, so that targets that are scraped less often are met too.
    """

    def __init__(self, *, tick_seconds: float, longest_seconds: float) -> None:
        self._tick_seconds = tick_seconds
        self._longest_seconds = longest_seconds
        self._spacing: float | None = None
        self._asked = 0

    def next_seconds(self) -> float:
        """The window to ask for now."""
        self._asked += 1
        if self._spacing is None or self._asked % _WIDE_EVERY == 0:
            return self._longest_seconds
        wanted = max(_SPACINGS * self._spacing, self._tick_seconds) + _SLACK_SECONDS
        return min(wanted, self._longest_seconds)

    @property
    def spacing_seconds(self) -> float:
        """How far apart samples are, as far as is known; 0 before anything is."""
        return self._spacing or 0.0

    def spaced(self, seconds: float) -> None:
        """Two samples of one series lie so far apart."""
        if seconds > self.spacing_seconds:
            self._spacing = seconds

    def widen(self) -> None:
        """Nothing was met: look as far back as samples count at all."""
        self._spacing = None
