"""The policies that the documents show can be used as they stand there."""

import re
from pathlib import Path

import pytest
import yaml

from config.policy import Policy
from config.walking import faults

PAGE = Path(__file__).parents[2] / "docs" / "failures.md"


def examples(page: Path) -> list[str]:
    """What stands on a page as YAML."""
    return re.findall(r"^```yaml\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


EXAMPLES = examples(PAGE)


@pytest.mark.parametrize("text", EXAMPLES)
def test_an_example_of_the_page_is_a_policy(text: str) -> None:
    assert faults(yaml.safe_load(text), Policy) == ()


def test_the_page_has_examples() -> None:
    assert len(EXAMPLES) == 3
