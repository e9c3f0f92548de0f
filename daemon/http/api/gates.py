"""Gates: controllers and pipelines ask whether to go on, each answered by its own rules.

To ask about an attempt that nobody has asked about begins its watch, so that the question is the whole integration. While the
daemon cannot answer it says 503, and never a yes: what that does is the asker's rule (docs/gates.md).
"""

import logging
from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated, Any, Final

import msgspec
from aiohttp import web
from msgspec import Meta

from config.errors import one_of
from daemon.errors import InvalidInput, NotFound, Unavailable
from daemon.events import decoding
from daemon.http import intake
from daemon.http.api import examples
from daemon.http.endpoint import ApiPorts, Endpoint, Group, Parameter, reply, wait_parameter
from daemon.http.gates import access, flagger
from daemon.http.gates.asking import Attempt, Desk, Told, Word, attempt
from daemon.model import ArmSpec, Outline, Release

log = logging.getLogger(__name__)

STATUSES: Final = {
    Word.PROMOTE: HTTPStatus.OK,
    Word.PENDING: HTTPStatus.ACCEPTED,
    Word.ROLLBACK: HTTPStatus.FORBIDDEN,
    Word.HOLD: HTTPStatus.CONFLICT,
}
_ANSWERS = ("json", "status")
_STAGE_FIX = 'send {"baseline": {...}, "canary": {...}}, and what else is said of the release, as in docs/gates.md'
_FIX = 'send {"attempt": ..., "verdictd": {"service": ..., "baseline": {...}, "canary": {...}}}, as in docs/gates.md'


class Question(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An attempt to release something: ``attempt`` is the same each time it is asked about, ``verdictd`` a release."""

    attempt: Annotated[str, Meta(min_length=1, max_length=500)]
    verdictd: Release


class _Asked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """As it is read: the release may be JSON in a string, and its faults are told by its own check."""

    attempt: Annotated[str, Meta(min_length=1, max_length=500)]
    verdictd: Any = None


class StagedRelease(msgspec.Struct, frozen=True, kw_only=True):
    """A release without what the address says; where arms are found it may be empty, or say what is new."""

    baseline: ArmSpec | None = None
    canary: ArmSpec | None = None
    artifact: str | None = None


_QUESTION = Question(attempt="checkout/7c9d5f", verdictd=examples.RELEASE)
TOLD: Final = Told(
    verdict=Word.ROLLBACK,
    release=examples.VIEW.id,
    reason=examples.VERDICT.reason,
    outcome=examples.VERDICT.outcome,
    evidence=140.0,
    boundary=100.0,
    canary_requests=412,
    baseline_requests=3730,
    submitted_at=examples.VIEW.submitted_at,
    decided_at=examples.VERDICT.decided_at,
)


def endpoints(ports: ApiPorts) -> Sequence[Endpoint]:
    """A gate for whoever can send a request, Argo Rollouts' web metric, and Flagger's webhooks."""
    handlers = _Gates(ports)
    return [
        Endpoint(
            name="askGate",
            method="POST",
            path="/gates/http",
            handler=handlers.http,
            guard=access.guard(ports.gates, "http"),
            summary="Ask what to do about an attempt, as JSON or by the status.",
            parameters=(
                _query("answer", "json: 200 with the verdict. status: 200 promote, 202 pending, 403 rollback, 409 hold.", _ANSWERS),
                wait_parameter(ports.http.max_wait_seconds),
            ),
            body=_QUESTION,
            answers={200: TOLD, 202: TOLD, 400: None, 403: TOLD, 409: TOLD, 503: None},
            about={202: "pending, where the status was asked for.", 403: "rollback, so.", 409: "hold, so.", 503: _AWAY},
        ),
        *_of_a_stage(handlers, ports),
        Endpoint(
            name="measureForArgo",
            method="POST",
            path="/gates/argo",
            handler=handlers.argo,
            guard=access.guard(ports.gates, "argo"),
            summary="The web metric of Argo Rollouts.",
            body=_QUESTION,
            answers={200: TOLD, 400: None, 503: None},
            about={200: "Whatever the verdict is; the metric's conditions tell them apart.", 503: _AWAY},
        ),
        Endpoint(
            name="askForFlagger",
            method="POST",
            path="/gates/flagger/{type}",
            handler=handlers.flagger,
            guard=access.guard(ports.gates, "flagger"),
            summary="A webhook of Flagger.",
            parameters=(
                Parameter(
                    name="type", where="path", description="Of the webhook.", schema={"type": "string", "enum": [*flagger.YES]}
                ),
            ),
            body=flagger.Payload(name="checkout", namespace="shop", checksum="85d557f47b"),
            answers={200: "text/plain", 400: None, 403: "text/plain", 503: None},
            about={200: "Yes.", 403: "No, with the reason.", 503: _AWAY},
        ),
    ]


def _of_a_stage(handlers: "_Gates", ports: ApiPorts) -> list[Endpoint]:
    """Spinnaker's webhook stage asks by POST once, and by GET at the same address from then on."""
    words = {"service": "The service.", "namespace": "Where it runs.", "attempt": "Names the attempt: the pipeline's run."}
    parameters = tuple(Parameter(name=name, where="query", description=text, schema=_TEXT) for name, text in words.items())
    guard = access.guard(ports.gates, "http")
    return [
        Endpoint(
            name="beginStage",
            method="POST",
            path="/gates/stage",
            guard=guard,
            parameters=parameters,
            handler=handlers.begin_stage,
            summary="Ask about an attempt that the address names; the body is the rest of the release.",
            body=StagedRelease(baseline=examples.RELEASE.baseline, canary=examples.RELEASE.canary),
            answers={200: TOLD, 400: None, 503: None},
            about={503: _AWAY},
        ),
        Endpoint(
            name="getStage",
            method="GET",
            path="/gates/stage",
            guard=guard,
            parameters=parameters,
            handler=handlers.stage,
            summary="How that attempt stands; one that is not known yet is asked for again.",
            answers={200: TOLD, 400: None, 503: None},
            about={503: _AWAY},
        ),
    ]


_TEXT: Final = {"type": "string", "minLength": 1, "maxLength": 253}
_AWAY: Final = "It cannot be answered now: ask again"
GROUP: Final = Group(name="gates", about="Where controllers and pipelines ask whether to go on.", endpoints=endpoints)


class _Gates:
    """The handlers."""

    def __init__(self, ports: ApiPorts) -> None:
        self._desk = Desk(ports.releases, ports.verdicts, ports.waiting, cluster=ports.cluster)
        self._hearing = ports.hearing
        self._max_wait_seconds = ports.http.max_wait_seconds
        self._readiness = ports.readiness
        self._policies = ports.policies

    async def http(self, request: web.Request) -> web.Response:
        """JSON, or the status too."""
        how = request.query.get("answer", "json")
        if how not in _ANSWERS:
            raise InvalidInput(f"{how[:40]!r} is no way to answer", path="?answer", fix=f"use {one_of(_ANSWERS)}")
        wait_seconds = intake.wait_seconds(request, maximum=self._max_wait_seconds)
        told = await self._desk.ask(await self._asked(request, gate="http"), wait_seconds=wait_seconds)
        return reply(told, status=STATUSES[told.verdict] if how == "status" else HTTPStatus.OK)

    async def begin_stage(self, request: web.Request) -> web.Response:
        """The first question of a stage."""
        words, key = _named(request)
        body = decoding.decode(await intake.raw_body(request), path="$", fix=_STAGE_FIX)
        asked = attempt("stage", body, hearing=self._hearing, key=key, path="$", words=words, fix=_STAGE_FIX)
        if (asked.release.service, asked.release.namespace) != (words["service"], words["namespace"]):
            raise InvalidInput(
                "names another service than the address", path="$", fix="leave service and namespace out of the body"
            )
        return reply(await self._desk.ask(asked))

    async def stage(self, request: web.Request) -> web.Response:
        """The others. A stage takes 404 for its end, and 503 for a reason to ask again: right after a restart nothing is known."""
        words, key = _named(request)
        try:
            return reply(await self._desk.again(str(words["service"]), namespace=str(words["namespace"]), key=key))
        except NotFound as error:
            raise Unavailable(f"{error}: it was not begun, or is being read back") from error

    async def argo(self, request: web.Request) -> web.Response:
        """200 whatever it is: other statuses are errors of the measurement, and JSON since the conditions read it."""
        return reply(await self._desk.ask(await self._asked(request, gate="argo")))

    async def flagger(self, request: web.Request) -> web.Response:
        """Yes or no, with the reason as plain text, which Flagger shows as it is."""
        kind = request.match_info["type"]
        if (yes := flagger.YES.get(kind)) is None:
            raise InvalidInput(f"{kind[:40]!r} is no type of webhook here", path="type", fix=f"use {one_of(flagger.YES)}")
        asked = flagger.read(await intake.raw_body(request), hearing=self._hearing)
        if kind == flagger.BEFORE_THE_ATTEMPT:
            self._check_that_it_could_begin(asked.release)
            return web.Response(text="the watch begins when the canary's analysis does\n")
        told = await self._desk.ask(asked)
        status = HTTPStatus.OK if told.verdict in yes else HTTPStatus.FORBIDDEN
        return web.Response(status=status, text=f"{told.verdict}: {told.reason} (release {told.release})\n")

    async def _asked(self, request: web.Request, *, gate: str) -> Attempt:
        body = decoding.decode(await intake.raw_body(request), path="$", fix=_FIX)
        asked = decoding.checked(body, _Asked, path="$")
        return attempt(gate, asked.verdictd, hearing=self._hearing, key=asked.attempt, path="$.verdictd", words={}, fix=_FIX)

    def _check_that_it_could_begin(self, release: Release | Outline) -> None:
        """As far as can be told before: what cannot be watched shall not begin. Raises ``InvalidInput``, and ``Unavailable``."""
        if release.policy is not None and release.policy not in self._policies:
            raise InvalidInput(f"no policy {release.policy!r}", path="$.metadata.policy", fix=f"use {one_of(self._policies)}")
        if broken := [f"{name}: {why}" for name, why in self._readiness().needed.items() if why is not None]:
            raise Unavailable(f"nothing could be watched now: {broken[0]}")


def _named(request: web.Request) -> tuple[dict[str, object], str]:
    """What the address says of a release, and the attempt. Raises ``InvalidInput``."""
    words: dict[str, object] = {"namespace": "default", **request.query}
    key = str(words.pop("attempt", ""))
    for name, value in (("attempt", key), ("service", words.get("service", ""))):
        if not value:
            raise InvalidInput("is missing", path=f"?{name}", fix="ask /gates/stage?service=...&namespace=...&attempt=...")
    return words, key


def _query(name: str, description: str, values: Sequence[str]) -> Parameter:
    return Parameter(
        name=name, where="query", description=description, schema={"type": "string", "enum": [*values], "default": values[0]}
    )
