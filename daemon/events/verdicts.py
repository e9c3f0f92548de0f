"""A verdict, and what came after it, as CloudEvents. Their ids are made from the release's, the same in every attempt."""

from datetime import UTC, datetime
from typing import Final

import msgspec

from daemon.errors import InvalidEvent
from daemon.events import decoding
from daemon.events.cloudevents import CloudEvent
from daemon.model import Verdict
from daemon.ports.notices import Sequel

VERDICT_TYPE: Final = "io.verdictd.verdict.v1"
SEQUEL_TYPE: Final = "io.verdictd.sequel.v1"


def verdict_event(verdict: Verdict) -> CloudEvent:
    """The event that tells a verdict; ``data`` is the verdict's JSON, and extensions carry what consumers filter by."""
    return CloudEvent(
        id=f"{verdict.release_id}.verdict",
        source=f"/clusters/{verdict.cluster}/verdictd",
        type=VERDICT_TYPE,
        subject=f"{verdict.namespace}/{verdict.service}",
        time=_time(verdict.decided_at),
        datacontenttype="application/json",
        extensions={"releaseid": verdict.release_id, "outcome": verdict.outcome, "meaning": verdict.meaning},
        data=msgspec.json.encode(verdict),
    )


def sequel_event(sequel: Sequel) -> CloudEvent:
    """The event that tells what came after a verdict; whoever waits for a verdict knows by the type that it is none."""
    verdict = sequel.of
    data = {
        "release_id": verdict.release_id,
        "service": verdict.service,
        "namespace": verdict.namespace,
        "cluster": verdict.cluster,
        "kind": sequel.kind,
        "at": sequel.at,
        "detail": sequel.detail,
        "times": sequel.times,
        "outcome": verdict.outcome,
        "action": verdict.action,
    }
    return CloudEvent(
        id=sequel.id,
        source=f"/clusters/{verdict.cluster}/verdictd",
        type=SEQUEL_TYPE,
        subject=f"{verdict.namespace}/{verdict.service}",
        time=_time(sequel.at),
        datacontenttype="application/json",
        extensions={"releaseid": verdict.release_id, "outcome": verdict.outcome, "kind": sequel.kind},
        data=msgspec.json.encode(data),
    )


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def read_verdict(event: CloudEvent) -> Verdict:
    """The verdict in an event. Raises ``InvalidEvent``, also for events of other types."""
    if event.type != VERDICT_TYPE:
        raise InvalidEvent(f"{event.type[:100]!r} is no verdict", path="$.type", fix=f"expected {VERDICT_TYPE}")
    verdict: Verdict = decoding.decode_as(Verdict, event.data, path="$.data", fix="was it written by another version?")
    return verdict
