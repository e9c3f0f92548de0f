"""JSON Schemas are made from the models and say what each field means."""

from typing import Annotated, Any

import msgspec
import pytest
from msgspec import Meta

from config.schema import components, json_schema, policy_schema
from daemon.settings import settings_schema


@pytest.mark.parametrize("schema", [settings_schema(), policy_schema()])
def test_every_field_has_a_description_and_unknown_keys_are_refused(schema: dict[str, Any]) -> None:
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    for name, definition in schema["$defs"].items():
        assert definition.get("additionalProperties") is False or name == "NotInstalled", name
        undescribed = [key for key, field in definition["properties"].items() if key != "kind" and not field.get("description")]
        assert undescribed == [], name


def test_defaults_and_limits_are_in_the_schema() -> None:
    alpha = policy_schema()["$defs"]["Policy"]["properties"]["alpha"]
    assert (alpha["default"], alpha["exclusiveMinimum"], alpha["exclusiveMaximum"]) == (0.01, 0.0, 0.5)


class Sample(msgspec.Struct):
    """A thing
    of two lines.

    Attributes:
        one, two: both
            of them.
        three: not used, the field has its own.
    """

    one: int
    two: int
    three: Annotated[int, Meta(description="own")]
    four: int


def test_descriptions_come_from_the_docstring_where_the_field_has_none() -> None:
    definition = json_schema(Sample, title="t")["$defs"]["Sample"]
    assert definition["description"] == "A thing of two lines."
    assert {name: field.get("description") for name, field in definition["properties"].items()} == {
        "one": "both of them.",
        "two": "both of them.",
        "three": "own",
        "four": None,
    }


def test_components_refer_to_each_other_by_the_template_given() -> None:
    references, definitions = components([Sample], ref_template="#/there/{name}")
    assert references == [{"$ref": "#/there/Sample"}]
    assert set(definitions) == {"Sample"}
