"""Questions: what somebody must say before a release can be watched as it is meant, and what waits for its canary."""

from typing import Final

import msgspec
from aiohttp import web

from daemon.http.endpoint import ApiPorts, Endpoint, Group, Parameter, reply
from daemon.http.guard import Open
from daemon.interventions import OpenQuestion
from daemon.ports.awaiting import RouteSays, WaitingAnnouncement, shown


class QuestionList(msgspec.Struct, frozen=True, kw_only=True):
    """What has no answer now, the oldest first."""

    questions: tuple[OpenQuestion, ...]


class WaitingList(msgspec.Struct, frozen=True, kw_only=True):
    """What has been announced without arms and waits, the oldest first."""

    waiting: tuple[WaitingAnnouncement, ...]


_WAITING: Final = WaitingAnnouncement(
    id="web-5cf137dc3f571f44",
    service="web",
    namespace="shop",
    waits_for="canary of web that is registry.example/web:1.5.0",
    sender="event /ci",
    since=1787408827.0,
    until=1787410627.0,
    routes=(RouteSays(route="VirtualService shop/web", why="green runs what is announced, and gets nothing yet"),),
)
_NAMESPACE: Final = Parameter(name="namespace", where="query", description="Only of this namespace.", schema={"type": "string"})
_QUESTION: Final = OpenQuestion(
    id="route-5d41402abc4b2a765d41402abc4b2a765d41402a-9f86d081884c7d65",
    about="VirtualService shop/web",
    namespace="shop",
    question="which of blue (60 %) and green (40 %) is the new one?",
    answer="annotate the route with verdictd.io/canary: blue or green, or with verdictd.io/watch: off; or announce the release",
    annotations=("verdictd.io/canary", "verdictd.io/watch"),
    fields=("canary",),
    since=1787408827.0,
)


def endpoints(ports: ApiPorts) -> list[Endpoint]:
    """What is under /v1/questions: they are answered where their object or their release is, and not here."""

    async def listing(request: web.Request) -> web.Response:
        namespace = request.query.get("namespace")
        found = await ports.questions.open()
        return reply(QuestionList(questions=tuple(one for one in found if namespace in {None, one.namespace})))

    async def awaited(request: web.Request) -> web.Response:
        namespace = request.query.get("namespace")
        found = () if ports.awaiting is None else shown(ports.awaiting)
        return reply(WaitingList(waiting=tuple(one for one in found if namespace in {None, one.namespace})))

    return [
        Endpoint(
            name="listWaiting",
            method="GET",
            path="/v1/waiting",
            handler=awaited,
            guard=Open(),
            summary="What was announced without arms and waits for its canary to take traffic, the oldest first.",
            parameters=(_NAMESPACE,),
            answers={200: WaitingList(waiting=(_WAITING,))},
        ),
        Endpoint(
            name="listQuestions",
            method="GET",
            path="/v1/questions",
            handler=listing,
            guard=Open(),
            summary="What somebody must say or mend before a release can be watched as it is meant, the oldest first.",
            parameters=(_NAMESPACE,),
            answers={200: QuestionList(questions=(_QUESTION,)), 503: None},
            about={503: "Where they are kept cannot be asked now."},
        ),
    ]


GROUP: Final = Group(name="questions", about="What somebody must answer.", endpoints=endpoints)
