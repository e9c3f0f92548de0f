"""The OpenAPI 3.1 document, made from the groups of endpoints and the models."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec
from aiohttp import web

import daemon
from config.schema import components
from daemon.http.endpoint import JSON, Endpoint, Group, Parameter
from daemon.http.problems import CONTENT_TYPE, Problem

DOCUMENT: Final = web.AppKey("openapi", dict[str, Any])
"""Where an application keeps the document of itself."""

_REF = "#/components/schemas/{name}"
_ABOUT = "Releases watched, verdicts given. Whatever answers to GET answers to HEAD in the same way, without the body."


def document(table: Sequence[tuple[Group, Sequence[Endpoint]]]) -> dict[str, Any]:
    """The whole document as plain data."""
    endpoints = [endpoint for _, of_group in table for endpoint in of_group]
    models = _models(endpoints)
    references, schemas = components(models, ref_template=_REF)
    refs = dict(zip(models, references, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for group, of_group in table:
        for endpoint in of_group:
            paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = {"tags": [group.name], **_operation(endpoint, refs)}
    schemes = {scheme.name: dict(scheme.document) for one in endpoints if (scheme := one.guard.scheme) is not None}
    return {
        "openapi": "3.1.0",
        "info": {"title": "verdictd", "version": daemon.__version__, "description": _ABOUT},
        "tags": [{"name": group.name, "description": group.about} for group, _ in table],
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": schemes},
    }


def _models(endpoints: Sequence[Endpoint]) -> list[type[msgspec.Struct]]:
    found: dict[type[msgspec.Struct], None] = {Problem: None}
    for endpoint in endpoints:
        for body in (endpoint.body, *endpoint.answers.values()):
            if isinstance(body, msgspec.Struct):
                found[type(body)] = None
    return list(found)


def _operation(endpoint: Endpoint, refs: Mapping[Any, Any]) -> dict[str, Any]:
    answers = {str(status): _answer(endpoint, status, refs) for status in endpoint.answers}
    operation: dict[str, Any] = {
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "parameters": [_parameter(one) for one in endpoint.parameters],
        "responses": {**answers, "default": {"description": "Any other failure.", "content": _problem(None, refs)}},
    }
    if endpoint.body is not None:
        operation["requestBody"] = {"required": endpoint.body_required, "content": _body(endpoint, endpoint.body, refs)}
    if (scheme := endpoint.guard.scheme) is not None:
        operation["security"] = [{scheme.name: list(scheme.scopes)}, *([{}] if scheme.optional else [])]
        about = "What must be shown is missing or wrong."
        operation["responses"]["401"] = {"description": about, "content": _problem(HTTPStatus.UNAUTHORIZED, refs, about)}
    return operation


def _parameter(one: Parameter) -> dict[str, Any]:
    required = {"required": True} if one.where == "path" else {}
    return {"name": one.name, "in": one.where, **required, "description": one.description, "schema": dict(one.schema)}


def _answer(endpoint: Endpoint, status: int, refs: Mapping[Any, Any]) -> dict[str, Any]:
    body = endpoint.answers[status]
    about = endpoint.about.get(status, HTTPStatus(status).phrase)
    match body:
        case None:
            content = _problem(HTTPStatus(status), refs, about)
        case str():
            content = {body: {}}
        case _:
            content = {JSON: _exemplified(body, refs)}
    return {"description": about, "content": content}


def _problem(status: HTTPStatus | None, refs: Mapping[Any, Any], detail: str = "") -> dict[str, Any]:
    if status is None:
        return {CONTENT_TYPE: {"schema": refs[Problem]}}
    return {CONTENT_TYPE: _exemplified(Problem(title=status.phrase, status=status, detail=detail), refs)}


def _exemplified(body: msgspec.Struct, refs: Mapping[Any, Any]) -> dict[str, Any]:
    return {"schema": refs[type(body)], "example": msgspec.to_builtins(body)}


def _body(endpoint: Endpoint, body: msgspec.Struct, refs: Mapping[Any, Any]) -> dict[str, Any]:
    content: dict[str, Any] = {JSON: _exemplified(body, refs)}
    if endpoint.events:
        content["application/cloudevents+json"] = {
            "schema": {
                "type": "object",
                "description": "CloudEvents 1.0, structured mode; the data is a release or a CDEvent.",
                "required": ["specversion", "id", "source", "type", "data"],
            }
        }
    return content
