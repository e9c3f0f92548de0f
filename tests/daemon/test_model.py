"""Names of hosts of Git in a release: what they may be, wherever they are read."""

import re

import msgspec
import pytest

from daemon.model import GitHubDeployment, GitHubRule, GitLabCommit

HASH = "0123456789abcdef0123456789abcdef01234567"
HUB, RULE, LAB = (
    {"repository": "acme/shop", "deployment": 42},
    {"repository": "acme/shop", "run": 7, "environment": "production"},
    {"project": "acme/shop/web", "commit": HASH},
)
FIELDS = [
    (GitHubDeployment, HUB, "repository"),
    (GitHubRule, RULE, "repository"),
    (GitLabCommit, LAB, "project"),
    (GitLabCommit, {**LAB, "project": "12"}, "project"),
    (GitLabCommit, LAB, "commit"),
]


@pytest.mark.parametrize(("kind", "words", "field"), FIELDS)
def test_a_line_break_at_the_end_of_a_name_is_refused(kind: type, words: dict[str, object], field: str) -> None:
    assert msgspec.to_builtins(msgspec.convert(words, kind)) == words
    for more in ("\n", "\r", "\n\n", "\nx"):
        with pytest.raises(msgspec.ValidationError, match=field):
            msgspec.convert({**words, field: f"{words[field]}{more}"}, kind)


@pytest.mark.parametrize("name", ["acme/.", "acme/..", "acme/..\n"])
def test_a_repository_is_no_step_in_a_path(name: str) -> None:
    with pytest.raises(msgspec.ValidationError, match="repository"):
        msgspec.convert({**HUB, "repository": name}, GitHubDeployment)


@pytest.mark.parametrize("kind", [GitHubDeployment, GitHubRule, GitLabCommit])
def test_their_schema_has_no_word_of_pythons_that_editors_do_not_know(kind: type) -> None:
    patterns = re.findall(r'"pattern":"(.*?[^\\])"', msgspec.json.encode(msgspec.json.schema(kind)).decode())
    assert patterns
    assert not [one for one in patterns if r"\Z" in one or r"\A" in one]
