"""GitHub: the deployment's status, and an event that starts a workflow, by its REST API of 2022-11-28.

What authorises them is a token in a file, or an App of GitHub's (``daemon/sinks/githubapp.py``).

Contracts: https://docs.github.com/en/rest/deployments/statuses#create-a-deployment-status (201) and
https://docs.github.com/en/rest/repos/repos#create-a-repository-dispatch-event (204; at most 10 properties).
"""

from collections.abc import Callable, Iterator
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from config.errors import Fault
from config.settings import BaseUrl, FileName
from daemon.model import Release, Verdict
from daemon.ports.notices import News, Notice, PersonWanted, Sequel
from daemon.sinks import pipelines
from daemon.sinks.allowed import allowed
from daemon.sinks.authority import Authority, Means
from daemon.sinks.channel import Asking, ChannelKind, HttpChannelSettings, Message, Telling, in_a_file
from daemon.sinks.wording import link_to, neutral, says_something, sequel, wanted

DESCRIPTION_CHARACTERS: Final = 140
_MOST_PROPERTIES: Final = 10
"""Of a ``client_payload``: GitHub refuses one with more."""
Repository = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9*][A-Za-z0-9*_-]{0,38}/[A-Za-z0-9*._-]{1,100}$",
        extra={"fix": "write owner/name, or owner/* for all of an owner"},
    ),
]
ApiUrl = Annotated[BaseUrl, Meta(description="Of the REST API; GitHub Enterprise Server: https://HOST/api/v3.")]


class App(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of every kind `github-...`, in place of a token: an App of GitHub's, whose key signs for a token that lives an hour."""

    id: Annotated[
        str,
        Meta(
            pattern=r"^[A-Za-z0-9.]{1,40}$",
            description="The App's client ID, or its number in quotes: both stand in the App's own settings.",
            extra={"fix": 'write the client ID, as Iv23li..., or the number in quotes, as "12345"'},
        ),
    ]
    installation: Annotated[
        int,
        Meta(ge=1, description="The number of its installation: the end of the address of the installation's settings at GitHub."),
    ]
    private_key_file: Annotated[
        FileName, Meta(description="A file holding a private key of the App, PEM; read anew for each token.")
    ]


class GitHubSettings(HttpChannelSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every channel to GitHub is told."""

    url: ApiUrl = "https://api.github.com"
    app: Annotated[App | None, Meta(description="Which App we are there, in place of secret_file.")] = None

    def __post_init__(self) -> None:
        """Refuse what would leave open by what we are authorised."""
        if self.app is not None and self.secret_file is not None:
            raise ValueError("app and secret_file are set, and either is enough; leave one of them out")


class DeploymentSettings(
    GitHubSettings, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="github-deployment", tag_field="kind"
):
    """The status of the GitHub deployment that a release is. The secret is a token with `deployments: write`."""

    repositories: Annotated[
        list[Repository],
        Meta(min_length=1, description="Whose deployments may be told, whatever a release names: acme/shop, acme/*."),
    ]


class DispatchSettings(
    GitHubSettings, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="github-dispatch", tag_field="kind"
):
    """A `repository_dispatch` event, which starts a workflow. The secret is a token with `contents: write`."""

    repository: Annotated[
        str,
        Meta(
            pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,38}/[A-Za-z0-9._-]{1,100}$",
            description="Whose workflows: owner/name.",
            extra={"fix": "write owner/name"},
        ),
    ]
    event_type: Annotated[
        str, Meta(min_length=1, max_length=100, description="What the workflow names in on.repository_dispatch.types.")
    ] = "verdictd"


def deployment(notice: Notice, telling: Telling) -> Message:
    """The status. Raises ``InvalidInput`` for a repository that is not allowed."""
    verdict = notice.verdict
    return _status(notice, telling, state(verdict), f"{verdict.outcome}: {verdict.reason}")


def deployment_waits(notice: PersonWanted, telling: Telling) -> Message:
    """The status of one that waits for a person, which the verdict's replaces. Raises as ``deployment``."""
    return _status(notice, telling, "pending", wanted(notice))


def deployment_goes_on(notice: Sequel, telling: Telling) -> Message:
    """The status that takes the place of the verdict's: of the same state, with what came after. Raises as ``deployment``."""
    return _status(notice, telling, state(notice.of), f"{notice.of.outcome}: {sequel(notice)}")


def _status(notice: News, telling: Telling, state: str, text: str) -> Message:
    settings: DeploymentSettings = telling.settings
    of, path = notice.release.github, "release.github.repository"
    there = allowed(of, lambda it: it.repository, settings.repositories, path=path, where="repositories")
    document: dict[str, Any] = {
        "state": state,
        "description": neutral(text, longest=DESCRIPTION_CHARACTERS),
        # Other deployments of the environment are not ours to end.
        "auto_inactive": False,
    }
    if to := link_to(notice.release_id, public_url=telling.public_url):
        document["log_url"] = to
    return request(telling, f"/repos/{there.repository}/deployments/{there.deployment}/statuses", document)


def state(verdict: Verdict) -> Literal["success", "failure", "error"]:
    """In GitHub's words; what was not decided is neither of the first two."""
    match verdict.meaning:
        case "promote":
            return "success"
        case "rollback":
            return "failure"
        case "hold":
            return "error"


def dispatch(notice: Notice, telling: Telling) -> Message:
    """The event."""
    settings: DispatchSettings = telling.settings
    payload = pipelines.told(notice, public_url=telling.public_url)
    if len(payload) > _MOST_PROPERTIES:
        del payload["revision"]
    document = {"event_type": settings.event_type, "client_payload": payload}
    return request(telling, f"/repos/{settings.repository}/dispatches", document)


def request(telling: Telling, path: str, document: dict[str, Any]) -> Message:
    """One of the REST API, at the settings' address whatever a release names."""
    url = telling.settings.url.rstrip("/") + path
    return Message(url=url, body=msgspec.json.encode(document), headers=headers(telling.secret))


def headers(token: str) -> dict[str, str]:
    """Of every request of the REST API."""
    return {
        "Accept": "application/vnd.github+json",
        "Content-Type": "application/json",
        "X-GitHub-Api-Version": "2022-11-28",
        **({"Authorization": f"Bearer {token}"} if token else {}),
    }


def permitted(permission: str) -> Callable[[GitHubSettings, Means], Authority]:
    """What has the token: of the App with this permission and no other, or of a file."""

    def authority(settings: GitHubSettings, means: Means) -> Authority:
        if settings.app is None:
            return in_a_file(settings, means)
        from daemon.sinks.githubapp import InstallationTokens

        return InstallationTokens(settings.app, url=settings.url, permission=permission, means=means)

    return authority


def faults(settings: GitHubSettings) -> Iterator[Fault]:
    """What an App needs that is not there."""
    if settings.app is not None:
        from daemon.aio.jsonwebtokens import jwt, missing

        if jwt is None:
            yield missing("app")


def _is_deployment(_settings: DeploymentSettings, notice: Notice) -> bool:
    return notice.release.github is not None and says_something(notice.verdict)


def _has_deployment(release: Release) -> bool:
    return release.github is not None


DEPLOYMENT: Final = ChannelKind(
    name="github-deployment",
    settings=DeploymentSettings,
    message=deployment,
    concerns=_is_deployment,
    asks=Asking(message=deployment_waits, place=_has_deployment),
    follows=deployment_goes_on,
    authority=permitted("deployments"),
    faults=faults,
)
DISPATCH: Final = ChannelKind(
    name="github-dispatch", settings=DispatchSettings, message=dispatch, authority=permitted("contents"), faults=faults
)
