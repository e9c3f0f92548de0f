"""A series that is listed twice in one scrape: with one value it is one series, with two nobody knows which is right."""

import math

import msgspec
import pytest

from daemon.errors import InvalidInput
from daemon.telemetry.counters.series import SampleKind, Series
from daemon.telemetry.counters.snapshot import ArmSnapshot, Buckets, SnapshotBuilder, TargetMetadata
from daemon.telemetry.schema import Ended
from tests.telemetry.support import series

OK = series("200")


def bucket(le: float) -> Series:
    return msgspec.structs.replace(series("h", SampleKind.BUCKET), le=le)


def built(builder: SnapshotBuilder) -> ArmSnapshot:
    return builder.build(unit_ms=1.0, metadata=TargetMetadata(), denials_known=False)


def histogram(builder: SnapshotBuilder, *counts: int, at: float) -> None:
    for le, count in zip((10.0, math.inf, 10.0), counts, strict=False):
        one = bucket(le)
        builder.buckets(one, Buckets(), at=at).add(le, float(count))


def test_a_series_that_is_listed_twice_with_one_value_is_one_series() -> None:
    builder = SnapshotBuilder(spacing_seconds=1.0)
    for _ in range(2):
        builder.count(OK, Ended.SERVED, 7.0, at=1.0)
    assert built(builder).counters == {"200": (Ended.SERVED, 7)}


@pytest.mark.parametrize("values", [(700.0, 1080.0), (1080.0, 700.0)])
def test_a_series_that_is_listed_twice_with_two_values_is_refused_whatever_their_order(values: tuple[float, float]) -> None:
    """Scopes of a proxy that change places would make requests out of nothing."""
    builder = SnapshotBuilder(spacing_seconds=1.0)
    for value in values:
        builder.count(OK, Ended.SERVED, value, at=1.0)
    with pytest.raises(InvalidInput, match="listed twice in one scrape, with two values"):
        built(builder)


def test_a_bucket_that_is_listed_twice_with_two_values_makes_its_histogram_unusable_and_no_counter() -> None:
    builder = SnapshotBuilder(spacing_seconds=1.0)
    builder.count(OK, Ended.SERVED, 7.0, at=1.0)
    histogram(builder, 3, 7, 4, at=1.0)
    snapshot = built(builder)
    assert (snapshot.histograms, snapshot.counters) == ({}, {"200": (Ended.SERVED, 7)})
    assert "listed twice in one scrape, with two values" in str(snapshot.unusable)
