"""The OpenAPI 3.1 document, made from the table of endpoints and the models."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import daemon
from config.schema import components
from daemon.http.endpoints import Endpoint
from daemon.http.problems import CONTENT_TYPE, Problem
from daemon.model import Command

_REF = "#/components/schemas/{name}"
_ID = {
    "name": "id",
    "in": "path",
    "required": True,
    "description": "The release's id.",
    "schema": {"type": "string", "pattern": "^[a-z0-9]([a-z0-9-]{0,94}[a-z0-9])?$"},
}


def document(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """The whole document as plain data."""
    models = _models(endpoints)
    references, schemas = components(models, ref_template=_REF)
    refs = dict(zip(models, references, strict=True))
    _without_command(schemas)
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint, refs)
    return {
        "openapi": "3.1.0",
        "info": {"title": "verdictd", "version": daemon.__version__, "description": "Releases watched, verdicts given."},
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "http.token_file"}},
        },
    }


def _models(endpoints: Sequence[Endpoint]) -> list[Any]:
    found: dict[Any, None] = {Problem: None}
    for endpoint in endpoints:
        for model in (endpoint.body, *endpoint.answers.values()):
            if model is not None and not isinstance(model, str):
                found[model] = None
    return list(found)


def _without_command(schemas: dict[str, Any]) -> None:
    """Over HTTP the word of a command stands in the address, and not in the body."""
    schema = schemas[Command.__name__]
    properties = {name: field for name, field in schema["properties"].items() if name != "command"}
    schemas[Command.__name__] = {**schema, "properties": properties, "required": []}


def _operation(endpoint: Endpoint, refs: dict[Any, Any]) -> dict[str, Any]:
    parameters: list[dict[str, Any]] = [_ID] if "{id}" in endpoint.path else []
    parameters += [
        {"name": one.name, "in": one.where, "description": one.description, "schema": dict(one.schema)}
        for one in endpoint.parameters
    ]
    operation: dict[str, Any] = {
        "summary": endpoint.summary,
        "parameters": parameters,
        "responses": {str(status): _answer(endpoint, status, refs) for status in endpoint.answers},
    }
    problem = {"description": "Any other failure.", "content": {CONTENT_TYPE: {"schema": refs[Problem]}}}
    operation["responses"]["default"] = problem
    if endpoint.body is not None:
        operation["requestBody"] = {"required": endpoint.body_required, "content": _body(endpoint, refs)}
    if endpoint.changes:
        operation["security"] = [{"token": []}, {}]
        operation["responses"]["401"] = {**problem, "description": "The bearer token is missing or wrong."}
    return operation


def _answer(endpoint: Endpoint, status: int, refs: dict[Any, Any]) -> dict[str, Any]:
    model = endpoint.answers[status]
    if model is None:
        content = {CONTENT_TYPE: {"schema": refs[Problem]}}
    elif isinstance(model, str):
        content = {model: {}}
    else:
        content = {"application/json": {"schema": refs[model]}}
    return {"description": endpoint.about.get(status, HTTPStatus(status).phrase), "content": content}


def _body(endpoint: Endpoint, refs: dict[Any, Any]) -> dict[str, Any]:
    content: dict[str, Any] = {"application/json": {"schema": refs[endpoint.body]}}
    if endpoint.events:
        content["application/cloudevents+json"] = {
            "schema": {
                "type": "object",
                "description": "CloudEvents 1.0, structured mode; the data is a release or a CDEvent.",
                "required": ["specversion", "id", "source", "type", "data"],
            }
        }
    return content
