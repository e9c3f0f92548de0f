"""GitHub's custom deployment protection rule: a job that waits before it deploys is approved or rejected by the verdict.

Contract: https://docs.github.com/en/rest/actions/workflow-runs#review-custom-deployment-protection-rules-for-a-workflow-run (204; a
request without a state is a status report). GitHub says where the answer goes; of that only repository and run are kept, and the
address is made of the settings: whoever can send an event chooses no host.
"""

from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal

from msgspec import Meta

from config.errors import Fault
from daemon.model import Outline, Release, Verdict
from daemon.ports.notices import Notice, PersonWanted
from daemon.sinks import github
from daemon.sinks.allowed import allowed
from daemon.sinks.channel import Asking, ChannelKind, Message, Telling
from daemon.sinks.github import GitHubSettings, Repository, permitted, request
from daemon.sinks.wording import link_to, neutral, wanted

COMMENT_CHARACTERS: Final = 1_024


class ProtectionRuleSettings(
    GitHubSettings, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="github-protection-rule", tag_field="kind"
):
    """The answer to GitHub's custom deployment protection rule: `app` is the one whose rule it is, with `deployments: write`."""

    repositories: Annotated[
        list[Repository],
        Meta(min_length=1, description="Whose runs may be answered, whatever a release names: acme/shop, acme/*."),
    ]
    hold: Annotated[
        Literal["reject", "wait"],
        Meta(description="What becomes of the job where the verdict's meaning is `hold`; `wait` leaves it to a person at GitHub."),
    ] = "reject"


def answer(notice: Notice, telling: Telling) -> Message:
    """The verdict's. Raises ``InvalidInput`` for a repository that is not allowed."""
    verdict = notice.verdict
    return _review(notice.release, telling, verdict.release_id, f"{verdict.outcome}: {verdict.reason}", state=state(verdict))


def waits(notice: PersonWanted, telling: Telling) -> Message:
    """A report that it waits for a person, which leaves the job waiting. Raises as ``answer``."""
    return _review(notice.release, telling, notice.release_id, wanted(notice))


def state(verdict: Verdict) -> Literal["approved", "rejected"]:
    """In GitHub's words: only what means a promotion is approved."""
    return "approved" if verdict.meaning == "promote" else "rejected"


def _review(
    release: Release, telling: Telling, release_id: str, text: str, *, state: Literal["approved", "rejected"] | None = None
) -> Message:
    settings: ProtectionRuleSettings = telling.settings
    of, path = release.github_rule, "release.github_rule.repository"
    there = allowed(of, lambda it: it.repository, settings.repositories, path=path, where="repositories")
    to = link_to(release_id, public_url=telling.public_url)
    linked = f" ({to})" if to else ""
    document: dict[str, Any] = {
        "environment_name": there.environment,
        "comment": neutral(text, longest=COMMENT_CHARACTERS - len(linked)) + linked,
        **({} if state is None else {"state": state}),
    }
    return request(telling, f"/repos/{there.repository}/actions/runs/{there.run}/deployment_protection_rule", document)


def _is_awaited(settings: ProtectionRuleSettings, notice: Notice) -> bool:
    """A watch after a promotion answers nobody: the job went on when that was said."""
    verdict = notice.verdict
    held = verdict.meaning == "hold" and settings.hold == "wait"
    return notice.release.github_rule is not None and verdict.after is None and not held


def _has_run(release: Release | Outline) -> bool:
    return release.github_rule is not None


def faults(settings: ProtectionRuleSettings) -> Iterator[Fault]:
    """GitHub takes the answer of the rule's own App and of nobody else."""
    yield from github.faults(settings)
    if settings.app is None and settings.secret_file is None:
        fix = "add its id, installation and private_key_file; or secret_file, where something else renews an installation token"
        yield Fault(path="app", message="is required: only the App whose rule it is can answer", fix=fix)


PROTECTION_RULE: Final = ChannelKind(
    name="github-protection-rule",
    settings=ProtectionRuleSettings,
    message=answer,
    concerns=_is_awaited,
    asks=Asking(message=waits, place=_has_run),
    answers=_has_run,
    authority=permitted("deployments"),
    faults=faults,
)
