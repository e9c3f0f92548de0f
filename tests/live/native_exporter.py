"""An exporter of native histograms, which Prometheus takes in its protobuf format only: the few messages that are needed."""

import math
import struct
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from aiohttp import web

CONTENT_TYPE = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
_COUNTER, _HISTOGRAM = 0, 4


@dataclass
class Observed:
    """What one series has observed: requests, and their durations in ms at a resolution (``schema``) of its own.

    Attributes:
        floats: its histogram's numbers are floating-point ones, as an exporter of sums has them.
    """

    labels: Mapping[str, str]
    resolution: int = 3
    floats: bool = False
    durations_ms: list[float] = field(default_factory=list)


@dataclass
class NativeExporter:
    """Requests and their durations, as Istio calls them."""

    series: list[Observed]

    async def metrics(self, request: web.Request) -> web.Response:
        """The page."""
        assert "application/vnd.google.protobuf" in request.headers["Accept"]
        requests = b"".join(_bytes(4, _metric(one, _bytes(3, _double(1, len(one.durations_ms))))) for one in self.series)
        durations = b"".join(_bytes(4, _metric(one, _bytes(7, _histogram(one)))) for one in self.series)
        families = [
            _bytes(1, b"istio_requests_total") + _number(3, _COUNTER) + requests,
            _bytes(1, b"istio_request_duration_milliseconds") + _number(3, _HISTOGRAM) + durations,
        ]
        return web.Response(body=b"".join(_varint(len(one)) + one for one in families), headers={"Content-Type": CONTENT_TYPE})


def _metric(one: Observed, value: bytes) -> bytes:
    return b"".join(_bytes(1, _bytes(1, key.encode()) + _bytes(2, text.encode())) for key, text in one.labels.items()) + value


def _histogram(one: Observed) -> bytes:
    step = 2.0**-one.resolution
    places = Counter(math.ceil(math.log2(duration) / step - 1e-12) for duration in one.durations_ms)
    number, sum_ms = len(one.durations_ms), sum(one.durations_ms)
    found = (_double(4, number) if one.floats else _number(1, number)) + _double(2, sum_ms)
    found += _number(5, _zigzag(one.resolution)) + _double(6, 1e-9)
    before, last, spans, counts = 0, None, b"", b""
    for place, count in sorted(places.items()):
        offset = place if last is None else place - last - 1
        spans += _bytes(12, _number(1, _zigzag(offset)) + _number(2, 1))
        counts += _double(14, count) if one.floats else _number(13, _zigzag(count - before))
        before, last = count, place
    return found + spans + counts


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _zigzag(value: int) -> int:
    return value << 1 if value >= 0 else (-value << 1) - 1


def _number(place: int, value: int) -> bytes:
    return _varint(place << 3) + _varint(value)


def _double(place: int, value: float) -> bytes:
    return _varint(place << 3 | 1) + struct.pack("<d", value)


def _bytes(place: int, value: bytes) -> bytes:
    return _varint(place << 3 | 2) + _varint(len(value)) + value


def spread(first_ms: float, factor: float, number: int) -> Iterable[float]:
    """Durations that grow by a factor."""
    return (first_ms * factor**place for place in range(number))
