"""What of deploy/chart is made: the values' schema from the settings' models, the rules of its roles from the rows that need them,
and the alerts and dashboards, which Helm can read in the chart's own folder only.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from config import schema
from tests.docs import dashboards, rbac

FOLDER: Final = "deploy/chart"
_RULES: Final = "deploy/prometheus/rules.yaml"
_MADE: Final = "{{/* Made from the rows of meshes, owners and sources by `python -m tests.docs --write`; do not edit. */}}\n"

_Objects = Annotated[list[dict[str, Any]], Meta(description="As the API has them.")]
_Words = Annotated[dict[str, str], Meta(description="By name.")]
_Namespace = Annotated[str, Meta(pattern="^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]


class _Strict(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, rename="camel"):
    """Nothing but what is named here, in the manner of Helm's values."""


class _Namespaces(_Strict):
    namespaces: Annotated[list[_Namespace], Meta(description="By name.")]


class _Image(_Strict):
    repository: Annotated[str, Meta(min_length=1, description="Without a tag.")]
    tag: Annotated[str, Meta(description="Empty: the chart's version, and with an embedded broker -embedded behind it.")]
    digest: Annotated[str, Meta(pattern="^(sha256:[0-9a-f]{64})?$", description="Counts before the tag.")]
    pull_policy: Literal["Always", "IfNotPresent", "Never"]
    pull_secrets: _Objects


class _Account(_Strict):
    create: bool
    name: str
    annotations: _Words


class _Created(_Strict):
    create: bool


class _Enabled(_Strict):
    enabled: bool


class _Budget(_Strict):
    enabled: Annotated[bool | Literal["auto"], Meta(description="auto: where there are several daemons.")]


class _Token(_Strict):
    existing_secret: Annotated[str, Meta(description="A Secret with the key token; empty: one is made, once, and kept.")]


class _Persistence(_Strict):
    enabled: bool
    size: Annotated[str, Meta(min_length=1)]
    storage_class_name: str
    existing_claim: str


class _Service(_Strict):
    port: Annotated[int, Meta(ge=1, le=65_535)]
    annotations: _Words


class _Ingress(_Strict):
    enabled: bool
    class_name: Annotated[str, Meta(description="The controller's; empty: the cluster's default.")]
    annotations: _Words
    host: Annotated[str, Meta(pattern=r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*)?$", max_length=253)]
    tls_secret: Annotated[str, Meta(description="With the host's certificate; empty: the controller has one.")]
    controller_namespace: Annotated[str, Meta(description="Whose pods the NetworkPolicy lets in.")]


class _NetworkPolicy(_Strict):
    enabled: bool
    egress_ports: Annotated[list[Annotated[int, Meta(ge=1, le=65_535)]], Meta(description="The API server's.")]
    egress: _Objects


class _Read(_Strict):
    existing_secret: Annotated[str, Meta(description="Of a caller that reads only; empty: the daemon's own, for everything.")]
    key: Annotated[str, Meta(min_length=1)]


class _ServiceMonitor(_Strict):
    enabled: bool
    interval: Annotated[str, Meta(pattern="^[0-9]+(ms|s|m)$")]
    token: Annotated[_Read, Meta(description="What Prometheus shows where config.http.read=token.")]
    tls_config: Annotated[dict[str, Any], Meta(description="As the API has it: who signed the certificate of config.http.tls.")]
    labels: _Words


class _Labelled(_Strict):
    enabled: bool
    labels: _Words


class _Metrics(_Strict):
    service_monitor: _ServiceMonitor
    rules: _Labelled
    dashboards: _Labelled


class _Values(_Strict):
    config: Annotated[dict[str, Any], Meta(description="The daemon's settings, word for word.")]
    observe: Annotated[_Namespaces, Meta(description="Where it may look; none: everywhere.")]
    enforce: Annotated[_Namespaces, Meta(description="Where it may take traffic back.")]
    replicas: Annotated[
        Annotated[int, Meta(ge=1, le=32)] | Literal["auto"],
        Meta(description="How many daemons share the work; auto: two on a NATS of your own, one with the embedded broker."),
    ]
    image: _Image
    name_override: str
    fullname_override: str
    service_account: _Account
    rbac: _Created
    token: _Token
    persistence: Annotated[_Persistence, Meta(description="Of the embedded broker.")]
    service: _Service
    ingress: Annotated[_Ingress, Meta(description="For pipelines outside the cluster; TLS ends there.")]
    network_policy: _NetworkPolicy
    check: Annotated[_Enabled, Meta(description="Whether the settings are checked by the image before it is installed.")]
    metrics: _Metrics
    pod_disruption_budget: _Budget
    priority_class_name: str
    resources: dict[str, Any]
    env: _Objects
    volumes: _Objects
    volume_mounts: _Objects
    pod_annotations: _Words
    pod_labels: _Words
    node_selector: _Words
    tolerations: _Objects
    affinity: dict[str, Any]
    topology_spread_constraints: _Objects
    # Helm's own: what a chart above this one tells all below it.
    globals: Annotated[dict[str, Any], Meta(description="Not read.")] = msgspec.field(name="global", default={})


# Of a value that does not match, Helm says only what it must be: so that says why. No integer is this text.
_ONE_DAEMON: Final = "1: the embedded broker is within its daemon, and no other daemon could share the work through it"
_REFUSED: Final = {"if": {"not": {"enum": [1, "auto"]}}, "then": {"const": _ONE_DAEMON}}
_ONLY_ONE: Final = {
    "properties": {"replicas": _REFUSED, "config": {"properties": {"replicas": {"properties": {"count": _REFUSED}}}}}
}


def made(root: Path, kinds: Sequence[rbac.WithRights], *, settings: Mapping[str, Any]) -> dict[str, str]:
    """The files by name. ``settings``: the JSON Schema of the settings."""
    alerts = root / _RULES
    boards = {
        f"{FOLDER}/files/dashboards/{Path(name).name}": text for name, text in dashboards.made().items() if name.endswith(".json")
    }
    return {
        f"{FOLDER}/values.schema.json": json.dumps(values_schema(settings), indent=2, ensure_ascii=False) + "\n",
        f"{FOLDER}/templates/_rules.tpl": _MADE + "".join(_rules(name, rules) for name, rules in rbac.rules(kinds).items()),
        f"{FOLDER}/files/rules.yaml": alerts.read_text(encoding="utf-8") if alerts.exists() else "",
        **boards,
    }


def values_schema(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of the chart's values, with that of the settings in it."""
    found = schema.json_schema(_Values, title="values of the chart verdictd")
    own, theirs = found["$defs"], settings["$defs"]
    assert not own.keys() & theirs.keys(), "a struct of the values is called as one of the settings"
    properties = own["_Values"]["properties"]
    properties["config"] = {"description": properties["config"]["description"], "$ref": settings["$ref"]}
    exposed = {"properties": {"enabled": {"const": True}}, "required": ["enabled"]}
    own["_Ingress"] |= {"if": exposed, "then": {"properties": {"host": {"minLength": 1}}}}
    own["_Values"] |= {"if": _at(("config", "nats", "url"), {"const": "embedded"}), "then": _ONLY_ONE}
    return {**found, "$defs": {**own, **theirs}}


def _at(path: Sequence[str], found: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of a value in which this is found at the path, if anything is there."""
    schema = dict(found)
    for key in reversed(path):
        schema = {"properties": {key: schema}}
    return schema


def _rules(role: str, rules: str) -> str:
    name = role.removeprefix("verdictd-")
    return f'{{{{- define "verdictd.rules.{name}" }}}}\n{rules}{{{{- end }}}}\n'
