"""An entry of the audit as a CloudEvent. The event's id is the entry's, the same in every attempt."""

from datetime import UTC, datetime
from typing import Final

import msgspec

from daemon.events.cloudevents import CloudEvent
from daemon.interventions import AuditEntry

AUDIT_TYPE: Final = "io.verdictd.audit.v1"


def audit_event(entry: AuditEntry) -> CloudEvent:
    """The event that tells it; ``data`` is the entry's JSON."""
    return CloudEvent(
        id=entry.id,
        source=f"/clusters/{entry.cluster}/verdictd",
        type=AUDIT_TYPE,
        subject="/".join(part for part in (entry.namespace, entry.service) if part) or None,
        time=datetime.fromtimestamp(entry.at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        datacontenttype="application/json",
        data=msgspec.json.encode(entry),
    )
