"""Flux: a CDEvent that tells that traffic was taken back, as Flux's Receiver of type ``cdevents`` reads it.

It parses by the SDK of CDEvents 0.4 and refuses any other version; which type it is stands in the header ``Ce-Type`` as well. What
we publish on NATS is 0.5: the two differ in two keys, each of which the other forbids.
"""

from datetime import UTC, datetime
from typing import Final

import msgspec

from daemon.model import Action
from daemon.ports.notices import Notice
from daemon.sinks.channel import ChannelKind, Message, Telling, UrlChannelSettings

SPEC_VERSION: Final = "0.4.1"
ROLLEDBACK: Final = "dev.cdevents.service.rolledback.0.2.0"


class FluxSettings(UrlChannelSettings, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="flux", tag_field="kind"):
    """A CDEvent for a Receiver of Flux when traffic was taken back. The address, with its `/hook/...`, is the secret there."""


def message(notice: Notice, telling: Telling) -> Message:
    """The event."""
    settings: FluxSettings = telling.settings
    verdict = notice.verdict
    event_id, source = f"{verdict.release_id}.rolledback", f"/clusters/{verdict.cluster}/verdictd"
    time = datetime.fromtimestamp(verdict.decided_at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    document = {
        "context": {"version": SPEC_VERSION, "id": event_id, "source": source, "type": ROLLEDBACK, "timestamp": time},
        "subject": {
            "id": f"{verdict.namespace}/{verdict.service}",
            "source": f"/clusters/{verdict.cluster}",
            "type": "service",
            "content": {
                "environment": {"id": verdict.cluster},
                # A package URL is asked for; one without a version says no more than is known.
                "artifactId": f"pkg:generic/{verdict.namespace}/{verdict.service}",
            },
        },
        "customData": {"verdictd": {"release_id": verdict.release_id, "verdict": verdict.outcome}},
        "customDataContentType": "application/json",
    }
    headers = {
        "Content-Type": "application/json",
        "Ce-Specversion": "1.0",
        "Ce-Id": event_id,
        "Ce-Source": source,
        "Ce-Type": ROLLEDBACK,
    }
    return Message(url=settings.url, body=msgspec.json.encode(document), headers=headers)


def _took_back(_settings: FluxSettings, notice: Notice) -> bool:
    return notice.verdict.action is Action.REVERT


FLUX: Final = ChannelKind(name="flux", settings=FluxSettings, message=message, concerns=_took_back)
