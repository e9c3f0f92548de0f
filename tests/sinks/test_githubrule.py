"""The answer to a job that waits at GitHub, by contract: a stub that takes what GitHub's reference says, and nothing else."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta

from daemon.aio.clock import SystemClock
from daemon.errors import InvalidInput, Refused
from daemon.model import GitHubRule, Outcome, Outline
from daemon.ports.notices import Notice, PersonWanted
from daemon.sinks.channel import Message, Telling
from daemon.sinks.channels import CHANNELS
from daemon.sinks.githubrule import PROTECTION_RULE, ProtectionRuleSettings
from daemon.sinks.httptelling import HttpTeller
from tests.hand.samples import RELEASE, verdict
from tests.hand.servers import says, stub

RULE = GitHubRule(repository="Acme/shop", run=77, environment="production")
WAITED_FOR = msgspec.structs.replace(RELEASE, github_rule=RULE)
PUBLIC = "https://verdictd.example"


class Report(msgspec.Struct, forbid_unknown_fields=True):
    """https://docs.github.com/en/rest/actions/workflow-runs#review-custom-deployment-protection-rules-for-a-workflow-run."""

    environment_name: str
    comment: Annotated[str, Meta(max_length=1024)]


class Answer(Report, forbid_unknown_fields=True):
    """The same with a state, which ends the job's waiting."""

    state: Literal["approved", "rejected"]


def settings(*, url: str = "https://api.github.com", hold: Literal["reject", "wait"] = "reject") -> ProtectionRuleSettings:
    return ProtectionRuleSettings(url=url, repositories=["acme/*"], hold=hold)


def answered(**changes: Any) -> Message:
    telling = Telling(settings=settings(), secret="ghs_token", public_url=PUBLIC, now=1_000_100.0)
    return PROTECTION_RULE.message(Notice(release=WAITED_FOR, verdict=verdict(**changes)), telling)


@pytest.mark.parametrize(
    ("outcome", "meaning", "state"),
    [
        ("promote", "promote", "approved"),
        ("rollback", "rollback", "rejected"),
        ("inconclusive", "hold", "rejected"),
        ("inconclusive", "promote", "approved"),
        ("inconclusive", "rollback", "rejected"),
    ],
)
def test_only_what_means_a_promotion_under_its_policy_is_approved(outcome: str, meaning: str, state: str) -> None:
    message = answered(outcome=Outcome(outcome), meaning=meaning, reason="<b>@here</b>")
    assert message.url == "https://api.github.com/repos/Acme/shop/actions/runs/77/deployment_protection_rule"
    assert message.headers["Authorization"] == "Bearer ghs_token"
    told = msgspec.json.decode(message.body, type=Answer)
    assert (told.environment_name, told.state) == ("production", state)
    assert told.comment == f"{outcome}: ‹b›＠here‹/b› ({PUBLIC}/v1/releases/web-1)"


def test_a_comment_is_no_longer_than_github_takes_and_keeps_its_link() -> None:
    comment = json.loads(answered(reason="x" * 5_000).body)["comment"]
    assert len(comment) == 1_024
    assert comment.endswith(f"... ({PUBLIC}/v1/releases/web-1)")


def test_what_is_not_decided_can_be_left_to_a_person_at_github_and_a_watch_after_a_promotion_answers_nobody() -> None:
    held = Notice(release=WAITED_FOR, verdict=verdict(outcome=Outcome.INCONCLUSIVE, meaning="hold"))
    assert PROTECTION_RULE.concerns(settings(), held)
    assert not PROTECTION_RULE.concerns(settings(hold="wait"), held)
    assert PROTECTION_RULE.concerns(settings(hold="wait"), Notice(release=WAITED_FOR, verdict=verdict()))
    assert not PROTECTION_RULE.concerns(settings(), Notice(release=WAITED_FOR, verdict=verdict(after="web-0")))
    assert not PROTECTION_RULE.concerns(settings(), Notice(release=RELEASE, verdict=verdict()))


def test_that_a_person_is_waited_for_is_a_report_which_leaves_the_job_waiting() -> None:
    assert PROTECTION_RULE.asks is not None
    assert PROTECTION_RULE.asks.place(WAITED_FOR)
    assert not PROTECTION_RULE.asks.place(RELEASE)
    wanted = PersonWanted(release=WAITED_FOR, release_id="web-1", cluster="prod", until=1_000_000.0, reason="found good")
    report = msgspec.json.decode(PROTECTION_RULE.asks.message(wanted, Telling(settings=settings())).body, type=Report)
    assert report.comment == "waits for a person until 1970-01-12 13:46 UTC: found good"


@pytest.mark.parametrize(
    "release", [RELEASE, msgspec.structs.replace(RELEASE, github_rule=msgspec.structs.replace(RULE, repository="o/x"))]
)
def test_a_repository_that_is_not_allowed_is_answered_nothing(release: Any) -> None:
    with pytest.raises(InvalidInput, match=r"release\.github_rule\.repository"):
        PROTECTION_RULE.message(Notice(release=release, verdict=verdict()), Telling(settings=settings()))


def test_whoever_waits_by_a_rule_may_be_answered_by_a_verdict_that_was_there_and_by_no_other_channel() -> None:
    assert [kind.name for kind in CHANNELS if kind.answers is not None] == ["github-protection-rule"]
    assert PROTECTION_RULE.answers is not None
    job = Outline(service="web", revision="f95f852b", github_rule=RULE)
    assert [PROTECTION_RULE.answers(one) for one in (job, WAITED_FOR, RELEASE)] == [True, True, False]


async def test_the_token_is_read_anew_for_each_answer_since_it_lives_for_an_hour_and_goes_to_the_settings_address(
    tmp_path: Path,
) -> None:
    file = tmp_path / "token"
    async with stub(says(b"", status=204)) as hub:
        own = msgspec.structs.replace(settings(url=hub.url), secret_file=str(file))
        async with HttpTeller(PROTECTION_RULE, name="gate", settings=own, public_url="", clock=SystemClock()) as to:
            for token in ("ghs_first", "ghs_second"):
                file.write_text(f"{token}\n")
                await to.tell(Notice(release=WAITED_FOR, verdict=verdict()))
            hub.says({"message": "Validation Failed"}, status=422)
            with pytest.raises(Refused, match="Validation Failed"):
                await to.tell(Notice(release=WAITED_FOR, verdict=verdict()))
        assert [one["Authorization"] for one in hub.headers][:2] == ["Bearer ghs_first", "Bearer ghs_second"]
        method, path, document = hub.requests[0]
        assert (method, path) == ("POST", "/repos/Acme/shop/actions/runs/77/deployment_protection_rule")
        assert msgspec.convert(document, Answer).state == "rejected"
