"""A verdict as a CloudEvent, and back. The event's id is made from the release's, so that it is the same in every attempt."""

from datetime import UTC, datetime
from typing import Final

import msgspec

from daemon.errors import InvalidEvent
from daemon.events import decoding
from daemon.events.cloudevents import CloudEvent
from daemon.model import Verdict

VERDICT_TYPE: Final = "io.verdictd.verdict.v1"


def verdict_event(verdict: Verdict) -> CloudEvent:
    """The event that tells a verdict; ``data`` is the verdict's JSON, and extensions carry what consumers filter by."""
    return CloudEvent(
        id=f"{verdict.release_id}.verdict",
        source=f"/clusters/{verdict.cluster}/verdictd",
        type=VERDICT_TYPE,
        subject=f"{verdict.namespace}/{verdict.service}",
        time=datetime.fromtimestamp(verdict.decided_at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        datacontenttype="application/json",
        extensions={"releaseid": verdict.release_id, "outcome": verdict.outcome, "meaning": verdict.meaning},
        data=msgspec.json.encode(verdict),
    )


def read_verdict(event: CloudEvent) -> Verdict:
    """The verdict in an event. Raises ``InvalidEvent``, also for events of other types."""
    if event.type != VERDICT_TYPE:
        raise InvalidEvent(f"{event.type[:100]!r} is no verdict", path="$.type", fix=f"expected {VERDICT_TYPE}")
    verdict: Verdict = decoding.decode_as(Verdict, event.data, path="$.data", fix="was it written by another version?")
    return verdict
