"""A page in the Prometheus text format, read into a collection as it comes, as fast as a per-second scrape of many proxies needs.

A page has hundreds of series of which we want a handful. So lines are filtered by name before anything else is looked at,
and a series (name and labels) is handed on as the text it is: what is known of it is kept by that text, and its labels are
parsed once, not at every scrape.
"""

import re
from collections.abc import Iterable, Iterator

from daemon.errors import InvalidInput
from daemon.telemetry.counters.collection import Collection
from daemon.telemetry.counters.series import SeriesIndex
from daemon.telemetry.schema import Schema, TextPage
from daemon.telemetry.scrape.targets import ScrapeStamp
from daemon.telemetry.wire import NUMBER, Lines

_LABEL = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"((?:[^"\\]|\\.)*)"\s*(,|$)')
_ESCAPED = re.compile(r"\\(.)")
_UNESCAPED = {"n": "\n", "\\": "\\", '"': '"'}
_LITERAL = re.compile(r"\w*(?![?*{])", re.ASCII)
_AFTER_NAME = "{ \t"


class PrometheusText:
    """``Page`` of a target in the Prometheus text format."""

    def __init__(self, index: SeriesIndex, schema: Schema) -> None:
        self.index = index
        self.pod_label = schema.target.pod
        self.namespace_labels = sorted(
            {str(view.arms.namespace) for view in schema.views if not view.on_page and view.arms.namespace}
        )
        self.path = schema.scrape.path if isinstance(schema.scrape, TextPage) else "/stats/prometheus"
        self.query: dict[str, str] = {}
        names = [name for view in schema.views for name in view.names]
        ages = [schema.about.age.metric] if schema.about.age is not None else []
        beside = [counter.names for view in schema.views for counter in view.beside]
        self.wanted = Wanted([*names, *ages], patterns=[*beside, *(counter.names for counter in schema.about.denials)])

    def reader(self, into: Collection, stamp: ScrapeStamp) -> "TextReader":
        """What reads one target's page."""
        return TextReader(self, into, stamp)


class TextReader:
    """Adds one proxy's page to a collection. ``feed`` and ``close`` raise ``InvalidInput`` when it cannot be understood."""

    def __init__(self, page: PrometheusText, into: Collection, stamp: ScrapeStamp) -> None:
        self._page = page
        self._into = into
        self._stamp = stamp
        self._lines = Lines()
        self._number = 1
        # What a Prometheus would have added that had found the pod.
        self._of_pod = {page.pod_label: stamp.pod, **dict.fromkeys(page.namespace_labels, stamp.namespace)}

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
        index, wanted, into, stamp = self._page.index, self._page.wanted, self._into, self._stamp
        text = lines.decode("utf-8", "replace")
        by_pod = index.by_pod
        for series_text, value in wanted_lines(text, wanted, first=self._number):
            # A page does not say whose it is: the same text is another series on another pod's.
            key: object = (series_text, stamp.namespace, stamp.pod) if by_pod else series_text
            try:
                series = index[key]
            except KeyError:
                name, labels = parse_series(series_text)
                series = index.learn(key, name, {**labels, **self._of_pod} if by_pod else labels)
            into.met += 1
            if series is None:
                continue
            if series.of_target:
                into.add_metadata(series, value, target=stamp.target, at=stamp.at)
            else:
                into.add(
                    series,
                    value,
                    target=stamp.target,
                    pod=stamp.pod,
                    at=stamp.at,
                    spacing_seconds=stamp.spacing_seconds,
                )


class Wanted:
    """The metrics that are looked for: by name, and by patterns that match a name from end to end."""

    __slots__ = ("names", "others", "prefixes")

    def __init__(self, names: Iterable[str], *, patterns: Iterable[str] = ()) -> None:
        patterns = tuple(patterns)
        self.names = frozenset(names)
        self.others = re.compile("|".join(f"(?:{pattern})" for pattern in patterns)) if patterns else None
        # Ahead of a pattern stands text that every name has: other lines need not be looked at.
        self.prefixes = (*self.names, *(_LITERAL.match(pattern)[0] for pattern in patterns))  # type: ignore[index]  # it matches anything


def wanted_lines(text: str, wanted: Wanted, *, first: int = 1) -> Iterator[tuple[str, float]]:
    """Yield ``(series, value)`` for every sample of a wanted metric.

    ``series`` is ``name`` or ``name{labels}`` as it stands in the text. Comments and all other names are passed over unread.
    ``NaN`` and ``Inf`` are numbers of this format and are yielded as such. ``first`` is the number of the first line, on its page.

    Raises:
        InvalidInput: a wanted line has no number or is cut off; the path says which line.
    """
    known, others, prefixes = wanted.names, wanted.others, wanted.prefixes
    for number, line in enumerate(text.split("\n"), start=first):
        if not line.startswith(prefixes):
            continue
        end = line.rfind("}") + 1
        if not end:
            end = _name_end(line)
        name_end = line.find("{", 0, end)
        name = (line[:name_end] if name_end >= 0 else line[:end]).rstrip()
        if name not in known and (others is None or others.fullmatch(name) is None):
            continue
        yield line[:end], _value(line, end, number=number)


def parse_series(series: str) -> tuple[str, dict[str, str]]:
    """Split ``name{label="value",...}`` into the name and the labels, escapes resolved.

    Raises:
        InvalidInput: the labels are not well formed.
    """
    name, brace, rest = series.partition("{")
    labels: dict[str, str] = {}
    if not brace:
        return name.rstrip(), labels
    body = rest.removesuffix("}")
    position = 0
    while position < len(body):
        match = _LABEL.match(body, position)
        if match is None:
            raise InvalidInput(f"labels of {name.strip()} are malformed: {series[:200]!r}", path="exposition")
        value = match[2]
        labels[match[1]] = _ESCAPED.sub(_unescape, value) if "\\" in value else value
        position = match.end()
    return name.rstrip(), labels


def _name_end(line: str) -> int:
    """Where the metric name ends in a line without labels."""
    return next((index for index, character in enumerate(line) if character in _AFTER_NAME), len(line))


def _value(line: str, end: int, *, number: int) -> float:
    fields = line[end:].split()
    if fields and fields[0].isdecimal() and fields[0].isascii():
        return float(fields[0])
    if not fields or NUMBER.fullmatch(fields[0]) is None:
        raise InvalidInput(f"no number in {line[:200]!r}", path=f"line {number}")
    return float(fields[0])


def _unescape(match: re.Match[str]) -> str:
    return _UNESCAPED.get(match[1], match[0])
