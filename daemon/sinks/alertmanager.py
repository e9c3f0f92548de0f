"""Alertmanager: an alert for each verdict, by ``POST /api/v2/alerts``; its own routes lead to every channel that a team has.

A release is one alert: told twice, it is the same one. It ends by itself, since a verdict is no state that lasts.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from config.settings import Positive
from daemon.model import Action, Outcome, Verdict
from daemon.ports.notices import Notice, Sequel
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
    return _message([_alert(notice.verdict, notice, telling)], telling)


def sequel(notice: Sequel, telling: Telling) -> Message:
    """The alert with what came after; where traffic that was not taken back is at last, the one that it was ends, for another."""
    verdict = notice.of
    if notice.kind == "revert_given_up" or verdict.action is not Action.FAILED:
        return _message([_alert(verdict, notice, telling)], telling)
    alerts = [_alert(msgspec.structs.replace(verdict, action=Action.REVERT), notice, telling)]
    if notice.kind == "reverted_late":
        alerts.append(_alert(verdict, notice, telling, ends_at=notice.at))
    return _message(alerts, telling)


def _alert(verdict: Verdict, notice: Notice | Sequel, telling: Telling, *, ends_at: float | None = None) -> dict[str, object]:
    settings: AlertmanagerSettings = telling.settings
    words = worded(notice, public_url=telling.public_url)
    return {
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
            **({"origin": words.origin} if words.origin else {}),
            "command": words.command,
        },
        "startsAt": _time(verdict.decided_at),
        "endsAt": _time(telling.now + settings.lasts_seconds if ends_at is None else ends_at),
        **({"generatorURL": words.link} if words.link else {}),
    }


def _message(alerts: Sequence[Mapping[str, object]], telling: Telling) -> Message:
    settings: AlertmanagerSettings = telling.settings
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {telling.secret}"} if telling.secret else {})}
    return Message(url=f"{settings.url.rstrip('/')}/api/v2/alerts", body=msgspec.json.encode(alerts), headers=headers)


def severity(verdict: Verdict) -> str:
    """``critical`` where a bad canary still gets traffic that was to be taken from it."""
    if verdict.action in {Action.BLOCKED, Action.FAILED}:
        return "critical"
    return "warning" if verdict.outcome is Outcome.ROLLBACK else "info"


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


ALERTMANAGER: Final = ChannelKind(name="alertmanager", settings=AlertmanagerSettings, message=message, follows=sequel)
