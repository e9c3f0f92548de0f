"""GitHub: deployments and their statuses, https://docs.github.com/en/webhooks/webhook-events-and-payloads#deployment.

A deployment says repository, commit and environment, and nothing of two versions; whoever makes it by the API can put the rest
into its ``payload``. Where arms are found, the repository is the service, unless the payload says another. All events of one
deployment are one release: the first that says it is under way, or done, announces it.
"""

from typing import Any, Final

import msgspec

from config.walking import faults
from daemon.errors import InvalidEvent, NoRelease
from daemon.events import decoding
from daemon.http.hooks.understanding import Received, Understood, json_body, mapped
from daemon.model import GitHubDeployment

SIGNATURE: Final = "X-Hub-Signature-256"
SIGNATURE_PREFIX: Final = "sha256="
_EVENT = "x-github-event"
_STARTED = frozenset({"in_progress", "success"})
_FIX = 'make the deployment with "payload": {"verdictd": {"service": ..., "baseline": {...}, "canary": {...}}}'


class Repository(msgspec.Struct, frozen=True, kw_only=True):
    """Whose deployment it is."""

    html_url: str
    full_name: str | None = None


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """What is deployed, and what its maker says of it."""

    id: int
    sha: str
    environment: str | None = None
    payload: Any = None


class DeploymentStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How it is going."""

    state: str


class DeploymentEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Of ``deployment`` and ``deployment_status``, what is read."""

    repository: Repository
    deployment: Deployment
    deployment_status: DeploymentStatus | None = None


def read(received: Received) -> Understood:
    """The release that a deployment carries. Raises ``InvalidEvent``, and ``NoRelease``."""
    kind = received.headers.get(_EVENT)
    if kind is None:
        raise InvalidEvent("is missing", path="headers.X-GitHub-Event", fix="have GitHub send it")
    if kind not in {"deployment", "deployment_status"}:
        fix = "choose Deployments or Deployment statuses in the webhook's settings"
        raise NoRelease(f"the event {kind[:40]!r} announces no release", path="headers.X-GitHub-Event", fix=fix)
    event = decoding.checked(json_body(received), DeploymentEvent, path="$")
    status = event.deployment_status
    if status is not None and status.state not in _STARTED:
        reason = f"a deployment that is {status.state[:40]!r} takes no traffic yet, or no more"
        raise NoRelease(reason, path="$.deployment_status.state", fix="it is announced by in_progress or success")
    path, payload = "$.deployment.payload", event.deployment.payload
    if isinstance(payload, str) and payload.lstrip().startswith("{"):
        payload = decoding.decode(payload.encode(), path=path, fix=_FIX)
    words: dict[str, object] = {
        "service": event.repository.html_url.rstrip("/").rpartition("/")[2],
        "revision": event.deployment.sha,
        "environment": event.deployment.environment,
        "github": _told_at(event),
    }
    return mapped(
        payload.get("verdictd") if isinstance(payload, dict) else None,
        hearing=received.hearing,
        path=f"{path}.verdictd",
        words=words,
        source=event.repository.html_url,
        event_id=f"deployments/{event.deployment.id}",
        fix=_FIX,
        is_enough=True,
    )


def _told_at(event: DeploymentEvent) -> dict[str, object] | None:
    """Where its status is told, by a sink of kind ``github-deployment``; nowhere, if that is none that could be."""
    place: dict[str, object] = {"repository": event.repository.full_name, "deployment": event.deployment.id}
    return None if any(faults(place, GitHubDeployment)) else place
