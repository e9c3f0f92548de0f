"""JSON Schemas of what a person may write, made from the models, so that an editor can complete and check it.

Descriptions come from the fields themselves, or from the ``Attributes:`` section of a model's docstring.
"""

import inspect
import re
from typing import Any

import msgspec

from config.policy import Policy
from config.settings import Settings

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_ATTRIBUTE = re.compile(r"^ {4}(\w+(?:, \w+)*): (.+(?:\n {8}.+)*)", re.MULTILINE)


def settings_schema(model: type[Settings]) -> dict[str, Any]:
    """The schema of a settings file; ``model`` as ``config.kinds.settings_model`` makes it."""
    schema = json_schema(model, title="verdictd settings")
    kubernetes = schema["$defs"]["Settings"]["properties"]["kubernetes"]
    by_name = {key: kubernetes.pop(key) for key in ("type", "additionalProperties", "propertyNames") if key in kubernetes}
    kubernetes["anyOf"] = [by_name, {"$ref": "#/$defs/Kubernetes"}]  # a single cluster may go without a name, see config.load
    return schema


def policy_schema() -> dict[str, Any]:
    """The schema of a policy file."""
    return json_schema(Policy, title="verdictd policy")


def json_schema(model: Any, *, title: str) -> dict[str, Any]:
    """The JSON Schema of a model, with a description for every field that has one anywhere."""
    schema = msgspec.json.schema(model)
    return {"$schema": DIALECT, "title": title, **schema, "$defs": described(schema["$defs"])}


def components(models: list[Any], *, ref_template: str) -> tuple[list[Any], dict[str, Any]]:
    """References to, and definitions of, several models; for OpenAPI."""
    references, definitions = msgspec.json.schema_components(models, ref_template=ref_template)
    return list(references), described(definitions)


def described(definitions: dict[str, Any]) -> dict[str, Any]:
    """The definitions with the words of their docstrings where a reader looks for them."""
    return {name: _described(definition) for name, definition in definitions.items()}


def _described(definition: dict[str, Any]) -> dict[str, Any]:
    text, _, attributes = inspect.cleandoc(definition.get("description", "")).partition("Attributes:\n")
    result = {**definition, "description": " ".join(text.split())} if text else dict(definition)
    words = {name: " ".join(match[2].split()) for match in _ATTRIBUTE.finditer(attributes) for name in match[1].split(", ")}
    if "properties" in definition:
        result["properties"] = {
            name: {**field, **({"description": words[name]} if name in words and "description" not in field else {})}
            for name, field in definition["properties"].items()
        }
    return result
