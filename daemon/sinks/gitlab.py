"""GitLab: the commit's status, and a trigger that starts a pipeline, by its REST API v4.

Contracts: https://docs.gitlab.com/api/commits/#set-commit-pipeline-status (201; the same state again is 400 with "Cannot transition
status") and https://docs.gitlab.com/ci/triggers/ (201; the token is that of a trigger, and stands in the body).
"""

from collections.abc import Mapping
from typing import Annotated, Final, Literal
from urllib.parse import quote

import msgspec
from msgspec import Meta

from config.settings import BaseUrl
from daemon.model import Release, Verdict
from daemon.ports.notices import News, Notice, PersonWanted, Sequel
from daemon.sinks import pipelines
from daemon.sinks.allowed import allowed
from daemon.sinks.channel import Asking, ChannelKind, HttpChannelSettings, Message, Telling
from daemon.sinks.wording import link_to, neutral, says_something, sequel, wanted

DESCRIPTION_CHARACTERS: Final = 255
_ALREADY: Final = "Cannot transition status"
_DescribedUrl = Annotated[BaseUrl, Meta(description="Of GitLab.")]


class StatusSettings(
    HttpChannelSettings, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="gitlab-status", tag_field="kind"
):
    """The status of the GitLab commit that a release is of. The secret is an access token with the scope `api`."""

    url: _DescribedUrl = "https://gitlab.com"
    projects: Annotated[
        list[Annotated[str, Meta(min_length=1)]],
        Meta(min_length=1, description="Whose commits may be told, whatever a release names: acme/shop, acme/*, or numbers."),
    ]
    name: Annotated[str, Meta(min_length=1, max_length=200, description="The status's name.")] = "verdictd"


class PipelineSettings(
    HttpChannelSettings, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="gitlab-pipeline", tag_field="kind"
):
    """A pipeline that is started, with what was decided as variables `VERDICTD_...`. The secret is a trigger's token."""

    url: _DescribedUrl = "https://gitlab.com"
    project: Annotated[str, Meta(min_length=1, description="Whose pipeline: group/project, or its number.")]
    ref: Annotated[str, Meta(min_length=1, description="Of which branch or tag.")] = "main"


def status(notice: Notice, telling: Telling) -> Message:
    """The status. Raises ``InvalidInput`` for a project that is not allowed."""
    verdict = notice.verdict
    return _status(notice, telling, state(verdict), f"{verdict.outcome}: {verdict.reason}")


def status_waits(notice: PersonWanted, telling: Telling) -> Message:
    """The status of one that waits for a person, which the verdict's replaces. Raises as ``status``."""
    return _status(notice, telling, "pending", wanted(notice))


def status_goes_on(notice: Sequel, telling: Telling) -> Message:
    """The status that takes the place of the verdict's: of the same state, with what came after. Raises as ``status``."""
    return _status(notice, telling, state(notice.of), f"{notice.of.outcome}: {sequel(notice)}")


def _status(notice: News, telling: Telling, state: str, text: str) -> Message:
    settings: StatusSettings = telling.settings
    of, path = notice.release.gitlab, "release.gitlab.project"
    there = allowed(of, lambda it: it.project, settings.projects, path=path, where="projects")
    document = {
        "state": state,
        "name": settings.name,
        "description": neutral(text, longest=DESCRIPTION_CHARACTERS),
    }
    if to := link_to(notice.release_id, public_url=telling.public_url):
        document["target_url"] = to
    headers = {"PRIVATE-TOKEN": telling.secret} if telling.secret else {}
    return _message(settings.url, f"/projects/{quote(there.project, safe='')}/statuses/{there.commit}", document, headers)


def state(verdict: Verdict) -> Literal["success", "failed", "canceled"]:
    """In GitLab's words; what was not decided is neither of the first two."""
    match verdict.meaning:
        case "promote":
            return "success"
        case "rollback":
            return "failed"
        case "hold":
            return "canceled"


def pipeline(notice: Notice, telling: Telling) -> Message:
    """The trigger."""
    settings: PipelineSettings = telling.settings
    values = pipelines.told(notice, public_url=telling.public_url)
    document = {
        "token": telling.secret,
        "ref": settings.ref,
        "variables": {f"VERDICTD_{name.upper()}": value for name, value in values.items()},
    }
    return _message(settings.url, f"/projects/{quote(settings.project, safe='')}/trigger/pipeline", document, {})


def _message(url: str, path: str, document: Mapping[str, object], headers: Mapping[str, str]) -> Message:
    return Message(
        url=f"{url.rstrip('/')}/api/v4{path}",
        body=msgspec.json.encode(document),
        headers={"Content-Type": "application/json", **headers},
    )


def _is_of_a_commit(_settings: StatusSettings, notice: Notice) -> bool:
    return notice.release.gitlab is not None and says_something(notice.verdict)


def _has_commit(release: Release) -> bool:
    return release.gitlab is not None


def _told_before(refusal: str) -> bool:
    return _ALREADY in refusal


STATUS: Final = ChannelKind(
    name="gitlab-status",
    settings=StatusSettings,
    message=status,
    concerns=_is_of_a_commit,
    told_before=_told_before,
    asks=Asking(message=status_waits, place=_has_commit),
    follows=status_goes_on,
)
PIPELINE: Final = ChannelKind(name="gitlab-pipeline", settings=PipelineSettings, message=pipeline)
