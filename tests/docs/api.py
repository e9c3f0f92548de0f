"""docs/api.md, made from the OpenAPI document: every operation with its guard, its parameters and its answers."""

from collections.abc import Iterator
from typing import Any

from config.settings import Http
from daemon.http.openapi import DOCUMENT
from daemon.http.server import create_app
from tests.hand.api import Engine, ports_of

PAGE = "docs/api.md"

_INTRODUCTION = """# The HTTP API

<!-- Made from the API's own description by `python -m tests.docs --write`; do not edit. -->

The daemon describes its API itself, in OpenAPI 3.1 with an example of each body: `GET /openapi.json`.
The names of the operations and what is described here are stable.

- `HEAD` is answered wherever `GET` is.
- Whatever is no success is a problem document (RFC 9457): `detail`, `path`, `fix`, and all faults of what was sent in `errors`.
- Query parameters that an operation does not know are refused, but for those of probes and scrapers.
- *Token*: `Authorization: Bearer TOKEN`, the token of `http.token_file`. A daemon on loopback without one asks for none.
- How events are announced over HTTP: [events.md](events.md).
"""


def page() -> str:
    """The whole page."""
    document = create_app(ports_of(Engine(), Http()))[DOCUMENT]
    return "\n".join([_INTRODUCTION, *(line for tag in document["tags"] for line in _group(tag, document))])


def _group(tag: dict[str, str], document: dict[str, Any]) -> Iterator[str]:
    yield f"## {tag['name'].capitalize()}\n"
    yield f"{tag['description']}\n"
    yield "| operation | name | needs | what it does | answers |"
    yield "|---|---|---|---|---|"
    parameters: dict[tuple[str, str], str] = {}
    for path, of_path in document["paths"].items():
        for method, operation in of_path.items():
            if tag["name"] in operation["tags"]:
                yield _row(method, path, operation)
                parameters |= {
                    (one["name"], one["in"]): f"{one['description']}{_bounds(one['schema'])}" for one in operation["parameters"]
                }
    yield ""
    if parameters:
        yield "| parameter | in | what it says |"
        yield "|---|---|---|"
        yield from (f"| `{name}` | {where} | {said} |" for (name, where), said in parameters.items())
        yield ""


def _row(method: str, path: str, operation: dict[str, Any]) -> str:
    shown = [(name, scopes) for one in operation.get("security", []) for name, scopes in one.items()]
    needs = ", ".join(f"{name} ({', '.join(scopes)})" if scopes else name for name, scopes in shown) or "nothing"
    said = sorted((status, answer["description"].removesuffix(".")) for status, answer in operation["responses"].items())
    answers = "; ".join(f"{status}: {about}" for status, about in said if status != "default")
    return f"| `{method.upper()} {path}` | `{operation['operationId']}` | {needs} | {operation['summary']} | {answers} |"


def _bounds(schema: dict[str, Any]) -> str:
    """What a value may be, in words."""
    said = []
    if "enum" in schema:
        said.append(f"One of {', '.join(f'`{value}`' for value in schema['enum'])}.")
    if "maximum" in schema:
        said.append(f"From {schema['minimum']:g} to {schema['maximum']:g}.")
    if "default" in schema:
        said.append(f"{schema['default']} by default.")
    return "".join(f" {one}" for one in said)
