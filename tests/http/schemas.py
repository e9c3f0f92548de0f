"""As much of JSON Schema as the OpenAPI document uses: what an instance has that its schema does not allow."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

_KINDS: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "null": (type(None),),
}
_KNOWN = {
    *("$ref", "anyOf", "type", "enum", "const", "properties", "required", "additionalProperties", "items", "minItems", "maxItems"),
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "pattern", "minLength", "maxLength"),
    *("title", "description", "default", "discriminator", "prefixItems", "propertyNames"),
}


def faults(instance: Any, schema: Mapping[str, Any], *, document: Mapping[str, Any], path: str = "$") -> Iterator[str]:
    """Everything that is wrong with an instance; also a word of its schema that is not known here, as it would not be checked."""
    yield from (f"{path}: the schema's {word} is not checked" for word in schema.keys() - _KNOWN)
    if "$ref" in schema:
        yield from faults(instance, resolved(schema["$ref"], document), document=document, path=path)
    if "anyOf" in schema and all(list(faults(instance, one, document=document, path=path)) for one in schema["anyOf"]):
        yield f"{path}: {instance!r} is none of them"
    if "enum" in schema and instance not in schema["enum"]:
        yield f"{path}: {instance!r} is not one of {schema['enum']}"
    if "type" in schema and not _is(instance, schema["type"]):
        yield f"{path}: {instance!r} is no {schema['type']}"
        return
    yield from _bounds(instance, schema, path)
    if isinstance(instance, dict):
        yield from _object(instance, schema, document, path)
    if isinstance(instance, list) and not schema.get("minItems", 0) <= len(instance) <= schema.get("maxItems", len(instance)):
        yield f"{path}: {len(instance)} are not as many as there may be"
    if isinstance(instance, list) and "items" in schema:
        first = schema.get("prefixItems", [])
        for index, item in enumerate(instance):
            of_item = first[index] if index < len(first) else schema["items"]
            if of_item is False:
                yield f"{path}[{index}]: there may be no such item"
            else:
                yield from faults(item, of_item, document=document, path=f"{path}[{index}]")


def resolved(reference: str, document: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a reference within the document leads to. Raises ``KeyError``."""
    found: Mapping[str, Any] = document
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found


def _is(instance: Any, kind: str) -> bool:
    return isinstance(instance, _KINDS[kind]) and (kind == "boolean") >= isinstance(instance, bool)


def _bounds(instance: Any, schema: Mapping[str, Any], path: str) -> Iterator[str]:
    if isinstance(instance, str) and re.search(schema.get("pattern", ""), instance) is None:
        yield f"{path}: {instance!r} does not match"
    if isinstance(instance, str) and len(instance) > schema.get("maxLength", len(instance)):
        yield f"{path}: is too long"
    if isinstance(instance, str) and len(instance) < schema.get("minLength", 0):
        yield f"{path}: is too short"
    if isinstance(instance, int | float) and not (
        schema.get("minimum", instance) <= instance <= schema.get("maximum", instance)
        and schema.get("exclusiveMinimum", instance - 1) < instance < schema.get("exclusiveMaximum", instance + 1)
    ):
        yield f"{path}: {instance!r} is out of range"


def _object(instance: dict[str, Any], schema: Mapping[str, Any], document: Mapping[str, Any], path: str) -> Iterator[str]:
    properties = schema.get("properties", {})
    yield from (f"{path}: {name} is missing" for name in schema.get("required", ()) if name not in instance)
    more = schema.get("additionalProperties", True)
    for name, value in instance.items():
        if name in properties:
            yield from faults(value, properties[name], document=document, path=f"{path}.{name}")
        elif isinstance(more, Mapping):
            yield from faults(value, more, document=document, path=f"{path}.{name}")
        elif not more:
            yield f"{path}: {name} is not known"
