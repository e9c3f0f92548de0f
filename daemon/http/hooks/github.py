"""GitHub: deployments and their statuses, https://docs.github.com/en/webhooks/webhook-events-and-payloads#deployment.

A deployment says repository, commit and environment, and nothing of two versions; whoever makes it by the API can put the rest
into its ``payload``. Where arms are found, the repository is the service, unless the payload says another. All events of one
deployment are one release: the first that says it is under way, or done, announces it.

A job that waits for a protection rule (``deployment_protection_rule``) announces the canary that its verdict is about: mostly it
joins a release that is there already. Where the answer goes is checked to be this repository's run, and only its number is kept.
"""

import re
from typing import Any, Final
from urllib.parse import quote

import msgspec

from config.walking import faults
from daemon.errors import InvalidEvent, NoRelease
from daemon.events import decoding
from daemon.http.hooks.understanding import REPOSITORY, Received, Understood, json_body, mapped
from daemon.model import GitHubDeployment, GitHubRule

SIGNATURE: Final = "X-Hub-Signature-256"
SIGNATURE_PREFIX: Final = "sha256="
_EVENT = "x-github-event"
_RULE = "deployment_protection_rule"
_ADDRESS = re.compile(r"https?://[^/?#]+(?:/api/v3)?/repos/([^/?#]+/[^/?#]+)/actions/runs/(\d{1,18})/deployment_protection_rule")
_STARTED = frozenset({"in_progress", "success"})
_FIX = 'make the deployment with "payload": {"verdictd": {"service": ..., "baseline": {...}, "canary": {...}}}'


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """Who somebody is there."""

    login: str | None = None


class WorkflowRun(msgspec.Struct, frozen=True, kw_only=True):
    """The run that made a deployment: whoever began it at last, and at first."""

    triggering_actor: Account | None = None
    actor: Account | None = None


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
    creator: Account | None = None


class DeploymentStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How it is going."""

    state: str


class DeploymentEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Of ``deployment``, ``deployment_status`` and ``deployment_protection_rule``, what is read."""

    repository: Repository
    deployment: Deployment
    deployment_status: DeploymentStatus | None = None
    environment: str | None = None
    deployment_callback_url: str | None = None
    workflow_run: WorkflowRun | None = None

    @property
    def initiated_by(self) -> str | None:
        """Who began the run of a workflow, of which GitHub itself is the creator; else who made the deployment."""
        run = self.workflow_run or WorkflowRun()
        accounts = (run.triggering_actor, run.actor, self.deployment.creator)
        return next((one.login for one in accounts if one is not None and one.login), None)


def read(received: Received) -> Understood:
    """The release that a deployment carries. Raises ``InvalidEvent``, and ``NoRelease``."""
    kind = received.headers.get(_EVENT)
    if kind is None:
        raise InvalidEvent("is missing", path="headers.X-GitHub-Event", fix="have GitHub send it")
    if kind not in {"deployment", "deployment_status", _RULE}:
        fix = "choose Deployments, Deployment statuses or Deployment protection rules in the webhook's or App's settings"
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
        "initiated_by": event.initiated_by,
        "environment": event.deployment.environment or event.environment,
        "github": None if kind == _RULE else _told_at(event),
        "github_rule": _awaited_by(event) if kind == _RULE else None,
    }
    source, event_id = event.repository.html_url, f"deployments/{event.deployment.id}"
    if kind == _RULE:  # another one than the deployment's own events: neither is the other told twice
        source = f"{source}/environments/{quote(event.environment or '', safe='')}"
    return mapped(
        payload.get("verdictd") if isinstance(payload, dict) else None,
        hearing=received.hearing,
        path=f"{path}.verdictd",
        words=words,
        source=source,
        event_id=event_id,
        fix=_FIX,
        is_enough=True,
        theirs=REPOSITORY,
    )


def _told_at(event: DeploymentEvent) -> dict[str, object] | None:
    """Where its status is told, by a sink of kind ``github-deployment``; nowhere, if that is none that could be."""
    place: dict[str, object] = {"repository": event.repository.full_name, "deployment": event.deployment.id}
    return None if any(faults(place, GitHubDeployment)) else place


def _awaited_by(event: DeploymentEvent) -> dict[str, object]:
    """Which run waits. Raises ``InvalidEvent`` where the answer would go anywhere else than to this repository's run."""
    named = _ADDRESS.fullmatch(event.deployment_callback_url or "")
    repository = event.repository.full_name or ""
    if named is None or named[1].lower() != repository.lower():
        wrong = f"is no address of a run of {repository[:140] or 'a repository that is named'}"
        raise InvalidEvent(wrong, path="$.deployment_callback_url", fix="have GitHub send it")
    place: dict[str, object] = {"repository": repository, "run": int(named[2]), "environment": event.environment}
    if found := faults(place, GitHubRule, path="$"):
        raise InvalidEvent.of(found)
    return place
