"""Alertmanager: an alert for each verdict, by ``POST /api/v2/alerts``; its own routes lead to every channel that a team has.

A release is one alert: told twice, it is the same one. It ends by itself, since a verdict is no state that lasts.
"""

from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from config.settings import Positive
from daemon.model import Action, Outcome, Verdict
from daemon.ports.notices import Notice
from daemon.sinks.channel import ChannelKind, Message, Telling, UrlChannelSettings
from daemon.sinks.wording import worded

ALERT: Final = "VerdictdVerdict"


class AlertmanagerSettings(
    UrlChannelSettings, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="alertmanager", tag_field="kind"
):
    """An alert for each verdict. Of several Alertmanagers that are one cluster, each has an entry. The secret is a bearer token."""

    lasts_seconds: Annotated[Positive, Meta(description="How long an alert lasts.")] = 3_600.0


def message(notice: Notice, telling: Telling) -> Message:
    """The alert. Labels are bounded words and names; sentences are annotations."""
    settings: AlertmanagerSettings = telling.settings
    verdict, words = notice.verdict, worded(notice, public_url=telling.public_url)
    alert = {
        "labels": {
            "alertname": ALERT,
            "severity": severity(verdict),
            "outcome": verdict.outcome,
            "action": verdict.action,
            "release": verdict.release_id,
            "service": verdict.service,
            "namespace": verdict.namespace,
            "cluster": verdict.cluster,
        },
        "annotations": {
            "summary": words.title,
            "description": f"{words.reason} {words.traffic}",
            "command": words.command,
        },
        "startsAt": _time(verdict.decided_at),
        "endsAt": _time(telling.now + settings.lasts_seconds),
    }
    if words.link:
        alert["generatorURL"] = words.link
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {telling.secret}"} if telling.secret else {})}
    return Message(url=f"{settings.url.rstrip('/')}/api/v2/alerts", body=msgspec.json.encode([alert]), headers=headers)


def severity(verdict: Verdict) -> str:
    """``critical`` where a bad canary still gets traffic that was to be taken from it."""
    if verdict.action in {Action.BLOCKED, Action.FAILED}:
        return "critical"
    return "warning" if verdict.outcome is Outcome.ROLLBACK else "info"


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


ALERTMANAGER: Final = ChannelKind(name="alertmanager", settings=AlertmanagerSettings, message=message)
