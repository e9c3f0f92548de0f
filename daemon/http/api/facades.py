"""Gates in the form of others' APIs, for clients that have a provider for those: Prometheus and Kayenta.

Whoever asks is told of our verdicts in the shape that it knows. There is no more of either API than its clients need to ask that.
"""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

from aiohttp import web

from daemon.errors import InvalidInput, NotFound
from daemon.http import intake
from daemon.http.api import examples, gates
from daemon.http.endpoint import JSON, ApiPorts, Endpoint, Group, Parameter, reply
from daemon.http.gates import access, kayenta, prometheus
from daemon.http.gates.asking import Desk

_APPLICATION = "application"
_PARENT = "parentPipelineExecutionId"
_SCOPE = kayenta.ScopePair(
    control_scope=kayenta.Scope(scope="service=checkout-primary", location="shop"),
    experiment_scope=kayenta.Scope(scope="service=checkout-canary", location="shop"),
)
_EXECUTION = kayenta.Execution(scopes={"default": _SCOPE}, thresholds=kayenta.Thresholds(passing=95.0, marginal=75.0))
_PROMETHEUS = "/gates/prometheus/api/v1/query"
_KAYENTA = "/gates/kayenta"


def endpoints(ports: ApiPorts) -> Sequence[Endpoint]:
    """One question of Prometheus' API, and five of Kayenta's."""
    desk = Desk(ports.releases, ports.verdicts, ports.waiting, cluster=ports.cluster)
    return [_of_prometheus(ports, desk), *_of_kayenta(ports, _Kayenta(ports, desk))]


def _of_prometheus(ports: ApiPorts, desk: Desk) -> Endpoint:
    example = prometheus.answer(prometheus.read('verdictd_gate{namespace="shop",workload="checkout"}'), gates.TOLD, at=1787408862.5)
    refusal = prometheus.QueryRefusal(error="?query: 'up' is not understood here")
    return Endpoint(
        name="queryForFlagger",
        method="GET",
        path=_PROMETHEUS,
        handler=_Prometheus(ports, desk).query,
        guard=access.guard(ports.gates, "prometheus"),
        summary="A MetricTemplate of Flagger, as if it asked Prometheus.",
        parameters=(_query("query", 'verdictd_gate{namespace="...",workload="..."}, or vector(1).'),),
        answers={200: example, 422: refusal, 503: None},
    )


def _of_kayenta(ports: ApiPorts, handlers: "_Kayenta") -> list[Endpoint]:
    """What they are asked with beside this is for stores of metrics, of which there are none: it is passed over."""
    guard = access.guard(ports.gates, "kayenta")
    execution = Parameter(name="id", where="path", description="Of the execution.", schema={"type": "string"})
    config = Parameter(name="config", where="path", description="The policy.", schema={"type": "string"})
    done = kayenta.status(gates.TOLD, between=76)
    return [
        Endpoint(
            name="listCanaryConfigs",
            method="GET",
            path=f"{_KAYENTA}/canaryConfig",
            handler=handlers.configs,
            guard=guard,
            summary="The policies, as Kayenta's canary configs.",
            parameters=(_query(_APPLICATION, "The service."),),
            answers={200: JSON},
            strict=False,
        ),
        Endpoint(
            name="listCredentials",
            method="GET",
            path=f"{_KAYENTA}/credentials",
            handler=handlers.credentials,
            guard=guard,
            summary="One account, as Kayenta's accounts.",
            answers={200: JSON},
            strict=False,
        ),
        Endpoint(
            name="startExecution",
            method="POST",
            path=f"{_KAYENTA}/canary/{{config}}",
            handler=handlers.start,
            guard=guard,
            summary="Have an attempt judged, as Kayenta is asked to.",
            parameters=(config, _query(_APPLICATION, "The service."), _query(_PARENT, "Of whose run it is a part.")),
            body=_EXECUTION,
            answers={200: kayenta.Started(canary_execution_id=f"{examples.VIEW.id}.76"), **dict.fromkeys((400, 404, 503))},
            strict=False,
        ),
        Endpoint(
            name="getExecution",
            method="GET",
            path=f"{_KAYENTA}/canary/{{id}}",
            handler=handlers.execution,
            guard=guard,
            summary="The verdict as a score, as Kayenta tells it.",
            parameters=(execution,),
            answers={200: done, 404: None, 503: None},
            strict=False,
        ),
        Endpoint(
            name="cancelExecution",
            method="PUT",
            path=f"{_KAYENTA}/pipelines/{{id}}/cancel",
            handler=handlers.cancel,
            guard=guard,
            summary="Ask no more; the watch goes on.",
            parameters=(execution,),
            answers={200: JSON},
            strict=False,
        ),
    ]


GROUP: Final = Group(name="facades", about="Gates in the form of the APIs of Prometheus and Kayenta.", endpoints=endpoints)


class _Prometheus:
    """The handler of the one question."""

    def __init__(self, ports: ApiPorts, desk: Desk) -> None:
        self._desk = desk
        self._now = ports.now

    async def query(self, request: web.Request) -> web.Response:
        """A sample; what is no question of ours is refused as Prometheus does it."""
        query = request.query.get("query", "")
        if query.strip() == prometheus.PROBE:
            return reply(prometheus.probed(at=self._now()))
        try:
            question = prometheus.read(query)
            told = await self._desk.current(question.release, gate="prometheus", silence_seconds=question.silence_seconds)
        except InvalidInput as error:
            return reply(prometheus.QueryRefusal(error=str(error)), status=HTTPStatus.UNPROCESSABLE_ENTITY)
        return reply(prometheus.answer(question, told, at=self._now()))


class _Kayenta:
    """The handlers."""

    def __init__(self, ports: ApiPorts, desk: Desk) -> None:
        self._desk = desk
        self._hearing = ports.hearing
        self._policies = ports.policies

    async def configs(self, request: web.Request) -> web.Response:
        """Every policy is for every application."""
        applications = tuple(request.query.getall(_APPLICATION, []))
        return reply([kayenta.CanaryConfig(id=name, name=name, applications=applications) for name in self._policies])

    async def credentials(self, _request: web.Request) -> web.Response:
        """Whoever must name an account finds one."""
        return reply([kayenta.Account()])

    async def start(self, request: web.Request) -> web.Response:
        """Begin, or know again."""
        config = request.match_info["config"]
        if config not in self._policies:
            raise NotFound(f"no policy {config[:63]!r}; policies are named under policies in the settings")
        application, parent = request.query.get(_APPLICATION, ""), request.query.get(_PARENT)
        body = await intake.raw_body(request)
        asked, between = kayenta.read(body, hearing=self._hearing, config=config, application=application, parent=parent or None)
        told = await self._desk.ask(asked)
        return reply(kayenta.Started(canary_execution_id=kayenta.execution_name(told.release, between=between)))

    async def execution(self, request: web.Request) -> web.Response:
        """How it stands."""
        release_id, between = kayenta.execution_of(request.match_info["id"])
        return reply(kayenta.status(await self._desk.known(release_id), between=between))

    async def cancel(self, _request: web.Request) -> web.Response:
        """Who shows a gate's secret commands nothing, and the canary may still have traffic: it is only asked about no more."""
        return reply({})


def _query(name: str, description: str) -> Parameter:
    return Parameter(name=name, where="query", description=description, schema={"type": "string"})
