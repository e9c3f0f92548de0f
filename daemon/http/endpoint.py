"""What the API has, as data: the router and the OpenAPI document are both made from this table and cannot disagree."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from daemon.http.health import Health
from daemon.http.problems import Handler
from daemon.http.releases import FILTERS, LONGEST_PAGE, PAGE, ReleaseList, Releases
from daemon.model import Command, Record, Release, ReleaseView, Stage, Verdict

TEXT = "text/plain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A query parameter or header."""

    name: str
    where: str
    description: str
    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One method of one path.

    Attributes:
        answers: by status, what the body is: a model, the media type of something else, or null for a problem document.
        body: the model of the request's body, if it has one; ``events`` says that CloudEvents are understood as well.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    answers: Mapping[int, Any]
    parameters: tuple[Parameter, ...] = ()
    body: Any = None
    body_required: bool = True
    events: bool = False
    about: Mapping[int, str] = field(default_factory=dict)

    @property
    def changes(self) -> bool:
        """Whether it needs the bearer token."""
        return self.method == "POST"


_IDEMPOTENCY = Parameter(
    name="Idempotency-Key",
    where="header",
    description="The same key with the same body is the same release. CloudEvents name themselves by source and id.",
    schema={"type": "string", "maxLength": 255},
)

_PAGING = (
    Parameter(
        name="limit",
        where="query",
        description="Most releases in one answer.",
        schema={"type": "integer", "minimum": 1, "maximum": LONGEST_PAGE, "default": PAGE},
    ),
    Parameter(
        name="cursor",
        where="query",
        description="Go on after the page before: its field next, as it is. The filters must be the same.",
        schema={"type": "string"},
    ),
)


def release_endpoints(releases: Releases, *, max_wait_seconds: float) -> list[Endpoint]:
    """Everything under /v1/releases."""
    wait = Parameter(
        name="wait",
        where="query",
        description="Seconds to wait for the verdict.",
        schema={"type": "number", "minimum": 0, "maximum": max_wait_seconds, "default": 0},
    )
    one = "/v1/releases/{id}"
    return [
        Endpoint(
            method="POST",
            path="/v1/releases",
            handler=releases.submit,
            summary="Begin watching a release.",
            body=Release,
            events=True,
            parameters=(_IDEMPOTENCY,),
            answers={202: ReleaseView, 400: None, 415: None, 503: None},
            about={202: "It is being watched (or was already).", 503: "The daemon is full; ask again later."},
        ),
        Endpoint(
            method="GET",
            path="/v1/releases",
            handler=releases.listing,
            summary="Running and recently ended releases, the newest first, a page at a time.",
            parameters=(*(_filter(name) for name in FILTERS), *_PAGING),
            answers={200: ReleaseList, 400: None},
        ),
        Endpoint(
            method="GET",
            path=one,
            handler=releases.read,
            summary="One release as it stands.",
            answers={200: ReleaseView, 400: None, 404: None},
        ),
        Endpoint(
            method="GET",
            path=f"{one}/verdict",
            handler=releases.verdict,
            summary="The verdict, waiting for it.",
            parameters=(wait,),
            answers={200: Verdict, 202: ReleaseView, 400: None, 404: None},
            about={202: "There is none yet: the release as it stands."},
        ),
        Endpoint(
            method="GET",
            path=f"{one}/record",
            handler=releases.record,
            summary="The decision record: inputs, evidence, action, a time for each step.",
            answers={200: Record, 400: None, 404: None},
        ),
        *(_command(releases, word) for word in ("rollback", "promote", "cancel")),
    ]


def health_endpoints(health: Health, metrics: Handler, openapi: Handler) -> list[Endpoint]:
    """What operators and their machines read."""
    return [
        Endpoint(method="GET", path="/healthz", handler=health.alive, summary="The process answers.", answers={200: TEXT}),
        Endpoint(
            method="GET",
            path="/readyz",
            handler=health.ready,
            summary="Every component works; otherwise which one does not, and why.",
            answers={200: "application/json", 503: "application/json"},
            about={503: "At least one component does not."},
        ),
        Endpoint(method="GET", path="/metrics", handler=metrics, summary="Metrics in the Prometheus format.", answers={200: TEXT}),
        Endpoint(method="GET", path="/openapi.json", handler=openapi, summary="This document.", answers={200: "application/json"}),
    ]


def _command(releases: Releases, word: str) -> Endpoint:
    said = {
        "rollback": "Take the traffic back now.",
        "promote": "Call the canary good now.",
        "cancel": "Stop watching; the verdict is inconclusive.",
    }
    return Endpoint(
        method="POST",
        path=f"/v1/releases/{{id}}/{word}",
        handler=releases.command(word),
        summary=said[word],
        body=Command,
        body_required=False,
        answers={202: ReleaseView, 400: None, 404: None, 409: None},
        about={409: "It has its verdict already."},
    )


def _filter(name: str) -> Parameter:
    schema: dict[str, Any] = {"type": "string", "enum": [stage.value for stage in Stage]} if name == "stage" else {"type": "string"}
    return Parameter(name=name, where="query", description=f"Only this {name}.", schema=schema)
