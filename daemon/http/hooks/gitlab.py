"""GitLab: a webhook whose custom template carries the release, https://docs.gitlab.com/user/project/integrations/webhooks/.

GitLab's own deployment event says project, commit and environment, and nothing of two versions; where arms are found, the project
is the service. All events of one deployment are one release, where the template names the deployment; else each delivery is, which
is known by its id.
"""

import re
from typing import Any, Final

import msgspec

from config.walking import faults
from daemon.errors import InvalidEvent, NoRelease
from daemon.events import decoding
from daemon.http.hooks.understanding import REPOSITORY, Received, Understood, json_body, mapped
from daemon.model import GitLabCommit

TOKEN: Final = "X-Gitlab-Token"  # noqa: S105 - a header's name
_DELIVERIES = ("webhook-id", "idempotency-key", "x-gitlab-event-uuid")
_STARTED = frozenset({"running", "success"})
_COMMIT = re.compile(r"/-/commit/([0-9a-f]{40,64})$")
_FIX = 'write "verdictd": {"service": ..., "baseline": {...}, "canary": {...}} into the webhook\'s custom template'


class Project(msgspec.Struct, frozen=True, kw_only=True):
    """Whose deployment it is."""

    web_url: str
    path_with_namespace: str | None = None


class Hook(msgspec.Struct, frozen=True, kw_only=True):
    """Of a webhook's body, what is read. A template may leave out all of it."""

    object_kind: str | None = None
    status: str | None = None
    deployment_id: int | str | None = None
    environment: str | None = None
    short_sha: str | None = None
    commit_url: str | None = None
    project: Project | None = None
    user: Any = None
    verdictd: Any = None

    @property
    def initiated_by(self) -> str | None:
        """As GitLab's own event has it; what a template calls ``user`` may be anything."""
        name = self.user.get("username") if isinstance(self.user, dict) else None
        return name if isinstance(name, str) else None


def read(received: Received) -> Understood:
    """The release that a webhook carries. Raises ``InvalidEvent``, and ``NoRelease``."""
    hook = decoding.checked(json_body(received), Hook, path="$")
    if hook.status is not None and hook.status not in _STARTED:
        reason = f"a deployment that is {hook.status[:40]!r} takes no traffic yet, or no more"
        raise NoRelease(reason, path="$.status", fix="it is announced by running or success")
    source = received.headers.get("x-gitlab-instance", "gitlab") if hook.project is None else hook.project.web_url
    words: dict[str, object] = {
        "service": None if hook.project is None else hook.project.web_url.rstrip("/").rpartition("/")[2],
        "revision": hook.short_sha,
        "initiated_by": hook.initiated_by,
        "environment": hook.environment,
        "gitlab": _told_at(hook),
    }
    return mapped(
        hook.verdictd,
        hearing=received.hearing,
        path="$.verdictd",
        words=words,
        source=source,
        event_id=_attempt(hook, received),
        fix=_FIX,
        is_enough=hook.object_kind == "deployment" and hook.status is not None,
        theirs=REPOSITORY,
    )


def _attempt(hook: Hook, received: Received) -> str:
    if hook.deployment_id is not None and hook.project is not None:
        return f"deployments/{hook.deployment_id}"
    delivery = next((found for name in _DELIVERIES if (found := received.headers.get(name))), None)
    if delivery is None:
        fix = "have GitLab send it, or name deployment_id and project.web_url in the template"
        raise InvalidEvent("is missing", path="headers.Idempotency-Key", fix=fix)
    return f"deliveries/{delivery}"


def _told_at(hook: Hook) -> dict[str, object] | None:
    """Where its commit's status is told, by a sink of kind ``gitlab-status``; the hash is whole in its address only."""
    commit = _COMMIT.search(hook.commit_url or "")
    project = None if hook.project is None else hook.project.path_with_namespace
    place: dict[str, object] = {"project": project, "commit": None if commit is None else commit.group(1)}
    return None if any(faults(place, GitLabCommit)) else place
